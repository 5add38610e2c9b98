/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builder.h - makes images from a build context.
 *
 * A builder works on the engine through the host interface "dray.build" (version 1): it asks for
 * base images there, makes layers of tars, runs steps in containers, remembers results, and never
 * touches a store itself. Layers are named by their OCI chain ids; "" is the layer below all.
 */
#ifndef DRAY_BUILDER_H
#define DRAY_BUILDER_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DRAY_BUILD_IFACE "dray.build"

#define DRAY_BUILD_NO_CACHE 1u
#define DRAY_BUILD_PULL 2u
#define DRAY_BUILD_SQUASH 4u
#define DRAY_BUILD_QUIET 8u
#define DRAY_BUILD_KEEP 16u  /**< keep the containers of steps (rm=0) */
#define DRAY_BUILD_CHECK 32u /**< only look for mistakes in the Dockerfile */
#define DRAY_BUILD_TRACE 64u /**< emit "json" records about steps, for clients that show them */
#define DRAY_BUILD_KIT 128u  /**< as BuildKit builds, where the classic builder does otherwise */

/** What POST /build asks for. */
struct dray_build_spec {
    uint32_t size;
    uint32_t flags;                /**< DRAY_BUILD_* */
    struct dray_fd_borrow context; /**< stream of the request's body: a tar in any compression, or
                                        the text of a Dockerfile; -1 when remote is set, or
                                        when it is had with context_get() */
    const char *remote;            /**< URL of a tar, a Dockerfile or a git repository, or "" */
    const char *dockerfile;        /**< path within the context */
    const char *target;            /**< stage name or number, or "" */
    const char *platform;          /**< "linux/amd64" or "" */
    struct dray_strs tags;         /**< references */
    struct dray_kvs args;          /**< --build-arg */
    struct dray_kvs labels;
    struct dray_strs cache_from;
    const char *host_config;     /**< JSON text: the limits of steps, in the shape of a container's
                                      HostConfig; part of what a step's result depends on */
    const char *network;         /**< --network, or "" */
    const char *dockerfile_text; /**< the Dockerfile itself, when it is not to be looked for in the
                                      context, which is then surely a tar: `dockerfile`
                                      only names it. Or NULL */
    const char *ignore_text;     /**< with dockerfile_text: the ignore file that the client goes by,
                                      or NULL */
    struct dray_kvs contexts;    /**< names that mean something else in this build, also when they
                                      are names of stages: image_get() knows what; values are for
                                      people */
    struct dray_strs no_cache;   /**< names of stages that do without the cache */
    const char *request;         /**< "outline", "targets": only tell of the Dockerfile, in an
                                      object "described" {"result", "text"}; or NULL */
};

/** An image that is present. */
struct dray_build_image {
    uint32_t size;
    uint32_t reserved;
    const char *id;     /**< "sha256:..."; "" is a folder that the client gives in its place */
    const char *config; /**< OCI image config as JSON text */
    const char *layer;  /**< its top layer */
};

/** A finished layer. */
struct dray_build_layer {
    uint32_t size;
    uint32_t empty;      /**< nothing had changed: layer is the parent */
    const char *layer;   /**< its name: depends on its content and what lies below only */
    const char *diff_id; /**< digest of its plain tar; "" when empty */
    uint64_t bytes;      /**< of file content */
};

enum dray_build_mount_type {
    DRAY_BUILD_MOUNT_LAYER = 1, /**< a path of a layer */
    DRAY_BUILD_MOUNT_CACHE = 2, /**< a folder that is kept between builds */
    DRAY_BUILD_MOUNT_TMPFS = 3,
    DRAY_BUILD_MOUNT_SECRET = 4, /**< a file */
    DRAY_BUILD_MOUNT_SSH = 5,    /**< a socket of the client's agent */
};

#define DRAY_BUILD_MOUNT_RDONLY 1u
#define DRAY_BUILD_MOUNT_REQUIRED 2u /**< a secret or agent that the client lacks is an error */

enum dray_build_sharing {
    DRAY_BUILD_SHARED = 0,
    DRAY_BUILD_PRIVATE = 1, /**< another folder while it is in use */
    DRAY_BUILD_LOCKED = 2,  /**< waits while it is in use */
};

/** One mount of a step. What does not apply to the type is zero or "". */
struct dray_build_mount {
    uint32_t size;
    uint32_t type;      /**< enum dray_build_mount_type */
    uint32_t flags;     /**< DRAY_BUILD_MOUNT_* */
    uint32_t sharing;   /**< cache */
    const char *target; /**< absolute; made when it is missing, and removed again */
    const char *id;     /**< cache, secret, ssh */
    const char *layer;  /**< layer; cache: its first content, "" is none */
    const char *path;   /**< within the layer, resolved as if that were the root */
    const char *env; /**< secret: a variable that gets it; ssh: one that names the socket; or "" */
    uint32_t mode, uid, gid;
    uint32_t reserved;
    uint64_t bytes; /**< tmpfs: size, 0 for the default */
};

#define DRAY_BUILD_RUN_INSECURE 1u /**< privileged; refused unless the daemon allows it */

