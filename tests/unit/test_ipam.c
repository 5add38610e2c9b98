/* SPDX-License-Identifier: Apache-2.0 */
/* test_ipam.c - ipam-default through its table: pools, addresses, overlaps, replay. */
#include "check.h"
#include "net_host.h"

#include <dray/ipam.h>

static const char *const default_pools[] = {"172.17.0.0/16:16", "172.18.0.0/16:16",
                                            "192.168.0.0/16:20", "fd00:1::/48:64"};
static const char *const tiny_pools[] = {"10.9.0.0/24:26"};

static const struct fake_option with_defaults[] = {
    {.name = "default-address-pools", .list = {default_pools, 4}},
    {.name = "allocation", .text = "first"},
};
static const struct fake_option with_tiny[] = {
    {.name = "default-address-pools", .list = {tiny_pools, 1}},
    {.name = "allocation", .text = "next"},
};

static struct fake_host fake;
static const struct dray_ipam_ops *ops;

static void begin(const struct fake_option *options)
{
    CU_ASSERT_TRUE_FATAL(fake_open(&fake, PLUGIN_SO, options, 2));
    ops = (const struct dray_ipam_ops *)fake.plugin->ifaces[0].ops;
}

struct answer {
    int rc;
    char pool[160];
    char text[64]; /* subnet or address */
    struct dray_err err;
};

static struct answer pool(uint32_t flags, uint32_t family, const char *subnet, const char *range,
                          const char *avoid)
{
    DRAY_AUTO(fake_call) mem;
    struct answer a = {0};
    const char *avoids[] = {avoid};
    struct dray_pool_spec spec = {.size = sizeof spec,
                                  .family = family,
                                  .subnet = subnet,
                                  .range = range,
                                  .avoid = {avoids, avoid ? 1 : 0}};
    const char *id = "";
    const char *cidr = "";
    a.rc = ops->pool_request(fake.self, fake_call_begin(&mem, flags), &spec, &id, &cidr, &a.err);
    (void)snprintf(a.pool, sizeof a.pool, "%s", id);
    (void)snprintf(a.text, sizeof a.text, "%s", cidr);
    return a;
}

static struct answer addr(uint32_t call_flags, const char *pool_id, const char *want,
                          uint32_t flags)
{
    DRAY_AUTO(fake_call) mem;
    struct answer a = {0};
    const char *got = "";
    const struct dray_addr_spec spec = {
        .size = sizeof spec, .flags = flags, .addr = want, .mac = "", .name = ""};
    a.rc = ops->addr_request(fake.self, fake_call_begin(&mem, call_flags), pool_id, &spec, &got,
                             &a.err);
    (void)snprintf(a.text, sizeof a.text, "%s", got);
    return a;
}

static void give_back(const char *pool_id, const char *address)
{
    DRAY_AUTO(fake_call) mem;
    struct dray_err err;
    CU_ASSERT_EQUAL(ops->addr_release(fake.self, fake_call_begin(&mem, 0), pool_id, address, &err),
                    0);
}

static void release_pool(const char *pool_id)
{
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(ops->pool_release(fake.self, fake_call_begin(&mem, 0), pool_id, NULL), 0);
}

