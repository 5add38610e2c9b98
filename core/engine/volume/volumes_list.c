/* SPDX-License-Identifier: Apache-2.0 */
/* volumes_list.c - volumes as the API shows them: inspect, list, prune, disk usage. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/filters.h"
#include "engine/volume/volumes_priv.h"

int dray_volume_ask(struct dray_volumes *vs, struct dray_volume *v, char **mountpoint_out,
                    struct json_object **status_out, struct dray_err *err)
{
    struct dray_driver *d = dray_volume_driver(vs, v->driver, err);
    if (!d)
        return err ? err->code : DRAY_E_NOTFOUND;
    struct dray_call_scope s = {0};
    struct dray_volume_info info = {.size = sizeof info};
    dray_call_object(&s, v->name);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, err);
    if (!rc)
        rc = ((const struct dray_volume_ops *)s.ops)->inspect(s.self, &s.call, v->name, &info, err);
    if (!rc) {
        *mountpoint_out = strdup(info.mountpoint ? info.mountpoint : "");
        *status_out = info.status.n ? dray_json_kvs(info.status) : NULL;
    }
    dray_call_leave(&s);
    if (!rc && !*mountpoint_out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc == DRAY_E_NOTFOUND)
        return dray_fail(err, rc, "get %s: no such volume", v->name);
    return rc ? dray_err_note(err, "inspect volume %s", v->name) : 0;
}

static void add_kvs(struct json_object *obj, const char *key, const struct dray_kvlist *l)
{
    dray_json_add(obj, key, l->n ? dray_json_kvs(dray_kvlist_view(l)) : NULL);
}

/* Without asking the driver. */
static struct json_object *object_of(const struct dray_volume *v)
{
    struct json_object *o = json_object_new_object();
    char created[DRAY_TIME_LEN];
    dray_time_format(v->created_ns / DRAY_NS_PER_S * DRAY_NS_PER_S, created);
    dray_json_add_str(o, "CreatedAt", created);
    dray_json_add_str(o, "Driver", v->driver);
    add_kvs(o, "Labels", &v->labels);
    dray_json_add_str(o, "Mountpoint", v->mountpoint ? v->mountpoint : "");
    dray_json_add_str(o, "Name", v->name);
    add_kvs(o, "Options", &v->options);
    dray_json_add_str(o, "Scope", v->global ? "global" : "local");
    return o;
}

