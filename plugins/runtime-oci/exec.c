/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c - runs one more process in a container through the runtime's program. */
#include "oci.h"

#include "files.h"

#include <fcntl.h>
#include <sys/random.h>

/* Files of one exec: "exec-NUMBER.process" and their like. */
struct files {
    char *process, *pid, *log, *socket;
};

static void files_cleanup(struct files *f)
{
    char *const all[] = {f->process, f->pid, f->log, f->socket};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i])
            (void)unlink(all[i]);
        free(all[i]);
    }
}

static char *file_of(struct dray_self *self, const char *id, uint64_t number, const char *what)
{
    char name[64];
    (void)snprintf(name, sizeof name, "e%016llx.%s", (unsigned long long)number, what);
    return oci_path(self, id, name);
}

static int name_files(struct dray_self *self, const char *id, struct files *f, struct dray_err *err)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return dray_fail_errno(err, "getrandom");
    f->process = file_of(self, id, number, "json");
    f->pid = file_of(self, id, number, "pid");
    f->log = file_of(self, id, number, "log");
    f->socket = file_of(self, id, number, "s");
    return f->process && f->pid && f->log && f->socket
               ? 0
               : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int write_process(const struct dray_exec_spec *spec, pid_t pid, const char *path,
                         struct dray_err *err)
{
    rn_autojson *o = NULL;
    char root[32];
    (void)snprintf(root, sizeof root, "/proc/%d/root", (int)pid);
    dray_autofd int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open the container's root");
    int rc = rn_json_parse(spec->process, strlen(spec->process), &o, err);
    if (!rc)
        rc = oci_process_user(dir, o, err);
    if (rc)
        return rc;
    (void)json_object_object_add(o, "terminal", json_object_new_boolean(spec->terminal != 0));
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    dray_autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || rn_write_all(fd, text, strlen(text)) != 0)
        return dray_fail_errno(err, "write the process of an exec");
    return 0;
}

static int run_exec(struct dray_self *self, const struct dray_call *call, const char *id,
                    const struct dray_exec_spec *spec, const struct files *f,
                    struct oci_console *console, struct dray_err *err)
{
    struct oci_command c = {
        .argv = {"exec", "--detach", "--process", f->process, "--pid-file", f->pid},
        .io = spec->io,
        .log = f->log,
        .watch = console->listener,
        .ready = oci_console_receive,
        .ctx = console,
    };
    size_t n = 6;
    if (spec->terminal) {
        c.argv[n++] = "--console-socket";
        c.argv[n++] = console->address;
    }
    c.argv[n++] = id;
    return oci_run(self, call, &c, err);
}

int32_t oci_exec(struct dray_self *self, const struct dray_call *call, const char *id,
                 const struct dray_exec_spec *spec, struct dray_proc *out, struct dray_err *err)
{
    OCI_AUTO_STATE st = {.dir = -EBADF};
    __attribute__((cleanup(files_cleanup))) struct files f = {0};
    __attribute__((cleanup(oci_console_cleanup))) struct oci_console console = {
        .listener = -EBADF, .dir = -EBADF, .master = -EBADF};
    int rc = oci_state_read(self, id, &st, err);
    if (!rc && !oci_state_alive(&st))
        rc = dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", id);
    if (!rc)
        rc = name_files(self, id, &f, err);
    if (!rc)
        rc = write_process(spec, st.pid, f.process, err);
    if (!rc && spec->terminal)
        rc = oci_console_open(&console, f.socket, err);
    if (!rc)
        rc = run_exec(self, call, id, spec, &f, &console, err);
    pid_t pid = 0;
    if (!rc)
        rc = oci_read_pid(f.pid, &pid, err);
    return rc ? rc : oci_proc_fill(out, pid, &console, err);
}
