/* SPDX-License-Identifier: Apache-2.0 */
/* test_net_lan.c - net-macvlan and net-ipvlan with real links, in a namespace of their own. */
#include "check.h"
#include "net_host.h"
#include "net_wire.h"

#include <dray/network.h>

#define NET "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define OUTSIDE "192.0.2.2"

static struct fake_host fake;
static const struct dray_network_ops *ops;
static int outside = -1;
static struct dray_err err;

static void up(const char *so)
{
    CU_ASSERT_TRUE_FATAL(fake_open(&fake, so, NULL, 0));
    ops = (const struct dray_network_ops *)fake.plugin->ifaces[0].ops;
}

static int net_create(const char *id, const struct dray_kv *kv, size_t n)
{
    DRAY_AUTO(fake_call) mem;
    struct dray_net_pool pool = {
        .size = sizeof pool, .family = 4, .subnet = "192.0.2.0/24", .gateway = "192.0.2.254"};
    struct dray_net_spec spec = {.size = sizeof spec,
                                 .flags = DRAY_NET_IPV4,
                                 .name = "lan",
                                 .options = {kv, n},
                                 .pools = &pool,
                                 .n_pools = 1};
    err.text[0] = '\0';
    return ops->net_create(fake.self, fake_call_begin(&mem, 0), id, &spec, &err);
}

static int container(const char *ep, const char *ip)
{
    DRAY_AUTO(fake_call) mem;
    int ns = wire_ns_new();
    struct dray_ep_spec spec = {
        .size = sizeof spec, .mac = "", .ipv4 = ip, .ipv6 = "", .hostname = ""};
    const char *mac = NULL;
    struct dray_ep_join out = {0};
    int rc = ops->ep_create(fake.self, fake_call_begin(&mem, 0), NET, ep, &spec, &mac, &err);
    rc = rc ? rc
            : ops->join(fake.self, &mem.call, NET, ep, (struct dray_fd_borrow){ns}, "eth0", 1, &out,
                        &err);
    if (rc)
        (void)printf("container: %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    return ns;
}

static void drop(const char *ep, int ns)
{
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(
        ops->leave(fake.self, fake_call_begin(&mem, 0), NET, ep, (struct dray_fd_borrow){ns}, &err),
        0);
    CU_ASSERT_EQUAL(ops->ep_remove(fake.self, &mem.call, NET, ep, &err), 0);
    close(ns);
}

static void net_remove(void)
{
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(ops->net_remove(fake.self, fake_call_begin(&mem, 0), NET, &err), 0);
}

static void test_macvlan(void)
{
    const struct dray_kv good[] = {{"parent", "up0"}, {"macvlan_mode", "bridge"}};
    const struct dray_kv bad_mode[] = {{"parent", "up0"}, {"macvlan_mode", "odd"}};
    const struct dray_kv absent[] = {{"parent", "nosuch0"}};
    const struct dray_kv loop[] = {{"parent", "lo"}};
    char peer[INET6_ADDRSTRLEN];
    up(MACVLAN_SO);
    CU_ASSERT_EQUAL(net_create(NET, bad_mode, 2), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(net_create(NET, absent, 1), DRAY_E_NOTFOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "the requested parent interface nosuch0 was not found");
    CU_ASSERT_EQUAL(net_create(NET, loop, 1), DRAY_E_INVAL);
    int rc = net_create(NET, good, 2);
    if (rc == DRAY_E_NOTSUP) {
        (void)printf("skipped: %s\n", err.text);
        fake_close(&fake);
        return;
    }
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    CU_ASSERT_EQUAL(net_create("other", good, 2), DRAY_E_DENIED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "is already using parent interface up0"));
    int a = container("a1", "192.0.2.10/24");
    int b = container("b1", "192.0.2.11/24");
    CU_ASSERT_EQUAL(wire_run(a, "ip -o link show eth0 | grep -q 02:42:c0:00:02:0a"), 0);
    CU_ASSERT_EQUAL(wire_run(a, "ip route | grep -q 'default via 192.0.2.254'"), 0);
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    CU_ASSERT_TRUE(wire_tcp(b, "192.0.2.10", 80, server, peer));
    CU_ASSERT_STRING_EQUAL(peer, "192.0.2.11");
    CU_ASSERT_TRUE(wire_tcp(outside, "192.0.2.10", 80, server, peer));
    CU_ASSERT_STRING_EQUAL(peer, OUTSIDE);
    close(server);
    drop("a1", a);
    drop("b1", b);
    net_remove();
    fake_close(&fake);
    CU_ASSERT_EQUAL(wire_run(-1, "ip link show up0 >/dev/null"), 0); /* not ours */
}

static void test_made_parents(void)
{
    const struct dray_kv vlan[] = {{"parent", "up0.7"}};
    up(MACVLAN_SO);
    int rc = net_create(NET, NULL, 0);
    if (rc)
        (void)printf("skipped: %s\n", err.text);
    else
        CU_ASSERT_EQUAL(wire_run(-1, "ip link show dm-abcdefabcdef >/dev/null"), 0);
    net_remove();
    rc = net_create(NET, vlan, 1);
    if (rc)
        (void)printf("skipped: %s\n", err.text);
    else
        CU_ASSERT_EQUAL(wire_run(-1, "ip link show up0.7 >/dev/null"), 0);
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(ops->collect(fake.self, fake_call_begin(&mem, 0), (struct dray_strs){0},
                                 (struct dray_strs){0}, &err),
                    0);
    fake_close(&fake);
    CU_ASSERT_NOT_EQUAL(wire_run(-1, "ip -o link | grep -qE 'dm-abc|up0[.]7'"), 0);
}

static void test_ipvlan(void)
{
    const struct dray_kv kv[] = {{"parent", "up0"}, {"ipvlan_mode", "l3"}};
    char peer[INET6_ADDRSTRLEN];
    up(IPVLAN_SO);
    int rc = net_create(NET, kv, 2);
    if (rc == DRAY_E_NOTSUP) {
        (void)printf("skipped: %s\n", err.text);
        fake_close(&fake);
        return;
    }
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    int a = container("a1", "192.0.2.10/24");
    int b = container("b1", "192.0.2.11/24");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    CU_ASSERT_TRUE(wire_tcp(b, "192.0.2.10", 80, server, peer));
    close(server);
    drop("a1", a);
    drop("b1", b);
    net_remove();
    fake_close(&fake);
}

static const struct check_case cases[] = {
    {"macvlan", test_macvlan},
    {"parents that are made", test_made_parents},
    {"ipvlan", test_ipvlan},
};

int main(void)
{
    char line[256];
    if (geteuid() != 0 || unshare(CLONE_NEWNET)) {
        (void)printf("skipped: needs root and network namespaces\n");
        return 0;
    }
    outside = wire_ns_new();
    (void)snprintf(line, sizeof line,
                   "ip link set lo up && ip link add up0 type veth peer name out0 && "
                   "ip link set up0 up && ip link set out0 netns /proc/%d/fd/%d",
                   getpid(), outside);
    if (wire_run(-1, line) ||
        wire_run(outside, "ip addr add " OUTSIDE "/24 dev out0 && ip link set out0 up"))
        return 2;
    return check_main("net-lan", cases, sizeof cases / sizeof cases[0]);
}
