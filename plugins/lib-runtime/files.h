/* SPDX-License-Identifier: Apache-2.0 */
/* files.h - files and folders by descriptor; none of these allocates. */
#ifndef RN_FILES_H
#define RN_FILES_H

#include <dray/util.h>

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/** openat2; resolve is RESOLVE_*. An O_CLOEXEC descriptor, or -1 with errno. */
int rn_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve);
/** Open below root as if root were "/": links cannot lead out of it. */
int rn_open_in(int root, const char *path, int flags, mode_t mode);
/** Read a small file (of /proc, of a cgroup) into buf with a NUL at its end; -1 with errno. */
ssize_t rn_read_at(int dirfd, const char *path, char *buf, size_t cap);
/** Write text to an existing file with one write; 0 or -1 with errno. */
int rn_write_at(int dirfd, const char *path, const char *text);
__attribute__((format(printf, 3, 4))) int rn_writef_at(int dirfd, const char *path, const char *fmt,
                                                       ...);
/** A number in a file; def when there is none ("max" too). */
int64_t rn_read_int_at(int dirfd, const char *path, int64_t def);
/** Read a whole regular file of at most max bytes into new memory with a NUL behind. */
int rn_read_whole(int dirfd, const char *path, size_t max, char **out, size_t *len_out,
                  struct dray_err *err);
int rn_write_all(int fd, const void *data, size_t n);
/** Make the folders of a path below root, links resolved in root; opens the last (O_PATH). */
int rn_mkdirs_in(int root, const char *path, mode_t mode);
/** Make an absolute path of the host. 0 or -1 with errno. */
int rn_mkdirs(const char *path, mode_t mode);
/** "/proc/self/fd/N", for calls that know paths only. */
struct rn_fdpath {
    char s[40];
};
struct rn_fdpath rn_fdpath(int fd);
/** Is it a null device? */
bool rn_is_null(int fd);

#endif
