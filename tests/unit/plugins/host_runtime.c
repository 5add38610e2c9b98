/* SPDX-License-Identifier: Apache-2.0 */
/* host_runtime.c - a runtime for tests: "containers" are plain processes of the host. */
#include <dray/plugin.h>
#include <dray/runtime.h>
#include <dray/util.h>

#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

DRAY_PLUGIN_CARD("{\"name\":\"test-host\",\"version\":\"1\",\"abi\":\"0.1\","
                 "\"kinds\":[\"runtime\"],\"license\":\"Apache-2.0\"}");

/* A shim has one container. */
struct dray_self {
    pid_t pid;
    int gate;   /* written to: the process goes on to its exec */
    int report; /* errno of a failed exec comes out of it */
    char *bundle;
};

struct child {
    struct dray_strlist args;
    int io[3];
    int slave; /* of the terminal, or -1 */
    int gate;  /* waited for, or -1 */
    int report;
};

__attribute__((noreturn)) static void child_main(struct child *c)
{
    (void)setsid();
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    char go;
    if (c->gate >= 0 && read(c->gate, &go, 1) != 1)
        _exit(1);
    if (c->slave >= 0)
        (void)ioctl(c->slave, TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        (void)dup2(c->slave >= 0 ? c->slave : c->io[i], i);
    (void)execvp(c->args.v[0], c->args.v);
    int e = errno;
    if (write(c->report, &e, sizeof e) < 0)
        _exit(126);
    _exit(127);
}

static int open_pty(uint32_t rows, uint32_t cols, int *master, int *slave, struct dray_err *err)
{
    char path[64];
    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*master < 0 || grantpt(*master) || unlockpt(*master) ||
        ptsname_r(*master, path, sizeof path))
        return dray_fail_errno(err, "pty");
    *slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
    if (rows && cols)
        (void)ioctl(*master, TIOCSWINSZ, &size);
    return *slave < 0 ? dray_fail_errno(err, "pty") : 0;
}

static int read_report(int fd, struct dray_err *err)
{
    int e = 0;
    if (read(fd, &e, sizeof e) != (ssize_t)sizeof e)
        return 0;
    if (e == ENOENT)
        return dray_fail(err, DRAY_E_NOCMD, "executable file not found in $PATH");
    return dray_fail(err, DRAY_E_NOEXEC, "%s", strerror(e));
}

static pid_t launch(struct child *c, struct json_object *process, const struct dray_stdio *io,
                    struct dray_err *err)
{
    if (dray_json_to_strlist(dray_json_arr(process, "args"), &c->args, err) || c->args.n == 0)
        return -1;
    c->io[0] = io->in.fd;
    c->io[1] = io->out.fd;
    c->io[2] = io->err.fd;
    pid_t pid = fork();
    if (pid == 0)
        child_main(c);
    dray_strlist_free(&c->args);
    return pid;
}

static int32_t rt_create(struct dray_self *self, const struct dray_call *call, const char *id,
                         const struct dray_run_spec *spec, struct dray_proc *out,
                         struct dray_err *err)
{
    (void)call;
    (void)id;
    dray_autofree char *path = dray_strf("%s/config.json", spec->bundle);
    dray_autojson *config = NULL;
    int rc = dray_json_load(AT_FDCWD, path, &config, err);
    if (rc)
        return rc;
    if (dray_json_bool(config, "refuse", false))
        return dray_fail(err, DRAY_E_INVAL, "the bundle says no");
    int gate[2], report[2], master = -1, slave = -1;
    if (pipe2(gate, O_CLOEXEC) || pipe2(report, O_CLOEXEC))
        return dray_fail_errno(err, "pipe");
    if (spec->terminal && (rc = open_pty(spec->rows, spec->cols, &master, &slave, err)))
        return rc;
    struct child c = {.slave = slave, .gate = gate[0], .report = report[1]};
    self->pid = launch(&c, dray_json_obj(config, "process"), &spec->io, err);
    (void)close(gate[0]);
    (void)close(report[1]);
    if (slave >= 0)
        (void)close(slave);
    self->gate = gate[1];
    self->report = report[0];
    self->bundle = strdup(spec->bundle);
    out->pid = self->pid;
    out->terminal.fd = master;
    return self->pid < 0 ? DRAY_E_INTERNAL : 0;
}

