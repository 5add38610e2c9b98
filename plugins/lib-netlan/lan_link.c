/* SPDX-License-Identifier: Apache-2.0 */
/* lan_link.c - parents, and the links of endpoints on top of them. */
#include "lan_priv.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#define BUSY_MS 5000 /* how long a MAC address may still be in use */
#define BUSY_STEP_MS 10

static int open_route(int *fd_out, struct dray_err *err)
{
    *fd_out = dray_nl_socket(NETLINK_ROUTE);
    return *fd_out < 0 ? dray_fail_errno(err, "open a route socket") : 0;
}

static void put_kind(struct nl_msg *m, const char *kind)
{
    struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
    nla_put_string(m, IFLA_INFO_KIND, kind);
    nla_nest_end(m, info);
}

static void put_alias(struct dray_nl_batch *b, const struct dray_self *self,
                      const struct lan_net *n)
{
    char alias[160];
    (void)snprintf(alias, sizeof alias, "%s%s", self->mark, n->id);
    struct nl_msg *m = dray_netdev_link(b, RTM_NEWLINK, 0, 0, IFF_UP, IFF_UP, "mark the parent");
    if (!m)
        return;
    nla_put_string(m, IFLA_IFNAME, n->parent);
    nla_put_string(m, IFLA_IFALIAS, alias);
}

static int make_dummy(struct dray_self *self, int fd, const struct lan_net *n, struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m =
        dray_netdev_link(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0, "make a dummy link");
    if (m) {
        nla_put_string(m, IFLA_IFNAME, n->parent);
        put_kind(m, "dummy");
    }
    put_alias(&b, self, n);
    int rc = dray_nl_send(fd, &b, err);
    if (rc == DRAY_E_NOTSUP)
        return dray_fail(err, rc, "this kernel has no dummy links: give the option \"parent\"");
    return rc;
}

/* "eth0.10" on "eth0", tag 10. */
static int make_vlan(struct dray_self *self, int fd, const struct lan_net *n, struct dray_err *err)
{
    char base[IFNAMSIZ];
    const char *dot = strrchr(n->parent, '.');
    char *end = NULL;
    unsigned long tag = dot && dot[1] ? strtoul(dot + 1, &end, 10) : 0;
    if (!dot || !tag || *end || tag > 4094)
        return dray_fail(err, DRAY_E_NOTFOUND, "the requested parent interface %s was not found",
                         n->parent);
    (void)snprintf(base, sizeof base, "%.*s", (int)(dot - n->parent), n->parent);
    unsigned index = dray_netdev_index(fd, base);
    if (!index)
        return dray_fail(err, DRAY_E_NOTFOUND, "the requested parent interface %s was not found",
                         base);
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m =
        dray_netdev_link(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0, "make a VLAN link");
    if (m) {
        nla_put_string(m, IFLA_IFNAME, n->parent);
        nla_put_u32(m, IFLA_LINK, index);
        struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
        nla_put_string(m, IFLA_INFO_KIND, "vlan");
        struct nlattr *data = nla_nest_start(m, IFLA_INFO_DATA);
        nla_put_u16(m, IFLA_VLAN_ID, (uint16_t)tag);
        nla_nest_end(m, data);
        nla_nest_end(m, info);
    }
    put_alias(&b, self, n);
    int rc = dray_nl_send(fd, &b, err);
    if (rc == DRAY_E_NOTSUP)
        return dray_fail(err, rc, "this kernel has no VLAN links (802.1Q)");
    return rc;
}

static int ensure_bridge(struct dray_self *self, int fd, struct lan_net *n, struct dray_err *err)
{
    char alias[160];
    (void)snprintf(n->parent, sizeof n->parent, "vx-%.12s", n->id);
    (void)snprintf(alias, sizeof alias, "%s%s", self->mark, n->id);
    n->made = true;
    bool fresh = dray_netdev_index(fd, n->parent) == 0;
    int rc = self->kind->make_parent(fd, n->parent, alias, n->extra, err);
    if (rc && fresh)
        lan_parent_drop(self, n->parent);
    return rc;
}

