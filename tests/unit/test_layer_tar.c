/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_layer_tar.c - unpacks hostile and odd tars in both modes; whatever they say, nothing outside
 * of the layer changes.
 *
 * A case lists members and what must be there afterwards, one check a line:
 *   f PATH=TEXT  a file with that content      d PATH  a folder        - PATH  nothing there
 *   l PATH=TEXT  a symbolic link               w PATH  a whiteout      o PATH  an opaque folder
 *   m PATH=OCT   permissions                   s PATH=N  a size        = A=B   one inode
 *   u PATH=UID:GID                             x PATH=KEY  has the attribute   n PATH=KEY  has not
 *   t PATH=SEC   time                          c PATH=MAJ:MIN a character device, b a block one
 *   p PATH       a fifo
 * '@' in names, links and texts stands for the path of the canary folder.
 */
#include "check.h"
#include "layer_tar.h"
#include "tarball.h"
#include "tree_print.h"
#include "xattrs.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MEMBERS 12

struct tar_case {
    const char *name;
    struct member members[MEMBERS];
    void (*build)(struct tarball *t); /* instead of members */
    int overlay, plain;               /* expected results */
    const char *checks;               /* in both modes */
    const char *overlay_checks, *plain_checks;
    uint64_t max_bytes, max_entries;
};

static char top[] = "/tmp/dray-layer-tar-XXXXXX";
static char canary[64], root_path[64];

/* --- places -----------------------------------------------------------------------------------*/

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static void make_dir(const char *dir, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    CU_ASSERT_FATAL(mkdir(path, 0755) == 0);
}

static void make_canary(void)
{
    (void)snprintf(canary, sizeof canary, "%s/canary", top);
    (void)snprintf(root_path, sizeof root_path, "%s/root", top);
    make_dir(top, "canary");
    write_file(canary, "secret", "untouched");
    make_dir(canary, "folder");
    write_file(canary, "folder/inner", "untouched too");
}

/* What a plain layer has from its parent. */
static void make_parent(void)
{
    write_file(root_path, "old", "old");
    make_dir(root_path, "dir");
    write_file(root_path, "dir/a", "a");
    write_file(root_path, "dir/b", "b");
    make_dir(root_path, "dir/sub");
    write_file(root_path, "dir/sub/deep", "deep");
}

static int open_root(void)
{
    make_dir(top, "root");
    int fd = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    return fd;
}

static void drop_root(void)
{
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dray_err err = {0};
    int rc = dray_pl_remove_tree(fd, "root", &err);
    if (rc < 0)
        (void)printf("\n    %s\n", err.text);
    CU_ASSERT(rc == 0);
    (void)close(fd);
}

/* --- checks -----------------------------------------------------------------------------------*/

static const char *expand(const char *text, char out[512])
{
    size_t used = 0;
    for (; text && *text && used + 80 < 512; text++)
        if (*text == '@')
            used += (size_t)snprintf(out + used, 512 - used, "%s", canary);
        else
            out[used++] = *text;
    out[used] = '\0';
    return text ? out : NULL;
}

