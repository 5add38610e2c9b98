/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steady.c - an address driver whose choice follows from the container's name.
 *
 * A pool is a subnet with one byte for each of its addresses. Nothing is stored: after a restart
 * the host asks again for every pool and address in use, by value, with DRAY_CALL_REPLAY.
 */
#include <dray/ipam.h>
#include <dray/plugin.h>
#include <dray/util.h>

#include <arpa/inet.h>
#include <stdbool.h>

DRAY_PLUGIN_CARD("{\"name\":\"steady\",\"version\":\"1.0.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"ipam\"],\"license\":\"Apache-2.0\"}");

#define SHORTEST_PREFIX 16u /* a pool holds at most 65,536 addresses */
#define CHOSEN_PREFIX 24u   /* of subnets that nobody has named */
#define CIDR_SIZE 24

/* Addresses are in the byte order of the machine. */
struct net {
    uint32_t first;
    unsigned prefix;
};

struct pool {
    struct pool *next;
    struct net subnet, range;
    char id[CIDR_SIZE]; /* the CIDR itself */
    uint8_t taken[];    /* one for each address of the subnet */
};

/* The interface is declared SERIAL: calls come one by one, and no lock is needed. */
struct dray_self {
    const struct dray_host *host;
    struct net base;
    uint32_t spare;
    struct pool *pools;
};

/* --- subnets -----------------------------------------------------------------------------------*/

static uint32_t count(struct net n)
{
    return UINT32_C(1) << (32 - n.prefix);
}

static bool contains(struct net n, uint32_t addr)
{
    return addr - n.first < count(n);
}

static bool overlap(struct net a, struct net b)
{
    return contains(a, b.first) || contains(b, a.first);
}

static bool parse_addr(const char *text, uint32_t *out)
{
    struct in_addr a;
    bool ok = inet_pton(AF_INET, text, &a) == 1;
    *out = ok ? ntohl(a.s_addr) : 0;
    return ok;
}

static bool parse_net(const char *text, struct net *out)
{
    char addr[INET_ADDRSTRLEN] = "";
    int end = 0;
    if (sscanf(text, "%15[0-9.]/%2u%n", addr, &out->prefix, &end) != 2 || text[end] ||
        out->prefix < 8 || out->prefix > 32 || !parse_addr(addr, &out->first))
        return false;
    out->first &= UINT32_MAX << (32 - out->prefix);
    return true;
}

static void print_net(struct net n, char out[CIDR_SIZE])
{
    char addr[INET_ADDRSTRLEN];
    struct in_addr a = {htonl(n.first)};
    (void)snprintf(out, CIDR_SIZE, "%s/%u", inet_ntop(AF_INET, &a, addr, sizeof addr), n.prefix);
}

/* --- pools -------------------------------------------------------------------------------------*/

static bool is_used(const struct dray_self *self, struct net n, struct dray_strs avoid)
{
    struct net other;
    for (const struct pool *p = self->pools; p; p = p->next)
        if (overlap(p->subnet, n))
            return true;
    for (uint64_t i = 0; i < avoid.n; i++)
        if (parse_net(avoid.v[i], &other) && overlap(other, n))
            return true;
    return false;
}

/* The first subnet of the base that nobody uses. */
static int choose_subnet(const struct dray_self *self, struct dray_strs avoid, struct net *out,
                         struct dray_err *err)
{
    out->prefix = self->base.prefix < CHOSEN_PREFIX ? CHOSEN_PREFIX : self->base.prefix;
    out->first = self->base.first;
    for (; contains(self->base, out->first); out->first += count(*out))
        if (!is_used(self, *out, avoid))
            return 0;
    return dray_fail(err, DRAY_E_NOSPACE, "steady: all subnets of %s are in use",
                     self->host->opt_str(self->host, "base"));
}

static int settle(struct dray_self *self, const struct dray_pool_spec *spec, struct net *subnet,
                  struct net *range, struct dray_err *err)
{
    const struct dray_strs nothing = {0};
    if (spec->family != 4)
        return dray_fail(err, DRAY_E_NOTSUP, "steady: IPv6 is not supported");
    if (spec->options.n)
        return dray_fail(err, DRAY_E_INVAL, "steady: unknown option \"%s\"",
                         spec->options.v[0].key);
    int rc = 0;
    if (!*spec->subnet)
        rc = choose_subnet(self, spec->avoid, subnet, err);
    else if (!parse_net(spec->subnet, subnet) || subnet->prefix < SHORTEST_PREFIX)
        rc = dray_fail(err, DRAY_E_INVAL, "steady: \"%s\" is no IPv4 subnet from /%u to /32",
                       spec->subnet, SHORTEST_PREFIX);
    else if (is_used(self, *subnet, nothing))
        rc = dray_fail(err, DRAY_E_CONFLICT, "Pool overlaps with other one on this address space");
    *range = *subnet;
    if (!rc && *spec->range && (!parse_net(spec->range, range) || !contains(*subnet, range->first)))
        rc = dray_fail(err, DRAY_E_INVAL, "steady: the range %s is not within %s", spec->range,
                       spec->subnet);
    return rc;
}

