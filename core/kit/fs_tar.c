/* SPDX-License-Identifier: Apache-2.0 */
/* fs_tar.c - a tree of a client's as a tar: into a stream, or into a file that is kept for the next
 * time. As long as the client tells what is kept already, nothing is written at all. */
#include "base/fs.h"
#include "engine/build/builds.h"
#include "kit/kept.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define BUFFER ((size_t)256 << 10)

struct tar_sink {
    struct archive *out;
    int fd;
    char *buf; /* what is not written yet */
    size_t n_buf;
    int64_t pos; /* bytes of the tar so far */
    bool broken; /* nothing more is written, also not the end: rc and err say why */
    int rc;
    struct dray_err err;
    void (*progress)(void *ctx, int64_t bytes);
    void *ctx;
    /* Of one that is kept: */
    struct kit_index index;
    struct kit_kept old;
    const char *at; /* in old's index: what comes next */
    bool same;      /* all that was told is what old has until there */
};

static bool flush(struct tar_sink *t)
{
    if (!t->broken && t->n_buf)
        t->rc = dray_fs_write_all(t->fd, t->buf, t->n_buf, &t->err);
    t->broken = t->broken || t->rc;
    t->n_buf = 0;
    return !t->broken;
}

/* Never fails to libarchive, which would keep its buffer then. */
static la_ssize_t tar_write(struct archive *a, void *ctx, const void *data, size_t len)
{
    struct tar_sink *t = ctx;
    (void)a;
    t->pos += (int64_t)len;
    for (size_t done = 0; done < len;) {
        size_t n = len - done < BUFFER - t->n_buf ? len - done : BUFFER - t->n_buf;
        memcpy(t->buf + t->n_buf, (const char *)data + done, n);
        t->n_buf += n;
        done += n;
        if (t->n_buf == BUFFER)
            (void)flush(t);
    }
    return (la_ssize_t)len;
}

static int tar_result(struct tar_sink *t, la_ssize_t said, struct dray_err *err)
{
    if (t->rc && err)
        *err = t->err;
    if (t->rc)
        return t->rc;
    return said < ARCHIVE_WARN ? dray_fail(err, DRAY_E_INTERNAL, "pass on the build context: %s",
                                           archive_error_string(t->out))
                               : 0;
}

static int tar_entry(void *ctx, const struct kit_fs_entry *e, struct dray_err *err)
{
    struct tar_sink *t = ctx;
    struct archive_entry *a = archive_entry_new();
    if (!a)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bool hard = S_ISREG(e->mode) && e->link && *e->link;
    archive_entry_set_pathname(a, e->path);
    archive_entry_set_mode(a, e->mode);
    archive_entry_set_uid(a, e->uid);
    archive_entry_set_gid(a, e->gid);
    archive_entry_set_mtime(a, e->mtime_ns / 1000000000, 0);
    archive_entry_set_size(a, e->size);
    if (hard)
        archive_entry_set_hardlink(a, e->link);
    else if (S_ISLNK(e->mode))
        archive_entry_set_symlink(a, e->link);
    archive_entry_set_rdevmajor(a, e->major);
    archive_entry_set_rdevminor(a, e->minor);
    if (e->caps)
        archive_entry_xattr_add_entry(a, "security.capability", e->caps, e->n_caps);
    int rc = tar_result(t, archive_write_header(t->out, a), err);
    archive_entry_free(a);
    if (!rc && S_ISREG(e->mode) && !hard)
        kit_index_set(&t->index, e->id, t->pos);
    return rc;
}

static int tar_data(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct tar_sink *t = ctx;
    return tar_result(t, archive_write_data(t->out, data, len), err);
}

static void tar_odd(void *ctx, uint32_t id)
{
    struct tar_sink *t = ctx;
    kit_index_set(&t->index, id, -1);
}

static void tar_progress(void *ctx, int64_t bytes)
{
    struct tar_sink *t = ctx;
    if (t->progress)
        t->progress(t->ctx, bytes);
}

/* ---- What is kept ---- */

