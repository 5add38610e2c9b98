/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_net_bridge.c - net-bridge with real links, rules and traffic.
 *
 * The whole test runs in a network namespace of its own, which plays the machine; nothing outside
 * is touched, and the kernel removes everything with it.
 */
#include "check.h"
#include "net_host.h"
#include "net_wire.h"

#include <dray/network.h>
#include <net/if.h>
#include <time.h>

#define TABLE "draytest"
#define NET_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NET_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define MACHINE "192.0.2.1" /* the machine's address to the outside */
#define OUTSIDE "192.0.2.2"

static const struct fake_option options[] = {
    {.name = "table", .text = TABLE},
    {.name = "mtu", .number = 1500},
    {.name = "ip-forward", .number = 1},
    {.name = "rules", .number = 1},
};

static struct fake_host fake;
static const struct dray_network_ops *ops;
static int outside = -1; /* a namespace beyond the machine */
static char peer[INET6_ADDRSTRLEN];

static bool quiet(const char *command)
{
    char line[256];
    (void)snprintf(line, sizeof line, "%s >/dev/null 2>&1", command);
    return system(line) == 0;
}

static void setup(void)
{
    CU_ASSERT_TRUE_FATAL(fake_open(&fake, PLUGIN_SO, options, sizeof options / sizeof options[0]));
    ops = (const struct dray_network_ops *)fake.plugin->ifaces[0].ops;
}

/* The daemon dies: nothing is undone in the kernel. */
static void crash(void)
{
    fake_close(&fake);
}

static int collect_all(const char *const *nets, size_t n, const char *const *eps, size_t m)
{
    DRAY_AUTO(fake_call) mem;
    return ops->collect(fake.self, fake_call_begin(&mem, 0), (struct dray_strs){nets, n},
                        (struct dray_strs){eps, m}, NULL);
}

static void teardown(void)
{
    CU_ASSERT_EQUAL(collect_all(NULL, 0, NULL, 0), 0);
    fake_close(&fake);
    CU_ASSERT_FALSE(quiet("ip -o link show type bridge | grep -q ."));
    CU_ASSERT_FALSE(quiet("ip -o link show | grep -q ': veth'"));
}

static int net_create_as(uint32_t call_flags, const char *id, const char *subnet,
                         const char *gateway, uint32_t flags, const struct dray_kv *kv, size_t n,
                         struct dray_err *err)
{
    DRAY_AUTO(fake_call) mem;
    struct dray_net_pool pools[] = {
        {.size = sizeof pools[0], .family = 4, .subnet = subnet, .gateway = gateway},
        {.size = sizeof pools[0], .family = 6, .subnet = "fd00:7::/64", .gateway = "fd00:7::1"},
    };
    struct dray_net_spec spec = {.size = sizeof spec,
                                 .flags = flags | DRAY_NET_IPV4,
                                 .name = "test",
                                 .options = {kv, n},
                                 .pools = pools,
                                 .n_pools = flags & DRAY_NET_IPV6 ? 2 : 1};
    return ops->net_create(fake.self, fake_call_begin(&mem, call_flags), id, &spec, err);
}

