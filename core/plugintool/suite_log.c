/* SPDX-License-Identifier: Apache-2.0 */
/* suite_log.c - records go in, and come out as they were where a driver can read. */
#include "check.h"

#include "base/fs.h"

#include <fcntl.h>
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
        check_read(c, &info);
    else
        ck_skip(c, "it cannot read: what came of the lines is not known");
    (void)CK(c, log, close, ID, ID);
    (void)ck_expect(c, 0, "close()");
}
