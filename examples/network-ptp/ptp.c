/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptp.c - a network driver for Dray: a pair of links between the machine and each container.
 *
 * The machine's end has the gateway's address and a route to the container's one; the container's
 * end has its address with the prefix of 32 and routes everything through the gateway. Networks and
 * endpoints are kept in memory: after a restart the host makes them again (DRAY_CALL_REPLAY).
 */
#include "rtnl.h"

#include <dray/network.h>
#include <dray/plugin.h>

#include <arpa/inet.h>
#include <fcntl.h>

#define NAME_LEN 16 /* of a link, with its NUL */

DRAY_PLUGIN_CARD("{\"name\":\"ptp\",\"version\":\"1.0.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"network\"],\"license\":\"Apache-2.0\"}");

struct endpoint {
    struct endpoint *next;
    char id[128], mac[18], link[NAME_LEN];
    struct in_addr addr;
};

struct network {
    struct network *next;
    struct endpoint *endpoints;
    char id[128];
    struct in_addr gateway, subnet;
    unsigned prefix, mtu;
};

struct dray_self {
    const struct dray_host *host;
    struct network *networks; /* the interface is SERIAL: no lock */
};

/* --- looking things up ------------------------------------------------------------------------ */

static struct network *find_network(struct dray_self *self, const char *id)
{
    struct network *n = self->networks;
    while (n && strcmp(n->id, id) != 0)
        n = n->next;
    return n;
}

static struct endpoint *find_endpoint(struct dray_self *self, const char *net_id, const char *ep_id)
{
    struct network *n = find_network(self, net_id);
    struct endpoint *e = n ? n->endpoints : NULL;
    while (e && strcmp(e->id, ep_id) != 0)
        e = e->next;
    return e;
}

static int no_endpoint(struct dray_err *err, const char *ep_id)
{
    return dray_fail(err, DRAY_E_NOTFOUND, "ptp: no endpoint %s", ep_id);
}

/* "10.0.0.5/24" */
static int parse_cidr(const char *text, struct in_addr *addr, unsigned *prefix,
                      struct dray_err *err)
{
    char host[INET_ADDRSTRLEN] = "";
    unsigned bits = 32;
    if (sscanf(text, "%15[0-9.]/%u", host, &bits) < 1 || bits > 32 ||
        inet_pton(AF_INET, host, addr) != 1)
        return dray_fail(err, DRAY_E_INVAL, "ptp: \"%s\" is no IPv4 address", text);
    *prefix = bits;
    return 0;
}

/* --- networks --------------------------------------------------------------------------------- */

static int parse_network(struct network *n, const struct dray_net_spec *spec, struct dray_err *err)
{
    for (uint64_t i = 0; i < spec->options.n; i++) {
        const struct dray_kv *o = &spec->options.v[i];
        char *end;
        if (strcmp(o->key, "mtu") != 0)
            return dray_fail(err, DRAY_E_INVAL, "ptp: unknown option \"%s\"; there is mtu", o->key);
        n->mtu = (unsigned)strtoul(o->value, &end, 10);
        if (*end || n->mtu < 68 || n->mtu > 65535)
            return dray_fail(err, DRAY_E_INVAL, "ptp: mtu \"%s\" must be from 68 to 65535",
                             o->value);
    }
    for (uint64_t i = 0; i < spec->n_pools; i++) {
        unsigned whole;
        if (spec->pools[i].family != 4)
            continue;
        int rc = parse_cidr(spec->pools[i].subnet, &n->subnet, &n->prefix, err);
        return rc ? rc : parse_cidr(spec->pools[i].gateway, &n->gateway, &whole, err);
    }
    return dray_fail(err, DRAY_E_INVAL, "ptp: the network needs an IPv4 subnet with a gateway");
}

/* The machine routes between its links, unless the network is to stay apart. */
static void allow_forwarding(struct dray_self *self, const struct dray_net_spec *spec)
{
    if (spec->flags & DRAY_NET_INTERNAL)
        return;
    dray_autofd int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1", 1) != 1)
        dray_host_logf(self->host, DRAY_LOG_WARN, "cannot switch on ip_forward: %s",
                       strerror(errno));
}

