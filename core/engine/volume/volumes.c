/* SPDX-License-Identifier: Apache-2.0 */
/* volumes.c - the table of volumes: create, find, remove. */
#include "engine/volume/volumes.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/volume/volumes_priv.h"

#include <dirent.h>
#include <fcntl.h>

#define DRAY_LOG_AREA "volumes"

/* ---- The table ---- */

static struct dray_volume *volume_ref(struct dray_volume *v)
{
    atomic_fetch_add(&v->refs, 1);
    return v;
}

void dray_volume_unref(struct dray_volume *v)
{
    if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
        return;
    free(v->name);
    free(v->driver);
    free(v->mountpoint);
    dray_kvlist_free(&v->options);
    dray_kvlist_free(&v->labels);
    dray_strlist_free(&v->users);
    dray_strlist_free(&v->mounted);
    pthread_mutex_destroy(&v->op);
    free(v);
}

struct dray_volume *dray_volume_new(const char *name, const char *driver)
{
    struct dray_volume *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    atomic_init(&v->refs, 1);
    pthread_mutex_init(&v->op, NULL);
    v->name = strdup(name);
    v->driver = strdup(driver);
    if (!v->name || !v->driver) {
        dray_volume_unref(v);
        return NULL;
    }
    return v;
}

/* First position whose name is not less than name. lock held. */
static size_t position(const struct dray_volumes *vs, const char *name)
{
    size_t lo = 0, hi = vs->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(vs->v[mid]->name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct dray_volume *dray_volume_lookup(const struct dray_volumes *vs, const char *name)
{
    size_t at = position(vs, name);
    return at < vs->n && strcmp(vs->v[at]->name, name) == 0 ? vs->v[at] : NULL;
}

/* lock held; takes the reference */
static bool insert(struct dray_volumes *vs, struct dray_volume *v)
{
    if (vs->n == vs->cap) {
        size_t cap = vs->cap ? vs->cap * 2 : 16;
        struct dray_volume **grown = realloc(vs->v, cap * sizeof(struct dray_volume *));
        if (!grown)
            return false;
        vs->v = grown;
        vs->cap = cap;
    }
    size_t at = position(vs, v->name);
    memmove(vs->v + at + 1, vs->v + at, (vs->n - at) * sizeof(struct dray_volume *));
    vs->v[at] = v;
    vs->n++;
    return true;
}

static void erase(struct dray_volumes *vs, struct dray_volume *v)
{
    pthread_mutex_lock(&vs->lock);
    size_t at = position(vs, v->name);
    if (at < vs->n && vs->v[at] == v) {
        memmove(vs->v + at, vs->v + at + 1, (vs->n - at - 1) * sizeof(struct dray_volume *));
        vs->n--;
        v->gone = true;
        dray_volume_unref(v);
    }
    pthread_mutex_unlock(&vs->lock);
}

struct dray_volume *dray_volume_find(struct dray_volumes *vs, const char *name,
                                     struct dray_err *err)
{
    pthread_mutex_lock(&vs->lock);
    struct dray_volume *v = dray_volume_lookup(vs, name);
    if (v && v->hidden)
        v = NULL;
    if (v)
        volume_ref(v);
    pthread_mutex_unlock(&vs->lock);
    if (!v)
        dray_fail(err, DRAY_E_NOTFOUND, "get %s: no such volume", name);
    return v;
}

size_t dray_volume_snapshot(struct dray_volumes *vs, struct dray_volume ***out)
{
    pthread_mutex_lock(&vs->lock);
    struct dray_volume **v = calloc(vs->n + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; v && i < vs->n; i++)
        if (!vs->v[i]->hidden)
            v[n++] = volume_ref(vs->v[i]);
    pthread_mutex_unlock(&vs->lock);
    *out = v;
    return n;
}

void dray_volume_snapshot_free(struct dray_volume **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dray_volume_unref(v[i]);
    free(v);
}

/* ---- Documents ---- */

static void doc_name(const char *name, char out[300])
{
    (void)snprintf(out, 300, "%s.json", name);
}

static int save(struct dray_volumes *vs, struct dray_volume *v, struct dray_err *err)
{
    dray_autojson *doc = json_object_new_object();
    dray_json_add_str(doc, "Name", v->name);
    dray_json_add_str(doc, "Driver", v->driver);
    dray_json_add_int(doc, "Created", v->created_ns);
    dray_json_add(doc, "Labels", dray_json_kvs(dray_kvlist_view(&v->labels)));
    dray_json_add(doc, "Options", dray_json_kvs(dray_kvlist_view(&v->options)));
    dray_json_add_str(doc, "Mountpoint", v->mountpoint);
    if (v->global)
        dray_json_add_str(doc, "Scope", "global");
    char file[300];
    doc_name(v->name, file);
    return dray_json_store(vs->dir, file, doc, err);
}

struct dray_volume *dray_volume_read(struct dray_volumes *vs, const char *file, const char *name)
{
    dray_autojson *doc = NULL;
    struct dray_err err = {0};
    int rc = dray_json_load(vs->dir, file, &doc, &err);
    if (rc || strcmp(dray_json_str(doc, "Name", ""), name) != 0) {
        dray_error("the volume of %s is left out, with its content as it is, until it is mended or "
                   "created again: %s",
                   file, rc ? err.text : "it has another name");
        return NULL;
    }
    struct dray_volume *v =
        dray_volume_new(name, dray_json_str(doc, "Driver", DRAY_VOLUME_DEFAULT_DRIVER));
    if (!v)
        return NULL;
    v->created_ns = dray_json_int(doc, "Created", 0);
    v->mountpoint = strdup(dray_json_str(doc, "Mountpoint", ""));
    v->global = strcmp(dray_json_str(doc, "Scope", "local"), "global") == 0;
    rc = dray_json_to_kvlist(dray_json_obj(doc, "Labels"), &v->labels, &err);
    if (!rc)
        rc = dray_json_to_kvlist(dray_json_obj(doc, "Options"), &v->options, &err);
    if (!rc && v->mountpoint)
        return v;
    dray_volume_unref(v);
    return NULL;
}

static void load_one(struct dray_volumes *vs, const char *file)
{
    dray_autofree char *name = strndup(file, strlen(file) - strlen(".json"));
    struct dray_volume *v = name ? dray_volume_read(vs, file, name) : NULL;
    if (v && (!dray_name_valid(name) || dray_volume_lookup(vs, name) || !insert(vs, v)))
        dray_volume_unref(v);
}

static int load_all(struct dray_volumes *vs, struct dray_err *err)
{
    int fd = fcntl(vs->dir, F_DUPFD_CLOEXEC, 3);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        dray_cleanup_fd(&fd);
        return dray_fail_errno(err, "read the volumes");
    }
    struct dirent *e = NULL;
    while ((e = readdir(d)) != NULL)
        if (e->d_name[0] != '.' && dray_str_suffix(e->d_name, ".json"))
            load_one(vs, e->d_name);
    (void)closedir(d);
    return 0;
}

int dray_volumes_open(struct dray_engine *e, struct dray_volumes **out, struct dray_err *err)
{
    struct dray_volumes *vs = calloc(1, sizeof *vs);
    if (!vs)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    vs->engine = e;
    vs->dir = -EBADF;
    pthread_mutex_init(&vs->lock, NULL);
    int rc = dray_fs_open_dir(e->data_fd, "volumes-meta", 0700, &vs->dir, err);
    if (!rc) {
        dray_volumes_settle(vs);
        rc = load_all(vs, err);
    }
    if (rc)
        dray_volumes_close(vs);
    else
        *out = vs;
    return rc;
}

void dray_volumes_close(struct dray_volumes *vs)
{
    if (!vs)
        return;
    for (size_t i = 0; i < vs->n; i++)
        dray_volume_unref(vs->v[i]);
    free(vs->v);
    dray_volume_shunned_free(vs);
    dray_cleanup_fd(&vs->dir);
    pthread_mutex_destroy(&vs->lock);
    free(vs);
}

/* ---- Drivers ---- */

struct dray_driver *dray_volume_driver(struct dray_volumes *vs, const char *name,
                                       struct dray_err *err)
{
    struct dray_err why = {0};
    struct dray_driver *d = dray_drivers_get(vs->engine->drivers, DRAY_KIND_VOLUME, name, &why);
    if (!d && why.code == DRAY_E_NOTFOUND)
        dray_fail(err, DRAY_E_NOTFOUND,
                  "error looking up volume plugin %s: plugin \"%s\" not found", name, name);
    else if (!d)
        dray_fail(err, why.code, "error looking up volume plugin %s: %.380s", name, why.text);
    return d;
}

void dray_volume_event(struct dray_volumes *vs, const struct dray_volume *v, const char *action,
                       const char *key, const char *value)
{
    struct json_object *attrs = json_object_new_object();
    if (key)
        dray_json_add_str(attrs, key, value);
    dray_json_add_str(attrs, "driver", v->driver);
    dray_events_emit(vs->engine->events, "volume", action, v->name, attrs);
}

/* ---- Create ---- */

static int check_name(const char *name, struct dray_err *err)
{
    if (strlen(name) == 1)
        return dray_fail(err, DRAY_E_INVAL,
                         "volume name is too short, names should be at least two alphanumeric "
                         "characters");
    if (!dray_name_valid(name) || strlen(name) > 255)
        return dray_fail(
            err, DRAY_E_INVAL,
            "create %s: \"%s\" includes invalid characters for a local volume name, "
            "only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a "
            "host directory, use absolute path",
            name, name);
    return 0;
}

/* What exists under the name must be of the same driver. With other options or labels it is
 * returned as it is, as Docker does. */
static int check_existing(const struct dray_volume *v, const char *driver,
                          const struct dray_volume_req *req, struct dray_err *err)
{
    if (req->driver && *req->driver && strcmp(v->driver, driver) != 0)
        return dray_fail(
            err, DRAY_E_CONFLICT,
            "create %s: driver '%s' already has volume '%s': volume name must be unique", v->name,
            v->driver, v->name);
    return 0;
}

static int copy_request(struct dray_volume *v, const struct dray_volume_req *req, bool anonymous)
{
    bool ok = true;
    for (uint64_t i = 0; i < req->options.n; i++)
        ok = ok && dray_kvlist_set(&v->options, req->options.v[i].key, req->options.v[i].value);
    for (uint64_t i = 0; i < req->labels.n; i++)
        ok = ok && dray_kvlist_set(&v->labels, req->labels.v[i].key, req->labels.v[i].value);
    if (anonymous)
        ok = ok && dray_kvlist_set(&v->labels, DRAY_VOLUME_ANONYMOUS, "");
    return ok ? 0 : DRAY_E_NOMEM;
}

/* Find the volume, or put a new one with its op lock held into the table. *made says which. */
static int reserve(struct dray_volumes *vs, const char *name, const char *driver,
                   struct dray_volume **out, bool *made, struct dray_err *err)
{
    struct dray_volume *fresh = dray_volume_new(name, driver);
    if (!fresh)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_lock(&fresh->op);
    pthread_mutex_lock(&vs->lock);
    struct dray_volume *v = dray_volume_lookup(vs, name);
    *made = !v && insert(vs, volume_ref(fresh));
    bool failed = !v && !*made;
    *out = v ? volume_ref(v) : fresh;
    fresh->hidden = true;
    pthread_mutex_unlock(&vs->lock);
    if (*made)
        return 0;
    pthread_mutex_unlock(&fresh->op);
    dray_volume_unref(fresh);
    if (!failed)
        return 0;
    *out = NULL;
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* Is what the driver keeps there on every machine? */
static bool ask_global(struct dray_driver *d)
{
    uint64_t features = dray_driver_features(d);
    if (dray_driver_has(d, "capabilities"))
        (void)dray_driver_call(d, volume, DRAY_CLASS_QUICK, NULL, capabilities, &features);
    return (features & DRAY_VOLUME_F_GLOBAL) != 0;
}

/* Write down what its driver has; v->op held. */
static int record(struct dray_volumes *vs, struct dray_volume *v, struct dray_driver *d,
                  struct dray_err *err)
{
    dray_autojson *status = NULL;
    v->global = ask_global(d);
    int rc = dray_volume_ask(vs, v, &v->mountpoint, &status, err);
    return rc ? rc : save(vs, v, err);
}

static int create_with_driver(struct dray_volume *v, struct dray_driver *d, struct dray_err *err)
{
    struct dray_call_scope s = {0};
    dray_call_object(&s, v->name);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_volume_ops *)s.ops)
                 ->create(s.self, &s.call, v->name, dray_kvlist_view(&v->options), err);
    dray_call_leave(&s);
    return rc ? dray_err_note(err, "create %s", v->name) : 0;
}

