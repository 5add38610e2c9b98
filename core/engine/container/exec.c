/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c - more processes in a running container. */
#include "engine/container/exec.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/json_shape.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/shims.h"
#include "engine/rootfs/rootfs.h"
#include "engine/spec/container_config.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "exec"
#define EXEC_TIMEOUT_MS                                                                            \
    10000 /* making a process takes milliseconds, and some more on a busy host */
#define ASK_TIMEOUT_MS 10000
#define KEPT_PER_TABLE 4096

struct dray_exec {
    struct dray_exec *next; /* newest first */
    atomic_int refs;
    char id[DRAY_ID_LEN];
    struct dray_container *c; /* a reference */
    char *config;             /* JSON text of the request */
    bool tty, attach_stdin, attach_stdout, attach_stderr;
    bool raw; /* output is wanted without frames */
    char *detach_keys;
    /* guarded by the table's lock */
    bool started, running, has_code;
    int code, pid;
};

struct dray_exec_table {
    pthread_mutex_t lock; /* guards: list, n, and the changing fields of execs. order: leaf */
    pthread_cond_t changed;
    struct dray_exec *list;
    size_t n;
};

static void exec_unref(struct dray_exec *x)
{
    if (!x || atomic_fetch_sub(&x->refs, 1) != 1)
        return;
    dray_container_unref(x->c);
    free(x->config);
    free(x->detach_keys);
    free(x);
}

int dray_execs_open(struct dray_exec_table **out, struct dray_err *err)
{
    struct dray_exec_table *t = calloc(1, sizeof *t);
    if (!t)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    *out = t;
    return 0;
}

void dray_execs_close(struct dray_exec_table *t)
{
    if (!t)
        return;
    while (t->list) {
        struct dray_exec *x = t->list;
        t->list = x->next;
        exec_unref(x);
    }
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t);
}

void dray_execs_forget(struct dray_containers *cs, struct dray_container *c, bool all)
{
    struct dray_exec_table *t = cs->execs;
    struct dray_exec *gone = NULL;
    pthread_mutex_lock(&t->lock);
    for (struct dray_exec **at = &t->list; *at;) {
        struct dray_exec *x = *at;
        if (x->c != c || (!all && x->started)) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        t->n--;
        x->next = gone;
        gone = x;
    }
    pthread_mutex_unlock(&t->lock);
    while (gone) {
        struct dray_exec *x = gone;
        gone = x->next;
        exec_unref(x);
    }
}

/** Keep the table bounded: the oldest finished ones go. Call with lock held. */
static void trim(struct dray_exec_table *t)
{
    if (t->n <= KEPT_PER_TABLE)
        return;
    struct dray_exec **oldest = NULL;
    for (struct dray_exec **at = &t->list; *at; at = &(*at)->next)
        if ((*at)->started && !(*at)->running)
            oldest = at;
    if (!oldest)
        return;
    struct dray_exec *x = *oldest;
    *oldest = x->next;
    t->n--;
    exec_unref(x);
}

static int find(struct dray_containers *cs, const char *id, struct dray_exec **out,
                struct dray_err *err)
{
    struct dray_exec_table *t = cs->execs;
    struct dray_exec *found = NULL;
    size_t len = strlen(id);
    pthread_mutex_lock(&t->lock);
    for (struct dray_exec *x = t->list; x && !found && len > 0; x = x->next)
        if (strncmp(x->id, id, len) == 0)
            found = x;
    if (found)
        atomic_fetch_add(&found->refs, 1);
    pthread_mutex_unlock(&t->lock);
    if (!found)
        return dray_fail(err, DRAY_E_NOTFOUND, "No such exec instance: %s", id);
    *out = found;
    return 0;
}

/* Create. */

static const struct dray_shape_field exec_fields[] = {
    {"User", &dray_shape_str, 0},          {"Privileged", &dray_shape_bool, 0},
    {"Tty", &dray_shape_bool, 0},          {"ConsoleSize", &dray_shape_uints, DRAY_SHAPE_PTR},
    {"AttachStdin", &dray_shape_bool, 0},  {"AttachStderr", &dray_shape_bool, 0},
    {"AttachStdout", &dray_shape_bool, 0}, {"DetachKeys", &dray_shape_str, 0},
    {"Env", &dray_shape_strs, 0},          {"WorkingDir", &dray_shape_str, 0},
    {"Cmd", &dray_shape_strslice, 0},
};
static const struct dray_shape exec_shape = DRAY_SHAPE_STRUCT(exec_fields, "ExecOptions");

