/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - what the daemon counts and times of its work; any thread, no locks. */
#ifndef DRAY_ENGINE_METRICS_H
#define DRAY_ENGINE_METRICS_H

#include "base/buf.h"

#include <stdint.h>

struct dray_metrics;

enum dray_counter {
    DRAY_COUNT_HEALTH_CHECKS,
    DRAY_COUNT_HEALTH_FAILED,
    DRAY_COUNT_BUILDS,
    DRAY_COUNT_BUILDS_CANCELED,
    DRAY_COUNT_BUILDS_FAILED,
    DRAY_COUNTERS,
};

enum dray_timer {
    DRAY_TIME_CONTAINER_CHANGES,
    DRAY_TIME_CONTAINER_COMMIT,
    DRAY_TIME_CONTAINER_CREATE,
    DRAY_TIME_CONTAINER_DELETE,
    DRAY_TIME_CONTAINER_START,
    DRAY_TIME_NETWORK_CONNECT,
    DRAY_TIME_INFO,
    DRAY_TIMERS,
};

/** NULL without memory; everything below takes a NULL. */
struct dray_metrics *dray_metrics_new(void);
void dray_metrics_free(struct dray_metrics *m);

void dray_metrics_count(struct dray_metrics *m, enum dray_counter which);
/** One more action that took so long. */
void dray_metrics_time(struct dray_metrics *m, enum dray_timer which, int64_t ns);
/** Append all of it in Prometheus' text format 0.0.4, by Docker's names. */
void dray_metrics_write(const struct dray_metrics *m, struct dray_buf *out);
/** Append the HELP and TYPE lines of a metric. */
void dray_metrics_head(struct dray_buf *out, const char *name, const char *type, const char *help);

#endif