/** One command of a build. */
struct dray_build_run {
    uint32_t size;
    uint32_t flags;      /**< DRAY_BUILD_RUN_* */
    const char *parent;  /**< layer */
    const char *config;  /**< JSON text in the shape of a container's Config: Cmd, Entrypoint,
                              Env, User, WorkingDir, ... */
    const char *image;   /**< what the container shows as its image */
    const char *network; /**< "" the build's; "none", "host", ... */
    const struct dray_build_mount *mounts;
    uint64_t n_mounts;
    struct dray_fd_borrow cancel; /**< readable: end it; -1 is none. The call's counts as well */
    struct dray_fd_borrow output; /**< stream socket: gets the container's id and a newline, then
                                       both outputs as they come */
    int64_t clamp_s;              /**< later times of files become this one; -1: no limit */
};

struct dray_build_ran {
    uint32_t size;
    int32_t exit_code;
    struct dray_build_layer layer; /**< when exit_code is 0 */
    const char *container;         /**< id */
};

/** A result to be remembered. */
struct dray_build_record {
    uint32_t size;
    uint32_t reserved;
    const char *layer;       /**< what must be kept with it */
    const char *value;       /**< the builder's own text */
    const char *description; /**< for people: "RUN make" */
    const char *parent;      /**< key of the step before, or "" */
};

/**
 * Services found with host->iface(host, DRAY_BUILD_IFACE, 1), for use during build() of the call
 * that is given. All may block, and may be called from any thread of the build until build()
 * returns; the same holds for host->emit. Strings that come out live until build() returns. Layers
 * that came out are kept as long.
 */
struct dray_build_host {
    struct dray_head head;
    /** Make an image present: look for it, or pull it, always when flags has DRAY_BUILD_PULL.
     *  Progress of a pull goes to the client. */
    int32_t (*image_get)(const struct dray_call *, const char *ref, const char *platform,
                         uint32_t flags, struct dray_build_image *out, struct dray_err *);
    /** A new layer on top of parent from a plain layer tar, read to its end. */
    int32_t (*layer_make)(const struct dray_call *, const char *parent, struct dray_fd_borrow tar,
                          struct dray_build_layer *out, struct dray_err *);
    /** The changes of all layers of top above base, as one. */
    int32_t (*layer_squash)(const struct dray_call *, const char *top, const char *base,
                            struct dray_build_layer *out, struct dray_err *);
    /** A folder that shows a layer with all below it, read only. Resolve paths in it with
     *  openat2(RESOLVE_IN_ROOT) only. */
    int32_t (*layer_open)(const struct dray_call *, const char *layer,
                          struct dray_fd_take *root_out, struct dray_err *);
    /** Run a command on top of a layer, in a container like any other. A command that fails is no
     *  error: exit_code tells. */
    int32_t (*run)(const struct dray_call *, const struct dray_build_run *,
                   struct dray_build_ran *out, struct dray_err *);
    /** A remembered result with all its layers: NOTFOUND. value and layer are set in *out. */
    int32_t (*cache_get)(const struct dray_call *, const char *key, struct dray_build_record *out,
                         struct dray_err *);
    /** Remember, or replace. Survives the daemon's death from the moment it returns. */
    int32_t (*cache_put)(const struct dray_call *, const char *key,
                         const struct dray_build_record *, struct dray_err *);
    /** Write the image and name it. config is an OCI image config whose rootfs lists the diff ids
     *  of top's layers; *id_out is its id. parent: id of the image it was made from, or "". */
    int32_t (*image_put)(const struct dray_call *, const char *config, const char *top,
                         const char *parent, struct dray_strs tags, const char **id_out,
                         struct dray_err *);
    /** Only name an image that is there. */
    int32_t (*image_tag)(const struct dray_call *, const char *id, struct dray_strs tags,
                         const char **id_out, struct dray_err *);
    /** The whole name of an image: "docker.io/library/busybox:latest" of "busybox". The URL when it
     *  names a context afar, which image_get() does not know: the builder fetches it. */
    int32_t (*image_name)(const struct dray_call *, const char *ref, const char **name_out,
                          struct dray_err *);
    /** The context, when spec->context is -1 and spec->remote is "": a descriptor from which a tar
     *  is read, of what the paths name (as COPY's sources do, with wildcards), of all without any.
     *  Not asked for, it is not sent. A plain file holds a plain tar, and is not changed. */
    int32_t (*context_get)(const struct dray_call *, struct dray_strs paths,
                           struct dray_fd_take *tar_out, struct dray_err *);
};

struct dray_builder_ops {
    struct dray_head head;

    /** How well this builder fits: 0 not at all, 100 made for it. Nothing may be read from the
     *  context. */
    int32_t (*detect)(struct dray_self *, const struct dray_call *, const struct dray_build_spec *);
    /**
     * Build. Emits DRAY_REC_STREAM with "text" (shown as it is) or "json" (one object of the
     * answer's stream, as text). *image_out is the image's id; "" for DRAY_BUILD_CHECK.
     */
    int32_t (*build)(struct dray_self *, const struct dray_call *, const struct dray_build_spec *,
                     const char **image_out, struct dray_err *);

    /* Optional: what a builder keeps besides the host's cache. */

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
