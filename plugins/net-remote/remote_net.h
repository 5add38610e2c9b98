/* SPDX-License-Identifier: Apache-2.0 */
/* remote_net.h - what the files of the bridge to remote network drivers share. */
#ifndef DRAY_REMOTE_NET_H
#define DRAY_REMOTE_NET_H

#include "netdev.h"
#include "remote.h"
#include "worker.h"

#include <dray/network.h>

/** An endpoint. Its strings are written down as well, for a host that restarts. */
struct remote_ep {
    struct remote_ep *next;
    char id[72], net[72];
    char mac[24], ipv4[24], ipv6[56];
    bool joined, published;
    char source[16]; /* the link's name outside */
    char ifname[16]; /* and inside */
    char gateway4[24], gateway6[48];
};

struct dray_self {
    const struct dray_host *host;
    struct dray_remote *remote;
    struct dray_worker *worker; /* enters the namespaces */
    pthread_mutex_t lock;       /* guards: eps. order: alone */
    struct remote_ep *eps;
};

/* store.c */

/** A copy of what is known of the endpoint; false if nothing is. */
bool remote_ep_get(struct dray_self *self, const char *id, struct remote_ep *out);
/** Keep it, in memory and in the instance's folder. */
int remote_ep_put(struct dray_self *self, const struct remote_ep *e, struct dray_err *err);
void remote_ep_drop(struct dray_self *self, const char *id);
void remote_ep_free_all(struct dray_self *self);

/* link.c */

/** Take the link e->source into the namespace as e->ifname (or the next free name, which is then in
 *  e->ifname), give it its addresses, and set the routes of the server's answer to Join. */
int remote_link_enter(struct dray_self *self, struct remote_ep *e, int netns,
                      struct json_object *answer, struct dray_err *err);
/** The default routes by the endpoint's gateways. */
int remote_link_default(struct dray_self *self, const struct remote_ep *e, int netns,
                        struct dray_err *err);
/** Give the link back under its old name. One that has gone is fine. */
int remote_link_return(struct dray_self *self, const struct remote_ep *e, int netns,
                       struct dray_err *err);

#endif
