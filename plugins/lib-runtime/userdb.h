/* SPDX-License-Identifier: Apache-2.0 */
/* userdb.h - finds users and groups in the files of a container's root. */
#ifndef RN_USERDB_H
#define RN_USERDB_H

#include "jsonx.h"

#include <dray/util.h>

#include <sys/types.h>

#define RN_MAX_GROUPS 1024u

struct rn_user {
    uint32_t uid, gid;
    const char *name; /* "user[:group]" to be looked up in the container, or NULL */
    uint32_t *gids;   /* additionalGids */
    size_t n_gids;
    struct rn_strv groups; /* "additionalGroups": names or numbers to be looked up */
    mode_t umask;
};

/** Read the "user" of a process; text is borrowed from the tree, the rest lives in the arena. */
int rn_user_parse(struct json_object *o, struct rn_arena *a, struct rn_user *u,
                  struct dray_err *err);

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
