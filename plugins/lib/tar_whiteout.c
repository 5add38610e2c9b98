/* SPDX-License-Identifier: Apache-2.0 */
/* tar_whiteout.c - applies the .wh. entries of a layer's tar. */
#include "tar_apply.h"
#include "xattrs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int dray_tar_opaque(struct unpacker *u, int dirfd, const char *name)
{
    if (dray_pl_xattr_set(dirfd, name, DRAY_PL_OPAQUE_XATTR, "y", 1) < 0)
        return dray_fail_errno(u->err, "mark the folder \"%.100s\" opaque", name);
    return 0;
}

/* --- overlay ----------------------------------------------------------------------------------*/

static int hide(struct unpacker *u, struct spot *spot, const char *name)
{
    int rc = dray_tar_place(u, spot->parent, true, &spot->dir);
    if (rc < 0)
        return rc;
    int dir = spot->dir->fd;
    if (mknodat(dir, name, S_IFCHR, makedev(0, 0)) == 0)
        return 0;
    struct stat st;
    if (errno != EEXIST || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return dray_fail_errno(u->err, "make a whiteout");
    /* This layer brought the name already: it stays, what is below does not. */
    return S_ISDIR(st.st_mode) ? dray_tar_opaque(u, dir, name) : 0;
}

static int hide_all(struct unpacker *u, struct spot *spot)
{
    if (spot->parent[0] == '\0') {
        u->job->opaque_root = true; /* overlayfs ignores the mark on a root: the driver cuts */
        return 0;
    }
    int rc = dray_tar_place(u, spot->parent, true, &spot->dir);
    return rc < 0 ? rc : dray_tar_opaque(u, spot->dir->fd, ".");
}

/* --- plain ------------------------------------------------------------------------------------*/

static int purge(struct unpacker *u, int fd, unsigned depth);

/* Delete fd/name unless this layer made it; folders are searched through. */
static int purge_entry(struct unpacker *u, int fd, const char *name, unsigned depth)
{
    struct stat st;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(u->err, "stat \"%.100s\"", name);
    bool ours = dray_pl_inoset_has(&u->made, st.st_dev, st.st_ino);
    if (S_ISDIR(st.st_mode) && u->made.n > 0 && depth < DRAY_PL_DEPTH_MAX) {
        dray_autofd int child = dray_pl_subdir(fd, name);
        if (child < 0)
            return dray_fail_errno(u->err, "open \"%.100s\"", name);
        int rc = purge(u, child, depth + 1);
        if (rc < 0 || ours)
            return rc;
        if (unlinkat(fd, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST)
            return dray_fail_errno(u->err, "remove \"%.100s\"", name);
        return 0;
    }
    return ours ? 0 : dray_pl_remove_tree(fd, name, u->err);
}

static int purge(struct unpacker *u, int fd, unsigned depth)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    int rc = dray_pl_dir_read(fd, false, &dir, u->err);
    for (size_t i = 0; rc == 0 && i < dir.n; i++)
        rc = purge_entry(u, fd, dir.v[i].text, depth);
    return rc;
}

static int delete_below(struct unpacker *u, struct spot *spot, const char *name)
{
    int rc = dray_tar_place(u, spot->parent, false, &spot->dir);
    if (rc < 0 || !spot->dir)
        return rc;
    rc = name ? purge_entry(u, spot->dir->fd, name, 0) : purge(u, spot->dir->fd, 0);
    dray_tar_place_drop(u);
    return rc;
}

int dray_tar_whiteout(struct unpacker *u, struct spot *spot)
{
    bool overlay = u->job->mode == DRAY_LAYER_OVERLAY;
    if (strcmp(spot->name, WHITEOUT_OPAQUE) == 0)
        return overlay ? hide_all(u, spot) : delete_below(u, spot, NULL);
    const char *name = spot->name + strlen(WHITEOUT_PREFIX);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return dray_fail(u->err, DRAY_E_INVAL, "a whiteout without a name");
    return overlay ? hide(u, spot, name) : delete_below(u, spot, name);
}
