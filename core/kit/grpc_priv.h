/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_priv.h - a connection and its calls, for the files grpc*.c. */
#ifndef DRAY_KIT_GRPC_PRIV_H
#define DRAY_KIT_GRPC_PRIV_H

#include "kit/grpc.h"

#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdatomic.h>

struct grpc_conn {
    atomic_uint refs;
    int sock, wake, dead_fd; /* the last two are eventfds of ours */
    grpc_serve_fn serve;
    void *ctx;
    pthread_mutex_t lock;   /* guards all below, and all of its calls. order: leaf */
    pthread_cond_t changed; /* something came, went or ended */
    nghttp2_session *h2;    /* NULL once the connection has ended */
    bool dead;
    struct grpc_call *calls;
    unsigned serving; /* threads */
    struct dray_buf wire;
    size_t wire_pos;
};

struct grpc_call {
    struct grpc_conn *conn;
    struct grpc_call *prev, *next;
    int32_t id;
    char *method;
    struct dray_kvlist headers; /* of the peer, with its trailers */
    size_t header_bytes;
    struct dray_buf in;  /* what has come and was not taken, from in_pos on */
    size_t in_pos, held; /* held: bytes that the peer has no credit for again yet */
    bool in_end;
    struct dray_buf out; /* what waits to be sent, from out_pos on */
    size_t out_pos;
    bool out_end, deferred, answered;
    bool closed;    /* the stream is gone */
    bool released;  /* nobody uses the call any more */
    int gone;       /* eventfd of a call that is served; -EBADF */
    uint32_t reset; /* error code of HTTP/2 that it was closed with */
    int status;     /* of ours */
    char *text;
    struct dray_buf details; /* of google.rpc.Status; the serving thread's until the call ends */
    char *coded;             /* that whole message in base64, when it has details */
};

/** Set up the callbacks; serve says whether the calls are the peer's. */
int grpc_h2_open(struct grpc_conn *c, struct dray_err *err);
struct grpc_call *grpc_call_new(struct grpc_conn *c);
/** Its stream has ended, or the connection. Lock held. */
void grpc_call_close(struct grpc_call *call);
/** Forget a call that is released and closed. Lock held. */
void grpc_call_drop(struct grpc_call *call);
/** Start a thread for a call of the peer's; false without one. Lock held. */
bool grpc_call_serve(struct grpc_call *call);
/** The data provider of a call: what it sends. */
nghttp2_data_provider grpc_source(struct grpc_call *call);
/** Let the moving thread look at its session again. */
void grpc_wake(struct grpc_conn *c);

#endif
