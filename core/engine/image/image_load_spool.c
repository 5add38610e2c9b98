/* SPDX-License-Identifier: Apache-2.0 */
/* image_load_spool.c - takes an archive apart: blobs to their place, other files into a folder. */
#include "engine/image/image_load.h"

#include "base/fs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>

#define ENTRIES_MAX 200000
#define BAR_STEP (512u << 10)
#define BLOCK ((size_t)256 << 10)
#define TAR_BLOCK ((size_t)512)
#define TAR_MAGIC_AT 257u

/** "./a//b" -> "a/b"; false for what leaves the archive. */
static bool plain_path(const char *path, struct dray_buf *out)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (out->len > 0 && out->data[--out->len] != '/')
                ;
            if (out->data)
                out->data[out->len] = '\0';
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            if (out->len > 0)
                dray_buf_addc(out, '/');
            dray_buf_add(out, path, n);
        }
        path += n;
        path += strspn(path, "/");
    }
    return out->len > 0 && !out->failed;
}

/* --- one file of the archive ------------------------------------------------------------------*/

/** A file that is read from the archive. */
struct member {
    struct img_load *l;
    struct archive *archive;
    uint64_t total;
    char digest[DRAY_DIGEST_LEN]; /* that its name says, or "" */
    const void *block;            /* the piece that was read last */
    size_t size;
    int64_t offset;
    bool bar;       /* progress is shown */
    uint64_t shown; /* bytes, to whom looks at the bar */
};

/* The next piece; size 0 at the end. */
static int next_block(struct member *m, struct dray_err *err)
{
    int got = archive_read_data_block(m->archive, &m->block, &m->size, &m->offset);
    if (got == ARCHIVE_EOF)
        m->size = 0;
    else if (got < ARCHIVE_WARN)
        return dray_fail(err, DRAY_E_INVAL, "read the archive: %s",
                         archive_error_string(m->archive));
    return img_fd_ready(m->l->cancel_fd) ? dray_fail(err, DRAY_E_CANCELED, "canceled") : 0;
}

/* A bar for what is not JSON: layers. */
static int show_bar(struct member *m, uint64_t at, struct dray_err *err)
{
    char id[13];
    if (!m->bar || (at < m->shown + BAR_STEP && at != m->total))
        return 0;
    m->shown = at;
    (void)snprintf(id, sizeof id, "%.12s", dray_digest_hex(m->digest));
    return m->l->fn(m->l->ctx, img_progress_bar(id, "Loading layer", at, m->total))
               ? dray_fail(err, DRAY_E_CANCELED, "canceled")
               : 0;
}

static int first_block(struct member *m, struct dray_err *err)
{
    int rc = next_block(m, err);
    m->bar = !rc && *m->digest && !m->l->quiet && m->l->fn && m->size > 0 &&
             *(const char *)m->block != '{';
    return rc;
}

/* Is it a layer as a plain tar? Blocks of the archive are whole ones, see read_blocks(). */
static bool is_tar(const struct member *m)
{
    return m->size >= TAR_BLOCK && m->offset == 0 &&
           dray_compression_of(m->block, m->size) == DRAY_PLAIN &&
           memcmp((const char *)m->block + TAR_MAGIC_AT, "ustar", 5) == 0;
}

