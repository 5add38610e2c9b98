/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "gelf": messages for Graylog and its like, over UDP or TCP. */
#include "gelf.h"
#include "log_json.h"

#include <sys/random.h>
#include <zlib.h>

DRAY_PLUGIN_CARD("{\"name\":\"gelf\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

/* A datagram, and what stands in front of a message's chunk. */
#define CHUNK 1420
#define CHUNK_HEAD 12
#define CHUNK_DATA (CHUNK - CHUNK_HEAD)
#define CHUNKS_MAX 128
#define GZIP_WINDOW (15 + 16)
#define ZLIB_WINDOW 15

struct stream {
    struct gelf_options options;
    struct dray_send_link link;
    char *facts;
    size_t facts_len;
    char host[6 * 256];
    z_stream zip;
    bool zipping;
};

static int check(struct dray_kvs options, struct dray_err *err)
{
    struct gelf_options o;
    return gelf_options_read(options, &o, err);
}

static void stream_close(void *stream)
{
    struct stream *s = stream;
    dray_send_link_close(&s->link);
    if (s->zipping)
        (void)deflateEnd(&s->zip);
    free(s->facts);
    free(s);
}

static int fill(struct stream *s, struct dray_send_opening *o, struct dray_err *err)
{
    bool udp = s->options.addr.transport == DRAY_SEND_UDP;
    s->link = (struct dray_send_link){
        .addr = s->options.addr,
        .conn = {.fd = -EBADF},
        .retries = udp ? 0 : s->options.reconnects,
        .delay_ms = s->options.delay_s * 1000,
    };
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0)
        (void)snprintf(host, sizeof host, "localhost");
    *dray_log_json_escape(s->host, (const unsigned char *)host, strlen(host)) = '\0';
    s->facts = gelf_facts(o);
    if (!s->facts)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->facts_len = strlen(s->facts);
    return 0;
}

static int stream_open(struct dray_send_opening *o, void **out, struct dray_err *err)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->link.conn.fd = -EBADF;
    int rc = gelf_options_read(o->info->options, &s->options, err);
    if (!rc)
        rc = fill(s, o, err);
    struct dray_err why = {.code = 0};
    if (!rc && dray_send_link_open(&s->link, &o->wait, &why) != 0) {
        char where[280];
        rc = dray_fail(err, why.code, "gelf: cannot connect to GELF endpoint: %s %s",
                       dray_send_addr_text(&s->link.addr, where, sizeof where), why.text);
    }
    if (rc)
        stream_close(s);
    else
        *out = s;
    return rc;
}

/* The compressor's tables are large: they are made with the first line. */
static bool start_zip(struct stream *s)
{
    int window = s->options.pack == GELF_GZIP ? GZIP_WINDOW : ZLIB_WINDOW;
    if (!s->zipping)
        s->zipping = deflateInit2(&s->zip, s->options.level, Z_DEFLATED, window, 8,
                                  Z_DEFAULT_STRATEGY) == Z_OK;
    else
        s->zipping = deflateReset(&s->zip) == Z_OK;
    return s->zipping;
}

/* Compress a message into memory of the caller's. */
static int pack(struct stream *s, const char *text, size_t len, char **out, size_t *len_out,
                struct dray_err *err)
{
    if (!start_zip(s))
        return dray_fail(err, DRAY_E_NOMEM, "gelf: the compressor cannot start");
    size_t room = deflateBound(&s->zip, len);
    char *to = malloc(room);
    if (!to)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->zip.next_in = (Bytef *)(uintptr_t)text;
    s->zip.avail_in = (uInt)len;
    s->zip.next_out = (Bytef *)to;
    s->zip.avail_out = (uInt)room;
    if (deflate(&s->zip, Z_FINISH) != Z_STREAM_END) {
        free(to);
        return dray_fail(err, DRAY_E_INTERNAL, "gelf: a message cannot be compressed");
    }
    *len_out = room - s->zip.avail_out;
    *out = to;
    return 0;
}

static int send_chunks(struct stream *s, const char *data, size_t len,
                       const struct dray_send_wait *wait, struct dray_err *err)
{
    size_t n = (len + CHUNK_DATA - 1) / CHUNK_DATA;
    if (n > CHUNKS_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "gelf: a message of %zu bytes is too long", len);
    unsigned char chunk[CHUNK] = {0x1e, 0x0f};
    if (getrandom(chunk + 2, 8, GRND_NONBLOCK) != 8)
        memcpy(chunk + 2, &data, sizeof data);
    chunk[11] = (unsigned char)n;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        size_t part = len - i * CHUNK_DATA < CHUNK_DATA ? len - i * CHUNK_DATA : CHUNK_DATA;
        chunk[10] = (unsigned char)i;
        memcpy(chunk + CHUNK_HEAD, data + i * CHUNK_DATA, part);
        rc = dray_send_link_put(&s->link, chunk, CHUNK_HEAD + part, wait, err);
    }
    return rc;
}

static int send_udp(struct stream *s, const char *text, size_t len,
                    const struct dray_send_wait *wait, struct dray_err *err)
{
    dray_autofree char *packed = NULL;
    if (s->options.pack != GELF_NONE) {
        int rc = pack(s, text, len, &packed, &len, err);
        if (rc)
            return rc;
        text = packed;
    }
    return len <= CHUNK ? dray_send_link_put(&s->link, text, len, wait, err)
                        : send_chunks(s, text, len, wait, err);
}

static int send_one(struct stream *s, const struct dray_log_record *r,
                    const struct dray_send_wait *wait, struct dray_err *err)
{
    dray_autofree char *text = malloc(GELF_ROOM(r->len) + sizeof s->host + s->facts_len);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *end = gelf_write(text, s->host, s->facts, s->facts_len, r);
    if (s->options.addr.transport == DRAY_SEND_UDP)
        return send_udp(s, text, (size_t)(end - text), wait, err);
    *end++ = '\0'; /* ends a message on TCP */
    return dray_send_link_put(&s->link, text, (size_t)(end - text), wait, err);
}

static int stream_send(void *stream, const struct dray_send_item *items, size_t n,
                       const struct dray_send_wait *wait, struct dray_err *err)
{
    int failed = 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].r->len == 0)
            continue;
        int rc = send_one(stream, items[i].r, wait, failed ? NULL : err);
        failed = failed ? failed : rc;
    }
    return failed;
}

static const char *const keys[] = {
    "gelf-address",           "gelf-compression-type",    "gelf-compression-level",
    "gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay", NULL};

static const struct dray_send_driver driver = {
    .name = "gelf",
    .quote = '"',
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
    .name = "gelf",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = dray_send_driver_free,
};
