/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - times as nanoseconds, and how Docker writes and reads them. */
#ifndef DRAY_BASE_CLOCK_H
#define DRAY_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRAY_TIME_LEN 40
#define DRAY_TIME_ZERO "0001-01-01T00:00:00Z"
#define DRAY_NS_PER_S INT64_C(1000000000)

/** Nanoseconds since 1970. */
int64_t dray_clock_now(void);
/** CLOCK_MONOTONIC in nanoseconds. */
int64_t dray_clock_mono(void);
/** RFC 3339 UTC with the fraction's trailing zeros cut (Go's RFC3339Nano); 0 gives the zero time. */
void dray_time_format(int64_t ns, char out[DRAY_TIME_LEN]);
/** The same with all nine digits, as logs have it. */
void dray_time_format_fixed(int64_t ns, char out[DRAY_TIME_LEN]);
/** Reads RFC 3339; the zero time gives 0. */
bool dray_time_parse(const char *text, int64_t *ns_out);
/** Reads what since/until accept: Unix seconds with fraction, RFC 3339 (also date only, or without
 *  zone), or a Go duration before now. */
bool dray_time_parse_when(const char *text, int64_t now_ns, int64_t *ns_out);
/** Go durations: "1h2m3.5s", "300ms". */
bool dray_duration_parse(const char *text, int64_t *ns_out);
/** The same the other way, as Go prints them: "1m30s", "1.5s", "300ms", "0s". */
void dray_duration_text(int64_t ns, char out[40]);

#endif
