/* SPDX-License-Identifier: Apache-2.0 */
/* network_priv.h - the network object, shared by the files network*.c only. */
#ifndef DRAY_ENGINE_NETWORK_PRIV_H
#define DRAY_ENGINE_NETWORK_PRIV_H

#include "base/ident.h"
#include "base/strlist.h"
#include "engine/engine.h"
#include "engine/network/networks.h"

#include <pthread.h>
#include <stdatomic.h>

#define DRAY_NET_POOLS 8
#define DRAY_NET_NAME 256
#define DRAY_NET_CIDR 64
#define DRAY_NET_ROUTE4 "DefaultGatewayIPv4" /* auxiliary address: where default routes lead */
#define DRAY_NET_ROUTE6 "DefaultGatewayIPv6"

/** One pool of addresses. Constant once the network is ready. */
struct dray_net_pool_state {
    uint32_t family;
    char subnet[DRAY_NET_CIDR];  /* CIDR; "" until ipam chose one */
    char range[DRAY_NET_CIDR];   /* CIDR or "" */
    char gateway[DRAY_NET_CIDR]; /* address without prefix, or "" */
    bool given;                  /* the user named the subnet */
    bool quiet_gateway;          /* but left its gateway to us: not shown, as by Docker */
    char *pool;                  /* ipam's name for it; NULL while it is not reserved */
    struct json_object *aux;     /* {"name": "address"} or NULL */
};

/** A container's endpoint while it lives. */
struct dray_net_ep {
    struct dray_net_ep *next;
    char id[DRAY_ID_LEN];
    char container[DRAY_ID_LEN];
    char name[DRAY_NET_NAME]; /* the container's */
    char mac[20];
    int64_t gw_priority;
    bool proxied;                                  /* the proxy carries some of its ports */
    char ipv4[DRAY_NET_CIDR], ipv6[DRAY_NET_CIDR]; /* CIDR or "" */
};

struct dray_net {
    atomic_int refs;
    /* Constant once it is in the table. */
    char id[DRAY_ID_LEN];
    char name[DRAY_NET_NAME];
    char driver_name[64], ipam_name[64];
    struct dray_driver *driver, *ipam; /* NULL: the plugin is missing */
    int64_t created_ns;
    bool internal, attachable, ipv4, ipv6, predefined;
    struct json_object *options, *labels, *ipam_options; /* never NULL but ipam_options */
    struct dray_net_pool_state pools[DRAY_NET_POOLS];
    size_t n_pools;

    bool ready; /* listed and found; guarded by dray_networks.lock */

    pthread_mutex_t lock; /* guards the rest; after dray_networks.lock */
    struct dray_net_ep *eps;
    size_t n_eps;
    bool removing;
};

struct dray_networks {
    struct dray_engine *engine;
    int dir;               /* data_root/networks */
    pthread_rwlock_t lock; /* guards v and ready of each */
    struct dray_net **v;   /* oldest first, one reference each */
    size_t n, cap;
    char no_bridge[448]; /* why the default bridge could not be made at the start, or "" */

    pthread_t checker;
    bool has_checker;
    pthread_mutex_t check_lock; /* guards closing; innermost */
    pthread_cond_t check_wake;
    bool closing;
};

/* networks.c: the table */

struct dray_net *dray_net_new(const char *name); /* one reference; NULL without memory */
struct dray_net *dray_net_ref(struct dray_net *n);
void dray_net_unref(struct dray_net *n);
static inline void dray_net_cleanup(struct dray_net **n)
{
    if (*n)
        dray_net_unref(*n);
}
#define dray_autonet __attribute__((cleanup(dray_net_cleanup))) struct dray_net

/** A reference, or NOTFOUND "network X not found". */
int dray_net_find(struct dray_networks *ns, const char *name_or_id, struct dray_net **out,
                  struct dray_err *err);
/** Reserve the name: in the table, not ready. CONFLICT if it is taken. */
int dray_net_insert(struct dray_networks *ns, struct dray_net *n, struct dray_err *err);
void dray_net_set_ready(struct dray_networks *ns, struct dray_net *n);
void dray_net_erase(struct dray_networks *ns, struct dray_net *n);
/** All ready networks, a reference each; free with dray_net_list_free(). */
size_t dray_net_snapshot(struct dray_networks *ns, struct dray_net ***out);
void dray_net_list_free(struct dray_net **v, size_t n);
/** Emit a network event; container NULL for create and destroy. */
void dray_net_event(struct dray_networks *ns, const struct dray_net *n, const char *action,
                    const char *container);

