/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - json-c with the manners this project needs: limits, typed getters, Docker's key matching.
 */
#ifndef DRAY_BASE_JSON_H
#define DRAY_BASE_JSON_H

#include "base/strlist.h"

#include <dray/util.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * Parse exactly one JSON value (UTF-8, at most 64 levels deep, nothing but space after it).
 * *out is owned by the caller. Malformed: DRAY_E_INVAL with the position.
 */
int dray_json_parse(const char *text, size_t len, struct json_object **out, struct dray_err *err);
/** About how many values the text holds, seen without reading it: each takes memory once it is. */
size_t dray_json_values(const char *text, size_t len);
/** Parse a whole file of at most 64 MiB. Absent: DRAY_E_NOTFOUND. */
int dray_json_load(int dirfd, const char *path, struct json_object **out, struct dray_err *err);
/** Replace a file durably: temporary file, fsync, rename. Mode 0600. Equal content: untouched. */
int dray_json_store(int dirfd, const char *path, struct json_object *value, struct dray_err *err);
/** Compact text without escaped slashes; owned by value. */
const char *dray_json_text(struct json_object *value);

/* Getters: obj may be NULL or of another type; a dotted path ("State.Pid") descends. Keys match
 * exactly, else without regard to case, as Go's encoding/json does. */

struct json_object *dray_json_get(struct json_object *obj, const char *path);
/** The string at path, or def if it is absent, null or no string. Borrowed from obj. */
const char *dray_json_str(struct json_object *obj, const char *path, const char *def);
int64_t dray_json_int(struct json_object *obj, const char *path, int64_t def);
bool dray_json_bool(struct json_object *obj, const char *path, bool def);
/** The array, object at path, or NULL. Borrowed. */
struct json_object *dray_json_arr(struct json_object *obj, const char *path);
struct json_object *dray_json_obj(struct json_object *obj, const char *path);
size_t dray_json_len(struct json_object *array);

/* Builders: a NULL string adds null. */

void dray_json_add(struct json_object *obj, const char *key, struct json_object *value /* takes */);
void dray_json_add_str(struct json_object *obj, const char *key, const char *value);
void dray_json_add_int(struct json_object *obj, const char *key, int64_t value);
void dray_json_add_bool(struct json_object *obj, const char *key, bool value);
/** New object with printf-made string values is common enough in answers: {"key": fmt}. */
void dray_json_addf(struct json_object *obj, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** Array of strings. */
struct json_object *dray_json_strs(const struct dray_strlist *l);
struct json_object *dray_json_kvs(struct dray_kvs kvs);
/** Append the strings of an array to l; anything but strings is DRAY_E_INVAL. NULL adds none. */
int dray_json_to_strlist(struct json_object *array, struct dray_strlist *l, struct dray_err *err);
/** Append the string members of an object to l. */
int dray_json_to_kvlist(struct json_object *obj, struct dray_kvlist *l, struct dray_err *err);
/** A deep copy; NULL gives NULL. */
struct json_object *dray_json_copy(struct json_object *value);

static inline void dray_json_cleanup(struct json_object **p)
{
    if (*p)
        json_object_put(*p);
}
#define dray_autojson __attribute__((cleanup(dray_json_cleanup))) struct json_object

#endif
