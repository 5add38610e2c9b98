/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_image.c - the list of images, their history, removal, tags. */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/tmpl/table.h"
#include "client/units.h"

#include "base/clock.h"
#include "base/json.h"

static const struct table_field fields[] = {
    {"Repository", "REPOSITORY"},
    {"Tag", "TAG"},
    {"Digest", "DIGEST"},
    {"ID", "IMAGE ID"},
    {"CreatedSince", "CREATED"},
    {"CreatedAt", "CREATED AT"},
    {"Size", "SIZE"},
    {"Containers", "CONTAINERS"},
    {"VirtualSize", "SIZE"},
    {"SharedSize", "SHARED SIZE"},
    {"UniqueSize", "UNIQUE SIZE"},
    {NULL, NULL},
};

#define TAIL "{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}"
static const struct table_spec spec = {"*formatter.imageContext",
                                       "{{.Repository}}\t{{.Tag}}\t" TAIL, fields};
static const struct table_spec spec_digests = {
    "*formatter.imageContext", "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t" TAIL, fields};

/* What is asked of the list. */
struct listing {
    bool trunc, digests;
    struct json_object *rows;
};

static void add_row(struct listing *l, struct json_object *image, const char *repo, const char *tag,
                    const char *digest)
{
    struct json_object *row = json_object_new_object();
    const char *id = dray_json_str(image, "Id", "");
    int64_t created = dray_json_int(image, "Created", 0);
    char at[UNITS_LEN], size[UNITS_LEN], virtual_size[UNITS_LEN];
    units_go_time(created, at);
    units_human_size((double)dray_json_int(image, "Size", 0), 4, virtual_size);
    units_human_size((double)dray_json_int(image, "Size", 0), 3, size);
    int64_t containers = dray_json_int(image, "Containers", -1);
    rows_take(row, "Containers",
              containers < 0 ? cli_strdup("N/A") : cli_strf("%lld", (long long)containers));
    dray_json_add_str(row, "CreatedAt", at);
    rows_take(row, "CreatedSince", created > 0 ? rows_ago(created) : cli_strdup("N/A"));
    dray_json_add_str(row, "Digest", digest);
    rows_take(row, "ID", l->trunc ? rows_short_id(id) : cli_strdup(id));
    dray_json_add_str(row, "Repository", repo);
    dray_json_add_str(row, "SharedSize", "N/A");
    dray_json_add_str(row, "Size", size);
    dray_json_add_str(row, "Tag", tag);
    dray_json_add_str(row, "UniqueSize", "N/A");
    dray_json_add_str(row, "VirtualSize", virtual_size);
    json_object_array_add(l->rows, row);
}

/* Where the tag of "host:5000/name:tag" begins, or NULL. */
static const char *tag_at(const char *ref)
{
    const char *slash = strrchr(ref, '/');
    return strrchr(slash ? slash : ref, ':');
}

/* A row for each digest of that repository; how many there were. */
static size_t add_digest_rows(struct listing *l, struct json_object *image, const char *repo,
                              const char *tag)
{
    struct json_object *list = dray_json_arr(image, "RepoDigests");
    size_t n = 0, len = strlen(repo);
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *d = json_object_get_string(json_object_array_get_idx(list, i));
        if (strncmp(d, repo, len) != 0 || d[len] != '@')
            continue;
        add_row(l, image, repo, tag, d + len + 1);
        n++;
    }
    return n;
}

static bool has_tag_of(struct json_object *image, const char *repo)
{
    struct json_object *list = dray_json_arr(image, "RepoTags");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *t = json_object_get_string(json_object_array_get_idx(list, i));
        const char *colon = tag_at(t);
        if (colon && (size_t)(colon - t) == strlen(repo) && memcmp(t, repo, strlen(repo)) == 0)
            return true;
    }
    return false;
}

