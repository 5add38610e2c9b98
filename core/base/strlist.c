/* SPDX-License-Identifier: Apache-2.0 */
/* strlist.c - owned lists of strings and of key/value pairs. */
#include "base/strlist.h"

#include "base/buf.h"

#include <stdarg.h>

bool dray_strlist_take(struct dray_strlist *l, char *text /* takes */)
{
    if (!text)
        return false;
    if (l->n + 2 > l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        char **grown = reallocarray(l->v, cap, sizeof *grown);
        if (!grown) {
            free(text);
            return false;
        }
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = text;
    l->v[l->n] = NULL;
    return true;
}

bool dray_strlist_add(struct dray_strlist *l, const char *text)
{
    return dray_strlist_take(l, strdup(text));
}

bool dray_strlist_addf(struct dray_strlist *l, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return n >= 0 && dray_strlist_take(l, text);
}

bool dray_strlist_has(const struct dray_strlist *l, const char *text)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], text) == 0)
            return true;
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void dray_strlist_sort(struct dray_strlist *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof *l->v, by_text);
}

bool dray_strlist_split(struct dray_strlist *l, const char *text, char sep)
{
    for (;;) {
        const char *end = strchrnul(text, sep);
        if (!dray_strlist_take(l, strndup(text, (size_t)(end - text))))
            return false;
        if (*end == '\0')
            return true;
        text = end + 1;
    }
}

void dray_strlist_free(struct dray_strlist *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct dray_strlist){0};
}

struct dray_strs dray_strlist_view(const struct dray_strlist *l)
{
    return (struct dray_strs){(const char *const *)l->v, l->n};
}

/* The pairs are owned here; their struct is the read-only one of the ABI. */
static void free_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

bool dray_kvlist_add(struct dray_kvlist *l, const char *key, const char *value)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        struct dray_kv *grown = reallocarray(l->v, cap, sizeof *grown);
        if (!grown)
            return false;
        l->v = grown;
        l->cap = cap;
    }
    struct dray_kv *kv = &l->v[l->n];
    kv->key = strdup(key);
    kv->value = strdup(value);
    if (!kv->key || !kv->value) {
        free_text(kv->key);
        free_text(kv->value);
        return false;
    }
    l->n++;
    return true;
}

bool dray_kvlist_set(struct dray_kvlist *l, const char *key, const char *value)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->v[i].key, key) != 0)
            continue;
        char *copy = strdup(value);
        if (!copy)
            return false;
        free_text(l->v[i].value);
        l->v[i].value = copy;
        return true;
    }
    return dray_kvlist_add(l, key, value);
}

const char *dray_kvlist_get(const struct dray_kvlist *l, const char *key, const char *def)
{
    return dray_kvs_get(dray_kvlist_view(l), key, def);
}

void dray_kvlist_free(struct dray_kvlist *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free_text(l->v[i].key);
        free_text(l->v[i].value);
    }
    free(l->v);
    *l = (struct dray_kvlist){0};
}

struct dray_kvs dray_kvlist_view(const struct dray_kvlist *l)
{
    return (struct dray_kvs){l->v, l->n};
}
