/* SPDX-License-Identifier: Apache-2.0 */
/* files.c - files and folders by descriptor. */
#include "files.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define LINKS_MAX 8

int rn_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = flags & (O_CREAT | __O_TMPFILE) ? mode : 0,
        .resolve = resolve,
    };
    for (int tries = 0;; tries++) {
        long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
        /* EAGAIN: a rename or mount elsewhere made the kernel unsure about "..". */
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || tries >= 64)
            return (int)fd;
    }
}

int rn_open_in(int root, const char *path, int flags, mode_t mode)
{
    return rn_openat2(root, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

static ssize_t read_fd(int fd, char *buf, size_t cap)
{
    size_t have = 0;
    while (have < cap - 1) {
        ssize_t n = read(fd, buf + have, cap - 1 - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    buf[have] = '\0';
    return (ssize_t)have;
}

ssize_t rn_read_at(int dirfd, const char *path, char *buf, size_t cap)
{
    dray_autofd int fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -1 : read_fd(fd, buf, cap);
}

int rn_write_at(int dirfd, const char *path, const char *text)
{
    dray_autofd int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t n = strlen(text);
    ssize_t put = -1;
    do
        put = write(fd, text, n);
    while (put < 0 && errno == EINTR);
    return put == (ssize_t)n ? 0 : -1;
}

int rn_writef_at(int dirfd, const char *path, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof text) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return rn_write_at(dirfd, path, text);
}

int64_t rn_read_int_at(int dirfd, const char *path, int64_t def)
{
    char buf[64];
    if (rn_read_at(dirfd, path, buf, sizeof buf) <= 0)
        return def;
    char *end = NULL;
    errno = 0;
    int64_t v = strtoll(buf, &end, 10);
    if (errno == ERANGE)
        return INT64_MAX;
    return end == buf ? def : v;
}

int rn_read_whole(int dirfd, const char *path, size_t max, char **out, size_t *len_out,
                  struct dray_err *err)
{
    dray_autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return dray_fail_errno(err, "open %s", path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
        return dray_fail(err, DRAY_E_LIMIT, "%s: not a file, or too large", path);
    size_t cap = (size_t)st.st_size + 1;
    dray_autofree char *buf = malloc(cap);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    ssize_t n = read_fd(fd, buf, cap);
    if (n < 0)
        return dray_fail_errno(err, "read %s", path);
    *len_out = (size_t)n;
    *out = dray_steal(buf);
    return 0;
}

int rn_write_all(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

static int mkdirs_in(int root, const char *path, mode_t mode, int depth);

/** A link without a target: make the target, where the link leads to inside the root. */
static int mkdirs_link(int root, int dir, const char *path, const char *name, mode_t mode,
                       int depth)
{
    char to[PATH_MAX], full[PATH_MAX];
    ssize_t n = depth < LINKS_MAX ? readlinkat(dir, name, to, sizeof to - 1) : -1;
    if (n <= 0) {
        errno = ENOENT;
        return -1;
    }
    to[n] = '\0';
    int prefix = *to == '/' ? 0 : (int)(name - path);
    int len = snprintf(full, sizeof full, "%.*s%s", prefix, path, to);
    if (len < 0 || (size_t)len >= sizeof full) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return mkdirs_in(root, full, mode, depth + 1);
}

static int mkdirs_in(int root, const char *path, mode_t mode, int depth)
{
    char done[PATH_MAX];
    size_t len = 0;
    dray_autofd int dir = rn_open_in(root, ".", O_PATH | O_DIRECTORY, 0);
    for (const char *p = path; dir >= 0;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n == 0)
            return dray_steal_fd(&dir);
        if (len + n + 2 > sizeof done) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(done + len, p, n);
        memcpy(done + len + n, "/", 2);
        const char *name = done + len;
        done[len + n] = '\0';
        p += n;
        /* Each prefix is resolved anew from the root, so that absolute links and ".." stay in. */
        int next = rn_open_in(root, done, O_PATH | O_DIRECTORY, 0);
        if (next < 0 && errno == ENOENT) {
            if (mkdirat(dir, name, mode) != 0 && errno != EEXIST)
                return -1;
            next = rn_open_in(root, done, O_PATH | O_DIRECTORY, 0);
            if (next < 0 && errno == ENOENT)
                next = mkdirs_link(root, dir, done, name, mode, depth);
        }
        (void)close(dir);
        dir = next;
        len += n;
        done[len++] = '/';
        done[len] = '\0';
    }
    return -1;
}

int rn_mkdirs_in(int root, const char *path, mode_t mode)
{
    return mkdirs_in(root, path, mode, 0);
}

int rn_mkdirs(const char *path, mode_t mode)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof part) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return 0;
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

struct rn_fdpath rn_fdpath(int fd)
{
    struct rn_fdpath p;
    (void)snprintf(p.s, sizeof p.s, "/proc/self/fd/%d", fd);
    return p;
}

bool rn_is_null(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}
