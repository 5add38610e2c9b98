/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.c - questions that the table does not answer go to the container's servers.
 *
 * Every question has a fresh socket, hence a port of its own that a forger would have to guess. The
 * keeper opens it in the container's namespace; servers on the host's loopback are asked from here.
 */
#include "dns/worker.h"

#include "dns/sockets.h"

#include <sys/random.h>

#define MOST_QUERIES 2048 /* of all containers */
#define MOST_QUERIES_OF_ONE 256
#define TRY_MS 1500  /* while there is another server */
#define LAST_MS 4000 /* the last one */

struct dray_dns_query {
    struct dray_dns_source source; /* the upstream socket */
    struct dray_dns_query *next;
    struct dray_dns_client client;
    uint32_t tag;
    int64_t deadline;
    size_t server;
    uint8_t id[2]; /* towards the server */
    size_t question, n_query;
    uint8_t *answer; /* by TCP: length and message */
    size_t n_answer, sent;
    uint8_t query[]; /* as the client sent it, behind two bytes for its length */
};

static void send_back(struct dray_dns_worker *w, const struct dray_dns_client *client,
                      const uint8_t *data, size_t len)
{
    if (client->conn)
        dray_dns_tcp_reply(w, client->conn, data, len);
    else if (data)
        (void)sendto(client->service->udp.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
                     (const void *)&client->from, sizeof client->from);
}

static void forget(struct dray_dns_worker *w, struct dray_dns_query *q)
{
    struct dray_dns_query **at = &w->queries;
    if (q->source.dead)
        return;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    if (!*at)
        w->queries_end = at;
    w->n_queries--;
    q->client.service->n_queries--;
    free(dray_steal(q->answer));
    dray_dns_bury(w, &q->source);
}

static void fail(struct dray_dns_worker *w, struct dray_dns_query *q)
{
    DRAY_AUTO(dray_dns_reply) reply = {0};
    struct dray_dns_client client = q->client;
    (void)dray_dns_answer_failure(q->query + 2, q->n_query, &reply);
    forget(w, q);
    send_back(w, &client, reply.data, reply.len);
}

static void on_upstream(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events);

static const struct dray_dns_server *server_of(const struct dray_dns_query *q)
{
    const struct dray_dns_container *c = q->client.service->c;
    return c && q->server < c->n_servers ? &c->servers[q->server] : NULL;
}

/* The question as it goes out, with an id of our own; behind its length by TCP. */
static bool send_question(struct dray_dns_query *q)
{
    bool tcp = q->client.conn != NULL;
    uint8_t client_id[2];
    memcpy(client_id, q->query + 2, 2);
    memcpy(q->query + 2, q->id, 2);
    q->query[0] = (uint8_t)(q->n_query >> 8);
    q->query[1] = (uint8_t)q->n_query;
    size_t skip = tcp ? q->sent : 2;
    ssize_t n =
        send(q->source.fd, q->query + skip, q->n_query + 2 - skip, MSG_DONTWAIT | MSG_NOSIGNAL);
    memcpy(q->query + 2, client_id, 2);
    q->sent += tcp && n > 0 ? (size_t)n : 0;
    return n >= 0 || errno == EAGAIN || errno == EINPROGRESS;
}

static bool start_exchange(struct dray_dns_worker *w, struct dray_dns_query *q, int fd /* takes */)
{
    const struct dray_dns_server *server = server_of(q);
    bool tcp = q->client.conn != NULL;
    q->source = (struct dray_dns_source){.ready = on_upstream, .fd = fd};
    q->sent = q->n_answer = 0;
    if (getrandom(q->id, sizeof q->id, GRND_INSECURE) != (ssize_t)sizeof q->id)
        return false;
    if (connect(fd, (const void *)&server->addr, server->len) && errno != EINPROGRESS)
        return false;
    return dray_dns_watch(w, &q->source, tcp ? EPOLLOUT : EPOLLIN) && (tcp || send_question(q));
}

static bool ask_keeper(struct dray_dns_worker *w, const struct dray_dns_query *q,
                       const struct dray_dns_server *server)
{
    struct dray_dns_want want = {
        .tag = q->tag, .tcp = q->client.conn != NULL, .six = server->addr.ss_family == AF_INET6};
    (void)snprintf(want.id, sizeof want.id, "%s", q->client.service->c->id);
    return send(w->sockets.fd, &want, sizeof want, MSG_DONTWAIT | MSG_NOSIGNAL) ==
           (ssize_t)sizeof want;
}

/* Ask the server whose turn it is; past the last one the client is told. */
static void try_server(struct dray_dns_worker *w, struct dray_dns_query *q)
{
    for (const struct dray_dns_server *s; (s = server_of(q)) != NULL; q->server++) {
        bool last = q->server + 1 >= q->client.service->c->n_servers;
        q->deadline = dray_dns_now_ms() + (last ? LAST_MS : TRY_MS);
        q->tag = ++w->tag;
        if (!s->host) {
            if (ask_keeper(w, q, s))
                return;
            continue;
        }
        int fd = dray_dns_client_socket(s->addr.ss_family, q->client.conn != NULL);
        if (fd >= 0 && start_exchange(w, q, fd))
            return;
        if (fd >= 0)
            (void)close(fd);
        q->source.fd = -EBADF;
    }
    fail(w, q);
}

static void next_server(struct dray_dns_worker *w, struct dray_dns_query *q)
{
    if (q->source.fd >= 0)
        (void)close(q->source.fd);
    q->source.fd = -EBADF;
    free(dray_steal(q->answer));
    q->server++;
    try_server(w, q);
}

