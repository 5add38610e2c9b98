/* SPDX-License-Identifier: Apache-2.0 */
/*
 * images.h - the image store: content-addressed blobs, references, unpacked layers.
 *
 * An image id is the digest of its config blob. Layers are unpacked into the storage driver under
 * an id of our own, recorded by chain id once complete.
 */
#ifndef DRAY_ENGINE_IMAGES_H
#define DRAY_ENGINE_IMAGES_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/strlist.h"

#include <dray/registry.h>
#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_engine;
struct dray_filters;
struct dray_images;
struct dray_userns;
struct img_layer;
struct json_object;

int dray_images_open(struct dray_engine *e, struct dray_images **out, struct dray_err *err);
/** Drop half-made layers and blobs; layers of `containers` (writable, storage ids) are kept. */
int dray_images_collect(struct dray_images *im, struct dray_strs containers, struct dray_err *err);
void dray_images_close(struct dray_images *im);

/** What a container needs to know of its image. */
struct dray_image {
    char id[DRAY_DIGEST_LEN];
    struct json_object *config; /* the OCI image config, owned: dray_image_release() */
    char *top_layer;            /* storage layer id to use as parent, "" for an empty image */
    char *storage;              /* storage driver that holds it */
    char *manifest;             /* digest of its manifest, or NULL */

    struct dray_images *images; /* private */
    struct img_layer *pin;      /* private: keeps the layers until the release */
};

/** The image of this id that a container holds, also when it was removed by force since. */
int dray_images_get_held(struct dray_images *im, const char *id, struct dray_image *out,
                         struct dray_err *err);
/** Find by id, unique id prefix, or reference, and load. NOTFOUND: "No such image: X". */
int dray_images_get(struct dray_images *im, const char *ref, struct dray_image *out,
                    struct dray_err *err);
void dray_image_release(struct dray_image *image);
/** Is what is known as `ref` of a platform ("os/arch[/variant]"), by whichever of its names? INVAL:
 *  that is the name of none; NOTFOUND: no. */
int dray_image_check_platform(const struct dray_image *image, const char *ref, const char *platform,
                              struct dray_err *err);
/** Add to ids the image that ref names and all that were made from it; none when it names none. */
int dray_images_descendants(struct dray_images *im, const char *ref, struct dray_strlist *ids,
                            struct dray_err *err);
static inline void dray_image_cleanup(struct dray_image *image)
{
    dray_image_release(image);
}

/**
 * The read-only layer between an image and its containers, which holds the mount points that every
 * container gets (/dev, /proc, /sys, /etc/hosts, ...), so that they are in no container's changes.
 * Made once per image, removed with the image's top layer. *id_out: its storage id, the caller's.
 */
int dray_images_init_layer(struct dray_images *im, const struct dray_image *image, char **id_out,
                           struct dray_err *err);

/** Write all files of an image as a tar, as they are in a container that was never made. */
int dray_image_export(const struct dray_image *image, int out_fd, struct dray_err *err);

/** A read-only look at all of an image's files: *fd_out is a detached mount or a plain folder. Ids
 *  are as containers in the user namespace need them; NULL: as they are. */
int dray_image_view(const struct dray_image *image, struct dray_userns *u, int *fd_out,
                    struct dray_err *err);

/** Count a container's use of an image, so that it is not removed under it. Not persistent: the
 *  container part calls it again for each container at start. */
int dray_images_hold(struct dray_images *im, const char *image_id, const char *container_id,
                     struct dray_err *err);
void dray_images_unhold(struct dray_images *im, const char *image_id, const char *container_id);

/** One line of a progress stream goes to fn as an object it may keep; nonzero cancels. */
typedef int (*dray_progress_fn)(void *ctx, struct json_object *line /* takes */);

struct dray_pull_req {
    const char *ref;              /* as the user wrote it */
    const char *platform;         /* "linux/arm64/v8", or NULL for this machine */
    const struct dray_auth *auth; /* or NULL */
    bool all_tags;
    int cancel_fd; /* readable when the client has gone; -1 */
};
/** Pull; progress as Docker streams it. */
int dray_images_pull(struct dray_images *im, const struct dray_pull_req *req, dray_progress_fn fn,
                     void *ctx, struct dray_err *err);

struct dray_commit_req {
    const char *parent_image;   /* id or NULL */
    const char *storage;        /* driver name */
    const char *layer;          /* storage id whose diff becomes the new layer; NULL: none */
    const char *layer_parent;   /* storage id of its parent, "" */
    const char *container;      /* its id */
    struct json_object *config; /* Docker "Config" object of the new image */
    const char *author, *comment, *created_by;
    const char *ref; /* tag for it, or NULL */
};
/** Make an image from a container's changes; id_out is the image id. */
int dray_images_commit(struct dray_images *im, const struct dray_commit_req *req,
                       char id_out[DRAY_DIGEST_LEN], struct dray_err *err);

