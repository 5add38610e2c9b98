/* SPDX-License-Identifier: Apache-2.0 */
/* container_open.c - the daemon starts and ends: containers are read, taken over, let go. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/exec.h"
#include "engine/container/shims.h"
#include "engine/image/images.h"
#include "engine/network/dns.h"
#include "engine/network/netns.h"
#include "engine/network/networks.h"
#include "engine/volume/volumes.h"
#include "engine/workq.h"

#include <dirent.h>
#include <fcntl.h>

#define DRAY_LOG_AREA "containers"
#define WORKERS 32
#define SPARE_NAMESPACES 3
#define ASK_TIMEOUT_MS 3000
#define START_AGAIN (100 * DRAY_NS_PER_S / 1000) /* until another one is up */
#define HANDS 7                                  /* threads beside the one that starts the daemon */

static int open_parts(struct dray_containers *cs, struct dray_err *err)
{
    struct dray_engine *e = cs->engine;
    int rc = dray_fs_open_dir(e->data_fd, "containers", 0710, &cs->dir, err);
    if (rc == 0)
        rc = dray_fs_open_dir(e->exec_fd, "containers", 0711, &cs->run_dir, err);
    if (rc == 0)
        rc = dray_workq_open(WORKERS, &cs->work, err);
    if (rc == 0)
        rc = dray_execs_open(&cs->execs, err);
    dray_autofree char *dir = dray_strf("%s/netns", e->config->exec_root);
    if (rc == 0)
        rc = dray_netns_open(dir, SPARE_NAMESPACES, e->userns, &cs->netns, err);
    if (rc == 0)
        rc = dray_shims_open(e, cs->run_dir, &cs->shims, err);
    return rc;
}

/* Taking over. */

static void hold_parts(struct dray_container *c)
{
    struct dray_engine *e = c->set->engine;
    struct dray_err err = {0};
    if (!c->step && dray_images_hold(e->images, c->image_id, c->id, &err) != 0)
        dray_warn("container %.12s: its image is missing: %s", c->id, err.text);
    dray_autojson *points = dray_container_json(c, &c->mounts);
    for (size_t i = 0; i < dray_json_len(points); i++) {
        const char *name = dray_json_str(json_object_array_get_idx(points, i), "Name", "");
        const char *image = dray_json_str(json_object_array_get_idx(points, i), "ImageID", "");
        if (*image && dray_images_hold(e->images, image, c->id, &err) != 0)
            dray_warn("container %.12s: %s", c->id, err.text);
        if (*name && dray_volumes_hold(e->volumes, name, c->id, &err) != 0)
            dray_warn("container %.12s: %s", c->id, err.text);
    }
}

static void restore_volumes(struct dray_container *c)
{
    dray_autojson *points = dray_container_json(c, &c->mounts);
    for (size_t i = 0; i < dray_json_len(points); i++) {
        const char *name = dray_json_str(json_object_array_get_idx(points, i), "Name", "");
        struct dray_err err = {0};
        if (*name && dray_volumes_restore(c->set->engine->volumes, name, c->id, &err) != 0)
            dray_warn("container %.12s: volume %s: %s", c->id, name, err.text);
    }
}

/** What it says of its container. One that is there and says nothing in time (it is stopped, or the
 *  machine is out of breath) keeps its container as it was: what has become of it will be told over
 *  the connection. */
static int ask_shim(struct dray_container *c, int *sock_out, struct json_object **state_out,
                    struct dray_err *err)
{
    int rc = dray_shims_connect(c->set->shims, c->id, sock_out, err);
    if (rc != 0)
        return rc;
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "op", "state");
    rc = dray_shim_call(*sock_out, m, NULL, 0, ASK_TIMEOUT_MS, state_out, err);
    if (rc == DRAY_E_TIMEOUT && dray_container_alive(c)) {
        dray_warn("container %.12s: its shim does not answer; taken to run as before", c->id);
        return 0;
    }
    if (rc == 0 && !dray_json_bool(*state_out, "running", false))
        rc = dray_fail(err, DRAY_E_UNAVAIL, "container %.12s has ended", c->id);
    return rc;
}