static void test_pools(void)
{
    static const struct {
        uint32_t family;
        const char *subnet, *range, *avoid;
        int rc;
        const char *want; /* the subnet, or what the error says */
    } cases[] = {
        {4, "", "", NULL, 0, "172.17.0.0/16"},
        {4, "", "", NULL, 0, "172.18.0.0/16"},
        {4, "", "", NULL, 0, "192.168.0.0/20"},
        {4, "", "", "192.168.16.0/22", 0, "192.168.32.0/20"}, /* a part of the next is in use */
        {4, "", "", "192.168.48.0/19", 0, "192.168.16.0/20"}, /* the CIDR's host bits are cut */
        {4, "", "", "0.0.0.0/0", 0, "192.168.48.0/20"},       /* a default route is no use */
        {4, "10.5.0.9/16", "", NULL, 0, "10.5.0.0/16"},
        {4, "10.5.77.0/24", "", NULL, DRAY_E_CONFLICT,
         "Pool overlaps with other one on this address space"},
        {4, "10.0.0.0/8", "", NULL, DRAY_E_CONFLICT,
         "Pool overlaps with other one on this address space"},
        {4, "10.6.0.0/16", "10.6.5.0/24", NULL, 0, "10.6.0.0/16"},
        {4, "10.7.0.0/16", "10.8.5.0/24", NULL, DRAY_E_INVAL, "is not within"},
        {4, "10.7.0.0/33", "", NULL, DRAY_E_INVAL, "invalid subnet"},
        {4, "10.7.0.0", "", NULL, DRAY_E_INVAL, "invalid subnet"},
        {4, "", "10.7.0.0/24", NULL, DRAY_E_INVAL, "needs a subnet"},
        {6, "", "", NULL, 0, "fd00:1::/64"},
        {6, "", "", NULL, 0, "fd00:1:0:1::/64"},
        {6, "2001:db8::/56", "", NULL, 0, "2001:db8::/56"},
        {6, "10.9.0.0/16", "", NULL, DRAY_E_INVAL, "invalid subnet"},
    };
    begin(with_defaults);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer a = pool(0, cases[i].family, cases[i].subnet, cases[i].range, cases[i].avoid);
        const char *got = a.rc ? a.err.text : a.text;
        if (a.rc != cases[i].rc || !strstr(got, cases[i].want))
            (void)printf("\ncase %zu: %d %s, want %s\n", i, a.rc, got, cases[i].want);
        CU_ASSERT_EQUAL(a.rc, cases[i].rc);
        CU_ASSERT_PTR_NOT_NULL(strstr(got, cases[i].want));
    }
    fake_close(&fake);
}

static void test_exhausted(void)
{
    begin(with_tiny);
    struct answer first = pool(0, 4, "", "", NULL);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(pool(0, 4, "", "", NULL).rc, 0);
    struct answer a = pool(0, 4, "", "", NULL);
    CU_ASSERT_EQUAL(a.rc, DRAY_E_NOSPACE);
    CU_ASSERT_STRING_EQUAL(a.err.text, "all predefined address pools have been fully subnetted");
    release_pool(first.pool);
    CU_ASSERT_STRING_EQUAL(pool(0, 4, "", "", NULL).text, "10.9.0.0/26");
    fake_close(&fake);
}

static void test_addresses(void)
{
    begin(with_defaults);
    struct answer p = pool(0, 4, "10.1.0.0/29", "", NULL);
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", DRAY_ADDR_GATEWAY).text, "10.1.0.1/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "10.1.0.3", DRAY_ADDR_AUX).text, "10.1.0.3/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.2/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.4/29");
    struct answer a = addr(0, p.pool, "10.1.0.4", 0);
    CU_ASSERT_EQUAL(a.rc, DRAY_E_CONFLICT);
    CU_ASSERT_STRING_EQUAL(a.err.text, "Address already in use");
    CU_ASSERT_EQUAL(addr(0, p.pool, "10.1.0.8", 0).rc, DRAY_E_INVAL);
    CU_ASSERT_EQUAL(addr(0, p.pool, "10.1.0.7", 0).rc, DRAY_E_CONFLICT); /* broadcast */
    give_back(p.pool, "10.1.0.2/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.2/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.5/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.6/29");
    CU_ASSERT_EQUAL(addr(0, p.pool, "", 0).rc, DRAY_E_NOSPACE);
    CU_ASSERT_EQUAL(addr(0, "LocalDefault/1.0.0.0/8", "", 0).rc, DRAY_E_NOTFOUND);
    fake_close(&fake);
}

static void test_next_fit(void)
{
    begin(with_tiny);
    struct answer p = pool(0, 4, "10.1.0.0/29", "", NULL);
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.1/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.2/29");
    give_back(p.pool, "10.1.0.2");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.3/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.4/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.5/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.6/29");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.1.0.2/29"); /* wrapped around */
    CU_ASSERT_EQUAL(addr(0, p.pool, "", 0).rc, DRAY_E_NOSPACE);
    fake_close(&fake);
}

