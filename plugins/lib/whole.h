/* SPDX-License-Identifier: Apache-2.0 */
/*
 * whole.h - storage drivers whose layers are whole trees: vfs copies them, btrfs snapshots them.
 * A plugin brings a dray_whole_kind and puts dray_whole_ops into its descriptor.
 */
#ifndef DRAY_PLUGIN_WHOLE_H
#define DRAY_PLUGIN_WHOLE_H

#include "layers.h"

#include <dray/plugin.h>

struct dray_whole_kind {
    /** Put a copy of the parent into a new layer, which has an empty `diff`; arg is the instance.
     */
    dray_pl_layer_fill_fn fill;
    /** Take a tree out of the trash faster than by deleting files; may be NULL. arg as above. */
    dray_pl_trash_reuse_fn discard;
};

struct dray_self {
    const struct dray_host *host;
    const struct dray_whole_kind *kind;
    struct dray_pl_layers *layers;
    bool sync;
};

extern const struct dray_storage_ops dray_whole_ops;

int dray_whole_open(const struct dray_host *host, const struct dray_whole_kind *kind,
                    struct dray_self **out, struct dray_err *err);
int32_t dray_whole_quiesce(struct dray_self *self, uint64_t deadline_ns, struct dray_err *err);
void dray_whole_close(struct dray_self *self);

#endif
