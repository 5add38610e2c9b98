/* SPDX-License-Identifier: Apache-2.0 */
/* encode.c - writes records as JSON, byte for byte as Docker does. */
#include "json_line.h"

#include <string.h>

static char *put(char *out, const char *text, size_t len)
{
    memcpy(out, text, len);
    return out + len;
}

char *json_line_write(char *out, const struct dray_log_record *r, const char *attrs,
                      size_t attrs_len, struct json_tail *tail)
{
    if (r->time_ns != tail->time_ns || tail->time_len == 0) {
        tail->time_ns = r->time_ns;
        tail->time_len = dray_log_time_write(r->time_ns, tail->time);
    }
    out = put(out, "{\"log\":\"", 8);
    out = dray_log_json_escape(out, r->data, r->len);
    if (!(r->flags & DRAY_LOG_PARTIAL))
        out = put(out, "\\n", 2);
    out = put(out,
              r->stream == DRAY_LOG_STDERR ? "\",\"stream\":\"stderr\","
                                           : "\",\"stream\":\"stdout\",",
              20);
    out = put(out, attrs, attrs_len);
    out = put(out, "\"time\":\"", 8);
    out = put(out, tail->time, tail->time_len);
    return put(out, "\"}\n", 3);
}