/* Make it with its driver and write it down; v->op held. */
static int make(struct dray_volumes *vs, struct dray_volume *v, const struct dray_volume_req *req,
                bool anonymous, struct dray_err *err)
{
    struct dray_driver *d = dray_volume_driver(vs, v->driver, err);
    if (!d)
        return err ? err->code : DRAY_E_NOTFOUND;
    if (copy_request(v, req, anonymous))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    v->created_ns = dray_clock_now();
    bool marked = dray_volume_coming(vs, v, d);
    int rc = create_with_driver(v, d, err);
    if (!rc) {
        rc = record(vs, v, d, err);
        if (rc)
            (void)dray_driver_call(d, volume, DRAY_CLASS_MOUNT, NULL, remove, v->name);
    }
    if (marked)
        dray_volume_came(vs, v);
    return rc;
}

/* It is made, or it has failed: let it be seen, or forget it. v->op held, given up. */
static void conclude(struct dray_volumes *vs, struct dray_volume *v, int rc)
{
    v->hidden = rc != 0;
    if (rc)
        erase(vs, v);
    pthread_mutex_unlock(&v->op);
}

int dray_volume_take(struct dray_volumes *vs, const char *name, const char *driver,
                     int64_t created_ns, struct dray_err *err)
{
    struct dray_volume *v = NULL;
    bool made = false;
    struct dray_driver *d = dray_volume_driver(vs, driver, err);
    int rc = d ? reserve(vs, name, driver, &v, &made, err) : DRAY_E_NOTFOUND;
    if (!rc && made) {
        v->created_ns = created_ns;
        rc = record(vs, v, d, err);
        conclude(vs, v, rc);
    } else if (!rc) { /* another makes it: there once the lock can be had */
        pthread_mutex_lock(&v->op);
        pthread_mutex_unlock(&v->op);
    }
    dray_volume_unref(v);
    return rc;
}

