/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - the life of one request between MHD and its handler. */
#include "api/http_priv.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/engine.h"
#include "engine/metrics.h"

#include <fcntl.h>
#include <strings.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "api"
#define DISCARD_NS (30 * DRAY_NS_PER_S)
#define MAX_JSON_VALUES 600000 /* every port exposed and published takes 590,000 */

static const struct {
    const char *name;
    uint32_t bit;
} methods[] = {
    {"GET", DRAY_GET},       {"POST", DRAY_POST}, {"PUT", DRAY_PUT},
    {"DELETE", DRAY_DELETE}, {"HEAD", DRAY_HEAD}, {"OPTIONS", DRAY_OPTIONS},
};

void *dray_request_new(void *server, const char *target, struct MHD_Connection *conn)
{
    struct dray_http *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->server = server;
    h->conn = conn;
    h->target = strdup(target);
    h->fd = h->sink = h->cancel_fd = h->hijack_fd = h->relay_fd = -EBADF;
    h->upload.feed = h->upload.taken = -EBADF;
    return h;
}

static void enlist(struct dray_http *h)
{
    struct dray_server *s = h->server;
    pthread_mutex_lock(&s->lock);
    h->next = s->active;
    if (h->next)
        h->next->prev = h;
    s->active = h;
    s->n_active++;
    h->listed = true;
    pthread_mutex_unlock(&s->lock);
}

static void delist(struct dray_http *h)
{
    struct dray_server *s = h->server;
    if (!h->listed)
        return;
    pthread_mutex_lock(&s->lock);
    if (h->prev)
        h->prev->next = h->next;
    else
        s->active = h->next;
    if (h->next)
        h->next->prev = h->prev;
    s->n_active--;
    s->n_hijacked -= h->state == DRAY_HTTP_HIJACKED;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

/* Run the handler and turn what it returns into an answer. */
static void run_handler(struct dray_http *h)
{
    struct dray_err err = {0};
    int rc = dray_api_authz_request(h, &err);
    h->denied = rc != 0;
    int64_t begin = dray_clock_mono();
    if (!rc)
        rc = h->route->fn(h, h->server->engine, &err);
    uint32_t timer = h->route->flags >> 8; /* DRAY_ROUTE_TIMED */
    if (!rc && timer && h->server->engine)
        dray_metrics_time(h->server->engine->metrics, timer - 1, dray_clock_mono() - begin);
    if (rc && h->state != DRAY_HTTP_OPEN)
        dray_debug("%s: after the answer had begun: %s", h->target, err.text);
    if (rc && rc != DRAY_E_CANCELED && dray_http_status(rc) == 500)
        dray_error("%s: %s", h->target, err.code ? err.text : "internal error");
    /* A stream that failed breaks off without its last chunk, so that the client can tell. */
    if (rc && h->state == DRAY_HTTP_STREAMING)
        h->gone = true;
    if (rc)
        dray_reply_error(h, rc, &err);
    else if (h->state == DRAY_HTTP_OPEN)
        dray_reply_error(h, DRAY_E_INTERNAL, NULL);
    if (h->state == DRAY_HTTP_REPLIED &&
        (rc = dray_api_authz_answer(h, h->status, h->content_type, &err)) != 0)
        dray_reply_replace(h, rc, &err);
}

/* The end of a request whose bytes we write. */
static void finish_raw(struct dray_http *h)
{
    if (h->state == DRAY_HTTP_REPLIED)
        dray_reply_write(h);
    if (h->hijack_fd >= 0) {
        (void)close(h->hijack_fd);
        h->hijack_fd = -EBADF;
    }
    if (h->relaying)
        pthread_join(h->relay, NULL);
    h->relaying = false;
    dray_reply_finish(h);
}

/* Queue the stored answer, or end a connection that we have written to. */
static enum MHD_Result conclude(struct dray_http *h)
{
    if (!h->raw)
        return dray_reply_queue(h);
    finish_raw(h);
    return MHD_NO;
}

/* ---- Requests that may take the connection over ---- */

static void on_upgrade(void *arg, struct MHD_Connection *conn, void *slot, const char *extra,
                       size_t extra_len, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh)
{
    (void)conn;
    (void)slot;
    (void)sock;
    struct dray_http *h = arg;
    h->raw = true;
    h->early_bytes = extra;
    h->early_len = extra_len;
    run_handler(h);
    finish_raw(h);
    (void)MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
}

/*
 * MHD may have read more than the request; only its upgrade call gives these bytes back. So it is
 * made to upgrade, with a socket of no use under its descriptor's number to write its own answer
 * to, while the handler answers on a duplicate of the real one.
 */
static bool take_socket(struct dray_http *h)
{
    int sv[2];
    int real = fcntl(h->fd, F_DUPFD_CLOEXEC, 3);
    if (real < 0)
        return false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0) {
        (void)close(real);
        return false;
    }
    if (dup3(sv[0], h->fd, O_CLOEXEC) < 0) {
        (void)close(real);
        (void)close(sv[1]);
        (void)close(sv[0]);
        return false;
    }
    (void)close(sv[0]);
    h->fd = real;
    h->own_fd = true;
    h->sink = sv[1];
    return true;
}

