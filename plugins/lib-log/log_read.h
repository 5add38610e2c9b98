/* SPDX-License-Identifier: Apache-2.0 */
/* log_read.h - answers queries from a log's files, whatever their format. */
#ifndef DRAY_PLUGIN_LOG_READ_H
#define DRAY_PLUGIN_LOG_READ_H

#include <dray/log.h>
#include <dray/util.h>

#include <stdbool.h>

/** A record as it was found. Pointers are valid until the next call of the format. */
struct dray_log_item {
    int64_t time_ns;
    const char *text;
    uint32_t len;
    uint16_t attrs_len;
    uint8_t stream, flags;
    const char *attrs; /* "key=value,key=value" */
    bool valid;        /* false: damaged, to be skipped */
};

/** How records lie in a file. */
struct dray_log_format {
    /** Read the record at data. Returns its length in the file; 0: it is not whole. */
    size_t (*next)(void *state, const char *data, size_t len, struct dray_log_item *item);
    /** Length of the record that ends with the data; 0: its beginning is not in the data. `whole`:
     *  data begins at the beginning of the file. */
    size_t (*prev)(const char *data, size_t len, bool whole);
};

/** Where to read, and what. */
struct dray_log_source {
    const struct dray_log_format *format;
    void *state;
    const char *dir, *name;
};

/** Do what dray_log_ops.read() promises. A log without a file is empty. */
int dray_log_read(const struct dray_log_source *source, const struct dray_log_query *query,
                  const struct dray_call *call, int out, struct dray_err *err);

#endif
