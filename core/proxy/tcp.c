/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.c - carries connections from a published port to the container.
 *
 * Bytes go from socket to socket by way of a pipe and are never seen here. A connection holds a
 * pipe only while something is in it. Both sockets are watched for edges, so whatever happens to
 * one of them, both directions are carried on as far as they go.
 */
#include "proxy/proxy.h"

#include "base/logging.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "proxy"
#define PIPE_SIZE (256 * 1024)
#define TURN 64    /* steps of one direction before others have their turn */
#define CONN_FDS 6 /* two sockets, and two pipes at most */
#define ACCEPTS 64 /* the same for connections of one port */

/** One direction. */
struct flow {
    int pipe[2];
    size_t held; /* bytes in it */
    bool ended;  /* no more comes in */
    bool shut;   /* and the other side has been told */
};

struct proxy_conn {
    struct proxy_item client, server;
    const struct proxy_group *group; /* NULL: its port has been closed already */
    struct proxy_conn *next, **at;
    struct proxy_conn *again;
    bool queued; /* in proxy.again */
    bool connecting;
    struct flow up, down;
};

/* Pipes. */

static bool pipe_take(struct proxy *p, int out[2])
{
    if (p->n_pipes) {
        p->n_pipes--;
        out[0] = p->pipes[p->n_pipes][0];
        out[1] = p->pipes[p->n_pipes][1];
        return true;
    }
    if (pipe2(out, O_NONBLOCK | O_CLOEXEC))
        return false;
    (void)fcntl(out[1], F_SETPIPE_SZ, PIPE_SIZE);
    return true;
}

static void pipe_give(struct proxy *p, struct flow *f)
{
    if (f->pipe[0] < 0)
        return;
    if (!f->held && p->n_pipes < PROXY_PIPES) {
        p->pipes[p->n_pipes][0] = f->pipe[0];
        p->pipes[p->n_pipes][1] = f->pipe[1];
        p->n_pipes++;
    } else {
        (void)close(f->pipe[0]);
        (void)close(f->pipe[1]);
    }
    f->pipe[0] = f->pipe[1] = -EBADF;
}

/* Connections. */

static void unqueue(struct proxy *p, struct proxy_conn *c)
{
    for (struct proxy_conn **at = &p->again; c->queued && *at; at = &(*at)->again) {
        if (*at == c) {
            *at = c->again;
            break;
        }
    }
    c->queued = false;
}

