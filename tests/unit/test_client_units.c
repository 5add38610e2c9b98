/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_units.c - sizes and durations as people write and read them. */
#include "client/units.h"

#include "check.h"

#define S INT64_C(1000000000)

static void expect_ago(int64_t seconds, const char *want)
{
    char got[UNITS_LEN];
    units_human_duration(seconds * S, got);
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void human_durations(void)
{
    expect_ago(0, "Less than a second");
    expect_ago(1, "1 second");
    expect_ago(59, "59 seconds");
    expect_ago(60, "About a minute");
    expect_ago(119, "About a minute");
    expect_ago(120, "2 minutes");
    expect_ago(3599, "59 minutes");
    expect_ago(3600, "About an hour");
    expect_ago(3600 * 3, "3 hours");
    expect_ago(3600 * 47, "47 hours");
    expect_ago(3600 * 48, "2 days");
    expect_ago(3600 * 24 * 14, "2 weeks");
    expect_ago(3600 * 24 * 60, "2 months");
    expect_ago(INT64_C(3600) * 24 * 365 * 3, "3 years");
}

static void human_sizes(void)
{
    char got[UNITS_LEN];
    units_human_size(0, 3, got);
    CU_ASSERT_STRING_EQUAL(got, "0B");
    units_human_size(1234567, 3, got);
    CU_ASSERT_STRING_EQUAL(got, "1.23MB");
    units_human_size(1000, 4, got);
    CU_ASSERT_STRING_EQUAL(got, "1kB");
    units_human_size(999, 3, got);
    CU_ASSERT_STRING_EQUAL(got, "999B");
    units_bytes_size(25276502016.0, got);
    CU_ASSERT_STRING_EQUAL(got, "23.54GiB");
    units_bytes_size(724992, got);
    CU_ASSERT_STRING_EQUAL(got, "708KiB");
}

static void expect_bytes(const char *text, int64_t want)
{
    int64_t got = -1;
    struct dray_err err = {0};
    int rc = units_bytes(text, &got, &err);
    if (want < 0) {
        CU_ASSERT_NOT_EQUAL(rc, 0);
        return;
    }
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT_EQUAL(got, want);
}

static void bytes(void)
{
    expect_bytes("32", 32);
    expect_bytes("32b", 32);
    expect_bytes("32k", 32 * 1024);
    expect_bytes("32KiB", 32 * 1024);
    expect_bytes("1.5g", INT64_C(3) << 29);
    expect_bytes("2 MB", 2 << 20);
    expect_bytes("x", -1);
    expect_bytes("", -1);
    expect_bytes("32 ZB!", -1);
    expect_bytes("-5m", -1);
    expect_bytes("1m2", -1);
}

static void cpus(void)
{
    int64_t n = 0;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(units_cpus("1.5", &n, &err), 0);
    CU_ASSERT_EQUAL(n, 1500000000);
    CU_ASSERT_NOT_EQUAL(units_cpus("x", &n, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "failed to parse x as a rational number");
}

static void expect_duration(const char *text, int64_t want, const char *complaint)
{
    int64_t got = -1;
    struct dray_err err = {0};
    int rc = units_duration(text, &got, &err);
    if (complaint) {
        CU_ASSERT_NOT_EQUAL(rc, 0);
        CU_ASSERT_STRING_EQUAL(err.text, complaint);
        return;
    }
    CU_ASSERT_EQUAL(rc, 0);
    CU_ASSERT_EQUAL(got, want);
}

static void durations(void)
{
    expect_duration("0", 0, NULL);
    expect_duration("1h2m3.5s", (3600 + 120) * S + 3500000000, NULL);
    expect_duration("300ms", 300000000, NULL);
    expect_duration("-2s", -2 * S, NULL);
    expect_duration("x", 0, "time: invalid duration \"x\"");
    expect_duration("1", 0, "time: missing unit in duration \"1\"");
    expect_duration("1x", 0, "time: unknown unit \"x\" in duration \"1x\"");
}

static void ellipsis(void)
{
    dray_autofree char *cut = units_ellipsis("sh -c 'echo a long command'", 20);
    CU_ASSERT_STRING_EQUAL(cut, "sh -c 'echo a long \xe2\x80\xa6");
    dray_autofree char *same = units_ellipsis("short", 20);
    CU_ASSERT_STRING_EQUAL(same, "short");
    dray_autofree char *wide = units_ellipsis("\xc3\xa4\xc3\xb6\xc3\xbc", 2);
    CU_ASSERT_STRING_EQUAL(wide, "\xc3\xa4\xe2\x80\xa6");
    CU_ASSERT_EQUAL(units_runes("\xc3\xa4x"), 2);
}

static const struct check_case cases[] = {
    {"human durations", human_durations},
    {"human sizes", human_sizes},
    {"bytes", bytes},
    {"cpus", cpus},
    {"durations", durations},
    {"ellipsis", ellipsis},
};
CHECK_MAIN("client units", cases)