static void net_create(const char *id, const char *subnet, const char *gateway, uint32_t flags,
                       const struct dray_kv *kv, size_t n)
{
    struct dray_err err = {0};
    int rc = net_create_as(0, id, subnet, gateway, flags, kv, n, &err);
    if (rc)
        (void)printf("net_create: %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
}

static int ep_create(uint32_t call_flags, const char *net, const char *ep, const char *ip4,
                     const char *ip6)
{
    DRAY_AUTO(fake_call) mem;
    struct dray_ep_spec spec = {
        .size = sizeof spec, .mac = "", .ipv4 = ip4, .ipv6 = ip6, .hostname = ""};
    const char *mac = NULL;
    struct dray_err err = {0};
    int rc =
        ops->ep_create(fake.self, fake_call_begin(&mem, call_flags), net, ep, &spec, &mac, &err);
    if (rc)
        (void)printf("ep_create: %s\n", err.text);
    return rc;
}

static int join(const char *net, const char *ep, int ns, const char *ifname, bool set_default)
{
    DRAY_AUTO(fake_call) mem;
    struct dray_ep_join out = {0};
    struct dray_err err = {0};
    int rc = ops->join(fake.self, fake_call_begin(&mem, 0), net, ep, (struct dray_fd_borrow){ns},
                       ifname, set_default, &out, &err);
    if (rc)
        (void)printf("join: %s\n", err.text);
    else
        CU_ASSERT_STRING_EQUAL(out.ifname, ifname);
    return rc;
}

/* A container's namespace on a network. */
static int container(const char *net, const char *ep, const char *ip4, const char *ip6)
{
    int ns = wire_ns_new();
    CU_ASSERT_TRUE_FATAL(ns >= 0);
    CU_ASSERT_EQUAL_FATAL(ep_create(0, net, ep, ip4, ip6), 0);
    CU_ASSERT_EQUAL_FATAL(join(net, ep, ns, "eth0", true), 0);
    return ns;
}

static int publish_as(uint32_t call_flags, const char *ep, struct dray_port *ports, size_t n,
                      struct dray_err *err)
{
    DRAY_AUTO(fake_call) mem;
    int rc = ops->publish(fake.self, fake_call_begin(&mem, call_flags), NET_A, ep, ports, n, err);
    for (size_t i = 0; i < n; i++)
        ports[i].host_ip = ""; /* lived in the call */
    return rc;
}

static struct dray_port port(const char *proto, const char *host_ip, uint16_t first, uint16_t last,
                             uint16_t container_port)
{
    return (struct dray_port){.size = sizeof(struct dray_port),
                              .proto = proto,
                              .host_ip = host_ip,
                              .host_port = first,
                              .host_port_end = last,
                              .container_port = container_port};
}

static int publish(const char *ep, const char *proto, const char *host_ip, uint16_t host_port,
                   uint16_t container_port)
{
    struct dray_err err = {0};
    struct dray_port p = port(proto, host_ip, host_port, 0, container_port);
    int rc = publish_as(0, ep, &p, 1, &err);
    if (rc)
        (void)printf("publish: %s\n", err.text);
    return rc;
}

static void unpublish(const char *ep)
{
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(ops->unpublish(fake.self, fake_call_begin(&mem, 0), NET_A, ep, NULL), 0);
}

static void ep_remove(const char *ep)
{
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(ops->ep_remove(fake.self, fake_call_begin(&mem, 0), NET_A, ep, NULL), 0);
}

static int net_remove(const char *net)
{
    DRAY_AUTO(fake_call) mem;
    return ops->net_remove(fake.self, fake_call_begin(&mem, 0), net, NULL);
}

static void net_a(void)
{
    net_create(NET_A, "172.30.0.0/24", "172.30.0.1", 0, NULL, 0);
}

static bool has(int ns, const char *command)
{
    char line[256];
    (void)snprintf(line, sizeof line, "%s >/dev/null 2>&1", command);
    return wire_run(ns, line) == 0;
}

static void test_links(void)
{
    const struct dray_kv kv[] = {{"com.docker.network.bridge.name", "drt0"},
                                 {"com.docker.network.driver.mtu", "1400"}};
    setup();
    net_create(NET_A, "172.30.0.0/24", "172.30.0.1", 0, kv, 2);
    CU_ASSERT_TRUE(quiet("ip -o addr show dev drt0 | grep -q '172.30.0.1/24 brd 172.30.0.255'"));
    CU_ASSERT_TRUE(quiet("ip -o link show dev drt0 up | grep -q 'mtu 1400'"));
    int ns = container(NET_A, "c1c1c1c1c1c1c1", "172.30.0.2/24", "");
    CU_ASSERT_TRUE(has(ns, "ip -o link show eth0 up | grep 'mtu 1400' | "
                           "grep -q 'link/ether 02:42:ac:1e:00:02'"));
    CU_ASSERT_TRUE(has(ns, "ip -o addr show eth0 | grep -q 'inet 172.30.0.2/24'"));
    CU_ASSERT_TRUE(has(ns, "ip route | grep -q 'default via 172.30.0.1 dev eth0'"));
    CU_ASSERT_TRUE(has(ns, "ip -o link show lo up | grep -q LOOPBACK"));
    CU_ASSERT_FALSE(has(ns, "ip -6 addr show dev eth0 | grep -q fe80"));
    /* The same again is no error. */
    net_create(NET_A, "172.30.0.0/24", "172.30.0.1", 0, kv, 2);
    CU_ASSERT_EQUAL(ep_create(0, NET_A, "c1c1c1c1c1c1c1", "172.30.0.2/24", ""), 0);
    CU_ASSERT_EQUAL(join(NET_A, "c1c1c1c1c1c1c1", ns, "eth0", true), 0);
    /* A second network of the same bridge is refused, as is the removal of one in use. */
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(net_create_as(0, NET_B, "172.31.0.0/24", "172.31.0.1", 0, kv, 2, &err),
                    DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(net_remove(NET_A), DRAY_E_CONFLICT);
    /* A second network in the same container takes no default route. */
    net_create(NET_B, "172.31.0.0/24", "172.31.0.1", 0, NULL, 0);
    CU_ASSERT_EQUAL(ep_create(0, NET_B, "d1d1d1d1d1d1", "172.31.0.2/24", ""), 0);
    CU_ASSERT_EQUAL(join(NET_B, "d1d1d1d1d1d1", ns, "eth1", false), 0);
    CU_ASSERT_TRUE(has(ns, "ip route | grep -q '172.31.0.0/24 dev eth1'"));
    CU_ASSERT_TRUE(has(ns, "ip route | grep -q 'default via 172.30.0.1 dev eth0'"));
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(ops->leave(fake.self, fake_call_begin(&mem, 0), NET_B, "d1d1d1d1d1d1",
                               (struct dray_fd_borrow){ns}, NULL),
                    0);
    ep_remove("d1d1d1d1d1d1");
    CU_ASSERT_EQUAL(net_remove(NET_B), 0);
    /* Back again at once, although the old link is still on its way out. */
    net_create(NET_B, "172.31.0.0/24", "172.31.0.1", 0, NULL, 0);
    CU_ASSERT_EQUAL(ep_create(0, NET_B, "d1d1d1d1d1d1", "172.31.0.2/24", ""), 0);
    CU_ASSERT_EQUAL(join(NET_B, "d1d1d1d1d1d1", ns, "eth1", true), 0);
    CU_ASSERT_TRUE(has(ns, "ip route | grep -q 'default via 172.31.0.1 dev eth1'"));
    /* A name that is taken is only a hint; the default route can be moved by joining again. */
    CU_ASSERT_EQUAL(ep_create(0, NET_A, "e1e1e1e1e1e1", "172.30.0.9/24", ""), 0);
    struct dray_ep_join out = {0};
    CU_ASSERT_EQUAL(ops->join(fake.self, &mem.call, NET_A, "e1e1e1e1e1e1",
                              (struct dray_fd_borrow){ns}, "eth1", 0, &out, &err),
                    0);
    CU_ASSERT_STRING_EQUAL(out.ifname, "eth2");
    CU_ASSERT_EQUAL(join(NET_A, "c1c1c1c1c1c1c1", ns, "eth0", true), 0);
    CU_ASSERT_TRUE(has(ns, "ip route | grep -q 'default via 172.30.0.1 dev eth0'"));
    close(ns);
    teardown();
}

static void test_bad_options(void)
{
    static const struct {
        struct dray_kv kv;
        const char *want;
    } bad[] = {
        {{"com.docker.network.bridge.enable_icc", "maybe"}, "enable_icc"},
        {{"com.docker.network.driver.mtu", "-1"}, "mtu"},
        {{"com.docker.network.driver.mtu", "1e3"}, "mtu"},
        {{"com.docker.network.bridge.name", "a-name-that-is-too-long"}, "bridge name"},
        {{"com.docker.network.bridge.name", "a/b"}, "bridge name"},
        {{"com.docker.network.bridge.host_binding_ipv4", "host"}, "host_binding_ipv4"},
        {{"com.docker.network.bridge.gateway_mode_ipv4", "odd"}, "gateway mode"},
        {{"com.docker.network.bridge.name", "lo"}, "not a bridge"},
    };
    setup();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dray_err err = {0};
        CU_ASSERT_NOT_EQUAL(
            net_create_as(0, NET_A, "172.30.0.0/24", "172.30.0.1", 0, &bad[i].kv, 1, &err), 0);
        if (!strstr(err.text, bad[i].want))
            (void)printf("\n%s\n", err.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, bad[i].want));
    }
    teardown();
}

