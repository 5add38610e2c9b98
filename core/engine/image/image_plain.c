/* SPDX-License-Identifier: Apache-2.0 */
/* image_plain.c - the plain tar of an image's layer, of its blob or of its files. */
#include "engine/layer/layer_map.h"

#define READ_CHUNK (256u * 1024)

/* --- how large --------------------------------------------------------------------------------*/

static int count_only(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    (void)ctx, (void)data, (void)len, (void)err;
    return 0;
}

static int inflate_fd(struct dray_inflate *in, int fd, const char *digest, struct dray_err *err)
{
    dray_autofree char *buf = malloc(READ_CHUNK);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (;;) {
        ssize_t n = read(fd, buf, READ_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read blob %s", digest);
        if (n == 0)
            return dray_inflate_end(in, err);
        int rc = dray_inflate_feed(in, buf, (size_t)n, err);
        if (rc)
            return rc;
    }
}

/* Of a blob whose layer was never unpacked here, or by an older daemon. */
static int count(struct dray_images *im, const char *digest, uint64_t *size_out,
                 struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    struct dray_inflate *in = NULL;
    int rc = dray_blobs_get(im->blobs, digest, &fd, NULL, err);
    if (!rc)
        rc = dray_inflate_new(count_only, NULL, UINT64_MAX, &in, err);
    if (!rc)
        rc = inflate_fd(in, fd, digest, err);
    if (!rc)
        *size_out = dray_inflate_total(in);
    dray_inflate_free(in);
    return rc;
}

int img_plain_size(struct dray_images *im, const struct img_part *part, uint64_t *size_out,
                   struct dray_err *err)
{
    pthread_mutex_lock(&im->lock);
    const struct img_layer *l = img_layer_any(im, part->chain);
    *size_out = l ? l->tar_size : 0;
    if (strcmp(part->digest, part->diff) == 0)
        *size_out = part->size;
    pthread_mutex_unlock(&im->lock);
    return *size_out ? 0 : count(im, part->digest, size_out, err);
}

/* --- of the blob ------------------------------------------------------------------------------*/

/* Hashing what is inflated at the same time: the blob's bytes, for there are fewer of them. */
struct checker {
    struct dray_images *im;
    const char *digest;
    int rc;
    struct dray_err err;
};

static void *check_thread(void *arg)
{
    struct checker *c = arg;
    dray_autofd int fd = -EBADF;
    c->rc = dray_blobs_get(c->im->blobs, c->digest, &fd, NULL, &c->err);
    if (!c->rc)
        c->rc = dray_blobs_check(fd, c->digest, -1, &c->err);
    return NULL;
}

static int write_blob(struct dray_images *im, const char *digest, dray_sink_fn sink, void *ctx,
                      struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    struct dray_inflate *in = NULL;
    struct checker c = {.im = im, .digest = digest};
    pthread_t thread;
    int rc = dray_blobs_get(im->blobs, digest, &fd, NULL, err);
    if (!rc)
        rc = dray_inflate_new(sink, ctx, UINT64_MAX, &in, err);
    if (!rc && pthread_create(&thread, NULL, check_thread, &c) != 0)
        rc = dray_fail(err, DRAY_E_NOMEM, "start a thread");
    if (rc) {
        dray_inflate_free(in);
        return rc;
    }
    rc = inflate_fd(in, fd, digest, err);
    (void)pthread_join(thread, NULL);
    if (c.rc && (!rc || rc == DRAY_E_CORRUPT)) { /* what was changed may not inflate either */
        rc = c.rc;
        if (err)
            *err = c.err;
    }
    dray_inflate_free(in);
    return rc;
}

/* --- of the files -----------------------------------------------------------------------------*/

struct hashed {
    dray_sink_fn sink;
    void *ctx;
    struct dray_sha256 *sum;
};

static int hash_on(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct hashed *h = ctx;
    dray_sha256_add(h->sum, data, len);
    return h->sink(h->ctx, data, len, err);
}

static int write_files(struct dray_images *im, struct img_layer *l, const char *diff,
                       dray_sink_fn sink, void *ctx, struct dray_err *err)
{
    char got[DRAY_DIGEST_LEN];
    struct hashed h = {sink, ctx, dray_sha256_new()};
    int rc = h.sum ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = img_layer_tar(im, l, -1, hash_on, &h, err);
    if (!rc) {
        dray_sha256_end(h.sum, got);
        rc = img_check_diff(diff, got, err);
    }
    dray_sha256_free(h.sum);
    return rc;
}

int img_plain_write(struct dray_images *im, const struct img_part *part, dray_sink_fn sink,
                    void *ctx, struct dray_err *err)
{
    struct img_layer *l = NULL;
    pthread_mutex_lock(&im->lock);
    bool loose = img_is_loose(im, part);
    if (loose && (l = img_layer_any(im, part->chain)) != NULL)
        img_layer_ref_locked(l);
    pthread_mutex_unlock(&im->lock);
    if (!loose)
        return write_blob(im, part->digest, sink, ctx, err);
    if (!l)
        return dray_fail(err, DRAY_E_NOTFOUND, "layer %.19s is not here", part->diff);
    int rc = write_files(im, l, part->diff, sink, ctx, err);
    img_layer_unref(im, l);
    return rc;
}
