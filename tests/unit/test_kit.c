/* SPDX-License-Identifier: Apache-2.0 */
/* test_kit.c - protobuf messages, entries of trees, and calls over a connection whose both ends are
 * ours. */
#include "check.h"

#include "base/strlist.h"
#include "kit/fs.h"
#include "kit/grpc.h"
#include "kit/pb.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* ---- Messages ---- */

static void fields_come_back(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    DRAY_AUTO(dray_kvlist) map = {0};
    struct pb_field f;
    pb_uint(&b, 1, 300);
    pb_uint(&b, 2, UINT64_MAX);
    pb_uint(&b, 3, 0);
    pb_text(&b, 4, "text");
    pb_text(&b, 5, NULL);
    pb_entry(&b, 6, "key", "value");
    pb_time(&b, 7, INT64_C(1700000000000000005));
    CU_ASSERT_EQUAL_FATAL(memcmp(b.data, "\x08\xac\x02\x10", 4), 0);
    struct pb m = pb_open(b.data, b.len);
    CU_ASSERT(pb_next(&m, &f) && f.number == 1 && f.value == 300 && !f.data);
    CU_ASSERT(pb_next(&m, &f) && f.number == 2 && f.value == UINT64_MAX);
    CU_ASSERT_FATAL(pb_next(&m, &f) && f.number == 4 && f.len == 4);
    dray_autofree char *text = pb_dup(&f);
    CU_ASSERT_STRING_EQUAL(text, "text");
    CU_ASSERT_FATAL(pb_next(&m, &f) && f.number == 6);
    CU_ASSERT(pb_read_entry(&f, &map));
    CU_ASSERT_STRING_EQUAL(dray_kvlist_get(&map, "key", ""), "value");
    CU_ASSERT(pb_next(&m, &f) && f.number == 7);
    CU_ASSERT_FALSE(pb_next(&m, &f));
    CU_ASSERT_FALSE(m.bad);
}

static void malformed_messages_end(void)
{
    static const struct {
        const char *data;
        size_t len;
    } bad[] = {
        {"\x08", 1},                                          /* no number */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, /* one without end */
        {"\x0a\x05"
         "ab",
         4},                                                  /* short */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* longer than memory */
        {"\x00\x01", 2},                                      /* field 0 */
        {"\x0b", 1},                                          /* a group */
        {"\x0d\x01\x02", 3},                                  /* four bytes */
        {"\x09\x01\x02\x03", 4},                              /* eight */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pb m = pb_open(bad[i].data, bad[i].len);
        struct pb_field f;
        CU_ASSERT_FALSE(pb_next(&m, &f));
        CU_ASSERT_TRUE(m.bad);
        CU_ASSERT_FALSE(pb_next(&m, &f));
    }
    struct pb_field nul = {.number = 1, .data = "a\0b", .len = 3};
    CU_ASSERT_PTR_NULL(pb_dup(&nul));
}

/* ---- Entries ---- */

static int entry_of(const char *path, const char *link, uint64_t go, struct kit_fs_entry *out)
{
    DRAY_AUTO(dray_buf) b = {0};
    pb_text(&b, 1, path);
    pb_uint(&b, 2, go);
    pb_uint(&b, 5, 7);
    pb_text(&b, 7, link);
    const struct pb_field f = {.number = 2, .data = b.data ? b.data : "", .len = b.len};
    return kit_fs_entry_read(&f, out, NULL);
}

static void modes_are_go_s(void)
{
    static const struct {
        uint64_t go;
        mode_t mode;
    } modes[] = {
        {0644, S_IFREG | 0644},
        {1u << 31 | 1u << 20 | 0777, S_IFDIR | S_ISVTX | 0777},
        {1u << 23 | 1u << 22 | 0755, S_IFREG | S_ISUID | S_ISGID | 0755},
        {1u << 26 | 1u << 21 | 0600, S_IFCHR | 0600},
        {1u << 26 | 0600, S_IFBLK | 0600},
        {1u << 25 | 0600, S_IFIFO | 0600},
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct kit_fs_entry e = {0}, again = {0};
        DRAY_AUTO(dray_buf) b = {0};
        CU_ASSERT_EQUAL_FATAL(entry_of("a/b", "", modes[i].go, &e), 0);
        CU_ASSERT_EQUAL(e.mode, modes[i].mode);
        CU_ASSERT_EQUAL(e.size, S_ISREG(e.mode) ? 7 : 0);
        kit_fs_entry_write(&e, &b);
        const struct pb_field f = {.number = 2, .data = b.data, .len = b.len};
        CU_ASSERT_EQUAL_FATAL(kit_fs_entry_read(&f, &again, NULL), 0);
        CU_ASSERT_EQUAL(again.mode, e.mode);
        CU_ASSERT_STRING_EQUAL(again.path, "a/b");
        kit_fs_entry_fini(&e);
        kit_fs_entry_fini(&again);
    }
}

