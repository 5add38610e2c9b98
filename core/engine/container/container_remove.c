/* SPDX-License-Identifier: Apache-2.0 */
/* container_remove.c - removing containers, one or all that are stopped. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/exec.h"
#include "engine/events.h"
#include "engine/filters.h"
#include "engine/image/images.h"
#include "engine/workq.h"

#include <fcntl.h>
#include <signal.h>

#define DRAY_LOG_AREA "remove"
#define FORCED_TRIES 5
#define START_WAIT_S 3
#define KILL_WAIT_MS 10000

static int remove_layer(struct dray_container *c, struct dray_err *err)
{
    if (c->step)
        return 0; /* the build's */
    struct dray_driver *d =
        dray_drivers_get(c->set->engine->drivers, DRAY_KIND_STORAGE, c->driver, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    return dray_driver_call(d, storage, DRAY_CLASS_MOUNT, err, remove, c->layer);
}

struct folder {
    struct dray_containers *set;
    struct dray_driver *runtime; /* or NULL */
    char id[DRAY_ID_LEN];
};

static void remove_folder(void *arg)
{
    dray_autofree struct folder *f = arg;
    struct dray_err err = {0};
    if (dray_fs_remove_tree(f->set->dir, f->id, &err) != 0)
        dray_warn("container %.12s: %s", f->id, err.text);
    /* Its shim has done this already, unless a process of it was long in dying. */
    if (f->runtime &&
        dray_driver_call(f->runtime, runtime, DRAY_CLASS_MOUNT, &err, remove, f->id) != 0)
        dray_warn("container %.12s: %s", f->id, err.text);
}

/** Without its document a folder is no container, also to a daemon that starts. */
static void drop_document(struct dray_container *c)
{
    dray_autofree char *doc = dray_strf("%s/container.json", c->id);
    if (doc && unlinkat(c->set->dir, doc, 0) != 0 && errno != ENOENT)
        dray_warn("container %.12s: remove its document: %s", c->id, strerror(errno));
}

/** The rest of it, which nobody waits for. */
static void drop_folder_later(struct dray_container *c)
{
    struct folder *f = calloc(1, sizeof *f);
    if (!f)
        return;
    f->set = c->set;
    memcpy(f->id, c->id, sizeof f->id);
    pthread_mutex_lock(&c->lock);
    bool ran = c->st.has_been_started;
    pthread_mutex_unlock(&c->lock);
    f->runtime = ran ? dray_container_runtime(c, NULL) : NULL;
    dray_workq_add(c->set->work, remove_folder, free, f);
}

void dray_container_folder_hold(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    c->log_readers++;
    pthread_mutex_unlock(&c->lock);
}

void dray_container_folder_release(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    bool last = --c->log_readers == 0 && c->folder_left;
    c->folder_left = c->folder_left && !last;
    pthread_mutex_unlock(&c->lock);
    if (last)
        drop_folder_later(c);
}

/** Who follows its logs may be behind, with files of them still to be opened. */
static bool leave_to_readers(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    bool left = c->folder_left = c->log_readers > 0;
    pthread_mutex_unlock(&c->lock);
    return left;
}

/** Call with op held, the container not running. */
int dray_container_remove_locked(struct dray_container *c, bool volumes, struct dray_err *err)
{
    struct dray_containers *cs = c->set;
    pthread_mutex_lock(&c->lock);
    bool again = c->removed;
    enum dray_container_status before = c->st.status;
    if (!again)
        c->st.status = DRAY_CS_REMOVING;
    pthread_mutex_unlock(&c->lock);
    if (again)
        return 0;
    int rc = remove_layer(c, err);
    if (rc != 0) {
        pthread_mutex_lock(&c->lock);
        c->st.status = before == DRAY_CS_REMOVING ? DRAY_CS_DEAD : before;
        pthread_mutex_unlock(&c->lock);
        return dray_err_note(err, "container %s: driver \"%s\" failed to remove root filesystem",
                             c->id, c->driver);
    }
    if (c->auto_remove)
        dray_waiters_depart(c);
    /* From here on nobody finds it; what fails below is swept at the next start. */
    drop_document(c);
    dray_container_run_dir_drop(c->set, c->id);
    dray_container_erase(cs, c);
    dray_container_name_release(cs, c->name);
    dray_container_mounts_drop(c, volumes);
    dray_images_unhold(cs->engine->images, c->image_id, c->id);
    dray_container_event(c, "destroy", NULL);
    pthread_mutex_lock(&c->lock);
    c->removed = true;
    dray_waiters_removed(c);
    pthread_mutex_unlock(&c->lock);
    dray_execs_forget(cs, c, true); /* after the mark: who adds one now sees it */
    if (!leave_to_readers(c))
        drop_folder_later(c);
    return 0;
}

