/* SPDX-License-Identifier: Apache-2.0 */
/* log_sink.h - frames of a log on their way to the reader's descriptor. */
#ifndef DRAY_PLUGIN_LOG_SINK_H
#define DRAY_PLUGIN_LOG_SINK_H

#include "log_read.h"

/** Buffers frames and writes them without ever blocking past a cancel. */
struct dray_log_sink {
    int fd;      /* what is written to */
    int own;     /* opened here, or -EBADF */
    bool socket; /* written with send() */
    int cancel_fd;
    char *buf;
    size_t len;
};

int dray_log_sink_init(struct dray_log_sink *s, int out, int cancel_fd, struct dray_err *err);
void dray_log_sink_fini(struct dray_log_sink *s);
/** CANCELED when the caller gave up; UNAVAIL when nobody reads any more. */
int dray_log_sink_put(struct dray_log_sink *s, const struct dray_log_item *item,
                      struct dray_err *err);
int dray_log_sink_flush(struct dray_log_sink *s, struct dray_err *err);

#endif
