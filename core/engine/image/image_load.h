/* SPDX-License-Identifier: Apache-2.0 */
/* image_load.h - the insides of loading, for image_load*.c. */
#ifndef DRAY_ENGINE_IMAGE_LOAD_H
#define DRAY_ENGINE_IMAGE_LOAD_H

#include "engine/image/image_variants.h"

#define IMG_SPOOL_PREFIX "load-" /**< of folders in tmp/ */

/** One archive, its files spooled into a folder of ours under numbers. */
struct img_load {
    struct dray_images *im;
    int dir;                   /* the folder */
    char name[48];             /* its name in data_root */
    struct json_object *files; /* path -> number as text, "@path" of a link, "#digest" of a blob */
    unsigned n;
    dray_progress_fn fn;
    void *ctx;
    int cancel_fd;
    const char *platform;   /* only this one of an index, or NULL */
    bool quiet;             /* no bars */
    bool last;              /* no image after this one needs the files */
    struct img_blob **held; /* blobs that are used until the end */
    size_t n_held;
    struct img_ahead *ahead; /* unpacks what has come in, or NULL */
};

/** Read the archive from fd: its files are found by img_load_find() from then on. Blobs that are no
 *  plain tars are in the store, verified, and held. */
int img_load_spool(struct img_load *l, int fd, struct dray_err *err);
/** "blobs/sha256/<hex>": the digest that it must have. */
bool img_load_blob_path(const char *path, char digest[DRAY_DIGEST_LEN]);
/** Follow the archive's links: the number of a file or "#digest" of a blob; NULL: not there. */
const char *img_load_find(struct img_load *l, const char *path);
/** Open a file of the archive; -1 when it is not there. */
int img_load_open(struct img_load *l, const char *path);
/** A JSON document of the archive. NOTFOUND: it is not there. */
int img_load_doc(struct img_load *l, const char *path, struct json_object **out,
                 struct dray_buf *raw, struct dray_err *err);
/* --- image_load_names.c -----------------------------------------------------------------------*/

/** A line of what comes out: fmt and what. */
int img_load_say(struct img_load *l, const char *fmt, const char *what);
/** Give an image the name that the archive has for it. */
int img_load_name(struct img_load *l, const char *name, const char *id, struct dray_err *err);
/** Of images that were made from another in the archive, remember which; names: manifest.json. */
void img_load_parents(struct img_load *l, struct json_object *names);

/** Refer to a blob until the end. takes b's reference. */
int img_load_hold(struct img_load *l, struct img_blob *b, struct dray_err *err);

#endif
