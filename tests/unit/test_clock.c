/* SPDX-License-Identifier: Apache-2.0 */
/* test_clock.c - writing and reading times and durations. */
#include "check.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define S DRAY_NS_PER_S

static void formats(void)
{
    static const struct {
        int64_t ns;
        const char *text, *fixed;
    } t[] = {
        {0, DRAY_TIME_ZERO, "1970-01-01T00:00:00.000000000Z"},
        {S, "1970-01-01T00:00:01Z", "1970-01-01T00:00:01.000000000Z"},
        {1, "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00.000000001Z"},
        {-1, "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z"},
        {1582979696 * S + 120000000, "2020-02-29T12:34:56.12Z", "2020-02-29T12:34:56.120000000Z"},
        {4107542400 * S, "2100-03-01T00:00:00Z", "2100-03-01T00:00:00.000000000Z"},
    };
    char out[DRAY_TIME_LEN];
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        dray_time_format(t[i].ns, out);
        CU_ASSERT_STRING_EQUAL(out, t[i].text);
        dray_time_format_fixed(t[i].ns, out);
        CU_ASSERT_STRING_EQUAL(out, t[i].fixed);
    }
}

/* Against the C library, over the range that 64 bits of nanoseconds hold. */
static void round_trips(void)
{
    char out[DRAY_TIME_LEN], expect[64];
    for (int64_t s = -9000000000; s < 9000000000; s += 7654321) {
        time_t when = (time_t)s;
        struct tm tm;
        gmtime_r(&when, &tm);
        strftime(expect, sizeof expect, "%Y-%m-%dT%H:%M:%SZ", &tm);
        int64_t back = -1;
        dray_time_format(s * S, out);
        CU_ASSERT_STRING_EQUAL(out, expect);
        CU_ASSERT_TRUE(dray_time_parse(out, &back));
        CU_ASSERT_EQUAL(back, s * S);
    }
}

static void parses(void)
{
    int64_t ns = -1;
    CU_ASSERT_TRUE(dray_time_parse(DRAY_TIME_ZERO, &ns));
    CU_ASSERT_EQUAL(ns, 0);
    CU_ASSERT_TRUE(dray_time_parse("2020-02-29T14:34:56.120+02:00", &ns));
    CU_ASSERT_EQUAL(ns, 1582979696 * S + 120000000);
    CU_ASSERT_TRUE(dray_time_parse("2020-02-29T12:34:56.1234567891234Z", &ns));
    CU_ASSERT_EQUAL(ns, 1582979696 * S + 123456789);
    static const char *const bad[] = {
        "",
        "2020",
        "2020-02-30T00:00:00Z",
        "2019-02-29T00:00:00Z",
        "2020-13-01T00:00:00Z",
        "2020-01-01T24:00:00Z",
        "2020-01-01T00:00:00",
        "2020-01-01 00:00:00Z",
        "2020-01-01T00:00:00Zx",
        "2020-01-01T00:00:00+2:00",
        "2020-01-01T00:00Z",
        "9999-01-01T00:00:00Z",
        "2020-01-01T00:00:00.Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(dray_time_parse(bad[i], &ns));
}

static void parses_since(void)
{
    int64_t ns = -1;
    const int64_t now = 2000000000 * S;
    static const struct {
        const char *text;
        int64_t ns;
    } t[] = {
        {"1136073600", 1136073600 * S},
        {"1136073600.000000001", 1136073600 * S + 1},
        {"1136073600.5", 1136073600 * S + 500000000},
        {"0", 0},
        {"1h30m", now - 5400 * S},
        {"10s", now - 10 * S},
        {"2006-01-02T15:04:05Z", 1136214245 * S},
        {"2006-01-02T15:04:05.5Z", 1136214245 * S + 500000000},
        {"2006-01-02T15:04:05", 1136214245 * S},
        {"2006-01-02T15:04", 1136214240 * S},
        {"2006-01-02T15", 1136214000 * S},
        {"2006-01-02", 1136160000 * S},
        {"2006-01-02Z", 1136160000 * S},
        {"2006-01-02T15:04:05+01:00", 1136210645 * S},
    };
    setenv("TZ", "UTC", 1);
    tzset();
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        CU_ASSERT_TRUE(dray_time_parse_when(t[i].text, now, &ns));
        CU_ASSERT_EQUAL(ns, t[i].ns);
    }
    static const char *const bad[] = {"", "x", "1.", "--1", "10", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(dray_time_parse_when(bad[i], now, &ns), strcmp(bad[i], "10") == 0);
    setenv("TZ", "XYZ-2", 1);
    tzset();
    CU_ASSERT_TRUE(dray_time_parse_when("2006-01-02T15:04:05", now, &ns));
    CU_ASSERT_EQUAL(ns, (1136214245 - 7200) * S);
    unsetenv("TZ");
    tzset();
}

static void prints_durations(void)
{
    static const struct {
        int64_t ns;
        const char *text;
    } t[] = {
        {0, "0s"},
        {1, "1ns"},
        {1500, "1.5\302\265s"},
        {100000000, "100ms"},
        {1000000000, "1s"},
        {1500000000, "1.5s"},
        {-90000000000, "-1m30s"},
        {60000000000, "1m0s"},
        {3600000000000, "1h0m0s"},
        {3661000000001, "1h1m1.000000001s"},
        {INT64_MIN, "-2562047h47m16.854775808s"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        char out[40];
        dray_duration_text(t[i].ns, out);
        CU_ASSERT_STRING_EQUAL(out, t[i].text);
    }
}

static void durations(void)
{
    static const struct {
        const char *text;
        int64_t ns;
    } t[] = {
        {"0", 0},
        {"300ms", 300000000},
        {"1h2m3.5s", 3723 * S + 500000000},
        {"-1.5h", -5400 * S},
        {"1us", 1000},
        {"1\302\265s", 1000},
        {"+5m", 300 * S},
        {".5s", 500000000},
        {"1ns", 1},
        {"100000h", 360000000 * S},
    };
    int64_t ns = -1;
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        CU_ASSERT_TRUE(dray_duration_parse(t[i].text, &ns));
        CU_ASSERT_EQUAL(ns, t[i].ns);
    }
    static const char *const bad[] = {"", "1", "s", ".s", "1x", "1h2", "9999999999h", "1 s", "-"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(dray_duration_parse(bad[i], &ns));
}

static void clocks(void)
{
    int64_t a = dray_clock_mono();
    CU_ASSERT(dray_clock_mono() >= a);
    int64_t wall = dray_clock_now() / S - (int64_t)time(NULL);
    CU_ASSERT(wall >= -1 && wall <= 1);
}

static const struct check_case cases[] = {
    {"formats", formats},        {"round trips", round_trips},
    {"parses RFC 3339", parses}, {"parses since", parses_since},
    {"durations", durations},    {"prints durations", prints_durations},
    {"clocks", clocks},
};
CHECK_MAIN("clock", cases)