int lan_parent_ensure(struct dray_self *self, struct lan_net *n, struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = open_route(&fd, err);
    if (rc)
        return rc;
    if (self->kind->make_parent)
        return ensure_bridge(self, fd, n, err);
    bool dummy = !n->parent[0];
    if (dummy)
        (void)snprintf(n->parent, sizeof n->parent, "dm-%.12s", n->id);
    n->made = dummy || strchr(n->parent, '.'); /* those that are not ours have no mark of ours */
    if (dray_netdev_index(fd, n->parent))
        return 0;
    return dummy ? make_dummy(self, fd, n, err) : make_vlan(self, fd, n, err);
}

struct doomed {
    int fd; /* of the namespace that has the link */
    char name[IFNAMSIZ];
    char mark[48]; /* its alias must begin so; "" for any */
};

static int match_mark(const struct nlmsghdr *h, void *ctx)
{
    struct doomed *d = ctx;
    struct nlattr *a =
        nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(struct ifinfomsg), IFLA_IFALIAS);
    if (!a || strncmp(nla_get_string(a), d->mark, strlen(d->mark)) != 0)
        d->name[0] = '\0';
    return 1;
}

static struct nl_msg *ask_link(struct dray_nl_batch *b, int flags, unsigned index)
{
    struct nl_msg *m = dray_nl_add(b, RTM_GETLINK, flags, 64, "look at links");
    struct ifinfomsg ifi = {.ifi_index = (int)index};
    if (m)
        nlmsg_append(m, &ifi, sizeof ifi, NLMSG_ALIGNTO);
    return m;
}

static void delete_link(void *arg)
{
    dray_autofree struct doomed *d = arg;
    dray_autofd int fd = d->fd;
    unsigned index = dray_netdev_index(fd, d->name);
    DRAY_AUTO(dray_nl_batch) ask = {0};
    if (index && d->mark[0] &&
        (!ask_link(&ask, 0, index) || dray_nl_dump(fd, &ask, match_mark, d, NULL)))
        return;
    if (!index || !d->name[0])
        return;
    DRAY_AUTO(dray_nl_batch) b = {0};
    (void)dray_netdev_link(&b, RTM_DELLINK, 0, index, 0, 0, "delete a link");
    (void)dray_nl_send(fd, &b, NULL);
}

static void delete_later(struct dray_self *self, int fd /* takes */, const char *name,
                         const char *mark)
{
    struct doomed *d = calloc(1, sizeof *d);
    if (d) {
        d->fd = fd;
        (void)snprintf(d->name, sizeof d->name, "%s", name);
        (void)snprintf(d->mark, sizeof d->mark, "%s", mark);
    }
    if (d && !dray_worker_post(self->worker, 0, delete_link, d, NULL))
        return;
    free(d);
    (void)close(fd);
}

static void drop_marked(struct dray_self *self, const char *name)
{
    int fd = dray_nl_socket(NETLINK_ROUTE);
    if (fd >= 0)
        delete_later(self, fd, name, self->mark);
}

void lan_parent_drop(struct dray_self *self, const char *name)
{
    char other[IFNAMSIZ];
    drop_marked(self, name);
    if (!self->kind->companion)
        return;
    self->kind->companion(name, other);
    drop_marked(self, other);
}

struct sweep {
    struct dray_self *self;
    struct dray_strs keep;
};

static int drop_stale(const struct nlmsghdr *h, void *ctx)
{
    struct sweep *w = ctx;
    struct nlmsghdr *msg = (struct nlmsghdr *)(uintptr_t)h;
    struct nlattr *alias = nlmsg_find_attr(msg, sizeof(struct ifinfomsg), IFLA_IFALIAS);
    struct nlattr *name = nlmsg_find_attr(msg, sizeof(struct ifinfomsg), IFLA_IFNAME);
    size_t len = strlen(w->self->mark);
    if (!alias || !name || strncmp(nla_get_string(alias), w->self->mark, len) != 0)
        return 0;
    for (uint64_t i = 0; i < w->keep.n; i++)
        if (strcmp(w->keep.v[i], nla_get_string(alias) + len) == 0)
            return 0;
    drop_marked(w->self, nla_get_string(name));
    return 0;
}

