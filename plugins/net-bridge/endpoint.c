/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.c - endpoints: a veth pair whose inner end is born inside the container's namespace. */
#include "bridge.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <time.h>

/* A namespace that dies takes its veth along; only what is left after this time is deleted. */
#define LINGER_MS 2000

static bool parse_mac(const char *text, uint8_t out[6])
{
    unsigned v[6];
    int used = 0;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
               &used) != 6 ||
        text[used])
        return false;
    for (size_t i = 0; i < 6; i++)
        out[i] = (uint8_t)v[i];
    return true;
}

/* Docker's scheme: 02:42 and the IPv4 address; without one, bytes of the endpoint's id. */
static void derive_mac(struct endpoint *e)
{
    unsigned v[4] = {0};
    e->mac[0] = 0x02;
    e->mac[1] = 0x42;
    if (e->ip4.family) {
        memcpy(e->mac + 2, e->ip4.addr, 4);
        return;
    }
    (void)sscanf(e->id, "%2x%2x%2x%2x", &v[0], &v[1], &v[2], &v[3]);
    for (size_t i = 0; i < 4; i++)
        e->mac[i + 2] = (uint8_t)v[i];
}

static const char *mac_text(const struct dray_self *self, const struct dray_call *call,
                            const uint8_t mac[6])
{
    return dray_call_printf(self->host, call, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                            mac[2], mac[3], mac[4], mac[5]);
}

static int read_spec(struct endpoint *e, const struct dray_ep_spec *spec, struct dray_err *err)
{
    if (spec->ipv4 && spec->ipv4[0] &&
        (!dray_cidr_parse(spec->ipv4, &e->ip4) || e->ip4.family != AF_INET))
        return dray_fail(err, DRAY_E_INVAL, "invalid IPv4 address \"%s\"", spec->ipv4);
    if (spec->ipv6 && spec->ipv6[0] &&
        (!dray_cidr_parse(spec->ipv6, &e->ip6) || e->ip6.family != AF_INET6))
        return dray_fail(err, DRAY_E_INVAL, "invalid IPv6 address \"%s\"", spec->ipv6);
    if (!spec->mac || !spec->mac[0])
        derive_mac(e);
    else if (!parse_mac(spec->mac, e->mac))
        return dray_fail(err, DRAY_E_INVAL, "invalid MAC address \"%s\"", spec->mac);
    return 0;
}

/*
 * Make the endpoint reachable at once. Carrier changes reach the queues by a deferred work of the
 * kernel, until then what is sent is dropped: asking for a link carries it out (Linux 6.8 and
 * later). And the bridge may still know the MAC address at the port of an earlier endpoint.
 */
static void settle_port(const struct endpoint *e)
{
    struct link_info port;
    struct link_info bridge;
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    if (fd < 0 || link_info_get(fd, e->ifname, &port, NULL) ||
        link_info_get(fd, e->net->bridge, &bridge, NULL))
        return;
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = dray_nl_add(&b, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, 64,
                                   "note a bridge port");
    struct ndmsg nd = {.ndm_family = AF_BRIDGE,
                       .ndm_ifindex = (int)port.index,
                       .ndm_state = NUD_REACHABLE,
                       .ndm_flags = NTF_MASTER};
    if (!m)
        return;
    nlmsg_append(m, &nd, sizeof nd, NLMSG_ALIGNTO);
    nla_put(m, NDA_LLADDR, sizeof e->mac, e->mac);
    (void)dray_nl_send(fd, &b, NULL); /* the first frame that it sends has the same effect */
}

void endpoint_reattach(struct dray_self *self, const struct endpoint *e)
{
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    unsigned link = fd < 0 ? 0 : dray_netdev_index(fd, e->ifname);
    unsigned bridge = link ? dray_netdev_index(fd, e->net->bridge) : 0;
    if (!bridge)
        return;
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m =
        dray_netdev_link(&b, RTM_NEWLINK, 0, link, IFF_UP, IFF_UP, "attach to the bridge");
    if (m)
        nla_put_u32(m, IFLA_MASTER, bridge);
    struct dray_err why = {0};
    if (dray_nl_send(fd, &b, &why))
        dray_host_logf(self->host, DRAY_LOG_WARN, "link %s: %s", e->ifname, why.text);
    settle_port(e);
}

