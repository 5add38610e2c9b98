/* SPDX-License-Identifier: Apache-2.0 */
/* test_fs.c - files by descriptor: reading, replacing, removing hostile trees, counting. */
#include "check.h"

#include "base/fs.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* A fresh folder for one test, gone with what is in it at the end. */
struct place {
    char path[64];
    int fd;
};

static void place_init(struct place *p)
{
    (void)snprintf(p->path, sizeof p->path, "/tmp/dray-test-fs-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(p->path));
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_FATAL(p->fd >= 0);
}

static void place_fini(struct place *p)
{
    (void)close(p->fd);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(AT_FDCWD, p->path, NULL), 0);
    CU_ASSERT_EQUAL(access(p->path, F_OK), -1);
}

#define PLACE(name)                                                                                \
    __attribute__((cleanup(place_fini))) struct place name;                                        \
    place_init(&name)

static void put(int dirfd, const char *path, const char *text)
{
    CU_ASSERT_EQUAL(dray_fs_replace(dirfd, path, text, strlen(text), 0644, DRAY_FS_PLAIN, NULL), 0);
}

static void folders(void)
{
    PLACE(p);
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "a/b/c", 0755, &err), 0);
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "a/b/c/", 0755, &err), 0);
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "a//b/d", 0755, &err), 0);
    dray_autofd int fd = -EBADF;
    CU_ASSERT_EQUAL(dray_fs_open_dir(p.fd, "x/y", 0700, &fd, &err), 0);
    CU_ASSERT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    put(p.fd, "file", "x");
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "file/sub", 0755, &err), DRAY_E_IO);
    CU_ASSERT_EQUAL(err.os_errno, ENOTDIR);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "file"));
}

static void reads(void)
{
    PLACE(p);
    struct dray_err err = {0};
    DRAY_AUTO(dray_buf) b = {0};
    CU_ASSERT_EQUAL(dray_fs_read(p.fd, "none", 10, &b, &err), DRAY_E_NOTFOUND);
    put(p.fd, "ten", "0123456789");
    CU_ASSERT_EQUAL(dray_fs_read(p.fd, "ten", 10, &b, &err), 0);
    CU_ASSERT_STRING_EQUAL(b.data, "0123456789");
    CU_ASSERT_EQUAL(dray_fs_read(p.fd, "ten", 9, &b, &err), DRAY_E_LIMIT);
    CU_ASSERT_EQUAL(b.len, 10);
    dray_buf_reset(&b);
    CU_ASSERT_EQUAL(dray_fs_read(AT_FDCWD, "/proc/self/status", 65536, &b, &err), 0);
    CU_ASSERT(b.len > 100);
}

static void replaces(void)
{
    PLACE(p);
    DRAY_AUTO(dray_buf) b = {0};
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "d", 0755, NULL), 0);
    CU_ASSERT_EQUAL(dray_fs_replace(p.fd, "d/f", "one", 3, 0600, DRAY_FS_DURABLE, NULL), 0);
    CU_ASSERT_EQUAL(dray_fs_replace(p.fd, "d/f", "two", 3, 0640, DRAY_FS_DURABLE, NULL), 0);
    CU_ASSERT_EQUAL(dray_fs_read(p.fd, "d/f", 100, &b, NULL), 0);
    CU_ASSERT_STRING_EQUAL(b.data, "two");
    /* A failed replacement leaves the old content and nothing else. */
    CU_ASSERT_EQUAL(mkdirat(p.fd, "d/g", 0755), 0);
    CU_ASSERT_NOT_EQUAL(dray_fs_replace(p.fd, "d/g", "x", 1, 0600, DRAY_FS_PLAIN, NULL), 0);
    uint64_t bytes, inodes;
    CU_ASSERT_EQUAL(dray_fs_usage(p.fd, "d", &bytes, &inodes, NULL), 0);
    CU_ASSERT_EQUAL(inodes, 3);
    put(p.fd, "w", "long content");
    CU_ASSERT_EQUAL(dray_fs_write(p.fd, "w", "1", NULL), 0);
    dray_buf_reset(&b);
    CU_ASSERT_EQUAL(dray_fs_read(p.fd, "w", 100, &b, NULL), 0);
    CU_ASSERT_STRING_EQUAL(b.data, "1");
}

