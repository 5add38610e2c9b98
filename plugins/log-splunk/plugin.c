/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "splunk": events for Splunk's HTTP event collector. */
#include "splunk.h"

#include <zlib.h>

DRAY_PLUGIN_CARD("{\"name\":\"splunk\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

#define GZIP_WINDOW (15 + 16)
/* Attempts to send one batch, and the pause between two. */
#define TRIES 5
#define PAUSE_MS 1000

struct stream {
    struct splunk_options options; /* its text points into copies */
    struct splunk_facts facts;
    struct dray_send_link link;
    char *token, *ca, *name;
};

static int check(struct dray_kvs options, struct dray_err *err)
{
    struct splunk_options o;
    return splunk_options_read(options, &o, err);
}

static void stream_close(void *stream)
{
    struct stream *s = stream;
    dray_send_link_close(&s->link);
    splunk_facts_free(&s->facts);
    free(s->token);
    free(s->ca);
    free(s->name);
    free(s);
}

static int fill(struct stream *s, const struct dray_send_opening *o, struct dray_err *err)
{
    struct splunk_options *opts = &s->options;
    int rc = splunk_options_read(o->info->options, opts, err);
    if (!rc)
        rc = splunk_facts_make(o, opts, &s->facts, err);
    if (rc)
        return rc;
    opts->token = s->token = strdup(opts->token);
    opts->tls.ca = s->ca = strdup(opts->tls.ca);
    opts->tls.name = s->name = strdup(opts->tls.name);
    opts->url = opts->source = opts->sourcetype = opts->index = NULL; /* in the facts */
    if (!s->token || !s->ca || !s->name)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->link.addr = opts->addr;
    s->link.tls = opts->tls;
    return 0;
}

/* Docker's words: Go's of a request that fails. */
static int verify(struct stream *s, const struct dray_send_wait *wait, struct dray_err *err)
{
    const struct splunk_request req = {.method = "OPTIONS"};
    struct dray_err why = {.code = 0};
    int rc = splunk_http(&s->link, &s->options, &req, wait, &why);
    if (!rc || strncmp(why.text, "dial", 4) != 0)
        return rc ? dray_fail(err, rc, "%s", why.text) : 0;
    return dray_fail(err, rc, "Options \"%s://%s%s\": %s",
                     s->options.addr.transport == DRAY_SEND_TLS ? "https" : "http",
                     s->options.authority, s->options.path, why.text);
}

static int stream_open(struct dray_send_opening *o, void **out, struct dray_err *err)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->link.conn.fd = -EBADF;
    int rc = fill(s, o, err);
    if (!rc && s->options.verify)
        rc = verify(s, &o->wait, err);
    if (rc)
        stream_close(s);
    else
        *out = s;
    return rc;
}

/* Compress into memory of the caller's. */
static int pack(const struct stream *s, const char *text, size_t len, char **out, size_t *len_out,
                struct dray_err *err)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)len};
    if (deflateInit2(&z, s->options.level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return dray_fail(err, DRAY_E_NOMEM, "splunk: the compressor cannot start");
    size_t room = deflateBound(&z, len);
    char *to = malloc(room);
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)room;
    int rc = to && deflate(&z, Z_FINISH) == Z_STREAM_END
                 ? 0
                 : dray_fail(err, DRAY_E_NOMEM, "splunk: events cannot be compressed");
    (void)deflateEnd(&z);
    *len_out = room - z.avail_out;
    *out = to;
    return rc;
}

static int post(struct stream *s, const char *text, size_t len, const struct dray_send_wait *wait,
                struct dray_err *err)
{
    dray_autofree char *packed = NULL;
    struct splunk_request req = {
        .method = "POST", .body = text, .len = len, .gzipped = s->options.gzip};
    if (req.gzipped) {
        int rc = pack(s, text, len, &packed, &req.len, err);
        if (rc)
            return rc;
        req.body = packed;
    }
    int rc = splunk_http(&s->link, &s->options, &req, wait, err);
    for (int i = 1; rc && rc != DRAY_E_CANCELED && i < TRIES; i++) {
        if (!dray_send_wait_sleep(wait, PAUSE_MS))
            break;
        rc = splunk_http(&s->link, &s->options, &req, wait, err);
    }
    return rc;
}

static int stream_send(void *stream, const struct dray_send_item *items, size_t n,
                       const struct dray_send_wait *wait, struct dray_err *err)
{
    struct stream *s = stream;
    size_t room = 0;
    for (size_t i = 0; i < n; i++)
        room += splunk_event_room(&s->facts, items[i].r->len);
    dray_autofree char *text = malloc(room + 1);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *p = text;
    for (size_t i = 0; i < n; i++)
        p = splunk_event_write(p, &s->facts, items[i].r);
    return p == text ? 0 : post(s, text, (size_t)(p - text), wait, err);
}

static const char *const keys[] = {"splunk-url",      "splunk-token",
                                   "splunk-source",   "splunk-sourcetype",
                                   "splunk-index",    "splunk-capath",
                                   "splunk-caname",   "splunk-insecureskipverify",
                                   "splunk-format",   "splunk-verify-connection",
                                   "splunk-gzip",     "splunk-gzip-level",
                                   "splunk-url-path", NULL};

static const struct dray_send_driver driver = {
    .name = "splunk",
    .quote = '\'',
    .keys = keys,
    .check = check,
    .open = stream_open,
    .send = stream_send,
    .close = stream_close,
};

static int32_t plugin_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    return dray_send_driver_new(&driver, host, out, err);
}

static const struct dray_log_ops ops = DRAY_SEND_DRIVER_OPS;

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_LOG, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "splunk",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = dray_send_driver_free,
};
