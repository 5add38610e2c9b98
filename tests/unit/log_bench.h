/* SPDX-License-Identifier: Apache-2.0 */
/* log_bench.h - a log driver that keeps files, its log, and readers of it. Before it is included,
 * DRIVER and FILE_NAME say which driver and where its file is. */
#ifndef DRAY_TESTS_LOG_BENCH_H
#define DRAY_TESTS_LOG_BENCH_H

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
    char file[128]; /* the log that is written */
    struct dray_drivers *drivers;
    struct dray_driver *log;
    struct dray_log_info info;
    struct dray_kv options[8];
    struct dray_err err;
};

static inline void bench_begin(struct bench *b, const char *driver, const char *file)
{
    *b = (struct bench){.root = "/tmp/dray-test-log-XXXXXX"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(b->root));
    (void)snprintf(b->file, sizeof b->file, "%s/%s", b->root, file);
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
    b->log = dray_drivers_find(b->drivers, DRAY_KIND_LOG, driver);
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

static inline void bench_cleanup(struct bench *b)
{
    dray_drivers_close(b->drivers);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(AT_FDCWD, b->root, NULL), 0);
}

#define BENCH(b)                                                                                   \
    DRAY_AUTO(bench) b;                                                                            \
    bench_begin(&b, DRIVER, FILE_NAME)

static inline void option(struct bench *b, const char *key, const char *value)
{
    b->options[b->info.options.n++] = (struct dray_kv){key, value};
}

static inline int log_open(struct bench *b)
{
    return dray_driver_call(b->log, log, DRAY_CLASS_QUICK, &b->err, open, &b->info);
}

static inline int log_close(struct bench *b)
{
    return dray_driver_call(b->log, log, DRAY_CLASS_QUICK, &b->err, close, ID);
}

static inline struct dray_log_record record(int64_t at, uint8_t stream, const char *text)
{
    return (struct dray_log_record){
        .time_ns = at, .data = text, .len = (uint32_t)strlen(text), .stream = stream};
}

static inline void put_at(struct bench *b, int64_t at, uint8_t stream, const char *text)
{
    struct dray_log_record r = record(at, stream, text);
    CU_ASSERT_EQUAL(dray_driver_call(b->log, log, DRAY_CLASS_DATA, &b->err, write, ID, &r, 1), 0);
}

static inline void put(struct bench *b, const char *text)
{
    put_at(b, T0, DRAY_LOG_STDOUT, text);
}

static inline char *contents(struct bench *b, const char *suffix)
{
    dray_autofree char *path = dray_strf("%s%s", b->file, suffix);
    DRAY_AUTO(dray_buf) text = {0};
    if (dray_fs_read(AT_FDCWD, path, (size_t)1 << 30, &text, NULL) != 0)
        return strdup("(none)");
    dray_buf_adds(&text, "");
    return dray_buf_steal(&text);
}

static inline void spoil(struct bench *b, const char *text)
{
    dray_autofd int fd = open(b->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
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

static inline void *reading_main(void *arg)
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

static inline void reading_start(struct reading *r, struct bench *b, uint32_t flags, int64_t tail)
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

static inline bool take(struct reading *r, void *to, size_t n)
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
static inline bool reading_next(struct reading *r)
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

static inline void reading_end(struct reading *r)
{
    while (reading_next(r))
        ;
    (void)pthread_join(r->thread, NULL);
    (void)close(r->pipe[0]);
}

/* Read and compare. */
static inline void says_q(struct bench *b, const struct dray_log_query *q, uint32_t flags,
                          int64_t tail, const char *want)
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

static inline void says(struct bench *b, uint32_t flags, int64_t tail, const char *want)
{
    struct dray_log_query q = {.ended = {-1}};
    says_q(b, &q, flags, tail, want);
}

#endif
