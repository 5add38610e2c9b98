/* SPDX-License-Identifier: Apache-2.0 */
/* probe.c - finds out whether and how overlayfs works on this machine. */
#include "overlay.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static const struct {
    long magic;
    const char *name;
} file_systems[] = {
    {EXT4_SUPER_MAGIC, "extfs"},
    {0x58465342, "xfs"},
    {BTRFS_SUPER_MAGIC, "btrfs"},
    {0x2fc12fc1, "zfs"},
    {TMPFS_MAGIC, "tmpfs"},
    {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
    {F2FS_SUPER_MAGIC, "f2fs"},
    {NFS_SUPER_MAGIC, "nfs"},
    {FUSE_SUPER_MAGIC, "fuse"},
    {0xca451a4e, "bcachefs"},
    {ECRYPTFS_SUPER_MAGIC, "ecryptfs"},
};

const char *dray_overlay_fs_name(int fd)
{
    struct statfs st;
    if (fstatfs(fd, &st) < 0)
        return "<unknown>";
    for (size_t i = 0; i < sizeof file_systems / sizeof *file_systems; i++)
        if ((unsigned long)st.f_type == (unsigned long)file_systems[i].magic)
            return file_systems[i].name;
    return "<unknown>";
}

/* Does reading a folder of this file system tell the types of entries? */
static bool has_d_type(int dirfd)
{
    char name[] = ".d_type";
    DRAY_AUTO(dray_pl_dir) dir = {0};
    bool known = true;
    if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
        return false;
    if (dray_pl_dir_read(dirfd, false, &dir, NULL) < 0 || dir.n == 0)
        known = false;
    for (size_t i = 0; i < dir.n; i++)
        known = known && dir.v[i].type != DT_UNKNOWN;
    (void)unlinkat(dirfd, name, AT_REMOVEDIR);
    return known;
}

void dray_overlay_find_switches(struct dray_self *self)
{
    static const char *const names[] = {"redirect_dir", "metacopy", "index"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[80], value[8];
        (void)snprintf(path, sizeof path, "/sys/module/overlay/parameters/%s", names[i]);
        if (dray_pl_read_small(AT_FDCWD, path, value, sizeof value) > 0 && value[0] == 'Y')
            (void)snprintf(self->off[self->n_off++], sizeof *self->off, "%s=off", names[i]);
    }
}

/* Paths in mount options know no quoting that every kernel understands. */
static int check_root(const char *root, struct dray_err *err)
{
    if (root[strcspn(root, ",:\\\"")] == '\0')
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "overlay: the folder %s has one of , : \\ \" in its name, which mount options "
                     "cannot carry: choose another data-root",
                     root);
}

static int try_mount(const char *dir, struct dray_err *err)
{
    char lower[PATH_MAX + 16], upper[PATH_MAX + 16], work[PATH_MAX + 16], scratch[PATH_MAX + 16];
    (void)snprintf(lower, sizeof lower, "lowerdir=%s/l", dir);
    (void)snprintf(upper, sizeof upper, "upperdir=%s/u", dir);
    (void)snprintf(work, sizeof work, "workdir=%s/w", dir);
    (void)snprintf(scratch, sizeof scratch, "%s/m", dir);
    /* Ending a mount that is not volatile flushes the whole file system below: slow, for nothing.
     */
    const char *options[] = {lower, upper, work, "volatile"};
    struct dray_mount m = {.size = sizeof m,
                           .type = "overlay",
                           .source = "overlay",
                           .target = "",
                           .options = {options, 4}};
    dray_autofd int tree = -EBADF;
    if (dray_pl_mount_detached(&m, scratch, &tree, NULL) == 0)
        return 0;
    m.options.n = 3; /* before Linux 5.10 */
    return dray_pl_mount_detached(&m, scratch, &tree, err);
}

static int try_in(int root_fd, const char *root, struct dray_err *err)
{
    char name[40], path[PATH_MAX];
    (void)snprintf(name, sizeof name, ".probe-%d", (int)getpid());
    int n = snprintf(path, sizeof path, "%s/%s", root, name);
    if (n < 0 || (size_t)n >= sizeof path - 16)
        return dray_fail(err, DRAY_E_INVAL, "overlay: the path %s is too long", root);
    dray_autofd int dir = -EBADF;
    int rc = dray_pl_open_dir(root_fd, name, 0700, &dir, err);
    if (rc < 0)
        return rc;
    if (mkdirat(dir, "l", 0700) < 0 || mkdirat(dir, "u", 0700) < 0 || mkdirat(dir, "w", 0700) < 0 ||
        mkdirat(dir, "m", 0700) < 0)
        rc = dray_fail_errno(err, "make folders in %s", path);
    else if (!has_d_type(dir))
        rc = dray_fail(err, DRAY_E_NOTSUP,
                       "overlay: the file system of %s (%s) does not tell the types of directory "
                       "entries; an xfs must be made with ftype=1",
                       root, dray_overlay_fs_name(dir));
    else if (try_mount(path, err) < 0)
        rc = dray_fail(err, DRAY_E_NOTSUP,
                       "overlay: overlayfs cannot be mounted on %s (%s); use the storage driver "
                       "\"vfs\" or another data-root",
                       root, dray_overlay_fs_name(dir));
    (void)dray_pl_remove_tree(root_fd, name, NULL);
    return rc;
}

int dray_overlay_probe(const struct dray_host *host, struct dray_err *err)
{
    const char *root = host->path(host, DRAY_PATH_DATA);
    int rc = check_root(root, err);
    if (rc < 0)
        return rc;
    dray_autofd int fs = fsopen("overlay", FSOPEN_CLOEXEC); /* also loads the module */
    if (fs < 0)
        return dray_fail(err, DRAY_E_NOTSUP, "overlay: this kernel or user has no overlayfs: %s",
                         strerror(errno));
    dray_autofd int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return dray_fail_errno(err, "open %s", root);
    return try_in(root_fd, root, err);
}
