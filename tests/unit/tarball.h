/* SPDX-License-Identifier: Apache-2.0 */
/* tarball.h - writes tar streams byte by byte, also ones that no honest program would. */
#ifndef DRAY_TESTS_TARBALL_H
#define DRAY_TESTS_TARBALL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tarball {
    uint8_t *data;
    size_t len, cap;
};

/* One member. Zero fields have the usual values. */
struct member {
    char type;
    const char *name, *link, *data;
    unsigned mode;         /* 0: 0644 or 0755 */
    unsigned uid, gid;     /* */
    unsigned major, minor; /* */
    long long mtime;       /* 0: 1000000000 */
    const char *pax;       /* "key=value\n..." before it */
    const char *raw_size;  /* 12 bytes in place of the size field */
    size_t size;           /* when data is NULL: that many bytes of 'x' */
};

static inline void tar_bytes(struct tarball *t, const void *data, size_t len)
{
    if (t->len + len > t->cap) {
        t->cap = (t->cap + len) * 2 + 4096;
        t->data = realloc(t->data, t->cap);
        if (!t->data)
            abort();
    }
    if (data)
        memcpy(t->data + t->len, data, len);
    else
        memset(t->data + t->len, 'x', len);
    t->len += len;
}

static inline void tar_pad(struct tarball *t)
{
    static const char zeros[512];
    if (t->len % 512 != 0)
        tar_bytes(t, zeros, 512 - t->len % 512);
}

static inline void tar_end(struct tarball *t)
{
    static const char zeros[1024];
    tar_bytes(t, zeros, sizeof zeros);
}

static inline void tar_octal(char *field, size_t size, unsigned long long value)
{
    for (size_t i = size - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (value & 7));
}

static inline void tar_sum(char h[512])
{
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (uint8_t)h[i];
    (void)snprintf(h + 148, 8, "%06o", sum);
    h[155] = ' ';
}

static inline void tar_header(struct tarball *t, const struct member *m, size_t size)
{
    char h[512] = {0};
    memcpy(h, m->name, strnlen(m->name, 100));
    tar_octal(h + 100, 8, m->mode ? m->mode : m->type == '5' ? 0755 : 0644);
    tar_octal(h + 108, 8, m->uid);
    tar_octal(h + 116, 8, m->gid);
    tar_octal(h + 124, 12, size);
    if (m->raw_size)
        memcpy(h + 124, m->raw_size, 12);
    tar_octal(h + 136, 12, (unsigned long long)(m->mtime ? m->mtime : 1000000000));
    h[156] = m->type;
    if (m->link)
        memcpy(h + 157, m->link, strnlen(m->link, 100));
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    tar_octal(h + 329, 8, m->major);
    tar_octal(h + 337, 8, m->minor);
    tar_sum(h);
    tar_bytes(t, h, sizeof h);
}

/* "key=value\n..." as a pax header: every line gets its length in front, 0x7f becomes 0. */
static inline void tar_pax(struct tarball *t, const char *lines)
{
    struct tarball body = {0};
    for (const char *at = lines; *at;) {
        size_t n = (size_t)(strchr(at, '\n') - at) + 1;
        size_t total = n + 2;
        char digits[16];
        for (size_t need;
             (need = n + 1 + (size_t)snprintf(digits, sizeof digits, "%zu", total)) != total;)
            total = need;
        (void)snprintf(digits, sizeof digits, "%zu ", total);
        tar_bytes(&body, digits, strlen(digits));
        tar_bytes(&body, at, n);
        at += n;
    }
    for (size_t i = 0; i < body.len; i++)
        if (body.data[i] == 0x7f)
            body.data[i] = 0;
    const struct member head = {.type = 'x', .name = "pax"};
    tar_header(t, &head, body.len);
    tar_bytes(t, body.data, body.len);
    tar_pad(t);
    free(body.data);
}

/* A name or link of GNU's long form: type 'L' or 'K'. */
static inline void tar_gnu_long(struct tarball *t, char type, const char *text)
{
    const struct member head = {.type = type, .name = "././@LongLink"};
    tar_header(t, &head, strlen(text) + 1);
    tar_bytes(t, text, strlen(text) + 1);
    tar_pad(t);
}

static inline void tar_member(struct tarball *t, const struct member *m)
{
    size_t size = m->data ? strlen(m->data) : m->size;
    if (m->pax)
        tar_pax(t, m->pax);
    if (strlen(m->name) > 100)
        tar_gnu_long(t, 'L', m->name);
    if (m->link && strlen(m->link) > 100)
        tar_gnu_long(t, 'K', m->link);
    tar_header(t, m, size);
    tar_bytes(t, m->data, size);
    tar_pad(t);
}

#endif
