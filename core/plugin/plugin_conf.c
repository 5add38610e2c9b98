/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_conf.c - "plugins" of the configuration in the shape that the loader takes. */
#include "plugin/plugin_conf.h"

#include "base/json.h"

/* Members of an entry that are not options of the plugin. */
static const char *const reserved[] = {"plugin", "path", "required", "disabled", "isolation"};

static bool is_reserved(const char *key)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strcmp(key, reserved[i]) == 0)
            return true;
    return false;
}

static struct json_object *options_of(struct json_object *entry)
{
    struct json_object *options = json_object_new_object();
    json_object_object_foreach(entry, key, value)
    {
        if (!is_reserved(key))
            dray_json_add(options, key, json_object_get(value));
    }
    return options;
}

int dray_plugin_conf_make(struct json_object *plugins, struct dray_plugin_conf *out,
                          struct dray_err *err)
{
    *out = (struct dray_plugin_conf){0};
    size_t n = plugins ? (size_t)json_object_object_length(plugins) : 0;
    out->v = calloc(n + 1, sizeof *out->v);
    if (!out->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!n)
        return 0;
    json_object_object_foreach(plugins, name, entry)
    {
        if (!json_object_is_type(entry, json_type_object))
            return dray_fail(err, DRAY_E_INVAL, "\"plugins\": \"%s\" must be an object", name);
        const char *isolation = dray_json_str(entry, "isolation", "none");
        if (strcmp(isolation, "process") != 0 && strcmp(isolation, "none") != 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "\"plugins\": \"%s\": \"isolation\" is \"process\" or \"none\", not "
                             "\"%.40s\"",
                             name, isolation);
        out->v[out->n++] = (struct dray_plugin_config){
            .name = name,
            .plugin = dray_json_str(entry, "plugin", NULL),
            .path = dray_json_str(entry, "path", NULL),
            .options = options_of(entry),
            .isolated = strcmp(isolation, "process") == 0,
            .required = dray_json_bool(entry, "required", false),
            .disabled = dray_json_bool(entry, "disabled", false),
        };
    }
    return 0;
}

void dray_plugin_conf_free(struct dray_plugin_conf *c)
{
    for (size_t i = 0; i < c->n; i++)
        json_object_put(c->v[i].options);
    free(c->v);
    *c = (struct dray_plugin_conf){0};
}
