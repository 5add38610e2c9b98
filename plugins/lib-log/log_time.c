/* SPDX-License-Identifier: Apache-2.0 */
/* log_time.c - RFC 3339 times of log files, fast. */
#include "log_time.h"

#include <string.h>

#define NS_PER_S INT64_C(1000000000)
/* What nanoseconds in 64 bits can say, with room for a zone: years 1680 to 2260. */
#define SECONDS_MAX INT64_C(9150000000)
#define SECOND_LEN 19 /* "2024-01-01T00:00:00" */

/* Days since 1970-01-01 and back; years begin in March so that the leap day is the last. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

static char *put(char *p, int64_t v, int digits, char after)
{
    for (int i = digits - 1; i >= 0; i--, v /= 10)
        p[i] = (char)('0' + v % 10);
    p[digits] = after;
    return p + digits + 1;
}

size_t dray_log_time_write(int64_t ns, char out[DRAY_LOG_TIME_MAX])
{
    int64_t s = ns / NS_PER_S, frac = ns % NS_PER_S;
    if (frac < 0) {
        frac += NS_PER_S;
        s--;
    }
    int64_t days = s / 86400, sod = s % 86400;
    if (sod < 0) {
        sod += 86400;
        days--;
    }
    int64_t y, m, d;
    date_of(days, &y, &m, &d);
    char *p = put(out, y, 4, '-');
    p = put(p, m, 2, '-');
    p = put(p, d, 2, 'T');
    p = put(p, sod / 3600, 2, ':');
    p = put(p, sod / 60 % 60, 2, ':');
    p = put(p, sod % 60, 2, '.');
    if (frac == 0) {
        p[-1] = 'Z';
        return (size_t)(p - out);
    }
    p = put(p, frac, 9, 'Z');
    while (p[-2] == '0') {
        p--;
        p[-1] = 'Z';
    }
    return (size_t)(p - out);
}

static bool number(const char *p, int digits, int64_t *out)
{
    int64_t v = 0;
    for (int i = 0; i < digits; i++) {
        unsigned c = (unsigned)(unsigned char)p[i] - '0';
        if (c > 9)
            return false;
        v = v * 10 + (int64_t)c;
    }
    *out = v;
    return true;
}

/* "2024-01-01T00:00:00" */
static bool read_second(const char *p, int64_t *s_out)
{
    int64_t y, mo, d, h, mi, s;
    if (!number(p, 4, &y) || !number(p + 5, 2, &mo) || !number(p + 8, 2, &d) ||
        !number(p + 11, 2, &h) || !number(p + 14, 2, &mi) || !number(p + 17, 2, &s))
        return false;
    if (p[4] != '-' || p[7] != '-' || p[13] != ':' || p[16] != ':' || mo < 1 || mo > 12)
        return false;
    *s_out = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s;
    return true;
}

/* "Z" or "+01:00" */
static bool read_zone(const char *p, size_t len, int64_t *s_out)
{
    *s_out = 0;
    if (len == 1 && (*p == 'Z' || *p == 'z'))
        return true;
    int64_t h, m;
    if (len != 6 || (*p != '+' && *p != '-') || !number(p + 1, 2, &h) || !number(p + 4, 2, &m))
        return false;
    *s_out = (h * 3600 + m * 60) * (*p == '-' ? -1 : 1);
    return true;
}

bool dray_log_time_read(struct dray_log_clock *c, const char *text, size_t len, int64_t *ns_out)
{
    if (len < SECOND_LEN + 1)
        return false;
    if (memcmp(c->text, text, SECOND_LEN) != 0) {
        int64_t s = 0;
        if (!read_second(text, &s) || s < -SECONDS_MAX || s > SECONDS_MAX)
            return false;
        memcpy(c->text, text, SECOND_LEN);
        c->base_ns = s * NS_PER_S;
    }
    const char *p = text + SECOND_LEN, *end = text + len;
    int64_t frac = 0;
    if (*p == '.') {
        int64_t scale = NS_PER_S;
        for (p++; p < end && *p >= '0' && *p <= '9'; p++)
            if (scale > 1) {
                frac = frac * 10 + (*p - '0');
                scale /= 10;
            }
        frac *= scale;
    }
    int64_t zone = 0;
    if (p >= end || !read_zone(p, (size_t)(end - p), &zone))
        return false;
    *ns_out = c->base_ns + frac - zone * NS_PER_S;
    return true;
}
