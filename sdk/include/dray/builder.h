/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builder.h - makes images from a build context.
 *
 * A builder works on the engine through the host interface "dray.build" (version 1): it asks for
 * base images, writable layers and one-off containers there, and never touches a store itself.
 */
#ifndef DRAY_BUILDER_H
#define DRAY_BUILDER_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dray_build_spec {
    uint32_t size;
    uint32_t flags;                  /**< DRAY_BUILD_* */
    struct dray_fd_borrow context;   /**< O_PATH folder: the unpacked context */
    const char *dockerfile;          /**< path within the context */
    const char *target;              /**< stage name or "" */
    const char *platform;            /**< "linux/amd64" or "" */
    const char *network;             /**< network of RUN steps, or "" */
    struct dray_strs tags;           /**< canonical references */
    struct dray_kvs args;
    struct dray_kvs labels;
    struct dray_strs cache_from;
    const char *limits;              /**< JSON text: memory, cpu, shm and ulimit fields as in the
                                          query of POST /build */
};

#define DRAY_BUILD_NO_CACHE 1u
#define DRAY_BUILD_PULL 2u
#define DRAY_BUILD_SQUASH 4u
#define DRAY_BUILD_QUIET 8u

/** Steps that a builder asks of its host, found with host->iface(host, "dray.build", 1). All ids
 *  are the host's; a layer that is not committed when the build ends is dropped. */
struct dray_build_host {
    struct dray_head head;
    /** Make the image present; *config_out is its OCI config as JSON text, *layer_out its top. */
    int32_t (*image_get)(const struct dray_call *, const char *ref, const char *platform,
                         uint32_t flags, const char **id_out, const char **config_out,
                         const char **layer_out, struct dray_err *);
    /** A writable layer on top of another; *root_out is a descriptor of its mounted root. */
    int32_t (*layer_begin)(const struct dray_call *, const char *parent, const char **layer_out,
                           struct dray_fd_take *root_out, struct dray_err *);
    /** Run a process (OCI "process" JSON) in the layer with extra mounts; output is emitted. */
    int32_t (*layer_run)(const struct dray_call *, const char *layer, const char *process,
                         struct dray_mounts mounts, const char *network, int32_t *exit_code_out,
                         struct dray_err *);
    /** Close the layer; *diff_id_out names its content. */
    int32_t (*layer_commit)(const struct dray_call *, const char *layer, const char **layer_out,
                            const char **diff_id_out, struct dray_err *);
    /** Look up and record steps: keys and values are opaque to the host. */
    int32_t (*cache_get)(const struct dray_call *, const char *key, const char **value_out,
                         struct dray_err *);
    int32_t (*cache_put)(const struct dray_call *, const char *key, const char *value,
                         struct dray_err *);
    /** Write the image; *id_out is its id. */
    int32_t (*image_put)(const struct dray_call *, const char *config, const char *top_layer,
                         struct dray_strs tags, const char **id_out, struct dray_err *);
};

struct dray_builder_ops {
    struct dray_head head;

    /** How well this builder fits the context: 0 not at all, 100 made for it. */
    int32_t (*detect)(struct dray_self *, const struct dray_call *, struct dray_fd_borrow context,
                      const char *dockerfile);
    /** Build. Emits DRAY_REC_STREAM and DRAY_REC_PROGRESS; *image_out is the image's id. */
    int32_t (*build)(struct dray_self *, const struct dray_call *, const struct dray_build_spec *,
                     const char **image_out, struct dray_err *);

    /* Optional. */

    /** Emit DRAY_REC_ITEM {"id", "type", "description", "size", "created", "last-used",
     *  "usage-count", "in-use", "shared"}. */
    int32_t (*cache_usage)(struct dray_self *, const struct dray_call *, struct dray_err *);
    /** Drop cache records; filters as in POST /build/prune. */
    int32_t (*cache_prune)(struct dray_self *, const struct dray_call *, struct dray_kvs filters,
                           uint64_t *reclaimed_out, struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
