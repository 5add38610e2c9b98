/* SPDX-License-Identifier: Apache-2.0 */
/* stats.h - what a container uses, as objects of Docker's ContainerStatsResponse. */
#ifndef RN_STATS_H
#define RN_STATS_H

#include "cgroup.h"

/** Objects that both versions fill. */
struct rn_stats {
    struct json_object *usage, *throttling, *memory, *blkio, *pids;
};

/** Everything that stats() of a runtime driver answers. */
struct json_object *rn_stats_collect(const struct rn_cgroup *g);

void rn_stats_v1(const struct rn_cgroup *g, const struct rn_stats *s);
void rn_stats_v2(const struct rn_cgroup *g, const struct rn_stats *s);

void rn_stats_put(struct json_object *o, const char *key, uint64_t value);
/** Call fn for each line "key value" of a file. */
void rn_stats_pairs(int dir, const char *file,
                    void (*fn)(void *ctx, const char *key, uint64_t value), void *ctx);
/** Put every pair into the object ctx. */
void rn_stats_pair_put(void *object, const char *key, uint64_t value);
/** One entry of a list of I/O counters. */
void rn_stats_io(struct json_object *list, uint64_t major, uint64_t minor, const char *op,
                 uint64_t value);
/** Memory of the machine, bytes. */
uint64_t rn_stats_memory_total(void);

#endif
