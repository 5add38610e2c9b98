/* SPDX-License-Identifier: Apache-2.0 */
/* tree_dir.c - a folder as a tree: every look goes through openat2, so that nothing leads out. */
#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

struct dir_tree {
    struct bd_tree tree;
    int fd;
};

static int open_path(struct bd_tree *t, const char *path, int flags)
{
    const struct dir_tree *d = (const struct dir_tree *)t;
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC | O_NOFOLLOW,
                           .resolve =
                               RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    if (flags & O_PATH)
        how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS; /* the last one may be a link */
    return (int)syscall(SYS_openat2, d->fd, *path ? path : ".", &how, sizeof how);
}

static int no_entry(const char *path, struct dray_err *err)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
        return dray_fail(err, DRAY_E_NOTFOUND, "%s: no such file or directory", path);
    return dray_fail_errno(err, "open %s", path);
}

static int dir_stat(struct bd_tree *t, const char *path, struct bd_entry *out, struct dray_err *err)
{
    struct stat st;
    dray_autofd int fd = open_path(t, path, O_PATH);
    if (fd < 0 || fstat(fd, &st) != 0)
        return no_entry(path, err);
    *out = (struct bd_entry){.mode = st.st_mode,
                             .uid = st.st_uid,
                             .gid = st.st_gid,
                             .size = S_ISREG(st.st_mode) ? st.st_size : 0,
                             .mtime_s = st.st_mtim.tv_sec,
                             .rdev = st.st_rdev};
    return 0;
}

static int dir_link(struct bd_tree *t, const char *path, char **out, struct dray_err *err)
{
    char text[PATH_MAX];
    dray_autofd int fd = open_path(t, path, O_PATH);
    ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", text, sizeof text - 1);
    if (n < 0)
        return no_entry(path, err);
    text[n] = '\0';
    *out = strdup(text);
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int dir_list(struct bd_tree *t, const char *path, struct bd_list *out, struct dray_err *err)
{
    int fd = open_path(t, path, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int rc = no_entry(path, err);
        dray_cleanup_fd(&fd);
        return rc;
    }
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            ok = bd_list_add(out, e->d_name);
    (void)closedir(dir);
    bd_list_sort(out);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int dir_open(struct bd_tree *t, const char *path, struct bd_content *out,
                    struct dray_err *err)
{
    struct stat st;
    dray_autofd int fd = open_path(t, path, O_RDONLY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        return no_entry(path, err);
    if (!S_ISREG(st.st_mode))
        return dray_fail(err, DRAY_E_INVAL, "%s is no regular file", path);
    *out = (struct bd_content){.fd = dray_steal_fd(&fd), .own = true, .size = st.st_size};
    return 0;
}

static bool worth_keeping(const char *name)
{
    return bd_prefix(name, "user.") || strcmp(name, "security.capability") == 0;
}

static int dir_xattrs(struct bd_tree *t, const char *path,
                      int (*fn)(void *ctx, const char *name, const void *value, size_t n),
                      void *ctx)
{
    char names[8192], value[65536], proc[64];
    dray_autofd int fd = open_path(t, path, O_PATH);
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    ssize_t n = fd < 0 ? -1 : listxattr(proc, names, sizeof names);
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        if (!worth_keeping(names + at))
            continue;
        ssize_t len = getxattr(proc, names + at, value, sizeof value);
        int rc = len < 0 ? 0 : fn(ctx, names + at, value, (size_t)len);
        if (rc)
            return rc;
    }
    return 0;
}

static void dir_free(struct bd_tree *t)
{
    struct dir_tree *d = (struct dir_tree *)t;
    dray_cleanup_fd(&d->fd);
    free(d);
}

static const struct bd_tree_ops dir_ops = {
    .stat = dir_stat,
    .link = dir_link,
    .list = dir_list,
    .open = dir_open,
    .xattrs = dir_xattrs,
    .free = dir_free,
};

int bd_tree_dir(int fd /* takes */, struct bd_tree **out, struct dray_err *err)
{
    struct dir_tree *d = calloc(1, sizeof *d);
    if (!d) {
        (void)close(fd);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    d->tree.ops = &dir_ops;
    d->fd = fd;
    *out = &d->tree;
    return 0;
}
