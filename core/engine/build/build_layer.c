/* SPDX-License-Identifier: Apache-2.0 */
/* build_layer.c - layers that builds make: of tars, of what a container changed, of several. */
#include "engine/build/build_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/ident.h"
#include "base/logging.h"

#include <fcntl.h>
#include <stdio.h>

#define DRAY_LOG_AREA "build"
#define READ_CHUNK (256u * 1024)

/* --- what comes out ----------------------------------------------------------------------------*/

static int tell_empty(struct build *b, const struct img_layer *parent, struct dray_build_layer *out,
                      struct dray_err *err)
{
    const char *name = build_text(b, parent ? parent->chain : "");
    if (!name)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *out = (struct dray_build_layer){
        .size = sizeof *out, .empty = 1, .layer = name, .diff_id = "", .bytes = 0};
    return 0;
}

/* Keep what was made and tell of it. Takes the references of r. */
static int tell(struct build *b, struct img_intake_result *r, struct dray_build_layer *out,
                struct dray_err *err)
{
    struct build_pin pin = {.layer = r->layer, .blob = r->blob};
    (void)snprintf(pin.part.chain, sizeof pin.part.chain, "%s", r->layer->chain);
    (void)snprintf(pin.part.diff, sizeof pin.part.diff, "%s", r->diff);
    (void)snprintf(pin.part.digest, sizeof pin.part.digest, "%s", r->digest);
    (void)snprintf(pin.part.media_type, sizeof pin.part.media_type, "%s", r->media_type);
    pin.part.size = r->blob_size;
    *out = (struct dray_build_layer){.size = sizeof *out,
                                     .layer = build_text(b, r->layer->chain),
                                     .diff_id = build_text(b, r->diff),
                                     .bytes = r->layer->size};
    int rc = build_pin_add(b, &pin, err);
    if (!rc && (!out->layer || !out->diff_id))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return rc;
}

int build_layer_take(struct build *b, struct img_layer *parent, int fd,
                     struct dray_build_layer *out, struct dray_err *err)
{
    struct dray_images *im = b->e->images;
    struct img_intake_result r = {0};
    int rc = img_intake_fd(im, parent, fd, build_cancel_fd(b), &r, err);
    if (rc)
        return rc;
    if (strcmp(r.diff, IMG_EMPTY_DIFF) != 0)
        return tell(b, &r, out, err);
    img_layer_unref(im, r.layer);
    img_blob_unref(im, r.blob, false);
    return tell_empty(b, parent, out, err);
}

int32_t build_layer_make(const struct dray_call *call, const char *parent,
                         struct dray_fd_borrow tar, struct dray_build_layer *out,
                         struct dray_err *err)
{
    struct build *b = build_of(call, err);
    struct img_layer *below = NULL;
    if (!b)
        return DRAY_E_INVAL;
    int rc = build_layer_find(b, parent, &below, err);
    return rc ? rc : build_layer_take(b, below, tar.fd, out, err);
}

/* --- from the driver's own diff ----------------------------------------------------------------*/

struct squashing {
    struct build *b;
    struct img_layer *base;
    struct dray_build_layer *out;
};

static int squash_tar(void *ctx, int fd, struct dray_err *err)
{
    struct squashing *s = ctx;
    return build_layer_take(s->b, s->base, fd, s->out, err);
}

/* --- a container's layer becomes an image's ----------------------------------------------------*/

/* --- bytes of content in a tar that goes by ----------------------------------------------------*/

#define TAR_BLOCK 512u

struct tar_count {
    uint64_t skip;  /* bytes until the next head */
    uint64_t bytes; /* of files so far */
    size_t have;
    unsigned char head[TAR_BLOCK];
};

