/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_stats.c - what containers use, as a live table or once. */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/tmpl/table.h"
#include "client/units.h"

#include "base/json.h"

#include <poll.h>
#include <unistd.h>

static const struct table_field fields[] = {
    {"Container", "CONTAINER"},
    {"ID", "CONTAINER ID"},
    {"Name", "NAME"},
    {"CPUPerc", "CPU %"},
    {"MemUsage", "MEM USAGE / LIMIT"},
    {"MemPerc", "MEM %"},
    {"NetIO", "NET I/O"},
    {"BlockIO", "BLOCK I/O"},
    {"PIDs", "PIDS"},
    {NULL, NULL},
};
static const struct table_spec spec = {
    "*formatter.statsContext",
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{."
    "PIDs}}",
    fields};

/* One container that is watched. */
struct watched {
    char *name; /* as the person gave it */
    struct http_conn *conn;
    struct dray_buf text; /* an incomplete sample */
    struct json_object *sample;
    bool failed;
};

struct stats {
    struct cli *cli;
    struct watched *v;
    size_t n;
    bool trunc;
};

static double number(struct json_object *o, const char *path)
{
    return (double)dray_json_int(o, path, 0);
}

static double cpu_percent(struct json_object *s)
{
    double cpu = number(s, "cpu_stats.cpu_usage.total_usage") -
                 number(s, "precpu_stats.cpu_usage.total_usage");
    double system =
        number(s, "cpu_stats.system_cpu_usage") - number(s, "precpu_stats.system_cpu_usage");
    double online = number(s, "cpu_stats.online_cpus");
    if (online < 1)
        online = (double)dray_json_len(dray_json_arr(s, "cpu_stats.cpu_usage.percpu_usage"));
    return system > 0 && cpu > 0 ? cpu / system * online * 100 : 0;
}

/* Without the page cache that could be dropped at once. */
static double memory_used(struct json_object *s)
{
    double used = number(s, "memory_stats.usage");
    double cache = number(s, "memory_stats.stats.total_inactive_file");
    if (cache <= 0)
        cache = number(s, "memory_stats.stats.inactive_file");
    return cache > 0 && cache < used ? used - cache : used;
}

static char *pair(double a, double b)
{
    char x[UNITS_LEN], y[UNITS_LEN];
    units_human_size(a, 3, x);
    units_human_size(b, 3, y);
    return cli_strf("%s / %s", x, y);
}

static char *network_io(struct json_object *s)
{
    struct json_object *nets = dray_json_obj(s, "networks");
    double rx = 0, tx = 0;
    if (nets) {
        json_object_object_foreach(nets, k, v)
        {
            (void)k;
            rx += number(v, "rx_bytes");
            tx += number(v, "tx_bytes");
        }
    }
    return pair(rx, tx);
}

static char *block_io(struct json_object *s)
{
    struct json_object *list = dray_json_arr(s, "blkio_stats.io_service_bytes_recursive");
    double in = 0, out = 0;
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *op = dray_json_str(o, "op", "");
        if (*op == 'r' || *op == 'R')
            in += number(o, "value");
        else if (*op == 'w' || *op == 'W')
            out += number(o, "value");
    }
    return pair(in, out);
}

static struct json_object *row_of(const struct watched *w, bool trunc)
{
    struct json_object *row = json_object_new_object(), *s = w->sample;
    dray_json_add_str(row, "Container", w->name);
    if (!s) {
        static const char *const none[] = {"CPUPerc", "MemPerc", "NetIO", "BlockIO", "PIDs"};
        dray_autofree char *id = rows_short_id(w->name);
        dray_json_add_str(row, "ID", w->failed ? "--" : id);
        dray_json_add_str(row, "Name", "--");
        dray_json_add_str(row, "MemUsage", "-- / --");
        for (size_t i = 0; i < 5; i++)
            dray_json_add_str(row, none[i], "--");
        return row;
    }
    const char *id = dray_json_str(s, "id", w->name), *name = dray_json_str(s, "name", "");
    double used = memory_used(s), limit = number(s, "memory_stats.limit");
    char a[UNITS_LEN], b[UNITS_LEN];
    units_bytes_size(used, a);
    units_bytes_size(limit, b);
    rows_take(row, "ID", trunc ? rows_short_id(id) : cli_strdup(id));
    dray_json_add_str(row, "Name", *name == '/' ? name + 1 : name);
    rows_take(row, "CPUPerc", cli_strf("%.2f%%", cpu_percent(s)));
    rows_take(row, "MemUsage", cli_strf("%s / %s", a, b));
    rows_take(row, "MemPerc", cli_strf("%.2f%%", limit > 0 ? used / limit * 100 : 0));
    rows_take(row, "NetIO", network_io(s));
    rows_take(row, "BlockIO", block_io(s));
    rows_take(row, "PIDs", cli_strf("%lld", (long long)dray_json_int(s, "pids_stats.current", 0)));
    return row;
}

static int open_one(struct stats *s, struct watched *w, bool stream)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_buf_adds(&path, "/containers");
    api_piece(&path, w->name);
    dray_buf_addf(&path, "/stats?stream=%d", stream);
    struct api_request r = {.method = "GET", .path = path.data};
    return api_begin(s->cli, &r, &w->conn);
}

static void take_sample(struct watched *w, const char *text, size_t len)
{
    struct json_object *o = NULL;
    if (len < 2 || dray_json_parse(text, len, &o, NULL) != 0)
        return;
    if (w->sample)
        json_object_put(w->sample);
    w->sample = o;
}

