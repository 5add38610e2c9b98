/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extension.h - adds HTTP routes under /extensions/<name>/, event subscriptions and client commands.
 */
#ifndef DRAY_EXTENSION_H
#define DRAY_EXTENSION_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dray_ext_request {
    uint32_t size;
    uint32_t reserved;
    const char *method;
    const char *path; /**< below /extensions/<name>, begins with "/" */
    struct dray_kvs query;
    struct dray_kvs headers;
    struct dray_fd_borrow body; /**< read until its end; -1 without a body */
};

/** Strings live in the call. The body is sent from `body`, then from `body_fd` if it is not -1. */
struct dray_ext_response {
    uint32_t size;
    uint32_t status;
    const char *content_type;
    struct dray_kvs headers;
    struct dray_span body;
    struct dray_fd_take body_fd; /**< -1 unless the driver sets it */
};

struct dray_extension_ops {
    struct dray_head head;

    /** Emit DRAY_REC_ITEM {"route": "GET /path"}, {"topic": "container"} or
     *  {"command", "help", "route"}: `dray extension run NAME COMMAND ARG...` sends a request to
     *  the route, with a query parameter "arg" for each argument, and prints the answer; that route
     *  is offered, too. Called once after open. A route that ends in "*" is all that begins so;
     *  other requests are answered by the host: 404. HEAD comes where GET is offered. */
    int32_t (*describe)(struct dray_self *, const struct dray_call *, struct dray_err *);
    int32_t (*handle)(struct dray_self *, const struct dray_call *, const struct dray_ext_request *,
                      struct dray_ext_response *out, struct dray_err *);

    /* Optional. */

    /** One event of a topic that describe() named, as the JSON text of GET /events. */
    int32_t (*event)(struct dray_self *, const struct dray_call *, const char *json,
                     struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
