/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network.h - networks, and the endpoints that join a container's network namespace to them.
 *
 * The host allocates addresses through an ipam driver and hands them over; the network driver makes
 * links, rules and published ports. After a restart of the host it calls net_create, ep_create and
 * publish again for all that is alive, with DRAY_CALL_REPLAY set and the very values of before;
 * the driver adopts what is there and mends what is missing. Then collect() names all that lives.
 */
#ifndef DRAY_NETWORK_H
#define DRAY_NETWORK_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Containers share the network namespace of the machine: no sandbox, no addresses. */
#define DRAY_NETWORK_F_HOST UINT64_C(1)
/** Endpoints get no addresses from ipam. */
#define DRAY_NETWORK_F_NO_IPAM UINT64_C(2)
/** Exactly one network of this driver exists, made by the host; users cannot create more. */
#define DRAY_NETWORK_F_SINGLE UINT64_C(4)
/** publish() leads to endpoints within a family of addresses only. What an endpoint has no address
 *  for is the host's to carry, by a proxy that connects to the endpoint's other address. */
#define DRAY_NETWORK_F_PROXIED UINT64_C(8)

#define DRAY_NET_INTERNAL 1u /**< no way out of the machine */
#define DRAY_NET_IPV6 2u
#define DRAY_NET_DEFAULT 4u  /**< the network that containers join when they name none */
#define DRAY_NET_IPV4 8u

struct dray_net_pool {
    uint32_t size;
    uint32_t family;     /**< 4 or 6 */
    const char *subnet;  /**< CIDR */
    const char *gateway; /**< address without prefix, or "" */
};

struct dray_net_spec {
    uint32_t size;
    uint32_t flags; /**< DRAY_NET_* */
    const char *name;
    struct dray_kvs options; /**< driver options as the user gave them */
    struct dray_kvs labels;
    const struct dray_net_pool *pools;
    uint64_t n_pools;
    const char *route4; /**< where default routes lead instead of the gateway; "" or NULL: there */
    const char *route6;
};

struct dray_ep_spec {
    uint32_t size;
    uint32_t reserved;
    const char *mac;  /**< "" lets the driver choose */
    const char *ipv4; /**< CIDR, or "" */
    const char *ipv6; /**< CIDR, or "" */
    const char *hostname;
    struct dray_kvs options;
};

/** What join() made, for inspect and for the container's files. Strings live in the call. */
struct dray_ep_join {
    uint32_t size;
    uint32_t reserved;
    const char *ifname;   /**< inside, e.g. "eth0"; "" when there is none */
    const char *mac;
    const char *gateway4; /**< default route candidate, or "" */
    const char *gateway6;
};

/** One published port. host_port 0, or a range, asks the driver to choose. */
struct dray_port {
    uint32_t size;
    uint16_t container_port;
    uint16_t host_port;     /**< in: wanted (first of range); out: chosen, 0 if none is needed */
    uint16_t host_port_end; /**< in: last of range, 0 when no range */
    uint16_t reserved;
    const char *proto;      /**< "tcp", "udp", "sctp" */
    const char *host_ip;    /**< "0.0.0.0", "::", or an address of the machine */
};

struct dray_network_ops {
    struct dray_head head;

    /** Make the network. Emits DRAY_REC_STATUS pairs of options that it settled. */
    int32_t (*net_create)(struct dray_self *, const struct dray_call *, const char *net_id,
                          const struct dray_net_spec *, struct dray_err *);
    /** Drop a network without endpoints. Absent: success. */
    int32_t (*net_remove)(struct dray_self *, const struct dray_call *, const char *net_id,
                          struct dray_err *);
    /** Reserve an endpoint; *mac_out is its address. */
    int32_t (*ep_create)(struct dray_self *, const struct dray_call *, const char *net_id,
                         const char *ep_id, const struct dray_ep_spec *, const char **mac_out,
                         struct dray_err *);
    /** Drop an endpoint, its ports and links; never waits for the kernel to free a namespace. */
    int32_t (*ep_remove)(struct dray_self *, const struct dray_call *, const char *net_id,
                         const char *ep_id, struct dray_err *);
    /**
     * Put the endpoint into the namespace: link (named ifname_hint, or another name if that one is
     * taken), addresses, routes. The default route is set only when set_default is nonzero. Called
     * again for an endpoint that is there, with set_default, it moves the default route.
     */
    int32_t (*join)(struct dray_self *, const struct dray_call *, const char *net_id,
                    const char *ep_id, struct dray_fd_borrow netns, const char *ifname_hint,
                    uint32_t set_default, struct dray_ep_join *out, struct dray_err *);
    /** Take the endpoint out of a namespace that lives on. */
    int32_t (*leave)(struct dray_self *, const struct dray_call *, const char *net_id,
                     const char *ep_id, struct dray_fd_borrow netns, struct dray_err *);

    /* Optional. */

    /** Publish ports of an endpoint, all or none; host_port of each is set. A taken port is
     *  CONFLICT with "... port is already allocated" in the text. */
    int32_t (*publish)(struct dray_self *, const struct dray_call *, const char *net_id,
                       const char *ep_id, struct dray_port *ports, uint64_t n, struct dray_err *);
    /** Withdraw all ports of an endpoint. */
    int32_t (*unpublish)(struct dray_self *, const struct dray_call *, const char *net_id,
                         const char *ep_id, struct dray_err *);
    /** Emit DRAY_REC_STATUS pairs about a network. */
    int32_t (*inspect)(struct dray_self *, const struct dray_call *, const char *net_id,
                       struct dray_err *);
    /** Put back links and rules that somebody else removed. */
    int32_t (*check)(struct dray_self *, const struct dray_call *, struct dray_err *);
    /** Drop networks and endpoints that are not named. */
    int32_t (*collect)(struct dray_self *, const struct dray_call *, struct dray_strs nets,
                       struct dray_strs endpoints, struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
