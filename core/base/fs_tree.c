/* SPDX-License-Identifier: Apache-2.0 */
/* fs_tree.c - whole trees, walked by descriptors: removing them, and counting what they use. */
#include "base/fs.h"

#include "base/ident.h"
#include "base/strlist.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Below this depth a folder is moved up to the top and removed from there, so that no tree, however
 * deep, uses more descriptors or stack than this. */
#define MAX_OPEN_LEVELS 48
#define MAX_ROUNDS 64

/* A folder one step below dirfd: no link, no mount point. */
static int open_step(int dirfd, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME,
        .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
    };
    int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof how);
    if (fd < 0 && errno == EPERM) { /* O_NOATIME is for owners and CAP_FOWNER */
        how.flags &= ~(uint64_t)O_NOATIME;
        fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof how);
    }
    return fd;
}

static void close_dir(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

struct removal {
    int top;
    uint64_t moves; /* folders moved up so far */
    struct dray_err *err;
};

static int remove_at(struct removal *r, int dirfd, const char *name, int depth);

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Remove what the folder holds. fd is consumed. */
static int remove_entries(struct removal *r, int fd /* takes */, int depth)
{
    __attribute__((cleanup(close_dir))) DIR *d = fdopendir(fd);
    if (!d) {
        (void)close(fd);
        return dray_fail_errno(r->err, "open folder");
    }
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e)
            return errno ? dray_fail_errno(r->err, "read folder") : 0;
        if (is_dot(e->d_name))
            continue;
        /* Most entries are files: try that first when the type says so. */
        if (e->d_type != DT_DIR && unlinkat(fd, e->d_name, 0) == 0)
            continue;
        int rc = remove_at(r, fd, e->d_name, depth);
        if (rc)
            return rc;
    }
}

static int move_up(struct removal *r, int dirfd, const char *name)
{
    char temp[32] = ".dray-rm-";
    dray_id_hex(temp + 9, 16);
    if (renameat(dirfd, name, r->top, temp) != 0)
        return dray_fail_errno(r->err, "remove %s", name);
    r->moves++;
    return 0;
}

static int remove_at(struct removal *r, int dirfd, const char *name, int depth)
{
    /* Whoever still writes into the folder loses a few races, not the remover its patience. */
    for (int round = 0; round < MAX_ROUNDS; round++) {
        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
            return 0;
        if (errno != EISDIR && errno != EPERM)
            return dray_fail_errno(r->err, "remove %s", name);
        int why = errno;
        if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno == ENOTDIR) {
            errno = why; /* a file that may not be removed (immutable) */
            return dray_fail_errno(r->err, "remove %s", name);
        }
        if (errno != ENOTEMPTY && errno != EEXIST)
            return dray_fail_errno(r->err, "remove %s", name);
        if (depth >= MAX_OPEN_LEVELS)
            return move_up(r, dirfd, name);
        int fd = open_step(dirfd, name);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
            continue;
        if (fd < 0 && errno == EXDEV)
            return dray_fail(r->err, DRAY_E_BUSY, "remove %s: something is mounted there", name);
        if (fd < 0)
            return dray_fail_errno(r->err, "remove %s", name);
        uint64_t moves = r->moves;
        int rc = remove_entries(r, fd, depth + 1);
        if (rc)
            return rc;
        if (r->moves != moves)
            round--; /* filled by the remover itself, which gets ahead all the same */
    }
    return dray_fail(r->err, DRAY_E_BUSY, "remove %s: it keeps being filled", name);
}

