/* SPDX-License-Identifier: Apache-2.0 */
/* suite_network.c - a network, an endpoint in a namespace made for it, a port, replay, the end. */
#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define NET "dray-check-net-0000000000000000000000000000000000000000000000000000"
#define EP "dray-check-ep-00000000000000000000000000000000000000000000000000000"
#define ADDRESS "10.219.249.2"

struct subject {
    struct dray_net_spec net;
    struct dray_net_pool pool;
    struct dray_ep_spec ep;
    int netns;
    bool addresses;
    char ifname[IFNAMSIZ], mac[18];
};

/* A namespace with nothing in it but lo. This thread comes back to its own. */
static int new_namespace(void)
{
    dray_autofd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0 || unshare(CLONE_NEWNET) != 0)
        return -1;
    int made = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return setns(own, CLONE_NEWNET) == 0 ? made : -1;
}

/* What the interface has inside; "" without one. */
static void address_inside(const struct subject *s, char out[INET_ADDRSTRLEN])
{
    struct ifreq r = {0};
    out[0] = '\0';
    dray_autofd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0 || setns(s->netns, CLONE_NEWNET) != 0)
        return;
    dray_autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(r.ifr_name, sizeof r.ifr_name, "%s", s->ifname);
    if (ioctl(fd, SIOCGIFADDR, &r) == 0) {
        struct sockaddr_in a;
        memcpy(&a, &r.ifr_addr, sizeof a);
        (void)inet_ntop(AF_INET, &a.sin_addr, out, INET_ADDRSTRLEN);
    }
    (void)setns(own, CLONE_NEWNET);
}

/* A driver need not wait until the kernel has let go of a link. */
static bool leaves_soon(const struct subject *s)
{
    char got[INET_ADDRSTRLEN];
    for (int i = 0; i < 100; i++) {
        address_inside(s, got);
        if (!got[0])
            return true;
        (void)usleep(50000);
    }
    return false;
}

static int join(struct ck *c, struct subject *s)
{
    struct dray_ep_join out = {.size = sizeof out};
    int rc = CK(c, network, join, EP, NET, EP, (struct dray_fd_borrow){s->netns}, "eth0", 1, &out);
    (void)snprintf(s->ifname, sizeof s->ifname, "%s", !rc && out.ifname ? out.ifname : "");
    return rc;
}

static void check_join(struct ck *c, struct subject *s)
{
    char got[INET_ADDRSTRLEN];
    for (int i = 0; i < 2; i++) {
        (void)join(c, s);
        if (!ck_expect(c, 0, i ? "join() after leave()" : "join() of a namespace"))
            return;
        if (s->addresses) {
            address_inside(s, got);
            (void)ck_true(c, s->ifname[0] != '\0', "it names the interface");
            if (strcmp(got, ADDRESS) != 0)
                ck_fail(c, "%s has the address \"%s\" inside instead of " ADDRESS, s->ifname, got);
            else
                (void)ck_true(c, true, "which has the endpoint's address inside");
        }
        (void)CK(c, network, leave, EP, NET, EP, (struct dray_fd_borrow){s->netns});
        (void)ck_expect(c, 0, "leave()");
        if (s->addresses)
            (void)ck_true(c, leaves_soon(s), "the interface goes from the namespace");
    }
}

static void check_ports(struct ck *c)
{
    struct dray_port port = {.size = sizeof port,
                             .container_port = 80,
                             .host_port = 39080,
                             .host_port_end = 39090,
                             .proto = "tcp",
                             .host_ip = "0.0.0.0"};
    if (!ck_has(c, "publish"))
        return;
    if (CK(c, network, publish, EP, NET, EP, &port, 1) == DRAY_E_NOTSUP) {
        ck_skip(c, "publish(): %s", c->err.text);
        return;
    }
    if (ck_expect(c, 0, "publish() of a port"))
        (void)ck_true(c,
                      port.host_port == 0 || (port.host_port >= 39080 && port.host_port <= 39090),
                      "it is one of the range");
    (void)CK(c, network, unpublish, EP, NET, EP);
    (void)ck_expect(c, 0, "unpublish()");
    (void)CK(c, network, unpublish, EP, NET, EP);
    (void)ck_expect(c, 0, "and again");
}

