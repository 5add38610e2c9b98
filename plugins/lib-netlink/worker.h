/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - one thread that carries out jobs in order; also the only one that ever changes its
 * network namespace.
 */
#ifndef DRAY_PLUGIN_WORKER_H
#define DRAY_PLUGIN_WORKER_H

#include <dray/util.h>
#include <stdint.h>

struct dray_worker;

/** The thread begins with the first job. */
int dray_worker_new(struct dray_worker **out, struct dray_err *err);
/** Carries out what is queued (jobs with a delay at once), ends the thread. NULL is fine. */
void dray_worker_free(struct dray_worker *w);

/** Run fn in the worker's thread, inside the namespace netns, and wait for its result. */
int dray_worker_in_netns(struct dray_worker *w, int netns, int (*fn)(void *ctx), void *ctx,
                         struct dray_err *err);
/** A NETLINK_ROUTE socket inside the namespace; *fd_out is the caller's. */
int dray_worker_nl_socket(struct dray_worker *w, int netns, int *fd_out, struct dray_err *err);
/** Run fn later, not before delay_ms have passed. arg is handed over; fn frees it. */
int dray_worker_post(struct dray_worker *w, uint32_t delay_ms, void (*fn)(void *arg),
                     void *arg /* takes on success */, struct dray_err *err);
/** Wait until all jobs posted so far without a delay are done. */
void dray_worker_drain(struct dray_worker *w);

#endif
