/* SPDX-License-Identifier: Apache-2.0 */
/* test_inflate.c - decompression of what registries send, whole, cut and hostile. */
#include "engine/layer/inflate.h"

#include "base/buf.h"
#include "check.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#define PLAIN_LEN (700u * 1000)

static char plain[PLAIN_LEN];

static void fill_plain(void)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < PLAIN_LEN; i++) {
        x = x * 1103515245u + 12345u;
        plain[i] = (i / 1000) % 3 ? (char)(x >> 24) : 'a';
    }
}

static int to_buf(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    (void)err;
    dray_buf_add(ctx, data, len);
    return 0;
}

/* Inflate in pieces of `step` bytes. */
static int inflate_all(const void *data, size_t len, size_t step, uint64_t max,
                       struct dray_buf *out, struct dray_err *err)
{
    struct dray_inflate *in = NULL;
    int rc = dray_inflate_new(to_buf, out, max, &in, err);
    for (size_t at = 0; !rc && at < len; at += step)
        rc = dray_inflate_feed(in, (const char *)data + at, len - at < step ? len - at : step, err);
    if (!rc)
        rc = dray_inflate_end(in, err);
    dray_inflate_free(in);
    return rc;
}

static bool is_plain(const struct dray_buf *b)
{
    return b->len == PLAIN_LEN && memcmp(b->data, plain, PLAIN_LEN) == 0;
}

static void pack_gzip(const void *data, size_t len, struct dray_buf *out)
{
    z_stream z = {0};
    (void)deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    size_t most = deflateBound(&z, len) + 64;
    char *room = dray_buf_room(out, most);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)most;
    (void)deflate(&z, Z_FINISH);
    out->len += z.total_out;
    (void)deflateEnd(&z);
}

static void pack_zstd(struct dray_buf *out)
{
    size_t most = ZSTD_compressBound(PLAIN_LEN);
    char *room = dray_buf_room(out, most);
    out->len += ZSTD_compress(room, most, plain, PLAIN_LEN, 3);
}

static void pack_xz(struct dray_buf *out)
{
    size_t most = lzma_stream_buffer_bound(PLAIN_LEN), n = 0;
    char *room = dray_buf_room(out, most);
    (void)lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, (uint8_t *)plain, PLAIN_LEN,
                                  (uint8_t *)room, &n, most);
    out->len += n;
}

static void pack_bzip2(struct dray_buf *out)
{
    unsigned n = PLAIN_LEN + PLAIN_LEN / 50 + 700;
    char *room = dray_buf_room(out, n);
    (void)BZ2_bzBuffToBuffCompress(room, &n, plain, PLAIN_LEN, 9, 0, 0);
    out->len += n;
}

static void check_kind(const struct dray_buf *packed, enum dray_compression kind)
{
    static const size_t steps[] = {1, 7, 4096, 1u << 20};
    CU_ASSERT_EQUAL(dray_compression_of(packed->data, packed->len), kind);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        DRAY_AUTO(dray_buf) out = {0};
        struct dray_err err = {0};
        int rc = inflate_all(packed->data, packed->len, steps[i], UINT64_MAX, &out, &err);
        if (rc)
            printf("kind %d step %zu: %s\n", (int)kind, steps[i], err.text);
        CU_ASSERT_EQUAL(rc, 0);
        CU_ASSERT_TRUE(is_plain(&out));
    }
    DRAY_AUTO(dray_buf) cut = {0};
    CU_ASSERT_EQUAL(inflate_all(packed->data, packed->len / 2, 4096, UINT64_MAX, &cut, NULL),
                    DRAY_E_CORRUPT);
    DRAY_AUTO(dray_buf) bomb = {0};
    CU_ASSERT_EQUAL(inflate_all(packed->data, packed->len, 4096, 1000, &bomb, NULL), DRAY_E_LIMIT);
    CU_ASSERT_TRUE(bomb.len <= 1000);
}

