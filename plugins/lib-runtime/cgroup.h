/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - control groups of containers, on cgroup v1, v2, or v1 with an empty v2 beside
 * (hybrid).
 *
 * A container has the same path in every hierarchy. The layout of the hierarchies is read once.
 */
#ifndef RN_CGROUP_H
#define RN_CGROUP_H

#include "jsonx.h"

#include <dray/util.h>

#include <limits.h>
#include <sys/types.h>

enum rn_controller {
    RN_CG_CPU,
    RN_CG_CPUACCT,
    RN_CG_CPUSET,
    RN_CG_MEMORY,
    RN_CG_DEVICES,
    RN_CG_FREEZER,
    RN_CG_IO, /* blkio */
    RN_CG_PIDS,
    RN_CG_HUGETLB,
    RN_CG_NET_CLS,
    RN_CG_NET_PRIO,
    RN_CG_PERF,
    RN_CG_RDMA,
    RN_CG_MISC,
    RN_CG_N,
};

#define RN_CG_TREES 24

/** One hierarchy. */
struct rn_cg_tree {
    char *mount;          /* where it is mounted on the host */
    char *options;        /* v1: "cpu,cpuacct" or "name=systemd": also its folder's name */
    uint32_t controllers; /* 1 << enum rn_controller */
};

struct rn_cg_layout {
    struct rn_cg_tree v1[RN_CG_TREES];
    size_t n_v1;
    struct rn_cg_tree v2; /* mount NULL: none */
    bool unified;         /* v2 has the controllers */
};

int rn_cg_layout_read(struct rn_cg_layout *out, struct dray_err *err);
void rn_cg_layout_cleanup(struct rn_cg_layout *l);
/** The v1 hierarchy of a controller, or NULL. */
const struct rn_cg_tree *rn_cg_tree_of(const struct rn_cg_layout *l, enum rn_controller c);
const char *rn_cg_name(enum rn_controller c, bool v2);
/** Mask of the controllers named in text, separated by any of sep. */
uint32_t rn_cg_mask(const char *text, const char *sep, bool v2);

/** Path of a container's cgroup below a mount, from OCI's cgroupsPath (NULL: a default). */
int rn_cg_path(const char *id, const char *cgroups_path, char out[PATH_MAX], struct dray_err *err);

/** A container's groups. */
struct rn_cgroup {
    const struct rn_cg_layout *layout;
    const char *path;
    const struct dray_host *host; /* for warnings, or NULL */
};

/** Open its folder in the v2 tree or in a v1 tree (O_PATH); -1 with errno. */
int rn_cg_open(const struct rn_cgroup *g, const struct rn_cg_tree *t);
/** The tree where a controller's files are found. */
const struct rn_cg_tree *rn_cg_where(const struct rn_cg_layout *l, enum rn_controller c);

/** Make its folders in every hierarchy (v2 alone: rn_cg_make_v2). */
int rn_cg_make_v1(const struct rn_cgroup *g, struct dray_err *err);
int rn_cg_make_v2(const struct rn_cgroup *g, struct dray_err *err);
/** Set limits from an OCI "resources" object (may be NULL). fresh: the groups have just been made,
 *  so the rules for devices are written too, with the default ones. */
int rn_cg_apply(const struct rn_cgroup *g, struct json_object *resources, bool fresh,
                struct dray_err *err);
int rn_cg_apply_v1(const struct rn_cgroup *g, struct json_object *resources, struct dray_err *err);
int rn_cg_apply_v2(const struct rn_cgroup *g, struct json_object *resources, struct dray_err *err);

/** Move the calling thread, the only one of its process, into every v1 group. No allocation. */
int rn_cg_join_v1(const struct rn_cgroup *g, struct dray_err *err);

/** The pids in the groups and those below, each once. Caller frees. */
int rn_cg_pids(const struct rn_cgroup *g, pid_t **out, size_t *n_out, struct dray_err *err);
/** Signal every process. */
int rn_cg_signal(const struct rn_cgroup *g, int sig, struct dray_err *err);
int rn_cg_freeze(const struct rn_cgroup *g, bool on, struct dray_err *err);
bool rn_cg_frozen(const struct rn_cgroup *g);
/** How many processes the kernel killed for lack of memory. */
uint64_t rn_cg_oom_kills(const struct rn_cgroup *g);
/** Kill what still runs and remove the groups. Absent ones are no error. */
int rn_cg_remove(const struct rn_cgroup *g, struct dray_err *err);

/* Rules for devices. */

enum { RN_DEV_MKNOD = 1, RN_DEV_READ = 2, RN_DEV_WRITE = 4, RN_DEV_ALL = 7 };

struct rn_dev_rule {
    bool allow;
    char type; /* b, c */
    uint8_t access;
    int64_t major, minor; /* -1: any */
};

struct rn_dev_rules {
    bool allow; /* what no rule speaks of */
    struct rn_dev_rule *v;
    size_t n;
};

/** From OCI's list (may be NULL); later ones win. The defaults are added. */
int rn_dev_rules_parse(struct json_object *list, struct rn_arena *a, struct rn_dev_rules *out,
                       struct dray_err *err);
int rn_dev_rules_v1(const struct rn_cgroup *g, const struct rn_dev_rules *r, struct dray_err *err);
/** Attach a BPF program to a v2 group. */
int rn_dev_rules_v2(const struct rn_cgroup *g, const struct rn_dev_rules *r, struct dray_err *err);

#endif
