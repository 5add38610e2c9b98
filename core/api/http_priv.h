/* SPDX-License-Identifier: Apache-2.0 */
/* http_priv.h - the inside of a request and of the server, for the files of core/api that move
 * bytes. */
#ifndef DRAY_API_HTTP_PRIV_H
#define DRAY_API_HTTP_PRIV_H

#include "api/http.h"
#include "api/server.h"
#include "api/uri.h"
#include "base/buf.h"
#include "base/strlist.h"
#include "kit/kit.h"

#include <microhttpd.h>
#include <pthread.h>
#include <sys/uio.h>

#define DRAY_HTTP_JSON_MAX ((size_t)32 << 20)
#define DRAY_API_MIN 124
#define DRAY_API_MAX 151
#define DRAY_API_MAX_TEXT "1.51"
#define DRAY_API_MIN_TEXT "1.24"
#define DRAY_THREAD_STACK ((size_t)512 << 10)

enum dray_http_state {
    DRAY_HTTP_OPEN,      /* not yet answered */
    DRAY_HTTP_REPLIED,   /* the answer is stored, or sent when raw */
    DRAY_HTTP_STREAMING, /* head and some of the body are sent */
    DRAY_HTTP_HIJACKED,  /* head is sent, the socket is the handler's */
};

/* The body of a DRAY_ROUTE_BODY route on its way from the server's thread to the handler's. */
struct dray_upload {
    pthread_t thread;
    bool started, ended;
    int feed;  /* server's end of a socketpair */
    int taken; /* handler's end */
};

struct dray_http {
    struct dray_server *server;
    struct MHD_Connection *conn;
    struct dray_http *prev, *next; /* server->lock */
    bool listed;

    char *target; /* as it came: path and query */
    uint32_t method;
    int version;
    bool http10;
    bool close;        /* the connection ends with the answer */
    bool plain_errors; /* the client is of a time before errors were JSON */
    struct dray_uri uri;
    const struct dray_route *route;
    struct dray_kvlist params;
    bool begun;
    int64_t discard_until; /* the answer is out, the rest of the body is read away; 0: no */
    struct dray_err early; /* code != 0: found wrong before the body came */

    struct dray_buf body;
    struct dray_upload upload;

    _Atomic enum dray_http_state state; /* others look whether it streams */
    bool denied; /* by an authorization plugin: nobody is asked about the refusal */
    bool raw;    /* answers are written to fd by us, and the connection ends after them */
    bool gone;   /* writing failed */
    bool chunked;
    int fd; /* the client's socket: borrowed from MHD, or our duplicate when raw by upgrade */
    bool own_fd;
    int sink; /* takes what MHD writes once the socket is ours; -EBADF when MHD answers */
    int cancel_fd;
    int hijack_fd; /* the handler's socket when it is not fd itself */
    int relay_fd;  /* the relay's end of it */
    pthread_t relay;
    bool relaying;
    const char *early_bytes; /* what the client sent behind its request */
    size_t early_len;

    struct dray_kvlist headers;
    int status;
    const char *content_type;
    char *text; /* owned */
    size_t text_len;
};

struct dray_server {
    struct dray_engine *engine;
    struct dray_kit *kit; /* sessions of clients that build */
    bool experimental;
    struct MHD_Daemon *mhd;
    struct dray_listener *listeners;
    int stop_fd;          /* eventfd: readable once the server stops */
    pthread_mutex_t lock; /* guards: active, the counts, and a request's step to
                             STREAMING or HIJACKED. order: last */
    pthread_cond_t idle;
    struct dray_http *active; /* requests whose handler runs */
    size_t n_active, n_hijacked;
    size_t n_front; /* TLS connections */
};

/* listen.c */

/** Listen at "addr:port" without TLS. */
int dray_listen_tcp(const char *host, int *fd_out, struct dray_err *err);

/** Refuse what a server before this one may read otherwise than MHD, which takes the first of
 *  several headers: others would see other requests than we do (RFC 9112 6.3 and 11.2). */
int dray_request_framing(struct dray_http *h, struct dray_err *err);

/* request.c: MHD's callbacks */
void *dray_request_new(void *server, const char *target, struct MHD_Connection *conn);
enum MHD_Result dray_request_access(void *server, struct MHD_Connection *conn, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *data_size, void **slot);
void dray_request_done(void *server, struct MHD_Connection *conn, void **slot,
                       enum MHD_RequestTerminationCode code);

/* router.c */

/** Parse the target, check the version, find the route. */
int dray_route_find(struct dray_http *h, struct dray_err *err);

/* reply.c */

/** Turn a failure into the stored or written answer, unless one has begun. */
void dray_reply_error(struct dray_http *h, int rc, const struct dray_err *err);
/** A failure in place of the answer that is stored. */
void dray_reply_replace(struct dray_http *h, int rc, const struct dray_err *err);
/** End the answer: last chunk, half-close, wait shortly for the client to read it all. */
void dray_reply_finish(struct dray_http *h);
/** Hand the stored answer to MHD. */
enum MHD_Result dray_reply_queue(struct dray_http *h);
/** Write the stored answer to the socket. */
void dray_reply_write(struct dray_http *h);

/* authz.c */

/** May the request be handled? DENIED with Docker's words. */
int dray_api_authz_request(struct dray_http *h, struct dray_err *err);
/** May this answer go out? Its body is shown when it is stored in h. */
int dray_api_authz_answer(struct dray_http *h, int status, const char *content_type,
                          struct dray_err *err);

/* relay.c */

/**
 * A thread that copies between two sockets in both directions until both have ended; `early` goes
 * to b first. Half-closes are passed on. The descriptors stay the caller's until the join.
 */
int dray_relay_start(int a, int b, const void *early, size_t n, pthread_t *out);
/** A thread with this program's small stack. */
int dray_thread_start(void *(*fn)(void *), void *arg, pthread_t *out);

/* tls.c */

struct dray_tls;
int dray_tls_open(const struct dray_listen *l, struct dray_tls **out, struct dray_err *err);
void dray_tls_close(struct dray_tls *t);
/** Serve one accepted connection behind TLS; returns at once. Takes fd. */
void dray_tls_accept(struct dray_tls *t, struct dray_server *s, int fd /* takes */);

/* server.c */

/** Give an accepted connection to MHD, with the name on the client's certificate or NULL. */
void dray_server_add(struct dray_server *s, int fd /* takes */, const char *user);
/** That name; NULL without TLS or without a certificate. */
const char *dray_http_user(struct dray_http *h);

/* listen.c */

/** The listening sockets that a -H names, appended to fds (several for fd://). */
int dray_listen_open(const struct dray_listen *l, int *fds, size_t max, size_t *n_out,
                     struct dray_err *err);

#endif