static int check_body(struct json_object *given, struct json_object **out, struct dray_err *err)
{
    dray_autojson *body = NULL;
    int rc = dray_shape_take(&exec_shape, given, "ExecOptions", &body, err);
    if (rc == 0 && dray_json_len(dray_json_arr(body, "Cmd")) == 0)
        rc = dray_fail(err, DRAY_E_INVAL, "No exec command specified");
    if (rc == 0)
        rc = dray_attach_check_keys(dray_json_str(body, "DetachKeys", ""), err);
    if (rc == 0)
        *out = dray_steal(body);
    return rc;
}

static char *command_line(struct json_object *body)
{
    DRAY_AUTO(dray_buf) b = {0};
    struct json_object *cmd = dray_json_arr(body, "Cmd");
    for (size_t i = 0; i < dray_json_len(cmd); i++)
        dray_buf_addf(&b, "%s%s", i ? " " : "",
                      json_object_get_string(json_object_array_get_idx(cmd, i)));
    return dray_buf_steal(&b);
}

static void emit(struct dray_exec *x, const char *action, const char *extra_key,
                 const char *extra_value)
{
    dray_autojson *body = NULL;
    dray_autofree char *line = NULL;
    dray_autofree char *full = NULL;
    if (strcmp(action, "exec_die") != 0 &&
        dray_json_parse(x->config, strlen(x->config), &body, NULL) == 0) {
        line = command_line(body);
        /* Docker joins the program and its arguments, be there any or not. */
        full = dray_strf("%s: %s%s", action, line ? line : "",
                         dray_json_len(dray_json_arr(body, "Cmd")) == 1 ? " " : "");
    }
    dray_container_event(x->c, full ? full : action, "execID", x->id, extra_key, extra_value, NULL);
}

static int check_target(struct dray_container *c, const char *name, struct dray_err *err)
{
    int rc = dray_container_need_running(c, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&c->lock);
    bool paused = c->st.status == DRAY_CS_PAUSED;
    pthread_mutex_unlock(&c->lock);
    if (paused)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "Container %s is paused, unpause the container before exec", name);
    return 0;
}

static int user_inside(void *arg, struct dray_err *err)
{
    int64_t uid, gid;
    return dray_inside_user(arg, &uid, &gid, err);
}

/* A user that the container's files do not name is refused at once, as by Docker. The container's
 * own has been found when it started. */
static int check_user(struct dray_container *c, struct json_object *body, struct dray_err *err)
{
    dray_autofree char *user = strdup(dray_json_str(body, "User", ""));
    if (!user)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return *user ? dray_rootfs_inside(c, "/etc", user_inside, user, err) : 0;
}

static int new_exec(struct dray_container *c, struct json_object *body, struct dray_exec **out,
                    struct dray_err *err)
{
    struct dray_exec *x = calloc(1, sizeof *x);
    if (!x)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    atomic_init(&x->refs, 2); /* the table's and the caller's */
    dray_id_new(x->id);
    x->c = dray_container_ref(c);
    x->config = strdup(dray_json_text(body));
    x->tty = dray_json_bool(body, "Tty", false);
    x->attach_stdin = dray_json_bool(body, "AttachStdin", false);
    x->attach_stdout = dray_json_bool(body, "AttachStdout", false);
    x->attach_stderr = dray_json_bool(body, "AttachStderr", false);
    const char *keys = dray_json_str(body, "DetachKeys", NULL);
    x->detach_keys = keys ? strdup(keys) : NULL;
    struct dray_exec_table *t = c->set->execs;
    pthread_mutex_lock(&t->lock);
    x->next = t->list;
    t->list = x;
    t->n++;
    trim(t);
    pthread_mutex_unlock(&t->lock);
    pthread_mutex_lock(&c->lock);
    bool removed = c->removed;
    pthread_mutex_unlock(&c->lock);
    if (removed) {
        dray_execs_forget(c->set, c, true);
        exec_unref(x);
        return dray_fail(err, DRAY_E_NOTFOUND, "No such container: %s", c->id);
    }
    *out = x;
    return 0;
}

int dray_execs_create(struct dray_containers *cs, const char *name, struct json_object *given,
                      int api_version, struct json_object **out, struct dray_err *err)
{
    (void)api_version;
    dray_autocontainer *c = NULL;
    dray_autojson *body = NULL;
    int rc = check_body(given, &body, err);
    if (rc == 0)
        rc = dray_container_find(cs, name, &c, err);
    if (rc == 0)
        rc = check_target(c, name, err);
    if (rc == 0)
        rc = check_user(c, body, err);
    struct dray_exec *x = NULL;
    if (rc == 0)
        rc = new_exec(c, body, &x, err);
    if (rc != 0)
        return rc;
    emit(x, "exec_create", NULL, NULL);
    *out = json_object_new_object();
    dray_json_add_str(*out, "Id", x->id);
    exec_unref(x);
    return 0;
}