/* A chain of folders far deeper than the limit of open files and of path names. */
static void sweeps(void)
{
    PLACE(p);
    put(p.fd, "a.json.0123456789ab.tmp", "half");
    put(p.fd, "a.json", "whole");
    put(p.fd, "0123456789ab.tmp", "a user's");
    put(p.fd, "a.0123456789aX.tmp", "a user's");
    dray_fs_sweep(p.fd);
    CU_ASSERT_NOT_EQUAL(faccessat(p.fd, "a.json.0123456789ab.tmp", F_OK, 0), 0);
    CU_ASSERT_EQUAL(faccessat(p.fd, "a.json", F_OK, 0), 0);
    CU_ASSERT_EQUAL(faccessat(p.fd, "0123456789ab.tmp", F_OK, 0), 0);
    CU_ASSERT_EQUAL(faccessat(p.fd, "a.0123456789aX.tmp", F_OK, 0), 0);
}

static void make_chain(int dirfd, int depth)
{
    int at = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < depth; i++) {
        CU_ASSERT_EQUAL_FATAL(mkdirat(at, "deep", 0755), 0);
        int fd = openat(at, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        (void)close(fd);
        int next = openat(at, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)close(at);
        at = next;
    }
    (void)close(at);
}

static void removes_deep_trees(void)
{
    PLACE(p);
    uint64_t bytes, inodes;
    CU_ASSERT_EQUAL(mkdirat(p.fd, "t", 0755), 0);
    dray_autofd int t = openat(p.fd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_chain(t, 3000);
    CU_ASSERT_EQUAL(dray_fs_usage(p.fd, "t", &bytes, &inodes, NULL), 0);
    CU_ASSERT_EQUAL(inodes, 1 + 2 * 3000);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(p.fd, "t", NULL), 0);
    CU_ASSERT_EQUAL(faccessat(p.fd, "t", F_OK, 0), -1);
}

static void removes_without_following(void)
{
    PLACE(p);
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "keep/sub", 0755, NULL), 0);
    put(p.fd, "keep/sub/file", "x");
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "t/a/.hidden", 0755, NULL), 0);
    CU_ASSERT_EQUAL(symlinkat("../keep", p.fd, "t/link"), 0);
    CU_ASSERT_EQUAL(symlinkat("/nowhere", p.fd, "t/a/dangling"), 0);
    CU_ASSERT_EQUAL(mkfifoat(p.fd, "t/a/fifo", 0600), 0);
    CU_ASSERT_EQUAL(symlinkat("keep", p.fd, "top"), 0);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(p.fd, "t", NULL), 0);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(p.fd, "t", NULL), 0);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(p.fd, "t/never/was", NULL), 0);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(p.fd, "top", NULL), 0);
    CU_ASSERT_EQUAL(faccessat(p.fd, "keep/sub/file", F_OK, 0), 0);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(p.fd, "keep/..", NULL), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(p.fd, "", NULL), DRAY_E_INVAL);
}

struct swapper {
    int fd;
    _Atomic int stop;
};

/* Turns a folder into a link to what must be kept and back, as fast as it can. */
static void *swap(void *arg)
{
    struct swapper *s = arg;
    while (!atomic_load(&s->stop)) {
        (void)renameat2(s->fd, "t/x", s->fd, "trap", RENAME_EXCHANGE);
        (void)mkdirat(s->fd, "t", 0755);
        (void)mkdirat(s->fd, "t/x", 0755);
        (void)mkdirat(s->fd, "t/x/y", 0755);
    }
    return NULL;
}

static void removes_under_attack(void)
{
    PLACE(p);
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "keep/y", 0755, NULL), 0);
    put(p.fd, "keep/file", "x");
    put(p.fd, "keep/y/file", "x");
    CU_ASSERT_EQUAL(symlinkat("../keep", p.fd, "trap"), 0);
    struct swapper s = {.fd = p.fd};
    pthread_t t;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, swap, &s), 0);
    for (int i = 0; i < 3000; i++)
        (void)dray_fs_remove_tree(p.fd, "t", NULL);
    atomic_store(&s.stop, 1);
    pthread_join(t, NULL);
    CU_ASSERT_EQUAL(faccessat(p.fd, "keep/file", F_OK, 0), 0);
    CU_ASSERT_EQUAL(faccessat(p.fd, "keep/y/file", F_OK, 0), 0);
}

static void stays_on_its_mount(void)
{
    PLACE(p);
    char path[96];
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "t/mnt", 0755, NULL), 0);
    (void)snprintf(path, sizeof path, "%s/t/mnt", p.path);
    if (mount("tmpfs", path, "tmpfs", 0, "size=1m") != 0) {
        printf("skipped: cannot mount: %s\n", strerror(errno));
        return;
    }
    struct dray_err err = {0};
    put(p.fd, "t/mnt/file", "x");
    CU_ASSERT_EQUAL(dray_fs_remove_tree(p.fd, "t", &err), DRAY_E_IO);
    CU_ASSERT_EQUAL(faccessat(p.fd, "t/mnt/file", F_OK, 0), 0);
    CU_ASSERT_EQUAL(umount2(path, MNT_DETACH), 0);
}

