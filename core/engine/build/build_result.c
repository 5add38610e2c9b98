/* SPDX-License-Identifier: Apache-2.0 */
/* build_result.c - what a build has come to, kept apart from the image store: its files can be
 * exported, and other builds can start from it. */
#include "engine/build/build_priv.h"

#include <stdatomic.h>

struct dray_build_result {
    atomic_uint refs;
    struct dray_images *images;
    char id[DRAY_DIGEST_LEN];
    struct json_object *config;
    struct build_pin *pins; /* bottom first */
    size_t n;
};

struct dray_build_result *dray_build_result_ref(struct dray_build_result *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

void dray_build_result_unref(struct dray_build_result *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    for (size_t i = r->n; i > 0; i--)
        build_pin_drop(r->images, &r->pins[i - 1]);
    free(r->pins);
    json_object_put(r->config);
    free(r);
}

static void copy_pin(struct dray_images *im, const struct build_pin *from, struct build_pin *to)
{
    to->part = from->part;
    to->layer = from->layer;
    pthread_mutex_lock(&im->lock);
    img_layer_ref_locked(to->layer);
    to->blob = from->blob ? img_blob_ref_locked(im, from->blob->digest) : NULL;
    pthread_mutex_unlock(&im->lock);
}

int build_result_keep(struct build *b, const char *id, struct json_object *config,
                      struct img_layer *top, struct dray_err *err)
{
    struct dray_build_result *r = calloc(1, sizeof *r);
    size_t n = 0;
    for (const struct img_layer *l = top; l; l = l->parent)
        n++;
    if (r)
        r->pins = calloc(n + 1, sizeof *r->pins);
    if (!r || !r->pins) {
        free(r);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    atomic_init(&r->refs, 1);
    r->images = b->e->images;
    r->n = n;
    r->config = json_object_get(config);
    (void)snprintf(r->id, sizeof r->id, "%s", id);
    int rc = 0;
    const struct img_layer *l = top;
    for (size_t i = n; !rc && i > 0; i--, l = l->parent)
        rc = build_pin_copy(b, l->chain, &r->pins[i - 1], copy_pin, err);
    if (rc) {
        dray_build_result_unref(r);
        return rc;
    }
    dray_build_result_unref(*b->req->result_out);
    *b->req->result_out = r;
    return 0;
}

int build_result_use(struct build *b, const struct dray_build_result *r,
                     struct dray_build_image *out, struct dray_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < r->n; i++) {
        struct build_pin pin = {0};
        copy_pin(r->images, &r->pins[i], &pin);
        rc = build_pin_add(b, &pin, err);
    }
    if (rc)
        return rc;
    out->id = build_text(b, r->id);
    out->config = build_text(b, dray_json_text(r->config));
    out->layer = build_text(b, r->n ? r->pins[r->n - 1].part.chain : "");
    return out->id && out->config && out->layer ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

const char *dray_build_result_id(const struct dray_build_result *r)
{
    return r->id;
}

struct json_object *dray_build_result_config(const struct dray_build_result *r)
{
    return r->config;
}

int dray_build_result_image(const struct dray_build_result *r, struct dray_image *out,
                            struct dray_err *err)
{
    struct dray_images *im = r->images;
    *out = (struct dray_image){.config = json_object_get(r->config), .images = im};
    memcpy(out->id, r->id, sizeof out->id);
    if (r->n > 0) {
        pthread_mutex_lock(&im->lock);
        out->pin = r->pins[r->n - 1].layer;
        img_layer_ref_locked(out->pin);
        pthread_mutex_unlock(&im->lock);
    }
    out->top_layer = strdup(out->pin ? out->pin->id : "");
    out->storage = strdup(dray_driver_name(im->engine->storage));
    if (out->top_layer && out->storage)
        return 0;
    dray_image_release(out);
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}
