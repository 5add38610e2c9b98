/* SPDX-License-Identifier: Apache-2.0 */
/* test_dns.c - the resolver's table and answers, with questions that no client should send. */
#include "dns/answer.h"

#include "base/json.h"
#include "check.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ID(c) c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define WEB ID("a1")
#define DB ID("b2")
#define FAR ID("c3")

enum { A = 1, PTR = 12, MX = 15, TXT = 16, AAAA = 28, ANY = 255, CLASS_CHAOS = 3 };
enum { NOERROR = 0, FORMERR = 1, SERVFAIL = 2, NOTIMPL = 4 };

static struct dray_dns_container *set(struct dray_dns_table *t, const char *text)
{
    dray_autojson *doc = NULL;
    struct dray_dns_container *c = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(text, strlen(text), &doc, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dray_dns_table_set(t, doc, &c, NULL), 0);
    return c;
}

#define SERVERS                                                                                    \
    "\"servers\":[{\"addr\":\"10.0.0.1\"},{\"addr\":\"fd00::1\",\"host\":true},"                   \
    "{\"addr\":\"nonsense\"}]"

static struct dray_dns_table *new_table(void)
{
    struct dray_dns_table *t = dray_dns_table_new();
    (void)set(t, "{\"id\":\"" WEB "\",\"forward\":true," SERVERS ",\"eps\":[{\"net\":\"n1\","
                 "\"netname\":\"front\",\"v4\":\"10.1.0.2\",\"names\":[\"web\",\"www\",\"a.b\"],"
                 "\"links\":{\"store\":\"db\"}},"
                 "{\"net\":\"n2\",\"netname\":\"back.end\",\"v4\":\"10.2.0.2\",\"v6\":\"fd02::2\","
                 "\"names\":[\"web\"]}]}");
    (void)set(t, "{\"id\":\"" DB "\",\"forward\":false," SERVERS ",\"eps\":[{\"net\":\"n1\","
                 "\"netname\":\"front\",\"v4\":\"10.1.0.3\",\"v6\":\"fd01::3\","
                 "\"names\":[\"db\",\"www\",\"DB\"]}]}");
    (void)set(t, "{\"id\":\"" FAR "\",\"forward\":true,\"ndots\":true," SERVERS ",\"eps\":["
                 "{\"net\":\"n3\",\"netname\":\"other\",\"v4\":\"10.3.0.9\","
                 "\"names\":[\"far\"]}]}");
    return t;
}

static size_t question(uint8_t out[512], const char *name, uint16_t type, uint16_t class)
{
    static const uint8_t head[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    size_t n = sizeof head;
    memcpy(out, head, n);
    for (const char *p = name; *p; p += strcspn(p, ".") + (p[strcspn(p, ".")] == '.')) {
        size_t len = strcspn(p, ".");
        out[n++] = (uint8_t)len;
        memcpy(out + n, p, len);
        n += len;
    }
    out[n++] = 0;
    out[n++] = (uint8_t)(type >> 8);
    out[n++] = (uint8_t)type;
    out[n++] = (uint8_t)(class >> 8);
    out[n++] = (uint8_t) class;
    return n;
}

/* A question and what comes of it. */
struct ask_case {
    const char *who, *name;
    uint16_t type;
    enum dray_dns_verdict verdict;
    unsigned code, answers;
};

static const struct ask_case questions[] = {
    {WEB, "db", A, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "DB", A, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "www", A, DRAY_DNS_REPLY, NOERROR, 2},
    {WEB, "www", AAAA, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "web", A, DRAY_DNS_REPLY, NOERROR, 1}, /* of its first network alone */
    {WEB, "web", AAAA, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "web.back.end", A, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "a.b", A, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "a.b.front", A, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "store", A, DRAY_DNS_REPLY, NOERROR, 1},
    {DB, "store", A, DRAY_DNS_REPLY, SERVFAIL, 0},
    {WEB, "db", TXT, DRAY_DNS_REPLY, NOERROR, 0},
    {WEB, "db", MX, DRAY_DNS_REPLY, NOERROR, 0},
    {WEB, "db", ANY, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "3.0.1.10.in-addr.arpa", PTR, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "2.0.2.10.IN-ADDR.ARPA", PTR, DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "9.0.3.10.in-addr.arpa", PTR, DRAY_DNS_FORWARD, 0, 0},
    {WEB, "x.0.3.10.in-addr.arpa", PTR, DRAY_DNS_FORWARD, 0, 0},
    {WEB, "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.d.f.ip6.arpa", PTR,
     DRAY_DNS_REPLY, NOERROR, 1},
    {WEB, "far", A, DRAY_DNS_FORWARD, 0, 0}, /* not on its networks */
    {WEB, "far.other", A, DRAY_DNS_FORWARD, 0, 0},
    {WEB, "db.other", A, DRAY_DNS_FORWARD, 0, 0},
    {WEB, "example.com", A, DRAY_DNS_FORWARD, 0, 0},
    {DB, "example.com", A, DRAY_DNS_REPLY, SERVFAIL, 0}, /* may not ask outside */
    {FAR, "single", A, DRAY_DNS_REPLY, NOERROR, 0},      /* ndots was chosen */
    {FAR, "single", MX, DRAY_DNS_FORWARD, 0, 0},
    {FAR, "two.labels", A, DRAY_DNS_FORWARD, 0, 0},
    {WEB, "", A, DRAY_DNS_FORWARD, 0, 0},
};

static void test_questions(void)
{
    struct dray_dns_table *t = new_table();
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        const struct ask_case *q = &questions[i];
        DRAY_AUTO(dray_dns_reply) r = {0};
        uint8_t msg[512];
        size_t n = question(msg, q->name, q->type, 1);
        enum dray_dns_verdict v =
            dray_dns_answer(t, dray_dns_table_find(t, q->who), msg, n, false, &r);
        bool right = v == q->verdict;
        if (v == DRAY_DNS_REPLY)
            right = right && (r.data[3] & 0x0fu) == q->code && r.data[7] == q->answers &&
                    r.data[0] == 0x12 && r.data[2] & 0x80;
        else
            right = right && r.question == n - DRAY_DNS_HEADER;
        CU_ASSERT(right);
        if (!right)
            (void)fprintf(stderr, "question %zu: %s %u\n", i, q->name, q->type);
    }
    dray_dns_table_free(t);
}