/* Inspect. */

static void add_process(struct json_object *o, struct dray_exec *x)
{
    dray_autojson *body = NULL;
    if (dray_json_parse(x->config, strlen(x->config), &body, NULL) != 0)
        return;
    struct json_object *p = json_object_new_object(), *args = json_object_new_array();
    struct json_object *cmd = dray_json_arr(body, "Cmd");
    dray_json_add_bool(p, "tty", x->tty);
    dray_json_add_str(p, "entrypoint", json_object_get_string(json_object_array_get_idx(cmd, 0)));
    for (size_t i = 1; i < dray_json_len(cmd); i++)
        json_object_array_add(args, json_object_get(json_object_array_get_idx(cmd, i)));
    dray_json_add(p, "arguments", args);
    dray_json_add_bool(p, "privileged", dray_json_bool(body, "Privileged", false));
    dray_autojson *config = dray_container_json(x->c, &x->c->config);
    const char *user = dray_json_str(body, "User", "");
    if (!*user)
        user = dray_json_str(config, "User", "");
    if (*user)
        dray_json_add_str(p, "user", user);
    dray_json_add(o, "ProcessConfig", p);
}

int dray_execs_inspect(struct dray_containers *cs, const char *exec_id, struct json_object **out,
                       struct dray_err *err)
{
    struct dray_exec *x = NULL;
    int rc = find(cs, exec_id, &x, err);
    if (rc != 0)
        return rc;
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "ID", x->id);
    pthread_mutex_lock(&cs->execs->lock);
    dray_json_add_bool(o, "Running", x->running);
    dray_json_add(o, "ExitCode", x->has_code ? json_object_new_int(x->code) : NULL);
    dray_json_add_int(o, "Pid", x->pid);
    pthread_mutex_unlock(&cs->execs->lock);
    add_process(o, x);
    dray_json_add_bool(o, "OpenStdin", x->attach_stdin);
    dray_json_add_bool(o, "OpenStderr", x->attach_stderr);
    dray_json_add_bool(o, "OpenStdout", x->attach_stdout);
    dray_json_add_bool(o, "CanRemove", false);
    dray_json_add_str(o, "ContainerID", x->c->id);
    dray_json_add_str(o, "DetachKeys", x->detach_keys ? x->detach_keys : "");
    exec_unref(x);
    *out = o;
    return 0;
}

struct json_object *dray_execs_ids(struct dray_containers *cs, struct dray_container *c)
{
    struct json_object *ids = NULL;
    pthread_mutex_lock(&cs->execs->lock);
    for (struct dray_exec *x = cs->execs->list; x; x = x->next) {
        if (x->c != c || (x->started && !x->running))
            continue;
        if (!ids)
            ids = json_object_new_array();
        json_object_array_add(ids, json_object_new_string(x->id));
    }
    pthread_mutex_unlock(&cs->execs->lock);
    return ids;
}

/* Start. */

int dray_execs_start_prepare(struct dray_containers *cs, const char *exec_id, struct dray_err *err)
{
    struct dray_exec *x = NULL;
    int rc = find(cs, exec_id, &x, err);
    if (rc != 0)
        return rc;
    rc = check_target(x->c, x->c->id, err);
    pthread_mutex_lock(&cs->execs->lock);
    if (rc == 0 && x->running)
        rc = dray_fail(err, DRAY_E_CONFLICT, "exec command %s is already running", x->id);
    else if (rc == 0 && x->started)
        rc = dray_fail(err, DRAY_E_CONFLICT, "exec command %s has already run", x->id);
    pthread_mutex_unlock(&cs->execs->lock);
    exec_unref(x);
    return rc;
}

/** Claim the one start that an exec has. */
static int claim(struct dray_exec_table *t, struct dray_exec *x, struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&t->lock);
    if (x->started)
        rc = dray_fail(err, DRAY_E_CONFLICT, "exec command %s has already run", x->id);
    x->started = true;
    x->running = rc == 0 || x->running;
    pthread_mutex_unlock(&t->lock);
    return rc;
}

