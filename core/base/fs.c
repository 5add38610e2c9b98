/* SPDX-License-Identifier: Apache-2.0 */
/* fs.c - reading, writing, replacing and copying files. */
#include "base/fs.h"

#include "base/ident.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CHUNK ((size_t)1 << 30)

int dray_fs_mkdirs(int dirfd, const char *path, mode_t mode, struct dray_err *err)
{
    if (mkdirat(dirfd, path, mode) == 0 || errno == EEXIST)
        return 0;
    dray_autofree char *copy = strdup(path);
    if (!copy)
        return dray_fail(err, DRAY_E_NOMEM, "make folder %s: out of memory", path);
    for (char *p = copy + 1; *copy && (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdirat(dirfd, copy, mode) != 0 && errno != EEXIST && errno != EROFS)
            return dray_fail_errno(err, "make folder %s", copy);
        *p = '/';
    }
    if (mkdirat(dirfd, copy, mode) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "make folder %s", path);
    return 0;
}

int dray_fs_open_dir(int dirfd, const char *path, mode_t mode, int *fd_out, struct dray_err *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd = openat(dirfd, path, flags);
    if (fd < 0 && errno == ENOENT) {
        int rc = dray_fs_mkdirs(dirfd, path, mode, err);
        if (rc)
            return rc;
        fd = openat(dirfd, path, flags);
    }
    if (fd < 0)
        return dray_fail_errno(err, "open folder %s", path);
    *fd_out = fd;
    return 0;
}

int dray_fs_read_fd(int fd, size_t max, struct dray_buf *out, struct dray_err *err)
{
    struct stat st;
    size_t step = 4096;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        step = (size_t)st.st_size + 1;
    size_t start = out->len;
    for (;;) {
        size_t left = max - (out->len - start);
        /* One byte more than allowed tells "too large" from "just fits". */
        size_t want = step <= left ? step : left + 1;
        char *at = dray_buf_room(out, want);
        if (!at)
            return dray_fail(err, DRAY_E_NOMEM, "read: out of memory");
        ssize_t n = read(fd, at, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read");
        out->data[out->len + (size_t)n] = '\0';
        if (n == 0)
            return 0;
        if ((size_t)n > left)
            return dray_fail(err, DRAY_E_LIMIT, "larger than %zu bytes", max);
        out->len += (size_t)n;
        step = step < 65536 ? 65536 : step;
    }
}

int dray_fs_read(int dirfd, const char *path, size_t max, struct dray_buf *out,
                 struct dray_err *err)
{
    /* A FIFO that nobody writes to is empty; nobody waits for a writer to come. */
    dray_autofd int fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return dray_fail(err, DRAY_E_NOTFOUND, "open %s: no such file or directory", path);
    if (fd < 0 || fcntl(fd, F_SETFL, 0) < 0)
        return dray_fail_errno(err, "open %s", path);
    if (dray_fs_read_fd(fd, max, out, err))
        return err ? dray_err_note(err, "read %s", path) : DRAY_E_IO;
    return 0;
}

int dray_fs_write_all(int fd, const void *data, size_t len, struct dray_err *err)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int dray_fs_write(int dirfd, const char *path, const char *text, struct dray_err *err)
{
    dray_autofd int fd = openat(dirfd, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "open %s", path);
    /* One write: these files take a value whole or not at all. */
    size_t len = strlen(text);
    ssize_t n = write(fd, text, len);
    if (n < 0)
        return dray_fail_errno(err, "write \"%s\" to %s", text, path);
    if ((size_t)n != len)
        return dray_fail(err, DRAY_E_IO, "write to %s: short write", path);
    return 0;
}

/* Make the folder's entry of path durable. */
static int sync_parent(int dirfd, const char *path, struct dray_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;
    dray_autofree char *dir = slash ? strndup(path, len) : strdup(".");
    if (!dir)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autofd int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return dray_fail_errno(err, "sync folder of %s", path);
    return 0;
}

static int fill_temp(int fd, const char *path, const void *data, size_t len, bool sync,
                     struct dray_err *err)
{
    if (dray_fs_write_all(fd, data, len, err))
        return err ? dray_err_note(err, "replace %s", path) : DRAY_E_IO;
    if (sync && fsync(fd) != 0)
        return dray_fail_errno(err, "sync %s", path);
    return 0;
}

#define TEMP_END ".tmp"
#define TEMP_TAG 12

int dray_fs_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
                    enum dray_fs_care care, struct dray_err *err)
{
    char tag[TEMP_TAG + 1];
    dray_id_hex(tag, TEMP_TAG);
    dray_autofree char *temp = dray_strf("%s.%s" TEMP_END, path, tag);
    if (!temp)
        return dray_fail(err, DRAY_E_NOMEM, "replace %s: out of memory", path);
    dray_autofd int fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return dray_fail_errno(err, "replace %s", path);
    int rc = fill_temp(fd, path, data, len, care != DRAY_FS_PLAIN, err);
    if (!rc && renameat(dirfd, temp, dirfd, path) != 0)
        rc = dray_fail_errno(err, "replace %s", path);
    if (rc) {
        (void)unlinkat(dirfd, temp, 0);
        return rc;
    }
    return care == DRAY_FS_DURABLE ? sync_parent(dirfd, path, err) : 0;
}

