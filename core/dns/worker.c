/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - the event loop of the worker, its orders from the keeper, and questions by UDP. */
#include "dns/worker.h"

#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"

#include <sys/socket.h>
#include <time.h>

#define DRAY_LOG_AREA "dns"
#define EVENTS_AT_ONCE 64
#define DATAGRAMS_AT_ONCE 16 /* of one container, before others have their turn */
#define TICK_MS 250

int64_t dray_dns_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool dray_dns_watch(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};
    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->fd, &ev) == 0;
}

void dray_dns_rewatch(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};
    (void)epoll_ctl(w->epoll, EPOLL_CTL_MOD, s->fd, &ev);
}

static void close_source(struct dray_dns_source *s)
{
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -EBADF;
}

void dray_dns_bury(struct dray_dns_worker *w, struct dray_dns_source *s)
{
    if (s->dead)
        return;
    close_source(s);
    s->dead = true;
    s->next_dead = w->dead;
    w->dead = s;
}

static void free_dead(struct dray_dns_worker *w)
{
    while (w->dead) {
        struct dray_dns_source *s = w->dead;
        w->dead = s->next_dead;
        free(s);
    }
}

/* Questions by UDP. */

static void on_datagram(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events)
{
    struct dray_dns_service *service = (void *)s; /* udp is its first member */
    (void)events;
    for (int i = 0; i < DATAGRAMS_AT_ONCE && s->fd >= 0; i++) {
        struct dray_dns_client client = {.service = service};
        socklen_t len = sizeof client.from;
        ssize_t n = recvfrom(s->fd, w->buf, sizeof w->buf, 0, (void *)&client.from, &len);
        if (n < 0 && errno == ECONNREFUSED)
            continue; /* somebody did not wait for an answer of before */
        if (n < 0)
            return;
        dray_dns_handle(w, &client, w->buf, (size_t)n);
    }
}

/* Orders of the keeper. */

static void drop_service(struct dray_dns_worker *w, struct dray_dns_service *service)
{
    if (!service)
        return;
    dray_dns_forward_drop(w, service, NULL);
    dray_dns_tcp_drop(w, service);
    close_source(&service->tcp);
    service->c = NULL;
    dray_dns_bury(w, &service->udp);
}

static int serve(struct dray_dns_worker *w, struct dray_dns_container *c, struct dray_sockmsg *m)
{
    if (m->n_fds != 2)
        return c->user ? 0 : DRAY_E_INVAL;
    struct dray_dns_service *service = calloc(1, sizeof *service);
    if (!service)
        return DRAY_E_NOMEM;
    drop_service(w, c->user);
    *service = (struct dray_dns_service){
        .udp = {.ready = on_datagram, .fd = dray_sockmsg_take_fd(m, 0)},
        .tcp = {.ready = dray_dns_tcp_accept, .fd = dray_sockmsg_take_fd(m, 1)},
        .c = c};
    c->user = service;
    if (dray_dns_watch(w, &service->udp, EPOLLIN) && dray_dns_watch(w, &service->tcp, EPOLLIN))
        return 0;
    c->user = NULL;
    drop_service(w, service);
    return DRAY_E_NOMEM;
}

static int obey(struct dray_dns_worker *w, struct dray_sockmsg *m)
{
    const char *op = dray_json_str(m->body, "op", "");
    struct dray_dns_container *c = NULL;
    if (strcmp(op, "set") == 0) {
        int rc = dray_dns_table_set(w->table, dray_json_obj(m->body, "doc"), &c, NULL);
        return rc ? rc : serve(w, c, m);
    }
    c = dray_dns_table_find(w->table, dray_json_str(m->body, "id", ""));
    if (c)
        drop_service(w, c->user);
    dray_dns_table_drop(w->table, c);
    return 0;
}

static void on_order(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events)
{
    DRAY_AUTO(dray_sockmsg) m = {0};
    (void)events;
    if (dray_sockmsg_recv(s->fd, 0, &m, NULL))
        exit(0); /* the keeper has gone */
    dray_autojson *answer = json_object_new_object();
    dray_json_add_int(answer, "code", obey(w, &m));
    (void)dray_sockmsg_send(s->fd, answer, NULL, 0, NULL);
}

static int run(struct dray_dns_worker *w)
{
    struct epoll_event ev[EVENTS_AT_ONCE];
    int64_t next = 0;
    for (;;) {
        bool busy = w->queries || w->conns;
        int n = epoll_wait(w->epoll, ev, EVENTS_AT_ONCE, busy ? TICK_MS : -1);
        if (n < 0 && errno != EINTR)
            return 1;
        for (int i = 0; i < n; i++) {
            struct dray_dns_source *s = ev[i].data.ptr;
            if (!s->dead && s->fd >= 0)
                s->ready(w, s, ev[i].events);
        }
        int64_t now = busy ? dray_dns_now_ms() : 0;
        if (busy && now >= next) {
            dray_dns_forward_expire(w, now);
            dray_dns_tcp_expire(w, now);
            next = now + TICK_MS;
        }
        free_dead(w);
    }
}

int dray_dns_worker_main(int control, int sockets)
{
    struct dray_dns_worker *w = calloc(1, sizeof *w);
    if (!w)
        return 1;
    w->queries_end = &w->queries;
    w->control = (struct dray_dns_source){.ready = on_order, .fd = control};
    w->sockets = (struct dray_dns_source){.ready = dray_dns_forward_socket, .fd = sockets};
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->table = dray_dns_table_new();
    if (w->epoll < 0 || !w->table || !dray_dns_watch(w, &w->control, EPOLLIN) ||
        !dray_dns_watch(w, &w->sockets, EPOLLIN)) {
        dray_error("the resolver cannot begin: %s", strerror(errno));
        return 1;
    }
    return run(w);
}