static int ep_create(struct ck *c, struct subject *s, bool replay)
{
    const char *mac = NULL;
    int rc = CK_(c, replay, network, ep_create, EP, NET, EP, &s->ep, &mac);
    (void)snprintf(s->mac, sizeof s->mac, "%s", !rc && mac ? mac : "");
    return rc;
}

static void check_replay(struct ck *c, struct subject *s)
{
    char mac[18];
    memcpy(mac, s->mac, sizeof mac);
    (void)CK_REPLAY(c, network, net_create, NET, NET, &s->net);
    (void)ck_expect(c, 0, "net_create() told again after a restart");
    s->ep.mac = mac;
    (void)ep_create(c, s, true);
    (void)ck_expect(c, 0, "ep_create() told again after a restart");
    (void)ck_true(c, strcmp(mac, s->mac) == 0, "with the same MAC address");
    if (ck_has(c, "check")) {
        (void)CK(c, network, check, NULL);
        (void)ck_expect(c, 0, "check()");
    }
    if (ck_has(c, "inspect")) {
        (void)CK(c, network, inspect, NET, NET);
        (void)ck_expect(c, 0, "inspect()");
    }
}

static void check_end(struct ck *c)
{
    for (int i = 0; i < 2; i++) {
        (void)CK(c, network, ep_remove, EP, NET, EP);
        (void)ck_expect(c, 0, i ? "removing an absent endpoint succeeds" : "ep_remove()");
    }
    for (int i = 0; i < 2; i++) {
        (void)CK(c, network, net_remove, NET, NET);
        (void)ck_expect(c, 0, i ? "removing an absent network succeeds" : "net_remove()");
    }
    if (ck_has(c, "collect")) {
        const struct dray_strs nothing = {0};
        (void)CK(c, network, collect, NULL, nothing, nothing);
        (void)ck_expect(c, 0, "collect() with nothing alive");
    }
}

static void check_odd_option(struct ck *c, const struct subject *s)
{
    const struct dray_kv odd = {"dray-check-no-such-option", "1"};
    struct dray_net_spec spec = s->net;
    spec.options = (struct dray_kvs){&odd, 1};
    if (CK(c, network, net_create, NET, NET, &spec))
        return;
    ck_warn(c, "net_create() takes options that it does not know; refuse them with DRAY_E_INVAL");
    (void)CK(c, network, net_remove, NET, NET);
}

static void run(struct ck *c, struct subject *s)
{
    check_odd_option(c, s);
    if (CK(c, network, net_create, NET, NET, &s->net) == DRAY_E_NOTSUP) {
        ck_skip(c, "it cannot make a network here: %s", c->err.text);
        return;
    }
    if (!ck_expect(c, 0, "net_create()"))
        return;
    (void)CK(c, network, net_create, NET, NET, &s->net);
    (void)ck_expect(c, 0, "creating the same again succeeds");
    (void)ep_create(c, s, false);
    if (ck_expect(c, 0, "ep_create()")) {
        check_join(c, s);
        if (s->addresses)
            check_ports(c);
        check_replay(c, s);
    }
    check_end(c);
}

void ck_network(struct ck *c)
{
    uint64_t features = dray_driver_features(c->driver);
    struct subject s = {.netns = c->root ? new_namespace() : -1};
    if (s.netns < 0) {
        ck_skip(c, "endpoints need a namespace: run this as root");
        return;
    }
    s.addresses =
        !(features & (DRAY_NETWORK_F_NO_IPAM | DRAY_NETWORK_F_HOST | DRAY_NETWORK_F_SINGLE));
    s.pool = (struct dray_net_pool){sizeof s.pool, 4, "10.219.249.0/24", "10.219.249.1"};
    s.net = (struct dray_net_spec){.size = sizeof s.net,
                                   .flags = DRAY_NET_IPV4,
                                   .name = "dray-check",
                                   .options = {c->want->opts, c->want->n_opts},
                                   .pools = s.addresses ? &s.pool : NULL,
                                   .n_pools = s.addresses};
    s.ep = (struct dray_ep_spec){.size = sizeof s.ep,
                                 .mac = "",
                                 .ipv4 = s.addresses ? ADDRESS "/24" : "",
                                 .ipv6 = "",
                                 .hostname = "check"};
    run(c, &s);
    (void)close(s.netns);
}