static void test_tcp(void)
{
    setup();
    net_a();
    net_create(NET_B, "172.31.0.0/24", "172.31.0.1", 0, NULL, 0);
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int a2 = container(NET_A, "a2a2a2a2a2a2", "172.30.0.3/24", "");
    int b = container(NET_B, "b1b1b1b1b1b1", "172.31.0.2/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", "0.0.0.0", 8080, 80), 0);

    CU_ASSERT_TRUE(wire_tcp(-1, "127.0.0.1", 8080, server, peer));
    CU_ASSERT_STRING_EQUAL(peer, "172.30.0.1");
    CU_ASSERT_TRUE(wire_tcp(-1, MACHINE, 8080, server, peer));
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8080, server, peer));
    CU_ASSERT_STRING_EQUAL(peer, OUTSIDE);                    /* the client's address is kept */
    CU_ASSERT_TRUE(wire_tcp(a, MACHINE, 8080, server, peer)); /* hairpin */
    CU_ASSERT_TRUE(wire_tcp(a, "172.30.0.1", 8080, server, peer));
    CU_ASSERT_TRUE(wire_tcp(a2, MACHINE, 8080, server, peer));    /* a neighbour */
    CU_ASSERT_TRUE(wire_tcp(b, MACHINE, 8080, server, peer));     /* another network */
    CU_ASSERT_TRUE(wire_tcp(a2, "172.30.0.2", 80, server, peer)); /* directly */
    CU_ASSERT_STRING_EQUAL(peer, "172.30.0.3");
    CU_ASSERT_FALSE(wire_tcp(b, "172.30.0.2", 80, server, peer)); /* isolation */
    CU_ASSERT_TRUE(has(outside, "ip route add 172.30.0.0/24 via " MACHINE));
    CU_ASSERT_FALSE(wire_tcp(outside, "172.30.0.2", 80, server, peer));
    CU_ASSERT_TRUE(has(outside, "ip route del 172.30.0.0/24"));
    CU_ASSERT_FALSE(wire_tcp(-1, "127.0.0.1", 8081, server, peer));

    /* The machine's own loopback is closed to containers, in spite of route_localnet. */
    int own = wire_serve(-1, AF_INET, SOCK_STREAM, 9099);
    CU_ASSERT_TRUE(has(a, "sysctl -q net.ipv4.conf.all.route_localnet=1 && "
                          "ip addr del 127.0.0.1/8 dev lo && "
                          "ip route add 127.0.0.1 via 172.30.0.1 src 172.30.0.2"));
    CU_ASSERT_FALSE(wire_tcp(a, "127.0.0.1", 9099, own, peer));
    close(own);

    /* Outbound traffic leaves under the machine's address. */
    int far = wire_serve(outside, AF_INET, SOCK_STREAM, 81);
    CU_ASSERT_TRUE(wire_tcp(a2, OUTSIDE, 81, far, peer));
    CU_ASSERT_STRING_EQUAL(peer, MACHINE);
    close(far);

    unpublish("a1a1a1a1a1a1");
    CU_ASSERT_FALSE(wire_tcp(outside, MACHINE, 8080, server, peer));
    close(server);
    close(a);
    close(a2);
    close(b);
    teardown();
}

