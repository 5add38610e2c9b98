/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_files.h - a log kept as files: NAME is written, NAME.1 (or NAME.1.gz) is the one before it.
 *
 * One process writes, any number of others read at the same time.
 */
#ifndef DRAY_PLUGIN_LOG_FILES_H
#define DRAY_PLUGIN_LOG_FILES_H

#include <dray/util.h>

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

/** How a log is kept. */
struct dray_log_keep {
    int64_t max_size; /* bytes of a file; -1: no limit */
    int64_t max_files;
    bool compress; /* rotated files */
};

/** A log that is written. Embedded in its owner; used by one thread at a time. */
struct dray_log_writer {
    int dirfd;
    int fd;
    char *name;
    int64_t size;
    struct dray_log_keep keep;
    pthread_t packer; /* compresses NAME.1 */
    bool packing;
};

/** Open NAME in a folder for appending, mode 0640. */
int dray_log_writer_open(struct dray_log_writer *w, const char *dir, const char *name,
                         const struct dray_log_keep *keep, struct dray_err *err);
void dray_log_writer_close(struct dray_log_writer *w);
/** Append whole records; a file that is full is rotated away first. */
int dray_log_writer_add(struct dray_log_writer *w, const void *data, size_t len,
                        struct dray_err *err);
/** May more be added before the file is full? */
static inline bool dray_log_writer_full(const struct dray_log_writer *w, size_t more)
{
    return w->keep.max_size > 0 && w->size + (int64_t)more >= w->keep.max_size;
}

/** NAME.index, or NAME for 0; with ".gz" if packed. Owned by the caller; NULL without memory. */
char *dray_log_file_name(const char *name, int64_t index, bool packed);
/** Compress a file; the inode of the source is kept in the new file's header. */
int dray_log_pack(int dirfd, const char *from, const char *to);
/** The inode that a compressed file was made from; 0 unknown. */
uint64_t dray_log_packed_ino(int fd);
/** Unpack into an unnamed file. Returns its descriptor or -1. */
int dray_log_unpack(int fd);

#endif
