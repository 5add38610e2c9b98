/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs.h - looking into a container's file system from the daemon. */
#ifndef DRAY_ENGINE_ROOTFS_H
#define DRAY_ENGINE_ROOTFS_H

#include <dray/util.h>
#include <stdbool.h>

struct dray_container;

/**
 * A descriptor of the container's root folder. Running: through its init, so that its mounts are
 * seen. Stopped: its layer in a detached mount that lives as long as the descriptor, without its
 * volumes. Resolve paths below it with openat2(RESOLVE_IN_ROOT) only.
 */
int dray_rootfs_open(struct dray_container *c, int *fd_out, struct dray_err *err);
/** The same for any layer. rdonly: nothing can be written through it. */
int dray_rootfs_open_layer(struct dray_container *c, bool rdonly, int *fd_out,
                           struct dray_err *err);

/** Called inside: "/" is the container's root, and nothing outside of it can be named. */
typedef int (*dray_inside_fn)(void *arg, struct dray_err *err);
/**
 * Run fn on a thread of its own whose root is the container's, with everything mounted that a
 * process of the container sees or would see: also when it is stopped. Returns fn's result.
 * path: what fn will look at. When that does not answer in time (a dead file server), fn is not
 * called, and it is DRAY_E_TIMEOUT; a thread stays behind until the answer comes.
 */
int dray_rootfs_inside(struct dray_container *c, const char *path, dray_inside_fn fn, void *arg,
                       struct dray_err *err);

/**
 * Whom Config.User means ("name", "name:group", "1000", "1000:50"), by the files of the container:
 * call it inside. A user without a group has the one of /etc/passwd, or 0. Unknown names and ids
 * out of range: DRAY_E_INVAL with Docker's words.
 */
int dray_inside_user(const char *user, int64_t *uid_out, int64_t *gid_out, struct dray_err *err);

/** Copy the content of folder `from` into folder `to`: files, links, devices, owners, modes,
 *  extended attributes, times. Stays on from's file system. */
int dray_tree_copy(int from, int to, struct dray_err *err);

#endif
