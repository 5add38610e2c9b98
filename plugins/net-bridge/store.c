/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - networks and endpoints by id, with references. */
#include "bridge.h"

#include <search.h>

/* Both structs begin with their id. */
static int by_id(const void *a, const void *b)
{
    return strcmp(a, b);
}

void store_init(struct store *s)
{
    *s = (struct store){0};
    pthread_mutex_init(&s->lock, NULL);
}

static void network_free(struct network *n)
{
    free(n);
}

static void endpoint_free(struct endpoint *e)
{
    free(e->ports);
    free(e);
}

void store_fini(struct store *s, struct port_table *ports)
{
    while (s->endpoints) {
        struct endpoint *e = *(struct endpoint **)s->endpoints;
        (void)tdelete(e->id, &s->endpoints, by_id);
        for (size_t i = 0; i < e->n_ports; i++)
            port_release(ports, e->ports[i].hold);
        endpoint_unref(s, e);
    }
    while (s->networks) {
        struct network *n = *(struct network **)s->networks;
        (void)tdelete(n->id, &s->networks, by_id);
        network_unref(s, n);
    }
    pthread_mutex_destroy(&s->lock);
}

struct network *store_network(struct store *s, const char *id)
{
    pthread_mutex_lock(&s->lock);
    struct network **found = tfind(id, &s->networks, by_id);
    struct network *held = found ? *found : NULL;
    if (held)
        held->refs++;
    pthread_mutex_unlock(&s->lock);
    return held;
}

struct endpoint *store_endpoint(struct store *s, const char *id)
{
    pthread_mutex_lock(&s->lock);
    struct endpoint **found = tfind(id, &s->endpoints, by_id);
    struct endpoint *held = found ? *found : NULL;
    if (held)
        held->refs++;
    pthread_mutex_unlock(&s->lock);
    return held;
}

static bool add(struct store *s, void **tree, void *object)
{
    pthread_mutex_lock(&s->lock);
    void **slot = tfind(object, tree, by_id) ? NULL : tsearch(object, tree, by_id);
    pthread_mutex_unlock(&s->lock);
    return slot != NULL;
}

bool store_add_network(struct store *s, struct network *n)
{
    return add(s, &s->networks, n);
}

bool store_add_endpoint(struct store *s, struct endpoint *e)
{
    return add(s, &s->endpoints, e);
}

static void *take(struct store *s, void **tree, const char *id)
{
    pthread_mutex_lock(&s->lock);
    void **found = tfind(id, tree, by_id);
    void *object = found ? *found : NULL;
    if (object)
        (void)tdelete(id, tree, by_id);
    pthread_mutex_unlock(&s->lock);
    return object;
}

struct network *store_take_network(struct store *s, const char *id)
{
    return take(s, &s->networks, id);
}

struct endpoint *store_take_endpoint(struct store *s, const char *id)
{
    return take(s, &s->endpoints, id);
}

void network_unref(struct store *s, struct network *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&s->lock);
    bool last = --n->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (last)
        network_free(n);
}

void endpoint_unref(struct store *s, struct endpoint *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&s->lock);
    bool last = --e->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    network_unref(s, e->net);
    endpoint_free(e);
}

struct visit {
    void (*network)(struct network *, void *);
    void (*endpoint)(struct endpoint *, void *);
    void *ctx;
};

static void visit_network(const void *node, VISIT which, void *closure)
{
    const struct visit *v = closure;
    if (which == postorder || which == leaf)
        v->network(*(struct network *const *)node, v->ctx);
}

static void visit_endpoint(const void *node, VISIT which, void *closure)
{
    const struct visit *v = closure;
    if (which == postorder || which == leaf)
        v->endpoint(*(struct endpoint *const *)node, v->ctx);
}

void store_each_network(struct store *s, void (*fn)(struct network *, void *), void *ctx)
{
    struct visit v = {.network = fn, .ctx = ctx};
    pthread_mutex_lock(&s->lock);
    twalk_r(s->networks, visit_network, &v);
    pthread_mutex_unlock(&s->lock);
}

void store_each_endpoint(struct store *s, void (*fn)(struct endpoint *, void *), void *ctx)
{
    struct visit v = {.endpoint = fn, .ctx = ctx};
    pthread_mutex_lock(&s->lock);
    twalk_r(s->endpoints, visit_endpoint, &v);
    pthread_mutex_unlock(&s->lock);
}

struct search {
    const char *bridge, *except_id;
    const struct network *net;
    bool found;
};

static void match_bridge(struct network *n, void *ctx)
{
    struct search *q = ctx;
    if (strcmp(n->bridge, q->bridge) == 0 && strcmp(n->id, q->except_id) != 0)
        q->found = true;
}

bool store_bridge_used(struct store *s, const char *bridge, const char *except_id)
{
    struct search q = {.bridge = bridge, .except_id = except_id};
    store_each_network(s, match_bridge, &q);
    return q.found;
}

static void match_network(struct endpoint *e, void *ctx)
{
    struct search *q = ctx;
    if (e->net == q->net)
        q->found = true;
}

bool store_network_busy(struct store *s, const struct network *n)
{
    struct search q = {.net = n};
    store_each_endpoint(s, match_network, &q);
    return q.found;
}
