/* SPDX-License-Identifier: Apache-2.0 */
/* container_start.c - starting a container: network, mounts, bundle, shim. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/shims.h"
#include "engine/network/netns.h"
#include "engine/rootfs/userns.h"
#include "engine/spec/log_opts.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "start"
#define RUN_TIMEOUT_MS 120000

/** One start under way: what has been done, to be undone in reverse. */
struct start {
    struct dray_container *c;
    struct json_object *config, *host, *points;
    struct dray_userns *userns; /* or NULL */
    char *dir;                  /* EXEC_ROOT/containers/ID */
    int shim;                   /* connection */
    bool net, mounts, shm, run_dir;
    bool stuck; /* the shim did not answer: it is killed with what it made */
};

static int parse(struct start *s, struct dray_err *err)
{
    struct dray_container *c = s->c;
    s->config = dray_container_json(c, &c->config);
    s->host = dray_container_json(c, &c->host);
    s->points = dray_container_json(c, &c->mounts);
    s->dir = dray_strf("%s/containers/%s", c->set->engine->config->exec_root, c->id);
    if (!s->dir)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->userns = dray_container_userns(c, s->host);
    return dray_container_userns_check(c, s->host, err);
}

static int make_run_dir(struct start *s, struct dray_err *err)
{
    const char *id = s->c->id;
    (void)dray_fs_remove_tree(s->c->set->run_dir, id, NULL);
    s->run_dir = true;
    dray_autofree char *rootfs = dray_strf("%s/rootfs", id);
    if (!rootfs || mkdirat(s->c->set->run_dir, id, 0700) != 0 ||
        mkdirat(s->c->set->run_dir, rootfs, 0700) != 0)
        return dray_fail_errno(err, "make the run folder of container %.12s", id);
    return 0;
}

