/* SPDX-License-Identifier: Apache-2.0 */
/* tree_copy.c - copies a folder's content with everything that belongs to it. */
#include "base/fs.h"
#include "engine/rootfs/rootfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define DEEPEST 256
#define XATTR_MOST 65536

static void copy_xattrs(int from, int to)
{
    dray_autofree char *names = malloc(XATTR_MOST);
    dray_autofree char *value = malloc(XATTR_MOST);
    ssize_t n = names && value ? flistxattr(from, names, XATTR_MOST) : 0;
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t len = fgetxattr(from, names + at, value, XATTR_MOST);
        if (len >= 0)
            (void)fsetxattr(to, names + at, value, (size_t)len, 0);
    }
}

static int copy_meta(int from, int to, const struct stat *st, struct dray_err *err)
{
    if (fchown(to, st->st_uid, st->st_gid) != 0 || fchmod(to, st->st_mode & 07777) != 0)
        return dray_fail_errno(err, "set owner and mode");
    copy_xattrs(from, to);
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    (void)futimens(to, times);
    return 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st,
                     struct dray_err *err)
{
    dray_autofd int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    dray_autofd int to =
        openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (from < 0 || to < 0)
        return dray_fail_errno(err, "copy %s", name);
    int rc = dray_fs_copy(from, to, NULL, err);
    return rc == 0 ? copy_meta(from, to, st, err) : rc;
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st,
                     struct dray_err *err)
{
    char target[4097];
    ssize_t n = readlinkat(from_dir, name, target, sizeof target - 1);
    if (n < 0)
        return dray_fail_errno(err, "read the link %s", name);
    target[n] = '\0';
    if (symlinkat(target, to_dir, name) != 0 ||
        fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return dray_fail_errno(err, "make the link %s", name);
    return 0;
}

static int copy_node(int to_dir, const char *name, const struct stat *st, struct dray_err *err)
{
    if (mknodat(to_dir, name, st->st_mode, st->st_rdev) != 0 ||
        fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return dray_fail_errno(err, "make the node %s", name);
    return 0;
}

static int copy_folder(int from, int to, dev_t dev, int depth, struct dray_err *err);

static int copy_subfolder(int from_dir, int to_dir, const char *name, const struct stat *st,
                          int depth, struct dray_err *err)
{
    if (mkdirat(to_dir, name, 0700) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "make the folder %s", name);
    dray_autofd int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    dray_autofd int to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0 || to < 0)
        return dray_fail_errno(err, "open the folder %s", name);
    return copy_folder(from, to, st->st_dev, depth + 1, err);
}

static int copy_entry(int from, int to, const char *name, dev_t dev, int depth,
                      struct dray_err *err)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return dray_fail_errno(err, "look at %s", name);
    if (S_ISDIR(st.st_mode))
        return st.st_dev == dev ? copy_subfolder(from, to, name, &st, depth, err) : 0;
    if (S_ISREG(st.st_mode))
        return copy_file(from, to, name, &st, err);
    if (S_ISLNK(st.st_mode))
        return copy_link(from, to, name, &st, err);
    return copy_node(to, name, &st, err);
}

static int copy_folder(int from, int to, dev_t dev, int depth, struct dray_err *err)
{
    if (depth > DEEPEST)
        return dray_fail(err, DRAY_E_LIMIT, "folders are nested deeper than %d", DEEPEST);
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return dray_fail_errno(err, "read a folder");
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = copy_entry(from, to, e->d_name, dev, depth, err);
    struct stat st;
    if (rc == 0 && fstat(from, &st) == 0)
        rc = copy_meta(from, to, &st, err);
    closedir(dir);
    return rc;
}

int dray_tree_copy(int from, int to, struct dray_err *err)
{
    struct stat st;
    if (fstat(from, &st) != 0)
        return dray_fail_errno(err, "look at a folder");
    return copy_folder(from, to, st.st_dev, 0, err);
}