#define RETRY 1

/* A volume that is being made elsewhere is there, or has failed, once its op lock can be had. */
static int settle(struct dray_volume *v, const char *driver, const struct dray_volume_req *req,
                  struct dray_err *err)
{
    pthread_mutex_lock(&v->op);
    bool gone = v->gone;
    int rc = gone ? RETRY : check_existing(v, driver, req, err);
    pthread_mutex_unlock(&v->op);
    return rc;
}

int dray_volumes_create(struct dray_volumes *vs, const struct dray_volume_req *req,
                        struct json_object **out, struct dray_err *err)
{
    char random[DRAY_ID_LEN];
    bool anonymous = !req->name || !*req->name;
    if (anonymous)
        dray_id_new(random);
    const char *name = anonymous ? random : req->name;
    bool named = req->driver && *req->driver;
    const char *driver = named ? req->driver : DRAY_VOLUME_DEFAULT_DRIVER;
    int rc = check_name(name, err);
    if (!rc && !anonymous && !named) /* one that a driver has already, whichever that is */
        dray_volume_unref(dray_volume_get(vs, name, NULL));
    for (int i = 0; !rc && i < 100; i++) {
        struct dray_volume *v = NULL;
        bool made = false;
        rc = reserve(vs, name, driver, &v, &made, err);
        if (!rc && made) {
            rc = make(vs, v, req, anonymous, err);
            conclude(vs, v, rc);
            if (!rc)
                dray_volume_event(vs, v, "create", NULL, NULL);
        } else if (!rc) {
            rc = settle(v, driver, req, err);
        }
        if (!rc && out)
            rc = dray_volume_describe(vs, v, true, out, err);
        dray_volume_unref(v);
        if (rc != RETRY)
            return rc;
        rc = 0;
    }
    return rc ? rc : dray_fail(err, DRAY_E_BUSY, "create %s: the volume is being removed", name);
}

