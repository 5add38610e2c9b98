/* SPDX-License-Identifier: Apache-2.0 */
/* inoset.h - a map from inodes to small numbers. */
#ifndef DRAY_PLUGIN_INOSET_H
#define DRAY_PLUGIN_INOSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dray_pl_inode {
    uint64_t dev, ino, value; /* ino 0: an empty slot */
};

/** Empty when zeroed. */
struct dray_pl_inoset {
    struct dray_pl_inode *v;
    size_t n, cap;
};

/** The slot of an inode, NULL if it is not there. Valid until the next put. */
struct dray_pl_inode *dray_pl_inoset_get(const struct dray_pl_inoset *set, uint64_t dev,
                                         uint64_t ino);
/** Add an inode, or set its value anew. false: out of memory. */
bool dray_pl_inoset_put(struct dray_pl_inoset *set, uint64_t dev, uint64_t ino, uint64_t value);
void dray_pl_inoset_cleanup(struct dray_pl_inoset *set);
#define dray_pl_inoset_has(set, dev, ino) (dray_pl_inoset_get((set), (dev), (ino)) != NULL)

#endif
