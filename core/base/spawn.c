/* SPDX-License-Identifier: Apache-2.0 */
/* spawn.c - starting helper programs without copying the caller's memory. */
#include "base/spawn.h"

#include "base/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAX_FDS 32

extern char **environ;

struct plan {
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    int dups[MAX_FDS];
    size_t n_dups;
};

static void plan_fini(struct plan *p)
{
    for (size_t i = 0; i < p->n_dups; i++)
        (void)close(p->dups[i]);
    (void)posix_spawnattr_destroy(&p->attr);
    (void)posix_spawn_file_actions_destroy(&p->files);
}

/* The child starts with no signal blocked, ignored or handled. */
static int plan_signals(struct plan *p)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&p->attr, &none);
    (void)posix_spawnattr_setsigdefault(&p->attr, &all);
    return posix_spawnattr_setflags(&p->attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* Put one descriptor in its place. One that lies among the targets is moved out of the way first,
 * so that the order of the moves does not matter. */
static int plan_fd(struct plan *p, const struct dray_spawn *s, size_t i)
{
    int fd = s->fds[i];
    if (fd < 0)
        return posix_spawn_file_actions_addopen(&p->files, (int)i, "/dev/null", O_RDWR, 0);
    if ((size_t)fd < s->n_fds && (size_t)fd != i) {
        fd = fcntl(fd, F_DUPFD_CLOEXEC, MAX_FDS);
        if (fd < 0)
            return errno;
        p->dups[p->n_dups++] = fd;
    }
    return posix_spawn_file_actions_adddup2(&p->files, fd, (int)i);
}

int dray_spawn(const struct dray_spawn *s, pid_t *pid_out, struct dray_err *err)
{
    if (s->n_fds > MAX_FDS)
        return dray_fail(err, DRAY_E_INVAL, "start %s: too many descriptors", s->argv[0]);
    __attribute__((cleanup(plan_fini))) struct plan p = {0};
    int rc = posix_spawnattr_init(&p.attr);
    if (!rc)
        rc = posix_spawn_file_actions_init(&p.files);
    if (!rc)
        rc = plan_signals(&p);
    for (size_t i = 0; !rc && i < s->n_fds; i++)
        rc = plan_fd(&p, s, i);
    char *const *envp = s->envp ? (char *const *)(uintptr_t)s->envp : environ;
    if (!rc)
        rc = posix_spawn(pid_out, s->argv[0], &p.files, &p.attr, (char *const *)(uintptr_t)s->argv,
                         envp);
    if (rc == 0)
        return 0;
    errno = rc;
    if (rc == ENOENT)
        return dray_fail(err, DRAY_E_NOCMD, "start %s: no such file or directory", s->argv[0]);
    if (rc == EACCES || rc == ENOEXEC)
        return dray_fail(err, DRAY_E_NOEXEC, "start %s: %s", s->argv[0], strerror(rc));
    return dray_fail_errno(err, "start %s", s->argv[0]);
}

int dray_spawn_wait(pid_t pid, int timeout_ms)
{
    int status = -1;
    dray_autofd int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t end = dray_clock_mono() + (int64_t)timeout_ms * 1000000, left = timeout_ms;
    int rc = -1;
    while (fd >= 0 && (rc = poll(&p, 1, left > 0 ? (int)left : 0)) < 0 && errno == EINTR)
        left = (end - dray_clock_mono()) / 1000000;
    if (rc == 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

char *dray_spawn_self_dir(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    slash[slash == path ? 1 : 0] = '\0';
    return strdup(path);
}
