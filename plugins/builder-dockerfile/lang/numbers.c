/* SPDX-License-Identifier: Apache-2.0 */
/* numbers.c - durations and the options of "# check=". */
#include "lang_priv.h"

static int bad_duration(struct dray_df_ctx *c, const char *text, const char *why)
{
    return dray_df_bad(c, text, "time: %s %s", why, dray_df_quote(c->a, text));
}

static const char *unit_of(const char *p, double *ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1},   {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3},
                 {"ms", 1e6}, {"s", 1e9},  {"m", 6e10},        {"h", 3.6e12}};
    size_t n = strcspn(p, "0123456789.");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == n && memcmp(units[i].name, p, n) == 0) {
            *ns = units[i].ns;
            return p + n;
        }
    return NULL;
}

int dray_df_duration(struct dray_df_ctx *c, const char *text, int64_t *out)
{
    const char *p = text;
    double total = 0;
    bool minus = *p == '-';
    p += *p == '-' || *p == '+';
    *out = 0;
    if (strcmp(p, "0") == 0 && *text)
        return 0;
    if (!*p)
        return bad_duration(c, text, "invalid duration");
    while (*p) {
        char *end = NULL;
        double ns = 0;
        if (!strchr("0123456789.", *p) || (*p == '.' && !(p[1] >= '0' && p[1] <= '9')))
            return bad_duration(c, text, "invalid duration");
        size_t digits = strspn(p, "0123456789.");
        char *number = dray_df_strndup(c->a, p, digits);
        if (!number)
            return dray_df_nomem(c);
        double n = strtod(number, &end);
        if (*end)
            return bad_duration(c, text, "invalid duration");
        p += digits;
        if (!*p)
            return bad_duration(c, text, "missing unit in duration");
        p = unit_of(p, &ns);
        if (!p)
            return bad_duration(c, text, "unknown unit in duration");
        total += n * ns;
    }
    if (!(total < 9.2e18))
        return bad_duration(c, text, "invalid duration");
    *out = minus ? -(int64_t)total : (int64_t)total;
    return 0;
}

static int read_list(struct dray_df_ctx *c, const char *text, struct dray_strs *out)
{
    struct dray_df_list l = {0};
    for (const char *p = text;;) {
        size_t n = strcspn(p, ",");
        if (!dray_df_list_add(c->a, &l, dray_df_trim(c->a, p, n)))
            return dray_df_nomem(c);
        if (!p[n])
            break;
        p += n + 1;
    }
    *out = dray_df_list_view(&l);
    return 0;
}

static int set_option(struct dray_df_ctx *c, const char *part, const char *key, const char *value,
                      struct dray_df_check *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", NULL};
    if (strcmp(key, "skip") == 0) {
        out->skip_all = strcmp(value, "all") == 0;
        return out->skip_all ? 0 : read_list(c, value, &out->skip);
    }
    if (strcmp(key, "experimental") == 0) {
        out->experimental_all = strcmp(value, "all") == 0;
        return out->experimental_all ? 0 : read_list(c, value, &out->experimental);
    }
    if (strcmp(key, "error") != 0)
        return dray_df_bad(c, key, "invalid check option %s", dray_df_quote(c->a, key));
    for (size_t i = 0; yes[i]; i++) {
        out->error = strcmp(value, yes[i]) == 0;
        if (out->error || strcmp(value, no[i]) == 0)
            return 0;
    }
    return dray_df_bad(c, part,
                       "failed to parse check option %s: strconv.ParseBool: parsing %s: "
                       "invalid syntax",
                       dray_df_quote(c->a, part), dray_df_quote(c->a, value));
}

int dray_df_check_parse(struct dray_df_ctx *c, const char *text, struct dray_df_check *out)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ";");
        char *part = dray_df_strndup(c->a, p, n), *eq = part ? strchr(part, '=') : NULL;
        if (!part)
            return dray_df_nomem(c);
        if (!eq)
            return dray_df_bad(c, part, "invalid check option %s", dray_df_quote(c->a, part));
        char *key = dray_df_trim(c->a, part, (size_t)(eq - part));
        char *value = dray_df_trim(c->a, eq + 1, strlen(eq + 1));
        int rc = key && value ? set_option(c, part, key, value, out) : dray_df_nomem(c);
        if (rc != 0)
            return rc;
        p += n + (p[n] == ';');
    }
    return 0;
}
