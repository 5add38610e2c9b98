/* SPDX-License-Identifier: Apache-2.0 */
/* container_table.c - the set of containers: references, lookup by id, prefix and name. */
#include "base/buf.h"
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/container/container_link_names.h"

#include <inttypes.h>
#include <time.h>

#define LET_GO_S 5

struct dray_container *dray_container_ref(struct dray_container *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

static void container_free(struct dray_container *c)
{
    char **texts[] = {&c->image,     &c->manifest, &c->driver, &c->layer,   &c->layer_parent,
                      &c->platform,  &c->name,     &c->config, &c->host,    &c->mounts,
                      &c->endpoints, &c->networks, &c->ports,  &c->summary, &c->notes,
                      &c->netns,     &c->runtime};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(*texts[i]);
    if (c->labels)
        json_object_put(c->labels);
    dray_health_free(c);
    pthread_mutex_destroy(&c->op);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c);
}

void dray_container_unref(struct dray_container *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        container_free(c);
}

struct dray_container *dray_container_new(struct dray_containers *cs)
{
    struct dray_container *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    c->starting = -EBADF;
    c->set = cs;
    pthread_mutex_init(&c->op, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attr);
    pthread_condattr_destroy(&attr);
    return c;
}

/* The index by id maps an id to the container's address, as an integer. */

static struct dray_container *by_id(struct dray_containers *cs, const char *id)
{
    struct json_object *v;
    if (!json_object_object_get_ex(cs->by_id, id, &v))
        return NULL;
    return (struct dray_container *)(uintptr_t)json_object_get_uint64(v);
}

static struct dray_container *by_prefix(struct dray_containers *cs, const char *prefix,
                                        bool *ambiguous)
{
    struct dray_container *found = NULL;
    size_t len = strlen(prefix);
    for (size_t i = 0; i < cs->n; i++) {
        if (strncmp(cs->v[i]->id, prefix, len) != 0)
            continue;
        if (found) {
            *ambiguous = true;
            return NULL;
        }
        found = cs->v[i];
    }
    return found;
}

int dray_container_find(struct dray_containers *cs, const char *name, struct dray_container **out,
                        struct dray_err *err)
{
    if (!name || !*name)
        return dray_fail(err, DRAY_E_INVAL, "invalid name or ID supplied: \"\"");
    const char *plain = name[0] == '/' ? name + 1 : name;
    bool ambiguous = false;
    pthread_rwlock_rdlock(&cs->lock);
    struct dray_container *c = by_id(cs, name);
    struct json_object *id;
    if (!c && json_object_object_get_ex(cs->by_name, plain, &id))
        c = by_id(cs, json_object_get_string(id));
    if (!c && dray_id_is_hex(name, 1, DRAY_ID_LEN - 1))
        c = by_prefix(cs, name, &ambiguous);
    if (c)
        dray_container_ref(c);
    pthread_rwlock_unlock(&cs->lock);
    if (ambiguous)
        return dray_fail(err, DRAY_E_INVAL, "multiple IDs found with provided prefix: %s", name);
    if (!c && strchr(plain, '/'))
        return dray_links_find(cs, name, out, err);
    if (!c)
        return dray_fail(err, DRAY_E_NOTFOUND, "No such container: %s", name);
    *out = c;
    return 0;
}

int dray_container_op_begin(struct dray_container *c, struct dray_err *err)
{
    pthread_mutex_lock(&c->op);
    pthread_mutex_lock(&c->lock);
    bool removed = c->removed;
    pthread_mutex_unlock(&c->lock);
    if (!removed)
        return 0;
    pthread_mutex_unlock(&c->op);
    return dray_fail(err, DRAY_E_NOTFOUND, "No such container: %s", c->id);
}

size_t dray_container_snapshot(struct dray_containers *cs, struct dray_container ***out)
{
    pthread_rwlock_rdlock(&cs->lock);
    size_t n = cs->n;
    struct dray_container **v = malloc((n ? n : 1) * sizeof(struct dray_container *));
    for (size_t i = 0; v && i < n; i++)
        v[i] = dray_container_ref(cs->v[i]);
    pthread_rwlock_unlock(&cs->lock);
    *out = v;
    return v ? n : 0;
}

void dray_container_list_free(struct dray_container **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dray_container_unref(v[i]);
    free(v);
}

static int name_conflict(const char *name, const char *id, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_CONFLICT,
                     "Conflict. The container name \"/%s\" is already in use by container \"%s\". "
                     "You have to remove (or rename) that container to be able to reuse that name.",
                     name, id);
}

/** Call with cs->lock held for writing. */
static char *choose_name(struct dray_containers *cs)
{
    char name[64];
    for (int i = 0; i < 64; i++) {
        dray_name_random(name, i);
        if (!json_object_object_get_ex(cs->by_name, name, NULL))
            return strdup(name);
    }
    return NULL;
}

