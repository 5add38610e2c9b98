/* SPDX-License-Identifier: Apache-2.0 */
/* logging.h - the program's own log on stderr, with levels, areas and repeats folded. */
#ifndef DRAY_BASE_LOGGING_H
#define DRAY_BASE_LOGGING_H

#include <dray/host.h>
#include <stdbool.h>
#include <stdint.h>

/** Level of lines that are written; default DRAY_LOG_INFO. Call before threads start. */
void dray_log_setup(uint32_t level, bool with_time);
void dray_log_level_set(uint32_t level);
bool dray_log_on(uint32_t level);
/** "debug", "info", "warn", "error", "fatal"; -1 for others. */
int dray_log_level_parse(const char *text);
void dray_log_line(uint32_t level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A file defines DRAY_LOG_AREA before it uses these. */
#define dray_error(...) dray_log_line(DRAY_LOG_ERROR, DRAY_LOG_AREA, __VA_ARGS__)
#define dray_warn(...) dray_log_line(DRAY_LOG_WARN, DRAY_LOG_AREA, __VA_ARGS__)
#define dray_info(...) dray_log_line(DRAY_LOG_INFO, DRAY_LOG_AREA, __VA_ARGS__)
#define dray_debug(...)                                                                            \
    do {                                                                                           \
        if (dray_log_on(DRAY_LOG_DEBUG))                                                           \
            dray_log_line(DRAY_LOG_DEBUG, DRAY_LOG_AREA, __VA_ARGS__);                             \
    } while (0)

#endif
