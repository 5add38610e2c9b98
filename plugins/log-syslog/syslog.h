/* SPDX-License-Identifier: Apache-2.0 */
/* syslog.h - options and message formats of the driver "syslog". */
#ifndef DRAY_LOG_SYSLOG_H
#define DRAY_LOG_SYSLOG_H

#include "send_driver.h"
#include "send_link.h"

enum syslog_format { SYSLOG_UNIX, SYSLOG_RFC3164, SYSLOG_RFC5424, SYSLOG_RFC5424MICRO };

/** What --log-opt says. */
struct syslog_options {
    bool local; /* no address: the machine's own syslog */
    struct dray_send_addr addr;
    struct dray_send_tls_conf tls; /* points into the options */
    int facility;
    enum syslog_format format;
};

int syslog_options_read(struct dray_kvs options, struct syslog_options *out, struct dray_err *err);

/** What is the same in all messages of a container. */
struct syslog_facts {
    enum syslog_format format;
    bool framed; /* with their lengths in front (RFC 5425) */
    int facility;
    int pid;
    char host[256];
    char *tag; /* owned */
};

/** Most bytes that a message takes besides the line. */
#define SYSLOG_ROOM(facts) (512 + 2 * strlen((facts)->tag) + strlen((facts)->host))

/** Write one message at out; returns its end. */
char *syslog_write(char *out, const struct syslog_facts *f, const struct dray_log_record *r);

#endif