static enum MHD_Result run_hijack(struct dray_http *h)
{
    struct MHD_Response *r = h->http10 ? NULL : MHD_create_response_for_upgrade(on_upgrade, h);
    enum MHD_Result ok = MHD_NO;
    if (r && take_socket(h)) {
        (void)MHD_add_response_header(r, "Upgrade", "tcp");
        ok = MHD_queue_response(h->conn, MHD_HTTP_SWITCHING_PROTOCOLS, r);
    }
    if (r)
        MHD_destroy_response(r);
    if (ok == MHD_YES)
        return ok;
    /* HTTP/1.0, or MHD would not: nothing that was read too early can be had then. */
    h->raw = true;
    run_handler(h);
    return conclude(h);
}

/* ---- Requests with a streamed body ---- */

static void *upload_main(void *arg)
{
    struct dray_http *h = arg;
    run_handler(h);
    (void)close(h->upload.taken);
    h->upload.taken = -EBADF;
    return NULL;
}

/*
 * The handler's end of the socketpair holds one byte for ours. It is taken away at the end of a
 * complete body; when the client breaks off, our end is closed with the byte unread, and the
 * handler's read fails with ECONNRESET instead of telling a proper end.
 */
static int upload_start(struct dray_http *h)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return DRAY_E_IO;
    int size = 1 << 20;
    (void)setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    h->upload.feed = sv[0];
    h->upload.taken = sv[1];
    if (send(sv[1], "", 1, MSG_NOSIGNAL) != 1)
        return DRAY_E_IO;
    int rc = dray_thread_start(upload_main, h, &h->upload.thread);
    h->upload.started = rc == 0;
    return rc;
}

static void upload_join(struct dray_http *h, bool complete)
{
    char token = 0;
    if (complete && h->upload.feed >= 0)
        (void)recv(h->upload.feed, &token, 1, MSG_DONTWAIT);
    dray_cleanup_fd(&h->upload.feed);
    h->upload.feed = -EBADF;
    if (h->upload.started && !h->upload.ended)
        pthread_join(h->upload.thread, NULL);
    h->upload.ended = true;
}

/* The handler has had enough of the body: answer at once, read the rest away for a while. */
static enum MHD_Result upload_cut(struct dray_http *h)
{
    upload_join(h, false);
    bool streamed = h->raw;
    h->raw = true;
    if (streamed)
        return conclude(h);
    dray_reply_write(h);
    h->discard_until = dray_clock_mono() + DISCARD_NS;
    return MHD_YES;
}

static enum MHD_Result upload_feed(struct dray_http *h, const char *data, size_t n)
{
    if (!h->upload.started && upload_start(h) != 0)
        return MHD_NO;
    while (n > 0) {
        ssize_t sent = send(h->upload.feed, data, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return upload_cut(h);
        data += sent;
        n -= (size_t)sent;
    }
    return MHD_YES;
}

int dray_http_body_fd(struct dray_http *h)
{
    return h->upload.taken;
}

/* ---- What MHD calls ---- */

static enum MHD_Result refuse(struct dray_http *h, int rc)
{
    dray_reply_error(h, rc, &h->early);
    return conclude(h);
}

static enum MHD_Result begin(struct dray_http *h, const char *method, const char *version)
{
    h->begun = true;
    h->http10 = strcmp(version, "HTTP/1.1") != 0;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(method, methods[i].name) == 0)
            h->method = methods[i].bit;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(h->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || !h->target)
        return MHD_NO;
    h->fd = info->connect_fd;
    enlist(h);
    int rc = dray_request_framing(h, &h->early);
    if (rc) {
        h->close = true;
        return refuse(h, rc);
    }
    rc = dray_route_find(h, &h->early);
    if (rc && !h->early.code)
        (void)dray_fail(&h->early, rc, "bad request");
    return rc && dray_http_header_in(h, "Expect") ? refuse(h, rc) : MHD_YES;
}

static enum MHD_Result take_data(struct dray_http *h, const char *data, size_t n)
{
    if (h->discard_until)
        return dray_clock_mono() < h->discard_until ? MHD_YES : MHD_NO;
    if (h->early.code)
        return MHD_YES;
    if (h->route->flags & DRAY_ROUTE_BODY)
        return upload_feed(h, data, n);
    if (h->body.len + n > DRAY_HTTP_JSON_MAX) {
        dray_buf_free(&h->body);
        (void)dray_fail(&h->early, DRAY_E_LIMIT, "request body is larger than 32 MiB");
        return MHD_YES;
    }
    dray_buf_add(&h->body, data, n);
    if (h->body.failed)
        (void)dray_fail(&h->early, DRAY_E_NOMEM, "out of memory");
    return MHD_YES;
}

