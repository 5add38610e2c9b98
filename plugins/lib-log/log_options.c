/* SPDX-License-Identifier: Apache-2.0 */
/* log_options.c - the --log-opt keys that drivers with files understand. */
#include "log_options.h"

#include <dray/regex.h>

static const char *const FILE_KEYS[] = {"max-size", "max-file", "compress"};
static const char *const ATTR_KEYS[] = {"labels", "labels-regex", "env", "env-regex", "tag"};

bool dray_log_size_parse(const char *text, int base, int64_t *out)
{
    if (strcmp(text, "-1") == 0) {
        *out = -1;
        return true;
    }
    char *end = NULL;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || errno || !(v >= 0))
        return false;
    while (*end == ' ')
        end++;
    static const char units[] = "bkmgtp";
    const char *unit = *end ? strchr(units, *end | 0x20) : units;
    if (!unit)
        return false;
    if (*end && (*end | 0x20) != 'b') {
        for (long n = unit - units; n > 0; n--)
            v *= base;
        end++;
        if ((*end | 0x20) == 'i')
            end++;
    }
    if (*end && (*end | 0x20) == 'b')
        end++;
    if (*end || v >= 9e18)
        return false;
    *out = (int64_t)v;
    return true;
}

static bool among(const char *const *keys, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}
#define AMONG(keys, key) among(keys, sizeof(keys) / sizeof(keys)[0], key)

int dray_log_bool_parse(const char *text, bool *out, struct dray_err *err)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    if (!AMONG(yes, text) && !AMONG(no, text))
        return dray_fail(err, DRAY_E_INVAL, "strconv.ParseBool: parsing \"%s\": invalid syntax",
                         text);
    *out = AMONG(yes, text);
    return 0;
}

int dray_log_int_parse(const char *text, int64_t *out, struct dray_err *err)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || errno || *text == ' ')
        return dray_fail(err, DRAY_E_INVAL, "strconv.Atoi: parsing \"%s\": invalid syntax", text);
    *out = n;
    return 0;
}

static int read_size(const char *value, int64_t *out, struct dray_err *err)
{
    int64_t n = 0;
    if (!dray_log_size_parse(value, DRAY_LOG_DECIMAL, &n))
        return dray_fail(err, DRAY_E_INVAL, "invalid size: '%s'", value);
    if (n == 0)
        return dray_fail(err, DRAY_E_INVAL, "max-size must be a positive number");
    *out = n;
    return 0;
}

static int read_one(const char *key, const char *value, struct dray_log_keep *keep,
                    struct dray_err *err)
{
    if (strcmp(key, "max-size") == 0)
        return read_size(value, &keep->max_size, err);
    if (strcmp(key, "compress") == 0)
        return dray_log_bool_parse(value, &keep->compress, err);
    if (strcmp(key, "max-file") != 0)
        return 0;
    int rc = dray_log_int_parse(value, &keep->max_files, err);
    if (!rc && keep->max_files < 1)
        rc = dray_fail(err, DRAY_E_INVAL, "max-file cannot be less than 1");
    return rc;
}

int dray_log_options_read(const char *title, bool attrs, struct dray_kvs options,
                          struct dray_log_keep *keep, struct dray_err *err)
{
    bool packs = false;
    for (uint64_t i = 0; i < options.n; i++) {
        const char *key = options.v[i].key;
        if (!AMONG(FILE_KEYS, key) && !(attrs && dray_log_attrs_key(key)))
            return dray_fail(err, DRAY_E_INVAL, "unknown log opt '%s' for %s", key, title);
        int rc = read_one(key, options.v[i].value, keep, err);
        if (rc)
            return rc;
        packs = packs || strcmp(key, "compress") == 0;
    }
    if (packs && keep->compress && (keep->max_files < 2 || keep->max_size < 0))
        return dray_fail(err, DRAY_E_INVAL,
                         "compress cannot be true when max-file is less than 2 or max-size is not "
                         "set");
    keep->compress = keep->compress && keep->max_files > 1;
    return attrs ? dray_log_attrs_check(options, err) : 0;
}

