/* SPDX-License-Identifier: Apache-2.0 */
/* authz.h - allows or denies API requests. Any failure of a driver means deny. */
#ifndef DRAY_AUTHZ_H
#define DRAY_AUTHZ_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One request, and in response() its answer. */
struct dray_authz_exchange {
    uint32_t size;
    uint32_t status;          /**< HTTP status of the answer; 0 in request() */
    const char *user;         /**< common name of the client's certificate, or "" */
    const char *user_auth;    /**< "TLS", or "" */
    const char *method;
    const char *uri;          /**< path and query */
    struct dray_kvs headers;  /**< without credentials */
    struct dray_span body;    /**< JSON bodies up to 1 MiB, else empty */
    struct dray_kvs answer_headers;
    struct dray_span answer_body;
    uint32_t has_peer; /**< nonzero: a process of this machine asks, over a unix socket: */
    uint32_t peer_uid, peer_gid;
    int32_t peer_pid; /**< 0: in another pid namespace */
};

struct dray_authz_ops {
    struct dray_head head;

    /** 0 allows; DRAY_E_DENIED with a text for the user denies. */
    int32_t (*request)(struct dray_self *, const struct dray_call *,
                       const struct dray_authz_exchange *, struct dray_err *);
    int32_t (*response)(struct dray_self *, const struct dray_call *,
                        const struct dray_authz_exchange *, struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
