/* SPDX-License-Identifier: Apache-2.0 */
/* tar_scan.c - finds the content of files in a tar that streams by. */
#include "engine/layer/tar_scan.h"

#include "base/buf.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 512u
#define META_MAX (1u << 20) /* longest pax header or long name that is read */

enum state {
    AT_HEADER,
    AT_RAW,  /* left bytes that are told as they are */
    AT_FILE, /* left bytes of a file's content, then pad */
    AT_TAIL, /* behind the end of the archive: raw to the end of the stream */
};

struct dray_tar_scan {
    const struct dray_tar_scan_ops *ops;
    void *ctx;
    enum state state;
    bool lost;
    uint8_t block[BLOCK];
    size_t have;
    uint64_t left, pad;

    /* What headers say of the entry that follows them. */
    char meta_type;       /* of the one that is read now, or 0 */
    uint64_t meta_left;   /* bytes of it without padding */
    struct dray_buf meta; /* its content */
    struct dray_buf path;
    bool has_path, has_size;
    uint64_t size;
};

int dray_tar_scan_new(const struct dray_tar_scan_ops *ops, void *ctx, struct dray_tar_scan **out,
                      struct dray_err *err)
{
    struct dray_tar_scan *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->ops = ops;
    s->ctx = ctx;
    *out = s;
    return 0;
}

void dray_tar_scan_free(struct dray_tar_scan *s)
{
    if (!s)
        return;
    dray_buf_free(&s->meta);
    dray_buf_free(&s->path);
    free(s);
}

/* --- one header -------------------------------------------------------------------------------*/

static bool all_zero(const uint8_t *b)
{
    return b[0] == 0 && memcmp(b, b + 1, BLOCK - 1) == 0;
}

/* A number: octal digits, or GNU's base-256. */
static bool number(const uint8_t *field, size_t len, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    if (field[0] & 0x80) {
        for (i = 1; i < len; i++) {
            if (v >> 55)
                return false;
            v = v << 8 | field[i];
        }
        *out = v;
        return field[0] == 0x80;
    }
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(field[i] - '0');
    *out = v;
    return i == len || field[i] == ' ' || field[i] == '\0';
}

static bool checksum_right(const uint8_t *b)
{
    uint64_t said = 0, sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : b[i];
    return number(b + 148, 8, &said) && said == sum;
}

static void add_field(struct dray_buf *to, const uint8_t *field, size_t len)
{
    dray_buf_add(to, field, strnlen((const char *)field, len));
}

static void header_path(struct dray_tar_scan *s)
{
    const uint8_t *b = s->block;
    dray_buf_reset(&s->path);
    if (memcmp(b + 257, "ustar\0", 6) == 0 && b[345]) {
        add_field(&s->path, b + 345, 155);
        dray_buf_addc(&s->path, '/');
    }
    add_field(&s->path, b, 100);
}

/* --- pax and GNU headers before an entry ------------------------------------------------------*/

static bool pax_record(struct dray_tar_scan *s, const char *key, size_t key_len, const char *value,
                       size_t len)
{
    if (key_len > 11 && memcmp(key, "GNU.sparse.", 11) == 0)
        return false;
    if (key_len == 15 && memcmp(key, "SCHILY.realsize", 15) == 0)
        return false;
    if (key_len == 4 && memcmp(key, "path", 4) == 0) {
        dray_buf_reset(&s->path);
        dray_buf_add(&s->path, value, len);
        s->has_path = true;
        return memchr(value, '\0', len) == NULL && s->meta_type == 'x';
    }
    if (key_len == 4 && memcmp(key, "size", 4) == 0) {
        uint64_t v = 0;
        for (size_t i = 0; i < len; i++) {
            if (value[i] < '0' || value[i] > '9' || v > UINT64_MAX / 100)
                return false;
            v = v * 10 + (uint64_t)(value[i] - '0');
        }
        s->size = v;
        s->has_size = true;
        return len > 0 && s->meta_type == 'x';
    }
    return true;
}

/* "<length> <key>=<value>\n", again and again. */
static bool read_pax(struct dray_tar_scan *s)
{
    const char *at = s->meta.data, *end = at + s->meta.len;
    while (at < end) {
        size_t len = 0;
        const char *p = at;
        for (; p < end && *p >= '0' && *p <= '9' && len < META_MAX; p++)
            len = len * 10 + (size_t)(*p - '0');
        if (p == at || p == end || *p != ' ' || len > (size_t)(end - at) || at + len < p + 3 ||
            at[len - 1] != '\n')
            return false;
        const char *key = p + 1, *last = at + len - 1;
        const char *eq = memchr(key, '=', (size_t)(last - key));
        if (!eq || !pax_record(s, key, (size_t)(eq - key), eq + 1, (size_t)(last - eq - 1)))
            return false;
        at += len;
    }
    return true;
}

static void end_meta(struct dray_tar_scan *s)
{
    char type = s->meta_type;
    if (s->meta.failed || s->path.failed)
        s->lost = true;
    else if (type == 'L' && !s->has_path && s->meta.len > 0) {
        dray_buf_reset(&s->path);
        add_field(&s->path, (const uint8_t *)s->meta.data, s->meta.len);
        s->has_path = true;
    } else if ((type == 'x' || type == 'g') && s->meta.len > 0 && !read_pax(s))
        s->lost = true;
    dray_buf_reset(&s->meta);
    s->meta_type = 0;
}

