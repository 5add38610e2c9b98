/* SPDX-License-Identifier: Apache-2.0 */
/* shims.c - the daemon's side of shim/protocol.h. */
#include "engine/container/shims.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "base/spawn.h"
#include "engine/container/container.h"
#include "engine/workq.h"
#include "shim/protocol.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DRAY_LOG_AREA "shims"
#define EVENTS_AT_ONCE 32
#define KILL_WAIT_MS 5000
#define ZYGOTE_WAIT_MS 10000
#define LOST_MS 200

/** A shim that is listened to. Owned by the listening thread. */
struct watch {
    struct watch *next, **back;
    struct dray_container *c;
    uint64_t serial;
    int sock;
};

struct dray_shims {
    struct dray_engine *engine;
    int run_dir;
    int epoll, stop;
    pthread_t thread;
    pthread_mutex_t lock; /* guards: zygote, zygote_pid, watches. order: leaf */
    int zygote;
    pid_t zygote_pid;
    struct watch *watches;
};

/* The zygote. */

static struct json_object *init_message(struct dray_engine *e)
{
    const struct dray_config *cfg = e->config;
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "op", "init");
    struct json_object *dirs = dray_json_strs(&cfg->plugin_dirs);
    if (cfg->plugin_dir)
        json_object_array_put_idx(dirs, json_object_array_length(dirs),
                                  json_object_new_string(cfg->plugin_dir));
    dray_json_add(m, "plugin_dirs", dirs);
    dray_json_add_str(m, "data_root", cfg->data_root);
    dray_json_add_str(m, "exec_root", cfg->exec_root);
    dray_json_add_str(m, "libexec_dir", cfg->libexec_dir);
    dray_json_add(m, "plugins", cfg->plugins ? json_object_get(cfg->plugins) : NULL);
    dray_json_add_int(m, "log_level", cfg->debug ? DRAY_LOG_DEBUG : DRAY_LOG_INFO);
    return m;
}

/** Call with lock held. */
static int start_zygote(struct dray_shims *s, struct dray_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return dray_fail_errno(err, "make a socket pair");
    dray_autofd int mine = pair[0], theirs = pair[1];
    dray_autofree char *path = dray_strf("%s/dray-shim", s->engine->config->libexec_dir);
    const char *argv[] = {path, "zygote", NULL};
    const int fds[] = {-1, STDERR_FILENO, STDERR_FILENO, theirs};
    struct dray_spawn spawn = {.argv = argv, .fds = fds, .n_fds = 4};
    pid_t pid = 0;
    int rc = path ? dray_spawn(&spawn, &pid, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc != 0)
        return rc;
    dray_autojson *hello = init_message(s->engine);
    rc = dray_sockmsg_send(mine, hello, NULL, 0, err);
    if (rc != 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return rc;
    }
    s->zygote = dray_steal_fd(&mine);
    s->zygote_pid = pid;
    return 0;
}

/** Call with lock held. */
static void end_zygote(struct dray_shims *s)
{
    if (s->zygote < 0)
        return;
    (void)close(s->zygote); /* its end of file: it leaves by itself */
    s->zygote = -EBADF;
    struct timespec pause = {.tv_nsec = 2000000};
    for (int i = 0; i < 500; i++) {
        if (waitpid(s->zygote_pid, NULL, WNOHANG) != 0)
            return;
        (void)nanosleep(&pause, NULL);
    }
    (void)kill(s->zygote_pid, SIGKILL);
    (void)waitpid(s->zygote_pid, NULL, 0);
}

