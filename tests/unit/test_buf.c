/* SPDX-License-Identifier: Apache-2.0 */
/* test_buf.c - growing, formatting, failing and stealing byte strings. */
#include "check.h"

#include "base/buf.h"

#include <stdint.h>

static void grows(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    for (int i = 0; i < 1000; i++)
        dray_buf_addf(&b, "%d,", i);
    CU_ASSERT_FALSE(b.failed);
    CU_ASSERT_EQUAL(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    CU_ASSERT_EQUAL(strlen(b.data), b.len);
    dray_buf_reset(&b);
    dray_buf_adds(&b, "ab");
    dray_buf_addc(&b, 'c');
    dray_buf_add(&b, NULL, 0);
    CU_ASSERT_STRING_EQUAL(b.data, "abc");
}

static void formats_beyond_its_room(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    char long_text[500];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    dray_buf_adds(&b, "0123456789");
    dray_buf_addf(&b, "<%s>", long_text);
    CU_ASSERT_EQUAL(b.len, 10 + 2 + 499);
    CU_ASSERT(b.data[10] == '<' && b.data[b.len - 1] == '>');
}

static void fails_for_good(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    dray_buf_adds(&b, "kept");
    CU_ASSERT_PTR_NULL(dray_buf_room(&b, SIZE_MAX - 2));
    CU_ASSERT_TRUE(b.failed);
    dray_buf_addf(&b, "%s", "more");
    dray_buf_adds(&b, "more");
    CU_ASSERT_STRING_EQUAL(b.data, "kept");
    CU_ASSERT_PTR_NULL(dray_buf_steal(&b));
}

static void steals(void)
{
    struct dray_buf b = {0};
    dray_autofree char *empty = dray_buf_steal(&b);
    CU_ASSERT_STRING_EQUAL(empty, "");
    dray_buf_adds(&b, "text");
    dray_autofree char *text = dray_buf_steal(&b);
    CU_ASSERT_STRING_EQUAL(text, "text");
    CU_ASSERT_PTR_NULL(b.data);
    CU_ASSERT_EQUAL(b.len, 0);
}

static void strings(void)
{
    dray_autofree char *t = dray_strf("%s-%d", "a", 5);
    CU_ASSERT_STRING_EQUAL(t, "a-5");
    CU_ASSERT_TRUE(dray_str_prefix("sha256:x", "sha256:"));
    CU_ASSERT_FALSE(dray_str_prefix("sha", "sha256:"));
    CU_ASSERT_TRUE(dray_str_suffix("a.so", ".so"));
    CU_ASSERT_FALSE(dray_str_suffix("so", ".so"));
}

static const struct check_case cases[] = {
    {"grows", grows},
    {"formats beyond its room", formats_beyond_its_room},
    {"fails for good", fails_for_good},
    {"steals", steals},
    {"strings", strings},
};
CHECK_MAIN("buf", cases)
