/* SPDX-License-Identifier: Apache-2.0 */
/* blob_store.c - content-addressed files, verified while they come in. */
#include "engine/layer/blob_store.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/hash_pool.h"
#include "base/ident.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define REPLAY_CHUNK (256u * 1024)

struct dray_blobs {
    int blobs_fd;  /* blobs/sha256 */
    int ingest_fd; /* ingest */
    struct dray_hash_pool *hashes;
};

struct dray_ingest {
    struct dray_blobs *store;
    int fd;
    char name[80];                /* in ingest/ */
    char digest[DRAY_DIGEST_LEN]; /* expected, or "" */
    uint64_t offset;
    struct dray_sha256 *hash;
    bool committed;
};

int dray_blobs_open(int data_fd, struct dray_blobs **out, struct dray_err *err)
{
    struct dray_blobs *bs = calloc(1, sizeof *bs);
    if (!bs)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bs->blobs_fd = bs->ingest_fd = -EBADF;
    int rc = dray_fs_open_dir(data_fd, "blobs/sha256", 0700, &bs->blobs_fd, err);
    if (!rc)
        rc = dray_fs_open_dir(data_fd, "ingest", 0700, &bs->ingest_fd, err);
    if (!rc)
        rc = dray_hash_pool_open(&bs->hashes, err);
    if (rc) {
        dray_blobs_close(bs);
        return dray_err_note(err, "open the blob store");
    }
    *out = bs;
    return 0;
}

void dray_blobs_close(struct dray_blobs *bs)
{
    if (!bs)
        return;
    dray_cleanup_fd(&bs->blobs_fd);
    dray_cleanup_fd(&bs->ingest_fd);
    dray_hash_pool_close(bs->hashes);
    free(bs);
}

struct dray_hash_pool *dray_blobs_hashes(struct dray_blobs *bs)
{
    return bs->hashes;
}

int dray_blobs_get(struct dray_blobs *bs, const char *digest, int *fd_out, uint64_t *size_out,
                   struct dray_err *err)
{
    if (!dray_digest_valid(digest))
        return dray_fail(err, DRAY_E_INVAL, "invalid digest \"%.100s\"", digest);
    dray_autofd int fd =
        openat(bs->blobs_fd, dray_digest_hex(digest), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? dray_fail(err, DRAY_E_NOTFOUND, "no such blob: %s", digest)
                               : dray_fail_errno(err, "open blob %s", digest);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return dray_fail_errno(err, "stat blob %s", digest);
    if (!S_ISREG(st.st_mode))
        return dray_fail(err, DRAY_E_CORRUPT, "blob %s is not a regular file", digest);
    if (size_out)
        *size_out = (uint64_t)st.st_size;
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

bool dray_blobs_has(struct dray_blobs *bs, const char *digest, uint64_t *size_out)
{
    struct stat st;
    if (!dray_digest_valid(digest) || fstatat(bs->blobs_fd, dray_digest_hex(digest), &st, 0) != 0)
        return false;
    if (size_out)
        *size_out = (uint64_t)st.st_size;
    return true;
}

int dray_blobs_read(struct dray_blobs *bs, const char *digest, size_t max, struct dray_buf *out,
                    struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = dray_blobs_get(bs, digest, &fd, NULL, err);
    return rc ? rc : dray_fs_read_fd(fd, max, out, err);
}

int dray_blobs_put(struct dray_blobs *bs, const void *data, size_t len, char out[DRAY_DIGEST_LEN],
                   struct dray_err *err)
{
    dray_digest_of(data, len, out);
    uint64_t size = 0;
    if (dray_blobs_has(bs, out, &size) && size == len)
        return 0;
    dray_autoingest *in = NULL; /* not in place: what is listed there may be removed as an orphan */
    int rc = dray_ingest_open(bs, NULL, &in, err);
    if (!rc)
        rc = dray_ingest_write(in, data, len, err);
    return rc ? rc : dray_ingest_commit(in, len, NULL, err);
}

int dray_blobs_check(struct dray_blobs *bs, int fd, const char *digest, int abort_fd,
                     struct dray_err *err)
{
    char got[DRAY_DIGEST_LEN];
    dray_autofree char *buf = malloc(REPLAY_CHUNK);
    struct dray_sha256 *sum = dray_sha256_new_in(bs->hashes);
    int rc = buf && sum ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && lseek(fd, 0, SEEK_SET) < 0)
        rc = dray_fail_errno(err, "read blob %s", digest);
    while (!rc) {
        ssize_t n = read(fd, buf, REPLAY_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = dray_fail_errno(err, "read blob %s", digest);
        if (n <= 0)
            break;
        dray_sha256_add(sum, buf, (size_t)n);
        struct pollfd p = {.fd = abort_fd, .events = POLLIN};
        if (abort_fd >= 0 && poll(&p, 1, 0) > 0)
            rc = dray_fail(err, DRAY_E_CANCELED, "canceled");
    }
    if (!rc && lseek(fd, 0, SEEK_SET) < 0)
        rc = dray_fail_errno(err, "read blob %s", digest);
    if (!rc) {
        dray_sha256_end(sum, got);
        rc = dray_blobs_compare(digest, got, err);
    }
    dray_sha256_free(sum);
    return rc;
}

int dray_blobs_compare(const char *digest, const char *got, struct dray_err *err)
{
    if (strcmp(digest, got) == 0)
        return 0;
    return dray_fail(err, DRAY_E_CORRUPT,
                     "blob %s has been altered on this machine, its digest is %s now: remove the "
                     "image and pull it again",
                     digest, got);
}

void dray_blobs_remove(struct dray_blobs *bs, const char *digest)
{
    if (dray_digest_valid(digest))
        (void)unlinkat(bs->blobs_fd, dray_digest_hex(digest), 0);
}

static DIR *open_list(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0)
        (void)close(fd);
    return d;
}

int dray_blobs_each(struct dray_blobs *bs, void (*fn)(void *ctx, const char *digest, int64_t when),
                    void *ctx, struct dray_err *err)
{
    DIR *d = open_list(bs->blobs_fd);
    if (!d)
        return dray_fail_errno(err, "list the blobs");
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char digest[DRAY_DIGEST_LEN + 8];
        int n = snprintf(digest, sizeof digest, "sha256:%.70s", e->d_name);
        struct stat st;
        if (n > 0 && dray_digest_valid(digest) && fstatat(bs->blobs_fd, e->d_name, &st, 0) == 0)
            fn(ctx, digest, (int64_t)st.st_mtim.tv_sec * DRAY_NS_PER_S);
    }
    (void)closedir(d);
    return 0;
}

