/* SPDX-License-Identifier: Apache-2.0 */
/* rtnl.h - the few requests to the kernel's routing netlink that a point-to-point link needs. */
#ifndef PTP_RTNL_H
#define PTP_RTNL_H

#include <dray/util.h>

#include <netinet/in.h>

/** A netlink socket of the namespace that netns names; -1: of this one. */
int rtnl_open(int netns, int *fd_out, struct dray_err *err);
/** Make a pair of links; the peer is put into netns at once. mtu 0: the default. */
int rtnl_veth(int fd, const char *name, const char *peer, int netns, unsigned mtu,
              struct dray_err *err);
/** Remove a link. An absent one is no error. */
int rtnl_link_remove(int fd, const char *name, struct dray_err *err);
/** Index of a link in the socket's namespace; 0: there is none. mac_out (18 bytes) may be NULL. */
unsigned rtnl_link_find(int fd, const char *name, char *mac_out);
/** Rename (if name is not NULL), set the hardware address (if not NULL), bring up. */
int rtnl_link_set(int fd, unsigned index, const char *name, const char *mac, struct dray_err *err);
int rtnl_addr_add(int fd, unsigned index, struct in_addr addr, unsigned prefix,
                  struct dray_err *err);
/** Route to addr/prefix over the link, by way of gateway (INADDR_ANY: on the link itself). */
int rtnl_route_add(int fd, unsigned index, struct in_addr addr, unsigned prefix,
                   struct in_addr gateway, struct dray_err *err);

#endif
