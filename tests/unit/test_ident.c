/* SPDX-License-Identifier: Apache-2.0 */
/* test_ident.c - ids and names. */
#include "check.h"

#include "base/ident.h"

#include <string.h>

static void ids(void)
{
    char a[DRAY_ID_LEN], b[DRAY_ID_LEN];
    dray_id_new(a);
    dray_id_new(b);
    CU_ASSERT_TRUE(dray_id_is_hex(a, 64, 64));
    CU_ASSERT_STRING_NOT_EQUAL(a, b);
    for (int i = 0; i < 2000; i++) {
        dray_id_new(a);
        CU_ASSERT(strspn(a, "0123456789") < 12);
    }
}

static void hex(void)
{
    unsigned seen = 0;
    char text[302];
    for (size_t n = 0; n <= 300; n++) {
        text[n + 1] = '#';
        dray_id_hex(text, n);
        CU_ASSERT_TRUE(dray_id_is_hex(text, n, n));
        CU_ASSERT_EQUAL(text[n + 1], '#');
    }
    for (int i = 0; i < 300; i++)
        seen |= 1u << (text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
    CU_ASSERT_EQUAL(seen, 0xffffu);
    CU_ASSERT_FALSE(dray_id_is_hex("abcg", 1, 64));
    CU_ASSERT_FALSE(dray_id_is_hex("", 1, 64));
}

static void names(void)
{
    static const char *const good[] = {"ab", "a1", "0-_.", "A.b-c_d"};
    static const char *const bad[] = {"", "a", "-a", ".a", "_a", "a/b", "a b", "a\n", "\303\244b"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CU_ASSERT_TRUE(dray_name_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(dray_name_valid(bad[i]));
}

static void random_names(void)
{
    char name[64];
    for (int i = 0; i < 5000; i++) {
        dray_name_random(name, i % 2);
        CU_ASSERT_TRUE(dray_name_valid(name));
        CU_ASSERT_PTR_NOT_NULL(strchr(name, '_'));
        char last = name[strlen(name) - 1];
        CU_ASSERT_EQUAL(last >= '0' && last <= '9', i % 2);
    }
}

static const struct check_case cases[] = {
    {"ids", ids},
    {"hex", hex},
    {"names", names},
    {"random names", random_names},
};
CHECK_MAIN("ident", cases)