/** IpcMode "shareable": /dev/shm lies where other containers can bind it. */
static int make_shm(struct start *s, struct dray_err *err)
{
    if (strcmp(dray_json_str(s->host, "IpcMode", ""), "shareable") != 0)
        return 0;
    dray_autofree char *path = dray_strf("%s/shm", s->dir);
    char data[112];
    const struct dray_remap none = {.user = ""};
    const struct dray_remap *r = s->userns ? dray_userns_remap(s->userns) : &none;
    (void)snprintf(data, sizeof data, "mode=1777,size=%lld,uid=%u,gid=%u",
                   (long long)dray_json_int(s->host, "ShmSize", 64 << 20), r->uid.first,
                   r->gid.first);
    if (!path || mkdir(path, 0700) != 0 ||
        mount("shm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data) != 0)
        return dray_fail_errno(err, "mount the shared memory of container %.12s", s->c->id);
    s->shm = true;
    return 0;
}

/** Path of the user namespace it will be in: the one of its network namespace. */
static int find_userns(struct start *s, const char *netns, char **out, struct dray_err *err)
{
    if (!s->userns)
        return 0;
    *out = dray_netns_owner(netns);
    if (!*out && netns) /* another container's */
        return dray_container_userns_shared(s->c, s->host, out, err);
    return *out
               ? 0
               : dray_fail(err, DRAY_E_INTERNAL, "container %.12s has no user namespace", s->c->id);
}

static int write_bundle(struct start *s, struct dray_err *err)
{
    struct dray_container *c = s->c;
    dray_autofree char *rootfs = dray_strf("%s/rootfs", s->dir);
    pthread_mutex_lock(&c->lock);
    dray_autofree char *netns = c->netns ? strdup(c->netns) : NULL;
    pthread_mutex_unlock(&c->lock);
    dray_autofree char *userns = NULL;
    int rc = find_userns(s, netns, &userns, err);
    if (rc != 0)
        return rc;
    struct dray_spec_in in = {.c = c,
                              .config = s->config,
                              .host = s->host,
                              .points = s->points,
                              .netns = netns,
                              .userns = userns,
                              .rootfs = rootfs};
    dray_autojson *spec = NULL;
    rc = dray_container_spec(&in, &spec, err);
    if (rc != 0)
        return rc;
    s->mounts = true;
    const char *text = dray_json_text(spec);
    dray_autofree char *path = dray_strf("%s/config.json", c->id);
    return dray_fs_replace(c->set->run_dir, path, text, strlen(text), 0600, DRAY_FS_PLAIN, err);
}

static struct json_object *shifted(const struct dray_userns_view *view, const char *text)
{
    dray_autofree char *own = view ? dray_userns_shift(view, text) : NULL;
    return json_object_new_string(own ? own : text);
}

/** view: where layers are taken from instead of the driver's folder, or NULL. */
static struct json_object *mounts_json(const struct dray_mounts *mounts,
                                       const struct dray_userns_view *view)
{
    struct json_object *list = json_object_new_array();
    for (uint64_t i = 0; i < mounts->n; i++) {
        struct json_object *m = json_object_new_object(), *opts = json_object_new_array();
        dray_json_add_str(m, "type", mounts->v[i].type);
        dray_json_add(m, "source", shifted(view, mounts->v[i].source));
        dray_json_add_str(m, "target", mounts->v[i].target);
        for (uint64_t k = 0; k < mounts->v[i].options.n; k++)
            json_object_array_add(opts, shifted(view, mounts->v[i].options.v[k]));
        dray_json_add(m, "options", opts);
        json_object_array_add(list, m);
    }
    return list;
}

static int root_mounts(struct dray_container *c, struct dray_userns *userns,
                       struct json_object **out, struct dray_err *err)
{
    const struct dray_userns_view *view = NULL;
    struct dray_driver *d =
        dray_drivers_get(c->set->engine->drivers, DRAY_KIND_STORAGE, c->driver, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    DRAY_AUTO(dray_call_scope) scope = {0};
    int rc = userns ? dray_userns_view(userns, d, &view, err) : 0;
    if (rc == 0)
        rc = dray_call_enter(&scope, d, DRAY_CLASS_QUICK, -1, err);
    if (rc != 0)
        return rc;
    struct dray_mounts mounts = {0};
    rc = ((const struct dray_storage_ops *)scope.ops)
             ->mounts(scope.self, &scope.call, c->layer, c->auto_remove ? DRAY_MOUNTS_VOLATILE : 0,
                      &mounts, err);
    if (rc == 0)
        *out = mounts_json(&mounts, view);
    return rc;
}

/* Logging. */

static struct json_object *env_object(struct json_object *config)
{
    struct json_object *out = json_object_new_object();
    struct json_object *env = dray_json_arr(config, "Env");
    for (size_t i = 0; i < dray_json_len(env); i++) {
        const char *e = json_object_get_string(json_object_array_get_idx(env, i));
        size_t n = strcspn(e, "=");
        dray_autofree char *key = strndup(e, n);
        if (key)
            dray_json_add_str(out, key, e[n] ? e + n + 1 : "");
    }
    return out;
}

/** The words of entrypoint and command with spaces in between; NULL without memory. */
static char *command_line(struct json_object *config)
{
    DRAY_AUTO(dray_buf) line = {0};
    struct json_object *parts[] = {dray_json_arr(config, "Entrypoint"),
                                   dray_json_arr(config, "Cmd")};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < dray_json_len(parts[i]); k++) {
            if (line.len > 0)
                dray_buf_addc(&line, ' ');
            const char *word = json_object_get_string(json_object_array_get_idx(parts[i], k));
            dray_buf_add(&line, word, strlen(word));
        }
    }
    dray_buf_addc(&line, '\0');
    return dray_buf_steal(&line);
}

static struct json_object *log_info(struct dray_container *c, struct json_object *config,
                                    struct json_object *options)
{
    const struct dray_config *cfg = c->set->engine->config;
    struct json_object *info = json_object_new_object();
    pthread_mutex_lock(&c->lock);
    dray_json_add_str(info, "name", c->name);
    pthread_mutex_unlock(&c->lock);
    dray_json_add_str(info, "image_id", c->image_id);
    dray_json_add_str(info, "image_name", c->image);
    dray_autofree char *command = command_line(config);
    dray_json_add_str(info, "command", command);
    dray_json_add_str(info, "daemon_name", "docker");
    dray_json_addf(info, "dir", "%s/containers/%s", cfg->data_root, c->id);
    dray_json_add_int(info, "created_ns", c->created_ns);
    dray_json_add(info, "labels", dray_json_copy(c->labels));
    dray_json_add(info, "env", env_object(config));
    dray_json_add(info, "options", dray_log_opts_own(options));
    return info;
}

static struct json_object *log_json(struct dray_container *c, struct json_object *config,
                                    struct json_object *host)
{
    const char *driver = dray_json_str(host, "LogConfig.Type", "json-file");
    struct json_object *options = dray_json_obj(host, "LogConfig.Config");
    if (strcmp(driver, "none") == 0)
        return NULL;
    struct json_object *log = json_object_new_object();
    dray_json_add_str(log, "driver", driver);
    dray_json_add_str(log, "mode", dray_json_str(options, "mode", "blocking"));
    dray_json_add_int(log, "max_buffer", dray_log_opts_buffer(options));
    struct dray_driver *d = dray_drivers_find(c->set->engine->drivers, DRAY_KIND_LOG, driver);
    bool reads = d && (dray_driver_features(d) & DRAY_LOG_F_READ);
    if (!reads && dray_log_opts_cached(options)) {
        dray_json_add_str(log, "cache_driver", DRAY_LOG_CACHE_DRIVER);
        dray_json_add(log, "cache_options", dray_log_opts_cache(options));
    }
    dray_json_add(log, "info", log_info(c, config, options));
    return log;
}

/* The shim. */

/** Hand over the attaches that came before; from now on they go to the shim themselves. */
static void hand_over_attaches(struct start *s)
{
    struct dray_container *c = s->c;
    dray_container_await_announced(c);
    pthread_mutex_lock(&c->lock);
    struct dray_pending_attach *p = dray_steal(c->pending);
    c->accepts_attach = true;
    pthread_mutex_unlock(&c->lock);
    while (p) {
        struct dray_pending_attach *next = p->next;
        int done = p->done;
        struct json_object *m = dray_attach_message(p->req, p->tty, NULL);
        const int fds[] = {p->sock, done};
        struct dray_err err = {0};
        if (dray_shim_call(s->shim, m, fds, 2, RUN_TIMEOUT_MS, NULL, &err) != 0)
            dray_warn("attach to container %.12s: %s", c->id, err.text);
        (void)close(done); /* p's owner may be gone after this */
        p = next;
    }
}

/** Ask the shim, in a way that dray_container_start_cancel() can end. */
static int ask(struct start *s, struct json_object *m /* takes */, struct json_object **reply,
               struct dray_err *err)
{
    struct dray_container *c = s->c;
    pthread_mutex_lock(&c->lock);
    c->starting = s->shim;
    pthread_mutex_unlock(&c->lock);
    int rc = dray_shim_call(s->shim, m, NULL, 0, RUN_TIMEOUT_MS, reply, err);
    pthread_mutex_lock(&c->lock);
    c->starting = -EBADF;
    bool canceled = c->start_canceled;
    c->start_canceled = false;
    pthread_mutex_unlock(&c->lock);
    s->stuck = rc == DRAY_E_TIMEOUT || rc == DRAY_E_UNAVAIL;
    if (rc != 0 && canceled)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "container is marked for removal and cannot be started");
    return rc;
}