static bool file_is(int root, const char *path, const char *text)
{
    char buf[4096];
    ssize_t n = dray_pl_read_small(root, path, buf, sizeof buf);
    return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static bool link_is(int root, const char *path, const char *text)
{
    char buf[512] = "", want[512];
    return readlinkat(root, path, buf, sizeof buf - 1) > 0 && strcmp(buf, expand(text, want)) == 0;
}

static bool same_file(int root, const char *a, const char *b)
{
    struct stat x, y;
    return fstatat(root, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(root, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_ino == y.st_ino;
}

static bool has_xattr(int root, const char *path, const char *key)
{
    char full[512], value[256];
    (void)snprintf(full, sizeof full, "/proc/self/fd/%d/%s", root, path);
    return lgetxattr(full, key, value, sizeof value) >= 0;
}

static bool check_stat(char kind, const struct stat *st, const char *arg)
{
    unsigned a = 0, b = 0;
    (void)sscanf(arg, "%u:%u", &a, &b);
    switch (kind) {
    case 'd':
        return S_ISDIR(st->st_mode);
    case 'w':
        return S_ISCHR(st->st_mode) && st->st_rdev == 0;
    case 'm':
        return (st->st_mode & 07777) == strtoul(arg, NULL, 8);
    case 's':
        return st->st_size == strtoll(arg, NULL, 10);
    case 'u':
        return st->st_uid == a && st->st_gid == b;
    case 't':
        return st->st_mtim.tv_sec == strtoll(arg, NULL, 10);
    case 'c':
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(a, b);
    case 'b':
        return S_ISBLK(st->st_mode) && st->st_rdev == makedev(a, b);
    case 'p':
        return S_ISFIFO(st->st_mode);
    default:
        return false;
    }
}

static bool check_one(int root, char kind, const char *path, const char *arg)
{
    struct stat st;
    bool there = fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    switch (kind) {
    case '-':
        return !there;
    case 'f':
        return there && S_ISREG(st.st_mode) && file_is(root, path, arg);
    case 'l':
        return there && link_is(root, path, arg);
    case '=':
        return same_file(root, path, arg);
    case 'o':
        return there && dray_pl_is_opaque(root, path);
    case 'x':
        return has_xattr(root, path, arg);
    case 'n':
        return there && !has_xattr(root, path, arg);
    default:
        return there && check_stat(kind, &st, arg);
    }
}

static bool check_lines(const char *name, int root, const char *lines)
{
    bool good = true;
    dray_autofree char *copy = strdup(lines ? lines : "");
    for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
        if (strlen(line) < 3)
            continue;
        char *arg = strchr(line + 2, '=');
        if (arg)
            *arg++ = '\0';
        if (check_one(root, line[0], line + 2, arg ? arg : ""))
            continue;
        (void)printf("\n    %s: failed check: %s %s\n", name, line, arg ? arg : "");
        good = false;
    }
    return good;
}

/* --- running ----------------------------------------------------------------------------------*/

struct feed {
    int fd;
    const struct tarball *t;
};

static void *feed(void *arg)
{
    const struct feed *f = arg;
    (void)dray_pl_write_all(f->fd, f->t->data, f->t->len);
    (void)close(f->fd);
    return NULL;
}

/* Unpack from a pipe, as the daemon does. */
static int unpack(const struct tarball *t, struct dray_layer_apply *job, struct dray_err *err)
{
    int ends[2];
    pthread_t thread;
    CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC) == 0);
    struct feed f = {ends[1], t};
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, feed, &f) == 0);
    int rc = dray_layer_apply(ends[0], job, err);
    (void)close(ends[0]);
    (void)pthread_join(thread, NULL);
    return rc;
}

static void build_members(struct tarball *t, const struct tar_case *c)
{
    for (size_t i = 0; i < MEMBERS && c->members[i].name; i++) {
        struct member m = c->members[i];
        char name[512], link[512];
        m.name = expand(m.name, name);
        m.link = expand(m.link, link);
        tar_member(t, &m);
    }
    tar_end(t);
}

static void run_case(const struct tar_case *c, enum dray_layer_mode mode)
{
    bool plain = mode == DRAY_LAYER_PLAIN;
    int root = open_root();
    if (plain)
        make_parent();
    struct tarball t = {0};
    if (c->build)
        c->build(&t);
    else
        build_members(&t, c);
    dray_autofree char *before = print_tree(canary);
    struct dray_layer_apply job = {.root = root,
                                   .mode = mode,
                                   .max_bytes = c->max_bytes,
                                   .max_entries = c->max_entries,
                                   .cancel_fd = -1};
    struct dray_err err = {0};
    int rc = unpack(&t, &job, &err);
    dray_autofree char *after = print_tree(canary);
    int want = plain ? c->plain : c->overlay;
    if (rc != want)
        (void)printf("\n    %s (%s): result %d instead of %d: %s\n", c->name,
                     plain ? "plain" : "overlay", rc, want, err.text);
    CU_ASSERT(rc == want);
    CU_ASSERT(rc == 0 || err.text[0] != '\0');
    if (strcmp(before, after) != 0)
        (void)printf("\n    %s: outside changed:\n%s---\n%s\n", c->name, before, after);
    CU_ASSERT(strcmp(before, after) == 0);
    CU_ASSERT(check_lines(c->name, root, c->checks));
    CU_ASSERT(check_lines(c->name, root, plain ? c->plain_checks : c->overlay_checks));
    free(t.data);
    (void)close(root);
    drop_root();
}

