/* SPDX-License-Identifier: Apache-2.0 */
/* native.h - the driver's instance, and what its operations share. */
#ifndef RN_NATIVE_H
#define RN_NATIVE_H

#include "cgroup.h"
#include "spec.h"

#include <dray/plugin.h>
#include <dray/runtime.h>

#include <pthread.h>

/** A container that has been created here and waits for its start. */
struct rn_pending {
    struct rn_pending *next;
    char *id;
    int chan;
};

struct dray_self {
    const struct dray_host *host;
    int run;             /* the folder of our state */
    int null, null_tree; /* the host's /dev/null through a read-only mount, and that mount */
    struct rn_cg_layout cgroups;
    uint64_t self_dev, self_ino; /* of the program that has loaded us */
    bool apparmor, selinux;      /* the kernel enforces them */
    pthread_mutex_t lock;        /* guards: pending */
    struct rn_pending *pending;
};

int32_t rn_create(struct dray_self *self, const struct dray_call *call, const char *id,
                  const struct dray_run_spec *spec, struct dray_proc *out, struct dray_err *err);
int32_t rn_start(struct dray_self *self, const struct dray_call *call, const char *id,
                 struct dray_err *err);
int32_t rn_exec(struct dray_self *self, const struct dray_call *call, const char *id,
                const struct dray_exec_spec *spec, struct dray_proc *out, struct dray_err *err);
int32_t rn_kill(struct dray_self *self, const struct dray_call *call, const char *id,
                int32_t signal, uint32_t flags, struct dray_err *err);
int32_t rn_state(struct dray_self *self, const struct dray_call *call, const char *id,
                 struct dray_runtime_state *out, struct dray_err *err);
int32_t rn_remove(struct dray_self *self, const struct dray_call *call, const char *id,
                  struct dray_err *err);
int32_t rn_freeze(struct dray_self *self, const struct dray_call *call, const char *id, uint32_t on,
                  struct dray_err *err);
int32_t rn_update(struct dray_self *self, const struct dray_call *call, const char *id,
                  const char *resources, struct dray_err *err);
int32_t rn_stats(struct dray_self *self, const struct dray_call *call, const char *id,
                 const char **json_out, struct dray_err *err);
int32_t rn_ps(struct dray_self *self, const struct dray_call *call, const char *id,
              struct dray_err *err);
int32_t rn_reattach(struct dray_self *self, const struct dray_call *call, const char *id,
                    struct dray_err *err);

/** Take the channel of a created container out of the list; -1 if there is none. */
int rn_pending_take(struct dray_self *self, const char *id);

#endif