void dray_container_start_cancel(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    c->start_canceled = c->starting >= 0;
    if (c->start_canceled)
        (void)shutdown(c->starting, SHUT_RDWR);
    pthread_mutex_unlock(&c->lock);
}

static int run(struct start *s, struct json_object **reply, struct dray_err *err)
{
    struct dray_container *c = s->c;
    struct json_object *rootfs = NULL;
    int rc = root_mounts(c, s->userns, &rootfs, err);
    if (rc != 0)
        return rc;
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "op", "run");
    dray_json_add_str(m, "bundle", s->dir);
    dray_json_add_str(m, "runtime", c->runtime);
    dray_json_add(m, "rootfs", rootfs);
    dray_json_add_bool(m, "terminal", c->tty);
    dray_json_add_bool(m, "stdin", c->open_stdin);
    dray_json_add_bool(m, "stdin_once", c->stdin_once);
    struct json_object *size = dray_json_arr(s->host, "ConsoleSize");
    if (dray_json_len(size) == 2) {
        dray_json_add_int(m, "rows", json_object_get_int(json_object_array_get_idx(size, 0)));
        dray_json_add_int(m, "cols", json_object_get_int(json_object_array_get_idx(size, 1)));
    }
    dray_json_addf(m, "exit_file", "%s/containers/%s/exit.json", c->set->engine->config->data_root,
                   c->id);
    dray_json_add(m, "log", log_json(c, s->config, s->host));
    hand_over_attaches(s);
    return ask(s, m, reply, err);
}

