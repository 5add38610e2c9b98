/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_ps.c - the list of containers. */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/tmpl/table.h"
#include "client/tmpl/tmpl.h"
#include "client/units.h"

#include "base/json.h"

static const struct table_field fields[] = {
    {"ID", "CONTAINER ID"},
    {"Image", "IMAGE"},
    {"Command", "COMMAND"},
    {"CreatedAt", "CREATED AT"},
    {"RunningFor", "CREATED"},
    {"Ports", "PORTS"},
    {"State", "STATE"},
    {"Status", "STATUS"},
    {"Size", "SIZE"},
    {"Names", "NAMES"},
    {"Labels", "LABELS"},
    {"Mounts", "MOUNTS"},
    {"LocalVolumes", "LOCAL VOLUMES"},
    {"Networks", "NETWORKS"},
    {"Platform", "PLATFORM"},
    {NULL, NULL},
};

#define LAYOUT                                                                                     \
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

static const struct table_spec spec = {"*formatter.ContainerContext", LAYOUT, fields};
static const struct table_spec spec_size = {"*formatter.ContainerContext", LAYOUT "\t{{.Size}}",
                                            fields};

static char *names_of(struct json_object *c, bool trunc)
{
    struct json_object *names = dray_json_arr(c, "Names");
    DRAY_AUTO(dray_buf) b = {0};
    for (size_t i = 0; i < dray_json_len(names); i++) {
        const char *n = json_object_get_string(json_object_array_get_idx(names, i));
        n += *n == '/';
        if (trunc && strchr(n, '/'))
            continue; /* a link's name for it */
        dray_buf_addf(&b, "%s%s", b.len ? "," : "", n);
    }
    return cli_strdup(b.data ? b.data : "");
}

static char *image_of(struct json_object *c, bool trunc)
{
    const char *image = dray_json_str(c, "Image", "");
    const char *id = dray_json_str(c, "ImageID", "");
    if (!*image)
        return cli_strdup("<no image>");
    if (!trunc)
        return cli_strdup(image);
    dray_autofree char *short_id = rows_short_id(id);
    dray_autofree char *short_image = rows_short_id(image);
    if (*id && strcmp(short_id, short_image) == 0)
        return dray_steal(short_id);
    const char *at = strstr(image, "@sha256:");
    if (at) {
        const char *slash = memrchr(image, '/', (size_t)(at - image));
        const char *from = slash ? slash : image;
        if (memchr(from, ':', (size_t)(at - from)))
            return cli_strf("%.*s", (int)(at - image), image);
    }
    return cli_strdup(image);
}

static char *size_of(struct json_object *c)
{
    char rw[UNITS_LEN], root[UNITS_LEN];
    int64_t total = dray_json_int(c, "SizeRootFs", 0);
    units_human_size((double)dray_json_int(c, "SizeRw", 0), 3, rw);
    if (total <= 0)
        return cli_strdup(rw);
    units_human_size((double)total, 3, root);
    return cli_strf("%s (virtual %s)", rw, root);
}

static char *mounts_of(struct json_object *c, bool trunc, int *local)
{
    struct json_object *mounts = dray_json_arr(c, "Mounts");
    DRAY_AUTO(dray_buf) b = {0};
    *local = 0;
    for (size_t i = 0; i < dray_json_len(mounts); i++) {
        struct json_object *m = json_object_array_get_idx(mounts, i);
        const char *name = dray_json_str(m, "Name", "");
        if (!*name)
            name = dray_json_str(m, "Source", "");
        dray_autofree char *cut = trunc ? units_ellipsis(name, 15) : cli_strdup(name);
        dray_buf_addf(&b, "%s%s", i ? "," : "", cut);
        *local += strcmp(dray_json_str(m, "Driver", ""), "local") == 0;
    }
    return cli_strdup(b.data ? b.data : "");
}

static char *networks_of(struct json_object *c)
{
    struct json_object *nets = dray_json_obj(c, "NetworkSettings.Networks");
    DRAY_AUTO(dray_strlist) l = {0};
    DRAY_AUTO(dray_buf) b = {0};
    if (nets) {
        json_object_object_foreach(nets, k, v)
        {
            (void)v;
            (void)dray_strlist_add(&l, k);
        }
    }
    dray_strlist_sort(&l);
    for (size_t i = 0; i < l.n; i++)
        dray_buf_addf(&b, "%s%s", i ? "," : "", l.v[i]);
    return cli_strdup(b.data ? b.data : "");
}

static void quote(struct dray_buf *b, const char *text)
{
    dray_buf_addc(b, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            dray_buf_addf(b, "\\%c", *text);
        else if (*text == '\n')
            dray_buf_adds(b, "\\n");
        else if (*text == '\t')
            dray_buf_adds(b, "\\t");
        else if (*text == '\r')
            dray_buf_adds(b, "\\r");
        else if ((unsigned char)*text < 32)
            dray_buf_addf(b, "\\x%02x", (unsigned)(unsigned char)*text);
        else
            dray_buf_addc(b, *text);
    }
    dray_buf_addc(b, '"');
}

