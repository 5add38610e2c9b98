/* SPDX-License-Identifier: Apache-2.0 */
/* format.c - records of the "local" driver. */
#include "format.h"

#define SCAN ((size_t)1 << 20)

_Static_assert(sizeof(struct local_head) == 24, "no padding that would be written out");

static uint16_t check_of(const struct local_head *h)
{
    uint64_t x = h->len * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)h->time_ns ^
                 (uint64_t)h->attrs_len << 24 ^ (uint64_t)h->stream << 8 ^ h->flags ^
                 (uint64_t)h->text_len << 40;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint16_t)(x >> 48);
}

static bool valid(const struct local_head *h)
{
    return h->magic == LOCAL_MAGIC && h->len == LOCAL_ROOM + h->attrs_len + (uint64_t)h->text_len &&
           h->check == check_of(h);
}

char *local_write(char *out, const struct dray_log_record *r, const char *attrs, uint16_t attrs_len)
{
    struct local_head h = {
        .len = (uint32_t)(LOCAL_ROOM + attrs_len + r->len),
        .magic = LOCAL_MAGIC,
        .attrs_len = attrs_len,
        .time_ns = r->time_ns,
        .stream = r->stream,
        .flags = r->flags,
        .text_len = r->len,
    };
    h.check = check_of(&h);
    memcpy(out, &h, sizeof h);
    out += sizeof h;
    memcpy(out, attrs, attrs_len);
    out += attrs_len;
    memcpy(out, r->data, r->len);
    out += r->len;
    memcpy(out, &h.len, sizeof h.len);
    return out + sizeof h.len;
}

static bool head_at(const char *data, size_t len, struct local_head *h)
{
    if (len < sizeof *h)
        return false;
    memcpy(h, data, sizeof *h);
    return valid(h);
}

/* Bytes up to the next head, or to where one might begin. */
static size_t skip_damage(const char *data, size_t len)
{
    struct local_head h;
    size_t at = 1;
    while (at + sizeof h <= len && !head_at(data + at, len - at, &h))
        at++;
    return at;
}

static size_t next(void *state, const char *data, size_t len, struct dray_log_item *it)
{
    (void)state;
    *it = (struct dray_log_item){.attrs = ""};
    struct local_head h;
    if (len < sizeof h)
        return 0;
    if (!head_at(data, len, &h))
        return skip_damage(data, len);
    if (h.len > len)
        return 0;
    it->time_ns = h.time_ns;
    it->stream = h.stream;
    it->flags = h.flags;
    it->attrs = data + sizeof h;
    it->attrs_len = h.attrs_len;
    it->text = it->attrs + h.attrs_len;
    it->len = h.text_len;
    it->valid = true;
    return h.len;
}

static size_t prev(const char *data, size_t len, bool whole)
{
    uint32_t size = 0;
    struct local_head h;
    if (len >= LOCAL_ROOM) {
        memcpy(&size, data + len - sizeof size, sizeof size);
        if (size >= LOCAL_ROOM && size <= len && head_at(data + len - size, size, &h) &&
            h.len == size)
            return size;
    }
    /* A torn record, or damage behind a whole one: look for a head. */
    for (size_t at = len; at-- > 0;)
        if (head_at(data + at, len - at, &h))
            return h.len < len - at ? len - at - h.len : len - at;
    return whole ? len : 0;
}

/* Where whole records end. */
static int64_t whole_end(int fd, int64_t size, struct dray_err *err)
{
    dray_autofree char *buf = malloc(SCAN);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int64_t at = 0;
    while (at < size) {
        ssize_t n = pread(fd, buf, SCAN, at);
        if (n <= 0)
            return n < 0 ? dray_fail_errno(err, "read log") : at;
        size_t used = 0;
        struct dray_log_item it;
        for (size_t k; used < (size_t)n &&
                       (k = next(NULL, buf + used, (size_t)n - used, &it)) > 0 && it.valid;)
            used += k;
        if (used == 0)
            return at;
        at += (int64_t)used;
    }
    return at;
}

int local_mend(struct dray_log_writer *w, struct dray_err *err)
{
    uint32_t size = 0;
    struct local_head h;
    if (w->size == 0)
        return 0;
    if (w->size >= (int64_t)LOCAL_ROOM &&
        pread(w->fd, &size, sizeof size, w->size - (int64_t)sizeof size) == sizeof size &&
        size >= LOCAL_ROOM && size <= w->size &&
        pread(w->fd, &h, sizeof h, w->size - size) == sizeof h && valid(&h) && h.len == size)
        return 0;
    int64_t end = whole_end(w->fd, w->size, err);
    if (end < 0)
        return (int)end;
    if (ftruncate(w->fd, end) != 0)
        return dray_fail_errno(err, "mend log %s", w->name);
    w->size = end;
    return 0;
}

const struct dray_log_format local_format = {.next = next, .prev = prev};
