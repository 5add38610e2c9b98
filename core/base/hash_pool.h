/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash_pool.h - threads that hash long streams beside those who read them.
 *
 * A stream's bytes are copied into pieces; whichever thread is free takes the pieces that wait, of
 * several streams at once where the processor is quicker so (sha256_lanes.h). Threads begin with
 * the first piece and end when there is nothing to do for a while.
 */
#ifndef DRAY_BASE_HASH_POOL_H
#define DRAY_BASE_HASH_POOL_H

#include <dray/util.h>
#include <stddef.h>
#include <stdint.h>

struct dray_hash_pool;

int dray_hash_pool_open(struct dray_hash_pool **out, struct dray_err *err);
/** All streams have been freed. NULL is allowed. */
void dray_hash_pool_close(struct dray_hash_pool *p);

/** The SHA-256 of one stream; used by one thread at a time. */
struct dray_hash_stream;

/** NULL without memory. The pool outlives it. */
struct dray_hash_stream *dray_hash_stream_new(struct dray_hash_pool *p);
/** Waits when the pool is behind by some pieces. */
void dray_hash_stream_add(struct dray_hash_stream *s, const void *data, size_t len);
/** Wait until all is hashed, write the 32 bytes, begin anew. */
void dray_hash_stream_end(struct dray_hash_stream *s, uint8_t out[32]);
/** NULL is allowed. */
void dray_hash_stream_free(struct dray_hash_stream *s);

#endif
