/* SPDX-License-Identifier: Apache-2.0 */
/* overlay.h - what the files of the overlay driver share. */
#ifndef DRAY_STORAGE_OVERLAY_H
#define DRAY_STORAGE_OVERLAY_H

#include "files.h"
#include "layer_tar.h"
#include "layers.h"
#include "mounts.h"
#include "quota.h"

#include <dray/plugin.h>

/* The kernel stacks no more (OVL_MAX_STACK). */
#define OVERLAY_STACK_MAX 500u
#define OVERLAY_OPTIONS_MAX 10u

struct dray_self {
    const struct dray_host *host;
    struct dray_pl_layers *layers;
    struct dray_pl_quota *quota; /* NULL: the file system has none */
    int empty_fd;                /* DATA/empty: a folder without content */
    char *scratch;               /* RUN/scratch */
    bool is_volatile;
    bool sync;
    char off[3][24]; /* switches of overlayfs that are on by default here, as "x=off" */
    unsigned n_off;
};

extern const struct dray_storage_ops dray_overlay_ops;

int dray_overlay_probe(const struct dray_host *host, struct dray_err *err);
/* Which switches of overlayfs must be turned off so that an upper folder tells all changes. */
void dray_overlay_find_switches(struct dray_self *self);
/* The name that `docker info` gives to the file system of fd. */
const char *dray_overlay_fs_name(int fd);

/* A chain of layers as mount options; text is the caller's to free. */
struct overlay_view {
    struct dray_mount mount;
    const char *options[OVERLAY_OPTIONS_MAX];
    char *lower, *upper, *work, *source;
    bool is_volatile; /* set by the caller: no flush when the mount ends */
};

void overlay_view_cleanup(struct overlay_view *view);
/* How the layer is mounted for its container or looked at; flags are those of mounts(). */
int dray_overlay_view(struct dray_self *self, const char *id, uint32_t flags,
                      struct overlay_view *out, struct dray_err *err);
/* The merged tree of a layer, mounted for nobody else to see. id "" is an empty folder. */
int dray_overlay_open_tree(struct dray_self *self, const char *id, int *fd_out,
                           struct dray_err *err);

#endif