/* --- streams that are not lists of members ----------------------------------------------------*/

static void build_nothing(struct tarball *t)
{
    (void)t;
}

static void build_zeros(struct tarball *t)
{
    tar_end(t);
}

static void build_garbage(struct tarball *t)
{
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t byte = (uint8_t)(i * 7919 >> 3);
        tar_bytes(t, &byte, 1);
    }
}

static void build_text(struct tarball *t)
{
    tar_bytes(t, "<html>404</html>\n", 17);
}

static void build_bad_sum(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .data = "x"};
    tar_member(t, &m);
    tar_member(t, &m);
    t->data[1024 + 150] ^= 7;
    tar_end(t);
}

static void build_cut_header(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .data = "text"};
    tar_member(t, &m);
    tar_member(t, &m);
    t->len = 1024 + 100;
}

static void build_cut_data(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .size = 5000};
    tar_member(t, &m);
    t->len = 512 + 1000;
}

static void build_no_end(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .data = "text"};
    tar_member(t, &m);
}

static void build_tail(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .data = "text"};
    tar_member(t, &m);
    tar_end(t);
    tar_bytes(t, NULL, 300000);
}

static void build_negative(struct tarball *t)
{
    const struct member m = {
        .type = '0', .name = "f", .raw_size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"};
    tar_member(t, &m);
    tar_end(t);
}

static void build_huge(struct tarball *t)
{
    const struct member m = {
        .type = '0', .name = "f", .raw_size = "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\0"};
    tar_member(t, &m);
    tar_end(t);
}

static void build_octal_huge(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .raw_size = "77777777777"};
    struct member again = m;
    for (unsigned i = 0; i < 1; i++)
        tar_member(t, &again);
    tar_end(t);
}

static void long_path(char *out, size_t len, size_t part)
{
    for (size_t i = 0; i < len; i++)
        out[i] = i % part == part - 1 ? '/' : 'p';
    out[len] = '\0';
}

static void build_deep(struct tarball *t)
{
    char name[4001];
    long_path(name, 4000, 2);
    name[3999] = 'f';
    const struct member m = {.type = '0', .name = name, .data = "deep"};
    tar_member(t, &m);
    tar_end(t);
}

static void build_too_long(struct tarball *t)
{
    char name[6001];
    long_path(name, 6000, 100);
    const struct member m = {.type = '5', .name = name};
    tar_member(t, &m);
    tar_end(t);
}

static void build_long_part(struct tarball *t)
{
    char name[301];
    memset(name, 'n', 300);
    name[300] = '\0';
    const struct member m = {.type = '0', .name = name, .data = ""};
    tar_member(t, &m);
    tar_end(t);
}

static void build_long_link(struct tarball *t)
{
    char target[5001];
    memset(target, 'n', 5000);
    target[5000] = '\0';
    const struct member m = {.type = '2', .name = "l", .link = target};
    tar_member(t, &m);
    tar_end(t);
}

/* GNU sparse 1.0: the map in the data, and a name of its own. */
static void build_sparse(struct tarball *t)
{
    const struct member m = {.type = '0',
                             .name = "GNUSparseFile.0/s",
                             .pax = "GNU.sparse.major=1\nGNU.sparse.minor=0\n"
                                    "GNU.sparse.name=s\nGNU.sparse.realsize=1000000\n",
                             .size = 512 + 4};
    tar_member(t, &m);
    uint8_t *data = t->data + t->len - 1024;
    memset(data, 0, 512);
    memcpy(data, "1\n500000\n4\n", 11);
    memcpy(data + 512, "mid!", 4);
    tar_end(t);
}

static void build_sparse_huge(struct tarball *t)
{
    const struct member m = {.type = '0',
                             .name = "GNUSparseFile.0/s",
                             .pax = "GNU.sparse.major=1\nGNU.sparse.minor=0\n"
                                    "GNU.sparse.name=../../escape\n"
                                    "GNU.sparse.realsize=9223372036854775807\n",
                             .size = 512};
    tar_member(t, &m);
    uint8_t *data = t->data + t->len - 512;
    memset(data, 0, 512);
    memcpy(data, "1\n9223372036854775800\n0\n", 24);
    tar_end(t);
}

