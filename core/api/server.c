/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - accepts connections, has MHD serve each in a thread of its own, ends in good order. */
#include "api/server.h"

#include "api/http_priv.h"
#include "base/clock.h"
#include "base/logging.h"
#include "engine/engine.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DRAY_LOG_AREA "api"
#define MAX_CONNECTIONS 32768u
#define POOL_BYTES ((size_t)64 << 10) /* most of a request's head, and MHD's buffers */
#define MAX_FDS_PER_HOST 16

struct dray_listener {
    struct dray_listener *next;
    struct dray_server *server;
    struct dray_tls *tls;
    int fd;
    char *unlink_path; /* of a unix socket that is ours */
    pthread_t thread;
    bool started;
};

void dray_server_add(struct dray_server *s, int fd, const char *user)
{
    /* MHD keeps the address with the connection, and looks at no more of it than its family. */
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (user)
        (void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s", user);
    if (MHD_add_connection(s->mhd, fd, (struct sockaddr *)&sa, sizeof sa) != MHD_YES)
        dray_warn("a connection was refused: too many, or no memory for one more");
}

static void accept_one(struct dray_listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        /* Out of descriptors: the connection waits in the backlog until some are closed. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            (void)usleep(50000);
        return;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (l->tls)
        dray_tls_accept(l->tls, l->server, fd);
    else
        dray_server_add(l->server, fd, NULL);
}

const char *dray_http_user(struct dray_http *h)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(h->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const void *addr = info ? info->client_addr : NULL;
    const struct sockaddr_un *sa = addr;
    return sa && sa->sun_family == AF_UNIX && sa->sun_path[0] ? sa->sun_path : NULL;
}

static void *accept_main(void *arg)
{
    struct dray_listener *l = arg;
    struct pollfd p[2] = {{.fd = l->fd, .events = POLLIN},
                          {.fd = l->server->stop_fd, .events = POLLIN}};
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (p[1].revents)
            return NULL;
        if (p[0].revents & POLLIN)
            accept_one(l);
    }
}

/* MHD shall leave escapes alone: the router decodes, strictly. */
static size_t keep_escapes(void *cls, struct MHD_Connection *conn, char *text)
{
    (void)cls;
    (void)conn;
    return strlen(text);
}

static int start_mhd(struct dray_server *s, struct dray_err *err)
{
    s->mhd = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                                  MHD_USE_POLL | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET |
                                  MHD_ALLOW_UPGRADE,
                              0, NULL, NULL, dray_request_access, s,             //
                              MHD_OPTION_URI_LOG_CALLBACK, dray_request_new, s,  //
                              MHD_OPTION_NOTIFY_COMPLETED, dray_request_done, s, //
                              MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,  //
                              MHD_OPTION_STRICT_FOR_CLIENT, 1,                   //
                              MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,      //
                              MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES,    //
                              MHD_OPTION_THREAD_STACK_SIZE, DRAY_THREAD_STACK, MHD_OPTION_END);
    return s->mhd ? 0 : dray_fail(err, DRAY_E_IO, "start the HTTP server: %s", strerror(errno));
}

static int add_listener(struct dray_server *s, const struct dray_listen *conf, int fd,
                        struct dray_err *err)
{
    struct dray_listener *l = calloc(1, sizeof *l);
    if (!l) {
        (void)close(fd);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    l->server = s;
    l->fd = fd;
    l->next = s->listeners;
    s->listeners = l;
    if (strncmp(conf->host, "unix://", 7) == 0)
        l->unlink_path = strdup(conf->host[7] ? conf->host + 7 : "/run/dray.sock");
    else if (conf->host[0] == '/')
        l->unlink_path = strdup(conf->host);
    int rc = conf->tls ? dray_tls_open(conf, &l->tls, err) : 0;
    if (!rc && dray_thread_start(accept_main, l, &l->thread) != 0)
        rc = dray_fail_errno(err, "start a thread");
    l->started = rc == 0;
    return rc;
}

static int open_host(struct dray_server *s, const struct dray_listen *conf, struct dray_err *err)
{
    int fds[MAX_FDS_PER_HOST];
    size_t n = 0;
    int rc = dray_listen_open(conf, fds, MAX_FDS_PER_HOST, &n, err);
    for (size_t i = 0; i < n; i++) {
        if (rc)
            (void)close(fds[i]);
        else
            rc = add_listener(s, conf, fds[i], err);
    }
    if (!rc)
        dray_info("API listens on %s", conf->host);
    return rc;
}

int dray_server_open(struct dray_engine *e, const struct dray_listen *hosts, size_t n,
                     struct dray_server **out, struct dray_err *err)
{
    struct dray_server *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->engine = e;
    s->experimental = e && e->config && e->config->experimental;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->idle, &attr);
    pthread_condattr_destroy(&attr);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = s->stop_fd < 0 ? dray_fail_errno(err, "eventfd") : dray_kit_open(e, &s->kit, err);
    if (!rc)
        rc = start_mhd(s, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = open_host(s, &hosts[i], err);
    if (rc)
        (void)dray_server_close(s, 0);
    else
        *out = s;
    return rc;
}

static void stop_listeners(struct dray_server *s)
{
    for (struct dray_listener *l = s->listeners; l; l = l->next) {
        if (l->started)
            pthread_join(l->thread, NULL);
        (void)close(l->fd);
        if (l->unlink_path)
            (void)unlink(l->unlink_path);
        free(l->unlink_path);
        l->unlink_path = NULL;
    }
}

static void free_listeners(struct dray_server *s)
{
    while (s->listeners) {
        struct dray_listener *l = s->listeners;
        s->listeners = l->next;
        dray_tls_close(l->tls);
        free(l);
    }
}

/* Streams see the end of reading as a client that has gone; what they still write goes out. A
 * hijacked socket belongs to its session, which may well go on without us. */
static void end_streams(struct dray_server *s)
{
    for (struct dray_http *h = s->active; h; h = h->next)
        if (h->state == DRAY_HTTP_STREAMING)
            (void)shutdown(h->fd, SHUT_RD);
}

static bool wait_idle(struct dray_server *s, int timeout_ms)
{
    int64_t end = dray_clock_mono() + timeout_ms * INT64_C(1000000);
    struct timespec until = {.tv_sec = end / DRAY_NS_PER_S, .tv_nsec = end % DRAY_NS_PER_S};
    pthread_mutex_lock(&s->lock);
    end_streams(s);
    while (s->n_active > s->n_hijacked &&
           pthread_cond_timedwait(&s->idle, &s->lock, &until) != ETIMEDOUT)
        ;
    bool idle = s->n_active == 0;
    pthread_mutex_unlock(&s->lock);
    return idle;
}

static bool wait_front(struct dray_server *s, int timeout_ms)
{
    bool idle = false;
    for (int i = 0; i <= timeout_ms / 10 && !idle; i++) {
        if (i)
            (void)usleep(10000);
        pthread_mutex_lock(&s->lock);
        idle = s->n_front == 0;
        pthread_mutex_unlock(&s->lock);
    }
    return idle;
}

bool dray_server_close(struct dray_server *s, int timeout_ms)
{
    if (!s)
        return true;
    if (s->stop_fd >= 0)
        (void)eventfd_write(s->stop_fd, 1);
    stop_listeners(s);
    if (!wait_idle(s, timeout_ms))
        return false;
    if (s->mhd)
        MHD_stop_daemon(s->mhd);
    s->mhd = NULL;
    if (!wait_front(s, 1000))
        return false;
    free_listeners(s);
    dray_kit_close(s->kit);
    if (s->stop_fd >= 0)
        (void)close(s->stop_fd);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return true;
}
