/* SPDX-License-Identifier: Apache-2.0 */
/* format.h - records of the "local" driver: a head, attributes, text, and the length once more. */
#ifndef DRAY_LOG_LOCAL_FORMAT_H
#define DRAY_LOG_LOCAL_FORMAT_H

#include "log_files.h"
#include "log_read.h"

#define LOCAL_MAGIC 0xd7a1u

/** Opens a record, in host byte order. The record ends with `len` again, so that files can be read
 *  backward. */
struct local_head {
    uint32_t len; /**< of the whole record */
    uint16_t magic;
    uint16_t attrs_len;
    int64_t time_ns;
    uint8_t stream;
    uint8_t flags;
    uint16_t check; /**< of the fields above */
    uint32_t text_len;
};

#define LOCAL_ROOM (sizeof(struct local_head) + sizeof(uint32_t))

char *local_write(char *out, const struct dray_log_record *r, const char *attrs,
                  uint16_t attrs_len);
/** Cut a torn record off the end of a file. */
int local_mend(struct dray_log_writer *w, struct dray_err *err);
extern const struct dray_log_format local_format; /* no state */

#endif
