/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h - our one nftables table: its fixed rules, and the elements that fill them. */
#ifndef DRAY_BRIDGE_RULES_H
#define DRAY_BRIDGE_RULES_H

#include "elements.h"

#include <dray/util.h>
#include <pthread.h>

/** Name of a set that only says which version of the rules a table holds. */
#define RULES_MARKER "rules_v2"

struct dray_self;

struct rules {
    pthread_mutex_t lock; /* one transaction at a time; before store.lock */
    bool ready;           /* the table is there */
    bool warned;          /* of somebody else's FORWARD policy */
    bool adopted;         /* it was there before this process: it may hold stale elements */
    unsigned n_rules;     /* of the table as we wrote it; 0: not counted yet */
    bool bridged6;        /* when it was written, IPv6 of bridges went through netfilter */
    uint32_t generation;  /* of the machine's ruleset when the table was last found complete */
    int fd;               /* stays open: closing waits for the kernel to free what was deleted */
};

void rules_init(struct rules *r);
void rules_fini(struct rules *r);
/** The socket to netfilter, opened when it is not; negative on failure. rules.lock held. */
int rules_socket(struct rules *r);
/** Close it, because answers may be left in it. rules.lock held. */
void rules_socket_drop(struct rules *r);

/**
 * Add or delete elements in one transaction. The store must already say the new state: if the
 * kernel disagrees with what we think it has, the whole table is written anew from the store.
 */
int rules_add(struct dray_self *self, const struct elems *l, struct dray_err *err);
int rules_delete(struct dray_self *self, const struct elems *l, struct dray_err *err);
/** Is the table complete? If not, rebuild it. */
int rules_check(struct dray_self *self, struct dray_err *err);
/** Everything alive has been replayed: drop what an earlier process left in the table. */
int rules_collect(struct dray_self *self, struct dray_err *err);

/* rules_run.c */

/** Carry out commands in nft's language, as one transaction. One caller at a time. */
int rules_run(const char *commands, struct dray_err *err);

/* rules_check.c */

/** Does the table exist, written by this version? */
bool rules_present(int fd, const char *table);
/** Number that every transaction of anybody changes; 0 on failure. */
uint32_t rules_generation(int fd);
enum forward_state {
    FORWARD_ABSENT,
    FORWARD_ACCEPTS,
    FORWARD_DROPS, /* what it does not know; Docker sets it so */
};
/** iptables' FORWARD chain and its policy. */
enum forward_state rules_forward_state(int fd, uint8_t family);
/** Count the table's rules; false on failure. */
bool rules_count(int fd, const char *table, unsigned *out);
/** Count the elements of one set. */
bool rules_count_elements(int fd, const char *table, enum elem_set set, size_t *out);

#endif
