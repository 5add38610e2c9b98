/* SPDX-License-Identifier: Apache-2.0 */
/* uri.c - takes a request target apart: path segments and query, percent-decoded strictly. */
#include "api/uri.h"

#include <ctype.h>
#include <stdbool.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* RFC 3986 2.1; in a query '+' is a space (HTML form encoding, as every client sends it). */
static char *decode(const char *from, size_t n, bool query, struct dray_err *err)
{
    char *out = malloc(n + 1);
    if (!out) {
        dray_fail(err, DRAY_E_NOMEM, "out of memory");
        return NULL;
    }
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = from[i];
        if (c == '%') {
            int hi = i + 2 < n ? hex_digit(from[i + 1]) : -1;
            int lo = i + 2 < n ? hex_digit(from[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) {
                int shown = n - i < 3 ? (int)(n - i) : 3;
                dray_fail(err, DRAY_E_INVAL, "invalid URL escape \"%.*s\"", shown, from + i);
                free(out);
                return NULL;
            }
            c = (char)(hi * 16 + lo);
            i += 2;
        } else if (c == '+' && query) {
            c = ' ';
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return out;
}

static int parse_path(const char *path, size_t n, struct dray_uri *out, struct dray_err *err)
{
    if (n == 0 || path[0] != '/')
        return dray_fail(err, DRAY_E_INVAL, "malformed request target");
    size_t at = 1;
    while (at <= n) {
        const char *slash = at < n ? memchr(path + at, '/', n - at) : NULL;
        size_t end = slash ? (size_t)(slash - path) : n;
        char *text = decode(path + at, end - at, false, err);
        if (!text)
            return err ? err->code : DRAY_E_INVAL;
        if (!dray_strlist_take(&out->segments, text))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        at = end + 1;
    }
    return 0;
}

static int add_pair(const char *text, size_t n, struct dray_uri *out, struct dray_err *err)
{
    const char *eq = memchr(text, '=', n);
    size_t key_len = eq ? (size_t)(eq - text) : n;
    dray_autofree char *key = decode(text, key_len, true, err);
    if (!key)
        return err ? err->code : DRAY_E_INVAL;
    dray_autofree char *value = eq ? decode(eq + 1, n - key_len - 1, true, err) : strdup("");
    if (!value)
        return eq && err ? err->code : DRAY_E_NOMEM;
    if (!dray_kvlist_add(&out->query, key, value))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

static int parse_query(const char *query, struct dray_uri *out, struct dray_err *err)
{
    while (*query) {
        size_t n = strcspn(query, "&");
        int rc = n ? add_pair(query, n, out, err) : 0;
        if (rc)
            return rc;
        query += n + (query[n] == '&');
    }
    return 0;
}

int dray_uri_parse(const char *target, struct dray_uri *out, struct dray_err *err)
{
    *out = (struct dray_uri){0};
    struct dray_err local = {0};
    if (!err)
        err = &local;
    /* The absolute form of proxies: "http://host/path". */
    if (strncmp(target, "http://", 7) == 0)
        target += 7 + strcspn(target + 7, "/");
    size_t n = strcspn(target, "?");
    int rc = parse_path(target, n, out, err);
    if (!rc && target[n] == '?')
        rc = parse_query(target + n + 1, out, err);
    if (rc)
        dray_uri_free(out);
    return rc;
}

void dray_uri_free(struct dray_uri *u)
{
    dray_strlist_free(&u->segments);
    dray_kvlist_free(&u->query);
    *u = (struct dray_uri){0};
}

void dray_uri_escape(struct dray_buf *b, const char *segment)
{
    for (; *segment; segment++) {
        unsigned char c = (unsigned char)*segment;
        if (isalnum(c) || strchr("-._~!$&'()*+,;=:@", c))
            dray_buf_addc(b, (char)c);
        else
            dray_buf_addf(b, "%%%02X", c);
    }
}
