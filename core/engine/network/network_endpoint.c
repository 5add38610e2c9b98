/* SPDX-License-Identifier: Apache-2.0 */
/* network_endpoint.c - whether what a user wants of an endpoint can be. */
#include "engine/network/network_priv.h"

#include "base/buf.h"
#include "base/json.h"

#include <arpa/inet.h>

/* Objections, in Docker's words: one stands alone, several are a list. */
struct objections {
    struct dray_strlist list;
};

static void object_to(struct objections *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void object_to(struct objections *o, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)dray_strlist_add(&o->list, text);
}

static int sum_up(const struct objections *o, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    for (size_t i = 0; i < o->list.n; i++)
        dray_buf_addf(&b, "\n%s%s", o->list.n > 1 ? "* " : "", o->list.v[i]);
    return o->list.n ? dray_fail(err, DRAY_E_INVAL, "invalid endpoint settings:%s", b.data) : 0;
}

static void check_subnets(const struct dray_net *n, uint32_t family, const char *addr,
                          struct objections *o)
{
    bool given = false;
    for (size_t i = 0; i < n->n_pools; i++) {
        const struct dray_net_pool_state *p = &n->pools[i];
        if (p->family != family || !p->given)
            continue;
        given = true;
        if (dray_cidr_has(p->subnet, addr))
            return;
    }
    if (given)
        object_to(o, "no configured subnet or ip-range contain the IP address %s", addr);
    else
        object_to(o, "user specified IP address is supported only when connecting to networks "
                     "with user configured subnets");
}

static const char *address_of(struct json_object *config, uint32_t family)
{
    return dray_json_str(config, family == 4 ? "IPAMConfig.IPv4Address" : "IPAMConfig.IPv6Address",
                         "");
}

/* An address of IPv4 in the shape of IPv6 is none. */
static bool is_mapped(const char *addr)
{
    struct in6_addr a;
    return inet_pton(AF_INET6, addr, &a) == 1 && IN6_IS_ADDR_V4MAPPED(&a);
}

static void check_address(uint32_t family, struct json_object *config, struct objections *o)
{
    const char *addr = address_of(config, family);
    if (*addr && (dray_addr_family(addr) != family || strchr(addr, '/') || is_mapped(addr)))
        object_to(o, "invalid IPv%u address: %s", family, addr);
}

static void check_link_local(struct json_object *config, struct objections *o)
{
    struct json_object *list = dray_json_arr(config, "IPAMConfig.LinkLocalIPs");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *addr = json_object_get_string(json_object_array_get_idx(list, i));
        if (!addr || !dray_addr_family(addr) || strchr(addr, '/'))
            object_to(o, "invalid link-local IP address: %s", addr ? addr : "");
    }
}

static bool is_mac(const char *text)
{
    for (size_t i = 0; i < 17; i++) {
        bool colon = i % 3 == 2;
        if (colon ? text[i] != ':' && text[i] != '-'
                  : !text[i] || !strchr("0123456789abcdefABCDEF", text[i]))
            return false;
    }
    return text[17] == '\0';
}

int dray_net_endpoint_check(const struct dray_net *n, bool predefined, struct json_object *config,
                            struct dray_err *err)
{
    const char *mac = dray_json_str(config, "MacAddress", "");
    struct objections o = {0};
    bool fixed = *dray_json_str(config, "IPAMConfig.IPv4Address", "") ||
                 *dray_json_str(config, "IPAMConfig.IPv6Address", "");
    if (predefined && fixed)
        object_to(&o, "user specified IP address is supported on user defined networks only");
    if (predefined && dray_json_len(dray_json_arr(config, "Aliases")) > 0)
        object_to(&o, "network-scoped alias is supported only for containers in user defined "
                      "networks");
    check_address(4, config, &o);
    check_address(6, config, &o);
    check_link_local(config, &o);
    for (uint32_t family = 4; n && family <= 6; family += 2)
        if (*address_of(config, family))
            check_subnets(n, family, address_of(config, family), &o);
    int rc = *mac && !is_mac(mac) ? dray_fail(err, DRAY_E_INVAL, "invalid MAC address %s", mac)
                                  : sum_up(&o, err);
    dray_strlist_free(&o.list);
    return rc ? rc : dray_net_inside_check(config, err);
}

int dray_networks_check_endpoint(struct dray_networks *ns, const char *network,
                                 struct json_object *config, struct dray_err *err)
{
    dray_autonet *n = NULL;
    bool found = dray_net_find(ns, network, &n, NULL) == 0;
    bool predefined = found ? n->predefined : dray_net_name_predefined(network);
    return dray_net_endpoint_check(!predefined && found && n->ipam ? n : NULL, predefined, config,
                                   err);
}

void dray_networks_disconnected(struct dray_networks *ns, const char *network,
                                const char *container)
{
    dray_autonet *n = NULL;
    if (dray_net_find(ns, network, &n, NULL) == 0)
        dray_net_event(ns, n, "disconnect", container);
}
