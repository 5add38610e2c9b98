/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - SHA-256 content digests by OpenSSL. */
#include "base/digest.h"

#include "base/hash_pool.h"

#include <dray/util.h>
#include <openssl/evp.h>

#define PREFIX "sha256:"
#define PREFIX_LEN 7u
#define HEX_LEN 64u

struct dray_sha256 {
    EVP_MD_CTX *ctx;
    struct dray_hash_stream *stream; /* in a pool; instead of ctx */
};

struct dray_sha256 *dray_sha256_new(void)
{
    struct dray_sha256 *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->ctx = EVP_MD_CTX_new();
    if (!s->ctx || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1) {
        dray_sha256_free(s);
        return NULL;
    }
    return s;
}

struct dray_sha256 *dray_sha256_new_in(struct dray_hash_pool *pool)
{
    struct dray_sha256 *s = calloc(1, sizeof *s);
    if (s)
        s->stream = dray_hash_stream_new(pool);
    if (s && !s->stream) {
        free(s);
        return NULL;
    }
    return s;
}

void dray_sha256_add(struct dray_sha256 *s, const void *data, size_t len)
{
    if (s->stream)
        dray_hash_stream_add(s->stream, data, len);
    else
        (void)EVP_DigestUpdate(s->ctx, data, len);
}

static void write_digest(const unsigned char *raw, char out[DRAY_DIGEST_LEN])
{
    static const char hex[] = "0123456789abcdef";
    memcpy(out, PREFIX, PREFIX_LEN);
    char *p = out + PREFIX_LEN;
    for (size_t i = 0; i < HEX_LEN / 2; i++) {
        *p++ = hex[raw[i] >> 4];
        *p++ = hex[raw[i] & 15];
    }
    *p = '\0';
}

void dray_sha256_end(struct dray_sha256 *s, char out[DRAY_DIGEST_LEN])
{
    unsigned char raw[EVP_MAX_MD_SIZE] = {0};
    if (s->stream) {
        dray_hash_stream_end(s->stream, raw);
        write_digest(raw, out);
        return;
    }
    (void)EVP_DigestFinal_ex(s->ctx, raw, NULL);
    write_digest(raw, out);
    (void)EVP_DigestInit_ex(s->ctx, NULL, NULL);
}

void dray_sha256_free(struct dray_sha256 *s)
{
    if (!s)
        return;
    dray_hash_stream_free(s->stream);
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void dray_digest_of(const void *data, size_t len, char out[DRAY_DIGEST_LEN])
{
    unsigned char raw[EVP_MAX_MD_SIZE] = {0};
    (void)EVP_Digest(data, len, raw, NULL, EVP_sha256(), NULL);
    write_digest(raw, out);
}

bool dray_digest_valid(const char *digest)
{
    return digest && strncmp(digest, PREFIX, PREFIX_LEN) == 0 &&
           strlen(digest) == PREFIX_LEN + HEX_LEN &&
           strspn(digest + PREFIX_LEN, "0123456789abcdef") == HEX_LEN;
}

const char *dray_digest_hex(const char *digest)
{
    return digest + PREFIX_LEN;
}