static int32_t pool_request(struct dray_self *self, const struct dray_call *call,
                            const struct dray_pool_spec *spec, const char **pool_out,
                            const char **subnet_out, struct dray_err *err)
{
    struct net subnet, range;
    int rc = settle(self, spec, &subnet, &range, err);
    if (rc)
        return rc;
    struct pool *p = (struct pool *)calloc(1, sizeof *p + count(subnet));
    if (!p)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    p->subnet = subnet;
    p->range = range;
    print_net(subnet, p->id);
    if (subnet.prefix < 31) { /* RFC 3021: a /31 has neither */
        p->taken[0] = 1;
        p->taken[count(subnet) - 1] = 1;
    }
    *pool_out = *subnet_out = dray_call_strdup(self->host, call, p->id);
    if (!*pool_out) {
        free(p);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    p->next = self->pools;
    self->pools = p;
    return 0;
}

static struct pool **find(struct dray_self *self, const char *id)
{
    struct pool **at = &self->pools;
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static int32_t pool_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            struct dray_err *err)
{
    (void)call, (void)err;
    struct pool **at = find(self, pool), *p = *at;
    if (p) {
        *at = p->next;
        free(p);
    }
    return 0;
}

static int32_t collect(struct dray_self *self, const struct dray_call *call, struct dray_strs pools,
                       struct dray_err *err)
{
    for (struct pool *p = self->pools, *next; p; p = next) {
        bool lives = false;
        next = p->next;
        for (uint64_t i = 0; i < pools.n; i++)
            lives = lives || strcmp(pools.v[i], p->id) == 0;
        if (!lives)
            (void)pool_release(self, call, p->id, err);
    }
    return 0;
}

/* --- addresses ---------------------------------------------------------------------------------*/

/* FNV-1a, finished so that names which differ in their last letter lie far apart. */
static uint32_t hash(const char *text)
{
    uint32_t h = UINT32_C(2166136261);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT32_C(16777619);
    return (h ^ h >> 15) * UINT32_C(2246822519) >> 3;
}

/* The free address that comes first after the one the name stands for. What has no name, a gateway,
 * begins at the start; names leave the spare ones there alone. */
static bool choose(const struct pool *p, const char *name, uint32_t spare, uint32_t *out)
{
    uint32_t n = count(p->range), low = p->range.first - p->subnet.first;
    uint32_t skip = !*name ? 0 : spare + 1 < n ? spare + 1 : 0;
    uint32_t room = n - skip, start = *name ? hash(name) % room : 0;
    for (uint32_t i = 0; i < room; i++) {
        *out = low + skip + (start + i) % room;
        if (!p->taken[*out])
            return true;
    }
    return false;
}

static int pick(struct dray_self *self, const struct dray_call *call, const struct pool *p,
                const struct dray_addr_spec *spec, uint32_t *out, struct dray_err *err)
{
    uint32_t addr;
    if (!*spec->addr)
        return choose(p, spec->name, self->spare, out)
                   ? 0
                   : dray_fail(err, DRAY_E_NOSPACE, "no address is left in %s", p->id);
    if (!parse_addr(spec->addr, &addr) || !contains(p->subnet, addr))
        return dray_fail(err, DRAY_E_INVAL, "steady: %s is not within %s", spec->addr, p->id);
    *out = addr - p->subnet.first;
    /* The host names again what it had before a restart of its own or of this process. */
    if (p->taken[*out] && !(call->flags & DRAY_CALL_REPLAY))
        return dray_fail(err, DRAY_E_CONFLICT, "Address already in use");
    return 0;
}

static int32_t addr_request(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const struct dray_addr_spec *spec, const char **addr_out,
                            struct dray_err *err)
{
    struct pool *p = *find(self, pool);
    uint32_t i = 0;
    if (!p)
        return dray_fail(err, DRAY_E_NOTFOUND, "steady: no such pool: %s", pool);
    int rc = pick(self, call, p, spec, &i, err);
    if (rc)
        return rc;
    char text[CIDR_SIZE];
    print_net((struct net){p->subnet.first + i, p->subnet.prefix}, text);
    *addr_out = dray_call_strdup(self->host, call, text);
    if (!*addr_out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    p->taken[i] = 1;
    return 0;
}

static int32_t addr_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const char *addr, struct dray_err *err)
{
    (void)call, (void)err;
    struct pool *p = *find(self, pool);
    uint32_t a;
    if (p && parse_addr(addr, &a) && contains(p->subnet, a))
        p->taken[a - p->subnet.first] = 0;
    return 0;
}

/* --- the plugin --------------------------------------------------------------------------------*/

static void close_instance(struct dray_self *self)
{
    while (self->pools)
        (void)pool_release(self, NULL, self->pools->id, NULL);
    free(self);
}

static int32_t open_instance(const struct dray_host *host, const char *instance,
                             struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = (struct dray_self *)calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->spare = (uint32_t)host->opt_int(host, "spare");
    if (!parse_net(host->opt_str(host, "base"), &self->base)) {
        free(self);
        return dray_fail(err, DRAY_E_INVAL, "option base: \"%s\" is no IPv4 subnet",
                         host->opt_str(host, "base"));
    }
    *out = self;
    return 0;
}

static const struct dray_option options[] = {
    {.name = "base",
     .type = DRAY_OPT_STRING,
     .def = "10.230.0.0/16",
     .help = "where subnets come from that nobody has named"},
    {.name = "spare",
     .type = DRAY_OPT_INT,
     .def = "0",
     .max = 4096,
     .help = "how many addresses at the start of a subnet are given by value only"},
};

static const struct dray_ipam_ops ops = {
    .head = DRAY_TABLE(struct dray_ipam_ops, 0),
    .pool_request = pool_request,
    .pool_release = pool_release,
    .addr_request = addr_request,
    .addr_release = addr_release,
    .collect = collect,
};

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_IPAM, DRAY_THREAD_SERIAL, &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "steady",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = open_instance,
    .close = close_instance,
};
