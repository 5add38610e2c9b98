/* SPDX-License-Identifier: Apache-2.0 */
/* space.h - the address space: which pools are taken, and which addresses of them. */
#ifndef DRAY_IPAM_SPACE_H
#define DRAY_IPAM_SPACE_H

#include "bitset.h"
#include "prefix.h"

#include <dray/ipam.h>
#include <pthread.h>

#define POOL_ID 160

/** Default pools: subnets of `size` are cut out of base in order. */
struct space_default {
    struct prefix base;
    uint32_t size;
};

struct pool {
    char id[POOL_ID]; /* "LocalDefault/172.20.0.0/16", with "/range" when there is one */
    struct prefix subnet;
    struct prefix range; /* equals subnet when none was asked for */
    struct bitset taken; /* host numbers within subnet */
    uint64_t next;       /* where the search begins when next_fit */
};

struct space {
    pthread_mutex_t lock; /* guards pools */
    struct pool **pools;  /* owned */
    size_t n_pools, cap_pools;
    struct space_default *defaults; /* constant after open */
    size_t n_defaults;
    bool next_fit; /* a released address is not given again until the pool wrapped around */
};

void space_init(struct space *s);
void space_fini(struct space *s);
/** Append a "base/size" default as "172.17.0.0/16:24"; DRAY_E_INVAL when it is malformed. */
int space_add_default(struct space *s, const char *text, struct dray_err *err);

/** As the operations of dray_ipam_ops; pool_out points into the pool, valid until its release. */
int space_pool_request(struct space *s, const struct dray_pool_spec *spec, bool replay,
                       char id_out[POOL_ID], char subnet_out[PREFIX_TEXT], struct dray_err *err);
void space_pool_release(struct space *s, const char *id);
int space_addr_request(struct space *s, const char *id, const char *addr, bool replay,
                       char addr_out[PREFIX_TEXT], struct dray_err *err);
int space_addr_release(struct space *s, const char *id, const char *addr, struct dray_err *err);
void space_collect(struct space *s, struct dray_strs alive);

#endif
