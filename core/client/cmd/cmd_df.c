/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_df.c - system df and system prune. */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/tmpl/table.h"
#include "client/units.h"

#include "base/json.h"

static const struct table_field fields[] = {
    {"Type", "TYPE"}, {"TotalCount", "TOTAL"},        {"Active", "ACTIVE"},
    {"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"}, {NULL, NULL},
};
static const struct table_spec spec = {
    "*formatter.diskUsageContext",
    "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}", fields};

/* One line of the summary. */
struct usage {
    const char *type;
    size_t total, active;
    int64_t size, reclaimable;
    bool percent;
};

static struct json_object *row_of(const struct usage *u)
{
    struct json_object *row = json_object_new_object();
    char size[UNITS_LEN], free_size[UNITS_LEN];
    units_human_size((double)u->size, 4, size);
    units_human_size((double)u->reclaimable, 4, free_size);
    rows_take(row, "Active", cli_strf("%zu", u->active));
    rows_take(row, "Reclaimable",
              u->percent && u->size > 0
                  ? cli_strf("%s (%lld%%)", free_size, (long long)(u->reclaimable * 100 / u->size))
                  : cli_strdup(free_size));
    dray_json_add_str(row, "Size", size);
    rows_take(row, "TotalCount", cli_strf("%zu", u->total));
    dray_json_add_str(row, "Type", u->type);
    return row;
}

static struct usage images_usage(struct json_object *doc)
{
    struct json_object *list = dray_json_arr(doc, "Images");
    struct usage u = {.type = "Images", .total = dray_json_len(list), .percent = true};
    int64_t used = 0;
    u.size = dray_json_int(doc, "LayersSize", 0);
    for (size_t i = 0; i < u.total; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (dray_json_int(o, "Containers", 0) <= 0)
            continue;
        u.active++;
        int64_t size = dray_json_int(o, "Size", -1), shared = dray_json_int(o, "SharedSize", -1);
        if (size != -1 && shared != -1)
            used += size - shared;
    }
    u.reclaimable = u.size - used;
    return u;
}

static struct usage containers_usage(struct json_object *doc)
{
    struct json_object *list = dray_json_arr(doc, "Containers");
    struct usage u = {.type = "Containers", .total = dray_json_len(list), .percent = true};
    for (size_t i = 0; i < u.total; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *state = dray_json_str(o, "State", "");
        int64_t size = dray_json_int(o, "SizeRw", 0);
        bool active =
            strstr(state, "running") || strstr(state, "paused") || strstr(state, "restarting");
        u.active += active;
        u.size += size;
        u.reclaimable += active ? 0 : size;
    }
    return u;
}

static struct usage volumes_usage(struct json_object *doc)
{
    struct json_object *list = dray_json_arr(doc, "Volumes");
    struct usage u = {.type = "Local Volumes", .total = dray_json_len(list), .percent = true};
    for (size_t i = 0; i < u.total; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        int64_t size = dray_json_int(o, "UsageData.Size", 0);
        int64_t refs = dray_json_int(o, "UsageData.RefCount", 0);
        size = size < 0 ? 0 : size;
        u.active += refs > 0;
        u.size += size;
        u.reclaimable += refs == 0 ? size : 0;
    }
    return u;
}

static struct usage cache_usage(struct json_object *doc)
{
    struct json_object *list = dray_json_arr(doc, "BuildCache");
    struct usage u = {.type = "Build Cache", .total = dray_json_len(list)};
    for (size_t i = 0; i < u.total; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        bool used = dray_json_bool(o, "InUse", false), shared = dray_json_bool(o, "Shared", false);
        int64_t size = shared ? 0 : dray_json_int(o, "Size", 0);
        u.active += used;
        u.size += size;
        u.reclaimable += used ? 0 : size;
    }
    return u;
}

static void indent_rows(const char *title, const char *text)
{
    (void)printf("%s:\n\n", title);
    table_align(stdout, text, 10, 3);
    (void)printf("\n");
}

static void verbose_images(struct json_object *doc)
{
    struct json_object *list = dray_json_arr(doc, "Images");
    DRAY_AUTO(dray_buf) b = {0};
    dray_buf_adds(&b, "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE "
                      "SIZE\tCONTAINERS\n");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct json_object *tags = dray_json_arr(o, "RepoTags");
        const char *t = dray_json_len(tags)
                            ? json_object_get_string(json_object_array_get_idx(tags, 0))
                            : "<none>:<none>";
        const char *slash = strrchr(t, '/'), *colon = strrchr(slash ? slash : t, ':');
        dray_autofree char *id = rows_short_id(dray_json_str(o, "Id", ""));
        dray_autofree char *ago = rows_ago(dray_json_int(o, "Created", 0));
        char size[UNITS_LEN], shared[UNITS_LEN], unique[UNITS_LEN];
        int64_t total = dray_json_int(o, "Size", 0), both = dray_json_int(o, "SharedSize", 0);
        units_human_size((double)total, 3, size);
        units_human_size((double)both, 4, shared);
        units_human_size((double)(total - both), 4, unique);
        dray_buf_addf(&b, "%.*s\t%s\t%s\t%s\t%s\t%s\t%s\t%lld\n",
                      colon ? (int)(colon - t) : (int)strlen(t), t, colon ? colon + 1 : "", id, ago,
                      size, shared, unique, (long long)dray_json_int(o, "Containers", 0));
    }
    indent_rows("Images space usage", b.data);
}

