/* SPDX-License-Identifier: Apache-2.0 */
/* files.c - opens, reads and replaces files by descriptor. */
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

int dray_pl_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
                           .mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
                           .resolve = resolve};
    for (unsigned try = 0;; try++) {
        int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
        /* EAGAIN: a rename elsewhere made the kernel unsure about ".." */
        if (fd >= 0 || (errno != EINTR && (errno != EAGAIN || try >= 64)))
            return fd;
    }
}

int dray_pl_subdir(int dirfd, const char *name)
{
    return dray_pl_openat2(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                           RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

int dray_pl_open_dir(int dirfd, const char *name, mode_t mode, int *fd_out, struct dray_err *err)
{
    if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
        return dray_fail_errno(err, "make folder %s", name);
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "open folder %s", name);
    *fd_out = fd;
    return 0;
}

void dray_pl_spread(int dirfd)
{
    int flags = 0;
    if (ioctl(dirfd, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_TOPDIR_FL)) {
        flags |= FS_TOPDIR_FL;
        (void)ioctl(dirfd, FS_IOC_SETFLAGS, &flags);
    }
}

int dray_pl_mkdirs(const char *path, mode_t mode, struct dray_err *err)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return 0;
    dray_autofree char *copy = strdup(path);
    if (!copy)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (char *slash = copy; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        if (mkdir(copy, 0711) < 0 && errno != EEXIST)
            return dray_fail_errno(err, "make folder %s", copy);
        *slash = '/';
    }
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return dray_fail_errno(err, "make folder %s", path);
    return 0;
}

int dray_pl_write_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

ssize_t dray_pl_read_small(int dirfd, const char *path, char *buf, size_t cap)
{
    dray_autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t used = 0;
    while (used + 1 < cap) {
        ssize_t n = read(fd, buf + used, cap - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    buf[used] = '\0';
    return (ssize_t)used;
}

int dray_pl_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                    struct dray_err *err)
{
    char tmp[NAME_MAX + 8];
    (void)snprintf(tmp, sizeof tmp, ".%.200s.new", name);
    dray_autofd int fd =
        openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return dray_fail_errno(err, "create %s", tmp);
    if (dray_pl_write_all(fd, data, len) < 0 || fsync(fd) < 0)
        return dray_fail_errno(err, "write %s", tmp);
    if (renameat(dirfd, tmp, dirfd, name) < 0 || fsync(dirfd) < 0)
        return dray_fail_errno(err, "replace %s", name);
    return 0;
}

/* --- listing ----------------------------------------------------------------------------------*/

struct growing {
    struct dray_pl_name *v;
    size_t *offset; /* of v[i].text in pool, while pool still moves */
    size_t n, cap;
    char *pool;
    size_t used, size;
};

static int grow(struct growing *g, size_t len)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 32;
        void *v = realloc(g->v, cap * sizeof *g->v);
        if (v)
            g->v = v;
        void *o = realloc(g->offset, cap * sizeof *g->offset);
        if (o)
            g->offset = o;
        if (!v || !o)
            return -1;
        g->cap = cap;
    }
    if (g->used + len > g->size) {
        size_t size = (g->size ? g->size * 2 : 1024) + len;
        void *pool = realloc(g->pool, size);
        if (!pool)
            return -1;
        g->pool = pool;
        g->size = size;
    }
    return 0;
}

static int keep_entry(struct growing *g, const struct dirent64 *d)
{
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
        return 0;
    size_t len = strlen(d->d_name) + 1;
    if (grow(g, len) < 0)
        return -1;
    memcpy(g->pool + g->used, d->d_name, len);
    g->v[g->n].type = d->d_type;
    g->offset[g->n++] = g->used;
    g->used += len;
    return 0;
}

static int read_names(int fd, struct growing *g)
{
    char buf[16384] __attribute__((aligned(8)));
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -1;
    for (;;) {
        ssize_t n = getdents64(fd, buf, sizeof buf);
        if (n <= 0)
            return (int)n;
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const struct dirent64 *)(const void *)(buf + at);
            if (keep_entry(g, d) < 0)
                return -1;
            at += d->d_reclen;
        }
    }
}

static int by_text(const void *a, const void *b)
{
    const struct dray_pl_name *x = a, *y = b;
    return strcmp(x->text, y->text);
}

int dray_pl_dir_read(int fd, bool sort, struct dray_pl_dir *out, struct dray_err *err)
{
    struct growing g = {0};
    int rc = read_names(fd, &g);
    int saved = errno;
    for (size_t i = 0; i < g.n; i++)
        g.v[i].text = g.pool + g.offset[i];
    free(g.offset);
    *out = (struct dray_pl_dir){.v = g.v, .n = g.n, .pool = g.pool};
    if (rc < 0) {
        dray_pl_dir_cleanup(out);
        errno = saved;
        return dray_fail_errno(err, "list a folder");
    }
    if (sort && g.n > 1)
        qsort(out->v, out->n, sizeof *out->v, by_text);
    return 0;
}

void dray_pl_dir_cleanup(struct dray_pl_dir *dir)
{
    free(dir->v);
    free(dir->pool);
    *dir = (struct dray_pl_dir){0};
}
