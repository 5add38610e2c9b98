/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - json-c with limits, typed getters and Docker's key matching. */
#include "base/json.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/json_fault.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define MAX_DEPTH 64
#define MAX_FILE ((size_t)64 << 20)
#define TEXT_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* The end of the string that opens before p: at its quote, or at what may not stand in it. A NUL,
 * raw or written \u0000, would cut C strings short behind the back of every check. */
static const char *skip_string(const char *p, const char *end)
{
    for (; p < end && *p != '"' && (unsigned char)*p >= 0x20; p++) {
        if (*p != '\\')
            continue;
        if (end - p >= 6 && memcmp(p + 1, "u0000", 5) == 0)
            return p;
        p++;
    }
    return p;
}

/* json-c lets pass, even when told to be strict: 'text', NaN, Infinity, raw control characters,
 * whatever follows a NUL. Returns the first offender, or NULL. */
static const char *find_stranger(const char *text, size_t len)
{
    static const char allowed[] = " \t\r\n{}[],:+-.0123456789eEtrufalsn";
    bool ok[256] = {false};
    for (const char *c = allowed; *c; c++)
        ok[(unsigned char)*c] = true;
    const char *end = text + len;
    for (const char *p = text; p < end; p++) {
        if (*p == '"') {
            p = skip_string(p + 1, end);
            if (p < end && *p != '"')
                return p;
        } else if (!ok[(unsigned char)*p]) {
            return p;
        }
    }
    return NULL;
}

size_t dray_json_values(const char *text, size_t len)
{
    size_t n = len > 0;
    const char *end = text + len;
    for (const char *p = text; p < end; p++) {
        if (*p == '"')
            p = skip_string(p + 1, end);
        else if (*p == ',' || *p == '[' || *p == '{')
            n++;
    }
    return n;
}

static void free_tokener(struct json_tokener **t)
{
    if (*t)
        json_tokener_free(*t);
}

/* Malformed by the grammar itself: Docker's text for it. Anything else: 0. */
static int check_grammar(const char *text, size_t len, struct dray_err *err)
{
    char why[96];
    size_t rest = 0;
    if (dray_json_fault(text, len, why, sizeof why, &rest))
        return dray_fail(err, DRAY_E_INVAL, "invalid JSON: %s", why);
    while (rest < len && text[rest] && strchr(" \t\r\n", text[rest]))
        rest++;
    return rest == len ? 0 : dray_fail(err, DRAY_E_INVAL, "unexpected content after JSON");
}

/* What json-c would refuse or cannot hold. The grammar's own faults are told first. */
static int refuse(const char *text, size_t len, struct dray_err *err, const char *why, size_t at)
{
    int rc = check_grammar(text, len, err);
    return rc ? rc : dray_fail(err, DRAY_E_INVAL, "invalid JSON: %s at offset %zu", why, at);
}

int dray_json_parse(const char *text, size_t len, struct json_object **out, struct dray_err *err)
{
    if (len > INT_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "invalid JSON: too large");
    const char *stranger = find_stranger(text, len);
    if (stranger)
        return refuse(text, len, err, "invalid character", (size_t)(stranger - text));
    __attribute__((cleanup(free_tokener))) struct json_tokener *t = json_tokener_new_ex(MAX_DEPTH);
    if (!t)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *value = json_tokener_parse_ex(t, text, (int)len);
    size_t at = json_tokener_get_parse_end(t);
    /* A number, or a value cut short, ends only with the end of the text. */
    if (!value && json_tokener_get_error(t) == json_tokener_continue)
        value = json_tokener_parse_ex(t, "", 1);
    enum json_tokener_error why = json_tokener_get_error(t);
    if (why == json_tokener_success) {
        *out = value;
        return 0;
    }
    if (value)
        json_object_put(value);
    if (why == json_tokener_error_depth)
        return dray_fail(err, DRAY_E_INVAL, "invalid JSON: nested deeper than %d levels",
                         MAX_DEPTH);
    return refuse(text, len, err, json_tokener_error_desc(why), at);
}

int dray_json_load(int dirfd, const char *path, struct json_object **out, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    int rc = dray_fs_read(dirfd, path, MAX_FILE, &b, err);
    if (rc)
        return rc;
    if (dray_json_parse(b.data ? b.data : "", b.len, out, err))
        return dray_err_note(err, "%s", path);
    return 0;
}

const char *dray_json_text(struct json_object *value)
{
    return json_object_to_json_string_ext(value, TEXT_FLAGS);
}

int dray_json_store(int dirfd, const char *path, struct json_object *value, struct dray_err *err)
{
    const char *text = dray_json_text(value);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "write %s: out of memory", path);
    DRAY_AUTO(dray_buf) there = {0};
    size_t len = strlen(text);
    if (dray_fs_read(dirfd, path, len, &there, NULL) == 0 && there.len == len &&
        memcmp(there.data, text, len) == 0)
        return 0; /* also on a disk that is full */
    return dray_fs_replace(dirfd, path, text, strlen(text), 0600, DRAY_FS_DURABLE, err);
}