/** The shim lives: the container goes on as if nothing had happened. */
static int take_over(struct dray_container *c, struct dray_err *err)
{
    dray_autofd int sock = -EBADF;
    dray_autojson *state = NULL;
    int rc = ask_shim(c, &sock, &state, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&c->lock);
    c->st.pid = (int)dray_json_int(state, "pid", c->st.pid);
    c->st.started_ns = dray_container_time(state, "started_ns", c->st.started_ns);
    if (c->st.status != DRAY_CS_PAUSED)
        c->st.status = DRAY_CS_RUNNING;
    c->st.has_been_started = true;
    c->accepts_attach = true;
    uint64_t serial = ++c->start_serial;
    pthread_mutex_unlock(&c->lock);
    struct dray_err why = {0};
    if (dray_container_net_restore(c, &why) != 0)
        dray_error("container %.12s: restore its network: %s", c->id, why.text);
    restore_volumes(c);
    dray_health_start(c);
    return dray_shims_watch(c->set->shims, c, serial, dray_steal_fd(&sock), err);
}

static bool has_run_dir(struct dray_container *c)
{
    dray_autofree char *pid = dray_strf("%s/shim.pid", c->id);
    return pid && faccessat(c->set->run_dir, pid, F_OK, 0) == 0;
}

/** A start that was cut off: nothing of it may stay. deaf: its shim is there and does not answer,
 * so that it may yet run the container, unknown to everybody. */
static void undo_start(struct dray_container *c, bool deaf)
{
    if (deaf) {
        dray_warn("container %.12s: its start was cut off, and its shim does not answer: it is "
                  "ended",
                  c->id);
        dray_shims_kill(c->set->shims, c->id);
        dray_container_end_orphans(c);
    }
    if (has_run_dir(c))
        dray_container_run_dir_drop(c->set, c->id);
}

/** Bring one container into line with what is true now. */
static void reconcile(struct dray_containers *cs, void *item)
{
    (void)cs;
    struct dray_container *c = item;
    bool was_up = dray_container_alive(c) || c->st.status == DRAY_CS_RESTARTING;
    struct dray_err err = {0};
    hold_parts(c);
    if (!was_up && !has_run_dir(c))
        return;
    if (take_over(c, &err) == 0) {
        if (!was_up)
            (void)dray_container_save_state(c, NULL);
        return;
    }
    if (!dray_container_alive(c)) {
        undo_start(c, err.code == DRAY_E_TIMEOUT);
        if (c->st.status == DRAY_CS_RESTARTING)
            c->st.status = DRAY_CS_EXITED;
        return;
    }
    /* It ended while nobody looked: the same road as any end. */
    dray_info("container %.12s ended while the daemon was away", c->id);
    pthread_mutex_lock(&c->lock);
    uint64_t serial = ++c->start_serial;
    pthread_mutex_unlock(&c->lock);
    (void)dray_container_net_restore(c, NULL);
    restore_volumes(c);
    dray_container_ended(c, serial);
}

static void load_one(struct dray_containers *cs, void *item)
{
    const char *id = item;
    struct dray_err err = {0};
    dray_autocontainer *c = NULL;
    int rc = dray_container_load(cs, id, &c, &err);
    if (rc == DRAY_E_NOTFOUND && dray_container_half_made(cs, id)) { /* its creation was cut off */
        dray_info("drop half-made container %.12s", id);
        (void)dray_fs_remove_tree(cs->dir, id, NULL);
        return;
    }
    dray_autofd int dir = openat(cs->dir, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0)
        dray_fs_sweep(dir); /* what was being written */
    char *name = NULL;
    if (rc == 0)
        rc = dray_container_name_reserve(cs, c->name, c->id, &name, &err);
    free(name);
    if (rc == 0)
        rc = dray_container_insert(cs, c, &err);
    if (rc != 0)
        dray_container_broken_note(cs, id, err.text);
}

/* Many at a time: loading is work for every processor, taking over is mostly waiting for shims. */

typedef void (*each_fn)(struct dray_containers *cs, void *item);

struct each {
    struct dray_containers *set;
    void **items;
    size_t n;
    each_fn fn;
    atomic_size_t next;
};

static void *each_worker(void *arg)
{
    struct each *e = arg;
    for (size_t i; (i = atomic_fetch_add(&e->next, 1)) < e->n;)
        e->fn(e->set, e->items[i]);
    return NULL;
}

