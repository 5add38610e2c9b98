/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.h - a tree of a client's as it was received: a tar, and behind it an index of what the
 * client had told of each entry. What is told again in the same words need not be sent again.
 */
#ifndef DRAY_KIT_KEPT_H
#define DRAY_KIT_KEPT_H

#include "base/buf.h"
#include "kit/fs.h"

#include <dray/util.h>

/** One entry, as it lies in the index; in the order in which the client told of them. */
struct kit_kept_entry {
    uint32_t len; /**< of all of it, a multiple of 8 */
    uint32_t n_path, n_link;
    uint32_t mode, uid, gid, major, minor;
    int64_t size, mtime_ns;
    int64_t at;  /**< where in the tar the content begins; -1: it is not to be relied on */
    char text[]; /**< path and link, each with a NUL */
};

/** A file of that kind, mapped. */
struct kit_kept {
    int fd;
    const char *map;
    size_t size;
    const char *first, *end; /**< the index */
};

/** Take fd over and read its index: false, and fd is closed, when it is none of this boot of the
 *  machine: after a crash nothing vouches for what is in it. */
bool kit_kept_open(struct kit_kept *k, int fd /* takes */);
void kit_kept_close(struct kit_kept *k);
/** The entry at a place of the index, or NULL at its end, or when it is broken. */
const struct kit_kept_entry *kit_kept_at(const struct kit_kept *k, const char *at);
/** Does the client tell the same again? */
bool kit_kept_equal(const struct kit_kept_entry *o, const struct kit_fs_entry *e);
/** Order of a walk: what is in a folder comes right after it. */
int kit_kept_order(const char *a, const char *b);

/** An index that is being made. */
struct kit_index {
    struct dray_buf buf;
    size_t *where; /**< of the entries, by their number */
    size_t n, cap;
};
void kit_index_fini(struct kit_index *x);
int kit_index_add(struct kit_index *x, const struct kit_fs_entry *e, struct dray_err *err);
/** Tell where the content of an entry is, or -1. */
void kit_index_set(struct kit_index *x, uint32_t number, int64_t at);
/** Write it to the end of a tar. */
int kit_index_write(const struct kit_index *x, int fd, struct dray_err *err);

#endif