static int32_t rt_start(struct dray_self *self, const struct dray_call *call, const char *id,
                        struct dray_err *err)
{
    (void)call;
    (void)id;
    if (write(self->gate, "x", 1) != 1)
        return dray_fail_errno(err, "start");
    (void)close(self->gate);
    int rc = read_report(self->report, err);
    (void)close(self->report);
    return rc;
}

static int32_t rt_kill(struct dray_self *self, const struct dray_call *call, const char *id,
                       int32_t signal, uint32_t flags, struct dray_err *err)
{
    (void)call;
    (void)id;
    if (kill(flags & DRAY_KILL_ALL ? -self->pid : self->pid, signal) != 0)
        return dray_fail_errno(err, "kill");
    return 0;
}

static int32_t rt_state(struct dray_self *self, const struct dray_call *call, const char *id,
                        struct dray_runtime_state *out, struct dray_err *err)
{
    (void)call;
    (void)id;
    (void)err;
    dray_autofree char *mark = dray_strf("%s/oom", self->bundle);
    out->status = DRAY_RUNTIME_STOPPED;
    out->oom_killed = access(mark, F_OK) == 0;
    return 0;
}

static int32_t rt_remove(struct dray_self *self, const struct dray_call *call, const char *id,
                         struct dray_err *err)
{
    (void)call;
    (void)id;
    (void)err;
    if (!self->bundle)
        return 0;
    (void)kill(-self->pid, SIGKILL);
    dray_autofree char *mark = dray_strf("%s/removed", self->bundle);
    int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)close(fd);
    return 0;
}

static int32_t rt_exec(struct dray_self *self, const struct dray_call *call, const char *id,
                       const struct dray_exec_spec *spec, struct dray_proc *out,
                       struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)id;
    dray_autojson *process = NULL;
    int rc = dray_json_parse(spec->process, strlen(spec->process), &process, err);
    int report[2], master = -1, slave = -1;
    if (!rc && pipe2(report, O_CLOEXEC))
        rc = dray_fail_errno(err, "pipe");
    if (!rc && spec->terminal)
        rc = open_pty(spec->rows, spec->cols, &master, &slave, err);
    if (rc)
        return rc;
    struct child c = {.slave = slave, .gate = -1, .report = report[1]};
    out->pid = launch(&c, process, &spec->io, err);
    (void)close(report[1]);
    if (slave >= 0)
        (void)close(slave);
    rc = read_report(report[0], err);
    (void)close(report[0]);
    if (rc) {
        (void)waitpid(out->pid, NULL, 0);
        if (master >= 0)
            (void)close(master);
        return rc;
    }
    out->terminal.fd = master;
    return 0;
}

static int32_t rt_open(const struct dray_host *host, const char *instance, struct dray_self **out,
                       struct dray_err *err)
{
    (void)host;
    (void)instance;
    (void)err;
    *out = calloc(1, sizeof **out);
    return 0;
}

static void rt_close(struct dray_self *self)
{
    free(self->bundle);
    free(self);
}

static const struct dray_runtime_ops ops = {
    .head = DRAY_TABLE(struct dray_runtime_ops, 0),
    .create = rt_create,
    .start = rt_start,
    .kill = rt_kill,
    .state = rt_state,
    .remove = rt_remove,
    .exec = rt_exec,
};

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_RUNTIME, .threading = DRAY_THREAD_PER_OBJECT, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "test-host",
    .version = "1",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = rt_open,
    .close = rt_close,
};
