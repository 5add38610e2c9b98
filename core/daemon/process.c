/* SPDX-License-Identifier: Apache-2.0 */
/* process.c - pid file, limits, systemd's notification, and a look at the threads. */
#include "process.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/logging.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DRAY_LOG_AREA "daemon"

int drayd_pidfile_open(const char *path, int *fd_out, struct dray_err *err)
{
    dray_autofree char *dir = strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;
    if (slash && slash != dir) {
        *slash = '\0';
        int rc = dray_fs_mkdirs(AT_FDCWD, dir, 0755, err);
        if (rc)
            return rc;
    }
    dray_autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return dray_fail_errno(err, "open the pid file %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        char pid[32] = "";
        ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
        pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
        return dray_fail(err, DRAY_E_CONFLICT,
                         "failed to start daemon, ensure drayd is not running or delete %s: "
                         "process with PID %s is still running",
                         path, pid);
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%ld", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return dray_fail_errno(err, "write the pid file %s", path);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

void drayd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof sa.sun_path)
        return;
    size_t n = strlen(path);
    memcpy(sa.sun_path, path, n);
    if (*path == '@')
        sa.sun_path[0] = '\0';
    dray_autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

void drayd_settle(void)
{
    /* What outlives us must not hold open what our starter happened to have open. */
    (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    /* Each arena keeps what it once had: two are enough for threads that mostly wait. */
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 10);
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
    (void)umask(0022);
    (void)signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void first_line(int dir, const char *tid, const char *file, char out[128])
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", tid, file);
    dray_autofd int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, 127);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

void drayd_dump_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    size_t n = 0;
    struct dirent *e = NULL;
    while (d && (e = readdir(d)) != NULL) {
        char name[128], where[128], call[128];
        if (e->d_name[0] == '.')
            continue;
        n++;
        first_line(dirfd(d), e->d_name, "comm", name);
        first_line(dirfd(d), e->d_name, "wchan", where);
        first_line(dirfd(d), e->d_name, "syscall", call);
        dray_info("thread %s (%s): waits in %s, system call %s", e->d_name, name, where, call);
    }
    if (d)
        (void)closedir(d);
    dray_info("%zu threads", n);
}
