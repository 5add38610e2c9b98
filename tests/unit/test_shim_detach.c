/* SPDX-License-Identifier: Apache-2.0 */
/* test_shim_detach.c - the detach keys in a client's input. */
#include "check.h"

#include "shim/detach.h"

#include <string.h>

struct run {
    struct shim_detach d;
    uint8_t out[256];
    size_t n;
    bool found;
};

static void keys(struct run *r, const char *text)
{
    memset(r, 0, sizeof *r);
    r->d.n = (uint8_t)strlen(text);
    memcpy(r->d.keys, text, r->d.n);
}

static void feed(struct run *r, const char *text)
{
    size_t n = 0;
    r->found = shim_detach_feed(&r->d, (const uint8_t *)text, strlen(text), r->out + r->n, &n);
    r->n += n;
}

static void is(const struct run *r, const char *text)
{
    CU_ASSERT_EQUAL(r->n, strlen(text));
    CU_ASSERT_EQUAL(memcmp(r->out, text, r->n), 0);
}

static void test_none(void)
{
    struct run r;
    keys(&r, "");
    feed(&r, "a\x10\x11z");
    CU_ASSERT_FALSE(r.found);
    is(&r, "a\x10\x11z");
}

static void test_found(void)
{
    struct run r;
    keys(&r, "\x10\x11");
    feed(&r, "ls\n\x10\x11more");
    CU_ASSERT_TRUE(r.found);
    is(&r, "ls\n");
}

static void test_split(void)
{
    struct run r;
    keys(&r, "\x10\x11");
    feed(&r, "a\x10");
    CU_ASSERT_FALSE(r.found);
    is(&r, "a");
    feed(&r, "\x11");
    CU_ASSERT_TRUE(r.found);
    is(&r, "a");
}

static void test_prefix_passed_on(void)
{
    struct run r;
    keys(&r, "\x10\x11");
    feed(&r, "\x10");
    feed(&r, "b");
    CU_ASSERT_FALSE(r.found);
    is(&r, "\x10"
           "b");
    feed(&r, "\x10\x10");
    is(&r, "\x10"
           "b\x10");
    feed(&r, "\x11");
    CU_ASSERT_TRUE(r.found);
}

static void test_overlap(void)
{
    struct run r;
    keys(&r, "aab");
    feed(&r, "aaab");
    CU_ASSERT_TRUE(r.found);
    is(&r, "a");
    keys(&r, "abab!");
    feed(&r, "ababab!x");
    CU_ASSERT_TRUE(r.found);
    is(&r, "ab");
}

static const struct check_case cases[] = {
    {"no keys", test_none},       {"found", test_found},
    {"in two reads", test_split}, {"a beginning is passed on", test_prefix_passed_on},
    {"overlaps", test_overlap},
};
CHECK_MAIN("shim/detach", cases)