static void test_udp(void)
{
    setup();
    net_a();
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int server = wire_serve(a, AF_INET, SOCK_DGRAM, 53);
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "udp", "", 5353, 53), 0);
    CU_ASSERT_TRUE(wire_udp(-1, "127.0.0.1", 5353, server, peer));
    CU_ASSERT_TRUE(wire_udp(outside, MACHINE, 5353, server, peer));
    CU_ASSERT_STRING_EQUAL(peer, OUTSIDE);
    CU_ASSERT_TRUE(wire_udp(a, MACHINE, 5353, server, peer));
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "sctp", "", 5353, 53), 0);
    close(server);
    close(a);
    teardown();
}

/* One client socket that never changes its port. */
static bool reaches(int client, int server)
{
    char byte;
    return send(client, "q", 1, 0) == 1 && recv(server, &byte, 1, 0) == 1;
}

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Flows of before are forgotten a moment after a port is published. */
static bool reaches_soon(int client, int server)
{
    double end = now_ms() + 10000;
    while (now_ms() < end)
        if (reaches(client, server))
            return true;
    return false;
}

static void test_udp_moves(void)
{
    setup();
    net_a();
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int b = container(NET_A, "b2b2b2b2b2b2", "172.30.0.3/24", "");
    int server_a = wire_serve(a, AF_INET, SOCK_DGRAM, 53);
    int server_b = wire_serve(b, AF_INET, SOCK_DGRAM, 53);
    struct sockaddr_storage to;
    socklen_t len = wire_addr(MACHINE, 5353, &to);
    int client = wire_socket(outside, AF_INET, SOCK_DGRAM);
    CU_ASSERT_EQUAL(connect(client, (struct sockaddr *)&to, len), 0);
    CU_ASSERT_FALSE(reaches(client, server_a)); /* before there is anything */
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "udp", "", 5353, 53), 0);
    CU_ASSERT_TRUE(reaches_soon(client, server_a));
    unpublish("a1a1a1a1a1a1");
    CU_ASSERT_EQUAL(publish("b2b2b2b2b2b2", "udp", "", 5353, 53), 0);
    CU_ASSERT_TRUE(reaches_soon(client, server_b));
    close(client);
    close(server_a);
    close(server_b);
    close(a);
    close(b);
    teardown();
}

static void test_host_ip(void)
{
    setup();
    net_a();
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", "127.0.0.1", 8080, 80), 0);
    CU_ASSERT_TRUE(wire_tcp(-1, "127.0.0.1", 8080, server, peer));
    CU_ASSERT_FALSE(wire_tcp(outside, MACHINE, 8080, server, peer));
    /* Nor by a neighbour who sends packets for 127.0.0.1 over the wire. */
    CU_ASSERT_TRUE(has(outside, "ip addr del 127.0.0.1/8 dev lo; "
                                "sysctl -q net.ipv4.conf.all.route_localnet=1; "
                                "ip route add 127.0.0.1 via " MACHINE " src " OUTSIDE));
    CU_ASSERT_FALSE(wire_tcp(outside, "127.0.0.1", 8080, server, peer));
    CU_ASSERT_TRUE(has(outside, "ip route del 127.0.0.1; ip addr add 127.0.0.1/8 dev lo"));
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", MACHINE, 8080, 80), 0);
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8080, server, peer));
    struct dray_err err = {0};
    struct dray_port p = port("tcp", "203.0.113.9", 8080, 0, 80);
    CU_ASSERT_NOT_EQUAL(publish_as(0, "a1a1a1a1a1a1", &p, 1, &err), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot assign requested address"));
    close(server);
    close(a);
    teardown();
}

