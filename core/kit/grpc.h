/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc.h - gRPC over one HTTP/2 connection, as the client or the server of its calls.
 *
 * One thread moves the bytes (grpc_conn_run); a call is used by the thread that has it, with calls
 * that block. A message is at most GRPC_MESSAGE_MAX bytes, either way.
 */
#ifndef DRAY_KIT_GRPC_H
#define DRAY_KIT_GRPC_H

#include "base/buf.h"
#include "base/strlist.h"

#include <dray/util.h>

#define GRPC_MESSAGE_MAX ((size_t)16 << 20)

/** Status codes of gRPC that are used here. */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_NOT_FOUND = 5,
    GRPC_UNIMPLEMENTED = 12,
};

struct grpc_conn;
struct grpc_call;

/** Serves one call, in a thread of its own; ends it with grpc_finish(), and the call is gone when
 *  it returns. */
typedef void (*grpc_serve_fn)(void *ctx, struct grpc_call *call);

/** A connection over a socket, which is borrowed until grpc_conn_run() has returned. serve NULL:
 * the calls are ours, else they are the peer's. *out has one reference. */
int grpc_conn_new(int sock, grpc_serve_fn serve, void *ctx, struct grpc_conn **out,
                  struct dray_err *err);
/** Move bytes until either side has ended the connection, or stop_fd is readable. Then every call
 *  fails, and all calls that were served have returned. */
void grpc_conn_run(struct grpc_conn *c, int stop_fd);
struct grpc_conn *grpc_conn_ref(struct grpc_conn *c);
void grpc_conn_unref(struct grpc_conn *c);
/** Readable once the connection has ended; lives as long as the connection. */
int grpc_conn_dead_fd(const struct grpc_conn *c);

/**
 * Begin a call of the peer's method ("/package.Service/Method"). The call keeps the connection; end
 * it with grpc_call_free(), which cancels what is not over.
 */
int grpc_call_start(struct grpc_conn *c, const char *method, const struct dray_kvlist *metadata,
                    struct grpc_call **out, struct dray_err *err);
void grpc_call_free(struct grpc_call *call);

/** Send a message, waiting while too much is on its way. cancel_fd: readable ends the wait, -1
 * none. CANCELED, or UNAVAIL when the connection or the call has ended. */
int grpc_send(struct grpc_call *call, const void *data, size_t len, int cancel_fd,
              struct dray_err *err);
/** No more messages from this side: a call that is served ends well. */
void grpc_send_end(struct grpc_call *call);
/**
 * Wait for a message: 1, and *msg holds it; 0 when the peer has said all, and all was well. A
 * status that is not OK is an error: NOTFOUND, NOTSUP, CANCELED, ... with the peer's text.
 */
int grpc_recv(struct grpc_call *call, struct dray_buf *msg, int cancel_fd, struct dray_err *err);
/** One message there and one back. */
int grpc_unary(struct grpc_conn *c, const char *method, const struct dray_buf *request,
               struct dray_buf *response, int cancel_fd, struct dray_err *err);

/* What is served. */

/** "/package.Service/Method" */
const char *grpc_method(const struct grpc_call *call);
/** Readable once the peer does not want the call any more, or has gone; the call's. */
int grpc_gone_fd(const struct grpc_call *call);
/** First value of a header of the call, or NULL. */
const char *grpc_metadata(const struct grpc_call *call, const char *key);
/** Add all values of a header to a list; false without memory. */
bool grpc_metadata_all(const struct grpc_call *call, const char *key, struct dray_strlist *out);
/** End the call; text is for people, or NULL. */
void grpc_finish(struct grpc_call *call, enum grpc_status status, const char *text);
/** A google.protobuf.Any that goes with the status of a call which fails. */
void grpc_add_detail(struct grpc_call *call, const struct dray_buf *any);
/** End the call with an error of ours. */
void grpc_finish_err(struct grpc_call *call, const struct dray_err *err);

#endif
