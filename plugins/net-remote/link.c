/* SPDX-License-Identifier: Apache-2.0 */
/* link.c - takes the link that a server made into a container's namespace, and gives it back. */
#include "remote_net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

/* The link's flags and name, or the namespace that it lives in, in one request. */
static void set_link(struct dray_nl_batch *b, unsigned index, const char *name, int netns,
                     const char *what)
{
    struct nl_msg *m = dray_netdev_link(b, RTM_NEWLINK, 0, index, 0, IFF_UP, what);
    if (!m)
        return;
    if (name)
        nla_put_string(m, IFLA_IFNAME, name);
    if (netns >= 0)
        nla_put_u32(m, IFLA_NET_NS_FD, (uint32_t)netns);
}

/* A name for the time between two names: no two links share it. */
static void passing_name(const struct remote_ep *e, char out[16])
{
    (void)snprintf(out, 16, "dp%.12s", e->id);
}

static int move(int fd, const char *from, const char *to, int netns, struct dray_err *err)
{
    unsigned index = dray_netdev_index(fd, from);
    if (!index)
        return dray_fail(err, DRAY_E_NOTFOUND, "the link %s that the plugin named is not there",
                         from);
    DRAY_AUTO(dray_nl_batch) b = {0};
    set_link(&b, index, to, -1, "rename the plugin's link");
    set_link(&b, index, NULL, netns, "move the plugin's link");
    return dray_nl_send(fd, &b, err);
}

static void add_route(struct dray_nl_batch *b, unsigned index, struct json_object *route)
{
    struct dray_cidr to, via;
    const char *text = dray_remote_str(route, "Destination");
    const char *hop = dray_remote_str(route, "NextHop");
    bool has_hop = *hop && dray_cidr_parse(hop, &via);
    if (!dray_cidr_parse(text, &to))
        return;
    struct nl_msg *m = dray_nl_add(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, 128,
                                   "set the route to %s", text);
    struct rtmsg rt = {.rtm_family = to.family,
                       .rtm_dst_len = to.prefix,
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_BOOT,
                       .rtm_scope = has_hop ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
                       .rtm_type = RTN_UNICAST};
    if (!m)
        return;
    nlmsg_append(m, &rt, sizeof rt, NLMSG_ALIGNTO);
    nla_put(m, RTA_DST, dray_cidr_len(&to), to.addr);
    if (has_hop)
        nla_put(m, RTA_GATEWAY, dray_cidr_len(&via), via.addr);
    nla_put_u32(m, RTA_OIF, index);
}

static void add_mac(struct dray_nl_batch *b, unsigned index, const char *text)
{
    unsigned v[6];
    uint8_t mac[6];
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) != 6)
        return;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)v[i];
    struct nl_msg *m = dray_netdev_link(b, RTM_NEWLINK, 0, index, 0, 0, "set the link's address");
    if (m)
        nla_put(m, IFLA_ADDRESS, sizeof mac, mac);
}

static int furnish(int fd, const struct remote_ep *e, struct json_object *answer,
                   struct dray_err *err)
{
    char passing[16];
    passing_name(e, passing);
    unsigned index = dray_netdev_index(fd, passing);
    DRAY_AUTO(dray_nl_batch) b = {0};
    set_link(&b, index, e->ifname, -1, "rename the link inside");
    add_mac(&b, index, e->mac);
    struct dray_cidr c;
    dray_netdev_up(&b, DRAY_NETDEV_LO, "bring up the loopback link");
    dray_netdev_up(&b, index, "bring up the link");
    if (dray_cidr_parse(e->ipv4, &c))
        dray_netdev_addr(&b, index, &c);
    if (dray_cidr_parse(e->ipv6, &c))
        dray_netdev_addr(&b, index, &c);
    struct json_object *routes = dray_remote_obj(answer, "StaticRoutes");
    size_t n = json_object_is_type(routes, json_type_array) ? json_object_array_length(routes) : 0;
    for (size_t i = 0; i < n; i++)
        add_route(&b, index, json_object_array_get_idx(routes, i));
    return dray_nl_send(fd, &b, err);
}

int remote_link_enter(struct dray_self *self, struct remote_ep *e, int netns,
                      struct json_object *answer, struct dray_err *err)
{
    char passing[16];
    passing_name(e, passing);
    dray_autofd int inside = -EBADF;
    dray_autofd int outside = dray_nl_socket(NETLINK_ROUTE);
    if (outside < 0)
        return dray_fail_errno(err, "open a route socket");
    int rc = dray_worker_nl_socket(self->worker, netns, &inside, err);
    rc = rc ? rc : move(outside, e->source, passing, netns, err);
    if (rc)
        return rc;
    while (dray_netdev_index(inside, e->ifname) && dray_netdev_next_name(e->ifname))
        ;
    return furnish(inside, e, answer, err);
}

int remote_link_default(struct dray_self *self, const struct remote_ep *e, int netns,
                        struct dray_err *err)
{
    struct dray_cidr g4 = {0}, g6 = {0};
    bool has4 = dray_cidr_parse(e->gateway4, &g4), has6 = dray_cidr_parse(e->gateway6, &g6);
    if (!has4 && !has6)
        return 0;
    dray_autofd int fd = -EBADF;
    int rc = dray_worker_nl_socket(self->worker, netns, &fd, err);
    if (rc)
        return rc;
    DRAY_AUTO(dray_nl_batch) b = {0};
    unsigned index = dray_netdev_index(fd, e->ifname);
    if (has4)
        dray_netdev_default_route(&b, index, &g4);
    if (has6)
        dray_netdev_default_route(&b, index, &g6);
    return dray_nl_send(fd, &b, err);
}

int remote_link_return(struct dray_self *self, const struct remote_ep *e, int netns,
                       struct dray_err *err)
{
    char passing[16];
    passing_name(e, passing);
    dray_autofd int inside = -EBADF;
    /* The program's own namespace, whichever this thread is in. */
    dray_autofd int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    dray_autofd int outside = dray_nl_socket(NETLINK_ROUTE);
    if (home < 0 || outside < 0)
        return dray_fail_errno(err, "open the network namespace of this program");
    int rc = dray_worker_nl_socket(self->worker, netns, &inside, err);
    if (rc || !dray_netdev_index(inside, e->ifname))
        return rc;
    rc = move(inside, e->ifname, passing, home, err);
    if (rc)
        return rc;
    DRAY_AUTO(dray_nl_batch) b = {0};
    set_link(&b, dray_netdev_index(outside, passing), e->source, -1, "rename the link outside");
    return dray_nl_send(outside, &b, err);
}