void dray_blobs_each_partial(struct dray_blobs *bs, void (*fn)(void *ctx, const char *digest),
                             void *ctx)
{
    DIR *d = open_list(bs->ingest_fd);
    if (!d)
        return;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char digest[DRAY_DIGEST_LEN + 8];
        int n = snprintf(digest, sizeof digest, "sha256:%.70s", e->d_name);
        if (n > 0 && dray_digest_valid(digest))
            fn(ctx, digest);
    }
    (void)closedir(d);
}

void dray_blobs_drop_partial(struct dray_blobs *bs, const char *digest)
{
    if (dray_digest_valid(digest))
        (void)unlinkat(bs->ingest_fd, dray_digest_hex(digest), 0);
}

int dray_blobs_sync(struct dray_blobs *bs, struct dray_err *err)
{
    return syncfs(bs->blobs_fd) == 0 ? 0 : dray_fail_errno(err, "sync the image store");
}

void dray_blobs_expire(struct dray_blobs *bs, int64_t before_ns)
{
    DIR *d = open_list(bs->ingest_fd);
    if (!d)
        return;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        struct stat st;
        if (e->d_name[0] == '.' || fstatat(bs->ingest_fd, e->d_name, &st, 0) != 0)
            continue;
        bool resumable = dray_id_is_hex(e->d_name, 64, 64);
        if (!resumable || (int64_t)st.st_mtim.tv_sec * DRAY_NS_PER_S < before_ns)
            (void)unlinkat(bs->ingest_fd, e->d_name, 0);
    }
    (void)closedir(d);
}

uint64_t dray_blobs_free_bytes(struct dray_blobs *bs)
{
    struct statvfs vfs;
    if (fstatvfs(bs->blobs_fd, &vfs) != 0)
        return UINT64_MAX;
    return (uint64_t)vfs.f_bavail * (uint64_t)vfs.f_frsize;
}

/* --- coming in --------------------------------------------------------------------------------*/

