/* SPDX-License-Identifier: Apache-2.0 */
/* container_observe.c - top, stats, changes, sizes, resize, export, commit. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/json_shape.h"
#include "engine/container/container.h"
#include "engine/container/shims.h"
#include "engine/image/image_ref.h"
#include "engine/image/images.h"
#include "engine/network/netstat.h"
#include "engine/rootfs/rootfs.h"
#include "engine/spec/container_config.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>

#define ASK_TIMEOUT_MS 10000

int dray_containers_resize(struct dray_containers *cs, const char *name, int rows, int cols,
                           struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc == 0)
        rc = dray_container_need_running(c, err);
    if (rc != 0)
        return rc;
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "op", "resize");
    dray_json_add_int(m, "rows", rows);
    dray_json_add_int(m, "cols", cols);
    rc = dray_shims_ask(cs->shims, c->id, m, ASK_TIMEOUT_MS, NULL, err);
    if (rc == DRAY_E_UNAVAIL)
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", c->id);
    char height[12], width[12];
    (void)snprintf(height, sizeof height, "%d", rows);
    (void)snprintf(width, sizeof width, "%d", cols);
    if (rc == 0)
        dray_container_event(c, "resize", "height", height, "width", width, NULL);
    return rc;
}

/* Stats. */

int dray_containers_stats(struct dray_containers *cs, const char *name, struct json_object **out,
                          struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    struct json_object *o = NULL;
    pthread_mutex_lock(&c->lock);
    bool alive = dray_container_alive(c);
    int pid = c->st.pid;
    dray_autofree char *shown = dray_strf("/%s", c->name);
    pthread_mutex_unlock(&c->lock);
    if (alive) {
        DRAY_AUTO(dray_call_scope) s = {0};
        struct dray_driver *d = dray_container_runtime(c, err);
        rc = d ? dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, err) : DRAY_E_NOTFOUND;
        const char *text = NULL;
        if (rc == 0)
            rc =
                ((const struct dray_runtime_ops *)s.ops)->stats(s.self, &s.call, c->id, &text, err);
        if (rc == 0 && text)
            rc = dray_json_parse(text, strlen(text), &o, err);
        /* It may have ended meanwhile: then it has no numbers, which is no error. */
        if (rc != 0 && dray_container_need_running(c, NULL) == 0)
            return rc;
    }
    if (!o)
        o = json_object_new_object();
    char now[DRAY_TIME_LEN];
    dray_time_format(alive ? dray_clock_now() : 0, now);
    dray_json_add_str(o, "read", now);
    dray_json_add_str(o, "name", shown);
    dray_json_add_str(o, "id", c->id);
    struct json_object *nets = alive ? dray_netstat(pid) : NULL;
    if (nets)
        dray_json_add(o, "networks", nets);
    *out = o;
    return 0;
}

/* Top. */

struct pids {
    int v[4096];
    size_t n;
};

static int32_t on_pid(void *ctx, const struct dray_record *rec)
{
    struct pids *p = ctx;
    if (p->n < sizeof p->v / sizeof p->v[0])
        p->v[p->n++] = atoi(dray_kvs_get(rec->fields, "pid", "0"));
    return 0;
}

int dray_containers_top(struct dray_containers *cs, const char *name, const char *ps_args,
                        struct json_object **out, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc == 0)
        rc = dray_container_need_running(c, err);
    if (rc != 0)
        return rc;
    dray_autofree struct pids *pids = calloc(1, sizeof *pids);
    if (!pids)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_emit_to(&s, on_pid, pids);
    struct dray_driver *d = dray_container_runtime(c, err);
    rc = d ? dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, err) : DRAY_E_NOTFOUND;
    if (rc == 0)
        rc = ((const struct dray_runtime_ops *)s.ops)->ps(s.self, &s.call, c->id, err);
    if (rc == 0)
        rc = dray_ps_table(pids->v, pids->n, ps_args, out, err);
    if (rc == 0)
        dray_container_event(c, "top", NULL);
    return rc;
}

/* The layer. */

