/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - ipam-default: address pools and addresses, kept in memory and replayed by the host. */
#include "space.h"

#include <dray/plugin.h>
#include <dray/util.h>

DRAY_PLUGIN_CARD("{\"name\":\"default\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"ipam\"],\"license\":\"Apache-2.0\"}");

struct dray_self {
    const struct dray_host *host;
    struct space space;
};

static bool replayed(const struct dray_call *call)
{
    return (call->flags & DRAY_CALL_REPLAY) != 0;
}

static int32_t pool_request(struct dray_self *self, const struct dray_call *call,
                            const struct dray_pool_spec *spec, const char **pool_out,
                            const char **subnet_out, struct dray_err *err)
{
    char id[POOL_ID];
    char subnet[PREFIX_TEXT];
    int rc = space_pool_request(&self->space, spec, replayed(call), id, subnet, err);
    if (rc)
        return rc;
    *pool_out = dray_call_strdup(self->host, call, id);
    *subnet_out = dray_call_strdup(self->host, call, subnet);
    if (*pool_out && *subnet_out)
        return 0;
    space_pool_release(&self->space, id);
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int32_t pool_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            struct dray_err *err)
{
    (void)call;
    (void)err;
    space_pool_release(&self->space, pool);
    return 0;
}

static int32_t addr_request(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const struct dray_addr_spec *spec, const char **addr_out,
                            struct dray_err *err)
{
    /* The first free address is the gateway's: it is asked for before all others. */
    char text[PREFIX_TEXT];
    int rc = space_addr_request(&self->space, pool, spec->addr, replayed(call), text, err);
    if (rc)
        return rc;
    *addr_out = dray_call_strdup(self->host, call, text);
    if (*addr_out)
        return 0;
    (void)space_addr_release(&self->space, pool, text, NULL);
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int32_t addr_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const char *addr, struct dray_err *err)
{
    (void)call;
    return space_addr_release(&self->space, pool, addr, err);
}

static int32_t collect(struct dray_self *self, const struct dray_call *call, struct dray_strs pools,
                       struct dray_err *err)
{
    (void)call;
    (void)err;
    space_collect(&self->space, pools);
    return 0;
}

static void ipam_close(struct dray_self *self)
{
    space_fini(&self->space);
    free(self);
}

/* Docker's own: 15 subnets of /16, then 16 of /20; for IPv6, whatever is configured,
 * private ones. */
#define DEFAULT_POOL6 "fdd0:d0c4:e700::/48:64"
#define DEFAULT_POOLS                                                                              \
    "172.17.0.0/16:16,172.18.0.0/16:16,172.19.0.0/16:16,172.20.0.0/14:16,172.24.0.0/14:16,"        \
    "172.28.0.0/14:16,192.168.0.0/16:20"

static int32_t ipam_open(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    space_init(&self->space);
    self->space.next_fit = strcmp(host->opt_str(host, "allocation"), "next") == 0;
    struct dray_strs pools = host->opt_list(host, "default-address-pools");
    int rc = 0;
    bool ipv6 = false;
    for (uint64_t i = 0; !rc && i < pools.n; i++) {
        rc = space_add_default(&self->space, pools.v[i], err);
        ipv6 = ipv6 || strchr(pools.v[i], ':') != strrchr(pools.v[i], ':');
    }
    if (!rc && !ipv6)
        rc = space_add_default(&self->space, DEFAULT_POOL6, err);
    if (rc) {
        ipam_close(self);
        return rc;
    }
    *out = self;
    return 0;
}

static const struct dray_option options[] = {
    {.name = "default-address-pools",
     .type = DRAY_OPT_LIST,
     .def = DEFAULT_POOLS,
     .help = "Pools to choose subnets from, each BASE/LEN:SIZE"},
    {.name = "allocation",
     .type = DRAY_OPT_STRING,
     .def = "first",
     .choices = "first|next",
     .help = "Give the lowest free address, or the next one after the last that was given"},
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
    {.kind = DRAY_KIND_IPAM, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "default",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = ipam_open,
    .close = ipam_close,
};
