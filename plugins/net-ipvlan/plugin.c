/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - net-ipvlan: containers that share the MAC address of a link of the machine. */
#include "lan.h"

#include <dray/plugin.h>
#include <linux/if_link.h>

DRAY_PLUGIN_CARD("{\"name\":\"ipvlan\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"network\"],\"license\":\"Apache-2.0\"}");

static const struct lan_word modes[] = {
    {"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}, {NULL, 0}};
static const struct lan_word flags[] = {
    {"bridge", 0}, {"private", IPVLAN_F_PRIVATE}, {"vepa", IPVLAN_F_VEPA}, {NULL, 0}};

static bool routed(uint32_t mode)
{
    return mode != IPVLAN_MODE_L2;
}

static void put_data(struct nl_msg *m, uint32_t mode, uint32_t flag)
{
    nla_put_u16(m, IFLA_IPVLAN_MODE, (uint16_t)mode);
    nla_put_u16(m, IFLA_IPVLAN_FLAGS, (uint16_t)flag);
}

static const struct lan_kind kind = {.name = "ipvlan",
                                     .mode_option = "ipvlan_mode",
                                     .modes = modes,
                                     .flag_option = "ipvlan_flag",
                                     .flags = flags,
                                     .routed = routed,
                                     .put_data = put_data};

static int32_t ipvlan_open(const struct dray_host *host, const char *instance,
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
    .name = "ipvlan",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = ipvlan_open,
    .close = lan_close,
};
