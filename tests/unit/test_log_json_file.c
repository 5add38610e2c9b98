/* SPDX-License-Identifier: Apache-2.0 */
/* test_log_json_file.c - the driver "json-file": format, rotation, queries. */
#include "check.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/logging.h"
#include "plugin/driver.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>

#define T0 INT64_C(1704067200123456789) /* 2024-01-01T00:00:00.123456789Z */
#define ID "c0ffee"

struct bench {
    char root[64];
    struct dray_drivers *drivers;
    struct dray_driver *log;
    struct dray_log_info info;
    struct dray_kv options[8];
    struct dray_err err;
};

static void bench_begin(struct bench *b)
{
    *b = (struct bench){.root = "/tmp/dray-test-log-XXXXXX"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(b->root));
    dray_log_setup(DRAY_LOG_ERROR, false);
    const char *dirs[] = {STAGE_PLUGINS, NULL};
    struct dray_drivers_config config = {
        .dirs = dirs,
        .data_root = b->root,
        .exec_root = b->root,
        .libexec_dir = "/",
        .only_kinds = 1u << DRAY_KIND_LOG,
        .insecure_files = true,
        .no_watchdog = true,
    };
    CU_ASSERT_EQUAL_FATAL(dray_drivers_open(&config, &b->drivers, &b->err), 0);
    b->log = dray_drivers_find(b->drivers, DRAY_KIND_LOG, "json-file");
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->log);
    b->info = (struct dray_log_info){
        .size = sizeof b->info,
        .container_id = ID,
        .container_name = "box",
        .image_id = "sha256:0123456789abcdef",
        .image_name = "alpine",
        .command = "sh",
        .daemon_name = "dray",
        .dir = b->root,
        .options = {b->options, 0},
    };
}

static void bench_cleanup(struct bench *b)
{
    dray_drivers_close(b->drivers);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(AT_FDCWD, b->root, NULL), 0);
}

#define BENCH(b)                                                                                   \
    DRAY_AUTO(bench) b;                                                                            \
    bench_begin(&b)

static void option(struct bench *b, const char *key, const char *value)
{
    b->options[b->info.options.n++] = (struct dray_kv){key, value};
}

static int log_open(struct bench *b)
{
    return dray_driver_call(b->log, log, DRAY_CLASS_QUICK, &b->err, open, &b->info);
}

static int log_close(struct bench *b)
{
    return dray_driver_call(b->log, log, DRAY_CLASS_QUICK, &b->err, close, ID);
}

static struct dray_log_record record(int64_t at, uint8_t stream, const char *text)
{
    return (struct dray_log_record){
        .time_ns = at, .data = text, .len = (uint32_t)strlen(text), .stream = stream};
}

static void put_at(struct bench *b, int64_t at, uint8_t stream, const char *text)
{
    struct dray_log_record r = record(at, stream, text);
    CU_ASSERT_EQUAL(dray_driver_call(b->log, log, DRAY_CLASS_DATA, &b->err, write, ID, &r, 1), 0);
}

static void put(struct bench *b, const char *text)
{
    put_at(b, T0, DRAY_LOG_STDOUT, text);
}

static char *contents(struct bench *b, const char *suffix)
{
    dray_autofree char *path = dray_strf("%s/" ID "-json.log%s", b->root, suffix);
    DRAY_AUTO(dray_buf) text = {0};
    if (dray_fs_read(AT_FDCWD, path, (size_t)1 << 30, &text, NULL) != 0)
        return strdup("(none)");
    dray_buf_adds(&text, "");
    return dray_buf_steal(&text);
}

static void spoil(struct bench *b, const char *text)
{
    dray_autofree char *path = dray_strf("%s/" ID "-json.log", b->root);
    dray_autofd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* A read on a thread of its own; what it says is shown as "o:text|" or "e:text|", "+" for a piece
 * that goes on, "{attrs}" in front. */
struct reading {
    struct bench *b;
    struct dray_log_query q;
    int cancel;
    int pipe[2];
    pthread_t thread;
    int rc;
    struct dray_buf got;
    size_t n, bytes;
    bool quiet;
};

static void *reading_main(void *arg)
{
    struct reading *r = arg;
    struct dray_call_scope s = {0};
    r->rc = dray_call_enter(&s, r->b->log, DRAY_CLASS_DATA, r->cancel, NULL);
    if (!r->rc)
        r->rc = ((const struct dray_log_ops *)s.ops)
                    ->read(s.self, &s.call, &r->b->info, &r->q, (struct dray_fd_borrow){r->pipe[1]},
                           NULL);
    dray_call_leave(&s);
    (void)close(r->pipe[1]);
    return NULL;
}

static void reading_start(struct reading *r, struct bench *b, uint32_t flags, int64_t tail)
{
    r->b = b;
    r->q.size = sizeof r->q;
    if (!(flags & (DRAY_LOGQ_STDOUT | DRAY_LOGQ_STDERR)))
        flags |= DRAY_LOGQ_STDOUT | DRAY_LOGQ_STDERR;
    r->q.flags = flags;
    r->q.tail = tail;
    CU_ASSERT_EQUAL_FATAL(pipe2(r->pipe, O_CLOEXEC), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&r->thread, NULL, reading_main, r), 0);
}

