/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ipam.h - address management: pools for networks, addresses for endpoints.
 *
 * A driver may keep its state in memory: after a restart the host asks again for every pool and
 * address in use, with the very values and DRAY_CALL_REPLAY set.
 */
#ifndef DRAY_IPAM_H
#define DRAY_IPAM_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Addresses depend on the MAC address of their endpoint: the host chooses one, if the user has
 *  not, and puts it into each request. */
#define DRAY_IPAM_F_MAC UINT64_C(1)

struct dray_pool_spec {
    uint32_t size;
    uint32_t family;     /**< 4 or 6 */
    const char *subnet;  /**< CIDR wanted, or "" to choose one of the default pools */
    const char *range;   /**< CIDR within the subnet to allocate from, or "" */
    struct dray_strs avoid; /**< CIDRs in use on this machine, not to be chosen */
    struct dray_kvs options;
};

#define DRAY_ADDR_GATEWAY 1u /**< the network's gateway: the first address unless one is asked for */
#define DRAY_ADDR_AUX 2u     /**< reserved by the user, given to nobody */

/** What address is wanted, and for whom. */
struct dray_addr_spec {
    uint32_t size;
    uint32_t flags;   /**< DRAY_ADDR_*; 0 is an endpoint */
    const char *addr; /**< the very address, without prefix, or "" for any */
    const char *mac;  /**< of the endpoint, or "" while it is not known; see DRAY_IPAM_F_MAC */
    const char *name; /**< of the container, or "" */
};

struct dray_ipam_ops {
    struct dray_head head;

    /** Reserve a pool. An overlap with another is CONFLICT ("Pool overlaps with other one on this
     *  address space"). *pool_out names it, *subnet_out is its CIDR. */
    int32_t (*pool_request)(struct dray_self *, const struct dray_call *,
                            const struct dray_pool_spec *, const char **pool_out,
                            const char **subnet_out, struct dray_err *);
    int32_t (*pool_release)(struct dray_self *, const struct dray_call *, const char *pool,
                            struct dray_err *);
    /** Reserve an address; *addr_out is a CIDR with the subnet's prefix. Taken: CONFLICT ("Address
     *  already in use"); none left: NOSPACE. */
    int32_t (*addr_request)(struct dray_self *, const struct dray_call *, const char *pool,
                            const struct dray_addr_spec *, const char **addr_out,
                            struct dray_err *);
    /** Give one back, named without its prefix. One that is not reserved is no error. */
    int32_t (*addr_release)(struct dray_self *, const struct dray_call *, const char *pool,
                            const char *addr, struct dray_err *);

    /* Optional. */

    /** Release pools that are not named. */
    int32_t (*collect)(struct dray_self *, const struct dray_call *, struct dray_strs pools,
                       struct dray_err *);
    /** DRAY_IPAM_F_* bits, when they depend on what is behind the instance. Asked before an
     *  endpoint's first request. Without this operation those of the table count. */
    int32_t (*capabilities)(struct dray_self *, const struct dray_call *, uint64_t *features_out,
                            struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
