/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_container.c - what is done to containers by name: stop, kill, rm, rename, top, port ... */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/spec/specs.h"
#include "client/tmpl/table.h"
#include "client/units.h"

#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>
#include <unistd.h>

/* "/containers/NAME/verb" */
static void path_to(struct dray_buf *b, const char *name, const char *verb)
{
    dray_buf_adds(b, "/containers");
    api_piece(b, name);
    dray_buf_adds(b, verb);
}

/* Do the same to each named container, in order; names that worked are printed. */
static int for_each(struct cli *cli, const struct cli_args *args, const char *method,
                    const char *verb, const char *query)
{
    int rc = 0;
    for (int i = 0; i < args->argc; i++) {
        DRAY_AUTO(dray_buf) path = {0};
        path_to(&path, args->argv[i], verb);
        dray_buf_adds(&path, query ? query : "");
        if (api_call(cli, method, path.data, NULL, NULL) == 0)
            (void)printf("%s\n", args->argv[i]), (void)fflush(stdout);
        else
            rc = cli_report(cli);
    }
    return rc;
}

static char *stop_query(const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) q = {0};
    if (cli_given(args, "timeout"))
        api_query(&q, "t", cli_str(args, "timeout"));
    api_query(&q, "signal", cli_str(args, "signal"));
    return cli_strdup(q.data ? q.data : "");
}

int run_container_stop(struct cli *cli, const struct cli_args *args)
{
    dray_autofree char *query = stop_query(args);
    return for_each(cli, args, "POST", "/stop", query);
}

int run_container_restart(struct cli *cli, const struct cli_args *args)
{
    dray_autofree char *query = stop_query(args);
    return for_each(cli, args, "POST", "/restart", query);
}

int run_container_kill(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) q = {0};
    api_query(&q, "signal", cli_str(args, "signal"));
    return for_each(cli, args, "POST", "/kill", q.data);
}

int run_container_pause(struct cli *cli, const struct cli_args *args)
{
    return for_each(cli, args, "POST", "/pause", NULL);
}

int run_container_unpause(struct cli *cli, const struct cli_args *args)
{
    return for_each(cli, args, "POST", "/unpause", NULL);
}

int run_container_wait(struct cli *cli, const struct cli_args *args)
{
    int rc = 0;
    for (int i = 0; i < args->argc; i++) {
        DRAY_AUTO(dray_buf) path = {0};
        dray_autojson *doc = NULL;
        path_to(&path, args->argv[i], "/wait");
        if (api_call(cli, "POST", path.data, NULL, &doc) == 0)
            (void)printf("%lld\n", (long long)dray_json_int(doc, "StatusCode", 0)),
                (void)fflush(stdout);
        else
            rc = cli_report(cli);
    }
    return rc;
}

int run_container_rm(struct cli *cli, const struct cli_args *args)
{
    bool force = cli_bool(args, "force");
    int rc = 0;
    for (int i = 0; i < args->argc; i++) {
        const char *name = args->argv[i];
        DRAY_AUTO(dray_buf) path = {0};
        name += *name == '/';
        path_to(&path, name, "");
        if (cli_bool(args, "volumes"))
            api_query(&path, "v", "1");
        if (cli_bool(args, "link"))
            api_query(&path, "link", "1");
        if (force)
            api_query(&path, "force", "1");
        if (api_call(cli, "DELETE", path.data, NULL, NULL) == 0) {
            (void)printf("%s\n", args->argv[i]);
        } else {
            bool forgiven = force && cli->status == 404;
            (void)cli_report(cli);
            rc = forgiven ? rc : 1;
        }
    }
    return rc;
}

int run_container_rename(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    if (!*args->argv[0] || !*args->argv[1]) {
        (void)cli_fail(cli, "Error: Neither old nor new names may be empty");
        return cli_report(cli);
    }
    path_to(&path, args->argv[0], "/rename");
    api_query(&path, "name", args->argv[1]);
    if (api_call(cli, "POST", path.data, NULL, NULL) == 0)
        return 0;
    (void)fprintf(stderr, "%s\nError: failed to rename container named %s\n",
                  cli->error.data ? cli->error.data : "", args->argv[0]);
    return 1;
}

