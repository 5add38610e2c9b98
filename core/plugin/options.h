/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the declared options of a plugin and the values that an instance got. */
#ifndef DRAY_PLUGIN_OPTIONS_H
#define DRAY_PLUGIN_OPTIONS_H

#include <dray/plugin.h>
#include <dray/util.h>

#include <stdatomic.h>
#include <stdbool.h>

struct json_object;
struct dray_options; /* values, one for each declared option */

/** Is the table itself in order? A plugin with a bad one is refused. */
int dray_options_check_table(const struct dray_option *table, uint64_t n, struct dray_err *err);
/** Validate the JSON object (or NULL), apply defaults. The table must outlive the result. */
int dray_options_parse(const struct dray_option *table, uint64_t n, struct json_object *values,
                       struct dray_options **out, struct dray_err *err);
/** With all that it replaced. */
void dray_options_free(struct dray_options *o);
/** Put fresh in the place of what is there. Strings and lists of the old values stay until
 *  dray_options_free() of fresh: plugins keep them from open() on. For one thread. */
void dray_options_replace(struct dray_options *_Atomic *at, struct dray_options *fresh /* takes */);

/* Unknown names give NULL, 0, an empty list. */
const char *dray_options_str(const struct dray_options *o, const char *name);
int64_t dray_options_int(const struct dray_options *o, const char *name);
struct dray_strs dray_options_list(const struct dray_options *o, const char *name);
/** Add every value that is no secret to an object. */
void dray_options_show(const struct dray_options *o, struct json_object *into);
/** Name of the first option that differs and may not be changed by reload(), or NULL. */
const char *dray_options_fixed_change(const struct dray_options *a, const struct dray_options *b);
/** Do all values agree? */
bool dray_options_equal(const struct dray_options *a, const struct dray_options *b);

/** The candidate that resembles name most, or NULL when none does. `next` gives the i-th. */
const char *dray_nearest_name(const char *name, const char *(*next)(const void *ctx, size_t i),
                              const void *ctx);

#endif
