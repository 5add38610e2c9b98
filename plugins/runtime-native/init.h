/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.h - the life of a container's process between clone and exec.
 *
 * Nothing here allocates: the process may be the copy of one thread of a program with many.
 */
#ifndef RN_INIT_H
#define RN_INIT_H

#include "native.h"
#include "filter.h"
#include "userdb.h"

/** What is the same for a container's first process and for execs. */
struct rn_task {
    struct dray_self *self;
    const char *id;
    const struct rn_process *process;
    const struct rn_filter *filter; /* insns NULL: none */
    int chan;                       /* to the maker */
    int proc;                       /* the host's /proc, O_PATH */
    int io[3];                      /* the streams, or the terminal's slave */
    bool terminal;
    uint16_t rows, cols;
    struct rn_cgroup cgroup;
    struct rn_ids ids;
    /* what rn_task_rights() leaves to rn_task_exec() */
    uint64_t bounding, extra;
    bool there; /* in the working directory */
};

/** The first process. */
struct rn_init {
    struct rn_task task;
    const struct rn_spec *spec;
    const struct dray_run_spec *run;
    int root;   /* the root's mount, or -EBADF: made in place */
    int parent; /* the maker's end of the channel, to be closed */
    bool joined;
    bool reads_maps;
};

/** Never returns. */
_Noreturn void rn_init_main(struct rn_init *in);

/* mounts.c */
int rn_mounts_make(struct rn_init *in, struct dray_err *err);
/** Join the cgroups, once the maker says that they are there. */
int rn_init_join(struct rn_init *in, struct dray_err *err);

/* devices.c */
/** Nodes and links of /dev, unless the host's is used. console: slave of the terminal, or -1. */
int rn_devices_make(const struct rn_spec *s, int root, int console, struct dray_err *err);

/* masks.c */
/** Hide and write-protect paths. null: the host's /dev/null, O_PATH. */
int rn_masks_make(const struct rn_spec *s, int root, int null, struct dray_err *err);

/* copyup.c */
/** Copy what a folder holds (as far as it is files, folders and links) into another. */
int rn_copyup(int from, int to, struct dray_err *err);

/* finish.c */

/** Say what failed and end. */
_Noreturn void rn_task_fail(const struct rn_task *t, const struct dray_err *err);
/** Leave the maker's keys behind: keyrings are in no namespace. */
void rn_task_keys(const char *id);
/** Before a user namespace is entered: what its root has no right to, OOM score and hard limits. */
int rn_task_raise(const struct rn_task *t, struct dray_err *err);
/** The host's ids of the root of a process's user namespace; 0 or -1. */
int rn_ns_root_of(int proc, pid_t pid, uid_t *uid, gid_t *gid);
/** Pipes and sockets become the property of a container's root. */
void rn_task_give(const struct dray_stdio *io, uid_t uid, gid_t gid);
/** What needs the host's /proc: OOM score, labels, checked by the caller's rights. */
int rn_task_labels(const struct rn_task *t, struct dray_err *err);
/** Put the streams in place and close everything else but the channel, which becomes t->chan 3. */
int rn_task_descriptors(struct rn_task *t, struct dray_err *err);
/** Take the user's identity, limits and rights, but for what loading a filter needs. */
int rn_task_rights(struct rn_task *t, struct dray_err *err);
/** The rest, and exec. Returns on failure only. */
int rn_task_exec(struct rn_task *t, struct dray_err *err);

#endif
