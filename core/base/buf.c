/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - a growing byte string. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>

#define MIN_CAP 64u

char *dray_buf_room(struct dray_buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    if (n >= SIZE_MAX / 2 - b->len) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : MIN_CAP;
        while (cap < need)
            cap *= 2;
        char *grown = realloc(b->data, cap);
        if (!grown) {
            b->failed = true;
            return NULL;
        }
        b->data = grown;
        b->cap = cap;
        b->data[b->len] = '\0';
    }
    return b->data + b->len;
}

void dray_buf_add(struct dray_buf *b, const void *data, size_t n)
{
    char *at = dray_buf_room(b, n);
    if (!at)
        return;
    if (n)
        memcpy(at, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void dray_buf_adds(struct dray_buf *b, const char *text)
{
    dray_buf_add(b, text, strlen(text));
}

void dray_buf_addc(struct dray_buf *b, char c)
{
    dray_buf_add(b, &c, 1);
}

__attribute__((format(printf, 2, 0))) static void add_v(struct dray_buf *b, const char *fmt,
                                                        va_list ap)
{
    va_list again;
    va_copy(again, ap);
    char *at = dray_buf_room(b, 0);
    size_t space = at ? b->cap - b->len : 0;
    int n = vsnprintf(at, space, fmt, ap);
    if (at && n < 0)
        b->failed = true;
    if (at && n >= 0 && (size_t)n >= space) {
        at = dray_buf_room(b, (size_t)n);
        if (at)
            (void)vsnprintf(at, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (!b->failed)
        b->len += (size_t)n;
    else if (b->data)
        b->data[b->len] = '\0';
}

void dray_buf_addf(struct dray_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_v(b, fmt, ap);
    va_end(ap);
}

void dray_buf_reset(struct dray_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

void dray_buf_free(struct dray_buf *b)
{
    free(b->data);
    *b = (struct dray_buf){0};
}

char *dray_buf_steal(struct dray_buf *b)
{
    char *text = NULL;
    if (dray_buf_room(b, 0))
        text = dray_steal(b->data);
    dray_buf_free(b);
    return text;
}

char *dray_strf(const char *fmt, ...)
{
    struct dray_buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    add_v(&b, fmt, ap);
    va_end(ap);
    return dray_buf_steal(&b);
}

bool dray_str_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool dray_str_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text);
    size_t m = strlen(suffix);
    return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

bool dray_str_bool(const char *text, bool *out)
{
    static const char *const words[][6] = {{"0", "f", "F", "false", "False", "FALSE"},
                                           {"1", "t", "T", "true", "True", "TRUE"}};
    for (size_t i = 0; i < 12; i++) {
        if (strcmp(words[i / 6][i % 6], text) == 0) {
            *out = i >= 6;
            return true;
        }
    }
    return false;
}

char *dray_str_masked(const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme ? scheme + 3 : url;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    return at ? dray_strf("%.*sxxxxx:xxxxx%s", (int)(host - url), url, at) : strdup(url);
}
