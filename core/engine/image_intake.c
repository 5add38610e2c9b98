/* SPDX-License-Identifier: Apache-2.0 */
/* image_intake.c - makes a layer from a tar that comes in: blob, diff id and unpacked layer in one
 * go. */
#include "engine/image_priv.h"

struct img_intake {
    struct dray_images *im;
    struct img_layer *layer; /* without a chain yet */
    struct img_unpack *unpack;
    struct dray_ingest *blob;
    struct dray_deflate *squeeze;
    struct dray_inflate *pre; /* for what registries do not take: xz, bzip2 */
    bool want_squeeze, begun;
};

static int to_blob(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct img_intake *in = ctx;
    return dray_ingest_write(in->blob, data, len, err);
}

void img_intake_abort(struct img_intake *in)
{
    if (!in)
        return;
    img_unpack_abort(in->unpack);
    if (in->layer)
        img_layer_anon_drop(in->im, in->layer);
    dray_inflate_free(in->pre);
    dray_deflate_free(in->squeeze);
    dray_ingest_close(in->blob);
    free(in);
}

int img_intake_begin(struct dray_images *im, struct img_layer *parent, bool squeeze, int abort_fd,
                     struct img_intake **out, struct dray_err *err)
{
    struct img_intake *in = calloc(1, sizeof *in);
    if (!in)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    in->im = im;
    in->want_squeeze = squeeze;
    int rc = dray_ingest_open(im->blobs, NULL, &in->blob, err);
    if (!rc)
        rc = img_layer_anon(im, parent, &in->layer, err);
    if (!rc)
        rc = img_unpack_begin(im, in->layer, UINT64_MAX, abort_fd, &in->unpack, err);
    if (rc) {
        img_intake_abort(in);
        return rc;
    }
    *out = in;
    return 0;
}

static int take(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct img_intake *in = ctx;
    int rc =
        in->squeeze ? dray_deflate_feed(in->squeeze, data, len, err) : to_blob(in, data, len, err);
    return rc ? rc : img_unpack_feed(in->unpack, data, len, err);
}

/* Decide from the first bytes what becomes of the stream. */
static int begin_stream(struct img_intake *in, const void *data, size_t len, struct dray_err *err)
{
    in->begun = true;
    enum dray_compression kind = dray_compression_of(data, len);
    bool foreign = kind == DRAY_XZ || kind == DRAY_BZIP2;
    int rc = 0;
    if (foreign)
        rc = dray_inflate_new(take, in, dray_blobs_free_bytes(in->im->blobs), &in->pre, err);
    if (!rc && (foreign || (in->want_squeeze && kind == DRAY_PLAIN)))
        rc = dray_deflate_new(to_blob, in, &in->squeeze, err);
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
    if (in->squeeze || kind == DRAY_GZIP)
        return MT_DOCKER_LAYER;
    return kind == DRAY_ZSTD ? MT_OCI_LAYER_ZSTD : MT_DOCKER_LAYER_TAR;
}

/* List the blob and refer to it. */
static int keep_blob(struct img_intake *in, struct img_intake_result *out, struct dray_err *err)
{
    out->blob_size = dray_ingest_offset(in->blob);
    if (in->squeeze) {
        int rc = dray_deflate_end(in->squeeze, err);
        if (rc)
            return rc;
        out->blob_size = dray_ingest_offset(in->blob);
    }
    int rc = dray_ingest_commit(in->blob, UINT64_MAX, out->digest, err);
    if (rc)
        return rc;
    out->blob = img_blob_ref(in->im, out->digest);
    if (!out->blob)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    img_blob_done(in->im, out->blob, true, out->blob_size);
    return 0;
}

int img_intake_end(struct img_intake *in, struct img_intake_result *out, struct dray_err *err)
{
    uint64_t size = 0;
    *out = (struct img_intake_result){0};
    enum dray_compression kind = img_unpack_kind(in->unpack);
    int rc = in->pre ? dray_inflate_end(in->pre, err) : 0;
    if (!rc) {
        struct img_unpack *u = in->unpack;
        in->unpack = NULL;
        rc = img_unpack_end(u, out->diff, &size, err);
    }
    if (!rc)
        rc = keep_blob(in, out, err);
    if (!rc) {
        out->media_type = media_type(in, kind);
        struct img_layer *l = in->layer;
        in->layer = NULL;
        rc = img_layer_anon_done(in->im, l, out->diff, size, &out->layer, err);
    }
    if (rc && out->blob) {
        img_blob_unref(in->im, out->blob, false);
        out->blob = NULL;
    }
    img_intake_abort(in);
    return rc;
}
