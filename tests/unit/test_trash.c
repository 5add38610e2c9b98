/* SPDX-License-Identifier: Apache-2.0 */
/* test_trash.c - deletion in the background: a stop does not wait for it, the next start goes on.
 */
#include "check.h"

#include "files.h"
#include "trash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#define TREES 200

static char top[] = "/tmp/dray-trash-XXXXXX";
static int top_fd = -1;

static void no_log(const struct dray_host *host, uint32_t level, const char *message)
{
    (void)host, (void)level, (void)message;
}

static const struct dray_host host = {.log = no_log};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t left_over(void)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    int fd = openat(top_fd, "trash", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_EQUAL(dray_pl_dir_read(fd, false, &dir, NULL), 0);
    (void)close(fd);
    return dir.n;
}

/* As a slow disk: 50 ms a tree. */
static bool slow(void *arg, int dirfd, const char *name)
{
    const struct timespec nap = {.tv_nsec = 50000000};
    (void)arg, (void)dirfd, (void)name;
    (void)nanosleep(&nap, NULL);
    return false;
}

static void throw_away(struct dray_pl_trash *t, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(mkdirat(top_fd, "tree", 0700), 0);
        CU_ASSERT_EQUAL(mkdirat(top_fd, "tree/below", 0700), 0);
        CU_ASSERT_EQUAL(dray_pl_trash_put(t, top_fd, "tree", NULL), 0);
    }
}

static void a_stop_does_not_wait(void)
{
    struct dray_pl_trash *t = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_pl_trash_open(&host, top_fd, "trash", &t, NULL), 0);
    dray_pl_trash_set_reuse(t, slow, NULL);
    throw_away(t, TREES);
    uint64_t begin = now_ns();
    dray_pl_trash_settle(t, begin + UINT64_C(600000000000));
    dray_pl_trash_close(t);
    /* All of it would take ten seconds. */
    CU_ASSERT(now_ns() - begin < UINT64_C(8000000000));
    CU_ASSERT(left_over() > 0);

    CU_ASSERT_EQUAL_FATAL(dray_pl_trash_open(&host, top_fd, "trash", &t, NULL), 0);
    dray_pl_trash_settle(t, 0);
    CU_ASSERT_EQUAL(left_over(), 0);
    dray_pl_trash_close(t);
}

static bool after_five(void *arg)
{
    return ++*(int *)arg > 5;
}

static void a_tree_is_left_amid(void)
{
    char name[32];
    int asked = 0;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(mkdirat(top_fd, "tree", 0700), 0);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "tree/%d", i);
        CU_ASSERT_EQUAL(mkdirat(top_fd, name, 0700), 0);
    }
    CU_ASSERT_EQUAL(dray_pl_remove_tree_until(top_fd, "tree", after_five, &asked, &err),
                    DRAY_E_CANCELED);
    DRAY_AUTO(dray_pl_dir) dir = {0};
    dray_autofd int fd = openat(top_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_EQUAL(dray_pl_dir_read(fd, false, &dir, NULL), 0);
    CU_ASSERT_EQUAL(dir.n, 15);
    CU_ASSERT_EQUAL(dray_pl_remove_tree(top_fd, "tree", &err), 0);
    CU_ASSERT(faccessat(top_fd, "tree", F_OK, 0) != 0);
}

static const struct check_case cases[] = {
    {"a stop does not wait", a_stop_does_not_wait},
    {"a tree is left amid", a_tree_is_left_amid},
};

int main(void)
{
    if (!mkdtemp(top) || (top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return 1;
    int rc = check_main("trash", cases, sizeof cases / sizeof cases[0]);
    (void)dray_pl_remove_tree(AT_FDCWD, top, NULL);
    return rc;
}
