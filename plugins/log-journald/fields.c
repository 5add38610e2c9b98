/* SPDX-License-Identifier: Apache-2.0 */
/* fields.c - entries in the journal's native protocol. */
#include "fields.h"

#include <ctype.h>
#include <endian.h>

static char *room(struct fields *f, size_t more)
{
    if (f->failed)
        return NULL;
    if (f->len + more > f->cap) {
        size_t cap = (f->len + more) * 2;
        char *grown = realloc(f->data, cap);
        if (!grown) {
            f->failed = true;
            return NULL;
        }
        f->data = grown;
        f->cap = cap;
    }
    return f->data + f->len;
}

void fields_add(struct fields *f, const char *name, const void *value, size_t len)
{
    size_t n = strlen(name);
    char *p = room(f, n + len + 10);
    if (!p)
        return;
    char *start = p;
    memcpy(p, name, n);
    p += n;
    if (memchr(value, '\n', len)) {
        uint64_t size = htole64(len);
        *p++ = '\n';
        memcpy(p, &size, sizeof size);
        p += sizeof size;
    } else {
        *p++ = '=';
    }
    memcpy(p, value, len);
    p += len;
    *p++ = '\n';
    f->len += (size_t)(p - start);
}

void fields_add_text(struct fields *f, const char *name, const char *text)
{
    fields_add(f, name, text, strlen(text));
}

void fields_append(struct fields *f, const struct fields *more)
{
    char *p = more->len ? room(f, more->len) : NULL;
    if (!p)
        return;
    memcpy(p, more->data, more->len);
    f->len += more->len;
}

void fields_name(const char *key, char *out, size_t size)
{
    size_t n = 0;
    for (; *key && n + 1 < size; key++) {
        unsigned char c = (unsigned char)toupper((unsigned char)*key);
        bool fit = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (fit || n > 0)
            out[n++] = fit ? (char)c : '_';
    }
    out[n] = '\0';
}

void fields_free(struct fields *f)
{
    free(f->data);
    *f = (struct fields){.len = 0};
}
