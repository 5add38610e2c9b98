/* SPDX-License-Identifier: Apache-2.0 */
/* filters.h - the `filters` parameter: {"k":["v"]} and the older {"k":{"v":true}}. */
#ifndef DRAY_ENGINE_FILTERS_H
#define DRAY_ENGINE_FILTERS_H

#include "base/strlist.h"

#include <dray/util.h>
#include <stdbool.h>

struct dray_regex;
struct json_object;

/** Zero-initialised matches everything. */
struct dray_filters {
    struct dray_kvlist pairs;   /* one per value: keys repeat */
    struct dray_regex *regexes; /* of the first n_regexes pairs */
    size_t n_regexes;
};

/** text may be NULL or "". allowed is NULL-terminated. Malformed or unknown key: DRAY_E_INVAL,
 *  "invalid filter 'x'". */
int dray_filters_parse(const char *text, const char *const *allowed, struct dray_filters *out,
                       struct dray_err *err);
void dray_filters_free(struct dray_filters *f);
bool dray_filters_has(const struct dray_filters *f, const char *key);
/** i-th value of a key, or NULL. */
const char *dray_filters_get(const struct dray_filters *f, const char *key, size_t i);
/** No value of the key, or one equals. */
bool dray_filters_exact(const struct dray_filters *f, const char *key, const char *value);
/** No value of the key, or one is contained in, or as a regular expression matches, value. */
bool dray_filters_match(const struct dray_filters *f, const char *key, const char *value);
/** No value of the key, or one is a prefix of value. */
bool dray_filters_prefix(const struct dray_filters *f, const char *key, const char *value);
/** Every "label" value ("k" or "k=v") is among labels (and no "label!" value is). */
bool dray_filters_labels(const struct dray_filters *f, struct json_object *labels);
/** A true/1 or false/0 value; absent: def. Others: DRAY_E_INVAL. */
int dray_filters_bool(const struct dray_filters *f, const char *key, bool def, bool *out,
                      struct dray_err *err);

static inline void dray_filters_cleanup(struct dray_filters *f)
{
    dray_filters_free(f);
}

#endif
