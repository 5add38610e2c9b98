/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - where the output of containers goes.
 *
 * open, write, flush and close are called in the container's shim; read is called in the daemon, on
 * another instance, while the shim may be writing. A stream is named by the container's id. Its
 * folder `dir` goes with the container; what a driver keeps elsewhere it must drop by itself.
 *
 * A crash in the shim ends the container, unless the driver has a process of its own
 * ("isolation"): that is started anew, and open() comes again. A write that fails loses those
 * records, no more.
 */
#ifndef DRAY_LOG_H
#define DRAY_LOG_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** read() works. It lasts as long as somebody follows: such an interface is DRAY_THREAD_PARALLEL,
 *  or each reader waits for the one before. */
#define DRAY_LOG_F_READ UINT64_C(1)
/** write() waits for nothing but files of this machine. Others are called from a thread of their
 *  own, so that a peer that hangs is felt by the container's output alone; one with this bit holds
 *  up its whole shim: exit, stop and exec of the container. */
#define DRAY_LOG_F_LOCAL UINT64_C(2)

#define DRAY_LOG_STDOUT 1u
#define DRAY_LOG_STDERR 2u

#define DRAY_LOG_PARTIAL 1u /**< the line goes on in the stream's next record */

/** One line, or a piece of one. */
struct dray_log_record {
    int64_t time_ns; /**< Unix time */
    const void *data; /**< without its newline (a partial piece has none) */
    uint32_t len;
    uint8_t stream;   /**< DRAY_LOG_STDOUT or DRAY_LOG_STDERR */
    uint8_t flags;    /**< DRAY_LOG_PARTIAL */
    uint16_t reserved;
};

/** Facts about the container whose output this is. */
struct dray_log_info {
    uint32_t size;
    uint32_t reserved;
    const char *container_id;
    const char *container_name; /**< without "/" */
    const char *image_id;
    const char *image_name;
    const char *command;
    const char *daemon_name;
    const char *dir;         /**< the container's own folder, for drivers that keep files */
    int64_t created_ns;
    struct dray_kvs labels;
    struct dray_kvs env;
    struct dray_kvs options; /**< --log-opt */
};

#define DRAY_LOGQ_FOLLOW 1u
#define DRAY_LOGQ_STDOUT 2u
#define DRAY_LOGQ_STDERR 4u

struct dray_log_query {
    uint32_t size;
    uint32_t flags;
    int64_t since_ns; /**< records of this time and later; 0: from the beginning */
    int64_t until_ns; /**< records up to this time, which ends a follow as well; 0: no end */
    int64_t tail;     /**< last n lines of those that fit; -1: all. Pieces of a line count once */
    struct dray_fd_borrow ended; /**< readable once nothing more will be written; ends a follow
                                      after the last record has been read; -1: has ended */
};

/** Goes before each record that read() writes to its descriptor; host byte order. */
struct dray_log_frame {
    int64_t time_ns;
    uint32_t len;       /**< bytes of the line that follow the attributes */
    uint8_t stream;
    uint8_t flags;
    uint16_t attrs_len; /**< bytes of "key=value,key=value" that come first */
};

struct dray_log_ops {
    struct dray_head head;

    /** Begin, or go on after a restart of the container. Bad options: INVAL. */
    int32_t (*open)(struct dray_self *, const struct dray_call *, const struct dray_log_info *,
                    struct dray_err *);
    /** Append records in order; a batch is cheaper than its records one by one. */
    int32_t (*write)(struct dray_self *, const struct dray_call *, const char *container_id,
                     const struct dray_log_record *records, uint64_t n, struct dray_err *);
    int32_t (*close)(struct dray_self *, const struct dray_call *, const char *container_id,
                     struct dray_err *);

    /* Optional. */

    int32_t (*flush)(struct dray_self *, const struct dray_call *, const char *container_id,
                     struct dray_err *);
    /** Write struct dray_log_frame records to out until the query is answered, the call is
     *  cancelled, or out breaks. */
    int32_t (*read)(struct dray_self *, const struct dray_call *, const struct dray_log_info *,
                    const struct dray_log_query *, struct dray_fd_borrow out, struct dray_err *);
    /** Check options when a container is created, before anything is written. */
    int32_t (*validate)(struct dray_self *, const struct dray_call *, struct dray_kvs options,
                        struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
