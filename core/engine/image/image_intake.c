/* SPDX-License-Identifier: Apache-2.0 */
/* image_intake.c - makes a layer from a tar that comes in: diff id, unpacked layer and what is kept
 * of the tar in one go. */
#include "engine/layer/layer_map.h"

#include <fcntl.h>

#define PIPE_BYTES (1 << 20)
#define READ_CHUNK (256u * 1024)

/* Compression on a thread of its own, beside hashing and unpacking. */
struct squeezer {
    struct dray_deflate *deflate;
    pthread_t thread;
    int in, out; /* the pipe's ends: the thread's, the feeder's */
    int rc;      /* read after it was joined */
    struct dray_err err;
};

struct img_intake {
    struct dray_images *im;
    struct img_layer *layer; /* without a chain yet */
    struct img_unpack *unpack;
    struct dray_ingest *blob;
    struct squeezer *squeeze;   /* or NULL */
    struct dray_inflate *pre;   /* for what registries do not take: xz, bzip2 */
    struct dray_layer_map *map; /* or NULL */
    enum img_keep keep;
    int abort_fd;
    bool begun;
    bool squeezed; /* the blob is gzip, whatever came */
    bool afloat;   /* what the layer stands on is not known yet */
    uint64_t size; /* of the layer's files, at the end */
};

static int to_blob(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct img_intake *in = ctx;
    return dray_ingest_write(in->blob, data, len, err);
}

/* --- squeezing --------------------------------------------------------------------------------*/

