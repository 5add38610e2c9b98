/* SPDX-License-Identifier: Apache-2.0 */
/* suite_log.c - records go in, and come out as they were where a driver can read. */
#include "check.h"

#include "base/clock.h"
#include "base/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define ID "dray-check-0123456789abcdef"
#define SECOND INT64_C(1000000000)
#define START (INT64_C(1700000000) * SECOND)

static const struct dray_log_record records[] = {
    {START + 1, "first", 5, DRAY_LOG_STDOUT, 0, 0},
    {START + SECOND, "on stderr", 9, DRAY_LOG_STDERR, 0, 0},
    {START + 2 * SECOND, "", 0, DRAY_LOG_STDOUT, 0, 0},
    {START + 3 * SECOND, "tab\tquote\"backslash\\ \xc3\xa9", 23, DRAY_LOG_STDOUT, 0, 0},
    {START + 4 * SECOND, "last", 4, DRAY_LOG_STDOUT, 0, 0},
};
enum { N = sizeof records / sizeof records[0] };

static int32_t open_log(struct ck *c, const struct dray_log_info *info)
{
    return CK(c, log, open, ID, info);
}

static void write_all(struct ck *c, const struct dray_log_info *info)
{
    (void)CK(c, log, write, ID, ID, records, 2);
    (void)ck_expect(c, 0, "write() of a batch");
    (void)CK(c, log, close, ID, ID);
    (void)ck_expect(c, 0, "close()");
    (void)open_log(c, info);
    (void)ck_expect(c, 0, "open() again goes on, as after a restart of the container");
    (void)CK(c, log, write, ID, ID, records + 2, N - 2);
    (void)ck_expect(c, 0, "write() of lines that are empty, or hold quotes and UTF-8");
    if (ck_has(c, "flush")) {
        (void)CK(c, log, flush, ID, ID);
        (void)ck_expect(c, 0, "flush()");
    }
}

/* What came out of one query: lines with "|" between. */
static bool query(struct ck *c, const struct dray_log_info *info, const struct dray_log_query *q,
                  struct dray_buf *lines, int64_t *first_ns)
{
    DRAY_AUTO(dray_buf) raw = {0};
    dray_autofd int fd = memfd_create("log", MFD_CLOEXEC);
    *lines = (struct dray_buf){0};
    (void)CK(c, log, read, ID, info, q, (struct dray_fd_borrow){fd});
    if (c->rc || lseek(fd, 0, SEEK_SET) != 0 || dray_fs_read_fd(fd, 1 << 20, &raw, NULL))
        return false;
    for (size_t at = 0; at + sizeof(struct dray_log_frame) <= raw.len;) {
        struct dray_log_frame f;
        memcpy(&f, raw.data + at, sizeof f);
        at += sizeof f + f.attrs_len;
        if (at > raw.len || f.len > raw.len - at)
            return false;
        if (!lines->len)
            *first_ns = f.time_ns;
        dray_buf_addf(lines, "%.*s|", (int)f.len, raw.data + at);
        at += f.len;
    }
    return true;
}

static void check_query(struct ck *c, const struct dray_log_info *info, uint32_t flags,
                        int64_t since, int64_t tail, const char *want)
{
    DRAY_AUTO(dray_buf) lines = {0};
    int64_t first = 0;
    const struct dray_log_query q = {
        .size = sizeof q, .flags = flags, .since_ns = since, .tail = tail, .ended = {-1}};
    bool ok = query(c, info, &q, &lines, &first);
    if (c->rc)
        (void)ck_expect(c, 0, "read()");
    else if (!ok || strcmp(lines.data ? lines.data : "", want) != 0)
        ck_fail(c, "read() with tail %lld gave \"%s\" instead of \"%s\"", (long long)tail,
                lines.data ? lines.data : "", want);
    else
        c->shared->passed++;
}

static void check_read(struct ck *c, const struct dray_log_info *info)
{
    const uint32_t both = DRAY_LOGQ_STDOUT | DRAY_LOGQ_STDERR;
    unsigned before = c->shared->failed;
    static const char all[] = "first|on stderr||tab\tquote\"backslash\\ \xc3\xa9|last|";
    check_query(c, info, both, 0, -1, all);
    check_query(c, info, both, 0, 1, "last|");
    check_query(c, info, both, 0, 0, "");
    check_query(c, info, DRAY_LOGQ_STDERR, 0, -1, "on stderr|");
    check_query(c, info, both, START + 4 * SECOND, -1, "last|");
    if (c->shared->failed == before)
        (void)ck_true(c, true, "read() gives back what was written: all, tail, since, one stream");
}

/* --- somebody who follows ----------------------------------------------------------------------*/

struct follower {
    struct ck *c;
    const struct dray_log_info *info;
    int ended; /* readable once nothing more comes */
    int out;
    int rc;
    struct dray_err err;
};

