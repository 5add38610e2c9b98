/* SPDX-License-Identifier: Apache-2.0 */
/* inflate.h - decompresses a stream by content: gzip, zstd, xz, bzip2 or plain. */
#ifndef DRAY_ENGINE_INFLATE_H
#define DRAY_ENGINE_INFLATE_H

#include <dray/util.h>
#include <stddef.h>
#include <stdint.h>

struct dray_inflate;

enum dray_compression {
    DRAY_PLAIN,
    DRAY_GZIP,
    DRAY_ZSTD,
    DRAY_XZ,
    DRAY_BZIP2,
};

/** What the first bytes of a stream say; 6 bytes are enough. */
enum dray_compression dray_compression_of(const void *head, size_t len);

/** Takes a piece of the plain stream; nonzero stops. */
typedef int (*dray_sink_fn)(void *ctx, const void *data, size_t len, struct dray_err *err);

/** The kind is told from the content. More than max_out plain bytes: DRAY_E_LIMIT. */
int dray_inflate_new(dray_sink_fn sink, void *ctx, uint64_t max_out, struct dray_inflate **out,
                     struct dray_err *err);
/** Give a piece of the compressed stream. Malformed: DRAY_E_CORRUPT. */
int dray_inflate_feed(struct dray_inflate *in, const void *data, size_t len, struct dray_err *err);
/** The stream ends here; one that is cut off: DRAY_E_CORRUPT. */
int dray_inflate_end(struct dray_inflate *in, struct dray_err *err);
enum dray_compression dray_inflate_kind(const struct dray_inflate *in);
uint64_t dray_inflate_total(const struct dray_inflate *in);
void dray_inflate_free(struct dray_inflate *in);

/** A fast gzip writer (level 1), the counterpart for layers that are made here. */
struct dray_deflate;
int dray_deflate_new(dray_sink_fn sink, void *ctx, struct dray_deflate **out, struct dray_err *err);
int dray_deflate_feed(struct dray_deflate *d, const void *data, size_t len, struct dray_err *err);
int dray_deflate_end(struct dray_deflate *d, struct dray_err *err);
void dray_deflate_free(struct dray_deflate *d);

#endif
