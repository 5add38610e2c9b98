/* SPDX-License-Identifier: Apache-2.0 */
/* trash.h - makes trees vanish at once and deletes them in the background. */
#ifndef DRAY_PLUGIN_TRASH_H
#define DRAY_PLUGIN_TRASH_H

#include <dray/util.h>
#include <stdbool.h>

struct dray_pl_trash;

/** Use the folder `name` below dirfd; what an earlier run left in it is deleted too. */
int dray_pl_trash_open(const struct dray_host *host, int dirfd, const char *name,
                       struct dray_pl_trash **out, struct dray_err *err);
/** Move dirfd/name into the trash (same file system). Absent: success. Any thread. */
int dray_pl_trash_put(struct dray_pl_trash *trash, int dirfd, const char *name,
                      struct dray_err *err);
/**
 * Offers a tree in the trash (dirfd is the trash's folder) to somebody who has use for it: true: it
 * was taken out. Called by the background thread.
 */
typedef bool (*dray_pl_trash_reuse_fn)(void *arg, int dirfd, const char *name);
void dray_pl_trash_set_reuse(struct dray_pl_trash *trash, dray_pl_trash_reuse_fn reuse, void *arg);

/** Other work for the background thread: done after it has emptied the trash, and when woken. */
void dray_pl_trash_set_chore(struct dray_pl_trash *trash, void (*chore)(void *arg), void *arg);
void dray_pl_trash_wake(struct dray_pl_trash *trash);

/** Before the end: wait a moment for what can be deleted in one, at most until the deadline; 0: for
 *  all of it. */
void dray_pl_trash_settle(struct dray_pl_trash *trash, uint64_t deadline_ns);
/** End the thread amid the tree it is at; the rest is for the next open. NULL is fine. */
void dray_pl_trash_close(struct dray_pl_trash *trash);

#endif
