/* SPDX-License-Identifier: Apache-2.0 */
/* lan_priv.h - the instance, its networks and endpoints; of the files lan*.c only. */
#ifndef DRAY_PLUGIN_LAN_PRIV_H
#define DRAY_PLUGIN_LAN_PRIV_H

#include "lan.h"
#include "netdev.h"
#include "worker.h"

#include <net/if.h>
#include <pthread.h>

#define LAN_ID 80

struct lan_net {
    struct lan_net *next;
    char id[LAN_ID];
    char parent[IFNAMSIZ];
    uint32_t mode, flag;
    bool internal;
    bool made; /* the parent is a dummy or a VLAN link of ours, or a bridge */
    struct dray_cidr gateway4, gateway6;
    uint32_t mtu; /* of links on a bridge; 0: the kernel's */
    _Alignas(8) uint8_t extra[LAN_EXTRA];
};

struct lan_ep {
    struct lan_ep *next;
    char id[LAN_ID];
    char net[LAN_ID];
    char ifname[IFNAMSIZ]; /* inside, once joined */
    uint8_t mac[6];
    bool has_mac;
    bool joined;
    struct dray_cidr ip4, ip6;
};

struct dray_self {
    const struct dray_host *host;
    const struct lan_kind *kind;
    char mark[48]; /* alias of links that are ours: "dray:KIND:HASH:" */
    struct dray_worker *worker;
    pthread_mutex_t lock; /* guards the lists; innermost */
    struct lan_net *nets;
    struct lan_ep *eps;
};

/* lan_store.c: copies go in and out, so that nothing is held while the kernel works. */

bool lan_get_net(struct dray_self *self, const char *id, struct lan_net *out);
bool lan_get_ep(struct dray_self *self, const char *id, struct lan_ep *out);
/** Add or replace. False without memory. */
bool lan_put_net(struct dray_self *self, const struct lan_net *n);
bool lan_put_ep(struct dray_self *self, const struct lan_ep *e);
/** True if it was there; out may be NULL. */
bool lan_drop_net(struct dray_self *self, const char *id, struct lan_net *out);
bool lan_drop_ep(struct dray_self *self, const char *id);
bool lan_net_busy(struct dray_self *self, const char *id);
/** The network that uses the parent, for an error's text. */
bool lan_parent_user(struct dray_self *self, const char *parent, const char *except,
                     char out[LAN_ID]);
void lan_free_all(struct dray_self *self);

/* lan_link.c */

/** See that the parent is there and up; make a dummy or VLAN link. */
int lan_parent_ensure(struct dray_self *self, struct lan_net *n, struct dray_err *err);
/** Delete a parent of ours, in the background. */
void lan_parent_drop(struct dray_self *self, const char *name);
/** Delete all parents of ours whose network is not in keep. */
int lan_parents_collect(struct dray_self *self, struct dray_strs keep, struct dray_err *err);
/** Make the endpoint's link inside a namespace and set it up; e->ifname is what is wanted, and in
 * the end what it got. */
int lan_link_join(struct dray_self *self, const struct lan_net *n, struct lan_ep *e, int netns,
                  bool set_default, struct dray_err *err);
/** Delete it from a namespace that lives on, in the background. */
int lan_link_leave(struct dray_self *self, const struct lan_ep *e, int netns, struct dray_err *err);

#endif
