/* SPDX-License-Identifier: Apache-2.0 */
/* netlink.h - batches of netlink requests: one system call sends them all, then answers are read.
 */
#ifndef DRAY_PLUGIN_NETLINK_H
#define DRAY_PLUGIN_NETLINK_H

#include <dray/util.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdbool.h>

struct dray_nl_item {
    struct nl_msg *msg;
    char what[72];  /* for the error's text */
    int ignored[3]; /* errno values that are as good as success */
};

/** Zero-initialised is empty. */
struct dray_nl_batch {
    struct dray_nl_item *v;
    size_t n, cap;
    bool failed; /* memory ran out while it was filled */
};

/** A socket of NETLINK_ROUTE or NETLINK_NETFILTER in the caller's network namespace, or -1. */
int dray_nl_socket(int protocol);

/**
 * Append a request of `type` with `flags` (NLM_F_REQUEST is added) and room for `size` bytes of
 * attributes; `what` says in an error what failed. Returns the message, or NULL without memory
 * (the batch is then marked failed, and sending it says so).
 */
struct nl_msg *dray_nl_add(struct dray_nl_batch *b, int type, int flags, size_t size,
                           const char *what, ...) __attribute__((format(printf, 5, 6)));
/** The message added last may fail with this errno. At most three. */
void dray_nl_ignore(struct dray_nl_batch *b, int errnum);

/**
 * Send all in one system call and read answers until the last request that asked for one
 * (NLM_F_ACK) has it. The first failure is reported with os_errno; rtnetlink carries out the other
 * requests all the same, nftables none of its transaction.
 */
int dray_nl_send(int fd, struct dray_nl_batch *b, struct dray_err *err);
void dray_nl_batch_free(struct dray_nl_batch *b);

static inline void dray_nl_batch_cleanup(struct dray_nl_batch *b)
{
    dray_nl_batch_free(b);
}

/** Called for each message of a dump; nonzero stops calling. */
typedef int (*dray_nl_dump_fn)(const struct nlmsghdr *h, void *ctx);
/** Send the only request of the batch (with NLM_F_DUMP, or a get without it) and feed the answers.
 */
int dray_nl_dump(int fd, struct dray_nl_batch *b, dray_nl_dump_fn fn, void *ctx,
                 struct dray_err *err);

#endif