static int spool_file(struct member *m, const char *path, struct dray_err *err)
{
    struct img_load *l = m->l;
    char number[16];
    (void)snprintf(number, sizeof number, "%u", l->n++);
    dray_autofd int fd = openat(l->dir, number, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return dray_fail_errno(err, "spool %s", path);
    int rc = 0;
    while (!rc && m->size > 0) {
        for (size_t at = 0; at < m->size;) {
            ssize_t n =
                pwrite(fd, (const char *)m->block + at, m->size - at, m->offset + (int64_t)at);
            if (n < 0)
                return dray_fail_errno(err, "spool %s", path);
            at += (size_t)n;
        }
        rc = show_bar(m, (uint64_t)m->offset + m->size, err);
        if (!rc)
            rc = next_block(m, err);
    }
    if (rc)
        return rc;
    dray_json_add_str(l->files, path, number);
    if (l->ahead)
        img_ahead_file(l->ahead, number, openat(l->dir, number, O_RDONLY | O_CLOEXEC));
    return 0;
}

static int blob_block(struct member *m, struct dray_ingest *in, struct dray_err *err)
{
    static const char zeros[4096];
    int rc = 0;
    if (m->offset < (int64_t)dray_ingest_offset(in))
        return dray_fail(err, DRAY_E_CORRUPT, "the archive goes back in a file");
    while (!rc && dray_ingest_offset(in) < (uint64_t)m->offset) { /* a hole */
        uint64_t gap = (uint64_t)m->offset - dray_ingest_offset(in);
        rc = dray_ingest_write(in, zeros, gap < sizeof zeros ? (size_t)gap : sizeof zeros, err);
    }
    img_flush_early(m->l->im, m->size);
    return rc ? rc : dray_ingest_write(in, m->block, m->size, err);
}

static int write_blob(struct member *m, struct dray_ingest *in, struct dray_err *err)
{
    int rc = 0;
    while (!rc && m->size > 0) {
        rc = blob_block(m, in, err);
        if (!rc)
            rc = show_bar(m, dray_ingest_offset(in), err);
        if (!rc)
            rc = next_block(m, err);
    }
    return rc ? rc : dray_ingest_commit(in, UINT64_MAX, NULL, err);
}

/* A file that is named by its digest goes where it belongs at once; verified on the way. */
static int spool_blob(struct member *m, struct dray_err *err)
{
    struct img_load *l = m->l;
    bool mine = false;
    struct img_blob *b = img_blob_ref(l->im, m->digest);
    int rc = b ? img_load_hold(l, b, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = img_blob_claim(l->im, b, l->cancel_fd, &mine, err);
    if (rc || !mine)
        return rc;
    dray_autoingest *in = NULL;
    rc = dray_ingest_open(l->im->blobs, m->digest, &in, err);
    if (!rc && dray_ingest_offset(in) > 0)
        rc = dray_ingest_restart(in, err);
    if (!rc)
        rc = write_blob(m, in, err);
    if (rc && in)
        (void)dray_ingest_restart(in, NULL); /* part of an archive is worth nothing */
    uint64_t size = 0;
    (void)dray_blobs_has(l->im->blobs, m->digest, &size);
    img_blob_done(l->im, b, rc == 0, size);
    return rc;
}

bool img_load_blob_path(const char *path, char digest[DRAY_DIGEST_LEN])
{
    static const char blobs[] = "blobs/sha256/";
    if (!dray_str_prefix(path, blobs) || strlen(path) != sizeof blobs - 1 + 64)
        return false;
    (void)snprintf(digest, DRAY_DIGEST_LEN, "sha256:%s", path + sizeof blobs - 1);
    return dray_digest_valid(digest);
}

static int spool_entry(struct img_load *l, struct archive *a, struct archive_entry *e,
                       struct dray_err *err)
{
    DRAY_AUTO(dray_buf) path = {0};
    if (!archive_entry_pathname(e) || !plain_path(archive_entry_pathname(e), &path))
        return 0;
    const char *hard = archive_entry_hardlink(e), *soft = archive_entry_symlink(e);
    if (hard || soft) {
        DRAY_AUTO(dray_buf) joined = {0};
        DRAY_AUTO(dray_buf) target = {0};
        const char *slash = strrchr(path.data, '/');
        if (soft && slash)
            dray_buf_add(&joined, path.data, (size_t)(slash - path.data + 1));
        dray_buf_adds(&joined, hard ? hard : soft);
        if (plain_path(joined.data, &target)) {
            dray_autofree char *link = dray_strf("@%s", target.data);
            dray_json_add_str(l->files, path.data, link);
        }
        return 0;
    }
    if (archive_entry_filetype(e) != AE_IFREG)
        return 0;
    struct member m = {.l = l, .archive = a, .total = (uint64_t)archive_entry_size(e)};
    bool blob = img_load_blob_path(path.data, m.digest);
    int rc = first_block(&m, err);
    if (rc)
        return rc;
    if (!blob || is_tar(&m))
        return spool_file(&m, path.data, err);
    dray_autofree char *mark = dray_strf("#%s", m.digest);
    dray_json_add_str(l->files, path.data, mark);
    rc = spool_blob(&m, err);
    if (!rc && l->ahead)
        img_ahead_blob(l->ahead, m.digest);
    return rc;
}

/* --- all of it --------------------------------------------------------------------------------*/

struct source {
    int fd;
    char *buf;
};

/* Whole blocks of a tar, however the bytes come, and no more than are there: what has come in is
 * worked on, though the rest is long in coming. */
static la_ssize_t read_blocks(struct archive *a, void *ctx, const void **out)
{
    const struct source *src = ctx;
    size_t have = 0;
    *out = src->buf;
    while (have == 0 || have % TAR_BLOCK != 0) {
        ssize_t n = read(src->fd, src->buf + have, BLOCK - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            archive_set_error(a, errno, "%s", strerror(errno));
            return -1;
        }
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (la_ssize_t)have;
}

int img_load_spool(struct img_load *l, int fd, struct dray_err *err)
{
    dray_autofree char *buf = malloc(BLOCK);
    struct source src = {fd, buf};
    struct archive *a = buf ? archive_read_new() : NULL;
    if (!a)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)archive_read_support_filter_all(a);
    (void)archive_read_support_format_tar(a);
    int rc = 0;
    if (archive_read_open(a, &src, NULL, read_blocks, NULL) != ARCHIVE_OK)
        rc = dray_fail(err, DRAY_E_INVAL, "read the archive: %s", archive_error_string(a));
    while (!rc) {
        struct archive_entry *e;
        int got = archive_read_next_header(a, &e);
        if (got == ARCHIVE_EOF)
            break;
        if (got < ARCHIVE_WARN)
            rc = dray_fail(err, DRAY_E_INVAL, "read the archive: %s", archive_error_string(a));
        else if (l->n > ENTRIES_MAX)
            rc = dray_fail(err, DRAY_E_LIMIT, "the archive has too many entries");
        else
            rc = spool_entry(l, a, e, err);
    }
    archive_read_free(a);
    return rc;
}

const char *img_load_find(struct img_load *l, const char *path)
{
    struct json_object *v = NULL;
    for (int depth = 0; depth < 8; depth++) {
        if (!json_object_object_get_ex(l->files, path, &v))
            return NULL;
        const char *at = json_object_get_string(v);
        if (*at != '@')
            return at;
        path = at + 1;
    }
    return NULL;
}

int img_load_open(struct img_load *l, const char *path)
{
    int fd = -1;
    const char *at = img_load_find(l, path);
    if (!at || *at != '#')
        return at ? openat(l->dir, at, O_RDONLY | O_CLOEXEC) : -1;
    return dray_blobs_get(l->im->blobs, at + 1, &fd, NULL, NULL) ? -1 : fd;
}

int img_load_doc(struct img_load *l, const char *path, struct json_object **out,
                 struct dray_buf *raw, struct dray_err *err)
{
    dray_autofd int fd = img_load_open(l, path);
    if (fd < 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "the archive has no %s", path);
    int rc = dray_fs_read_fd(fd, CONFIG_MAX, raw, err);
    return rc ? rc : dray_json_parse(raw->data, raw->len, out, err);
}

int img_load_hold(struct img_load *l, struct img_blob *b, struct dray_err *err)
{
    struct img_blob **v = realloc(l->held, (l->n_held + 1) * sizeof(struct img_blob *));
    if (!v) {
        img_blob_unref(l->im, b, false);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    l->held = v;
    v[l->n_held++] = b;
    return 0;
}