static void build_many_dots(struct tarball *t)
{
    char name[3100] = "";
    for (unsigned i = 0; i < 1000; i++)
        memcpy(name + i * 3, "../", 4);
    memcpy(name + 3000, "etc/x", 6);
    const struct member m = {.type = '0', .name = name, .data = "x"};
    tar_member(t, &m);
    tar_end(t);
}

static void build_nfd(struct tarball *t)
{
    /* e + combining acute, Latin-1, and bytes that are no text at all: kept as they are */
    const struct member a = {.type = '0', .name = "x", .pax = "path=cafe\xcc\x81\n", .data = "1"};
    const struct member b = {.type = '0', .name = "caf\xe9", .data = "2"};
    const struct member c = {.type = '0', .name = "x", .pax = "path=caf\xc3\xa9\n", .data = "3"};
    tar_member(t, &a);
    tar_member(t, &b);
    tar_member(t, &c);
    tar_end(t);
}

static void build_v7(struct tarball *t)
{
    struct member m = {.type = '\0', .name = "plain", .data = "v7"};
    size_t at = t->len;
    tar_member(t, &m);
    memset(t->data + at + 257, 0, 8);
    tar_sum((char *)t->data + at);
    tar_end(t);
}

#include "layer_tar_cases.h"

static void run_all(enum dray_layer_mode mode)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i], mode);
}

static void test_overlay(void)
{
    run_all(DRAY_LAYER_OVERLAY);
}

static void test_plain(void)
{
    run_all(DRAY_LAYER_PLAIN);
}

/* --- cancelling -------------------------------------------------------------------------------*/

static void test_cancel(void)
{
    int tar[2], cancel[2];
    CU_ASSERT_FATAL(pipe2(tar, O_CLOEXEC) == 0 && pipe2(cancel, O_CLOEXEC) == 0);
    int root = open_root();
    struct dray_layer_apply job = {.root = root, .cancel_fd = cancel[0]};
    struct dray_err err = {0};
    CU_ASSERT(write(cancel[1], "x", 1) == 1);
    CU_ASSERT(dray_layer_apply(tar[0], &job, &err) == DRAY_E_CANCELED);
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    job.cancel_fd = -1;
    job.deadline_ns =
        (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec + 20000000;
    CU_ASSERT(dray_layer_apply(tar[0], &job, &err) == DRAY_E_TIMEOUT);
    for (int i = 0; i < 2; i++) {
        (void)close(tar[i]);
        (void)close(cancel[i]);
    }
    (void)close(root);
    drop_root();
}

/* --- and back ---------------------------------------------------------------------------------*/

struct capture {
    int fd;
    struct tarball t;
};

static void *capture(void *arg)
{
    struct capture *c = arg;
    char buf[65536];
    for (ssize_t n; (n = read(c->fd, buf, sizeof buf)) > 0;)
        tar_bytes(&c->t, buf, (size_t)n);
    return NULL;
}

static struct tarball pack(const struct dray_layer_pair *pair)
{
    int ends[2];
    pthread_t thread;
    struct dray_err err = {0};
    CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC) == 0);
    struct capture c = {.fd = ends[0]};
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, capture, &c) == 0);
    int rc = dray_layer_diff(pair, ends[1], -1, &err);
    if (rc != 0)
        (void)printf("\n    diff: %s\n", err.text);
    CU_ASSERT(rc == 0);
    (void)close(ends[1]);
    (void)pthread_join(thread, NULL);
    (void)close(ends[0]);
    return c.t;
}

static void unpack_case(const struct tar_case *c, int root, enum dray_layer_mode mode)
{
    struct tarball t = {0};
    struct dray_err err = {0};
    build_members(&t, c);
    struct dray_layer_apply job = {.root = root, .mode = mode, .cancel_fd = -1};
    int rc = unpack(&t, &job, &err);
    if (rc != 0)
        (void)printf("\n    %s: %s\n", c->name, err.text);
    CU_ASSERT(rc == 0);
    free(t.data);
}

