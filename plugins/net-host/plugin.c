/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - net-host: containers share the machine's own network; there is nothing to make. */
#include <dray/network.h>
#include <dray/plugin.h>
#include <dray/util.h>

DRAY_PLUGIN_CARD("{\"name\":\"host\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"network\"],\"license\":\"Apache-2.0\"}");

static struct dray_self {
    char unused;
} the_self; /* holds nothing */

static int32_t net_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          const struct dray_net_spec *spec, struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)net_id;
    (void)spec;
    (void)err;
    return 0;
}

static int32_t net_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)net_id;
    (void)err;
    return 0;
}

static int32_t ep_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, const struct dray_ep_spec *spec, const char **mac_out,
                         struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)net_id;
    (void)ep_id;
    (void)spec;
    (void)err;
    *mac_out = "";
    return 0;
}

static int32_t ep_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)net_id;
    (void)ep_id;
    (void)err;
    return 0;
}

static int32_t join(struct dray_self *self, const struct dray_call *call, const char *net_id,
                    const char *ep_id, struct dray_fd_borrow netns, const char *ifname_hint,
                    uint32_t set_default, struct dray_ep_join *out, struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)net_id;
    (void)ep_id;
    (void)netns;
    (void)ifname_hint;
    (void)set_default;
    (void)err;
    *out = (struct dray_ep_join){
        .size = sizeof *out, .ifname = "", .mac = "", .gateway4 = "", .gateway6 = ""};
    return 0;
}

static int32_t leave(struct dray_self *self, const struct dray_call *call, const char *net_id,
                     const char *ep_id, struct dray_fd_borrow netns, struct dray_err *err)
{
    (void)netns;
    return ep_remove(self, call, net_id, ep_id, err);
}

static int32_t host_open(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)host;
    (void)instance;
    (void)err;
    *out = &the_self;
    return 0;
}

static void host_close(struct dray_self *self)
{
    (void)self;
}

static const struct dray_network_ops ops = {
    .head = DRAY_TABLE(struct dray_network_ops,
                       DRAY_NETWORK_F_HOST | DRAY_NETWORK_F_NO_IPAM | DRAY_NETWORK_F_SINGLE),
    .net_create = net_create,
    .net_remove = net_remove,
    .ep_create = ep_create,
    .ep_remove = ep_remove,
    .join = join,
    .leave = leave,
};

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_NETWORK, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "host",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = host_open,
    .close = host_close,
};
