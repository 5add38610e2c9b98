/* SPDX-License-Identifier: Apache-2.0 */
/* test_net_bridge_state.c - what net-bridge keeps: over crashes, over changes from outside, and how
 * fast. */
#include "net_bridge_rig.h"

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
    {"crash and replay", test_crash_and_replay},
    {"check", test_check},
    {"somebody else's bridge", test_foreign_bridge},
    {"speed", test_speed},
};

int main(void)
{
    return rig_main("net-bridge's state", cases, sizeof cases / sizeof cases[0]);
}
