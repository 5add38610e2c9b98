/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_extension.c - what extension plugins offer, and their commands. */
#include "client/api.h"
#include "client/commands.h"
#include "client/tmpl/table.h"

#include "base/json.h"

static const struct table_field fields[] = {
    {"Name", "NAME"}, {"Commands", "COMMANDS"}, {"Topics", "EVENTS"}, {"Routes", "ROUTES"},
    {NULL, NULL},
};
static const struct table_spec spec = {
    "*formatter.extensionContext", "{{.Name}}\t{{.Commands}}\t{{.Topics}}\t{{.Routes}}", fields};

/* The words of an array, or the member of its objects, with commas between. */
static void add_words(struct json_object *row, const char *key, struct json_object *list,
                      const char *member)
{
    DRAY_AUTO(dray_buf) b = {0};
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *word = member ? dray_json_str(o, member, "") : json_object_get_string(o);
        dray_buf_addf(&b, "%s%s", i ? ", " : "", word);
    }
    dray_json_add_str(row, key, b.data ? b.data : "");
}

static struct json_object *row_of(struct json_object *o)
{
    struct json_object *row = json_object_new_object();
    dray_json_add_str(row, "Name", dray_json_str(o, "Name", ""));
    add_words(row, "Commands", dray_json_arr(o, "Commands"), "Command");
    add_words(row, "Topics", dray_json_arr(o, "Topics"), NULL);
    add_words(row, "Routes", dray_json_arr(o, "Routes"), NULL);
    return row;
}

int run_extension_ls(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *list = NULL, *rows = json_object_new_array();
    const char *format = cli_str(args, "format");
    if (!format && cli_bool(args, "quiet"))
        format = "{{.Name}}";
    if (api_call(cli, "GET", "/extensions", NULL, &list) != 0)
        return cli_report(cli);
    for (size_t i = 0; i < dray_json_len(list); i++)
        json_object_array_add(rows, row_of(json_object_array_get_idx(list, i)));
    return table_list(cli, format, &spec, rows) == 0 ? 0 : cli_report(cli);
}

static struct json_object *find(struct json_object *list, const char *key, const char *name)
{
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (strcmp(dray_json_str(o, key, ""), name) == 0)
            return o;
    }
    return NULL;
}

static void print_commands(struct json_object *extension)
{
    struct json_object *list = dray_json_arr(extension, "Commands");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        (void)printf("  %-16s %s\n", dray_json_str(o, "Command", ""), dray_json_str(o, "Help", ""));
    }
}

/* Send a request to the extension's route and print what it answers. */
static int request(struct cli *cli, const char *name, const char *route,
                   const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    struct http_conn *c = NULL;
    const char *space = strchr(route, ' ');
    char method[16] = "GET";
    if (space && (size_t)(space - route) < sizeof method)
        (void)snprintf(method, sizeof method, "%.*s", (int)(space - route), route);
    dray_buf_adds(&path, "/extensions");
    api_piece(&path, name);
    dray_buf_adds(&path, space ? space + 1 : route);
    for (int i = 2; i < args->argc; i++)
        api_query(&path, "arg", args->argv[i]);
    const struct api_request r = {.method = method, .path = path.data};
    if (api_open(cli, &r, &c) != 0)
        return -1;
    int rc = api_copy_out(cli, c, STDOUT_FILENO);
    api_done(cli, c);
    return rc;
}

int run_extension_run(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *list = NULL;
    if (api_call(cli, "GET", "/extensions", NULL, &list) != 0)
        return cli_report(cli);
    struct json_object *extension = find(list, "Name", args->argv[0]);
    if (!extension) {
        (void)cli_fail(cli, "Error: No such extension: %s", args->argv[0]);
        return cli_report(cli);
    }
    if (args->argc < 2) {
        print_commands(extension);
        return 0;
    }
    struct json_object *command =
        find(dray_json_arr(extension, "Commands"), "Command", args->argv[1]);
    if (!command) {
        (void)cli_fail(cli, "Error: the extension %s has no command \"%s\"", args->argv[0],
                       args->argv[1]);
        return cli_report(cli);
    }
    return request(cli, args->argv[0], dray_json_str(command, "Route", ""), args) == 0
               ? 0
               : cli_report(cli);
}
