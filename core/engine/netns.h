/* SPDX-License-Identifier: Apache-2.0 */
/* netns.h - network namespaces of containers, some made ahead of time. */
#ifndef DRAY_ENGINE_NETNS_H
#define DRAY_ENGINE_NETNS_H

#include <dray/util.h>
#include <stddef.h>

struct dray_netns_pool;

/** dir: absolute folder that will hold the bind mounts (EXEC_ROOT/netns). `keep` spares are kept
 *  ready after the first use. */
int dray_netns_open(const char *dir, unsigned keep, struct dray_netns_pool **out,
                    struct dray_err *err);
/** Removes the spares; namespaces in use stay. */
void dray_netns_close(struct dray_netns_pool *p);
/** A fresh namespace with its loopback up; *path_out (caller's) names it until it is dropped. */
int dray_netns_get(struct dray_netns_pool *p, char **path_out, struct dray_err *err);
/** Unmount and unlink; the kernel frees it when the last process has left. NULL is nothing. */
void dray_netns_drop(struct dray_netns_pool *p, const char *path);
/** Remove every namespace file that is not in keep. */
void dray_netns_collect(struct dray_netns_pool *p, struct dray_strs keep);

#endif
