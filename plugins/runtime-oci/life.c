/* SPDX-License-Identifier: Apache-2.0 */
/* life.c - what can be done to a container that exists. */
#include "oci.h"

#include "files.h"
#include "stats.h"

#include <fcntl.h>
#include <signal.h>

static struct rn_cgroup groups(const struct dray_self *self, const struct oci_state *st)
{
    return (struct rn_cgroup){.layout = &self->cgroups, .path = st->cgroup, .host = self->host};
}

static int need_alive(const struct oci_state *st, const char *id, struct dray_err *err)
{
    return oci_state_alive(st) ? 0
                               : dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", id);
}

int32_t oci_kill(struct dray_self *self, const struct dray_call *call, const char *id,
                 int32_t signal, uint32_t flags, struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (rc)
        return rc;
    if (signal < 0 || signal >= NSIG)
        return dray_fail(err, DRAY_E_INVAL, "invalid signal: %d", (int)signal);
    char number[16];
    (void)snprintf(number, sizeof number, "%d", (int)signal);
    struct rn_cgroup g = groups(self, &st);
    if (flags & DRAY_KILL_ALL)
        return rn_cg_signal(&g, signal, err);
    rc = need_alive(&st, id, err);
    if (!rc)
        rc = oci_simple(self, call, id, err, "kill", id, number);
    if (!rc && signal == SIGKILL && rn_cg_frozen(&g))
        rc = rn_cg_freeze(&g, false, err); /* v1 keeps even SIGKILL from a frozen process */
    return rc;
}

int32_t oci_state(struct dray_self *self, const struct dray_call *call, const char *id,
                  struct dray_runtime_state *out, struct dray_err *err)
{
    (void)call;
    OCI_AUTO_STATE st = {.dir = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (rc)
        return rc;
    struct rn_cgroup g = groups(self, &st);
    bool alive = oci_state_alive(&st);
    out->pid = alive ? st.pid : 0;
    out->oom_killed = rn_cg_oom_kills(&g) > 0;
    out->status = !alive             ? DRAY_RUNTIME_STOPPED
                  : rn_cg_frozen(&g) ? DRAY_RUNTIME_PAUSED
                  : st.started       ? DRAY_RUNTIME_RUNNING
                                     : DRAY_RUNTIME_CREATED;
    return 0;
}

/* What the program leaves behind, because it failed or has been taken away, goes as well. */
int32_t oci_remove(struct dray_self *self, const struct dray_call *call, const char *id,
                   struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    if (oci_state_read(self, id, &st, NULL) != 0) {
        oci_state_remove(self, id);
        return 0;
    }
    struct dray_err why = {.code = 0};
    struct rn_cgroup g = groups(self, &st);
    int rc = oci_simple(self, call, id, &why, "delete", "--force", id);
    if (rc)
        dray_host_logf(self->host, DRAY_LOG_WARN, "container %.12s: %s", id, why.text);
    rc = rn_cg_remove(&g, err);
    if (!rc)
        oci_state_remove(self, id);
    return rc;
}

int32_t oci_freeze(struct dray_self *self, const struct dray_call *call, const char *id,
                   uint32_t on, struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (!rc)
        rc = need_alive(&st, id, err);
    return rc ? rc : oci_simple(self, call, id, err, on ? "pause" : "resume", id);
}

int32_t oci_update(struct dray_self *self, const struct dray_call *call, const char *id,
                   const char *resources, struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (rc)
        return rc;
    dray_autofree char *path = oci_path(self, id, "resources.json");
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autofd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || rn_write_all(fd, resources, strlen(resources)) != 0)
        return dray_fail_errno(err, "write the limits of container %.12s", id);
    rc = oci_simple(self, call, id, err, "update", "--resources", path, id);
    (void)unlink(path);
    return rc;
}

int32_t oci_stats(struct dray_self *self, const struct dray_call *call, const char *id,
                  const char **json_out, struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (!rc)
        rc = need_alive(&st, id, err);
    if (rc)
        return rc;
    struct rn_cgroup g = groups(self, &st);
    rn_autojson *all = rn_stats_collect(&g);
    const char *text = json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN);
    *json_out = text ? dray_call_strdup(self->host, call, text) : NULL;
    return *json_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int32_t oci_ps(struct dray_self *self, const struct dray_call *call, const char *id,
               struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (rc)
        return rc;
    struct rn_cgroup g = groups(self, &st);
    dray_autofree pid_t *v = NULL;
    size_t n = 0;
    rc = rn_cg_pids(&g, &v, &n, err);
    for (size_t i = 0; i < n && !rc; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", (int)v[i]);
        const struct dray_kv kv = {.key = "pid", .value = text};
        const struct dray_record rec = {
            .size = sizeof rec, .type = DRAY_REC_ITEM, .fields = {.v = &kv, .n = 1}};
        if (self->host->emit(call, &rec) != 0)
            break;
    }
    return rc;
}

int32_t oci_reattach(struct dray_self *self, const struct dray_call *call, const char *id,
                     struct dray_err *err)
{
    (void)call;
    OCI_AUTO_STATE st = {.dir = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (!rc && !oci_state_alive(&st))
        rc = dray_fail(err, DRAY_E_NOTFOUND, "container %s no longer runs", id);
    return rc;
}
