/* SPDX-License-Identifier: Apache-2.0 */
/* test_net_bridge.c - net-bridge with real links, rules and traffic. */
#include "net_bridge_rig.h"

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
};

int main(void)
{
    return rig_main("net-bridge", cases, sizeof cases / sizeof cases[0]);
}