/* ---- Remove ---- */

/* "id, id": who holds it. lock held */
static void list_users(const struct dray_volume *v, struct dray_buf *b)
{
    for (size_t i = 0; i < v->users.n; i++)
        dray_buf_addf(b, "%s%s", i ? ", " : "", v->users.v[i]);
}

static int check_unused(struct dray_volumes *vs, struct dray_volume *v, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) users = {0};
    pthread_mutex_lock(&vs->lock);
    list_users(v, &users);
    if (!users.len)
        v->hidden = true; /* nobody finds it from here on */
    pthread_mutex_unlock(&vs->lock);
    if (users.len)
        return dray_fail(err, DRAY_E_CONFLICT, "remove %s: volume is in use - [%s]", v->name,
                         users.data);
    return 0;
}

int dray_volume_drop(struct dray_volumes *vs, struct dray_volume *v, struct dray_err *err)
{
    struct dray_driver *d = dray_volume_driver(vs, v->driver, err);
    if (!d)
        return err ? err->code : DRAY_E_NOTFOUND;
    struct dray_call_scope s = {0};
    dray_call_object(&s, v->name);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_volume_ops *)s.ops)->remove(s.self, &s.call, v->name, err);
    dray_call_leave(&s);
    return rc ? dray_err_note(err, "remove %s", v->name) : 0;
}

