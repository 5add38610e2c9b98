/* SPDX-License-Identifier: Apache-2.0 */
/* network_ipam.c - a network's pools and addresses, by way of its ipam driver. */
#include "engine/network/network_priv.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/logging.h"

#include <arpa/inet.h>

#define DRAY_LOG_AREA "net"

struct cidr {
    int family; /* AF_INET, AF_INET6 */
    unsigned len;
    uint8_t addr[16];
};

static bool parse(const char *text, struct cidr *out, bool need_len)
{
    char addr[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof addr || (need_len && !slash))
        return false;
    memcpy(addr, text, n);
    addr[n] = '\0';
    *out = (struct cidr){.family = strchr(addr, ':') ? AF_INET6 : AF_INET};
    unsigned bits = out->family == AF_INET ? 32 : 128;
    char *end = NULL;
    unsigned long len = slash ? strtoul(slash + 1, &end, 10) : bits;
    if (slash && (slash[1] < '0' || slash[1] > '9' || *end || len > bits))
        return false;
    out->len = (unsigned)len;
    return inet_pton(out->family, addr, out->addr) == 1;
}

/* Clears the bits behind the prefix; true if any was set. */
static bool mask_host(struct cidr *c)
{
    bool had = false;
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = c->len > i * 8 ? c->len - i * 8 : 0;
        uint8_t mask = (uint8_t)(kept >= 8 ? 0xffu : 0xffu << (8 - kept));
        had = had || (c->addr[i] & (uint8_t)~mask);
        c->addr[i] &= mask;
    }
    return had;
}

static bool within(const struct cidr *outer, const struct cidr *inner)
{
    struct cidr cut = *inner;
    cut.len = outer->len;
    (void)mask_host(&cut);
    struct cidr base = *outer;
    (void)mask_host(&base);
    return outer->family == inner->family && inner->len >= outer->len &&
           memcmp(cut.addr, base.addr, sizeof cut.addr) == 0;
}

uint32_t dray_addr_family(const char *text)
{
    struct cidr c;
    if (!parse(text, &c, false))
        return 0;
    return c.family == AF_INET ? 4 : 6;
}

bool dray_cidr_has(const char *cidr, const char *addr)
{
    struct cidr outer;
    struct cidr inner;
    if (!parse(cidr, &outer, true) || !parse(addr, &inner, false))
        return false;
    inner.len = inner.family == AF_INET ? 32 : 128;
    return within(&outer, &inner);
}

#define INVALID "invalid network config:\n"

static int check_subnet(const char *text, struct cidr *out, struct dray_err *err)
{
    if (!parse(text, out, true))
        return dray_fail(err, DRAY_E_INVAL,
                         INVALID "invalid subnet %s: invalid CIDR block notation", text);
    struct cidr masked = *out;
    char right[INET6_ADDRSTRLEN] = "";
    if (!mask_host(&masked))
        return 0;
    (void)inet_ntop(masked.family, masked.addr, right, sizeof right);
    return dray_fail(err, DRAY_E_INVAL, INVALID "invalid subnet %s: it should be %s/%u", text,
                     right, masked.len);
}

static int check_range(const char *text, const struct cidr *subnet, const char *subnet_text,
                       struct dray_err *err)
{
    struct cidr range;
    if (!parse(text, &range, true))
        return dray_fail(err, DRAY_E_INVAL,
                         INVALID "invalid ip-range %s: invalid CIDR block notation", text);
    if (range.family != subnet->family)
        return dray_fail(err, DRAY_E_INVAL,
                         INVALID "invalid ip-range %s: parent subnet is an IPv%d block", text,
                         subnet->family == AF_INET ? 4 : 6);
    struct cidr masked = range;
    char right[INET6_ADDRSTRLEN] = "";
    if (mask_host(&masked)) {
        (void)inet_ntop(masked.family, masked.addr, right, sizeof right);
        return dray_fail(err, DRAY_E_INVAL, INVALID "invalid ip-range %s: it should be %s/%u", text,
                         right, masked.len);
    }
    if (!within(subnet, &range))
        return dray_fail(err, DRAY_E_INVAL,
                         INVALID "invalid ip-range %s: parent subnet %s doesn't contain ip-range",
                         text, subnet_text);
    return 0;
}

