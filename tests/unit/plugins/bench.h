/* SPDX-License-Identifier: Apache-2.0 */
/* bench.h - a plugin folder for one test, filled with copies of specimens. */
#ifndef DRAY_TESTS_BENCH_H
#define DRAY_TESTS_BENCH_H

#include "check.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "plugin/driver.h"

#include <fcntl.h>
#include <sys/stat.h>

struct bench {
    char root[64];
    char dir[80]; /* ROOT/plugins */
    char data[80], run[80];
    const char *dirs[2];
    struct dray_drivers_config config;
    struct dray_drivers *drivers;
    struct dray_err err;
};

static inline void bench_init(struct bench *b)
{
    *b = (struct bench){.root = "/tmp/dray-test-plugin-XXXXXX"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(b->root));
    (void)snprintf(b->dir, sizeof b->dir, "%s/plugins", b->root);
    (void)snprintf(b->data, sizeof b->data, "%s/data", b->root);
    (void)snprintf(b->run, sizeof b->run, "%s/run", b->root);
    CU_ASSERT_EQUAL_FATAL(mkdir(b->dir, 0755), 0);
    b->dirs[0] = b->dir;
    b->config = (struct dray_drivers_config){
        .dirs = b->dirs,
        .data_root = b->data,
        .exec_root = b->run,
        .libexec_dir = "/libexec",
    };
    dray_log_setup(DRAY_LOG_ERROR, false);
}

static inline void bench_fini(struct bench *b)
{
    dray_drivers_close(b->drivers);
    CU_ASSERT_EQUAL(dray_fs_remove_tree(AT_FDCWD, b->root, NULL), 0);
}

#define BENCH(name)                                                                                \
    __attribute__((cleanup(bench_fini))) struct bench name;                                        \
    bench_init(&name)

/* Copy a specimen into the folder under a name of its own. */
static inline void bench_add(struct bench *b, const char *specimen, const char *as)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s.so", SPECIMEN_DIR, specimen);
    dray_autofd int in = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(in >= 0);
    (void)snprintf(path, sizeof path, "%s/%s", b->dir, as);
    dray_autofd int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CU_ASSERT_FATAL(out >= 0);
    CU_ASSERT_EQUAL(dray_fs_copy(in, out, NULL, NULL), 0);
}

static inline int bench_open(struct bench *b)
{
    b->err = (struct dray_err){0};
    return dray_drivers_open(&b->config, &b->drivers, &b->err);
}

static inline void bench_close(struct bench *b)
{
    dray_drivers_close(b->drivers);
    b->drivers = NULL;
}

#endif
