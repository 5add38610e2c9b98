/* SPDX-License-Identifier: Apache-2.0 */
/* api.c - exchanges with the daemon's API. */
#include "client/api.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#include <errno.h>

static int dial(struct cli *cli, struct http_conn **out)
{
    struct http_target t = {.host = cli->host,
                            .tls = cli->tls,
                            .verify = cli->tls_verify,
                            .ca = cli->ca,
                            .cert = cli->cert,
                            .key = cli->key,
                            .server_name = cli->tls_server};
    struct dray_err err = {0};
    cli->status = 0;
    return http_dial(&t, out, &err) == 0 ? 0 : cli_fail_err(cli, &err);
}

static int take_conn(struct cli *cli, struct http_conn **out, bool *reused)
{
    for (size_t i = 0; i < CLI_IDLE; i++) {
        *reused = cli->idle[i] != NULL;
        if (*reused) {
            *out = dray_steal(cli->idle[i]);
            return 0;
        }
    }
    return dial(cli, out);
}

void api_warm(struct cli *cli, size_t n)
{
    for (size_t i = 0; i < n && i < CLI_IDLE; i++) {
        if (!cli->idle[i] && dial(cli, &cli->idle[i]) != 0) {
            dray_buf_reset(&cli->error);
            return;
        }
    }
}

void api_done(struct cli *cli, struct http_conn *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CLI_IDLE && http_reusable(c); i++) {
        if (!cli->idle[i]) {
            cli->idle[i] = c;
            return;
        }
    }
    http_close(c);
}

void api_forget(struct cli *cli)
{
    for (size_t i = 0; i < CLI_IDLE; i++)
        http_close(dray_steal(cli->idle[i]));
}

static char *full_path(const struct cli *cli, const char *path)
{
    return cli_strf("/%s%s", cli->version, path);
}

static int send_request(struct cli *cli, struct http_conn *c, const struct api_request *r)
{
    dray_autofree char *path = full_path(cli, r->path);
    struct dray_err err = {0};
    const char *body = r->body ? dray_json_text(r->body) : NULL;
    int rc = http_send(c, r->method, path, r->headers, body, body ? strlen(body) : 0, &err);
    return rc == 0 ? 0 : cli_fail(cli, "error during connect: %s", err.text);
}

int api_begin(struct cli *cli, const struct api_request *r, struct http_conn **out)
{
    bool reused = false;
    struct http_conn *c = NULL;
    if (take_conn(cli, &c, &reused) != 0)
        return -1;
    int rc = send_request(cli, c, r);
    if (rc != 0 && reused) { /* the server closed it while it lay idle */
        http_close(c);
        c = NULL;
        if (dial(cli, &c) != 0)
            return -1;
        rc = send_request(cli, c, r);
    }
    if (rc != 0) {
        http_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

/* Turn an error answer into the text that a person sees. */
static int take_error(struct cli *cli, struct http_conn *c)
{
    DRAY_AUTO(dray_buf) body = {0};
    cli->status = c->status;
    (void)http_read_all(c, &body, 16 << 20, NULL);
    struct json_object *doc = NULL;
    const char *text = body.data ? body.data : "";
    if (body.len && dray_json_parse(body.data, body.len, &doc, NULL) == 0)
        text = dray_json_str(doc, "message", text);
    size_t len = strlen(text);
    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    if (len)
        (void)cli_fail(cli, "Error response from daemon: %.*s", (int)len, text);
    else
        (void)cli_fail(cli,
                       "request returned status %d for API route and version %s, check if the "
                       "server supports the requested API version",
                       c->status, cli->version);
    if (doc)
        json_object_put(doc);
    return -1;
}

int api_await(struct cli *cli, struct http_conn **c)
{
    struct dray_err err = {0};
    if (http_reply(*c, &err) != 0) {
        (void)cli_fail(cli, "error during connect: %s", err.text);
        cli->status = 0;
        http_close(dray_steal(*c));
        return -1;
    }
    if ((*c)->status >= 400) {
        (void)take_error(cli, *c);
        api_done(cli, dray_steal(*c));
        return -1;
    }
    cli->version_known = true;
    return 0;
}

/* Was the last failure "client version 1.51 is too new. Maximum supported API version is 1.41"?
 * Then that one is spoken from now on, and the request may be repeated. */
static bool downgrade(struct cli *cli)
{
    const char *text = cli->error.data ? cli->error.data : "";
    const char *at = strstr(text, "Maximum supported API version is ");
    if (cli->version_known || cli->status != 400 || !at)
        return false;
    at += strlen("Maximum supported API version is ");
    cli->version = cli_strf("v%.*s", (int)strspn(at, "0123456789."), at);
    cli->version_known = true;
    return true;
}

int api_open(struct cli *cli, const struct api_request *r, struct http_conn **out)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        bool had_idle = cli->idle[0] != NULL;
        if (api_begin(cli, r, out) != 0)
            return -1;
        if (api_await(cli, out) == 0)
            return 0;
        bool safe = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
        if (!downgrade(cli) && !(had_idle && safe && cli->status == 0))
            return -1;
    }
    return -1;
}

