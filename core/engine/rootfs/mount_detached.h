/* SPDX-License-Identifier: Apache-2.0 */
/* mount_detached.h - mounts that storage drivers describe, for nobody else to see. */
#ifndef DRAY_ENGINE_MOUNT_DETACHED_H
#define DRAY_ENGINE_MOUNT_DETACHED_H

#include <dray/abi.h>
#include <stdbool.h>

struct dray_userns_view;

/** Make a mount that lives as long as its descriptor. view: where to find the driver's folder, or
 *  NULL. A bind keeps what is mounted there already, rdonly or not. */
int dray_mount_detached(const struct dray_mount *m, bool rdonly,
                        const struct dray_userns_view *view, int *fd_out, struct dray_err *err);

#endif