/** Call fn for each item, by so many more threads, and wait for them. */
static void for_each(struct dray_containers *cs, void **items, size_t n, size_t helpers, each_fn fn)
{
    struct each e = {.set = cs, .items = items, .n = n, .fn = fn};
    pthread_t threads[HANDS];
    helpers = helpers < HANDS ? helpers : HANDS;
    size_t hands = 0;
    while (hands < helpers && hands + 1 < n &&
           pthread_create(&threads[hands], NULL, each_worker, &e) == 0)
        hands++;
    (void)each_worker(&e);
    while (hands > 0)
        (void)pthread_join(threads[--hands], NULL);
}

static int load_all(struct dray_containers *cs, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) ids = {0};
    int fd = openat(cs->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return dray_fail_errno(err, "read the containers' folder");
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (dray_id_is_hex(e->d_name, DRAY_ID_LEN - 1, DRAY_ID_LEN - 1) &&
            !dray_strlist_add(&ids, e->d_name))
            break;
    closedir(dir);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    for_each(cs, (void **)ids.v, ids.n, cpus > 1 ? (size_t)cpus - 1 : 0, load_one);
    return 0;
}

/* Restart policies at the daemon's start. */

/** Is one that it needs, of that name and what follows a colon, still to be started by its policy?
 */
static bool is_due(struct dray_containers *cs, const char *text)
{
    dray_autocontainer *other = NULL;
    dray_autofree char *name = strndup(text, strcspn(text, ":"));
    return name && *name && dray_container_find(cs, name, &other, NULL) == 0 &&
           atomic_load(&other->start_due);
}

/** Of those whose namespaces it shares, or that it has links to. */
static bool needs_due(struct dray_container *c)
{
    static const char *const modes[] = {"NetworkMode", "IpcMode", "PidMode"};
    static const char shared[] = "container:";
    dray_autojson *host = dray_container_json(c, &c->host);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        const char *mode = dray_json_str(host, modes[i], "");
        if (dray_str_prefix(mode, shared) && is_due(c->set, mode + strlen(shared)))
            return true;
    }
    struct json_object *links = dray_json_arr(host, "Links");
    for (size_t i = 0; i < dray_json_len(links); i++)
        if (is_due(c->set, json_object_get_string(json_object_array_get_idx(links, i))))
            return true;
    return false;
}

static void start_drop(void *arg)
{
    struct dray_container *c = arg;
    atomic_store(&c->start_due, false);
    dray_container_unref(c);
}

static void start_job(void *arg)
{
    struct dray_container *c = arg;
    struct dray_err err = {0};
    if (needs_due(c)) {
        dray_workq_at(c->set->work, dray_clock_mono() + START_AGAIN, start_job, start_drop, c);
        return;
    }
    int rc = dray_containers_start(c->set, c->id, &err);
    if (rc != 0 && rc != DRAY_E_NOTMODIFIED)
        dray_warn("start container %.12s: %s", c->id, err.text);
    start_drop(c);
}

/** As dockerd has it: that it was stopped by hand counts for "unless-stopped" alone. */
static bool wanted_up(struct dray_container *c)
{
    dray_autojson *host = dray_container_json(c, &c->host);
    const char *policy = dray_json_str(host, "RestartPolicy.Name", "no");
    int64_t most = dray_json_int(host, "RestartPolicy.MaximumRetryCount", 0);
    pthread_mutex_lock(&c->lock);
    const struct dray_container_state *s = &c->st;
    bool down = s->status == DRAY_CS_EXITED && s->has_been_started;
    bool failed = s->exit_code != 0 && (most == 0 || s->restart_count < most);
    bool by_hand = s->manually_stopped;
    pthread_mutex_unlock(&c->lock);
    return down &&
           (strcmp(policy, "always") == 0 || (strcmp(policy, "unless-stopped") == 0 && !by_hand) ||
            (strcmp(policy, "on-failure") == 0 && failed));
}

static void start_by_policy(struct dray_containers *cs, struct dray_container **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i]->restarts && wanted_up(v[i]))
            atomic_store(&v[i]->start_due, true);
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&v[i]->start_due))
            dray_workq_add(cs->work, start_job, start_drop, dray_container_ref(v[i]));
}

