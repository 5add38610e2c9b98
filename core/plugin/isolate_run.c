/* SPDX-License-Identifier: Apache-2.0 */
/* isolate_run.c - the process of an isolated plugin: started, listened to, started again. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/isolate.h"

#include "base/clock.h"
#include "base/logging.h"
#include "base/spawn.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NS ((uint64_t)DRAY_NS_PER_S)
#define EXCHANGE_MS 30000
#define SEND_S 5
#define FIRST_PAUSE_NS (NS / 10)
#define SOON_NS (NS / 5) /* calls wait for a process that is started after no more than that */
#define LAST_PAUSE_NS (30 * NS)
#define STEADY_NS (60 * NS) /* up for so long: the next pause is the first one again */
#define STACK_SIZE ((size_t)256 << 10)

/* --- start -------------------------------------------------------------------------------------*/

static int signal_pidfd(int pidfd, int sig)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

void dray_isolate_kill(struct dray_isolate *iso)
{
    if (iso->pid > 0)
        (void)signal_pidfd(iso->pidfd, SIGKILL);
}

int dray_isolate_spawn(struct dray_isolate *iso, struct dray_err *err)
{
    int sv[2];
    char program[4200];
    const char *dir = iso->in->registry->config.libexec_dir;
    (void)snprintf(program, sizeof program, "%s/dray-plugin-host", dir ? dir : "");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return dray_fail_errno(err, "make a socket for the plugin's process");
    dray_autofd int theirs = sv[1];
    struct timeval patience = {.tv_sec = SEND_S};
    (void)setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const char *argv[] = {program, iso->in->name, NULL};
    int fds[] = {-1, 2, 2, theirs};
    struct dray_spawn s = {.argv = argv, .fds = fds, .n_fds = 4};
    dray_autofd int mine = sv[0];
    pid_t pid = 0;
    int rc = dray_spawn(&s, &pid, err);
    /* It stays until its socket ends. */
    int pidfd = rc ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (!rc && pidfd < 0)
        rc = dray_fail_errno(err, "pidfd_open");
    if (rc)
        return dray_err_note(err, "start the plugin's process");
    dray_cleanup_fd(&iso->sock);
    pthread_mutex_lock(&iso->lock);
    iso->sock = dray_steal_fd(&mine);
    iso->pid = pid;
    iso->pidfd = pidfd;
    pthread_mutex_unlock(&iso->lock);
    return 0;
}

/* Write a log line of the process. */
static void log_line(struct dray_isolate *iso, struct dray_wire *w)
{
    DRAY_AUTO(dray_wire_arena) memory = {0};
    w->alloc = dray_wire_arena_alloc;
    w->ctx = &memory;
    uint32_t level = dray_wire_get_u32(w);
    const char *line = dray_wire_get_str(w);
    w->ctx = NULL;
    if (!w->failed)
        dray_log_line(level <= DRAY_LOG_DEBUG ? level : DRAY_LOG_DEBUG, iso->label, "%s", line);
}

int dray_isolate_exchange(struct dray_isolate *iso, struct dray_wire *request,
                          struct dray_wire *reply, struct dray_err *err)
{
    request->id = 0;
    const uint64_t end = dray_mono_ns() + EXCHANGE_MS * UINT64_C(1000000);
    int rc = dray_wire_send(iso->sock, request, end, err);
    while (!rc) {
        dray_wire_cleanup(reply);
        uint64_t now = dray_mono_ns();
        rc = dray_wire_recv(iso->sock, end > now ? (int)((end - now) / 1000000) : 0, reply, err);
        if (!rc && reply->type == DRAY_WIRE_LOG)
            log_line(iso, reply);
        else if (!rc && reply->type == DRAY_WIRE_EMIT) {
            DRAY_AUTO(dray_wire) yes = {.type = DRAY_WIRE_EMITTED};
            dray_wire_put_u32(&yes, 0);
            rc = dray_wire_send(iso->sock, &yes, end, err);
        } else
            break;
    }
    return rc;
}