static void undo(struct start *s)
{
    struct dray_container *c = s->c;
    pthread_mutex_lock(&c->lock);
    c->accepts_attach = false;
    struct dray_pending_attach *p = dray_steal(c->pending);
    pthread_mutex_unlock(&c->lock);
    while (p) {
        struct dray_pending_attach *next = p->next;
        (void)close(p->done);
        p = next;
    }
    if (s->stuck) {
        dray_shims_kill(c->set->shims, c->id);
        dray_container_end_orphans(c);
    }
    if (s->net)
        dray_container_net_stop(c);
    if (s->mounts)
        dray_container_mounts_stop(c);
    dray_container_run_dir_drop(c->set, c->id);
}

/** A failure of the command itself shows in the state, with the exit code of a shell. */
static int note_failure(struct start *s, int rc, struct dray_err *err)
{
    struct dray_container *c = s->c;
    bool command = rc == DRAY_E_NOCMD || rc == DRAY_E_NOEXEC;
    pthread_mutex_lock(&c->lock);
    c->st.exit_code = rc == DRAY_E_NOCMD ? 127 : rc == DRAY_E_NOEXEC ? 126 : 128;
    c->st.status = c->st.has_been_started ? DRAY_CS_EXITED : DRAY_CS_CREATED;
    c->st.pid = 0;
    (void)snprintf(c->st.error, sizeof c->st.error, "%.255s", err->text);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    struct dray_err why = {0};
    if (dray_container_save_state(c, &why) != 0)
        dray_warn("%s", why.text);
    if (command) {
        struct dray_err copy = *err;
        return dray_fail(err, DRAY_E_INVAL,
                         "failed to create task for container: failed to create shim task: OCI "
                         "runtime create failed: unable to start container process: %s",
                         copy.text);
    }
    return rc;
}

