/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_store.h - content-addressed files: blobs/sha256/<hex>, and ingest/<hex> while they come in.
 *
 * A blob is listed only when its digest and length were verified. What was received of one that is
 * not complete stays in ingest/ under its digest and can be continued, also after a restart. The
 * caller sees to it that one blob is ingested by one thread at a time.
 */
#ifndef DRAY_ENGINE_BLOB_STORE_H
#define DRAY_ENGINE_BLOB_STORE_H

#include "base/buf.h"
#include "base/digest.h"

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_blobs;
struct dray_ingest;

int dray_blobs_open(int data_fd, struct dray_blobs **out, struct dray_err *err);
struct dray_hash_pool;
/** Threads for the digests of what is long. */
struct dray_hash_pool *dray_blobs_hashes(struct dray_blobs *bs);
void dray_blobs_close(struct dray_blobs *bs);

/** Open a blob to read. Absent: NOTFOUND. size_out may be NULL. */
int dray_blobs_get(struct dray_blobs *bs, const char *digest, int *fd_out, uint64_t *size_out,
                   struct dray_err *err);
bool dray_blobs_has(struct dray_blobs *bs, const char *digest, uint64_t *size_out);
/** Read a blob to its end from its beginning and rewind: CORRUPT when the bytes are no longer those
 * of the digest. Polls abort_fd (-1: none). */
int dray_blobs_check(struct dray_blobs *bs, int fd, const char *digest, int abort_fd,
                     struct dray_err *err);
/** The same of one that was read: got is what its bytes have. */
int dray_blobs_compare(const char *digest, const char *got, struct dray_err *err);
/** Read a small blob whole, at most max bytes. */
int dray_blobs_read(struct dray_blobs *bs, const char *digest, size_t max, struct dray_buf *out,
                    struct dray_err *err);
/** Store bytes; storing what is there is success. */
int dray_blobs_put(struct dray_blobs *bs, const void *data, size_t len, char out[DRAY_DIGEST_LEN],
                   struct dray_err *err);
/** Remove; absent is success. */
void dray_blobs_remove(struct dray_blobs *bs, const char *digest);
/** Call fn for every blob, with the time it came (ns since 1970). */
int dray_blobs_each(struct dray_blobs *bs, void (*fn)(void *ctx, const char *digest, int64_t when),
                    void *ctx, struct dray_err *err);
/** Call fn for every blob that has come in part. */
void dray_blobs_each_partial(struct dray_blobs *bs, void (*fn)(void *ctx, const char *digest),
                             void *ctx);
/** Forget what came of a blob. Nobody ingests it now. */
void dray_blobs_drop_partial(struct dray_blobs *bs, const char *digest);
/** Make everything written so far survive power loss. */
int dray_blobs_sync(struct dray_blobs *bs, struct dray_err *err);
/** Drop what began to come in before the time (CLOCK_REALTIME, ns) and all that has no digest. */
void dray_blobs_expire(struct dray_blobs *bs, int64_t before_ns);
/** Bytes free for the daemon on the store's file system. */
uint64_t dray_blobs_free_bytes(struct dray_blobs *bs);

/** Begin, or continue, to receive a blob. digest NULL: it will be known at the end only. */
int dray_ingest_open(struct dray_blobs *bs, const char *digest, struct dray_ingest **out,
                     struct dray_err *err);
/** Bytes that are there already. */
uint64_t dray_ingest_offset(const struct dray_ingest *in);
/**
 * Hash what is there already, handing it to fn (may be NULL) in pieces. Must be called before the
 * first write when the offset is not 0.
 */
int dray_ingest_replay(struct dray_ingest *in,
                       int (*fn)(void *ctx, const void *data, size_t len, struct dray_err *err),
                       void *ctx, struct dray_err *err);
int dray_ingest_write(struct dray_ingest *in, const void *data, size_t len, struct dray_err *err);
/** Throw away what is there and begin at 0. */
int dray_ingest_restart(struct dray_ingest *in, struct dray_err *err);
/**
 * Verify digest and length (UINT64_MAX: any) and list the blob; digest_out may be NULL. A wrong
 * digest or length: CORRUPT, and what was received is thrown away.
 */
int dray_ingest_commit(struct dray_ingest *in, uint64_t length, char digest_out[DRAY_DIGEST_LEN],
                       struct dray_err *err);
/** Keep what was received for a later dray_ingest_open(), unless it was committed or has no digest.
 */
void dray_ingest_close(struct dray_ingest *in);

static inline void dray_ingest_closep(struct dray_ingest **in)
{
    dray_ingest_close(*in);
}
#define dray_autoingest __attribute__((cleanup(dray_ingest_closep))) struct dray_ingest

#endif
