/* SPDX-License-Identifier: Apache-2.0 */
/* kinds.h - what the host knows about the table of each kind. */
#ifndef DRAY_PLUGIN_KINDS_H
#define DRAY_PLUGIN_KINDS_H

#include <dray/abi.h>

#include <stdbool.h>

#define DRAY_KIND_MAX 10u

/** One operation of a kind's table. */
struct dray_kind_op {
    const char *name;
    uint32_t offset; /**< of its pointer in the table */
    bool mandatory;
};

struct dray_kind_info {
    const char *name;
    uint32_t size;     /**< sizeof the host's table */
    const void *stubs; /**< a whole table; its entries for optional operations answer NOTSUP */
    const struct dray_kind_op *ops;
    uint32_t n_ops;
};

/** NULL for what is no kind. */
const struct dray_kind_info *dray_kind_info(uint32_t kind);

/**
 * Copy a plugin's table into a zeroed one of the host's size, at most as much as both have, and
 * put stubs where optional operations are missing. *missing_out names the first mandatory
 * operation that is not there; then the result is NOTSUP.
 */
int dray_kind_adopt(const struct dray_kind_info *info, const struct dray_head *theirs, void *table,
                    const char **missing_out);

/** Bit i: operation i of the kind is in a plugin's own table. */
uint64_t dray_kind_offered(const struct dray_kind_info *info, const struct dray_head *theirs);

#endif