static const struct tar_case rich = {
    .name = "rich",
    .members = {{.type = '5', .name = "d", .mode = 01777, .uid = 7, .mtime = 1234},
                {.type = '0', .name = "d/cafe\xcc\x81", .data = "text", .pax = "uid=3000000\n"},
                {.type = '0', .name = "d/ping", .data = "elf", .mode = 04755, .pax = CAP},
                {.type = '1', .name = "a-link", .link = "d/ping"},
                {.type = '2', .name = "d/s", .link = "/somewhere/else"},
                {.type = '3', .name = "null", .major = 1, .minor = 3},
                {.type = '6', .name = "pipe", .mode = 0600},
                {.type = '0', .name = ".wh.gone", .data = ""},
                {.type = '5', .name = "o"},
                {.type = '0', .name = "o/.wh..wh..opq", .data = ""},
                {.type = '5', .name = "z"},
                {.type = '0',
                 .name = "z/0123456789012345678901234567890123456789012345678901234567890"
                         "0123456789012345678901234567890123456789012345678901234567890",
                 .data = "long"}}};

/* A whiteout has no time in a tar. */
static void calm(int root)
{
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    CU_ASSERT(utimensat(root, "gone", times, AT_SYMLINK_NOFOLLOW) == 0);
    CU_ASSERT(utimensat(root, ".", times, AT_SYMLINK_NOFOLLOW) == 0);
}