static void an_entry_is_one_thing(void)
{
    static const uint64_t bad[] = {1u << 31 | 1u << 26, 1u << 31 | 1u << 27, 1u << 27 | 1u << 25,
                                   1u << 24 | 1u << 26};
    struct kit_fs_entry e = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_EQUAL(entry_of("a", "b", bad[i] | 0644, &e), DRAY_E_INVAL);
}

static void paths_stay_inside(void)
{
    static const char *const bad[] = {"",     "/a",    "..",   ".",    "a/..",
                                      "../a", "a/./b", "a//b", "a/b/", "a/../b"};
    struct kit_fs_entry e = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_EQUAL(entry_of(bad[i], "", 0644, &e), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(entry_of("a", "../b", 0644, &e), DRAY_E_INVAL); /* a hard link */
    CU_ASSERT_EQUAL(entry_of("a", "", 1u << 27 | 0777, &e), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(entry_of("...", "../b", 1u << 27 | 0777, &e), 0); /* a symbolic one */
    kit_fs_entry_fini(&e);
}

/* ---- Calls ---- */

struct pair {
    int sv[2];
    struct grpc_conn *server, *client;
    pthread_t threads[2];
    int gone; /* eventfd: a call was not wanted any more */
    atomic_size_t flood;
};

static void *run_conn(void *arg)
{
    struct grpc_conn *c = arg;
    grpc_conn_run(c, -1);
    return NULL;
}

/* As much as the peer gives credit for. */
static void flood(struct pair *p, struct grpc_call *call)
{
    static const char data[65536];
    while (grpc_send(call, data, sizeof data, grpc_gone_fd(call), NULL) == 0)
        atomic_fetch_add(&p->flood, sizeof data);
}

/* What is served: Echo gives all back, Fail fails, Hang waits until nobody wants it, Flood sends
 * without end. */
static void serve(void *ctx, struct grpc_call *call)
{
    struct pair *p = ctx;
    DRAY_AUTO(dray_buf) msg = {0};
    struct dray_err err = {0};
    if (strcmp(grpc_method(call), "/t.T/Echo") == 0) {
        int rc = 0;
        while ((rc = grpc_recv(call, &msg, -1, &err)) == 1)
            if ((rc = grpc_send(call, msg.data ? msg.data : "", msg.len, -1, &err)) != 0)
                break;
        if (rc == 0)
            grpc_finish(call, GRPC_OK, NULL);
    } else if (strcmp(grpc_method(call), "/t.T/Fail") == 0) {
        const char *word = grpc_metadata(call, "word");
        grpc_finish(call, GRPC_NOT_FOUND, word ? word : "100% \xc3\xa4\n");
    } else if (strcmp(grpc_method(call), "/t.T/Hang") == 0) {
        struct pollfd f = {.fd = grpc_gone_fd(call), .events = POLLIN};
        (void)poll(&f, 1, 20000);
        (void)eventfd_write(p->gone, 1);
    } else if (strcmp(grpc_method(call), "/t.T/Flood") == 0) {
        flood(p, call);
    }
}

static void pair_open(struct pair *p)
{
    *p = (struct pair){.gone = eventfd(0, EFD_CLOEXEC)};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->sv), 0);
    CU_ASSERT_EQUAL_FATAL(grpc_conn_new(p->sv[0], serve, p, &p->server, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(grpc_conn_new(p->sv[1], NULL, NULL, &p->client, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&p->threads[0], NULL, run_conn, p->server), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&p->threads[1], NULL, run_conn, p->client), 0);
}

static void pair_close(struct pair *p)
{
    (void)shutdown(p->sv[0], SHUT_RDWR);
    (void)pthread_join(p->threads[0], NULL);
    (void)pthread_join(p->threads[1], NULL);
    grpc_conn_unref(p->server);
    grpc_conn_unref(p->client);
    (void)close(p->sv[0]);
    (void)close(p->sv[1]);
    (void)close(p->gone);
}

static void messages_pass_both_ways(void)
{
    static const size_t sizes[] = {0, 1, 16384, 5000000};
    struct pair p;
    pair_open(&p);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        DRAY_AUTO(dray_buf) req = {0};
        DRAY_AUTO(dray_buf) res = {0};
        for (size_t k = 0; k < sizes[i]; k++)
            dray_buf_addc(&req, (char)(k * 7 + k / 251));
        CU_ASSERT_EQUAL(grpc_unary(p.client, "/t.T/Echo", &req, &res, -1, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(res.len, req.len);
        CU_ASSERT(res.len == 0 || memcmp(res.data, req.data, res.len) == 0);
    }
    pair_close(&p);
}

/* What is not taken yet must not grow: the peer may send faster than that for hours. */
static void who_takes_slowly_is_sent_no_more(void)
{
    struct pair p;
    struct grpc_call *call = NULL;
    DRAY_AUTO(dray_buf) res = {0};
    pair_open(&p);
    CU_ASSERT_EQUAL_FATAL(grpc_call_start(p.client, "/t.T/Flood", NULL, &call, NULL), 0);
    for (int i = 0; i < 30; i++) {
        CU_ASSERT_EQUAL(grpc_recv(call, &res, -1, NULL), 1);
        (void)poll(NULL, 0, 5);
    }
    CU_ASSERT(atomic_load(&p.flood) < (size_t)5 << 20);
    grpc_call_free(call);
    pair_close(&p);
}

static void a_call_ends_with_a_status(void)
{
    struct pair p;
    struct grpc_call *call = NULL;
    struct dray_err err = {0};
    DRAY_AUTO(dray_buf) req = {0};
    DRAY_AUTO(dray_buf) res = {0};
    DRAY_AUTO(dray_kvlist) md = {0};
    pair_open(&p);
    CU_ASSERT_EQUAL(grpc_unary(p.client, "/t.T/Fail", &req, &res, -1, &err), DRAY_E_NOTFOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "100% \xc3\xa4\n");
    CU_ASSERT_EQUAL(grpc_unary(p.client, "/t.T/None", &req, &res, -1, &err), DRAY_E_INTERNAL);
    CU_ASSERT(dray_kvlist_add(&md, "word", "said"));
    CU_ASSERT_EQUAL_FATAL(grpc_call_start(p.client, "/t.T/Fail", &md, &call, NULL), 0);
    CU_ASSERT_EQUAL(grpc_recv(call, &res, -1, &err), DRAY_E_NOTFOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "said");
    grpc_call_free(call);
    pair_close(&p);
}

static void a_call_can_be_dropped(void)
{
    struct pair p;
    struct grpc_call *call = NULL;
    DRAY_AUTO(dray_buf) res = {0};
    pair_open(&p);
    CU_ASSERT_EQUAL_FATAL(grpc_call_start(p.client, "/t.T/Hang", NULL, &call, NULL), 0);
    int now = eventfd(1, EFD_CLOEXEC);
    CU_ASSERT_EQUAL(grpc_recv(call, &res, now, NULL), DRAY_E_CANCELED);
    (void)close(now);
    grpc_call_free(call);
    struct pollfd f = {.fd = p.gone, .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&f, 1, 10000), 1);
    /* The peer's end wakes who waits. */
    CU_ASSERT_EQUAL_FATAL(grpc_call_start(p.client, "/t.T/Echo", NULL, &call, NULL), 0);
    (void)shutdown(p.sv[0], SHUT_RDWR);
    CU_ASSERT_EQUAL(grpc_recv(call, &res, -1, NULL), DRAY_E_UNAVAIL);
    CU_ASSERT_EQUAL(grpc_send(call, "x", 1, -1, NULL), DRAY_E_UNAVAIL);
    struct pollfd dead = {.fd = grpc_conn_dead_fd(p.client), .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&dead, 1, 10000), 1);
    struct grpc_call *late = NULL;
    CU_ASSERT_EQUAL(grpc_call_start(p.client, "/t.T/Echo", NULL, &late, NULL), DRAY_E_UNAVAIL);
    pair_close(&p);
    grpc_call_free(call); /* outlives the connection's threads */
}

static const struct check_case cases[] = {
    {"fields come back", fields_come_back},
    {"malformed messages end", malformed_messages_end},
    {"modes are Go's", modes_are_go_s},
    {"an entry is one thing", an_entry_is_one_thing},
    {"paths stay inside", paths_stay_inside},
    {"messages pass both ways", messages_pass_both_ways},
    {"who takes slowly is sent no more", who_takes_slowly_is_sent_no_more},
    {"a call ends with a status", a_call_ends_with_a_status},
    {"a call can be dropped", a_call_can_be_dropped},
};

CHECK_MAIN("kit", cases)
