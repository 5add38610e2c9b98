/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - times as nanoseconds, and how Docker writes and reads them. */
#include "base/clock.h"

#include <dray/util.h>

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define SECONDS_PER_DAY INT64_C(86400)

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * DRAY_NS_PER_S + ts.tv_nsec;
}

int64_t dray_clock_now(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t dray_clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back; the year begins
 * in March so that the leap day is its last. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
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

/* Decimal digits of v, most significant first. */
static char *put(char *p, int64_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + digits;
}

/* Everything up to the seconds; returns the end. *frac_out: nanoseconds in the second. */
static char *put_seconds(int64_t ns, char *p, int64_t *frac_out)
{
    int64_t s = ns / DRAY_NS_PER_S;
    int64_t frac = ns % DRAY_NS_PER_S;
    if (frac < 0) {
        frac += DRAY_NS_PER_S;
        s--;
    }
    int64_t days = s / SECONDS_PER_DAY;
    int64_t sod = s % SECONDS_PER_DAY;
    if (sod < 0) {
        sod += SECONDS_PER_DAY;
        days--;
    }
    int64_t y, m, d;
    date_of(days, &y, &m, &d);
    p = put(p, y, 4);
    *p++ = '-';
    p = put(p, m, 2);
    *p++ = '-';
    p = put(p, d, 2);
    *p++ = 'T';
    p = put(p, sod / 3600, 2);
    *p++ = ':';
    p = put(p, sod / 60 % 60, 2);
    *p++ = ':';
    *frac_out = frac;
    return put(p, sod % 60, 2);
}

void dray_time_format(int64_t ns, char out[DRAY_TIME_LEN])
{
    if (ns == 0) {
        memcpy(out, DRAY_TIME_ZERO, sizeof DRAY_TIME_ZERO);
        return;
    }
    int64_t frac;
    char *p = put_seconds(ns, out, &frac);
    if (frac) {
        *p++ = '.';
        p = put(p, frac, 9);
        while (p[-1] == '0')
            p--;
    }
    *p++ = 'Z';
    *p = '\0';
}

void dray_time_format_fixed(int64_t ns, char out[DRAY_TIME_LEN])
{
    int64_t frac;
    char *p = put_seconds(ns, out, &frac);
    *p++ = '.';
    p = put(p, frac, 9);
    *p++ = 'Z';
    *p = '\0';
}

/* Reads exactly n digits. */
static bool take_digits(const char **p, int n, int64_t *out)
{
    int64_t v = 0;
    for (int i = 0; i < n; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *p += n;
    *out = v;
    return true;
}

static bool take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* ".5", ".123456789...": nanoseconds; digits beyond the ninth are dropped. */
static bool take_fraction(const char **p, int64_t *out)
{
    *out = 0;
    if (**p != '.' && **p != ',')
        return true;
    (*p)++;
    int64_t unit = DRAY_NS_PER_S / 10;
    const char *start = *p;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        *out += (**p - '0') * unit;
        unit /= 10;
    }
    return *p > start;
}

enum zone { ZONE_BAD, ZONE_NONE, ZONE_GIVEN };

/* "Z", "+hh:mm", or nothing. */
static enum zone take_zone(const char **p, int64_t *offset_s)
{
    int64_t h, m;
    *offset_s = 0;
    if (**p == '\0')
        return ZONE_NONE;
    if (take_char(p, 'Z') || take_char(p, 'z'))
        return **p ? ZONE_BAD : ZONE_GIVEN;
    int64_t sign = **p == '-' ? -1 : 1;
    if (!take_char(p, '+') && !take_char(p, '-'))
        return ZONE_BAD;
    if (!take_digits(p, 2, &h) || !take_char(p, ':') || !take_digits(p, 2, &m) || **p || h > 23 ||
        m > 59)
        return ZONE_BAD;
    *offset_s = sign * (h * 3600 + m * 60);
    return ZONE_GIVEN;
}

struct moment {
    int64_t y, m, d, hh, mm, ss, frac;
    int parts; /* how many of date, hour, minute, second were there: 1 to 4 */
};

static bool take_moment(const char **p, struct moment *t)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    *t = (struct moment){.parts = 1};
    if (!take_digits(p, 4, &t->y) || !take_char(p, '-') || !take_digits(p, 2, &t->m) ||
        !take_char(p, '-') || !take_digits(p, 2, &t->d))
        return false;
    bool leap = (t->y % 4 == 0 && t->y % 100 != 0) || t->y % 400 == 0;
    if (t->m < 1 || t->m > 12 || t->d < 1 || t->d > month_days[t->m - 1] ||
        (t->m == 2 && t->d == 29 && !leap))
        return false;
    if (!take_char(p, 'T') && !take_char(p, 't'))
        return true;
    int64_t *const parts[] = {&t->hh, &t->mm, &t->ss};
    for (int i = 0; i < 3; i++) {
        if (i > 0 && !take_char(p, ':'))
            break;
        if (!take_digits(p, 2, parts[i]))
            return false;
        t->parts++;
    }
    if (t->hh > 23 || t->mm > 59 || t->ss > 60)
        return false;
    return t->parts < 4 || take_fraction(p, &t->frac);
}

/* Seconds since 1970 of the moment in the machine's time zone. */
static int64_t local_seconds(const struct moment *t)
{
    struct tm tm = {
        .tm_year = (int)t->y - 1900,
        .tm_mon = (int)t->m - 1,
        .tm_mday = (int)t->d,
        .tm_hour = (int)t->hh,
        .tm_min = (int)t->mm,
        .tm_sec = (int)t->ss,
        .tm_isdst = -1,
    };
    return (int64_t)mktime(&tm);
}

