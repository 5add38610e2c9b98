/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kit.h - builds of clients that speak BuildKit's protocol.
 *
 * Such a client opens a session: a connection over which we are the client, and ask for its files,
 * secrets, agents and credentials while we build. It starts builds with POST /build?version=2, or
 * over a connection on which it calls us (POST /grpc).
 */
#ifndef DRAY_KIT_KIT_H
#define DRAY_KIT_KIT_H

#include <dray/builder.h>
#include <dray/util.h>
#include <stdbool.h>

struct dray_build_input;
struct dray_build_result;
struct dray_engine;
struct dray_kit;
struct dray_buf;
struct json_object;

int dray_kit_open(struct dray_engine *e, struct dray_kit **out, struct dray_err *err);
/** When no session, build or connection is left. */
void dray_kit_close(struct dray_kit *k);

/** How a client introduces its session. */
struct dray_kit_hello {
    const char *id;
    struct dray_strs methods; /**< "/package.Service/Method" that it serves */
    const char *shared_key;   /**< what its folders have in common with those of sessions before and
                                 after it; or NULL */
};
/** May this session begin? INVAL, or CONFLICT when its id is in use. */
int dray_kit_session_check(struct dray_kit *k, const struct dray_kit_hello *hello,
                           struct dray_err *err);
/** Serve a session until it ends or stop_fd is readable. sock is borrowed. */
int dray_kit_session_run(struct dray_kit *k, const struct dray_kit_hello *hello, int sock,
                         int stop_fd, struct dray_err *err);

/** A place of the client's that the result is sent to. */
struct dray_kit_output {
    const char *type; /**< "local", "tar"; others are refused */
    const char *id;   /**< the client's name of it when it has several, or NULL */
};

/** A piece of progress: a StatusResponse of BuildKit's. Any thread of the build, one at a time;
 *  nonzero: nobody looks any more. */
typedef int (*dray_kit_status_fn)(void *ctx, const void *message, size_t len);

/** What the builder says beside its steps: the kind "place" is where in the Dockerfile the build
 *  has failed, "finding" and "check" are what DRAY_BUILD_CHECK gives, "described" is what
 *  a request gives. As the status, before
 *  dray_kit_build() returns. */
typedef void (*dray_kit_said_fn)(void *ctx, const char *kind, struct json_object *o);

struct dray_kit_build {
    struct dray_build_spec spec; /**< its context is -1 unless it comes over HTTP */
    const char *session;         /**< id; "" is none */
    const char *id;              /**< of the build, for dray_kit_cancel() and uploads; or "" */
    const char *context_dir;     /**< the client's folder with the context: its name, or NULL */
    const char *dockerfile_dir;  /**< the same of the Dockerfile; NULL: it is in the context */
    const char *context_url;     /**< the context is what the client serves under it, or NULL */
    struct dray_kvs contexts;    /**< named contexts, as in struct dray_build_req */
    bool upload;                 /**< the context comes with dray_kit_upload() */
    bool allow_insecure, allow_host_network;
    const struct dray_build_input *inputs; /**< results that contexts name */
    size_t n_inputs;
    const struct dray_kit_output *outputs;
    size_t n_outputs;
    bool unlisted;                         /**< no image stays here */
    struct dray_build_result **result_out; /**< the caller's; or NULL */
    dray_kit_status_fn status;
    dray_kit_said_fn said; /**< or NULL */
    void *ctx;
    int cancel_fd;
};
/** Build. image_out: id of the image; "" when it is unlisted. */
int dray_kit_build(struct dray_kit *k, const struct dray_kit_build *req, char image_out[72],
                   struct dray_err *err);
/** Serve a client that calls us over sock (borrowed), until it ends or stop_fd is readable. */
int dray_kit_serve(struct dray_kit *k, int sock, int stop_fd, struct dray_err *err);
/** End the builds of this id; without any nothing happens. */
void dray_kit_cancel(struct dray_kit *k, const char *id);
/** A context for the build of this id: waits until the build has taken fd (borrowed) and has ended.
 *  TIMEOUT when no such build comes. */
int dray_kit_upload(struct dray_kit *k, const char *id, int fd, int cancel_fd,
                    struct dray_err *err);

#endif
