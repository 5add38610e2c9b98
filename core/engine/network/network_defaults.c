/* SPDX-License-Identifier: Apache-2.0 */
/* network_defaults.c - the networks that are always there: bridge, host and none. */
#include "engine/network/network_priv.h"

#include "base/json.h"
#include "base/logging.h"

#include <net/if.h>

#define DRAY_LOG_AREA "net"

#define OPT_BRIDGE "com.docker.network.bridge."

static struct dray_net *by_name(struct dray_networks *ns, const char *name)
{
    for (size_t i = 0; i < ns->n; i++)
        if (strcmp(ns->v[i]->name, name) == 0)
            return ns->v[i];
    return NULL;
}

/* The network of that name as it was kept, or a new one, with the caller's reference. */
static struct dray_net *obtain(struct dray_networks *ns, const char *name, const char *driver,
                               bool *fresh_out)
{
    struct dray_net *n = by_name(ns, name);
    *fresh_out = !n;
    n = n ? dray_net_ref(n) : dray_net_new(name);
    if (!n)
        return NULL;
    n->predefined = true;
    (void)snprintf(n->driver_name, sizeof n->driver_name, "%s", driver);
    (void)snprintf(n->ipam_name, sizeof n->ipam_name, "default");
    return n;
}

static int finish(struct dray_networks *ns, struct dray_net *n, bool fresh, struct dray_err *err)
{
    int rc = dray_net_store(ns, n, err);
    if (!rc && fresh)
        rc = dray_net_insert(ns, n, err);
    if (!rc)
        dray_net_set_ready(ns, n);
    return rc;
}

static int make_plain(struct dray_networks *ns, const char *name, const char *driver,
                      struct dray_err *err)
{
    bool fresh = false;
    dray_autonet *n = obtain(ns, name, driver, &fresh);
    if (!n)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct dray_err why = {0};
    int rc = dray_net_find_drivers(ns, n, &why);
    rc = rc ? rc : dray_net_establish(n, !fresh, &why);
    if (rc)
        dray_error("network %s: %s", name, why.text);
    return fresh ? finish(ns, n, fresh, err) : 0;
}

static const char *bridge_name(const struct dray_config *c)
{
    return c->bridge && *c->bridge ? c->bridge : "dray0";
}

static void set_options(struct dray_net *n, const struct dray_config *c)
{
    json_object_put(n->options);
    n->options = json_object_new_object();
    const char *binding = c->default_ip && *c->default_ip ? c->default_ip : "0.0.0.0";
    dray_json_add_str(n->options, OPT_BRIDGE "default_bridge", "true");
    dray_json_add_str(n->options, OPT_BRIDGE "enable_icc", c->icc ? "true" : "false");
    dray_json_add_str(n->options, OPT_BRIDGE "enable_ip_masquerade", c->ip_masq ? "true" : "false");
    dray_json_add_str(n->options, OPT_BRIDGE "host_binding_ipv4", binding);
    dray_json_add_str(n->options, OPT_BRIDGE "name", bridge_name(c));
    dray_json_addf(n->options, "com.docker.network.driver.mtu", "%d", c->mtu > 0 ? c->mtu : 1500);
}

/* bip or bip6; without it what the bridge has that the user named and made. "" when nothing says.
 */
static void own_cidr(const struct dray_config *c, uint32_t family, char out[DRAY_NET_CIDR])
{
    const char *given = family == 4 ? c->bip : c->bip6;
    out[0] = '\0';
    if (given && *given)
        (void)snprintf(out, DRAY_NET_CIDR, "%s", given);
    else if (dray_json_get(c->raw, "bridge"))
        (void)dray_link_cidr(bridge_name(c), family, family == 4 ? c->fixed_cidr : c->fixed_cidr_v6,
                             out);
}

/* default-gateway and default-gateway-v6 of the configuration, or none. */
static int set_route(struct dray_net_pool_state *p, const char *setting, const char *addr,
                     struct dray_err *err)
{
    json_object_put(p->aux);
    p->aux = NULL;
    if (!addr || !*addr)
        return 0;
    if (dray_addr_family(addr) != p->family || strchr(addr, '/'))
        return dray_fail(err, DRAY_E_INVAL, "%s: invalid IPv%u address: %s", setting, p->family,
                         addr);
    if (p->subnet[0] && !dray_cidr_has(p->subnet, addr))
        return dray_fail(err, DRAY_E_INVAL,
                         "%s: default gateway ip must be part of the network %s: %s", setting,
                         p->subnet, addr);
    p->aux = json_object_new_object();
    dray_json_add_str(p->aux, p->family == 4 ? DRAY_NET_ROUTE4 : DRAY_NET_ROUTE6, addr);
    return 0;
}