static void add_image(struct listing *l, struct json_object *image)
{
    struct json_object *tags = dray_json_arr(image, "RepoTags");
    struct json_object *digests = dray_json_arr(image, "RepoDigests");
    size_t shown = 0;
    for (size_t i = 0; i < dray_json_len(tags); i++) {
        const char *t = json_object_get_string(json_object_array_get_idx(tags, i));
        const char *colon = tag_at(t);
        if (!colon || strcmp(t, "<none>:<none>") == 0)
            continue;
        dray_autofree char *repo = cli_strf("%.*s", (int)(colon - t), t);
        if (!l->digests || add_digest_rows(l, image, repo, colon + 1) == 0)
            add_row(l, image, repo, colon + 1, "<none>");
        shown++;
    }
    for (size_t i = 0; i < dray_json_len(digests); i++) {
        const char *d = json_object_get_string(json_object_array_get_idx(digests, i));
        dray_autofree char *repo = cli_strf("%.*s", (int)strcspn(d, "@"), d);
        if (*repo == '<' || has_tag_of(image, repo))
            continue;
        if (l->digests || shown == 0)
            add_row(l, image, repo, "<none>", d + strlen(repo) + 1);
        shown++;
    }
    if (shown == 0)
        add_row(l, image, "<none>", "<none>", "<none>");
}

int run_image_ls(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *list = NULL, *rows = json_object_new_array();
    const char *format = cli_str(args, "format");
    struct listing l = {.trunc = !cli_bool(args, "no-trunc"), .rows = rows};
    if (!format && cli_bool(args, "quiet"))
        format = "{{.ID}}";
    if (!format)
        format = dray_json_str(config_get(cli), "imagesFormat", NULL);
    if (cli_bool(args, "tree")) {
        (void)cli_fail(cli, "--tree is not supported by dray");
        return cli_report(cli);
    }
    l.digests = cli_bool(args, "digests") || (format && strstr(format, ".Digest"));
    dray_buf_adds(&path, "/images/json");
    if (cli_bool(args, "all"))
        api_query(&path, "all", "1");
    cli_list(args, "filter", &filters);
    if (cli_arg(args, 0))
        (void)dray_strlist_addf(&filters, "reference=%s", cli_arg(args, 0));
    api_filters(&path, &filters);
    if (api_call(cli, "GET", path.data, NULL, &list) != 0)
        return cli_report(cli);
    for (size_t i = 0; i < dray_json_len(list); i++)
        add_image(&l, json_object_array_get_idx(list, i));
    const struct table_spec *s = cli_bool(args, "digests") ? &spec_digests : &spec;
    return table_list(cli, format, s, rows) == 0 ? 0 : cli_report(cli);
}

int run_image_rm(struct cli *cli, const struct cli_args *args)
{
    bool force = cli_bool(args, "force"), failed = false;
    DRAY_AUTO(dray_buf) errors = {0};
    DRAY_AUTO(dray_strlist) platforms = {0};
    cli_list(args, "platform", &platforms);
    for (int i = 0; i < args->argc; i++) {
        DRAY_AUTO(dray_buf) path = {0};
        dray_autojson *list = NULL;
        dray_buf_adds(&path, "/images");
        api_piece(&path, args->argv[i]);
        if (force)
            api_query(&path, "force", "1");
        if (cli_bool(args, "no-prune"))
            api_query(&path, "noprune", "1");
        for (size_t k = 0; k < platforms.n; k++)
            api_platform(&path, "platforms", platforms.v[k]);
        if (api_call(cli, "DELETE", path.data, NULL, &list) != 0) {
            failed = failed || !(force && cli->status == 404);
            dray_buf_addf(&errors, "%s%s", errors.len ? "\n" : "", cli->error.data);
            continue;
        }
        for (size_t k = 0; k < dray_json_len(list); k++) {
            struct json_object *o = json_object_array_get_idx(list, k);
            const char *gone = dray_json_str(o, "Deleted", NULL);
            (void)printf("%s: %s\n", gone ? "Deleted" : "Untagged",
                         gone ? gone : dray_json_str(o, "Untagged", ""));
        }
    }
    (void)fflush(stdout);
    if (errors.len)
        (void)fprintf(stderr, "%s\n", errors.data);
    return failed ? 1 : 0;
}

int run_image_tag(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    const char *target = args->argv[1], *colon = tag_at(target);
    dray_autofree char *repo =
        colon ? cli_strf("%.*s", (int)(colon - target), target) : cli_strdup(target);
    dray_buf_adds(&path, "/images");
    api_piece(&path, args->argv[0]);
    dray_buf_adds(&path, "/tag");
    api_query(&path, "repo", repo);
    api_query(&path, "tag", colon ? colon + 1 : "latest");
    return api_call(cli, "POST", path.data, NULL, NULL) == 0 ? 0 : cli_report(cli);
}

