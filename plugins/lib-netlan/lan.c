/* SPDX-License-Identifier: Apache-2.0 */
/* lan.c - the operations of macvlan, ipvlan and vxlan networks. */
#include "lan_priv.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

static int read_word(struct dray_kvs opts, const char *key, const struct lan_word *words,
                     uint32_t *out, struct dray_err *err)
{
    const char *value = key ? dray_kvs_get(opts, key, "") : "";
    *out = words ? words[0].value : 0;
    if (!value[0])
        return 0;
    for (; words && words->word; words++) {
        if (strcmp(words->word, value) == 0) {
            *out = words->value;
            return 0;
        }
    }
    return dray_fail(err, DRAY_E_INVAL, "requested %s \"%s\" is not valid", key, value);
}

static int read_pool(const struct dray_net_pool *p, struct lan_net *n, struct dray_err *err)
{
    struct dray_cidr gateway;
    if (!p->gateway || !p->gateway[0])
        return 0;
    if (!dray_cidr_parse(p->gateway, &gateway))
        return dray_fail(err, DRAY_E_INVAL, "invalid gateway \"%s\"", p->gateway);
    struct dray_cidr *slot = gateway.family == AF_INET ? &n->gateway4 : &n->gateway6;
    if (!slot->family)
        *slot = gateway;
    return 0;
}

static int read_parent(struct dray_self *self, const struct dray_net_spec *spec, struct lan_net *n,
                       struct dray_err *err)
{
    const struct lan_kind *k = self->kind;
    const char *parent = dray_kvs_get(spec->options, "parent", "");
    if (strlen(parent) >= IFNAMSIZ || strpbrk(parent, "/ \t\n"))
        return dray_fail(err, DRAY_E_INVAL, "invalid parent interface \"%s\"", parent);
    if (strcmp(parent, "lo") == 0)
        return dray_fail(err, DRAY_E_INVAL, "loopback interface is not a valid %s parent link",
                         k->name);
    (void)snprintf(n->parent, sizeof n->parent, "%s", parent);
    n->internal = (spec->flags & DRAY_NET_INTERNAL) != 0 || !parent[0];
    int rc = read_word(spec->options, k->mode_option, k->modes, &n->mode, err);
    return rc ? rc : read_word(spec->options, k->flag_option, k->flags, &n->flag, err);
}

static int read_spec(struct dray_self *self, const struct dray_net_spec *spec, struct lan_net *n,
                     struct dray_err *err)
{
    int rc = 0;
    if (self->kind->read_options) {
        n->internal = (spec->flags & DRAY_NET_INTERNAL) != 0;
        rc = self->kind->read_options(spec->options, n->extra, &n->mtu, err);
    } else {
        rc = read_parent(self, spec, n, err);
    }
    for (uint64_t i = 0; !rc && i < spec->n_pools; i++)
        rc = read_pool(&spec->pools[i], n, err);
    return rc;
}

/* Said when it is asked for, not at every start of the daemon. */
static int need_links(const struct lan_kind *kind, struct dray_err *err)
{
    /* Without a parent the request cannot succeed: a kernel that knows the type says EINVAL or
     * ENODEV, one that does not EOPNOTSUPP. */
    dray_autofd int fd = dray_nl_socket(NETLINK_ROUTE);
    if (fd < 0)
        return dray_fail_errno(err, "open a route socket");
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m =
        dray_netdev_link(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0, "probe");
    if (m) {
        struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);
        nla_put_string(m, IFLA_INFO_KIND, kind->name);
        nla_nest_end(m, info);
    }
    struct dray_err why = {0};
    if (dray_nl_send(fd, &b, &why) == DRAY_E_NOTSUP)
        return dray_fail(err, DRAY_E_NOTSUP, "this kernel has no %s links (module %s)", kind->name,
                         kind->name);
    return 0;
}

