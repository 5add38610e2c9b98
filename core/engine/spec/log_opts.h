/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_opts.h - the --log-opt keys that are the engine's own: mode, max-buffer-size, and cache-* for
 * the copy that `logs` is read from when a driver cannot be read.
 */
#ifndef DRAY_ENGINE_LOG_OPTS_H
#define DRAY_ENGINE_LOG_OPTS_H

#include <dray/util.h>

#include <stdbool.h>

/** The driver that keeps the copy. */
#define DRAY_LOG_CACHE_DRIVER "local"

struct dray_drivers;
struct json_object;

/** Check LogConfig's Config for a driver, in Docker's words. */
int dray_log_opts_check(struct dray_drivers *drivers, const char *driver, struct json_object *opts,
                        struct dray_err *err);
/** What is for the driver itself: a new object. opts may be NULL. */
struct json_object *dray_log_opts_own(struct json_object *opts);
/** What is for the driver that keeps the copy, without "cache-": a new object. */
struct json_object *dray_log_opts_cache(struct json_object *opts);
/** Is a copy kept for a driver that cannot be read? */
bool dray_log_opts_cached(struct json_object *opts);
/** Bytes of max-buffer-size. */
int64_t dray_log_opts_buffer(struct json_object *opts);

#endif
