/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send_driver.h - the operations of a log driver that sends records away; a driver adds how it
 * connects and how a record looks.
 *
 * A driver's plugin_open is dray_send_driver_new() with its description; all other operations are
 * used as they are, see DRAY_SEND_DRIVER_OPS.
 */
#ifndef DRAY_PLUGIN_SEND_DRIVER_H
#define DRAY_PLUGIN_SEND_DRIVER_H

#include "log_options.h"
#include "send_conn.h"

#include <dray/log.h>
#include <dray/plugin.h>
#include <dray/util.h>

#define DRAY_SEND_PART_ID 65

/** A record, and where it stands among the pieces of its line. */
struct dray_send_item {
    const struct dray_log_record *r;
    bool part;           /* the line comes in several records */
    bool last;           /* this is the last of them */
    unsigned ordinal;    /* counts them from 1 */
    const char *part_id; /* the same for all of them: 64 hexadecimal digits */
};

/** What is the same for all drivers. Valid until open() returns; attrs and tag may be moved away.
 */
struct dray_send_opening {
    const struct dray_host *host;
    const struct dray_log_info *info;
    struct dray_log_attrs attrs; /* without the tag */
    char *tag;
    struct dray_send_wait wait; /* how long connecting may take */
};

/** How a driver sends. A stream is one container's and is used by one thread at a time. */
struct dray_send_driver {
    const char *name;
    char quote;              /* around a key that is refused */
    const char *const *keys; /* of --log-opt, besides those that choose attributes and the
                                tag; NULL-terminated */
    int (*check)(struct dray_kvs options, struct dray_err *err); /* values; may be NULL */
    int (*open)(struct dray_send_opening *o, void **stream_out, struct dray_err *err);
    /** Send a batch; returns when it is sent or lost. */
    int (*send)(void *stream, const struct dray_send_item *items, size_t n,
                const struct dray_send_wait *wait, struct dray_err *err);
    void (*close)(void *stream);
};

int32_t dray_send_driver_new(const struct dray_send_driver *driver, const struct dray_host *host,
                             struct dray_self **out, struct dray_err *err);
void dray_send_driver_free(struct dray_self *self);
int32_t dray_send_driver_open(struct dray_self *self, const struct dray_call *call,
                              const struct dray_log_info *info, struct dray_err *err);
int32_t dray_send_driver_write(struct dray_self *self, const struct dray_call *call, const char *id,
                               const struct dray_log_record *records, uint64_t n,
                               struct dray_err *err);
int32_t dray_send_driver_close(struct dray_self *self, const struct dray_call *call, const char *id,
                               struct dray_err *err);
int32_t dray_send_driver_validate(struct dray_self *self, const struct dray_call *call,
                                  struct dray_kvs options, struct dray_err *err);

#define DRAY_SEND_DRIVER_OPS                                                                       \
    {                                                                                              \
        .head = DRAY_TABLE(struct dray_log_ops, 0), .open = dray_send_driver_open,                 \
        .write = dray_send_driver_write, .close = dray_send_driver_close,                          \
        .validate = dray_send_driver_validate,                                                     \
    }

#endif