static void test_kinds(void)
{
    DRAY_AUTO(dray_buf) gz = {0};
    DRAY_AUTO(dray_buf) zs = {0};
    DRAY_AUTO(dray_buf) xz = {0};
    DRAY_AUTO(dray_buf) bz = {0};
    fill_plain();
    pack_gzip(plain, PLAIN_LEN, &gz);
    pack_zstd(&zs);
    pack_xz(&xz);
    pack_bzip2(&bz);
    check_kind(&gz, DRAY_GZIP);
    check_kind(&zs, DRAY_ZSTD);
    check_kind(&xz, DRAY_XZ);
    check_kind(&bz, DRAY_BZIP2);
}

static void test_members(void)
{
    DRAY_AUTO(dray_buf) gz = {0};
    DRAY_AUTO(dray_buf) out = {0};
    pack_gzip(plain, 1000, &gz);
    pack_gzip(plain + 1000, 0, &gz);
    pack_gzip(plain + 1000, PLAIN_LEN - 1000, &gz);
    dray_buf_add(&gz, "\0\0\0\0", 4); /* padding */
    CU_ASSERT_EQUAL(inflate_all(gz.data, gz.len, 333, UINT64_MAX, &out, NULL), 0);
    CU_ASSERT_TRUE(is_plain(&out));
    DRAY_AUTO(dray_buf) junk = {0};
    dray_buf_adds(&gz, "junk");
    CU_ASSERT_EQUAL(inflate_all(gz.data, gz.len, 333, UINT64_MAX, &junk, NULL), DRAY_E_CORRUPT);
}

static void test_damage(void)
{
    DRAY_AUTO(dray_buf) gz = {0};
    pack_gzip(plain, PLAIN_LEN, &gz);
    gz.data[gz.len - 6] ^= 1; /* the checksum */
    DRAY_AUTO(dray_buf) out = {0};
    CU_ASSERT_EQUAL(inflate_all(gz.data, gz.len, 4096, UINT64_MAX, &out, NULL), DRAY_E_CORRUPT);
    gz.data[gz.len - 6] ^= 1;
    gz.data[gz.len / 2] ^= 0x55;
    DRAY_AUTO(dray_buf) bad = {0};
    CU_ASSERT_EQUAL(inflate_all(gz.data, gz.len, 4096, UINT64_MAX, &bad, NULL), DRAY_E_CORRUPT);
}

static void test_plain(void)
{
    static const size_t lens[] = {0, 1, 5, 6, 7, PLAIN_LEN};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        DRAY_AUTO(dray_buf) out = {0};
        CU_ASSERT_EQUAL(inflate_all(plain, lens[i], 3, UINT64_MAX, &out, NULL), 0);
        CU_ASSERT_EQUAL(out.len, lens[i]);
    }
}

static void test_deflate(void)
{
    DRAY_AUTO(dray_buf) packed = {0};
    DRAY_AUTO(dray_buf) out = {0};
    struct dray_deflate *d = NULL;
    CU_ASSERT_EQUAL(dray_deflate_new(to_buf, &packed, &d, NULL), 0);
    for (size_t at = 0; at < PLAIN_LEN; at += 1000)
        CU_ASSERT_EQUAL(dray_deflate_feed(d, plain + at, 1000, NULL), 0);
    CU_ASSERT_EQUAL(dray_deflate_end(d, NULL), 0);
    dray_deflate_free(d);
    CU_ASSERT_EQUAL(inflate_all(packed.data, packed.len, 5000, UINT64_MAX, &out, NULL), 0);
    CU_ASSERT_TRUE(is_plain(&out));
}

static const struct check_case cases[] = {
    {"every kind", test_kinds}, {"members", test_members}, {"damage", test_damage},
    {"plain", test_plain},      {"deflate", test_deflate},
};
CHECK_MAIN("inflate", cases)
