/* SPDX-License-Identifier: Apache-2.0 */
/* image_save.h - the insides of saving, for image_save*.c. */
#ifndef DRAY_ENGINE_IMAGE_SAVE_H
#define DRAY_ENGINE_IMAGE_SAVE_H

#include "engine/image/image_variants.h"

/** An image as the archive has it. */
struct img_saved {
    char id[DRAY_DIGEST_LEN]; /* of its config */
    struct img_desc root;     /* what index.json names */
    struct img_part *parts;   /* digest, diff, chain and size alone */
    size_t n_parts;
    char parent[DRAY_DIGEST_LEN]; /* the image that it was made from, or "" */
    bool whole;                   /* with its index, and blobs as they came */
    struct dray_strlist tags;     /* familiar */
    int64_t created;              /* seconds */
};

/* --- image_save_pick.c ------------------------------------------------------------------------*/

/** A repository means all its tags; anything else means itself. */
void img_save_expand(struct dray_images *im, struct dray_strs names, struct dray_strlist *out);
/** What a name means: id, tags, parts, whole. platform: the one that is saved, or NULL for what
 *  there is. vs: the image's platforms. The caller frees both, also after a failure. */
int img_save_pick(struct dray_images *im, const char *name, const char *platform,
                  struct img_variants *vs, struct img_saved *out, struct dray_err *err);
int img_saved_set_root(struct img_saved *g, const struct img_desc *d, struct dray_err *err);
void img_saved_free(struct img_saved *g);

/* --- image_save_check.c -----------------------------------------------------------------------*/

struct img_save_check;
/** Begin to verify what parts are written from; see img_plain_check(). parts stay the caller's. */
int img_save_check_begin(struct dray_images *im, const struct img_part *parts, size_t n,
                         struct img_save_check **out, struct dray_err *err);
/** Wait for the end, or stop. What is wrong with the parts, or CANCELED. Frees. */
int img_save_check_end(struct img_save_check *c, bool stop, struct dray_err *err);

/* --- image_save_tables.c ----------------------------------------------------------------------*/

/** Descriptor of a part as a plain tar. */
struct json_object *img_plain_desc(const struct img_part *p);
/** Manifest with plain layers. */
struct json_object *img_plain_manifest(const struct img_saved *g, uint64_t config_size);
/** What the files are named after. */
struct json_object *img_saved_index(const struct img_saved *v, size_t n);
struct json_object *img_saved_names(const struct img_saved *v, size_t n);
struct json_object *img_saved_repositories(const struct img_saved *v, size_t n);

#endif
