/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - small texts: growing buffers, quoting, the nearest of several words. */
#include "lang_priv.h"

void dray_df_buf_add(struct dray_df_buf *b, const char *text, size_t n)
{
    if (b->failed || n > DRAY_DF_MAX_WORD - b->len) {
        b->failed = true;
        return;
    }
    if (b->len + n + 1 > b->cap) {
        size_t cap = 2 * (b->len + n) + 64;
        char *more = realloc(b->data, cap);
        if (!more) {
            b->failed = true;
            return;
        }
        b->data = more;
        b->cap = cap;
    }
    if (n)
        memcpy(b->data + b->len, text, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void dray_df_buf_adds(struct dray_df_buf *b, const char *text)
{
    dray_df_buf_add(b, text, strlen(text));
}

void dray_df_buf_cleanup(struct dray_df_buf *b)
{
    free(b->data);
    *b = (struct dray_df_buf){0};
}

bool dray_df_list_add(struct dray_df_arena *a, struct dray_df_list *l, const char *text)
{
    if (!text)
        return false;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        const char **more = dray_df_alloc(a, cap * sizeof *more);
        if (!more)
            return false;
        if (l->n)
            memcpy(more, l->v, l->n * sizeof *more);
        l->v = more;
        l->cap = cap;
    }
    l->v[l->n++] = text;
    return true;
}

int dray_df_bad(struct dray_df_ctx *c, const char *token, const char *fmt, ...)
{
    char text[sizeof c->err->text];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->token = token;
    return dray_fail(c->err, DRAY_E_INVAL, "%s", text);
}

int dray_df_nomem(struct dray_df_ctx *c)
{
    return dray_fail(c->err, DRAY_E_NOMEM, "no memory for the Dockerfile");
}

char *dray_df_printf(struct dray_df_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = n < 0 ? NULL : dray_df_alloc(a, (size_t)n + 1);
    if (!text)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return text;
}

static void quote_char(struct dray_df_buf *b, char c)
{
    static const char plain[] = "abfnrtv\"\\", meaning[] = "\a\b\f\n\r\t\v\"\\";
    char text[8];
    const char *at = c ? strchr(meaning, c) : NULL;
    if (at)
        (void)snprintf(text, sizeof text, "\\%c", plain[at - meaning]);
    else if ((unsigned char)c < 0x20 || c == 0x7f)
        (void)snprintf(text, sizeof text, "\\x%02x", (unsigned char)c);
    else
        (void)snprintf(text, sizeof text, "%c", c);
    dray_df_buf_adds(b, text);
}

const char *dray_df_quote(struct dray_df_arena *a, const char *text)
{
    DRAY_AUTO(dray_df_buf) b = {0};
    dray_df_buf_adds(&b, "\"");
    for (; *text; text++)
        quote_char(&b, *text);
    dray_df_buf_adds(&b, "\"");
    const char *copy = b.failed ? NULL : dray_df_strndup(a, b.data, b.len);
    return copy ? copy : "";
}

char *dray_df_lower(struct dray_df_arena *a, const char *text)
{
    char *copy = dray_df_strndup(a, text, strlen(text));
    for (char *p = copy; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return copy;
}

char *dray_df_upper(struct dray_df_arena *a, const char *text)
{
    char *copy = dray_df_strndup(a, text, strlen(text));
    for (char *p = copy; p && *p; p++)
        if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
    return copy;
}

char *dray_df_trim(struct dray_df_arena *a, const char *text, size_t n)
{
    while (n && dray_df_space(text[0]))
        text++, n--;
    while (n && dray_df_space(text[n - 1]))
        n--;
    return dray_df_strndup(a, text, n);
}

static int fold(char c, bool any_case)
{
    return any_case && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

#define NEAR_MAX 32

/* Edits between two short words (Levenshtein). */
static unsigned distance(const char *x, const char *y, bool any_case)
{
    unsigned row[NEAR_MAX + 1];
    size_t nx = strlen(x), ny = strlen(y);
    if (nx > NEAR_MAX || ny > NEAR_MAX)
        return NEAR_MAX;
    for (unsigned j = 0; j <= ny; j++)
        row[j] = j;
    for (unsigned i = 1; i <= nx; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= ny; j++) {
            unsigned change = corner + (fold(x[i - 1], any_case) != fold(y[j - 1], any_case));
            corner = row[j];
            unsigned best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[ny];
}

bool dray_df_nearer(const char *word, const char *name, bool any_case, unsigned *best)
{
    unsigned d = *best ? distance(word, name, any_case) : 0;
    if (d >= *best)
        return false;
    *best = d;
    return true;
}

const char *dray_df_nearest(const char *word, const char *const *names, bool any_case)
{
    unsigned best = 3;
    const char *found = NULL;
    for (; *names; names++)
        if (dray_df_nearer(word, *names, any_case, &best))
            found = *names;
    return best ? found : NULL;
}

const char *dray_df_suggest(struct dray_df_arena *a, const char *word, const char *const *names,
                            bool any_case)
{
    const char *found = dray_df_nearest(word, names, any_case);
    if (!found)
        return "";
    bool upper = false, lower = false;
    for (const char *p = word; *p; p++) {
        upper = upper || (*p >= 'A' && *p <= 'Z');
        lower = lower || (*p >= 'a' && *p <= 'z');
    }
    if (any_case)
        found = upper && !lower ? dray_df_upper(a, found) : dray_df_lower(a, found);
    const char *text = found ? dray_df_printf(a, " (did you mean %s?)", found) : NULL;
    return text ? text : "";
}
