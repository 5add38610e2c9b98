/* SPDX-License-Identifier: Apache-2.0 */
/* tree_copy.c - copies a tree with all that belongs to it. */
#include "files.h"
#include "inoset.h"
#include "layer_tar.h"
#include "xattrs.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

struct copier {
    int to; /* root of the copy */
    struct dray_err *err;
    struct dray_pl_inoset linked; /* inode to offset of its first copy's path in names */
    char *names;
    size_t names_used, names_size;
    bool no_clone; /* the file system cannot share content */
    char path[PATH_MAX];
};

static int copy_failed(struct copier *c, const char *what)
{
    return dray_fail_errno(c->err, "%s /%.200s", what, c->path);
}

/* Every attribute, also those that stay out of tars: a copy is the same tree. */
static int copy_xattrs(struct copier *c, int from, int to, const char *name)
{
    dray_autofree char *keys = NULL;
    ssize_t n = dray_pl_xattr_list(from, name, &keys);
    if (n < 0)
        return copy_failed(c, "attributes of");
    for (const char *key = keys; key && key < keys + n; key += strlen(key) + 1) {
        dray_autofree char *value = NULL;
        ssize_t len = dray_pl_xattr_get(from, name, key, &value);
        if (len < 0 && errno == ENODATA)
            continue;
        if (len < 0 || (dray_pl_xattr_set(to, name, key, value, (size_t)len) < 0 &&
                        !dray_pl_xattr_excused(key, errno)))
            return copy_failed(c, "attributes of");
    }
    return 0;
}

static int copy_meta(struct copier *c, int from, int to, const char *name, const struct stat *st)
{
    if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return copy_failed(c, "owner of");
    if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
        return copy_failed(c, "mode of");
    int rc = copy_xattrs(c, from, to, name);
    if (rc < 0)
        return rc;
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return copy_failed(c, "times of");
    return 0;
}

/* --- content ----------------------------------------------------------------------------------*/

static int copy_range(int in, int out, off_t from, off_t end)
{
    char buf[65536];
    bool kernel = true;
    while (from < end) {
        loff_t a = from, b = from;
        size_t want = (size_t)(end - from);
        ssize_t n = kernel ? copy_file_range(in, &a, out, &b, want, 0) : -1;
        if (n < 0) {
            kernel = false;
            n = pread(in, buf, want < sizeof buf ? want : sizeof buf, from);
            if (n > 0)
                n = pwrite(out, buf, (size_t)n, from);
        }
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        from += n;
    }
    return 0;
}

/* Data only: holes stay holes. */
static int copy_extents(int in, int out, off_t size)
{
    for (off_t at = 0; at < size;) {
        off_t data = lseek(in, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        off_t hole = data < 0 ? size : lseek(in, data, SEEK_HOLE);
        if (data < 0)
            data = at;
        if (hole < 0 || hole > size)
            hole = size;
        if (copy_range(in, out, data, hole) < 0)
            return -1;
        at = hole;
    }
    return ftruncate(out, size);
}

static int copy_file(struct copier *c, int from, int to, const char *name, const struct stat *st)
{
    dray_autofd int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (in < 0)
        return copy_failed(c, "open");
    dray_autofd int out =
        openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return copy_failed(c, "create");
    if (st->st_size > 0 && !c->no_clone) {
        if (ioctl(out, FICLONE, in) == 0)
            return 0;
        c->no_clone = errno == EOPNOTSUPP || errno == ENOTTY || errno == EINVAL || errno == EXDEV;
    }
    return copy_extents(in, out, st->st_size) < 0 ? copy_failed(c, "copy") : 0;
}

static int copy_symlink(struct copier *c, int from, int to, const char *name)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(from, name, target, sizeof target - 1);
    if (n < 0)
        return copy_failed(c, "read link");
    target[n] = '\0';
    return symlinkat(target, to, name) < 0 ? copy_failed(c, "make link") : 0;
}

/* --- entries ----------------------------------------------------------------------------------*/

