/* SPDX-License-Identifier: Apache-2.0 */
/* strlist.h - owned lists of strings and of key/value pairs. */
#ifndef DRAY_BASE_STRLIST_H
#define DRAY_BASE_STRLIST_H

#include <dray/abi.h>

#include <stdbool.h>
#include <stddef.h>

/** Zero-initialised is empty; v has a NULL after the last string once something was added. */
struct dray_strlist {
    char **v;
    size_t n;
    size_t cap;
};

/** Append a copy; false without memory. */
bool dray_strlist_add(struct dray_strlist *l, const char *text);
bool dray_strlist_addf(struct dray_strlist *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/** Append text itself. */
bool dray_strlist_take(struct dray_strlist *l, char *text /* takes */);
bool dray_strlist_has(const struct dray_strlist *l, const char *text);
void dray_strlist_sort(struct dray_strlist *l);
/** Split text at sep into copies, empty pieces included. */
bool dray_strlist_split(struct dray_strlist *l, const char *text, char sep);
void dray_strlist_free(struct dray_strlist *l);
/** View for a plugin call; valid until the list changes. */
struct dray_strs dray_strlist_view(const struct dray_strlist *l);

static inline void dray_strlist_cleanup(struct dray_strlist *l)
{
    dray_strlist_free(l);
}

/** Zero-initialised is empty. */
struct dray_kvlist {
    struct dray_kv *v; /* keys and values are owned */
    size_t n;
    size_t cap;
};

bool dray_kvlist_add(struct dray_kvlist *l, const char *key, const char *value);
/** Add, or replace the value of an existing key. */
bool dray_kvlist_set(struct dray_kvlist *l, const char *key, const char *value);
const char *dray_kvlist_get(const struct dray_kvlist *l, const char *key, const char *def);
void dray_kvlist_free(struct dray_kvlist *l);
struct dray_kvs dray_kvlist_view(const struct dray_kvlist *l);

static inline void dray_kvlist_cleanup(struct dray_kvlist *l)
{
    dray_kvlist_free(l);
}

#endif
