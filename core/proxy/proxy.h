/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h - the state of dray-proxy, one thread with one epoll: no locks. */
#ifndef DRAY_PROXY_PROXY_H
#define DRAY_PROXY_PROXY_H

#include <dray/util.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct json_object;
struct proxy;

/** What epoll waits for. First member of whatever has a descriptor. */
struct proxy_item {
    void (*ready)(struct proxy *p, struct proxy_item *item, uint32_t events);
    int fd;
};

union proxy_addr {
    struct sockaddr sa;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
};

/** A port that is listened on. */
struct proxy_port {
    struct proxy_item item;
    struct proxy_group *group;
    bool udp;
    bool paused;                 /* there were no descriptors for what came */
    union proxy_addr listen, to; /* listen: with the port that was chosen */
    uint16_t last;               /* of a range; else the port itself */
    bool twin;                   /* has the number of the one before it */
};

/** What one endpoint publishes. */
struct proxy_group {
    struct proxy_group *next;
    char id[72];
    struct proxy_port **ports; /* owned */
    size_t n_ports;
};

struct proxy_conn;
struct proxy_session;

#define PROXY_PIPES 32  /* kept for the next that needs one */
#define PROXY_EVENTS 64 /* of one turn */
#define PROXY_BUCKETS 1024

struct proxy {
    int dir, epoll;
    struct proxy_item control;
    struct proxy_group *groups;
    struct proxy_conn *conns;
    struct proxy_conn *again;              /* had more to carry than one turn allows */
    struct proxy_session *oldest, *newest; /* by last use */
    struct proxy_session *buckets[PROXY_BUCKETS];
    int pipes[PROXY_PIPES][2];
    size_t n_pipes;
    struct epoll_event events[PROXY_EVENTS]; /* in hand */
    int n_events;
    uint64_t most_fds;
    size_t n_ports, n_conns, n_sessions;
    bool any_paused; /* some port is */
    bool leaving;    /* the ports are closed; what is connected is carried to its end */
    bool leave;
};

/** The monotonic clock in milliseconds. */
int64_t proxy_now(void);
socklen_t proxy_addr_len(const union proxy_addr *a);
/** Wait for events on the item; a positive errno on failure. */
int proxy_watch(struct proxy *p, struct proxy_item *item, uint32_t events);
/** Close the item's descriptor; events in hand do not name it any more. */
void proxy_unwatch(struct proxy *p, struct proxy_item *item);

/* listen.c: addresses and ports */

/** Open all ports of a document, all or none; *taken_out is the index of one that is in use. */
int proxy_group_open(struct proxy *p, struct json_object *doc, size_t *taken_out,
                     struct dray_err *err);
/** Close ports, connections and sessions of a group. */
void proxy_group_close(struct proxy *p, struct proxy_group *g);
struct proxy_group *proxy_group_find(const struct proxy *p, const char *id);
/** Does the group have the document's ports? */
bool proxy_group_matches(const struct proxy_group *g, struct json_object *doc);
/** The document of a group, with the ports that were chosen. */
struct json_object *proxy_group_doc(const struct proxy_group *g);
/** Descriptors that connections, and as many again that sessions of UDP may use. */
size_t proxy_most(const struct proxy *p);
/** No more can be taken, and why: let it wait in the kernel. */
void proxy_port_pause(struct proxy *p, struct proxy_port *port, const char *why);
/** Listen again on what was paused. */
void proxy_ports_resume(struct proxy *p);

/* control.c */

/** A new connection of the daemon. */
void proxy_control_accept(struct proxy *p, struct proxy_item *item, uint32_t events);
/** Open what the documents tell of. */
void proxy_load(struct proxy *p);

/* tcp.c */

void proxy_tcp_accept(struct proxy *p, struct proxy_item *item, uint32_t events);
void proxy_tcp_close(struct proxy *p, const struct proxy_group *g);
/** Carry on what had more than one turn allows. */
void proxy_tcp_again(struct proxy *p);

/* udp.c */

void proxy_udp_datagram(struct proxy *p, struct proxy_item *item, uint32_t events);
/** Forget the sessions of a group's ports. */
void proxy_udp_close(struct proxy *p, const struct proxy_group *g);
/** Forget sessions that were silent for long. Milliseconds until the next; -1: none. */
int proxy_udp_expire(struct proxy *p);

#endif
