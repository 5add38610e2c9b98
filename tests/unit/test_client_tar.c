/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_tar.c - cp's tar, there and back, and streams that want to write elsewhere. */
#include "client/copy.h"

#include "base/fs.h"
#include "check.h"

#include <fcntl.h>

struct memory {
    struct dray_buf buf;
    size_t at;
};

static int to_memory(void *arg, const void *data, size_t n)
{
    struct memory *m = arg;
    dray_buf_add(&m->buf, data, n);
    return 0;
}

static ssize_t from_memory(void *arg, void *buf, size_t n)
{
    struct memory *m = arg;
    size_t left = m->buf.len - m->at;
    n = n < left ? n : left;
    memcpy(buf, m->buf.data + m->at, n);
    m->at += n;
    return (ssize_t)n;
}

static char folder[] = "/tmp/dray-test-tar-XXXXXX";

static char *in_folder(const char *name)
{
    return dray_strf("%s/%s", folder, name);
}

static void write_text(const char *name, const char *text)
{
    dray_autofree char *path = in_folder(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    CU_ASSERT_FATAL(fd >= 0);
    (void)dray_fs_write_all(fd, text, strlen(text), NULL);
    (void)close(fd);
}

static bool same_text(const char *name, const char *want)
{
    dray_autofree char *path = in_folder(name);
    DRAY_AUTO(dray_buf) b = {0};
    return dray_fs_read(AT_FDCWD, path, 65536, &b, NULL) == 0 && b.data &&
           strcmp(b.data, want) == 0;
}

static void there_and_back(void)
{
    struct memory m = {0};
    struct dray_err err = {0};
    char longest[160];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    dray_autofree char *src = in_folder("src");
    dray_autofree char *deep = dray_strf("src/%s", longest);
    dray_autofree char *deep_out = dray_strf("out/%s", longest);
    dray_autofree char *dst = in_folder("out");
    dray_autofree char *link = in_folder("src/link");
    CU_ASSERT_EQUAL(mkdir(src, 0755), 0);
    write_text("src/a", "alpha");
    write_text(deep, "deep");
    CU_ASSERT_EQUAL(symlink("a", link), 0);
    CU_ASSERT_EQUAL(copy_pack(src, NULL, false, to_memory, &m, &err), 0);
    CU_ASSERT_EQUAL(m.buf.len % 512, 0);
    struct copy_in in = {.read = from_memory, .arg = &m, .is_dir = true, .name = "src"};
    CU_ASSERT_EQUAL(copy_extract(&in, dst, &err), 0);
    CU_ASSERT_TRUE(same_text("out/a", "alpha"));
    CU_ASSERT_TRUE(same_text(deep_out, "deep"));
    dray_autofree char *out_link = in_folder("out/link");
    char target[16] = "";
    CU_ASSERT_EQUAL(readlink(out_link, target, sizeof target - 1), 1);
    dray_buf_free(&m.buf);
}

static void put(struct memory *m, char type, const char *name, const char *link, const char *text)
{
    dray_autofree char *n = dray_strf("%s", name);
    dray_autofree char *l = dray_strf("%s", link);
    struct tar_entry e = {
        .name = n, .link = l, .type = type, .mode = 0755, .size = text ? (int64_t)strlen(text) : 0};
    (void)tar_put(to_memory, m, &e);
    if (text) {
        dray_buf_add(&m->buf, text, strlen(text));
        (void)tar_pad(to_memory, m, (int64_t)strlen(text));
    }
}

/* Nothing of a hostile stream may land outside of the folder. */
static void confined(void)
{
    static const char *const names[] = {"../evil", "x/../../evil", "/../evil", "out/../../evil"};
    dray_autofree char *dst = in_folder("jail");
    dray_autofree char *outside = in_folder("evil");
    (void)mkdir(dst, 0755);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct memory m = {0};
        struct dray_err err = {0};
        put(&m, '0', names[i], "", "bad");
        (void)tar_finish(to_memory, &m);
        struct copy_in in = {.read = from_memory, .arg = &m, .is_dir = true, .name = "x"};
        (void)copy_extract(&in, dst, &err);
        CU_ASSERT_NOT_EQUAL(access(outside, F_OK), 0);
        dray_buf_free(&m.buf);
    }
    struct memory m = {0};
    struct dray_err err = {0};
    put(&m, '2', "l", "..", NULL);
    put(&m, '0', "l/evil", "", "bad");
    put(&m, '2', "abs", folder, NULL);
    put(&m, '0', "abs/evil", "", "bad");
    (void)tar_finish(to_memory, &m);
    struct copy_in in = {.read = from_memory, .arg = &m, .is_dir = true, .name = "x"};
    (void)copy_extract(&in, dst, &err);
    CU_ASSERT_NOT_EQUAL(access(outside, F_OK), 0);
    dray_buf_free(&m.buf);
}

static void broken(void)
{
    struct memory m = {0};
    struct dray_err err = {0};
    put(&m, '0', "file", "", "text");
    m.buf.data[0] ^= 1; /* the checksum no longer fits */
    struct tar_reader r = {.read = from_memory, .arg = &m};
    struct tar_entry e;
    CU_ASSERT_EQUAL(tar_next(&r, &e, &err), DRAY_E_CORRUPT);
    tar_entry_free(&e);
    m.buf.data[0] ^= 1;
    m.buf.len = 600; /* cut inside the data */
    m.at = 0;
    struct copy_in in = {.read = from_memory, .arg = &m, .name = "file"};
    dray_autofree char *dst = in_folder("cut");
    CU_ASSERT_NOT_EQUAL(copy_extract(&in, dst, &err), 0);
    dray_buf_free(&m.buf);
}

static void clean_up(void)
{
    CU_ASSERT_EQUAL(dray_fs_remove_tree(AT_FDCWD, folder, NULL), 0);
}

static void set_up(void)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

static const struct check_case cases[] = {
    {"set up", set_up},     {"there and back", there_and_back},
    {"confined", confined}, {"broken", broken},
    {"clean up", clean_up},
};
CHECK_MAIN("client tar", cases)