int dray_ingest_open(struct dray_blobs *bs, const char *digest, struct dray_ingest **out,
                     struct dray_err *err)
{
    if (digest && !dray_digest_valid(digest))
        return dray_fail(err, DRAY_E_INVAL, "invalid digest \"%.100s\"", digest);
    dray_autoingest *in = calloc(1, sizeof *in);
    if (!in)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    in->store = bs;
    in->fd = -EBADF;
    if (digest) {
        (void)snprintf(in->digest, sizeof in->digest, "%s", digest);
        (void)snprintf(in->name, sizeof in->name, "%s", dray_digest_hex(digest));
    } else {
        (void)snprintf(in->name, sizeof in->name, "tmp-");
        dray_id_hex(in->name + 4, 32);
    }
    in->hash = dray_sha256_new_in(bs->hashes);
    if (!in->hash)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    in->fd = openat(bs->ingest_fd, in->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    off_t end = in->fd < 0 ? -1 : lseek(in->fd, 0, SEEK_END);
    if (end < 0)
        return dray_fail_errno(err, "open the ingest file of %s", digest ? digest : "a blob");
    in->offset = (uint64_t)end;
    *out = dray_steal(in);
    return 0;
}

uint64_t dray_ingest_offset(const struct dray_ingest *in)
{
    return in->offset;
}

int dray_ingest_replay(struct dray_ingest *in,
                       int (*fn)(void *ctx, const void *data, size_t len, struct dray_err *err),
                       void *ctx, struct dray_err *err)
{
    dray_autofree char *buf = malloc(REPLAY_CHUNK);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (uint64_t at = 0; at < in->offset;) {
        ssize_t n = pread(in->fd, buf, REPLAY_CHUNK, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return dray_fail_errno(err, "read back %s", in->name);
        dray_sha256_add(in->hash, buf, (size_t)n);
        int rc = fn ? fn(ctx, buf, (size_t)n, err) : 0;
        if (rc)
            return rc;
        at += (uint64_t)n;
    }
    return 0;
}

int dray_ingest_write(struct dray_ingest *in, const void *data, size_t len, struct dray_err *err)
{
    int rc = dray_fs_write_all(in->fd, data, len, err);
    if (rc)
        return dray_err_note(err, "write blob %.19s", in->digest[0] ? in->digest : in->name);
    dray_sha256_add(in->hash, data, len);
    in->offset += len;
    return 0;
}

int dray_ingest_restart(struct dray_ingest *in, struct dray_err *err)
{
    if (in->committed)
        return dray_fail(err, DRAY_E_CONFLICT, "blob %.19s is complete", in->digest);
    char unused[DRAY_DIGEST_LEN];
    dray_sha256_end(in->hash, unused);
    in->offset = 0;
    if (ftruncate(in->fd, 0) != 0 || lseek(in->fd, 0, SEEK_SET) < 0)
        return dray_fail_errno(err, "empty the ingest file %s", in->name);
    return 0;
}

static int verify(struct dray_ingest *in, uint64_t length, const char *got, struct dray_err *err)
{
    if (length != UINT64_MAX && in->offset != length)
        return dray_fail(err, DRAY_E_CORRUPT, "wrong length: got %llu bytes of %llu",
                         (unsigned long long)in->offset, (unsigned long long)length);
    if (in->digest[0] && strcmp(in->digest, got) != 0)
        return dray_fail(err, DRAY_E_CORRUPT, "wrong digest: got %s, expected %s", got, in->digest);
    return 0;
}

int dray_ingest_commit(struct dray_ingest *in, uint64_t length, char digest_out[DRAY_DIGEST_LEN],
                       struct dray_err *err)
{
    char got[DRAY_DIGEST_LEN];
    dray_sha256_end(in->hash, got);
    int rc = verify(in, length, got, err);
    if (rc) {
        (void)dray_ingest_restart(in, NULL);
        return rc;
    }
    if (renameat(in->store->ingest_fd, in->name, in->store->blobs_fd, dray_digest_hex(got)) != 0)
        return dray_fail_errno(err, "keep blob %s", got);
    in->committed = true;
    if (digest_out)
        memcpy(digest_out, got, sizeof got);
    return 0;
}

void dray_ingest_close(struct dray_ingest *in)
{
    if (!in)
        return;
    bool keep = in->committed || (in->digest[0] && in->offset > 0);
    if (!keep && in->fd >= 0)
        (void)unlinkat(in->store->ingest_fd, in->name, 0);
    dray_cleanup_fd(&in->fd);
    dray_sha256_free(in->hash);
    free(in);
}