/* Exact, else the last that matches without regard to case. */
static bool find_member(struct json_object *obj, const char *key, size_t len,
                        struct json_object **out)
{
    bool found = false;
    json_object_object_foreach(obj, k, v)
    {
        if (strncasecmp(k, key, len) != 0 || k[len] != '\0')
            continue;
        *out = v;
        found = true;
        if (memcmp(k, key, len) == 0)
            return true;
    }
    return found;
}

struct json_object *dray_json_get(struct json_object *obj, const char *path)
{
    for (;;) {
        struct json_object *member = NULL;
        if (!json_object_is_type(obj, json_type_object))
            return NULL;
        /* A key that holds dots itself (a label) is found before its parts. */
        if (json_object_object_get_ex(obj, path, &member))
            return member;
        const char *dot = strchrnul(path, '.');
        if (!find_member(obj, path, (size_t)(dot - path), &member) || *dot == '\0')
            return member;
        obj = member;
        path = dot + 1;
    }
}

const char *dray_json_str(struct json_object *obj, const char *path, const char *def)
{
    struct json_object *v = dray_json_get(obj, path);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : def;
}

int64_t dray_json_int(struct json_object *obj, const char *path, int64_t def)
{
    struct json_object *v = dray_json_get(obj, path);
    if (json_object_is_type(v, json_type_int))
        return json_object_get_int64(v);
    if (!json_object_is_type(v, json_type_double))
        return def;
    double d = json_object_get_double(v);
    return d >= -9.2e18 && d <= 9.2e18 ? (int64_t)d : def;
}

bool dray_json_bool(struct json_object *obj, const char *path, bool def)
{
    struct json_object *v = dray_json_get(obj, path);
    return json_object_is_type(v, json_type_boolean) ? json_object_get_boolean(v) != 0 : def;
}

struct json_object *dray_json_arr(struct json_object *obj, const char *path)
{
    struct json_object *v = dray_json_get(obj, path);
    return json_object_is_type(v, json_type_array) ? v : NULL;
}

struct json_object *dray_json_obj(struct json_object *obj, const char *path)
{
    struct json_object *v = dray_json_get(obj, path);
    return json_object_is_type(v, json_type_object) ? v : NULL;
}

size_t dray_json_len(struct json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

void dray_json_add(struct json_object *obj, const char *key, struct json_object *value /* takes */)
{
    if (json_object_object_add(obj, key, value) != 0 && value)
        json_object_put(value);
}

void dray_json_add_str(struct json_object *obj, const char *key, const char *value)
{
    dray_json_add(obj, key, value ? json_object_new_string(value) : NULL);
}

void dray_json_add_int(struct json_object *obj, const char *key, int64_t value)
{
    dray_json_add(obj, key, json_object_new_int64(value));
}

void dray_json_add_bool(struct json_object *obj, const char *key, bool value)
{
    dray_json_add(obj, key, json_object_new_boolean(value));
}

void dray_json_addf(struct json_object *obj, const char *key, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    dray_json_add_str(obj, key, text);
    free(text);
}

struct json_object *dray_json_strs(const struct dray_strlist *l)
{
    struct json_object *a = json_object_new_array_ext((int)l->n + 1);
    for (size_t i = 0; a && i < l->n; i++)
        json_object_array_add(a, json_object_new_string(l->v[i]));
    return a;
}

struct json_object *dray_json_kvs(struct dray_kvs kvs)
{
    struct json_object *o = json_object_new_object();
    for (uint64_t i = 0; o && i < kvs.n; i++)
        dray_json_add_str(o, kvs.v[i].key, kvs.v[i].value);
    return o;
}

int dray_json_to_strlist(struct json_object *array, struct dray_strlist *l, struct dray_err *err)
{
    if (!array)
        return 0;
    if (!json_object_is_type(array, json_type_array))
        return dray_fail(err, DRAY_E_INVAL, "expected an array of strings, not %s",
                         json_type_to_name(json_object_get_type(array)));
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        struct json_object *v = json_object_array_get_idx(array, i);
        if (!json_object_is_type(v, json_type_string))
            return dray_fail(err, DRAY_E_INVAL, "expected a string, not %s",
                             json_type_to_name(json_object_get_type(v)));
        if (!dray_strlist_add(l, json_object_get_string(v)))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

int dray_json_to_kvlist(struct json_object *obj, struct dray_kvlist *l, struct dray_err *err)
{
    if (!obj)
        return 0;
    if (!json_object_is_type(obj, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "expected an object of strings, not %s",
                         json_type_to_name(json_object_get_type(obj)));
    json_object_object_foreach(obj, k, v)
    {
        if (!json_object_is_type(v, json_type_string))
            return dray_fail(err, DRAY_E_INVAL, "%s: expected a string, not %s", k,
                             json_type_to_name(json_object_get_type(v)));
        if (!dray_kvlist_set(l, k, json_object_get_string(v)))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

struct json_object *dray_json_copy(struct json_object *value)
{
    struct json_object *copy = NULL;
    if (value && json_object_deep_copy(value, &copy, NULL) != 0)
        return NULL;
    return copy;
}
