/* SPDX-License-Identifier: Apache-2.0 */
/* ops.c - the requests of protocol.h, one function each. */
#include "shim/shim.h"

#include "base/json.h"

#include <signal.h>
#include <sys/syscall.h>

/* One request: ops read body and fill answer. */
struct request {
    struct shim *shim;
    const struct shim_conn *conn;
    struct dray_sockmsg *msg;
    struct json_object *answer;
};

static int op_run(struct request *r, struct dray_err *err)
{
    int rc = shim_run(r->shim, r->msg->body, err);
    if (rc)
        return rc;
    dray_json_add_int(r->answer, "pid", r->shim->init.pid);
    dray_json_add_int(r->answer, "started_ns", r->shim->started_ns);
    return 0;
}

/* The process that a request is about: the exec it names, or the container's. */
static struct shim_proc *target(struct request *r, struct dray_err *err)
{
    const char *id = dray_json_str(r->msg->body, "exec", NULL);
    struct shim_proc *p = id ? shim_exec_find(r->shim, id) : &r->shim->init;
    if (!p)
        dray_fail(err, DRAY_E_NOTFOUND, "No such exec instance: %s", id);
    return p;
}

static int op_attach(struct request *r, struct dray_err *err)
{
    struct shim_proc *p = target(r, err);
    if (!p)
        return DRAY_E_NOTFOUND;
    if (r->msg->n_fds < 2)
        return dray_fail(err, DRAY_E_INVAL, "attach: two descriptors are needed");
    return shim_session_new(p, r->msg->body, dray_sockmsg_take_fd(r->msg, 0),
                            dray_sockmsg_take_fd(r->msg, 1), err);
}

static int op_exec(struct request *r, struct dray_err *err)
{
    int pid = 0;
    int rc = shim_exec(r->shim, r->msg, &pid, err);
    if (!rc && shim_conn_gone(r->conn)) /* nobody knows that it runs */
        (void)kill(pid, SIGKILL);
    if (!rc)
        dray_json_add_int(r->answer, "pid", pid);
    return rc;
}

static int op_resize(struct request *r, struct dray_err *err)
{
    struct json_object *body = r->msg->body;
    uint16_t rows = (uint16_t)dray_json_int(body, "rows", 0);
    uint16_t cols = (uint16_t)dray_json_int(body, "cols", 0);
    const char *id = dray_json_str(body, "exec", NULL);
    struct shim_proc *p = id ? shim_exec_find(r->shim, id) : &r->shim->init;
    if (p)
        return shim_proc_resize(p, rows, cols, err);
    shim_exec_size(r->shim, id, rows, cols);
    return 0;
}

static int op_signal(struct request *r, struct dray_err *err)
{
    struct shim_proc *p = target(r, err);
    if (!p)
        return DRAY_E_NOTFOUND;
    int sig = (int)dray_json_int(r->msg->body, "signal", SIGTERM);
    if (!p->pid || p->exited)
        return dray_fail(err, DRAY_E_CONFLICT, "the process is not running");
    long rc = p->pidfd.fd >= 0 ? syscall(SYS_pidfd_send_signal, p->pidfd.fd, sig, NULL, 0)
                               : kill(p->pid, sig);
    return rc != 0 ? dray_fail_errno(err, "signal %d", sig) : 0;
}

static int op_kill(struct request *r, struct dray_err *err)
{
    struct shim *s = r->shim;
    if (!s->ran || s->init.exited || s->ending)
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", s->id);
    int sig = (int)dray_json_int(r->msg->body, "signal", SIGTERM);
    uint32_t flags = dray_json_bool(r->msg->body, "all", false) ? DRAY_KILL_ALL : 0;
    return dray_driver_call(s->runtime, runtime, DRAY_CLASS_QUICK, err, kill, s->id, sig, flags);
}

static int op_close_stdin(struct request *r, struct dray_err *err)
{
    struct shim_proc *p = target(r, err);
    if (!p)
        return DRAY_E_NOTFOUND;
    if (!p->terminal)
        shim_proc_close_in(p);
    return 0;
}

static int op_state(struct request *r, struct dray_err *err)
{
    (void)err;
    struct shim *s = r->shim;
    bool running = s->ran && !s->init.exited;
    dray_json_add_int(r->answer, "pid", running ? s->init.pid : 0);
    dray_json_add_int(r->answer, "started_ns", s->started_ns);
    dray_json_add_bool(r->answer, "running", running);
    struct json_object *execs = json_object_new_array();
    struct shim_proc *p = NULL;
    LIST_FOREACH(p, &s->execs, link)
    {
        if (p->exited)
            continue;
        struct json_object *e = json_object_new_object();
        dray_json_add_str(e, "id", p->id);
        dray_json_add_int(e, "pid", p->pid);
        json_object_array_add(execs, e);
    }
    dray_json_add(r->answer, "execs", execs);
    return 0;
}

static int op_quit(struct request *r, struct dray_err *err)
{
    if (r->shim->ran && !r->shim->init.exited)
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is running", r->shim->id);
    r->shim->quit = true;
    return 0;
}

static const struct {
    const char *name;
    int (*fn)(struct request *, struct dray_err *);
} OPS[] = {
    {"run", op_run},       {"attach", op_attach}, {"exec", op_exec},
    {"resize", op_resize}, {"signal", op_signal}, {"kill", op_kill},
    {"state", op_state},   {"quit", op_quit},     {"close_stdin", op_close_stdin},
};

void shim_request(struct shim_conn *c, struct dray_sockmsg *msg)
{
    struct dray_err err = {0};
    const char *op = dray_json_str(msg->body, "op", "");
    c->shim->untidy = true;
    dray_autojson *answer = json_object_new_object();
    dray_json_add_int(answer, "re", dray_json_int(msg->body, "seq", 0));
    struct request r = {.shim = c->shim, .conn = c, .msg = msg, .answer = answer};
    int rc = DRAY_E_INVAL;
    size_t i = 0;
    while (i < sizeof OPS / sizeof OPS[0] && strcmp(OPS[i].name, op) != 0)
        i++;
    if (i < sizeof OPS / sizeof OPS[0])
        rc = OPS[i].fn(&r, &err);
    else
        dray_fail(&err, DRAY_E_INVAL, "\"%.32s\" is no request that a shim knows", op);
    if (rc) {
        dray_json_add_int(answer, "code", rc);
        dray_json_add_str(answer, "error", err.text);
    }
    shim_conn_send(c, answer);
}
