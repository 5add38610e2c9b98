/* SPDX-License-Identifier: Apache-2.0 */
/* test_strlist.c - owned lists of strings and of pairs. */
#include "check.h"

#include "base/strlist.h"

#include <dray/util.h>

static void lists(void)
{
    DRAY_AUTO(dray_strlist) l = {0};
    CU_ASSERT_EQUAL(dray_strlist_view(&l).n, 0);
    for (int i = 20; i > 0; i--)
        CU_ASSERT_TRUE(dray_strlist_addf(&l, "%02d", i));
    CU_ASSERT_TRUE(dray_strlist_add(&l, "00"));
    CU_ASSERT_TRUE(dray_strlist_take(&l, strdup("zz")));
    CU_ASSERT_FALSE(dray_strlist_take(&l, NULL));
    CU_ASSERT_EQUAL(l.n, 22);
    CU_ASSERT_PTR_NULL(l.v[22]);
    CU_ASSERT_TRUE(dray_strlist_has(&l, "zz"));
    CU_ASSERT_FALSE(dray_strlist_has(&l, "z"));
    dray_strlist_sort(&l);
    CU_ASSERT_STRING_EQUAL(l.v[0], "00");
    CU_ASSERT_STRING_EQUAL(l.v[21], "zz");
    CU_ASSERT_EQUAL(dray_strlist_view(&l).n, 22);
}

static void splits(void)
{
    DRAY_AUTO(dray_strlist) l = {0};
    CU_ASSERT_TRUE(dray_strlist_split(&l, "a,,b,", ','));
    CU_ASSERT_EQUAL_FATAL(l.n, 4);
    CU_ASSERT_STRING_EQUAL(l.v[0], "a");
    CU_ASSERT_STRING_EQUAL(l.v[1], "");
    CU_ASSERT_STRING_EQUAL(l.v[2], "b");
    CU_ASSERT_STRING_EQUAL(l.v[3], "");
    CU_ASSERT_TRUE(dray_strlist_split(&l, "", ','));
    CU_ASSERT_EQUAL(l.n, 5);
}

static void pairs(void)
{
    DRAY_AUTO(dray_kvlist) l = {0};
    for (int i = 0; i < 20; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%d", i);
        CU_ASSERT_TRUE(dray_kvlist_add(&l, key, "v"));
    }
    CU_ASSERT_TRUE(dray_kvlist_set(&l, "k3", "three"));
    CU_ASSERT_TRUE(dray_kvlist_set(&l, "new", "n"));
    CU_ASSERT_EQUAL(l.n, 21);
    CU_ASSERT_STRING_EQUAL(dray_kvlist_get(&l, "k3", ""), "three");
    CU_ASSERT_STRING_EQUAL(dray_kvlist_get(&l, "nope", "def"), "def");
    CU_ASSERT_STRING_EQUAL(dray_kvs_get(dray_kvlist_view(&l), "new", ""), "n");
}

static const struct check_case cases[] = {
    {"lists", lists},
    {"splits", splits},
    {"pairs", pairs},
};
CHECK_MAIN("strlist", cases)
