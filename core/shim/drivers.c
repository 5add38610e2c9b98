/* SPDX-License-Identifier: Apache-2.0 */
/* drivers.c - loads the runtime and log drivers that shims call. */
#include "shim/drivers.h"

#include "base/json.h"
#include "plugin/plugin_conf.h"

struct shim_drivers {
    struct json_object *init;
    struct dray_drivers *shared; /* loaded once, in the process that shims are forked from */
    /* In processes of their own, started by the shim that needs them: the container's log driver,
     * and the one that its logs are read from. */
    struct dray_drivers *own[2];
};

/* A name: that log driver alone, in a process of its own. NULL: all the others. */
static int open_drivers(struct json_object *init, const char *name, struct dray_drivers **out,
                        struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) dirs = {0};
    DRAY_AUTO(dray_plugin_conf) plugins = {0};
    int rc = dray_json_to_strlist(dray_json_arr(init, "plugin_dirs"), &dirs, err);
    rc = rc ? rc : dray_plugin_conf_make(dray_json_obj(init, "plugins"), &plugins, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < plugins.n; i++)
        plugins.v[i].required = false; /* the daemon sees to that */
    const char *const names[] = {name, NULL};
    const struct dray_drivers_config config = {
        .dirs = (const char *const *)dirs.v,
        .data_root = dray_json_str(init, "data_root", "/var/lib/dray"),
        .exec_root = dray_json_str(init, "exec_root", "/run/dray"),
        .libexec_dir = dray_json_str(init, "libexec_dir", ""),
        .plugins = plugins.v,
        .n_plugins = plugins.n,
        .only_kinds = 1u << DRAY_KIND_LOG | (name ? 0 : 1u << DRAY_KIND_RUNTIME),
        .only_names = name ? names : NULL,
        .insecure_files = dray_json_bool(init, "insecure_files", false),
        .no_isolated = !name,
        .no_watchdog = true,
    };
    return dray_drivers_open(&config, out, err);
}

int shim_drivers_open(struct json_object *init, struct shim_drivers **out, struct dray_err *err)
{
    struct shim_drivers *d = calloc(1, sizeof *d);
    if (!d)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = open_drivers(init, NULL, &d->shared, err);
    if (rc) {
        free(d);
        return rc;
    }
    d->init = json_object_get(init);
    *out = d;
    return 0;
}

struct dray_driver *shim_drivers_get(struct shim_drivers *d, uint32_t kind, const char *name,
                                     struct dray_err *err)
{
    if (kind != DRAY_KIND_LOG || !dray_drivers_left_isolated(d->shared, kind, name))
        return dray_drivers_get(d->shared, kind, name, err);
    size_t i = 0;
    for (; i < sizeof d->own / sizeof d->own[0] && d->own[i]; i++) {
        struct dray_driver *found = dray_drivers_find(d->own[i], kind, name);
        if (found)
            return found;
    }
    if (i == sizeof d->own / sizeof d->own[0]) {
        (void)dray_fail(err, DRAY_E_CONFLICT, "a shim has two log drivers already");
        return NULL;
    }
    if (open_drivers(d->init, name, &d->own[i], err))
        return NULL;
    return dray_drivers_get(d->own[i], kind, name, err);
}

void shim_drivers_close_own(struct shim_drivers *d)
{
    for (size_t i = 0; i < sizeof d->own / sizeof d->own[0]; i++)
        dray_drivers_close(dray_steal(d->own[i]));
}

void shim_drivers_close(struct shim_drivers *d)
{
    if (!d)
        return;
    shim_drivers_close_own(d);
    dray_drivers_close(d->shared);
    json_object_put(d->init);
    free(d);
}