int run_container_top(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_buf) words = {0};
    DRAY_AUTO(dray_buf) out = {0};
    dray_autojson *doc = NULL;
    path_to(&path, args->argv[0], "/top");
    for (int i = 1; i < args->argc; i++)
        dray_buf_addf(&words, "%s%s", i > 1 ? " " : "", args->argv[i]);
    if (words.len)
        api_query(&path, "ps_args", words.data);
    if (api_call(cli, "GET", path.data, NULL, &doc) != 0)
        return cli_report(cli);
    struct json_object *titles = dray_json_arr(doc, "Titles"),
                       *list = dray_json_arr(doc, "Processes");
    for (size_t i = 0; i <= dray_json_len(list); i++) {
        struct json_object *row = i ? json_object_array_get_idx(list, i - 1) : titles;
        for (size_t k = 0; k < dray_json_len(row); k++)
            dray_buf_addf(&out, "%s%s", k ? "\t" : "",
                          json_object_get_string(json_object_array_get_idx(row, k)));
        dray_buf_addc(&out, '\n');
    }
    table_align(stdout, out.data, 20, 3);
    return 0;
}

/* Print the bindings of one port; false if it has none. */
static bool print_bindings(struct json_object *list, const char *prefix)
{
    size_t n = dray_json_len(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *b = json_object_array_get_idx(list, i);
        const char *ip = dray_json_str(b, "HostIp", "");
        bool v6 = strchr(ip, ':') != NULL;
        (void)printf("%s%s%s%s:%s\n", prefix, v6 ? "[" : "", ip, v6 ? "]" : "",
                     dray_json_str(b, "HostPort", ""));
    }
    return n > 0;
}

static int by_port(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    long p = strtol(*x, NULL, 10), q = strtol(*y, NULL, 10);
    return p != q ? (p < q ? -1 : 1) : strcmp(*x, *y);
}

static void print_ports(struct json_object *ports)
{
    DRAY_AUTO(dray_strlist) keys = {0};
    if (!ports)
        return;
    json_object_object_foreach(ports, key, unused)
    {
        (void)unused;
        (void)dray_strlist_add(&keys, key);
    }
    if (keys.n > 0)
        qsort(keys.v, keys.n, sizeof *keys.v, by_port);
    for (size_t i = 0; i < keys.n; i++) {
        dray_autofree char *prefix = cli_strf("%s -> ", keys.v[i]);
        (void)print_bindings(json_object_object_get(ports, keys.v[i]), prefix);
    }
}

int run_container_port(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_autojson *doc = NULL;
    path_to(&path, args->argv[0], "/json");
    if (api_call(cli, "GET", path.data, NULL, &doc) != 0)
        return cli_report(cli);
    struct json_object *ports = dray_json_obj(doc, "NetworkSettings.Ports"), *list = NULL;
    const char *port = cli_arg(args, 1);
    if (!port) {
        print_ports(ports);
        return 0;
    }
    dray_autofree char *key = strchr(port, '/') ? cli_strdup(port) : cli_strf("%s/tcp", port);
    if (ports && json_object_object_get_ex(ports, key, &list) && print_bindings(list, ""))
        return 0;
    (void)cli_fail(cli, "Error: No public port '%s' published for %s", port, args->argv[0]);
    return cli_report(cli);
}

int run_container_diff(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_autojson *list = NULL;
    path_to(&path, args->argv[0], "/changes");
    if (api_call(cli, "GET", path.data, NULL, &list) != 0)
        return cli_report(cli);
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *c = json_object_array_get_idx(list, i);
        int64_t kind = dray_json_int(c, "Kind", 0);
        (void)printf("%c %s\n", "CAD"[kind >= 0 && kind < 3 ? kind : 0],
                     dray_json_str(c, "Path", ""));
    }
    return 0;
}

/* --flag to the body's key; sizes and counts. */
static void update_number(const struct cli_args *args, struct json_object *body, const char *flag,
                          const char *key)
{
    int64_t n = 0;
    if (!cli_given(args, flag))
        return;
    const char *text = cli_str(args, flag);
    if (strncmp(flag, "memory", 6) == 0 && strcmp(text, "-1") != 0)
        (void)units_bytes(text, &n, NULL);
    else if (strcmp(flag, "cpus") == 0)
        (void)units_cpus(text, &n, NULL);
    else
        n = strtoll(text, NULL, 0);
    dray_json_add_int(body, key, n);
}

static struct json_object *update_body(const struct cli_args *args)
{
    static const char *const numbers[][2] = {{"blkio-weight", "BlkioWeight"},
                                             {"cpu-period", "CpuPeriod"},
                                             {"cpu-quota", "CpuQuota"},
                                             {"cpu-rt-period", "CpuRealtimePeriod"},
                                             {"cpu-rt-runtime", "CpuRealtimeRuntime"},
                                             {"cpu-shares", "CpuShares"},
                                             {"cpus", "NanoCpus"},
                                             {"memory", "Memory"},
                                             {"memory-reservation", "MemoryReservation"},
                                             {"memory-swap", "MemorySwap"},
                                             {"pids-limit", "PidsLimit"}};
    struct json_object *body = json_object_new_object();
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        update_number(args, body, numbers[i][0], numbers[i][1]);
    if (cli_given(args, "cpuset-cpus"))
        dray_json_add_str(body, "CpusetCpus", cli_str(args, "cpuset-cpus"));
    if (cli_given(args, "cpuset-mems"))
        dray_json_add_str(body, "CpusetMems", cli_str(args, "cpuset-mems"));
    return body;
}

