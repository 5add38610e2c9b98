/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostrules.h - lets the administrator's own input rules decide over published ports.
 *
 * What is sent to a published port is translated before the kernel's input hook and then forwarded:
 * input rules would never see it. So each input chain of the machine (but ours) is kept once more,
 * in a table of our own, where packets to published ports pass it before they are translated. An
 * accept there lets the next chain decide, a drop is final: exactly as at the input hook.
 */
#ifndef DRAY_BRIDGE_HOSTRULES_H
#define DRAY_BRIDGE_HOSTRULES_H

#include "netlink.h"

#include <linux/netfilter/nf_tables.h>
#include <pthread.h>

struct dray_self;

/* Packets that must pass are known by their priority, which means nothing before routing. */
#define HOSTRULES_MARK 0xd7a10001u
#define HOSTRULES_MARK_TEXT "d7a1:0001"
/* Where the hooks are: after connection tracking, before ours that translates. */
#define HOSTRULES_FIRST (-112)
#define HOSTRULES_LAST (-103)

struct hostrules {
    bool on;              /* constant: "publish-policy" is "host-rules" */
    pthread_mutex_t lock; /* one copy at a time; before rules.lock */
    uint32_t generation;  /* of the machine's rules when they were copied; guarded by lock */
};

/** Is a table of that name one of ours? */
bool hostrules_own(const struct dray_self *self, const char *table);
/** Copy the rules if they have changed; unless on, delete what an earlier process copied. When they
 * cannot be copied nobody outside reaches a published port, and the error says so. */
int hostrules_sync(struct dray_self *self, struct dray_err *err);

/* hostrules_copy.c */

#define HOSTRULES_NAME 64

/** An input chain of the machine. */
struct host_chain {
    uint8_t family;
    char table[NFT_NAME_MAXLEN], chain[NFT_NAME_MAXLEN];
    int32_t priority;
    bool drop; /* the policy */
};

/** Read one chain with all that it leads to, and append requests that make table `to` of it, with a
 * hook at the given priority. */
int hostrules_copy(int fd, struct dray_nl_batch *b, const struct host_chain *from, const char *to,
                   int priority, struct dray_err *err);
/** Begin a transaction of nftables, and carry it out; without requests in it nothing is done. */
void hostrules_begin(struct dray_nl_batch *b);
int hostrules_commit(int fd, struct dray_nl_batch *b, struct dray_err *err);
/** Append requests for a table that drops whatever must pass. */
void hostrules_put_closed(struct dray_nl_batch *b, const char *table);
/** A request of nftables with its header. NULL without memory. */
struct nl_msg *hostrules_msg(struct dray_nl_batch *b, int type, int flags, uint8_t family,
                             size_t size, const char *what);

#endif
