/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_system.c - version, events, and the raw pipe that ssh:// hosts use. */
#include "client/api.h"
#include "client/commands.h"
#include "client/tmpl/table.h"
#include "client/tmpl/tmpl.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

static struct json_object *client_version(const struct cli *cli)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Version", CLI_VERSION);
    dray_json_add_str(o, "ApiVersion", cli->version + 1);
    dray_json_add_str(o, "DefaultAPIVersion", CLI_API_VERSION);
    dray_json_add_str(o, "Os", "linux");
#if defined(__x86_64__)
    dray_json_add_str(o, "Arch", "amd64");
#elif defined(__aarch64__)
    dray_json_add_str(o, "Arch", "arm64");
#else
    dray_json_add_str(o, "Arch", "unknown");
#endif
    dray_json_add_str(o, "Context", cli->context);
    return o;
}

/* "2026-05-07T21:09:36.000000000+00:00" as "Thu May  7 21:09:36 2026" */
static char *build_time(const char *text)
{
    int64_t ns = 0;
    char out[64];
    struct tm tm;
    if (!dray_time_parse(text, &ns) || ns == 0)
        return cli_strdup(text);
    time_t t = (time_t)(ns / DRAY_NS_PER_S);
    if (!gmtime_r(&t, &tm) || strftime(out, sizeof out, "%a %b %e %H:%M:%S %Y", &tm) == 0)
        return cli_strdup(text);
    return cli_strdup(out);
}

static void print_component(struct dray_buf *b, struct json_object *c)
{
    struct json_object *d = dray_json_obj(c, "Details");
    dray_buf_addf(b, " %s:\n  Version:\t%s\n", dray_json_str(c, "Name", ""),
                  dray_json_str(c, "Version", ""));
    if (d) {
        json_object_object_foreach(d, k, v)
        {
            dray_buf_addf(b, "  %s:\t%s\n", k, json_object_get_string(v));
        }
    }
}

static void engine_lines(struct dray_buf *b, struct json_object *c)
{
    struct json_object *d = dray_json_obj(c, "Details");
    dray_autofree char *built = build_time(dray_json_str(d, "BuildTime", ""));
    dray_buf_addf(b, " %s:\n  Version:\t%s\n  API version:\t%s (minimum version %s)\n",
                  dray_json_str(c, "Name", ""), dray_json_str(c, "Version", ""),
                  dray_json_str(d, "ApiVersion", ""), dray_json_str(d, "MinAPIVersion", ""));
    if (*dray_json_str(d, "GoVersion", ""))
        dray_buf_addf(b, "  Go version:\t%s\n", dray_json_str(d, "GoVersion", ""));
    dray_buf_addf(b, "  Git commit:\t%s\n  Built:\t%s\n  OS/Arch:\t%s/%s\n  Experimental:\t%s\n",
                  dray_json_str(d, "GitCommit", ""), built, dray_json_str(d, "Os", ""),
                  dray_json_str(d, "Arch", ""), dray_json_str(d, "Experimental", "false"));
}

static void print_version(struct json_object *client, struct json_object *server)
{
    DRAY_AUTO(dray_buf) b = {0};
    const char *api = dray_json_str(client, "ApiVersion", "");
    dray_buf_addf(&b,
                  "Client:\n Version:\t%s\n API version:\t%s%s\n OS/Arch:\t%s/%s\n Context:\t%s\n",
                  CLI_VERSION, api,
                  strcmp(api, CLI_API_VERSION) != 0 ? " (downgraded from " CLI_API_VERSION ")" : "",
                  dray_json_str(client, "Os", ""), dray_json_str(client, "Arch", ""),
                  dray_json_str(client, "Context", ""));
    struct json_object *list = dray_json_arr(server, "Components");
    if (server) {
        const char *platform = dray_json_str(server, "Platform.Name", "");
        dray_buf_addf(&b, "\nServer:%s%s\n", *platform ? " " : "", platform);
    }
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *c = json_object_array_get_idx(list, i);
        if (strcmp(dray_json_str(c, "Name", ""), "Engine") == 0)
            engine_lines(&b, c);
        else
            print_component(&b, c);
    }
    table_align(stdout, b.data, 20, 1);
}

int run_version(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *server = NULL;
    const char *format = cli_str(args, "format");
    int failed = api_call(cli, "GET", "/version", NULL, &server);
    struct json_object *client = client_version(cli);
    int rc = 0;
    if (format && *format) {
        dray_autojson *both = json_object_new_object();
        json_object_object_add(both, "Client", client);
        json_object_object_add(both, "Server", server ? json_object_get(server) : NULL);
        DRAY_AUTO(dray_buf) why = {0};
        if (failed)
            dray_buf_adds(&why, cli->error.data);
        rc = table_value(cli, format, NULL, both);
        if (rc != 0)
            return cli_report(cli);
        if (failed)
            (void)cli_fail(cli, "%s", why.data);
    } else {
        print_version(client, server);
        json_object_put(client);
    }
    return failed ? cli_report(cli) : 0;
}

