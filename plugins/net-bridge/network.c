/* SPDX-License-Identifier: Apache-2.0 */
/* network.c - reads a network's options, and makes and removes networks. */
#include "bridge.h"

#define OPT_BRIDGE "com.docker.network.bridge."

static int bad_option(struct dray_err *err, const char *key, const char *value)
{
    return dray_fail(err, DRAY_E_INVAL, "failed to parse %s value: \"%s\"", key, value);
}

/* Go's strconv.ParseBool. */
static int read_bool(struct dray_kvs opts, const char *key, bool *out, struct dray_err *err)
{
    static const char *const words[] = {"1", "t", "T", "true",  "TRUE",  "True",
                                        "0", "f", "F", "false", "FALSE", "False"};
    const char *value = dray_kvs_get(opts, key, NULL);
    if (!value)
        return 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(value, words[i]) == 0) {
            *out = i < 6;
            return 0;
        }
    }
    return bad_option(err, key, value);
}

static int read_mode(struct dray_kvs opts, const char *key, enum gateway_mode *out,
                     struct dray_err *err)
{
    static const char *const words[] = {[GATEWAY_NAT] = "nat",
                                        [GATEWAY_UNPROTECTED] = "nat-unprotected",
                                        [GATEWAY_ROUTED] = "routed",
                                        [GATEWAY_ISOLATED] = "isolated"};
    const char *value = dray_kvs_get(opts, key, "nat");
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(value, words[i]) == 0) {
            *out = (enum gateway_mode)i;
            return 0;
        }
    }
    return dray_fail(err, DRAY_E_INVAL, "unknown gateway mode %s", value);
}

static int read_mtu(struct dray_kvs opts, uint32_t *out, struct dray_err *err)
{
    const char *value = dray_kvs_get(opts, "com.docker.network.driver.mtu", NULL);
    if (!value || !*value)
        return 0;
    char *end = NULL;
    errno = 0;
    unsigned long mtu = strtoul(value, &end, 10);
    if (*end || errno || value[0] == '-' || (mtu && (mtu < 68 || mtu > 65535)))
        return bad_option(err, "com.docker.network.driver.mtu", value);
    if (mtu)
        *out = (uint32_t)mtu;
    return 0;
}

static int read_name(const struct dray_net_spec *spec, struct network *n, struct dray_err *err)
{
    const char *name = dray_kvs_get(spec->options, OPT_BRIDGE "name", "");
    if (!name[0]) {
        (void)snprintf(n->bridge, sizeof n->bridge, "br-%.12s", n->id);
        return 0;
    }
    if (strlen(name) >= IFNAMSIZ || strpbrk(name, "/ \t\n:") || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid bridge name \"%s\"", name);
    (void)snprintf(n->bridge, sizeof n->bridge, "%s", name);
    return 0;
}

static int read_gateway(const struct dray_net_pool *pool, struct network *n, struct dray_err *err)
{
    struct dray_cidr subnet;
    struct dray_cidr gateway;
    if (!dray_cidr_parse(pool->subnet, &subnet))
        return dray_fail(err, DRAY_E_INVAL, "invalid subnet \"%s\"", pool->subnet);
    if (!pool->gateway || !pool->gateway[0])
        return 0;
    if (!dray_cidr_parse(pool->gateway, &gateway) || gateway.family != subnet.family)
        return dray_fail(err, DRAY_E_INVAL, "invalid gateway \"%s\"", pool->gateway);
    gateway.prefix = subnet.prefix;
    struct dray_cidr *slot = gateway.family == AF_INET ? &n->gateway4 : &n->gateway6;
    if (!slot->family)
        *slot = gateway;
    return 0;
}

/* Default routes lead to the gateway, or to another address of the subnet. */
static int read_route(const char *text, const struct dray_cidr *gateway, struct dray_cidr *out,
                      struct dray_err *err)
{
    *out = *gateway;
    if (!text || !text[0])
        return 0;
    if (!dray_cidr_parse(text, out) || (gateway->family && out->family != gateway->family))
        return dray_fail(err, DRAY_E_INVAL, "invalid default gateway \"%s\"", text);
    return 0;
}

static int read_binding(struct dray_kvs opts, struct network *n, struct dray_err *err)
{
    const char *value = dray_kvs_get(opts, OPT_BRIDGE "host_binding_ipv4", "");
    if (!value[0])
        value = "0.0.0.0";
    if (!dray_cidr_parse(value, &n->host_binding) || n->host_binding.family != AF_INET ||
        strchr(value, '/'))
        return bad_option(err, OPT_BRIDGE "host_binding_ipv4", value);
    return 0;
}