/* bip6 gives subnet and gateway, fixed-cidr-v6 the range, or the subnet as well. */
static int set_pool6(struct dray_net *n, const struct dray_config *c, struct dray_err *err)
{
    char bip[DRAY_NET_CIDR];
    own_cidr(c, 6, bip);
    const char *range = c->fixed_cidr_v6 ? c->fixed_cidr_v6 : "";
    const char *wrong = *bip && (!strchr(bip, '/') || dray_addr_family(bip) != 6)         ? bip
                        : *range && (!strchr(range, '/') || dray_addr_family(range) != 6) ? range
                                                                                          : NULL;
    if (wrong)
        return dray_fail(err, DRAY_E_INVAL, "IPv6 of the default bridge: invalid CIDR address: %s",
                         wrong);
    struct dray_net_pool_state *p = &n->pools[1];
    json_object_put(dray_steal(p->aux));
    if (!*bip && !*range && n->n_pools < 2 && (!c->default_gateway_v6 || !*c->default_gateway_v6))
        return 0; /* the address pools give one */
    if (!*bip && !*range) {
        p->family = 6;
        n->n_pools = 2;
        return set_route(p, "default-gateway-v6", c->default_gateway_v6, err);
    }
    char before[DRAY_NET_CIDR];
    (void)snprintf(before, sizeof before, "%s", n->n_pools > 1 ? p->gateway : "");
    *p = (struct dray_net_pool_state){.family = 6, .given = true};
    (void)snprintf(p->subnet, sizeof p->subnet, "%s", *bip ? bip : range);
    (void)snprintf(p->range, sizeof p->range, "%s", *bip ? range : "");
    if (*bip)
        (void)snprintf(p->gateway, sizeof p->gateway, "%.*s", (int)strcspn(bip, "/"), bip);
    else if (dray_cidr_has(range, before))
        memcpy(p->gateway, before, sizeof before);
    n->n_pools = 2;
    return set_route(p, "default-gateway-v6", c->default_gateway_v6, err);
}

/* What the configuration says of the subnet; without it, that of before stays. */
static int set_pool(struct dray_net *n, const struct dray_config *c, struct dray_err *err)
{
    struct dray_net_pool_state *p = &n->pools[0];
    bool was_given = n->n_pools && p->given;
    char bip[DRAY_NET_CIDR];
    own_cidr(c, 4, bip);
    bool has_bip = *bip;
    json_object_put(dray_steal(p->aux));
    if (has_bip && (!strchr(bip, '/') || dray_addr_family(bip) != 4))
        return dray_fail(err, DRAY_E_INVAL, "bip: invalid CIDR address: %s", bip);
    if (!has_bip && !was_given) {
        (void)snprintf(p->range, sizeof p->range, "%s", c->fixed_cidr ? c->fixed_cidr : "");
        if (p->range[0] && !n->n_pools)
            (void)snprintf(p->subnet, sizeof p->subnet, "%s", p->range);
    } else {
        *p = (struct dray_net_pool_state){0};
        (void)snprintf(p->subnet, sizeof p->subnet, "%s", bip);
        (void)snprintf(p->range, sizeof p->range, "%s", c->fixed_cidr ? c->fixed_cidr : "");
        (void)snprintf(p->gateway, sizeof p->gateway, "%.*s", (int)strcspn(bip, "/"), bip);
    }
    p->family = 4;
    p->given = has_bip;
    n->n_pools = n->n_pools ? n->n_pools : 1;
    for (; !n->ipv6 && n->n_pools > 1; n->n_pools--)
        json_object_put(dray_steal(n->pools[n->n_pools - 1].aux));
    int rc = set_route(p, "default-gateway", c->default_gateway, err);
    if (rc)
        return rc;
    return n->ipv6 ? set_pool6(n, c, err) : 0;
}

/* A bridge that the user names is his own to make, but for the names that engines give. */
static int check_named(const struct dray_config *c, struct dray_err *err)
{
    const char *name = dray_json_str(c->raw, "bridge", "");
    if (!*name || strcmp(name, "dray0") == 0 || strcmp(name, "docker0") == 0 ||
        if_nametoindex(name))
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "Error initializing network controller: Error creating default \"bridge\" "
                     "network: bridge device with non default name %s must be created manually",
                     name);
}

static int make_bridge(struct dray_networks *ns, struct dray_err *err)
{
    const struct dray_config *c = ns->engine->config;
    bool fresh = false;
    dray_autonet *n = obtain(ns, "bridge", "bridge", &fresh);
    if (!n)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    n->ipv4 = true;
    n->ipv6 = c->ipv6;
    set_options(n, c);
    int rc = check_named(c, err);
    rc = rc ? rc : set_pool(n, c, err);
    if (rc)
        return rc;
    bool chosen = !fresh && n->pools[0].subnet[0];
    struct dray_err why = {0};
    rc = dray_net_find_drivers(ns, n, &why);
    rc = rc ? rc : dray_net_establish(n, chosen, &why);
    if (rc && chosen && !n->pools[0].given && rc == DRAY_E_DENIED) {
        /* The subnet of before belongs to somebody else now. */
        n->pools[0].subnet[0] = n->pools[0].gateway[0] = '\0';
        rc = dray_net_establish(n, false, &why);
    }
    if (rc)
        dray_error("network bridge could not be made: %s", why.text);
    if (rc && n->pools[0].given)
        return dray_fail(err, rc, "default bridge: %s", why.text);
    if (rc) /* the daemon is of use without it; who asks for it is told */
        (void)snprintf(ns->no_bridge, sizeof ns->no_bridge, "%s", why.text);
    return rc ? 0 : finish(ns, n, fresh, err);
}

int dray_net_defaults(struct dray_networks *ns, struct dray_err *err)
{
    const struct dray_config *c = ns->engine->config;
    int rc = make_plain(ns, "none", "null", err);
    rc = rc ? rc : make_plain(ns, "host", "host", err);
    if (!rc && !(c->bridge && strcmp(c->bridge, "none") == 0))
        return make_bridge(ns, err);
    struct dray_net *old = by_name(ns, "bridge");
    if (!rc && old) {
        (void)dray_net_forget(ns, old, NULL);
        dray_net_erase(ns, old);
    }
    return rc;
}