static int by_key(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void print_attributes(struct json_object *attrs)
{
    size_t n = 0;
    if (!attrs || json_object_object_length(attrs) == 0)
        return;
    dray_autofree const char **keys =
        cli_need(calloc((size_t)json_object_object_length(attrs), sizeof *keys));
    json_object_object_foreach(attrs, k, unused)
    {
        (void)unused;
        keys[n++] = k;
    }
    qsort(keys, n, sizeof *keys, by_key);
    for (size_t i = 0; i < n; i++)
        (void)printf("%s%s=%s", i ? ", " : " (", keys[i],
                     json_object_get_string(json_object_object_get(attrs, keys[i])));
    (void)printf(")");
}

/* "2026-11-24T03:29:38.651753824Z" in the local zone. */
static void print_time(int64_t ns)
{
    char day[40], zone[16];
    struct tm tm;
    time_t t = (time_t)(ns / DRAY_NS_PER_S);
    if (!localtime_r(&t, &tm))
        return;
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)strftime(zone, sizeof zone, "%z", &tm);
    if (tm.tm_gmtoff == 0)
        (void)snprintf(zone, sizeof zone, "Z");
    else
        (void)memmove(zone + 4, zone + 3, 3), zone[3] = ':';
    (void)printf("%s.%09lld%s ", day, (long long)(ns % DRAY_NS_PER_S), zone);
}

static void print_event(struct json_object *e)
{
    int64_t ns = dray_json_int(e, "timeNano", 0);
    if (ns == 0)
        ns = dray_json_int(e, "time", 0) * DRAY_NS_PER_S;
    print_time(ns);
    (void)printf("%s %s %s", dray_json_str(e, "Type", ""), dray_json_str(e, "Action", ""),
                 dray_json_str(e, "Actor.ID", ""));
    print_attributes(dray_json_obj(e, "Actor.Attributes"));
    (void)printf("\n");
}

static int show_event(struct cli *cli, const char *format, const char *line, size_t len)
{
    dray_autojson *e = NULL;
    int rc = 0;
    if (dray_json_parse(line, len, &e, NULL) != 0)
        return 0;
    if (!format || !*format)
        print_event(e);
    else if (strcmp(format, "json") == 0)
        (void)printf("%.*s\n", (int)len, line);
    else
        rc = table_value(cli, format, "*events.Message", e);
    (void)fflush(stdout);
    return rc;
}

static int show_events(struct cli *cli, struct http_conn *c, const char *format)
{
    DRAY_AUTO(dray_buf) b = {0};
    for (;;) {
        char *room = dray_buf_room(&b, 16384);
        ssize_t n = room ? http_read(c, room, 16384) : -1;
        if (n < 0)
            return cli_fail(cli, "unexpected EOF");
        if (n == 0)
            return b.len ? show_event(cli, format, b.data, b.len) : 0;
        b.len += (size_t)n;
        size_t from = 0;
        for (char *nl = NULL; (nl = memchr(b.data + from, '\n', b.len - from));) {
            size_t len = (size_t)(nl - b.data) - from;
            if (len > 1 && show_event(cli, format, b.data + from, len) != 0)
                return -1;
            from += len + 1;
        }
        memmove(b.data, b.data + from, b.len - from);
        b.len -= from;
    }
}

int run_system_events(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    struct http_conn *c = NULL;
    const char *format = cli_str(args, "format");
    struct tmpl *t = NULL;
    struct dray_err err = {0};
    if (format && strcmp(format, "json") != 0) {
        if (tmpl_parse(format, &t, &err) != 0) {
            (void)fprintf(stderr, "Error parsing format: %s\n", err.text);
            return 64;
        }
        tmpl_free(t);
    }
    dray_buf_adds(&path, "/events");
    if (api_when(cli, &path, "since", cli_str(args, "since")) != 0 ||
        api_when(cli, &path, "until", cli_str(args, "until")) != 0)
        return cli_report(cli);
    cli_list(args, "filter", &filters);
    api_filters(&path, &filters);
    struct api_request r = {.method = "GET", .path = path.data};
    if (api_open(cli, &r, &c) != 0)
        return cli_report(cli);
    int rc = show_events(cli, c, format);
    http_close(c);
    return rc == 0 ? 0 : cli_report(cli);
}

/* One direction of the pipe; false when it has ended. */
static bool pump(struct http_conn *c, bool up)
{
    char buf[65536];
    ssize_t n = up ? read(STDIN_FILENO, buf, sizeof buf) : http_raw_read(c, buf, sizeof buf);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    if (!up)
        return dray_fs_write_all(STDOUT_FILENO, buf, (size_t)n, NULL) == 0;
    for (ssize_t at = 0; at < n;) {
        ssize_t w = http_raw_write(c, buf + at, (size_t)(n - at));
        if (w <= 0)
            return false;
        at += w;
    }
    return true;
}

int run_system_dial_stdio(struct cli *cli, const struct cli_args *args)
{
    (void)args;
    api_warm(cli, 1);
    struct http_conn *c = dray_steal(cli->idle[0]);
    if (!c) {
        (void)cli_fail(cli, "Cannot connect to the Dray daemon at %s. Is the dray daemon running?",
                       cli->host);
        return cli_report(cli);
    }
    bool open = true;
    for (;;) {
        struct pollfd p[2] = {{.fd = open ? STDIN_FILENO : -1, .events = POLLIN},
                              {.fd = c->fd, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        if (p[1].revents && !pump(c, false))
            break;
        if (p[0].revents && !pump(c, true)) {
            open = false;
            http_raw_end(c);
        }
    }
    http_close(c);
    return 0;
}
