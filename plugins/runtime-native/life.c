/* SPDX-License-Identifier: Apache-2.0 */
/* life.c - what can be done to a container that exists: signals, state, freezing, limits, removal.
 */
#include "hooks.h"
#include "namespaces.h"
#include "state.h"

#include <fcntl.h>
#include <signal.h>

#define AUTO_STATE __attribute__((cleanup(rn_state_cleanup))) struct rn_state

static struct rn_cgroup groups(const struct dray_self *self, const struct rn_state *st)
{
    return (struct rn_cgroup){.layout = &self->cgroups, .path = st->cgroup, .host = self->host};
}

int32_t rn_kill(struct dray_self *self, const struct dray_call *call, const char *id,
                int32_t signal, uint32_t flags, struct dray_err *err)
{
    (void)call;
    AUTO_STATE st = {.dir = -EBADF};
    int rc = rn_state_read(self, id, &st, err);
    if (rc != 0)
        return rc;
    if (signal < 0 || signal >= NSIG)
        return dray_fail(err, DRAY_E_INVAL, "invalid signal: %d", (int)signal);
    if (flags & DRAY_KILL_ALL) {
        struct rn_cgroup g = groups(self, &st);
        return rn_cg_signal(&g, signal, err);
    }
    dray_autofd int pidfd = -EBADF;
    rc = rn_state_pidfd(&st, id, &pidfd, err);
    if (rc == 0 && rn_pidfd_signal(pidfd, signal) != 0)
        rc = errno == ESRCH ? dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", id)
                            : dray_fail_errno(err, "signal container %s", id);
    struct rn_cgroup g = groups(self, &st);
    if (rc == 0 && signal == SIGKILL && rn_cg_frozen(&g)) {
        rc = rn_cg_freeze(&g, false, err); /* v1 keeps even SIGKILL from a frozen process */
        if (rc == DRAY_E_CONFLICT)
            rc = 0; /* it has ended already */
    }
    return rc;
}

int32_t rn_state(struct dray_self *self, const struct dray_call *call, const char *id,
                 struct dray_runtime_state *out, struct dray_err *err)
{
    (void)call;
    AUTO_STATE st = {.dir = -EBADF};
    int rc = rn_state_read(self, id, &st, err);
    if (rc != 0)
        return rc;
    struct rn_cgroup g = groups(self, &st);
    bool alive = rn_state_alive(&st);
    out->pid = alive ? st.pid : 0;
    out->oom_killed = rn_cg_oom_kills(&g) > 0;
    out->status = !alive             ? DRAY_RUNTIME_STOPPED
                  : rn_cg_frozen(&g) ? DRAY_RUNTIME_PAUSED
                  : st.started       ? DRAY_RUNTIME_RUNNING
                                     : DRAY_RUNTIME_CREATED;
    return 0;
}

static void poststop(const struct dray_self *self, const struct rn_state *st, const char *id)
{
    __attribute__((cleanup(rn_spec_cleanup))) struct rn_spec s = {.n_mounts = 0};
    struct dray_err err = {.code = 0};
    int rc = rn_spec_load(st->bundle, &s, &err);
    if (rc == 0)
        rc = rn_hooks_run(&s.poststop, "poststop", id, 0, st->bundle, "stopped", &err);
    if (rc != 0)
        dray_host_logf(self->host, DRAY_LOG_WARN, "%s", err.text);
}

/** Its state cannot be read: its group is where groups are unless a place was asked for. */
static int remove_unknown(struct dray_self *self, const char *id, struct dray_err *err)
{
    char path[PATH_MAX];
    int rc = rn_cg_path(id, NULL, path, err);
    struct rn_cgroup g = {.layout = &self->cgroups, .path = path, .host = self->host};
    rc = rc == 0 ? rn_cg_remove(&g, err) : rc;
    return rc == 0 ? rn_state_remove(self, id, err) : rc;
}

int32_t rn_remove(struct dray_self *self, const struct dray_call *call, const char *id,
                  struct dray_err *err)
{
    (void)call;
    AUTO_STATE st = {.dir = -EBADF};
    int rc = rn_state_check_id(id, err);
    if (rc != 0)
        return rc;
    int chan = rn_pending_take(self, id);
    if (chan >= 0)
        (void)close(chan); /* a process that waits for its start ends */
    rc = rn_state_read(self, id, &st, NULL);
    if (rc != 0 && faccessat(self->run, id, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return 0;
    if (rc != 0) /* cut off while it was made, or damaged */
        return remove_unknown(self, id, err);
    dray_autofd int pidfd = -EBADF;
    if (rn_state_pidfd(&st, id, &pidfd, NULL) == 0)
        (void)rn_pidfd_signal(pidfd, SIGKILL);
    struct rn_cgroup g = groups(self, &st);
    rc = rn_cg_remove(&g, err);
    if (rc == 0 && (st.hooks & RN_HOOKS_POSTSTOP))
        poststop(self, &st, id);
    return rc == 0 ? rn_state_remove(self, id, err) : rc;
}

int32_t rn_freeze(struct dray_self *self, const struct dray_call *call, const char *id, uint32_t on,
                  struct dray_err *err)
{
    (void)call;
    AUTO_STATE st = {.dir = -EBADF};
    int rc = rn_state_read(self, id, &st, err);
    if (rc != 0)
        return rc;
    if (!rn_state_alive(&st))
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", id);
    struct rn_cgroup g = groups(self, &st);
    return rn_cg_freeze(&g, on != 0, err);
}

int32_t rn_update(struct dray_self *self, const struct dray_call *call, const char *id,
                  const char *resources, struct dray_err *err)
{
    (void)call;
    AUTO_STATE st = {.dir = -EBADF};
    rn_autojson *o = NULL;
    int rc = rn_state_read(self, id, &st, err);
    if (rc == 0)
        rc = rn_json_parse(resources, strlen(resources), &o, err);
    if (rc != 0)
        return rc;
    struct rn_cgroup g = groups(self, &st);
    rc = rn_cg_apply(&g, o, false, err);
    if (rc != 0 && !rn_state_alive(&st))
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", id);
    return rc;
}

int32_t rn_ps(struct dray_self *self, const struct dray_call *call, const char *id,
              struct dray_err *err)
{
    AUTO_STATE st = {.dir = -EBADF};
    int rc = rn_state_read(self, id, &st, err);
    if (rc != 0)
        return rc;
    struct rn_cgroup g = groups(self, &st);
    pid_t *v = NULL;
    size_t n = 0;
    rc = rn_cg_pids(&g, &v, &n, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", (int)v[i]);
        const struct dray_kv kv = {.key = "pid", .value = text};
        const struct dray_record rec = {
            .size = sizeof rec, .type = DRAY_REC_ITEM, .fields = {.v = &kv, .n = 1}};
        if (self->host->emit(call, &rec) != 0)
            break;
    }
    free(v);
    return rc;
}

int32_t rn_reattach(struct dray_self *self, const struct dray_call *call, const char *id,
                    struct dray_err *err)
{
    (void)call;
    AUTO_STATE st = {.dir = -EBADF};
    int rc = rn_state_read(self, id, &st, err);
    if (rc == 0 && !rn_state_alive(&st))
        rc = dray_fail(err, DRAY_E_NOTFOUND, "container %s no longer runs", id);
    return rc;
}