void dray_dns_forward_socket(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events)
{
    struct dray_dns_got got;
    union {
        char data[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec io = {.iov_base = &got, .iov_len = sizeof got};
    struct msghdr m = {.msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = control.data,
                       .msg_controllen = sizeof control.data};
    (void)events;
    ssize_t n = recvmsg(s->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n == 0)
        exit(0); /* the keeper has gone */
    if (n != (ssize_t)sizeof got)
        return;
    dray_autofd int fd = -EBADF;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    struct dray_dns_query *q = w->queries;
    while (q && q->tag != got.tag)
        q = q->next;
    if (!q || q->source.fd >= 0)
        return;
    if (fd < 0 || !server_of(q) || !start_exchange(w, q, dray_steal_fd(&fd)))
        next_server(w, q);
}

/* Is it the answer to what was asked, from a server that could tell? */
static bool acceptable(const struct dray_dns_query *q, const uint8_t *data, size_t len)
{
    enum { QUESTIONS_HIGH = 4, QUESTIONS = 5, FLAGS = 2, ANSWER = 0x80 };
    return len >= DRAY_DNS_HEADER + q->question && memcmp(data, q->id, 2) == 0 &&
           data[FLAGS] & ANSWER && data[QUESTIONS_HIGH] == 0 && data[QUESTIONS] == 1 &&
           memcmp(data + DRAY_DNS_HEADER, q->query + 2 + DRAY_DNS_HEADER, q->question) == 0;
}

static void deliver(struct dray_dns_worker *w, struct dray_dns_query *q, uint8_t *data, size_t len)
{
    enum { CODE = 3, NOERROR = 0, NXDOMAIN = 3 };
    unsigned code = data[CODE] & 0x0fu;
    if (code != NOERROR && code != NXDOMAIN) {
        next_server(w, q); /* it cannot tell: perhaps another one can */
        return;
    }
    struct dray_dns_client client = q->client;
    memcpy(data, q->query + 2, 2);
    forget(w, q);
    send_back(w, &client, data, len);
}

static void read_datagram(struct dray_dns_worker *w, struct dray_dns_query *q)
{
    ssize_t n = recv(q->source.fd, w->buf, sizeof w->buf, MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        next_server(w, q); /* refused, unreachable */
    else if (n > 0 && acceptable(q, w->buf, (size_t)n))
        deliver(w, q, w->buf, (size_t)n);
}

static void read_stream(struct dray_dns_worker *w, struct dray_dns_query *q)
{
    if (!q->answer && !(q->answer = malloc(DRAY_DNS_MOST + 2))) {
        fail(w, q);
        return;
    }
    ssize_t n =
        recv(q->source.fd, q->answer + q->n_answer, DRAY_DNS_MOST + 2 - q->n_answer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    q->n_answer += n > 0 ? (size_t)n : 0;
    size_t len = (size_t)q->answer[0] << 8 | q->answer[1];
    if (n <= 0 || (q->n_answer >= 2 && len < DRAY_DNS_HEADER)) {
        next_server(w, q);
        return;
    }
    if (q->n_answer < 2 || q->n_answer < len + 2)
        return;
    memcpy(w->buf, q->answer + 2, len);
    if (acceptable(q, w->buf, len))
        deliver(w, q, w->buf, len);
    else
        next_server(w, q);
}

static void on_upstream(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events)
{
    struct dray_dns_query *q = (void *)s;
    if (!q->client.conn) {
        read_datagram(w, q);
    } else if (events & EPOLLOUT && q->sent < q->n_query + 2) {
        if (!send_question(q))
            next_server(w, q);
        else if (q->sent == q->n_query + 2)
            dray_dns_rewatch(w, s, EPOLLIN);
    } else {
        read_stream(w, q);
    }
}

static struct dray_dns_query *new_query(struct dray_dns_worker *w,
                                        const struct dray_dns_client *client, const uint8_t *data,
                                        size_t len, size_t question)
{
    struct dray_dns_service *s = client->service;
    if (w->n_queries >= MOST_QUERIES || s->n_queries >= MOST_QUERIES_OF_ONE)
        return NULL;
    struct dray_dns_query *q = calloc(1, sizeof *q + len + 2);
    if (!q)
        return NULL;
    q->source = (struct dray_dns_source){.ready = on_upstream, .fd = -EBADF};
    q->client = *client;
    q->question = question;
    q->n_query = len;
    memcpy(q->query + 2, data, len);
    *w->queries_end = q;
    w->queries_end = &q->next;
    w->n_queries++;
    s->n_queries++;
    return q;
}

void dray_dns_handle(struct dray_dns_worker *w, const struct dray_dns_client *client,
                     const uint8_t *query, size_t len)
{
    DRAY_AUTO(dray_dns_reply) reply = {0};
    struct dray_dns_query *q = NULL;
    switch (
        dray_dns_answer(w->table, client->service->c, query, len, client->conn != NULL, &reply)) {
    case DRAY_DNS_FORWARD:
        q = new_query(w, client, query, len, reply.question);
        if (q) {
            try_server(w, q);
            return;
        }
        (void)dray_dns_answer_failure(query, len, &reply);
        break;
    case DRAY_DNS_REPLY:
    case DRAY_DNS_IGNORE:
        break;
    }
    send_back(w, client, reply.data, reply.len);
}

void dray_dns_forward_expire(struct dray_dns_worker *w, int64_t now)
{
    for (struct dray_dns_query *q = w->queries, *next; q; q = next) {
        next = q->next;
        if (now >= q->deadline)
            next_server(w, q);
    }
}

void dray_dns_forward_drop(struct dray_dns_worker *w, const struct dray_dns_service *s,
                           const struct dray_dns_conn *conn)
{
    for (struct dray_dns_query *q = w->queries, *next; q; q = next) {
        next = q->next;
        if ((s && q->client.service == s) || (conn && q->client.conn == conn))
            forget(w, q);
    }
}
