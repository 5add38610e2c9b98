/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer_map.h - writes the tar that a layer was unpacked from once more, from the layer's files.
 *
 * A map keeps what the files do not tell: the tar's headers and padding, byte by byte, with the
 * paths between them whose content stood there. So no archive of a layer has to be kept until one
 * is asked for. It is a file beside the layer's document, gzip, and goes with the layer.
 */
#ifndef DRAY_ENGINE_LAYER_MAP_H
#define DRAY_ENGINE_LAYER_MAP_H

#include "engine/image/image_priv.h"

struct dray_layer_map;

/** Begin to map a tar. */
int dray_layer_map_new(struct dray_images *im, struct dray_layer_map **out, struct dray_err *err);
/** A piece of the plain tar. */
int dray_layer_map_feed(struct dray_layer_map *m, const void *data, size_t len,
                        struct dray_err *err);
/**
 * The tar has ended, and the layer is unpacked. *whole_out: the layer has every file as the tar had
 * it. If not (a path that came twice, a sparse file), the map is of no use.
 */
int dray_layer_map_end(struct dray_layer_map *m, const struct img_layer *layer, bool *whole_out,
                       struct dray_err *err);
/** Keep the map for a layer of those files, whoever unpacked it, unless it has one. */
int dray_layer_map_keep(struct dray_layer_map *m, const struct img_layer *layer,
                        struct dray_err *err);
/** NULL is allowed. What was not kept is removed. */
void dray_layer_map_free(struct dray_layer_map *m);

bool dray_layer_map_has(struct dray_images *im, const struct img_layer *layer);
/** Write the layer's tar. The caller verifies its digest. Polls abort_fd. */
int dray_layer_map_write(struct dray_images *im, const struct img_layer *layer, int abort_fd,
                         dray_sink_fn sink, void *ctx, struct dray_err *err);
/** Remove the layer's map, if it has one. */
void dray_layer_map_remove(struct dray_images *im, const struct img_layer *layer);
/** At start: remove maps that belong to no layer. */
void dray_layer_map_tidy(struct dray_images *im);

#endif
