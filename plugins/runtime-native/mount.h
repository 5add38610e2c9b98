/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount.h - mounts by descriptor: made detached, then attached to a place found safely.
 *
 * Nothing here allocates; all of it may run between clone and exec.
 */
#ifndef RN_MOUNT_H
#define RN_MOUNT_H

#include "spec.h"

#include <sys/mount.h>

#define RN_MOUNT_DATA_MAX 256

/** What the words of a mount's option list ask for. */
struct rn_mount_opts {
    uint64_t attr_set, attr_clr; /* MOUNT_ATTR_* of the mount */
    uint64_t rec_set, rec_clr;   /* the same for the whole tree */
    unsigned long propagation;   /* MS_PRIVATE ... */
    bool propagation_rec;
    bool bind, rec, copyup, sb_ro;
    const char *data[RN_MOUNT_DATA_MAX]; /* for the file system itself */
    size_t n_data;
};

int rn_mount_options(const char *const *words, size_t n, struct rn_mount_opts *out,
                     struct dray_err *err);
bool rn_mount_is_bind(const struct rn_spec_mount *m);

/** Make a file system, not attached anywhere yet. */
int rn_mount_new(const char *type, const char *source, const struct rn_mount_opts *o, int *fd_out,
                 struct dray_err *err);
/** Make a detached copy of what is mounted at a path of the host (or of a descriptor, path ""). */
int rn_mount_clone(int dirfd, const char *path, const struct rn_mount_opts *o, int *fd_out,
                   struct dray_err *err);
/** Apply the attributes and the propagation of options to a mount (fd is its root). */
int rn_mount_attrs(int fd, const struct rn_mount_opts *o, struct dray_err *err);
/** Put a detached mount upon target. */
int rn_mount_attach(int mnt, int target, const char *name, struct dray_err *err);
/** Find or make the target of a mount in root, whatever links the root has: *fd_out is O_PATH. */
int rn_mount_target(int root, const char *dest, bool dir, int *fd_out, struct dray_err *err);

/** Make the first mount of a container's root, when it can be made detached; *fd_out is -EBADF
 *  when it must be made in place, by rn_rootfs_mount_at(). */
int rn_rootfs_new(const struct dray_mount *m, int *fd_out, struct dray_err *err);
/** Mount in place, out of everybody's sight, and give a detached copy; path: any folder. */
int rn_rootfs_apart(const struct dray_mount *m, const char *path, int *fd_out,
                    struct dray_err *err);
int rn_rootfs_mount_at(const struct dray_mount *m, const char *path, struct dray_err *err);

#endif
