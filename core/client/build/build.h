/* SPDX-License-Identifier: Apache-2.0 */
/* build.h - the parts of dray build: the context, its way to the daemon, the view, the results. */
#ifndef DRAY_CLIENT_BUILD_H
#define DRAY_CLIENT_BUILD_H

#include "client/cli.h"
#include "client/http.h"
#include "client/tar.h"

#include <dray/dockerignore.h>

/** Where a build's files come from. */
enum build_source {
    BUILD_FOLDER,     /**< a local folder, packed here */
    BUILD_ARCHIVE,    /**< stdin is a tar: sent as it is */
    BUILD_DOCKERFILE, /**< stdin is a Dockerfile without a context */
    BUILD_REMOTE,     /**< an URL: the daemon fetches it */
};

/** What is sent. Zero-initialised is empty; build_context_cleanup() frees it. */
struct build_context {
    enum build_source source;
    const char *where;    /**< as given: a path, an URL, "-" */
    char *dir;            /**< the folder, absolute */
    char *dockerfile;     /**< its name in the context, for the daemon */
    struct dray_buf text; /**< a Dockerfile from stdin or from outside of the folder */
    bool has_text;
    struct dray_buf text_ignore; /**< the outside Dockerfile's own ignore file */
    bool has_text_ignore;
    struct dray_ignore ignore;
    char head[512]; /**< what was read of stdin to see what it is */
    size_t n_head;
};

/** Look at PATH, URL or "-" and at -f (NULL: none). The error text is Docker's. */
int build_context_open(struct cli *cli, const char *where, const char *file,
                       struct build_context *out);
void build_context_cleanup(struct build_context *c);
/** Send the context as the chunked body of a begun request; *sent: bytes of tar. The daemon may
 *  answer before it has read all: that is no failure here. */
int build_context_send(struct cli *cli, struct build_context *c, struct http_conn *conn,
                       bool compress, int64_t *sent);

/** gzip for --compress; zlib is loaded only then (deflate.c). */
struct deflater;
int deflater_new(struct deflater **out, tar_write_fn write, void *arg, struct dray_err *err);
int deflater_write(void *deflater, const void *data, size_t n);
/** Write the end and free. */
int deflater_end(struct deflater *d);

/** How the progress is shown. */
enum build_progress { BUILD_CLASSIC, BUILD_PLAIN, BUILD_TTY, BUILD_RAW, BUILD_QUIET };

/** The outcome of the answer's stream. */
struct build_result {
    char *id;        /**< "sha256:...", or NULL */
    int exit_code;   /**< of the failed step, else 0 */
    size_t warnings; /**< findings of --check */
};
void build_result_cleanup(struct build_result *r);

/** Read the answer to its end and show it; tags are for the closing lines. -1: the build failed,
 *  the error is kept. */
int build_show(struct cli *cli, struct http_conn *conn, enum build_progress mode,
               const struct dray_strlist *tags, struct build_result *out);

/** One -o, as parsed. */
struct build_output {
    char *type; /**< "image", "docker", "oci", "tar", "local", "registry" */
    char *dest; /**< path, "-" is stdout, or NULL */
    char *name; /**< of an image, or NULL */
    bool push;
};
void build_output_cleanup(struct build_output *o);
int build_output_parse(const char *text, struct build_output *out, struct dray_err *err);
/** For the flag's check. */
int build_output_check(const char *text, struct dray_err *err);
/** Write the built image where -o says. */
int build_output_write(struct cli *cli, const struct build_output *o, const char *id,
                       const struct dray_strlist *tags);

#endif
