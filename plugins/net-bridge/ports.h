/* SPDX-License-Identifier: Apache-2.0 */
/* ports.h - reserves host ports, by sockets that are bound and never listen. */
#ifndef DRAY_BRIDGE_PORTS_H
#define DRAY_BRIDGE_PORTS_H

#include "netdev.h"

#include <dray/util.h>
#include <pthread.h>
#include <stdint.h>

struct port_hold;

#define PORT_BUCKETS 256

/** Zero-initialised but for the lock is empty. */
struct port_table {
    pthread_mutex_t lock;                    /* guards all below; innermost */
    struct port_hold *buckets[PORT_BUCKETS]; /* by port */
    uint16_t cursor;                         /* next ephemeral port to try */
};

/** What is to be reserved. */
struct port_want {
    uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
    uint16_t port;
    struct dray_cidr host; /* all zero bits: any address of its family */
};

void port_table_init(struct port_table *t);
void port_table_fini(struct port_table *t);

/**
 * Reserve one port. Held by one of ours: DRAY_E_CONFLICT with errno 0 ("port is already
 * allocated"); by another process: DRAY_E_CONFLICT with os_errno EADDRINUSE. With adopt, a port
 * that another process has is taken all the same, without a socket.
 */
int port_reserve(struct port_table *t, const struct port_want *w, bool adopt,
                 struct port_hold **out, struct dray_err *err);
void port_release(struct port_table *t, struct port_hold *h /* takes; NULL is fine */);

/** Where the search for an ephemeral port begins, and the range of them. */
void port_ephemeral_range(uint16_t *first_out, uint16_t *last_out);
/** The next ephemeral port in turn, within first..last. */
uint16_t port_next(struct port_table *t, uint16_t first, uint16_t last);

#endif
