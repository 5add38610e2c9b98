/* SPDX-License-Identifier: Apache-2.0 */
/* drivers.c - loads the runtime and log drivers that shims call. */
#include "shim/drivers.h"

#include "base/json.h"

static const char *const RESERVED[] = {"path", "plugin", "required", "disabled", "isolation"};

static bool reserved(const char *key)
{
    for (size_t i = 0; i < sizeof RESERVED / sizeof RESERVED[0]; i++)
        if (strcmp(key, RESERVED[i]) == 0)
            return true;
    return false;
}

/* An entry's options: those in "options", else all keys that mean nothing else. Owned. */
static struct json_object *options_of(struct json_object *entry)
{
    struct json_object *named = dray_json_obj(entry, "options");
    if (named)
        return json_object_get(named);
    struct json_object *rest = json_object_new_object();
    json_object_object_foreach(entry, key, value)
    {
        if (!reserved(key))
            json_object_object_add(rest, key, json_object_get(value));
    }
    return rest;
}

/* Entries for dray_drivers_config. Their strings are borrowed from plugins, the options owned. */
static struct dray_plugin_config *entries_of(struct json_object *plugins, size_t *n_out)
{
    size_t n = plugins ? (size_t)json_object_object_length(plugins) : 0;
    struct dray_plugin_config *v = calloc(n + 1, sizeof *v);
    *n_out = 0;
    if (!v || n == 0)
        return v;
    json_object_object_foreach(plugins, key, entry)
    {
        if (!json_object_is_type(entry, json_type_object))
            continue;
        v[(*n_out)++] = (struct dray_plugin_config){
            .name = key,
            .plugin = dray_json_str(entry, "plugin", NULL),
            .path = dray_json_str(entry, "path", NULL),
            .options = options_of(entry),
            .disabled = dray_json_bool(entry, "disabled", false),
        };
    }
    return v;
}

int shim_drivers_open(struct json_object *init, struct dray_drivers **out, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) dirs = {0};
    int rc = dray_json_to_strlist(dray_json_arr(init, "plugin_dirs"), &dirs, err);
    if (rc)
        return rc;
    size_t n = 0;
    dray_autofree struct dray_plugin_config *plugins =
        entries_of(dray_json_obj(init, "plugins"), &n);
    if (!plugins)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct dray_drivers_config config = {
        .dirs = (const char *const *)dirs.v,
        .data_root = dray_json_str(init, "data_root", "/var/lib/dray"),
        .exec_root = dray_json_str(init, "exec_root", "/run/dray"),
        .libexec_dir = dray_json_str(init, "libexec_dir", ""),
        .plugins = plugins,
        .n_plugins = n,
        .only_kinds = 1u << DRAY_KIND_RUNTIME | 1u << DRAY_KIND_LOG,
        .insecure_files = dray_json_bool(init, "insecure_files", false),
        .no_watchdog = true,
    };
    rc = dray_drivers_open(&config, out, err);
    for (size_t i = 0; i < n; i++)
        json_object_put(plugins[i].options);
    return rc;
}
