/* SPDX-License-Identifier: Apache-2.0 */
/* image_settle.c - makes the blobs of layers that were made here, once they are to leave the house.
 */
#include "engine/layer/layer_map.h"

#include <fcntl.h>
#include <stdio.h>

#define PIPE_BYTES (1 << 20)
#define READ_CHUNK (256u * 1024)

/* --- the driver's diff as a stream ------------------------------------------------------------*/

struct diff_job {
    struct dray_driver *driver;
    const char *layer, *parent;
    int out, abort_fd;
    int rc;
    struct dray_err err;
};

static void *diff_thread(void *arg)
{
    struct diff_job *j = arg;
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_object(&s, j->layer);
    j->rc = dray_call_enter(&s, j->driver, DRAY_CLASS_DATA, j->abort_fd, &j->err);
    if (!j->rc)
        j->rc = ((const struct dray_storage_ops *)s.ops)
                    ->diff(s.self, &s.call, j->layer, j->parent, (struct dray_fd_borrow){j->out},
                           &j->err);
    (void)close(j->out);
    return NULL;
}

int img_diff_run(struct dray_driver *driver, const char *layer, const char *parent, int abort_fd,
                 int (*take)(void *ctx, int fd, struct dray_err *err), void *ctx,
                 struct dray_err *err)
{
    int fds[2];
    struct diff_job job = {
        .driver = driver, .layer = layer, .parent = parent, .abort_fd = abort_fd};
    if (pipe2(fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
    job.out = fds[1];
    pthread_t thread;
    if (pthread_create(&thread, NULL, diff_thread, &job) != 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    int rc = take(ctx, fds[0], err);
    (void)close(fds[0]); /* a driver that still writes gets EPIPE */
    (void)pthread_join(thread, NULL);
    if (!rc && job.rc && err)
        *err = job.err;
    return rc ? rc : job.rc;
}

bool img_diff_stable(struct dray_driver *driver, const struct img_layer *parent)
{
    return parent && (dray_driver_features(driver) & DRAY_STORAGE_F_STABLE_DIFF);
}

/* --- one layer --------------------------------------------------------------------------------*/

/* A layer without a blob, and what is found or made for it. */
struct loose {
    size_t at; /* in the image's parts */
    struct img_layer *layer;
    char diff[DRAY_DIGEST_LEN];
    struct img_blob *blob;
    uint64_t size;
};

struct settling {
    struct dray_images *im;
    const char *id;
    int abort_fd;
    struct loose *v;
    size_t n;
};

struct piecemeal {
    dray_sink_fn sink;
    void *ctx;
};

static int read_diff(void *ctx, int fd, struct dray_err *err)
{
    const struct piecemeal *p = ctx;
    dray_autofree char *buf = malloc(READ_CHUNK);
    int rc = buf ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    while (!rc) {
        ssize_t n = read(fd, buf, READ_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = dray_fail_errno(err, "read a layer");
        if (n <= 0)
            break;
        rc = p->sink(p->ctx, buf, (size_t)n, err);
    }
    return rc;
}

int img_layer_tar(struct dray_images *im, const struct img_layer *layer, int abort_fd,
                  dray_sink_fn sink, void *ctx, struct dray_err *err)
{
    struct piecemeal p = {sink, ctx};
    if (layer->key && dray_layer_map_has(im, layer))
        return dray_layer_map_write(im, layer, abort_fd, sink, ctx, err);
    return img_diff_run(layer->driver, layer->id, layer->parent ? layer->parent->id : "", abort_fd,
                        read_diff, &p, err);
}

static int to_blob(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    return dray_ingest_write(ctx, data, len, err);
}

struct squeezing {
    struct dray_deflate *deflate;
    struct dray_sha256 *sum;
};

static int squeeze_piece(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct squeezing *q = ctx;
    dray_sha256_add(q->sum, data, len);
    return dray_deflate_feed(q->deflate, data, len, err);
}

/* Keep the blob and refer to it. */
static int keep(struct dray_images *im, struct dray_ingest *in, struct img_blob **out,
                struct dray_err *err)
{
    char digest[DRAY_DIGEST_LEN];
    uint64_t size = dray_ingest_offset(in);
    int rc = dray_ingest_commit(in, UINT64_MAX, digest, err);
    if (rc)
        return rc;
    *out = img_blob_ref(im, digest);
    if (!*out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    img_blob_done(im, *out, true, size);
    return 0;
}

int img_squeeze(struct dray_images *im, const struct img_layer *layer, int abort_fd,
                char diff_out[DRAY_DIGEST_LEN], struct img_blob **out, struct dray_err *err)
{
    dray_autoingest *in = NULL;
    struct squeezing q = {.sum = dray_sha256_new_in(dray_blobs_hashes(im->blobs))};
    int rc = q.sum ? dray_ingest_open(im->blobs, NULL, &in, err)
                   : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = dray_deflate_new(to_blob, in, &q.deflate, err);
    if (!rc)
        rc = img_layer_tar(im, layer, abort_fd, squeeze_piece, &q, err);
    if (!rc)
        rc = dray_deflate_end(q.deflate, err);
    if (!rc) {
        dray_sha256_end(q.sum, diff_out);
        rc = keep(im, in, out, err);
    }
    dray_deflate_free(q.deflate);
    dray_sha256_free(q.sum);
    return rc;
}

static int squeeze(struct settling *s, struct loose *l, struct dray_err *err)
{
    char got[DRAY_DIGEST_LEN];
    int rc = img_squeeze(s->im, l->layer, s->abort_fd, got, &l->blob, err);
    if (rc)
        return rc;
    l->size = l->blob->size;
    return img_check_diff(l->diff, got, err);
}

/* --- which layers -----------------------------------------------------------------------------*/

/* The blob that another image has for the same layer. Lock held. */
static bool find_twin(struct dray_images *im, struct loose *l)
{
    struct lh_entry *e;
    lh_foreach(im->by_id, e)
    {
        const struct img *g = lh_entry_v(e);
        for (size_t i = 0; i < g->n_parts; i++) {
            const struct img_part *p = &g->parts[i];
            void *found = NULL;
            if (strcmp(p->diff, l->diff) != 0 || strcmp(p->digest, p->diff) == 0 ||
                strcmp(p->media_type, MT_DOCKER_LAYER) != 0 ||
                !lh_table_lookup_ex(im->blob_table, p->digest, &found) || !img_blob_here(found))
                continue;
            l->blob = found;
            l->blob->refs++;
            l->size = p->size;
            return true;
        }
    }
    return false;
}

struct img_layer *img_layer_any(struct dray_images *im, const char *chain)
{
    struct img_layer *l = img_layer_find(im, chain);
    struct lh_entry *e;
    lh_foreach(im->layers, e)
    {
        struct img_layer *other = lh_entry_v(e);
        if (!l && other->state == LAYER_READY && strcmp(other->chain, chain) == 0)
            l = other;
    }
    return l;
}

bool img_is_loose(struct dray_images *im, const struct img_part *p)
{
    void *found = NULL;
    return strcmp(p->digest, p->diff) == 0 &&
           !(lh_table_lookup_ex(im->blob_table, p->digest, &found) && img_blob_here(found));
}

/* List what lacks a blob; the layers are referred to. Lock held. */
static int list_loose(struct settling *s, const struct img *g, struct dray_err *err)
{
    s->v = calloc(g->n_parts + 1, sizeof *s->v);
    if (!s->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < g->n_parts; i++) {
        const struct img_part *p = &g->parts[i];
        if (!img_is_loose(s->im, p))
            continue;
        struct loose *l = &s->v[s->n];
        l->at = i;
        memcpy(l->diff, p->diff, sizeof l->diff);
        if (!find_twin(s->im, l)) {
            l->layer = img_layer_any(s->im, p->chain);
            if (!l->layer)
                return dray_fail(err, DRAY_E_NOTFOUND, "layer %.19s of image %.19s is not here",
                                 p->diff, g->id);
            img_layer_ref_locked(l->layer);
        }
        s->n++;
    }
    return 0;
}

/* --- the image --------------------------------------------------------------------------------*/

/* The manifest with the new blobs. Parts are copied: only this thread changes them meanwhile. */
static int new_manifest(struct settling *s, struct img_blob **out, const char **type_out,
                        struct dray_err *err)
{
    struct dray_images *im = s->im;
    struct img_part *parts = NULL;
    size_t n = 0;
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_find(im, s->id);
    if (g && (parts = calloc(g->n_parts + 1, sizeof *parts)) != NULL) {
        n = g->n_parts;
        memcpy(parts, g->parts, n * sizeof *parts);
        for (size_t i = 0; i < n; i++)
            parts[i].media_type = strdup(parts[i].media_type);
    }
    pthread_mutex_unlock(&im->lock);
    if (!parts)
        return dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", s->id);
    bool full = true;
    for (size_t i = 0; i < n; i++)
        full = full && parts[i].media_type;
    for (size_t k = 0; k < s->n; k++) {
        struct img_part *p = &parts[s->v[k].at];
        memcpy(p->digest, s->v[k].blob->digest, sizeof p->digest);
        p->size = s->v[k].size;
        free(p->media_type);
        p->media_type = strdup(MT_DOCKER_LAYER);
        full = full && p->media_type;
    }
    uint64_t config_size = 0;
    (void)dray_blobs_has(im->blobs, s->id, &config_size);
    dray_autojson *doc = full ? img_manifest(s->id, config_size, parts, n, type_out) : NULL;
    const char *text = doc ? dray_json_text(doc) : NULL;
    int rc = text ? img_blob_put(im, text, strlen(text), out, err)
                  : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        free(parts[i].media_type);
    free(parts);
    return rc;
}

/* A reference of the image's own, to be given back. Lock held. */
static struct img_blob *owned_blob(struct dray_images *im, const char *digest)
{
    void *found = NULL;
    return lh_table_lookup_ex(im->blob_table, digest, &found) ? found : NULL;
}

/* The image takes the new blobs and their references, and gives up the old ones. Lock held. */
static bool take_over(struct settling *s, struct img *g, struct img_blob *manifest,
                      const char *type, struct img_blob **old)
{
    char *kind = strdup(type);
    char **types = calloc(s->n + 1, sizeof *types);
    bool full = kind && types;
    for (size_t k = 0; full && k < s->n; k++)
        full = (types[k] = strdup(MT_DOCKER_LAYER)) != NULL;
    for (size_t k = 0; types && k < s->n; k++) {
        struct img_part *p = &g->parts[s->v[k].at];
        if (full) {
            old[k] = owned_blob(s->im, p->digest);
            memcpy(p->digest, s->v[k].blob->digest, sizeof p->digest);
            p->size = s->v[k].size;
            s->v[k].blob = NULL;
            free(p->media_type);
            p->media_type = types[k];
        } else {
            free(types[k]);
        }
    }
    free(types);
    if (!full) {
        free(kind);
        return false;
    }
    old[s->n] = owned_blob(s->im, g->manifest);
    memcpy(g->manifest, manifest->digest, sizeof g->manifest);
    g->manifest_size = manifest->size;
    free(g->manifest_type);
    g->manifest_type = kind;
    return true;
}

/* List the image with the manifest, whose reference it takes. */
static int swap(struct settling *s, struct img_blob *manifest, const char *type,
                struct dray_err *err)
{
    struct dray_images *im = s->im;
    dray_autofree char *text = NULL;
    dray_autofree struct img_blob **old = calloc(s->n + 1, sizeof(struct img_blob *));
    pthread_mutex_lock(&im->lock);
    struct img *g = img_find(im, s->id);
    bool done = g && old && take_over(s, g, manifest, type, old);
    if (done)
        text = img_doc_text(g);
    pthread_mutex_unlock(&im->lock);
    if (!done) {
        img_blob_unref(im, manifest, false);
        return g ? dray_fail(err, DRAY_E_NOMEM, "out of memory")
                 : dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", s->id);
    }
    int rc = img_save(im, s->id, text, true, err);
    for (size_t k = 0; k <= s->n; k++)
        img_blob_unref(im, old[k], rc != 0); /* an old document may still name them */
    return rc;
}

static int replace(struct settling *s, struct dray_err *err)
{
    struct img_blob *manifest = NULL;
    const char *type = NULL;
    int rc = new_manifest(s, &manifest, &type, err);
    if (!rc)
        rc = img_flush(s->im, err);
    if (!rc)
        return swap(s, manifest, type, err);
    img_blob_unref(s->im, manifest, false);
    return rc;
}

/* Become the one that settles the image. Lock held. */
static int enter(struct settling *s, struct dray_err *err)
{
    struct img *g;
    int rc = 0;
    while ((g = img_find(s->im, s->id)) != NULL && g->settling && !rc)
        rc = img_wait(s->im, s->abort_fd, err);
    if (!rc && !g)
        rc = dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", s->id);
    if (!rc)
        rc = list_loose(s, g, err);
    if (!rc && s->n > 0)
        g->settling = true;
    return rc;
}

static void leave(struct settling *s, bool entered)
{
    struct dray_images *im = s->im;
    pthread_mutex_lock(&im->lock);
    struct img *g = img_find(im, s->id);
    if (entered && g)
        g->settling = false;
    pthread_cond_broadcast(&im->changed);
    pthread_mutex_unlock(&im->lock);
    for (size_t k = 0; s->v && k < s->n; k++) {
        img_layer_unref(im, s->v[k].layer);
        img_blob_unref(im, s->v[k].blob, false);
    }
    free(s->v);
}

int img_settle(struct dray_images *im, const char *id, int abort_fd, struct dray_err *err)
{
    char own[DRAY_DIGEST_LEN];
    (void)snprintf(own, sizeof own, "%s", id);
    struct settling s = {.im = im, .id = own, .abort_fd = abort_fd};
    pthread_mutex_lock(&im->lock);
    int rc = enter(&s, err);
    pthread_mutex_unlock(&im->lock);
    bool entered = !rc && s.n > 0;
    for (size_t k = 0; !rc && k < s.n; k++)
        if (!s.v[k].blob)
            rc = squeeze(&s, &s.v[k], err);
    if (entered && !rc)
        rc = replace(&s, err);
    leave(&s, entered);
    return rc;
}
