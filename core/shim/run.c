/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - the container's life: made and started, its execs, its end. */
#include "shim/shim.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "shim/protocol.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define DRAY_LOG_AREA "shim"

/* How long a new shim waits for the one of the container's last run to finish. */
#define PREDECESSOR_MS 10000
/* Those who wait for the end have been told: they go before the cleaning. */
#define CLEANER_NICE 5

/* Descriptors for a child, closed at the end of the scope. */
static void shim_ends_cleanup(struct shim_ends *e)
{
    for (size_t i = 0; i < 3; i++)
        dray_cleanup_fd(&e->fd[i]);
}
#define NO_ENDS                                                                                    \
    {                                                                                              \
        {                                                                                          \
            -EBADF, -EBADF, -EBADF                                                                 \
        }                                                                                          \
    }

static void dray_proc_cleanup(struct dray_proc *p)
{
    dray_cleanup_fd(&p->pidfd.fd);
    dray_cleanup_fd(&p->terminal.fd);
}
#define NO_PROC                                                                                    \
    {                                                                                              \
        .size = sizeof(struct dray_proc), .pidfd = {-EBADF}, .terminal = { -EBADF }                \
    }

static struct dray_stdio stdio_of(const struct shim_ends *e)
{
    return (struct dray_stdio){{e->fd[0] < 0 ? -1 : e->fd[0]},
                               {e->fd[1] < 0 ? -1 : e->fd[1]},
                               {e->fd[2] < 0 ? -1 : e->fd[2]}};
}

