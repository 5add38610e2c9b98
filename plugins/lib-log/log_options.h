/* SPDX-License-Identifier: Apache-2.0 */
/* log_options.h - the --log-opt keys that drivers with files understand. */
#ifndef DRAY_PLUGIN_LOG_OPTIONS_H
#define DRAY_PLUGIN_LOG_OPTIONS_H

#include "log_files.h"

#include <dray/log.h>
#include <dray/util.h>

/* Docker reads sizes of files in the one way, those of memory in the other. */
#define DRAY_LOG_DECIMAL 1000
#define DRAY_LOG_BINARY 1024

/** "10m", "1g", "512": bytes, in powers of base; "-1" is -1. */
bool dray_log_size_parse(const char *text, int base, int64_t *out);
/** As Go's strconv reads them; refused in its words. */
int dray_log_bool_parse(const char *text, bool *out, struct dray_err *err);
int dray_log_int_parse(const char *text, int64_t *out, struct dray_err *err);
/** Check every key and value; unknown keys are refused in the name of `title`. attrs: the driver
 *  keeps attributes. keep has the defaults and gets what the options say. */
int dray_log_options_read(const char *title, bool attrs, struct dray_kvs options,
                          struct dray_log_keep *keep, struct dray_err *err);

/** Attributes of each record, sorted by key. */
struct dray_log_attrs {
    struct dray_kv *v; /* owned */
    size_t n;
};

/** Is it one of labels, labels-regex, env, env-regex, tag? */
bool dray_log_attrs_key(const char *key);
/** Are the values of these well-formed? */
int dray_log_attrs_check(struct dray_kvs options, struct dray_err *err);
/** What labels, labels-regex, env and env-regex ask for; variables go before labels. */
int dray_log_attrs_read(const struct dray_log_info *info, struct dray_log_attrs *out,
                        struct dray_err *err);
/** Add or replace one. */
int dray_log_attrs_add(struct dray_log_attrs *a, const char *key, const char *value,
                       struct dray_err *err);
void dray_log_attrs_free(struct dray_log_attrs *a);
/** The "tag" option with its {{.Fields}} filled in; owned by the caller. */
char *dray_log_tag(const char *template, const struct dray_log_info *info, struct dray_err *err);

#endif
