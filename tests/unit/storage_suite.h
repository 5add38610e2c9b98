/* SPDX-License-Identifier: Apache-2.0 */
/* storage_suite.h - disks, drivers and short forms of the operations for storage tests. */
#ifndef DRAY_TESTS_STORAGE_SUITE_H
#define DRAY_TESTS_STORAGE_SUITE_H

#include "check.h"
#include "mounts.h"
#include "storage_host.h"
#include "tarball.h"
#include "tree_print.h"

#include <dray/storage.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/** Where the drivers keep their data. */
extern const char *base;

/* An image of a file system, mounted where only this process sees it. */
struct disk {
    char dir[64], image[80];
    bool mounted;
};

#define OPS(s) ((const struct dray_storage_ops *)(const void *)(s)->ops)
#define APPLY(s, id, ...)                                                                          \
    apply((s), (id), (const struct member[]){__VA_ARGS__},                                         \
          sizeof((const struct member[]){__VA_ARGS__}) / sizeof(struct member))

/** false, with the reason printed: the machine lacks something. */
bool mount_disk(struct disk *d, const char *mkfs, const char *options, unsigned mb);
void unmount_disk(struct disk *d);
int show(int rc, int want, const struct dray_err *err, const char *what);
int create(struct st_host *s, const char *id, const char *parent, uint32_t flags, int want);
int drop(struct st_host *s, const char *id, int want);
/** The tar in a file without a name. */
int tar_file(const struct tarball *t);
uint64_t apply_fd(struct st_host *s, const char *id, int fd, int want);
uint64_t apply(struct st_host *s, const char *id, const struct member *m, size_t n);
/** Mount a layer as the engine does; the path is below s->top. */
void mount_layer(struct st_host *s, const char *id, uint32_t flags, char path[96]);
void unmount(struct st_host *s, const char *id, const char *path);
void put(const char *dir, const char *name, const char *text);
bool holds(const char *dir, const char *name, const char *text);
void expect(const char *got, const char *want);
void expect_changes(struct st_host *s, const char *id, const char *want);
/** The diff of a layer in a file without a name. */
int diff(struct st_host *s, const char *id, const char *parent);
void each(void (*test)(struct st_host *s));
void list_is(struct st_host *s, const char *want);
void make_image(struct st_host *s);
/** Run the cases in a mount namespace of their own; main()'s result. */
int storage_main(const char *title, const struct check_case *tests, size_t n);

#endif
