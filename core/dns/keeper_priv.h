/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_priv.h - the keeper's state, shared by the files keeper*.c only. */
#ifndef DRAY_DNS_KEEPER_PRIV_H
#define DRAY_DNS_KEEPER_PRIV_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct json_object;

/** A container's namespace and the sockets in it, which outlive a worker. */
struct dray_dns_sandbox {
    struct dray_dns_sandbox *next;
    char id[72];
    int netns, udp, tcp;
    bool handed_over; /* the worker has the sockets */
};

struct dray_dns_keeper {
    int dir, host_netns, epoll;
    int listener;
    int control, sockets; /* to the worker; -EBADF without one */
    pid_t worker;
    int64_t worker_since; /* milliseconds */
    struct dray_dns_sandbox *sandboxes;
};

/* keeper_sandbox.c */

struct dray_dns_sandbox *dray_dns_sandbox_find(const struct dray_dns_keeper *k, const char *id);
/** The sandbox of a container in this namespace, made if need be. again: rules may be there. */
int dray_dns_sandbox_open(struct dray_dns_keeper *k, const char *id, int netns /* takes */,
                          bool again, struct dray_dns_sandbox **out, struct dray_err *err);
void dray_dns_sandbox_close(struct dray_dns_keeper *k, struct dray_dns_sandbox *s);
/** Answer one request of the worker for a socket. */
void dray_dns_sandbox_serve(struct dray_dns_keeper *k);
/** Open what the documents in the folder tell of; what has gone is removed. */
void dray_dns_sandboxes_load(struct dray_dns_keeper *k);

/* keeper_worker.c */

/** Start a worker and tell it everything. */
int dray_dns_worker_start(struct dray_dns_keeper *k, struct dray_err *err);
void dray_dns_worker_end(struct dray_dns_keeper *k);
/** The worker's orders, answered. A worker that does not answer is replaced. */
int dray_dns_worker_set(struct dray_dns_keeper *k, struct dray_dns_sandbox *s,
                        struct json_object *doc, struct dray_err *err);
void dray_dns_worker_drop(struct dray_dns_keeper *k, const char *id);

#endif
