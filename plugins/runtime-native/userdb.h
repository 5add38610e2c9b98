/* SPDX-License-Identifier: Apache-2.0 */
/* userdb.h - finds users and groups in the files of a container's root. */
#ifndef RN_USERDB_H
#define RN_USERDB_H

#include "spec.h"

struct rn_ids {
    uint32_t uid, gid;
    uint32_t groups[RN_MAX_GROUPS * 2];
    size_t n_groups;
    char home[256];
};

/**
 * Resolve a user as Docker's Config.User gives it, or by the numbers of the specification, with
 * supplementary groups and home folder. root: descriptor of the container's root, not trusted.
 */
int rn_userdb_find(int root, const struct rn_user *u, struct rn_ids *out, struct dray_err *err);

#endif