static void test_conflicts(void)
{
    setup();
    net_a();
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int b = container(NET_A, "b2b2b2b2b2b2", "172.30.0.3/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", "0.0.0.0", 8080, 80), 0);
    struct dray_port p = port("tcp", "0.0.0.0", 8080, 0, 80);
    CU_ASSERT_EQUAL(publish_as(0, "b2b2b2b2b2b2", &p, 1, &err), DRAY_E_CONFLICT);
    CU_ASSERT_STRING_EQUAL(err.text, "Bind for 0.0.0.0:8080 failed: port is already allocated");
    p = port("tcp", "127.0.0.1", 8080, 0, 80);
    CU_ASSERT_EQUAL(publish_as(0, "b2b2b2b2b2b2", &p, 1, &err), DRAY_E_CONFLICT);
    CU_ASSERT_STRING_EQUAL(err.text, "Bind for 127.0.0.1:8080 failed: port is already allocated");
    /* All or nothing: the first of two must be free again. */
    struct dray_port two[] = {port("tcp", "0.0.0.0", 8090, 0, 80),
                              port("tcp", "0.0.0.0", 8080, 0, 81)};
    CU_ASSERT_EQUAL(publish_as(0, "b2b2b2b2b2b2", two, 2, &err), DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(publish("b2b2b2b2b2b2", "tcp", "0.0.0.0", 8090, 80), 0);
    CU_ASSERT_EQUAL(publish("b2b2b2b2b2b2", "udp", "0.0.0.0", 8080, 80), 0);
    /* Another process has it. */
    int other = wire_serve(-1, AF_INET, SOCK_STREAM, 8085);
    p = port("tcp", "0.0.0.0", 8085, 0, 80);
    CU_ASSERT_EQUAL(publish_as(0, "b2b2b2b2b2b2", &p, 1, &err), DRAY_E_CONFLICT);
    CU_ASSERT_STRING_EQUAL(err.text, "failed to bind host port for 0.0.0.0:8085:172.30.0.3:80/tcp: "
                                     "address already in use");
    close(other);
    /* And nobody else gets what is published. */
    CU_ASSERT_EQUAL(wire_serve(-1, AF_INET, SOCK_STREAM, 8080), -1);
    ep_remove("a1a1a1a1a1a1");
    other = wire_serve(-1, AF_INET, SOCK_STREAM, 8080);
    CU_ASSERT_TRUE(other >= 0);
    close(other);
    close(server);
    close(a);
    close(b);
    teardown();
}

static void test_ranges(void)
{
    setup();
    net_a();
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    struct dray_err err = {0};
    struct dray_port p = port("tcp", "0.0.0.0", 0, 0, 80);
    CU_ASSERT_EQUAL(publish_as(0, "a1a1a1a1a1a1", &p, 1, &err), 0);
    CU_ASSERT_TRUE(p.host_port >= 32768 && p.host_port <= 60999);
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, p.host_port, server, peer));
    uint16_t first = p.host_port;
    int other = wire_serve(-1, AF_INET, SOCK_STREAM, (uint16_t)(first + 1));
    p = port("tcp", "0.0.0.0", 0, 0, 81);
    CU_ASSERT_EQUAL(publish_as(0, "a1a1a1a1a1a1", &p, 1, &err), 0);
    CU_ASSERT_TRUE(p.host_port != first && p.host_port != first + 1);
    close(other);
    for (uint16_t want = 8000; want <= 8002; want++) {
        p = port("tcp", "0.0.0.0", 8000, 8002, 80);
        CU_ASSERT_EQUAL(publish_as(0, "a1a1a1a1a1a1", &p, 1, &err), 0);
        CU_ASSERT_EQUAL(p.host_port, want);
    }
    p = port("tcp", "0.0.0.0", 8000, 8002, 80);
    CU_ASSERT_EQUAL(publish_as(0, "a1a1a1a1a1a1", &p, 1, &err), DRAY_E_CONFLICT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "port is already allocated"));
    close(server);
    close(a);
    teardown();
}

static void test_ipv6(void)
{
    setup();
    net_create(NET_A, "172.30.0.0/24", "172.30.0.1", DRAY_NET_IPV6, NULL, 0);
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "fd00:7::2/64");
    int server = wire_serve(a, AF_INET6, SOCK_STREAM, 80);
    int server4 = wire_serve(a, AF_INET, SOCK_STREAM, 81);
    struct dray_port two[] = {port("tcp", "0.0.0.0", 0, 0, 81), port("tcp", "::", 0, 0, 81)};
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(publish_as(0, "a1a1a1a1a1a1", two, 2, &err), 0);
    CU_ASSERT_EQUAL(two[0].host_port, two[1].host_port);
    CU_ASSERT_TRUE(wire_tcp(-1, "127.0.0.1", two[0].host_port, server4, peer));
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", "::", 8080, 80), 0);
    CU_ASSERT_TRUE(wire_tcp(outside, "2001:db8:2::1", 8080, server, peer));
    CU_ASSERT_STRING_EQUAL(peer, "2001:db8:2::2");
    CU_ASSERT_TRUE(wire_tcp(-1, "2001:db8:2::1", 8080, server, peer));
    CU_ASSERT_TRUE(wire_tcp(a, "2001:db8:2::1", 8080, server, peer));
    int far = wire_serve(outside, AF_INET6, SOCK_STREAM, 81);
    CU_ASSERT_TRUE(wire_tcp(a, "2001:db8:2::2", 81, far, peer));
    CU_ASSERT_STRING_EQUAL(peer, "2001:db8:2::1");
    struct dray_port p = port("tcp", "::", 8080, 0, 80);
    CU_ASSERT_EQUAL(publish_as(0, "a1a1a1a1a1a1", &p, 1, &err), DRAY_E_CONFLICT);
    CU_ASSERT_STRING_EQUAL(err.text, "Bind for [::]:8080 failed: port is already allocated");
    close(far);
    close(server);
    close(server4);
    close(a);
    teardown();
}

