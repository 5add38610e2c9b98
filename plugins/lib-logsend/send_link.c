/* SPDX-License-Identifier: Apache-2.0 */
/* send_link.c - a connection that is made again when it breaks. */
#include "send_link.h"

#define CONNECT_MS 10000
/* A peer that takes nothing for so long is given up. */
#define SEND_MS 30000

int dray_send_link_open(struct dray_send_link *l, const struct dray_send_wait *wait,
                        struct dray_err *err)
{
    if (!dray_send_broken(&l->conn))
        return 0;
    struct dray_send_wait w =
        dray_send_wait_within(wait, l->connect_ms ? l->connect_ms : CONNECT_MS);
    return dray_send_connect(&l->conn, &l->addr, &l->tls, &w, err);
}

static int try_put(struct dray_send_link *l, const void *data, size_t len,
                   const struct dray_send_wait *wait, struct dray_err *err)
{
    int rc = dray_send_link_open(l, wait, err);
    if (rc)
        return rc;
    struct dray_send_wait w = dray_send_wait_within(wait, SEND_MS);
    rc = dray_send_all(&l->conn, data, len, &w, err);
    if (rc)
        dray_send_close(&l->conn);
    return rc;
}

int dray_send_link_put(struct dray_send_link *l, const void *data, size_t len,
                       const struct dray_send_wait *wait, struct dray_err *err)
{
    int rc = try_put(l, data, len, wait, err);
    for (int64_t i = 0; rc && rc != DRAY_E_CANCELED && i < l->retries; i++) {
        if (l->delay_ms && !dray_send_wait_sleep(wait, l->delay_ms))
            break;
        rc = try_put(l, data, len, wait, err);
    }
    return rc;
}

void dray_send_link_close(struct dray_send_link *l)
{
    dray_send_close(&l->conn);
}
