/* SPDX-License-Identifier: Apache-2.0 */
/* workq.h - runs short jobs on a few threads, and jobs at a time. */
#ifndef DRAY_ENGINE_WORKQ_H
#define DRAY_ENGINE_WORKQ_H

#include <dray/util.h>
#include <stdint.h>

struct dray_workq;
typedef void (*dray_work_fn)(void *arg);

/** Threads are made when needed, up to max, and end when idle for some seconds. */
int dray_workq_open(unsigned max, struct dray_workq **out, struct dray_err *err);
/** Waits for running jobs; jobs not yet begun are dropped through their drop function. */
void dray_workq_close(struct dray_workq *q);
/** Run fn(arg) soon; drop(arg) (may be NULL) instead of it when the queue closes. */
void dray_workq_add(struct dray_workq *q, dray_work_fn fn, dray_work_fn drop, void *arg);
/** Run fn(arg) at a time (CLOCK_MONOTONIC, ns). */
void dray_workq_at(struct dray_workq *q, int64_t when_ns, dray_work_fn fn, dray_work_fn drop,
                   void *arg);

#endif
