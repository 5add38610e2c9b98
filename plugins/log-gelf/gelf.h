/* SPDX-License-Identifier: Apache-2.0 */
/* gelf.h - options and messages of the driver "gelf". */
#ifndef DRAY_LOG_GELF_H
#define DRAY_LOG_GELF_H

#include "send_driver.h"
#include "send_link.h"

enum gelf_pack { GELF_GZIP, GELF_ZLIB, GELF_NONE };

/** What --log-opt says. */
struct gelf_options {
    struct dray_send_addr addr;  /* UDP or TCP */
    enum gelf_pack pack;         /* UDP */
    int level;                   /* of compression: -1 to 9 */
    int64_t reconnects, delay_s; /* TCP */
};

int gelf_options_read(struct dray_kvs options, struct gelf_options *out, struct dray_err *err);

/** What is the same in all messages of a container: `,"_container_id":"...",...}`. Owned by the
 *  caller; NULL without memory. */
char *gelf_facts(const struct dray_send_opening *o);

/** Most bytes that a message takes besides its facts. */
#define GELF_ROOM(len) (DRAY_LOG_JSON_MAX((len) + 256) + 256)

/** Write one message at out; returns its end. host is escaped already. */
char *gelf_write(char *out, const char *host, const char *facts, size_t facts_len,
                 const struct dray_log_record *r);

#endif
