/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - the process without privileges that reads what containers send, and its parts.
 *
 * One thread, one epoll. What an event may free is marked dead and freed after the round, so that
 * later events of the same round find it.
 */
#ifndef DRAY_DNS_WORKER_H
#define DRAY_DNS_WORKER_H

#include "dns/answer.h"
#include "dns/table.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/** The worker asks the keeper for a socket in a container's namespace... */
struct dray_dns_want {
    uint32_t tag;
    uint8_t tcp, six, reserved[2];
    char id[72];
};
/** ...and gets this with a descriptor, or with an errno. */
struct dray_dns_got {
    uint32_t tag;
    int32_t error;
};

struct dray_dns_worker;

/** What epoll tells of. First member of whatever owns a descriptor. */
struct dray_dns_source {
    void (*ready)(struct dray_dns_worker *, struct dray_dns_source *, uint32_t events);
    int fd; /* -EBADF: none */
    bool dead;
    struct dray_dns_source *next_dead;
};

/** The sockets of one container; its dray_dns_container's `user`. */
struct dray_dns_service {
    struct dray_dns_source udp, tcp;
    struct dray_dns_container *c; /* NULL once it is dropped */
    unsigned n_queries, n_conns;  /* under way */
};

struct dray_dns_conn;
struct dray_dns_query;

struct dray_dns_worker {
    int epoll;
    struct dray_dns_source control, sockets; /* from the keeper; to ask it for sockets */
    struct dray_dns_table *table;
    struct dray_dns_source *dead;
    struct dray_dns_query *queries; /* forwarded, oldest first */
    struct dray_dns_query **queries_end;
    struct dray_dns_conn *conns;
    unsigned n_queries, n_conns;
    uint32_t tag;
    uint8_t buf[DRAY_DNS_MOST + 2];
};

/** Serve until the keeper goes. Descriptors: control gets documents, sockets is asked for
 *  sockets. Returns the exit status. */
int dray_dns_worker_main(int control, int sockets);

/* worker.c */

/** Watch a source; false without memory. */
bool dray_dns_watch(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events);
void dray_dns_rewatch(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events);
/** Close the descriptor now, free the owner after the round. */
void dray_dns_bury(struct dray_dns_worker *w, struct dray_dns_source *s);
int64_t dray_dns_now_ms(void);

/* tcp.c */

/** A listening socket has connections. */
void dray_dns_tcp_accept(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events);
/** Send an answer and go on reading. */
void dray_dns_tcp_reply(struct dray_dns_worker *w, struct dray_dns_conn *conn, const uint8_t *data,
                        size_t len);
/** Close what idles, or all of one service. */
void dray_dns_tcp_expire(struct dray_dns_worker *w, int64_t now);
void dray_dns_tcp_drop(struct dray_dns_worker *w, const struct dray_dns_service *s);

/* forward.c */

/** Where an answer goes: the connection, or the address of a datagram. */
struct dray_dns_client {
    struct dray_dns_service *service;
    struct dray_dns_conn *conn; /* or NULL */
    struct sockaddr_in from;
};
/** Answer a message from the table or forward it. */
void dray_dns_handle(struct dray_dns_worker *w, const struct dray_dns_client *client,
                     const uint8_t *query, size_t len);
/** The keeper sent a socket. */
void dray_dns_forward_socket(struct dray_dns_worker *w, struct dray_dns_source *s, uint32_t events);
void dray_dns_forward_expire(struct dray_dns_worker *w, int64_t now);
/** Forget the queries of a service, of a connection (the other NULL). */
void dray_dns_forward_drop(struct dray_dns_worker *w, const struct dray_dns_service *s,
                           const struct dray_dns_conn *conn);

#endif
