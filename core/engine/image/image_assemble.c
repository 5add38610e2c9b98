/* SPDX-License-Identifier: Apache-2.0 */
/* image_assemble.c - an image from a manifest whose blobs are all here. */
#include "engine/image/image_priv.h"

#include "base/fs.h"

#define CHUNK (1u << 20)

static int feed_ingest(struct dray_ingest *in, int fd, struct dray_err *err)
{
    dray_autofree char *buf = malloc(CHUNK);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (;;) {
        ssize_t n = read(fd, buf, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? 0 : dray_fail_errno(err, "read");
        int rc = dray_ingest_write(in, buf, (size_t)n, err);
        if (rc)
            return rc;
    }
}

int img_blob_take_fd(struct dray_images *im, const char *digest, int fd, struct img_blob **out,
                     struct dray_err *err)
{
    struct img_blob *b = img_blob_ref(im, digest);
    bool mine = false;
    if (!b)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = img_blob_claim(im, b, -1, &mine, err);
    if (!rc && mine) {
        dray_autoingest *in = NULL;
        rc = dray_ingest_open(im->blobs, digest, &in, err);
        if (!rc && dray_ingest_offset(in) > 0)
            rc = dray_ingest_restart(in, err);
        if (!rc)
            rc = feed_ingest(in, fd, err);
        if (!rc)
            rc = dray_ingest_commit(in, UINT64_MAX, NULL, err);
        uint64_t size = 0;
        (void)dray_blobs_has(im->blobs, digest, &size);
        img_blob_done(im, b, rc == 0, size);
    }
    if (rc) {
        img_blob_unref(im, b, false);
        return rc;
    }
    *out = b;
    return 0;
}

int img_read_json(struct dray_images *im, const char *digest, size_t most, struct json_object **out,
                  struct dray_err *err)
{
    DRAY_AUTO(dray_buf) text = {0};
    int rc = dray_blobs_read(im->blobs, digest, most, &text, err);
    if (!rc)
        rc = dray_json_parse(text.data, text.len, out, err);
    if (!rc && !json_object_is_type(*out, json_type_object)) {
        json_object_put(*out);
        *out = NULL;
        rc = dray_fail(err, DRAY_E_CORRUPT, "%.19s is no JSON object", digest);
    }
    return rc;
}

/** What the manifest says of the layers; their diff ids come from the config. */
static int fill_parts(struct img *g, struct json_object *manifest, struct dray_err *err)
{
    struct json_object *layers = dray_json_arr(manifest, "layers");
    size_t n = dray_json_len(layers);
    g->parts = calloc(n + 1, sizeof *g->parts);
    if (!g->parts)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct json_object *d = json_object_array_get_idx(layers, i);
        const char *digest = dray_json_str(d, "digest", "");
        if (!dray_digest_valid(digest))
            return dray_fail(err, DRAY_E_CORRUPT, "layer %zu has no valid digest", i + 1);
        struct img_part *p = &g->parts[i];
        (void)snprintf(p->digest, sizeof p->digest, "%s", digest);
        p->size = (uint64_t)dray_json_int(d, "size", 0);
        p->media_type = strdup(dray_json_str(d, "mediaType", MT_DOCKER_LAYER));
        p->urls = dray_json_copy(dray_json_arr(d, "urls"));
        g->n_parts = i + 1;
        if (!p->media_type)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

static uint64_t layers_size(struct dray_images *im, const struct img_layer *top)
{
    uint64_t size = 0;
    pthread_mutex_lock(&im->lock);
    for (; top; top = top->parent)
        size += top->size;
    pthread_mutex_unlock(&im->lock);
    return size;
}

static int find_top(struct dray_images *im, struct img *g, struct img_layer *top, int abort_fd,
                    struct dray_err *err)
{
    if (!top)
        return img_unpack_image(im, g->parts, g->n_parts, abort_fd, &g->top, err);
    pthread_mutex_lock(&im->lock);
    img_layer_ref_locked(top);
    pthread_mutex_unlock(&im->lock);
    g->top = top;
    return 0;
}

int img_assemble(struct dray_images *im, const char *manifest_digest, const char *index_digest,
                 struct img_layer *top, int abort_fd, char id_out[DRAY_DIGEST_LEN],
                 struct dray_err *err)
{
    dray_autojson *manifest = NULL;
    dray_autojson *config = NULL;
    struct img *g = calloc(1, sizeof *g);
    if (!g)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = img_read_json(im, manifest_digest, MANIFEST_MAX, &manifest, err);
    const char *id = dray_json_str(manifest, "config.digest", "");
    if (!rc && !dray_digest_valid(id))
        rc = dray_fail(err, DRAY_E_CORRUPT, "the manifest names no configuration");
    if (!rc)
        rc = img_read_json(im, id, CONFIG_MAX, &config, err);
    if (!rc)
        rc = fill_parts(g, manifest, err);
    if (!rc)
        rc = img_from_config(g, config, err);
    if (!rc)
        rc = find_top(im, g, top, abort_fd, err);
    if (rc) {
        img_free(g);
        return rc;
    }
    (void)snprintf(g->id, sizeof g->id, "%s", id);
    (void)snprintf(g->manifest, sizeof g->manifest, "%s", manifest_digest);
    (void)snprintf(g->index, sizeof g->index, "%s", index_digest ? index_digest : "");
    g->manifest_type = strdup(
        dray_json_str(manifest, "mediaType",
                      dray_json_get(manifest, "config.mediaType") &&
                              dray_str_prefix(dray_json_str(manifest, "config.mediaType", ""),
                                              "application/vnd.oci")
                          ? MT_OCI_MANIFEST
                          : MT_DOCKER_MANIFEST));
    (void)dray_blobs_has(im->blobs, manifest_digest, &g->manifest_size);
    g->size = layers_size(im, g->top);
    memcpy(id_out, g->id, sizeof g->id);
    return img_register(im, g, err);
}
