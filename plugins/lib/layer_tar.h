/* SPDX-License-Identifier: Apache-2.0 */
/* layer_tar.h - from a layer's tar to a folder and back (OCI image-spec, "Image Layer Filesystem
 * Changeset"). */
#ifndef DRAY_PLUGIN_LAYER_TAR_H
#define DRAY_PLUGIN_LAYER_TAR_H

#include <dray/util.h>
#include <stdbool.h>

/** What becomes of a whiteout. */
enum dray_layer_mode {
    DRAY_LAYER_OVERLAY = 0, /**< a mark for overlayfs: device 0/0, or an opaque folder */
    DRAY_LAYER_PLAIN = 1,   /**< what it names, as it was before this layer, is deleted */
};

/** One unpacking. Zero limits mean none. */
struct dray_layer_apply {
    int root; /**< the folder; nothing outside of it is touched, whatever the tar says */
    enum dray_layer_mode mode;
    uint64_t max_bytes;   /**< of file content */
    uint64_t max_entries; /**< of the tar */
    int cancel_fd;        /**< readable: give up; -1 is none */
    uint64_t deadline_ns; /**< CLOCK_MONOTONIC; 0 is none */
    bool sync;            /**< survive power loss: flush the file system at the end */
    bool flush_later;     /**< the caller flushes the file system itself, once for many layers */
    void (*warn)(const void *arg, const char *text); /**< may be NULL */
    const void *arg;

    uint64_t bytes;   /**< out: file content written */
    uint64_t entries; /**< out */
    bool opaque_root; /**< out: the layer hides all layers below (overlay mode) */
};

/**
 * Unpack an uncompressed tar read from fd until its end. The tar is hostile: parents are resolved
 * by openat2(RESOLVE_IN_ROOT), last components never followed. DRAY_E_INVAL for an entry that
 * points outside or cannot be, DRAY_E_CORRUPT for what is not a tar, DRAY_E_LIMIT over a limit,
 * DRAY_E_NOSPACE when the declared sizes exceed the free space. What was unpacked before a failure
 * stays; the caller drops the folder. Any thread.
 */
int dray_layer_apply(int fd, struct dray_layer_apply *job, struct dray_err *err);

/** Options "max-bytes", "max-entries" and "flush", deadline and cancel descriptor into job. */
int dray_layer_apply_opts(struct dray_layer_apply *job, const struct dray_call *call,
                          struct dray_kvs opts, struct dray_err *err);

/** Two trees, or one. */
struct dray_layer_pair {
    int upper;        /**< the newer tree */
    int lower;        /**< what it is compared with; -EBADF: nothing, all of upper is new */
    bool opaque_root; /**< native: upper hides all that is below */
    bool native; /**< upper holds overlayfs marks and only changes, lower the merged view below */
};

/** Write upper's changes as a layer tar to fd: names in byte order, times in seconds. */
int dray_layer_diff(const struct dray_layer_pair *pair, int fd, int cancel_fd,
                    struct dray_err *err);

enum dray_layer_kind {
    DRAY_LAYER_MODIFIED = 0,
    DRAY_LAYER_ADDED = 1,
    DRAY_LAYER_DELETED = 2,
};

struct stat;

/** One difference; valid during the callback. */
struct dray_layer_change {
    uint32_t kind;         /**< enum dray_layer_kind */
    const char *path;      /**< below the root, without a leading slash; "" is the root itself */
    int dirfd;             /**< folder of the entry in upper; of no use when deleted */
    const char *name;      /**< its name there */
    const struct stat *st; /**< NULL when deleted */
    bool opaque;           /**< native: a folder that hides the lower one's content */
};

/** Nonzero ends the walk with that value. */
typedef int (*dray_layer_change_fn)(void *arg, const struct dray_layer_change *change,
                                    struct dray_err *err);

/**
 * Report what differs, parents before children, in byte order of names. A folder with a change in
 * it is itself reported as modified, as `docker diff` does.
 */
int dray_layer_compare(const struct dray_layer_pair *pair, dray_layer_change_fn fn, void *arg,
                       struct dray_err *err);

/** Copy a tree with owners, modes, times, attributes, links; content shared where possible. */
int dray_layer_copy(int from, int to, struct dray_err *err);

#endif
