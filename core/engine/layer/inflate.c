/* SPDX-License-Identifier: Apache-2.0 */
/* inflate.c - decompresses streams: gzip by ISA-L, zstd, xz, bzip2, told apart by their content. */
#include "engine/layer/inflate.h"

#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <stdbool.h>
#include <zstd.h>

#define OUT_CHUNK (256u * 1024)
#define HEAD_LEN 6u
#define XZ_MEMORY (UINT64_C(128) << 20)
#define ZSTD_WINDOW_LOG 27

/* One piece of input with what was not eaten yet. */
struct piece {
    const uint8_t *data;
    size_t len;
};

struct dray_inflate {
    dray_sink_fn sink;
    void *ctx;
    uint64_t total, max_out;
    uint8_t head[HEAD_LEN]; /* first bytes, until the kind is known */
    size_t n_head;
    bool started;
    bool at_end; /* a member is complete: the stream may end here */
    enum dray_compression kind;
    uint8_t *out;
    struct inflate_state *gz;
    ZSTD_DStream *zstd;
    lzma_stream xz;
    bz_stream bz;
};

enum dray_compression dray_compression_of(const void *head, size_t len)
{
    static const struct {
        enum dray_compression kind;
        size_t n;
        const char *magic;
    } kinds[] = {
        {DRAY_GZIP, 2, "\x1f\x8b"},
        {DRAY_ZSTD, 4, "\x28\xb5\x2f\xfd"},
        {DRAY_XZ, 6,
         "\xfd"
         "7zXZ\0"},
        {DRAY_BZIP2, 3, "BZh"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (len >= kinds[i].n && memcmp(head, kinds[i].magic, kinds[i].n) == 0)
            return kinds[i].kind;
    const uint8_t *b = head;
    if (len >= 4 && (b[0] & 0xf0) == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18)
        return DRAY_ZSTD; /* begins with a skippable frame */
    return DRAY_PLAIN;
}

int dray_inflate_new(dray_sink_fn sink, void *ctx, uint64_t max_out, struct dray_inflate **out,
                     struct dray_err *err)
{
    struct dray_inflate *in = calloc(1, sizeof *in);
    if (in)
        in->out = malloc(OUT_CHUNK);
    if (!in || !in->out) {
        free(in);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    in->sink = sink;
    in->ctx = ctx;
    in->max_out = max_out;
    *out = in;
    return 0;
}

static int give(struct dray_inflate *in, const void *data, size_t len, struct dray_err *err)
{
    if (len == 0)
        return 0;
    in->total += len;
    if (in->total > in->max_out)
        return dray_fail(err, DRAY_E_LIMIT,
                         "no space left on device, or a bomb: the data inflates to more than "
                         "the %llu bytes it may take",
                         (unsigned long long)in->max_out);
    return in->sink(in->ctx, data, len, err);
}

/* --- gzip -------------------------------------------------------------------------------------*/

static int gzip_start(struct dray_inflate *in, struct dray_err *err)
{
    if (!in->gz)
        in->gz = malloc(sizeof *in->gz);
    if (!in->gz)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    isal_inflate_init(in->gz);
    in->gz->crc_flag = ISAL_GZIP;
    in->at_end = false;
    return 0;
}

static bool all_zero(const struct piece *p)
{
    for (size_t i = 0; i < p->len; i++)
        if (p->data[i] != 0)
            return false;
    return true;
}

/* Between members: another one, or zeros of padding. */
static int gzip_between(struct dray_inflate *in, struct piece *p, struct dray_err *err)
{
    if (p->data[0] == 0x1f) {
        isal_inflate_reset(in->gz);
        in->gz->crc_flag = ISAL_GZIP;
        in->at_end = false;
        return 0;
    }
    if (!all_zero(p))
        return dray_fail(err, DRAY_E_CORRUPT, "gzip: invalid header");
    p->len = 0;
    return 0;
}

static int gzip_feed(struct dray_inflate *in, struct piece *p, struct dray_err *err)
{
    struct inflate_state *z = in->gz;
    if (in->at_end) {
        int rc = gzip_between(in, p, err);
        if (rc || p->len == 0)
            return rc;
    }
    z->next_in = (uint8_t *)(uintptr_t)p->data;
    z->avail_in = (uint32_t)p->len;
    do {
        z->next_out = in->out;
        z->avail_out = OUT_CHUNK;
        int got = isal_inflate(z);
        if (got == ISAL_INCORRECT_CHECKSUM)
            return dray_fail(err, DRAY_E_CORRUPT, "gzip: invalid checksum");
        if (got < 0 || got == ISAL_NEED_DICT)
            return dray_fail(err, DRAY_E_CORRUPT, "gzip: invalid data");
        int rc = give(in, in->out, OUT_CHUNK - z->avail_out, err);
        if (rc)
            return rc;
    } while (z->block_state != ISAL_BLOCK_FINISH && (z->avail_in > 0 || z->avail_out == 0));
    in->at_end = z->block_state == ISAL_BLOCK_FINISH;
    *p = (struct piece){z->next_in, z->avail_in};
    return 0;
}

/* --- zstd -------------------------------------------------------------------------------------*/

static int zstd_start(struct dray_inflate *in, struct dray_err *err)
{
    in->zstd = ZSTD_createDStream();
    if (!in->zstd)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
    return 0;
}

static int zstd_feed(struct dray_inflate *in, struct piece *p, struct dray_err *err)
{
    ZSTD_inBuffer src = {p->data, p->len, 0};
    bool full = false;
    do {
        ZSTD_outBuffer dst = {in->out, OUT_CHUNK, 0};
        size_t left = ZSTD_decompressStream(in->zstd, &dst, &src);
        if (ZSTD_isError(left))
            return dray_fail(err, DRAY_E_CORRUPT, "zstd: %s", ZSTD_getErrorName(left));
        in->at_end = left == 0;
        full = dst.pos == dst.size;
        int rc = give(in, in->out, dst.pos, err);
        if (rc)
            return rc;
    } while (src.pos < src.size || (full && !in->at_end));
    p->len = 0;
    return 0;
}

/* --- xz ---------------------------------------------------------------------------------------*/

static int xz_start(struct dray_inflate *in, struct dray_err *err)
{
    in->xz = (lzma_stream)LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&in->xz, XZ_MEMORY, LZMA_CONCATENATED) != LZMA_OK)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

static int xz_run(struct dray_inflate *in, struct piece *p, lzma_action action,
                  struct dray_err *err)
{
    in->xz.next_in = p->data;
    in->xz.avail_in = p->len;
    do {
        in->xz.next_out = in->out;
        in->xz.avail_out = OUT_CHUNK;
        lzma_ret got = lzma_code(&in->xz, action);
        int rc = give(in, in->out, OUT_CHUNK - in->xz.avail_out, err);
        if (rc)
            return rc;
        in->at_end = got == LZMA_STREAM_END;
        if (in->at_end)
            break;
        if (got == LZMA_BUF_ERROR && action == LZMA_RUN)
            break; /* wants more input */
        if (got == LZMA_MEMLIMIT_ERROR)
            return dray_fail(err, DRAY_E_LIMIT, "xz: needs too much memory");
        if (got != LZMA_OK)
            return dray_fail(err, DRAY_E_CORRUPT, "xz: invalid data");
    } while (in->xz.avail_in > 0 || in->xz.avail_out == 0 || action == LZMA_FINISH);
    p->len = 0;
    return 0;
}

static int xz_feed(struct dray_inflate *in, struct piece *p, struct dray_err *err)
{
    return xz_run(in, p, LZMA_RUN, err);
}

/* --- bzip2 ------------------------------------------------------------------------------------*/

static int bzip2_start(struct dray_inflate *in, struct dray_err *err)
{
    in->bz = (bz_stream){0};
    in->at_end = false;
    return BZ2_bzDecompressInit(&in->bz, 0, 0) == BZ_OK
               ? 0
               : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int bzip2_feed(struct dray_inflate *in, struct piece *p, struct dray_err *err)
{
    if (in->at_end) { /* another stream follows */
        (void)BZ2_bzDecompressEnd(&in->bz);
        int rc = bzip2_start(in, err);
        if (rc)
            return rc;
    }
    in->bz.next_in = (char *)(uintptr_t)p->data;
    in->bz.avail_in = (unsigned)p->len;
    int got = BZ_OK;
    do {
        in->bz.next_out = (char *)in->out;
        in->bz.avail_out = OUT_CHUNK;
        got = BZ2_bzDecompress(&in->bz);
        if (got != BZ_OK && got != BZ_STREAM_END)
            return dray_fail(err, DRAY_E_CORRUPT, "bzip2: invalid data");
        int rc = give(in, in->out, OUT_CHUNK - in->bz.avail_out, err);
        if (rc)
            return rc;
    } while (got == BZ_OK && (in->bz.avail_in > 0 || in->bz.avail_out == 0));
    in->at_end = got == BZ_STREAM_END;
    *p = (struct piece){(const uint8_t *)in->bz.next_in, in->bz.avail_in};
    return 0;
}

/* --- all kinds --------------------------------------------------------------------------------*/

static int start_none(struct dray_inflate *in, struct dray_err *err)
{
    (void)err;
    in->at_end = true;
    return 0;
}

static int plain_feed(struct dray_inflate *in, struct piece *p, struct dray_err *err)
{
    int rc = give(in, p->data, p->len, err);
    p->len = 0;
    return rc;
}

static const struct {
    int (*start)(struct dray_inflate *in, struct dray_err *err);
    int (*feed)(struct dray_inflate *in, struct piece *p, struct dray_err *err);
} kinds[] = {
    [DRAY_PLAIN] = {start_none, plain_feed},  [DRAY_GZIP] = {gzip_start, gzip_feed},
    [DRAY_ZSTD] = {zstd_start, zstd_feed},    [DRAY_XZ] = {xz_start, xz_feed},
    [DRAY_BZIP2] = {bzip2_start, bzip2_feed},
};

static int feed_all(struct dray_inflate *in, struct piece p, struct dray_err *err)
{
    int rc = 0;
    while (p.len > 0 && rc == 0)
        rc = kinds[in->kind].feed(in, &p, err);
    return rc;
}

static int start(struct dray_inflate *in, struct dray_err *err)
{
    in->started = true;
    in->kind = dray_compression_of(in->head, in->n_head);
    int rc = kinds[in->kind].start(in, err);
    return rc ? rc : feed_all(in, (struct piece){in->head, in->n_head}, err);
}

int dray_inflate_feed(struct dray_inflate *in, const void *data, size_t len, struct dray_err *err)
{
    struct piece p = {data, len};
    if (!in->started) {
        size_t want = HEAD_LEN - in->n_head;
        size_t n = len < want ? len : want;
        memcpy(in->head + in->n_head, data, n);
        in->n_head += n;
        p = (struct piece){p.data + n, p.len - n};
        if (in->n_head < HEAD_LEN)
            return 0;
        int rc = start(in, err);
        if (rc)
            return rc;
    }
    return feed_all(in, p, err);
}

int dray_inflate_end(struct dray_inflate *in, struct dray_err *err)
{
    int rc = in->started ? 0 : start(in, err);
    if (!rc && in->kind == DRAY_XZ && !in->at_end) {
        struct piece none = {NULL, 0};
        rc = xz_run(in, &none, LZMA_FINISH, err);
    }
    if (!rc && !in->at_end)
        rc = dray_fail(err, DRAY_E_CORRUPT, "unexpected EOF");
    return rc;
}

enum dray_compression dray_inflate_kind(const struct dray_inflate *in)
{
    return in->kind;
}

uint64_t dray_inflate_total(const struct dray_inflate *in)
{
    return in->total;
}

void dray_inflate_free(struct dray_inflate *in)
{
    if (!in)
        return;
    free(in->gz);
    if (in->zstd)
        (void)ZSTD_freeDStream(in->zstd);
    if (in->kind == DRAY_XZ)
        lzma_end(&in->xz);
    if (in->kind == DRAY_BZIP2)
        (void)BZ2_bzDecompressEnd(&in->bz);
    free(in->out);
    free(in);
}