static int32_t net_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          const struct dray_net_spec *spec, struct dray_err *err)
{
    (void)call;
    if (find_network(self, net_id))
        return 0;
    struct network *n = (struct network *)calloc(1, sizeof *n);
    if (!n)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = parse_network(n, spec, err);
    if (rc) {
        free(n);
        return rc;
    }
    (void)snprintf(n->id, sizeof n->id, "%s", net_id);
    allow_forwarding(self, spec);
    n->next = self->networks;
    self->networks = n;
    return 0;
}

static int32_t net_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          struct dray_err *err)
{
    (void)call;
    struct network **at = &self->networks;
    while (*at && strcmp((*at)->id, net_id) != 0)
        at = &(*at)->next;
    struct network *n = *at;
    if (!n)
        return 0;
    if (n->endpoints)
        return dray_fail(err, DRAY_E_CONFLICT, "ptp: network %s has endpoints", net_id);
    *at = n->next;
    free(n);
    return 0;
}

/* --- endpoints -------------------------------------------------------------------------------- */

/* A locally administered address that follows from the endpoint's id: the same after a restart. */
static void choose_mac(const char *ep_id, char out[18])
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (const char *p = ep_id; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    (void)snprintf(out, 18, "02:%02x:%02x:%02x:%02x:%02x", (unsigned)(h >> 8 & 255),
                   (unsigned)(h >> 16 & 255), (unsigned)(h >> 24 & 255), (unsigned)(h >> 32 & 255),
                   (unsigned)(h >> 40 & 255));
}

static int32_t ep_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, const struct dray_ep_spec *spec, const char **mac_out,
                         struct dray_err *err)
{
    struct network *n = find_network(self, net_id);
    struct endpoint *e = find_endpoint(self, net_id, ep_id);
    unsigned prefix;
    if (!n)
        return dray_fail(err, DRAY_E_NOTFOUND, "ptp: no network %s", net_id);
    if (!e) {
        e = (struct endpoint *)calloc(1, sizeof *e);
        if (!e)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        int rc = parse_cidr(spec->ipv4, &e->addr, &prefix, err);
        if (rc) {
            free(e);
            return rc;
        }
        (void)snprintf(e->id, sizeof e->id, "%s", ep_id);
        (void)snprintf(e->link, sizeof e->link, "ptp%.11s", ep_id);
        (void)snprintf(e->mac, sizeof e->mac, "%s", spec->mac);
        if (!e->mac[0])
            choose_mac(ep_id, e->mac);
        e->next = n->endpoints;
        n->endpoints = e;
    }
    *mac_out = dray_call_strdup(self->host, call, e->mac);
    return *mac_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int remove_link(const struct endpoint *e, struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = rtnl_open(-1, &fd, err);
    return rc ? rc : rtnl_link_remove(fd, e->link, err);
}

static int32_t ep_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, struct dray_err *err)
{
    (void)call;
    struct endpoint *e = find_endpoint(self, net_id, ep_id);
    if (!e)
        return 0;
    int rc = remove_link(e, err);
    if (rc)
        return rc;
    struct endpoint **at = &find_network(self, net_id)->endpoints;
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    free(e);
    return 0;
}

/* Both ends, addresses, routes. rt is the machine's socket, in the container's. */
static int connect_ends(const struct network *n, const struct endpoint *e, int rt, int in,
                        const char *ifname, int default_route, struct dray_err *err)
{
    const struct in_addr any = {INADDR_ANY};
    unsigned outer = rtnl_link_find(rt, e->link, NULL);
    unsigned inner = rtnl_link_find(in, ifname, NULL);
    if (!outer || !inner)
        return dray_fail(err, DRAY_E_IO, "ptp: the links of %s have gone", e->id);
    int rc = rtnl_link_set(in, inner, NULL, e->mac, err);
    if (!rc)
        rc = rtnl_addr_add(in, inner, e->addr, 32, err);
    if (!rc)
        rc = rtnl_route_add(in, inner, n->gateway, 32, any, err);
    if (!rc)
        rc = rtnl_route_add(in, inner, n->subnet, n->prefix, n->gateway, err);
    if (!rc && default_route)
        rc = rtnl_route_add(in, inner, any, 0, n->gateway, err);
    if (!rc)
        rc = rtnl_link_set(rt, outer, NULL, NULL, err);
    if (!rc)
        rc = rtnl_addr_add(rt, outer, n->gateway, 32, err);
    return rc ? rc : rtnl_route_add(rt, outer, e->addr, 32, any, err);
}