static void collect(struct dray_containers *cs, struct dray_container **v, size_t n)
{
    DRAY_AUTO(dray_strlist) layers = {0};
    DRAY_AUTO(dray_strlist) namespaces = {0};
    DRAY_AUTO(dray_strlist) named = {0};
    for (size_t i = 0; i < n; i++) {
        if (v[i]->has_dns)
            dray_strlist_add(&named, v[i]->id);
        dray_strlist_add(&layers, v[i]->layer);
        if (v[i]->netns)
            dray_strlist_add(&namespaces, v[i]->netns);
    }
    struct dray_err err = {0};
    if (atomic_load(&cs->engine->damaged)) {
        dray_warn("something cannot be read, as said above: nothing is taken for left over");
        return;
    }
    if (dray_images_collect(cs->engine->images, dray_strlist_view(&layers), &err) != 0)
        dray_warn("collect layers: %s", err.text);
    dray_dns_keep(cs->engine->dns, dray_strlist_view(&named));
    dray_networks_collect(cs->engine->networks);
    dray_netns_collect(cs->netns, dray_strlist_view(&namespaces));
}

/** Run folders of containers that are no more. */
static void sweep_run_dirs(struct dray_containers *cs)
{
    int fd = openat(cs->run_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        dray_autocontainer *c = NULL;
        char id[DRAY_ID_LEN];
        if (e->d_name[0] != '.' && dray_container_find(cs, e->d_name, &c, NULL) != 0 &&
            !dray_container_broken_find(cs, e->d_name, id))
            (void)dray_fs_remove_tree(cs->run_dir, e->d_name, NULL);
    }
    closedir(dir);
}

/** Nobody waits any more for what a build has begun. */
static void drop_steps(struct dray_containers *cs)
{
    struct dray_container **v;
    size_t n = dray_container_snapshot(cs, &v);
    for (size_t i = 0; i < n; i++) {
        struct dray_err err = {0};
        if (v[i]->step && dray_containers_remove(cs, v[i]->id, true, true, false, &err) != 0 &&
            err.code != DRAY_E_NOTFOUND)
            dray_warn("remove container %.12s of a build: %s", v[i]->id, err.text);
    }
    dray_container_list_free(v, n);
}

int dray_containers_open(struct dray_engine *e, struct dray_containers **out, struct dray_err *err)
{
    struct dray_containers *cs = calloc(1, sizeof *cs);
    if (!cs)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    cs->engine = e;
    cs->dir = cs->run_dir = -EBADF;
    cs->by_name = json_object_new_object();
    cs->by_id = json_object_new_object();
    pthread_rwlock_init(&cs->lock, NULL);
    pthread_mutex_init(&cs->departed_lock, NULL);
    atomic_init(&cs->opening, true);
    e->containers = cs; /* parts ask for it while containers are taken over */
    int rc = open_parts(cs, err);
    if (rc == 0)
        rc = load_all(cs, err);
    if (rc != 0) {
        e->containers = NULL;
        dray_containers_close(cs);
        return rc;
    }
    struct dray_container **v;
    size_t n = dray_container_snapshot(cs, &v);
    for_each(cs, (void **)v, n, HANDS, reconcile);
    dray_container_list_free(v, n);
    dray_container_broken_hold(cs);
    drop_steps(cs);
    n = dray_container_snapshot(cs, &v); /* some removed themselves */
    collect(cs, v, n);
    sweep_run_dirs(cs);
    atomic_store(&cs->opening, false);
    start_by_policy(cs, v, n);
    dray_container_list_free(v, n);
    *out = cs;
    return 0;
}

void dray_containers_close(struct dray_containers *cs)
{
    if (!cs)
        return;
    atomic_store(&cs->closing, true);
    dray_workq_close(cs->work);
    dray_shims_close(cs->shims);
    dray_netns_close(cs->netns);
    dray_execs_close(cs->execs);
    for (size_t i = 0; i < cs->n; i++)
        dray_container_unref(cs->v[i]);
    free(cs->v);
    json_object_put(cs->by_name);
    json_object_put(cs->by_id);
    dray_strlist_free(&cs->broken);
    pthread_rwlock_destroy(&cs->lock);
    pthread_mutex_destroy(&cs->departed_lock);
    if (cs->dir >= 0)
        (void)close(cs->dir);
    if (cs->run_dir >= 0)
        (void)close(cs->run_dir);
    free(cs);
}
