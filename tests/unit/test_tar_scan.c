/* SPDX-License-Identifier: Apache-2.0 */
/* test_tar_scan.c - what a scan tells of a tar, in whatever pieces the tar comes. */
#include "engine/layer/tar_scan.h"

#include "base/buf.h"
#include "check.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

/* What was told: the raw bytes, and "<path>=<size>;" of each file. */
struct told {
    struct dray_buf raw, files;
    uint64_t content;
};

static int on_raw(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    (void)err;
    dray_buf_add(&((struct told *)ctx)->raw, data, len);
    return 0;
}

static int on_file(void *ctx, const char *path, uint64_t size, struct dray_err *err)
{
    (void)err;
    struct told *t = ctx;
    dray_buf_addf(&t->files, "%s=%llu;", path, (unsigned long long)size);
    t->content += size;
    return 0;
}

static bool scan(const char *data, size_t len, size_t piece, struct told *t)
{
    static const struct dray_tar_scan_ops ops = {on_raw, on_file};
    struct dray_tar_scan *s = NULL;
    bool whole = false;
    *t = (struct told){0};
    CU_ASSERT_EQUAL_FATAL(dray_tar_scan_new(&ops, t, &s, NULL), 0);
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        CU_ASSERT_EQUAL(dray_tar_scan_feed(s, data + at, n, NULL), 0);
    }
    CU_ASSERT_EQUAL(dray_tar_scan_end(s, &whole, NULL), 0);
    dray_tar_scan_free(s);
    return whole;
}

static void told_free(struct told *t)
{
    dray_buf_free(&t->raw);
    dray_buf_free(&t->files);
}

static void add(struct archive *a, const char *path, size_t size)
{
    struct archive_entry *e = archive_entry_new();
    dray_autofree char *data = calloc(1, size + 1);
    archive_entry_set_pathname(e, path);
    archive_entry_set_mode(e, S_IFREG | 0644);
    archive_entry_set_size(e, (la_int64_t)size);
    archive_entry_set_mtime(e, 1, 500000000);
    (void)archive_write_header(a, e);
    (void)archive_write_data(a, data, size);
    archive_entry_free(e);
}

static char *make(const char *format, size_t *len_out)
{
    size_t room = 1 << 20;
    char *data = malloc(room);
    struct archive *a = archive_write_new();
    (void)archive_write_set_format_by_name(a, format);
    (void)archive_write_open_memory(a, data, room, len_out);
    add(a, "./one", 1);
    add(a, "/abs//two", 512);
    add(a, "empty", 0);
    add(a, "up/../three", 700);
    add(a, "d/.wh.gone", 10);
    char longer[301];
    (void)snprintf(longer, sizeof longer, "%0300d", 7);
    longer[150] = '/';
    add(a, longer, 1025);
    CU_ASSERT_EQUAL(archive_write_close(a), ARCHIVE_OK);
    (void)archive_write_free(a);
    return data;
}

static void check_format(const char *format)
{
    static const size_t pieces[] = {1, 7, 511, 512, 513, 1 << 20};
    size_t len = 0;
    dray_autofree char *data = make(format, &len);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct told t;
        CU_ASSERT_TRUE(scan(data, len, pieces[i], &t));
        CU_ASSERT_EQUAL(t.raw.len + t.content, len);
        CU_ASSERT_EQUAL(t.content, 1 + 512 + 1025);
        CU_ASSERT_PTR_EQUAL(strstr(t.files.data, "one=1;abs/two=512;0000"), t.files.data);
        CU_ASSERT_PTR_NOT_NULL(strstr(t.files.data, "0/0"));
        CU_ASSERT_PTR_NOT_NULL(strstr(t.files.data, "7=1025;"));
        told_free(&t);
    }
}

static void test_formats(void)
{
    check_format("pax");
    check_format("gnutar");
    check_format("paxr");
}

/* A tar that is cut within a file, and one whose header is none. */
static void test_broken(void)
{
    size_t len = 0;
    dray_autofree char *data = make("ustar", &len);
    struct told t;
    CU_ASSERT_FALSE(scan(data, 512, 512, &t));
    told_free(&t);
    CU_ASSERT_FALSE(scan(data, 513 + 100, 512, &t));
    told_free(&t);
    data[512 + 512 + 3] ^= 1;
    CU_ASSERT_FALSE(scan(data, len, 512, &t));
    told_free(&t);
    CU_ASSERT_TRUE(scan("", 0, 1, &t));
    told_free(&t);
}

static const struct check_case cases[] = {{"formats", test_formats}, {"broken", test_broken}};
CHECK_MAIN("tar_scan", cases)