static int32_t net_create(struct dray_self *self, const struct dray_call *call, const char *id,
                          const struct dray_net_spec *spec, struct dray_err *err)
{
    (void)call;
    struct lan_net n = {0};
    char user[LAN_ID];
    if (lan_get_net(self, id, &n))
        return 0;
    if (strlen(id) >= sizeof n.id)
        return dray_fail(err, DRAY_E_INVAL, "network id");
    (void)snprintf(n.id, sizeof n.id, "%s", id);
    int rc = need_links(self->kind, err);
    rc = rc ? rc : read_spec(self, spec, &n, err);
    if (!rc && n.parent[0] && lan_parent_user(self, n.parent, id, user))
        rc = dray_fail(err, DRAY_E_DENIED, "network %.12s is already using parent interface %s",
                       user, n.parent);
    rc = rc ? rc : lan_parent_ensure(self, &n, err);
    if (!rc && !lan_put_net(self, &n))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return rc;
}

static int32_t net_remove(struct dray_self *self, const struct dray_call *call, const char *id,
                          struct dray_err *err)
{
    (void)call;
    struct lan_net n;
    if (lan_net_busy(self, id))
        return dray_fail(err, DRAY_E_CONFLICT, "network %s has active endpoints", id);
    if (lan_drop_net(self, id, &n) && n.made)
        lan_parent_drop(self, n.parent);
    return 0;
}

static const char *mac_text(const struct dray_self *self, const struct dray_call *call,
                            const struct lan_ep *e)
{
    if (!e->has_mac)
        return "";
    return dray_call_printf(self->host, call, "%02x:%02x:%02x:%02x:%02x:%02x", e->mac[0], e->mac[1],
                            e->mac[2], e->mac[3], e->mac[4], e->mac[5]);
}

/* As Docker: 02:42 and the IPv4 address, else bytes of the endpoint's id. */
static int settle_mac(const struct dray_self *self, struct lan_ep *e, const char *wanted,
                      struct dray_err *err)
{
    unsigned v[6] = {0x02, 0x42};
    e->has_mac = self->kind->own_mac;
    if (!e->has_mac)
        return 0;
    if (wanted && wanted[0]) {
        int used = 0;
        if (sscanf(wanted, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5],
                   &used) != 6 ||
            wanted[used])
            return dray_fail(err, DRAY_E_INVAL, "invalid MAC address \"%s\"", wanted);
    } else if (e->ip4.family) {
        for (size_t i = 0; i < 4; i++)
            v[i + 2] = e->ip4.addr[i];
    } else {
        (void)sscanf(e->id, "%2x%2x%2x%2x", &v[2], &v[3], &v[4], &v[5]);
    }
    for (size_t i = 0; i < 6; i++)
        e->mac[i] = (uint8_t)v[i];
    return 0;
}

static int32_t ep_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, const struct dray_ep_spec *spec, const char **mac_out,
                         struct dray_err *err)
{
    struct lan_ep e = {0};
    struct lan_net n;
    if (!lan_get_ep(self, ep_id, &e)) {
        if (!lan_get_net(self, net_id, &n))
            return dray_fail(err, DRAY_E_NOTFOUND, "network %s not found", net_id);
        if (strlen(ep_id) >= sizeof e.id)
            return dray_fail(err, DRAY_E_INVAL, "endpoint id");
        (void)snprintf(e.id, sizeof e.id, "%s", ep_id);
        (void)snprintf(e.net, sizeof e.net, "%s", n.id);
        if ((spec->ipv4 && spec->ipv4[0] && !dray_cidr_parse(spec->ipv4, &e.ip4)) ||
            (spec->ipv6 && spec->ipv6[0] && !dray_cidr_parse(spec->ipv6, &e.ip6)))
            return dray_fail(err, DRAY_E_INVAL, "invalid address");
        int rc = settle_mac(self, &e, spec->mac, err);
        if (rc)
            return rc;
        if (!lan_put_ep(self, &e))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    *mac_out = mac_text(self, call, &e);
    return *mac_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int32_t ep_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, struct dray_err *err)
{
    (void)call;
    (void)net_id;
    (void)err;
    (void)lan_drop_ep(self, ep_id); /* its link goes with the namespace, or went with leave() */
    return 0;
}

static const char *gateway_text(const struct dray_self *self, const struct dray_call *call,
                                const struct lan_net *n, const struct dray_cidr *gateway,
                                const struct dray_cidr *own)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (gateway->family && own->family && !n->internal && !self->kind->routed(n->mode))
        (void)inet_ntop(gateway->family, gateway->addr, text, sizeof text);
    return dray_call_strdup(self->host, call, text);
}

