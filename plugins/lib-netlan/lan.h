/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lan.h - network drivers whose containers sit on a parent link of the machine: macvlan and ipvlan.
 *
 * A network names its parent ("eth0", or "eth0.10", which is made when it is absent) in the option
 * "parent"; without one it gets a dummy link, and containers of it reach each other only.
 */
#ifndef DRAY_PLUGIN_LAN_H
#define DRAY_PLUGIN_LAN_H

#include <dray/network.h>
#include <dray/util.h>
#include <netlink/msg.h>
#include <stdbool.h>

/** One value of the mode or flag option, as the user writes it and as the kernel has it. */
struct lan_word {
    const char *word;
    uint32_t value;
};

/** What tells the drivers apart. */
struct lan_kind {
    const char *name;             /* link type of the kernel, name of the driver */
    const char *mode_option;      /* "macvlan_mode" */
    const struct lan_word *modes; /* the first is the default; ended by a NULL word */
    const char *flag_option;      /* or NULL */
    const struct lan_word *flags;
    bool own_mac; /* endpoints have a MAC address of their own */
    /* Without neighbours: routes lead to the link, there is no gateway. */
    bool (*routed)(uint32_t mode);
    /** Put IFLA_INFO_DATA's attributes. */
    void (*put_data)(struct nl_msg *m, uint32_t mode, uint32_t flag);
};

extern const struct dray_network_ops lan_ops;

/** Make an instance of one kind, for dray_plugin.open. */
int lan_open(const struct dray_host *host, const struct lan_kind *kind, struct dray_self **out,
             struct dray_err *err);
void lan_close(struct dray_self *self);

#endif