static void test_internal_and_icc(void)
{
    const struct dray_kv no_icc[] = {{"com.docker.network.bridge.enable_icc", "false"}};
    setup();
    net_create(NET_A, "172.30.0.0/24", "172.30.0.1", DRAY_NET_INTERNAL, NULL, 0);
    net_create(NET_B, "172.31.0.0/24", "172.31.0.1", 0, no_icc, 1);
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int a2 = container(NET_A, "a2a2a2a2a2a2", "172.30.0.3/24", "");
    int b = container(NET_B, "b1b1b1b1b1b1", "172.31.0.2/24", "");
    int b2 = container(NET_B, "b2b2b2b2b2b2", "172.31.0.3/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    int server_b = wire_serve(b, AF_INET, SOCK_STREAM, 80);
    int far = wire_serve(outside, AF_INET, SOCK_STREAM, 81);
    CU_ASSERT_FALSE(has(a, "ip route | grep -q default"));
    CU_ASSERT_TRUE(wire_tcp(a2, "172.30.0.2", 80, server, peer));
    CU_ASSERT_TRUE(has(a, "ip route add default via 172.30.0.1"));
    CU_ASSERT_FALSE(wire_tcp(a, OUTSIDE, 81, far, peer));
    CU_ASSERT_FALSE(wire_tcp(b, "172.30.0.2", 80, server, peer));
    CU_ASSERT_FALSE(wire_tcp(b2, "172.31.0.2", 80, server_b, peer));
    CU_ASSERT_TRUE(wire_tcp(b, OUTSIDE, 81, far, peer));
    CU_ASSERT_TRUE(wire_tcp(-1, "172.31.0.2", 80, server_b, peer));
    /* Not over the gateway either. */
    CU_ASSERT_TRUE(has(b2, "ip route add 172.31.0.2 via 172.31.0.1"));
    CU_ASSERT_FALSE(wire_tcp(b2, "172.31.0.2", 80, server_b, peer));
    close(far);
    close(server);
    close(server_b);
    close(a);
    close(a2);
    close(b);
    close(b2);
    teardown();
}

static void test_routed(void)
{
    const struct dray_kv kv[] = {{"com.docker.network.bridge.gateway_mode_ipv4", "routed"}};
    setup();
    net_create(NET_A, "172.30.0.0/24", "172.30.0.1", 0, kv, 1);
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    int closed = wire_serve(a, AF_INET, SOCK_STREAM, 82);
    int far = wire_serve(outside, AF_INET, SOCK_STREAM, 81);
    CU_ASSERT_TRUE(has(outside, "ip route add 172.30.0.0/24 via " MACHINE));
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", "0.0.0.0", 8080, 80), 0);
    CU_ASSERT_TRUE(wire_tcp(outside, "172.30.0.2", 80, server, peer));
    CU_ASSERT_FALSE(wire_tcp(outside, "172.30.0.2", 82, closed, peer));
    CU_ASSERT_TRUE(wire_tcp(a, OUTSIDE, 81, far, peer));
    CU_ASSERT_STRING_EQUAL(peer, "172.30.0.2");
    CU_ASSERT_TRUE(has(outside, "ip route del 172.30.0.0/24"));
    close(far);
    close(server);
    close(closed);
    close(a);
    teardown();
}

static const char *const replay_nets[] = {NET_A};
static const char *const replay_eps[] = {"a1a1a1a1a1a1"};

static void replay_a(void)
{
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(
        net_create_as(DRAY_CALL_REPLAY, NET_A, "172.30.0.0/24", "172.30.0.1", 0, NULL, 0, &err), 0);
    CU_ASSERT_EQUAL(ep_create(DRAY_CALL_REPLAY, NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", ""), 0);
    struct dray_port p = port("tcp", "0.0.0.0", 8080, 0, 80);
    CU_ASSERT_EQUAL(publish_as(DRAY_CALL_REPLAY, "a1a1a1a1a1a1", &p, 1, &err), 0);
}

static void test_crash_and_replay(void)
{
    setup();
    net_a();
    net_create(NET_B, "172.31.0.0/24", "172.31.0.1", 0, NULL, 0);
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int gone = container(NET_A, "f2f2f2f2f2f2", "172.30.0.3/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", "0.0.0.0", 8080, 80), 0);
    CU_ASSERT_EQUAL(publish("f2f2f2f2f2f2", "tcp", "0.0.0.0", 8081, 80), 0);
    CU_ASSERT_TRUE(quiet("ip link add vethforeign type veth peer name vethforeign2"));
    crash();
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8080, server, peer));
    setup();
    replay_a();
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8080, server, peer));
    CU_ASSERT_EQUAL(collect_all(replay_nets, 1, replay_eps, 1), 0);
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8080, server, peer));
    CU_ASSERT_FALSE(quiet("nft list table inet " TABLE " | grep -q 8081"));
    CU_ASSERT_FALSE(quiet("nft list table inet " TABLE " | grep -q br-bbbb"));
    /* A new endpoint may have the address and port of one that was collected. */
    int b = container(NET_A, "b3b3b3b3b3b3", "172.30.0.3/24", "");
    CU_ASSERT_EQUAL(publish("b3b3b3b3b3b3", "tcp", "0.0.0.0", 8081, 80), 0);
    int server_b = wire_serve(b, AF_INET, SOCK_STREAM, 80);
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8081, server_b, peer));
    crash();
    /* Somebody deletes the bridge and the table while the daemon is away. */
    CU_ASSERT_TRUE(quiet("ip link del br-aaaaaaaaaaaa"));
    CU_ASSERT_TRUE(quiet("nft delete table inet " TABLE));
    setup();
    replay_a();
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8080, server, peer));
    CU_ASSERT_EQUAL(collect_all(replay_nets, 1, replay_eps, 1), 0);
    CU_ASSERT_TRUE(quiet("ip link show vethforeign")); /* not ours */
    CU_ASSERT_TRUE(quiet("ip link del vethforeign"));
    close(server);
    close(server_b);
    close(a);
    close(gone);
    close(b);
    teardown();
}

