/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_context.c - contexts, and the daemon's loaded plugins. */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/tmpl/table.h"

#include "base/fs.h"
#include "base/json.h"

#include <dirent.h>
#include <fcntl.h>

static const struct table_field fields[] = {
    {"Name", "NAME"},   {"Description", "DESCRIPTION"}, {"DockerEndpoint", "DRAY ENDPOINT"},
    {"Error", "ERROR"}, {"Current", "CURRENT"},         {NULL, NULL},
};
static const struct table_spec spec = {
    "*formatter.clientContextContext",
    "{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}", fields};
static const struct table_spec spec_head = {
    "*formatter.clientContextContext",
    "{{.Name}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}", fields};

static struct json_object *row_of(const struct cli *cli, const char *name, const char *about,
                                  const char *host)
{
    struct json_object *row = json_object_new_object();
    bool current = strcmp(cli->context, name) == 0;
    dray_json_add_bool(row, "Current", current);
    dray_json_add_str(row, "Description", about);
    dray_json_add_str(row, "DockerEndpoint", host);
    dray_json_add_str(row, "Error", "");
    dray_json_add_str(row, "Name", name);
    return row;
}

static void add_default(const struct cli *cli, struct json_object *rows)
{
    bool current = strcmp(cli->context, "default") == 0;
    json_object_array_add(rows, row_of(cli, "default", "Current DRAY_HOST based configuration",
                                       current ? cli->host : CLI_DEFAULT_HOST));
}

static void add_stored(const struct cli *cli, struct json_object *rows)
{
    dray_autofree char *meta = cli_strf("%s/contexts/meta", cli->config_dir);
    DIR *d = opendir(meta);
    for (struct dirent *e = NULL; d && (e = readdir(d));) {
        dray_autofree char *path = cli_strf("%s/%s/meta.json", meta, e->d_name);
        dray_autojson *doc = NULL;
        if (*e->d_name == '.' || dray_json_load(AT_FDCWD, path, &doc, NULL) != 0)
            continue;
        struct json_object *ep = dray_json_obj(doc, "Endpoints.docker");
        json_object_array_add(rows, row_of(cli, dray_json_str(doc, "Name", ""),
                                           dray_json_str(doc, "Metadata.Description", ""),
                                           dray_json_str(ep, "Host", "")));
    }
    if (d)
        (void)closedir(d);
}

/* The table marks the current one with a star after its name. */
static void star_names(struct json_object *rows)
{
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        if (dray_json_bool(row, "Current", false))
            rows_take(row, "Name", cli_strf("%s *", dray_json_str(row, "Name", "")));
    }
}

int run_context_ls(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *rows = json_object_new_array();
    const char *format = cli_str(args, "format");
    if (!format && cli_bool(args, "quiet"))
        format = "{{.Name}}";
    add_default(cli, rows);
    add_stored(cli, rows);
    bool table = !format || strcmp(format, "table") == 0;
    if (table)
        star_names(rows);
    return table_list(cli, format, table ? &spec_head : &spec, rows) == 0 ? 0 : cli_report(cli);
}

int run_context_show(struct cli *cli, const struct cli_args *args)
{
    (void)args;
    (void)printf("%s\n", cli->context);
    return 0;
}

static bool context_exists(struct cli *cli, const char *name)
{
    dray_autofree char *dir = config_context_dir(cli, "meta", name);
    return dir || strcmp(name, "default") == 0;
}

static int no_context(struct cli *cli, const char *name)
{
    return cli_fail(cli, "context \"%s\": context not found", name);
}

int run_context_use(struct cli *cli, const struct cli_args *args)
{
    const char *name = args->argv[0];
    if (!context_exists(cli, name)) {
        (void)no_context(cli, name);
        return cli_report(cli);
    }
    if (strcmp(name, "default") == 0)
        json_object_object_del(config_get(cli), "currentContext");
    else
        dray_json_add_str(config_get(cli), "currentContext", name);
    if (config_save(cli) != 0)
        return cli_report(cli);
    (void)printf("%s\n", name);
    (void)fprintf(stderr, "Current context is now \"%s\"\n", name);
    return 0;
}

static struct json_object *describe(struct cli *cli, const char *name)
{
    if (strcmp(name, "default") != 0) {
        dray_autofree char *dir = config_context_dir(cli, "meta", name);
        dray_autofree char *path = dir ? cli_strf("%s/meta.json", dir) : NULL;
        struct json_object *doc = NULL;
        if (!path || dray_json_load(AT_FDCWD, path, &doc, NULL) != 0)
            return NULL;
        return doc;
    }
    struct json_object *doc = json_object_new_object(), *all = json_object_new_object();
    struct json_object *ep = json_object_new_object();
    dray_json_add_str(doc, "Name", name);
    json_object_object_add(doc, "Metadata", json_object_new_object());
    json_object_object_add(doc, "Endpoints", all);
    json_object_object_add(all, "docker", ep);
    dray_json_add_str(ep, "Host",
                      strcmp(cli->context, "default") == 0 ? cli->host : CLI_DEFAULT_HOST);
    dray_json_add_bool(ep, "SkipTLSVerify", false);
    return doc;
}