static const struct table_field history_fields[] = {
    {"ID", "IMAGE"},
    {"CreatedSince", "CREATED"},
    {"CreatedAt", "CREATED AT"},
    {"CreatedBy", "CREATED BY"},
    {"Size", "SIZE"},
    {"Comment", "COMMENT"},
    {NULL, NULL},
};
static const struct table_spec history_spec = {
    "*formatter.historyContext",
    "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}", history_fields};
static const struct table_spec history_spec_dates = {
    "*formatter.historyContext", "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    history_fields};

static char *created_by(const char *text, bool trunc)
{
    dray_autofree char *flat = cli_strdup(text);
    for (char *p = flat; *p; p++)
        if (*p == '\t')
            *p = ' ';
    return trunc ? units_ellipsis(flat, 45) : dray_steal(flat);
}

static struct json_object *history_row(struct json_object *h, bool trunc, bool human)
{
    struct json_object *row = json_object_new_object();
    const char *id = dray_json_str(h, "Id", "");
    int64_t created = dray_json_int(h, "Created", 0), size = dray_json_int(h, "Size", 0);
    char at[DRAY_TIME_LEN] = "N/A", text[UNITS_LEN];
    if (created > 0)
        dray_time_format(created * DRAY_NS_PER_S, at);
    units_human_size((double)size, 3, text);
    dray_json_add_str(row, "Comment", dray_json_str(h, "Comment", ""));
    dray_json_add_str(row, "CreatedAt", at);
    rows_take(row, "CreatedBy", created_by(dray_json_str(h, "CreatedBy", ""), trunc));
    rows_take(row, "CreatedSince",
              !human        ? cli_strdup(at)
              : created > 0 ? rows_ago(created)
                            : cli_strdup("N/A"));
    rows_take(row, "ID", trunc ? rows_short_id(id) : cli_strdup(id));
    rows_take(row, "Size", human ? cli_strdup(text) : cli_strf("%lld", (long long)size));
    return row;
}

int run_image_history(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_autojson *list = NULL, *rows = json_object_new_array();
    const char *format = cli_str(args, "format");
    if (!format && cli_bool(args, "quiet"))
        format = "{{.ID}}";
    dray_buf_adds(&path, "/images");
    api_piece(&path, args->argv[0]);
    dray_buf_adds(&path, "/history");
    api_platform(&path, "platform", cli_str(args, "platform"));
    if (api_call(cli, "GET", path.data, NULL, &list) != 0)
        return cli_report(cli);
    bool trunc = !cli_bool(args, "no-trunc"), human = cli_bool(args, "human");
    for (size_t i = 0; i < dray_json_len(list); i++)
        json_object_array_add(rows, history_row(json_object_array_get_idx(list, i), trunc, human));
    const struct table_spec *s = human ? &history_spec : &history_spec_dates;
    return table_list(cli, format, s, rows) == 0 ? 0 : cli_report(cli);
}

int run_image_prune(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *doc = NULL;
    char size[UNITS_LEN];
    bool all = cli_bool(args, "all");
    if (!cli_bool(args, "force") &&
        !rows_confirm(all ? "WARNING! This will remove all images without at least one container "
                            "associated to them."
                          : "WARNING! This will remove all dangling images."))
        return 0;
    (void)dray_strlist_addf(&filters, "dangling=%s", all ? "false" : "true");
    cli_list(args, "filter", &filters);
    dray_buf_adds(&path, "/images/prune");
    api_filters(&path, &filters);
    if (api_call(cli, "POST", path.data, NULL, &doc) != 0)
        return cli_report(cli);
    struct json_object *gone = dray_json_arr(doc, "ImagesDeleted");
    if (dray_json_len(gone))
        (void)printf("Deleted Images:\n");
    for (size_t i = 0; i < dray_json_len(gone); i++) {
        struct json_object *o = json_object_array_get_idx(gone, i);
        const char *tag = dray_json_str(o, "Untagged", NULL);
        (void)printf("%s: %s\n", tag ? "untagged" : "deleted",
                     tag ? tag : dray_json_str(o, "Deleted", ""));
    }
    units_human_size((double)dray_json_int(doc, "SpaceReclaimed", 0), 4, size);
    (void)printf("%sTotal reclaimed space: %s\n", dray_json_len(gone) ? "\n" : "", size);
    return 0;
}
