/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.c - the vfs driver: every layer is a whole tree, copied from its parent. It needs nothing
 * of the kernel and much of the disk, less where files can share content (btrfs, xfs).
 */
#include "files.h"
#include "layer_tar.h"
#include "whole.h"

static int fill_layer(void *arg, const struct dray_pl_layer *layer, int dir, int parent_diff,
                      struct dray_err *err)
{
    (void)arg;
    if (parent_diff < 0)
        return 0;
    dray_autofd int diff = dray_pl_subdir(dir, "diff");
    if (diff < 0)
        return dray_fail_errno(err, "open layer %s", layer->id);
    int rc = dray_layer_copy(parent_diff, diff, err);
    return rc < 0 ? dray_err_note(err, "copy layer %s", layer->parent) : 0;
}

static const struct dray_whole_kind kind = {.fill = fill_layer};

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)instance;
    return dray_whole_open(host, &kind, out, err);
}

static const struct dray_option options[] = {
    {"sync", DRAY_OPT_BOOL, 0, "true", 0, 0, NULL,
     "flush an unpacked image layer to disk before it counts as there"},
};

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_STORAGE, DRAY_THREAD_PARALLEL, &dray_whole_ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"vfs\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"storage\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "vfs",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .open = open_self,
    .quiesce = dray_whole_quiesce,
    .close = dray_whole_close,
};