/* Attributes. */

bool dray_log_attrs_key(const char *key)
{
    return AMONG(ATTR_KEYS, key);
}

int dray_log_attrs_check(struct dray_kvs options, struct dray_err *err)
{
    static const char *const keys[] = {"labels-regex", "env-regex"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *pattern = dray_kvs_get(options, keys[i], "");
        DRAY_AUTO(dray_regex) re = {0};
        int rc = *pattern ? dray_regex_compile(&re, pattern, err) : 0;
        if (rc)
            return rc;
    }
    const struct dray_log_info nobody = {.container_id = "", .image_id = ""};
    dray_autofree char *tag = dray_log_tag(dray_kvs_get(options, "tag", ""), &nobody, err);
    return tag ? 0 : DRAY_E_INVAL;
}

int dray_log_attrs_add(struct dray_log_attrs *a, const char *key, const char *value,
                       struct dray_err *err)
{
    size_t i = 0;
    while (i < a->n && strcmp(a->v[i].key, key) < 0)
        i++;
    dray_autofree char *v = strdup(value);
    if (i < a->n && strcmp(a->v[i].key, key) == 0 && v) {
        free((void *)(uintptr_t)a->v[i].value);
        a->v[i].value = dray_steal(v);
        return 0;
    }
    struct dray_kv *grown = realloc(a->v, (a->n + 1) * sizeof *grown);
    dray_autofree char *k = strdup(key);
    if (grown)
        a->v = grown;
    if (!grown || !k || !v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    memmove(&a->v[i + 1], &a->v[i], (a->n - i) * sizeof *a->v);
    a->v[i] = (struct dray_kv){dray_steal(k), dray_steal(v)};
    a->n++;
    return 0;
}

/* The values that a comma-separated list of keys names. */
static int add_named(struct dray_log_attrs *a, const char *keys, struct dray_kvs from,
                     struct dray_err *err)
{
    dray_autofree char *copy = strdup(keys);
    if (!copy)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = 0;
    for (char *rest = copy, *key; !rc && (key = strsep(&rest, ","));) {
        const char *value = dray_kvs_get(from, key, NULL);
        rc = *key && value ? dray_log_attrs_add(a, key, value, err) : 0;
    }
    return rc;
}

static int add_matching(struct dray_log_attrs *a, const char *pattern, struct dray_kvs from,
                        struct dray_err *err)
{
    DRAY_AUTO(dray_regex) re = {0};
    int rc = *pattern ? dray_regex_compile(&re, pattern, err) : 0;
    for (uint64_t i = 0; i < from.n && !rc; i++)
        if (dray_regex_match(&re, from.v[i].key))
            rc = dray_log_attrs_add(a, from.v[i].key, from.v[i].value, err);
    return rc;
}

int dray_log_attrs_read(const struct dray_log_info *info, struct dray_log_attrs *out,
                        struct dray_err *err)
{
    *out = (struct dray_log_attrs){0};
    struct dray_kvs o = info->options;
    int rc = add_named(out, dray_kvs_get(o, "labels", ""), info->labels, err);
    if (!rc)
        rc = add_matching(out, dray_kvs_get(o, "labels-regex", ""), info->labels, err);
    if (!rc)
        rc = add_named(out, dray_kvs_get(o, "env", ""), info->env, err);
    if (!rc)
        rc = add_matching(out, dray_kvs_get(o, "env-regex", ""), info->env, err);
    if (rc)
        dray_log_attrs_free(out);
    return rc;
}

void dray_log_attrs_free(struct dray_log_attrs *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free((void *)(uintptr_t)a->v[i].key);
        free((void *)(uintptr_t)a->v[i].value);
    }
    free(a->v);
    *a = (struct dray_log_attrs){0};
}
