/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - opens and closes the parts of the engine, in order. */
#include "engine/engine.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/authz.h"
#include "engine/config_load.h"
#include "engine/build/builds.h"
#include "engine/container/containers.h"
#include "engine/events.h"
#include "engine/extensions.h"
#include "engine/image/images.h"
#include "engine/metrics.h"
#include "engine/network/dns.h"
#include "engine/network/networks.h"
#include "engine/network/proxy.h"
#include "plugin/plugin_conf.h"
#include "engine/rootfs/userns.h"
#include "engine/spec/apparmor.h"
#include "engine/spec/log_opts.h"
#include "engine/volume/volumes.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>

#define DRAY_LOG_AREA "engine"
#define ID_FILE "engine-id"
#define LOCK_FILE "drayd.lock"
#define STORAGE_FILE "storage-driver"

/* A daemon has its data root for itself. The lock goes with the process, however it ends. */
static int lock_root(struct dray_engine *e, struct dray_err *err)
{
    dray_autofd int fd = openat(e->data_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return dray_fail_errno(err, "open %s/%s", e->config->data_root, LOCK_FILE);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "the data root %s is in use by another daemon; give this one its own with "
                         "--data-root",
                         e->config->data_root);
    e->lock_fd = dray_steal_fd(&fd);
    return 0;
}

/* Nothing depends on the id but who sees it: it keeps no daemon from starting. */
static void load_id(struct dray_engine *e)
{
    DRAY_AUTO(dray_buf) b = {0};
    int rc = dray_fs_read(e->data_fd, ID_FILE, 256, &b, NULL);
    if (!rc && b.len >= DRAY_ID_LEN - 1) {
        memcpy(e->id, b.data, DRAY_ID_LEN - 1);
        if (dray_id_is_hex(e->id, DRAY_ID_LEN - 1, DRAY_ID_LEN - 1))
            return;
    }
    struct dray_err err = {0};
    dray_id_new(e->id);
    if (rc != DRAY_E_NOTFOUND)
        dray_warn(ID_FILE " cannot be read: this installation has a new id");
    if (dray_fs_replace(e->data_fd, ID_FILE, e->id, strlen(e->id), 0600, DRAY_FS_DURABLE, &err) !=
        0)
        dray_warn("keep the id of this installation: %s", err.text);
}

static int open_roots(struct dray_engine *e, struct dray_err *err)
{
    int rc = dray_fs_open_dir(AT_FDCWD, e->config->data_root, 0711, &e->data_fd, err);
    if (!rc)
        rc = lock_root(e, err);
    if (!rc)
        rc = dray_fs_open_dir(AT_FDCWD, e->config->exec_root, 0711, &e->exec_fd, err);
    if (!rc)
        load_id(e);
    return rc;
}

static void on_plugin_event(void *ctx, const char *plugin, const char *action)
{
    struct dray_engine *e = ctx;
    struct json_object *attrs = json_object_new_object();
    dray_json_add_str(attrs, "name", plugin);
    dray_events_emit(e->events, "plugin", action, plugin, attrs);
}

static const struct dray_host_iface host_ifaces[] = {
    {DRAY_BUILD_IFACE, 1, &dray_builds_iface},
    {NULL, 0, NULL},
};

static int open_drivers(struct dray_engine *e, struct dray_err *err)
{
    const struct dray_config *c = e->config;
    DRAY_AUTO(dray_strlist) dirs = {0};
    for (size_t i = 0; i < c->plugin_dirs.n; i++)
        (void)dray_strlist_add(&dirs, c->plugin_dirs.v[i]);
    if (!dray_strlist_add(&dirs, c->plugin_dir))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    DRAY_AUTO(dray_plugin_conf) plugins = {0};
    int rc = dray_plugin_conf_make(c->plugins, &plugins, err);
    if (rc)
        return rc;
    struct dray_drivers_config config = {
        .dirs = (const char *const *)dirs.v,
        .data_root = c->data_root,
        .exec_root = c->exec_root,
        .libexec_dir = c->libexec_dir,
        .plugins = plugins.v,
        .n_plugins = plugins.n,
        .ifaces = host_ifaces,
        .on_event = on_plugin_event,
        .ctx = e,
    };
    return dray_drivers_open(&config, &e->drivers, err);
}

/* What containers log to by default: wrong options are told at once, and not with each create. */
static int check_log_defaults(struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *opts = json_object_new_object();
    for (size_t i = 0; i < e->config->log_opts.n; i++)
        dray_json_add_str(opts, e->config->log_opts.v[i].key, e->config->log_opts.v[i].value);
    int rc = dray_log_opts_check(e->drivers, e->config->log_driver, opts, err);
    return rc ? dray_err_note(err, "failed to set log opts") : 0;
}

const char *dray_storage_shown(const char *driver)
{
    return strcmp(driver, "overlay") == 0 ? "overlay2" : driver;
}

