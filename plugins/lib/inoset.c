/* SPDX-License-Identifier: Apache-2.0 */
/* inoset.c - an open-addressed table of inodes. */
#include "inoset.h"

#include <stdlib.h>

static size_t slot_of(const struct dray_pl_inoset *set, uint64_t dev, uint64_t ino)
{
    uint64_t h = (ino ^ (dev << 32)) * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h >> 20) & (set->cap - 1);
    while (set->v[i].ino != 0 && (set->v[i].ino != ino || set->v[i].dev != dev))
        i = (i + 1) & (set->cap - 1);
    return i;
}

struct dray_pl_inode *dray_pl_inoset_get(const struct dray_pl_inoset *set, uint64_t dev,
                                         uint64_t ino)
{
    if (set->cap == 0)
        return NULL;
    struct dray_pl_inode *at = &set->v[slot_of(set, dev, ino)];
    return at->ino != 0 ? at : NULL;
}

static bool enlarge(struct dray_pl_inoset *set)
{
    struct dray_pl_inoset bigger = {.cap = set->cap ? set->cap * 2 : 64, .n = set->n};
    bigger.v = calloc(bigger.cap, sizeof *bigger.v);
    if (!bigger.v)
        return false;
    for (size_t i = 0; i < set->cap; i++)
        if (set->v[i].ino != 0)
            bigger.v[slot_of(&bigger, set->v[i].dev, set->v[i].ino)] = set->v[i];
    free(set->v);
    *set = bigger;
    return true;
}

bool dray_pl_inoset_put(struct dray_pl_inoset *set, uint64_t dev, uint64_t ino, uint64_t value)
{
    if (set->n * 2 >= set->cap && !enlarge(set))
        return false;
    struct dray_pl_inode *at = &set->v[slot_of(set, dev, ino)];
    if (at->ino == 0)
        set->n++;
    *at = (struct dray_pl_inode){.dev = dev, .ino = ino, .value = value};
    return true;
}

void dray_pl_inoset_cleanup(struct dray_pl_inoset *set)
{
    free(set->v);
    *set = (struct dray_pl_inoset){0};
}