/* An entry of the old tar, with its content. */
static int put_old(struct tar_sink *t, const struct kit_kept_entry *o, const struct kit_fs_entry *e,
                   struct dray_err *err)
{
    int rc = S_ISSOCK(e->mode) ? 0 : tar_entry(t, e, err);
    bool content = S_ISREG(e->mode) && !(e->link && *e->link);
    return rc || !content || o->size == 0 ? rc
                                          : tar_data(t, t->old.map + o->at, (size_t)o->size, err);
}

/* The client has something else than the old tar: write what was the same until here. */
static int diverge(struct tar_sink *t, struct dray_err *err)
{
    const struct kit_kept_entry *o = NULL;
    int rc = 0;
    uint32_t id = 0;
    t->same = false;
    for (const char *at = t->old.first; !rc && at < t->at; at += o->len, id++) {
        o = kit_kept_at(&t->old, at);
        if (!o)
            return dray_fail(err, DRAY_E_INTERNAL, "the kept build context is broken");
        union {
            const char *in;
            char *out;
        } path = {.in = o->text}, link = {.in = o->text + o->n_path + 1};
        const struct kit_fs_entry e = {.path = path.out,
                                       .link = o->n_link ? link.out : NULL,
                                       .mode = o->mode,
                                       .uid = o->uid,
                                       .gid = o->gid,
                                       .size = o->size,
                                       .mtime_ns = o->mtime_ns,
                                       .major = o->major,
                                       .minor = o->minor,
                                       .id = id};
        rc = put_old(t, o, &e, err);
    }
    return rc;
}

static int tar_have(void *ctx, const struct kit_fs_entry *e, struct dray_err *err)
{
    struct tar_sink *t = ctx;
    int rc = kit_index_add(&t->index, e, err);
    const struct kit_kept_entry *o = t->old.map ? kit_kept_at(&t->old, t->at) : NULL;
    if (!rc && t->same && o && kit_kept_equal(o, e)) {
        t->at += o->len;
        return 1;
    }
    if (!rc && t->same)
        rc = diverge(t, err);
    while (o && kit_kept_order(o->text, e->path) < 0) {
        t->at += o->len;
        o = kit_kept_at(&t->old, t->at);
    }
    if (rc || !o || !S_ISREG(e->mode) || (e->link && *e->link) || !kit_kept_equal(o, e))
        return rc;
    rc = put_old(t, o, e, err);
    return rc ? rc : 1;
}

/* ---- The whole ---- */

static int tar_begin(struct tar_sink *t, struct dray_err *err)
{
    t->out = archive_write_new();
    t->buf = malloc(BUFFER);
    if (!t->out || !t->buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)archive_write_set_format_pax_restricted(t->out);
    (void)archive_write_set_bytes_per_block(t->out, 0); /* t->pos tells where a content begins */
    return tar_result(t, archive_write_open(t->out, t, NULL, tar_write, NULL), err);
}

static int tar_end(struct tar_sink *t, int rc, struct dray_err *err)
{
    /* A tar that is not whole gets no end, nor the rest of its last file, which may be endless. */
    t->broken = t->broken || rc;
    if (t->out && t->broken)
        (void)archive_write_fail(t->out);
    int end = t->out && !t->broken ? archive_write_close(t->out) : ARCHIVE_OK;
    if (!rc && !flush(t))
        rc = tar_result(t, ARCHIVE_OK, err);
    return rc ? rc : tar_result(t, end, err);
}

static void tar_fini(struct tar_sink *t)
{
    (void)archive_write_free(t->out);
    free(t->buf);
    kit_index_fini(&t->index);
    kit_kept_close(&t->old);
}

static int receive_plain(struct grpc_conn *c, const struct kit_fs_req *req, int fd,
                         void (*progress)(void *ctx, int64_t bytes), void *ctx, int cancel_fd,
                         struct dray_err *err)
{
    struct tar_sink t = {.fd = fd, .progress = progress, .ctx = ctx, .old.fd = -EBADF};
    const struct kit_fs_sink sink = {
        .entry = tar_entry, .data = tar_data, .progress = tar_progress, .ctx = &t};
    int rc = tar_begin(&t, err);
    if (!rc)
        rc = kit_fs_receive(c, req, &sink, cancel_fd, err);
    rc = tar_end(&t, rc, err);
    tar_fini(&t);
    return rc;
}

