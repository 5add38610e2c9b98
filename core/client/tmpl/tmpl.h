/* SPDX-License-Identifier: Apache-2.0 */
/* tmpl.h - Go's text templates over JSON values: what --format takes. */
#ifndef DRAY_CLIENT_TMPL_H
#define DRAY_CLIENT_TMPL_H

#include "base/buf.h"

#include <dray/util.h>
#include <json-c/json.h>

struct tmpl;

/** How a run treats names that are not there. */
struct tmpl_env {
    const char *type; /**< NULL: objects are maps; else the Go type that lacks the field */
    bool inspect;     /**< null prints as the empty value that Go has in its place */
    bool header;      /**< methods with an argument give that argument: titles of columns */
};

/** Key of the hidden object that a row's method `.Label "k"` looks into. */
#define TMPL_HIDDEN_LABELS "\001labels"
/** Marks an object as the row of a list: `json` gives its keys in order. */
#define TMPL_HIDDEN_ROW "\001row"

/** Parse; the error text is Go's ("template: :1: unclosed action"). */
int tmpl_parse(const char *text, struct tmpl **out, struct dray_err *err);
void tmpl_free(struct tmpl *t);
/** Run over dot (may be NULL for nil), appending to out. */
int tmpl_exec(const struct tmpl *t, struct json_object *dot, const struct tmpl_env *env,
              struct dray_buf *out, struct dray_err *err);

/** A copy of an object with its keys in order, as Go prints maps. */
struct json_object *tmpl_sorted(struct json_object *obj);

#endif