static int read_spec(const struct dray_self *self, const struct dray_net_spec *spec,
                     struct network *n, struct dray_err *err)
{
    int64_t mtu = self->host->opt_int(self->host, "mtu");
    n->mtu = mtu > 0 ? (uint32_t)mtu : 1500;
    n->icc = true;
    n->masquerade = true;
    n->guarded = self->hostrules.on;
    n->internal = (spec->flags & DRAY_NET_INTERNAL) != 0;
    n->ipv6 = (spec->flags & DRAY_NET_IPV6) != 0;
    int rc = read_name(spec, n, err);
    rc = rc ? rc : read_mtu(spec->options, &n->mtu, err);
    rc = rc ? rc : read_bool(spec->options, OPT_BRIDGE "enable_icc", &n->icc, err);
    rc = rc ? rc : read_bool(spec->options, OPT_BRIDGE "enable_ip_masquerade", &n->masquerade, err);
    rc = rc ? rc : read_bool(spec->options, OPT_BRIDGE "inhibit_ipv4", &n->no_ip4, err);
    rc = rc ? rc : read_mode(spec->options, OPT_BRIDGE "gateway_mode_ipv4", &n->mode4, err);
    rc = rc ? rc : read_mode(spec->options, OPT_BRIDGE "gateway_mode_ipv6", &n->mode6, err);
    rc = rc ? rc : read_binding(spec->options, n, err);
    for (uint64_t i = 0; !rc && i < spec->n_pools; i++)
        rc = read_gateway(&spec->pools[i], n, err);
    rc = rc ? rc : read_route(spec->route4, &n->gateway4, &n->route4, err);
    rc = rc ? rc : read_route(spec->route6, &n->gateway6, &n->route6, err);
    n->no_ip4 = n->no_ip4 || n->mode4 == GATEWAY_ISOLATED;
    if (!rc && !n->internal && (n->mode4 == GATEWAY_ISOLATED || n->mode6 == GATEWAY_ISOLATED))
        return dray_fail(err, DRAY_E_INVAL,
                         "gateway mode 'isolated' can only be used for an internal network");
    return rc;
}

static void emit_bridge_name(struct dray_self *self, const struct dray_call *call,
                             const struct network *n)
{
    struct dray_kv kv[] = {{"key", OPT_BRIDGE "name"}, {"value", n->bridge}};
    struct dray_record rec = {
        .size = sizeof rec, .type = DRAY_REC_STATUS, .fields = {.v = kv, .n = 2}};
    (void)self->host->emit(call, &rec);
}

/* The machine must forward for containers to reach anything. */
static void forward_on(const struct dray_self *self, const struct network *n)
{
    if (n->internal || !self->host->opt_int(self->host, "ip-forward"))
        return;
    char now[8] = "";
    struct dray_err why = {0};
    if (!(dray_netdev_sysctl_read("ipv4/ip_forward", now, sizeof now) && now[0] == '1') &&
        dray_netdev_sysctl("ipv4/ip_forward", "1", &why))
        dray_host_logf(self->host, DRAY_LOG_WARN, "%s", why.text);
    if (!n->ipv6)
        return;
    if (!(dray_netdev_sysctl_read("ipv6/conf/all/forwarding", now, sizeof now) && now[0] == '1') &&
        dray_netdev_sysctl("ipv6/conf/all/forwarding", "1", &why))
        dray_host_logf(self->host, DRAY_LOG_WARN, "%s", why.text);
}

static int establish(struct dray_self *self, struct network *n, struct dray_err *err)
{
    if (store_bridge_used(&self->store, n->bridge, n->id))
        return dray_fail(err, DRAY_E_CONFLICT,
                         "cannot create network %s (%s): networks have same bridge name", n->id,
                         n->bridge);
    if (if_nametoindex(n->bridge))
        dray_worker_drain(self->reaper); /* an earlier bridge of this name may be on its way out */
    int rc = bridge_link_ensure(self, n, err);
    if (rc)
        return rc;
    forward_on(self, n);
    DRAY_AUTO(elems) l = {0};
    network_elems(n, &l);
    n->refs = 2; /* the store's and this function's */
    if (!store_add_network(&self->store, n)) {
        n->refs = 1;
        return dray_fail(err, DRAY_E_CONFLICT, "network %s exists", n->id);
    }
    rc = rules_add(self, &l, err);
    rc = rc ? rc : passage_settle(self, err);
    if (!rc)
        firewalld_settle(self);
    if (rc && store_take_network(&self->store, n->id)) {
        if (!n->foreign)
            link_delete_later(self, n->bridge, 0);
        network_unref(&self->store, n);
    }
    return rc;
}

int bridge_net_create(struct dray_self *self, const struct dray_call *call, const char *id,
                      const struct dray_net_spec *spec, struct dray_err *err)
{
    struct network *n = store_network(&self->store, id);
    if (n) { /* asked twice */
        emit_bridge_name(self, call, n);
        network_unref(&self->store, n);
        return 0;
    }
    n = calloc(1, sizeof *n);
    if (!n || strlen(id) >= sizeof n->id) {
        free(n);
        return dray_fail(err, n ? DRAY_E_INVAL : DRAY_E_NOMEM, "network id");
    }
    (void)snprintf(n->id, sizeof n->id, "%s", id);
    n->refs = 1;
    int rc = read_spec(self, spec, n, err);
    rc = rc ? rc : establish(self, n, err);
    if (!rc)
        emit_bridge_name(self, call, n);
    network_unref(&self->store, n);
    return rc;
}

int bridge_net_remove(struct dray_self *self, const char *id, struct dray_err *err)
{
    struct network *n = store_network(&self->store, id);
    if (!n)
        return 0;
    if (store_network_busy(&self->store, n)) {
        network_unref(&self->store, n);
        return dray_fail(err, DRAY_E_CONFLICT, "network %s has active endpoints", id);
    }
    DRAY_AUTO(elems) l = {0};
    network_elems(n, &l);
    int rc = 0;
    if (store_take_network(&self->store, id)) {
        rc = rules_delete(self, &l, err);
        rc = rc ? rc : passage_settle(self, err);
        if (!n->foreign) {
            firewalld_forget(self, n->bridge);
            bridge_link_retire(self, n);
        }
        network_unref(&self->store, n);
    }
    network_unref(&self->store, n);
    return rc;
}