static int32_t join(struct dray_self *self, const struct dray_call *call, const char *net_id,
                    const char *ep_id, struct dray_fd_borrow netns, const char *ifname_hint,
                    uint32_t set_default, struct dray_ep_join *out, struct dray_err *err)
{
    const struct network *n = find_network(self, net_id);
    const struct endpoint *e = find_endpoint(self, net_id, ep_id);
    char gateway[INET_ADDRSTRLEN];
    dray_autofd int rt = -EBADF, in = -EBADF;
    if (!e)
        return no_endpoint(err, ep_id);
    int rc = rtnl_open(-1, &rt, err);
    if (!rc)
        rc = rtnl_open(netns.fd, &in, err);
    if (rc)
        return rc;
    /* Joining again what is joined is a success, and mends what is missing. */
    if (!rtnl_link_find(in, ifname_hint, NULL)) {
        rc = rtnl_link_remove(rt, e->link, err);
        if (!rc)
            rc = rtnl_veth(rt, e->link, ifname_hint, netns.fd, n->mtu, err);
    }
    if (!rc)
        rc = connect_ends(n, e, rt, in, ifname_hint, set_default != 0, err);
    if (rc) {
        (void)rtnl_link_remove(rt, e->link, NULL);
        return rc;
    }
    (void)inet_ntop(AF_INET, &n->gateway, gateway, sizeof gateway);
    out->ifname = dray_call_strdup(self->host, call, ifname_hint);
    out->mac = dray_call_strdup(self->host, call, e->mac);
    out->gateway4 = dray_call_strdup(self->host, call, gateway);
    out->gateway6 = "";
    return out->ifname && out->mac && out->gateway4 ? 0
                                                    : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int32_t leave(struct dray_self *self, const struct dray_call *call, const char *net_id,
                     const char *ep_id, struct dray_fd_borrow netns, struct dray_err *err)
{
    (void)call;
    (void)netns; /* one end takes the other with it */
    const struct endpoint *e = find_endpoint(self, net_id, ep_id);
    return e ? remove_link(e, err) : 0;
}

/* --- what is alive ---------------------------------------------------------------------------- */

static int is_among(struct dray_strs list, const char *id)
{
    for (uint64_t i = 0; i < list.n; i++)
        if (strcmp(list.v[i], id) == 0)
            return 1;
    return 0;
}

static int32_t collect(struct dray_self *self, const struct dray_call *call, struct dray_strs nets,
                       struct dray_strs endpoints, struct dray_err *err)
{
    int rc = 0;
    for (struct network *n = self->networks, *next; !rc && n; n = next) {
        next = n->next;
        for (struct endpoint *e = n->endpoints, *after; !rc && e; e = after) {
            after = e->next;
            if (!is_among(endpoints, e->id))
                rc = ep_remove(self, call, n->id, e->id, err);
        }
        if (!rc && !is_among(nets, n->id))
            rc = net_remove(self, call, n->id, err);
    }
    return rc;
}

/* --- the plugin ------------------------------------------------------------------------------- */

static const struct dray_network_ops network_ops = {
    .head = DRAY_TABLE(struct dray_network_ops, 0),
    .net_create = net_create,
    .net_remove = net_remove,
    .ep_create = ep_create,
    .ep_remove = ep_remove,
    .join = join,
    .leave = leave,
    .collect = collect,
};

static int32_t open_instance(const struct dray_host *host, const char *instance,
                             struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = (struct dray_self *)calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    *out = self;
    return 0;
}

/* The links stay: containers may outlive the host. */
static void close_instance(struct dray_self *self)
{
    for (struct network *n = self->networks, *next; n; n = next) {
        next = n->next;
        for (struct endpoint *e = n->endpoints, *after; e; e = after) {
            after = e->next;
            free(e);
        }
        free(n);
    }
    free(self);
}

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_NETWORK, DRAY_THREAD_SERIAL, &network_ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "ptp",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof ifaces[0],
    .open = open_instance,
    .close = close_instance,
};
