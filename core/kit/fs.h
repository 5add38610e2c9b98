/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.h - trees of files over a call: the protocol of fsutil, in which the sender tells of all
 * entries in the order of a walk, and the receiver asks for the content of those it wants, by
 * number.
 *
 *     STAT entry ... STAT (none)     sender
 *     REQ n                          receiver
 *     DATA n bytes ... DATA n        sender; the empty one ends the file
 *     FIN / FIN                      receiver, then sender
 */
#ifndef DRAY_KIT_FS_H
#define DRAY_KIT_FS_H

#include "kit/grpc.h"

#include <sys/stat.h>

struct dray_builds;
struct pb_field;

/** PacketType of fsutil.types.Packet. */
enum kit_fs_packet { FS_STAT = 0, FS_REQ = 1, FS_DATA = 2, FS_FIN = 3, FS_ERR = 4 };

/** One entry of a tree. */
struct kit_fs_entry {
    char *path; /**< relative, clean, confined to the tree by its words */
    char
        *link; /**< target of a symbolic link; of a regular file: it is a hard link to that entry */
    mode_t mode;
    uint32_t uid, gid;
    int64_t size, mtime_ns;
    uint32_t major, minor;
    char *caps; /**< security.capability, or NULL */
    size_t n_caps;
    uint32_t id; /**< its number among those that were told of */
};

void kit_fs_entry_fini(struct kit_fs_entry *e);
/** Read fsutil.types.Stat. A path that leads out of the tree is INVAL. */
int kit_fs_entry_read(const struct pb_field *f, struct kit_fs_entry *out, struct dray_err *err);
void kit_fs_entry_write(const struct kit_fs_entry *e, struct dray_buf *out);

/** Takes what is received: an entry, and then its content, as much as entry->size says. Parents
 *  come before what is in them, and files before hard links to them. */
struct kit_fs_sink {
    /** Is it here already? 1: nothing more of it is to come; 0; or an error. In the order in which
     *  the client tells of them; or NULL. */
    int (*have)(void *ctx, const struct kit_fs_entry *e, struct dray_err *err);
    int (*entry)(void *ctx, const struct kit_fs_entry *e, struct dray_err *err);
    int (*data)(void *ctx, const void *data, size_t len, struct dray_err *err);
    /** The content of an entry was not of the size that was told; or NULL. */
    void (*odd)(void *ctx, uint32_t id);
    void (*progress)(void *ctx, int64_t bytes); /**< received in all; or NULL */
    void *ctx;
};

/** What to ask a client for. */
struct kit_fs_req {
    const char *dir; /**< the client's name of the folder: "context", "dockerfile" */
    struct dray_strs include, exclude, follow;
};

/** Fetch a tree of the client's. UNAVAIL when the session ends. */
int kit_fs_receive(struct grpc_conn *c, const struct kit_fs_req *req,
                   const struct kit_fs_sink *sink, int cancel_fd, struct dray_err *err);
/**
 * The same, as a file that holds a tar from its start: *fd_out, the caller's. With a key it is
 * kept, and what the client still has as it was is not sent again; "": it is not.
 */
int kit_fs_receive_kept(struct grpc_conn *c, const struct kit_fs_req *req, struct dray_builds *bs,
                        const char *key, void (*progress)(void *ctx, int64_t bytes), void *ctx,
                        int cancel_fd, int *fd_out, struct dray_err *err);

struct kit_fs_keeping {
    struct dray_builds *builds;
    const char *key; /**< "": it is not kept */
    void (*progress)(void *ctx, int64_t bytes);
    void *ctx;
};
/** The same, as a tar that is written to fd (borrowed). */
int kit_fs_receive_tar(struct grpc_conn *c, const struct kit_fs_req *req,
                       const struct kit_fs_keeping *keeping, int fd, int cancel_fd,
                       struct dray_err *err);

/* exporter: the client's name for one of several places for results, or NULL. */

/** Send what is below a folder (borrowed) into the folder that the client has for results. */
int kit_fs_send_tree(struct grpc_conn *c, const char *exporter, int dir, int cancel_fd,
                     struct dray_err *err);
/** Send what can be read from fd (borrowed) until its end to the file that the client has for
 *  results. */
int kit_fs_send_file(struct grpc_conn *c, const char *exporter, int fd, int cancel_fd,
                     struct dray_err *err);

#endif
