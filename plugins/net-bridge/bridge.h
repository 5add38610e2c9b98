/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bridge.h - the driver's instance, its networks and its endpoints.
 *
 * Everything lives in memory: the host replays it after a restart. What the kernel holds (links,
 * nftables elements) can be told from these objects at any time, so a rebuild is always possible.
 */
#ifndef DRAY_BRIDGE_BRIDGE_H
#define DRAY_BRIDGE_BRIDGE_H

#include "hostrules.h"
#include "netdev.h"
#include "ports.h"
#include "rules.h"
#include "worker.h"

#include <dray/network.h>
#include <dray/util.h>
#include <net/if.h>
#include <pthread.h>

#define BRIDGE_ID 80

/** How containers of a network are reached from outside, per family. */
enum gateway_mode {
    GATEWAY_NAT,         /* published ports are translated, nothing else comes in */
    GATEWAY_UNPROTECTED, /* the same, and all ports may be reached at the container's address */
    GATEWAY_ROUTED,   /* no translation: published ports are reached at the container's address */
    GATEWAY_ISOLATED, /* the bridge has no address */
};

/** A network. Constant once it is in the store, but for refs. */
struct network {
    char id[BRIDGE_ID];
    char bridge[IFNAMSIZ];
    uint32_t refs; /* guarded by store.lock */
    uint32_t mtu;
    bool internal, icc, masquerade, ipv6;
    bool no_ip4;  /* the bridge gets no IPv4 address */
    bool guarded; /* the host's own rules decide over published ports */
    bool foreign; /* the bridge was there before us: it is never removed */
    enum gateway_mode mode4, mode6;
    struct dray_cidr gateway4, gateway6; /* with the subnet's prefix */
    struct dray_cidr route4, route6;     /* where default routes lead; mostly the same */
    struct dray_cidr host_binding;       /* of ports published without a host address */
};

/** One port that is published. */
struct port {
    struct port_hold *hold;
    struct port_want want;
    uint16_t container_port;
};

/** An endpoint. Constant but for refs and ports. */
struct endpoint {
    char id[BRIDGE_ID];
    char ifname[IFNAMSIZ]; /* on the host's side */
    uint32_t refs;         /* guarded by store.lock */
    struct network *net;   /* holds a reference */
    uint8_t mac[6];
    struct dray_cidr ip4, ip6;
    struct port *ports; /* owned; guarded by store.lock */
    size_t n_ports;
};

struct store {
    pthread_mutex_t lock; /* guards the trees, refs and ports; after rules.lock */
    void *networks;       /* tsearch tree by id */
    void *endpoints;
};

/** The thread that hears of changes to the machine's rules. */
struct follower {
    pthread_t thread;
    bool running;
    int wake; /* eventfd that ends it */
};

struct dray_self {
    const struct dray_host *host;
    const char *table; /* constant option */
    struct store store;
    struct rules rules;
    struct hostrules hostrules;
    struct follower follower;
    struct port_table ports;
    struct dray_worker *inside;    /* enters network namespaces */
    struct dray_worker *reaper;    /* deletes links, which takes the kernel 20 ms each */
    bool no_rules; /* constant option: the administrator wants none of ours */
    bool ipv6;                     /* of the kernel */
    uint32_t firewalld_generation; /* of the ruleset when firewalld was last settled;
                                      guarded by rules.lock */
};

/* store.c */

void store_init(struct store *s);
void store_fini(struct store *s, struct port_table *ports);
/** A reference, or NULL. */
struct network *store_network(struct store *s, const char *id);
struct endpoint *store_endpoint(struct store *s, const char *id);
/** Is another network using this bridge? */
bool store_bridge_used(struct store *s, const char *bridge, const char *except_id);
/** Takes n with one reference; false without memory or if the id is there. */
bool store_add_network(struct store *s, struct network *n);
bool store_add_endpoint(struct store *s, struct endpoint *e);
/** Take out of the store; the store's reference goes with the next unref. NULL if absent. */
struct network *store_take_network(struct store *s, const char *id);
struct endpoint *store_take_endpoint(struct store *s, const char *id);
void network_unref(struct store *s, struct network *n);
void endpoint_unref(struct store *s, struct endpoint *e);
bool store_network_busy(struct store *s, const struct network *n);
/** Call fn for each, lock held: fn must not call the store. */
void store_each_network(struct store *s, void (*fn)(struct network *, void *), void *ctx);
void store_each_endpoint(struct store *s, void (*fn)(struct endpoint *, void *), void *ctx);

