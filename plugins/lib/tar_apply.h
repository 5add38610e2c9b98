/* SPDX-License-Identifier: Apache-2.0 */
/* tar_apply.h - what the files of the unpacker share. */
#ifndef DRAY_PLUGIN_TAR_APPLY_H
#define DRAY_PLUGIN_TAR_APPLY_H

#include "files.h"
#include "inoset.h"
#include "layer_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <limits.h>
#include <time.h>

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_META ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

#define PLACE_CACHE 8

/* A folder of the layer, opened and verified to be inside. */
struct place {
    char *path; /* clean, "" is the root */
    int fd;
    bool setgid; /* new entries inherit its group */
    uint64_t used;
};

struct dir_time {
    char *path;
    struct timespec times[2];
};

struct unpacker {
    struct dray_layer_apply *job;
    struct dray_err *err;
    struct archive *archive;
    int fd;
    bool ended; /* the stream has no more bytes */
    char *buffer;
    mode_t umask;
    uid_t uid; /* what new files are owned by without a chown */
    gid_t gid;
    uint64_t free_bytes; /* of the file system when we began */
    uint64_t declared;   /* sum of the sizes of plain files */
    unsigned ticks;
    bool warned;

    struct place cache[PLACE_CACHE];
    uint64_t clock; /* of the cache */
    struct dir_time *times;
    size_t n_times, cap_times;
    struct dray_pl_inoset made; /* plain mode: inodes of this layer, spared by its whiteouts */
};

/* Where an entry goes. */
struct spot {
    char path[PATH_MAX]; /* clean */
    const char *parent;  /* points into parent_buf, or "" */
    const char *name;    /* last component, in path; "" is the root */
    char parent_buf[PATH_MAX];
    struct place *dir; /* of parent; valid until the next lookup */
};

/*
 * Clean a name of the tar lexically, as Go's path.Clean does. Returns 0; DRAY_E_INVAL when it is
 * relative and climbs out, or too long. With `clamp` a name that climbs out of "/" stays there.
 */
int dray_tar_clean(const char *name, bool clamp, char out[PATH_MAX]);
/* Fill spot for a cleaned path. */
void dray_tar_spot(struct spot *spot);
/* The folder at path, inside the root whatever links say; with make, missing ones are made.
 * *out NULL without error: absent and not made. */
int dray_tar_place(struct unpacker *u, const char *path, bool make, struct place **out);
/* Remember an opened folder; takes fd. */
struct place *dray_tar_place_keep(struct unpacker *u, const char *path, int fd);
/* Forget all folders: something was removed or replaced. */
void dray_tar_place_drop(struct unpacker *u);
/* Set the kept times of folders. */
int dray_tar_times_set(struct unpacker *u);
int dray_tar_times_keep(struct unpacker *u, const char *path, const struct timespec times[2]);

/* Make what the entry describes at spot. */
int dray_tar_make(struct unpacker *u, struct archive_entry *e, struct spot *spot);
/* Apply the whiteout that spot's name is. */
int dray_tar_whiteout(struct unpacker *u, struct spot *spot);
/* Mark a folder of an overlay layer as hiding what is below. */
int dray_tar_opaque(struct unpacker *u, int dirfd, const char *name);
/* Is st a whiteout of overlayfs? */
bool dray_tar_is_whiteout(const struct stat *st);
/* Note that dirfd/name belongs to this layer (plain mode only). */
int dray_tar_made(struct unpacker *u, int dirfd, const char *name);

/* Has the caller given up, or is the time over? */
int dray_tar_tick(struct unpacker *u);
__attribute__((format(printf, 2, 3))) void dray_tar_warn(struct unpacker *u, const char *fmt, ...);

#endif