static enum MHD_Result end_of_request(struct dray_http *h)
{
    if (h->discard_until) {
        dray_reply_finish(h);
        return MHD_NO;
    }
    if (h->early.code) {
        dray_reply_error(h, h->early.code, &h->early);
        return conclude(h);
    }
    if (h->route->flags & DRAY_ROUTE_HIJACK)
        return run_hijack(h);
    if (!(h->route->flags & DRAY_ROUTE_BODY)) {
        run_handler(h);
        return conclude(h);
    }
    if (!h->upload.started && upload_start(h) != 0)
        return MHD_NO;
    upload_join(h, true);
    return conclude(h);
}

enum MHD_Result dray_request_access(void *server, struct MHD_Connection *conn, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_size, void **slot)
{
    (void)server;
    (void)conn;
    (void)url;
    struct dray_http *h = *slot;
    if (!h)
        return MHD_NO;
    if (!h->begun)
        return begin(h, method, version);
    if (*data_size == 0)
        return end_of_request(h);
    size_t n = *data_size;
    *data_size = 0;
    return take_data(h, data, n);
}

void dray_request_done(void *server, struct MHD_Connection *conn, void **slot,
                       enum MHD_RequestTerminationCode code)
{
    (void)server;
    (void)conn;
    (void)code;
    struct dray_http *h = *slot;
    if (!h)
        return;
    *slot = NULL;
    upload_join(h, false);
    dray_cleanup_fd(&h->upload.taken);
    delist(h);
    dray_cleanup_fd(&h->cancel_fd);
    dray_cleanup_fd(&h->sink);
    dray_cleanup_fd(&h->relay_fd);
    if (h->own_fd)
        (void)close(h->fd);
    dray_uri_free(&h->uri);
    dray_kvlist_free(&h->params);
    dray_kvlist_free(&h->headers);
    dray_buf_free(&h->body);
    free(h->target);
    free(h->text);
    free(h);
}

const char *dray_http_method_in(struct dray_http *h)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (methods[i].bit == h->method)
            return methods[i].name;
    return "";
}

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    (void)kind;
    return dray_kvlist_set(arg, key, value ? value : "") ? MHD_YES : MHD_NO;
}

void dray_http_headers_in(struct dray_http *h, struct dray_kvlist *out)
{
    (void)MHD_get_connection_values(h->conn, MHD_HEADER_KIND, add_header, out);
}

struct wanted_header {
    const char *name;
    struct dray_strlist *out;
    bool failed;
};

static enum MHD_Result add_wanted(void *arg, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    struct wanted_header *w = arg;
    (void)kind;
    if (strcasecmp(key, w->name) == 0)
        w->failed = w->failed || !dray_strlist_add(w->out, value ? value : "");
    return MHD_YES;
}

bool dray_http_header_in_all(struct dray_http *h, const char *name, struct dray_strlist *out)
{
    struct wanted_header w = {.name = name, .out = out};
    (void)MHD_get_connection_values(h->conn, MHD_HEADER_KIND, add_wanted, &w);
    return !w.failed;
}

const char *dray_http_header_in(struct dray_http *h, const char *name)
{
    return MHD_lookup_connection_value(h->conn, MHD_HEADER_KIND, name);
}

size_t dray_http_body_size(struct dray_http *h)
{
    return h->body.len;
}

/* As moby's httputils.CheckForJSON: a body must say that it is JSON. */
static int check_json_type(struct dray_http *h, struct dray_err *err)
{
    const char *type = dray_http_header_in(h, "Content-Type");
    if (!type || !*type)
        return dray_fail(err, DRAY_E_INVAL,
                         "malformed Content-Type header (): mime: no media type");
    size_t n = strcspn(type, "; \t");
    if (n == strlen("application/json") && strncasecmp(type, "application/json", n) == 0)
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "unsupported Content-Type header (%.100s): must be 'application/json'", type);
}

int dray_http_json_untyped(struct dray_http *h, struct json_object **out, struct dray_err *err)
{
    *out = NULL;
    if (h->body.len == 0)
        return 0;
    if (strspn(h->body.data, " \t\r\n") == h->body.len)
        return dray_fail(err, DRAY_E_INVAL, "invalid JSON: got EOF while reading request body");
    if (dray_json_values(h->body.data, h->body.len) > MAX_JSON_VALUES)
        return dray_fail(err, DRAY_E_LIMIT, "request body holds more than %d values",
                         MAX_JSON_VALUES);
    return dray_json_parse(h->body.data, h->body.len, out, err);
}

int dray_http_json(struct dray_http *h, struct json_object **out, struct dray_err *err)
{
    const char *type = dray_http_header_in(h, "Content-Type");
    *out = NULL;
    if (h->body.len == 0 && (!type || !*type))
        return 0;
    int rc = check_json_type(h, err);
    return rc ? rc : dray_http_json_untyped(h, out, err);
}
