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

static int write_blob(struct dray_images *im, const char *digest, dray_sink_fn sink, void *ctx,
                      struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    struct dray_inflate *in = NULL;
    int rc = dray_blobs_get(im->blobs, digest, &fd, NULL, err);
    if (!rc)
        rc = dray_inflate_new(sink, ctx, UINT64_MAX, &in, err);
    if (!rc)
        rc = inflate_fd(in, fd, digest, err);
    dray_inflate_free(in);
    return rc;
}

static int check_blob(struct dray_images *im, const char *digest, int abort_fd,
                      struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = dray_blobs_get(im->blobs, digest, &fd, NULL, err);
    return rc ? rc : dray_blobs_check(im->blobs, fd, digest, abort_fd, err);
}

/* --- of the files -----------------------------------------------------------------------------*/

static int hash_only(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    (void)err;
    dray_sha256_add(ctx, data, len);
    return 0;
}

static int check_files(struct dray_images *im, const struct img_layer *l, const char *diff,
                       int abort_fd, struct dray_err *err)
{
    char got[DRAY_DIGEST_LEN];
    struct dray_sha256 *sum = dray_sha256_new_in(dray_blobs_hashes(im->blobs));
    int rc = sum ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = img_layer_tar(im, l, abort_fd, hash_only, sum, err);
    if (!rc) {
        dray_sha256_end(sum, got);
        rc = img_check_diff(diff, got, err);
    }
    dray_sha256_free(sum);
    return rc;
}

/* --- either -----------------------------------------------------------------------------------*/

/* The layer of a part without a blob, referred to; NULL: it has one, or is not here. */
static struct img_layer *loose_layer(struct dray_images *im, const struct img_part *part,
                                     bool *loose_out)
{
    struct img_layer *l = NULL;
    pthread_mutex_lock(&im->lock);
    *loose_out = img_is_loose(im, part);
    if (*loose_out && (l = img_layer_any(im, part->chain)) != NULL)
        img_layer_ref_locked(l);
    pthread_mutex_unlock(&im->lock);
    return l;
}

static int not_here(const struct img_part *part, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_NOTFOUND, "layer %.19s is not here", part->diff);
}

int img_plain_write(struct dray_images *im, const struct img_part *part, dray_sink_fn sink,
                    void *ctx, struct dray_err *err)
{
    bool loose = false;
    struct img_layer *l = loose_layer(im, part, &loose);
    if (!l)
        return loose ? not_here(part, err) : write_blob(im, part->digest, sink, ctx, err);
    int rc = img_layer_tar(im, l, -1, sink, ctx, err);
    img_layer_unref(im, l);
    return rc;
}

int img_plain_check(struct dray_images *im, const struct img_part *part, int abort_fd,
                    struct dray_err *err)
{
    bool loose = false;
    struct img_layer *l = loose_layer(im, part, &loose);
    if (!l)
        return loose ? not_here(part, err) : check_blob(im, part->digest, abort_fd, err);
    int rc = check_files(im, l, part->diff, abort_fd, err);
    img_layer_unref(im, l);
    return rc;
}
