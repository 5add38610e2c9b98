/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "syslog": UDP, TCP, TLS and unix sockets. */
#include "syslog.h"

DRAY_PLUGIN_CARD("{\"name\":\"syslog\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

/* Messages of a stream are gathered up to this many bytes. */
#define GATHER ((size_t)64 << 10)

struct stream {
    struct syslog_facts facts;
    struct dray_send_link link;
    char *ca, *cert, *key;
};

static int check(struct dray_kvs options, struct dray_err *err)
{
    struct syslog_options o;
    return syslog_options_read(options, &o, err);
}

static void stream_close(void *stream)
{
    struct stream *s = stream;
    dray_send_link_close(&s->link);
    free(s->facts.tag);
    free(s->ca);
    free(s->cert);
    free(s->key);
    free(s);
}

/* The sockets that a machine's own syslog may listen at. */
static int connect_local(struct dray_send_link *l, const struct dray_send_wait *wait,
                         struct dray_err *err)
{
    static const char *const paths[] = {"/dev/log", "/var/run/syslog", "/var/run/log"};
    static const enum dray_send_transport kinds[] = {DRAY_SEND_UNIXGRAM, DRAY_SEND_UNIX};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            l->addr.transport = kinds[k];
            (void)snprintf(l->addr.host, sizeof l->addr.host, "%s", paths[i]);
            if (dray_send_link_open(l, wait, NULL) == 0)
                return 0;
        }
    }
    return dray_fail(err, DRAY_E_IO, "Unix syslog delivery error");
}

static int fill(struct stream *s, struct dray_send_opening *o, const struct syslog_options *opts,
                struct dray_err *err)
{
    s->facts = (struct syslog_facts){
        .format = opts->format,
        .framed = opts->format >= SYSLOG_RFC5424 && opts->addr.transport == DRAY_SEND_TLS,
        .facility = opts->facility,
        .pid = (int)getpid(),
        .tag = dray_steal(o->tag),
    };
    if (gethostname(s->facts.host, sizeof s->facts.host - 1) != 0)
        (void)snprintf(s->facts.host, sizeof s->facts.host, "localhost");
    s->link = (struct dray_send_link){
        .addr = opts->addr, .tls = opts->tls, .conn = {.fd = -EBADF}, .retries = 1};
    s->link.tls.ca = s->ca = strdup(opts->tls.ca);
    s->link.tls.cert = s->cert = strdup(opts->tls.cert);
    s->link.tls.key = s->key = strdup(opts->tls.key);
    return s->ca && s->cert && s->key ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int stream_open(struct dray_send_opening *o, void **out, struct dray_err *err)
{
    struct syslog_options opts;
    int rc = syslog_options_read(o->info->options, &opts, err);
    if (rc)
        return rc;
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    rc = fill(s, o, &opts, err);
    if (!rc)
        rc = opts.local ? connect_local(&s->link, &o->wait, err)
                        : dray_send_link_open(&s->link, &o->wait, err);
    if (rc)
        stream_close(s);
    else
        *out = s;
    return rc;
}

static bool datagrams(const struct stream *s)
{
    return s->link.addr.transport == DRAY_SEND_UDP || s->link.addr.transport == DRAY_SEND_UNIXGRAM;
}

static int stream_send(void *stream, const struct dray_send_item *items, size_t n,
                       const struct dray_send_wait *wait, struct dray_err *err)
{
    struct stream *s = stream;
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = items[i].r->len > longest ? items[i].r->len : longest;
    dray_autofree char *buf = malloc(GATHER + longest + SYSLOG_ROOM(&s->facts));
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *p = buf;
    int failed = 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].r->len)
            p = syslog_write(p, &s->facts, items[i].r);
        size_t held = (size_t)(p - buf);
        if (held == 0 || (i + 1 < n && held < GATHER && !datagrams(s)))
            continue;
        int rc = dray_send_link_put(&s->link, buf, held, wait, failed ? NULL : err);
        failed = failed ? failed : rc;
        p = buf;
    }
    return failed;
}

static const char *const keys[] = {
    "syslog-address",  "syslog-facility", "syslog-format",          "syslog-tls-ca-cert",
    "syslog-tls-cert", "syslog-tls-key",  "syslog-tls-skip-verify", NULL};

static const struct dray_send_driver driver = {
    .name = "syslog",
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
    .name = "syslog",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = dray_send_driver_free,
};
