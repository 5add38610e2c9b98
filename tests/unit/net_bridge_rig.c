/* SPDX-License-Identifier: Apache-2.0 */
/* net_bridge_rig.c - opens net-bridge and asks it for networks, endpoints and ports. */
#include "net_bridge_rig.h"

#include <time.h>

static const struct fake_option options[] = {
    {.name = "table", .text = TABLE},
    {.name = "mtu", .number = 1500},
    {.name = "ip-forward", .number = 1},
    {.name = "rules", .number = 1},
};

struct fake_host fake;
const struct dray_network_ops *ops;
int outside = -1;
char peer[INET6_ADDRSTRLEN];

bool quiet(const char *command)
{
    char line[256];
    (void)snprintf(line, sizeof line, "%s >/dev/null 2>&1", command);
    return system(line) == 0;
}

void setup(void)
{
    CU_ASSERT_TRUE_FATAL(fake_open(&fake, PLUGIN_SO, options, sizeof options / sizeof options[0]));
    ops = (const struct dray_network_ops *)fake.plugin->ifaces[0].ops;
}

/* The daemon dies: nothing is undone in the kernel. */
void crash(void)
{
    fake_close(&fake);
}

int collect_all(const char *const *nets, size_t n, const char *const *eps, size_t m)
{
    DRAY_AUTO(fake_call) mem;
    return ops->collect(fake.self, fake_call_begin(&mem, 0), (struct dray_strs){nets, n},
                        (struct dray_strs){eps, m}, NULL);
}

void teardown(void)
{
    CU_ASSERT_EQUAL(collect_all(NULL, 0, NULL, 0), 0);
    fake_close(&fake);
    CU_ASSERT_FALSE(quiet("ip -o link show type bridge | grep -q ."));
    CU_ASSERT_FALSE(quiet("ip -o link show | grep -q ': veth'"));
}

int net_create_as(uint32_t call_flags, const char *id, const char *subnet, const char *gateway,
                  uint32_t flags, const struct dray_kv *kv, size_t n, struct dray_err *err)
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

void net_create(const char *id, const char *subnet, const char *gateway, uint32_t flags,
                const struct dray_kv *kv, size_t n)
{
    struct dray_err err = {0};
    int rc = net_create_as(0, id, subnet, gateway, flags, kv, n, &err);
    if (rc)
        (void)printf("net_create: %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
}

int ep_create(uint32_t call_flags, const char *net, const char *ep, const char *ip4,
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

int join(const char *net, const char *ep, int ns, const char *ifname, bool set_default)
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
int container(const char *net, const char *ep, const char *ip4, const char *ip6)
{
    int ns = wire_ns_new();
    CU_ASSERT_TRUE_FATAL(ns >= 0);
    CU_ASSERT_EQUAL_FATAL(ep_create(0, net, ep, ip4, ip6), 0);
    CU_ASSERT_EQUAL_FATAL(join(net, ep, ns, "eth0", true), 0);
    return ns;
}

int publish_as(uint32_t call_flags, const char *ep, struct dray_port *ports, size_t n,
               struct dray_err *err)
{
    DRAY_AUTO(fake_call) mem;
    int rc = ops->publish(fake.self, fake_call_begin(&mem, call_flags), NET_A, ep, ports, n, err);
    for (size_t i = 0; i < n; i++)
        ports[i].host_ip = ""; /* lived in the call */
    return rc;
}

struct dray_port port(const char *proto, const char *host_ip, uint16_t first, uint16_t last,
                      uint16_t container_port)
{
    return (struct dray_port){.size = sizeof(struct dray_port),
                              .proto = proto,
                              .host_ip = host_ip,
                              .host_port = first,
                              .host_port_end = last,
                              .container_port = container_port};
}

int publish(const char *ep, const char *proto, const char *host_ip, uint16_t host_port,
            uint16_t container_port)
{
    struct dray_err err = {0};
    struct dray_port p = port(proto, host_ip, host_port, 0, container_port);
    int rc = publish_as(0, ep, &p, 1, &err);
    if (rc)
        (void)printf("publish: %s\n", err.text);
    return rc;
}

void unpublish(const char *ep)
{
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(ops->unpublish(fake.self, fake_call_begin(&mem, 0), NET_A, ep, NULL), 0);
}

void ep_remove(const char *ep)
{
    DRAY_AUTO(fake_call) mem;
    CU_ASSERT_EQUAL(ops->ep_remove(fake.self, fake_call_begin(&mem, 0), NET_A, ep, NULL), 0);
}

int net_remove(const char *net)
{
    DRAY_AUTO(fake_call) mem;
    return ops->net_remove(fake.self, fake_call_begin(&mem, 0), net, NULL);
}

void net_a(void)
{
    net_create(NET_A, "172.30.0.0/24", "172.30.0.1", 0, NULL, 0);
}

bool has(int ns, const char *command)
{
    char line[256];
    (void)snprintf(line, sizeof line, "%s >/dev/null 2>&1", command);
    return wire_run(ns, line) == 0;
}

double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Flows of before are forgotten a moment after a port is published. */
int rig_main(const char *title, const struct check_case *cases, size_t n)
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
    return check_main(title, cases, n);
}
