/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - loads and opens one plugin as drayd does. */
#include "check.h"

#include "base/json.h"
#include "base/spawn.h"

const char *ck_code_name(int rc)
{
    static const char *const names[] = {
        "success", "INVAL",   "NOTFOUND", "CONFLICT", "DENIED", "UNAUTH",  "NOTSUP",
        "IO",      "NOMEM",   "TIMEOUT",  "CANCELED", "BUSY",   "UNAVAIL", "NOTMODIFIED",
        "CORRUPT", "NOSPACE", "INTERNAL", "NOEXEC",   "NOCMD",  "LIMIT",   "AGAIN",
    };
    size_t i = (size_t)-rc;
    return rc <= 0 && i < sizeof names / sizeof names[0] ? names[i] : "no code";
}

static struct json_object *options_json(const struct ck_request *want)
{
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < want->n_options; i++) {
        dray_autojson *value = NULL;
        const char *text = want->options[i].value;
        /* JSON where it is a list; everything else may stand as text. */
        if (*text == '[' && !dray_json_parse(text, strlen(text), &value, NULL))
            dray_json_add(o, want->options[i].key, json_object_get(value));
        else
            dray_json_add_str(o, want->options[i].key, text);
    }
    return o;
}

static char *libexec_dir(void)
{
    dray_autofree char *bin = dray_spawn_self_dir();
    size_t n = bin ? strlen(bin) : 0, below = strlen(BIN_BELOW);
    if (n <= below || strcmp(bin + n - below, BIN_BELOW) != 0)
        return NULL;
    return dray_strf("%.*s%s", (int)(n - below), bin, LIBEXEC_BELOW);
}

const char *ck_instance(const struct ck_request *want, const struct dray_card *card)
{
    return want->instance ? want->instance : card->name;
}

int ck_open(const struct ck_request *want, const struct dray_card *card, const char *work,
            struct dray_drivers **out, struct dray_err *err)
{
    dray_autofree char *data = dray_strf("%s/data", work);
    dray_autofree char *run = dray_strf("%s/run", work);
    dray_autofree char *libexec = libexec_dir();
    dray_autojson *options = options_json(want);
    /* A family is opened under its card's name; its instances are asked for. */
    const struct dray_plugin_config plugin = {
        .name = card->family ? card->name : ck_instance(want, card),
        .plugin = card->name,
        .path = want->file,
        .options = options,
    };
    const struct dray_host_iface ifaces[] = {{DRAY_BUILD_IFACE, 1, ck_build_iface()},
                                             {NULL, 0, NULL}};
    const struct dray_drivers_config config = {
        .data_root = data,
        .exec_root = run,
        .libexec_dir = libexec,
        .plugins = &plugin,
        .n_plugins = 1,
        .ifaces = ifaces,
        .insecure_files = true,
        .no_watchdog = true,
    };
    int rc = dray_drivers_open(&config, out, err);
    if (rc)
        return rc;
    dray_autojson *list = dray_drivers_list(*out);
    const char *why = dray_json_str(json_object_array_get_idx(list, 0), "Error", "");
    return *why ? dray_fail(err, DRAY_E_INVAL, "%s", why) : 0;
}
