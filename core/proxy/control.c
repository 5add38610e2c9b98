/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - what the daemon asks for (protocol.h). */
#include "base/helper.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "proxy/protocol.h"
#include "proxy/proxy.h"

#include <sys/socket.h>

#define DRAY_LOG_AREA "proxy"

/** A connection of the daemon. */
struct caller {
    struct proxy_item item;
};

static struct json_object *chosen(const struct proxy_group *g)
{
    dray_autojson *doc = proxy_group_doc(g);
    struct json_object *out = json_object_new_object(), *list = json_object_new_array();
    struct json_object *ports = dray_json_arr(doc, "ports");
    for (size_t i = 0; i < dray_json_len(ports); i++)
        json_object_array_add(list, json_object_new_int64(dray_json_int(
                                        json_object_array_get_idx(ports, i), "port", 0)));
    dray_json_add(out, "ports", list);
    return out;
}

static int do_set(struct proxy *p, struct json_object *m, struct json_object **extra,
                  struct dray_err *err)
{
    struct json_object *doc = dray_json_obj(m, "doc");
    const char *id = dray_json_str(doc, "id", "");
    char name[DRAY_HELPER_DOC];
    size_t taken = 0;
    if (!dray_helper_doc_name(id, name))
        return dray_fail(err, DRAY_E_INVAL, "invalid id of an endpoint");
    struct proxy_group *g = proxy_group_find(p, id);
    if (g && proxy_group_matches(g, doc)) {
        *extra = chosen(g);
        return 0;
    }
    if (g)
        proxy_group_close(p, g);
    int rc = proxy_group_open(p, doc, &taken, err);
    if (rc) {
        dray_helper_forget(p->dir, id);
        *extra = json_object_new_object();
        dray_json_add_int(*extra, "taken", (int64_t)taken);
        return rc;
    }
    dray_autojson *full = proxy_group_doc(p->groups);
    rc = dray_helper_store(p->dir, id, full, err);
    if (rc)
        proxy_group_close(p, p->groups);
    else
        *extra = chosen(p->groups);
    return rc;
}

static void drop(struct proxy *p, struct proxy_group *g)
{
    dray_helper_forget(p->dir, g->id);
    proxy_group_close(p, g);
}

static int do_drop(struct proxy *p, struct json_object *m, struct json_object **extra,
                   struct dray_err *err)
{
    struct proxy_group *g = proxy_group_find(p, dray_json_str(m, "id", ""));
    (void)extra;
    (void)err;
    if (g)
        drop(p, g);
    return 0;
}

static int do_keep(struct proxy *p, struct json_object *m, struct json_object **extra,
                   struct dray_err *err)
{
    struct json_object *ids = dray_json_arr(m, "ids");
    (void)extra;
    (void)err;
    for (struct proxy_group *g = p->groups, *next; g; g = next) {
        bool named = false;
        next = g->next;
        for (size_t i = 0; !named && i < dray_json_len(ids); i++) {
            const char *id = json_object_get_string(json_object_array_get_idx(ids, i));
            named = id && strcmp(id, g->id) == 0;
        }
        if (!named)
            drop(p, g);
    }
    return 0;
}

static int do_same(struct proxy *p, struct json_object *m, struct json_object **extra,
                   struct dray_err *err)
{
    (void)p;
    (void)extra;
    return dray_helper_same(m, err);
}

/* The next one binds the same ports, while this one carries what is connected to its end. */
static int do_leave(struct proxy *p, struct json_object *m, struct json_object **extra,
                    struct dray_err *err)
{
    (void)extra;
    (void)err;
    if (p->groups && !dray_json_bool(m, "always", false))
        return 0;
    p->leaving = true;
    proxy_unwatch(p, &p->control);
    while (p->groups)
        proxy_group_close(p, p->groups);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(struct proxy *, struct json_object *, struct json_object **, struct dray_err *);
} ops[] = {
    {"set", do_set}, {"drop", do_drop}, {"keep", do_keep}, {"same", do_same}, {"leave", do_leave},
};

static void on_request(struct proxy *p, struct proxy_item *item, uint32_t events)
{
    DRAY_AUTO(dray_sockmsg) m = {0};
    struct dray_err err = {0};
    struct json_object *extra = NULL;
    (void)events;
    if (p->leaving || dray_sockmsg_recv(item->fd, 0, &m, NULL)) {
        proxy_unwatch(p, item);
        free(item);
        return;
    }
    const char *op = dray_json_str(m.body, "op", "");
    if (strcmp(op, "drop") != 0 && dray_helper_gave_up(item->fd)) {
        proxy_unwatch(p, item);
        free(item);
        return;
    }
    int rc = dray_fail(&err, DRAY_E_INVAL, "unknown request");
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(ops[i].name, op) == 0)
            rc = ops[i].run(p, m.body, &extra, &err);
    dray_helper_answer(item->fd, rc, err.text, extra);
    if (!p->leaving)
        return;
    proxy_unwatch(p, item); /* the daemon waits for that */
    free(item);
}

void proxy_control_accept(struct proxy *p, struct proxy_item *item, uint32_t events)
{
    (void)events;
    struct caller *c = calloc(1, sizeof *c);
    int fd = accept4(item->fd, NULL, NULL, SOCK_CLOEXEC);
    if (!c || fd < 0) {
        if (fd >= 0)
            (void)close(fd);
        free(c);
        return;
    }
    c->item = (struct proxy_item){.ready = on_request, .fd = fd};
    if (proxy_watch(p, &c->item, EPOLLIN)) {
        (void)close(fd);
        free(c);
    }
}

static int load_one(void *ctx, struct json_object *doc, struct dray_err *err)
{
    size_t taken = 0;
    return proxy_group_open(ctx, doc, &taken, err);
}

void proxy_load(struct proxy *p)
{
    dray_helper_load(p->dir, load_one, p);
}