int run_context_inspect(struct cli *cli, const struct cli_args *args)
{
    const char *format = cli_str(args, "format");
    dray_autojson *list = json_object_new_array();
    for (int i = 0; i < args->argc || (args->argc == 0 && i == 0); i++) {
        const char *name = args->argc ? args->argv[i] : cli->context;
        struct json_object *doc = describe(cli, name);
        if (!doc) {
            (void)printf("%s", format ? "" : "[]\n");
            (void)no_context(cli, name);
            return cli_report(cli);
        }
        json_object_array_add(list, doc);
        if (format && table_value(cli, format, NULL, doc) != 0)
            return cli_report(cli);
    }
    if (!format) {
        DRAY_AUTO(dray_buf) b = {0};
        table_indent(&b, dray_json_text(list), 4);
        (void)printf("%s\n", b.data);
    }
    return 0;
}

int run_context_rm(struct cli *cli, const struct cli_args *args)
{
    int rc = 0;
    for (int i = 0; i < args->argc; i++) {
        const char *name = args->argv[i];
        dray_autofree char *meta = config_context_dir(cli, "meta", name);
        dray_autofree char *tls = config_context_dir(cli, "tls", name);
        if (strcmp(name, "default") == 0)
            (void)cli_fail(cli, "context \"default\" cannot be removed");
        else if (!meta)
            (void)no_context(cli, name);
        else if (strcmp(name, cli->context) == 0 && !cli_bool(args, "force"))
            (void)cli_fail(cli, "context \"%s\" is in use, set -f flag to force remove", name);
        else {
            (void)dray_fs_remove_tree(AT_FDCWD, tls, NULL);
            if (dray_fs_remove_tree(AT_FDCWD, meta, NULL) == 0) {
                (void)printf("%s\n", name);
                continue;
            }
            (void)cli_fail(cli, "remove %s: %s", meta, cli_strerror(errno));
        }
        rc = cli_report(cli);
    }
    return rc;
}

static const struct table_field plugin_fields[] = {
    {"Kind", "KIND"},       {"Name", "NAME"},   {"Version", "VERSION"},
    {"ABI", "ABI"},         {"State", "STATE"}, {"Path", "PATH"},
    {"License", "LICENSE"}, {"Error", "ERROR"}, {NULL, NULL},
};
static const struct table_spec plugin_spec = {
    "*formatter.pluginContext",
    "{{.Kind}}\t{{.Name}}\t{{.Version}}\t{{.ABI}}\t{{.State}}\t{{.Path}}", plugin_fields};
static const struct table_spec plugin_spec_errors = {
    "*formatter.pluginContext",
    "{{.Kind}}\t{{.Name}}\t{{.Version}}\t{{.ABI}}\t{{.State}}\t{{.Path}}\t{{.Error}}",
    plugin_fields};

static struct json_object *plugin_row(struct json_object *o)
{
    struct json_object *row = json_object_new_object();
    for (const struct table_field *f = plugin_fields; f->name; f++) {
        struct json_object *v = NULL;
        (void)json_object_object_get_ex(o, f->name, &v);
        dray_json_add_str(row, f->name, v ? json_object_get_string(v) : "");
    }
    struct json_object *kinds = dray_json_arr(o, "Kinds");
    DRAY_AUTO(dray_buf) b = {0};
    for (size_t i = 0; i < dray_json_len(kinds); i++)
        dray_buf_addf(&b, "%s%s", i ? "," : "",
                      json_object_get_string(json_object_array_get_idx(kinds, i)));
    if (b.len)
        dray_json_add_str(row, "Kind", b.data);
    return row;
}

static int by_kind(const void *a, const void *b)
{
    struct json_object *const *x = a, *const *y = b;
    int c = strcmp(dray_json_str(*x, "Kind", ""), dray_json_str(*y, "Kind", ""));
    return c ? c : strcmp(dray_json_str(*x, "Name", ""), dray_json_str(*y, "Name", ""));
}

int run_plugin_ls(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *list = NULL, *rows = json_object_new_array();
    const char *format = cli_str(args, "format");
    bool errors = false;
    if (!format && cli_bool(args, "quiet"))
        format = "{{.Kind}}/{{.Name}}";
    if (api_call(cli, "GET", "/plugins/loaded", NULL, &list) != 0)
        return cli_report(cli);
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        errors = errors || *dray_json_str(o, "Error", "");
        json_object_array_add(rows, plugin_row(o));
    }
    json_object_array_sort(rows, by_kind);
    return table_list(cli, format, errors ? &plugin_spec_errors : &plugin_spec, rows) == 0
               ? 0
               : cli_report(cli);
}
