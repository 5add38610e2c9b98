/* SPDX-License-Identifier: Apache-2.0 */
/* volumes_outside.c - volumes that were not made here, but that a driver has: those of a server
 * that other machines use too, say. They are listed, and taken into the table when they are asked
 * for. */
#define DRAY_LOG_AREA "volumes"
#include "base/clock.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/engine.h"
#include "engine/volume/volumes_priv.h"

#include <dray/util.h>

enum {
    ASK_MS = 400,   /* a driver has this long to answer */
    SHUN_MS = 10000 /* one that did not is left alone this long: others do not wait for it again */
};

/** A driver that did not answer in time. */
struct dray_volume_shun {
    struct dray_volume_shun *next;
    const struct dray_driver *driver;
    int64_t until_ns; /* monotonic */
};

/* vs->lock held */
static struct dray_volume_shun *shun_of(const struct dray_volumes *vs, const struct dray_driver *d)
{
    struct dray_volume_shun *s = vs->shunned;
    while (s && s->driver != d)
        s = s->next;
    return s;
}

/* Is it worth asking? */
static bool asks(struct dray_volumes *vs, struct dray_driver *d)
{
    if (!(dray_driver_features(d) & DRAY_VOLUME_F_FOREIGN) || dray_driver_suspect(d))
        return false;
    pthread_mutex_lock(&vs->lock);
    const struct dray_volume_shun *s = shun_of(vs, d);
    bool shunned = s && dray_clock_mono() < s->until_ns;
    pthread_mutex_unlock(&vs->lock);
    return !shunned;
}

/* Without memory it is asked again, which is slow only. */
static void shun(struct dray_volumes *vs, const struct dray_driver *d)
{
    pthread_mutex_lock(&vs->lock);
    struct dray_volume_shun *s = shun_of(vs, d);
    if (!s && (s = calloc(1, sizeof *s)) != NULL) {
        *s = (struct dray_volume_shun){.next = vs->shunned, .driver = d};
        vs->shunned = s;
    }
    if (s)
        s->until_ns = dray_clock_mono() + SHUN_MS * (DRAY_NS_PER_S / 1000);
    pthread_mutex_unlock(&vs->lock);
}

void dray_volume_shunned_free(struct dray_volumes *vs)
{
    for (struct dray_volume_shun *s = vs->shunned, *next = NULL; s; s = next) {
        next = s->next;
        free(s);
    }
}

/* Begin a call with a deadline that these drivers keep to. *end_ns: when. */
static int enter(struct dray_call_scope *s, struct dray_driver *d, int64_t *end_ns,
                 struct dray_err *err)
{
    *end_ns = dray_clock_mono() + ASK_MS * (DRAY_NS_PER_S / 1000);
    dray_call_deadline(s, (uint64_t)*end_ns);
    return dray_call_enter(s, d, DRAY_CLASS_QUICK, -1, err);
}

/* ---- The list ---- */

struct gathered {
    struct dray_volumes *vs;
    const char *driver;
    struct dray_volume **v;
    size_t n, cap;
};

static bool known(struct gathered *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->v[i]->name, name) == 0)
            return true;
    pthread_mutex_lock(&g->vs->lock);
    bool is = dray_volume_lookup(g->vs, name) != NULL;
    pthread_mutex_unlock(&g->vs->lock);
    return is;
}

static bool room(struct gathered *g)
{
    if (g->n < g->cap)
        return true;
    size_t cap = g->cap ? g->cap * 2 : 16;
    struct dray_volume **grown = realloc(g->v, cap * sizeof(struct dray_volume *));
    if (!grown)
        return false;
    g->v = grown;
    g->cap = cap;
    return true;
}

/* DRAY_REC_ITEM {"name", "mountpoint", "created"} */
static int32_t on_item(void *ctx, const struct dray_record *rec)
{
    struct gathered *g = ctx;
    const char *name = dray_kvs_get(rec->fields, "name", "");
    if (rec->type != DRAY_REC_ITEM || !dray_name_valid(name) || known(g, name))
        return 0;
    struct dray_volume *v = room(g) ? dray_volume_new(name, g->driver) : NULL;
    if (!v)
        return DRAY_E_NOMEM;
    g->v[g->n++] = v;
    v->created_ns = strtoll(dray_kvs_get(rec->fields, "created", "0"), NULL, 10) * DRAY_NS_PER_S;
    v->mountpoint = strdup(dray_kvs_get(rec->fields, "mountpoint", ""));
    return v->mountpoint ? 0 : DRAY_E_NOMEM;
}

static int list_one(struct gathered *g, struct dray_driver *d, struct dray_err *err)
{
    struct dray_call_scope s = {0};
    int64_t end_ns = 0;
    dray_call_emit_to(&s, on_item, g);
    int rc = enter(&s, d, &end_ns, err);
    if (!rc)
        rc = dray_call_result(
            &s, ((const struct dray_volume_ops *)s.ops)->list(s.self, &s.call, err), "list", err);
    dray_call_leave(&s);
    if (rc && dray_clock_mono() >= end_ns)
        shun(g->vs, d);
    return rc;
}

size_t dray_volume_outside(struct dray_volumes *vs, struct dray_volume ***out,
                           struct json_object *warnings)
{
    struct gathered g = {.vs = vs};
    struct dray_driver *d = NULL;
    for (size_t i = 0; (d = dray_drivers_at(vs->engine->drivers, DRAY_KIND_VOLUME, i)); i++) {
        struct dray_err err = {0};
        g.driver = dray_driver_name(d);
        if (asks(vs, d) && list_one(&g, d, &err)) {
            char text[sizeof err.text + 128];
            (void)snprintf(text, sizeof text, "list volumes of driver %s: %s", g.driver, err.text);
            json_object_array_add(warnings, json_object_new_string(text));
        }
    }
    *out = g.v;
    return g.n;
}

/* ---- Taking one in ---- */

/* Does the driver have it? *created_ns is when it was made, 0 if that is not known. */
static bool has(struct dray_volumes *vs, struct dray_driver *d, const char *name,
                int64_t *created_ns)
{
    struct dray_call_scope s = {0};
    struct dray_volume_info info = {.size = sizeof info};
    int64_t end_ns = 0;
    dray_call_object(&s, name);
    int rc = enter(&s, d, &end_ns, NULL);
    if (!rc)
        rc = ((const struct dray_volume_ops *)s.ops)->inspect(s.self, &s.call, name, &info, NULL);
    *created_ns = rc ? 0 : info.created_s * DRAY_NS_PER_S;
    dray_call_leave(&s);
    if (rc && dray_clock_mono() >= end_ns)
        shun(vs, d);
    return rc == 0;
}

struct dray_volume *dray_volume_get(struct dray_volumes *vs, const char *name, struct dray_err *err)
{
    struct dray_volume *v = dray_volume_find(vs, name, err);
    struct dray_driver *d = NULL;
    for (size_t i = 0; !v && dray_name_valid(name) &&
                       (d = dray_drivers_at(vs->engine->drivers, DRAY_KIND_VOLUME, i));
         i++) {
        int64_t created_ns = 0;
        if (!asks(vs, d) || !has(vs, d, name, &created_ns))
            continue;
        if (dray_volume_take(vs, name, dray_driver_name(d), created_ns, err))
            return NULL;
        dray_info("volume %s was found with the driver %s", name, dray_driver_name(d));
        v = dray_volume_find(vs, name, err);
    }
    if (v && err)
        *err = (struct dray_err){0};
    return v;
}
