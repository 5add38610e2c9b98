/* SPDX-License-Identifier: Apache-2.0 */
/* fluentd.h - options, messages and sending of the driver "fluentd". */
#ifndef DRAY_LOG_FLUENTD_H
#define DRAY_LOG_FLUENTD_H

#include "send_driver.h"
#include "send_link.h"

#include <msgpack.h>

/** What --log-opt says. */
struct fluentd_options {
    struct dray_send_addr addr;
    bool async;    /* connecting and sending never hold up the container */
    int64_t limit; /* messages kept while the peer is away (async) */
    int64_t max_retries;
    int64_t retry_ms;
    int64_t reconnect_ms; /* async: the connection is made anew so often; 0: never */
    int64_t write_ms;     /* 0: the usual */
    bool sub_second;
    bool ack; /* wait for the peer's word that it has a message */
};

int fluentd_options_read(struct dray_kvs options, struct fluentd_options *out,
                         struct dray_err *err);

/** What is the same in all messages of a container. */
struct fluentd_facts {
    char *tag;
    struct dray_log_attrs fields; /* container_id, container_name, labels, variables */
};

#define FLUENTD_CHUNK_ID 25 /* base64 of 16 random bytes */

/** Append one message of the forward protocol. chunk: its id when an answer is wanted, or NULL. */
void fluentd_pack(msgpack_sbuffer *out, const struct fluentd_facts *facts, bool sub_second,
                  const char *chunk, const struct dray_send_item *it);
void fluentd_chunk_id(char out[FLUENTD_CHUNK_ID]);

/** One message on its way. */
struct fluentd_message {
    char chunk[FLUENTD_CHUNK_ID]; /* "": no answer is wanted */
    const char *data;
    size_t len;
};

/** The connection, as one thread uses it. */
struct fluentd_sender {
    struct dray_send_link link;
    const struct fluentd_options *options;
    uint64_t connected_ns;
};

/** Send with the retries that the options ask for. */
int fluentd_send(struct fluentd_sender *s, const struct fluentd_message *m,
                 const struct dray_send_wait *wait, struct dray_err *err);

/* queue.c: a thread that sends */

struct fluentd_queue;

int fluentd_queue_new(struct fluentd_sender *sender, struct fluentd_queue **out,
                      struct dray_err *err);
/** Keep a copy of a message; LIMIT when there are too many. */
int fluentd_queue_add(struct fluentd_queue *q, const struct fluentd_message *m,
                      struct dray_err *err);
/** Wait a short while for what is kept to be sent, then end the thread. */
void fluentd_queue_free(struct fluentd_queue *q);

#endif