int lan_parents_collect(struct dray_self *self, struct dray_strs keep, struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = open_route(&fd, err);
    struct sweep w = {.self = self, .keep = keep};
    DRAY_AUTO(dray_nl_batch) b = {0};
    (void)ask_link(&b, NLM_F_DUMP, 0);
    return rc ? rc : dray_nl_dump(fd, &b, drop_stale, &w, err);
}

/* What a link is called until it is in its namespace: the kernel refuses a name that a link of the
 * host has, and "eth0" often is one. */
static void birth_name(const struct lan_ep *e, char out[IFNAMSIZ])
{
    (void)snprintf(out, IFNAMSIZ, "dln%.12s", e->id);
}

static void put_own(struct nl_msg *m, const struct dray_self *self, const struct lan_net *n,
                    const struct lan_ep *e, unsigned parent, int netns)
{
    char name[IFNAMSIZ];
    birth_name(e, name);
    nla_put_string(m, IFLA_IFNAME, name);
    nla_put_u32(m, IFLA_LINK, parent);
    nla_put_u32(m, IFLA_NET_NS_FD, (uint32_t)netns);
    if (e->has_mac)
        nla_put(m, IFLA_ADDRESS, sizeof e->mac, e->mac);
    struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
    nla_put_string(m, IFLA_INFO_KIND, self->kind->name);
    struct nlattr *data = nla_nest_start(m, IFLA_INFO_DATA);
    self->kind->put_data(m, n->mode, n->flag);
    nla_nest_end(m, data);
    nla_nest_end(m, info);
}

/* The outer end is a port of the parent, the inner one is born in the namespace. */
static void put_pair(struct nl_msg *m, const struct lan_net *n, const struct lan_ep *e,
                     unsigned parent, int netns)
{
    char outer[IFNAMSIZ];
    struct ifinfomsg peer = {0};
    (void)snprintf(outer, sizeof outer, "veth%.11s", e->id);
    nla_put_string(m, IFLA_IFNAME, outer);
    nla_put_u32(m, IFLA_MASTER, parent);
    if (n->mtu)
        nla_put_u32(m, IFLA_MTU, n->mtu);
    struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
    nla_put_string(m, IFLA_INFO_KIND, "veth");
    struct nlattr *data = nla_nest_start(m, IFLA_INFO_DATA);
    struct nlattr *inner = nla_nest_start(m, VETH_INFO_PEER);
    nlmsg_append(m, &peer, sizeof peer, NLMSG_ALIGNTO);
    nla_put_string(m, IFLA_IFNAME, e->ifname);
    nla_put(m, IFLA_ADDRESS, sizeof e->mac, e->mac);
    nla_put_u32(m, IFLA_NET_NS_FD, (uint32_t)netns);
    if (n->mtu)
        nla_put_u32(m, IFLA_MTU, n->mtu);
    nla_nest_end(m, inner);
    nla_nest_end(m, data);
    nla_nest_end(m, info);
}

static int make_link(struct dray_self *self, const struct lan_net *n, const struct lan_ep *e,
                     int netns, struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = open_route(&fd, err);
    unsigned parent = rc ? 0 : dray_netdev_index(fd, n->parent);
    if (rc)
        return rc;
    if (!parent)
        return dray_fail(err, DRAY_E_NOTFOUND, "the requested parent interface %s was not found",
                         n->parent);
    DRAY_AUTO(dray_nl_batch) b = {0};
    bool pair = self->kind->make_parent != NULL;
    struct nl_msg *m = dray_netdev_link(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0,
                                        pair ? IFF_UP : 0, pair ? IFF_UP : 0, "make the link");
    if (m && pair)
        put_pair(m, n, e, parent, netns);
    else if (m)
        put_own(m, self, n, e, parent, netns);
    dray_nl_ignore(&b, EEXIST); /* a repeated join */
    rc = dray_nl_send(fd, &b, err);
    if (rc == DRAY_E_NOTSUP)
        return dray_fail(err, rc, "this kernel has no %s links", self->kind->name);
    return rc;
}