/* min_parts 4 and need_zone make it RFC 3339. */
static bool parse_moment(const char *text, int min_parts, bool need_zone, int64_t *ns_out)
{
    struct moment t;
    int64_t offset;
    const char *p = text;
    if (!take_moment(&p, &t) || t.parts < min_parts)
        return false;
    enum zone zone = take_zone(&p, &offset);
    if (zone == ZONE_BAD || (need_zone && zone == ZONE_NONE))
        return false;
    if (t.y == 1 && t.m == 1 && t.d == 1) {
        *ns_out = 0; /* Go's zero time */
        return true;
    }
    if (t.y < 1678 || t.y > 2261)
        return false; /* outside of what 64 bits of nanoseconds hold */
    int64_t s = zone == ZONE_NONE ? local_seconds(&t)
                                  : days_of(t.y, t.m, t.d) * SECONDS_PER_DAY + t.hh * 3600 +
                                        t.mm * 60 + t.ss - offset;
    *ns_out = s * DRAY_NS_PER_S + t.frac;
    return true;
}

bool dray_time_parse(const char *text, int64_t *ns_out)
{
    return parse_moment(text, 4, true, ns_out);
}

/* "1136073600", "1136073600.000000001" */
static bool parse_unix(const char *text, int64_t *ns_out)
{
    const char *p = text;
    bool negative = take_char(&p, '-');
    int64_t s = 0, frac;
    const char *start = p;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(s, 10, &s) || __builtin_add_overflow(s, *p - '0', &s))
            return false;
    if (p == start || !take_fraction(&p, &frac) || *p)
        return false;
    if (__builtin_mul_overflow(s, DRAY_NS_PER_S, &s) || __builtin_add_overflow(s, frac, &s))
        return false;
    *ns_out = negative ? -s : s;
    return true;
}

bool dray_time_parse_when(const char *text, int64_t now_ns, int64_t *ns_out)
{
    int64_t d;
    if (parse_unix(text, ns_out))
        return true;
    if (dray_duration_parse(text, &d))
        return !__builtin_sub_overflow(now_ns, d, ns_out);
    return parse_moment(text, 1, false, ns_out);
}

static bool take_unit(const char **p, int64_t *unit_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"ns", 1},
        {"us", 1000},
        {"\302\265s", 1000},
        {"\316\274s", 1000},
        {"ms", 1000000},
        {"s", DRAY_NS_PER_S},
        {"m", 60 * DRAY_NS_PER_S},
        {"h", 3600 * DRAY_NS_PER_S},
    };
    size_t n = strcspn(*p, "0123456789.");
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strlen(units[i].name) == n && memcmp(*p, units[i].name, n) == 0) {
            *p += n;
            *unit_ns = units[i].ns;
            return true;
        }
    }
    return false;
}

/* One "12.5ms"; adds to *total. */
static bool take_term(const char **p, int64_t *total)
{
    int64_t whole = 0, part = 0, scale = 1, unit, term;
    const char *start = *p;
    for (; **p >= '0' && **p <= '9'; (*p)++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, **p - '0', &whole))
            return false;
    bool digits = *p > start;
    if (take_char(p, '.')) {
        for (; **p >= '0' && **p <= '9'; (*p)++) {
            digits = true;
            if (scale < INT64_C(100000000000)) {
                part = part * 10 + (**p - '0');
                scale *= 10;
            }
        }
    }
    if (!digits || !take_unit(p, &unit) || __builtin_mul_overflow(whole, unit, &term))
        return false;
    int64_t rest = (int64_t)((double)part * ((double)unit / (double)scale));
    return !__builtin_add_overflow(term, rest, &term) &&
           !__builtin_add_overflow(*total, term, total);
}

bool dray_duration_parse(const char *text, int64_t *ns_out)
{
    const char *p = text;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    int64_t total = 0;
    if (strcmp(p, "0") == 0) {
        *ns_out = 0;
        return true;
    }
    do {
        if (!take_term(&p, &total))
            return false;
    } while (*p);
    *ns_out = negative ? -total : total;
    return true;
}

/* n units as a decimal without zeros at its end, where one unit is 10^digits. */
static size_t put_decimal(char *out, size_t size, uint64_t n, int digits)
{
    uint64_t unit = 1;
    for (int i = 0; i < digits; i++)
        unit *= 10;
    size_t len = (size_t)snprintf(out, size, "%" PRIu64, n / unit);
    if (n % unit == 0)
        return len;
    len += (size_t)snprintf(out + len, size - len, ".%0*" PRIu64, digits, n % unit);
    while (out[len - 1] == '0')
        out[--len] = '\0';
    return len;
}

void dray_duration_text(int64_t ns, char out[40])
{
    static const struct {
        uint64_t below;
        int digits;
        const char *unit;
    } small[] = {{1000, 0, "ns"}, {1000000, 3, "\302\265s"}, {1000000000, 6, "ms"}};
    uint64_t n = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    size_t len = (size_t)snprintf(out, 40, "%s", ns < 0 ? "-" : "");
    for (size_t i = 0; n > 0 && i < sizeof small / sizeof *small; i++) {
        if (n >= small[i].below)
            continue;
        len += put_decimal(out + len, 40 - len, n, small[i].digits);
        (void)snprintf(out + len, 40 - len, "%s", small[i].unit);
        return;
    }
    uint64_t minutes = n / 60000000000ULL;
    if (minutes >= 60)
        len += (size_t)snprintf(out + len, 40 - len, "%" PRIu64 "h", minutes / 60);
    if (minutes > 0)
        len += (size_t)snprintf(out + len, 40 - len, "%" PRIu64 "m", minutes % 60);
    len += put_decimal(out + len, 40 - len, n % 60000000000ULL, 9);
    (void)snprintf(out + len, 40 - len, "s");
}
