/* SPDX-License-Identifier: Apache-2.0 */
/* netns.h - network namespaces of containers, some made ahead of time. */
#ifndef DRAY_ENGINE_NETNS_H
#define DRAY_ENGINE_NETNS_H

#include "base/ident.h"

#include <dray/util.h>
#include <stddef.h>

struct dray_netns_pool;
struct dray_userns;

/** dir: absolute folder that will hold the bind mounts (EXEC_ROOT/netns). `keep` spares are kept
 *  ready after the first use. userns: for get_owned(), outlives the pool; or NULL. */
int dray_netns_open(const char *dir, unsigned keep, struct dray_userns *userns,
                    struct dray_netns_pool **out, struct dray_err *err);
/** Removes the spares; namespaces in use stay. */
void dray_netns_close(struct dray_netns_pool *p);
/** A fresh namespace with its loopback up; *path_out (caller's) names it until it is dropped. */
int dray_netns_get(struct dray_netns_pool *p, char **path_out, struct dray_err *err);
/** The same, owned by a user namespace of its own, or by the existing one at path `within`. Only of
 * a pool that has a userns. */
int dray_netns_get_owned(struct dray_netns_pool *p, const char *within, char **path_out,
                         struct dray_err *err);
/** Path of the user namespace that owns it (caller's); NULL: the host's does. */
char *dray_netns_owner(const char *path);
/** The file of the host's own namespace, for those who look for it where Docker has it (caller's).
 */
char *dray_netns_host(struct dray_netns_pool *p);
/** 64 digits that name the sandbox whose namespace is at `path` and belongs to `owner`: the file's
 *  name, filled up. */
void dray_netns_sandbox_id(const char *path, const char *owner, char out[DRAY_ID_LEN]);
/** Unmount and unlink; the kernel frees it when the last process has left. NULL is nothing. */
void dray_netns_drop(struct dray_netns_pool *p, const char *path);
/** Remove every namespace file that is neither in keep nor a spare. */
void dray_netns_collect(struct dray_netns_pool *p, struct dray_strs keep);

#endif