/* Give a link that is in its namespace the name that the container knows. */
static int name_link(int fd, const struct lan_ep *e, struct dray_err *err)
{
    char name[IFNAMSIZ];
    birth_name(e, name);
    unsigned index = dray_netdev_index(fd, name);
    if (!index)
        return 0;
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = dray_netdev_link(&b, RTM_NEWLINK, 0, index, 0, 0, "name the link");
    if (m)
        nla_put_string(m, IFLA_IFNAME, e->ifname);
    int rc = dray_nl_send(fd, &b, err);
    DRAY_AUTO(dray_nl_batch) drop = {0};
    if (rc && dray_netdev_link(&drop, RTM_DELLINK, 0, index, 0, 0, "delete a link"))
        (void)dray_nl_send(fd, &drop, NULL);
    return rc;
}

/* A route to everywhere through the link itself, for networks without neighbours. */
static void link_route(struct dray_nl_batch *b, unsigned index, uint8_t family)
{
    struct nl_msg *m = dray_nl_add(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, 64,
                                   "set the default route");
    struct rtmsg rt = {.rtm_family = family,
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_BOOT,
                       .rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
                       .rtm_type = RTN_UNICAST};
    if (!m)
        return;
    nlmsg_append(m, &rt, sizeof rt, NLMSG_ALIGNTO);
    nla_put_u32(m, RTA_OIF, index);
}

static void default_routes(struct dray_nl_batch *b, const struct dray_self *self,
                           const struct lan_net *n, const struct lan_ep *e, unsigned index)
{
    bool routed = self->kind->routed(n->mode);
    if (n->internal)
        return;
    if (routed && e->ip4.family)
        link_route(b, index, AF_INET);
    else if (e->ip4.family && n->gateway4.family)
        dray_netdev_default_route(b, index, &n->gateway4);
    if (routed && e->ip6.family)
        link_route(b, index, AF_INET6);
    else if (e->ip6.family && n->gateway6.family)
        dray_netdev_default_route(b, index, &n->gateway6);
}

/*
 * A macvlan's MAC address is in use until the namespace of an earlier container with the same fixed
 * address has gone, which the kernel sees to some milliseconds after that container's end.
 */
static int bring_up(int fd, unsigned index, struct dray_err *err)
{
    struct dray_err why = {0};
    int rc = 0;
    for (unsigned waited = 0; waited < BUSY_MS; waited += BUSY_STEP_MS) {
        DRAY_AUTO(dray_nl_batch) b = {0};
        why = (struct dray_err){0};
        dray_netdev_up(&b, index, "bring up the link");
        rc = dray_nl_send(fd, &b, &why);
        if (!rc || why.os_errno != EADDRINUSE)
            break;
        (void)usleep(BUSY_STEP_MS * 1000);
    }
    if (rc && err)
        *err = why;
    return rc;
}

int lan_link_join(struct dray_self *self, const struct lan_net *n, struct lan_ep *e, int netns,
                  bool set_default, struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = dray_worker_nl_socket(self->worker, netns, &fd, err);
    if (!rc && !e->joined && dray_netdev_index(fd, e->ifname)) {
        dray_worker_drain(self->worker);
        while (dray_netdev_index(fd, e->ifname) && dray_netdev_next_name(e->ifname))
            ;
    }
    if (!rc && !(e->joined && dray_netdev_index(fd, e->ifname))) /* not a repeated join */
        rc = make_link(self, n, e, netns, err);
    rc = rc ? rc : name_link(fd, e, err);
    if (rc)
        return rc;
    e->joined = true;
    unsigned index = dray_netdev_index(fd, e->ifname);
    rc = bring_up(fd, index, err);
    DRAY_AUTO(dray_nl_batch) b = {0};
    dray_netdev_up(&b, DRAY_NETDEV_LO, "bring up the loopback link");
    if (e->ip4.family)
        dray_netdev_addr(&b, index, &e->ip4);
    if (e->ip6.family)
        dray_netdev_addr(&b, index, &e->ip6);
    if (set_default)
        default_routes(&b, self, n, e, index);
    rc = rc ? rc : dray_nl_send(fd, &b, err);
    if (rc)
        delete_later(self, dray_steal_fd(&fd), e->ifname, "");
    return rc;
}

int lan_link_leave(struct dray_self *self, const struct lan_ep *e, int netns, struct dray_err *err)
{
    int fd = -EBADF;
    int rc = e->ifname[0] ? dray_worker_nl_socket(self->worker, netns, &fd, err) : 0;
    if (fd >= 0)
        delete_later(self, fd, e->ifname, "");
    return rc;
}