static void counts_links_once(void)
{
    PLACE(p);
    uint64_t bytes = 0, inodes = 0, again = 0;
    char data[8192];
    memset(data, 'x', sizeof data);
    CU_ASSERT_EQUAL(mkdirat(p.fd, "t", 0755), 0);
    CU_ASSERT_EQUAL(dray_fs_usage(p.fd, "t", &again, &inodes, NULL), 0);
    CU_ASSERT_EQUAL(inodes, 1);
    CU_ASSERT_EQUAL(dray_fs_replace(p.fd, "t/f", data, sizeof data, 0600, DRAY_FS_DURABLE, NULL),
                    0);
    for (int i = 0; i < 600; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t/l%d", i);
        CU_ASSERT_EQUAL(linkat(p.fd, "t/f", p.fd, name, 0), 0);
    }
    CU_ASSERT_EQUAL(dray_fs_usage(p.fd, "t", &bytes, &inodes, NULL), 0);
    CU_ASSERT_EQUAL(inodes, 2);
    CU_ASSERT(bytes >= 8192 && bytes < 8192 + 65536);
    CU_ASSERT_EQUAL(dray_fs_usage(p.fd, "t/f", &bytes, &inodes, NULL), 0);
    CU_ASSERT_EQUAL(inodes, 1);
    CU_ASSERT_EQUAL(dray_fs_usage(p.fd, "none", &bytes, &inodes, NULL), DRAY_E_NOTFOUND);
}

static void opens_in_root(void)
{
    PLACE(p);
    CU_ASSERT_EQUAL(dray_fs_mkdirs(p.fd, "root/etc", 0755, NULL), 0);
    put(p.fd, "root/etc/passwd", "inside");
    put(p.fd, "outside", "outside");
    CU_ASSERT_EQUAL(symlinkat("/etc/passwd", p.fd, "root/abs"), 0);
    CU_ASSERT_EQUAL(symlinkat("../../../etc/passwd", p.fd, "root/up"), 0);
    dray_autofd int root = openat(p.fd, "root", O_PATH | O_CLOEXEC);
    static const char *const same[] = {"abs", "up", "/etc/passwd", "../../etc/passwd"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        dray_autofd int fd = dray_fs_open_in_root(root, same[i], O_RDONLY, 0);
        char text[16] = "";
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL(read(fd, text, sizeof text - 1), 6);
        CU_ASSERT_STRING_EQUAL(text, "inside");
    }
    CU_ASSERT_EQUAL(dray_fs_open_in_root(root, "../outside", O_RDONLY, 0), -1);
    dray_autofd int made = dray_fs_open_in_root(root, "../new", O_WRONLY | O_CREAT, 0600);
    CU_ASSERT(made >= 0);
    CU_ASSERT_EQUAL(faccessat(p.fd, "root/new", F_OK, 0), 0);
}

static void copies(void)
{
    PLACE(p);
    uint64_t n = 0;
    char data[100000];
    memset(data, 'y', sizeof data);
    CU_ASSERT_EQUAL(dray_fs_replace(p.fd, "in", data, sizeof data, 0600, DRAY_FS_PLAIN, NULL), 0);
    dray_autofd int in = openat(p.fd, "in", O_RDONLY | O_CLOEXEC);
    dray_autofd int out = openat(p.fd, "out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_EQUAL(dray_fs_copy(in, out, &n, NULL), 0);
    CU_ASSERT_EQUAL(n, sizeof data);
    int pipes[2];
    CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
    CU_ASSERT_EQUAL(write(pipes[1], "piped", 5), 5);
    (void)close(pipes[1]);
    CU_ASSERT_EQUAL(dray_fs_copy(pipes[0], out, &n, NULL), 0);
    CU_ASSERT_EQUAL(n, 5);
    (void)close(pipes[0]);
    dray_autofd int proc = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(dray_fs_copy(proc, out, &n, NULL), 0);
    CU_ASSERT(n > 100);
    DRAY_AUTO(dray_buf) b = {0};
    CU_ASSERT_EQUAL(dray_fs_read(p.fd, "out", 1 << 20, &b, NULL), 0);
    CU_ASSERT_EQUAL(b.len, sizeof data + 5 + n);
}

static const struct check_case cases[] = {
    {"folders", folders},
    {"reads", reads},
    {"replaces", replaces},
    {"sweeps", sweeps},
    {"removes deep trees", removes_deep_trees},
    {"removes without following links", removes_without_following},
    {"removes under attack", removes_under_attack},
    {"stays on its mount", stays_on_its_mount},
    {"counts links once", counts_links_once},
    {"opens in root", opens_in_root},
    {"copies", copies},
};
CHECK_MAIN("fs", cases)
