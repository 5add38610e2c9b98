/* SPDX-License-Identifier: Apache-2.0 */
/* tar.h - just enough tar (pax, GNU long names) for dray cp. */
#ifndef DRAY_CLIENT_TAR_H
#define DRAY_CLIENT_TAR_H

#include "base/buf.h"

#include <dray/util.h>
#include <stdbool.h>
#include <sys/stat.h>

/** Source of bytes: fills up to n, 0 at the end, -1 on failure. */
typedef ssize_t (*tar_read_fn)(void *arg, void *buf, size_t n);
/** Sink of bytes: 0, or a negative code. */
typedef int (*tar_write_fn)(void *arg, const void *data, size_t n);

/** One member. Strings are owned; tar_entry_free() frees them. */
struct tar_entry {
    char *name;
    char *link;
    char type; /**< '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' folder, '6' */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    int64_t size;
    int64_t mtime;
    unsigned major, minor;
    const void *caps; /**< written only: the attribute security.capability; borrowed */
    size_t n_caps;
};

struct tar_reader {
    tar_read_fn read;
    void *arg;
    int64_t left; /**< of the current member's data */
    int64_t pad;
};

/** The next member: 1, or 0 at the end, or a negative code. Skips what is left of the last. */
int tar_next(struct tar_reader *r, struct tar_entry *e, struct dray_err *err);
/** Data of the current member; 0 at its end. */
ssize_t tar_data(struct tar_reader *r, void *buf, size_t n);
void tar_entry_free(struct tar_entry *e);

/** Write a header; the caller then writes the data and calls tar_pad(). */
int tar_put(tar_write_fn write, void *arg, const struct tar_entry *e);
/** Fill up the last block of that many bytes of data. */
int tar_pad(tar_write_fn write, void *arg, int64_t size);
/** The two empty blocks at the end. */
int tar_finish(tar_write_fn write, void *arg);

#endif
