/* SPDX-License-Identifier: Apache-2.0 */
/* bridge_link.c - makes, adopts and removes bridges; deletes links in the background. */
#include "bridge.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

/* Read one link's attributes from a RTM_NEWLINK message. */
static void read_link_info(const struct nlmsghdr *h, struct link_info *out)
{
    struct nlattr *tb[IFLA_MAX + 1];
    struct nlattr *info[IFLA_INFO_MAX + 1];
    const struct ifinfomsg *ifi = nlmsg_data(h);
    *out =
        (struct link_info){.index = (unsigned)ifi->ifi_index, .up = (ifi->ifi_flags & IFF_UP) != 0};
    if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof *ifi, tb, IFLA_MAX, NULL))
        return;
    if (tb[IFLA_IFNAME])
        (void)nla_strlcpy(out->name, tb[IFLA_IFNAME], sizeof out->name);
    if (tb[IFLA_IFALIAS])
        (void)nla_strlcpy(out->alias, tb[IFLA_IFALIAS], sizeof out->alias);
    if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == sizeof out->mac)
        memcpy(out->mac, nla_data(tb[IFLA_ADDRESS]), sizeof out->mac);
    if (tb[IFLA_MASTER])
        out->master = nla_get_u32(tb[IFLA_MASTER]);
    if (tb[IFLA_MTU])
        out->mtu = nla_get_u32(tb[IFLA_MTU]);
    if (tb[IFLA_LINKINFO] && !nla_parse_nested(info, IFLA_INFO_MAX, tb[IFLA_LINKINFO], NULL) &&
        info[IFLA_INFO_KIND])
        (void)nla_strlcpy(out->kind, info[IFLA_INFO_KIND], sizeof out->kind);
}

static int read_one(const struct nlmsghdr *h, void *ctx)
{
    read_link_info(h, ctx);
    return 1;
}

int link_info_get(int fd, const char *name, struct link_info *out, struct dray_err *err)
{
    unsigned index = dray_netdev_index(fd, name);
    if (!index)
        return dray_fail(err, DRAY_E_NOTFOUND, "no link %s", name);
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = dray_nl_add(&b, RTM_GETLINK, 0, 64, "look at link %s", name);
    struct ifinfomsg ifi = {.ifi_index = (int)index};
    if (m)
        nlmsg_append(m, &ifi, sizeof ifi, NLMSG_ALIGNTO);
    return dray_nl_dump(fd, &b, read_one, out, err);
}

void link_alias(const struct dray_self *self, const char *id, char out[128])
{
    (void)snprintf(out, 128, "dray:%s:%.80s", self->table, id);
}

/* Stable, so that neighbours' caches stay right when the bridge is made again. */
static void bridge_mac(const struct network *n, uint8_t out[6])
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a of the id */
    for (const char *p = n->id; *p; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(1099511628211);
    out[0] = 0x02;
    out[1] = 0x42;
    memcpy(out + 2, &h, 4);
}

static int create_bridge(struct dray_self *self, int fd, const struct network *n,
                         struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    char alias[128];
    uint8_t mac[6];
    bridge_mac(n, mac);
    link_alias(self, n->id, alias);
    struct nl_msg *m =
        dray_netdev_link(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0, "make a bridge");
    if (m) {
        nla_put_string(m, IFLA_IFNAME, n->bridge);
        nla_put(m, IFLA_ADDRESS, sizeof mac, mac);
        nla_put_u32(m, IFLA_MTU, n->mtu);
        struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
        nla_put_string(m, IFLA_INFO_KIND, "bridge");
        nla_nest_end(m, info);
    }
    m = dray_netdev_link(&b, RTM_NEWLINK, 0, 0, 0, 0, "mark the bridge");
    if (m) {
        nla_put_string(m, IFLA_IFNAME, n->bridge);
        nla_put_string(m, IFLA_IFALIAS, alias);
    }
    return dray_nl_send(fd, &b, err);
}

