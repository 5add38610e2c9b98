/* SPDX-License-Identifier: Apache-2.0 */
/* units.h - sizes, durations and numbers as people write and read them. */
#ifndef DRAY_CLIENT_UNITS_H
#define DRAY_CLIENT_UNITS_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

#define UNITS_LEN 48

/** What Go's strconv.ParseBool takes. */
bool units_bool(const char *text, bool *out);
/** "512m", "1.5GiB", "10": powers of 1024. */
int units_bytes(const char *text, int64_t *out, struct dray_err *err);
/** "1.5" processors, in billionths. */
int units_cpus(const char *text, int64_t *out, struct dray_err *err);
/** Go durations in nanoseconds, with Go's complaints. */
int units_duration(const char *text, int64_t *out, struct dray_err *err);

/** "About a minute", "3 hours" (go-units). */
void units_human_duration(int64_t ns, char out[UNITS_LEN]);
/** "1.23MB": powers of 1000, so many significant digits. */
void units_human_size(double bytes, int digits, char out[UNITS_LEN]);
/** "1.952GiB": powers of 1024, four digits. */
void units_bytes_size(double bytes, char out[UNITS_LEN]);
/** "2026-11-24 03:29:38 +0000 UTC" in the local zone. */
void units_go_time(int64_t seconds, char out[UNITS_LEN]);
/** Characters, not bytes, of UTF-8 text. */
int units_runes(const char *text);
/** Cut to n characters, ending in an ellipsis when shortened. Caller frees. */
char *units_ellipsis(const char *text, int n);

#endif
