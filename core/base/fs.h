/* SPDX-License-Identifier: Apache-2.0 */
/* fs.h - files and folders, by descriptor first. */
#ifndef DRAY_BASE_FS_H
#define DRAY_BASE_FS_H

#include "base/buf.h"

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Make a folder and its parents; existing ones stay as they are. */
int dray_fs_mkdirs(int dirfd, const char *path, mode_t mode, struct dray_err *err);
/** Open a folder, making it and its parents first. *fd_out is the caller's, O_CLOEXEC. */
int dray_fs_open_dir(int dirfd, const char *path, mode_t mode, int *fd_out, struct dray_err *err);
/** Read a whole file of at most max bytes into out. Absent: DRAY_E_NOTFOUND. */
int dray_fs_read(int dirfd, const char *path, size_t max, struct dray_buf *out,
                 struct dray_err *err);
/** Read a descriptor to its end, at most max bytes (more: DRAY_E_LIMIT). */
int dray_fs_read_fd(int fd, size_t max, struct dray_buf *out, struct dray_err *err);
/** Write all of data, going on after short writes and EINTR. */
int dray_fs_write_all(int fd, const void *data, size_t len, struct dray_err *err);
/** Write a small file in place (cgroup and proc files); not durable, not atomic. */
int dray_fs_write(int dirfd, const char *path, const char *text, struct dray_err *err);
/** What a replaced file is worth after a power loss. Whatever the care, other processes see the old
 * content or the new, and the new one outlives this process. */
enum dray_fs_care {
    DRAY_FS_PLAIN,   /* it may be old, new, or empty */
    DRAY_FS_WHOLE,   /* it is old or new, never a part */
    DRAY_FS_DURABLE, /* it is new */
};
/** Replace a file by way of a temporary one. */
int dray_fs_replace(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
                    enum dray_fs_care care, struct dray_err *err);
/** Remove what dray_fs_replace() left in a folder when its process was killed. Nobody may replace a
 *  file there meanwhile. */
void dray_fs_sweep(int dirfd);
/** Remove a file or a whole tree, without following links or leaving its mount. Absent: success. */
int dray_fs_remove_tree(int dirfd, const char *path, struct dray_err *err);
/** Bytes (allocated blocks) and inodes below path; hard links count once. */
int dray_fs_usage(int dirfd, const char *path, uint64_t *bytes_out, uint64_t *inodes_out,
                  struct dray_err *err);
/** openat2 with RESOLVE_IN_ROOT: path is resolved as if root were "/". Returns fd or -1. */
int dray_fs_open_in_root(int root, const char *path, int flags, mode_t mode);
/** openat2 with RESOLVE_BENEATH: a link or ".." that leaves root is EXDEV. Returns fd or -1. */
int dray_fs_open_beneath(int root, const char *path, int flags);
/** Copy from in to out until the end, in the kernel where it can. *bytes_out may be NULL. */
int dray_fs_copy(int in, int out, uint64_t *bytes_out, struct dray_err *err);

#endif