int dray_volume_describe(struct dray_volumes *vs, struct dray_volume *v, bool with_status,
                         struct json_object **out, struct dray_err *err)
{
    struct json_object *status = NULL;
    dray_autofree char *mountpoint = NULL;
    int rc = with_status ? dray_volume_ask(vs, v, &mountpoint, &status, err) : 0;
    if (rc)
        return rc;
    *out = object_of(v);
    if (mountpoint)
        dray_json_add_str(*out, "Mountpoint", mountpoint);
    if (status)
        dray_json_add(*out, "Status", status);
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int dray_volumes_inspect(struct dray_volumes *vs, const char *name, struct json_object **out,
                         struct dray_err *err)
{
    struct dray_volume *v = dray_volume_get(vs, name, err);
    if (!v)
        return DRAY_E_NOTFOUND;
    int rc = dray_volume_describe(vs, v, true, out, err);
    dray_volume_unref(v);
    return rc;
}

static size_t count_users(struct dray_volumes *vs, const struct dray_volume *v)
{
    pthread_mutex_lock(&vs->lock);
    size_t n = v->users.n;
    pthread_mutex_unlock(&vs->lock);
    return n;
}

static bool passes(struct dray_volumes *vs, const struct dray_volume *v,
                   const struct dray_filters *f, struct json_object *labels)
{
    bool dangling = false;
    if (!dray_filters_match(f, "name", v->name) || !dray_filters_exact(f, "driver", v->driver) ||
        !dray_filters_labels(f, labels))
        return false;
    if (!dray_filters_has(f, "dangling"))
        return true;
    (void)dray_filters_bool(f, "dangling", false, &dangling, NULL);
    return dangling == (count_users(vs, v) == 0);
}

static void list_passing(struct dray_volumes *vs, struct dray_volume **v, size_t n,
                         const struct dray_filters *f, struct json_object *list)
{
    for (size_t i = 0; i < n; i++) {
        dray_autojson *labels = dray_json_kvs(dray_kvlist_view(&v[i]->labels));
        if (passes(vs, v[i], f, labels))
            json_object_array_add(list, object_of(v[i]));
    }
    dray_volume_snapshot_free(v, n);
}

int dray_volumes_list(struct dray_volumes *vs, const struct dray_filters *f,
                      struct json_object **out, struct json_object **warnings_out,
                      struct dray_err *err)
{
    bool dangling = false;
    int rc = dray_filters_bool(f, "dangling", false, &dangling, err);
    if (rc)
        return rc;
    struct json_object *list = json_object_new_array();
    dray_autojson *warnings = json_object_new_array();
    if (!list || !warnings) {
        json_object_put(list);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    struct dray_volume **v = NULL, **outside = NULL;
    size_t n = dray_volume_snapshot(vs, &v);
    list_passing(vs, v, n, f, list);
    n = dray_volume_outside(vs, &outside, warnings);
    list_passing(vs, outside, n, f, list);
    *out = list;
    *warnings_out = dray_json_len(warnings) ? json_object_get(warnings) : NULL;
    return 0;
}

/* Bytes of content; -1 when the driver cannot tell. */
static int64_t usage_of(struct dray_volumes *vs, struct dray_volume *v)
{
    struct dray_driver *d = dray_drivers_find(vs->engine->drivers, DRAY_KIND_VOLUME, v->driver);
    uint64_t bytes = 0;
    if (!d || !dray_driver_has(d, "usage") || dray_driver_suspect(d))
        return -1;
    struct dray_call_scope s = {0};
    dray_call_object(&s, v->name);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_DATA, -1, NULL);
    if (!rc)
        rc = ((const struct dray_volume_ops *)s.ops)->usage(s.self, &s.call, v->name, &bytes, NULL);
    dray_call_leave(&s);
    return rc ? -1 : (int64_t)bytes;
}

int dray_volumes_usage(struct dray_volumes *vs, struct json_object **out, struct dray_err *err)
{
    struct dray_volume **v = NULL;
    size_t n = dray_volume_snapshot(vs, &v);
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < n && list; i++) {
        struct json_object *o = object_of(v[i]);
        struct json_object *usage = json_object_new_object();
        dray_json_add_int(usage, "Size", usage_of(vs, v[i]));
        dray_json_add_int(usage, "RefCount", (int64_t)count_users(vs, v[i]));
        dray_json_add(o, "UsageData", usage);
        json_object_array_add(list, o);
    }
    dray_volume_snapshot_free(v, n);
    *out = list;
    return list ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* Docker prunes local volumes only, and without "all" only those that were made without a name. */
static bool prunable(struct dray_volumes *vs, const struct dray_volume *v,
                     const struct dray_filters *f, bool all)
{
    if (count_users(vs, v) || strcmp(v->driver, DRAY_VOLUME_DEFAULT_DRIVER) != 0)
        return false;
    if (!all && !dray_kvlist_get(&v->labels, DRAY_VOLUME_ANONYMOUS, NULL))
        return false;
    dray_autojson *labels = dray_json_kvs(dray_kvlist_view(&v->labels));
    return dray_filters_labels(f, labels);
}

int dray_volumes_prune(struct dray_volumes *vs, const struct dray_filters *f,
                       struct json_object **out, struct dray_err *err)
{
    bool all = false;
    int rc = dray_filters_bool(f, "all", false, &all, err);
    if (rc)
        return rc;
    struct dray_volume **v = NULL;
    size_t n = dray_volume_snapshot(vs, &v);
    struct json_object *deleted = json_object_new_array();
    int64_t space = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t bytes = prunable(vs, v[i], f, all) ? usage_of(vs, v[i]) : INT64_MIN;
        if (bytes == INT64_MIN || dray_volume_remove(vs, v[i], false, NULL))
            continue;
        json_object_array_add(deleted, json_object_new_string(v[i]->name));
        space += bytes > 0 ? bytes : 0;
    }
    dray_volume_snapshot_free(v, n);
    *out = json_object_new_object();
    dray_json_add(*out, "VolumesDeleted", deleted);
    dray_json_add_int(*out, "SpaceReclaimed", space);
    struct json_object *attrs = json_object_new_object();
    dray_json_addf(attrs, "reclaimed", "%lld", (long long)space);
    dray_events_emit(vs->engine->events, "volume", "prune", "", attrs);
    return 0;
}