static char *command_of(struct json_object *c, bool trunc)
{
    const char *text = dray_json_str(c, "Command", "");
    dray_autofree char *cut = trunc ? units_ellipsis(text, 20) : cli_strdup(text);
    DRAY_AUTO(dray_buf) b = {0};
    quote(&b, cut);
    return cli_strdup(b.data);
}

static char *platform_of(struct json_object *c)
{
    struct json_object *p = dray_json_obj(c, "ImageManifestDescriptor.platform");
    const char *os = dray_json_str(p, "os", NULL), *arch = dray_json_str(p, "architecture", "");
    return os ? cli_strf("%s/%s", os, arch) : NULL;
}

static struct json_object *row_of(struct json_object *c, bool trunc)
{
    struct json_object *row = json_object_new_object();
    const char *id = dray_json_str(c, "Id", "");
    int64_t created = dray_json_int(c, "Created", 0);
    char at[UNITS_LEN];
    int local = 0;
    units_go_time(created, at);
    rows_take(row, "Command", command_of(c, trunc));
    dray_json_add_str(row, "CreatedAt", at);
    rows_take(row, "ID", trunc ? rows_short_id(id) : cli_strdup(id));
    rows_take(row, "Image", image_of(c, trunc));
    rows_take(row, "Labels", rows_labels(dray_json_obj(c, "Labels")));
    rows_take(row, "Mounts", mounts_of(c, trunc, &local));
    rows_take(row, "LocalVolumes", cli_strf("%d", local));
    rows_take(row, "Names", names_of(c, trunc));
    rows_take(row, "Networks", networks_of(c));
    rows_take(row, "Ports", rows_ports(dray_json_arr(c, "Ports")));
    rows_take(row, "RunningFor", rows_ago(created));
    rows_take(row, "Size", size_of(c));
    dray_json_add_str(row, "State", dray_json_str(c, "State", ""));
    dray_json_add_str(row, "Status", dray_json_str(c, "Status", ""));
    char *platform = platform_of(c);
    if (platform)
        rows_take(row, "Platform", platform);
    else
        json_object_object_add(row, "Platform", NULL);
    struct json_object *labels = dray_json_obj(c, "Labels");
    if (labels)
        json_object_object_add(row, TMPL_HIDDEN_LABELS, json_object_get(labels));
    return row;
}

static char *list_path(const struct cli_args *args, bool size)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    int64_t last = cli_bool(args, "latest") ? 1 : cli_int(args, "last");
    dray_buf_adds(&path, "/containers/json");
    if (cli_bool(args, "all"))
        api_query(&path, "all", "1");
    if (last > 0) {
        dray_autofree char *n = cli_strf("%lld", (long long)last);
        api_query(&path, "limit", n);
    }
    if (size)
        api_query(&path, "size", "1");
    cli_list(args, "filter", &filters);
    api_filters(&path, &filters);
    return dray_buf_steal(&path);
}

/* Complain of unknown fields even when there is nothing to list. */
static int check_format(struct cli *cli, const char *format)
{
    dray_autojson *none = json_object_new_object(), *row = row_of(none, true);
    DRAY_AUTO(dray_buf) out = {0};
    struct tmpl_env env = {.type = spec.type};
    struct tmpl *t = NULL;
    struct dray_err err = {0};
    if (tmpl_parse(format, &t, &err) != 0)
        return cli_fail(cli, "failed to parse template: %s", err.text);
    int rc = tmpl_exec(t, row, &env, &out, &err);
    tmpl_free(t);
    return rc == 0 ? 0 : cli_fail(cli, "failed to execute template: %s", err.text);
}

int run_container_ls(struct cli *cli, const struct cli_args *args)
{
    const char *format = cli_str(args, "format");
    bool quiet = cli_bool(args, "quiet");
    if (!format && quiet)
        format = "{{.ID}}";
    if (!format)
        format = dray_json_str(config_get(cli), "psFormat", NULL);
    bool size = cli_bool(args, "size") || (format && strstr(format, ".Size"));
    bool json = format && strstr(format, "json .");
    dray_autofree char *path = list_path(args, (size || json) && !quiet);
    dray_autojson *list = NULL, *rows = json_object_new_array();
    if (format && check_format(cli, format) != 0)
        return cli_report(cli);
    if (api_call(cli, "GET", path, NULL, &list) != 0)
        return cli_report(cli);
    bool trunc = !cli_bool(args, "no-trunc");
    if (quiet && !cli_given(args, "format"))
        format = "{{.ID}}";
    for (size_t i = 0; i < dray_json_len(list); i++)
        json_object_array_add(rows, row_of(json_object_array_get_idx(list, i), trunc));
    const struct table_spec *s = cli_bool(args, "size") ? &spec_size : &spec;
    return table_list(cli, format, s, rows) == 0 ? 0 : cli_report(cli);
}