int api_call(struct cli *cli, const char *method, const char *path, struct json_object *body,
             struct json_object **out)
{
    struct api_request r = {.method = method, .path = path, .body = body};
    struct http_conn *c = NULL;
    if (api_open(cli, &r, &c) != 0)
        return -1;
    DRAY_AUTO(dray_buf) text = {0};
    struct dray_err err = {0};
    int rc = http_read_all(c, &text, (size_t)1 << 30, &err);
    cli->status = c->status;
    api_done(cli, c);
    if (rc == 0 && out && text.len)
        rc = dray_json_parse(text.data, text.len, out, &err);
    return rc == 0 ? 0 : cli_fail_err(cli, &err);
}

int api_ping(struct cli *cli)
{
    if (cli->version_known)
        return 0;
    const char *saved = cli->version;
    char found[32] = "";
    struct api_request r = {.method = "GET", .path = "/_ping"};
    struct http_conn *c = NULL;
    if (api_open(cli, &r, &c) != 0)
        return -1;
    (void)http_header(c, "api-version", found, sizeof found);
    DRAY_AUTO(dray_buf) body = {0};
    (void)http_read_all(c, &body, 65536, NULL);
    api_done(cli, c);
    if (*found && atof(found) < atof(saved + 1))
        cli->version = cli_strf("v%s", found);
    cli->version_known = true;
    return 0;
}

int api_copy_out(struct cli *cli, struct http_conn *c, int fd)
{
    dray_autofree char *buf = cli_need(malloc(1 << 17));
    struct dray_err err = {0};
    for (;;) {
        ssize_t n = http_read(c, buf, 1 << 17);
        if (n == 0)
            return 0;
        if (n < 0)
            return cli_fail(cli, "unexpected EOF");
        if (dray_fs_write_all(fd, buf, (size_t)n, &err) != 0)
            return cli_fail_err(cli, &err);
    }
}

static int send_body(struct cli *cli, struct http_conn *c, int fd)
{
    dray_autofree char *buf = cli_need(malloc(1 << 17));
    struct dray_err err = {0};
    ssize_t n = 0;
    while ((n = read(fd, buf, 1 << 17)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cli_fail(cli, "read: %s", cli_strerror(errno));
        if (http_send_chunk(c, buf, (size_t)n, &err) != 0)
            return 0; /* the daemon answers before it has read all: its answer says why */
    }
    (void)http_send_chunk(c, NULL, 0, &err);
    return 0;
}

int api_upload(struct cli *cli, const struct api_request *r, int fd, struct http_conn **out)
{
    if (api_ping(cli) != 0)
        return -1;
    dray_autofree char *headers =
        cli_strf("%sTransfer-Encoding: chunked\r\n", r->headers ? r->headers : "");
    struct api_request chunked = *r;
    chunked.headers = headers;
    if (api_begin(cli, &chunked, out) != 0)
        return -1;
    if (send_body(cli, *out, fd) != 0) {
        http_close(dray_steal(*out));
        return -1;
    }
    return api_await(cli, out);
}

void api_query(struct dray_buf *path, const char *key, const char *value)
{
    if (!value)
        return;
    dray_buf_addc(path, path->data && strchr(path->data, '?') ? '&' : '?');
    dray_buf_adds(path, key);
    dray_buf_addc(path, '=');
    http_escape(path, value);
}

void api_piece(struct dray_buf *path, const char *text)
{
    dray_buf_addc(path, '/');
    http_escape(path, text);
}

void api_filters(struct dray_buf *path, const struct dray_strlist *words)
{
    if (words->n == 0)
        return;
    dray_autojson *o = json_object_new_object();
    for (size_t i = 0; i < words->n; i++) {
        const char *eq = strchr(words->v[i], '=');
        if (!eq)
            continue;
        dray_autofree char *key = cli_strf("%.*s", (int)(eq - words->v[i]), words->v[i]);
        struct json_object *set = NULL;
        if (!json_object_object_get_ex(o, key, &set)) {
            set = json_object_new_object();
            json_object_object_add(o, key, set);
        }
        json_object_object_add(set, eq + 1, json_object_new_boolean(true));
    }
    api_query(path, "filters", dray_json_text(o));
}

int api_when(struct cli *cli, struct dray_buf *path, const char *key, const char *value)
{
    int64_t ns = 0;
    if (!value || !*value)
        return 0;
    if (!dray_time_parse_when(value, dray_clock_now(), &ns))
        return cli_fail(cli, "failed to parse value as time or duration: \"%s\"", value);
    dray_autofree char *text =
        cli_strf("%lld.%09lld", (long long)(ns / DRAY_NS_PER_S), (long long)(ns % DRAY_NS_PER_S));
    api_query(path, key, text);
    return 0;
}

void api_platform(struct dray_buf *path, const char *key, const char *platform)
{
    static const char *const names[] = {"os", "architecture", "variant"};
    if (!platform || !*platform)
        return;
    DRAY_AUTO(dray_strlist) parts = {0};
    dray_autojson *o = json_object_new_object();
    (void)dray_strlist_split(&parts, platform, '/');
    for (size_t i = 0; i < parts.n && i < 3; i++)
        dray_json_add_str(o, names[i], parts.v[i]);
    api_query(path, key, dray_json_text(o));
}
