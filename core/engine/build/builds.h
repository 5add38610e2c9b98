/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builds.h - image builds: finds the builder, serves it, remembers the results of steps.
 *
 * A build is one call of a builder driver (<dray/builder.h>). What it makes is kept in the build
 * cache, which refers to layers as images do, until it is pruned.
 */
#ifndef DRAY_ENGINE_BUILDS_H
#define DRAY_ENGINE_BUILDS_H

#include <dray/builder.h>
#include <dray/registry.h>
#include <dray/util.h>
#include <stdbool.h>

struct dray_buf;
struct dray_builds;
struct dray_engine;
struct dray_filters;
struct dray_image;
struct json_object;

/** The table behind DRAY_BUILD_IFACE, for dray_drivers_open(). */
extern const struct dray_build_host dray_builds_iface;

/** Read the cache, before unused layers are collected. */
int dray_builds_open(struct dray_engine *e, struct dray_builds **out, struct dray_err *err);
void dray_builds_close(struct dray_builds *bs);

/** One line of the answer's stream: an object as text. Any thread of the build; nonzero cancels. */
typedef int (*dray_build_line_fn)(void *ctx, const char *json, size_t len);
/** Credentials for a registry, or NULL. */
typedef const struct dray_auth *(*dray_build_auth_fn)(void *ctx, const char *host);

/** What a client lends while its build runs. Any thread of the build. */
struct dray_build_lender {
    /** Append a secret: 1, 0 when the client has none of this id, or an error. */
    int (*secret)(void *ctx, const char *id, struct dray_buf *out, struct dray_err *err);
    bool (*has_agent)(void *ctx, const char *id);
    /** Connect fd with the client's ssh agent; false: it could not. */
    bool (*agent)(void *ctx, const char *id, int fd /* takes */);
    /** Write the folder that the client has under a name, as a tar, to fd (borrowed). */
    int (*folder)(void *ctx, const char *name, int fd, struct dray_err *err);
    /** The context as a tar, or what of it these paths name; none: all. *fd_out is the caller's. */
    int (*context)(void *ctx, struct dray_strs paths, int *fd_out, struct dray_err *err);
};

/**
 * What a build has made, whether it is an image of the store or not. Keeps its layers.
 */
struct dray_build_result;
struct dray_build_result *dray_build_result_ref(struct dray_build_result *r);
void dray_build_result_unref(struct dray_build_result *r);
const char *dray_build_result_id(const struct dray_build_result *r);
/** OCI image config; borrowed. */
struct json_object *dray_build_result_config(const struct dray_build_result *r);
/** A look at its files; release it with dray_image_release(). */
int dray_build_result_image(const struct dray_build_result *r, struct dray_image *out,
                            struct dray_err *err);

/** The result of another build, that a context is made of. */
struct dray_build_input {
    const char *name;
    struct dray_build_result *result;
};

struct dray_build_req {
    struct dray_build_spec spec;
    dray_build_line_fn line;
    dray_build_auth_fn auth;
    void *ctx;           /* of all */
    const char *session; /* under which the client has lent secrets and agents; or NULL */
    const struct dray_build_lender *lender; /* asked instead; or NULL */
    /* What names of images mean instead, all build_context_valid(): "docker-image://REF",
     * "local:NAME" for a folder of the lender's, "input:NAME" for one of the inputs, or the URL of
     * a file or a repository. */
    struct dray_kvs contexts;
    const struct dray_build_input *inputs;
    size_t n_inputs;
    struct dray_build_result **result_out;   /* also give the result, the caller's; or NULL */
    bool unlisted;                           /* with result_out: the store gets no image, no name */
    bool allow_insecure, allow_host_network; /* what its Dockerfile may ask for */
    int cancel_fd;
};
/** Is it a context that a build can be given under a name? */
bool build_context_valid(const char *value);
/** Run a build. image_out: id of the image, "" when only mistakes were looked for. */
int dray_builds_run(struct dray_builds *bs, const struct dray_build_req *req, char image_out[72],
                    struct dray_err *err);

/**
 * A client lends to a build what it names with the same session: secrets, put before the build, and
 * connections to its ssh agent, which are waited for. All is forgotten when the build ends, or ten
 * minutes after it was put when no build comes.
 */
int dray_builds_secret_put(struct dray_builds *bs, const char *session, const char *id,
                           const void *data, size_t len, struct dray_err *err);
/** The build finds the agent from now on: called before the client hears that it may build. */
int dray_builds_agent_offer(struct dray_builds *bs, const char *session, const char *id,
                            struct dray_err *err);
/** Wait until something in the build wants the agent; *fd_out is that end, the caller's. sock is
 *  the client's, which is watched. CANCELED when the build or the client ends. */
int dray_builds_agent_wait(struct dray_builds *bs, const char *session, const char *id, int sock,
                           int *fd_out, struct dray_err *err);

/**
 * Contexts that clients have sent are kept under keys of theirs, in files that are replaced, never
 * changed. They are part of the build cache.
 */
/** A file without a name. */
int dray_builds_kept_new(struct dray_builds *bs, int *fd_out, struct dray_err *err);
/** Keep such a file (borrowed) in place of what had the key; what fails is logged. */
void dray_builds_kept_put(struct dray_builds *bs, const char *key, int fd);
/** The file of a key, for reading; negative: there is none. */
int dray_builds_kept_open(struct dray_builds *bs, const char *key);
/** It was used. */
void dray_builds_kept_touch(struct dray_builds *bs, const char *key);

/** Array in the shape of BuildCache in GET /system/df. */
int dray_builds_usage(struct dray_builds *bs, struct json_object **out, struct dray_err *err);
/** What POST /build/prune asks for; *out: {"CachesDeleted","SpaceReclaimed"}. keep: bytes that may
 *  stay; all: also what images use. */
int dray_builds_prune(struct dray_builds *bs, const struct dray_filters *f, bool all, int64_t keep,
                      struct json_object **out, struct dray_err *err);

#endif
