/* SPDX-License-Identifier: Apache-2.0 */
/* pb.c - the wire format of protobuf messages (protobuf.dev, "Encoding"). */
#include "kit/pb.h"

#include "base/strlist.h"

#include <dray/util.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* ---- Writing ---- */

static void varint(struct dray_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        dray_buf_addc(b, (char)(v | 0x80));
    dray_buf_addc(b, (char)v);
}

static void tag(struct dray_buf *b, unsigned field, unsigned type)
{
    varint(b, (uint64_t)field << 3 | type);
}

void pb_uint(struct dray_buf *b, unsigned field, uint64_t value)
{
    if (value == 0)
        return;
    tag(b, field, VARINT);
    varint(b, value);
}

void pb_bool(struct dray_buf *b, unsigned field, bool value)
{
    pb_uint(b, field, value);
}

void pb_bytes(struct dray_buf *b, unsigned field, const void *data, size_t len)
{
    if (len == 0)
        return;
    tag(b, field, BYTES);
    varint(b, len);
    dray_buf_add(b, data, len);
}

void pb_text(struct dray_buf *b, unsigned field, const char *text)
{
    if (text)
        pb_bytes(b, field, text, strlen(text));
}

void pb_message(struct dray_buf *b, unsigned field, const struct dray_buf *inner)
{
    tag(b, field, BYTES);
    varint(b, inner->len);
    dray_buf_add(b, inner->data ? inner->data : "", inner->len);
    b->failed = b->failed || inner->failed;
}

void pb_time(struct dray_buf *b, unsigned field, int64_t ns)
{
    DRAY_AUTO(dray_buf) t = {0};
    if (ns <= 0)
        return;
    pb_uint(&t, 1, (uint64_t)(ns / 1000000000));
    pb_uint(&t, 2, (uint64_t)(ns % 1000000000));
    pb_message(b, field, &t);
}

void pb_entry(struct dray_buf *b, unsigned field, const char *key, const char *value)
{
    DRAY_AUTO(dray_buf) e = {0};
    pb_text(&e, 1, key);
    pb_text(&e, 2, value);
    pb_message(b, field, &e);
}

/* ---- Reading ---- */

struct pb pb_open(const void *data, size_t len)
{
    const char *at = len ? data : "";
    return (struct pb){.at = at, .end = at + len};
}

static bool read_varint(struct pb *m, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && m->at < m->end; shift += 7) {
        unsigned char c = (unsigned char)*m->at++;
        *out |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            return true;
    }
    return false;
}

/* What a number of n bytes says, least first. */
static bool read_fixed(struct pb *m, unsigned n, uint64_t *out)
{
    *out = 0;
    if ((size_t)(m->end - m->at) < n)
        return false;
    for (unsigned i = 0; i < n; i++)
        *out |= (uint64_t)(unsigned char)m->at[i] << (8 * i);
    m->at += n;
    return true;
}

static bool read_bytes(struct pb *m, struct pb_field *f)
{
    uint64_t len = 0;
    if (!read_varint(m, &len) || len > (uint64_t)(m->end - m->at))
        return false;
    f->data = m->at;
    f->len = (size_t)len;
    m->at += len;
    return true;
}

bool pb_next(struct pb *m, struct pb_field *out)
{
    uint64_t key = 0;
    bool ok = false;
    *out = (struct pb_field){0};
    if (m->bad || m->at == m->end)
        return false;
    if (read_varint(m, &key) && key >> 3 > 0 && key >> 3 < 1u << 29) {
        out->number = (unsigned)(key >> 3);
        switch (key & 7) {
        case VARINT:
            ok = read_varint(m, &out->value);
            break;
        case FIXED64:
            ok = read_fixed(m, 8, &out->value);
            break;
        case FIXED32:
            ok = read_fixed(m, 4, &out->value);
            break;
        case BYTES:
            ok = read_bytes(m, out);
            break;
        default:
            break;
        }
    }
    m->bad = !ok;
    return ok;
}

char *pb_dup(const struct pb_field *f)
{
    if (!f->data || memchr(f->data, '\0', f->len))
        return f->data ? NULL : strdup("");
    return strndup(f->data, f->len);
}

bool pb_read_entry(const struct pb_field *f, struct dray_kvlist *out)
{
    dray_autofree char *key = NULL, *value = NULL;
    struct pb m = pb_open(f->data, f->len);
    struct pb_field e;
    bool ok = f->data != NULL;
    while (ok && pb_next(&m, &e)) {
        char **into = e.number == 1 ? &key : e.number == 2 ? &value : NULL;
        if (!into)
            continue;
        free(*into);
        *into = pb_dup(&e);
        ok = *into != NULL;
    }
    return ok && !m.bad && dray_kvlist_set(out, key ? key : "", value ? value : "");
}
