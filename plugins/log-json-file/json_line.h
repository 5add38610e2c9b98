/* SPDX-License-Identifier: Apache-2.0 */
/* json_line.h - one record as Docker's json-file driver writes it. */
#ifndef DRAY_LOG_JSON_LINE_H
#define DRAY_LOG_JSON_LINE_H

#include "log_json.h"
#include "log_read.h"
#include "log_time.h"

#include <dray/log.h>

#include <stddef.h>

/** Most bytes of a line besides its text and attributes. */
#define JSON_LINE_ROOM (size_t)128

/** Parts of a line that are the same for many: prepared once. */
struct json_tail {
    char time[DRAY_LOG_TIME_MAX];
    size_t time_len;
    int64_t time_ns;
};

/** Write one line. attrs: `"attrs":{...},` or "". Returns the end. */
char *json_line_write(char *out, const struct dray_log_record *r, const char *attrs,
                      size_t attrs_len, struct json_tail *tail);

/** Room that a scanner needs for texts with escapes. */
struct json_scanner {
    char *text, *attrs;
    size_t text_cap, attrs_cap;
    struct dray_log_clock clock;
};
void json_scanner_fini(struct json_scanner *s);
extern const struct dray_log_format json_line_format; /* state: struct json_scanner */

#endif
