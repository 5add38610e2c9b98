/* SPDX-License-Identifier: Apache-2.0 */
/* vxlan.h - what the options of a network say, and the links that follow from it. */
#ifndef DRAY_VXLAN_VXLAN_H
#define DRAY_VXLAN_VXLAN_H

#include "lan.h"
#include "netdev.h"

#include <net/if.h>

/* As many as fit into LAN_EXTRA; a larger overlay uses a multicast group. */
#define VXLAN_PEERS 32

struct vxlan_opts {
    uint32_t vni;
    uint16_t port;
    char parent[IFNAMSIZ];  /* link of the machine to send by, or "" */
    struct dray_cidr local; /* source address, or family 0 */
    struct dray_cidr group; /* multicast group, or family 0 */
    uint32_t n_peers;
    struct dray_cidr peers[VXLAN_PEERS];
};

_Static_assert(sizeof(struct vxlan_opts) <= LAN_EXTRA, "options must fit");

/* options.c */

int vxlan_read_options(struct dray_kvs opts, void *extra, uint32_t *mtu_out, struct dray_err *err);

/* links.c */

int vxlan_make(int fd, const char *bridge, const char *alias, const void *extra,
               struct dray_err *err);
/** "vx-ID" to "vn-ID". */
void vxlan_name(const char *bridge, char out[IFNAMSIZ]);

#endif
