/* SPDX-License-Identifier: Apache-2.0 */
/* tar.c - just enough tar (POSIX.1-2001 pax, ustar, GNU long names) for dray cp. */
#include "client/tar.h"

#define BLOCK 512
#define MAX_META (1 << 20)

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
    char magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

static int64_t number(const char *p, size_t n)
{
    int64_t v = 0;
    if ((unsigned char)*p & 0x80) { /* GNU's base 256 */
        v = *p & 0x3f;
        for (size_t i = 1; i < n; i++)
            v = (int64_t)((uint64_t)v << 8 | (unsigned char)p[i]);
        return v;
    }
    for (size_t i = 0; i < n && (p[i] == ' ' || (p[i] >= '0' && p[i] <= '7')); i++)
        if (p[i] != ' ')
            v = v * 8 + (p[i] - '0');
    return v;
}

static bool read_full(struct tar_reader *r, void *buf, size_t n)
{
    char *p = buf;
    while (n > 0) {
        ssize_t got = r->read(r->arg, p, n);
        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

ssize_t tar_data(struct tar_reader *r, void *buf, size_t n)
{
    if (r->left == 0)
        return 0;
    if (n > (size_t)r->left)
        n = (size_t)r->left;
    ssize_t got = r->read(r->arg, buf, n);
    if (got <= 0)
        return -1;
    r->left -= got;
    return got;
}

static bool skip_rest(struct tar_reader *r)
{
    char junk[4096];
    while (r->left > 0)
        if (tar_data(r, junk, sizeof junk) <= 0)
            return false;
    bool ok = r->pad == 0 || read_full(r, junk, (size_t)r->pad);
    r->pad = 0;
    return ok;
}

static bool checksum_ok(const struct header *h)
{
    const unsigned char *p = (const unsigned char *)h;
    int64_t sum = 0;
    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : p[i];
    return sum == number(h->sum, sizeof h->sum);
}

/* The data of a pax or GNU member as text. */
static char *read_meta(struct tar_reader *r)
{
    if (r->left > MAX_META)
        return NULL;
    size_t n = (size_t)r->left;
    char *text = calloc(1, n + 1);
    if (text && (!read_full(r, text, n))) {
        free(text);
        return NULL;
    }
    r->left = 0;
    return text;
}

static void set_text(char **slot, const char *from, size_t n)
{
    free(*slot);
    *slot = strndup(from, n);
}

/* "27 path=some/long/name\n" records. */
static void use_pax(struct tar_entry *e, const char *p, int64_t *size)
{
    while (*p) {
        char *at = NULL;
        size_t len = strtoul(p, &at, 10);
        const char *eq = at && *at == ' ' ? strchr(at, '=') : NULL;
        if (!eq || len < 4 || len > strlen(p) || eq > p + len)
            return;
        size_t key = (size_t)(eq - at - 1), n = len - (size_t)(eq - p) - 2;
        if (key == 4 && memcmp(at + 1, "path", 4) == 0)
            set_text(&e->name, eq + 1, n);
        else if (key == 8 && memcmp(at + 1, "linkpath", 8) == 0)
            set_text(&e->link, eq + 1, n);
        else if (key == 4 && memcmp(at + 1, "size", 4) == 0)
            *size = strtoll(eq + 1, NULL, 10);
        p += len;
    }
}

static void use_header(struct tar_entry *e, const struct header *h)
{
    if (!e->name) {
        size_t pre = memcmp(h->magic, "ustar\0", 6) == 0 ? strnlen(h->prefix, sizeof h->prefix) : 0;
        e->name = dray_strf("%.*s%s%.*s", (int)pre, h->prefix, pre ? "/" : "",
                            (int)strnlen(h->name, sizeof h->name), h->name);
    }
    if (!e->link)
        e->link = strndup(h->link, sizeof h->link);
    e->type = h->type ? h->type : '0';
    e->mode = (mode_t)number(h->mode, sizeof h->mode) & 07777;
    e->uid = (uid_t)number(h->uid, sizeof h->uid);
    e->gid = (gid_t)number(h->gid, sizeof h->gid);
    e->mtime = number(h->mtime, sizeof h->mtime);
    e->major = (unsigned)number(h->devmajor, sizeof h->devmajor);
    e->minor = (unsigned)number(h->devminor, sizeof h->devminor);
}

static void begin_data(struct tar_reader *r, int64_t size)
{
    r->left = size;
    r->pad = (BLOCK - size % BLOCK) % BLOCK;
}

static int take_special(struct tar_reader *r, const struct header *h, struct tar_entry *e,
                        int64_t *size)
{
    begin_data(r, number(h->size, sizeof h->size));
    dray_autofree char *text = read_meta(r);
    if (!text)
        return -1;
    if (h->type == 'x')
        use_pax(e, text, size);
    else if (h->type == 'L')
        set_text(&e->name, text, strlen(text));
    else if (h->type == 'K')
        set_text(&e->link, text, strlen(text));
    return 0;
}

int tar_next(struct tar_reader *r, struct tar_entry *e, struct dray_err *err)
{
    struct header h;
    int64_t size = -1;
    *e = (struct tar_entry){0};
    for (;;) {
        if (!skip_rest(r))
            return dray_fail(err, DRAY_E_CORRUPT, "unexpected EOF");
        if (!read_full(r, &h, sizeof h) || (!h.name[0] && !h.sum[0])) {
            tar_entry_free(e);
            return 0;
        }
        if (!checksum_ok(&h))
            return dray_fail(err, DRAY_E_CORRUPT, "archive/tar: invalid tar header");
        if (!strchr("xgLK", h.type) || !h.type)
            break;
        if (take_special(r, &h, e, &size) != 0)
            return dray_fail(err, DRAY_E_CORRUPT, "archive/tar: invalid tar header");
    }
    use_header(e, &h);
    bool has_data = e->type == '0' || e->type == '7';
    e->size = size >= 0 ? size : number(h.size, sizeof h.size);
    if (e->size < 0)
        return dray_fail(err, DRAY_E_CORRUPT, "archive/tar: invalid tar header");
    begin_data(r, has_data ? e->size : 0);
    return e->name && e->link ? 1 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

void tar_entry_free(struct tar_entry *e)
{
    free(e->name);
    free(e->link);
    *e = (struct tar_entry){0};
}

static void put_octal(char *p, size_t n, uint64_t v)
{
    if (n < 12 ? v >> (3 * (n - 1)) != 0 : v >> 33 != 0) { /* too large: base 256 */
        for (size_t i = n; i-- > 0; v >>= 8)
            p[i] = (char)(v & 255);
        p[0] = (char)0x80;
        return;
    }
    p[n - 1] = '\0';
    for (size_t i = n - 1; i-- > 0; v >>= 3)
        p[i] = (char)('0' + (v & 7));
}

static void seal(struct header *h)
{
    unsigned sum = 0;
    memset(h->sum, ' ', sizeof h->sum);
    for (size_t i = 0; i < BLOCK; i++)
        sum += ((unsigned char *)h)[i];
    put_octal(h->sum, 7, sum);
}

/* One pax record, whose length counts itself. */
static void pax_record(struct dray_buf *b, const char *key, const void *value, size_t n)
{
    size_t body = strlen(key) + n + 3, len = body + 1;
    for (size_t digits = 1, limit = 10; len >= limit; limit *= 10)
        len = body + ++digits;
    dray_buf_addf(b, "%zu %s=", len, key);
    dray_buf_add(b, value, n);
    dray_buf_addc(b, '\n');
}

static void common(struct header *h, const struct tar_entry *e)
{
    put_octal(h->mode, sizeof h->mode, e->mode);
    put_octal(h->uid, sizeof h->uid, e->uid);
    put_octal(h->gid, sizeof h->gid, e->gid);
    put_octal(h->mtime, sizeof h->mtime, e->mtime > 0 ? (uint64_t)e->mtime : 0);
    put_octal(h->devmajor, sizeof h->devmajor, e->major);
    put_octal(h->devminor, sizeof h->devminor, e->minor);
    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
}

static int put_pax(tar_write_fn write, void *arg, const struct tar_entry *e)
{
    DRAY_AUTO(dray_buf) b = {0};
    struct header h = {.name = "PaxHeaders/entry", .type = 'x'};
    if (strlen(e->name) > sizeof h.name)
        pax_record(&b, "path", e->name, strlen(e->name));
    if (e->link && strlen(e->link) > sizeof h.link)
        pax_record(&b, "linkpath", e->link, strlen(e->link));
    if (e->n_caps)
        pax_record(&b, "SCHILY.xattr.security.capability", e->caps, e->n_caps);
    if (b.len == 0)
        return 0;
    struct tar_entry plain = {.mode = 0644};
    common(&h, &plain);
    put_octal(h.size, sizeof h.size, b.len);
    seal(&h);
    int rc = write(arg, &h, sizeof h);
    if (rc == 0)
        rc = write(arg, b.data, b.len);
    return rc == 0 ? tar_pad(write, arg, (int64_t)b.len) : rc;
}

static void put_text(char *to, size_t n, const char *text)
{
    size_t len = strlen(text);
    memcpy(to, text, len < n ? len : n);
}

int tar_put(tar_write_fn write, void *arg, const struct tar_entry *e)
{
    struct header h = {.type = e->type};
    int rc = put_pax(write, arg, e);
    if (rc != 0)
        return rc;
    put_text(h.name, sizeof h.name, e->name);
    if (e->link)
        put_text(h.link, sizeof h.link, e->link);
    common(&h, e);
    put_octal(h.size, sizeof h.size, e->type == '0' ? (uint64_t)e->size : 0);
    seal(&h);
    return write(arg, &h, sizeof h);
}

int tar_pad(tar_write_fn write, void *arg, int64_t size)
{
    static const char zeros[BLOCK];
    size_t n = (size_t)((BLOCK - size % BLOCK) % BLOCK);
    return n ? write(arg, zeros, n) : 0;
}

int tar_finish(tar_write_fn write, void *arg)
{
    static const char zeros[2 * BLOCK];
    return write(arg, zeros, sizeof zeros);
}
