/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_driver.h - the operations of a log driver that keeps files; a driver adds how a record looks.
 *
 * A driver's plugin_open is dray_log_driver_new() with its description; all other operations are
 * used as they are, see DRAY_LOG_DRIVER_OPS.
 */
#ifndef DRAY_PLUGIN_LOG_DRIVER_H
#define DRAY_PLUGIN_LOG_DRIVER_H

#include "log_files.h"
#include "log_options.h"
#include "log_read.h"

#include <dray/log.h>
#include <dray/plugin.h>
#include <dray/util.h>

/** What is the same in all records of a container, in the driver's own form. */
struct dray_log_prefix {
    char *data;
    size_t len;
};

/** How a driver writes and reads. */
struct dray_log_driver {
    const char *title; /* "NAME log driver": in the refusal of a key of --log-opt */
    bool attrs;        /* labels, env, tag and their like are kept with each record */
    /** The folder (made if missing) and file of a container's log; owned by the caller. */
    int (*place)(const struct dray_log_info *info, char **dir_out, char **file_out);
    int (*prefix)(const struct dray_log_attrs *attrs, struct dray_log_prefix *out);
    /** Most bytes that a record with len bytes of text takes. */
    size_t (*room)(const struct dray_log_prefix *prefix, size_t len);
    /** Write one record at out; returns its end. batch: DRAY_LOG_BATCH_STATE zeroed bytes that live
     *  while a batch is written. */
    char *(*encode)(char *out, const struct dray_log_record *r,
                    const struct dray_log_prefix *prefix, void *batch);
    /** Make the end of a file that a crash may have torn fit for appending. */
    int (*mend)(struct dray_log_writer *w, struct dray_err *err);
    const struct dray_log_format *format;
    size_t state_size;               /* of the format's state, zeroed */
    void (*state_fini)(void *state); /* may be NULL */
};

#define DRAY_LOG_BATCH_STATE 64

/** The driver's options; the defaults are the driver's own. */
#define DRAY_LOG_DRIVER_OPTIONS(size, files, packs)                                                \
    {                                                                                              \
        {.name = "max-size",                                                                       \
         .type = DRAY_OPT_STRING,                                                                  \
         .def = size,                                                                              \
         .help = "size at which a log is rotated, -1 for no limit; --log-opt goes first"},         \
            {.name = "max-file",                                                                   \
             .type = DRAY_OPT_INT,                                                                 \
             .def = files,                                                                         \
             .min = 1,                                                                             \
             .max = 1000,                                                                          \
             .help = "files kept of a log, the current one included"},                             \
            {.name = "compress",                                                                   \
             .type = DRAY_OPT_BOOL,                                                                \
             .def = packs,                                                                         \
             .help = "compress rotated files"},                                                    \
    }

int32_t dray_log_driver_new(const struct dray_log_driver *driver, const struct dray_host *host,
                            struct dray_self **out, struct dray_err *err);
void dray_log_driver_free(struct dray_self *self);
int32_t dray_log_driver_open(struct dray_self *self, const struct dray_call *call,
                             const struct dray_log_info *info, struct dray_err *err);
int32_t dray_log_driver_write(struct dray_self *self, const struct dray_call *call, const char *id,
                              const struct dray_log_record *records, uint64_t n,
                              struct dray_err *err);
int32_t dray_log_driver_close(struct dray_self *self, const struct dray_call *call, const char *id,
                              struct dray_err *err);
int32_t dray_log_driver_read(struct dray_self *self, const struct dray_call *call,
                             const struct dray_log_info *info, const struct dray_log_query *query,
                             struct dray_fd_borrow out, struct dray_err *err);
int32_t dray_log_driver_validate(struct dray_self *self, const struct dray_call *call,
                                 struct dray_kvs options, struct dray_err *err);

#define DRAY_LOG_DRIVER_OPS                                                                        \
    {                                                                                              \
        .head = DRAY_TABLE(struct dray_log_ops, DRAY_LOG_F_READ | DRAY_LOG_F_LOCAL),               \
        .open = dray_log_driver_open, .write = dray_log_driver_write,                              \
        .close = dray_log_driver_close, .read = dray_log_driver_read,                              \
        .validate = dray_log_driver_validate,                                                      \
    }

#endif