static void verbose_containers(struct json_object *doc)
{
    struct json_object *list = dray_json_arr(doc, "Containers");
    DRAY_AUTO(dray_buf) b = {0};
    dray_buf_adds(&b, "CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\t"
                      "NAMES\n");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct json_object *names = dray_json_arr(o, "Names"), *m = dray_json_arr(o, "Mounts");
        const char *name = dray_json_len(names)
                               ? json_object_get_string(json_object_array_get_idx(names, 0))
                               : "/";
        dray_autofree char *id = rows_short_id(dray_json_str(o, "Id", ""));
        dray_autofree char *ago = rows_ago(dray_json_int(o, "Created", 0));
        dray_autofree char *cmd = units_ellipsis(dray_json_str(o, "Command", ""), 20);
        char size[UNITS_LEN];
        int local = 0;
        for (size_t k = 0; k < dray_json_len(m); k++)
            local +=
                strcmp(dray_json_str(json_object_array_get_idx(m, k), "Driver", ""), "local") == 0;
        units_human_size((double)dray_json_int(o, "SizeRw", 0), 3, size);
        dray_buf_addf(&b, "%s\t%s\t\"%s\"\t%d\t%s\t%s\t%s\t%s\n", id, dray_json_str(o, "Image", ""),
                      cmd, local, size, ago, dray_json_str(o, "Status", ""), name + 1);
    }
    indent_rows("Containers space usage", b.data);
}

static void verbose_volumes(struct json_object *doc)
{
    struct json_object *list = dray_json_arr(doc, "Volumes");
    DRAY_AUTO(dray_buf) b = {0};
    dray_buf_adds(&b, "VOLUME NAME\tLINKS\tSIZE\n");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        char size[UNITS_LEN];
        units_human_size((double)dray_json_int(o, "UsageData.Size", 0), 4, size);
        dray_buf_addf(&b, "%s\t%lld\t%s\n", dray_json_str(o, "Name", ""),
                      (long long)dray_json_int(o, "UsageData.RefCount", 0), size);
    }
    indent_rows("Local Volumes space usage", b.data);
}

int run_system_df(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *doc = NULL, *rows = json_object_new_array();
    const char *format = cli_str(args, "format");
    if (api_call(cli, "GET", "/system/df", NULL, &doc) != 0)
        return cli_report(cli);
    if (cli_bool(args, "verbose") && !format) {
        struct usage cache = cache_usage(doc);
        char size[UNITS_LEN];
        verbose_images(doc);
        verbose_containers(doc);
        verbose_volumes(doc);
        units_human_size((double)cache.size, 4, size);
        (void)printf("Build cache usage: %s\n\n", size);
        table_align(stdout, "CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED\n", 10,
                    3);
        return 0;
    }
    struct usage all[4] = {images_usage(doc), containers_usage(doc), volumes_usage(doc),
                           cache_usage(doc)};
    for (size_t i = 0; i < 4; i++)
        json_object_array_add(rows, row_of(&all[i]));
    return table_list(cli, format, &spec, rows) == 0 ? 0 : cli_report(cli);
}

/* What system prune does, in order. */
struct prune_step {
    const char *path;
    const char *list;
    const char *title;
};

static void print_deleted(struct json_object *list, const char *title)
{
    if (dray_json_len(list) == 0)
        return;
    (void)printf("Deleted %s:\n", title);
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (json_object_is_type(o, json_type_string)) {
            (void)printf("%s\n", json_object_get_string(o));
            continue;
        }
        const char *tag = dray_json_str(o, "Untagged", NULL);
        (void)printf("%s: %s\n", tag ? "untagged" : "deleted",
                     tag ? tag : dray_json_str(o, "Deleted", ""));
    }
    (void)printf("\n");
}

static int prune_one(struct cli *cli, const struct cli_args *args, const struct prune_step *s,
                     const char *extra, int64_t *freed)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *doc = NULL;
    dray_buf_adds(&path, s->path);
    cli_list(args, "filter", &filters);
    if (extra)
        (void)dray_strlist_add(&filters, extra);
    api_filters(&path, &filters);
    if (api_call(cli, "POST", path.data, NULL, &doc) != 0)
        return -1;
    print_deleted(dray_json_arr(doc, s->list), s->title);
    *freed += dray_json_int(doc, "SpaceReclaimed", 0);
    return 0;
}

static char *prune_warning(bool all, bool volumes)
{
    return cli_strf("WARNING! This will remove:\n  - all stopped containers\n"
                    "  - all networks not used by at least one container\n%s%s  - %s build cache\n",
                    volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
                    all ? "  - all images without at least one container associated to them\n"
                        : "  - all dangling images\n",
                    all ? "all" : "unused");
}

int run_system_prune(struct cli *cli, const struct cli_args *args)
{
    static const struct prune_step steps[] = {
        {"/containers/prune", "ContainersDeleted", "Containers"},
        {"/networks/prune", "NetworksDeleted", "Networks"},
        {"/volumes/prune", "VolumesDeleted", "Volumes"},
        {"/images/prune", "ImagesDeleted", "Images"},
        {"/build/prune", "CachesDeleted", "build cache objects"},
    };
    bool all = cli_bool(args, "all"), volumes = cli_bool(args, "volumes");
    int64_t freed = 0;
    char size[UNITS_LEN];
    dray_autofree char *warning = prune_warning(all, volumes);
    if (!cli_bool(args, "force") && !rows_confirm(warning))
        return 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (i == 2 && !volumes)
            continue;
        const char *extra = i == 3 ? (all ? "dangling=false" : "dangling=true") : NULL;
        if (prune_one(cli, args, &steps[i], extra, &freed) != 0) {
            if (i == 4 && (cli->status == 404 || cli->status == 501))
                continue; /* no builder in this daemon */
            return cli_report(cli);
        }
    }
    units_human_size((double)freed, 4, size);
    (void)printf("Total reclaimed space: %s\n", size);
    return 0;
}
