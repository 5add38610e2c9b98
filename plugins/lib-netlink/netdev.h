/* SPDX-License-Identifier: Apache-2.0 */
/* netdev.h - requests about links, addresses and routes, as network drivers need them. */
#ifndef DRAY_PLUGIN_NETDEV_H
#define DRAY_PLUGIN_NETDEV_H

#include "netlink.h"

#include <stdint.h>

/** Index of the loopback link in every namespace. */
#define DRAY_NETDEV_LO 1u

/** An address with its prefix length. */
struct dray_cidr {
    uint8_t family; /* AF_INET, AF_INET6; 0: none */
    uint8_t prefix;
    uint8_t addr[16];
};

/** Reads "172.17.0.2/16", or an address alone, which gets the longest prefix. */
bool dray_cidr_parse(const char *text, struct dray_cidr *out);
static inline int dray_cidr_len(const struct dray_cidr *c)
{
    return c->family == 2 /* AF_INET */ ? 4 : 16;
}

/** Index of a link by name in the namespace of the socket fd; 0 if there is none. */
unsigned dray_netdev_index(int fd, const char *name);
/** The next name after "eth0": "eth1". False for names without a number at their end. */
bool dray_netdev_next_name(char name[16]);
/** Write below /proc/sys/net of the calling thread's namespace. Absent files: DRAY_E_NOTFOUND. */
int dray_netdev_sysctl(const char *path, const char *value, struct dray_err *err);
/** Read one word below /proc/sys/net; false if it is absent. */
bool dray_netdev_sysctl_read(const char *path, char *out, size_t size);

/** Begin a link request: ifindex 0 means the link is named by IFLA_IFNAME. */
struct nl_msg *dray_netdev_link(struct dray_nl_batch *b, int type, int flags, unsigned ifindex,
                                unsigned ifi_flags, unsigned ifi_change, const char *what);
void dray_netdev_up(struct dray_nl_batch *b, unsigned ifindex, const char *what);
/** Add an address (existing: fine), without duplicate address detection. */
void dray_netdev_addr(struct dray_nl_batch *b, unsigned ifindex, const struct dray_cidr *c);
/** Tell a link's neighbour table who has an address; it is verified when it is used. */
void dray_netdev_neighbour(struct dray_nl_batch *b, unsigned ifindex, const struct dray_cidr *c,
                           const uint8_t mac[6]);
/** Set the default route of the gateway's family. ifindex 0: by the link that leads to the gateway.
 */
void dray_netdev_default_route(struct dray_nl_batch *b, unsigned ifindex,
                               const struct dray_cidr *gateway);

#endif