void dray_isolate_put_open(struct dray_isolate *iso, struct dray_wire *w)
{
    const struct dray_host *h = &iso->in->host;
    dray_wire_put_str(w, iso->in->name);
    pthread_mutex_lock(&iso->lock);
    dray_wire_put_str(w, iso->options);
    pthread_mutex_unlock(&iso->lock);
    for (uint32_t which = DRAY_PATH_DATA; which <= DRAY_PATH_LIBEXEC; which++)
        dray_wire_put_str(w, h->path(h, which));
}

static int open_again(struct dray_isolate *iso, struct dray_err *err)
{
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_OPEN};
    DRAY_AUTO(dray_wire) reply = {0};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    dray_isolate_put_open(iso, &request);
    int rc = dray_isolate_exchange(iso, &request, &reply, err);
    if (rc)
        return rc;
    reply.alloc = dray_wire_arena_alloc;
    reply.ctx = &memory;
    return dray_wire_get_err(&reply, err);
}

/* The file is known: its description is not taken again. */
static int load_again(struct dray_isolate *iso, struct dray_err *err)
{
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_LOAD};
    DRAY_AUTO(dray_wire) reply = {0};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    dray_wire_put_str(&request, iso->in->path);
    dray_wire_put_fd(&request, iso->so_fd);
    int rc = dray_isolate_exchange(iso, &request, &reply, err);
    if (rc)
        return rc;
    reply.alloc = dray_wire_arena_alloc;
    reply.ctx = &memory;
    return dray_wire_get_err(&reply, err);
}

/* --- states ------------------------------------------------------------------------------------*/

static void set_state(struct dray_instance *in, enum dray_instance_state from,
                      enum dray_instance_state to, const char *event)
{
    pthread_mutex_lock(&in->lock);
    bool changed = in->state == from;
    if (changed) {
        in->state = to;
        in->next_health_ns = UINT64_MAX; /* the supervisor knows how it is */
        pthread_cond_broadcast(&in->turn);
    }
    pthread_mutex_unlock(&in->lock);
    if (changed)
        dray_instance_event(in, event);
}

/* No call may wait for a process that is no more. */
static void fail_all(struct dray_isolate *iso)
{
    pthread_mutex_lock(&iso->lock);
    iso->up = false;
    for (struct dray_isolate_wait *w = iso->waits; w; w = w->next) {
        w->dead = true;
        pthread_cond_signal(&w->turn);
    }
    pthread_mutex_unlock(&iso->lock);
}

/* Wait for the end of a process. False when somebody else who waits for this program's children has
 * been told of it instead, as happens in shims. */
static bool wait_end(int pidfd, siginfo_t *end)
{
    struct pollfd gone = {.fd = pidfd, .events = POLLIN};
    while (poll(&gone, 1, -1) < 0 && errno == EINTR)
        ;
    return waitid(P_PIDFD, (id_t)pidfd, end, WEXITED) == 0;
}

void dray_isolate_reap(struct dray_isolate *iso)
{
    siginfo_t end = {0};
    pthread_mutex_lock(&iso->lock);
    pid_t pid = iso->pid;
    dray_isolate_kill(iso);
    iso->pid = 0; /* nobody signals it from here on */
    bool expected = iso->closing;
    pthread_mutex_unlock(&iso->lock);
    if (pid <= 0)
        return;
    bool told = wait_end(iso->pidfd, &end);
    dray_cleanup_fd(&iso->pidfd);
    if (expected)
        return;
    if (!told)
        dray_error("%s: its process %d has ended", iso->label, (int)pid);
    else if (end.si_code == CLD_EXITED)
        dray_error("%s: its process %d has ended with status %d", iso->label, (int)pid,
                   end.si_status);
    else
        dray_error("%s: its process %d was ended by signal %d (%s)", iso->label, (int)pid,
                   end.si_status, strsignal(end.si_status));
}

/* --- the supervisor ----------------------------------------------------------------------------*/

