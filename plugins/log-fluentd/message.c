/* SPDX-License-Identifier: Apache-2.0 */
/* message.c - the forward protocol (Fluentd, "Forward Protocol Specification v1", message mode). */
#include "fluentd.h"

#include <arpa/inet.h>
#include <sys/random.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define WRITE_MS 30000
#define ACK_MS 10000
#define RETRY_MAX_MS 60000
#define CONNECT_MS 3000

/* Packing. */

static void pack_bytes(msgpack_packer *p, const void *data, size_t len)
{
    (void)msgpack_pack_str(p, len);
    (void)msgpack_pack_str_body(p, data, len);
}

static void pack_text(msgpack_packer *p, const char *text)
{
    pack_bytes(p, text, strlen(text));
}

static void pack_pair(msgpack_packer *p, const char *key, const char *value)
{
    pack_text(p, key);
    pack_text(p, value);
}

/* Seconds, or an EventTime with nanoseconds. */
static void pack_time(msgpack_packer *p, int64_t ns, bool sub_second)
{
    if (!sub_second) {
        (void)msgpack_pack_int64(p, ns / NS_PER_S);
        return;
    }
    const uint32_t v[2] = {htonl((uint32_t)(ns / NS_PER_S)), htonl((uint32_t)(ns % NS_PER_S))};
    (void)msgpack_pack_ext(p, sizeof v, 0);
    (void)msgpack_pack_ext_body(p, v, sizeof v);
}

static void pack_record(msgpack_packer *p, const struct fluentd_facts *facts,
                        const struct dray_send_item *it)
{
    (void)msgpack_pack_map(p, facts->fields.n + 2 + (it->part ? 4 : 0));
    for (size_t i = 0; i < facts->fields.n; i++)
        pack_pair(p, facts->fields.v[i].key, facts->fields.v[i].value);
    pack_pair(p, "source", it->r->stream == DRAY_LOG_STDERR ? "stderr" : "stdout");
    pack_text(p, "log");
    pack_bytes(p, it->r->data, it->r->len);
    if (!it->part)
        return;
    char ordinal[16];
    (void)snprintf(ordinal, sizeof ordinal, "%u", it->ordinal);
    pack_pair(p, "partial_message", "true");
    pack_pair(p, "partial_id", it->part_id);
    pack_pair(p, "partial_ordinal", ordinal);
    pack_pair(p, "partial_last", it->last ? "true" : "false");
}

void fluentd_pack(msgpack_sbuffer *out, const struct fluentd_facts *facts, bool sub_second,
                  const char *chunk, const struct dray_send_item *it)
{
    msgpack_packer p;
    msgpack_packer_init(&p, out, msgpack_sbuffer_write);
    (void)msgpack_pack_array(&p, 4);
    pack_text(&p, facts->tag);
    pack_time(&p, it->r->time_ns, sub_second);
    pack_record(&p, facts, it);
    (void)msgpack_pack_map(&p, chunk ? 1 : 0);
    if (chunk)
        pack_pair(&p, "chunk", chunk);
}

void fluentd_chunk_id(char out[FLUENTD_CHUNK_ID])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t b[18] = {0}; /* 16 bytes, padded to whole groups */
    if (getrandom(b, 16, GRND_NONBLOCK) != 16) {
        /* ids tell the messages under way on one connection apart, which is one at a time */
    }
    for (size_t i = 0; i < 6; i++) {
        uint32_t v = (uint32_t)b[3 * i] << 16 | (uint32_t)b[3 * i + 1] << 8 | b[3 * i + 2];
        for (size_t k = 0; k < 4; k++)
            out[4 * i + k] = digits[v >> (18 - 6 * k) & 63];
    }
    memcpy(out + 22, "==", 3);
}

/* Sending. */

static bool is_ack(const msgpack_object *o, const char *chunk)
{
    if (o->type != MSGPACK_OBJECT_MAP)
        return false;
    for (uint32_t i = 0; i < o->via.map.size; i++) {
        const msgpack_object *k = &o->via.map.ptr[i].key, *v = &o->via.map.ptr[i].val;
        if (k->type == MSGPACK_OBJECT_STR && v->type == MSGPACK_OBJECT_STR &&
            k->via.str.size == 3 && memcmp(k->via.str.ptr, "ack", 3) == 0)
            return v->via.str.size == strlen(chunk) &&
                   memcmp(v->via.str.ptr, chunk, v->via.str.size) == 0;
    }
    return false;
}

static int read_ack(struct fluentd_sender *s, const char *chunk, const struct dray_send_wait *wait,
                    struct dray_err *err)
{
    struct dray_send_wait w = dray_send_wait_within(wait, ACK_MS);
    char buf[512];
    size_t len = 0;
    while (len < sizeof buf) {
        ssize_t n = dray_send_recv(&s->link.conn, buf + len, sizeof buf - len, &w, err);
        if (n <= 0)
            return n < 0 ? (int)n : dray_fail(err, DRAY_E_UNAVAIL, "fluentd has gone");
        len += (size_t)n;
        msgpack_unpacked u;
        msgpack_unpacked_init(&u);
        size_t at = 0;
        msgpack_unpack_return got = msgpack_unpack_next(&u, buf, len, &at);
        bool ok = got == MSGPACK_UNPACK_SUCCESS && is_ack(&u.data, chunk);
        msgpack_unpacked_destroy(&u);
        if (ok)
            return 0;
        if (got != MSGPACK_UNPACK_CONTINUE)
            break;
    }
    return dray_fail(err, DRAY_E_IO, "fluentd did not acknowledge a message");
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * (uint64_t)NS_PER_S + (uint64_t)t.tv_nsec;
}

static int try_send(struct fluentd_sender *s, const struct fluentd_message *m,
                    const struct dray_send_wait *wait, struct dray_err *err)
{
    int64_t life = s->options->reconnect_ms;
    if (life && now_ns() - s->connected_ns > (uint64_t)life * 1000000)
        dray_send_link_close(&s->link);
    bool fresh = s->link.conn.fd < 0;
    s->link.connect_ms = CONNECT_MS;
    int rc = dray_send_link_open(&s->link, wait, err);
    if (rc)
        return rc;
    if (fresh)
        s->connected_ns = now_ns();
    struct dray_send_wait w =
        dray_send_wait_within(wait, s->options->write_ms ? s->options->write_ms : WRITE_MS);
    rc = dray_send_all(&s->link.conn, m->data, m->len, &w, err);
    if (!rc && *m->chunk)
        rc = read_ack(s, m->chunk, wait, err);
    if (rc)
        dray_send_link_close(&s->link);
    return rc;
}

int fluentd_send(struct fluentd_sender *s, const struct fluentd_message *m,
                 const struct dray_send_wait *wait, struct dray_err *err)
{
    double pause = (double)s->options->retry_ms;
    int rc = try_send(s, m, wait, err);
    for (int64_t i = 0; rc && rc != DRAY_E_CANCELED && i < s->options->max_retries; i++) {
        if (!dray_send_wait_sleep(wait, (int64_t)pause))
            break;
        pause = pause * 1.5 < RETRY_MAX_MS ? pause * 1.5 : RETRY_MAX_MS;
        rc = try_send(s, m, wait, err);
    }
    return rc;
}
