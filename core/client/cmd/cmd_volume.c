/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_volume.c - volumes: list, create, remove, prune. */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/spec/specs.h"
#include "client/tmpl/table.h"
#include "client/tmpl/tmpl.h"
#include "client/units.h"

#include "base/json.h"

static const struct table_field fields[] = {
    {"Driver", "DRIVER"}, {"Name", "VOLUME NAME"},
    {"Scope", "SCOPE"},   {"Mountpoint", "MOUNTPOINT"},
    {"Labels", "LABELS"}, {"Links", "LINKS"},
    {"Size", "SIZE"},     {"Availability", "AVAILABILITY"},
    {"Group", "GROUP"},   {"Status", "STATUS"},
    {NULL, NULL},
};
static const struct table_spec spec = {"*formatter.volumeContext", "{{.Driver}}\t{{.Name}}",
                                       fields};

static struct json_object *row_of(struct json_object *v)
{
    struct json_object *row = json_object_new_object();
    struct json_object *labels = dray_json_obj(v, "Labels"), *usage = dray_json_obj(v, "UsageData");
    char size[UNITS_LEN] = "N/A";
    if (usage)
        units_human_size((double)dray_json_int(usage, "Size", 0), 4, size);
    dray_json_add_str(row, "Availability", "N/A");
    dray_json_add_str(row, "Driver", dray_json_str(v, "Driver", ""));
    dray_json_add_str(row, "Group", "N/A");
    rows_take(row, "Labels", rows_labels(labels));
    rows_take(row, "Links",
              usage ? cli_strf("%lld", (long long)dray_json_int(usage, "RefCount", 0))
                    : cli_strdup("N/A"));
    dray_json_add_str(row, "Mountpoint", dray_json_str(v, "Mountpoint", ""));
    dray_json_add_str(row, "Name", dray_json_str(v, "Name", ""));
    dray_json_add_str(row, "Scope", dray_json_str(v, "Scope", ""));
    dray_json_add_str(row, "Size", size);
    dray_json_add_str(row, "Status", "N/A");
    if (labels)
        json_object_object_add(row, TMPL_HIDDEN_LABELS, json_object_get(labels));
    return row;
}

static int by_name(const void *a, const void *b)
{
    struct json_object *const *x = a, *const *y = b;
    return strverscmp(dray_json_str(*x, "Name", ""), dray_json_str(*y, "Name", ""));
}

int run_volume_ls(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *doc = NULL, *rows = json_object_new_array();
    const char *format = cli_str(args, "format");
    if (!format && cli_bool(args, "quiet"))
        format = "{{.Name}}";
    if (!format)
        format = dray_json_str(config_get(cli), "volumesFormat", NULL);
    dray_buf_adds(&path, "/volumes");
    cli_list(args, "filter", &filters);
    api_filters(&path, &filters);
    if (api_call(cli, "GET", path.data, NULL, &doc) != 0)
        return cli_report(cli);
    struct json_object *list = dray_json_arr(doc, "Volumes");
    if (list)
        json_object_array_sort(list, by_name);
    for (size_t i = 0; i < dray_json_len(list); i++)
        json_object_array_add(rows, row_of(json_object_array_get_idx(list, i)));
    return table_list(cli, format, &spec, rows) == 0 ? 0 : cli_report(cli);
}

int run_volume_create(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_strlist) labels = {0}, opts = {0};
    dray_autojson *body = json_object_new_object(), *doc = NULL;
    const char *name = cli_arg(args, 0), *flag = cli_str(args, "name");
    if (name && flag && *flag) {
        (void)cli_fail(cli, "conflicting options: cannot specify a volume-name through both --name "
                            "and as a positional arg");
        return cli_report(cli);
    }
    if (!name)
        name = flag;
    cli_list(args, "label", &labels);
    cli_list(args, "opt", &opts);
    if (name)
        dray_json_add_str(body, "Name", name);
    dray_json_add_str(body, "Driver", cli_str(args, "driver"));
    json_object_object_add(body, "DriverOpts", spec_map(&opts));
    json_object_object_add(body, "Labels", spec_map(&labels));
    if (api_call(cli, "POST", "/volumes/create", body, &doc) != 0)
        return cli_report(cli);
    (void)printf("%s\n", dray_json_str(doc, "Name", ""));
    return 0;
}

int run_volume_rm(struct cli *cli, const struct cli_args *args)
{
    int rc = 0;
    for (int i = 0; i < args->argc; i++) {
        DRAY_AUTO(dray_buf) path = {0};
        dray_buf_adds(&path, "/volumes");
        api_piece(&path, args->argv[i]);
        if (cli_bool(args, "force"))
            api_query(&path, "force", "1");
        if (api_call(cli, "DELETE", path.data, NULL, NULL) == 0)
            (void)printf("%s\n", args->argv[i]);
        else
            rc = cli_report(cli);
    }
    return rc;
}

int run_volume_prune(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *doc = NULL;
    char size[UNITS_LEN];
    bool all = cli_bool(args, "all");
    if (!cli_bool(args, "force") &&
        !rows_confirm(all ? "WARNING! This will remove all local volumes not used by at least one "
                            "container."
                          : "WARNING! This will remove anonymous local volumes not used by at "
                            "least one container."))
        return 0;
    cli_list(args, "filter", &filters);
    if (all)
        (void)dray_strlist_add(&filters, "all=true");
    dray_buf_adds(&path, "/volumes/prune");
    api_filters(&path, &filters);
    if (api_call(cli, "POST", path.data, NULL, &doc) != 0)
        return cli_report(cli);
    struct json_object *gone = dray_json_arr(doc, "VolumesDeleted");
    if (dray_json_len(gone))
        (void)printf("Deleted Volumes:\n");
    for (size_t i = 0; i < dray_json_len(gone); i++)
        (void)printf("%s\n", json_object_get_string(json_object_array_get_idx(gone, i)));
    units_human_size((double)dray_json_int(doc, "SpaceReclaimed", 0), 4, size);
    (void)printf("%sTotal reclaimed space: %s\n", dray_json_len(gone) ? "\n" : "", size);
    return 0;
}
