/* SPDX-License-Identifier: Apache-2.0 */
/* tar_make.c - makes files, folders, links and devices of a layer with all their attributes. */
#include "tar_apply.h"
#include "xattrs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define PERMISSIONS 07777u

struct meta {
    uid_t uid;
    gid_t gid;
    mode_t mode;
    struct timespec times[2];
};

static int make_failed(struct unpacker *u, const char *what)
{
    switch (errno) {
    case ENAMETOOLONG:
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case EFBIG:
        return dray_fail(u->err, DRAY_E_INVAL, "%s: %s", what, strerror(errno));
    default:
        return dray_fail_errno(u->err, "%s", what);
    }
}

bool dray_tar_is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

int dray_tar_made(struct unpacker *u, int dirfd, const char *name)
{
    struct stat st;
    if (u->job->mode != DRAY_LAYER_PLAIN)
        return 0;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return make_failed(u, "stat");
    if (!dray_pl_inoset_put(&u->made, st.st_dev, st.st_ino, 1))
        return dray_fail(u->err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

/* --- attributes -------------------------------------------------------------------------------*/

static int read_meta(struct unpacker *u, struct archive_entry *e, struct meta *out)
{
    int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);
    if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
        return dray_fail(u->err, DRAY_E_INVAL, "the owner %lld:%lld cannot be", (long long)uid,
                         (long long)gid);
    long nsec = archive_entry_mtime_nsec(e);
    struct timespec t = {.tv_sec = archive_entry_mtime(e),
                         .tv_nsec = nsec >= 0 && nsec < 1000000000 ? nsec : 0};
    *out = (struct meta){.uid = (uid_t)uid,
                         .gid = (gid_t)gid,
                         .mode = (mode_t)archive_entry_perm(e) & PERMISSIONS,
                         .times = {t, t}};
    return 0;
}

static bool owner_is_default(const struct unpacker *u, const struct place *dir,
                             const struct meta *m)
{
    return m->uid == u->uid && m->gid == u->gid && !(dir && dir->setgid);
}

/* What open(2) and mkdir(2) make of m's mode already. */
static bool mode_is_default(const struct unpacker *u, const struct place *dir, const struct meta *m)
{
    return (m->mode & (u->umask | 07000u)) == 0 && !(dir && dir->setgid);
}

static int set_one_xattr(struct unpacker *u, int fd, const struct spot *spot, const char *key,
                         const void *value, size_t len)
{
    int rc = fd >= 0 ? fsetxattr(fd, key, value, len, 0)
                     : dray_pl_xattr_set(spot->dir->fd, spot->name, key, value, len);
    if (rc == 0)
        return 0;
    if (!dray_pl_xattr_excused(key, errno))
        return make_failed(u, "set an extended attribute");
    dray_tar_warn(u, "%s of \"%s\" is not kept: %s", key, spot->path, strerror(errno));
    return 0;
}

/* By fd, or by spot when fd is negative. */
static int set_xattrs(struct unpacker *u, int fd, const struct spot *spot, struct archive_entry *e)
{
    const char *key;
    const void *value;
    size_t len;
    if (archive_entry_xattr_reset(e) == 0)
        return 0;
    while (archive_entry_xattr_next(e, &key, &value, &len) == ARCHIVE_OK) {
        if (!key || !dray_pl_xattr_travels(key))
            continue;
        int rc = set_one_xattr(u, fd, spot, key, value, len);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Owner before mode before attributes: chown clears setuid bits and capabilities. */
static int set_meta_fd(struct unpacker *u, int fd, const struct spot *spot, struct archive_entry *e,
                       const struct meta *m, bool fresh)
{
    if (!(fresh && owner_is_default(u, spot->dir, m)) && fchown(fd, m->uid, m->gid) < 0)
        return make_failed(u, "set the owner");
    if (!(fresh && mode_is_default(u, spot->dir, m)) && fchmod(fd, m->mode) < 0)
        return make_failed(u, "set the mode");
    return set_xattrs(u, fd, spot, e);
}

static int set_meta_at(struct unpacker *u, const struct spot *spot, struct archive_entry *e,
                       const struct meta *m, bool is_link)
{
    int dir = spot->dir->fd;
    if (!owner_is_default(u, spot->dir, m) &&
        fchownat(dir, spot->name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return make_failed(u, "set the owner");
    if (!is_link && fchmodat(dir, spot->name, m->mode, 0) < 0)
        return make_failed(u, "set the mode");
    int rc = set_xattrs(u, -EBADF, spot, e);
    if (rc < 0)
        return rc;
    if (utimensat(dir, spot->name, m->times, AT_SYMLINK_NOFOLLOW) < 0 && errno != EINVAL)
        return make_failed(u, "set the time");
    return dray_tar_made(u, dir, spot->name);
}

/* --- making room ------------------------------------------------------------------------------*/

/* Remove what an earlier entry or layer put at spot. */
static int clear_spot(struct unpacker *u, struct spot *spot, const struct stat *st)
{
    int rc = dray_pl_remove_tree(spot->dir->fd, spot->name, u->err);
    if (rc < 0 || !(S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode)))
        return rc;
    dray_tar_place_drop(u);
    return dray_tar_place(u, spot->parent, true, &spot->dir);
}

/* After EEXIST: make room for something that is no folder. */
static int make_room(struct unpacker *u, struct spot *spot)
{
    struct stat st;
    if (fstatat(spot->dir->fd, spot->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : make_failed(u, "stat");
    return clear_spot(u, spot, &st);
}

/* --- plain files ------------------------------------------------------------------------------*/

static int write_block(struct unpacker *u, int fd, const char *data, size_t len, int64_t offset)
{
    u->job->bytes += len;
    if (u->job->max_bytes != 0 && u->job->bytes > u->job->max_bytes)
        return dray_fail(u->err, DRAY_E_LIMIT, "the layer has more than %llu bytes",
                         (unsigned long long)u->job->max_bytes);
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return make_failed(u, "write");
        data += n;
        len -= (size_t)n;
        offset += n;
    }
    return 0;
}

static int read_broken(struct unpacker *u)
{
    if (archive_errno(u->archive) == ECANCELED) {
        int rc = dray_tar_tick(u);
        return rc < 0 ? rc : dray_fail(u->err, DRAY_E_CANCELED, "canceled");
    }
    const char *why = archive_error_string(u->archive);
    return dray_fail(u->err, DRAY_E_CORRUPT, "broken tar: %s", why ? why : "unknown error");
}

static int write_content(struct unpacker *u, int fd, int64_t size)
{
    int64_t end = 0;
    for (;;) {
        const void *data;
        size_t len;
        int64_t offset;
        int code = archive_read_data_block(u->archive, &data, &len, &offset);
        if (code == ARCHIVE_EOF)
            break;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            return read_broken(u);
        if (offset < 0 || offset > INT64_MAX - (int64_t)len)
            return dray_fail(u->err, DRAY_E_CORRUPT, "broken tar: a block beyond all limits");
        int rc = len > 0 ? write_block(u, fd, data, len, offset) : 0;
        if (rc < 0)
            return rc;
        if (offset + (int64_t)len > end)
            end = offset + (int64_t)len;
    }
    /* A sparse file may end with a hole. */
    if (end < size && ftruncate(fd, size) < 0)
        return make_failed(u, "set the size");
    return 0;
}

static int create_file(struct unpacker *u, struct spot *spot, mode_t mode, int *fd_out)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(spot->dir->fd, spot->name, flags, mode & 0777);
    if (fd < 0 && errno == EEXIST) {
        int rc = make_room(u, spot);
        if (rc < 0)
            return rc;
        fd = openat(spot->dir->fd, spot->name, flags, mode & 0777);
    }
    if (fd < 0)
        return make_failed(u, "create");
    *fd_out = fd;
    return 0;
}

static int make_file(struct unpacker *u, struct archive_entry *e, struct spot *spot,
                     const struct meta *m)
{
    dray_autofd int fd = -EBADF;
    int rc = create_file(u, spot, m->mode, &fd);
    int64_t size = archive_entry_size(e);
    if (rc == 0 && size > 0)
        rc = write_content(u, fd, size);
    if (rc == 0)
        rc = set_meta_fd(u, fd, spot, e, m, true);
    if (rc < 0)
        return rc;
    if (futimens(fd, m->times) < 0 && errno != EINVAL)
        return make_failed(u, "set the time");
    return dray_tar_made(u, spot->dir->fd, spot->name);
}

/* --- folders ----------------------------------------------------------------------------------*/

/* Make or keep the folder; *fresh_out: it is new. */
static int enter_folder(struct unpacker *u, struct spot *spot, mode_t mode, bool *fresh_out)
{
    *fresh_out = true;
    if (mkdirat(spot->dir->fd, spot->name, mode & 0777) == 0)
        return 0;
    struct stat st;
    if (errno != EEXIST || fstatat(spot->dir->fd, spot->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return make_failed(u, "make the folder");
    *fresh_out = false;
    if (S_ISDIR(st.st_mode))
        return 0;
    int rc = clear_spot(u, spot, &st);
    if (rc < 0)
        return rc;
    *fresh_out = true;
    if (mkdirat(spot->dir->fd, spot->name, mode & 0777) < 0)
        return make_failed(u, "make the folder");
    bool hides = u->job->mode == DRAY_LAYER_OVERLAY && dray_tar_is_whiteout(&st);
    return hides ? dray_tar_opaque(u, spot->dir->fd, spot->name) : 0;
}

static int make_folder(struct unpacker *u, struct archive_entry *e, struct spot *spot,
                       const struct meta *m)
{
    bool fresh;
    int rc = enter_folder(u, spot, m->mode, &fresh);
    if (rc < 0)
        return rc;
    dray_autofd int fd = dray_pl_subdir(spot->dir->fd, spot->name);
    if (fd < 0)
        return make_failed(u, "open the folder");
    rc = set_meta_fd(u, fd, spot, e, m, fresh);
    if (rc == 0)
        rc = dray_tar_made(u, spot->dir->fd, spot->name);
    if (rc == 0)
        rc = dray_tar_times_keep(u, spot->path, m->times);
    if (rc == 0 && !dray_tar_place_keep(u, spot->path, dray_steal_fd(&fd)))
        rc = dray_fail(u->err, DRAY_E_NOMEM, "out of memory");
    return rc;
}

static int make_root(struct unpacker *u, struct archive_entry *e, struct spot *spot,
                     const struct meta *m)
{
    if (archive_entry_filetype(e) != AE_IFDIR || archive_entry_hardlink(e))
        return dray_fail(u->err, DRAY_E_INVAL, "the root of a layer must be a folder");
    int rc = set_meta_fd(u, u->job->root, spot, e, m, false);
    return rc < 0 ? rc : dray_tar_times_keep(u, "", m->times);
}

/* --- links and devices ------------------------------------------------------------------------*/

static bool same_inode(int dir_a, const char *a, int dir_b, const char *b)
{
    struct stat x, y;
    return fstatat(dir_a, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(dir_b, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static int link_failed(struct unpacker *u, const char *target)
{
    if (errno == ENOENT || errno == EPERM || errno == EMLINK)
        return dray_fail(u->err, DRAY_E_INVAL, "hard link to \"%.200s\": %s", target,
                         strerror(errno));
    return make_failed(u, "make the hard link");
}

static int link_over(struct unpacker *u, struct spot *spot, const char *target, int from,
                     const char *name)
{
    if (same_inode(from, name, spot->dir->fd, spot->name))
        return 0;
    int rc = make_room(u, spot);
    if (rc < 0)
        return rc;
    return linkat(from, name, spot->dir->fd, spot->name, 0) < 0 ? link_failed(u, target) : 0;
}

static int make_hardlink(struct unpacker *u, struct spot *spot, const char *target)
{
    struct spot to;
    to.path[0] = '\0';
    if (dray_tar_clean(target, false, to.path) < 0 || to.path[0] == '\0')
        return dray_fail(u->err, DRAY_E_INVAL, "a hard link to \"%.200s\" leaves the layer",
                         target);
    dray_tar_spot(&to);
    int rc = dray_tar_place(u, to.parent, false, &to.dir);
    if (rc < 0)
        return rc;
    if (!to.dir)
        return dray_fail(u->err, DRAY_E_INVAL, "hard link to \"%.200s\": not in the layer", target);
    dray_autofd int from = fcntl(to.dir->fd, F_DUPFD_CLOEXEC, 3); /* may leave the cache below */
    if (from < 0)
        return make_failed(u, "duplicate a descriptor");
    rc = dray_tar_place(u, spot->parent, true, &spot->dir);
    if (rc < 0)
        return rc;
    if (linkat(from, to.name, spot->dir->fd, spot->name, 0) < 0)
        rc = errno == EEXIST ? link_over(u, spot, target, from, to.name) : link_failed(u, target);
    return rc < 0 ? rc : dray_tar_made(u, spot->dir->fd, spot->name);
}

/* One try to make a symlink or special file; -1 with errno. */
static int try_special(struct archive_entry *e, const struct spot *spot, const struct meta *m)
{
    mode_t type = archive_entry_filetype(e);
    if (type == AE_IFLNK) {
        const char *target = archive_entry_symlink(e);
        return symlinkat(target ? target : "", spot->dir->fd, spot->name);
    }
    dev_t dev = type == AE_IFIFO ? 0
                                 : makedev((unsigned)archive_entry_rdevmajor(e),
                                           (unsigned)archive_entry_rdevminor(e));
    return mknodat(spot->dir->fd, spot->name, type | (m->mode & 0777), dev);
}

static int make_special(struct unpacker *u, struct archive_entry *e, struct spot *spot,
                        const struct meta *m)
{
    bool is_link = archive_entry_filetype(e) == AE_IFLNK;
    const char *target = is_link ? archive_entry_symlink(e) : NULL;
    if (is_link && (!target || target[0] == '\0'))
        return dray_fail(u->err, DRAY_E_INVAL, "a symbolic link without a target");
    if (try_special(e, spot, m) < 0) {
        int rc = errno == EEXIST ? make_room(u, spot) : make_failed(u, "make");
        if (rc < 0)
            return rc;
        if (try_special(e, spot, m) < 0)
            return make_failed(u, "make");
    }
    return set_meta_at(u, spot, e, m, is_link);
}

int dray_tar_make(struct unpacker *u, struct archive_entry *e, struct spot *spot)
{
    const char *target = archive_entry_hardlink(e);
    if (target && spot->name[0] != '\0')
        return make_hardlink(u, spot, target);
    struct meta m;
    int rc = read_meta(u, e, &m);
    if (rc < 0)
        return rc;
    if (spot->name[0] == '\0')
        return make_root(u, e, spot, &m);
    rc = dray_tar_place(u, spot->parent, true, &spot->dir);
    if (rc < 0)
        return rc;
    switch (archive_entry_filetype(e)) {
    case AE_IFREG:
        return make_file(u, e, spot, &m);
    case AE_IFDIR:
        return make_folder(u, e, spot, &m);
    case AE_IFLNK:
    case AE_IFCHR:
    case AE_IFBLK:
    case AE_IFIFO:
        return make_special(u, e, spot, &m);
    default:
        return dray_fail(u->err, DRAY_E_INVAL, "an entry of an unknown type");
    }
}
