/* SPDX-License-Identifier: Apache-2.0 */
/* image_pull.h - the insides of pulls and pushes, for image_pull*.c, image_source.c, image_push.c.
 */
#ifndef DRAY_ENGINE_IMAGE_PULL_H
#define DRAY_ENGINE_IMAGE_PULL_H

#include "engine/image/image_priv.h"

/* --- image_source.c: a repository in its registry ----------------------------------------------*/

struct img_source {
    struct dray_images *im;
    struct dray_driver *driver;
    const char *repo; /**< canonical; borrowed */
    const struct dray_auth *auth;
    int abort_fd;
};

/** A descriptor that owns its strings. */
struct img_desc {
    char *media_type;
    char digest[DRAY_DIGEST_LEN];
    uint64_t size;
    struct dray_strlist urls;
};

/** The driver that serves a canonical repository best. */
int img_source_open(struct dray_images *im, const char *repo, const struct dray_auth *auth,
                    int abort_fd, struct img_source *out, struct dray_err *err);
void img_desc_free(struct img_desc *d);
static inline void img_desc_cleanup(struct img_desc *d)
{
    img_desc_free(d);
}
/** View for a call; valid as long as d is. */
struct dray_desc img_desc_view(const struct img_desc *d);
int img_source_resolve(const struct img_source *s, const char *tag_or_digest, struct img_desc *out,
                       struct dray_err *err);
/** Fetch something small whole and verify it. */
int img_source_get(const struct img_source *s, const struct img_desc *d, size_t max,
                   struct dray_buf *out, struct dray_err *err);
/** Read the descriptor of an object of a manifest. */
int img_desc_parse(struct json_object *o, struct img_desc *out, struct dray_err *err);
/** Every tag of the repository. */
int img_source_tags(const struct img_source *s, struct dray_strlist *out, struct dray_err *err);

/* --- image_progress.c: lines from many threads to one client -----------------------------------*/

struct img_progress {
    pthread_mutex_t lock; /**< guards lines. order: leaf */
    struct json_object *lines;
    int wake_fd;       /**< eventfd: lines are there, or the work has ended */
    int abort_fd;      /**< eventfd: readable once the work shall stop */
    bool done;         /**< guarded by lock */
    _Atomic bool gone; /**< the client has gone: there is no other try */
};

int img_progress_init(struct img_progress *p, struct dray_err *err);
void img_progress_fini(struct img_progress *p);
/** A line {"status","id"}; id NULL: none. */
void img_progress_say(struct img_progress *p, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void img_progress_add(struct img_progress *p, struct json_object *line /* takes */);
/** A line with a bar. total 0: unknown. */
struct json_object *img_progress_bar(const char *id, const char *status, uint64_t current,
                                     uint64_t total);
void img_progress_abort(struct img_progress *p);
/** The work that was aborted failed by itself and begins anew. */
void img_progress_rearm(struct img_progress *p);
void img_progress_end(struct img_progress *p);
/** Hand lines to fn until img_progress_end(); calls tick every 100 ms. Watches cancel_fd. */
void img_progress_pump(struct img_progress *p, int cancel_fd, dray_progress_fn fn, void *ctx,
                       void (*tick)(void *arg), void *arg);

/* --- image_pull_layers.c: the layers of one image ----------------------------------------------*/

enum pull_phase { PULL_IDLE, PULL_DOWNLOADING, PULL_EXTRACTING, PULL_DONE };

struct pull_layer {
    struct img_desc desc;
    char diff[DRAY_DIGEST_LEN];
    char id[13]; /**< what users see */
    struct img_blob *blob;
    struct img_layer *layer;
    bool mine;     /**< the layer is built by this pull */
    bool complete; /**< by a worker of this pull */
    bool work;     /**< something is to be fetched or unpacked */
    uint64_t size; /**< unpacked */
    _Atomic int phase;
    _Atomic uint64_t progress;
};

struct pull_layers {
    const struct img_source *source;
    struct img_progress *progress;
    struct pull_layer *v;
    size_t n;
    _Atomic bool distrusted; /**< what an earlier pull had left was wrong: worth another try */

    pthread_mutex_t lock; /**< guards what follows. order: leaf */
    pthread_cond_t step;  /**< a layer is complete, or one failed */
    size_t next;
    int rc;
    struct dray_err err;
};

/** Bring all layers here, unpacked; v[n-1].layer is the top. On failure what was made is undone. */
int img_pull_layers(struct pull_layers *p, struct dray_err *err);
/** Let go of blobs and layers. keep: complete blobs stay for another try. */
void img_pull_layers_drop(struct pull_layers *p, bool keep);
/** Put bars of what is under way into the progress. */
void img_pull_layers_tick(struct pull_layers *p);

#endif