/* By its driver, and then its document. v->op held. */
static int remove_and_forget(struct dray_volumes *vs, struct dray_volume *v, bool force,
                             struct dray_err *err)
{
    int rc = dray_volume_going(vs, v, err);
    if (rc)
        return rc;
    rc = dray_volume_drop(vs, v, err);
    /* Forced: what the driver cannot remove any more is forgotten all the same. */
    if (rc && force) {
        dray_warn("%s", err->text);
        rc = 0;
    }
    struct dray_err why = {0};
    int rc2 = dray_volume_went(vs, v, rc == 0, &why);
    if (rc || !rc2)
        return rc;
    *err = why;
    return rc2;
}

int dray_volume_remove(struct dray_volumes *vs, struct dray_volume *v, bool force,
                       struct dray_err *err)
{
    pthread_mutex_lock(&v->op);
    struct dray_err own = {0};
    int rc = v->gone ? dray_fail(&own, DRAY_E_NOTFOUND, "get %s: no such volume", v->name)
                     : check_unused(vs, v, &own);
    if (!rc) {
        rc = remove_and_forget(vs, v, force, &own);
        if (rc)
            v->hidden = false;
        else
            erase(vs, v);
    }
    pthread_mutex_unlock(&v->op);
    if (rc && err)
        *err = own;
    if (!rc)
        dray_volume_event(vs, v, "destroy", NULL, NULL);
    return rc;
}

int dray_volumes_remove(struct dray_volumes *vs, const char *name, bool force, struct dray_err *err)
{
    struct dray_err own = {0};
    struct dray_volume *v = dray_volume_get(vs, name, &own);
    int rc = v ? dray_volume_remove(vs, v, force, &own) : own.code;
    dray_volume_unref(v);
    if (rc == DRAY_E_NOTFOUND && force)
        return 0;
    if (rc && err)
        *err = own;
    return rc;
}
