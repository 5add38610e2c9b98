/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - net-macvlan: containers with MAC addresses of their own on a link of the machine. */
#include "lan.h"

#include <dray/plugin.h>
#include <linux/if_link.h>

DRAY_PLUGIN_CARD("{\"name\":\"macvlan\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"network\"],\"license\":\"Apache-2.0\"}");

static const struct lan_word modes[] = {
    {"bridge", MACVLAN_MODE_BRIDGE},
    {"private", MACVLAN_MODE_PRIVATE},
    {"vepa", MACVLAN_MODE_VEPA},
    {"passthru", MACVLAN_MODE_PASSTHRU},
    {NULL, 0},
};

static bool routed(uint32_t mode)
{
    (void)mode;
    return false;
}

static void put_data(struct nl_msg *m, uint32_t mode, uint32_t flag)
{
    (void)flag;
    nla_put_u32(m, IFLA_MACVLAN_MODE, mode);
}

static const struct lan_kind kind = {.name = "macvlan",
                                     .mode_option = "macvlan_mode",
                                     .modes = modes,
                                     .own_mac = true,
                                     .routed = routed,
                                     .put_data = put_data};

static int32_t macvlan_open(const struct dray_host *host, const char *instance,
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
    .name = "macvlan",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = macvlan_open,
    .close = lan_close,
};
