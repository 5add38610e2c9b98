/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - a connection on which a client calls us: Control, and the bridge to the frontend. */
#ifndef DRAY_KIT_SERVER_H
#define DRAY_KIT_SERVER_H

#include "kit/grpc.h"
#include "kit/kit.h"
#include "kit/pb.h"

#include <pthread.h>

struct kit_solve;

struct kit_server {
    struct dray_kit *kit;
    pthread_mutex_t lock; /* guards all below, and all solves. order: leaf */
    pthread_cond_t changed;
    struct kit_solve *solves;
};

/** Serves one method: req is its first message. Ends the call, or returns an error that does. */
typedef int (*kit_method_fn)(struct kit_server *s, struct grpc_call *call, struct pb req,
                             struct dray_err *err);

/** Send the one answer, and end the call. */
int kit_answer(struct grpc_call *call, const struct dray_buf *msg, struct dray_err *err);
/** Sleep until something changes, shortly; false once the call is not wanted any more. Lock held.
 */
bool kit_server_wait(struct kit_server *s, const struct grpc_call *call);

/* --- solve.c --- */

int kit_control_solve(struct kit_server *s, struct grpc_call *call, struct pb req,
                      struct dray_err *err);
int kit_control_status(struct kit_server *s, struct grpc_call *call, struct pb req,
                       struct dray_err *err);
int kit_bridge_ping(struct kit_server *s, struct grpc_call *call, struct pb req,
                    struct dray_err *err);
int kit_bridge_solve(struct kit_server *s, struct grpc_call *call, struct pb req,
                     struct dray_err *err);
int kit_bridge_evaluate(struct kit_server *s, struct grpc_call *call, struct pb req,
                        struct dray_err *err);
int kit_bridge_return(struct kit_server *s, struct grpc_call *call, struct pb req,
                      struct dray_err *err);
void kit_solves_free(struct kit_server *s);

/* --- cache.c --- */

int kit_control_usage(struct kit_server *s, struct grpc_call *call, struct pb req,
                      struct dray_err *err);
int kit_control_prune(struct kit_server *s, struct grpc_call *call, struct pb req,
                      struct dray_err *err);

#endif
