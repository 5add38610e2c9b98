/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_inspect.c - inspect of containers, images, networks, volumes, and of whatever has the name.
 */
#include "client/api.h"
#include "client/commands.h"
#include "client/tmpl/table.h"
#include "client/tmpl/tmpl.h"

#include "base/json.h"

/* A kind of object that can be inspected. */
struct kind {
    const char *name;
    const char *prefix, *suffix;
};

static const struct kind kinds[] = {
    {"container", "/containers", "/json"},
    {"image", "/images", "/json"},
    {"network", "/networks", ""},
    {"volume", "/volumes", ""},
};

/* Named alone, or with its kind: "volume/local". No other object is taken for one. */
static const struct kind plugin_kind = {"plugin", "/plugins/loaded", ""};

static int fetch(struct cli *cli, const struct kind *k, const char *name,
                 const struct cli_args *args, struct json_object **out)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_buf_adds(&path, k->prefix);
    api_piece(&path, name);
    dray_buf_adds(&path, k->suffix);
    if (k == &kinds[0] && cli_bool(args, "size"))
        api_query(&path, "size", "1");
    if (k == &kinds[1])
        api_platform(&path, "platform", cli_str(args, "platform"));
    if (k == &kinds[2] && cli_bool(args, "verbose"))
        api_query(&path, "verbose", "true");
    return api_call(cli, "GET", path.data, NULL, out);
}

/* Is there an object of that name and any other kind? *out NULL means no. */
static int fetch_any(struct cli *cli, const char *name, const struct cli_args *args,
                     struct json_object **out)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (fetch(cli, &kinds[i], name, args, out) == 0)
            return 0;
        if (cli->status != 404 && !(i == 1 && cli->status == 400))
            return -1;
    }
    return cli_fail(cli, "Error: No such object: %s", name);
}

static void print_array(struct json_object *list)
{
    if (json_object_array_length(list) == 0) {
        (void)printf("[]\n");
        return;
    }
    const char *text = dray_json_text(list);
    DRAY_AUTO(dray_buf) b = {0};
    table_indent(&b, text, 4);
    (void)printf("%s\n", b.data);
}

/* Complains of a template that cannot be parsed before anything is asked. */
static bool well_formed(const char *format)
{
    struct tmpl *t = NULL;
    struct dray_err err = {0};
    bool ok = tmpl_parse(format, &t, &err) == 0;
    if (ok)
        tmpl_free(t);
    else
        (void)fprintf(stderr, "template parsing error: %s\n", err.text);
    return ok;
}

static int inspect_all(struct cli *cli, const struct cli_args *args, const struct kind *k)
{
    const char *format = cli_str(args, "format");
    dray_autojson *list = json_object_new_array();
    DRAY_AUTO(dray_buf) errors = {0};
    if (format && !well_formed(format))
        return 64;
    for (int i = 0; i < args->argc; i++) {
        struct json_object *o = NULL;
        int rc =
            k ? fetch(cli, k, args->argv[i], args, &o) : fetch_any(cli, args->argv[i], args, &o);
        if (rc == 0)
            json_object_array_add(list, o);
        else
            dray_buf_addf(&errors, "%s%s", errors.len ? "\n" : "", cli->error.data);
    }
    int rc = errors.len ? 1 : 0;
    if (!format || !*format) {
        print_array(list);
    } else if (strcmp(format, "json") == 0) {
        (void)printf("%s\n", dray_json_text(list));
    } else if (json_object_array_length(list) == 0) {
        (void)printf("\n");
    } else {
        for (size_t i = 0; i < json_object_array_length(list); i++)
            if (table_value(cli, format, NULL, json_object_array_get_idx(list, i)) != 0) {
                (void)printf("\n");
                rc = cli_report(cli);
                break;
            }
    }
    (void)fflush(stdout);
    if (errors.len)
        (void)fprintf(stderr, "%s\n", errors.data);
    return rc;
}

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

int run_inspect(struct cli *cli, const struct cli_args *args)
{
    const char *type = cli_str(args, "type");
    const struct kind *k = type && *type ? find_kind(type) : NULL;
    if (type && *type && !k) {
        (void)cli_fail(cli,
                       "unknown type: \"%s\": must be one of \"container\", \"image\", "
                       "\"network\", \"volume\"",
                       type);
        return cli_report(cli);
    }
    return inspect_all(cli, args, k);
}

int run_container_inspect(struct cli *cli, const struct cli_args *args)
{
    return inspect_all(cli, args, &kinds[0]);
}

int run_image_inspect(struct cli *cli, const struct cli_args *args)
{
    return inspect_all(cli, args, &kinds[1]);
}

int run_network_inspect(struct cli *cli, const struct cli_args *args)
{
    return inspect_all(cli, args, &kinds[2]);
}

int run_volume_inspect(struct cli *cli, const struct cli_args *args)
{
    return inspect_all(cli, args, &kinds[3]);
}

int run_plugin_inspect(struct cli *cli, const struct cli_args *args)
{
    return inspect_all(cli, args, &plugin_kind);
}
