/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_variants.h - the manifests of an image: its own, and the others of the index it came from.
 *
 * An image has one platform unpacked. Content of others is here when it was loaded with the image,
 * or when another image of the same index is here.
 */
#ifndef DRAY_ENGINE_IMAGE_VARIANTS_H
#define DRAY_ENGINE_IMAGE_VARIANTS_H

#include "engine/image/image_pull.h"

struct img_variant {
    struct img_desc manifest;
    char config[DRAY_DIGEST_LEN]; /**< "" when the manifest is not here */
    struct img_platform platform; /**< empty when nobody tells it */
    bool own;                     /**< the image's own */
    bool here;                    /**< with all of its content */
    bool attestation;
    char about[DRAY_DIGEST_LEN]; /**< of an attestation: the manifest it is for, or "" */
    uint64_t content;            /**< bytes of manifest, config and layers that are here */
    struct dray_strlist blobs;   /**< config and layers, as far as known */
};

struct img_variants {
    char id[DRAY_DIGEST_LEN];
    struct img_desc index; /**< of the index; digest "" without one */
    struct img_variant *v; /**< in the order of the index; its own alone without one */
    size_t n;
    bool all_here;             /**< and the index */
    uint64_t unpacked;         /**< bytes of its own layers */
    struct dray_strlist holds; /**< containers of its own */
};

/** Look at an image, which is named by id or reference. */
int img_variants_open(struct dray_images *im, const char *ref, struct img_variants *out,
                      struct dray_err *err);
void img_variants_free(struct img_variants *vs);
static inline void img_variants_cleanup(struct img_variants *vs)
{
    img_variants_free(vs);
}
/** The one for a platform ("os/arch[/variant]") whose content is here; its own if it fits.
 *  NOTFOUND in Docker's words, which name ref. */
int img_variants_find(const struct img_variants *vs, const char *ref, const char *platform,
                      const struct img_variant **out, struct dray_err *err);
/** Is a config, or an index's description of a platform, of a platform ("os/arch[/variant]")? */
bool img_platform_is(struct json_object *described, const char *platform);
/** "Manifests" of list and inspect. */
struct json_object *img_variants_json(const struct img_variants *vs);
/** {"mediaType", "digest", "size"} */
struct json_object *img_desc_json(const struct img_desc *d);

/** Read the manifests of an index that is here, without an image of its own. own: a digest or "".
 */
int img_variants_of_index(struct dray_images *im, const struct img_desc *index, const char *own,
                          struct img_variants *out, struct dray_err *err);
/** Note the index of an image and content of others of its platforms, which the image keeps from
 * now on. The caller refers to the blobs. */
int img_keep_variants(struct dray_images *im, const char *id, const struct img_desc *index,
                      const struct dray_strlist *blobs, struct dray_err *err);
/** The opposite: content that only the variant needs leaves. */
int img_drop_variant(struct dray_images *im, const struct img_variants *vs,
                     const struct img_variant *v, struct dray_err *err);

#endif
