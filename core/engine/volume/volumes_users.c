/* SPDX-License-Identifier: Apache-2.0 */
/* volumes_users.c - which containers refer to a volume, and which have it mounted. */
#include "base/json.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/volume/volumes_priv.h"

static void drop_string(struct dray_strlist *l, const char *text)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->v[i], text) != 0)
            continue;
        free(l->v[i]);
        memmove(l->v + i, l->v + i + 1, (l->n - i - 1) * sizeof l->v[0]);
        l->v[--l->n] = NULL;
        return;
    }
}

int dray_volumes_hold(struct dray_volumes *vs, const char *name, const char *container_id,
                      struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&vs->lock);
    struct dray_volume *v = dray_volume_lookup(vs, name);
    if (!v || v->hidden)
        rc = dray_fail(err, DRAY_E_NOTFOUND, "get %s: no such volume", name);
    else if (!dray_strlist_has(&v->users, container_id) &&
             !dray_strlist_add(&v->users, container_id))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_unlock(&vs->lock);
    return rc;
}

void dray_volumes_unhold(struct dray_volumes *vs, const char *name, const char *container_id)
{
    pthread_mutex_lock(&vs->lock);
    struct dray_volume *v = dray_volume_lookup(vs, name);
    if (v)
        drop_string(&v->users, container_id);
    pthread_mutex_unlock(&vs->lock);
}

/* True if that changes anything. */
static bool set_mounted(struct dray_volumes *vs, struct dray_volume *v, const char *container_id,
                        bool mounted)
{
    pthread_mutex_lock(&vs->lock);
    bool was = dray_strlist_has(&v->mounted, container_id);
    drop_string(&v->mounted, container_id);
    if (mounted)
        (void)dray_strlist_add(&v->mounted, container_id);
    pthread_mutex_unlock(&vs->lock);
    return was != mounted;
}

/* The volume, with a reference, and its driver; NULL: not both are there. */
static struct dray_volume *with_driver(struct dray_volumes *vs, const char *name,
                                       struct dray_driver **driver_out, struct dray_err *err)
{
    struct dray_volume *v = dray_volume_find(vs, name, err);
    *driver_out = v ? dray_volume_driver(vs, v->driver, err) : NULL;
    if (*driver_out)
        return v;
    dray_volume_unref(v);
    return NULL;
}

int dray_volumes_mount(struct dray_volumes *vs, const char *name, const char *container_id,
                       const char *destination, bool read_write, char **path_out,
                       struct dray_err *err)
{
    struct dray_driver *d = NULL;
    struct dray_volume *v = with_driver(vs, name, &d, err);
    if (!v)
        return err ? err->code : DRAY_E_NOTFOUND;
    struct dray_call_scope s = {0};
    const char *path = NULL;
    dray_call_object(&s, v->name);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_volume_ops *)s.ops)
                 ->mount(s.self, &s.call, v->name, container_id, &path, err);
    if (rc)
        (void)dray_err_note(err, "error while mounting volume '%s'",
                            v->mountpoint && *v->mountpoint ? v->mountpoint : v->name);
    else if (!path || *path != '/' || !(*path_out = strdup(path)))
        rc = dray_fail(err, DRAY_E_INTERNAL, "volume driver %s gave no path for %s", v->driver,
                       v->name);
    dray_call_leave(&s);
    if (!rc) {
        (void)set_mounted(vs, v, container_id, true);
        struct json_object *attrs = json_object_new_object();
        dray_json_add_str(attrs, "container", container_id);
        dray_json_add_str(attrs, "destination", destination);
        dray_json_add_str(attrs, "driver", v->driver);
        dray_json_add_str(attrs, "propagation", "");
        dray_json_add_str(attrs, "read/write", read_write ? "true" : "false");
        dray_events_emit(vs->engine->events, "volume", "mount", v->name, attrs);
    }
    dray_volume_unref(v);
    return rc;
}

int dray_volumes_unmount(struct dray_volumes *vs, const char *name, const char *container_id,
                         struct dray_err *err)
{
    struct dray_driver *d = NULL;
    struct dray_volume *v = with_driver(vs, name, &d, err);
    if (!v)
        return err ? err->code : DRAY_E_NOTFOUND;
    struct dray_call_scope s = {0};
    dray_call_object(&s, v->name);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_volume_ops *)s.ops)
                 ->unmount(s.self, &s.call, v->name, container_id, err);
    dray_call_leave(&s);
    if (!rc && set_mounted(vs, v, container_id, false)) {
        dray_volume_event(vs, v, "unmount", "container", container_id);
    }
    dray_volume_unref(v);
    return rc;
}

int dray_volumes_restore(struct dray_volumes *vs, const char *name, const char *container_id,
                         struct dray_err *err)
{
    struct dray_volume *v = dray_volume_find(vs, name, err);
    struct dray_driver *d = v ? dray_volume_driver(vs, v->driver, err) : NULL;
    if (v)
        (void)set_mounted(vs, v, container_id, true);
    if (!d) {
        dray_volume_unref(v);
        return err ? err->code : DRAY_E_NOTFOUND;
    }
    DRAY_AUTO(dray_strlist) users = {0};
    pthread_mutex_lock(&vs->lock);
    for (size_t i = 0; i < v->mounted.n; i++)
        (void)dray_strlist_add(&users, v->mounted.v[i]);
    pthread_mutex_unlock(&vs->lock);
    int rc = 0;
    if (dray_driver_has(d, "restore")) {
        struct dray_call_scope s = {0};
        dray_call_object(&s, v->name);
        dray_call_replay(&s);
        rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
        if (!rc)
            rc = ((const struct dray_volume_ops *)s.ops)
                     ->restore(s.self, &s.call, v->name, dray_strlist_view(&users), err);
        dray_call_leave(&s);
    }
    dray_volume_unref(v);
    return rc;
}