static void test_changes(void)
{
    struct dray_dns_table *t = new_table();
    struct dray_dns_container *web = dray_dns_table_find(t, WEB);
    struct dray_dns_found f;
    CU_ASSERT_EQUAL(web->n_servers, 2);
    CU_ASSERT_TRUE(web->servers[1].host);
    dray_dns_table_drop(t, dray_dns_table_find(t, DB));
    dray_dns_table_lookup(t, web, "www", AF_INET, &f);
    CU_ASSERT_EQUAL(f.n, 1);
    dray_dns_table_lookup(t, web, "db", AF_INET, &f);
    CU_ASSERT_FALSE(f.known);
    CU_ASSERT_PTR_EQUAL(set(t, "{\"id\":\"" WEB "\",\"eps\":[]}"), web);
    dray_dns_table_lookup(t, web, "www", AF_INET, &f);
    CU_ASSERT_FALSE(f.known);
    dray_dns_table_drop(t, NULL);
    dray_dns_table_free(t);
}

/* More addresses than fit in a datagram: the answer says so; by TCP all come that are kept. */
static void test_truncation(void)
{
    struct dray_dns_table *t = new_table();
    for (int i = 0; i < 60; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "{\"id\":\"%064x\",\"eps\":[{\"net\":\"n1\",\"netname\":\"front\","
                       "\"v4\":\"10.1.1.%d\",\"names\":[\"c%d\",\"many\"]}]}",
                       i + 1, i, i);
        (void)set(t, text);
    }
    uint8_t msg[512];
    size_t n = question(msg, "many", A, 1);
    const struct dray_dns_container *c = dray_dns_table_find(t, WEB);
    DRAY_AUTO(dray_dns_reply) small = {0};
    DRAY_AUTO(dray_dns_reply) large = {0};
    CU_ASSERT_EQUAL(dray_dns_answer(t, c, msg, n, false, &small), DRAY_DNS_REPLY);
    CU_ASSERT_TRUE_FATAL(small.len <= DRAY_DNS_UDP_LEAST);
    CU_ASSERT_TRUE(small.data[2] & 2);
    CU_ASSERT_TRUE(small.data[7] > 20 && small.data[7] < 60);
    CU_ASSERT_EQUAL(dray_dns_answer(t, c, msg, n, true, &large), DRAY_DNS_REPLY);
    CU_ASSERT_EQUAL_FATAL(large.len > DRAY_DNS_UDP_LEAST, 1);
    CU_ASSERT_FALSE(large.data[2] & 2);
    CU_ASSERT_EQUAL(large.data[7], 60);
    dray_dns_table_free(t);
}