static inline void network_elems(const struct network *n, struct elems *out)
{
    elems_add_bridge(out, ELEM_BRIDGES, n->bridge);
    elems_add_bridge(out, ELEM_SAME, n->bridge);
    if (n->icc)
        elems_add_bridge(out, ELEM_ICC, n->bridge);
    if (n->internal)
        elems_add_bridge(out, ELEM_INTERNAL, n->bridge);
    if (n->mode4 == GATEWAY_UNPROTECTED || n->mode6 == GATEWAY_UNPROTECTED)
        elems_add_bridge(out, ELEM_UNPROTECTED, n->bridge);
    if (n->masquerade && !n->internal && n->mode4 != GATEWAY_ROUTED)
        elems_add_bridge(out, ELEM_MASQ4, n->bridge);
    if (n->masquerade && !n->internal && n->ipv6 && n->mode6 != GATEWAY_ROUTED)
        elems_add_bridge(out, ELEM_MASQ6, n->bridge);
}

/* plugin.c */

/** Mend what others changed of our rules, or made of theirs. */
int bridge_rules_check(struct dray_self *self, struct dray_err *err);

/* follow.c */

/** Begin to hear of such changes. */
int follow_open(struct dray_self *self, struct dray_err *err);
void follow_close(struct dray_self *self);

/* network.c */

int bridge_net_create(struct dray_self *self, const struct dray_call *call, const char *id,
                      const struct dray_net_spec *spec, struct dray_err *err);
int bridge_net_remove(struct dray_self *self, const char *id, struct dray_err *err);

/* bridge_link.c */

/** A link as the kernel has it. */
struct link_info {
    unsigned index, master, mtu;
    char name[IFNAMSIZ];
    char kind[16];
    char alias[128];
    uint8_t mac[6];
    bool up;
};

/** DRAY_E_NOTFOUND if it is absent. */
int link_info_get(int fd, const char *name, struct link_info *out, struct dray_err *err);
/** "dray:TABLE:" and the object's id, the mark of links that are ours. */
void link_alias(const struct dray_self *self, const char *id, char out[128]);
/** Make the bridge or adopt it, with its addresses and settings; n->foreign is set. */
int bridge_link_ensure(struct dray_self *self, struct network *n, struct dray_err *err);
/** If the bridge has gone, make it again and put the links of its endpoints back. */
int bridge_link_check(struct dray_self *self, struct network *n, struct dray_err *err);
/** Take the addresses of a bridge of ours at once, so that its subnets are free, and delete it
 * later. */
void bridge_link_retire(struct dray_self *self, struct network *n);
/** Delete a link by name, after delay_ms, in the background. An absent one is no error. */
void link_delete_later(struct dray_self *self, const char *ifname, uint32_t delay_ms);
/** Delete our links that belong to nobody. */
int links_collect(struct dray_self *self, struct dray_err *err);

/* endpoint.c */

int bridge_ep_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                     const char *ep_id, const struct dray_ep_spec *spec, const char **mac_out,
                     struct dray_err *err);
/** The endpoint's link, if there is one, goes (back) to its network's bridge. */
void endpoint_reattach(struct dray_self *self, const struct endpoint *e);
int bridge_ep_remove(struct dray_self *self, const char *ep_id, struct dray_err *err);
int bridge_join(struct dray_self *self, const struct dray_call *call, const char *ep_id, int netns,
                const char *ifname, bool set_default, struct dray_ep_join *out,
                struct dray_err *err);
int bridge_leave(struct dray_self *self, const char *ep_id, int netns, struct dray_err *err);

/* passage.c */

/** Where iptables' FORWARD chain drops what it does not know, let our bridges through, and take
 * back what we did there for bridges that have gone. */
int passage_settle(struct dray_self *self, struct dray_err *err);

/* firewalld.c */

/** Where firewalld runs, put our bridges that are in none of its zones into "trusted". Failures are
 *  logged. */
void firewalld_settle(struct dray_self *self);
/** A bridge has gone. */
void firewalld_forget(struct dray_self *self, const char *bridge);

/* conntrack.c */

/** Forget the tracked flows to a UDP port of this machine, in the background. */
void conntrack_forget_udp(struct dray_self *self, uint8_t family, uint16_t port);

/* publish.c */

int bridge_publish(struct dray_self *self, const struct dray_call *call, const char *ep_id,
                   struct dray_port *ports, size_t n, struct dray_err *err);
int bridge_unpublish(struct dray_self *self, const char *ep_id, struct dray_err *err);
/** Elements of what an endpoint publishes; store.lock held. */
void endpoint_elems(const struct endpoint *e, struct elems *out);

#endif
