/* SPDX-License-Identifier: Apache-2.0 */
/* log_time.h - RFC 3339 times of log files, fast. */
#ifndef DRAY_PLUGIN_LOG_TIME_H
#define DRAY_PLUGIN_LOG_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRAY_LOG_TIME_MAX 36

/** Write UTC with nanoseconds, zeros at the fraction's end cut as Go's RFC3339Nano does. Returns
 *  the length; out is not terminated. */
size_t dray_log_time_write(int64_t ns, char out[DRAY_LOG_TIME_MAX]);

/** Remembers the last second that was read. Zero-initialised is empty. */
struct dray_log_clock {
    char text[20]; /* "2024-01-01T00:00:00" */
    int64_t base_ns;
};

/** Read RFC 3339 with any fraction and zone. */
bool dray_log_time_read(struct dray_log_clock *c, const char *text, size_t len, int64_t *ns_out);

#endif
