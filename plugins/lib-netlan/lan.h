/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lan.h - network drivers whose containers sit on a parent link of the machine: macvlan, ipvlan,
 * and vxlan, which makes a bridge of its own as the parent.
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

/** Room for what a driver reads from a network's options. */
#define LAN_EXTRA 768

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

    /* A kind with make_parent has bridges as parents, made by it; links of endpoints are veth pairs
     * on them, and it has neither modes nor put_data. */

    /** Read the options of a network into extra, LAN_EXTRA bytes that were zeroed. */
    int (*read_options)(struct dray_kvs opts, void *extra, uint32_t *mtu_out, struct dray_err *err);
    /** Make the bridge and what belongs to it, or mend what is missing; fd is a route socket, alias
     * the mark that every link gets. */
    int (*make_parent)(int fd, const char *bridge, const char *alias, const void *extra,
                       struct dray_err *err);
    /** Name of the link that goes with a bridge when it is deleted. */
    void (*companion)(const char *bridge, char out[16]);
};

extern const struct dray_network_ops lan_ops;

/** Make an instance of one kind, for dray_plugin.open. */
int lan_open(const struct dray_host *host, const struct lan_kind *kind, struct dray_self **out,
             struct dray_err *err);
void lan_close(struct dray_self *self);

#endif
