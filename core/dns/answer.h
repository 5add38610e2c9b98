/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h - questions of a container that are answered from the table. */
#ifndef DRAY_DNS_ANSWER_H
#define DRAY_DNS_ANSWER_H

#include "dns/table.h"

#define DRAY_DNS_HEADER 12
#define DRAY_DNS_MOST 65535 /**< bytes of a message */
#define DRAY_DNS_UDP_LEAST 512

enum dray_dns_verdict {
    DRAY_DNS_IGNORE,  /* no question: nothing is sent back */
    DRAY_DNS_REPLY,   /* reply holds the answer */
    DRAY_DNS_FORWARD, /* an upstream server is asked */
};

struct dray_dns_reply {
    uint8_t *data; /* owned */
    size_t len;
    size_t question; /* bytes of the first question, from offset 12 of the query; for FORWARD */
};

static inline void dray_dns_reply_cleanup(struct dray_dns_reply *r)
{
    free(r->data);
    r->data = NULL;
}

/** Judge one message that came from a container; anything may be in it. tcp: no limit of size. */
enum dray_dns_verdict dray_dns_answer(const struct dray_dns_table *t,
                                      const struct dray_dns_container *c, const uint8_t *query,
                                      size_t len, bool tcp, struct dray_dns_reply *reply);
/** The answer "server failure" to a message that dray_dns_answer() told to forward. */
bool dray_dns_answer_failure(const uint8_t *query, size_t len, struct dray_dns_reply *reply);

#endif