/* network_doc.c */

int dray_net_store(struct dray_networks *ns, const struct dray_net *n, struct dray_err *err);
int dray_net_forget(struct dray_networks *ns, const struct dray_net *n, struct dray_err *err);
/** Remove the document of a network that could not be read, by its whole id; false if there is
 * none. */
bool dray_net_forget_broken(struct dray_networks *ns, const char *id);
int dray_net_load(struct dray_networks *ns, const char *id, struct dray_net **out,
                  struct dray_err *err);
/** IPAM as the API shows it. */
struct json_object *dray_net_ipam_json(const struct dray_net *n, bool all);

/* network_create.c */

/** Reserve pools and make the network in its driver. */
int dray_net_establish(struct dray_net *n, bool replay, struct dray_err *err);
int dray_net_find_drivers(struct dray_networks *ns, struct dray_net *n, struct dray_err *err);
uint64_t dray_net_features(const struct dray_net *n);
/** Is it a name that only the host gives? */
bool dray_net_name_predefined(const char *name);

/* network_defaults.c */

/** Make bridge, host and none, or bring them to what the configuration says. */
int dray_net_defaults(struct dray_networks *ns, struct dray_err *err);

/* network_ipam.c */

/** Read "IPAM" of a create request. */
int dray_net_ipam_parse(struct dray_net *n, struct json_object *ipam, struct dray_err *err);
/** The value of a driver's option "com.docker.network.bridge.NAME". */
const char *dray_net_bridge_option(const struct dray_net *n, const char *name,
                                   const char *fallback);
/** Reserve pools, gateways and auxiliary addresses; all or none. */
int dray_net_pools_request(struct dray_net *n, bool replay, struct dray_err *err);
void dray_net_pools_release(struct dray_net *n);
/** Reserve an address of a family. out gets a CIDR; "" if the network has no pool of the family. */
int dray_net_addr_request(struct dray_net *n, uint32_t family, const struct dray_addr_spec *spec,
                          bool replay, char out[DRAY_NET_CIDR], struct dray_err *err);
/** Does its address driver look at MAC addresses? Asks the driver. */
bool dray_net_addr_wants_mac(struct dray_net *n);
void dray_net_addr_release(struct dray_net *n, const char *cidr);
/** Family of "10.1.2.3/8" or "fe80::1": 4, 6, or 0. */
uint32_t dray_addr_family(const char *text);
/** Is the address within the CIDR? */
bool dray_cidr_has(const char *cidr, const char *addr);

/* network_endpoint.c */

/** Objections to EndpointSettings, INVAL in Docker's words. n NULL: subnets are not looked at. */
int dray_net_endpoint_check(const struct dray_net *n, bool predefined, struct json_object *config,
                            struct dray_err *err);

/* network_inside.c */

/** The interface's name that an endpoint's options ask for, or "". */
const char *dray_net_ifname(struct json_object *config);
/** May what they ask of the interface be? INVAL in Docker's words. */
int dray_net_inside_check(struct json_object *config, struct dray_err *err);
/** Set the interface's sysctls and link-local addresses. netns: a descriptor. */
int dray_net_inside(int netns, const char *ifname, struct json_object *config,
                    struct dray_err *err);

/* network_routes.c */

/** CIDRs of this machine's addresses and routes, but for those of one link. */
void dray_host_cidrs(const char *but_link, struct dray_strlist *out);
/** An address of a link that is not link-local, as a CIDR: of several that whose subnet has `range`
 *  (NULL or "": none), or else the first. false: it has none. */
bool dray_link_cidr(const char *link, uint32_t family, const char *range, char out[DRAY_NET_CIDR]);

/* network_ports.c */

/** HostConfig.PortBindings to publish, or with replay the map that an earlier publish returned. */
struct dray_publish {
    struct json_object *ports; /* or NULL */
    bool replay;
    struct json_object
        *out; /* NetworkSettings.Ports of what was published, or NULL; the caller's */
};
/** By the network's driver, or where the endpoint lacks the family of addresses, by the proxy. */
int dray_net_publish(struct dray_networks *ns, struct dray_net *n, struct dray_net_ep *ep,
                     struct dray_publish *what, struct dray_err *err);

/* network_check.c */

/** Begin to call check() of the network drivers periodically. */
int dray_net_check_start(struct dray_networks *ns, struct dray_err *err);
void dray_net_check_stop(struct dray_networks *ns);

/* network_view.c */

#endif