/* The driver of new layers: the one that was asked for; else the one of last time, so that images
 * do not vanish when the machine changes; else overlay where it works, else vfs. */
static int choose_storage(struct dray_engine *e, struct dray_err *err)
{
    const char *wanted = e->config->storage_driver;
    if (wanted && *wanted) {
        const char *name = strcmp(wanted, "overlay2") == 0 ? "overlay" : wanted;
        e->storage = dray_drivers_get(e->drivers, DRAY_KIND_STORAGE, name, err);
        return e->storage ? 0 : dray_err_note(err, "storage driver");
    }
    DRAY_AUTO(dray_buf) last = {0};
    (void)dray_fs_read(e->data_fd, STORAGE_FILE, 128, &last, NULL);
    const char *names[] = {last.data ? last.data : "", "overlay", "vfs"};
    for (size_t i = 0; i < 3 && !e->storage; i++)
        e->storage = dray_drivers_find(e->drivers, DRAY_KIND_STORAGE, names[i]);
    if (!e->storage)
        e->storage = dray_drivers_at(e->drivers, DRAY_KIND_STORAGE, 0);
    if (!e->storage)
        return dray_fail(err, DRAY_E_UNAVAIL,
                         "no storage driver works here: looked for plugins in %s",
                         e->config->plugin_dir);
    return 0;
}

static int open_storage(struct dray_engine *e, struct dray_err *err)
{
    int rc = choose_storage(e, err);
    if (rc)
        return rc;
    const char *name = dray_driver_name(e->storage);
    dray_info("storage driver: %s", name);
    DRAY_AUTO(dray_buf) noted = {0};
    if (dray_fs_read(e->data_fd, STORAGE_FILE, 256, &noted, NULL) == 0 &&
        noted.len == strlen(name) && memcmp(noted.data, name, noted.len) == 0)
        return 0;
    struct dray_err why = {0};
    if (dray_fs_replace(e->data_fd, STORAGE_FILE, name, strlen(name), 0600, DRAY_FS_PLAIN, &why) !=
        0)
        dray_warn("note the storage driver: %s", why.text);
    return 0;
}

static int open_userns(struct dray_engine *e, struct dray_err *err)
{
    int rc = dray_userns_open(e->config->userns_remap ? e->config->userns_remap : "",
                              e->config->exec_root, &e->userns, err);
    return rc || !e->userns ? rc : dray_userns_check(e->userns, e->storage, err);
}

/* Ready before the first container is; each start looks again, for policy may be unloaded. */
static void load_profile(void)
{
    struct dray_err why = {0};
    if (dray_apparmor_supported() && dray_apparmor_ensure(&why) != 0)
        dray_warn("%s", why.text);
}

static int open_parts(struct dray_engine *e, struct dray_err *err)
{
    int rc = open_roots(e, err);
    if (!rc)
        dray_fs_sweep(e->data_fd);
    if (!rc)
        rc = dray_events_open(&e->events, err);
    if (!rc)
        rc = open_drivers(e, err);
    if (!rc)
        rc = check_log_defaults(e, err);
    if (!rc)
        rc = dray_authz_open(&e->config->authorization_plugins, &e->authz, err);
    load_profile();
    if (!rc)
        rc = open_storage(e, err);
    if (!rc)
        rc = open_userns(e, err);
    if (!rc)
        rc = dray_images_open(e, &e->images, err);
    if (!rc)
        rc = dray_builds_open(e, &e->builds, err);
    if (!rc)
        rc = dray_volumes_open(e, &e->volumes, err);
    if (!rc)
        rc = dray_dns_open(e, &e->dns, err);
    if (!rc)
        rc = dray_proxy_open(e, &e->proxy, err);
    if (!rc)
        rc = dray_networks_open(e, &e->networks, err);
    if (!rc)
        rc = dray_containers_open(e, &e->containers, err);
    return rc ? rc : dray_extensions_open(e, &e->extensions, err);
}

int dray_engine_open(const struct dray_config *config, struct dray_engine **out,
                     struct dray_err *err)
{
    struct dray_engine *e = calloc(1, sizeof *e);
    if (!e)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    e->config = config;
    e->data_fd = e->exec_fd = e->lock_fd = -EBADF;
    e->started_ns = dray_clock_now();
    e->metrics = dray_metrics_new();
    int rc = open_parts(e, err);
    if (rc)
        dray_engine_close(e);
    else
        *out = e;
    return rc;
}

static void add_int(struct json_object *attrs, const char *key, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    dray_json_add_str(attrs, key, text);
}

static void add_list(struct json_object *attrs, const char *key, const struct dray_strlist *list)
{
    dray_autojson *v = dray_json_strs(list);
    dray_json_add_str(attrs, key, dray_json_text(v));
}