static int stop_for_removal(struct dray_container *c, bool force, struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    enum dray_container_status st = c->st.status;
    bool up = dray_container_alive(c) || st == DRAY_CS_RESTARTING;
    dray_autofree char *name = strdup(c->name);
    pthread_mutex_unlock(&c->lock);
    if (!up)
        return 0;
    if (!force && st == DRAY_CS_PAUSED)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "cannot remove container \"%s\": container is paused and must be "
                         "unpaused first",
                         name);
    if (!force)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "cannot remove container \"%s\": container is %s: stop the container "
                         "before removing or force remove",
                         name, dray_container_status_name(st));
    struct dray_err why = {0};
    int rc = dray_containers_kill(c->set, c->id, "SIGKILL", &why);
    if (rc != 0 && rc != DRAY_E_CONFLICT && rc != DRAY_E_NOTFOUND)
        dray_warn("kill container %.12s: %s", c->id, why.text);
    if (!dray_container_wait_stopped(c, KILL_WAIT_MS))
        return dray_fail(err, DRAY_E_TIMEOUT,
                         "cannot remove container \"%s\": could not kill: tried to kill container, "
                         "but did not receive an exit event",
                         name);
    return 0;
}

/** A start that is under way may end; one that hangs is given up. */
static void wait_for_start(struct dray_container *c)
{
    const struct timespec nap = {.tv_nsec = 5 * 1000 * 1000};
    int64_t until = dray_clock_mono() + START_WAIT_S * DRAY_NS_PER_S;
    int busy = pthread_mutex_trylock(&c->op);
    while (busy && dray_clock_mono() < until) {
        (void)nanosleep(&nap, NULL);
        busy = pthread_mutex_trylock(&c->op);
    }
    if (!busy)
        pthread_mutex_unlock(&c->op);
    else
        dray_container_start_cancel(c);
}

/** *again: it came up since it was stopped, by a restart that was under way. */
static int try_removal(struct dray_container *c, bool force, bool volumes, bool *again,
                       struct dray_err *err)
{
    int rc = stop_for_removal(c, force, err);
    if (rc != 0)
        return rc;
    if (force)
        wait_for_start(c);
    rc = dray_container_op_begin(c, err);
    if (rc != 0)
        return rc == DRAY_E_NOTFOUND && force ? 0 : rc;
    pthread_mutex_lock(&c->lock);
    bool up = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    *again = up;
    if (up)
        rc = dray_fail(err, DRAY_E_CONFLICT,
                       "cannot remove container \"%s\": container is running: stop the container "
                       "before removing or force remove",
                       c->name);
    else
        rc = dray_container_remove_locked(c, volumes, err);
    pthread_mutex_unlock(&c->op);
    return rc;
}

static int remove_one(struct dray_container *c, bool force, bool volumes, struct dray_err *err)
{
    bool again = true;
    int rc = 0;
    for (int i = 0; again && i < (force ? FORCED_TRIES : 1); i++) {
        again = false;
        rc = try_removal(c, force, volumes, &again, err);
    }
    return rc;
}

