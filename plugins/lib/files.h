/* SPDX-License-Identifier: Apache-2.0 */
/* files.h - files and folders of a driver, by descriptor. */
#ifndef DRAY_PLUGIN_FILES_H
#define DRAY_PLUGIN_FILES_H

#include <dray/util.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/** Folders below a root that a walk enters before it gives up with DRAY_E_LIMIT. */
#define DRAY_PL_DEPTH_MAX 400u

/** One name of a folder; type is DT_*, which may be DT_UNKNOWN. */
struct dray_pl_name {
    const char *text;
    uint8_t type;
};

/** What a folder holds, without "." and "..". */
struct dray_pl_dir {
    struct dray_pl_name *v;
    size_t n;
    char *pool; /* the texts */
};

/** Read a folder from its beginning; sorted by byte values if asked. Caller cleans up. */
int dray_pl_dir_read(int fd, bool sort, struct dray_pl_dir *out, struct dray_err *err);
void dray_pl_dir_cleanup(struct dray_pl_dir *dir);

/** openat2; resolve is RESOLVE_*. Returns an O_CLOEXEC descriptor or -1 with errno. */
int dray_pl_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve);
/** Open a subfolder for reading, never through a link nor into another mount; -1 with errno. */
int dray_pl_subdir(int dirfd, const char *name);
/** Open a folder that is made when absent (one level). */
int dray_pl_open_dir(int dirfd, const char *name, mode_t mode, int *fd_out, struct dray_err *err);
/**
 * Ask the file system to give each folder made below dirfd a region of its own, where it can (ext4:
 * chattr +T). An ext4 without a journal hands out no inode again for some minutes after it was
 * freed and looks at each of them for every new file: trees that come and go beside each other slow
 * down many times over, trees in other regions do not. Layers unpacked at once also meet fewer
 * locks.
 */
void dray_pl_spread(int dirfd);
/** Make an absolute path with its parents. */
int dray_pl_mkdirs(const char *path, mode_t mode, struct dray_err *err);
/** All of data, going on after short writes; 0 or -1 with errno. */
int dray_pl_write_all(int fd, const void *data, size_t len);
/** Read a small file into buf with a NUL at its end; its length, or -1 with errno. */
ssize_t dray_pl_read_small(int dirfd, const char *path, char *buf, size_t cap);
/** Replace a file so that after a crash either the old or the new content is there. */
int dray_pl_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                    struct dray_err *err);
/**
 * Remove dirfd/name (one component), a file or a tree of any depth, without following links or
 * entering other mounts (a mount below is DRAY_E_BUSY). Absent: success.
 */
int dray_pl_remove_tree(int dirfd, const char *name, struct dray_err *err);
/** The same, left half done with CANCELED as soon as stop() says so. It is asked for each entry. */
int dray_pl_remove_tree_until(int dirfd, const char *name, bool (*stop)(void *arg), void *arg,
                              struct dray_err *err);
/** Bytes (allocated) and inodes below fd, itself counted; hard links count once. */
int dray_pl_usage(int fd, uint64_t *bytes_out, uint64_t *inodes_out, struct dray_err *err);

#endif
