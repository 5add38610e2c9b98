/* SPDX-License-Identifier: Apache-2.0 */
/* log_cases.h - what every log driver with files must do: rotation, queries, follow, speed. */
#ifndef DRAY_TESTS_LOG_CASES_H
#define DRAY_TESTS_LOG_CASES_H

#include "log_bench.h"

/* Rotation. */

static void put_many(struct bench *b, int from, int to)
{
    for (int i = from; i < to; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "line %06d", i);
        put_at(b, T0 + i, DRAY_LOG_STDOUT, text);
    }
}

static void rotates(const char *compress)
{
    BENCH(b);
    option(&b, "max-size", "8192");
    option(&b, "max-file", "3");
    option(&b, "compress", compress);
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put_many(&b, 0, 1000);
    CU_ASSERT_EQUAL(log_close(&b), 0);
    bool packed = strcmp(compress, "true") == 0;
    dray_autofree char *one = contents(&b, packed ? ".1.gz" : ".1");
    dray_autofree char *two = contents(&b, packed ? ".2.gz" : ".2");
    dray_autofree char *three = contents(&b, ".3");
    dray_autofree char *plain = contents(&b, packed ? ".1" : ".1.gz");
    CU_ASSERT_STRING_NOT_EQUAL(one, "(none)");
    CU_ASSERT_STRING_NOT_EQUAL(two, "(none)");
    CU_ASSERT_STRING_EQUAL(three, "(none)");
    CU_ASSERT_STRING_EQUAL(plain, "(none)");
    struct reading r = {.q.ended = {-1}, .cancel = -1};
    reading_start(&r, &b, 0, -1);
    reading_end(&r);
    CU_ASSERT_TRUE(r.n > 180 && r.n < 700);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.got.data, "o:line 000998|o:line 000999|"));
    int first = atoi(r.got.data + 7);
    CU_ASSERT_EQUAL(first + (int)r.n, 1000);
    dray_buf_free(&r.got);
    struct reading t = {.q.ended = {-1}, .cancel = -1};
    reading_start(&t, &b, 0, 170); /* more than one file has */
    reading_end(&t);
    CU_ASSERT_EQUAL(t.n, 170);
    CU_ASSERT_EQUAL(atoi(t.got.data + 7), 830);
    dray_buf_free(&t.got);
}

static void test_rotation(void)
{
    rotates("false");
}

static void test_compression(void)
{
    rotates("true");
}