/* Read what has come; at the end of the stream the connection is closed. */
static void read_one(struct watched *w)
{
    char *room = dray_buf_room(&w->text, 16384);
    ssize_t n = room ? http_read(w->conn, room, 16384) : -1;
    if (n <= 0) {
        take_sample(w, w->text.data ? w->text.data : "", w->text.len);
        http_close(dray_steal(w->conn));
        return;
    }
    w->text.len += (size_t)n;
    size_t from = 0;
    for (char *nl = NULL; (nl = memchr(w->text.data + from, '\n', w->text.len - from));) {
        size_t len = (size_t)(nl - w->text.data) - from;
        take_sample(w, w->text.data + from, len);
        from += len + 1;
    }
    if (w->conn->done) {
        take_sample(w, w->text.data + from, w->text.len - from);
        http_close(dray_steal(w->conn));
        return;
    }
    memmove(w->text.data, w->text.data + from, w->text.len - from);
    w->text.len -= from;
}

static int show(struct stats *s, const char *format, bool home)
{
    dray_autojson *rows = json_object_new_array();
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].sample || s->v[i].conn || s->v[i].failed)
            json_object_array_add(rows, row_of(&s->v[i], s->trunc));
    if (home)
        (void)printf("\033[H\033[J");
    int rc = table_list(s->cli, format, &spec, rows);
    (void)fflush(stdout);
    return rc;
}

static bool watch(struct stats *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].name, name) == 0)
            return false;
    s->v = cli_need(realloc(s->v, (s->n + 1) * sizeof *s->v));
    s->v[s->n++] = (struct watched){.name = cli_strdup(name)};
    return true;
}

/* The containers to watch when none were named. */
static int list_running(struct stats *s, bool all)
{
    dray_autojson *list = NULL;
    if (api_call(s->cli, "GET", all ? "/containers/json?all=1" : "/containers/json", NULL, &list) !=
        0)
        return -1;
    for (size_t i = 0; i < dray_json_len(list); i++)
        (void)watch(s, dray_json_str(json_object_array_get_idx(list, i), "Id", ""));
    return 0;
}

static int open_new(struct stats *s, bool stream, bool strict)
{
    if (api_ping(s->cli) != 0)
        return -1;
    for (size_t i = 0; i < s->n; i++)
        if (!s->v[i].conn && !s->v[i].sample && !s->v[i].failed &&
            open_one(s, &s->v[i], stream) != 0)
            return -1;
    for (size_t i = 0; i < s->n; i++) {
        struct watched *w = &s->v[i];
        if (!w->conn || w->conn->status)
            continue; /* not asked, or answered already */
        if (api_await(s->cli, &w->conn) != 0) {
            w->failed = true;
            if (strict)
                return -1;
        }
    }
    return 0;
}

static int poll_all(struct stats *s, int timeout)
{
    dray_autofree struct pollfd *p = cli_need(calloc(s->n + 1, sizeof *p));
    bool open = false, ready = false;
    for (size_t i = 0; i < s->n; i++) {
        struct http_conn *c = s->v[i].conn;
        p[i] = (struct pollfd){.fd = c ? c->fd : -1, .events = POLLIN};
        open = open || c;
        ready = ready || (c && http_raw_pending(c));
    }
    if (!open)
        return 0;
    (void)poll(p, s->n, ready ? 0 : timeout);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].conn && (p[i].revents || http_raw_pending(s->v[i].conn)))
            read_one(&s->v[i]);
    return 1;
}

static int live(struct stats *s, const char *format, bool named, bool all)
{
    bool terminal = isatty(STDOUT_FILENO);
    for (;;) {
        for (int i = 0; i < 5; i++)
            if (poll_all(s, 100) == 0)
                (void)poll(NULL, 0, 100);
        if (show(s, format, terminal) != 0)
            return -1;
        for (size_t i = 0; i < s->n && !named; i++) { /* forget those that are gone */
            if (s->v[i].conn)
                continue;
            free(s->v[i].name);
            dray_buf_free(&s->v[i].text);
            if (s->v[i].sample)
                json_object_put(s->v[i].sample);
            s->v[i--] = s->v[--s->n];
        }
        if (!named && (list_running(s, all) != 0 || open_new(s, true, false) != 0))
            return -1;
        bool open = false;
        for (size_t i = 0; i < s->n; i++)
            open = open || s->v[i].conn;
        if (named && !open)
            return 0;
    }
}

int run_container_stats(struct cli *cli, const struct cli_args *args)
{
    struct stats s = {.cli = cli, .trunc = !cli_bool(args, "no-trunc")};
    const char *format = cli_str(args, "format");
    bool once = cli_bool(args, "no-stream"), named = args->argc > 0;
    if (!format)
        format = dray_json_str(config_get(cli), "statsFormat", NULL);
    for (int i = 0; i < args->argc; i++)
        (void)watch(&s, args->argv[i]);
    int rc = named ? 0 : list_running(&s, cli_bool(args, "all"));
    if (rc == 0)
        rc = open_new(&s, !once, named);
    if (rc == 0 && once) {
        while (poll_all(&s, -1) > 0)
            continue;
        rc = show(&s, format, false);
    } else if (rc == 0) {
        rc = live(&s, format, named, cli_bool(args, "all"));
    }
    for (size_t i = 0; i < s.n; i++) {
        http_close(s.v[i].conn);
        dray_buf_free(&s.v[i].text);
        if (s.v[i].sample)
            json_object_put(s.v[i].sample);
        free(s.v[i].name);
    }
    free(s.v);
    return rc == 0 ? 0 : cli_report(cli);
}