static void test_range(void)
{
    begin(with_defaults);
    struct answer p = pool(0, 4, "10.2.0.0/16", "10.2.5.0/30", NULL);
    for (int i = 0; i < 4; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, "10.2.5.%d/16", i);
        CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, want);
    }
    CU_ASSERT_EQUAL(addr(0, p.pool, "", 0).rc, DRAY_E_NOSPACE);
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "10.2.9.9", 0).text, "10.2.9.9/16");
    fake_close(&fake);
}

static void test_small_and_large(void)
{
    begin(with_defaults);
    struct answer p = pool(0, 4, "10.3.0.0/31", "", NULL);
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.3.0.0/31");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "10.3.0.1/31");
    CU_ASSERT_EQUAL(addr(0, p.pool, "", 0).rc, DRAY_E_NOSPACE);
    p = pool(0, 6, "2001:db8::/32", "", NULL);
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "", 0).text, "2001:db8::1/32");
    CU_ASSERT_STRING_EQUAL(addr(0, p.pool, "2001:db8::ffff:0", 0).text, "2001:db8::ffff:0/32");
    p = pool(0, 4, "10.64.0.0/10", "", NULL);
    char want[32];
    for (unsigned i = 1; i < 70000; i++) {
        struct answer a = addr(0, p.pool, "", 0);
        (void)snprintf(want, sizeof want, "10.%u.%u.%u/10", 64 + i / 65536, i / 256 % 256, i % 256);
        if (strcmp(a.text, want) != 0) {
            CU_FAIL("not in order");
            break;
        }
    }
    fake_close(&fake);
}

static void test_replay(void)
{
    begin(with_defaults);
    struct answer p = pool(DRAY_CALL_REPLAY, 4, "172.20.0.0/16", "", NULL);
    CU_ASSERT_EQUAL(p.rc, 0);
    struct answer again = pool(DRAY_CALL_REPLAY, 4, "172.20.0.0/16", "", NULL);
    CU_ASSERT_EQUAL(again.rc, 0);
    CU_ASSERT_STRING_EQUAL(again.pool, p.pool);
    CU_ASSERT_EQUAL(pool(0, 4, "172.20.0.0/16", "", NULL).rc, DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(addr(DRAY_CALL_REPLAY, p.pool, "172.20.0.7", 0).rc, 0);
    CU_ASSERT_EQUAL(addr(DRAY_CALL_REPLAY, p.pool, "172.20.0.7", 0).rc, 0);
    CU_ASSERT_EQUAL(addr(0, p.pool, "172.20.0.7", 0).rc, DRAY_E_CONFLICT);
    struct answer other = pool(0, 4, "172.21.0.0/16", "", NULL);
    DRAY_AUTO(fake_call) mem;
    const char *alive[] = {p.pool};
    CU_ASSERT_EQUAL(
        ops->collect(fake.self, fake_call_begin(&mem, 0), (struct dray_strs){alive, 1}, NULL), 0);
    CU_ASSERT_EQUAL(addr(0, other.pool, "", 0).rc, DRAY_E_NOTFOUND);
    CU_ASSERT_EQUAL(addr(0, p.pool, "", 0).rc, 0);
    fake_close(&fake);
}

static void test_bad_options(void)
{
    static const char *const bad[] = {"10.0.0.0/8",    "10.0.0.0/8:", "10.0.0.0/8:7",
                                      "10.0.0.0/8:33", "x/8:9",       "10.0.0.0/8:9x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fake_option options[] = {{.name = "default-address-pools", .list = {&bad[i], 1}},
                                        {.name = "allocation", .text = "first"}};
        CU_ASSERT_FALSE(fake_open(&fake, PLUGIN_SO, options, 2));
    }
}

static const struct check_case cases[] = {
    {"pools", test_pools},
    {"pools exhausted", test_exhausted},
    {"addresses", test_addresses},
    {"next fit", test_next_fit},
    {"range", test_range},
    {"small and large subnets", test_small_and_large},
    {"replay and collect", test_replay},
    {"bad options", test_bad_options},
};
CHECK_MAIN("ipam", cases)
