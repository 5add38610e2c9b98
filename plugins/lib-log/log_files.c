/* SPDX-License-Identifier: Apache-2.0 */
/* log_files.c - the writing side of a log: appending and rotation. */
#include "log_files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define FILE_MODE 0640

char *dray_log_file_name(const char *name, int64_t index, bool packed)
{
    char *out = NULL;
    int n = index == 0 ? asprintf(&out, "%s", name)
                       : asprintf(&out, "%s.%lld%s", name, (long long)index, packed ? ".gz" : "");
    return n < 0 ? NULL : out;
}

static int open_current(struct dray_log_writer *w, int flags, struct dray_err *err)
{
    int fd = openat(w->dirfd, w->name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags,
                    FILE_MODE);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        dray_cleanup_fd(&fd);
        return dray_fail_errno(err, "open log %s", w->name);
    }
    if (!S_ISREG(st.st_mode)) { /* one that could block the container for ever */
        dray_cleanup_fd(&fd);
        return dray_fail(err, DRAY_E_IO, "open log %s: not a regular file", w->name);
    }
    dray_cleanup_fd(&w->fd);
    w->fd = fd;
    w->size = st.st_size;
    return 0;
}

int dray_log_writer_open(struct dray_log_writer *w, const char *dir, const char *name,
                         const struct dray_log_keep *keep, struct dray_err *err)
{
    *w = (struct dray_log_writer){.dirfd = -EBADF, .fd = -EBADF, .keep = *keep};
    w->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (w->dirfd < 0)
        return dray_fail_errno(err, "open %s", dir);
    w->name = strdup(name);
    int rc = w->name ? open_current(w, 0, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        dray_log_writer_close(w);
    return rc;
}

static void wait_for_packer(struct dray_log_writer *w)
{
    if (w->packing)
        pthread_join(w->packer, NULL);
    w->packing = false;
}

void dray_log_writer_close(struct dray_log_writer *w)
{
    wait_for_packer(w);
    dray_cleanup_fd(&w->fd);
    dray_cleanup_fd(&w->dirfd);
    w->fd = w->dirfd = -EBADF;
    free(dray_steal(w->name));
}

static void *pack_first(void *arg)
{
    struct dray_log_writer *w = arg;
    dray_autofree char *from = dray_log_file_name(w->name, 1, false);
    dray_autofree char *to = dray_log_file_name(w->name, 1, true);
    if (from && to && dray_log_pack(w->dirfd, from, to) == 0)
        (void)unlinkat(w->dirfd, from, 0);
    return NULL;
}

/* Compression takes a while; the container must not wait for it. */
static void start_packer(struct dray_log_writer *w)
{
    sigset_t all, old;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    w->packing = pthread_create(&w->packer, NULL, pack_first, w) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void shift(struct dray_log_writer *w, int64_t from, int64_t to, bool packed)
{
    dray_autofree char *old = dray_log_file_name(w->name, from, packed);
    dray_autofree char *new = dray_log_file_name(w->name, to, packed);
    if (old && new)
        (void)renameat(w->dirfd, old, w->dirfd, new);
}

static void drop(struct dray_log_writer *w, int64_t index)
{
    for (int packed = 0; packed < 2; packed++) {
        dray_autofree char *name = dray_log_file_name(w->name, index, packed);
        if (name)
            (void)unlinkat(w->dirfd, name, 0);
    }
}

static int rotate(struct dray_log_writer *w, struct dray_err *err)
{
    if (w->keep.max_files < 2)
        return open_current(w, O_TRUNC, err);
    wait_for_packer(w);
    drop(w, w->keep.max_files - 1);
    for (int64_t i = w->keep.max_files - 2; i >= 1; i--) {
        shift(w, i, i + 1, false);
        shift(w, i, i + 1, true);
    }
    shift(w, 0, 1, false);
    int rc = open_current(w, 0, err);
    if (!rc && w->keep.compress)
        start_packer(w);
    return rc;
}

int dray_log_writer_add(struct dray_log_writer *w, const void *data, size_t len,
                        struct dray_err *err)
{
    const char *p = data;
    int rc = dray_log_writer_full(w, 0) ? rotate(w, err) : 0;
    if (rc)
        return rc;
    while (len > 0) {
        ssize_t n = write(w->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "write log %s", w->name);
        p += n;
        len -= (size_t)n;
        w->size += n;
    }
    return 0;
}