static int check_addr(const char *what, const char *text, const struct cidr *subnet,
                      const char *subnet_text, struct dray_err *err)
{
    struct cidr addr;
    if (strchr(text, '/') || !parse(text, &addr, false))
        return dray_fail(err, DRAY_E_INVAL, INVALID "invalid %s %s: invalid address", what, text);
    if (addr.family != subnet->family)
        return dray_fail(err, DRAY_E_INVAL,
                         INVALID "invalid %s %s: parent subnet is an IPv%d block", what, text,
                         subnet->family == AF_INET ? 4 : 6);
    if (!within(subnet, &addr))
        return dray_fail(err, DRAY_E_INVAL,
                         INVALID "invalid %s %s: parent subnet %s doesn't contain this address",
                         what, text, subnet_text);
    return 0;
}

static int check_aux(struct json_object *aux, const struct cidr *subnet, const char *subnet_text,
                     struct dray_err *err)
{
    int rc = 0;
    if (!aux)
        return 0;
    json_object_object_foreach(aux, name, addr)
    {
        (void)name;
        const char *text = json_object_get_string(addr);
        rc = rc ? rc : check_addr("auxiliary address", text ? text : "", subnet, subnet_text, err);
    }
    return rc;
}

static int parse_pool(struct dray_net *n, struct json_object *o, struct dray_err *err)
{
    struct cidr subnet;
    const char *text = dray_json_str(o, "Subnet", "");
    const char *range = dray_json_str(o, "IPRange", "");
    const char *gateway = dray_json_str(o, "Gateway", "");
    struct json_object *aux = dray_json_obj(o, "AuxiliaryAddresses");
    aux = aux ? aux : dray_json_obj(o, "AuxAddress");
    if (!*text && !*range && !*gateway && !aux)
        return 0; /* the CLI sends an empty one */
    int rc = check_subnet(text, &subnet, err);
    rc = rc || !*range ? rc : check_range(range, &subnet, text, err);
    rc = rc || !*gateway ? rc : check_addr("gateway", gateway, &subnet, text, err);
    rc = rc ? rc : check_aux(aux, &subnet, text, err);
    if (rc)
        return rc;
    if (n->n_pools == DRAY_NET_POOLS)
        return dray_fail(err, DRAY_E_INVAL, INVALID "more than %d pools", DRAY_NET_POOLS);
    if (subnet.family == AF_INET6 && !n->ipv6)
        return 0; /* as Docker: ignored without --ipv6 */
    struct dray_net_pool_state *p = &n->pools[n->n_pools++];
    p->family = subnet.family == AF_INET ? 4 : 6;
    p->given = true;
    p->quiet_gateway = !*gateway;
    (void)snprintf(p->subnet, sizeof p->subnet, "%s", text);
    (void)snprintf(p->range, sizeof p->range, "%s", range);
    (void)snprintf(p->gateway, sizeof p->gateway, "%s", gateway);
    p->aux = dray_json_copy(aux);
    return 0;
}

int dray_net_ipam_parse(struct dray_net *n, struct json_object *ipam, struct dray_err *err)
{
    const char *driver = dray_json_str(ipam, "Driver", "");
    (void)snprintf(n->ipam_name, sizeof n->ipam_name, "%s", *driver ? driver : "default");
    n->ipam_options = dray_json_copy(dray_json_obj(ipam, "Options"));
    struct json_object *config = dray_json_arr(ipam, "Config");
    int rc = 0;
    for (size_t i = 0; !rc && i < dray_json_len(config); i++)
        rc = parse_pool(n, json_object_array_get_idx(config, i), err);
    return rc;
}

static bool has_family(const struct dray_net *n, uint32_t family)
{
    for (size_t i = 0; i < n->n_pools; i++)
        if (n->pools[i].family == family)
            return true;
    return false;
}

/* Docker answers both with 403. */
static int forbid_conflict(int rc, struct dray_err *err)
{
    if (rc != DRAY_E_CONFLICT)
        return rc;
    if (err)
        err->code = DRAY_E_DENIED;
    return DRAY_E_DENIED;
}

