/* SPDX-License-Identifier: Apache-2.0 */
/* rlimits.h - resource limits of a process. */
#ifndef RN_RLIMITS_H
#define RN_RLIMITS_H

#include "spec.h"

/** RLIMIT_* of a name as OCI writes it, or -1. */
int rn_rlimit_number(const char *name);
/** Set the limits of the calling process. */
/** Raise hard limits to what a process will have, as far as it may; its limits stay as they are. */
void rn_rlimits_raise(const struct rn_process *p);
int rn_rlimits_apply(const struct rn_process *p, struct dray_err *err);

#endif