static void test_one_file(void)
{
    BENCH(b);
    option(&b, "max-size", "8192");
    option(&b, "max-file", "1");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put_many(&b, 0, 1000);
    struct stat st;
    CU_ASSERT_EQUAL(stat(b.file, &st), 0);
    CU_ASSERT_TRUE(st.st_size < 9000);
    says(&b, 0, 2, "o:line 000998|o:line 000999|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

/* Reading. */

static void test_queries(void)
{
    BENCH(b);
    says(&b, 0, -1, ""); /* no file yet */
    says(&b, 0, 5, "");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    for (int i = 0; i < 6; i++) {
        char text[2] = {(char)('a' + i), 0};
        put_at(&b, T0 + i * DRAY_NS_PER_S, i % 2 ? DRAY_LOG_STDERR : DRAY_LOG_STDOUT, text);
    }
    says(&b, 0, -1, "o:a|e:b|o:c|e:d|o:e|e:f|");
    says(&b, DRAY_LOGQ_STDOUT, -1, "o:a|o:c|o:e|");
    says(&b, DRAY_LOGQ_STDERR, -1, "e:b|e:d|e:f|");
    says(&b, 0, 2, "o:e|e:f|");
    says(&b, 0, 0, "");
    says(&b, 0, 100, "o:a|e:b|o:c|e:d|o:e|e:f|");
    says(&b, DRAY_LOGQ_STDOUT, 2, "o:c|o:e|");
    struct dray_log_query q = {.ended = {-1}, .since_ns = T0 + 2 * DRAY_NS_PER_S};
    says_q(&b, &q, 0, -1, "o:c|e:d|o:e|e:f|");
    q.until_ns = T0 + 4 * DRAY_NS_PER_S;
    says_q(&b, &q, 0, -1, "o:c|e:d|o:e|");
    says_q(&b, &q, 0, 1, "o:e|");
    q.since_ns = 0;
    says_q(&b, &q, 0, 2, "e:d|o:e|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void test_pieces(void)
{
    BENCH(b);
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "first");
    struct dray_log_record r[] = {record(T0, DRAY_LOG_STDOUT, "p1"),
                                  record(T0, DRAY_LOG_STDOUT, "p2"),
                                  record(T0, DRAY_LOG_STDOUT, "p3")};
    r[0].flags = r[1].flags = DRAY_LOG_PARTIAL;
    CU_ASSERT_EQUAL(dray_driver_call(b.log, log, DRAY_CLASS_DATA, NULL, write, ID, r, 3), 0);
    says(&b, 0, 1, "o:p1+|o:p2+|o:p3|"); /* pieces are one line */
    says(&b, 0, 2, "o:first|o:p1+|o:p2+|o:p3|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void nap(int ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static void test_follow(void)
{
    BENCH(b);
    option(&b, "max-size", "8192");
    option(&b, "max-file", "3");
    option(&b, "compress", "true");
    int ended = eventfd(0, EFD_CLOEXEC);
    struct reading r = {.q.ended = {ended}, .cancel = -1, .quiet = true};
    reading_start(&r, &b, DRAY_LOGQ_FOLLOW, -1); /* begins before there is a file */
    CU_ASSERT_EQUAL(log_open(&b), 0);
    for (int i = 0; i < 2000; i += 50) { /* rotates 18 times */
        put_many(&b, i, i + 50);
        for (int k = 0; k < 50; k++)
            CU_ASSERT_TRUE(reading_next(&r));
    }
    put(&b, "last");
    CU_ASSERT_EQUAL(eventfd_write(ended, 1), 0);
    CU_ASSERT_EQUAL(log_close(&b), 0);
    reading_end(&r);
    CU_ASSERT_EQUAL(r.rc, 0);
    CU_ASSERT_EQUAL(r.n, 2001);
    (void)close(ended);
}

static void test_follow_tail(void)
{
    BENCH(b);
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put_many(&b, 0, 10);
    int cancel = eventfd(0, EFD_CLOEXEC), ended = eventfd(0, EFD_CLOEXEC);
    struct reading r = {.q.ended = {ended}, .cancel = cancel};
    reading_start(&r, &b, DRAY_LOGQ_FOLLOW, 1);
    CU_ASSERT_TRUE(reading_next(&r));
    put_many(&b, 10, 11);
    CU_ASSERT_TRUE(reading_next(&r));
    CU_ASSERT_STRING_EQUAL(r.got.data, "o:line 000009|o:line 000010|");
    CU_ASSERT_EQUAL(eventfd_write(cancel, 1), 0);
    reading_end(&r);
    CU_ASSERT_EQUAL(r.rc, DRAY_E_CANCELED);
    dray_buf_free(&r.got);
    /* A reader that goes away ends the call, too. */
    struct reading gone = {.q.ended = {ended}, .cancel = -1};
    reading_start(&gone, &b, DRAY_LOGQ_FOLLOW, 0);
    nap(20);
    (void)close(gone.pipe[0]);
    (void)pthread_join(gone.thread, NULL);
    /* So does the end of the time that was asked for. */
    struct reading until = {.q = {.ended = {ended}, .until_ns = dray_clock_now() + 50000000},
                            .cancel = -1};
    reading_start(&until, &b, DRAY_LOGQ_FOLLOW, 0);
    reading_end(&until);
    CU_ASSERT_EQUAL(until.n, 0);
    CU_ASSERT_EQUAL(log_close(&b), 0);
    (void)close(cancel);
    (void)close(ended);
}

/* Bytes changed, cut out and put in anywhere: reading ends, and gives no more than was written. */
static void test_random_damage(void)
{
    BENCH(b);
    struct dray_kv labels[] = {{"k", "v"}};
    b.info.labels = (struct dray_kvs){labels, 1};
    if (strcmp(DRIVER, "json-file") == 0)
        option(&b, "labels", "k");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    for (int i = 0; i < 200; i++)
        put_at(&b, T0 + i, (uint8_t)(1 + i % 2), i % 7 ? "plain \"text\" \x01" : "\xe2\x82\xac \\");
    CU_ASSERT_EQUAL(log_close(&b), 0);
    DRAY_AUTO(dray_buf) good = {0};
    CU_ASSERT_EQUAL_FATAL(dray_fs_read(AT_FDCWD, b.file, 1 << 20, &good, NULL), 0);
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        DRAY_AUTO(dray_buf) bad = {0};
        dray_buf_add(&bad, good.data, good.len);
        for (int k = 0; k < 1 + round % 20; k++)
            bad.data[(size_t)rand_r(&seed) % bad.len] = (char)rand_r(&seed);
        bad.len -= (size_t)rand_r(&seed) % 40;
        CU_ASSERT_EQUAL(
            dray_fs_replace(AT_FDCWD, b.file, bad.data, bad.len, 0640, DRAY_FS_PLAIN, NULL), 0);
        for (int tail = -1; tail < 80; tail += 40) {
            struct reading r = {.q.ended = {-1}, .cancel = -1, .quiet = true};
            reading_start(&r, &b, 0, tail);
            reading_end(&r);
            CU_ASSERT_EQUAL(r.rc, 0);
            CU_ASSERT_TRUE(r.n <= 200);
        }
        CU_ASSERT_EQUAL(log_open(&b), 0); /* and it can be gone on with */
        put_at(&b, T0 + 1000, DRAY_LOG_STDOUT, "more");
        CU_ASSERT_EQUAL(log_close(&b), 0);
        struct reading last = {.q.ended = {-1}, .cancel = -1};
        reading_start(&last, &b, 0, 1);
        reading_end(&last);
        CU_ASSERT_STRING_EQUAL(last.got.data ? last.got.data : "",
                               strcmp(DRIVER, "json-file") == 0 ? "{k=v}o:more|" : "o:more|");
        dray_buf_free(&last.got);
    }
}

/* Figures. */

static void test_speed(void)
{
    enum { LINES = 1000000, BATCH = 256 };
    BENCH(b);
    option(&b, "max-size", "-1");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    char text[101];
    for (size_t i = 0; i < 100; i++)
        text[i] = (char)('!' + i % 90 == '"' || '!' + i % 90 == '\\' ? 'q' : '!' + i % 90);
    text[100] = '\0';
    for (size_t i = 0; i < 100; i++)
        if (strchr("<>&", text[i]))
            text[i] = ' ';
    static struct dray_log_record batch[BATCH];
    int64_t begin = dray_clock_mono();
    for (int i = 0; i < LINES; i += BATCH) {
        int n = LINES - i < BATCH ? LINES - i : BATCH;
        for (int k = 0; k < n; k++)
            batch[k] = record(T0 + i, DRAY_LOG_STDOUT, text);
        CU_ASSERT_EQUAL(
            dray_driver_call(b.log, log, DRAY_CLASS_DATA, NULL, write, ID, batch, (uint64_t)n), 0);
    }
    double wrote = (double)(dray_clock_mono() - begin) / 1e9;
    struct reading r = {.q.ended = {-1}, .cancel = -1, .quiet = true};
    begin = dray_clock_mono();
    reading_start(&r, &b, 0, -1);
    static char sink[1 << 20];
    ssize_t k;
    size_t sum = 0;
    while ((k = read(r.pipe[0], sink, sizeof sink)) > 0)
        sum += (size_t)k;
    reading_end(&r);
    double took = (double)(dray_clock_mono() - begin) / 1e9;
    CU_ASSERT_EQUAL(sum, (size_t)LINES * (100 + sizeof(struct dray_log_frame)));
    begin = dray_clock_mono();
    struct reading t = {.q.ended = {-1}, .cancel = -1, .quiet = true};
    reading_start(&t, &b, 0, 10);
    reading_end(&t);
    CU_ASSERT_EQUAL(t.n, 10);
    printf(
        " [%d lines of 100 B: written in %.2f s, read in %.2f s = %.0f MB/s, tail 10 in %.2f ms] ",
        LINES, wrote, took, 100.0 / took, (double)(dray_clock_mono() - begin) / 1e6);
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

/* clang-format off */
#define LOG_CASES                                                                                  \
    {"rotation", test_rotation},                                                                   \
    {"compression", test_compression},                                                             \
    {"one file", test_one_file},                                                                   \
    {"queries", test_queries},                                                                     \
    {"pieces", test_pieces},                                                                       \
    {"follow through rotations", test_follow},                                                     \
    {"follow: tail, cancel, reader gone, until", test_follow_tail},                                \
    {"random damage", test_random_damage},                                                         \
    {"speed", test_speed}
/* clang-format on */

#endif
