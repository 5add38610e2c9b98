/* SPDX-License-Identifier: Apache-2.0 */
/* emit.h - the records that storage drivers hand to their host. */
#ifndef DRAY_PLUGIN_EMIT_H
#define DRAY_PLUGIN_EMIT_H

#include "layer_tar.h"

/** Emit one STATUS pair; returns what the host says. */
int dray_pl_emit_status(const struct dray_host *host, const struct dray_call *call, const char *key,
                        const char *value);

struct dray_pl_emit {
    const struct dray_host *host;
    const struct dray_call *call;
};

/** A dray_layer_change_fn whose arg is a struct dray_pl_emit: emits the records of `changes`. */
int dray_pl_emit_change(void *arg, const struct dray_layer_change *change, struct dray_err *err);

/** A dray_layer_apply.warn whose arg is the host. */
void dray_pl_emit_warning(const void *arg, const char *text);

#endif
