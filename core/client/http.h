/* SPDX-License-Identifier: Apache-2.0 */
/* http.h - a small HTTP/1.1 client: keep-alive, chunks both ways, upgraded raw streams. */
#ifndef DRAY_CLIENT_HTTP_H
#define DRAY_CLIENT_HTTP_H

#include "base/buf.h"

#include <dray/util.h>
#include <stdbool.h>
#include <sys/types.h>

/** Where and how to connect. Strings are borrowed. */
struct http_target {
    const char *host; /**< "unix:///run/dray.sock", "tcp://h:2375", "ssh://user@h" */
    bool tls;
    bool verify;
    const char *ca, *cert, *key; /**< files, may be NULL */
    const char *server_name;     /**< to verify instead of the host's name, or NULL */
};

/** The ways of bytes below HTTP; plain descriptors leave ops NULL. */
struct http_ops {
    ssize_t (*read)(void *state, void *buf, size_t n);
    ssize_t (*write)(void *state, const void *buf, size_t n);
    bool (*pending)(void *state);
    void (*end)(void *state); /**< half-close */
    void (*free)(void *state);
};

struct http_conn {
    int fd;
    const struct http_ops *ops;
    void *state;
    pid_t helper; /**< the ssh program, or 0 */
    const char *host_header;
    /* reply */
    int status;
    struct dray_buf head; /**< header lines, lower-cased names */
    bool chunked, keep, until_close, done;
    int64_t left; /**< bytes of the body or of the chunk that are still to come */
    bool first_chunk;
    /* received and not yet used */
    char *in;
    size_t in_pos, in_len;
};

#define HTTP_IN_SIZE 65536

/** Connect. The error text is Docker's "Cannot connect to the Dray daemon at ...". */
int http_dial(const struct http_target *t, struct http_conn **out, struct dray_err *err);
void http_close(struct http_conn *c);

/** Send a request: head and, unless body is NULL, a JSON body. extra: more header lines or NULL. */
int http_send(struct http_conn *c, const char *method, const char *path, const char *extra,
              const char *body, size_t body_len, struct dray_err *err);
/** Read the status line and headers; c->status is set. */
int http_reply(struct http_conn *c, struct dray_err *err);
/** A header of the reply by lower-case name, copied into out; false if absent. */
bool http_header(const struct http_conn *c, const char *name, char *out, size_t n);
/** Some bytes of the body; 0 at its end, -1 on a broken connection. */
ssize_t http_read(struct http_conn *c, void *buf, size_t n);
/** Read the rest of the body into out, at most max bytes. */
int http_read_all(struct http_conn *c, struct dray_buf *out, size_t max, struct dray_err *err);
/** Send a piece of a chunked request body; n 0 ends it. */
int http_send_chunk(struct http_conn *c, const void *data, size_t n, struct dray_err *err);
/** May the connection carry another request? */
bool http_reusable(const struct http_conn *c);

/* After a hijack: the raw stream. */

ssize_t http_raw_read(struct http_conn *c, void *buf, size_t n);
ssize_t http_raw_write(struct http_conn *c, const void *buf, size_t n);
/** Bytes are there without the descriptor being readable. */
bool http_raw_pending(const struct http_conn *c);
void http_raw_end(struct http_conn *c);

/** Put a TLS session on a connected descriptor (tls.c). */
int http_tls_start(struct http_conn *c, const struct http_target *t, const char *name,
                   struct dray_err *err);

/** Append text with all but unreserved characters percent-encoded. */
void http_escape(struct dray_buf *b, const char *text);

#endif