static bool is_temp(const char *name)
{
    size_t len = strlen(name), end = strlen(TEMP_END);
    if (len < end + TEMP_TAG + 2 || strcmp(name + len - end, TEMP_END) != 0)
        return false;
    const char *tag = name + len - end - TEMP_TAG;
    return tag[-1] == '.' && strspn(tag, "0123456789abcdef") == TEMP_TAG;
}

void dray_fs_sweep(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (is_temp(e->d_name))
            (void)unlinkat(dirfd, e->d_name, 0);
    if (d)
        (void)closedir(d);
    else
        dray_cleanup_fd(&fd);
}

static int open_resolved(int root, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = resolve | RESOLVE_NO_MAGICLINKS,
    };
    /* EAGAIN: a rename happened elsewhere while ".." was being resolved. */
    for (int tries = 0;; tries++) {
        int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN || tries == 64)
            return fd;
    }
}

int dray_fs_open_in_root(int root, const char *path, int flags, mode_t mode)
{
    return open_resolved(root, path, flags, mode, RESOLVE_IN_ROOT);
}

int dray_fs_open_beneath(int root, const char *path, int flags)
{
    return open_resolved(root, path, flags, 0, RESOLVE_BENEATH);
}

/* How the kernel copies; each returns like read(2). */
static ssize_t by_range(int in, int out)
{
    return copy_file_range(in, NULL, out, NULL, CHUNK, 0);
}

static ssize_t by_sendfile(int in, int out)
{
    return sendfile(out, in, NULL, CHUNK);
}

static ssize_t by_splice(int in, int out)
{
    return splice(in, NULL, out, NULL, CHUNK, SPLICE_F_MOVE);
}

static int copy_by_hand(int in, int out, uint64_t *total, struct dray_err *err)
{
    const size_t size = (size_t)128 << 10;
    dray_autofree char *chunk = malloc(size);
    if (!chunk)
        return dray_fail(err, DRAY_E_NOMEM, "copy: out of memory");
    for (;;) {
        ssize_t n = read(in, chunk, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "copy: read");
        if (n == 0)
            return 0;
        int rc = dray_fs_write_all(out, chunk, (size_t)n, err);
        if (rc)
            return rc;
        *total += (uint64_t)n;
    }
}

int dray_fs_copy(int in, int out, uint64_t *bytes_out, struct dray_err *err)
{
    static ssize_t (*const ways[])(int, int) = {by_range, by_sendfile, by_splice};
    uint64_t total = 0;
    size_t way = 0;
    while (way < sizeof ways / sizeof ways[0]) {
        ssize_t n = ways[way](in, out);
        if (n > 0) {
            total += (uint64_t)n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EPIPE)) {
            return dray_fail_errno(err, "copy");
        } else {
            /* Not this way; or the end, which files of /proc pretend: read() knows better. */
            way++;
        }
    }
    int rc = copy_by_hand(in, out, &total, err);
    if (!rc && bytes_out)
        *bytes_out = total;
    return rc;
}
