/* SPDX-License-Identifier: Apache-2.0 */
/* hooks.c - runs the programs that OCI's "hooks" ask for. */
#include "hooks.h"
#include "files.h"
#include "namespaces.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static _Noreturn void hook_child(const struct rn_hook *h, int in)
{
    rn_reset_signals();
    const char *argv[2] = {h->path, NULL};
    if (in >= 0)
        (void)dup2(in, 0);
    (void)execve(h->path, (char *const *)(h->args.n ? h->args.v : argv), (char *const *)h->env.v);
    _exit(127);
}

static int run_one(const struct rn_hook *h, const char *kind, int in, struct dray_err *err)
{
    const struct rn_clone how = {.pid_ns = -1, .cgroup = -1, .user_ns = -1};
    pid_t pid = -1;
    dray_autofd int pidfd = -EBADF;
    int rc = rn_ns_clone(&how, &pid, &pidfd, err);
    if (rc != 0)
        return rc;
    if (pid == 0)
        hook_child(h, in);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int done = 0;
    do
        done = poll(&p, 1, h->timeout > 0 ? h->timeout * 1000 : -1);
    while (done < 0 && errno == EINTR);
    if (done == 0)
        (void)kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (done == 0)
        return dray_fail(err, DRAY_E_TIMEOUT, "%s hook %s did not end in %d s", kind, h->path,
                         h->timeout);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return dray_fail(err, DRAY_E_IO, "error running %s hook %s: exit status %d", kind, h->path,
                         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}

int rn_hooks_run_here(const struct rn_hooks *hooks, const char *kind, struct dray_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < hooks->n && rc == 0; i++)
        rc = run_one(&hooks->v[i], kind, -1, err);
    return rc;
}

static int state_file(const char *id, pid_t pid, const char *bundle, const char *status)
{
    rn_autojson *o = json_object_new_object();
    dray_autofd int fd = memfd_create("state", MFD_CLOEXEC);
    (void)json_object_object_add(o, "ociVersion", json_object_new_string("1.2.0"));
    (void)json_object_object_add(o, "id", json_object_new_string(id));
    (void)json_object_object_add(o, "status", json_object_new_string(status));
    if (pid > 0)
        (void)json_object_object_add(o, "pid", json_object_new_int(pid));
    (void)json_object_object_add(o, "bundle", json_object_new_string(bundle));
    const char *text = json_object_to_json_string(o);
    if (fd < 0 || !text || rn_write_all(fd, text, strlen(text)) != 0)
        return -1;
    return dray_steal_fd(&fd);
}

int rn_hooks_run(const struct rn_hooks *hooks, const char *kind, const char *id, pid_t pid,
                 const char *bundle, const char *status, struct dray_err *err)
{
    if (hooks->n == 0)
        return 0;
    dray_autofd int in = state_file(id, pid, bundle, status);
    if (in < 0)
        return dray_fail(err, DRAY_E_IO, "%s hook: cannot write the state", kind);
    for (size_t i = 0; i < hooks->n; i++) {
        (void)lseek(in, 0, SEEK_SET);
        int rc = run_one(&hooks->v[i], kind, in, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}
