/* SPDX-License-Identifier: Apache-2.0 */
/* test_log_local.c - the driver "local": rotation, queries, torn files. */
#define DRIVER "local"
#define FILE_NAME "local-logs/container.log"
#include "log_cases.h"

static void test_text(void)
{
    BENCH(b);
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "any \xff bytes \x01 \"quoted\"");
    put_at(&b, T0, DRAY_LOG_STDERR, "");
    says(&b, 0, -1, "o:any \xff bytes \x01 \"quoted\"|e:|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void test_torn(void)
{
    BENCH(b);
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "one");
    put(&b, "two");
    put(&b, "three is torn");
    CU_ASSERT_EQUAL(log_close(&b), 0);
    struct stat st;
    CU_ASSERT_EQUAL(stat(b.file, &st), 0);
    CU_ASSERT_EQUAL(truncate(b.file, st.st_size - 7), 0);
    says(&b, 0, -1, "o:one|o:two|");
    says(&b, 0, 1, "o:two|");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "four");
    says(&b, 0, -1, "o:one|o:two|o:four|");
    says(&b, 0, 2, "o:two|o:four|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void test_damage(void)
{
    BENCH(b);
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "one");
    spoil(&b, "some rubbish that is longer than a head of a record");
    put(&b, "two");
    says(&b, 0, -1, "o:one|o:two|");
    says(&b, 0, 1, "o:two|");
    says(&b, 0, 2, "o:one|o:two|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static const struct check_case cases[] = {
    {"text and attributes", test_text},
    {"torn record", test_torn},
    {"damage", test_damage},
    LOG_CASES,
};

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return check_main("log-local", cases, sizeof cases / sizeof cases[0]);
}
