/* SPDX-License-Identifier: Apache-2.0 */
/* container_doc.c - a container on disk: container.json (what it is) and state.json (how it fares).
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/workq.h"

#include <fcntl.h>

#define DRAY_LOG_AREA "container"
#define SAVE_AGAIN (10 * DRAY_NS_PER_S)

static const char *const status_names[] = {
    [DRAY_CS_CREATED] = "created",   [DRAY_CS_RUNNING] = "running",
    [DRAY_CS_PAUSED] = "paused",     [DRAY_CS_RESTARTING] = "restarting",
    [DRAY_CS_REMOVING] = "removing", [DRAY_CS_EXITED] = "exited",
    [DRAY_CS_DEAD] = "dead",
};

const char *dray_container_status_name(enum dray_container_status s)
{
    return status_names[s];
}

static enum dray_container_status status_parse(const char *name)
{
    for (size_t i = 0; i < sizeof status_names / sizeof status_names[0]; i++)
        if (strcmp(status_names[i], name) == 0)
            return (enum dray_container_status)i;
    return DRAY_CS_EXITED;
}

void dray_container_set_text(char **slot, struct json_object *value)
{
    char *text = strdup(value ? dray_json_text(value) : "{}");
    if (!text)
        return;
    free(*slot);
    *slot = text;
}

void dray_container_set_host(struct dray_container *c, struct json_object *host)
{
    const char *policy = dray_json_str(host, "RestartPolicy.Name", "");
    c->restarts = *policy && strcmp(policy, "no") != 0;
    dray_container_set_text(&c->host, host);
}

void dray_container_set_endpoints(struct dray_container *c, struct json_object *endpoints)
{
    dray_autojson *shown = json_object_new_object();
    if (endpoints) {
        json_object_object_foreach(endpoints, name, ep)
        {
            json_object_object_add(shown, name, dray_endpoint_view(ep));
        }
    }
    dray_container_set_text(&c->endpoints, endpoints);
    dray_container_set_text(&c->networks, shown);
}

struct json_object *dray_container_text(const char *text)
{
    struct json_object *value = NULL;
    if (!text || dray_json_parse(text, strlen(text), &value, NULL) != 0)
        return NULL;
    return value;
}

struct json_object *dray_container_json(struct dray_container *c, char *const *slot)
{
    pthread_mutex_lock(&c->lock);
    dray_autofree char *text = *slot ? strdup(*slot) : NULL;
    pthread_mutex_unlock(&c->lock);
    struct json_object *value = dray_container_text(text);
    return value ? value : json_object_new_object();
}

static void add_text(struct dray_buf *b, const char *key, const char *json)
{
    dray_buf_addf(b, ",\"%s\":", key);
    dray_buf_adds(b, json ? json : "null");
}

static void add_string(struct dray_buf *b, const char *key, const char *value)
{
    dray_autojson *s = value ? json_object_new_string(value) : NULL;
    add_text(b, key, s ? dray_json_text(s) : NULL);
}

/** Make the document's text, with lock held. */
static void doc_text(struct dray_container *c, struct dray_buf *b)
{
    dray_buf_addf(b, "{\"Version\":1,\"Created\":%lld", (long long)c->created_ns);
    add_string(b, "ID", c->id);
    add_string(b, "Name", c->name);
    add_string(b, "ImageID", c->image_id);
    add_string(b, "Image", c->image);
    add_string(b, "Manifest", c->manifest);
    add_string(b, "Driver", c->driver);
    add_string(b, "Layer", c->layer);
    add_string(b, "LayerParent", c->layer_parent);
    add_string(b, "Platform", c->platform);
    add_string(b, "Runtime", c->runtime);
    if (c->step)
        add_text(b, "Step", "true");
    add_text(b, "Config", c->config);
    add_text(b, "HostConfig", c->host);
    add_text(b, "MountPoints", c->mounts);
    add_text(b, "Networks", c->endpoints);
    dray_buf_addc(b, '}');
}