/* What diff packs, apply unpacks to the same, and packing that gives the same bytes. */
static void test_round_trip(void)
{
    int root = open_root();
    unpack_case(&rich, root, DRAY_LAYER_OVERLAY);
    const struct dray_layer_pair pair = {.upper = root, .lower = -EBADF, .native = true};
    struct tarball first = pack(&pair);
    calm(root);
    dray_autofree char *before = print_tree(root_path);
    CU_ASSERT(
        check_lines("rich", root, "x d/ping=security.capability\nw gone\no o\n= a-link=d/ping"));
    (void)close(root);
    drop_root();
    root = open_root();
    struct dray_err err = {0};
    struct dray_layer_apply job = {.root = root, .cancel_fd = -1};
    CU_ASSERT(unpack(&first, &job, &err) == 0);
    CU_ASSERT(
        check_lines("rich", root, "x d/ping=security.capability\nw gone\no o\n= a-link=d/ping"));
    const struct dray_layer_pair again = {.upper = root, .lower = -EBADF, .native = true};
    struct tarball second = pack(&again);
    calm(root);
    dray_autofree char *after = print_tree(root_path);
    CU_ASSERT(strcmp(before, after) == 0);
    if (strcmp(before, after) != 0)
        (void)printf("\n%s---\n%s\n", before, after);
    CU_ASSERT(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    free(first.data);
    free(second.data);
    (void)close(root);
    drop_root();
}

/* Holes stay holes on the way out and in, and cost nothing. */
static void test_sparse(void)
{
    int root = open_root();
    int fd = openat(root, "s", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    const off_t far = (off_t)3 << 30;
    CU_ASSERT(pwrite(fd, "mid", 3, 8 << 20) == 3 && pwrite(fd, "end", 3, far) == 3);
    CU_ASSERT(ftruncate(fd, far + (4 << 20)) == 0);
    (void)close(fd);
    fd = openat(root, "z", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    CU_ASSERT(ftruncate(fd, 5 << 20) == 0);
    (void)close(fd);
    const struct dray_layer_pair pair = {.upper = root, .lower = -EBADF, .native = true};
    struct tarball t = pack(&pair);
    CU_ASSERT(t.len < 100000);
    (void)close(root);
    drop_root();
    root = open_root();
    struct dray_err err = {0};
    struct dray_layer_apply job = {.root = root, .cancel_fd = -1};
    CU_ASSERT(unpack(&t, &job, &err) == 0);
    struct stat st;
    char text[4] = "";
    CU_ASSERT(fstatat(root, "s", &st, 0) == 0 && st.st_size == far + (4 << 20));
    CU_ASSERT(st.st_blocks * 512 < 100000);
    fd = openat(root, "s", O_RDONLY | O_CLOEXEC);
    CU_ASSERT(pread(fd, text, 3, 8 << 20) == 3 && strcmp(text, "mid") == 0);
    CU_ASSERT(pread(fd, text, 3, far) == 3 && strcmp(text, "end") == 0);
    (void)close(fd);
    CU_ASSERT(fstatat(root, "z", &st, 0) == 0 && st.st_size == 5 << 20 && st.st_blocks == 0);
    free(t.data);
    (void)close(root);
    drop_root();
}

static int print_change(void *arg, const struct dray_layer_change *c, struct dray_err *err)
{
    (void)err;
    (void)fprintf(arg, "%c /%s\n", "CAD"[c->kind], c -> path);
    return 0;
}

static char *compare(int upper, int lower, bool native)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct dray_err err = {0};
    const struct dray_layer_pair pair = {.upper = upper, .lower = lower, .native = native};
    CU_ASSERT(dray_layer_compare(&pair, print_change, out, &err) == 0);
    (void)fclose(out);
    return text;
}

static void expect_text(const char *got, const char *want)
{
    if (strcmp(got, want) != 0)
        (void)printf("\n    got:\n%s    instead of:\n%s", got, want);
    CU_ASSERT(strcmp(got, want) == 0);
}

/* Two whole trees: the second a copy of the first, then changed. */
static void test_compare(void)
{
    int top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int lower = open_root();
    make_parent();
    make_dir(root_path, "turns");
    write_file(root_path, "turns/x", "x");
    CU_ASSERT(mkdirat(top_fd, "copy", 0755) == 0);
    int upper = openat(top_fd, "copy", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dray_err err = {0};
    CU_ASSERT(dray_layer_copy(lower, upper, &err) == 0);
    dray_autofree char *none = compare(upper, lower, false);
    expect_text(none, "");
    char path[80];
    (void)snprintf(path, sizeof path, "%s/copy", top);
    dray_autofree char *a = print_tree(root_path);
    dray_autofree char *b = print_tree(path);
    expect_text(b, a);
    write_file(path, "dir/sub/deep", "longer than before");
    write_file(path, "dir/new", "new");
    CU_ASSERT(unlinkat(upper, "dir/a", 0) == 0);
    CU_ASSERT(unlinkat(upper, "old", 0) == 0);
    CU_ASSERT(dray_pl_remove_tree(upper, "turns", &err) == 0);
    write_file(path, "turns", "into a file");
    dray_autofree char *some = compare(upper, lower, false);
    expect_text(some,
                "C /dir\nD /dir/a\nA /dir/new\nC /dir/sub\nC /dir/sub/deep\nD /old\nC /turns\n");

    /* The tar of that, applied to the older tree, gives the newer one. */
    const struct dray_layer_pair pair = {.upper = upper, .lower = lower};
    struct tarball t = pack(&pair);
    struct dray_layer_apply job = {.root = lower, .mode = DRAY_LAYER_PLAIN, .cancel_fd = -1};
    CU_ASSERT(unpack(&t, &job, &err) == 0);
    dray_autofree char *left = compare(upper, lower, false);
    expect_text(left, "");
    free(t.data);
    (void)close(upper);
    (void)close(lower);
    CU_ASSERT(dray_pl_remove_tree(top_fd, "copy", &err) == 0);
    (void)close(top_fd);
    drop_root();
}

/* Deeper than descriptors or stacks reach. */
static void test_remove_deep(void)
{
    int root = open_root();
    int at = dup(root);
    for (unsigned i = 0; i < 5000; i++) {
        CU_ASSERT_FATAL(mkdirat(at, "d", 0755) == 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CU_ASSERT_FATAL(next >= 0);
        (void)close(at);
        at = next;
    }
    (void)close(at);
    uint64_t bytes, inodes;
    struct dray_err err = {0};
    CU_ASSERT(dray_pl_usage(root, &bytes, &inodes, &err) == DRAY_E_LIMIT);
    (void)close(root);
    drop_root();
    CU_ASSERT(access(root_path, F_OK) < 0);
}

static const struct check_case tests[] = {
    {"canary", make_canary},
    {"corpus, overlay", test_overlay},
    {"corpus, plain", test_plain},
    {"cancel and deadline", test_cancel},
    {"round trip", test_round_trip},
    {"sparse files", test_sparse},
    {"compare and copy", test_compare},
    {"remove a deep tree", test_remove_deep},
};

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (geteuid() != 0) {
        (void)printf("SKIP: unpacking devices and owners needs root\n");
        return 0;
    }
    if (!mkdtemp(top))
        return 2;
    (void)printf("%zu tars in two modes\n", sizeof cases / sizeof *cases);
    int rc = check_main("layer tar", tests, sizeof tests / sizeof *tests);
    (void)remove_path(top, NULL);
    return rc;
}