static struct dray_driver *storage_of(struct dray_container *c, struct dray_err *err)
{
    return dray_drivers_get(c->set->engine->drivers, DRAY_KIND_STORAGE, c->driver, err);
}

static int32_t on_change(void *ctx, const struct dray_record *rec)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Path", dray_kvs_get(rec->fields, "path", ""));
    dray_json_add_int(o, "Kind", atoi(dray_kvs_get(rec->fields, "kind", "0")));
    json_object_array_add(ctx, o);
    return 0;
}

int dray_containers_changes(struct dray_containers *cs, const char *name, struct json_object **out,
                            struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    dray_autojson *list = json_object_new_array();
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_emit_to(&s, on_change, list);
    struct dray_driver *d = storage_of(c, err);
    rc = d ? dray_call_enter(&s, d, DRAY_CLASS_DATA, -1, err) : DRAY_E_NOTFOUND;
    if (rc == 0)
        rc = ((const struct dray_storage_ops *)s.ops)->changes(s.self, &s.call, c->layer, err);
    if (rc == 0)
        *out = dray_json_len(list) > 0 ? dray_steal(list) : NULL;
    return rc;
}

void dray_container_sizes(struct dray_container *c, int64_t *rw_out, int64_t *root_out)
{
    uint64_t bytes = 0, inodes = 0;
    struct dray_driver *d = storage_of(c, NULL);
    if (d)
        (void)dray_driver_call(d, storage, DRAY_CLASS_DATA, NULL, usage, c->layer, &bytes, &inodes);
    *rw_out = (int64_t)bytes;
    *root_out = (int64_t)bytes + (int64_t)dray_images_size(c->set->engine->images, c->image_id);
}