static void set_ended(struct dray_exec_table *t, struct dray_exec *x, int code)
{
    pthread_mutex_lock(&t->lock);
    bool news = x->running;
    x->running = false;
    if (news) {
        x->has_code = true;
        x->code = code;
    }
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    if (!news)
        return;
    char text[12];
    (void)snprintf(text, sizeof text, "%d", code);
    emit(x, "exec_die", "exitCode", text);
}

void dray_container_exec_ended(struct dray_container *c, const char *exec_id, int code)
{
    struct dray_exec *x = NULL;
    if (find(c->set, exec_id, &x, NULL) != 0)
        return;
    set_ended(c->set->execs, x, code);
    exec_unref(x);
}

static int make_message(struct dray_exec *x, const struct dray_exec_start *req, bool attached,
                        struct json_object **out, struct dray_err *err)
{
    dray_autojson *body = NULL;
    int rc = dray_json_parse(x->config, strlen(x->config), &body, err);
    struct json_object *process = NULL;
    if (rc == 0)
        rc = dray_container_spec_exec(x->c, body, &process, err);
    if (rc != 0)
        return rc;
    struct dray_attach_req a = {.stream = true,
                                .stdin_ = attached && x->attach_stdin,
                                .stdout_ = attached && x->attach_stdout,
                                .stderr_ = attached && x->attach_stderr && !x->tty,
                                .detach_keys = x->detach_keys};
    /* As with Docker the one who starts it says how the stream looks, whatever was created. */
    struct json_object *m = dray_attach_message(&a, req->tty, x->id);
    if (x->raw)
        dray_json_add_bool(m, "framed", false);
    dray_json_add(m, "process", process);
    dray_json_add_bool(m, "terminal", x->tty);
    int rows = req->rows, cols = req->cols;
    struct json_object *size = dray_json_arr(body, "ConsoleSize");
    if (rows == 0 && dray_json_len(size) == 2) {
        rows = json_object_get_int(json_object_array_get_idx(size, 0));
        cols = json_object_get_int(json_object_array_get_idx(size, 1));
    }
    dray_json_add_int(m, "rows", rows);
    dray_json_add_int(m, "cols", cols);
    dray_json_add_bool(m, "privileged", dray_json_bool(body, "Privileged", false));
    *out = m;
    return 0;
}

/** Have the shim start it. fds: none, or the client's stream and the `done` pipe. */
static int launch(struct dray_exec *x, const struct dray_exec_start *req, const int *fds,
                  size_t n_fds, struct dray_err *err)
{
    struct dray_exec_table *t = x->c->set->execs;
    struct json_object *m = NULL;
    dray_autojson *reply = NULL;
    dray_autofd int shim = -EBADF;
    int rc = make_message(x, req, n_fds > 0, &m, err);
    if (rc == 0) {
        rc = dray_shims_connect(x->c->set->shims, x->c->id, &shim, err);
        if (rc != 0)
            json_object_put(m);
        else
            rc = dray_shim_call(shim, m, fds, n_fds, EXEC_TIMEOUT_MS, &reply, err);
    }
    if (rc == DRAY_E_TIMEOUT)
        rc = dray_fail(err, DRAY_E_TIMEOUT,
                       "exec failed: the shim of container %.12s has not answered for %d s",
                       x->c->id, EXEC_TIMEOUT_MS / 1000);
    if (rc != 0) {
        set_ended(t, x, rc == DRAY_E_NOCMD ? 127 : 126);
        return rc;
    }
    pthread_mutex_lock(&t->lock);
    x->pid = (int)dray_json_int(reply, "pid", 0);
    pthread_mutex_unlock(&t->lock);
    return 0;
}

/** The session has ended: give the exit code, which comes over the container's own connection, a
 *  moment to arrive, so that an inspect right after sees it. */
static void await_code(struct dray_exec_table *t, struct dray_exec *x)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += 2;
    pthread_mutex_lock(&t->lock);
    int rc = 0;
    while (x->running && rc == 0)
        rc = pthread_cond_clockwait(&t->changed, &t->lock, CLOCK_MONOTONIC, &ts);
    pthread_mutex_unlock(&t->lock);
}

static int start_attached(struct dray_exec *x, const struct dray_exec_start *req, int sock,
                          struct dray_err *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    dray_autofd int done __attribute__((unused)) = pipe_fds[0]; /* closed at the end */
    dray_autofd int theirs = pipe_fds[1];
    const int fds[] = {sock, theirs};
    int rc = launch(x, req, fds, 2, err);
    if (rc != 0)
        return rc;
    (void)close(dray_steal_fd(&theirs));
    char how = 0;
    while (read(done, &how, 1) < 0 && errno == EINTR)
        ;
    if (how == 'd')
        emit(x, "exec_detach", NULL, NULL);
    else
        await_code(x->c->set->execs, x);
    return 0;
}

