/* SPDX-License-Identifier: Apache-2.0 */
/* conn.c - control connections: requests come in, answers and events go out. */
#include "shim/shim.h"

#include "base/helper.h"
#include "base/json.h"

#include <poll.h>

/* Messages kept for a daemon that does not read; more, and its connection is dropped. */
#define OUTBOX_MAX 4096

struct shim_letter {
    STAILQ_ENTRY(shim_letter) link;
    struct json_object *body;
};

static bool has_room(int sock)
{
    struct pollfd p = {.fd = sock, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static void letter_free(struct shim_conn *c, struct shim_letter *l)
{
    STAILQ_REMOVE_HEAD(&c->outbox, link);
    c->n_outbox--;
    json_object_put(l->body);
    free(l);
}

static void fail(struct shim_conn *c)
{
    c->dead = true;
    shim_loop_close(&c->shim->loop, &c->sock);
}

static void post(struct shim_conn *c)
{
    struct shim_letter *l;
    while (!c->dead && (l = STAILQ_FIRST(&c->outbox))) {
        if (!has_room(c->sock.fd)) {
            shim_loop_set(&c->shim->loop, &c->sock, EPOLLIN | EPOLLOUT);
            return;
        }
        if (dray_sockmsg_send(c->sock.fd, l->body, NULL, 0, NULL) != 0)
            fail(c);
        letter_free(c, l);
    }
    if (!c->dead)
        shim_loop_set(&c->shim->loop, &c->sock, EPOLLIN);
}

void shim_conn_send(struct shim_conn *c, struct json_object *body)
{
    if (c->dead)
        return;
    struct shim_letter *l = c->n_outbox < OUTBOX_MAX ? malloc(sizeof *l) : NULL;
    if (!l) {
        fail(c);
        return;
    }
    l->body = json_object_get(body);
    STAILQ_INSERT_TAIL(&c->outbox, l, link);
    c->n_outbox++;
    post(c);
}

void shim_conn_broadcast(struct shim *s, struct json_object *body)
{
    struct shim_conn *c = NULL;
    LIST_FOREACH(c, &s->conns, link)
    shim_conn_send(c, body);
    json_object_put(body);
}

bool shim_conn_gone(const struct shim_conn *c)
{
    return dray_helper_gave_up(c->sock.fd);
}

static void refuse(struct shim_conn *c, const struct dray_err *err)
{
    dray_autojson *answer = json_object_new_object();
    dray_json_add_int(answer, "re", 0);
    dray_json_add_int(answer, "code", err->code);
    dray_json_add_str(answer, "error", err->text);
    shim_conn_send(c, answer);
}

static void on_conn(struct shim_watch *w, uint32_t events)
{
    struct shim_conn *c = SHIM_OWNER(w, struct shim_conn, sock);
    if (events & EPOLLOUT)
        post(c);
    if (c->dead || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    struct dray_err err = {0};
    DRAY_AUTO(dray_sockmsg) m = {0};
    int rc = dray_sockmsg_recv(c->sock.fd, 0, &m, &err);
    /* A daemon that has given up asking has told its client so: nothing may happen behind its back.
     */
    if (rc == 0 && shim_conn_gone(c))
        fail(c);
    else if (rc == 0)
        shim_request(c, &m);
    else if (rc == DRAY_E_INVAL || rc == DRAY_E_CORRUPT || rc == DRAY_E_LIMIT)
        refuse(c, &err);
    else if (rc != DRAY_E_TIMEOUT)
        fail(c);
}

int shim_conn_new(struct shim *s, int fd)
{
    struct shim_conn *c = calloc(1, sizeof *c);
    if (!c) {
        (void)close(fd);
        return DRAY_E_NOMEM;
    }
    c->shim = s;
    c->sock = (struct shim_watch){.fd = fd, .fn = on_conn};
    STAILQ_INIT(&c->outbox);
    LIST_INSERT_HEAD(&s->conns, c, link);
    shim_loop_set(&s->loop, &c->sock, EPOLLIN);
    return 0;
}

static void conn_free(struct shim_conn *c)
{
    LIST_REMOVE(c, link);
    shim_loop_close(&c->shim->loop, &c->sock);
    struct shim_letter *l;
    while ((l = STAILQ_FIRST(&c->outbox)))
        letter_free(c, l);
    free(c);
}

void shim_conn_sweep(struct shim *s)
{
    struct shim_conn *next;
    for (struct shim_conn *c = LIST_FIRST(&s->conns); c; c = next) {
        next = LIST_NEXT(c, link);
        if (c->dead)
            conn_free(c);
    }
}

void shim_conn_close_all(struct shim *s)
{
    while (!LIST_EMPTY(&s->conns))
        conn_free(LIST_FIRST(&s->conns));
}
