/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers.h - the set of layers of a driver, on disk and in memory.
 *
 * DATA/layers/<id>/diff is the content, DATA/layers/<id>/meta a symbolic link whose text is what is
 * known about the layer: made in one step, and part of the file system's journal. DATA/l/<short>
 * are links to the contents of image layers, for mount options that must fit in a page. DATA/trash
 * is on its way out. DATA/spare are emptied layers of containers, soon those of others: making and
 * deleting inodes is most of what a short-lived container costs the disk.
 */
#ifndef DRAY_PLUGIN_LAYERS_H
#define DRAY_PLUGIN_LAYERS_H

#include "trash.h"

#include <dray/storage.h>
#include <dray/util.h>
#include <stdbool.h>

#define DRAY_PL_ID_MAX 128

struct dray_pl_layer {
    char id[DRAY_PL_ID_MAX + 1];
    char parent[DRAY_PL_ID_MAX + 1]; /**< "" is none */
    char link[12];                   /**< name in DATA/l; "" for a writable layer */
    bool writable;
    bool opaque; /**< hides all layers below */
};

struct dray_pl_layers;

/**
 * Fills a new layer's folder dir (which has `diff` already); a failure undoes the creation.
 * parent_diff is the content of the parent, or -EBADF.
 */
typedef int (*dray_pl_layer_fill_fn)(void *arg, const struct dray_pl_layer *layer, int dir,
                                     int parent_diff, struct dray_err *err);

/** Read the set below host->path(DATA); what is not whole goes to the trash. */
int dray_pl_layers_open(const struct dray_host *host, struct dray_pl_layers **out,
                        struct dray_err *err);
void dray_pl_layers_close(struct dray_pl_layers *set);

/**
 * Keep emptied layers of containers for new ones, and make a few ahead of time. Such a layer has a
 * folder "work" beside its content, which is emptied too; fill must take it as it is.
 */
int dray_pl_layers_keep_spares(struct dray_pl_layers *set, struct dray_err *err);

/** DATA, absolute. */
const char *dray_pl_layers_root(const struct dray_pl_layers *set);
struct dray_pl_trash *dray_pl_layers_trash(struct dray_pl_layers *set);

/** Make a layer; an existing one with the same parent and flags is success. fill may be NULL. */
int dray_pl_layers_create(struct dray_pl_layers *set, const char *id, const char *parent,
                          uint32_t flags, dray_pl_layer_fill_fn fill, void *arg,
                          struct dray_err *err);
/** Move a layer to the trash. Absent: success; with children: DRAY_E_CONFLICT. */
int dray_pl_layers_remove(struct dray_pl_layers *set, const char *id, struct dray_err *err);
/** A copy of what is known. DRAY_E_NOTFOUND. */
int dray_pl_layers_get(struct dray_pl_layers *set, const char *id, struct dray_pl_layer *out,
                       struct dray_err *err);
/** The layer and its ancestors down to the last that shows; caller frees *out. */
int dray_pl_layers_chain(struct dray_pl_layers *set, const char *id, struct dray_pl_layer **out,
                         size_t *n_out, struct dray_err *err);
/** Open DATA/layers/<id>/<name>; the layer must exist. */
int dray_pl_layers_open_folder(struct dray_pl_layers *set, const char *id, const char *name,
                               int *fd_out, struct dray_err *err);
/** Note that the layer hides all below it. */
int dray_pl_layers_set_opaque(struct dray_pl_layers *set, const char *id, struct dray_err *err);
/** Make an image layer of a writable one, on top of parent; its work folder goes. */
int dray_pl_layers_seal(struct dray_pl_layers *set, const char *id, const char *parent,
                        struct dray_err *err);
/** Replace the content by an empty folder. */
int dray_pl_layers_empty(struct dray_pl_layers *set, const char *id, struct dray_err *err);

/** The operations `list` and `collect` of the storage kind. */
int dray_pl_layers_list(struct dray_pl_layers *set, const struct dray_call *call,
                        struct dray_err *err);
int dray_pl_layers_collect(struct dray_pl_layers *set, struct dray_strs alive,
                           struct dray_err *err);

#endif