int dray_container_name_reserve(struct dray_containers *cs, const char *name, const char *id,
                                char **out, struct dray_err *err)
{
    const char *plain = name && name[0] == '/' ? name + 1 : name;
    if (plain && *plain && !dray_name_valid(plain))
        return dray_fail(err, DRAY_E_INVAL,
                         "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                         plain);
    int rc = 0;
    char *chosen = NULL;
    pthread_rwlock_wrlock(&cs->lock);
    struct json_object *owner;
    if (!plain || !*plain) {
        chosen = choose_name(cs);
        if (!chosen && !(chosen = strndup(id, 12)))
            rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    } else if (json_object_object_get_ex(cs->by_name, plain, &owner)) {
        rc = name_conflict(plain, json_object_get_string(owner), err);
    } else if (!(chosen = strdup(plain))) {
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    if (rc == 0)
        json_object_object_add(cs->by_name, chosen, json_object_new_string(id));
    pthread_rwlock_unlock(&cs->lock);
    *out = chosen;
    return rc;
}

void dray_container_name_release(struct dray_containers *cs, const char *name)
{
    pthread_rwlock_wrlock(&cs->lock);
    json_object_object_del(cs->by_name, name);
    pthread_rwlock_unlock(&cs->lock);
}

/** Behind all that were not created later. With cs->lock held. */
static size_t place_of(const struct dray_containers *cs, int64_t created_ns)
{
    size_t from = 0, to = cs->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (cs->v[mid]->created_ns > created_ns)
            to = mid;
        else
            from = mid + 1;
    }
    return from;
}

int dray_container_insert(struct dray_containers *cs, struct dray_container *c,
                          struct dray_err *err)
{
    pthread_rwlock_wrlock(&cs->lock);
    if (cs->n == cs->cap) {
        size_t cap = cs->cap ? 2 * cs->cap : 64;
        struct dray_container **v = realloc(cs->v, cap * sizeof(struct dray_container *));
        if (!v) {
            pthread_rwlock_unlock(&cs->lock);
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        }
        cs->v = v;
        cs->cap = cap;
    }
    size_t at = place_of(cs, c->created_ns);
    memmove(cs->v + at + 1, cs->v + at, (cs->n - at) * sizeof(struct dray_container *));
    cs->v[at] = dray_container_ref(c);
    cs->n++;
    json_object_object_add(cs->by_id, c->id, json_object_new_uint64((uint64_t)(uintptr_t)c));
    pthread_rwlock_unlock(&cs->lock);
    return 0;
}

void dray_container_erase(struct dray_containers *cs, struct dray_container *c)
{
    bool found = false;
    pthread_rwlock_wrlock(&cs->lock);
    for (size_t i = cs->n; i-- > 0;) {
        if (cs->v[i] != c)
            continue;
        memmove(cs->v + i, cs->v + i + 1, (cs->n - i - 1) * sizeof(struct dray_container *));
        cs->n--;
        found = true;
        break;
    }
    if (found)
        json_object_object_del(cs->by_id, c->id);
    pthread_rwlock_unlock(&cs->lock);
    if (found)
        dray_container_unref(c);
}

void dray_containers_counts(struct dray_containers *cs, struct dray_container_counts *out)
{
    *out = (struct dray_container_counts){0};
    struct dray_container **v;
    size_t n = dray_container_snapshot(cs, &v);
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&v[i]->lock);
        enum dray_container_status s = v[i]->st.status;
        pthread_mutex_unlock(&v[i]->lock);
        out->total++;
        out->running += s == DRAY_CS_RUNNING || s == DRAY_CS_RESTARTING;
        out->paused += s == DRAY_CS_PAUSED;
    }
    out->stopped = out->total - out->running - out->paused;
    dray_container_list_free(v, n);
}

static bool mounts_image(struct dray_container *c, const char *image_id)
{
    dray_autojson *points = dray_container_json(c, &c->mounts);
    for (size_t i = 0; i < dray_json_len(points); i++) {
        struct json_object *p = json_object_array_get_idx(points, i);
        if (strcmp(dray_json_str(p, "ImageID", ""), image_id) == 0)
            return true;
    }
    return false;
}

bool dray_containers_use_image(struct dray_containers *cs, const char *image_id, bool running_only,
                               char id_out[DRAY_ID_LEN])
{
    bool used = false;
    struct dray_container **v;
    size_t n = dray_container_snapshot(cs, &v);
    for (size_t i = 0; i < n && !used; i++) {
        if (strcmp(v[i]->image_id, image_id) != 0 && !mounts_image(v[i], image_id))
            continue;
        pthread_mutex_lock(&v[i]->lock);
        used = !running_only || dray_container_alive(v[i]);
        pthread_mutex_unlock(&v[i]->lock);
        if (used && id_out)
            memcpy(id_out, v[i]->id, DRAY_ID_LEN);
    }
    dray_container_list_free(v, n);
    return used;
}

bool dray_containers_let_go(struct dray_containers *cs, const char *id)
{
    dray_autocontainer *c = NULL;
    if (dray_container_find(cs, id, &c, NULL) != 0)
        return false;
    pthread_mutex_lock(&c->lock);
    bool alive = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LET_GO_S;
    /* Whoever ends it holds the lock until all is undone. */
    if (alive || pthread_mutex_clocklock(&c->op, CLOCK_MONOTONIC, &until) != 0)
        return false;
    pthread_mutex_unlock(&c->op);
    return true;
}