static int request_pool(struct dray_net *n, struct dray_net_pool_state *p,
                        const struct dray_strlist *avoid, bool replay, struct dray_err *err)
{
    DRAY_AUTO(dray_kvlist) opts = {0};
    if (n->ipam_options)
        (void)dray_json_to_kvlist(n->ipam_options, &opts, NULL);
    struct dray_pool_spec spec = {.size = sizeof spec,
                                  .family = p->family,
                                  .subnet = p->subnet,
                                  .range = p->range,
                                  .avoid = dray_strlist_view(avoid),
                                  .options = dray_kvlist_view(&opts)};
    DRAY_AUTO(dray_call_scope) s = {0};
    if (replay)
        dray_call_replay(&s);
    int rc = dray_call_enter(&s, n->ipam, DRAY_CLASS_QUICK, -1, err);
    const char *pool = "";
    const char *subnet = "";
    if (!rc)
        rc = ((const struct dray_ipam_ops *)s.ops)
                 ->pool_request(s.self, &s.call, &spec, &pool, &subnet, err);
    if (rc)
        return forbid_conflict(rc, err);
    p->pool = strdup(pool);
    (void)snprintf(p->subnet, sizeof p->subnet, "%s", subnet);
    return p->pool ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int request_addr(struct dray_net *n, const struct dray_net_pool_state *p,
                        const struct dray_addr_spec *spec, bool replay, char out[DRAY_NET_CIDR],
                        struct dray_err *err)
{
    DRAY_AUTO(dray_call_scope) s = {0};
    if (replay)
        dray_call_replay(&s);
    int rc = dray_call_enter(&s, n->ipam, DRAY_CLASS_QUICK, -1, err);
    const char *addr = "";
    if (!rc)
        rc = ((const struct dray_ipam_ops *)s.ops)
                 ->addr_request(s.self, &s.call, p->pool, spec, &addr, err);
    if (rc)
        return rc;
    (void)snprintf(out, DRAY_NET_CIDR, "%s", addr);
    return 0;
}

/* An address that belongs to the network itself. */
static int request_own(struct dray_net *n, const struct dray_net_pool_state *p, const char *addr,
                       uint32_t flags, bool replay, char out[DRAY_NET_CIDR], struct dray_err *err)
{
    const struct dray_addr_spec spec = {
        .size = sizeof spec, .flags = flags, .addr = addr, .mac = "", .name = ""};
    return request_addr(n, p, &spec, replay, out, err);
}

const char *dray_net_bridge_option(const struct dray_net *n, const char *name, const char *fallback)
{
    char key[96];
    struct json_object *v = NULL;
    (void)snprintf(key, sizeof key, "com.docker.network.bridge.%s", name);
    return json_object_object_get_ex(n->options, key, &v) && v ? json_object_get_string(v)
                                                               : fallback;
}

/* Neither the machine has an address there nor leads a way out, so that all are for containers. */
static bool is_without_gateway(const struct dray_net *n, uint32_t family)
{
    bool inhibited = false;
    const char *mode = family == 4 ? "gateway_mode_ipv4" : "gateway_mode_ipv6";
    if (strcmp(dray_net_bridge_option(n, mode, ""), "isolated") == 0)
        return true;
    return family == 4 && n->internal &&
           dray_str_bool(dray_net_bridge_option(n, "inhibit_ipv4", ""), &inhibited) && inhibited;
}

static int request_fixed(struct dray_net *n, struct dray_net_pool_state *p, bool replay,
                         struct dray_err *err)
{
    char got[DRAY_NET_CIDR];
    int rc = 0;
    if (p->aux) {
        json_object_object_foreach(p->aux, name, addr)
        {
            (void)name;
            if (!rc)
                rc = request_own(n, p, json_object_get_string(addr), DRAY_ADDR_AUX, replay, got,
                                 err);
        }
    }
    bool wanted = p->gateway[0] || (!replay && !is_without_gateway(n, p->family));
    if (!rc && wanted) {
        rc = request_own(n, p, p->gateway, DRAY_ADDR_GATEWAY, replay, got, err);
        got[rc ? 0 : strcspn(got, "/")] = '\0';
    }
    if (!rc && wanted)
        (void)snprintf(p->gateway, sizeof p->gateway, "%s", got);
    return forbid_conflict(rc, err);
}

/* Those of IPv4 come first, whatever the order they were given in. */
static void order_pools(struct dray_net *n)
{
    struct dray_net_pool_state sorted[DRAY_NET_POOLS] = {0};
    size_t k = 0;
    for (uint32_t family = 4; family <= 6; family += 2)
        for (size_t i = 0; i < n->n_pools; i++)
            if (n->pools[i].family == family)
                sorted[k++] = n->pools[i];
    memcpy(n->pools, sorted, k * sizeof sorted[0]);
}

int dray_net_pools_request(struct dray_net *n, bool replay, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) avoid = {0};
    const char *link = "";
    struct json_object *name = NULL;
    if (json_object_object_get_ex(n->options, "com.docker.network.bridge.name", &name))
        link = json_object_get_string(name);
    const uint32_t families[] = {4, 6};
    for (size_t i = 0; i < 2; i++)
        if ((i ? n->ipv6 : n->ipv4) && !has_family(n, families[i]) && n->n_pools < DRAY_NET_POOLS)
            n->pools[n->n_pools++].family = families[i];
    order_pools(n);
    bool choose = false; /* by what the machine does not use */
    for (size_t i = 0; i < n->n_pools; i++)
        choose = choose || !n->pools[i].subnet[0];
    if (choose && !replay)
        dray_host_cidrs(link, &avoid);
    int rc = 0;
    for (size_t i = 0; !rc && i < n->n_pools; i++) {
        bool known = replay && n->pools[i].subnet[0];
        rc = request_pool(n, &n->pools[i], &avoid, known, err);
        rc = rc ? rc : request_fixed(n, &n->pools[i], known, err);
    }
    if (rc)
        dray_net_pools_release(n);
    return rc;
}

