/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces.c - making and joining namespaces; making processes in them. */
#include "namespaces.h"
#include "files.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int rn_pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int rn_pidfd_signal(int pidfd, int sig)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int rn_ns_open(struct rn_spec *s, struct dray_err *err)
{
    for (size_t i = 0; i < s->n_join; i++) {
        struct rn_join *j = &s->join[i];
        j->fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (j->fd < 0)
            return dray_fail_errno(err, "open %s namespace %s", rn_ns_name(j->flag), j->path);
    }
    return 0;
}

int rn_ns_user(const struct rn_spec *s)
{
    for (size_t i = 0; i < s->n_join; i++)
        if (s->join[i].flag == CLONE_NEWUSER)
            return s->join[i].fd;
    return -1;
}

int rn_ns_join(const struct rn_spec *s, struct dray_err *err)
{
    for (size_t i = 0; i < s->n_join; i++) {
        const struct rn_join *j = &s->join[i];
        if (j->flag != CLONE_NEWPID && j->flag != CLONE_NEWUSER && setns(j->fd, (int)j->flag) != 0)
            return dray_fail_errno(err, "join %s namespace %s", rn_ns_name(j->flag), j->path);
    }
    return 0;
}

static int write_map(int dir, const char *file, const struct rn_idmap *v, size_t n,
                     struct dray_err *err)
{
    char text[4096];
    size_t len = 0;
    for (size_t i = 0; i < n && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%u %u %u\n", v[i].inside,
                                v[i].outside, v[i].count);
    if (len >= sizeof text)
        return dray_fail(err, DRAY_E_INVAL, "too many id mappings");
    if (rn_write_at(dir, file, text) != 0)
        return dray_fail_errno(err, "write %s", file);
    return 0;
}

int rn_ns_map(const struct rn_spec *s, pid_t pid, struct dray_err *err)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
    dray_autofd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open %s", path);
    int rc = write_map(dir, "uid_map", s->uid_map, s->n_uid_map, err);
    return rc != 0 ? rc : write_map(dir, "gid_map", s->gid_map, s->n_gid_map, err);
}

static int do_clone(const struct rn_clone *c, uint64_t more, pid_t *pid_out, int *pidfd_out)
{
    int pidfd = -EBADF;
    struct clone_args args = {
        .flags = c->flags | more | CLONE_PIDFD | (c->cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = more & CLONE_PARENT ? 0 : SIGCHLD,
        .cgroup = c->cgroup >= 0 ? (uint64_t)(unsigned)c->cgroup : 0,
    };
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0)
        return -1;
    *pid_out = (pid_t)pid;
    *pidfd_out = pid > 0 ? pidfd : -EBADF;
    return 0;
}

static int explain(struct dray_err *err)
{
    if (errno == ENOSYS)
        return dray_fail(err, DRAY_E_NOTSUP, "the kernel lacks clone3 (Linux 5.7)");
    if (errno == ENOSPC || errno == EUSERS)
        return dray_fail(err, DRAY_E_LIMIT,
                         "too many namespaces: see /proc/sys/user/max_*_namespaces");
    return dray_fail_errno(err, "make a process in new namespaces");
}

/* What the process in between has to say. */
struct born {
    pid_t pid;
    struct dray_err err; /* code 0: none */
};

/** In the process in between. Returns only in the one that is wanted. */
static void bear(const struct rn_clone *c, int tell, pid_t *pid_out)
{
    struct born b = {.pid = -1};
    int pidfd = -EBADF, rc = c->before ? c->before(c->arg, &b.err) : 0;
    if (rc == 0 && setns(c->user_ns, CLONE_NEWUSER) != 0)
        rc = dray_fail_errno(&b.err, "join the user namespace");
    if (rc == 0 && c->pid_ns >= 0 && setns(c->pid_ns, CLONE_NEWPID) != 0)
        rc = dray_fail_errno(&b.err, "join the pid namespace");
    if (rc == 0 && do_clone(c, CLONE_PARENT, &b.pid, &pidfd) != 0)
        rc = explain(&b.err);
    if (rc == 0 && b.pid == 0) {
        *pid_out = 0;
        return;
    }
    b.err.code = rc;
    _exit(write(tell, &b, sizeof b) == (ssize_t)sizeof b ? 0 : 1);
}

/** New namespaces belong to the user namespace that their maker is in: a process in between enters
 *  it, and makes the wanted one as a child of ours. */
static int clone_through(const struct rn_clone *c, pid_t *pid_out, int *pidfd_out,
                         struct dray_err *err)
{
    const struct rn_clone plain = {.cgroup = -1};
    struct born b = {.pid = -1};
    pid_t between = -1;
    int ends[2];
    dray_autofd int between_fd = -EBADF;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    dray_autofd int told = ends[0], tell = ends[1];
    if (do_clone(&plain, 0, &between, &between_fd) != 0)
        return explain(err);
    if (between == 0) {
        bear(c, tell, pid_out);
        return 0;
    }
    (void)close(dray_steal_fd(&tell));
    ssize_t n = read(told, &b, sizeof b);
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof b)
        return dray_fail(err, DRAY_E_INTERNAL, "the maker of the container's process has died");
    if (b.err.code != 0)
        return dray_fail(err, b.err.code, "%s", b.err.text);
    *pid_out = b.pid;
    *pidfd_out = rn_pidfd_open(b.pid); /* a child that nobody has waited for: it is that one */
    return *pidfd_out < 0 ? dray_fail_errno(err, "watch the container's process") : 0;
}

int rn_ns_clone(const struct rn_clone *c, pid_t *pid_out, int *pidfd_out, struct dray_err *err)
{
    dray_autofd int own = -EBADF;
    if (c->user_ns >= 0)
        return clone_through(c, pid_out, pidfd_out, err);
    if (c->pid_ns >= 0) {
        /* This changes where this thread's children live, not the thread itself. */
        own = open("/proc/thread-self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
        if (own < 0 || setns(c->pid_ns, CLONE_NEWPID) != 0)
            return errno == ESRCH ? dray_fail(err, DRAY_E_CONFLICT, "the container is not running")
                                  : dray_fail_errno(err, "join the pid namespace");
    }
    int rc = do_clone(c, 0, pid_out, pidfd_out);
    int why = errno;
    if (own >= 0 && (rc != 0 || *pid_out != 0))
        (void)setns(own, CLONE_NEWPID);
    errno = why;
    return rc == 0 ? 0 : explain(err);
}

int rn_ns_step(volatile pid_t *pid_out, struct dray_err *err)
{
    struct clone_args args = {
        .flags = CLONE_PARENT | CLONE_PARENT_SETTID,
        .parent_tid = (uint64_t)(uintptr_t)pid_out,
    };
    /* The child, which others may write to, has no part in that memory. */
    if (madvise((void *)(uintptr_t)pid_out, sizeof *pid_out, MADV_DONTFORK) != 0)
        return dray_fail_errno(err, "keep memory from a child");
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid > 0)
        _exit(0);
    return pid == 0 ? 0 : explain(err);
}

void rn_reset_signals(void)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    for (int sig = 1; sig < NSIG; sig++)
        (void)sigaction(sig, &dfl, NULL);
    /* The C library refuses to touch those that it uses itself: 32 and 33. */
    static const char
        kernel_dfl[64]; /* struct sigaction of the kernel: SIG_DFL, no flags, no mask */
    for (int sig = 32; sig < SIGRTMIN; sig++)
        (void)syscall(SYS_rt_sigaction, sig, kernel_dfl, NULL, (size_t)_NSIG / 8);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}