/* Calls of the runtime, with children's signals as they should be. */
#define RUNTIME_CALL(s, klass, err, op, ...)                                                       \
    __extension__({                                                                                \
        shim_signals_open(s);                                                                      \
        int rc_ =                                                                                  \
            dray_driver_call((s)->runtime, runtime, (klass), (err), op, (s)->id, ##__VA_ARGS__);   \
        shim_signals_block(s);                                                                     \
        rc_;                                                                                       \
    })

/* Rootfs mounts of a request. */

struct mounts {
    struct dray_mount *v;
    struct dray_strlist *options;
    size_t n;
};

static void mounts_cleanup(struct mounts *m)
{
    for (size_t i = 0; i < m->n; i++)
        dray_strlist_free(&m->options[i]);
    free(m->options);
    free(m->v);
}

static int read_mounts(struct json_object *array, struct mounts *m, struct dray_err *err)
{
    size_t n = dray_json_len(array);
    m->v = calloc(n + 1, sizeof *m->v);
    m->options = calloc(n + 1, sizeof *m->options);
    if (!m->v || !m->options)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (; m->n < n; m->n++) {
        struct json_object *j = json_object_array_get_idx(array, m->n);
        struct dray_strlist *options = &m->options[m->n];
        int rc = dray_json_to_strlist(dray_json_arr(j, "options"), options, err);
        if (rc)
            return rc;
        m->v[m->n] = (struct dray_mount){
            .size = sizeof m->v[0],
            .type = dray_json_str(j, "type", ""),
            .source = dray_json_str(j, "source", ""),
            .target = dray_json_str(j, "target", ""),
            .options = dray_strlist_view(options),
        };
    }
    return 0;
}

/* Run. */

/* A container is run by one shim at a time: the last one may still be dropping it. */
static int lock_container(struct shim *s, const char *exit_file, struct dray_err *err)
{
    s->exit_path = strdup(exit_file);
    char *slash = s->exit_path ? strrchr(s->exit_path, '/') : NULL;
    if (!slash || slash == s->exit_path)
        return dray_fail(err, DRAY_E_INVAL, "run: \"exit_file\" is no absolute path");
    *slash = '\0';
    s->exit_file = slash + 1;
    s->lock = open(s->exit_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->lock < 0)
        return dray_fail_errno(err, "open %s", s->exit_path);
    struct timespec pause = {.tv_nsec = 1000000};
    for (int ms = 0; flock(s->lock, LOCK_EX | LOCK_NB) != 0; ms++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return dray_fail_errno(err, "lock %s", s->exit_path);
        if (ms >= PREDECESSOR_MS)
            return dray_fail(err, DRAY_E_BUSY, "the last run of the container has not ended yet");
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

static void read_proc_fields(struct shim_proc *p, struct json_object *body)
{
    p->terminal = dray_json_bool(body, "terminal", false);
    p->open_stdin = dray_json_bool(body, "stdin", false);
    p->stdin_once = dray_json_bool(body, "stdin_once", false);
    uint16_t rows = (uint16_t)dray_json_int(body, "rows", 0);
    uint16_t cols = (uint16_t)dray_json_int(body, "cols", 0);
    if (rows && cols && !(p->rows && p->cols)) { /* a resize that came earlier is newer */
        p->rows = rows;
        p->cols = cols;
    }
}

static int make_container(struct shim *s, struct json_object *body, struct dray_err *err)
{
    struct shim_proc *p = &s->init;
    __attribute__((cleanup(shim_ends_cleanup))) struct shim_ends ends = NO_ENDS;
    __attribute__((cleanup(mounts_cleanup))) struct mounts mounts = {0};
    DRAY_AUTO(dray_proc) made = NO_PROC;
    int rc = read_mounts(dray_json_arr(body, "rootfs"), &mounts, err);
    if (!rc && !p->terminal)
        rc = shim_proc_pipes(p, true, true, &ends, err);
    if (rc)
        return rc;
    struct dray_run_spec spec = {
        .size = sizeof spec,
        .terminal = p->terminal,
        .bundle = dray_json_str(body, "bundle", ""),
        .rootfs = {mounts.v, mounts.n},
        .io = stdio_of(&ends),
        .rows = p->rows,
        .cols = p->cols,
    };
    rc = RUNTIME_CALL(s, DRAY_CLASS_MOUNT, err, create, &spec, &made);
    return rc ? rc : shim_proc_begin(p, &made, err);
}

static void drop_container(struct shim *s)
{
    struct dray_err err = {0};
    if (s->runtime && RUNTIME_CALL(s, DRAY_CLASS_MOUNT, &err, remove))
        dray_warn("container %.12s: remove: %s", s->id, err.text);
    s->runtime = NULL;
    (void)shim_logpipe_settle(s->log);
    int lock = dray_steal_fd(&s->lock);
    dray_cleanup_fd(&lock); /* the next run may begin */
}

static int try_run(struct shim *s, struct json_object *body, struct dray_err *err)
{
    const char *bundle = dray_json_str(body, "bundle", NULL);
    const char *exit_file = dray_json_str(body, "exit_file", NULL);
    if (!bundle || !exit_file)
        return dray_fail(err, DRAY_E_INVAL, "run: \"bundle\" and \"exit_file\" are needed");
    int rc = lock_container(s, exit_file, err);
    if (rc)
        return rc;
    s->runtime = shim_drivers_get(s->drivers, DRAY_KIND_RUNTIME,
                                  dray_json_str(body, "runtime", "native"), err);
    if (!s->runtime)
        return err->code;
    read_proc_fields(&s->init, body);
    rc = shim_logpipe_open(s, dray_json_obj(body, "log"), &s->log, err);
    if (!rc)
        rc = make_container(s, body, err);
    if (!rc)
        rc = RUNTIME_CALL(s, DRAY_CLASS_MOUNT, err, start);
    return rc;
}

int shim_run(struct shim *s, struct json_object *body, struct dray_err *err)
{
    if (s->ran || s->ending)
        return dray_fail(err, DRAY_E_CONFLICT, "run: this shim has run its container already");
    struct dray_err own = {0};
    int rc = try_run(s, body, &own);
    if (rc) {
        s->ending = true;
        s->end_mono = dray_clock_mono();
        if (err)
            *err = own;
        drop_container(s);
        shim_proc_finish(&s->init);
        return rc;
    }
    s->ran = true;
    s->started_ns = dray_clock_now();
    return 0;
}

/* Execs. */

struct shim_proc *shim_exec_find(struct shim *s, const char *id)
{
    struct shim_proc *p = NULL;
    LIST_FOREACH(p, &s->execs, link)
    if (strcmp(p->id, id) == 0)
        return p;
    return NULL;
}

void shim_exec_size(struct shim *s, const char *id, uint16_t rows, uint16_t cols)
{
    struct shim_size *size = &s->sizes[s->n_sizes++ % SHIM_SIZES]; /* the oldest is forgotten */
    free(size->exec);
    *size = (struct shim_size){.exec = strdup(id), .rows = rows, .cols = cols};
}

static void recall_size(struct shim_proc *p)
{
    for (size_t i = 0; i < SHIM_SIZES; i++) {
        struct shim_size *size = &p->shim->sizes[i];
        if (!size->exec || strcmp(size->exec, p->id) != 0)
            continue;
        p->rows = size->rows;
        p->cols = size->cols;
        free(dray_steal(size->exec));
    }
}

static void exec_free(struct shim_proc *p)
{
    LIST_REMOVE(p, link);
    shim_proc_fini(p);
    free(p);
}

static int make_exec(struct shim_proc *p, struct dray_sockmsg *msg, struct dray_err *err)
{
    struct shim *s = p->shim;
    struct json_object *body = msg->body;
    __attribute__((cleanup(shim_ends_cleanup))) struct shim_ends ends = NO_ENDS;
    DRAY_AUTO(dray_proc) made = NO_PROC;
    bool attached = msg->n_fds >= 2;
    recall_size(p);
    read_proc_fields(p, body);
    p->open_stdin = p->open_stdin && attached;
    int rc = p->terminal
                 ? 0
                 : shim_proc_pipes(p, attached && dray_json_bool(body, "stdout", false),
                                   attached && dray_json_bool(body, "stderr", false), &ends, err);
    if (rc)
        return rc;
    struct dray_exec_spec spec = {
        .size = sizeof spec,
        .terminal = p->terminal,
        .process = dray_json_text(dray_json_obj(body, "process")),
        .io = stdio_of(&ends),
        .rows = p->rows,
        .cols = p->cols,
        .privileged = dray_json_bool(body, "privileged", false),
    };
    rc = RUNTIME_CALL(s, DRAY_CLASS_MOUNT, err, exec, &spec, &made);
    if (rc)
        return rc;
    if (attached)
        rc = shim_session_new(p, body, dray_sockmsg_take_fd(msg, 0), dray_sockmsg_take_fd(msg, 1),
                              err);
    if (!rc)
        rc = shim_proc_begin(p, &made, err);
    if (rc) /* it is reaped as a stray */
        (void)kill(made.pid, SIGKILL);
    return rc;
}

int shim_exec(struct shim *s, struct dray_sockmsg *msg, int *pid_out, struct dray_err *err)
{
    const char *id = dray_json_str(msg->body, "exec", NULL);
    if (!id || !dray_json_obj(msg->body, "process"))
        return dray_fail(err, DRAY_E_INVAL, "exec: \"exec\" and \"process\" are needed");
    if (!s->ran || s->ending || s->init.exited)
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", s->id);
    if (shim_exec_find(s, id))
        return dray_fail(err, DRAY_E_CONFLICT, "exec %s has been started already", id);
    struct shim_proc *p = calloc(1, sizeof *p);
    if (!p)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    shim_proc_init(p, s);
    p->id = strdup(id);
    LIST_INSERT_HEAD(&s->execs, p, link);
    int rc = make_exec(p, msg, err);
    if (rc) {
        p->exited = p->finished = true;
        if (p->n_sessions == 0)
            exec_free(p);
        return rc;
    }
    *pid_out = p->pid;
    return 0;
}

void shim_execs_sweep(struct shim *s, int64_t now_mono)
{
    struct shim_proc *next;
    for (struct shim_proc *p = LIST_FIRST(&s->execs); p; p = next) {
        next = LIST_NEXT(p, link);
        if (p->exited && !p->finished && !shim_proc_stalled(p)) {
            s->tick = true;
            if (now_mono - p->exited_mono > SHIM_LINGER_NS)
                shim_proc_finish(p);
        }
        if (p->finished && p->n_sessions == 0)
            exec_free(p);
    }
}

/* The end. */

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void exec_ended(struct shim_proc *p)
{
    struct json_object *event = json_object_new_object();
    dray_json_add_str(event, "event", "exec-exit");
    dray_json_add_str(event, "exec", p->id);
    dray_json_add_int(event, "code", p->code);
    dray_json_add_int(event, "at_ns", dray_clock_now());
    shim_conn_broadcast(p->shim, event);
    shim_proc_poll(p);
    p->shim->tick = true;
}

void shim_exited(struct shim *s, int pid, int status)
{
    struct shim_proc *p = &s->init;
    if (p->pid != pid || p->exited)
        for (p = LIST_FIRST(&s->execs); p; p = LIST_NEXT(p, link))
            if (p->pid == pid && !p->exited)
                break;
    if (!p)
        return;
    p->exited = true;
    p->exited_mono = dray_clock_mono();
    p->code = code_of(status);
    shim_loop_close(&s->loop, &p->pidfd);
    if (p->id)
        exec_ended(p);
}

static struct json_object *exit_facts(struct shim *s)
{
    struct dray_runtime_state state = {.size = sizeof state};
    if (RUNTIME_CALL(s, DRAY_CLASS_QUICK, NULL, state, &state))
        state.oom_killed = 0;
    struct json_object *facts = json_object_new_object();
    dray_json_add_int(facts, "code", s->init.code);
    dray_json_add_bool(facts, "oom", state.oom_killed != 0);
    dray_json_add_int(facts, "at_ns", dray_clock_now());
    return facts;
}

void shim_ended(struct shim *s)
{
    s->ending = true;
    s->end_mono = dray_clock_mono();
    struct json_object *facts = exit_facts(s);
    shim_proc_drain(&s->init);
    if (s->log)
        shim_logpipe_finish(s->log);
    struct dray_err err = {0};
    const char *text = dray_json_text(facts);
    /* For a daemon that is not there now. Not synced: a power loss ends the container as well. */
    if (dray_fs_replace(s->lock, s->exit_file, text, strlen(text), 0600, DRAY_FS_PLAIN, &err) &&
        dray_fs_replace(s->dirfd, s->exit_file, text, strlen(text), 0600, DRAY_FS_PLAIN, NULL))
        dray_error("container %.12s: exit file: %s", s->id, err.text);
    dray_json_add_str(facts, "event", "exit");
    shim_conn_broadcast(s, facts);
    (void)setpriority(PRIO_PROCESS, 0, CLEANER_NICE);
    shim_proc_finish(&s->init);
    drop_container(s);
}