int run_container_update(struct cli *cli, const struct cli_args *args)
{
    struct dray_err err = {0};
    struct json_object *policy = NULL;
    int rc = 0;
    if (args->n_set == 0) {
        (void)cli_fail(cli, "you must provide one or more flags when using this command");
        return cli_report(cli);
    }
    dray_autojson *body = update_body(args);
    if (cli_given(args, "restart")) {
        if (spec_restart(cli_str(args, "restart"), &policy, &err) != 0) {
            (void)cli_fail_err(cli, &err);
            return cli_report(cli);
        }
        json_object_object_add(body, "RestartPolicy", policy);
    }
    for (int i = 0; i < args->argc; i++) {
        DRAY_AUTO(dray_buf) path = {0};
        dray_autojson *doc = NULL;
        path_to(&path, args->argv[i], "/update");
        if (api_call(cli, "POST", path.data, body, &doc) != 0) {
            rc = cli_report(cli);
            continue;
        }
        (void)printf("%s\n", args->argv[i]);
        struct json_object *w = dray_json_arr(doc, "Warnings");
        for (size_t k = 0; k < dray_json_len(w); k++)
            (void)printf("%s\n", json_object_get_string(json_object_array_get_idx(w, k)));
    }
    return rc;
}

int run_container_prune(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *doc = NULL;
    char size[UNITS_LEN];
    if (!cli_bool(args, "force") &&
        !rows_confirm("WARNING! This will remove all stopped containers."))
        return 0;
    dray_buf_adds(&path, "/containers/prune");
    cli_list(args, "filter", &filters);
    api_filters(&path, &filters);
    if (api_call(cli, "POST", path.data, NULL, &doc) != 0)
        return cli_report(cli);
    struct json_object *gone = dray_json_arr(doc, "ContainersDeleted");
    if (dray_json_len(gone))
        (void)printf("Deleted Containers:\n");
    for (size_t i = 0; i < dray_json_len(gone); i++)
        (void)printf("%s\n", json_object_get_string(json_object_array_get_idx(gone, i)));
    units_human_size((double)dray_json_int(doc, "SpaceReclaimed", 0), 4, size);
    (void)printf("%sTotal reclaimed space: %s\n", dray_json_len(gone) ? "\n" : "", size);
    return 0;
}

int run_container_commit(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) changes = {0};
    dray_autojson *doc = NULL, *body = json_object_new_object();
    dray_buf_adds(&path, "/commit");
    api_query(&path, "container", args->argv[0]);
    const char *ref = cli_arg(args, 1);
    if (ref) {
        const char *slash = strrchr(ref, '/');
        const char *colon = strrchr(slash ? slash : ref, ':');
        dray_autofree char *repo =
            colon ? cli_strf("%.*s", (int)(colon - ref), ref) : cli_strdup(ref);
        api_query(&path, "repo", repo);
        api_query(&path, "tag", colon ? colon + 1 : NULL);
    }
    api_query(&path, "author", cli_str(args, "author"));
    api_query(&path, "comment", cli_str(args, "message"));
    cli_list(args, "change", &changes);
    for (size_t i = 0; i < changes.n; i++)
        api_query(&path, "changes", changes.v[i]);
    if (!cli_bool(args, "pause"))
        api_query(&path, "pause", "0");
    if (api_call(cli, "POST", path.data, body, &doc) != 0)
        return cli_report(cli);
    (void)printf("%s\n", dray_json_str(doc, "Id", ""));
    return 0;
}

int run_container_export(struct cli *cli, const struct cli_args *args)
{
    const char *file = cli_str(args, "output");
    dray_autofd int fd = -EBADF;
    struct http_conn *c = NULL;
    DRAY_AUTO(dray_buf) path = {0};
    if (!file && isatty(STDOUT_FILENO)) {
        (void)cli_fail(cli, "cowardly refusing to save to a terminal. Use the -o flag or redirect");
        return cli_report(cli);
    }
    path_to(&path, args->argv[0], "/export");
    struct api_request r = {.method = "GET", .path = path.data};
    if (api_open(cli, &r, &c) != 0)
        return cli_report(cli);
    if (file)
        fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = 0;
    if (file && fd < 0)
        rc = cli_fail(cli, "failed to export container: open %s: %s", file, cli_strerror(errno));
    else
        rc = api_copy_out(cli, c, file ? fd : STDOUT_FILENO);
    api_done(cli, c);
    return rc == 0 ? 0 : cli_report(cli);
}