int dray_containers_export(struct dray_containers *cs, const char *name, int out_fd,
                           struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    struct dray_driver *d = storage_of(c, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    rc = dray_driver_call(d, storage, DRAY_CLASS_DATA, err, diff, c->layer, "",
                          (struct dray_fd_borrow){out_fd});
    if (rc == 0)
        dray_container_event(c, "export", NULL);
    return rc;
}

/* Commit. */

/** Dockerfile-like changes of the `changes` parameter; a small set is allowed. */
static int apply_changes(struct json_object *config, struct json_object *changes,
                         struct dray_err *err)
{
    for (size_t i = 0; i < dray_json_len(changes); i++) {
        DRAY_AUTO(dray_strlist) lines = {0};
        const char *text = json_object_get_string(json_object_array_get_idx(changes, i));
        dray_strlist_split(&lines, text, '\n');
        for (size_t k = 0; k < lines.n; k++) {
            int rc = lines.v[k][strspn(lines.v[k], " \t\r")]
                         ? dray_image_config_change(config, lines.v[k], err)
                         : 0;
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

/* What the request's list of variables leaves to the container. */
static void add_env(struct json_object *env, struct json_object *own)
{
    for (size_t i = 0; i < dray_json_len(own); i++) {
        struct json_object *entry = json_object_array_get_idx(own, i);
        const char *text = json_object_get_string(entry);
        size_t n = strcspn(text, "=");
        bool given = false;
        for (size_t k = 0; k < dray_json_len(env) && !given; k++) {
            const char *e = json_object_get_string(json_object_array_get_idx(env, k));
            given = e && strncmp(e, text, n) == 0 && (e[n] == '=' || !e[n]);
        }
        if (!given)
            json_object_array_add(env, json_object_get(entry));
    }
}

static void add_keys(struct json_object *map, struct json_object *own)
{
    if (!map || !json_object_is_type(own, json_type_object))
        return;
    json_object_object_foreach(own, key, value)
    {
        if (!json_object_object_get_ex(map, key, NULL))
            json_object_object_add(map, key, json_object_get(value));
    }
}

/* The container's config, overlaid with what the request names. Lists of names are joined, and an
 * entrypoint of the request's has no use for the container's command. */
static int commit_config(struct dray_container *c, struct json_object *given,
                         struct json_object **out, struct dray_err *err)
{
    static const char *const plain[] = {"User",       "Cmd",        "Healthcheck", "WorkingDir",
                                        "Entrypoint", "OnBuild",    "StopSignal",  "StopTimeout",
                                        "Shell",      "ArgsEscaped"};
    static const char *const joined[] = {"ExposedPorts", "Volumes", "Labels"};
    dray_autojson *typed = NULL;
    int rc = dray_container_config(given, &typed, err);
    if (rc != 0)
        return rc;
    struct json_object *config = dray_container_json(c, &c->config);
    struct json_object *entry = dray_json_arr(typed, "Entrypoint");
    if (dray_json_len(entry) > 0)
        dray_json_add(config, "Cmd", NULL);
    else if (entry) /* [], which is not null, asks for none */
        dray_json_add(config, "Entrypoint", NULL);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (!dray_shape_empty(dray_json_get(typed, plain[i])))
            dray_json_add(config, plain[i], dray_json_copy(dray_json_get(typed, plain[i])));
    for (size_t i = 0; i < sizeof joined / sizeof joined[0]; i++) {
        struct json_object *v = dray_json_obj(typed, joined[i]);
        if (dray_shape_empty(v))
            continue;
        add_keys(v, dray_json_obj(config, joined[i]));
        dray_json_add(config, joined[i], json_object_get(v));
    }
    struct json_object *env = dray_json_arr(typed, "Env");
    add_env(env, dray_json_arr(config, "Env"));
    dray_json_add(config, "Env", json_object_get(env));
    *out = config;
    return 0;
}

int dray_containers_commit(struct dray_containers *cs, const char *name, struct json_object *config,
                           struct json_object *params, struct json_object **out,
                           struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&c->lock);
    bool running = c->st.status == DRAY_CS_RUNNING;
    bool dead = c->st.status == DRAY_CS_REMOVING || c->st.status == DRAY_CS_DEAD;
    pthread_mutex_unlock(&c->lock);
    if (dead)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "You cannot commit container %s which is being removed", c->id);
    dray_autojson *whole = NULL;
    rc = commit_config(c, config, &whole, err);
    if (rc == 0)
        rc = apply_changes(whole, dray_json_arr(params, "changes"), err);
    if (rc != 0)
        return rc;
    bool pause = running && dray_json_bool(params, "pause", true) &&
                 dray_containers_pause(cs, c->id, true, NULL) == 0;
    DRAY_AUTO(dray_buf) by = {0};
    dray_autojson *own = dray_container_json(c, &c->config);
    struct json_object *cmd = dray_json_arr(own, "Cmd"); /* what made the layer */
    for (size_t i = 0; i < dray_json_len(cmd); i++)
        dray_buf_addf(&by, "%s%s", i ? " " : "",
                      json_object_get_string(json_object_array_get_idx(cmd, i)));
    struct dray_commit_req req = {.parent_image = c->image_id,
                                  .storage = c->driver,
                                  .layer = c->layer,
                                  .layer_parent = c->layer_parent ? c->layer_parent : "",
                                  .container = c->id,
                                  .config = whole,
                                  .author = dray_json_str(params, "author", ""),
                                  .comment = dray_json_str(params, "comment", ""),
                                  .created_by = by.data ? by.data : "",
                                  .ref = dray_json_str(params, "ref", NULL)};
    char id[DRAY_DIGEST_LEN] = "";
    rc = dray_images_commit(cs->engine->images, &req, id, err);
    if (pause)
        (void)dray_containers_pause(cs, c->id, false, NULL);
    if (rc != 0)
        return rc;
    const char *name_part = req.ref ? strrchr(req.ref, '/') : NULL;
    bool tagged = req.ref && strchr(name_part ? name_part : req.ref, ':');
    dray_autofree char *ref =
        req.ref ? dray_strf("%s%s", dray_ref_key_familiar(req.ref), tagged ? "" : ":latest") : NULL;
    dray_container_event(c, "commit", "comment", req.comment, "imageID", id, "imageRef",
                         ref ? ref : "", NULL);
    *out = json_object_new_object();
    dray_json_add_str(*out, "Id", id);
    return 0;
}
