/* SPDX-License-Identifier: Apache-2.0 */
/* tcp.c - questions by TCP (RFC 7766): one at a time on each connection. */
#include "dns/worker.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define MOST_CONNS 512 /* of all containers */
#define MOST_CONNS_OF_ONE 32
#define IDLE_MS 10000

struct dray_dns_conn {
    struct dray_dns_source source;
    struct dray_dns_conn *next, **back;
    struct dray_dns_service *service;
    int64_t deadline;
    uint8_t *in, *out; /* a message with its length, or part of it; NULL while there is none */
    size_t n_in, want, n_out, sent;
    uint8_t length[2];
    bool asked; /* an answer is due: nothing is read */
};

static void close_conn(struct dray_dns_worker *w, struct dray_dns_conn *conn)
{
    if (conn->source.dead)
        return;
    dray_dns_forward_drop(w, NULL, conn);
    *conn->back = conn->next;
    if (conn->next)
        conn->next->back = conn->back;
    w->n_conns--;
    conn->service->n_conns--;
    free(dray_steal(conn->in));
    free(dray_steal(conn->out));
    dray_dns_bury(w, &conn->source);
}

/* The length first, then the message. Returns bytes read, 0 at the end, -1 with errno. */
static ssize_t read_some(struct dray_dns_conn *conn)
{
    if (!conn->in) {
        ssize_t n = recv(conn->source.fd, conn->length + conn->n_in, 2 - conn->n_in, 0);
        if (n <= 0)
            return n;
        conn->n_in += (size_t)n;
        if (conn->n_in < 2)
            return n;
        conn->want = (size_t)conn->length[0] << 8 | conn->length[1];
        conn->n_in = 0;
        conn->in = malloc(conn->want + 1);
        return conn->in && conn->want ? n : 0;
    }
    ssize_t n = recv(conn->source.fd, conn->in + conn->n_in, conn->want - conn->n_in, 0);
    if (n > 0)
        conn->n_in += (size_t)n;
    return n;
}

static void read_conn(struct dray_dns_worker *w, struct dray_dns_conn *conn)
{
    while (!conn->source.dead && !conn->asked) {
        ssize_t n = read_some(conn);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            close_conn(w, conn);
            return;
        }
        if (!conn->in || conn->n_in < conn->want)
            continue;
        dray_autofree uint8_t *query = dray_steal(conn->in);
        size_t len = conn->want;
        conn->n_in = conn->want = 0;
        conn->asked = true;
        conn->deadline = dray_dns_now_ms() + IDLE_MS;
        dray_dns_rewatch(w, &conn->source, EPOLLRDHUP);
        struct dray_dns_client client = {.service = conn->service, .conn = conn};
        dray_dns_handle(w, &client, query, len);
    }
}

static void write_conn(struct dray_dns_worker *w, struct dray_dns_conn *conn)
{
    ssize_t n =
        send(conn->source.fd, conn->out + conn->sent, conn->n_out - conn->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        close_conn(w, conn);
        return;
    }
    conn->sent += n > 0 ? (size_t)n : 0;
    if (conn->sent < conn->n_out) {
        dray_dns_rewatch(w, &conn->source, EPOLLOUT);
        return;
    }
    free(dray_steal(conn->out));
    conn->asked = false;
    dray_dns_rewatch(w, &conn->source, EPOLLIN);
}

static void on_conn(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events)
{
    struct dray_dns_conn *conn = (void *)s;
    if (conn->out && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        write_conn(w, conn);
    else if (!conn->asked)
        read_conn(w, conn);
    else if (events & (EPOLLERR | EPOLLHUP))
        close_conn(w, conn);
    else
        dray_dns_rewatch(w, s, 0); /* it will write no more, and waits for its answer */
}

void dray_dns_tcp_reply(struct dray_dns_worker *w, struct dray_dns_conn *conn, const uint8_t *data,
                        size_t len)
{
    conn->out = data ? malloc(len + 2) : NULL;
    if (!conn->out) {
        close_conn(w, conn);
        return;
    }
    conn->out[0] = (uint8_t)(len >> 8);
    conn->out[1] = (uint8_t)len;
    memcpy(conn->out + 2, data, len);
    conn->n_out = len + 2;
    conn->sent = 0;
    write_conn(w, conn);
}

void dray_dns_tcp_accept(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events)
{
    struct dray_dns_service *service = (void *)((char *)s - offsetof(struct dray_dns_service, tcp));
    (void)events;
    for (int i = 0; i < MOST_CONNS_OF_ONE; i++) {
        dray_autofd int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (w->n_conns >= MOST_CONNS || service->n_conns >= MOST_CONNS_OF_ONE)
            continue; /* closed: the client may try again */
        struct dray_dns_conn *conn = calloc(1, sizeof *conn);
        if (!conn)
            return;
        conn->source = (struct dray_dns_source){.ready = on_conn, .fd = dray_steal_fd(&fd)};
        conn->service = service;
        conn->deadline = dray_dns_now_ms() + IDLE_MS;
        conn->next = w->conns;
        conn->back = &w->conns;
        if (conn->next)
            conn->next->back = &conn->next;
        w->conns = conn;
        w->n_conns++;
        service->n_conns++;
        if (!dray_dns_watch(w, &conn->source, EPOLLIN))
            close_conn(w, conn);
    }
}

void dray_dns_tcp_expire(struct dray_dns_worker *w, int64_t now)
{
    for (struct dray_dns_conn *conn = w->conns, *next; conn; conn = next) {
        next = conn->next;
        if (now >= conn->deadline)
            close_conn(w, conn);
    }
}

void dray_dns_tcp_drop(struct dray_dns_worker *w, const struct dray_dns_service *s)
{
    for (struct dray_dns_conn *conn = w->conns, *next; conn; conn = next) {
        next = conn->next;
        if (conn->service == s)
            close_conn(w, conn);
    }
}
