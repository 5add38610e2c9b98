/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scope.h - tells systemd of a container's group, so that it is one of its scopes.
 *
 * A path with a part "NAME.scope" means the unit of that name, in the slice that the path goes
 * through. The container's own group lies below the scope's: systemd leaves what is below alone,
 * and sets the limits of the scope itself as it likes.
 */
#ifndef RN_SCOPE_H
#define RN_SCOPE_H

#include "cgroup.h"

/** Make the scope of a group. On success *keeper_out is a child that keeps the scope until the
 *  container's process is in its group (end it with rn_scope_release()), or 0 when there is nothing
 *  to do: no such part in the path, not cgroup v2, or systemd is not this machine's PIDs' first. */
int rn_scope_make(const struct rn_cgroup *g, pid_t *keeper_out, struct dray_err *err);
/** End and reap a keeper; 0 is none. */
void rn_scope_release(pid_t *keeper);

#endif
