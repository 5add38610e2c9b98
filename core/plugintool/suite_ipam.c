/* SPDX-License-Identifier: Apache-2.0 */
/* suite_ipam.c - pools that do not overlap, addresses that nobody has twice, replay. */
#include "check.h"

#include <arpa/inet.h>

#define POOL "10.219.248.0/29"

static void keep(char out[80], const char *text)
{
    (void)snprintf(out, 80, "%s", text ? text : "");
}

static int pool_request(struct ck *c, bool replay, const char *subnet, char pool[80], char cidr[80])
{
    const struct dray_pool_spec spec = {.size = sizeof spec,
                                        .family = 4,
                                        .subnet = subnet,
                                        .range = "",
                                        .options = {c->want->opts, c->want->n_opts}};
    const char *id = NULL, *got = NULL;
    int rc = CK_(c, replay, ipam, pool_request, NULL, &spec, &id, &got);
    keep(pool, rc ? "" : id);
    keep(cidr, rc ? "" : got);
    return rc;
}

/* out: without its prefix. */
static int addr_request(struct ck *c, bool replay, const char *pool, const char *want,
                        uint32_t flags, char out[80])
{
    const struct dray_addr_spec spec = {.size = sizeof spec,
                                        .flags = flags,
                                        .addr = want,
                                        .mac = flags ? "" : "02:42:00:00:00:01",
                                        .name = flags ? "" : "dray-check"};
    const char *got = NULL;
    int rc = CK_(c, replay, ipam, addr_request, pool, pool, &spec, &got);
    keep(out, rc ? "" : got);
    return rc;
}

static bool within(const char *cidr, const char *net)
{
    char a[80], b[80];
    struct in_addr x, y;
    unsigned prefix = (unsigned)atoi(strchr(net, '/') ? strchr(net, '/') + 1 : "0");
    (void)snprintf(a, sizeof a, "%.*s", (int)strcspn(cidr, "/"), cidr);
    (void)snprintf(b, sizeof b, "%.*s", (int)strcspn(net, "/"), net);
    if (inet_pton(AF_INET, a, &x) != 1 || inet_pton(AF_INET, b, &y) != 1 || prefix < 1 ||
        prefix > 32)
        return false;
    return (ntohl(x.s_addr) ^ ntohl(y.s_addr)) >> (32 - prefix) == 0;
}

static void check_addresses(struct ck *c, const char *pool, const char *subnet)
{
    char gateway[80], one[80], two[80], again[80];
    (void)addr_request(c, false, pool, "", DRAY_ADDR_GATEWAY, gateway);
    if (!ck_expect(c, 0, "the gateway's address"))
        return;
    (void)addr_request(c, false, pool, "", 0, one);
    if (!ck_expect(c, 0, "an address"))
        return;
    (void)addr_request(c, false, pool, "", 0, two);
    (void)ck_expect(c, 0, "another one");
    (void)ck_true(c, strcmp(one, two) != 0 && strcmp(one, gateway) != 0,
                  "nobody gets an address that another has");
    (void)ck_true(c,
                  within(one, subnet) && strchr(one, '/') &&
                      strcmp(strchr(one, '/'), strchr(subnet, '/')) == 0,
                  "it lies in the subnet and has its prefix");
    one[strcspn(one, "/")] = '\0';
    (void)addr_request(c, false, pool, one, 0, again);
    (void)ck_expect(c, DRAY_E_CONFLICT, "one that is taken is not given again");
    (void)addr_request(c, true, pool, one, 0, again);
    (void)ck_expect(c, 0, "but told again after a restart it is taken");
    (void)CK(c, ipam, addr_release, pool, pool, one);
    (void)ck_expect(c, 0, "addr_release()");
    (void)CK(c, ipam, addr_release, pool, pool, one);
    (void)ck_expect(c, 0, "releasing what is not reserved is no error");
    int rc = 0;
    for (int i = 0; !rc && i < 16; i++)
        rc = addr_request(c, false, pool, "", 0, again);
    (void)ck_expect(c, DRAY_E_NOSPACE, "when none is left it says so");
}

static void check_drop(struct ck *c, const char *pool, const char *subnet)
{
    char id[80], cidr[80], addr[80];
    (void)CK(c, ipam, pool_release, pool, pool);
    (void)ck_expect(c, 0, "pool_release()");
    (void)CK(c, ipam, pool_release, pool, pool);
    (void)ck_expect(c, 0, "releasing an absent pool is no error");
    (void)pool_request(c, true, subnet, id, cidr);
    if (!ck_expect(c, 0, "a pool told again after a restart is taken"))
        return;
    (void)ck_true(c, strcmp(cidr, subnet) == 0, "with the same subnet");
    if (ck_has(c, "collect")) {
        (void)CK(c, ipam, collect, NULL, (struct dray_strs){NULL, 0});
        (void)ck_expect(c, 0, "collect()");
        (void)addr_request(c, false, id, "", 0, addr);
        (void)ck_true(c, c->rc != 0, "a pool that was not named is gone");
    }
    (void)CK(c, ipam, pool_release, id, id);
}

void ck_ipam(struct ck *c)
{
    char pool[80], subnet[80], other[80], cidr[80];
    if (pool_request(c, false, POOL, pool, subnet) == DRAY_E_INVAL || c->rc == DRAY_E_NOTSUP) {
        ck_skip(c, "it takes no subnets: %s", c->err.text);
        (void)pool_request(c, false, "", pool, subnet);
        (void)ck_expect(c, 0, "a pool of its own choice");
        return;
    }
    if (!ck_expect(c, 0, "a pool by its subnet"))
        return;
    (void)ck_true(c, pool[0] && strcmp(subnet, POOL) == 0, "it has an id and that subnet");
    (void)pool_request(c, false, "10.219.248.4/30", other, cidr);
    (void)ck_expect(c, DRAY_E_CONFLICT, "one that overlaps is refused");
    check_addresses(c, pool, subnet);
    check_drop(c, pool, subnet);
    if (pool_request(c, false, "", pool, subnet)) {
        ck_skip(c, "it chooses no subnets: %s", c->err.text);
        return;
    }
    (void)ck_true(c, strchr(subnet, '/') != NULL, "it chooses a subnet when none is asked for");
    (void)CK(c, ipam, pool_release, pool, pool);
}
