/* SPDX-License-Identifier: Apache-2.0 */
/* units.c - sizes, durations and numbers as people write and read them. */
#include "client/units.h"

#include <ctype.h>
#include <math.h>
#include <time.h>

bool units_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < 6; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

/* Without libm, whose loading would cost every start. */
static int64_t rounded(double v)
{
    return (int64_t)(v < 0 ? v - 0.5 : v + 0.5);
}

static double suffix_factor(const char *suffix)
{
    char s[4] = "";
    if (strlen(suffix) > 3)
        return -1;
    for (size_t i = 0; suffix[i]; i++)
        s[i] = (char)tolower((unsigned char)suffix[i]);
    if (!*s || strcmp(s, "b") == 0)
        return 1;
    const char *letters = "kmgtp";
    const char *at = strchr(letters, s[0]);
    if (!at || (s[1] && strcmp(s + 1, "b") != 0 && strcmp(s + 1, "ib") != 0))
        return -1;
    double f = 1;
    for (const char *p = letters; p <= at; p++)
        f *= 1024;
    return f;
}

int units_bytes(const char *text, int64_t *out, struct dray_err *err)
{
    size_t cut = strlen(text);
    while (cut > 0 && !strchr("0123456789. ", text[cut - 1]))
        cut--;
    if (cut == 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid size: '%s'", text);
    char *end = NULL;
    double n = strtod(text, &end);
    if (end == text || (*end && end != text + cut && *end != ' ') || n < 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid size: '%s'", text);
    double f = suffix_factor(text + cut);
    if (f < 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid suffix: '%s'", text + cut);
    *out = (int64_t)(n * f);
    return 0;
}

int units_cpus(const char *text, int64_t *out, struct dray_err *err)
{
    char *end = NULL;
    double n = strtod(text, &end);
    if (!*text || *end || !isfinite(n))
        return dray_fail(err, DRAY_E_INVAL, "failed to parse %s as a rational number", text);
    double nano = n * 1e9;
    *out = (int64_t)rounded(nano);
    if (fabs(nano - (double)*out) > 1e-3)
        return dray_fail(err, DRAY_E_INVAL, "value is too precise");
    return 0;
}

static double unit_factor(const char *p, size_t len)
{
    static const struct {
        const char *unit;
        double ns;
    } table[] = {{"ns", 1},   {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3},
                 {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},        {"h", 3600e9}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].unit) == len && memcmp(table[i].unit, p, len) == 0)
            return table[i].ns;
    return 0;
}

int units_duration(const char *text, int64_t *out, struct dray_err *err)
{
    const char *p = text;
    bool minus = *p == '-';
    double sum = 0;
    p += *p == '-' || *p == '+';
    if (strcmp(p, "0") == 0) {
        *out = 0;
        return 0;
    }
    if (!*p)
        return dray_fail(err, DRAY_E_INVAL, "time: invalid duration \"%s\"", text);
    while (*p) {
        size_t digits = strspn(p, "0123456789.");
        if (digits == 0 || (digits == 1 && *p == '.'))
            return dray_fail(err, DRAY_E_INVAL, "time: invalid duration \"%s\"", text);
        double n = strtod(p, NULL);
        p += digits;
        size_t unit = strcspn(p, "0123456789.");
        if (unit == 0)
            return dray_fail(err, DRAY_E_INVAL, "time: missing unit in duration \"%s\"", text);
        double f = unit_factor(p, unit);
        if (f <= 0)
            return dray_fail(err, DRAY_E_INVAL, "time: unknown unit \"%.*s\" in duration \"%s\"",
                             (int)unit, p, text);
        sum += n * f;
        p += unit;
    }
    *out = (int64_t)rounded(minus ? -sum : sum);
    return 0;
}

static void say(char out[UNITS_LEN], int64_t n, const char *unit)
{
    (void)snprintf(out, UNITS_LEN, "%lld %s", (long long)n, unit);
}

void units_human_duration(int64_t ns, char out[UNITS_LEN])
{
    int64_t s = ns / 1000000000, minutes = s / 60;
    int64_t hours = (int64_t)((double)ns / 3600e9 + 0.5);
    if (s < 1)
        (void)snprintf(out, UNITS_LEN, "Less than a second");
    else if (s == 1)
        (void)snprintf(out, UNITS_LEN, "1 second");
    else if (s < 60)
        say(out, s, "seconds");
    else if (minutes == 1)
        (void)snprintf(out, UNITS_LEN, "About a minute");
    else if (minutes < 60)
        say(out, minutes, "minutes");
    else if (hours == 1)
        (void)snprintf(out, UNITS_LEN, "About an hour");
    else if (hours < 48)
        say(out, hours, "hours");
    else if (hours < 24 * 14)
        say(out, hours / 24, "days");
    else if (hours < 24 * 60)
        say(out, hours / 24 / 7, "weeks");
    else if (hours < 24 * 365 * 2)
        say(out, hours / 24 / 30, "months");
    else
        say(out, s / 3600 / 24 / 365, "years");
}

void units_human_size(double bytes, int digits, char out[UNITS_LEN])
{
    static const char *const names[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    size_t i = 0;
    for (; bytes >= 1000 && i < 8; i++)
        bytes /= 1000;
    (void)snprintf(out, UNITS_LEN, "%.*g%s", digits, bytes, names[i]);
}

void units_bytes_size(double bytes, char out[UNITS_LEN])
{
    static const char *const names[] = {"B",   "KiB", "MiB", "GiB", "TiB",
                                        "PiB", "EiB", "ZiB", "YiB"};
    size_t i = 0;
    for (; bytes >= 1024 && i < 8; i++)
        bytes /= 1024;
    (void)snprintf(out, UNITS_LEN, "%.4g%s", bytes, names[i]);
}

void units_go_time(int64_t seconds, char out[UNITS_LEN])
{
    struct tm tm;
    time_t t = (time_t)seconds;
    if (!localtime_r(&t, &tm) || strftime(out, UNITS_LEN, "%Y-%m-%d %H:%M:%S %z %Z", &tm) == 0)
        out[0] = '\0';
}

int units_runes(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

char *units_ellipsis(const char *text, int n)
{
    size_t len = strlen(text);
    char *out = malloc(len + 4);
    if (!out)
        return NULL;
    memcpy(out, text, len + 1);
    if (units_runes(text) <= n)
        return out;
    int seen = 0;
    size_t cut = 0;
    for (; text[cut]; cut++)
        if (((unsigned char)text[cut] & 0xc0) != 0x80 && seen++ == n - 1)
            break;
    memcpy(out + cut, "\xe2\x80\xa6", 4);
    return out;
}
