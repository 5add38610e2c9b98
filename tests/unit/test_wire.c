/* SPDX-License-Identifier: Apache-2.0 */
/* test_wire.c - calls as bytes: they come back as they went, and broken ones are seen to be so. */
#include "check.h"

#include "plugin/registry.h"
#include "plugin/wire.h"

#include <sys/socket.h>

static const struct dray_wire_op *find(uint32_t kind, const char *name)
{
    const struct dray_wire_op *op = NULL;
    for (uint32_t i = 0; (op = dray_wire_op(i)); i++)
        if (op->kind == kind && strcmp(op->name, name) == 0)
            return op;
    return NULL;
}

/* net_create with something of every sort. */
static void put_example(struct dray_wire *w)
{
    static const struct dray_kv kv[] = {{"a", "1"}, {"empty", ""}};
    static const struct dray_net_pool pools[] = {
        {sizeof pools[0], 4, "10.0.0.0/24", "10.0.0.1"},
        {sizeof pools[0], 6, "fd00::/64", ""},
    };
    const struct dray_net_spec spec = {.size = sizeof spec,
                                       .flags = 9,
                                       .name = "n",
                                       .options = {kv, 2},
                                       .pools = pools,
                                       .n_pools = 2};
    const struct dray_net_spec *pointer = &spec;
    const char *id = "net-1";
    void *args[] = {&id, &pointer};
    dray_wire_put_args(w, find(DRAY_KIND_NETWORK, "net_create"), args);
}

static void reader(struct dray_wire *w, struct dray_wire_arena *memory)
{
    w->alloc = dray_wire_arena_alloc;
    w->ctx = memory;
}

static void comes_back_as_it_went(void)
{
    DRAY_AUTO(dray_wire) w = {.type = DRAY_WIRE_CALL};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    struct dray_wire_slots s = {0};
    put_example(&w);
    reader(&w, &memory);
    dray_wire_get_args(&w, find(DRAY_KIND_NETWORK, "net_create"), &s);
    CU_ASSERT_FALSE_FATAL(w.failed);
    CU_ASSERT_EQUAL(w.at, w.buf.len);
    CU_ASSERT_STRING_EQUAL(s.in[0].text, "net-1");
    const struct dray_net_spec *spec = s.in[1].array.ptr;
    CU_ASSERT_EQUAL(spec->size, sizeof *spec);
    CU_ASSERT_EQUAL(spec->flags, 9);
    CU_ASSERT_STRING_EQUAL(dray_kvs_get(spec->options, "empty", "none"), "");
    CU_ASSERT_EQUAL_FATAL(spec->n_pools, 2);
    CU_ASSERT_STRING_EQUAL(spec->pools[1].subnet, "fd00::/64");
    CU_ASSERT_EQUAL(spec->pools[1].size, sizeof spec->pools[1]);
}

/* Log records hold bytes, not text, and their number is what came. */
static void records_come_back(void)
{
    DRAY_AUTO(dray_wire) w = {.type = DRAY_WIRE_CALL};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    struct dray_wire_slots s = {0};
    const struct dray_wire_op *op = find(DRAY_KIND_LOG, "write");
    const struct dray_log_record sent[] = {
        {-5, "a\0b", 3, DRAY_LOG_STDERR, DRAY_LOG_PARTIAL, 0},
        {7, NULL, 0, DRAY_LOG_STDOUT, 0, 0},
    };
    const struct dray_log_record *records = sent;
    const char *id = "c";
    uint64_t n = 2;
    void *args[] = {&id, &records, &n};
    dray_wire_put_args(&w, op, args);
    reader(&w, &memory);
    dray_wire_get_args(&w, op, &s);
    CU_ASSERT_FALSE_FATAL(w.failed);
    CU_ASSERT_EQUAL(w.at, w.buf.len);
    CU_ASSERT_EQUAL_FATAL(s.in[2].u64, 2);
    const struct dray_log_record *got = s.in[1].array.ptr;
    CU_ASSERT_EQUAL(got[0].time_ns, -5);
    CU_ASSERT_EQUAL_FATAL(got[0].len, 3);
    CU_ASSERT_EQUAL(memcmp(got[0].data, "a\0b", 3), 0);
    CU_ASSERT_EQUAL(got[0].stream, DRAY_LOG_STDERR);
    CU_ASSERT_EQUAL(got[0].flags, DRAY_LOG_PARTIAL);
    CU_ASSERT_EQUAL(got[1].len, 0);
    CU_ASSERT_EQUAL(got[1].stream, DRAY_LOG_STDOUT);
}