static int check(void)
{
    DRAY_AUTO(fake_call) mem;
    return ops->check(fake.self, fake_call_begin(&mem, 0), NULL);
}

static void test_check(void)
{
    static const char *const accidents[] = {
        "nft delete table inet " TABLE,
        "nft flush table inet " TABLE,
        "nft flush chain inet " TABLE " postrouting",
        "nft flush map inet " TABLE " any4",
        "nft flush set inet " TABLE " bridges",
        "ip link set br-aaaaaaaaaaaa down",
        "ip addr flush dev br-aaaaaaaaaaaa",
        "ip link del br-aaaaaaaaaaaa",
    };
    setup();
    net_a();
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", "0.0.0.0", 8080, 80), 0);
    CU_ASSERT_EQUAL(check(), 0);
    for (size_t i = 0; i < sizeof accidents / sizeof accidents[0]; i++) {
        CU_ASSERT_TRUE(quiet(accidents[i]));
        CU_ASSERT_EQUAL(check(), 0);
        bool ok = wire_tcp(-1, "127.0.0.1", 8080, server, peer) &&
                  wire_tcp(outside, MACHINE, 8080, server, peer);
        if (!ok)
            (void)printf("\nnot mended: %s\n", accidents[i]);
        CU_ASSERT_TRUE(ok);
    }
    /* A flush is also mended by the next change, without a check. */
    CU_ASSERT_TRUE(quiet("nft delete table inet " TABLE));
    CU_ASSERT_EQUAL(publish("a1a1a1a1a1a1", "tcp", "0.0.0.0", 8081, 80), 0);
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8080, server, peer));
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8081, server, peer));
    /* Docker's policy beside us is not touched, but our bridges are let through. */
    CU_ASSERT_TRUE(quiet("nft 'add table ip filter; add chain ip filter FORWARD { type filter hook "
                         "forward priority filter; policy drop; }'"));
    CU_ASSERT_EQUAL(check(), 0);
    CU_ASSERT_TRUE(wire_tcp(outside, MACHINE, 8081, server, peer));
    CU_ASSERT_EQUAL(check(), 0);
    CU_ASSERT_TRUE(quiet("test $(nft list chain ip filter FORWARD | grep -c dray:) -eq 2"));
    CU_ASSERT_TRUE(quiet("nft list chain ip filter FORWARD | grep -q 'policy drop'"));
    CU_ASSERT_TRUE(quiet("nft delete table ip filter"));
    close(server);
    close(a);
    teardown();
}

