/* SPDX-License-Identifier: Apache-2.0 */
/* networks.h - networks, their address pools, and the endpoints of containers on them. */
#ifndef DRAY_ENGINE_NETWORKS_H
#define DRAY_ENGINE_NETWORKS_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_engine;
struct dray_filters;
struct dray_networks;
struct json_object;

/** Load the documents, make the default networks (bridge, host, none) if they are missing, and hand
 *  everything to the drivers again (replay). */
int dray_networks_open(struct dray_engine *e, struct dray_networks **out, struct dray_err *err);
/** All living endpoints have been restored: let drivers drop the rest. */
void dray_networks_collect(struct dray_networks *ns);
void dray_networks_close(struct dray_networks *ns);

/* The API's side. Objects are as in the API document. */

int dray_networks_create(struct dray_networks *ns, struct json_object *req,
                         struct json_object **out, struct dray_err *err);
int dray_networks_inspect(struct dray_networks *ns, const char *name_or_id,
                          struct json_object **out, struct dray_err *err);
int dray_networks_list(struct dray_networks *ns, const struct dray_filters *f,
                       struct json_object **out, struct dray_err *err);
int dray_networks_remove(struct dray_networks *ns, const char *name_or_id, struct dray_err *err);
int dray_networks_prune(struct dray_networks *ns, const struct dray_filters *f,
                        struct json_object **out, struct dray_err *err);

/* The container part's side. */

enum dray_net_mode {
    DRAY_NETMODE_PRIVATE = 1, /* a namespace of its own, joined to networks */
    DRAY_NETMODE_HOST = 2,
    DRAY_NETMODE_NONE = 3, /* a namespace of its own with loopback only */
};

struct dray_network_ref {
    char id[72];
    char name[256];
    uint32_t mode;     /* enum dray_net_mode */
    bool user_defined; /* names are resolved on it, aliases are allowed */
    bool internal, attachable;
    bool ipv4, ipv6; /* what its endpoints have addresses of */
};
/** Find by id, unique prefix or name ("default" is the default bridge). NOTFOUND: "network X not
 *  found". */
int dray_networks_find(struct dray_networks *ns, const char *name_or_id,
                       struct dray_network_ref *out, struct dray_err *err);

/** Where an endpoint's configuration names its interface. */
#define DRAY_OPT_IFNAME "DriverOpts.com.docker.network.endpoint.ifname"

/** A container joins a network, or its endpoint is taken over after a restart of the daemon. */
struct dray_join_req {
    const char *container_id, *container_name, *hostname;
    const char *network;        /* id or name */
    struct json_object *config; /* EndpointSettings as asked for (IPAMConfig, Aliases, MacAddress,
                                   DriverOpts, GwPriority, Links), or NULL */
    struct json_object *ports;  /* HostConfig.PortBindings to publish here, or NULL */
    int netns;                  /* descriptor */
    const char *ifname;         /* "eth0" */
    bool set_default;           /* this one gives the default route */
    bool no_ipv6;               /* the container takes no IPv6 address, whatever the network has */
    bool replay;                /* config and ports are those that join returned before */
};
/**
 * Make the endpoint. *endpoint_out: EndpointSettings with NetworkID, EndpointID, Gateway,
 * IPAddress, IPPrefixLen, IPv6..., MacAddress, DNSNames and what config had. *ports_out:
 * NetworkSettings.Ports map ({"80/tcp":[{"HostIp","HostPort"}]}) of the ports that were published,
 * or NULL. Emits "connect". All or nothing.
 */
int dray_networks_join(struct dray_networks *ns, const struct dray_join_req *req,
                       struct json_object **endpoint_out, struct json_object **ports_out,
                       struct dray_err *err);
/** The names of an endpoint on a user-defined network: the container's name, aliases (array or
 * NULL), short id, host name (may be NULL). The caller's. */
struct json_object *dray_endpoint_dns_names(const char *name, const char *id, const char *hostname,
                                            struct json_object *aliases);
/** Publish HostConfig.PortBindings at an endpoint that has joined; as join does, what it returned
 *  says how. Call with the container's op held. */
int dray_networks_publish(struct dray_networks *ns, struct json_object *endpoint,
                          struct json_object *ports, struct json_object **ports_out,
                          struct dray_err *err);
/** Undo a join: endpoint is what join returned. netns -1: the namespace has gone or will. Emits
 *  "disconnect". */
int dray_networks_leave(struct dray_networks *ns, const char *container_id,
                        struct json_object *endpoint, int netns, struct dray_err *err);
/** Can an endpoint be as EndpointSettings say? As far as can be said, if the network is not there.
 */
int dray_networks_check_endpoint(struct dray_networks *ns, const char *network,
                                 struct json_object *config, struct dray_err *err);
/** A container that does not run has been taken off a network: emits "disconnect". */
void dray_networks_disconnected(struct dray_networks *ns, const char *network,
                                const char *container);
/** Names of a container's endpoint changed (rename). */
void dray_networks_renamed(struct dray_networks *ns, const char *container_id,
                           const char *new_name);
/** A container that is created refers to a network (for prune and "active endpoints"). */
#define DRAY_HOST_GATEWAY 64 /* room for an address as text */
/** What "host-gateway" in ExtraHosts stands for: the configuration's addresses, or else the default
 *  bridge's gateways, IPv4 before IPv6. How many there are: at most 2, 0 without a default bridge.
 */
size_t dray_networks_host_gateways(struct dray_networks *ns, char out[2][DRAY_HOST_GATEWAY]);

#endif