static bool take(struct reading *r, void *to, size_t n)
{
    char *p = to;
    while (n > 0) {
        ssize_t k = read(r->pipe[0], p, n);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* Take one frame; false at the end. */
static bool reading_next(struct reading *r)
{
    struct dray_log_frame f;
    static char text[1 << 20];
    if (!take(r, &f, sizeof f) || !take(r, text, f.attrs_len))
        return false;
    if (!r->quiet && f.attrs_len)
        dray_buf_addf(&r->got, "{%.*s}", (int)f.attrs_len, text);
    if (!take(r, text, f.len))
        return false;
    r->n++;
    r->bytes += f.len;
    if (!r->quiet)
        dray_buf_addf(&r->got, "%c:%.*s%s|", f.stream == DRAY_LOG_STDERR ? 'e' : 'o', (int)f.len,
                      text, f.flags & DRAY_LOG_PARTIAL ? "+" : "");
    return true;
}

static void reading_end(struct reading *r)
{
    while (reading_next(r))
        ;
    (void)pthread_join(r->thread, NULL);
    (void)close(r->pipe[0]);
}

/* Read and compare. */
static void says_q(struct bench *b, const struct dray_log_query *q, uint32_t flags, int64_t tail,
                   const char *want)
{
    struct reading r = {.q = *q, .cancel = -1};
    reading_start(&r, b, flags, tail);
    reading_end(&r);
    CU_ASSERT_EQUAL(r.rc, 0);
    CU_ASSERT_STRING_EQUAL(r.got.data ? r.got.data : "", want);
    if (strcmp(r.got.data ? r.got.data : "", want) != 0)
        printf("\n  got  %s\n  want %s\n", r.got.data, want);
    dray_buf_free(&r.got);
}

static void says(struct bench *b, uint32_t flags, int64_t tail, const char *want)
{
    struct dray_log_query q = {.ended = {-1}};
    says_q(b, &q, flags, tail, want);
}

/* Writing. */

static void test_format(void)
{
    BENCH(b);
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "hello");
    put_at(&b, T0 - 123456789, DRAY_LOG_STDERR, "a\"b\\c\td\re<f>&g\x7f\x01");
    put_at(
        &b, T0 - 456789, DRAY_LOG_STDOUT,
        "ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 sep \xe2\x80\xa8\xe2\x80\xa9 bad \xff\xc0\xaf "
        "\xed\xa0\x80 cut \xe2\x82");
    struct dray_log_record piece = record(T0, DRAY_LOG_STDOUT, "piece");
    piece.flags = DRAY_LOG_PARTIAL;
    CU_ASSERT_EQUAL(dray_driver_call(b.log, log, DRAY_CLASS_DATA, NULL, write, ID, &piece, 1), 0);
    dray_autofree char *text = contents(&b, "");
    CU_ASSERT_STRING_EQUAL(
        text,
        "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:00.123456789Z\"}\n"
        "{\"log\":\"a\\\"b\\\\c\\u0009d\\re\\u003cf\\u003e\\u0026g\x7f\\u0001\\n\","
        "\"stream\":\"stderr\",\"time\":\"2024-01-01T00:00:00Z\"}\n"
        "{\"log\":\"ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 sep \\u2028\\u2029 bad "
        "\\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\\ufffd cut \\ufffd\\ufffd\\n\",\"stream\":"
        "\"stdout\",\"time\":\"2024-01-01T00:00:00.123Z\"}\n"
        "{\"log\":\"piece\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:00.123456789Z\"}\n");
    dray_autofree char *path = dray_strf("%s/" ID "-json.log", b.root);
    struct stat st;
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0640);
    says(&b, 0, -1,
         "o:hello|e:a\"b\\c\td\re<f>&g\x7f\x01|o:ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 sep "
         "\xe2\x80\xa8\xe2\x80\xa9 bad \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd cut \xef\xbf\xbd\xef\xbf\xbd|o:piece+|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void test_attrs(void)
{
    BENCH(b);
    struct dray_kv labels[] = {{"team", "a b"}, {"app.x", "1"}, {"other", "no"}};
    struct dray_kv env[] = {{"PATH", "/bin"}, {"MODE", "x,y"}};
    b.info.labels = (struct dray_kvs){labels, 3};
    b.info.env = (struct dray_kvs){env, 2};
    option(&b, "labels", "team,absent");
    option(&b, "labels-regex", "^app\\.");
    option(&b, "env", "MODE");
    option(&b, "tag", "{{.Name}}/{{ .ImageID }}/{{.ID}}");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "x");
    dray_autofree char *text = contents(&b, "");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\"stream\":\"stdout\",\"attrs\":{\"MODE\":\"x,y\",\"app.x\":\"1\",\"tag\":"
                     "\"box/0123456789ab/c0ffee\",\"team\":\"a b\"},\"time\":"));
    says(&b, 0, -1, "{MODE=x%2Cy,app.x=1,tag=box%2F0123456789ab%2Fc0ffee,team=a+b}o:x|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void test_options(void)
{
    static const struct {
        const char *key, *value, *text;
    } bad[] = {
        {"max-size", "huge", "invalid size"},
        {"max-size", "0", "invalid size"},
        {"max-file", "0", "max-file cannot be less than 1"},
        {"compress", "perhaps", "compress"},
        {"mode", "sometimes", "logging mode not supported"},
        {"max-buffer-size", "x", "max-buffer-size"},
        {"labels-regex", "(", "labels-regex"},
        {"tag", "{{.Nope}}", "tag"},
        {"colour", "red", "unknown log opt 'colour' for json-file log driver"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        BENCH(b);
        option(&b, bad[i].key, bad[i].value);
        CU_ASSERT_EQUAL(
            dray_driver_call(b.log, log, DRAY_CLASS_QUICK, &b.err, validate, b.info.options),
            DRAY_E_INVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(b.err.text, bad[i].text));
        CU_ASSERT_EQUAL(log_open(&b), DRAY_E_INVAL);
    }
    BENCH(b);
    option(&b, "max-size", "1g");
    option(&b, "max-file", "7");
    option(&b, "compress", "true");
    option(&b, "mode", "non-blocking");
    option(&b, "max-buffer-size", "4m");
    CU_ASSERT_EQUAL(
        dray_driver_call(b.log, log, DRAY_CLASS_QUICK, &b.err, validate, b.info.options), 0);
}

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
    option(&b, "max-size", "8k");
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
    CU_ASSERT_TRUE(r.n > 180 && r.n < 320);
    CU_ASSERT_PTR_NOT_NULL(strstr(r.got.data, "o:line 000998|o:line 000999|"));
    int first = atoi(r.got.data + 7);
    CU_ASSERT_EQUAL(first + (int)r.n, 1000);
    dray_buf_free(&r.got);
    struct reading t = {.q.ended = {-1}, .cancel = -1};
    reading_start(&t, &b, 0, 150); /* more than one file has */
    reading_end(&t);
    CU_ASSERT_EQUAL(t.n, 150);
    CU_ASSERT_EQUAL(atoi(t.got.data + 7), 850);
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
    option(&b, "max-size", "8k");
    option(&b, "max-file", "1");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put_many(&b, 0, 1000);
    dray_autofree char *text = contents(&b, "");
    CU_ASSERT_TRUE(strlen(text) < 9000);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "line 000999"));
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