/** Bytes of an image's unpacked layers; 0 when unknown. */
uint64_t dray_images_size(struct dray_images *im, const char *image_id);
/** Apply one Dockerfile instruction of `changes` (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD,
 * USER, VOLUME, WORKDIR, STOPSIGNAL, HEALTHCHECK) to a Config object. Others: DRAY_E_INVAL. */
int dray_image_config_change(struct json_object *config, const char *instruction,
                             struct dray_err *err);

/** Does this name (or id, or the start of one) stand for the image of that id now? */
bool dray_images_is(struct dray_images *im, const char *ref, const char *image_id);
/** Number of images, for info. */
uint64_t dray_images_count(struct dray_images *im);
/** Point a name ("repo[:tag]") to an image, which is named by id or reference. Emits "tag". */
int dray_images_tag(struct dray_images *im, const char *image, const char *name,
                    struct dray_err *err);

struct dray_images_list_req {
    bool all, shared_size, manifests;
    bool usage;                         /* for GET /system/df */
    const struct dray_filters *filters; /* dangling, label, before, since, until, reference */
    int api_version;
};
/** Array in the shape of GET /images/json, newest first. */
int dray_images_list(struct dray_images *im, const struct dray_images_list_req *req,
                     struct json_object **out, struct dray_err *err);
struct dray_images_inspect_req {
    const char *ref;
    const char *platform; /* "os/arch[/variant]" of those in its index that are here, or NULL */
    bool manifests;
    int api_version;
};
/* Platforms that are not here: NOTFOUND in Docker's words, in all that follows. */
int dray_images_inspect(struct dray_images *im, const struct dray_images_inspect_req *req,
                        struct json_object **out, struct dray_err *err);
/** platform: as above. */
int dray_images_history(struct dray_images *im, const char *ref, const char *platform,
                        struct json_object **out, struct dray_err *err);
/** *out: array of {"Untagged"} and {"Deleted"}. CONFLICT in Docker's words. platforms: only
 *  these; what is left of the image must be able to do without them. None: the image. */
int dray_images_remove(struct dray_images *im, const char *ref, struct dray_strs platforms,
                       bool force, bool prune, struct json_object **out, struct dray_err *err);
/** Filters: dangling (default true), until, label, label!. *out: {"ImagesDeleted",
 *  "SpaceReclaimed"}. */
int dray_images_prune(struct dray_images *im, const struct dray_filters *f,
                      struct json_object **out, struct dray_err *err);
/** Bytes of all unpacked layers, each counted once. */
uint64_t dray_images_layers_size(struct dray_images *im);

struct dray_push_req {
    const char *name;             /* repository, as the user wrote it */
    const char *tag;              /* "" or NULL: all tags */
    const char *platform;         /* only this one, or NULL: the index if all of it is here */
    const struct dray_auth *auth; /* or NULL */
    int cancel_fd;
};
int dray_images_push(struct dray_images *im, const struct dray_push_req *req, dray_progress_fn fn,
                     void *ctx, struct dray_err *err);
/** Take images from a docker-archive or an OCI layout, plain or compressed, read from fd. */
struct dray_load_req {
    int fd;
    bool quiet;
    const char *platform; /* of an index only this one, or NULL: all that the archive has */
    int cancel_fd;
};
int dray_images_load(struct dray_images *im, const struct dray_load_req *req, dray_progress_fn fn,
                     void *ctx, struct dray_err *err);
/** Are all the names known, do all have the platform (or NULL)? For the answer's status before the
 *  first byte. */
int dray_images_save_check(struct dray_images *im, struct dray_strs names, const char *platform,
                           struct dray_err *err);
/** Write images as a docker-archive that is an OCI layout as well. platform NULL: of an image whose
 *  index is here with all of its platforms, all of it. */
int dray_images_save(struct dray_images *im, struct dray_strs names, const char *platform,
                     int out_fd, struct dray_err *err);
/** Array as GET /images/search has it. Filters: is-official, is-automated, stars. */
int dray_images_search(struct dray_images *im, const char *term, uint32_t limit,
                       const struct dray_filters *f, const struct dray_auth *auth,
                       struct json_object **out, struct dray_err *err);
/** {"Descriptor", "Platforms"} of a reference in its registry. */
int dray_images_distribution(struct dray_images *im, const char *ref, const struct dray_auth *auth,
                             int cancel_fd, struct json_object **out, struct dray_err *err);

struct dray_import_req {
    int fd;                          /* the tar, plain or compressed; read to its end */
    const char *repo;                /* "name[:tag]" for it, or NULL */
    const char *message;             /* or NULL */
    const char *platform;            /* "os[/arch[/variant]]", or NULL */
    const char *source;              /* where it came from, for the history: "-" or a URL */
    const struct dray_strs *changes; /* Dockerfile instructions, or NULL */
    int cancel_fd;
    /* Asked after the end of fd: did all of it come? NULL: yes. */
    int (*complete)(void *ctx, struct dray_err *err);
    void *ctx;
};
/** Make an image of one layer from a tar of a root file system. */
int dray_images_import(struct dray_images *im, const struct dray_import_req *req,
                       char id_out[DRAY_DIGEST_LEN], struct dray_err *err);

#endif