int dray_execs_start(struct dray_containers *cs, const char *exec_id,
                     const struct dray_exec_start *req, int sock, struct dray_err *err)
{
    struct dray_exec *x = NULL;
    int rc = find(cs, exec_id, &x, err);
    if (rc == 0)
        rc = claim(cs->execs, x, err);
    if (rc == 0) {
        emit(x, "exec_start", NULL, NULL);
        rc = sock >= 0 ? start_attached(x, req, sock, err) : launch(x, req, NULL, 0, err);
    }
    exec_unref(x);
    if (rc == DRAY_E_NOCMD || rc == DRAY_E_NOEXEC) {
        struct dray_err copy = err ? *err : (struct dray_err){0};
        return dray_fail(err, DRAY_E_INVAL,
                         "OCI runtime exec failed: exec failed: unable to start container process: "
                         "%s",
                         copy.text);
    }
    return rc;
}

int dray_execs_resize(struct dray_containers *cs, const char *exec_id, int rows, int cols,
                      struct dray_err *err)
{
    struct dray_exec *x = NULL;
    int rc = find(cs, exec_id, &x, err);
    if (rc != 0)
        return rc;
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "op", "resize");
    dray_json_add_str(m, "exec", x->id);
    dray_json_add_int(m, "rows", rows);
    dray_json_add_int(m, "cols", cols);
    rc = dray_shims_ask(cs->shims, x->c->id, m, ASK_TIMEOUT_MS, NULL, err);
    if (rc == DRAY_E_UNAVAIL)
        rc = dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", x->c->id);
    exec_unref(x);
    return rc;
}

/* Health checks. */

static void kill_exec(struct dray_exec *x)
{
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "op", "signal");
    dray_json_add_str(m, "exec", x->id);
    dray_json_add_int(m, "signal", SIGKILL);
    (void)dray_shims_ask(x->c->set->shims, x->c->id, m, ASK_TIMEOUT_MS, NULL, NULL);
}

/** Read what comes until the end or the time; true when the end came. */
static bool collect(int sock, int timeout_ms, size_t most, struct dray_buf *out)
{
    int64_t end = dray_clock_mono() + (int64_t)timeout_ms * 1000000;
    for (;;) {
        int64_t left = (end - dray_clock_mono()) / 1000000;
        struct pollfd p = {.fd = sock, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)left) == 0)
            return false;
        char chunk[4096];
        ssize_t n = recv(sock, chunk, sizeof chunk, 0);
        if (n <= 0)
            return true;
        if (out->len < most)
            dray_buf_add(out, chunk, (size_t)n < most - out->len ? (size_t)n : most - out->len);
    }
}

int dray_exec_run(struct dray_container *c, struct json_object *config, int timeout_ms, size_t most,
                  int *code_out, char **output_out, struct dray_err *err)
{
    int pair[2], pipe_fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return dray_fail_errno(err, "make a socket pair");
    dray_autofd int mine = pair[0];
    dray_autofd int theirs = pair[1];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    dray_autofd int done __attribute__((unused)) = pipe_fds[0]; /* closed at the end */
    dray_autofd int done_w = pipe_fds[1];
    struct dray_exec *x = NULL;
    int rc = new_exec(c, config, &x, err);
    if (rc == 0) {
        x->raw = true;
        emit(x, "exec_create", NULL, NULL);
        rc = claim(c->set->execs, x, err);
    }
    if (rc == 0)
        emit(x, "exec_start", NULL, NULL);
    const int fds[] = {theirs, done_w};
    struct dray_exec_start req = {0};
    if (rc == 0)
        rc = launch(x, &req, fds, 2, err);
    if (rc == 0) {
        (void)close(dray_steal_fd(&theirs));
        (void)close(dray_steal_fd(&done_w));
        DRAY_AUTO(dray_buf) out = {0};
        if (!collect(mine, timeout_ms, most, &out)) {
            kill_exec(x);
            rc = dray_fail(err, DRAY_E_TIMEOUT, "timed out");
        }
        await_code(c->set->execs, x);
        pthread_mutex_lock(&c->set->execs->lock);
        *code_out = x->has_code ? x->code : -1;
        pthread_mutex_unlock(&c->set->execs->lock);
        *output_out = dray_buf_steal(&out);
    }
    exec_unref(x);
    return rc;
}