/* The sysctls of a bridge. Failures are told, not fatal: /proc/sys may be read-only. */
static void tune(const struct dray_self *self, const struct network *n)
{
    const struct {
        const char *family, *name, *value;
    } wanted[] = {
        {"ipv4", "route_localnet", self->no_rules ? "0" : "1"}, /* rules guard it */
        {"ipv6", "disable_ipv6", n->ipv6 ? "0" : "1"},
        {"ipv6", "accept_ra", "0"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char path[96];
        struct dray_err why = {0};
        (void)snprintf(path, sizeof path, "%s/conf/%s/%s", wanted[i].family, n->bridge,
                       wanted[i].name);
        int rc = dray_netdev_sysctl(path, wanted[i].value, &why);
        if (rc && rc != DRAY_E_NOTFOUND)
            dray_host_logf(self->host, DRAY_LOG_WARN, "%s", why.text);
    }
}

/*
 * Who asks ::1 for a published port gets the answer through the bridge: there the kernel must take
 * ::1 for its own address. From the wire nobody can use it, packets with ::1 end before routing.
 */
static void loopback_route(struct dray_nl_batch *b, unsigned index)
{
    static const uint8_t loopback[16] = {[15] = 1};
    struct nl_msg *m = dray_nl_add(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 128,
                                   "route ::1 by the bridge");
    struct rtmsg rt = {.rtm_family = AF_INET6,
                       .rtm_dst_len = 128,
                       .rtm_table = RT_TABLE_LOCAL,
                       .rtm_protocol = RTPROT_STATIC,
                       .rtm_type = RTN_LOCAL};
    if (!m)
        return;
    dray_nl_ignore(b, EEXIST);
    nlmsg_append(m, &rt, sizeof rt, NLMSG_ALIGNTO);
    nla_put(m, RTA_DST, sizeof loopback, loopback);
    nla_put_u32(m, RTA_OIF, index);
}

static int configure(int fd, const struct network *n, struct dray_err *err)
{
    unsigned index = dray_netdev_index(fd, n->bridge);
    if (!index)
        return dray_fail(err, DRAY_E_NOTFOUND, "bridge %s has gone", n->bridge);
    DRAY_AUTO(dray_nl_batch) b = {0};
    dray_netdev_up(&b, index, "bring up the bridge");
    if (n->gateway4.family && !n->no_ip4)
        dray_netdev_addr(&b, index, &n->gateway4);
    if (n->gateway6.family && n->mode6 != GATEWAY_ISOLATED) {
        /* Neighbours are solicited from the link-local address: Docker's, and usable at once. */
        static const struct dray_cidr local = {AF_INET6, 64, {0xfe, 0x80, [15] = 1}};
        dray_netdev_addr(&b, index, &local);
        dray_netdev_addr(&b, index, &n->gateway6);
        loopback_route(&b, index);
    }
    return dray_nl_send(fd, &b, err);
}

struct strays {
    struct dray_nl_batch *batch;
    const struct network *net;
    unsigned index;
};

static int drop_stray_address(const struct nlmsghdr *h, void *ctx)
{
    struct strays *s = ctx;
    const struct ifaddrmsg *ifa = nlmsg_data(h);
    struct nlattr *a = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof *ifa, IFA_LOCAL);
    const struct dray_cidr *keep = &s->net->gateway4;
    if (ifa->ifa_index != s->index || ifa->ifa_family != AF_INET || !a || nla_len(a) != 4 ||
        (keep->prefix == ifa->ifa_prefixlen && memcmp(nla_data(a), keep->addr, 4) == 0))
        return 0;
    struct nl_msg *m = dray_nl_add(s->batch, RTM_DELADDR, NLM_F_ACK, 64, "drop an old address");
    if (m) {
        nlmsg_append(m, (void *)(uintptr_t)ifa, sizeof *ifa, NLMSG_ALIGNTO);
        nla_put(m, IFA_LOCAL, 4, nla_data(a));
    }
    return 0;
}

/* The bridge is there. One of an earlier life of ours gets this network's mark, MTU and addresses;
 * somebody else's is used as it is. */