static uint64_t octal(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    if (*p & 0x80) { /* GNU's binary form */
        for (size_t i = 1; i < n; i++)
            v = v << 8 | p[i];
        return v;
    }
    for (size_t i = 0; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0');
    return v;
}

static void count_head(struct tar_count *c)
{
    uint64_t size = octal(c->head + 124, 12);
    unsigned char type = c->head[156];
    if (type == '0' || type == '\0')
        c->bytes += size;
    c->skip = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    c->have = 0;
}

static void count_bytes(struct tar_count *c, const char *data, size_t n)
{
    while (n > 0) {
        size_t k = n;
        if (c->skip > 0) {
            k = c->skip < n ? (size_t)c->skip : n;
            c->skip -= k;
        } else {
            k = TAR_BLOCK - c->have < n ? TAR_BLOCK - c->have : n;
            memcpy(c->head + c->have, data, k);
            c->have += k;
            if (c->have == TAR_BLOCK)
                count_head(c);
        }
        data += k;
        n -= k;
    }
}

/* Only blob and digests of a tar, for a layer whose content is there. */
struct hashing {
    struct build *b;
    struct img_intake_result r;
    struct tar_count count;
    bool loose; /* no blob */
    bool empty;
};

static int to_blob(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    return dray_ingest_write(ctx, data, len, err);
}

static int copy_all(struct dray_deflate *squeeze, struct dray_sha256 *sum, int fd,
                    struct tar_count *count, uint64_t *total, struct dray_err *err)
{
    dray_autofree char *buf = malloc(READ_CHUNK);
    int rc = buf ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    while (!rc) {
        ssize_t n = read(fd, buf, READ_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = dray_fail_errno(err, "read the changes of a step");
        if (n <= 0)
            break;
        dray_sha256_add(sum, buf, (size_t)n);
        count_bytes(count, buf, (size_t)n);
        *total += (uint64_t)n;
        if (squeeze)
            rc = dray_deflate_feed(squeeze, buf, (size_t)n, err);
    }
    return rc || !squeeze ? rc : dray_deflate_end(squeeze, err);
}

/* The blob is made when it is needed: img_settle(). */
static int name_blob(struct hashing *h, uint64_t size, struct dray_err *err)
{
    memcpy(h->r.digest, h->r.diff, sizeof h->r.digest);
    h->r.blob_size = size;
    h->r.media_type = MT_DOCKER_LAYER_TAR;
    h->r.blob = img_blob_ref(h->b->e->images, h->r.digest);
    return h->r.blob ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int hash_tar(void *ctx, int fd, struct dray_err *err)
{
    struct hashing *h = ctx;
    struct dray_images *im = h->b->e->images;
    dray_autoingest *blob = NULL;
    struct dray_deflate *squeeze = NULL;
    struct dray_sha256 *sum = dray_sha256_new();
    uint64_t total = 0;
    int rc = sum ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && !h->loose)
        rc = dray_ingest_open(im->blobs, NULL, &blob, err);
    if (!rc && !h->loose)
        rc = dray_deflate_new(to_blob, blob, &squeeze, err);
    if (!rc)
        rc = copy_all(squeeze, sum, fd, &h->count, &total, err);
    if (!rc)
        dray_sha256_end(sum, h->r.diff);
    dray_sha256_free(sum);
    dray_deflate_free(squeeze);
    h->empty = !rc && strcmp(h->r.diff, IMG_EMPTY_DIFF) == 0;
    if (rc || h->empty)
        return rc;
    if (h->loose)
        return name_blob(h, total, err);
    h->r.blob_size = dray_ingest_offset(blob);
    h->r.media_type = MT_DOCKER_LAYER;
    rc = dray_ingest_commit(blob, UINT64_MAX, h->r.digest, err);
    if (!rc && !(h->r.blob = img_blob_ref(im, h->r.digest)))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        img_blob_done(im, h->r.blob, true, h->r.blob_size);
    return rc;
}

static void drop_layer(struct build *b, const char *id)
{
    struct dray_err why = {0};
    if (dray_driver_call(b->e->storage, storage, DRAY_CLASS_MOUNT, &why, remove, id))
        dray_warn("layer %.12s of a build stays until the next start: %s", id, why.text);
}

/* The driver makes an image layer of it where it stands. */
static int seal(struct build *b, struct img_layer *parent, const char *id, struct hashing *h,
                struct dray_err *err)
{
    struct dray_images *im = b->e->images;
    int rc = dray_driver_call(b->e->storage, storage, DRAY_CLASS_MOUNT, err, seal, id,
                              parent ? parent->id : "");
    if (rc)
        return rc;
    struct img_layer *l = calloc(1, sizeof *l);
    if (!l)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    l->driver = b->e->storage;
    l->refs = 1;
    l->state = LAYER_BUILDING;
    l->parent = parent;
    (void)snprintf(l->id, sizeof l->id, "%s", id);
    if (parent) {
        pthread_mutex_lock(&im->lock);
        img_layer_ref_locked(parent);
        pthread_mutex_unlock(&im->lock);
    }
    return img_layer_anon_done(im, l, h->r.diff, h->count.bytes, &h->r.layer, err);
}

static int retake(void *ctx, int fd, struct dray_err *err)
{
    struct hashing *h = ctx;
    return img_intake_fd(h->b->e->images, h->r.layer, fd, build_cancel_fd(h->b), &h->r, err);
}

int build_layer_commit(struct build *b, struct img_layer *parent, const char *below, const char *id,
                       struct dray_build_layer *out, struct dray_err *err)
{
    struct hashing h = {.b = b, .loose = img_diff_stable(b->e->storage, parent)};
    bool sealed = false;
    int rc = 0;
    if (dray_driver_has(b->e->storage, "seal")) {
        rc = img_diff_run(b->e->storage, id, below, build_cancel_fd(b), hash_tar, &h, err);
        if (!rc && !h.empty) {
            rc = seal(b, parent, id, &h, err);
            sealed = rc == 0;
        }
    } else {
        h.r.layer = parent;
        rc = img_diff_run(b->e->storage, id, below, build_cancel_fd(b), retake, &h, err);
        h.empty = !rc && strcmp(h.r.diff, IMG_EMPTY_DIFF) == 0;
    }
    if (!sealed)
        drop_layer(b, id);
    if (!rc && !h.empty)
        return tell(b, &h.r, out, err);
    if (h.r.layer && h.r.layer != parent)
        img_layer_unref(b->e->images, h.r.layer);
    img_blob_unref(b->e->images, h.r.blob, false);
    return rc ? rc : tell_empty(b, parent, out, err);
}

int build_layer_copy(struct build *b, struct img_layer *parent, const char *below, const char *id,
                     struct dray_build_layer *out, struct dray_err *err)
{
    struct squashing s = {.b = b, .base = parent, .out = out};
    return img_diff_run(b->e->storage, id, below, build_cancel_fd(b), squash_tar, &s, err);
}

/* --- squash, look ------------------------------------------------------------------------------*/

int32_t build_layer_squash(const struct dray_call *call, const char *top, const char *base,
                           struct dray_build_layer *out, struct dray_err *err)
{
    struct build *b = build_of(call, err);
    struct img_layer *upper = NULL, *lower = NULL;
    if (!b)
        return DRAY_E_INVAL;
    int rc = build_layer_find(b, top, &upper, err);
    if (!rc)
        rc = build_layer_find(b, base, &lower, err);
    if (rc || upper == lower)
        return rc ? rc : tell_empty(b, lower, out, err);
    struct squashing s = {.b = b, .base = lower, .out = out};
    return img_diff_run(b->e->storage, upper->id, lower ? lower->id : "", build_cancel_fd(b),
                        squash_tar, &s, err);
}

/* A folder with nothing in it, for the layer below all. */
static int open_nothing(struct build *b, int *fd_out, struct dray_err *err)
{
    int rc = dray_fs_mkdirs(b->set->dir, "empty", 0755, err);
    if (rc)
        return rc;
    *fd_out = openat(b->set->dir, "empty", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out < 0 ? dray_fail_errno(err, "open an empty folder") : 0;
}

int32_t build_layer_open(const struct dray_call *call, const char *layer,
                         struct dray_fd_take *root_out, struct dray_err *err)
{
    struct build *b = build_of(call, err);
    struct img_layer *l = NULL;
    int fd = -EBADF;
    if (!b)
        return DRAY_E_INVAL;
    int rc = build_layer_find(b, layer, &l, err);
    if (!rc)
        rc = l ? dray_layer_view(l->driver, l->id, &fd, err) : open_nothing(b, &fd, err);
    if (!rc)
        root_out->fd = fd;
    return rc;
}
