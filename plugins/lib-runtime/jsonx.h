/* SPDX-License-Identifier: Apache-2.0 */
/* jsonx.h - reading members of JSON objects; absent or of another type gives the default. */
#ifndef RN_JSONX_H
#define RN_JSONX_H

#include "arena.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_err;

/** NULL terminated; never NULL itself once filled. */
struct rn_strv {
    const char **v;
    size_t n;
};

static inline void rn_json_cleanup(struct json_object **o)
{
    (void)json_object_put(*o);
}
#define rn_autojson __attribute__((cleanup(rn_json_cleanup))) struct json_object

struct json_object *rn_json_obj(struct json_object *o, const char *key);
struct json_object *rn_json_arr(struct json_object *o, const char *key);
size_t rn_json_len(struct json_object *arr);
const char *rn_json_str(struct json_object *o, const char *key, const char *def);
bool rn_json_bool(struct json_object *o, const char *key, bool def);
int64_t rn_json_int(struct json_object *o, const char *key, int64_t def);
/** Numbers above INT64_MAX too. */
uint64_t rn_json_uint(struct json_object *o, const char *key, uint64_t def);
/** Is there a number? */
bool rn_json_has_int(struct json_object *o, const char *key, int64_t *out);
/** An array of strings, borrowed from the tree; extra: free slots behind the last. */
int rn_json_strv(struct json_object *arr, struct rn_arena *a, size_t extra, struct rn_strv *out,
                 struct dray_err *err);
/** Parse text that must be one object. */
int rn_json_parse(const char *text, size_t len, struct json_object **out, struct dray_err *err);
/**
 * Find the value of the member `key` of the member `outer` in the text of an object, without
 * parsing the rest. NULL when it cannot be found that way.
 */
const char *rn_json_find(const char *text, size_t len, const char *outer, const char *key,
                         size_t *len_out);

#endif
