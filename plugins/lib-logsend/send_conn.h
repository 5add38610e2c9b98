/* SPDX-License-Identifier: Apache-2.0 */
/* send_conn.h - a connection to where records go: UDP, TCP, TLS, unix sockets; no wait without an
 * end. */
#ifndef DRAY_PLUGIN_SEND_CONN_H
#define DRAY_PLUGIN_SEND_CONN_H

#include "send_addr.h"

#include <dray/util.h>

#include <stdint.h>

/** Until when something may be waited for. */
struct dray_send_wait {
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
    int cancel_fd;        /* readable: give up; or -1 */
};

/** What a TLS connection checks and shows; any may be NULL. */
struct dray_send_tls_conf {
    const char *ca, *cert, *key; /* files in PEM */
    const char *name;            /* of the peer, if it is not the address's host */
    bool skip_verify;
};

struct dray_send_tls;

/** Zero-initialised with fd -EBADF it is closed. */
struct dray_send_conn {
    int fd;
    struct dray_send_tls *tls;
};

/** The earlier of wait's end and ms from now. */
struct dray_send_wait dray_send_wait_within(const struct dray_send_wait *wait, int64_t ms);
/** Sleep; false when the wait ended it. */
bool dray_send_wait_sleep(const struct dray_send_wait *wait, int64_t ms);
/** Wait until a descriptor is ready for events (poll's); TIMEOUT or CANCELED. */
int dray_send_wait_fd(const struct dray_send_wait *wait, int fd, short events,
                      struct dray_err *err);

/** Connect; errors are worded as Go's ("dial tcp 1.2.3.4:5: connect: connection refused"). tls is
 *  for DRAY_SEND_TLS. */
int dray_send_connect(struct dray_send_conn *c, const struct dray_send_addr *addr,
                      const struct dray_send_tls_conf *tls, const struct dray_send_wait *wait,
                      struct dray_err *err);
/** Send all of it; on a datagram socket as one datagram. After a failure close the connection. */
int dray_send_all(struct dray_send_conn *c, const void *data, size_t len,
                  const struct dray_send_wait *wait, struct dray_err *err);
/** Read some bytes; 0 at the peer's end, else a negative DRAY_E_*. */
ssize_t dray_send_recv(struct dray_send_conn *c, void *buf, size_t size,
                       const struct dray_send_wait *wait, struct dray_err *err);
/** Has a stream's peer closed or reset it? (a write would be lost without a word) */
bool dray_send_broken(struct dray_send_conn *c);
void dray_send_close(struct dray_send_conn *c);

/* send_tls.c */

int dray_send_tls_open(int fd, const char *host, const struct dray_send_tls_conf *conf,
                       const struct dray_send_wait *wait, struct dray_send_tls **out,
                       struct dray_err *err);
int dray_send_tls_write(struct dray_send_tls *t, const void *data, size_t len,
                        const struct dray_send_wait *wait, struct dray_err *err);
ssize_t dray_send_tls_read(struct dray_send_tls *t, void *buf, size_t size,
                           const struct dray_send_wait *wait, struct dray_err *err);
void dray_send_tls_free(struct dray_send_tls *t);

#endif