/* The folder in which path lies, and its last part. */
static int open_parent(int dirfd, const char *path, char **name_out, int *fd_out,
                       struct dray_err *err)
{
    dray_autofree char *copy = strdup(path);
    if (!copy)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    size_t len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy;
    if (!*name || is_dot(name))
        return dray_fail(err, DRAY_E_INVAL, "%s is not the name of a file or folder", path);
    *name_out = strdup(name);
    if (!*name_out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (slash)
        slash[slash == copy ? 1 : 0] = '\0';
    *fd_out = openat(dirfd, slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd_out < 0 && errno != ENOENT && errno != ENOTDIR)
        return dray_fail_errno(err, "open folder of %s", path);
    return 0;
}

int dray_fs_remove_tree(int dirfd, const char *path, struct dray_err *err)
{
    dray_autofree char *name = NULL;
    dray_autofd int parent = -EBADF;
    int rc = open_parent(dirfd, path, &name, &parent, err);
    if (rc)
        return rc;
    if (parent < 0 || unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return dray_fail_errno(err, "remove %s", path);
    dray_autofd int top = open_step(parent, name);
    if (top < 0 && errno == ENOENT)
        return 0;
    if (top < 0 && errno == EXDEV)
        return dray_fail(err, DRAY_E_BUSY, "remove %s: something is mounted there", path);
    if (top < 0)
        return dray_fail_errno(err, "remove %s", path);
    struct removal r = {.top = top, .err = err};
    rc = remove_at(&r, parent, name, 0);
    return rc && err ? dray_err_note(err, "remove %s", path) : rc;
}

/* --- usage ------------------------------------------------------------------------------------ */

struct seen_inode {
    uint64_t dev, ino;
};

struct level {
    struct dray_strlist dirs; /* folders still to be entered */
    uint64_t dev, ino;
};

struct tally {
    uint64_t bytes, inodes;
    struct seen_inode *seen; /* open addressing; ino 0 is free */
    size_t n_seen, cap_seen;
    struct level *levels;
    size_t n_levels, cap_levels;
};

static void tally_fini(struct tally *t)
{
    for (size_t i = 0; i < t->n_levels; i++)
        dray_strlist_free(&t->levels[i].dirs);
    free(t->levels);
    free(t->seen);
}

static struct seen_inode *seen_slot(struct seen_inode *v, size_t cap, struct seen_inode key)
{
    size_t at = (size_t)((key.ino * UINT64_C(0x9e3779b97f4a7c15)) ^ key.dev) & (cap - 1);
    while (v[at].ino && (v[at].ino != key.ino || v[at].dev != key.dev))
        at = (at + 1) & (cap - 1);
    return &v[at];
}

/* True when this inode is new. Without memory links are counted twice, which is no disaster. */
static bool first_sight(struct tally *t, struct seen_inode key)
{
    if (t->n_seen * 2 >= t->cap_seen) {
        size_t cap = t->cap_seen ? t->cap_seen * 2 : 256;
        struct seen_inode *grown = calloc(cap, sizeof *grown);
        if (!grown)
            return true;
        for (size_t i = 0; i < t->cap_seen; i++)
            if (t->seen[i].ino)
                *seen_slot(grown, cap, t->seen[i]) = t->seen[i];
        free(t->seen);
        t->seen = grown;
        t->cap_seen = cap;
    }
    struct seen_inode *slot = seen_slot(t->seen, t->cap_seen, key);
    if (slot->ino)
        return false;
    *slot = key;
    t->n_seen++;
    return true;
}

static void count_inode(struct tally *t, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 &&
        !first_sight(t, (struct seen_inode){st->st_dev, st->st_ino}))
        return;
    /* As Docker counts: what files hold, whatever blocks they take. */
    t->bytes += S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size;
    t->inodes++;
}

/* Count the entries of the folder fd and note its folders in a new level. */
static int enter_level(struct tally *t, int fd, struct dray_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return dray_fail_errno(err, "stat folder");
    count_inode(t, &st);
    if (t->n_levels == t->cap_levels) {
        size_t cap = t->cap_levels ? t->cap_levels * 2 : 16;
        struct level *grown = reallocarray(t->levels, cap, sizeof *grown);
        if (!grown)
            return dray_fail(err, DRAY_E_NOMEM, "usage: out of memory");
        t->levels = grown;
        t->cap_levels = cap;
    }
    struct level *l = &t->levels[t->n_levels++];
    *l = (struct level){.dev = st.st_dev, .ino = st.st_ino};
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    __attribute__((cleanup(close_dir))) DIR *d = again < 0 ? NULL : fdopendir(again);
    if (!d) {
        if (again >= 0)
            (void)close(again);
        return dray_fail_errno(err, "open folder");
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (is_dot(e->d_name) || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (!S_ISDIR(st.st_mode))
            count_inode(t, &st);
        else if (!dray_strlist_add(&l->dirs, e->d_name))
            return dray_fail(err, DRAY_E_NOMEM, "usage: out of memory");
    }
    return 0;
}

/* Back to the folder of the level before, which somebody may have moved meanwhile. */
static int leave_level(struct tally *t, int *fd, struct dray_err *err)
{
    dray_strlist_free(&t->levels[--t->n_levels].dirs);
    if (t->n_levels == 0)
        return 0;
    dray_autofd int up = openat(*fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (up < 0 || fstat(up, &st) != 0)
        return dray_fail_errno(err, "usage");
    const struct level *l = &t->levels[t->n_levels - 1];
    if (st.st_dev != l->dev || st.st_ino != l->ino)
        return dray_fail(err, DRAY_E_BUSY, "usage: the tree was moved while it was read");
    (void)close(*fd);
    *fd = dray_steal_fd(&up);
    return 0;
}

static int walk(struct tally *t, int *fd, struct dray_err *err)
{
    int rc = enter_level(t, *fd, err);
    while (!rc && t->n_levels > 0) {
        struct level *l = &t->levels[t->n_levels - 1];
        if (l->dirs.n == 0) {
            rc = leave_level(t, fd, err);
            continue;
        }
        dray_autofree char *name = l->dirs.v[--l->dirs.n];
        l->dirs.v[l->dirs.n] = NULL;
        int next = open_step(*fd, name);
        if (next < 0)
            continue; /* gone, or a mount point: not part of this tree */
        (void)close(*fd);
        *fd = next;
        rc = enter_level(t, *fd, err);
    }
    return rc;
}

int dray_fs_usage(int dirfd, const char *path, uint64_t *bytes_out, uint64_t *inodes_out,
                  struct dray_err *err)
{
    dray_autofd int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    __attribute__((cleanup(tally_fini))) struct tally t = {0};
    struct stat st;
    if (fd >= 0) {
        int rc = walk(&t, &fd, err);
        if (rc)
            return rc;
    } else if (errno == ENOENT) {
        return dray_fail(err, DRAY_E_NOTFOUND, "usage of %s: no such file or directory", path);
    } else if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        count_inode(&t, &st);
    } else {
        return dray_fail_errno(err, "usage of %s", path);
    }
    *bytes_out = t.bytes;
    *inodes_out = t.inodes;
    return 0;
}