/* "other:/usr/bin/runsc runc:runc" */
static void add_runtimes(struct json_object *attrs, struct json_object *runtimes)
{
    DRAY_AUTO(dray_buf) b = {0};
    if (runtimes) {
        json_object_object_foreach(runtimes, name, o)
            dray_buf_addf(&b, "%s:%s ", name, dray_json_str(o, "path", ""));
    }
    dray_buf_addf(&b, "native:native");
    dray_json_add_str(attrs, "runtimes", b.data ? b.data : "");
}

/* "map[buildkit:true]" */
static void add_features(struct json_object *attrs, struct json_object *features)
{
    DRAY_AUTO(dray_buf) b = {0};
    const char *gap = "";
    dray_buf_addf(&b, "map[");
    if (features) {
        json_object_object_foreach(features, name, on)
        {
            dray_buf_addf(&b, "%s%s:%s", gap, name, json_object_get_string(on));
            gap = " ";
        }
    }
    dray_buf_addf(&b, "]");
    dray_json_add_str(attrs, "features", b.data ? b.data : "");
}

/* The event has the attributes of Docker's, each a string: what holds now. */
static void tell_reload(struct dray_engine *e)
{
    const struct dray_config *c = dray_engine_live(e);
    struct json_object *attrs = json_object_new_object();
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) == 0)
        dray_json_add_str(attrs, "name", host);
    dray_json_add_str(attrs, "debug", c->debug ? "true" : "false");
    add_list(attrs, "insecure-registries", &c->insecure_registries);
    add_list(attrs, "registry-mirrors", &c->registry_mirrors);
    add_list(attrs, "labels", &c->labels);
    add_int(attrs, "max-concurrent-downloads", c->max_concurrent_downloads);
    add_int(attrs, "max-concurrent-uploads", c->max_concurrent_uploads);
    add_int(attrs, "max-download-attempts", c->max_download_attempts);
    add_int(attrs, "shutdown-timeout", c->shutdown_timeout_s);
    add_int(attrs, "default-shm-size", c->default_shm_size);
    dray_json_add_str(attrs, "default-runtime", c->default_runtime);
    dray_json_add_str(attrs, "default-ipc-mode",
                      c->default_ipc_mode ? c->default_ipc_mode : "private");
    add_runtimes(attrs, e->config->runtimes);
    add_features(attrs, dray_json_obj(c->raw, "features"));
    dray_json_add_str(attrs, "live-restore", "true");
    dray_events_emit(e->events, "daemon", "reload", e->id, attrs);
}

static bool same(struct json_object *a, struct json_object *b)
{
    return strcmp(a ? dray_json_text(a) : "", b ? dray_json_text(b) : "") == 0;
}

static int check_runtime(struct dray_engine *e, const struct dray_config *c, struct dray_err *err)
{
    if (dray_drivers_find(e->drivers, DRAY_KIND_RUNTIME, c->default_runtime))
        return 0;
    bool fresh = !same(c->runtimes, e->config->runtimes);
    return dray_fail(
        err, DRAY_E_INVAL, "specified default runtime '%s' does not exist%s", c->default_runtime,
        fresh ? "; a runtime that is new is there when the daemon has been restarted" : "");
}

static int take_over(struct dray_engine *e, const struct dray_config *config, struct dray_err *err)
{
    DRAY_AUTO(dray_plugin_conf) plugins = {0};
    int rc = check_runtime(e, config, err);
    rc = rc ? rc : dray_plugin_conf_make(config->plugins, &plugins, err);
    rc = rc ? rc : dray_drivers_reload(e->drivers, plugins.v, plugins.n, err);
    return rc ? rc : dray_authz_set(e->authz, &config->authorization_plugins, err);
}

int dray_engine_reload(struct dray_engine *e, struct dray_config *config /* takes */,
                       struct dray_err *err)
{
    int rc = take_over(e, config, err);
    if (rc || same(config->raw, dray_engine_live(e)->raw)) {
        dray_config_free(config);
    } else {
        if (!same(config->runtimes, e->config->runtimes))
            dray_warn("runtimes change when the daemon is restarted");
        config->older = atomic_load(&e->fresh);
        atomic_store(&e->fresh, config);
    }
    if (!rc)
        tell_reload(e);
    return rc;
}

void dray_engine_close(struct dray_engine *e)
{
    if (!e)
        return;
    dray_extensions_close(e->extensions);
    if (e->containers)
        dray_containers_close(e->containers);
    if (e->networks)
        dray_networks_close(e->networks);
    dray_proxy_close(e->proxy);
    dray_dns_close(e->dns);
    if (e->volumes)
        dray_volumes_close(e->volumes);
    dray_builds_close(e->builds);
    if (e->images)
        dray_images_close(e->images);
    dray_userns_close(e->userns);
    dray_drivers_close(e->drivers);
    dray_authz_close(e->authz);
    dray_events_close(e->events);
    dray_metrics_free(e->metrics);
    dray_cleanup_fd(&e->exec_fd);
    dray_cleanup_fd(&e->data_fd);
    dray_cleanup_fd(&e->lock_fd);
    dray_config_free(atomic_load(&e->fresh));
    free(e);
}