static void outputs_find_their_way(void)
{
    const struct dray_wire_op *op = find(DRAY_KIND_IPAM, "pool_request");
    DRAY_AUTO(dray_wire) there = {0};
    DRAY_AUTO(dray_wire) back = {0};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    struct dray_wire_slots s = {0};
    struct dray_pool_spec spec = {.size = sizeof spec, .family = 4, .subnet = "", .range = ""};
    const struct dray_pool_spec *pointer = &spec;
    const char *pool = NULL, *subnet = NULL, **pool_out = &pool, **subnet_out = &subnet;
    void *args[] = {&pointer, &pool_out, &subnet_out};
    dray_wire_put_args(&there, op, args);
    reader(&there, &memory);
    dray_wire_get_args(&there, op, &s);
    **(const char ***)s.args[1] = "p1";
    **(const char ***)s.args[2] = "10.1.0.0/16";
    dray_wire_put_outputs(&back, op, &s);
    reader(&back, &memory);
    dray_wire_get_outputs(&back, op, args);
    CU_ASSERT_FALSE(back.failed);
    CU_ASSERT_STRING_EQUAL(pool, "p1");
    CU_ASSERT_STRING_EQUAL(subnet, "10.1.0.0/16");
}

static void is_not_taken_in_pieces(void)
{
    DRAY_AUTO(dray_wire) whole = {0};
    put_example(&whole);
    for (size_t n = 0; n < whole.buf.len; n++) {
        DRAY_AUTO(dray_wire) w = {0};
        DRAY_AUTO(dray_wire_arena) memory = {0};
        struct dray_wire_slots s = {0};
        dray_buf_add(&w.buf, whole.buf.data, n);
        reader(&w, &memory);
        dray_wire_get_args(&w, find(DRAY_KIND_NETWORK, "net_create"), &s);
        CU_ASSERT_TRUE(w.failed);
    }
}

static void survives_any_bytes(void)
{
    unsigned seed = 1;
    DRAY_AUTO(dray_wire) whole = {0};
    put_example(&whole);
    for (int round = 0; round < 20000; round++) {
        DRAY_AUTO(dray_wire) w = {0};
        DRAY_AUTO(dray_wire_arena) memory = {0};
        struct dray_wire_slots s = {0};
        dray_buf_add(&w.buf, whole.buf.data, whole.buf.len);
        for (int k = 0; k < 3; k++)
            w.buf.data[(size_t)rand_r(&seed) % w.buf.len] = (char)rand_r(&seed);
        reader(&w, &memory);
        dray_wire_get_args(&w, dray_wire_op((uint32_t)rand_r(&seed) % 50), &s);
        CU_ASSERT_TRUE(w.at <= w.buf.len);
    }
}

static void messages_carry_descriptors(void)
{
    int sv[2], p[2];
    struct dray_err err = {0};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
    DRAY_AUTO(dray_wire) out = {.type = DRAY_WIRE_CALL, .id = 77};
    dray_wire_put_fd(&out, -1);
    dray_wire_put_fd(&out, p[1]);
    CU_ASSERT_EQUAL(dray_wire_send(sv[0], &out, 0, &err), 0);
    {
        DRAY_AUTO(dray_wire) in = {0};
        CU_ASSERT_EQUAL(dray_wire_recv(sv[1], 1000, &in, &err), 0);
        CU_ASSERT_EQUAL(in.id, 77);
        CU_ASSERT_EQUAL(dray_wire_get_fd(&in), -1);
        int fd = dray_wire_get_fd(&in);
        CU_ASSERT_TRUE(fd >= 0);
        CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
        CU_ASSERT_EQUAL(dray_wire_get_fd(&in), -1);
        CU_ASSERT_TRUE(in.failed);
    }
    (void)close(p[1]);
    char c[2];
    CU_ASSERT_EQUAL(read(p[0], c, 2), 1);
    CU_ASSERT_EQUAL(read(p[0], c, 2), 0); /* the received one went with its message */
    CU_ASSERT_EQUAL(send(sv[0], "\xff\xff\xff\xff\1\0\0\0\0\0\0\0\0\0\0\0", 16, 0), 16);
    DRAY_AUTO(dray_wire) bad = {0};
    CU_ASSERT_EQUAL(dray_wire_recv(sv[1], 1000, &bad, &err), DRAY_E_CORRUPT);
    (void)close(sv[0]);
    DRAY_AUTO(dray_wire) none = {0};
    CU_ASSERT_EQUAL(dray_wire_recv(sv[1], 1000, &none, &err), DRAY_E_UNAVAIL);
    (void)close(sv[1]);
    (void)close(p[0]);
}

