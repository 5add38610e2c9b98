/* SPDX-License-Identifier: Apache-2.0 */
/* tarout.c - writes a layer tar (POSIX pax): the same input gives the same bytes. */
#include "tarout.h"

#include <fcntl.h>
#include <json-c/linkhash.h>
#include <sys/sysmacros.h>

#define BLOCK 512u
#define OUT_SIZE (256u * 1024)

struct bd_tarout {
    int fd;
    bool no_splice; /* the descriptor is no pipe */
    size_t used;
    struct lh_table *folders;
    char out[OUT_SIZE];
};

/* The head of an entry as it lies in the archive. */
struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type;
    char link[100], magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155];
    char pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

/* --- output ------------------------------------------------------------------------------------*/

static int flush(struct bd_tarout *t, struct dray_err *err)
{
    size_t done = 0;
    while (done < t->used) {
        ssize_t n = write(t->fd, t->out + done, t->used - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE ? dray_fail(err, DRAY_E_CANCELED, "the layer is not wanted")
                                  : dray_fail_errno(err, "write a layer");
        done += (size_t)n;
    }
    t->used = 0;
    return 0;
}

int bd_tarout_data(struct bd_tarout *t, const void *data, size_t n, struct dray_err *err)
{
    const char *p = data;
    while (n > 0) {
        size_t k = OUT_SIZE - t->used < n ? OUT_SIZE - t->used : n;
        memcpy(t->out + t->used, p, k);
        t->used += k;
        p += k;
        n -= k;
        int rc = t->used == OUT_SIZE ? flush(t, err) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

int bd_tarout_pad(struct bd_tarout *t, int64_t size, struct dray_err *err)
{
    static const char zeros[BLOCK] = {0};
    size_t over = (size_t)(size % BLOCK);
    return over ? bd_tarout_data(t, zeros, BLOCK - over, err) : 0;
}

/* --- heads -------------------------------------------------------------------------------------*/

static void put_octal(char *field, size_t n, uint64_t value)
{
    for (size_t i = n - 1; i > 0; i--, value >>= 3)
        field[i - 1] = (char)('0' + (value & 7));
    field[n - 1] = '\0';
}

static bool fits_octal(uint64_t value, size_t n)
{
    return value >> (3 * (n - 1)) == 0;
}

/* "LEN KEY=VALUE\n", whose length counts itself. */
static void pax_record(struct bd_buf *b, const char *key, const void *value, size_t n)
{
    size_t body = strlen(key) + n + 3; /* blank, =, newline */
    size_t len = body + 1;
    for (char digits[24];;) {
        size_t want = body + (size_t)snprintf(digits, sizeof digits, "%zu", len);
        if (want == len)
            break;
        len = want;
    }
    bd_addf(b, "%zu %s=", len, key);
    bd_add(b, value, n);
    bd_adds(b, "\n");
}

static void pax_number(struct bd_buf *b, const char *key, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    pax_record(b, key, text, (size_t)n);
}

/* Split a long name at a slash into prefix and name; false: it needs a pax record. */
static bool put_name(struct header *h, const char *name)
{
    size_t n = strlen(name);
    if (n <= sizeof h->name) {
        memcpy(h->name, name, n);
        return true;
    }
    const char *cut =
        n > sizeof h->name + 1 ? strchr(name + n - sizeof h->name - 1, '/') : strchr(name, '/');
    size_t prefix = cut ? (size_t)(cut - name) : 0;
    if (!cut || prefix == 0 || prefix > sizeof h->prefix || n - prefix - 1 == 0)
        return false;
    memcpy(h->prefix, name, prefix);
    memcpy(h->name, cut + 1, n - prefix - 1);
    return true;
}

static char type_of(const struct bd_tar_entry *e)
{
    if (e->hard)
        return '1';
    switch (e->mode & S_IFMT) {
    case S_IFDIR:
        return '5';
    case S_IFLNK:
        return '2';
    case S_IFCHR:
        return '3';
    case S_IFBLK:
        return '4';
    case S_IFIFO:
        return '6';
    default:
        return '0';
    }
}

static void put_sum(struct header *h)
{
    unsigned sum = 0;
    memset(h->sum, ' ', sizeof h->sum);
    const unsigned char *p = (const unsigned char *)h;
    for (size_t i = 0; i < sizeof *h; i++)
        sum += p[i];
    put_octal(h->sum, 7, sum);
}

static void start_header(struct header *h, char type, int64_t size)
{
    *h = (struct header){.type = type};
    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
    put_octal(h->size, sizeof h->size, (uint64_t)size);
    put_octal(h->mode, sizeof h->mode, 0644);
    put_octal(h->uid, sizeof h->uid, 0);
    put_octal(h->gid, sizeof h->gid, 0);
    put_octal(h->mtime, sizeof h->mtime, 0);
    put_octal(h->major, sizeof h->major, 0);
    put_octal(h->minor, sizeof h->minor, 0);
}

static void fill_numbers(struct header *h, const struct bd_tar_entry *e, struct bd_buf *pax)
{
    put_octal(h->mode, sizeof h->mode, e->mode & 07777);
    if (fits_octal(e->uid, sizeof h->uid))
        put_octal(h->uid, sizeof h->uid, e->uid);
    else
        pax_number(pax, "uid", e->uid);
    if (fits_octal(e->gid, sizeof h->gid))
        put_octal(h->gid, sizeof h->gid, e->gid);
    else
        pax_number(pax, "gid", e->gid);
    if (!fits_octal((uint64_t)e->size, sizeof h->size))
        pax_number(pax, "size", e->size);
    if (e->mtime_s >= 0 && fits_octal((uint64_t)e->mtime_s, sizeof h->mtime))
        put_octal(h->mtime, sizeof h->mtime, (uint64_t)e->mtime_s);
    else
        pax_number(pax, "mtime", e->mtime_s);
    if (S_ISCHR(e->mode) || S_ISBLK(e->mode)) {
        put_octal(h->major, sizeof h->major, major(e->rdev));
        put_octal(h->minor, sizeof h->minor, minor(e->rdev));
    }
}

static void fill_names(struct header *h, const struct bd_tar_entry *e, const char *name,
                       struct bd_buf *pax)
{
    if (!put_name(h, name))
        pax_record(pax, "path", name, strlen(name));
    size_t n = e->link ? strlen(e->link) : 0;
    if (n > sizeof h->link)
        pax_record(pax, "linkpath", e->link, n);
    else if (n)
        memcpy(h->link, e->link, n);
    for (size_t i = 0; i < e->n_xattrs; i++) {
        dray_autofree char *key = bd_strf("SCHILY.xattr.%s", e->xattrs[i].name);
        if (key)
            pax_record(pax, key, e->xattrs[i].value, e->xattrs[i].n);
        else
            pax->failed = true;
    }
}

static int write_pax(struct bd_tarout *t, const struct bd_buf *pax, struct dray_err *err)
{
    struct header h;
    start_header(&h, 'x', (int64_t)pax->len);
    memcpy(h.name, "PaxHeaders/x", 12);
    put_sum(&h);
    int rc = bd_tarout_data(t, &h, sizeof h, err);
    if (!rc)
        rc = bd_tarout_data(t, pax->text, pax->len, err);
    return rc ? rc : bd_tarout_pad(t, (int64_t)pax->len, err);
}

int bd_tarout_head(struct bd_tarout *t, const struct bd_tar_entry *e, struct dray_err *err)
{
    struct header h;
    DRAY_AUTO(bd_buf) pax = {0};
    dray_autofree char *slashed = S_ISDIR(e->mode) ? bd_strf("%s/", e->path) : NULL;
    start_header(&h, type_of(e), S_ISREG(e->mode) && !e->hard ? e->size : 0);
    fill_numbers(&h, e, &pax);
    fill_names(&h, e, slashed ? slashed : e->path, &pax);
    put_sum(&h);
    if (pax.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = pax.len ? write_pax(t, &pax, err) : 0;
    return rc ? rc : bd_tarout_data(t, &h, sizeof h, err);
}

/* --- content -----------------------------------------------------------------------------------*/

/* Straight from the page cache into the pipe; *done counts. Stops where that does not work. */
static int splice_content(struct bd_tarout *t, const struct bd_content *c, int64_t *done,
                          struct dray_err *err)
{
    int rc = t->no_splice || c->size < (int64_t)OUT_SIZE / 4 ? 0 : flush(t, err);
    while (!rc && !t->no_splice && c->size >= (int64_t)OUT_SIZE / 4 && *done < c->size) {
        off64_t at = c->at + *done;
        ssize_t n = splice(c->fd, &at, t->fd, NULL, (size_t)(c->size - *done), SPLICE_F_MORE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EPIPE)
            return dray_fail(err, DRAY_E_CANCELED, "the layer is not wanted");
        if (n < 0)
            t->no_splice = true;
        else if (n == 0)
            return dray_fail(err, DRAY_E_IO, "a file became shorter while it was read");
        else
            *done += n;
    }
    return rc;
}

int bd_tarout_content(struct bd_tarout *t, const struct bd_content *c, struct dray_err *err)
{
    int64_t done = 0;
    int rc = splice_content(t, c, &done, err);
    while (!rc && done < c->size) {
        if (t->used == OUT_SIZE && (rc = flush(t, err)) != 0)
            break;
        size_t room = OUT_SIZE - t->used;
        size_t want = (size_t)(c->size - done) < room ? (size_t)(c->size - done) : room;
        ssize_t n = pread(c->fd, t->out + t->used, want, c->at + done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? dray_fail_errno(err, "read a file")
                         : dray_fail(err, DRAY_E_IO, "a file became shorter while it was read");
        t->used += (size_t)n;
        done += n;
    }
    return rc ? rc : bd_tarout_pad(t, c->size, err);
}

/* --- open and end ------------------------------------------------------------------------------*/

static void free_folder(struct lh_entry *e)
{
    free(lh_entry_k(e));
}

int bd_tarout_open(int fd, struct bd_tarout **out, struct dray_err *err)
{
    struct bd_tarout *t = calloc(1, sizeof *t);
    if (!t)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    t->fd = fd;
    t->folders = lh_kchar_table_new(64, free_folder);
    if (!t->folders) {
        free(t);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    *out = t;
    return 0;
}

bool bd_tarout_once(struct bd_tarout *t, const char *folder)
{
    if (lh_table_lookup_ex(t->folders, folder, NULL))
        return true;
    char *copy = strdup(folder);
    if (copy && lh_table_insert(t->folders, copy, t) != 0)
        free(copy);
    return false;
}

void bd_tarout_free(struct bd_tarout *t)
{
    if (!t)
        return;
    lh_table_free(t->folders);
    free(t);
}

int bd_tarout_end(struct bd_tarout *t, struct dray_err *err)
{
    static const char zeros[2 * BLOCK] = {0};
    int rc = bd_tarout_data(t, zeros, sizeof zeros, err);
    if (!rc)
        rc = flush(t, err);
    bd_tarout_free(t);
    return rc;
}
