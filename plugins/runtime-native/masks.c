/* SPDX-License-Identifier: Apache-2.0 */
/* masks.c - hides and write-protects paths of a container. */
#include "files.h"
#include "init.h"
#include "mount.h"

#include <fcntl.h>

/** Put a copy of a mount upon the place. It is read-only, as what it shows may be the host's:
 * nobody shall change that one's mode or owner from here. */
static int cover(int from, int target, const char *path, struct dray_err *err)
{
    const struct rn_mount_opts o = {
        .bind = true, .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
    dray_autofd int mnt = -EBADF;
    int rc = rn_mount_clone(from, "", &o, &mnt, err);
    return rc != 0 ? rc : rn_mount_attach(mnt, target, path, err);
}

/** Folders are covered by an empty tmpfs; all of a container's share one. */
static int mask_folder(int target, int *empty, const char *path, struct dray_err *err)
{
    if (*empty >= 0)
        return cover(*empty, target, path, err);
    const struct rn_mount_opts o = {
        .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
        .sb_ro = true,
        .data = {"nr_blocks=1", "nr_inodes=1"},
        .n_data = 2,
    };
    int rc = rn_mount_new("tmpfs", "tmpfs", &o, empty, err);
    return rc != 0 ? rc : rn_mount_attach(*empty, target, path, err);
}

static int mask(int root, int null, const char *path, int *empty, struct dray_err *err)
{
    dray_autofd int target = rn_open_in(root, path, O_PATH, 0);
    struct stat st;
    if (target < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : dray_fail_errno(err, "mask path %s", path);
    if (fstat(target, &st) != 0)
        return dray_fail_errno(err, "mask path %s", path);
    if (S_ISDIR(st.st_mode))
        return mask_folder(target, empty, path, err);
    /* null is the host's device: nothing in the image can stand in for it. */
    return cover(null, target, path, err);
}

static int protect(int root, const char *path, struct dray_err *err)
{
    const struct rn_mount_opts o = {.bind = true, .rec = true, .rec_set = MOUNT_ATTR_RDONLY};
    dray_autofd int target = rn_open_in(root, path, O_PATH, 0);
    dray_autofd int mnt = -EBADF;
    if (target < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0
                                                   : dray_fail_errno(err, "readonly path %s", path);
    int rc = rn_mount_clone(target, "", &o, &mnt, err);
    return rc != 0 ? rc : rn_mount_attach(mnt, target, path, err);
}

int rn_masks_make(const struct rn_spec *s, int root, int null, struct dray_err *err)
{
    dray_autofd int empty = -EBADF;
    int rc = 0;
    for (size_t i = 0; i < s->readonly.n && rc == 0; i++)
        rc = protect(root, s->readonly.v[i], err);
    for (size_t i = 0; i < s->masked.n && rc == 0; i++)
        rc = mask(root, null, s->masked.v[i], &empty, err);
    return rc;
}
