/* SPDX-License-Identifier: Apache-2.0 */
/* log_set.h - the files of a log as a reader holds them open, through rotations. */
#ifndef DRAY_PLUGIN_LOG_SET_H
#define DRAY_PLUGIN_LOG_SET_H

#include <dray/util.h>

#include <stdbool.h>
#include <stdint.h>

/** One file. A packed one is unpacked when it is first needed. */
struct dray_log_part {
    int fd;
    uint64_t ino; /* of the file as it was written */
    int64_t mtime_s;
    bool packed;
};

/** Oldest first; the last one is being written. */
struct dray_log_set {
    int dirfd;
    const char *name;
    struct dray_log_part *v;
    size_t n;
};

/** Open all files of a log; a folder or file that is not there makes it empty. */
int dray_log_set_open(struct dray_log_set *s, const char *dir, const char *name,
                      struct dray_err *err);
void dray_log_set_close(struct dray_log_set *s);
/** Descriptor to read part i, unpacked; -1 when it cannot be read. */
int dray_log_set_fd(struct dray_log_set *s, size_t i);
/** Close part i. */
void dray_log_set_drop(struct dray_log_set *s, size_t i);
/**
 * The file that follows the one with this inode has been begun: open it. Returns true and *out (its
 * fd is the caller's) if there is one.
 */
bool dray_log_set_successor(struct dray_log_set *s, uint64_t ino, struct dray_log_part *out);

#endif