static int keep_name(struct copier *c, const struct stat *st)
{
    size_t len = strlen(c->path) + 1;
    if (c->names_used + len > c->names_size) {
        size_t size = c->names_size * 2 + len + 4096;
        void *more = realloc(c->names, size);
        if (!more)
            return dray_fail(c->err, DRAY_E_NOMEM, "out of memory");
        c->names = more;
        c->names_size = size;
    }
    memcpy(c->names + c->names_used, c->path, len);
    if (!dray_pl_inoset_put(&c->linked, st->st_dev, st->st_ino, c->names_used))
        return dray_fail(c->err, DRAY_E_NOMEM, "out of memory");
    c->names_used += len;
    return 0;
}

/* 1: made as a link to an earlier copy; 0: the first of its inode. */
static int copy_as_link(struct copier *c, int to, const char *name, const struct stat *st)
{
    if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
        return 0;
    const struct dray_pl_inode *seen = dray_pl_inoset_get(&c->linked, st->st_dev, st->st_ino);
    if (!seen)
        return keep_name(c, st);
    /* Paths below c->to that we made ourselves a moment ago, none of whose folders is a link. */
    if (linkat(c->to, c->names + seen->value, to, name, 0) < 0)
        return copy_failed(c, "link");
    return 1;
}

static int copy_folder(struct copier *c, int from, int to, size_t path_len, unsigned depth);

static int copy_subfolder(struct copier *c, int from, int to, const char *name, unsigned depth)
{
    if (depth >= DRAY_PL_DEPTH_MAX)
        return dray_fail(c->err, DRAY_E_LIMIT, "folders are nested too deep");
    if (mkdirat(to, name, 0700) < 0)
        return copy_failed(c, "make folder");
    dray_autofd int a = dray_pl_subdir(from, name);
    dray_autofd int b = dray_pl_subdir(to, name);
    if (a < 0 || b < 0)
        return copy_failed(c, "open");
    return copy_folder(c, a, b, strlen(c->path), depth + 1);
}

static int copy_entry(struct copier *c, int from, int to, const char *name, unsigned depth)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : copy_failed(c, "stat");
    int rc = copy_as_link(c, to, name, &st);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    size_t len = strlen(c->path);
    if (S_ISREG(st.st_mode))
        rc = copy_file(c, from, to, name, &st);
    else if (S_ISDIR(st.st_mode))
        rc = copy_subfolder(c, from, to, name, depth);
    else if (S_ISLNK(st.st_mode))
        rc = copy_symlink(c, from, to, name);
    else if (mknodat(to, name, st.st_mode, st.st_rdev) < 0)
        rc = copy_failed(c, "make");
    c->path[len] = '\0';
    return rc < 0 ? rc : copy_meta(c, from, to, name, &st);
}

static int copy_folder(struct copier *c, int from, int to, size_t path_len, unsigned depth)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    int rc = dray_pl_dir_read(from, false, &dir, c->err);
    for (size_t i = 0; rc == 0 && i < dir.n; i++) {
        int n = snprintf(c->path + path_len, sizeof c->path - path_len, "%s%s",
                         path_len > 0 ? "/" : "", dir.v[i].text);
        if (n < 0 || (size_t)n >= sizeof c->path - path_len)
            return dray_fail(c->err, DRAY_E_LIMIT, "a path is longer than %d bytes", PATH_MAX);
        rc = copy_entry(c, from, to, dir.v[i].text, depth);
    }
    return rc;
}

int dray_layer_copy(int from, int to, struct dray_err *err)
{
    struct copier *c = calloc(1, sizeof *c);
    if (!c)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    c->to = to;
    c->err = err;
    struct stat st;
    int rc = fstat(from, &st) < 0 ? copy_failed(c, "stat") : copy_folder(c, from, to, 0, 0);
    if (rc == 0)
        rc = copy_meta(c, from, to, ".", &st);
    free(c->names);
    dray_pl_inoset_cleanup(&c->linked);
    free(c);
    return rc;
}