static int ask_zygote(struct dray_shims *s, struct json_object *m, int fd, struct dray_err *err)
{
    int rc = DRAY_E_UNAVAIL;
    pthread_mutex_lock(&s->lock);
    for (int attempt = 0; attempt < 2 && rc == DRAY_E_UNAVAIL; attempt++) {
        if (s->zygote < 0 && (rc = start_zygote(s, err)) != 0)
            break;
        rc = dray_sockmsg_send(s->zygote, m, &fd, 1, err);
        if (rc == DRAY_E_UNAVAIL)
            end_zygote(s);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int dray_shims_spawn(struct dray_shims *s, const char *id, int *sock_out, struct dray_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return dray_fail_errno(err, "make a socket pair");
    dray_autofd int mine = pair[0], theirs = pair[1];
    dray_autojson *m = json_object_new_object();
    dray_json_add_str(m, "op", "spawn");
    dray_json_add_str(m, "id", id);
    dray_json_addf(m, "dir", "%s/containers/%s", s->engine->config->exec_root, id);
    int rc = ask_zygote(s, m, theirs, err);
    if (rc != 0)
        return dray_err_note(err, "start a shim");
    *sock_out = dray_steal_fd(&mine);
    return 0;
}

/** Has it read all that it was sent? */
static bool zygote_reads(struct dray_shims *s)
{
    int unread = 0;
    pthread_mutex_lock(&s->lock);
    bool reads = s->zygote < 0 || ioctl(s->zygote, SIOCOUTQ, &unread) != 0 || unread == 0;
    pthread_mutex_unlock(&s->lock);
    return reads;
}

/** What was on its way to a zygote that has gone is lost, and seen by the other end as closed. */
static bool is_lost(int sock, int wait_ms)
{
    struct pollfd p = {.fd = sock};
    return poll(&p, 1, wait_ms) == 1 && (p.revents & POLLHUP);
}

static pid_t zygote_of(struct dray_shims *s)
{
    pthread_mutex_lock(&s->lock);
    pid_t pid = s->zygote_pid;
    pthread_mutex_unlock(&s->lock);
    return pid;
}

static void replace_zygote(struct dray_shims *s)
{
    dray_warn("the zygote has not answered for %d s: it is replaced", ZYGOTE_WAIT_MS / 1000);
    pthread_mutex_lock(&s->lock);
    if (s->zygote >= 0)
        (void)kill(s->zygote_pid, SIGKILL);
    end_zygote(s);
    pthread_mutex_unlock(&s->lock);
}

int dray_shims_await(struct dray_shims *s, const char *id, int *sock, struct dray_err *err)
{
    struct timespec pause = {.tv_nsec = 5000000};
    int64_t end = dray_clock_mono() + (int64_t)ZYGOTE_WAIT_MS * 1000000;
    pid_t asked = zygote_of(s);
    while (!zygote_reads(s) && !is_lost(*sock, 0)) {
        if (dray_clock_mono() > end)
            replace_zygote(s);
        else
            (void)nanosleep(&pause, NULL);
    }
    /* Another who waited may have replaced it: the kernel closes what was on its way a bit later.
     */
    if (!is_lost(*sock, zygote_of(s) == asked ? 0 : LOST_MS))
        return 0;
    (void)close(dray_steal_fd(sock));
    return dray_shims_spawn(s, id, sock, err);
}

int dray_shims_connect(struct dray_shims *s, const char *id, int *sock_out, struct dray_err *err)
{
    dray_autofd int dir = openat(s->run_dir, id, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail(err, DRAY_E_UNAVAIL, "no shim of container %.12s", id);
    int rc = dray_sock_connect_at(dir, DRAY_SHIM_SOCKET, SOCK_SEQPACKET, sock_out, err);
    if (rc == DRAY_E_TIMEOUT)
        return rc;
    return rc == 0 ? 0 : dray_fail(err, DRAY_E_UNAVAIL, "no shim of container %.12s", id);
}

void dray_shims_kill(struct dray_shims *s, const char *id)
{
    DRAY_AUTO(dray_buf) text = {0};
    dray_autofree char *path = dray_strf("%s/" DRAY_SHIM_PIDFILE, id);
    if (!path || dray_fs_read(s->run_dir, path, 32, &text, NULL) != 0)
        return;
    long pid = strtol(text.data, NULL, 10);
    dray_autofd int fd = pid > 1 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -EBADF;
    if (fd < 0 || syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) != 0)
        return;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    (void)poll(&p, 1, KILL_WAIT_MS);
}

/* Requests. */

static int reply_error(struct json_object *reply, struct dray_err *err)
{
    int code = (int)dray_json_int(reply, "code", 0);
    if (code == 0)
        return 0;
    return dray_fail(err, code < 0 ? code : DRAY_E_CORRUPT, "%s",
                     dray_json_str(reply, "error", "the shim failed"));
}

int dray_shim_call(int sock, struct json_object *body /* takes */, const int *fds, size_t n_fds,
                   int timeout_ms, struct json_object **reply, struct dray_err *err)
{
    dray_autojson *held __attribute__((unused)) = body;
    dray_json_add_int(body, "seq", 1);
    int64_t end = dray_clock_mono() + (int64_t)timeout_ms * 1000000;
    int rc = dray_sockmsg_send(sock, body, fds, n_fds, err);
    while (rc == 0) { /* events come between, and do not prolong it */
        DRAY_AUTO(dray_sockmsg) m = {0};
        int64_t left = (end - dray_clock_mono()) / 1000000;
        rc = dray_sockmsg_recv(sock, left > 0 ? (int)left : 0, &m, err);
        if (rc != 0 || !dray_json_get(m.body, "re"))
            continue;
        rc = reply_error(m.body, err);
        if (rc == 0 && reply)
            *reply = dray_steal(m.body);
        return rc;
    }
    return rc;
}

int dray_shims_ask(struct dray_shims *s, const char *id, struct json_object *body /* takes */,
                   int timeout_ms, struct json_object **reply, struct dray_err *err)
{
    dray_autofd int sock = -EBADF;
    int rc = dray_shims_connect(s, id, &sock, err);
    if (rc != 0) {
        json_object_put(body);
        return rc;
    }
    return dray_shim_call(sock, body, NULL, 0, timeout_ms, reply, err);
}

/* Listening. */

struct ended_job {
    struct dray_container *c;
    uint64_t serial;
};

static void run_ended(void *arg)
{
    struct ended_job *job = arg;
    dray_container_ended(job->c, job->serial);
    dray_container_unref(job->c);
    free(job);
}

static void drop_ended(void *arg)
{
    struct ended_job *job = arg;
    dray_container_unref(job->c);
    free(job);
}

/** The watch has seen its last message: hand the container to a worker. */
static void finish_watch(struct dray_shims *s, struct watch *w)
{
    (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, w->sock, NULL);
    (void)close(w->sock);
    pthread_mutex_lock(&s->lock);
    *w->back = w->next;
    if (w->next)
        w->next->back = w->back;
    pthread_mutex_unlock(&s->lock);
    struct ended_job *job = malloc(sizeof *job);
    if (job) {
        *job = (struct ended_job){.c = w->c, .serial = w->serial};
        dray_workq_add(w->c->set->work, run_ended, drop_ended, job);
    } else {
        dray_container_unref(w->c);
    }
    free(w);
}

static void on_message(struct dray_shims *s, struct watch *w)
{
    DRAY_AUTO(dray_sockmsg) m = {0};
    if (dray_sockmsg_recv(w->sock, 0, &m, NULL) != 0) {
        finish_watch(s, w);
        return;
    }
    const char *event = dray_json_str(m.body, "event", "");
    if (strcmp(event, "exit") == 0)
        finish_watch(s, w);
    else if (strcmp(event, "exec-exit") == 0)
        dray_container_exec_ended(w->c, dray_json_str(m.body, "exec", ""),
                                  (int)dray_json_int(m.body, "code", -1));
}

static void *listener(void *arg)
{
    struct dray_shims *s = arg;
    for (;;) {
        struct epoll_event ev[EVENTS_AT_ONCE];
        int n = epoll_wait(s->epoll, ev, EVENTS_AT_ONCE, -1);
        for (int i = 0; i < n; i++) {
            if (!ev[i].data.ptr)
                return NULL;
            on_message(s, ev[i].data.ptr);
        }
    }
}

int dray_shims_watch(struct dray_shims *s, struct dray_container *c, uint64_t serial,
                     int sock /* takes */, struct dray_err *err)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w) {
        (void)close(sock);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    *w = (struct watch){.c = dray_container_ref(c), .serial = serial, .sock = sock};
    pthread_mutex_lock(&s->lock);
    w->next = s->watches;
    w->back = &s->watches;
    if (w->next)
        w->next->back = &w->next;
    s->watches = w;
    pthread_mutex_unlock(&s->lock);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = w};
    (void)epoll_ctl(s->epoll, EPOLL_CTL_ADD, sock, &ev);
    return 0;
}

int dray_shims_open(struct dray_engine *e, int run_dir, struct dray_shims **out,
                    struct dray_err *err)
{
    struct dray_shims *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->engine = e;
    s->run_dir = run_dir;
    s->zygote = -EBADF;
    pthread_mutex_init(&s->lock, NULL);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN};
    (void)epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->stop, &ev);
    int rc = start_zygote(s, err);
    if (rc == 0 && pthread_create(&s->thread, NULL, listener, s) != 0)
        rc = dray_fail_errno(err, "start a thread");
    if (rc != 0) {
        end_zygote(s);
        (void)close(s->epoll);
        (void)close(s->stop);
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void dray_shims_close(struct dray_shims *s)
{
    if (!s)
        return;
    (void)eventfd_write(s->stop, 1);
    pthread_join(s->thread, NULL);
    pthread_mutex_lock(&s->lock);
    end_zygote(s);
    pthread_mutex_unlock(&s->lock);
    while (s->watches) {
        struct watch *w = s->watches;
        s->watches = w->next;
        (void)close(w->sock);
        dray_container_unref(w->c);
        free(w);
    }
    (void)close(s->epoll);
    (void)close(s->stop);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
