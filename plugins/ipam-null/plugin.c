/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - ipam-null: for networks whose endpoints need no addresses. */
#include <dray/ipam.h>
#include <dray/plugin.h>
#include <dray/util.h>

DRAY_PLUGIN_CARD("{\"name\":\"null\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"ipam\"],\"license\":\"Apache-2.0\"}");

static struct dray_self {
    char unused;
} the_self; /* holds nothing */

static int32_t pool_request(struct dray_self *self, const struct dray_call *call,
                            const struct dray_pool_spec *spec, const char **pool_out,
                            const char **subnet_out, struct dray_err *err)
{
    (void)self;
    (void)call;
    if (spec->subnet[0] || spec->range[0])
        return dray_fail(err, DRAY_E_INVAL,
                         "null ipam driver does not handle specific address "
                         "pool requests");
    *pool_out = "null/null";
    *subnet_out = spec->family == 6 ? "::/0" : "0.0.0.0/0";
    return 0;
}

static int32_t addr_request(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const struct dray_addr_spec *spec, const char **addr_out,
                            struct dray_err *err)
{
    (void)self;
    (void)call;
    if (strcmp(pool, "null/null") != 0)
        return dray_fail(err, DRAY_E_INVAL, "unknown pool id: %s", pool);
    if (spec->addr[0])
        return dray_fail(err, DRAY_E_INVAL,
                         "null ipam driver does not handle specific address requests");
    *addr_out = "";
    return 0;
}

static int32_t pool_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)pool;
    (void)err;
    return 0;
}

static int32_t addr_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const char *addr, struct dray_err *err)
{
    (void)addr;
    return pool_release(self, call, pool, err);
}

static int32_t null_open(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)host;
    (void)instance;
    (void)err;
    *out = &the_self;
    return 0;
}

static void null_close(struct dray_self *self)
{
    (void)self;
}

static const struct dray_ipam_ops ops = {
    .head = DRAY_TABLE(struct dray_ipam_ops, 0),
    .pool_request = pool_request,
    .pool_release = pool_release,
    .addr_request = addr_request,
    .addr_release = addr_release,
};

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_IPAM, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "null",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = null_open,
    .close = null_close,
};