void dray_net_pools_release(struct dray_net *n)
{
    for (size_t i = 0; i < n->n_pools; i++) {
        struct dray_err why = {0};
        char *pool = dray_steal(n->pools[i].pool);
        if (pool && dray_driver_call(n->ipam, ipam, DRAY_CLASS_QUICK, &why, pool_release, pool))
            dray_warn("network %s: release pool %s: %s", n->name, pool, why.text);
        free(pool);
    }
}

bool dray_net_addr_wants_mac(struct dray_net *n)
{
    uint64_t features = dray_driver_features(n->ipam);
    if (dray_driver_has(n->ipam, "capabilities"))
        (void)dray_driver_call(n->ipam, ipam, DRAY_CLASS_QUICK, NULL, capabilities, &features);
    return features & DRAY_IPAM_F_MAC;
}

int dray_net_addr_request(struct dray_net *n, uint32_t family, const struct dray_addr_spec *spec,
                          bool replay, char out[DRAY_NET_CIDR], struct dray_err *err)
{
    const char *want = spec->addr;
    bool any = false;
    int rc = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n->n_pools; i++) {
        const struct dray_net_pool_state *p = &n->pools[i];
        if (p->family != family || !p->pool || (*want && !dray_cidr_has(p->subnet, want)))
            continue;
        any = true;
        rc = request_addr(n, p, spec, replay, out, err);
        if (rc != DRAY_E_NOSPACE)
            return forbid_conflict(rc, err);
    }
    if (*want && !any)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid endpoint settings:\nno configured subnet or ip-range contain the "
                         "IP address %s",
                         want);
    if (rc == DRAY_E_NOSPACE)
        return dray_fail(err, DRAY_E_DENIED,
                         "no available IPv%u addresses on this network's address pools: %s (%s)",
                         family, n->name, n->id);
    return rc;
}

void dray_net_addr_release(struct dray_net *n, const char *cidr)
{
    for (size_t i = 0; cidr[0] && i < n->n_pools; i++) {
        const struct dray_net_pool_state *p = &n->pools[i];
        struct dray_err why = {0};
        char addr[DRAY_NET_CIDR];
        (void)snprintf(addr, sizeof addr, "%.*s", (int)strcspn(cidr, "/"), cidr);
        if (!p->pool || !dray_cidr_has(p->subnet, addr))
            continue;
        if (dray_driver_call(n->ipam, ipam, DRAY_CLASS_QUICK, &why, addr_release, p->pool, addr))
            dray_warn("network %s: release %s: %s", n->name, addr, why.text);
        return;
    }
}