static int32_t join(struct dray_self *self, const struct dray_call *call, const char *net_id,
                    const char *ep_id, struct dray_fd_borrow netns, const char *ifname_hint,
                    uint32_t set_default, struct dray_ep_join *out, struct dray_err *err)
{
    struct lan_ep e;
    struct lan_net n;
    if (!lan_get_ep(self, ep_id, &e) || !lan_get_net(self, net_id, &n))
        return dray_fail(err, DRAY_E_NOTFOUND, "endpoint %s not found", ep_id);
    const char *name = ifname_hint && ifname_hint[0] ? ifname_hint : "eth0";
    if (!e.joined)
        (void)snprintf(e.ifname, sizeof e.ifname, "%s", name);
    int rc = lan_link_join(self, &n, &e, netns.fd, set_default != 0, err);
    if (!rc && !lan_put_ep(self, &e))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        return dray_err_note(err, "%s link on %s", self->kind->name, n.parent);
    *out = (struct dray_ep_join){.size = sizeof *out,
                                 .ifname = dray_call_strdup(self->host, call, e.ifname),
                                 .mac = mac_text(self, call, &e),
                                 .gateway4 = gateway_text(self, call, &n, &n.gateway4, &e.ip4),
                                 .gateway6 = gateway_text(self, call, &n, &n.gateway6, &e.ip6)};
    if (!out->ifname || !out->mac || !out->gateway4 || !out->gateway6)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

static int32_t leave(struct dray_self *self, const struct dray_call *call, const char *net_id,
                     const char *ep_id, struct dray_fd_borrow netns, struct dray_err *err)
{
    (void)call;
    (void)net_id;
    struct lan_ep e;
    if (!lan_get_ep(self, ep_id, &e))
        return 0;
    int rc = lan_link_leave(self, &e, netns.fd, err);
    e.joined = false;
    (void)lan_put_ep(self, &e);
    return rc;
}

static int32_t collect(struct dray_self *self, const struct dray_call *call, struct dray_strs nets,
                       struct dray_strs endpoints, struct dray_err *err)
{
    (void)call;
    (void)endpoints; /* their links live in namespaces that the host drops */
    return lan_parents_collect(self, nets, err);
}

void lan_close(struct dray_self *self)
{
    dray_worker_free(self->worker);
    lan_free_all(self);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

int lan_open(const struct dray_host *host, const struct lan_kind *kind, struct dray_self **out,
             struct dray_err *err)
{
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->kind = kind;
    /* Daemons with other data folders have other marks. */
    uint32_t hash = 2166136261u;
    for (const char *p = host->path(host, DRAY_PATH_DATA); *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    (void)snprintf(self->mark, sizeof self->mark, "dray:%s:%08x:", kind->name, hash);
    pthread_mutex_init(&self->lock, NULL);
    int rc = dray_worker_new(&self->worker, err);
    if (rc) {
        lan_close(self);
        return rc;
    }
    *out = self;
    return 0;
}

const struct dray_network_ops lan_ops = {
    .head = DRAY_TABLE(struct dray_network_ops, 0),
    .net_create = net_create,
    .net_remove = net_remove,
    .ep_create = ep_create,
    .ep_remove = ep_remove,
    .join = join,
    .leave = leave,
    .collect = collect,
};
