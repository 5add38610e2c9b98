/* SPDX-License-Identifier: Apache-2.0 */
/* log_options.c - the --log-opt keys that drivers with files understand. */
#include "log_options.h"

#include <regex.h>

static const char *const KEYS[] = {
    "max-size", "max-file",  "compress", "labels", "labels-regex",
    "env",      "env-regex", "tag",      "mode",   "max-buffer-size"};

bool dray_log_size_parse(const char *text, int64_t *out)
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
        v *= (double)(INT64_C(1) << (10 * (unit - units)));
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

static bool known(const char *key)
{
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++)
        if (strcmp(KEYS[i], key) == 0)
            return true;
    return false;
}

static bool parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static int check_regex(const char *key, const char *value, struct dray_err *err)
{
    regex_t re;
    if (regcomp(&re, value, REG_EXTENDED | REG_NOSUB) != 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid value \"%s\" for %s", value, key);
    regfree(&re);
    return 0;
}

static int read_one(const char *key, const char *value, struct dray_log_keep *keep,
                    struct dray_err *err)
{
    int64_t n = 0;
    if (strcmp(key, "max-size") == 0) {
        if (!dray_log_size_parse(value, &n) || n == 0)
            return dray_fail(err, DRAY_E_INVAL, "invalid size: '%s'", value);
        keep->max_size = n;
    } else if (strcmp(key, "max-file") == 0) {
        char *end = NULL;
        keep->max_files = strtoll(value, &end, 10);
        if (end == value || *end || keep->max_files < 1)
            return dray_fail(err, DRAY_E_INVAL, "max-file cannot be less than 1");
    } else if (strcmp(key, "compress") == 0) {
        if (!parse_bool(value, &keep->compress))
            return dray_fail(err, DRAY_E_INVAL, "invalid value \"%s\" for compress", value);
    } else if (strcmp(key, "mode") == 0) {
        if (*value && strcmp(value, "blocking") != 0 && strcmp(value, "non-blocking") != 0)
            return dray_fail(err, DRAY_E_INVAL, "logger: logging mode not supported: %s", value);
    } else if (strcmp(key, "max-buffer-size") == 0) {
        if (!dray_log_size_parse(value, &n) || n < 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "error parsing option max-buffer-size: invalid size: '%s'", value);
    } else if (strstr(key, "-regex")) {
        return check_regex(key, value, err);
    }
    return 0;
}

int dray_log_options_read(const char *driver, struct dray_kvs options, struct dray_log_keep *keep,
                          struct dray_err *err)
{
    bool packs = false;
    for (uint64_t i = 0; i < options.n; i++) {
        const char *key = options.v[i].key;
        if (!known(key))
            return dray_fail(err, DRAY_E_INVAL, "unknown log opt '%s' for %s log driver", key,
                             driver);
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
    return 0;
}

/* Attributes. */

static int add(struct dray_log_attrs *a, const char *key, const char *value, struct dray_err *err)
{
    size_t i = 0;
    while (i < a->n && strcmp(a->v[i].key, key) < 0)
        i++;
    if (i < a->n && strcmp(a->v[i].key, key) == 0)
        return 0;
    struct dray_kv *grown = realloc(a->v, (a->n + 1) * sizeof *grown);
    char *k = strdup(key), *v = strdup(value);
    if (grown)
        a->v = grown;
    if (!grown || !k || !v) {
        free(k);
        free(v);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    memmove(&a->v[i + 1], &a->v[i], (a->n - i) * sizeof *a->v);
    a->v[i] = (struct dray_kv){k, v};
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
        rc = *key && value ? add(a, key, value, err) : 0;
    }
    return rc;
}

static int add_matching(struct dray_log_attrs *a, const char *pattern, struct dray_kvs from,
                        struct dray_err *err)
{
    regex_t re;
    if (!*pattern)
        return 0;
    if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid pattern \"%s\"", pattern);
    int rc = 0;
    for (uint64_t i = 0; i < from.n && !rc; i++)
        if (regexec(&re, from.v[i].key, 0, NULL, 0) == 0)
            rc = add(a, from.v[i].key, from.v[i].value, err);
    regfree(&re);
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
    const char *template = dray_kvs_get(o, "tag", "");
    if (!rc && *template) {
        dray_autofree char *tag = dray_log_tag(template, info, err);
        rc = tag ? add(out, "tag", tag, err) : DRAY_E_INVAL;
    }
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

/* Tags. */

static const char *image_hex(const char *id)
{
    return strncmp(id, "sha256:", 7) == 0 ? id + 7 : id;
}

/* The text of a field, at most *max bytes of it; NULL for an unknown one. */
static const char *field(const char *name, size_t len, const struct dray_log_info *i, size_t *max)
{
    const struct {
        const char *name, *value;
        size_t max;
    } fields[] = {
        {"ID", i->container_id, 12},
        {"FullID", i->container_id, SIZE_MAX},
        {"Name", i->container_name, SIZE_MAX},
        {"ImageID", image_hex(i->image_id), 12},
        {"ImageFullID", i->image_id, SIZE_MAX},
        {"ImageName", i->image_name, SIZE_MAX},
        {"Command", i->command, SIZE_MAX},
        {"DaemonName", i->daemon_name, SIZE_MAX},
    };
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
        if (strlen(fields[k].name) == len && memcmp(fields[k].name, name, len) == 0) {
            *max = fields[k].max;
            return fields[k].value ? fields[k].value : "";
        }
    }
    return NULL;
}

/* "{{.Name}}" at p: writes its value, returns its end; NULL if it is no field we know. */
static const char *expand(const char *p, const struct dray_log_info *info, FILE *out)
{
    const char *end = strstr(p, "}}");
    if (!end)
        return NULL;
    const char *name = p + 2;
    while (name < end && (*name == ' ' || *name == '-'))
        name++;
    const char *stop = end;
    while (stop > name && (stop[-1] == ' ' || stop[-1] == '-'))
        stop--;
    size_t max = 0;
    const char *value =
        name < stop && *name == '.' ? field(name + 1, (size_t)(stop - name - 1), info, &max) : NULL;
    if (!value)
        return NULL;
    size_t len = strlen(value);
    (void)fwrite(value, 1, len < max ? len : max, out);
    return end + 2;
}

char *dray_log_tag(const char *template, const struct dray_log_info *info, struct dray_err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        dray_fail(err, DRAY_E_NOMEM, "out of memory");
        return NULL;
    }
    const char *p = template;
    while (p && *p) {
        if (p[0] == '{' && p[1] == '{')
            p = expand(p, info, out);
        else
            (void)fputc(*p++, out);
    }
    (void)fclose(out);
    if (!p) {
        free(text);
        dray_fail(err, DRAY_E_INVAL, "log tag: \"%s\" has a field that is not known", template);
        return NULL;
    }
    return text;
}
