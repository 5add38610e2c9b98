/* SPDX-License-Identifier: Apache-2.0 */
/* filters.c - reads and applies the `filters` parameter of lists, prunes and events. */
#include "engine/filters.h"

#include "base/buf.h"
#include "base/json.h"

#include <dray/regex.h>
#include <strings.h>

static bool key_allowed(const char *key, const char *const *allowed)
{
    for (; *allowed; allowed++)
        if (strcmp(key, *allowed) == 0)
            return true;
    return false;
}

/* Docker writes a filter's values as a list, and before API 1.22 as a set {"value":true}. */
static int add_values(struct dray_filters *f, const char *key, struct json_object *values,
                      struct dray_err *err)
{
    bool ok = true;
    if (json_object_is_type(values, json_type_array)) {
        for (size_t i = 0; ok && i < json_object_array_length(values); i++) {
            struct json_object *v = json_object_array_get_idx(values, i);
            if (!json_object_is_type(v, json_type_string))
                return dray_fail(err, DRAY_E_INVAL, "invalid filter '%s': not a string", key);
            ok = dray_kvlist_add(&f->pairs, key, json_object_get_string(v));
        }
    } else if (json_object_is_type(values, json_type_object)) {
        json_object_object_foreach(values, value, on)
        {
            if (!json_object_is_type(on, json_type_boolean))
                return dray_fail(err, DRAY_E_INVAL, "invalid filter '%s': not a boolean", key);
            ok = ok && dray_kvlist_add(&f->pairs, key, value);
        }
    } else {
        return dray_fail(err, DRAY_E_INVAL, "invalid filter '%s': not a list of values", key);
    }
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int parse_object(struct json_object *obj, const char *const *allowed,
                        struct dray_filters *out, struct dray_err *err)
{
    json_object_object_foreach(obj, key, values)
    {
        if (!key_allowed(key, allowed))
            return dray_fail(err, DRAY_E_INVAL, "invalid filter '%s'", key);
        int rc = add_values(out, key, values, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* Once, however many values are to be matched. What is no expression matches as text alone. */
static int compile_all(struct dray_filters *f, struct dray_err *err)
{
    if (f->pairs.n == 0)
        return 0;
    f->regexes = calloc(f->pairs.n, sizeof *f->regexes);
    if (!f->regexes)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    f->n_regexes = f->pairs.n;
    for (size_t i = 0; i < f->n_regexes; i++)
        if (strpbrk(f->pairs.v[i].value, "^$.*+?()[]{}|\\"))
            (void)dray_regex_compile(&f->regexes[i], f->pairs.v[i].value, NULL);
    return 0;
}

int dray_filters_parse(const char *text, const char *const *allowed, struct dray_filters *out,
                       struct dray_err *err)
{
    *out = (struct dray_filters){0};
    if (!text || !*text)
        return 0;
    dray_autojson *obj = NULL;
    if (dray_json_parse(text, strlen(text), &obj, err))
        return dray_fail(err, DRAY_E_INVAL, "invalid filter: malformed JSON: %.200s", text);
    if (obj && !json_object_is_type(obj, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "invalid filter: not an object: %.200s", text);
    int rc = obj ? parse_object(obj, allowed, out, err) : 0;
    rc = rc ? rc : compile_all(out, err);
    if (rc)
        dray_filters_free(out);
    return rc;
}

void dray_filters_free(struct dray_filters *f)
{
    for (size_t i = 0; i < f->n_regexes; i++)
        dray_regex_free(&f->regexes[i]);
    free(f->regexes);
    dray_kvlist_free(&f->pairs);
    *f = (struct dray_filters){0};
}

const char *dray_filters_get(const struct dray_filters *f, const char *key, size_t i)
{
    for (size_t k = 0; f && k < f->pairs.n; k++)
        if (strcmp(f->pairs.v[k].key, key) == 0 && i-- == 0)
            return f->pairs.v[k].value;
    return NULL;
}

bool dray_filters_has(const struct dray_filters *f, const char *key)
{
    return dray_filters_get(f, key, 0) != NULL;
}

typedef bool (*value_test_fn)(const char *wanted, const char *value);

/* No value of the key, or one passes. */
static bool any_value(const struct dray_filters *f, const char *key, const char *value,
                      value_test_fn test)
{
    bool seen = false;
    for (size_t i = 0; f && i < f->pairs.n; i++) {
        if (strcmp(f->pairs.v[i].key, key) != 0)
            continue;
        seen = true;
        if (test(f->pairs.v[i].value, value ? value : ""))
            return true;
    }
    return !seen;
}

static bool test_exact(const char *wanted, const char *value)
{
    return strcmp(wanted, value) == 0;
}

static bool test_prefix(const char *wanted, const char *value)
{
    return dray_str_prefix(value, wanted);
}

bool dray_filters_exact(const struct dray_filters *f, const char *key, const char *value)
{
    return any_value(f, key, value, test_exact);
}

bool dray_filters_match(const struct dray_filters *f, const char *key, const char *value)
{
    bool seen = false;
    for (size_t i = 0; f && i < f->pairs.n; i++) {
        if (strcmp(f->pairs.v[i].key, key) != 0)
            continue;
        seen = true;
        if (strstr(value ? value : "", f->pairs.v[i].value) ||
            (i < f->n_regexes && dray_regex_match(&f->regexes[i], value ? value : "")))
            return true;
    }
    return !seen;
}

bool dray_filters_prefix(const struct dray_filters *f, const char *key, const char *value)
{
    return any_value(f, key, value, test_prefix);
}

/* Does labels hold "k" or "k=v"? */
static bool has_label(struct json_object *labels, const char *wanted)
{
    const char *eq = strchr(wanted, '=');
    dray_autofree char *key = eq ? strndup(wanted, (size_t)(eq - wanted)) : strdup(wanted);
    struct json_object *value = NULL;
    if (!key || !json_object_is_type(labels, json_type_object) ||
        !json_object_object_get_ex(labels, key, &value))
        return false;
    const char *text = value ? json_object_get_string(value) : "";
    return !eq || strcmp(text, eq + 1) == 0;
}

bool dray_filters_labels(const struct dray_filters *f, struct json_object *labels)
{
    for (size_t i = 0; f && i < f->pairs.n; i++) {
        const char *key = f->pairs.v[i].key;
        if (strcmp(key, "label") == 0 && !has_label(labels, f->pairs.v[i].value))
            return false;
        if (strcmp(key, "label!") == 0 && has_label(labels, f->pairs.v[i].value))
            return false;
    }
    return true;
}

/* 1, 0, or -1 for what is no boolean. */
static int bool_value(const char *text)
{
    if (strcmp(text, "1") == 0 || strcasecmp(text, "true") == 0)
        return 1;
    if (strcmp(text, "0") == 0 || strcasecmp(text, "false") == 0)
        return 0;
    return -1;
}

int dray_filters_bool(const struct dray_filters *f, const char *key, bool def, bool *out,
                      struct dray_err *err)
{
    *out = def;
    int seen = -1;
    const char *text = NULL;
    for (size_t i = 0; (text = dray_filters_get(f, key, i)) != NULL; i++) {
        int value = bool_value(text);
        if (value < 0 || (seen >= 0 && seen != value))
            return dray_fail(err, DRAY_E_INVAL, "invalid filter '%s=[%s]'", key, text);
        seen = value;
    }
    if (seen >= 0)
        *out = seen == 1;
    return 0;
}
