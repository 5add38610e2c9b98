/* SPDX-License-Identifier: Apache-2.0 */
/* hooks.h - programs that OCI's "hooks" ask for. */
#ifndef RN_HOOKS_H
#define RN_HOOKS_H

#include "spec.h"

#include <sys/types.h>

/** Run each with the container's state (OCI runtime-spec "State") on its standard input. */
int rn_hooks_run(const struct rn_hooks *hooks, const char *kind, const char *id, pid_t pid,
                 const char *bundle, const char *status, struct dray_err *err);
/** The same from the container's own first process: without input, allocating nothing. */
int rn_hooks_run_here(const struct rn_hooks *hooks, const char *kind, struct dray_err *err);

#endif