static void *follow(void *arg)
{
    struct follower *f = arg;
    struct dray_call_scope s = {0};
    const struct dray_log_query q = {.size = sizeof q,
                                     .flags = DRAY_LOGQ_FOLLOW | DRAY_LOGQ_STDOUT,
                                     .tail = 0,
                                     .ended = {f->ended}};
    dray_call_object(&s, ID);
    f->rc = dray_call_enter(&s, f->c->driver, DRAY_CLASS_DATA, -1, &f->err);
    if (!f->rc)
        f->rc = ((const struct dray_log_ops *)s.ops)
                    ->read(s.self, &s.call, f->info, &q, (struct dray_fd_borrow){f->out}, &f->err);
    dray_call_leave(&s);
    (void)close(f->out);
    return NULL;
}

/* Does a whole record with these words come before the deadline? */
static bool comes(int fd, const char *words, uint64_t deadline_ns)
{
    char got[512];
    size_t n = 0, want = sizeof(struct dray_log_frame) + strlen(words);
    while (n < want && (uint64_t)dray_clock_mono() < deadline_ns) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t k = poll(&p, 1, 100) > 0 ? read(fd, got + n, sizeof got - n) : 0;
        if (k < 0 || (k == 0 && p.revents & POLLHUP))
            return false;
        n += (size_t)k;
    }
    return n >= want && memcmp(got + n - strlen(words), words, strlen(words)) == 0;
}

/* Write while somebody follows, read beside them, and let the container end. */
static void watch_follower(struct ck *c, struct follower *f, int in)
{
    static const struct dray_log_record more = {START + 5 * SECOND, "more", 4,
                                                DRAY_LOG_STDOUT,    0,      0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, follow, f))
        return;
    (void)usleep(100000); /* tail 0 begins where it begins to look */
    (void)CK(c, log, write, ID, ID, &more, 1);
    (void)ck_expect(c, 0, "write() while somebody follows");
    (void)ck_true(c, comes(in, "more", ck_deadline(c)),
                  "read() that follows gives what is written");
    check_query(c, f->info, DRAY_LOGQ_STDOUT, 0, 1, "more|");
    (void)snprintf(c->shared->step, sizeof c->shared->step, "log.read");
    atomic_store(&c->shared->since_ns, (uint64_t)dray_clock_mono());
    (void)eventfd_write(f->ended, 1);
    pthread_join(thread, NULL);
    c->err = f->err;
    c->op = "read";
    (void)ck_result(c, f->rc);
    (void)ck_expect(c, 0, "it ends when the container has ended");
}

static void check_follow(struct ck *c, const struct dray_log_info *info)
{
    if (dray_driver_threading(c->driver) != DRAY_THREAD_PARALLEL) {
        ck_fail(c, "read() lasts as long as somebody follows, and keeps other readers out; declare "
                   "the interface DRAY_THREAD_PARALLEL");
        return;
    }
    int ends[2];
    dray_autofd int ended = eventfd(0, EFD_CLOEXEC);
    if (ended < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return;
    dray_autofd int in = ends[0];
    struct follower f = {.c = c, .info = info, .ended = ended, .out = ends[1]};
    watch_follower(c, &f, in);
}

/* --- all of it ---------------------------------------------------------------------------------*/

static void check_options(struct ck *c, struct dray_log_info info)
{
    const struct dray_kv odd = {"dray-check-no-such-option", "1"};
    info.options = (struct dray_kvs){&odd, 1};
    if (ck_has(c, "validate"))
        (void)CK(c, log, validate, NULL, info.options);
    else
        (void)open_log(c, &info);
    if (c->rc)
        (void)ck_expect(c, DRAY_E_INVAL, "an unknown option is refused");
    else
        ck_warn(c, "it takes options that it does not know; refuse them with DRAY_E_INVAL");
    if (!c->rc && !ck_has(c, "validate"))
        (void)CK(c, log, close, ID, ID);
}

static void check_reading(struct ck *c, const struct dray_log_info *info)
{
    check_read(c, info);
    check_follow(c, info);
}

void ck_log(struct ck *c)
{
    dray_autofree char *dir = dray_strf("%s/container", c->work);
    (void)mkdir(dir, 0700);
    const struct dray_log_info info = {.size = sizeof info,
                                       .container_id = ID,
                                       .container_name = "check",
                                       .image_id = "sha256:0",
                                       .image_name = "image",
                                       .command = "true",
                                       .daemon_name = "docker",
                                       .dir = dir,
                                       .created_ns = START,
                                       .options = {c->want->opts, c->want->n_opts}};
    check_options(c, info);
    if (ck_has(c, "validate")) {
        (void)CK(c, log, validate, NULL, info.options);
        (void)ck_expect(c, 0, "validate() of the options");
    }
    (void)open_log(c, &info);
    if (!ck_expect(c, 0, "open()"))
        return;
    write_all(c, &info);
    if (dray_driver_features(c->driver) & DRAY_LOG_F_READ)
        check_reading(c, &info);
    else
        ck_skip(c, "it cannot read: what came of the lines is not known");
    (void)CK(c, log, close, ID, ID);
    (void)ck_expect(c, 0, "close()");
}