static enum dray_dns_verdict raw(const struct dray_dns_table *t, const uint8_t *msg, size_t n,
                                 unsigned *code)
{
    DRAY_AUTO(dray_dns_reply) r = {0};
    enum dray_dns_verdict v = dray_dns_answer(t, dray_dns_table_find(t, WEB), msg, n, false, &r);
    *code = v == DRAY_DNS_REPLY ? r.data[3] & 0x0fu : 99;
    return v;
}

static void test_odd_messages(void)
{
    struct dray_dns_table *t = new_table();
    unsigned code = 0;
    uint8_t msg[512];
    size_t n = question(msg, "db", A, 1);
    CU_ASSERT_EQUAL(raw(t, msg, 0, &code), DRAY_DNS_IGNORE);
    CU_ASSERT_EQUAL(raw(t, msg, n - 1, &code), DRAY_DNS_IGNORE);
    msg[2] |= 0x80; /* an answer */
    CU_ASSERT_EQUAL(raw(t, msg, n, &code), DRAY_DNS_IGNORE);
    msg[2] = 0x28; /* an update */
    CU_ASSERT_EQUAL(raw(t, msg, n, &code), DRAY_DNS_REPLY);
    CU_ASSERT_EQUAL(code, NOTIMPL);
    n = question(msg, "db", A, 1);
    msg[5] = 0; /* no question */
    CU_ASSERT_EQUAL(raw(t, msg, n, &code), DRAY_DNS_IGNORE);
    n = question(msg, "db", A, CLASS_CHAOS);
    CU_ASSERT_EQUAL(raw(t, msg, n, &code), DRAY_DNS_FORWARD);
    /* A name that points at itself, one that points ahead, one that points into the header. */
    static const uint8_t pointers[][6] = {
        {0xc0, 12, 0, 1, 0, 1}, {0xc0, 40, 0, 1, 0, 1}, {0xc0, 4, 0, 1, 0, 1}};
    for (size_t i = 0; i < 3; i++) {
        (void)question(msg, "", A, 1);
        memcpy(msg + DRAY_DNS_HEADER, pointers[i], 6);
        enum dray_dns_verdict v = raw(t, msg, DRAY_DNS_HEADER + 6, &code);
        CU_ASSERT(v == DRAY_DNS_IGNORE || (v == DRAY_DNS_REPLY && code == FORMERR));
    }
    /* A label with a dot in it is another name. */
    n = question(msg, "dbxfront", A, 1);
    msg[DRAY_DNS_HEADER + 3] = '.';
    CU_ASSERT_EQUAL(raw(t, msg, n, &code), DRAY_DNS_FORWARD);
    dray_dns_table_free(t);
}

/* Bytes at random and questions damaged at random: an answer is a message, whatever came. */
static void test_damage(void)
{
    struct dray_dns_table *t = new_table();
    const char *rounds = getenv("DRAY_TEST_ROUNDS");
    long n_rounds = 20000 * (rounds ? strtol(rounds, NULL, 10) : 1);
    uint32_t seed = 12345;
    uint8_t msg[512];
    for (long i = 0; i < n_rounds; i++) {
        size_t n = question(msg, i % 2 ? "www.front" : "3.0.1.10.in-addr.arpa", i % 3 ? A : PTR, 1);
        n += (size_t)i % 30;
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            msg[(seed >> 16) % n] = (uint8_t)(seed >> 8);
        }
        DRAY_AUTO(dray_dns_reply) r = {0};
        enum dray_dns_verdict v =
            dray_dns_answer(t, dray_dns_table_find(t, WEB), msg, n, i % 5 == 0, &r);
        CU_ASSERT_FATAL(v != DRAY_DNS_REPLY || r.len >= DRAY_DNS_HEADER);
        CU_ASSERT_FATAL(v != DRAY_DNS_FORWARD || r.question + DRAY_DNS_HEADER <= n);
        if (v != DRAY_DNS_FORWARD)
            continue;
        DRAY_AUTO(dray_dns_reply) failure = {0};
        CU_ASSERT_FATAL(!dray_dns_answer_failure(msg, n, &failure) ||
                        (failure.data[3] & 0x0fu) == SERVFAIL);
    }
    dray_dns_table_free(t);
}

static const struct check_case all[] = {
    {"questions and their answers", test_questions},
    {"containers change and go", test_changes},
    {"answers that do not fit", test_truncation},
    {"odd messages", test_odd_messages},
    {"damaged messages", test_damage},
};

CHECK_MAIN("dns", all)