static void test_foreign_bridge(void)
{
    const struct dray_kv kv[] = {{"com.docker.network.bridge.name", "theirs"}};
    CU_ASSERT_TRUE(quiet("ip link add theirs type bridge"));
    setup();
    net_create(NET_A, "172.30.0.0/24", "172.30.0.1", 0, kv, 1);
    int a = container(NET_A, "a1a1a1a1a1a1", "172.30.0.2/24", "");
    int server = wire_serve(a, AF_INET, SOCK_STREAM, 80);
    CU_ASSERT_TRUE(wire_tcp(-1, "172.30.0.2", 80, server, peer));
    close(server);
    close(a);
    ep_remove("a1a1a1a1a1a1");
    CU_ASSERT_EQUAL(net_remove(NET_A), 0);
    fake_close(&fake);
    CU_ASSERT_TRUE(quiet("ip link show theirs"));
    CU_ASSERT_TRUE(quiet("ip link del theirs"));
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

#define ROUNDS 40
#define MANY 4000

/* Figures for people; the limits are wide, because test machines are busy. */
static void test_speed(void)
{
    static double joins[ROUNDS], publishes[ROUNDS], loaded[ROUNDS], withdraws[ROUNDS];
    setup();
    net_a();
    int spaces[ROUNDS];
    char id[16];
    char ip[32];
    for (int i = 0; i < ROUNDS; i++) {
        spaces[i] = wire_ns_new();
        (void)snprintf(id, sizeof id, "%02x5eed000000", i);
        (void)snprintf(ip, sizeof ip, "172.30.0.%d/24", i + 2);
        double t = now_ms();
        CU_ASSERT_EQUAL(ep_create(0, NET_A, id, ip, ""), 0);
        CU_ASSERT_EQUAL(join(NET_A, id, spaces[i], "eth0", true), 0);
        joins[i] = now_ms() - t;
        t = now_ms();
        CU_ASSERT_EQUAL(publish(id, "tcp", "0.0.0.0", (uint16_t)(7000 + i), 80), 0);
        publishes[i] = now_ms() - t;
    }
    static struct dray_port many[MANY];
    for (size_t i = 0; i < MANY; i++)
        many[i] = port("tcp", "0.0.0.0", (uint16_t)(10000 + i), 0, 80);
    CU_ASSERT_EQUAL(ep_create(0, NET_A, "feedfeedfeed", "172.30.0.200/24", ""), 0);
    double t = now_ms();
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(
        ops->publish(fake.self, fake_call_begin(&mem, 0), NET_A, "feedfeedfeed", many, MANY, NULL),
        0);
    double bulk = now_ms() - t;
    for (int i = 0; i < ROUNDS; i++) {
        (void)snprintf(id, sizeof id, "%02x5eed000000", i);
        t = now_ms();
        CU_ASSERT_EQUAL(publish(id, "tcp", "0.0.0.0", (uint16_t)(7100 + i), 80), 0);
        loaded[i] = now_ms() - t;
        t = now_ms();
        ep_remove(id);
        withdraws[i] = now_ms() - t;
        close(spaces[i]);
    }
    static double creates[ROUNDS], removes[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        char net[80];
        char subnet[32];
        char gateway[32];
        (void)snprintf(net, sizeof net, "%02xbeef0000000000", i);
        (void)snprintf(subnet, sizeof subnet, "10.77.%d.0/24", i);
        (void)snprintf(gateway, sizeof gateway, "10.77.%d.1", i);
        t = now_ms();
        net_create(net, subnet, gateway, 0, NULL, 0);
        creates[i] = now_ms() - t;
        t = now_ms();
        CU_ASSERT_EQUAL(net_remove(net), 0);
        removes[i] = now_ms() - t;
    }
    (void)printf("\n    net_create %.2f ms, net_remove %.3f ms", median(creates, ROUNDS),
                 median(removes, ROUNDS));
    double p10 = median(publishes, ROUNDS);
    double p4000 = median(loaded, ROUNDS);
    (void)printf("\n    ep_create+join %.2f ms, publish %.3f ms, publish beside %d ports %.3f ms, "
                 "ep_remove %.3f ms, %d ports at once %.0f ms\n",
                 median(joins, ROUNDS), p10, MANY, p4000, median(withdraws, ROUNDS), MANY, bulk);
    CU_ASSERT_TRUE(p4000 < p10 * 5 + 1);
    teardown();
}

static const struct check_case cases[] = {
    {"links, addresses, routes", test_links},
    {"bad options", test_bad_options},
    {"tcp", test_tcp},
    {"udp", test_udp},
    {"udp flows move", test_udp_moves},
    {"host addresses", test_host_ip},
    {"conflicts", test_conflicts},
    {"ranges and ephemeral ports", test_ranges},
    {"IPv6", test_ipv6},
    {"internal, icc", test_internal_and_icc},
    {"routed", test_routed},
    {"crash and replay", test_crash_and_replay},
    {"check", test_check},
    {"somebody else's bridge", test_foreign_bridge},
    {"speed", test_speed},
};

int main(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET)) {
        (void)printf("skipped: needs root and network namespaces\n");
        return 0;
    }
    outside = wire_ns_new();
    if (!quiet("ip link set lo up && ip link add up0 type veth peer name out0 && "
               "ip addr add " MACHINE "/24 dev up0 && ip link set up0 up && "
               "ip -6 addr add 2001:db8:2::1/64 dev up0 nodad")) {
        (void)printf("skipped: needs iproute2 and veth links\n");
        return 0;
    }
    char line[128];
    (void)snprintf(line, sizeof line, "ip link set out0 netns /proc/%d/fd/%d", getpid(), outside);
    if (!quiet(line) ||
        !has(outside, "ip link set lo up && ip addr add " OUTSIDE "/24 dev out0 && "
                      "ip link set out0 up && ip -6 addr add 2001:db8:2::2/64 dev out0 nodad"))
        return 2;
    return check_main("net-bridge", cases, sizeof cases / sizeof cases[0]);
}
