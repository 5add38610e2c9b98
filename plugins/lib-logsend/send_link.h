/* SPDX-License-Identifier: Apache-2.0 */
/* send_link.h - a connection that is made again when it breaks. */
#ifndef DRAY_PLUGIN_SEND_LINK_H
#define DRAY_PLUGIN_SEND_LINK_H

#include "send_conn.h"

/** Zero it, set conn.fd to -EBADF, the address and what else is wanted. */
struct dray_send_link {
    struct dray_send_addr addr;
    struct dray_send_tls_conf tls; /* its strings are the owner's */
    struct dray_send_conn conn;
    int64_t connect_ms; /* longest time to connect; 0: 10 s */
    int64_t retries;    /* attempts after the first one */
    int64_t delay_ms;   /* before each of these */
};

/** Connect if there is no connection, or a broken one. */
int dray_send_link_open(struct dray_send_link *l, const struct dray_send_wait *wait,
                        struct dray_err *err);
/** Send whole messages; after a failure all of them again through a new connection. */
int dray_send_link_put(struct dray_send_link *l, const void *data, size_t len,
                       const struct dray_send_wait *wait, struct dray_err *err);
void dray_send_link_close(struct dray_send_link *l);

#endif
