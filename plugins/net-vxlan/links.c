/* SPDX-License-Identifier: Apache-2.0 */
/* links.c - a network's bridge, and the vxlan link that joins it to those of other machines. */
#include "vxlan.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

void vxlan_name(const char *bridge, char out[IFNAMSIZ])
{
    (void)snprintf(out, IFNAMSIZ, "vn-%.12s", strlen(bridge) > 3 ? bridge + 3 : bridge);
}

/* Frames pass through; the machine itself takes no part in the network. */
static void quiet(const char *link)
{
    char path[64];
    (void)snprintf(path, sizeof path, "ipv6/conf/%s/disable_ipv6", link);
    (void)dray_netdev_sysctl(path, "1", NULL);
}

static int make_bridge(int fd, const char *name, const char *alias, struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m =
        dray_netdev_link(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0, "make a bridge");
    if (m) {
        nla_put_string(m, IFLA_IFNAME, name);
        struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
        nla_put_string(m, IFLA_INFO_KIND, "bridge");
        nla_nest_end(m, info);
    }
    m = dray_netdev_link(&b, RTM_NEWLINK, 0, 0, 0, 0, "mark the bridge");
    if (m) {
        nla_put_string(m, IFLA_IFNAME, name);
        nla_put_string(m, IFLA_IFALIAS, alias);
    }
    return dray_nl_send(fd, &b, err);
}

static void put_addr(struct nl_msg *m, int attr4, int attr6, const struct dray_cidr *c)
{
    if (c->family)
        nla_put(m, c->family == AF_INET ? attr4 : attr6, dray_cidr_len(c), c->addr);
}

static void put_tunnel(struct nl_msg *m, const struct vxlan_opts *o, unsigned parent)
{
    struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
    nla_put_string(m, IFLA_INFO_KIND, "vxlan");
    struct nlattr *data = nla_nest_start(m, IFLA_INFO_DATA);
    nla_put_u32(m, IFLA_VXLAN_ID, o->vni);
    nla_put_u16(m, IFLA_VXLAN_PORT, htons(o->port));
    nla_put_u8(m, IFLA_VXLAN_LEARNING, 1);
    if (parent)
        nla_put_u32(m, IFLA_VXLAN_LINK, parent);
    put_addr(m, IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6, &o->group);
    put_addr(m, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6, &o->local);
    /* Without an address of its own the kernel takes the tunnel for one over IPv4. */
    static const struct dray_cidr any6 = {.family = AF_INET6};
    if (!o->local.family && !o->group.family && o->peers[0].family == AF_INET6)
        put_addr(m, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6, &any6);
    nla_nest_end(m, data);
    nla_nest_end(m, info);
}

static int make_tunnel(int fd, const char *name, const char *alias, const struct vxlan_opts *o,
                       struct dray_err *err)
{
    unsigned parent = o->parent[0] ? dray_netdev_index(fd, o->parent) : 0;
    if (o->parent[0] && !parent)
        return dray_fail(err, DRAY_E_NOTFOUND, "the requested parent interface %s was not found",
                         o->parent);
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m =
        dray_netdev_link(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0, "make a vxlan link");
    if (m) {
        nla_put_string(m, IFLA_IFNAME, name);
        put_tunnel(m, o, parent);
    }
    m = dray_netdev_link(&b, RTM_NEWLINK, 0, 0, 0, 0, "mark the vxlan link");
    if (m) {
        nla_put_string(m, IFLA_IFNAME, name);
        nla_put_string(m, IFLA_IFALIAS, alias);
    }
    struct dray_err why = {0};
    int rc = dray_nl_send(fd, &b, &why);
    if (rc && why.os_errno == EEXIST)
        return dray_fail(err, DRAY_E_CONFLICT, "vni %u with port %u is in use on this machine",
                         o->vni, o->port);
    if (rc && err)
        *err = why;
    return rc;
}

/* What has no known place, and what is for all, goes to each peer. */
static void add_peer(struct dray_nl_batch *b, unsigned index, const struct dray_cidr *peer)
{
    static const uint8_t nobody[6];
    struct nl_msg *m =
        dray_nl_add(b, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, 64, "note a peer");
    struct ndmsg nd = {.ndm_family = AF_BRIDGE,
                       .ndm_ifindex = (int)index,
                       .ndm_state = NUD_NOARP | NUD_PERMANENT,
                       .ndm_flags = NTF_SELF};
    if (!m)
        return;
    dray_nl_ignore(b, EEXIST);
    nlmsg_append(m, &nd, sizeof nd, NLMSG_ALIGNTO);
    nla_put(m, NDA_LLADDR, sizeof nobody, nobody);
    nla_put(m, NDA_DST, dray_cidr_len(peer), peer->addr);
}

static int connect_links(int fd, unsigned bridge, unsigned tunnel, const struct vxlan_opts *o,
                         struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m =
        dray_netdev_link(&b, RTM_NEWLINK, 0, tunnel, IFF_UP, IFF_UP, "attach the vxlan link");
    if (m)
        nla_put_u32(m, IFLA_MASTER, bridge);
    dray_netdev_up(&b, bridge, "bring up the bridge");
    for (uint32_t i = 0; i < o->n_peers; i++)
        add_peer(&b, tunnel, &o->peers[i]);
    return dray_nl_send(fd, &b, err);
}

int vxlan_make(int fd, const char *bridge, const char *alias, const void *extra,
               struct dray_err *err)
{
    const struct vxlan_opts *o = extra;
    char tunnel[IFNAMSIZ];
    vxlan_name(bridge, tunnel);
    int rc = dray_netdev_index(fd, bridge) ? 0 : make_bridge(fd, bridge, alias, err);
    if (!rc && !dray_netdev_index(fd, tunnel))
        rc = make_tunnel(fd, tunnel, alias, o, err);
    if (rc)
        return rc;
    quiet(bridge);
    quiet(tunnel);
    return connect_links(fd, dray_netdev_index(fd, bridge), dray_netdev_index(fd, tunnel), o, err);
}