/* --- entries ----------------------------------------------------------------------------------*/

static uint64_t padding(uint64_t size)
{
    return (BLOCK - size % BLOCK) % BLOCK;
}

/* The path as it is in the layer; false for one that nothing can be found by. */
static bool plain_path(const char *path, struct dray_buf *out)
{
    const char *last = "";
    while (*path) {
        size_t n = strcspn(path, "/");
        bool dot = n == 1 && *path == '.';
        if (n == 2 && path[0] == '.' && path[1] == '.')
            return false;
        if (n > 0 && !dot) {
            if (out->len > 0)
                dray_buf_addc(out, '/');
            dray_buf_add(out, path, n);
            last = path;
        }
        path += n;
        if (*path && !path[1 + strspn(path + 1, "/")])
            return false; /* a folder's name */
        path += strspn(path, "/");
    }
    return out->len > 0 && out->len < PATH_MAX && !out->failed && strncmp(last, ".wh.", 4) != 0;
}

static int begin_file(struct dray_tar_scan *s, uint64_t size, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) path = {0};
    if (!s->has_path)
        header_path(s);
    bool told = !s->path.failed && s->path.data && plain_path(s->path.data, &path);
    s->pad = padding(size);
    s->left = size;
    s->state = AT_FILE;
    if (told)
        return s->ops->file(s->ctx, path.data, size, err);
    s->state = AT_RAW;
    s->left += s->pad;
    return 0;
}

static void begin_meta(struct dray_tar_scan *s, char type, uint64_t size)
{
    s->meta_type = type;
    s->meta_left = size;
    s->left = size + padding(size);
    s->state = AT_RAW;
    s->lost = s->lost || size > META_MAX;
}

static int on_header(struct dray_tar_scan *s, struct dray_err *err)
{
    const uint8_t *b = s->block;
    uint64_t size = 0;
    int rc = s->ops->raw(s->ctx, b, BLOCK, err);
    s->have = 0;
    if (rc || all_zero(b)) {
        s->state = AT_TAIL;
        return rc;
    }
    if (!checksum_right(b) || !number(b + 124, 12, &size)) {
        s->lost = true;
        return 0;
    }
    char type = (char)b[156];
    if (type && strchr("xgLK", type)) {
        if (size > 0)
            begin_meta(s, type, size);
        return 0;
    }
    if (s->has_size)
        size = s->size;
    if (size > INT64_MAX)
        s->lost = true;
    else if (size > 0 && (type == '0' || type == '\0' || type == '7'))
        rc = begin_file(s, size, err);
    else
        s->lost = s->lost || size > 0;
    s->has_path = s->has_size = false;
    return rc;
}

/* --- the stream -------------------------------------------------------------------------------*/

static int take_raw(struct dray_tar_scan *s, const uint8_t *data, size_t len, struct dray_err *err)
{
    if (s->meta_type && s->meta_left > 0) {
        size_t n = len < s->meta_left ? len : (size_t)s->meta_left;
        dray_buf_add(&s->meta, data, n);
        s->meta_left -= n;
    }
    s->left -= len;
    if (s->left == 0) {
        s->state = AT_HEADER;
        if (s->meta_type)
            end_meta(s);
    }
    return s->ops->raw(s->ctx, data, len, err);
}

static void take_file(struct dray_tar_scan *s, size_t len)
{
    s->left -= len;
    if (s->left > 0)
        return;
    s->left = s->pad;
    s->state = s->pad ? AT_RAW : AT_HEADER;
}

/* As much as the state takes at once; returns how much in *taken. */
static int step(struct dray_tar_scan *s, const uint8_t *data, size_t len, size_t *taken,
                struct dray_err *err)
{
    size_t n = len;
    *taken = len;
    switch (s->state) {
    case AT_HEADER:
        n = len < BLOCK - s->have ? len : BLOCK - s->have;
        memcpy(s->block + s->have, data, n);
        s->have += n;
        *taken = n;
        return s->have == BLOCK ? on_header(s, err) : 0;
    case AT_RAW:
        *taken = n = len < s->left ? len : (size_t)s->left;
        return take_raw(s, data, n, err);
    case AT_FILE:
        *taken = n = len < s->left ? len : (size_t)s->left;
        take_file(s, n);
        return 0;
    case AT_TAIL:
        break;
    }
    return s->ops->raw(s->ctx, data, len, err);
}

int dray_tar_scan_feed(struct dray_tar_scan *s, const void *data, size_t len, struct dray_err *err)
{
    const uint8_t *at = data;
    int rc = 0;
    while (len > 0 && !s->lost && !rc) {
        size_t taken = 0;
        rc = step(s, at, len, &taken, err);
        at += taken;
        len -= taken;
    }
    return rc;
}

int dray_tar_scan_end(struct dray_tar_scan *s, bool *whole_out, struct dray_err *err)
{
    bool between = s->state == AT_HEADER || s->state == AT_TAIL;
    *whole_out = between && !s->lost;
    return *whole_out && s->have > 0 ? s->ops->raw(s->ctx, s->block, s->have, err) : 0;
}