static void test_foreign(void)
{
    BENCH(b);
    spoil(&b, "{ \"time\": \"2024-01-01T02:00:01.5+02:00\", \"x\": [1,{\"y\":\"}\"}], \"stream\": "
              "\"stderr\", \"log\": \"tab\\there \\ud83d\\ude00 \\/\\n\" }\n"
              "rubbish\n"
              "{\"log\":\"no time\\n\",\"stream\":\"stdout\"}\n"
              "{\"log\":\"ok\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:02Z\"}\n"
              "\n"
              "{\"log\":\"torn");
    says(&b, 0, -1, "e:tab\there \xf0\x9f\x98\x80 /|o:ok|");
    says(&b, 0, 1, "o:ok|");
    says(&b, 0, 2, "e:tab\there \xf0\x9f\x98\x80 /|o:ok|");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put_at(&b, T0 + 10 * DRAY_NS_PER_S, DRAY_LOG_STDOUT, "after the crash");
    says(&b, 0, 2, "o:ok|o:after the crash|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void nap(int ms)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static void test_follow(void)
{
    BENCH(b);
    option(&b, "max-size", "8k");
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

static const struct check_case cases[] = {
    {"format", test_format},
    {"attributes", test_attrs},
    {"options", test_options},
    {"rotation", test_rotation},
    {"compression", test_compression},
    {"one file", test_one_file},
    {"queries", test_queries},
    {"pieces", test_pieces},
    {"foreign and damaged lines", test_foreign},
    {"follow through rotations", test_follow},
    {"follow: tail, cancel, reader gone, until", test_follow_tail},
    {"speed", test_speed},
};

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return check_main("log-json-file", cases, sizeof cases / sizeof cases[0]);
}
