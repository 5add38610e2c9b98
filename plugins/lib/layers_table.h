/* SPDX-License-Identifier: Apache-2.0 */
/* layers_table.h - what layers.c and layers_table.c share. */
#ifndef DRAY_PLUGIN_LAYERS_TABLE_H
#define DRAY_PLUGIN_LAYERS_TABLE_H

#include "files.h"
#include "layers.h"

#include <pthread.h>

#define LAYER_BUCKETS 4096u
/* Empty layers kept for the next containers. */
#define SPARE_MAX 16u
#define SPARE_LOW 4u

struct layer_row {
    struct layer_row *next;
    struct layer_row *parent;
    struct dray_pl_layer info;
    unsigned children;
    bool busy; /* being made or removed by one thread */
};

struct dray_pl_layers {
    const struct dray_host *host;
    char *root;
    int layers_fd, links_fd;
    int spare_fd; /* DATA/spare, or -EBADF: none are kept */
    struct dray_pl_trash *trash;
    pthread_mutex_t lock; /* guards all below; before the trash's */
    struct layer_row *buckets[LAYER_BUCKETS];
    size_t count;
    uint64_t last_link;
    char spares[SPARE_MAX][32]; /* names in DATA/spare */
    unsigned n_spares;
};

/* Make an empty layer's folder layers/<id> of a spare one; false: there is none. */
bool dray_layers_take_spare(struct dray_pl_layers *set, const char *id);

/* All with the lock held. */
struct layer_row *dray_layers_find(struct dray_pl_layers *set, const char *id);
void dray_layers_insert(struct dray_pl_layers *set, struct layer_row *row);
/* Take the row out and free it. */
void dray_layers_erase(struct dray_pl_layers *set, struct layer_row *row);
void dray_layers_next_link(struct dray_pl_layers *set, char link[12]);

/* Read what a folder named id in dirfd says of itself. */
bool dray_layers_read_meta(int dirfd, const char *id, struct dray_pl_layer *out);
int dray_layers_make_link(struct dray_pl_layers *set, const struct dray_pl_layer *l,
                          struct dray_err *err);
/* dir is the layer's folder. */
int dray_layers_write_meta(int dir, const struct dray_pl_layer *l, struct dray_err *err);

#endif