int bridge_ep_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                     const char *ep_id, const struct dray_ep_spec *spec, const char **mac_out,
                     struct dray_err *err)
{
    struct endpoint *e = store_endpoint(&self->store, ep_id);
    if (e) { /* asked twice */
        *mac_out = mac_text(self, call, e->mac);
        endpoint_unref(&self->store, e);
        return *mac_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    struct network *n = store_network(&self->store, net_id);
    if (!n)
        return dray_fail(err, DRAY_E_NOTFOUND, "network %s not found", net_id);
    e = calloc(1, sizeof *e);
    if (!e || strlen(ep_id) >= sizeof e->id) {
        free(e);
        network_unref(&self->store, n);
        return dray_fail(err, e ? DRAY_E_INVAL : DRAY_E_NOMEM, "endpoint id");
    }
    (void)snprintf(e->id, sizeof e->id, "%s", ep_id);
    (void)snprintf(e->ifname, sizeof e->ifname, "veth%.11s", ep_id);
    e->net = n;
    e->refs = 2; /* the store's and this function's */
    int rc = read_spec(e, spec, err);
    *mac_out = rc ? NULL : mac_text(self, call, e->mac);
    if (!rc && (!*mac_out || !store_add_endpoint(&self->store, e)))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        e->refs = 1;
    else if (call->flags & DRAY_CALL_REPLAY)
        endpoint_reattach(self, e);
    endpoint_unref(&self->store, e);
    return rc;
}

int bridge_ep_remove(struct dray_self *self, const char *ep_id, struct dray_err *err)
{
    int rc = bridge_unpublish(self, ep_id, err);
    struct endpoint *e = store_take_endpoint(&self->store, ep_id);
    if (!e)
        return rc;
    link_delete_later(self, e->ifname, LINGER_MS);
    endpoint_unref(&self->store, e);
    return rc;
}

static void put_pair(struct nl_msg *m, const struct endpoint *e, int netns, const char *ifname,
                     unsigned bridge)
{
    struct ifinfomsg peer = {0};
    nla_put_string(m, IFLA_IFNAME, e->ifname);
    nla_put_u32(m, IFLA_MTU, e->net->mtu);
    nla_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
    nla_put_u32(m, IFLA_NUM_RX_QUEUES, 1);
    nla_put_u32(m, IFLA_MASTER, bridge);
    struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
    nla_put_string(m, IFLA_INFO_KIND, "veth");
    struct nlattr *data = nla_nest_start(m, IFLA_INFO_DATA);
    struct nlattr *inner = nla_nest_start(m, VETH_INFO_PEER);
    nlmsg_append(m, &peer, sizeof peer, NLMSG_ALIGNTO);
    nla_put_string(m, IFLA_IFNAME, ifname);
    nla_put_u32(m, IFLA_MTU, e->net->mtu);
    nla_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
    nla_put_u32(m, IFLA_NUM_RX_QUEUES, 1);
    nla_put(m, IFLA_ADDRESS, sizeof e->mac, e->mac);
    nla_put_u32(m, IFLA_NET_NS_FD, (uint32_t)netns);
    nla_nest_end(m, inner);
    nla_nest_end(m, data);
    nla_nest_end(m, info);
}

/* Our mark, and how the bridge treats the port: it may send back what came from it (a published
 * port that its own endpoint asks for), and without icc it talks to no other port. */
static void put_port_settings(struct nl_msg *m, const struct dray_self *self,
                              const struct endpoint *e)
{
    char alias[128];
    link_alias(self, e->id, alias);
    nla_put_string(m, IFLA_IFNAME, e->ifname);
    nla_put_string(m, IFLA_IFALIAS, alias);
    struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
    nla_put_string(m, IFLA_INFO_SLAVE_KIND, "bridge");
    struct nlattr *data = nla_nest_start(m, IFLA_INFO_SLAVE_DATA);
    nla_put_u8(m, IFLA_BRPORT_MODE, 1);
    nla_put_u8(m, IFLA_BRPORT_ISOLATED, e->net->icc ? 0 : 1);
    nla_nest_end(m, data);
    nla_nest_end(m, info);
}

/* Neighbour tables are filled here: nobody has to ask before the first packet goes, and an IPv6
 * address answers questions only some time after it was set. */
static int make_pair(struct dray_self *self, int fd, const struct endpoint *e, int netns,
                     const char *ifname, unsigned bridge, struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = dray_netdev_link(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP,
                                        IFF_UP, "make a veth pair");
    if (m)
        put_pair(m, e, netns, ifname, bridge);
    m = dray_netdev_link(&b, RTM_NEWLINK, 0, 0, 0, 0, "set up the bridge port");
    if (m)
        put_port_settings(m, self, e);
    if (e->ip4.family)
        dray_netdev_neighbour(&b, bridge, &e->ip4, e->mac);
    if (e->ip6.family)
        dray_netdev_neighbour(&b, bridge, &e->ip6, e->mac);
    return dray_nl_send(fd, &b, err);
}

/* What is done in the worker's thread, inside the namespace. */
struct inside {
    int fd; /* NETLINK_ROUTE */
    bool ipv6;
};

static int step_inside(void *ctx)
{
    struct inside *in = ctx;
    in->fd = dray_nl_socket(NETLINK_ROUTE);
    if (in->fd < 0)
        return -errno;
    /* Before the link is born: no link-local address, no router solicitation. */
    (void)dray_netdev_sysctl("ipv6/conf/default/disable_ipv6", in->ipv6 ? "0" : "1", NULL);
    return 0;
}

static void default_routes(struct dray_nl_batch *b, const struct endpoint *e, unsigned index)
{
    const struct network *n = e->net;
    if (!n->internal && n->route4.family && e->ip4.family)
        dray_netdev_default_route(b, index, &n->route4);
    if (!n->internal && n->route6.family && e->ip6.family)
        dray_netdev_default_route(b, index, &n->route6);
}

static int configure_inside(const struct endpoint *e, int fd, const char *ifname,
                            const uint8_t gateway_mac[6], bool set_default, struct dray_err *err)
{
    unsigned index = dray_netdev_index(fd, ifname);
    if (!index)
        return dray_fail(err, DRAY_E_NOTFOUND, "link %s is not in the namespace", ifname);
    DRAY_AUTO(dray_nl_batch) b = {0};
    dray_netdev_up(&b, DRAY_NETDEV_LO, "bring up the loopback link");
    if (e->ip4.family)
        dray_netdev_addr(&b, index, &e->ip4);
    dray_netdev_up(&b, index, "bring up the link");
    if (e->ip6.family)
        dray_netdev_addr(&b, index, &e->ip6);
    const struct network *n = e->net;
    /* Somebody else's bridge changes its address with its ports. */
    if (n->gateway4.family && e->ip4.family && !n->foreign)
        dray_netdev_neighbour(&b, index, &n->gateway4, gateway_mac);
    if (n->gateway6.family && e->ip6.family && !n->foreign)
        dray_netdev_neighbour(&b, index, &n->gateway6, gateway_mac);
    if (set_default)
        default_routes(&b, e, index);
    return dray_nl_send(fd, &b, err);
}

/* The link is there already: the host asks again to have the default route here. */
static int join_again(const struct endpoint *e, int fd, bool set_default, struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    if (set_default)
        default_routes(&b, e, 0);
    return dray_nl_send(fd, &b, err);
}

static bool is_joined(struct dray_self *self, const struct endpoint *e)
{
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    if (fd < 0 || !dray_netdev_index(fd, e->ifname))
        return false;
    dray_worker_drain(self->reaper); /* unless it is on its way out */
    return dray_netdev_index(fd, e->ifname) != 0;
}

static int note_local(const struct nlmsghdr *h, void *ctx)
{
    const struct rtmsg *rt = nlmsg_data(h);
    *(bool *)ctx = rt->rtm_type == RTN_LOCAL;
    return 1;
}

/* The kernel takes an IPv6 address into use by a deferred work; wait for it, at most 25 ms. */
static void await_ipv6(int fd, const struct dray_cidr *addr)
{
    const struct timespec pause = {.tv_nsec = 250000};
    bool local = false;
    for (int i = 0; i < 100 && !local; i++) {
        DRAY_AUTO(dray_nl_batch) b = {0};
        struct nl_msg *m = dray_nl_add(&b, RTM_GETROUTE, 0, 64, "look up a route");
        struct rtmsg rt = {.rtm_family = AF_INET6, .rtm_dst_len = 128};
        if (!m)
            return;
        nlmsg_append(m, &rt, sizeof rt, NLMSG_ALIGNTO);
        nla_put(m, RTA_DST, 16, addr->addr);
        if (dray_nl_dump(fd, &b, note_local, &local, NULL))
            return;
        if (!local)
            (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
}

static int connect_pair(struct dray_self *self, const struct endpoint *e, int netns,
                        const char *ifname, uint8_t gateway_mac_out[6], struct dray_err *err)
{
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    if (fd < 0)
        return dray_fail_errno(err, "open a route socket");
    struct link_info bridge;
    int rc = link_info_get(fd, e->net->bridge, &bridge, err);
    if (rc)
        return rc;
    memcpy(gateway_mac_out, bridge.mac, sizeof bridge.mac);
    return make_pair(self, fd, e, netns, ifname, bridge.index, err);
}

/* The name that the host proposes may be another endpoint's by now: networks come and go. */
static void choose_name(struct dray_self *self, int inside, const char *hint, char out[IFNAMSIZ])
{
    (void)snprintf(out, IFNAMSIZ, "%s", hint);
    if (dray_netdev_index(inside, out))
        dray_worker_drain(self->reaper);
    while (dray_netdev_index(inside, out) && dray_netdev_next_name(out))
        ;
}

static int fill_join(struct dray_self *self, const struct dray_call *call, const struct endpoint *e,
                     const char *ifname, struct dray_ep_join *out, struct dray_err *err)
{
    char gw4[INET6_ADDRSTRLEN] = "";
    char gw6[INET6_ADDRSTRLEN] = "";
    const struct network *n = e->net;
    if (n->route4.family && e->ip4.family && !n->internal)
        (void)inet_ntop(AF_INET, n->route4.addr, gw4, sizeof gw4);
    if (n->route6.family && e->ip6.family && !n->internal)
        (void)inet_ntop(AF_INET6, n->route6.addr, gw6, sizeof gw6);
    *out = (struct dray_ep_join){.size = sizeof *out,
                                 .ifname = dray_call_strdup(self->host, call, ifname),
                                 .mac = mac_text(self, call, e->mac),
                                 .gateway4 = dray_call_strdup(self->host, call, gw4),
                                 .gateway6 = dray_call_strdup(self->host, call, gw6)};
    if (!out->ifname || !out->mac || !out->gateway4 || !out->gateway6)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

static int join_first(struct dray_self *self, const struct endpoint *e, int netns, int inside,
                      char name[IFNAMSIZ], bool set_default, struct dray_err *err)
{
    uint8_t gateway_mac[6];
    int rc = connect_pair(self, e, netns, name, gateway_mac, err);
    if (rc)
        return rc;
    rc = configure_inside(e, inside, name, gateway_mac, set_default, err);
    if (!rc && e->ip6.family)
        await_ipv6(inside, &e->ip6);
    if (rc)
        link_delete_later(self, e->ifname, 0);
    else
        settle_port(e);
    return rc;
}

int bridge_join(struct dray_self *self, const struct dray_call *call, const char *ep_id, int netns,
                const char *ifname, bool set_default, struct dray_ep_join *out,
                struct dray_err *err)
{
    struct endpoint *e = store_endpoint(&self->store, ep_id);
    if (!e)
        return dray_fail(err, DRAY_E_NOTFOUND, "endpoint %s not found", ep_id);
    struct inside in = {.fd = -EBADF, .ipv6 = e->ip6.family != 0};
    int rc = dray_worker_in_netns(self->inside, netns, step_inside, &in, err);
    dray_autofd int fd = in.fd;
    char name[IFNAMSIZ] = "";
    (void)snprintf(name, sizeof name, "%s", ifname);
    if (!rc && is_joined(self, e)) {
        rc = join_again(e, fd, set_default, err);
    } else if (!rc) {
        choose_name(self, fd, ifname, name);
        rc = join_first(self, e, netns, fd, name, set_default, err);
    }
    rc = rc ? rc : fill_join(self, call, e, name, out, err);
    endpoint_unref(&self->store, e);
    return rc ? dray_err_note(err, "endpoint %.12s", ep_id) : 0;
}

int bridge_leave(struct dray_self *self, const char *ep_id, int netns, struct dray_err *err)
{
    (void)netns;
    (void)err;
    struct endpoint *e = store_endpoint(&self->store, ep_id);
    if (!e)
        return 0;
    link_delete_later(self, e->ifname, 0);
    endpoint_unref(&self->store, e);
    return 0;
}
