/* SPDX-License-Identifier: Apache-2.0 */
/* cg_resources.h - tables that carry limits from OCI's "resources" to files of cgroups. */
#ifndef RN_CG_RESOURCES_H
#define RN_CG_RESOURCES_H

#include "cgroup.h"

enum rn_row_kind {
    RN_ROW_INT,  /* a number; 0 is "not given" */
    RN_ROW_ZERO, /* a number; 0 counts */
    RN_ROW_MAX,  /* a number; 0 is "not given", below zero is written as "max" */
    RN_ROW_STR,
    RN_ROW_SOFT, /* like INT, but a kernel without the file is left alone */
};

struct rn_cg_row {
    const char *section, *key;
    enum rn_controller controller;
    const char *file;
    enum rn_row_kind kind;
};

/** A list of {major, minor, rate}. word: v2's "rbps" and so on; NULL on v1. */
struct rn_cg_throttle {
    const char *key, *file, *word;
};

/** Open the group of a controller; NOTSUP in err and -1 when there is none. */
int rn_cg_dir(const struct rn_cgroup *g, enum rn_controller c, struct dray_err *err);
void rn_cg_warn(const struct rn_cgroup *g, const char *text);
int rn_cg_apply_rows(const struct rn_cgroup *g, struct json_object *resources,
                     const struct rn_cg_row *rows, size_t n, struct dray_err *err);
int rn_cg_apply_throttles(const struct rn_cgroup *g, struct json_object *io,
                          const struct rn_cg_throttle *rows, size_t n, struct dray_err *err);
int rn_cg_apply_hugepages(const struct rn_cgroup *g, struct json_object *list,
                          struct dray_err *err);

#endif