/** DELETE with link=1: the alias goes, not the container. */
static int remove_link(struct dray_containers *cs, const char *name, struct dray_err *err)
{
    const char *plain = name[0] == '/' ? name + 1 : name;
    const char *slash = strchr(plain, '/');
    if (!slash)
        return dray_fail(err, DRAY_E_INVAL,
                         "Conflict, cannot remove the default link name of the "
                         "container");
    dray_autofree char *parent = strndup(plain, (size_t)(slash - plain));
    dray_autocontainer *c = NULL;
    int rc = parent ? dray_container_find(cs, parent, &c, err)
                    : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc == 0)
        rc = dray_container_op_begin(c, err);
    if (rc != 0)
        return rc;
    dray_autojson *host = dray_container_json(c, &c->host);
    struct json_object *links = dray_json_arr(host, "Links");
    rc = dray_fail(err, DRAY_E_NOTFOUND, "No such link: %s", name);
    for (size_t i = 0; i < dray_json_len(links); i++) {
        const char *l = json_object_get_string(json_object_array_get_idx(links, i));
        const char *alias = strchr(l, ':');
        if (strcmp(alias ? alias + 1 : l, slash + 1) != 0)
            continue;
        json_object_array_del_idx(links, i, 1);
        pthread_mutex_lock(&c->lock);
        dray_container_set_host(c, host);
        pthread_mutex_unlock(&c->lock);
        rc = dray_container_save(c, err);
        break;
    }
    pthread_mutex_unlock(&c->op);
    return rc;
}

int dray_containers_remove(struct dray_containers *cs, const char *name, bool force, bool volumes,
                           bool link, struct dray_err *err)
{
    if (link)
        return remove_link(cs, name, err);
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    char id[DRAY_ID_LEN];
    if (rc == DRAY_E_NOTFOUND && dray_container_broken_find(cs, name, id))
        return dray_container_broken_remove(cs, id, force, err);
    return rc == 0 ? remove_one(c, force, volumes, err) : rc;
}

static bool prunable(struct dray_container *c, const struct dray_filters *f, int64_t until)
{
    pthread_mutex_lock(&c->lock);
    enum dray_container_status st = c->st.status;
    pthread_mutex_unlock(&c->lock);
    bool down = st == DRAY_CS_CREATED || st == DRAY_CS_EXITED || st == DRAY_CS_DEAD;
    return down && (until == 0 || c->created_ns < until) && dray_filters_labels(f, c->labels);
}

static uint64_t layer_size(struct dray_container *c)
{
    uint64_t bytes = 0, inodes = 0;
    struct dray_driver *d =
        dray_drivers_find(c->set->engine->drivers, DRAY_KIND_STORAGE, c->driver);
    if (d)
        (void)dray_driver_call(d, storage, DRAY_CLASS_DATA, NULL, usage, c->layer, &bytes, &inodes);
    return bytes;
}

int dray_containers_prune(struct dray_containers *cs, const struct dray_filters *f,
                          struct json_object **out, struct dray_err *err)
{
    int64_t until = 0;
    const char *text = dray_filters_get(f, "until", 0);
    if (text && !dray_time_parse_when(text, dray_clock_now(), &until))
        return dray_fail(err, DRAY_E_INVAL, "invalid filter 'until=%s'", text);
    struct json_object *deleted = json_object_new_array();
    uint64_t reclaimed = 0;
    struct dray_container **v;
    size_t n = dray_container_snapshot(cs, &v);
    for (size_t i = 0; i < n; i++) {
        if (!prunable(v[i], f, until))
            continue;
        uint64_t size = layer_size(v[i]);
        struct dray_err why = {0};
        if (remove_one(v[i], false, false, &why) != 0) {
            dray_warn("prune container %.12s: %s", v[i]->id, why.text);
            continue;
        }
        reclaimed += size;
        json_object_array_add(deleted, json_object_new_string(v[i]->id));
    }
    dray_container_list_free(v, n);
    char text_size[24];
    (void)snprintf(text_size, sizeof text_size, "%llu", (unsigned long long)reclaimed);
    struct json_object *attrs = json_object_new_object();
    dray_json_add_str(attrs, "reclaimed", text_size);
    dray_events_emit(cs->engine->events, "container", "prune", "", attrs);
    *out = json_object_new_object();
    bool none = dray_json_len(deleted) == 0;
    if (none)
        json_object_put(deleted);
    dray_json_add(*out, "ContainersDeleted", none ? NULL : deleted);
    dray_json_add_int(*out, "SpaceReclaimed", (int64_t)reclaimed);
    return 0;
}