/* All was as before: the old file serves again. */
static int again(struct tar_sink *t, struct dray_builds *bs, const char *key, int *fd_out,
                 struct dray_err *err)
{
    *fd_out = dray_steal_fd(&t->old.fd);
    dray_builds_kept_touch(bs, key);
    return lseek(*fd_out, 0, SEEK_SET) == 0 ? 0
                                            : dray_fail_errno(err, "read the kept build context");
}

static int receive_kept(struct tar_sink *t, struct grpc_conn *c, const struct kit_fs_req *req,
                        int cancel_fd, struct dray_err *err)
{
    const struct kit_fs_sink sink = {.have = tar_have,
                                     .entry = tar_entry,
                                     .data = tar_data,
                                     .odd = tar_odd,
                                     .progress = tar_progress,
                                     .ctx = t};
    int rc = tar_begin(t, err);
    if (!rc)
        rc = kit_fs_receive(c, req, &sink, cancel_fd, err);
    if (!rc && t->same && t->at < t->old.end)
        rc = diverge(t, err); /* what the client has no more was behind all else */
    return rc;
}

int kit_fs_receive_kept(struct grpc_conn *c, const struct kit_fs_req *req, struct dray_builds *bs,
                        const char *key, void (*progress)(void *ctx, int64_t bytes), void *ctx,
                        int cancel_fd, int *fd_out, struct dray_err *err)
{
    struct tar_sink t = {.progress = progress, .ctx = ctx, .old.fd = -EBADF};
    dray_autofd int fd = -EBADF;
    int rc = dray_builds_kept_new(bs, &fd, err);
    if (rc)
        return rc;
    t.fd = fd;
    t.same = *key && kit_kept_open(&t.old, dray_builds_kept_open(bs, key));
    t.at = t.old.first;
    rc = receive_kept(&t, c, req, cancel_fd, err);
    bool same = !rc && t.same;
    if (!same)
        rc = tar_end(&t, rc, err);
    else
        t.broken = true; /* nothing was written, and nothing shall be */
    if (!rc && same) {
        rc = again(&t, bs, key, fd_out, err);
    } else if (!rc) {
        if (*key && kit_index_write(&t.index, fd, NULL) == 0)
            dray_builds_kept_put(bs, key, fd);
        rc = lseek(fd, 0, SEEK_SET) == 0 ? 0 : dray_fail_errno(err, "read the build context");
        *fd_out = rc ? -EBADF : dray_steal_fd(&fd);
    }
    tar_fini(&t);
    return rc;
}

/* The tar that a file holds, without the index. */
static int pass_tar(int from, int to, struct dray_err *err)
{
    struct kit_kept k;
    struct stat st;
    off_t at = 0, end = 0;
    if (fstat(from, &st) != 0)
        return dray_fail_errno(err, "read the kept build context");
    end = st.st_size;
    if (kit_kept_open(&k, fcntl(from, F_DUPFD_CLOEXEC, 0))) {
        end = k.first - k.map;
        kit_kept_close(&k);
    }
    while (at < end) {
        ssize_t n = sendfile(to, from, &at, (size_t)(end - at));
        if (n == 0 || (n < 0 && errno != EINTR))
            return n == 0 ? dray_fail(err, DRAY_E_IO, "the kept build context has become shorter")
                          : dray_fail_errno(err, "pass on the build context");
    }
    return 0;
}

int kit_fs_receive_tar(struct grpc_conn *c, const struct kit_fs_req *req,
                       const struct kit_fs_keeping *keeping, int fd, int cancel_fd,
                       struct dray_err *err)
{
    dray_autofd int kept = -EBADF;
    if (!*keeping->key)
        return receive_plain(c, req, fd, keeping->progress, keeping->ctx, cancel_fd, err);
    int rc = kit_fs_receive_kept(c, req, keeping->builds, keeping->key, keeping->progress,
                                 keeping->ctx, cancel_fd, &kept, err);
    return rc ? rc : pass_tar(kept, fd, err);
}