static int squeeze_all(struct squeezer *q, char *buf)
{
    for (;;) {
        ssize_t n = read(q->in, buf, READ_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(&q->err, "read what is to be compressed");
        if (n == 0)
            return dray_deflate_end(q->deflate, &q->err);
        int rc = dray_deflate_feed(q->deflate, buf, (size_t)n, &q->err);
        if (rc)
            return rc;
    }
}

static void *squeeze_thread(void *arg)
{
    struct squeezer *q = arg;
    dray_autofree char *buf = malloc(READ_CHUNK);
    q->rc = buf ? squeeze_all(q, buf) : dray_fail(&q->err, DRAY_E_NOMEM, "out of memory");
    (void)close(q->in); /* a feeder that is still at it gets EPIPE */
    return NULL;
}

static int squeeze_begin(struct img_intake *in, struct dray_err *err)
{
    int fds[2];
    struct squeezer *q = calloc(1, sizeof *q);
    int rc = q ? dray_deflate_new(to_blob, in, &q->deflate, err)
               : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && pipe2(fds, O_CLOEXEC) != 0)
        rc = dray_fail_errno(err, "make a pipe");
    if (!rc) {
        (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
        q->in = fds[0];
        q->out = fds[1];
        if (pthread_create(&q->thread, NULL, squeeze_thread, q) != 0) {
            (void)close(fds[0]);
            (void)close(fds[1]);
            rc = dray_fail(err, DRAY_E_NOMEM, "start a thread");
        }
    }
    if (rc) {
        if (q)
            dray_deflate_free(q->deflate);
        free(q);
        return rc;
    }
    in->squeeze = q;
    return 0;
}

/* The end of the stream: what the thread says. */
static int squeeze_end(struct img_intake *in, struct dray_err *err)
{
    struct squeezer *q = dray_steal(in->squeeze);
    if (!q)
        return 0;
    (void)close(q->out);
    (void)pthread_join(q->thread, NULL);
    int rc = q->rc;
    if (rc && err)
        *err = q->err;
    dray_deflate_free(q->deflate);
    free(q);
    return rc;
}

/* The feeding thread has SIGPIPE blocked since img_unpack_begin(). */
static int squeeze_feed(struct img_intake *in, const char *data, size_t len, struct dray_err *err)
{
    while (len > 0) {
        ssize_t n = write(in->squeeze->out, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int rc = squeeze_end(in, err);
            return rc ? rc : dray_fail(err, DRAY_E_INTERNAL, "compressing ended too early");
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* --- taking in --------------------------------------------------------------------------------*/

void img_intake_abort(struct img_intake *in)
{
    if (!in)
        return;
    (void)squeeze_end(in, NULL);
    img_unpack_abort(in->unpack);
    if (in->layer)
        img_layer_anon_drop(in->im, in->layer);
    dray_inflate_free(in->pre);
    dray_layer_map_free(in->map);
    dray_ingest_close(in->blob);
    free(in);
}

static int begin(struct dray_images *im, struct img_layer *layer /* takes */, enum img_keep keep,
                 int abort_fd, struct img_intake **out, struct dray_err *err)
{
    struct img_intake *in = calloc(1, sizeof *in);
    if (!in) {
        img_layer_anon_drop(im, layer);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    in->im = im;
    in->keep = keep;
    in->abort_fd = abort_fd;
    in->layer = layer;
    int rc = img_unpack_begin(im, layer, UINT64_MAX, abort_fd, &in->unpack, err);
    if (rc) {
        img_intake_abort(in);
        return rc;
    }
    *out = in;
    return 0;
}

int img_intake_begin(struct dray_images *im, struct img_layer *parent, enum img_keep keep,
                     int abort_fd, struct img_intake **out, struct dray_err *err)
{
    struct img_layer *layer = NULL;
    int rc = img_layer_anon(im, parent, &layer, err);
    return rc ? rc : begin(im, layer, keep, abort_fd, out, err);
}

int img_intake_afloat(struct dray_images *im, int abort_fd, struct img_intake **out,
                      struct dray_err *err)
{
    struct img_layer *layer = NULL;
    int rc = img_layer_afloat(im, &layer, err);
    if (!rc)
        rc = begin(im, layer, IMG_KEEP_MAP, abort_fd, out, err);
    if (!rc)
        (*out)->afloat = true;
    return rc;
}

static int take(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct img_intake *in = ctx;
    int rc = 0;
    if (in->squeeze)
        rc = squeeze_feed(in, data, len, err);
    else if (in->map)
        rc = dray_layer_map_feed(in->map, data, len, err);
    else if (in->blob)
        rc = to_blob(in, data, len, err);
    return rc ? rc : img_unpack_feed(in->unpack, data, len, err);
}

/* Decide from the first bytes what becomes of the stream. */
static int begin_stream(struct img_intake *in, const void *data, size_t len, struct dray_err *err)
{
    in->begun = true;
    enum dray_compression kind = dray_compression_of(data, len);
    bool foreign = kind == DRAY_XZ || kind == DRAY_BZIP2, plain = foreign || kind == DRAY_PLAIN;
    int rc = 0;
    if (foreign)
        rc = dray_inflate_new(take, in, dray_blobs_free_bytes(in->im->blobs), &in->pre, err);
    if (in->keep == IMG_KEEP_MAP && !plain)
        in->keep = IMG_KEEP_BLOB;
    if (!rc && in->keep == IMG_KEEP_MAP)
        rc = dray_layer_map_new(in->im, &in->map, err);
    if (!rc && in->keep == IMG_KEEP_BLOB)
        rc = dray_ingest_open(in->im->blobs, NULL, &in->blob, err);
    if (!rc && in->keep == IMG_KEEP_BLOB && plain)
        rc = squeeze_begin(in, err);
    in->squeezed = !rc && in->squeeze;
    return rc;
}

int img_intake_feed(void *intake, const void *data, size_t len, struct dray_err *err)
{
    struct img_intake *in = intake;
    int rc = in->begun || len == 0 ? 0 : begin_stream(in, data, len, err);
    if (rc)
        return rc;
    return in->pre ? dray_inflate_feed(in->pre, data, len, err) : take(in, data, len, err);
}

static const char *media_type(const struct img_intake *in, enum dray_compression kind)
{
    if (in->squeezed || kind == DRAY_GZIP)
        return MT_DOCKER_LAYER;
    return kind == DRAY_ZSTD ? MT_OCI_LAYER_ZSTD : MT_DOCKER_LAYER_TAR;
}

/* Refer to the blob that is not there yet: its digest will be another, see img_settle(). */
static int name_blob(struct img_intake *in, struct img_intake_result *out, struct dray_err *err)
{
    memcpy(out->digest, out->diff, sizeof out->digest);
    out->blob = img_blob_ref(in->im, out->digest);
    return out->blob ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* List the blob and refer to it. */
static int keep_blob(struct img_intake *in, struct img_intake_result *out, struct dray_err *err)
{
    int rc = squeeze_end(in, err);
    if (rc)
        return rc;
    out->blob_size = dray_ingest_offset(in->blob);
    rc = dray_ingest_commit(in->blob, UINT64_MAX, out->digest, err);
    if (rc)
        return rc;
    out->blob = img_blob_ref(in->im, out->digest);
    if (!out->blob)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    img_blob_done(in->im, out->blob, true, out->blob_size);
    return 0;
}

/* A tar that cannot be written again from the layer: what the driver makes of the layer stands for
 * it. */
static int repack(struct img_intake *in, struct img_intake_result *out, struct dray_err *err)
{
    int rc = img_squeeze(in->im, in->layer, in->abort_fd, out->diff, &out->blob, err);
    if (rc)
        return rc;
    memcpy(out->digest, out->blob->digest, sizeof out->digest);
    out->blob_size = out->blob->size;
    out->repacked = in->squeezed = true;
    in->layer->tar_size = 0; /* that of the tar that came is not this one's */
    dray_layer_map_free(dray_steal(in->map));
    return 0;
}

/* The tar is unpacked: have what stands for it later. */
static int keep_tar(struct img_intake *in, uint64_t plain, struct img_intake_result *out,
                    struct dray_err *err)
{
    bool whole = true;
    if (in->keep == IMG_KEEP_BLOB)
        return keep_blob(in, out, err);
    int rc = in->map ? dray_layer_map_end(in->map, in->layer, &whole, err) : 0;
    if (!rc && !whole && in->afloat)
        return dray_fail(err, DRAY_E_NOTSUP, "the tar cannot be written again from its layer");
    if (rc || !whole)
        return rc ? rc : repack(in, out, err);
    out->blob_size = plain;
    return name_blob(in, out, err);
}

/* All has been fed: unpacked, hashed, kept. */
static int end_stream(struct img_intake *in, struct img_intake_result *out, struct dray_err *err)
{
    uint64_t plain = 0;
    *out = (struct img_intake_result){0};
    int rc = in->begun ? 0 : begin_stream(in, "", 0, err);
    enum dray_compression kind = img_unpack_kind(in->unpack);
    if (!rc && in->pre)
        rc = dray_inflate_end(in->pre, err);
    if (!rc) {
        plain = img_unpack_total(in->unpack);
        rc = img_unpack_end(dray_steal(in->unpack), out->diff, &in->size, err);
    }
    if (!rc)
        rc = keep_tar(in, plain, out, err);
    if (!rc)
        out->media_type = media_type(in, kind);
    return rc;
}

/* The layer becomes one of the store's, with its map. */
static int list_layer(struct img_intake *in, struct img_intake_result *out, struct dray_err *err)
{
    int rc =
        img_layer_anon_done(in->im, dray_steal(in->layer), out->diff, in->size, &out->layer, err);
    return rc || !in->map ? rc : dray_layer_map_keep(in->map, out->layer, err);
}

static void let_go(struct img_intake *in, struct img_intake_result *out)
{
    if (out->layer)
        img_layer_unref(in->im, out->layer);
    if (out->blob)
        img_blob_unref(in->im, out->blob, false);
    out->layer = NULL, out->blob = NULL;
}

int img_intake_end(struct img_intake *in, struct img_intake_result *out, struct dray_err *err)
{
    int rc = end_stream(in, out, err);
    if (!rc)
        rc = list_layer(in, out, err);
    if (rc)
        let_go(in, out);
    img_intake_abort(in);
    return rc;
}

int img_intake_end_afloat(struct img_intake *in, struct img_intake_result *out,
                          struct dray_err *err)
{
    int rc = end_stream(in, out, err);
    if (rc)
        let_go(in, out);
    return rc;
}

int img_intake_land(struct img_intake *in, struct img_layer *parent, struct img_intake_result *out,
                    struct dray_err *err)
{
    int rc = img_layer_land(in->im, in->layer, parent, err);
    if (!rc)
        rc = list_layer(in, out, err);
    if (rc)
        let_go(in, out);
    img_intake_abort(in);
    return rc;
}
