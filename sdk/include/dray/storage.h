/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storage.h - image layers and the writable layers of containers.
 *
 * A layer has an id chosen by the host ([a-zA-Z0-9_-]{1,128}) and at most one parent. The host
 * fills a read-only layer once with apply() and never writes to it again; a writable layer is
 * mounted with mounts() and belongs to one container. A layer that the host does not name in
 * collect() was left half made by a crash: the driver drops it.
 */
#ifndef DRAY_STORAGE_H
#define DRAY_STORAGE_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** apply() of a layer needs only its parent's existence, not the parent's content. */
#define DRAY_STORAGE_F_PARALLEL_APPLY UINT64_C(1)
/** create() honours the option "size" (bytes) on writable layers. */
#define DRAY_STORAGE_F_QUOTA UINT64_C(2)
/**
 * diff() of a read-only layer against its parent gives the same bytes whenever it is asked, and the
 * very bytes again that apply() or seal() made the layer of, if a diff() gave them. The host then
 * keeps no archive of such a layer: it asks for the diff when the layer is pushed or saved.
 */
#define DRAY_STORAGE_F_STABLE_DIFF UINT64_C(4)

#define DRAY_LAYER_WRITABLE 1u /**< create(): a container's layer */
#define DRAY_MOUNTS_RDONLY 1u  /**< mounts(): the layer is only looked at */
/** mounts(): what is written need not survive a crash of the machine, so nothing has to be flushed
 *  when the mount ends. The content is still there after an orderly end. */
#define DRAY_MOUNTS_VOLATILE 2u
/** mounts(), with DRAY_MOUNTS_RDONLY: only files that the layer itself brings are looked at. A
 *  driver that keeps them apart shows them without the parents, which costs less; others show all. */
#define DRAY_MOUNTS_OWN 4u

struct dray_storage_ops {
    struct dray_head head;

    /** Make an empty layer on top of parent ("" is none). opts: "size", "label" (SELinux). */
    int32_t (*create)(struct dray_self *, const struct dray_call *, const char *id,
                      const char *parent, uint32_t flags, struct dray_kvs opts, struct dray_err *);
    /** Drop a layer and its content. An absent one is no error; one with children is CONFLICT. */
    int32_t (*remove)(struct dray_self *, const struct dray_call *, const char *id,
                      struct dray_err *);
    /**
     * Describe the mounts that show the layer with all its parents. The host or a runtime makes
     * them, as often as it likes; target "" is the root. Nothing is mounted by the driver.
     */
    int32_t (*mounts)(struct dray_self *, const struct dray_call *, const char *id, uint32_t flags,
                      struct dray_mounts *out, struct dray_err *);
    /** The container that used mounts() has ended. */
    int32_t (*release)(struct dray_self *, const struct dray_call *, const char *id,
                       struct dray_err *);
    /**
     * Unpack an uncompressed tar (OCI image-spec layer, with .wh. whiteouts) read from a pipe or
     * file until its end into the empty layer; nothing is written outside of it, whatever the tar
     * says. Options in opts: "max-bytes", "max-entries"; "flush" = "later": the host flushes the
     * file system of DRAY_PATH_DATA before it relies on the layer, so what lies there need not be
     * flushed now. *size_out: bytes of file content.
     */
    int32_t (*apply)(struct dray_self *, const struct dray_call *, const char *id,
                     struct dray_fd_borrow tar, struct dray_kvs opts, uint64_t *size_out,
                     struct dray_err *);
    /**
     * Write what the layer changes against its parent as an OCI layer tar, in a stable order. With
     * parent "" against nothing (the whole tree).
     */
    int32_t (*diff)(struct dray_self *, const struct dray_call *, const char *id,
                    const char *parent, struct dray_fd_borrow out, struct dray_err *);
    /** Emit DRAY_REC_ITEM {"kind": "0" modified, "1" added, "2" deleted; "path": absolute}. */
    int32_t (*changes)(struct dray_self *, const struct dray_call *, const char *id,
                       struct dray_err *);
    /** Emit DRAY_REC_ITEM {"id", "parent", "writable": "0|1"} for every layer. */
    int32_t (*list)(struct dray_self *, const struct dray_call *, struct dray_err *);
    /** Bytes and inodes of this layer alone. */
    int32_t (*usage)(struct dray_self *, const struct dray_call *, const char *id,
                     uint64_t *bytes_out, uint64_t *inodes_out, struct dray_err *);

    /* Optional. */

    /** Emit DRAY_REC_STATUS pairs for `GraphDriver.Data` of a layer ("LowerDir", ...). */
    int32_t (*inspect)(struct dray_self *, const struct dray_call *, const char *id,
                       struct dray_err *);
    /** Emit DRAY_REC_STATUS pairs for `docker info` ("Backing Filesystem", ...). */
    int32_t (*status)(struct dray_self *, const struct dray_call *, struct dray_err *);
    /** Drop every layer whose id is not in alive. */
    int32_t (*collect)(struct dray_self *, const struct dray_call *, struct dray_strs alive,
                       struct dray_err *);
    /** Make a read-only layer of a writable one that nobody uses any more, without copying, and
     *  put it on top of parent: its own, or the one below that when its own only adds what the
     *  layer's content does not show. NOTSUP when the driver cannot; then nothing has changed. */
    int32_t (*seal)(struct dray_self *, const struct dray_call *, const char *id,
                    const char *parent, struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
