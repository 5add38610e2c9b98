/* SPDX-License-Identifier: Apache-2.0 */
/* test_digest.c - SHA-256 of known texts (FIPS 180-4 examples), whole and in pieces. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "check.h"

#include "base/digest.h"
#include "base/hash_pool.h"
#include "base/sha256_lanes.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ABC "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void whole(void)
{
    char d[DRAY_DIGEST_LEN];
    dray_digest_of("abc", 3, d);
    CU_ASSERT_STRING_EQUAL(d, ABC);
    dray_digest_of("", 0, d);
    CU_ASSERT_STRING_EQUAL(d, EMPTY);
}

static void streaming(void)
{
    char d[DRAY_DIGEST_LEN];
    struct dray_sha256 *s = dray_sha256_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    for (int round = 0; round < 3; round++) {
        dray_sha256_add(s, "a", 1);
        dray_sha256_add(s, "bc", 2);
        dray_sha256_end(s, d);
        CU_ASSERT_STRING_EQUAL(d, ABC);
    }
    dray_sha256_end(s, d);
    CU_ASSERT_STRING_EQUAL(d, EMPTY);
    dray_sha256_free(s);
    dray_sha256_free(NULL);
}

/* --- streams of a pool ------------------------------------------------------------------------*/

#define STREAMS 11u /* more than lanes */

struct stream_job {
    struct dray_hash_pool *pool;
    size_t len, step;
    bool right;
};

/* Bytes that differ from place to place, hashed in steps and whole. */
static void *hash_stream(void *arg)
{
    struct stream_job *j = arg;
    char got[DRAY_DIGEST_LEN], want[DRAY_DIGEST_LEN];
    unsigned char *data = malloc(j->len + 1);
    struct dray_sha256 *s = dray_sha256_new_in(j->pool);
    for (size_t i = 0; data && i < j->len; i++)
        data[i] = (unsigned char)(i * 7 + i / 251 + j->len);
    for (size_t at = 0; data && s && at < j->len; at += j->step)
        dray_sha256_add(s, data + at, at + j->step < j->len ? j->step : j->len - at);
    if (data && s) {
        dray_sha256_end(s, got);
        dray_digest_of(data, j->len, want);
        j->right = strcmp(got, want) == 0;
        dray_sha256_add(s, "abc", 3);
        dray_sha256_end(s, got);
        j->right = j->right && strcmp(got, ABC) == 0;
        for (int i = 0; i < 3 && j->len > 0; i++) /* is freed while it is hashed */
            dray_sha256_add(s, data, j->len);
    }
    dray_sha256_free(s);
    free(data);
    return NULL;
}

static void many_streams(void)
{
    static const size_t lens[] = {0,      1,        63,      64,     131071, 131072,
                                  131073, 1u << 20, 3000000, 786432, 262145};
    struct dray_hash_pool *pool = NULL;
    pthread_t threads[STREAMS];
    struct stream_job jobs[STREAMS];
    CU_ASSERT_EQUAL_FATAL(dray_hash_pool_open(&pool, NULL), 0);
    for (unsigned i = 0; i < STREAMS; i++) {
        jobs[i] = (struct stream_job){pool, lens[i], i % 2 ? 4099 : 262144, false};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, hash_stream, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        (void)pthread_join(threads[i], NULL);
        CU_ASSERT_TRUE(jobs[i].right);
    }
    dray_hash_pool_close(pool);
}

/* Each lane has the state that OpenSSL has, where this processor uses them. */
static void lanes(void)
{
    static unsigned char data[DRAY_SHA256_LANES][4096];
    uint32_t state[8][DRAY_SHA256_LANES];
    const uint8_t *at[DRAY_SHA256_LANES];
    SHA256_CTX want;
    if (dray_sha256_lanes_least() > DRAY_SHA256_LANES)
        return;
    (void)SHA256_Init(&want);
    for (unsigned l = 0; l < DRAY_SHA256_LANES; l++) {
        for (size_t i = 0; i < sizeof data[l]; i++)
            data[l][i] = (unsigned char)(i * (l + 3) + i / 255);
        for (unsigned k = 0; k < 8; k++)
            state[k][l] = want.h[k];
        at[l] = data[l];
    }
    dray_sha256_lanes(state, at, sizeof data[0] / 64);
    for (unsigned l = 0; l < DRAY_SHA256_LANES; l++) {
        (void)SHA256_Init(&want);
        (void)SHA256_Update(&want, data[l], sizeof data[l]);
        for (unsigned k = 0; k < 8; k++)
            CU_ASSERT_EQUAL(state[k][l], want.h[k]);
    }
}

static void validates(void)
{
    CU_ASSERT_TRUE(dray_digest_valid(ABC));
    CU_ASSERT_FALSE(dray_digest_valid(NULL));
    CU_ASSERT_FALSE(dray_digest_valid(""));
    CU_ASSERT_FALSE(dray_digest_valid("sha256:"));
    CU_ASSERT_FALSE(dray_digest_valid(ABC "0"));
    CU_ASSERT_FALSE(dray_digest_valid("sha512:ba7816"));
    char upper[] = ABC;
    upper[7] = 'B';
    CU_ASSERT_FALSE(dray_digest_valid(upper));
    upper[7] = '/';
    CU_ASSERT_FALSE(dray_digest_valid(upper));
    CU_ASSERT_STRING_EQUAL(dray_digest_hex(ABC), ABC + 7);
}

static const struct check_case cases[] = {
    {"whole", whole}, {"streaming", streaming}, {"streams of a pool", many_streams},
    {"lanes", lanes}, {"validates", validates},
};
CHECK_MAIN("digest", cases)
