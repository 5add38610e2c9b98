/* SPDX-License-Identifier: Apache-2.0 */
/* mounts.h - makes the mounts that a dray_mount describes. */
#ifndef DRAY_PLUGIN_MOUNTS_H
#define DRAY_PLUGIN_MOUNTS_H

#include <dray/util.h>

/** The list of options, as mount(2) wants it. */
struct dray_pl_mount_opts {
    unsigned long flags;       /**< MS_* */
    unsigned long propagation; /**< MS_PRIVATE ... with MS_REC, or 0 */
    char *data;                /**< the rest, joined by commas; never NULL */
};

/** Split options into flags and data; the caller cleans up. Unknown ones are data. */
int dray_pl_mount_parse(struct dray_strs options, struct dray_pl_mount_opts *out,
                        struct dray_err *err);
void dray_pl_mount_opts_cleanup(struct dray_pl_mount_opts *opts);

/**
 * mount(2) at an absolute path that exists. Overlay options that do not fit in a page are made
 * relative to the folder their lowerdirs share, in a thread with a working directory of its own.
 * The error's os_errno is mount's.
 */
int dray_pl_mount_at(const struct dray_mount *m, const char *target, struct dray_err *err);

/**
 * Make the mount without attaching it anywhere: *fd_out is its root, and closing it ends it. It
 * never shows in a mount table but, on kernels before 6.8 and only for a moment, at scratch, an
 * existing empty folder.
 */
int dray_pl_mount_detached(const struct dray_mount *m, const char *scratch, int *fd_out,
                           struct dray_err *err);

/** How the second of the two ways of dray_pl_mount_detached works, for old kernels. */
int dray_pl_mount_detached_old(const struct dray_mount *m, const char *scratch, int *fd_out,
                               struct dray_err *err);

#endif
