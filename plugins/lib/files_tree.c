/* SPDX-License-Identifier: Apache-2.0 */
/* files_tree.c - removes and measures whole trees. */
#include "files.h"
#include "inoset.h"

#include <dirent.h>
#include <fcntl.h>

/* Levels that removal descends before it moves a folder up instead: descriptors stay few. */
#define REMOVE_DEPTH 64

struct removal {
    int top;         /* the folder that deep ones are moved to */
    unsigned serial; /* for their names */
    bool (*stop)(void *arg);
    void *arg;
    struct dray_err *err;
};

static int remove_failed(struct removal *r, const char *name)
{
    if (errno == EXDEV || errno == EBUSY)
        return dray_fail(r->err, DRAY_E_BUSY, "remove %s: something is mounted there", name);
    return dray_fail_errno(r->err, "remove %s", name);
}

static int move_up(struct removal *r, int fd, const char *name)
{
    char up[48];
    do {
        (void)snprintf(up, sizeof up, ".dray-deep-%u", r->serial++);
        if (renameat2(fd, name, r->top, up, RENAME_NOREPLACE) == 0)
            return 0;
    } while (errno == EEXIST);
    return remove_failed(r, name);
}

static int empty_folder(struct removal *r, int fd, unsigned depth);

static int remove_folder(struct removal *r, int fd, const char *name, unsigned depth)
{
    if (unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return remove_failed(r, name);
    if (depth >= REMOVE_DEPTH)
        return move_up(r, fd, name);
    dray_autofd int child = dray_pl_subdir(fd, name);
    if (child < 0)
        return remove_failed(r, name);
    int rc = empty_folder(r, child, depth + 1);
    if (rc < 0)
        return rc;
    if (unlinkat(fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return remove_failed(r, name);
    return 0;
}

static int remove_entry(struct removal *r, int fd, const struct dray_pl_name *e, unsigned depth)
{
    if (e->type != DT_DIR) {
        if (unlinkat(fd, e->text, 0) == 0 || errno == ENOENT)
            return 0;
        if (errno != EISDIR)
            return remove_failed(r, e->text);
    }
    return remove_folder(r, fd, e->text, depth);
}

static int empty_folder(struct removal *r, int fd, unsigned depth)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    int rc = dray_pl_dir_read(fd, false, &dir, r->err);
    for (size_t i = 0; rc == 0 && i < dir.n; i++)
        rc = r->stop && r->stop(r->arg) ? dray_fail(r->err, DRAY_E_CANCELED, "told to stop")
                                        : remove_entry(r, fd, &dir.v[i], depth);
    return rc;
}

int dray_pl_remove_tree(int dirfd, const char *name, struct dray_err *err)
{
    return dray_pl_remove_tree_until(dirfd, name, NULL, NULL, err);
}

int dray_pl_remove_tree_until(int dirfd, const char *name, bool (*stop)(void *arg), void *arg,
                              struct dray_err *err)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT || errno == ENOTDIR)
        return 0;
    struct removal r = {.stop = stop, .arg = arg, .err = err};
    if (errno != EISDIR && errno != EPERM)
        return remove_failed(&r, name);
    dray_autofd int fd = dray_pl_subdir(dirfd, name);
    if (fd < 0)
        return errno == ENOENT ? 0 : remove_failed(&r, name);
    r.top = fd;
    while (unlinkat(dirfd, name, AT_REMOVEDIR) < 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != ENOTEMPTY && errno != EEXIST)
            return remove_failed(&r, name);
        int rc = empty_folder(&r, fd, 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- usage ------------------------------------------------------------------------------------*/

struct measure {
    uint64_t bytes, inodes;
    struct dray_pl_inoset linked;
    struct dray_err *err;
};

static int measure_inode(struct measure *m, const struct stat *st)
{
    if (st->st_nlink > 1 && !S_ISDIR(st->st_mode)) {
        if (dray_pl_inoset_has(&m->linked, st->st_dev, st->st_ino))
            return 0;
        if (!dray_pl_inoset_put(&m->linked, st->st_dev, st->st_ino, 1))
            return dray_fail(m->err, DRAY_E_NOMEM, "out of memory");
    }
    /* As Docker counts: what files hold, whatever blocks they take. */
    m->bytes += S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size;
    m->inodes++;
    return 0;
}

static int measure_folder(struct measure *m, int fd, unsigned depth);

static int measure_entry(struct measure *m, int fd, const char *name, unsigned depth)
{
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(m->err, "stat %s", name);
    int rc = measure_inode(m, &st);
    if (rc < 0 || !S_ISDIR(st.st_mode))
        return rc;
    if (depth >= DRAY_PL_DEPTH_MAX)
        return dray_fail(m->err, DRAY_E_LIMIT, "folders are nested too deep");
    dray_autofd int child = dray_pl_subdir(fd, name);
    if (child < 0) /* gone meanwhile, or another mount: not ours to count */
        return errno == ENOENT || errno == EXDEV ? 0 : dray_fail_errno(m->err, "open %s", name);
    return measure_folder(m, child, depth + 1);
}

static int measure_folder(struct measure *m, int fd, unsigned depth)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    int rc = dray_pl_dir_read(fd, false, &dir, m->err);
    for (size_t i = 0; rc == 0 && i < dir.n; i++)
        rc = measure_entry(m, fd, dir.v[i].text, depth);
    return rc;
}

int dray_pl_usage(int fd, uint64_t *bytes_out, uint64_t *inodes_out, struct dray_err *err)
{
    struct measure m = {.err = err};
    struct stat st;
    int rc = fstat(fd, &st) < 0 ? dray_fail_errno(err, "stat a folder") : measure_inode(&m, &st);
    if (rc == 0)
        rc = measure_folder(&m, fd, 0);
    dray_pl_inoset_cleanup(&m.linked);
    if (rc < 0)
        return rc;
    *bytes_out = m.bytes;
    if (inodes_out)
        *inodes_out = m.inodes;
    return 0;
}