/* Give a message to the call that it is for; one that nobody waits for is dropped. */
static void deliver(struct dray_isolate *iso, struct dray_wire *w)
{
    pthread_mutex_lock(&iso->lock);
    struct dray_isolate_wait *wait = iso->waits;
    while (wait && wait->id != w->id)
        wait = wait->next;
    if (wait && !wait->message.type) {
        wait->message = *w;
        *w = (struct dray_wire){0};
        pthread_cond_signal(&wait->turn);
    }
    pthread_mutex_unlock(&iso->lock);
    dray_wire_cleanup(w);
}

static void serve(struct dray_isolate *iso)
{
    for (;;) {
        struct dray_wire w = {0};
        if (dray_wire_recv(iso->sock, -1, &w, NULL)) {
            dray_wire_cleanup(&w);
            return;
        }
        if (w.type == DRAY_WIRE_LOG)
            log_line(iso, &w);
        if (w.type == DRAY_WIRE_REPLY || w.type == DRAY_WIRE_EMIT)
            deliver(iso, &w);
        dray_wire_cleanup(&w);
    }
}

/* False: it is to end instead. */
static bool pause_before_start(struct dray_isolate *iso, uint64_t ns)
{
    uint64_t end = dray_mono_ns() + ns;
    const struct timespec until = {.tv_sec = (time_t)(end / NS), .tv_nsec = (long)(end % NS)};
    int timed = 0;
    pthread_mutex_lock(&iso->lock);
    while (!iso->closing && !timed)
        timed = pthread_cond_clockwait(&iso->wake, &iso->lock, CLOCK_MONOTONIC, &until);
    bool go = !iso->closing;
    pthread_mutex_unlock(&iso->lock);
    return go;
}

static bool start_again(struct dray_isolate *iso)
{
    struct dray_err err = {0};
    int rc = dray_isolate_spawn(iso, &err);
    rc = rc ? rc : load_again(iso, &err);
    rc = rc || !iso->opened ? rc : open_again(iso, &err);
    rc = rc ? rc : dray_isolate_replay(iso, &err);
    if (rc) {
        dray_error("%s: its process could not be started again: %s", iso->label, err.text);
        return false;
    }
    pthread_mutex_lock(&iso->lock);
    iso->up = true;
    pthread_cond_broadcast(&iso->wake);
    pid_t pid = iso->pid;
    pthread_mutex_unlock(&iso->lock);
    dray_info("%s: serves again, in process %d", iso->label, (int)pid);
    set_state(iso->in, DRAY_INSTANCE_SUSPECT, DRAY_INSTANCE_READY, "recover");
    return true;
}

static bool is_closing(struct dray_isolate *iso)
{
    pthread_mutex_lock(&iso->lock);
    bool closing = iso->closing;
    pthread_mutex_unlock(&iso->lock);
    return closing;
}

static void set_soon(struct dray_isolate *iso, bool soon)
{
    pthread_mutex_lock(&iso->lock);
    iso->soon = soon;
    pthread_cond_broadcast(&iso->wake);
    pthread_mutex_unlock(&iso->lock);
}

static void *supervise(void *arg)
{
    struct dray_isolate *iso = arg;
    uint64_t pause = FIRST_PAUSE_NS, since = dray_mono_ns();
    bool up = true;
    for (;;) {
        if (up)
            serve(iso);
        if (dray_mono_ns() - since > STEADY_NS)
            pause = FIRST_PAUSE_NS;
        set_soon(iso, pause <= SOON_NS);
        fail_all(iso);
        dray_isolate_reap(iso);
        if (is_closing(iso))
            return NULL;
        set_state(iso->in, DRAY_INSTANCE_READY, DRAY_INSTANCE_SUSPECT, "suspect");
        if (!pause_before_start(iso, pause))
            return NULL;
        pause = pause * 2 < LAST_PAUSE_NS ? pause * 2 : LAST_PAUSE_NS;
        since = dray_mono_ns();
        up = start_again(iso);
    }
}

int dray_isolate_supervise(struct dray_isolate *iso)
{
    int rc = dray_watchdog_thread(&iso->supervisor, supervise, iso, STACK_SIZE);
    iso->supervised = rc == 0;
    return rc;
}