/* abort: who is still connected sees a reset instead of a regular end. */
static void conn_close(struct proxy *p, struct proxy_conn *c, bool abort)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (abort) {
        (void)setsockopt(c->client.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        (void)setsockopt(c->server.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    unqueue(p, c);
    proxy_unwatch(p, &c->client);
    proxy_unwatch(p, &c->server);
    pipe_give(p, &c->up);
    pipe_give(p, &c->down);
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    free(c);
    p->n_conns--;
    if (p->any_paused)
        proxy_ports_resume(p);
}

enum step { MOVED, STUCK, FAILED };

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* Into the pipe as much as it takes, and out of it as much as the other side takes. */
static enum step step(struct proxy *p, struct flow *f, int from, int to)
{
    const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    bool moved = false;
    if (!f->ended && f->pipe[0] < 0 && !pipe_take(p, f->pipe))
        return FAILED;
    if (!f->ended) {
        ssize_t n = splice(from, NULL, f->pipe[1], NULL, PIPE_SIZE, flags);
        if (n < 0 && !would_block())
            return FAILED;
        f->ended = n == 0;
        f->held += n > 0 ? (size_t)n : 0;
        moved = n >= 0;
    }
    if (f->held) {
        ssize_t n = splice(f->pipe[0], NULL, to, NULL, f->held, flags);
        if (n < 0 && !would_block())
            return FAILED;
        f->held -= n > 0 ? (size_t)n : 0;
        moved = moved || n > 0;
    }
    if (f->ended && !f->held && !f->shut) {
        f->shut = true;
        (void)shutdown(to, SHUT_WR);
    }
    return moved && !f->shut ? MOVED : STUCK;
}

static bool run(struct proxy *p, struct flow *f, int from, int to, bool *more)
{
    enum step s = f->shut ? STUCK : MOVED;
    for (int i = 0; s == MOVED && i < TURN; i++)
        s = step(p, f, from, to);
    if (!f->held)
        pipe_give(p, f);
    *more = *more || s == MOVED;
    return s != FAILED;
}

static void carry(struct proxy *p, struct proxy_conn *c)
{
    bool more = false;
    bool alive = run(p, &c->up, c->client.fd, c->server.fd, &more) &&
                 run(p, &c->down, c->server.fd, c->client.fd, &more);
    if (!alive || (c->up.shut && c->down.shut)) {
        conn_close(p, c, !alive);
        return;
    }
    if (more && !c->queued) {
        c->queued = true;
        c->again = p->again;
        p->again = c;
    }
}

static void on_client(struct proxy *p, struct proxy_item *item, uint32_t events)
{
    struct proxy_conn *c = (struct proxy_conn *)item; /* its first member */
    if (events & EPOLLERR)
        conn_close(p, c, true);
    else if (!c->connecting)
        carry(p, c);
}

static void on_server(struct proxy *p, struct proxy_item *item, uint32_t events)
{
    struct proxy_conn *c =
        (struct proxy_conn *)(void *)((char *)item - offsetof(struct proxy_conn, server));
    if (events & EPOLLERR) {
        conn_close(p, c, true);
        return;
    }
    if (c->connecting && !(events & EPOLLOUT))
        return;
    c->connecting = false;
    carry(p, c);
}

static void tune(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

/* 0, or a positive errno; takes the client's socket in any case. */
static int conn_open(struct proxy *p, const struct proxy_port *port, int client)
{
    const uint32_t edges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    struct proxy_conn *c = calloc(1, sizeof *c);
    if (!c) {
        (void)close(client);
        return ENOMEM;
    }
    c->client = (struct proxy_item){.ready = on_client, .fd = client};
    c->server = (struct proxy_item){.ready = on_server, .fd = -EBADF};
    c->up = c->down = (struct flow){.pipe = {-EBADF, -EBADF}};
    c->group = port->group;
    c->connecting = true;
    c->next = p->conns;
    c->at = &p->conns;
    if (c->next)
        c->next->at = &c->next;
    p->conns = c;
    p->n_conns++;
    int errnum = 0;
    c->server.fd = socket(port->to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->server.fd < 0)
        errnum = errno;
    tune(client);
    tune(c->server.fd);
    if (!errnum && connect(c->server.fd, &port->to.sa, proxy_addr_len(&port->to)) &&
        errno != EINPROGRESS)
        errnum = errno;
    errnum = errnum ? errnum : proxy_watch(p, &c->server, edges);
    errnum = errnum ? errnum : proxy_watch(p, &c->client, edges);
    if (errnum)
        conn_close(p, c, true);
    return errnum;
}

static bool no_room(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS || errnum == ENOMEM;
}

void proxy_tcp_accept(struct proxy *p, struct proxy_item *item, uint32_t events)
{
    struct proxy_port *port = (struct proxy_port *)item; /* its first member */
    (void)events;
    for (int i = 0; i < ACCEPTS; i++) {
        if (p->n_conns >= proxy_most(p) / CONN_FDS) {
            proxy_port_pause(p, port, "there are as many as descriptors allow");
            return;
        }
        int fd = accept4(item->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        int errnum = fd < 0 ? errno : conn_open(p, port, fd);
        if (no_room(errnum)) {
            proxy_port_pause(p, port, strerror(errnum));
            return;
        }
        if (fd < 0 && errnum != ECONNABORTED)
            return;
    }
}

void proxy_tcp_close(struct proxy *p, const struct proxy_group *g)
{
    for (struct proxy_conn *c = p->conns, *next; c; c = next) {
        next = c->next;
        if (c->group != g)
            continue;
        if (p->leaving)
            c->group = NULL;
        else
            conn_close(p, c, true);
    }
}

void proxy_tcp_again(struct proxy *p)
{
    struct proxy_conn *list = p->again;
    p->again = NULL;
    while (list) {
        struct proxy_conn *c = list;
        list = c->again;
        c->queued = false;
        carry(p, c);
    }
}
