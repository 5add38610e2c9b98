/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.c - net-vxlan: one network over several machines, each with a daemon of its own.
 *
 * Every machine makes the network with the same subnet and "vni", an --ip-range of its own, and
 * says where the others are: "peers" or a multicast "group". Ethernet frames travel in UDP packets
 * (RFC 7348); what the machines learn of each other they learn from the traffic.
 */
#include "vxlan.h"

#include <dray/plugin.h>

DRAY_PLUGIN_CARD("{\"name\":\"vxlan\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"network\"],\"license\":\"Apache-2.0\"}");

static bool routed(uint32_t mode)
{
    (void)mode;
    return false;
}

static const struct lan_kind kind = {.name = "vxlan",
                                     .own_mac = true,
                                     .routed = routed,
                                     .read_options = vxlan_read_options,
                                     .make_parent = vxlan_make,
                                     .companion = vxlan_name};

static int32_t vxlan_open(const struct dray_host *host, const char *instance,
                          struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    return lan_open(host, &kind, out, err);
}

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_NETWORK, .threading = DRAY_THREAD_PARALLEL, .ops = &lan_ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "vxlan",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = vxlan_open,
    .close = lan_close,
};