static int store(struct dray_container *c, const char *file, struct dray_buf *b, bool whole,
                 struct dray_err *err)
{
    if (b->failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autofree char *path = dray_strf("%s/%s", c->id, file);
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return dray_fs_replace(c->set->dir, path, b->data, b->len, 0600,
                           whole ? DRAY_FS_WHOLE : DRAY_FS_PLAIN, err);
}

int dray_container_save(struct dray_container *c, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    pthread_mutex_lock(&c->lock);
    doc_text(c, &b);
    bool has_state = c->st.has_been_started; /* it says of the networks what is true now */
    pthread_mutex_unlock(&c->lock);
    /* A container that removes itself is gone after a power loss in any case. */
    int rc = store(c, "container.json", &b, !c->auto_remove, err);
    if (rc == 0 && has_state)
        rc = dray_container_save_state(c, err);
    return rc == 0 ? 0 : dray_err_note(err, "save container %.12s", c->id);
}

static void save_again(void *arg);

static void drop_save(void *arg)
{
    dray_container_unref(arg);
}

static void save_later(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    bool due = c->unsaved;
    c->unsaved = true;
    pthread_mutex_unlock(&c->lock);
    if (!due)
        dray_workq_at(c->set->work, dray_clock_mono() + SAVE_AGAIN, save_again, drop_save,
                      dray_container_ref(c));
}

/* A full disk has room again some time; until then the state is in memory alone. */
static void save_again(void *arg)
{
    dray_autocontainer *c = arg;
    bool quiet = pthread_mutex_trylock(&c->op) == 0;
    pthread_mutex_lock(&c->lock);
    c->unsaved = false;
    bool removed = c->removed;
    pthread_mutex_unlock(&c->lock);
    if (quiet && !removed)
        (void)dray_container_save_state(c, NULL);
    else if (!quiet)
        save_later(c);
    if (quiet)
        pthread_mutex_unlock(&c->op);
}

int dray_container_save_state(struct dray_container *c, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    pthread_mutex_lock(&c->lock);
    const struct dray_container_state *s = &c->st;
    dray_buf_addf(&b,
                  "{\"Pid\":%d,\"ExitCode\":%d,\"OOMKilled\":%s,\"ManuallyStopped\":%s,"
                  "\"HasBeenStarted\":%s,\"RestartCount\":%d,\"StartedAt\":%lld,"
                  "\"FinishedAt\":%lld",
                  s->pid, s->exit_code, s->oom_killed ? "true" : "false",
                  s->manually_stopped ? "true" : "false", s->has_been_started ? "true" : "false",
                  s->restart_count, (long long)s->started_ns, (long long)s->finished_ns);
    add_string(&b, "Status", dray_container_status_name(s->status));
    add_string(&b, "Error", s->error);
    add_string(&b, "Netns", c->netns);
    add_text(&b, "Ports", c->ports);
    add_text(&b, "Networks", c->endpoints);
    dray_buf_addc(&b, '}');
    /* A power loss ends the container: what it was doing matters to a restart policy alone. */
    bool whole = c->restarts;
    pthread_mutex_unlock(&c->lock);
    int rc = store(c, "state.json", &b, whole, err);
    if (rc != 0)
        save_later(c);
    return rc == 0 ? 0 : dray_err_note(err, "save the state of container %.12s", c->id);
}

static char *dup_str(struct json_object *doc, const char *key)
{
    const char *s = dray_json_str(doc, key, NULL);
    return s ? strdup(s) : NULL;
}

int64_t dray_container_time(struct json_object *doc, const char *key, int64_t def)
{
    int64_t ns = dray_json_int(doc, key, def);
    return ns >= 0 ? ns : def;
}

static void load_state(struct dray_container *c, struct json_object *s)
{
    c->st = (struct dray_container_state){
        .status = status_parse(dray_json_str(s, "Status", "created")),
        .pid = (int)dray_json_int(s, "Pid", 0),
        .exit_code = (int)dray_json_int(s, "ExitCode", 0),
        .oom_killed = dray_json_bool(s, "OOMKilled", false),
        .manually_stopped = dray_json_bool(s, "ManuallyStopped", false),
        .has_been_started = dray_json_bool(s, "HasBeenStarted", false),
        .restart_count = (int)dray_json_int(s, "RestartCount", 0),
        .started_ns = dray_container_time(s, "StartedAt", 0),
        .finished_ns = dray_container_time(s, "FinishedAt", 0),
    };
    (void)snprintf(c->st.error, sizeof c->st.error, "%s", dray_json_str(s, "Error", ""));
    c->netns = dup_str(s, "Netns");
    dray_container_set_text(&c->ports, dray_json_obj(s, "Ports"));
    if (dray_json_obj(s, "Networks"))
        dray_container_set_endpoints(c, dray_json_obj(s, "Networks"));
}

static void load_doc(struct dray_container *c, struct json_object *doc)
{
    c->created_ns = dray_container_time(doc, "Created", 0);
    c->name = dup_str(doc, "Name");
    (void)snprintf(c->image_id, sizeof c->image_id, "%s", dray_json_str(doc, "ImageID", ""));
    c->image = dup_str(doc, "Image");
    c->manifest = dup_str(doc, "Manifest");
    c->driver = dup_str(doc, "Driver");
    c->layer = dup_str(doc, "Layer");
    c->layer_parent = dup_str(doc, "LayerParent");
    c->platform = dup_str(doc, "Platform");
    c->runtime = dup_str(doc, "Runtime");
    struct json_object *config = dray_json_obj(doc, "Config");
    struct json_object *host = dray_json_obj(doc, "HostConfig");
    dray_container_set_text(&c->config, config);
    dray_container_set_host(c, host);
    if (dray_json_len(dray_json_arr(host, "Links")) > 0)
        atomic_store(&c->set->has_links, true);
    dray_container_set_text(&c->mounts, dray_json_arr(doc, "MountPoints"));
    dray_container_set_endpoints(c, dray_json_obj(doc, "Networks"));
    struct json_object *labels = dray_json_obj(config, "Labels");
    c->labels = labels ? dray_json_copy(labels) : json_object_new_object();
    c->tty = dray_json_bool(config, "Tty", false);
    c->open_stdin = dray_json_bool(config, "OpenStdin", false);
    c->stdin_once = dray_json_bool(config, "StdinOnce", false);
    c->auto_remove = dray_json_bool(host, "AutoRemove", false);
    c->step = dray_json_bool(doc, "Step", false);
}

/* A power loss came soon after the state was written: as for one that was running then. */
static struct json_object *lost_state(void)
{
    struct json_object *s = json_object_new_object();
    dray_json_add_str(s, "Status", dray_container_status_name(DRAY_CS_EXITED));
    dray_json_add_int(s, "ExitCode", 255);
    dray_json_add(s, "HasBeenStarted", json_object_new_boolean(true));
    return s;
}

int dray_container_load(struct dray_containers *cs, const char *id, struct dray_container **out,
                        struct dray_err *err)
{
    dray_autofree char *doc_path = dray_strf("%s/container.json", id);
    dray_autofree char *state_path = dray_strf("%s/state.json", id);
    if (!doc_path || !state_path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autojson *doc = NULL, *state = NULL;
    int rc = dray_json_load(cs->dir, doc_path, &doc, err);
    if (rc != 0)
        return rc;
    rc = dray_json_load(cs->dir, state_path, &state, err);
    if (rc == DRAY_E_NOMEM)
        return rc;
    if (rc == 0 && !json_object_is_type(state, json_type_object))
        rc = dray_fail(err, DRAY_E_CORRUPT, "%s is no object", state_path);
    if (rc != 0 && rc != DRAY_E_NOTFOUND) {
        dray_warn("container %.12s: its state was lost: %s", id, err->text);
        if (state)
            json_object_put(state);
        state = lost_state();
    }
    dray_autocontainer *c = dray_container_new(cs);
    if (!c)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)snprintf(c->id, sizeof c->id, "%s", id);
    load_doc(c, doc);
    load_state(c, state);
    if (!c->name || !c->driver || !c->layer || !c->image || !dray_json_obj(doc, "Config") ||
        !dray_json_obj(doc, "HostConfig") || (!c->step && strcmp(c->layer, id) != 0))
        return dray_fail(err, DRAY_E_CORRUPT, "container %.12s: its document is not whole", id);
    dray_container_summarize(c, dray_json_obj(doc, "Config"), dray_json_obj(doc, "HostConfig"),
                             dray_json_arr(doc, "MountPoints"));
    *out = dray_steal(c);
    return 0;
}