static int adopt(struct dray_self *self, int fd, struct network *n, const struct link_info *have,
                 struct dray_err *err)
{
    char mark[128];
    link_alias(self, "", mark);
    n->foreign = strncmp(have->alias, mark, strlen(mark)) != 0;
    if (n->foreign)
        return 0;
    DRAY_AUTO(dray_nl_batch) b = {0};
    link_alias(self, n->id, mark);
    struct nl_msg *m = dray_netdev_link(&b, RTM_NEWLINK, 0, have->index, 0, 0, "mark the bridge");
    if (m) {
        nla_put_string(m, IFLA_IFALIAS, mark);
        if (have->mtu != n->mtu)
            nla_put_u32(m, IFLA_MTU, n->mtu);
    }
    DRAY_AUTO(dray_nl_batch) ask = {0};
    struct strays s = {.batch = &b, .net = n, .index = have->index};
    struct ifaddrmsg ifa = {.ifa_family = AF_INET};
    m = dray_nl_add(&ask, RTM_GETADDR, NLM_F_DUMP, 64, "list addresses");
    if (m)
        nlmsg_append(m, &ifa, sizeof ifa, NLMSG_ALIGNTO);
    int rc = dray_nl_dump(fd, &ask, drop_stray_address, &s, err);
    return rc ? rc : dray_nl_send(fd, &b, err);
}

int bridge_link_ensure(struct dray_self *self, struct network *n, struct dray_err *err)
{
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    if (fd < 0)
        return dray_fail_errno(err, "open a route socket");
    struct link_info have = {0};
    int rc = link_info_get(fd, n->bridge, &have, NULL);
    if (rc) {
        rc = create_bridge(self, fd, n, err);
        if (rc)
            return dray_err_note(err, "bridge %s", n->bridge);
    } else if (strcmp(have.kind, "bridge") != 0) {
        return dray_fail(err, DRAY_E_CONFLICT, "link %s exists and is not a bridge", n->bridge);
    } else {
        rc = adopt(self, fd, n, &have, err);
        if (rc)
            return dray_err_note(err, "bridge %s", n->bridge);
    }
    tune(self, n);
    rc = configure(fd, n, err);
    if (rc && !n->foreign && !have.index)
        link_delete_later(self, n->bridge, 0);
    return rc ? dray_err_note(err, "bridge %s", n->bridge) : 0;
}

static void drop_address(struct dray_nl_batch *b, unsigned index, const struct dray_cidr *c)
{
    struct nl_msg *m = dray_nl_add(b, RTM_DELADDR, NLM_F_ACK, 64, "drop the bridge's address");
    struct ifaddrmsg ifa = {
        .ifa_family = (uint8_t)c->family, .ifa_prefixlen = (uint8_t)c->prefix, .ifa_index = index};
    if (!m)
        return;
    dray_nl_ignore(b, EADDRNOTAVAIL);
    nlmsg_append(m, &ifa, sizeof ifa, NLMSG_ALIGNTO);
    nla_put(m, IFA_LOCAL, dray_cidr_len(c), c->addr);
}

void bridge_link_retire(struct dray_self *self, struct network *n)
{
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    unsigned index = fd < 0 ? 0 : dray_netdev_index(fd, n->bridge);
    DRAY_AUTO(dray_nl_batch) b = {0};
    if (index && n->gateway4.family)
        drop_address(&b, index, &n->gateway4);
    if (index && n->gateway6.family)
        drop_address(&b, index, &n->gateway6);
    struct dray_err err = {0};
    if (index && dray_nl_send(fd, &b, &err))
        dray_host_logf(self->host, DRAY_LOG_DEBUG, "bridge %s: %s", n->bridge, err.text);
    link_delete_later(self, n->bridge, 0);
}

struct attachees {
    struct dray_self *self;
    const struct network *net;
};

static void put_back(struct endpoint *e, void *ctx)
{
    const struct attachees *a = ctx;
    if (e->net == a->net)
        endpoint_reattach(a->self, e);
}

