/* SPDX-License-Identifier: Apache-2.0 */
/* keeper.c - the keeper's loop, and what the daemon asks of it. */
#include "dns/keeper.h"

#include "base/helper.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "dns/keeper_priv.h"
#include "dns/worker.h"

#include <fcntl.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "dns"
#define IDLE_MS 60000 /* without containers */

static int do_set(struct dray_dns_keeper *k, struct dray_sockmsg *m, struct dray_err *err)
{
    struct json_object *doc = dray_json_obj(m->body, "doc");
    const char *id = dray_json_str(doc, "id", "");
    struct dray_dns_sandbox *s = NULL;
    int rc = dray_dns_sandbox_open(k, id, dray_sockmsg_take_fd(m, 0), true, &s, err);
    rc = rc ? rc : dray_helper_store(k->dir, id, doc, err);
    return rc ? rc : dray_dns_worker_set(k, s, doc, err);
}

static void drop(struct dray_dns_keeper *k, struct dray_dns_sandbox *s)
{
    char id[sizeof s->id];
    memcpy(id, s->id, sizeof id);
    dray_helper_forget(k->dir, id);
    dray_dns_sandbox_close(k, s);
    dray_dns_worker_drop(k, id);
}

static int do_drop(struct dray_dns_keeper *k, struct dray_sockmsg *m, struct dray_err *err)
{
    struct dray_dns_sandbox *s = dray_dns_sandbox_find(k, dray_json_str(m->body, "id", ""));
    (void)err;
    if (s)
        drop(k, s);
    return 0;
}

static bool named(struct json_object *ids, const char *id)
{
    for (size_t i = 0; i < dray_json_len(ids); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(ids, i));
        if (text && strcmp(text, id) == 0)
            return true;
    }
    return false;
}

static int do_keep(struct dray_dns_keeper *k, struct dray_sockmsg *m, struct dray_err *err)
{
    struct json_object *ids = dray_json_arr(m->body, "ids");
    (void)err;
    for (struct dray_dns_sandbox *s = k->sandboxes, *next; s; s = next) {
        next = s->next;
        if (!named(ids, s->id))
            drop(k, s);
    }
    return 0;
}

static int do_same(struct dray_dns_keeper *k, struct dray_sockmsg *m, struct dray_err *err)
{
    (void)k;
    return dray_helper_same(m->body, err);
}

static int do_open(struct dray_dns_keeper *k, struct dray_sockmsg *m, struct dray_err *err)
{
    struct dray_dns_sandbox *s = NULL;
    return dray_dns_sandbox_open(k, dray_json_str(m->body, "id", ""), dray_sockmsg_take_fd(m, 0),
                                 false, &s, err);
}

static const struct {
    const char *name;
    int (*run)(struct dray_dns_keeper *, struct dray_sockmsg *, struct dray_err *);
    bool silent; /* no answer */
} ops[] = {
    {"same", do_same, false}, {"open", do_open, true},  {"set", do_set, false},
    {"drop", do_drop, false}, {"keep", do_keep, false},
};

static bool told_to_leave(const struct dray_dns_keeper *k, struct json_object *m)
{
    return strcmp(dray_json_str(m, "op", ""), "leave") == 0 &&
           (!k->sandboxes || dray_json_bool(m, "always", false));
}

/* One message of a connection; *leave: it was told to end. */
static void on_request(struct dray_dns_keeper *k, int fd, bool *leave)
{
    DRAY_AUTO(dray_sockmsg) m = {0};
    struct dray_err err = {0};
    if (dray_sockmsg_recv(fd, 0, &m, NULL)) {
        (void)close(fd);
        return;
    }
    const char *op = dray_json_str(m.body, "op", "");
    if (strcmp(op, "drop") != 0 && strcmp(op, "open") != 0 && dray_helper_gave_up(fd))
        return;
    if (told_to_leave(k, m.body)) {
        *leave = true;
        dray_helper_answer(fd, 0, "", NULL);
        return;
    }
    int rc = strcmp(op, "leave") == 0 ? 0 : dray_fail(&err, DRAY_E_INVAL, "unknown request");
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (strcmp(ops[i].name, op) != 0)
            continue;
        rc = ops[i].run(k, &m, &err);
        if (rc && ops[i].run != do_same)
            dray_error("%s: %s", op, err.text);
        if (ops[i].silent)
            return;
    }
    dray_helper_answer(fd, rc, err.text, NULL);
}

static void on_connection(struct dray_dns_keeper *k)
{
    int fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    if (fd >= 0 && epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &ev))
        (void)close(fd);
}

static void on_worker(struct dray_dns_keeper *k, uint32_t events)
{
    struct dray_err err = {0};
    if (events & EPOLLIN)
        dray_dns_sandbox_serve(k);
    if (!(events & (EPOLLHUP | EPOLLERR)))
        return;
    dray_error("the resolver's worker died; another one takes its place");
    dray_dns_worker_end(k);
    if (dray_dns_worker_start(k, &err))
        dray_error("%s", err.text);
}

static int loop(struct dray_dns_keeper *k)
{
    bool leave = false;
    while (!leave) {
        struct epoll_event ev; /* one at a time: handling one may close another */
        int n = epoll_wait(k->epoll, &ev, 1, k->sandboxes ? -1 : IDLE_MS);
        if (n < 0 && errno != EINTR)
            return 1;
        if (n == 0 && !k->sandboxes)
            return 0;
        if (n < 1)
            continue;
        if (ev.data.fd == k->listener)
            on_connection(k);
        else if (ev.data.fd == k->sockets)
            on_worker(k, ev.events);
        else
            on_request(k, ev.data.fd, &leave);
    }
    return 0;
}

int dray_dns_keeper_main(int dir /* takes */, int listener /* takes */)
{
    struct dray_dns_keeper k = {
        .dir = dir, .listener = listener, .control = -EBADF, .sockets = -EBADF};
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
    struct dray_err err = {0};
    k.host_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    k.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (k.host_netns < 0 || k.epoll < 0 || epoll_ctl(k.epoll, EPOLL_CTL_ADD, listener, &ev)) {
        dray_error("the resolver cannot begin: %s", strerror(errno));
        return 1;
    }
    dray_dns_sandboxes_load(&k);
    if (dray_dns_worker_start(&k, &err)) {
        dray_error("%s", err.text);
        return 1;
    }
    int rc = loop(&k);
    dray_dns_worker_end(&k);
    while (k.sandboxes)
        dray_dns_sandbox_close(&k, k.sandboxes);
    return rc;
}
