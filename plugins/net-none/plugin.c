/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - net-none: a namespace with its loopback link and nothing else. */
#include "netdev.h"
#include "worker.h"

#include <dray/network.h>
#include <dray/plugin.h>
#include <dray/util.h>

DRAY_PLUGIN_CARD("{\"name\":\"null\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"network\"],\"license\":\"Apache-2.0\"}");

struct dray_self {
    struct dray_worker *inside; /* enters the namespaces */
};

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
    (void)call;
    (void)net_id;
    (void)ep_id;
    (void)ifname_hint;
    (void)set_default;
    dray_autofd int fd = -EBADF;
    int rc = dray_worker_nl_socket(self->inside, netns.fd, &fd, err);
    DRAY_AUTO(dray_nl_batch) b = {0};
    dray_netdev_up(&b, DRAY_NETDEV_LO, "bring up the loopback link");
    if (rc || (rc = dray_nl_send(fd, &b, err)))
        return rc;
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

static int32_t none_open(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)host;
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_worker_new(&self->inside, err);
    if (rc) {
        free(self);
        return rc;
    }
    *out = self;
    return 0;
}

static void none_close(struct dray_self *self)
{
    dray_worker_free(self->inside);
    free(self);
}

static const struct dray_network_ops ops = {
    .head = DRAY_TABLE(struct dray_network_ops, DRAY_NETWORK_F_NO_IPAM | DRAY_NETWORK_F_SINGLE),
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
    .name = "null",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = none_open,
    .close = none_close,
};
