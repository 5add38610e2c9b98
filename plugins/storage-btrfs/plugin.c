/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the btrfs driver: every layer is a subvolume, and begins as a snapshot of its parent.
 */
#include "files.h"
#include "whole.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Inode number of the root of every subvolume (BTRFS_FIRST_FREE_OBJECTID). */
#define SUBVOLUME_INODE 256u

static int make_subvolume(int dir, const char *name)
{
    struct btrfs_ioctl_vol_args args = {.fd = 0};
    (void)snprintf(args.name, sizeof args.name, "%s", name);
    return ioctl(dir, BTRFS_IOC_SUBVOL_CREATE, &args);
}

static int make_snapshot(int dir, const char *name, int of)
{
    struct btrfs_ioctl_vol_args_v2 args = {.fd = of};
    (void)snprintf(args.name, sizeof args.name, "%s", name);
    return ioctl(dir, BTRFS_IOC_SNAP_CREATE_V2, &args);
}

static int drop_subvolume(int dir, const char *name)
{
    struct btrfs_ioctl_vol_args args = {.fd = 0};
    (void)snprintf(args.name, sizeof args.name, "%s", name);
    return ioctl(dir, BTRFS_IOC_SNAP_DESTROY, &args);
}

/* The plain folder that every layer is born with makes room for a subvolume. */
static int fill_layer(void *arg, const struct dray_pl_layer *layer, int dir, int parent_diff,
                      struct dray_err *err)
{
    (void)arg;
    if (unlinkat(dir, "diff", AT_REMOVEDIR) < 0)
        return dray_fail_errno(err, "replace the folder of layer %s", layer->id);
    int rc =
        parent_diff >= 0 ? make_snapshot(dir, "diff", parent_diff) : make_subvolume(dir, "diff");
    if (rc < 0)
        return dray_fail_errno(err, "make the subvolume of layer %s", layer->id);
    if (parent_diff < 0 && fchmodat(dir, "diff", 0755, 0) < 0)
        return dray_fail_errno(err, "set the mode of layer %s", layer->id);
    return 0;
}

static bool is_subvolume(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
           st.st_ino == SUBVOLUME_INODE;
}

/*
 * One call drops a subvolume, however full. A layer is deleted by the caller afterwards, when only
 * its description is left; so are subvolumes with others inside, file by file.
 */
static bool discard(void *arg, int trash, const char *name)
{
    (void)arg;
    if (is_subvolume(trash, name))
        return drop_subvolume(trash, name) == 0;
    dray_autofd int dir = dray_pl_subdir(trash, name);
    if (dir >= 0 && is_subvolume(dir, "diff"))
        (void)drop_subvolume(dir, "diff");
    return false;
}

static const struct dray_whole_kind kind = {.fill = fill_layer, .discard = discard};

static int32_t probe(const struct dray_host *host, struct dray_err *err)
{
    const char *root = host->path(host, DRAY_PATH_DATA);
    struct statfs st;
    if (statfs(root, &st) < 0)
        return dray_fail_errno(err, "look at %s", root);
    if ((unsigned long)st.f_type != BTRFS_SUPER_MAGIC)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "btrfs: %s is not on a btrfs; use the storage driver \"overlay\" or "
                         "another data-root",
                         root);
    return 0;
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)instance;
    return dray_whole_open(host, &kind, out, err);
}

static const struct dray_option options[] = {
    {"sync", DRAY_OPT_BOOL, 0, "true", 0, 0, NULL,
     "flush an unpacked image layer to disk before it counts as there"},
};

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_STORAGE, DRAY_THREAD_PARALLEL, &dray_whole_ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"btrfs\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"storage\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "btrfs",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .probe = probe,
    .open = open_self,
    .quiesce = dray_whole_quiesce,
    .close = dray_whole_close,
};