static void note_success(struct start *s, struct json_object *reply)
{
    struct dray_container *c = s->c;
    pthread_mutex_lock(&c->lock);
    c->st.status = DRAY_CS_RUNNING;
    c->st.pid = (int)dray_json_int(reply, "pid", 0);
    c->st.started_ns = dray_container_time(reply, "started_ns", dray_clock_now());
    c->st.exit_code = 0;
    c->st.oom_killed = false;
    c->st.error[0] = '\0';
    c->st.has_been_started = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* Who shares the network of another container goes by that one's names. */
static int borrow_names(struct start *s, struct dray_err *err)
{
    struct dray_container *c = s->c;
    const char *mode = dray_json_str(s->host, "NetworkMode", "");
    if (!dray_str_prefix(mode, "container:"))
        return 0;
    dray_autocontainer *other = NULL;
    int rc = dray_container_find(c->set, mode + strlen("container:"), &other, err);
    if (rc != 0)
        return rc;
    dray_autojson *theirs = dray_container_json(other, &other->config);
    dray_json_add_str(s->config, "Hostname", dray_json_str(theirs, "Hostname", ""));
    dray_json_add_str(s->config, "Domainname", dray_json_str(theirs, "Domainname", ""));
    pthread_mutex_lock(&c->lock);
    dray_container_set_text(&c->config, s->config);
    pthread_mutex_unlock(&c->lock);
    return dray_container_save(c, err);
}

static int go(struct start *s, struct dray_err *err)
{
    struct dray_container *c = s->c;
    int rc = parse(s, err);
    if (rc == 0)
        rc = make_run_dir(s, err);
    if (rc == 0)
        rc = dray_shims_spawn(c->set->shims, c->id, &s->shim, err); /* forks while we go on */
    if (rc == 0)
        rc = make_shm(s, err);
    if (rc == 0) {
        rc = dray_container_net_start(c, s->config, s->host, err);
        rc = rc ? dray_err_note(err, "failed to set up container networking") : 0;
        s->net = rc == 0;
    }
    if (rc == 0)
        rc = borrow_names(s, err);
    if (rc != 0)
        return rc;
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    rc = dray_container_files_write(c, s->config, s->host, endpoints, err);
    if (rc == 0)
        rc = write_bundle(s, err);
    if (rc != 0)
        return rc;
    (void)unlinkat(c->set->dir, dray_exit_file(c).text, 0);
    rc = dray_shims_await(c->set->shims, c->id, &s->shim, err);
    if (rc != 0)
        return rc;
    dray_autojson *reply = NULL;
    rc = run(s, &reply, err);
    if (rc != 0)
        return rc;
    note_success(s, reply);
    dray_container_links_refresh(c);
    return 0;
}

static void finish(struct start *s)
{
    json_object_put(s->config);
    json_object_put(s->host);
    json_object_put(s->points);
    free(s->dir);
    if (s->shim >= 0)
        (void)close(s->shim);
}

int dray_container_start_locked(struct dray_container *c, struct dray_err *err)
{
    struct dray_err own = {0};
    if (!err)
        err = &own;
    struct start s = {.c = c, .shim = -EBADF};
    pthread_mutex_lock(&c->lock);
    uint64_t serial = ++c->start_serial;
    pthread_mutex_unlock(&c->lock);
    int rc = go(&s, err);
    if (rc != 0) {
        undo(&s);
        rc = note_failure(&s, rc, err);
        finish(&s);
        return rc;
    }
    struct dray_err why = {0};
    if (dray_container_save_state(c, &why) != 0)
        dray_error("%s", why.text);
    dray_container_event(c, "start", NULL);
    dray_health_start(c);
    rc = dray_shims_watch(c->set->shims, c, serial, dray_steal_fd(&s.shim), err);
    finish(&s);
    return rc;
}

int dray_container_start_by_hand(struct dray_container *c, struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    c->st.restart_count = 0;
    c->st.manually_stopped = false;
    c->restart_canceled = false;
    pthread_mutex_unlock(&c->lock);
    return dray_container_start_locked(c, err);
}

static int check_startable(struct dray_container *c, struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    enum dray_container_status st = c->st.status;
    pthread_mutex_unlock(&c->lock);
    if (st == DRAY_CS_RUNNING)
        return dray_fail(err, DRAY_E_NOTMODIFIED, "container %.12s is already running", c->id);
    if (st == DRAY_CS_PAUSED)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "cannot start a paused container, try unpause instead");
    if (st == DRAY_CS_REMOVING || st == DRAY_CS_DEAD)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "container is marked for removal and cannot be started");
    return 0;
}

int dray_containers_start(struct dray_containers *cs, const char *name, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc == 0)
        rc = dray_container_op_begin(c, err);
    if (rc != 0)
        return rc;
    rc = check_startable(c, err);
    if (rc == 0)
        rc = dray_container_links_check(c, err);
    if (rc == 0) {
        rc = dray_container_start_by_hand(c, err);
        bool gone = rc != 0 && c->auto_remove;
        if (gone && dray_container_remove_locked(c, true, NULL) != 0)
            dray_warn("container %.12s did not start and cannot be removed", c->id);
    }
    pthread_mutex_unlock(&c->op);
    return rc;
}