int bridge_link_check(struct dray_self *self, struct network *n, struct dray_err *err)
{
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    struct link_info have = {0};
    if (fd < 0)
        return dray_fail_errno(err, "open a route socket");
    int rc = link_info_get(fd, n->bridge, &have, NULL);
    if (!rc && have.up)
        return configure(fd, n, err);
    dray_host_logf(self->host, DRAY_LOG_WARN, "bridge %s has gone or is down; mending it",
                   n->bridge);
    rc = rc ? create_bridge(self, fd, n, err) : 0;
    if (rc)
        return rc;
    tune(self, n);
    rc = configure(fd, n, err);
    if (rc)
        return rc;
    /* Rare, and short: the store stays locked meanwhile. */
    struct attachees a = {.self = self, .net = n};
    store_each_endpoint(&self->store, put_back, &a);
    return 0;
}

/* A link to delete: name, and the alias it must have. */
struct doomed {
    char name[IFNAMSIZ];
    char alias_prefix[64];
};

static void delete_link(void *arg)
{
    dray_autofree struct doomed *d = arg;
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    struct link_info have;
    if (fd < 0 || link_info_get(fd, d->name, &have, NULL) ||
        strncmp(have.alias, d->alias_prefix, strlen(d->alias_prefix)) != 0)
        return;
    DRAY_AUTO(dray_nl_batch) b = {0};
    (void)dray_netdev_link(&b, RTM_DELLINK, 0, have.index, 0, 0, "delete a link");
    (void)dray_nl_send(fd, &b, NULL); /* it may vanish with its namespace meanwhile */
}

void link_delete_later(struct dray_self *self, const char *ifname, uint32_t delay_ms)
{
    struct doomed *d = calloc(1, sizeof *d);
    if (!d)
        return; /* collect() will find it */
    (void)snprintf(d->name, sizeof d->name, "%s", ifname);
    (void)snprintf(d->alias_prefix, sizeof d->alias_prefix, "dray:%s:", self->table);
    if (dray_worker_post(self->reaper, delay_ms, delete_link, d, NULL))
        free(d);
}

struct sweep {
    struct dray_self *self;
    char prefix[64];
    char (*names)[IFNAMSIZ]; /* candidates, owned */
    char (*ids)[BRIDGE_ID];
    size_t n, cap;
};

static bool sweep_room(struct sweep *w)
{
    if (w->n < w->cap)
        return true;
    size_t cap = w->cap ? w->cap * 2 : 16;
    void *names = reallocarray(w->names, cap, sizeof *w->names);
    if (names)
        w->names = names;
    void *ids = reallocarray(w->ids, cap, sizeof *w->ids);
    if (ids)
        w->ids = ids;
    if (!names || !ids)
        return false;
    w->cap = cap;
    return true;
}

static int note_ours(const struct nlmsghdr *h, void *ctx)
{
    struct sweep *w = ctx;
    struct link_info have;
    read_link_info(h, &have);
    if (strncmp(have.alias, w->prefix, strlen(w->prefix)) != 0 || !sweep_room(w))
        return 0;
    memcpy(w->names[w->n], have.name, IFNAMSIZ);
    (void)snprintf(w->ids[w->n], BRIDGE_ID, "%.79s", have.alias + strlen(w->prefix));
    w->n++;
    return 0;
}

static bool is_alive(struct dray_self *self, const char *id)
{
    struct network *n = store_network(&self->store, id);
    struct endpoint *e = n ? NULL : store_endpoint(&self->store, id);
    bool alive = n || e;
    network_unref(&self->store, n);
    endpoint_unref(&self->store, e);
    return alive;
}

int links_collect(struct dray_self *self, struct dray_err *err)
{
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    if (fd < 0)
        return dray_fail_errno(err, "open a route socket");
    struct sweep w = {.self = self};
    (void)snprintf(w.prefix, sizeof w.prefix, "dray:%s:", self->table);
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = dray_nl_add(&b, RTM_GETLINK, NLM_F_DUMP, 64, "list links");
    struct ifinfomsg ifi = {0};
    if (m)
        nlmsg_append(m, &ifi, sizeof ifi, NLMSG_ALIGNTO);
    int rc = dray_nl_dump(fd, &b, note_ours, &w, err);
    for (size_t i = 0; !rc && i < w.n; i++)
        if (!is_alive(self, w.ids[i]))
            link_delete_later(self, w.names[i], 0);
    free(w.names);
    free(w.ids);
    return rc;
}
