/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_wire.c - libFuzzer target: any bytes as a call that a plugin's process gets, as its answer
 * to the daemon, and as a stream of messages.
 */
#include "fuzz.h"
#include "plugin/wire.h"

#include <sys/socket.h>

static void open_reader(struct dray_wire *w, struct dray_wire_arena *memory, const uint8_t *data,
                        size_t size)
{
    dray_buf_add(&w->buf, data, size);
    w->alloc = dray_wire_arena_alloc;
    w->ctx = memory;
}

/* What was understood is written and read again. */
static void as_call(const struct dray_wire_op *op, const uint8_t *data, size_t size)
{
    DRAY_AUTO(dray_wire) w = {0};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    struct dray_wire_slots s = {0};
    open_reader(&w, &memory, data, size);
    dray_wire_get_args(&w, op, &s);
    need(w.at <= w.buf.len);
    if (w.failed)
        return;
    DRAY_AUTO(dray_wire) outputs = {0};
    dray_wire_put_outputs(&outputs, op, &s);
}

static void as_record(const uint8_t *data, size_t size)
{
    DRAY_AUTO(dray_wire) w = {0};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    struct dray_record rec = {0};
    struct dray_err err = {0};
    open_reader(&w, &memory, data, size);
    dray_wire_get_record(&w, &rec);
    for (uint64_t i = 0; !w.failed && i < rec.fields.n; i++)
        need(rec.fields.v[i].key && rec.fields.v[i].value);
    w.at = 0;
    w.failed = false;
    (void)dray_wire_get_err(&w, &err);
    need(memchr(err.text, 0, sizeof err.text) != NULL);
}

static void as_stream(const uint8_t *data, size_t size)
{
    int sv[2];
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
    (void)send(sv[0], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)close(sv[0]);
    int rc = 0;
    while (rc == 0) {
        DRAY_AUTO(dray_wire) w = {0};
        struct dray_err err = {0};
        rc = dray_wire_recv(sv[1], 1000, &w, &err);
        need_words(rc, &err);
        need(rc != DRAY_E_TIMEOUT);
    }
    (void)close(sv[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    as_stream(data + 1, size - 1);
    as_record(data + 1, size - 1);
    const struct dray_wire_op *op = dray_wire_op(data[0]);
    if (op)
        as_call(op, data + 1, size - 1);
    return 0;
}
