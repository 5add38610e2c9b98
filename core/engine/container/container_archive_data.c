/* SPDX-License-Identifier: Apache-2.0 */
/* container_archive_data.c - the content of a container's files into a tar. */
#include "engine/container/container_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Never touched, so of address space alone: the larger, the fewer calls for a hole of exabytes. */
#define ZEROS_SIZE ((size_t)64 << 30)

int dray_archive_fail(struct archive *a, const char *what, struct dray_err *err)
{
    if (archive_errno(a) == EPIPE)
        return dray_fail(err, DRAY_E_CANCELED, "the client has gone");
    return dray_fail(err, DRAY_E_IO, "%s: %s", what, archive_error_string(a));
}

/* One file's way into the archive. */
struct put {
    struct archive *out;
    const char *path;
    int fd;
    char *buffer;
    size_t room;
    const char *zeros; /* or NULL */
};

static int write_range(const struct put *p, int64_t left, struct dray_err *err)
{
    while (left > 0) {
        ssize_t n = read(p->fd, p->buffer, left < (int64_t)p->room ? (size_t)left : p->room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read %s", p->path);
        if (n == 0)
            break;
        if (archive_write_data(p->out, p->buffer, (size_t)n) < 0)
            return dray_archive_fail(p->out, "write the archive", err);
        left -= n;
    }
    return 0;
}

/* libarchive takes the bytes of a hole too, and drops them. */
static int skip_hole(const struct put *p, int64_t left, struct dray_err *err)
{
    while (left > 0) {
        size_t want = left < (int64_t)ZEROS_SIZE ? (size_t)left : ZEROS_SIZE;
        la_ssize_t n = archive_write_data(p->out, p->zeros, want);
        if (n <= 0)
            return dray_archive_fail(p->out, "write the archive", err);
        left -= n;
    }
    return 0;
}

static int write_sparse(const struct put *p, struct archive_entry *e, struct dray_err *err)
{
    int64_t at = 0, offset = 0, len = 0;
    (void)archive_entry_sparse_reset(e);
    while (archive_entry_sparse_next(e, &offset, &len) == ARCHIVE_OK) {
        int rc = skip_hole(p, offset - at, err);
        if (rc == 0 && lseek(p->fd, offset, SEEK_SET) < 0)
            rc = dray_fail_errno(err, "read %s", p->path);
        if (rc == 0)
            rc = write_range(p, len, err);
        if (rc != 0)
            return rc;
        at = offset + len;
    }
    return skip_hole(p, archive_entry_size(e) - at, err);
}

int dray_archive_data(struct archive *out, struct archive_entry *e, char *buffer, size_t room,
                      struct dray_err *err)
{
    const char *path = archive_entry_sourcepath(e);
    dray_autofd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "open %s", path);
    struct put p = {.out = out, .path = path, .fd = fd, .buffer = buffer, .room = room};
    if (archive_entry_sparse_count(e) == 0)
        return write_range(&p, archive_entry_size(e), err);
    void *zeros =
        mmap(NULL, ZEROS_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (zeros == MAP_FAILED)
        return dray_fail_errno(err, "map memory");
    p.zeros = zeros;
    int rc = write_sparse(&p, e, err);
    (void)munmap(zeros, ZEROS_SIZE);
    return rc;
}
