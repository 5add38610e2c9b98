/* SPDX-License-Identifier: Apache-2.0 */
/* state.h - what is remembered of a container in the driver's folder: one small file each. */
#ifndef RN_STATE_H
#define RN_STATE_H

#include "native.h"

enum { RN_HOOKS_POSTSTART = 1, RN_HOOKS_POSTSTOP = 2 };

struct rn_state {
    pid_t pid;
    uint64_t start;      /* when pid began, in clock ticks: tells it from a later one */
    uint64_t namespaces; /* CLONE_NEW* that are not the host's */
    char *cgroup, *bundle;
    unsigned hooks; /* RN_HOOKS_* that the bundle has */
    bool started;
    int dir; /* the container's folder */
};

void rn_state_cleanup(struct rn_state *s);

/** Is id fit to be a name? */
int rn_state_check_id(const char *id, struct dray_err *err);
/** Make the container's folder; CONFLICT if a living one has the name. *dir_out: its descriptor. */
int rn_state_new(struct dray_self *self, const char *id, int *dir_out, struct dray_err *err);
int rn_state_write(const struct rn_state *s, struct dray_err *err);
/** Note that the command has been started. */
int rn_state_mark_started(const struct rn_state *s, struct dray_err *err);
/** NOTFOUND if there is no such container. */
int rn_state_read(struct dray_self *self, const char *id, struct rn_state *out,
                  struct dray_err *err);
/** Drop the folder. Absent: success. */
int rn_state_remove(struct dray_self *self, const char *id, struct dray_err *err);

/** Start time of a process, 0 when it does not live (a zombie does not). */
uint64_t rn_proc_start_time(pid_t pid);
bool rn_state_alive(const struct rn_state *s);
/** A pidfd of the living first process; CONFLICT otherwise. */
int rn_state_pidfd(const struct rn_state *s, const char *id, int *pidfd_out, struct dray_err *err);

#endif
