/* SPDX-License-Identifier: Apache-2.0 */
/* shim.c - one shim: setting up, the main loop, leaving. */
#include "shim/shim.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/logging.h"
#include "shim/protocol.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DRAY_LOG_AREA "shim"

/* After this much silence memory goes back to the kernel. */
#define IDLE_MS 50
#define TICK_MS 100
/* What lies below the stack pointer and is given back; nothing else is ever mapped so near. */
#define STACK_DEPTH ((uintptr_t)256 << 10)
/* How long an ended shim waits for execs to be reaped and for its last messages to be read. */
#define LEAVE_NS (INT64_C(2) * DRAY_NS_PER_S)

char *shim_buffer(struct shim *s)
{
    if (!s->buffer) {
        void *p =
            mmap(NULL, SHIM_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            abort();
        s->buffer = p;
    }
    s->untidy = true;
    return s->buffer;
}

/* Deep calls (a runtime's, JSON) leave pages of the stack behind that are not used again soon. */
static void give_back_stack(void)
{
    char here = 0;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t top = ((uintptr_t)&here - 2 * page) & ~(page - 1);
    (void)madvise((void *)(top - STACK_DEPTH), STACK_DEPTH, MADV_DONTNEED);
}

static void give_back_memory(struct shim *s)
{
    give_back_stack();
    if (s->buffer)
        (void)madvise(s->buffer, SHIM_BUFFER, MADV_DONTNEED);
    (void)malloc_trim(0);
    s->untidy = false;
}

/* Children. */

static void sigchld(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    (void)sigprocmask(how, &set, NULL);
}

void shim_signals_open(struct shim *s)
{
    (void)s;
    sigchld(SIG_UNBLOCK);
}

void shim_signals_block(struct shim *s)
{
    sigchld(SIG_BLOCK);
    s->reap = true; /* signals that came meanwhile are lost */
}

static void reap(struct shim *s)
{
    s->reap = false;
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
        if (pid <= 0)
            break;
        shim_exited(s, pid, status);
    }
    if (s->init.exited && s->ran && !s->ending)
        shim_ended(s);
}

static void on_signal(struct shim_watch *w, uint32_t events)
{
    (void)events;
    struct signalfd_siginfo info;
    while (read(w->fd, &info, sizeof info) > 0)
        ;
    SHIM_OWNER(w, struct shim, signals)->reap = true;
}

/* Connections. */

static bool allowed(int fd)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void on_listener(struct shim_watch *w, uint32_t events)
{
    (void)events;
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (allowed(fd))
        (void)shim_conn_new(SHIM_OWNER(w, struct shim, listener), fd);
    else
        (void)close(fd);
}

/* Setting up and leaving. */

static int write_pid(struct shim *s, struct dray_err *err)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    dray_autofd int fd =
        openat(s->dirfd, DRAY_SHIM_PIDFILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)n) != n)
        return dray_fail_errno(err, "write %s", DRAY_SHIM_PIDFILE);
    return 0;
}

static int open_listener(struct shim *s, struct dray_err *err)
{
    s->listener.fn = on_listener;
    int rc = dray_sock_listen_at(s->dirfd, DRAY_SHIM_SOCKET, SOCK_SEQPACKET, &s->listener.fd, err);
    if (rc)
        return rc;
    struct stat st = {0};
    (void)fstatat(s->dirfd, DRAY_SHIM_SOCKET, &st, AT_SYMLINK_NOFOLLOW);
    s->sock_ino = st.st_ino;
    shim_loop_set(&s->loop, &s->listener, EPOLLIN);
    return 0;
}

static int open_signals(struct shim *s, struct dray_err *err)
{
    sigchld(SIG_BLOCK);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    s->signals.fn = on_signal;
    s->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals.fd < 0)
        return dray_fail_errno(err, "signalfd");
    shim_loop_set(&s->loop, &s->signals, EPOLLIN);
    return 0;
}

static int set_up(struct shim *s, const char *dir, int conn, struct dray_err *err)
{
    int rc = shim_loop_init(&s->loop, err);
    if (!rc)
        rc = shim_conn_new(s, conn);
    if (rc)
        return rc;
    s->dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->dirfd < 0)
        return dray_fail_errno(err, "open %s", dir);
    rc = write_pid(s, err);
    if (!rc)
        rc = open_listener(s, err);
    return rc ? rc : open_signals(s, err);
}

/* The next run of the container may have put its own socket there. */
static void remove_socket(struct shim *s)
{
    struct stat st;
    if (s->sock_ino && fstatat(s->dirfd, DRAY_SHIM_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ino == s->sock_ino)
        (void)unlinkat(s->dirfd, DRAY_SHIM_SOCKET, 0);
}

static void leave(struct shim *s)
{
    shim_session_end_all(s);
    remove_socket(s);
    shim_execs_sweep(s, INT64_MAX);
    shim_logpipe_close(dray_steal(s->log));
    shim_proc_fini(&s->init);
    shim_conn_close_all(s);
    shim_loop_close(&s->loop, &s->listener);
    shim_loop_close(&s->loop, &s->signals);
    shim_loop_fini(&s->loop);
    dray_cleanup_fd(&s->lock);
    dray_cleanup_fd(&s->dirfd);
    if (s->buffer)
        (void)munmap(s->buffer, SHIM_BUFFER);
    for (size_t i = 0; i < SHIM_SIZES; i++)
        free(s->sizes[i].exec);
    free(s->exit_path);
    free(s->id);
}

/* The loop. */

static bool mail_is_out(const struct shim *s)
{
    const struct shim_conn *c = NULL;
    LIST_FOREACH(c, &s->conns, link)
    if (c->n_outbox > 0)
        return false;
    return true;
}

static bool may_leave(struct shim *s, int64_t now)
{
    if (!s->ending)
        return s->quit ? mail_is_out(s) : !s->ran && LIST_EMPTY(&s->conns);
    if (!LIST_EMPTY(&s->sessions))
        return false;
    if (!shim_logpipe_settle(s->log) && now - s->end_mono < SHIM_LOG_NS)
        return false;
    return (LIST_EMPTY(&s->execs) && mail_is_out(s)) || now - s->end_mono > LEAVE_NS;
}

static int timeout_of(const struct shim *s)
{
    if (s->reap)
        return 0;
    if (s->untidy)
        return IDLE_MS;
    return s->tick || s->ending || s->quit ? TICK_MS : -1;
}

static void serve(struct shim *s)
{
    for (;;) {
        int64_t now = dray_clock_mono();
        s->tick = false;
        shim_session_sweep(s, now);
        shim_execs_sweep(s, now);
        shim_conn_sweep(s);
        if (may_leave(s, now))
            return;
        if (shim_loop_once(&s->loop, timeout_of(s)) == 0 && !s->reap)
            give_back_memory(s);
        if (s->reap)
            reap(s);
    }
}

int shim_main(struct shim_drivers *drivers, const char *id, const char *dir, int conn)
{
    struct shim s = {.drivers = drivers, .dirfd = -EBADF, .lock = -EBADF};
    s.listener.fd = s.signals.fd = s.loop.epfd = -EBADF;
    s.id = strdup(id);
    shim_proc_init(&s.init, &s);
    struct dray_err err = {0};
    int rc = set_up(&s, dir, conn, &err);
    if (rc)
        dray_error("container %.12s: %s", id, err.text);
    else
        serve(&s);
    leave(&s);
    return rc ? 1 : 0;
}