/* A process that is stopped amid a message, or does not read, holds nobody longer than asked. */
static void waits_have_an_end(void)
{
    int sv[2];
    struct dray_err err = {0};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    static const uint32_t torn[] = {100, 1, 0, 0};
    for (size_t n = 0; n <= sizeof torn; n += sizeof torn / 2) {
        DRAY_AUTO(dray_wire) in = {0};
        uint64_t begin = dray_mono_ns();
        CU_ASSERT_EQUAL(send(sv[0], torn, n ? sizeof torn / 2 : 0, 0), n ? sizeof torn / 2 : 0);
        CU_ASSERT_EQUAL(dray_wire_recv(sv[1], 50, &in, &err), DRAY_E_TIMEOUT);
        CU_ASSERT_TRUE(dray_mono_ns() - begin < UINT64_C(5000000000));
        char rest[sizeof torn];
        while (recv(sv[1], rest, sizeof rest, MSG_DONTWAIT) > 0)
            continue;
    }
    DRAY_AUTO(dray_wire) big = {.type = DRAY_WIRE_CALL};
    CU_ASSERT_PTR_NOT_NULL_FATAL(dray_buf_room(&big.buf, 4 << 20));
    big.buf.len = 4 << 20;
    memset(big.buf.data, 0, big.buf.len);
    CU_ASSERT_EQUAL(dray_wire_send(sv[0], &big, dray_mono_ns() + 50000000, &err), DRAY_E_TIMEOUT);
    (void)close(sv[0]);
    (void)close(sv[1]);
}

/* More descriptors than a message may have are closed, not kept. */
static void descriptors_do_not_pile_up(void)
{
    int sv[2], before = dup(0);
    (void)close(before);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
    static const char head[16] = {0};
    for (size_t i = 0; i < sizeof head; i++) {
        const struct iovec byte = {(void *)(uintptr_t)&head[i], 1};
        union {
            struct cmsghdr align;
            char room[CMSG_SPACE(4 * sizeof(int))];
        } control = {.room = {0}};
        struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)&byte,
                           .msg_iovlen = 1,
                           .msg_control = control.room,
                           .msg_controllen = sizeof control.room};
        const int fds[4] = {sv[0], sv[0], sv[1], sv[1]};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(c), fds, sizeof fds);
        CU_ASSERT_EQUAL(sendmsg(sv[0], &m, 0), 1);
    }
    {
        DRAY_AUTO(dray_wire) in = {0};
        struct dray_err err = {0};
        CU_ASSERT_EQUAL(dray_wire_recv(sv[1], 1000, &in, &err), DRAY_E_CORRUPT);
    }
    (void)close(sv[0]);
    (void)close(sv[1]);
    int after = dup(0);
    CU_ASSERT_EQUAL(after, before);
    (void)close(after);
}

static const struct check_case cases[] = {
    {"comes back as it went", comes_back_as_it_went},
    {"records come back", records_come_back},
    {"outputs find their way", outputs_find_their_way},
    {"is not taken in pieces", is_not_taken_in_pieces},
    {"survives any bytes", survives_any_bytes},
    {"messages carry descriptors", messages_carry_descriptors},
    {"waits have an end", waits_have_an_end},
    {"descriptors do not pile up", descriptors_do_not_pile_up},
};
CHECK_MAIN("wire", cases)
