/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suite_runtime.c - a container is made, started, signalled, asked, removed.
 *
 * Its root is that of this machine, read-only, so that there is a shell. As a shim does, this
 * process reaps what the driver makes.
 */
#include "check.h"

#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ID "dray-check-0123456789abcdef"
#define GROUP "dray-check" /* the control group that holds the container's, as drayd's own does */

static const char config_format[] =
    "{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},"
    "\"args\":[\"%s\",\"-c\",\"%s\"],\"env\":[\"PATH=/usr/sbin:/usr/bin:/sbin:/bin\"],"
    "\"cwd\":\"/\",\"noNewPrivileges\":true},"
    "\"root\":{\"path\":\"%s/rootfs\",\"readonly\":true},\"hostname\":\"check\",\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"}],"
    "\"linux\":{\"cgroupsPath\":\"/" GROUP "/" ID "\",\"namespaces\":[{\"type\":\"pid\"},"
    "{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"network\"}]}}";

static const char *const root_options[] = {"rbind", "ro"};
static const struct dray_mount root_mount = {
    .size = sizeof root_mount,
    .type = "bind",
    .source = "/",
    .target = "",
    .options = {root_options, 2},
};

static bool write_bundle(struct ck *c, const char *bundle, const char *program, const char *script)
{
    struct dray_err err = {0};
    dray_autofree char *rootfs = dray_strf("%s/rootfs", bundle);
    dray_autofree char *file = dray_strf("%s/config.json", bundle);
    dray_autofree char *text = dray_strf(config_format, program, script, bundle);
    (void)mkdir(bundle, 0755);
    (void)mkdir(rootfs, 0755);
    (void)unlink(file);
    dray_autofd int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0 && !dray_fs_write_all(fd, text, strlen(text), &err))
        return true;
    ck_fail(c, "write %s: %s", file, err.text);
    return false;
}

static int create(struct ck *c, const char *program, const char *script, pid_t *pid)
{
    dray_autofree char *bundle = dray_strf("%s/bundle", c->work);
    dray_autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct dray_run_spec spec = {.size = sizeof spec,
                                       .bundle = bundle,
                                       .rootfs = {&root_mount, 1},
                                       .io = {{null}, {null}, {null}}};
    struct dray_proc p = {.size = sizeof p, .pidfd = {-1}, .terminal = {-1}};
    *pid = 0;
    if (!write_bundle(c, bundle, program, script))
        return DRAY_E_IO;
    int rc = CK(c, runtime, create, ID, ID, &spec, &p);
    if (p.pidfd.fd >= 0)
        (void)close(p.pidfd.fd);
    if (!rc)
        *pid = p.pid;
    return rc;
}

/* Its exit code, 128 + signal, or -1 when it has not ended in time. */
static int wait_for(pid_t pid)
{
    int status = 0;
    dray_autofd int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (fd < 0 || poll(&p, 1, 10000) != 1 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool state_is(struct ck *c, uint32_t want, const char *what)
{
    struct dray_runtime_state st = {.size = sizeof st};
    (void)CK(c, runtime, state, ID, ID, &st);
    return ck_expect(c, 0, "state()") && ck_true(c, st.status == want, what);
}

static void check_gone(struct ck *c)
{
    struct dray_runtime_state st = {.size = sizeof st};
    (void)CK(c, runtime, remove, ID, ID);
    (void)ck_expect(c, 0, "remove()");
    (void)CK(c, runtime, remove, ID, ID);
    (void)ck_expect(c, 0, "removing what is absent succeeds");
    (void)CK(c, runtime, state, ID, ID, &st);
    (void)ck_expect(c, DRAY_E_NOTFOUND, "state() of what is absent");
}

static void check_exit(struct ck *c)
{
    pid_t pid;
    (void)create(c, "/bin/sh", "exit 7", &pid);
    if (!ck_expect(c, 0, "create()"))
        return;
    (void)ck_true(c, pid > 0 && kill(pid, 0) == 0, "it gives a process");
    (void)state_is(c, DRAY_RUNTIME_CREATED, "its state is created");
    (void)CK(c, runtime, start, ID, ID);
    if (ck_expect(c, 0, "start()"))
        (void)ck_true(c, wait_for(pid) == 7, "its exit code is that of the command");
    (void)state_is(c, DRAY_RUNTIME_STOPPED, "its state is stopped");
    (void)CK(c, runtime, kill, ID, ID, SIGTERM, 0);
    (void)ck_expect(c, DRAY_E_CONFLICT, "kill() of one that does not run");
    check_gone(c);
}

static void check_exec(struct ck *c)
{
    static const char process[] =
        "{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"/bin/sh\",\"-c\","
        "\"exit 3\"],\"env\":[\"PATH=/usr/bin:/bin\"],\"cwd\":\"/\"}";
    dray_autofd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct dray_exec_spec spec = {
        .size = sizeof spec, .process = process, .io = {{null}, {null}, {null}}};
    struct dray_proc p = {.size = sizeof p, .pidfd = {-1}, .terminal = {-1}};
    (void)CK(c, runtime, exec, ID, ID, &spec, &p);
    if (p.pidfd.fd >= 0)
        (void)close(p.pidfd.fd);
    if (ck_expect(c, 0, "exec()"))
        (void)ck_true(c, wait_for(p.pid) == 3, "its exit code is its own");
}

static void check_running(struct ck *c)
{
    pid_t pid;
    (void)create(c, "/bin/sh", "exec sleep 1000", &pid);
    if (!ck_expect(c, 0, "create() of the next one by the same name"))
        return;
    (void)CK(c, runtime, start, ID, ID);
    (void)state_is(c, DRAY_RUNTIME_RUNNING, "its state is running");
    check_exec(c);
    if (ck_has(c, "ps")) {
        dray_autofree char *field = dray_strf("pid=%d", (int)pid);
        (void)CK(c, runtime, ps, ID, ID);
        if (ck_expect(c, 0, "ps()"))
            (void)ck_true(c, ck_emitted(c, field), "it names the process");
    }
    (void)CK(c, runtime, kill, ID, ID, SIGKILL, 0);
    if (ck_expect(c, 0, "kill()"))
        (void)ck_true(c, wait_for(pid) == 128 + SIGKILL, "the signal ends it");
    check_gone(c);
}

static void check_no_command(struct ck *c)
{
    pid_t pid;
    int rc = create(c, "/dray-check-no-such-program", "", &pid);
    if (!rc)
        rc = CK(c, runtime, start, ID, ID);
    (void)rc;
    (void)ck_expect(c, DRAY_E_NOCMD, "a command that is not there is told as such");
    if (pid > 0)
        (void)wait_for(pid);
    (void)CK(c, runtime, remove, ID, ID);
}

/* Drivers remove the container's own group, and leave the one above it to whoever named it. */
static void drop_group(void)
{
    static const char fs[] = "/sys/fs/cgroup";
    (void)rmdir("/sys/fs/cgroup/" GROUP);
    DIR *d = opendir(fs);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        dray_autofree char *path = dray_strf("%s/%s/" GROUP, fs, e->d_name);
        if (path && e->d_name[0] != '.')
            (void)rmdir(path);
    }
    if (d)
        (void)closedir(d);
}

void ck_runtime(struct ck *c)
{
    struct dray_runtime_state st = {.size = sizeof st};
    (void)CK(c, runtime, state, ID, ID, &st);
    (void)ck_expect(c, DRAY_E_NOTFOUND, "state() of an unknown container");
    if (!c->root) {
        ck_skip(c, "containers: run this as root");
        return;
    }
    check_exit(c);
    check_running(c);
    check_no_command(c);
    drop_group();
}
