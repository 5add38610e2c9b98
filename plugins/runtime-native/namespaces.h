/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces.h - making and joining namespaces; making processes in them. */
#ifndef RN_NAMESPACES_H
#define RN_NAMESPACES_H

#include "spec.h"

#include <sys/types.h>

/** Open the namespaces to be joined. */
int rn_ns_open(struct rn_spec *s, struct dray_err *err);
/** The user namespace among them, or -1. */
int rn_ns_user(const struct rn_spec *s);
/** In the new process: enter those that were opened, but for user and pid. */
int rn_ns_join(const struct rn_spec *s, struct dray_err *err);
/** Write the maps of a process's user namespace. */
int rn_ns_map(const struct rn_spec *s, pid_t pid, struct dray_err *err);

struct rn_clone {
    uint64_t flags; /* CLONE_NEW* */
    int pid_ns;     /* a pid namespace (or a pidfd in one) for the child, or -1 */
    int cgroup;     /* a cgroup v2 to be born in, or -1 */
    int user_ns;    /* a user namespace for the child, which then owns the new ones, or -1 */
    /** Called before that is entered, while the host's rights are there. */
    int (*before)(void *arg, struct dray_err *err);
    void *arg;
};

/** Like fork, of the calling thread; in the child *pid_out is 0. *pidfd_out is the parent's. */
int rn_ns_clone(const struct rn_clone *c, pid_t *pid_out, int *pidfd_out, struct dray_err *err);
/** The caller, whose children are to be born in another pid namespace, makes the one that goes on
 *  there in its stead, as a child of its parent; *pid_out, a page that is shared with whoever is to
 *  know, has its pid from before it runs. Returns in the child only, or with an error. */
int rn_ns_step(volatile pid_t *pid_out, struct dray_err *err);
/** pidfd_open */
int rn_pidfd_open(pid_t pid);
/** pidfd_send_signal */
int rn_pidfd_signal(int pidfd, int sig);
/** In the child: forget the host's signal handlers and mask. */
void rn_reset_signals(void);

#endif
