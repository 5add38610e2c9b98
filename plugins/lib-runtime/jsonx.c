/* SPDX-License-Identifier: Apache-2.0 */
/* jsonx.c - reading members of JSON objects. */
#include "jsonx.h"

#include <dray/util.h>

static struct json_object *member(struct json_object *o, const char *key, json_type type)
{
    struct json_object *v = NULL;
    if (!o || !json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &v))
        return NULL;
    return v && json_object_is_type(v, type) ? v : NULL;
}

struct json_object *rn_json_obj(struct json_object *o, const char *key)
{
    return member(o, key, json_type_object);
}

struct json_object *rn_json_arr(struct json_object *o, const char *key)
{
    return member(o, key, json_type_array);
}

size_t rn_json_len(struct json_object *arr)
{
    return arr ? json_object_array_length(arr) : 0;
}

const char *rn_json_str(struct json_object *o, const char *key, const char *def)
{
    struct json_object *v = member(o, key, json_type_string);
    return v ? json_object_get_string(v) : def;
}

bool rn_json_bool(struct json_object *o, const char *key, bool def)
{
    struct json_object *v = member(o, key, json_type_boolean);
    return v ? json_object_get_boolean(v) : def;
}

bool rn_json_has_int(struct json_object *o, const char *key, int64_t *out)
{
    struct json_object *v = member(o, key, json_type_int);
    if (!v && (v = member(o, key, json_type_double)) == NULL)
        return false;
    *out = json_object_get_int64(v);
    return true;
}

int64_t rn_json_int(struct json_object *o, const char *key, int64_t def)
{
    int64_t n = def;
    return rn_json_has_int(o, key, &n) ? n : def;
}

uint64_t rn_json_uint(struct json_object *o, const char *key, uint64_t def)
{
    struct json_object *v = member(o, key, json_type_int);
    return v ? json_object_get_uint64(v) : def;
}

int rn_json_strv(struct json_object *arr, struct rn_arena *a, size_t extra, struct rn_strv *out,
                 struct dray_err *err)
{
    size_t n = rn_json_len(arr);
    out->v = rn_arena_alloc(a, (n + extra + 1) * sizeof *out->v);
    if (!out->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(arr, i);
        if (!v || !json_object_is_type(v, json_type_string))
            return dray_fail(err, DRAY_E_INVAL, "config.json: an array of strings is expected");
        out->v[i] = json_object_get_string(v);
    }
    out->n = n;
    return 0;
}

int rn_json_parse(const char *text, size_t len, struct json_object **out, struct dray_err *err)
{
    struct json_tokener *tok = len < INT32_MAX ? json_tokener_new_ex(64) : NULL;
    if (!tok)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct json_object *o = json_tokener_parse_ex(tok, text, (int)len);
    enum json_tokener_error why = json_tokener_get_error(tok);
    json_tokener_free(tok);
    if (why == json_tokener_success && o && json_object_is_type(o, json_type_object)) {
        *out = o;
        return 0;
    }
    (void)json_object_put(o);
    return dray_fail(err, DRAY_E_INVAL, "not a JSON object: %s",
                     why == json_tokener_success ? "wrong type" : json_tokener_error_desc(why));
}

/* A scanner that steps over values without looking into them. Every function returns the place
 * behind what it read, or NULL. */

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == '"')
            return p + 1;
    }
    return NULL;
}

static const char *skip_value(const char *p, const char *end)
{
    int depth = 0;
    while (p && p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            if (depth == 0)
                return p;
            depth--;
            p++;
        } else if (*p == ',' && depth == 0) {
            return p;
        } else {
            p++;
            continue;
        }
        if (p && depth == 0)
            return p;
    }
    return NULL;
}

static const char *find_member(const char *p, const char *end, const char *key, size_t *len_out)
{
    size_t klen = strlen(key);
    p = skip_space(p, end);
    if (p >= end || *p != '{')
        return NULL;
    p = skip_space(p + 1, end);
    while (p && p < end && *p == '"') {
        const char *name = p + 1;
        p = skip_string(p, end);
        if (!p)
            return NULL;
        bool hit = (size_t)(p - 1 - name) == klen && memcmp(name, key, klen) == 0;
        p = skip_space(p, end);
        if (p >= end || *p != ':')
            return NULL;
        const char *value = skip_space(p + 1, end);
        p = skip_value(value, end);
        if (p && hit) {
            *len_out = (size_t)(p - value);
            return value;
        }
        p = p ? skip_space(p, end) : NULL;
        if (p && p < end && *p == ',')
            p = skip_space(p + 1, end);
    }
    return NULL;
}

const char *rn_json_find(const char *text, size_t len, const char *outer, const char *key,
                         size_t *len_out)
{
    size_t n = 0;
    const char *in = find_member(text, text + len, outer, &n);
    return in ? find_member(in, in + n, key, len_out) : NULL;
}
