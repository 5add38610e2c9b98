/* SPDX-License-Identifier: Apache-2.0 */
/* create.c - makes a container through the runtime's program, and starts it. */
#include "oci.h"

#include "files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#define CONFIG_MAX ((size_t)64 << 20)

/* What the child needs before it becomes the program, and what comes back. */
struct making {
    const struct dray_run_spec *spec;
    char root[PATH_MAX]; /* the bundle's root.path */
    struct oci_console console;
};

static void making_cleanup(struct making *m)
{
    oci_console_close(&m->console);
}

/* The bundle's root and cgroup. */
static int read_config(const char *id, const char *bundle, struct making *m, char cgroup[PATH_MAX],
                       struct dray_err *err)
{
    char path[PATH_MAX];
    dray_autofree char *text = NULL;
    size_t len = 0;
    rn_autojson *o = NULL;
    (void)snprintf(path, sizeof path, "%s/config.json", bundle);
    int rc = rn_read_whole(AT_FDCWD, path, CONFIG_MAX, &text, &len, err);
    if (!rc)
        rc = rn_json_parse(text, len, &o, err);
    if (rc)
        return rc;
    if (rn_json_len(rn_json_arr(rn_json_obj(o, "linux"), "uidMappings")) > 0)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "a runtime of a program of its own cannot be used with userns-remap: use "
                         "the runtime \"native\", or --userns=host");
    const char *root = rn_json_str(rn_json_obj(o, "root"), "path", "rootfs");
    (void)snprintf(m->root, sizeof m->root, "%s%s%s", *root == '/' ? "" : bundle,
                   *root == '/' ? "" : "/", root);
    return rn_cg_path(id, rn_json_str(rn_json_obj(o, "linux"), "cgroupsPath", NULL), cgroup, err);
}

static int before(void *ctx, struct dray_err *err)
{
    const struct making *m = ctx;
    int rc = oci_rootfs_mount(&m->spec->rootfs, m->root, err);
    return rc ? rc : oci_config_adapt(m->spec->bundle, m->root, err);
}

static int on_console(void *ctx, struct dray_err *err)
{
    struct making *m = ctx;
    return oci_console_receive(&m->console, err);
}

int oci_proc_fill(struct dray_proc *out, pid_t pid, struct oci_console *console,
                  struct dray_err *err)
{
    out->pid = pid;
    out->pidfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (out->pidfd.fd < 0)
        return dray_fail_errno(err, "watch process %d", (int)pid);
    out->terminal.fd = console->master < 0 ? -1 : dray_steal_fd(&console->master);
    return 0;
}

static int run_create(struct dray_self *self, const struct dray_call *call, const char *id,
                      struct making *m, struct dray_err *err)
{
    const struct dray_run_spec *spec = m->spec;
    dray_autofree char *log = oci_path(self, id, "create.log");
    dray_autofree char *pidfile = oci_path(self, id, "pid");
    dray_autofree char *socket = oci_path(self, id, "tty.sock");
    if (!log || !pidfile || !socket)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = spec->terminal ? oci_console_open(&m->console, socket, err) : 0;
    if (rc)
        return rc;
    struct oci_command c = {
        .argv = {"create", "--bundle", spec->bundle, "--pid-file", pidfile},
        .io = spec->io,
        .dir = spec->bundle,
        .log = log,
        .watch = m->console.listener,
        .ready = on_console,
        .before = before,
        .ctx = m,
    };
    size_t n = 5;
    if (spec->terminal) {
        c.argv[n++] = "--console-socket";
        c.argv[n++] = m->console.address;
    }
    c.argv[n++] = id;
    return oci_run(self, call, &c, err);
}

static int note(struct dray_self *self, const char *id, struct oci_state *st, struct dray_err *err)
{
    dray_autofree char *pidfile = oci_path(self, id, "pid");
    int rc = pidfile ? oci_read_pid(pidfile, &st->pid, err)
                     : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        return rc;
    st->start = oci_start_time(st->pid);
    return oci_state_write(st, err);
}

int32_t oci_create(struct dray_self *self, const struct dray_call *call, const char *id,
                   const struct dray_run_spec *spec, struct dray_proc *out, struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    __attribute__((cleanup(making_cleanup))) struct making m = {
        .spec = spec,
        .console = {.listener = -EBADF, .dir = -EBADF, .master = -EBADF},
    };
    int rc = oci_state_new(self, id, &st, err);
    if (!rc)
        rc = read_config(id, spec->bundle, &m, st.cgroup, err);
    if (!rc)
        rc = run_create(self, call, id, &m, err);
    if (!rc)
        rc = note(self, id, &st, err);
    if (!rc)
        rc = oci_proc_fill(out, st.pid, &m.console, err);
    if (rc) {
        (void)oci_simple(self, call, id, NULL, "delete", "--force", id);
        oci_state_remove(self, id);
    }
    return rc;
}

int32_t oci_start(struct dray_self *self, const struct dray_call *call, const char *id,
                  struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (!rc)
        rc = oci_simple(self, call, id, err, "start", id);
    return rc ? rc : oci_state_mark_started(&st, err);
}
