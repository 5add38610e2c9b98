/* SPDX-License-Identifier: Apache-2.0 */
/* logring.h - keeps log records in memory while a slow driver writes earlier ones. */
#ifndef DRAY_SHIM_LOGRING_H
#define DRAY_SHIM_LOGRING_H

#include <dray/log.h>
#include <dray/util.h>

#include <stdbool.h>

struct shim_logring;

/** Writes a batch; runs on the ring's thread. */
typedef void (*shim_logring_fn)(void *ctx, const struct dray_log_record *records, size_t n);

/** A ring of about max bytes of lines, with a thread that writes them. wake_fd: an eventfd that is
 *  written to when a full ring has room again; -1: records that do not fit are dropped. */
int shim_logring_new(size_t max, int wake_fd, shim_logring_fn fn, void *ctx,
                     struct shim_logring **out, struct dray_err *err);
/** Is it so full that no more should be added? Never, when records may be dropped. */
bool shim_logring_full(struct shim_logring *r);
/** Copy records into the ring. With a wake_fd they are always taken; without, those that do not fit
 *  are dropped, as Docker does. */
void shim_logring_add(struct shim_logring *r, const struct dray_log_record *records, size_t n);
/** Wait until all is written, at most timeout_ms. */
bool shim_logring_drain(struct shim_logring *r, int timeout_ms);
uint64_t shim_logring_dropped(struct shim_logring *r);
/** End the thread and free the ring. A ring whose driver hangs is left behind. */
void shim_logring_free(struct shim_logring *r);

#endif
