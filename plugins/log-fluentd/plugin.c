/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "fluentd": the forward protocol over TCP, TLS and unix sockets. */
#include "fluentd.h"

DRAY_PLUGIN_CARD("{\"name\":\"fluentd\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

#define OPEN_MS 5000

struct stream {
    struct fluentd_options options;
    struct fluentd_facts facts;
    struct fluentd_sender sender;
    struct fluentd_queue *queue; /* async alone */
};

static int check(struct dray_kvs options, struct dray_err *err)
{
    struct fluentd_options o;
    return fluentd_options_read(options, &o, err);
}

static void stream_close(void *stream)
{
    struct stream *s = stream;
    fluentd_queue_free(s->queue);
    dray_send_link_close(&s->sender.link);
    dray_log_attrs_free(&s->facts.fields);
    free(s->facts.tag);
    free(s);
}

static int read_facts(struct stream *s, struct dray_send_opening *o, struct dray_err *err)
{
    dray_autofree char *name = NULL;
    if (asprintf(&name, "/%s", o->info->container_name) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->facts.tag = dray_steal(o->tag);
    s->facts.fields = o->attrs;
    o->attrs = (struct dray_log_attrs){.n = 0};
    int rc = dray_log_attrs_add(&s->facts.fields, "container_id", o->info->container_id, err);
    return rc ? rc : dray_log_attrs_add(&s->facts.fields, "container_name", name, err);
}

static int stream_open(struct dray_send_opening *o, void **out, struct dray_err *err)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->sender.link.conn.fd = -EBADF;
    s->sender.options = &s->options;
    int rc = fluentd_options_read(o->info->options, &s->options, err);
    if (!rc)
        rc = read_facts(s, o, err);
    s->sender.link.addr = s->options.addr;
    if (!rc && s->options.async) {
        rc = fluentd_queue_new(&s->sender, &s->queue, err);
    } else if (!rc) {
        struct dray_send_wait w = dray_send_wait_within(&o->wait, OPEN_MS);
        rc = dray_send_link_open(&s->sender.link, &w, err);
    }
    if (rc)
        stream_close(s);
    else
        *out = s;
    return rc;
}

static int send_one(struct stream *s, msgpack_sbuffer *buf, const struct dray_send_item *it,
                    const struct dray_send_wait *wait, struct dray_err *err)
{
    struct fluentd_message m = {.chunk = ""};
    if (s->options.ack)
        fluentd_chunk_id(m.chunk);
    msgpack_sbuffer_clear(buf);
    fluentd_pack(buf, &s->facts, s->options.sub_second, s->options.ack ? m.chunk : NULL, it);
    m.data = buf->data;
    m.len = buf->size;
    return s->queue ? fluentd_queue_add(s->queue, &m, err)
                    : fluentd_send(&s->sender, &m, wait, err);
}

/* Without acknowledgements messages may go together. */
static int send_together(struct stream *s, const struct dray_send_item *items, size_t n,
                         const struct dray_send_wait *wait, struct dray_err *err)
{
    msgpack_sbuffer buf;
    msgpack_sbuffer_init(&buf);
    for (size_t i = 0; i < n; i++)
        fluentd_pack(&buf, &s->facts, s->options.sub_second, NULL, &items[i]);
    const struct fluentd_message m = {.chunk = "", .data = buf.data, .len = buf.size};
    int rc = fluentd_send(&s->sender, &m, wait, err);
    msgpack_sbuffer_destroy(&buf);
    return rc;
}

static int stream_send(void *stream, const struct dray_send_item *items, size_t n,
                       const struct dray_send_wait *wait, struct dray_err *err)
{
    struct stream *s = stream;
    if (!s->queue && !s->options.ack)
        return send_together(s, items, n, wait, err);
    msgpack_sbuffer buf;
    msgpack_sbuffer_init(&buf);
    int failed = 0;
    for (size_t i = 0; i < n; i++) {
        int rc = send_one(s, &buf, &items[i], wait, failed ? NULL : err);
        failed = failed ? failed : rc;
    }
    msgpack_sbuffer_destroy(&buf);
    return failed;
}

static const char *const keys[] = {"fluentd-address",
                                   "fluentd-async",
                                   "fluentd-async-connect",
                                   "fluentd-async-reconnect-interval",
                                   "fluentd-buffer-limit",
                                   "fluentd-max-retries",
                                   "fluentd-request-ack",
                                   "fluentd-retry-wait",
                                   "fluentd-sub-second-precision",
                                   "fluentd-write-timeout",
                                   NULL};

static const struct dray_send_driver driver = {
    .name = "fluentd",
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
    .name = "fluentd",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = dray_send_driver_free,
};
