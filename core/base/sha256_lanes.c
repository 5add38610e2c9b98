/* SPDX-License-Identifier: Apache-2.0 */
/* sha256_lanes.c - SHA-256 of several streams in step, for processors without instructions for it.
 */
#include "base/sha256_lanes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <string.h>

#define BLOCK 64u
#define LANES DRAY_SHA256_LANES
#define SHA_BIT (1u << 29) /* of EBX in leaf 7 */

typedef uint32_t vec __attribute__((vector_size(4 * LANES)));
typedef uint8_t vec_bytes __attribute__((vector_size(4 * LANES)));

static const uint32_t rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define ROR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

#define WORD(d, at)                                                                                \
    ({                                                                                             \
        uint32_t word_;                                                                            \
        memcpy(&word_, (d) + (at), 4);                                                             \
        word_;                                                                                     \
    })

/* The i-th word of each lane's block, which is in big endian. */
#define LOAD(i)                                                                                    \
    do {                                                                                           \
        vec v_ = {WORD(data[0], at + 4 * (i)), WORD(data[1], at + 4 * (i)),                        \
                  WORD(data[2], at + 4 * (i)), WORD(data[3], at + 4 * (i)),                        \
                  WORD(data[4], at + 4 * (i)), WORD(data[5], at + 4 * (i)),                        \
                  WORD(data[6], at + 4 * (i)), WORD(data[7], at + 4 * (i))};                       \
        w[i] = (vec)__builtin_shufflevector((vec_bytes)v_, (vec_bytes)v_, 3, 2, 1, 0, 7, 6, 5, 4,  \
                                            11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16, 23, 22,  \
                                            21, 20, 27, 26, 25, 24, 31, 30, 29, 28);               \
    } while (0)

#define EXTEND(i)                                                                                  \
    do {                                                                                           \
        const vec w1_ = w[((i) + 1) & 15], w14_ = w[((i) + 14) & 15];                              \
        w[i] += (ROR(w1_, 7) ^ ROR(w1_, 18) ^ (w1_ >> 3)) + w[((i) + 9) & 15] +                    \
                (ROR(w14_, 17) ^ ROR(w14_, 19) ^ (w14_ >> 10));                                    \
    } while (0)

/* One round; the names of the words rotate instead of their values. */
#define ROUND(a, b, c, d, e, f, g, h, i, k)                                                        \
    do {                                                                                           \
        const vec t_ = (h) + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) +                               \
                       (((e) & (f)) ^ (~(e) & (g))) + w[i] + (k);                                  \
        (d) += t_;                                                                                 \
        (h) = t_ + (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + (((a) & (b)) | ((c) & ((a) | (b))));    \
    } while (0)

#define EIGHT(i, k)                                                                                \
    do {                                                                                           \
        ROUND(a, b, c, d, e, f, g, h, (i), (k)[(i)]);                                              \
        ROUND(h, a, b, c, d, e, f, g, (i) + 1, (k)[(i) + 1]);                                      \
        ROUND(g, h, a, b, c, d, e, f, (i) + 2, (k)[(i) + 2]);                                      \
        ROUND(f, g, h, a, b, c, d, e, (i) + 3, (k)[(i) + 3]);                                      \
        ROUND(e, f, g, h, a, b, c, d, (i) + 4, (k)[(i) + 4]);                                      \
        ROUND(d, e, f, g, h, a, b, c, (i) + 5, (k)[(i) + 5]);                                      \
        ROUND(c, d, e, f, g, h, a, b, (i) + 6, (k)[(i) + 6]);                                      \
        ROUND(b, c, d, e, f, g, h, a, (i) + 7, (k)[(i) + 7]);                                      \
    } while (0)

/* Compiled once for each set of instructions. */
static inline __attribute__((always_inline)) void
body(uint32_t state[8][LANES], const uint8_t *const data[LANES], size_t blocks)
{
    vec s[8], w[16];
    memcpy(s, state, sizeof s);
    for (size_t at = 0; at < blocks * BLOCK; at += BLOCK) {
        vec a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
        LOAD(0);
        LOAD(1);
        LOAD(2);
        LOAD(3);
        LOAD(4);
        LOAD(5);
        LOAD(6);
        LOAD(7);
        LOAD(8);
        LOAD(9);
        LOAD(10);
        LOAD(11);
        LOAD(12);
        LOAD(13);
        LOAD(14);
        LOAD(15);
        EIGHT(0, rounds);
        EIGHT(8, rounds);
        for (const uint32_t *k = rounds + 16; k < rounds + 64; k += 16) {
            EXTEND(0);
            EXTEND(1);
            EXTEND(2);
            EXTEND(3);
            EXTEND(4);
            EXTEND(5);
            EXTEND(6);
            EXTEND(7);
            EXTEND(8);
            EXTEND(9);
            EXTEND(10);
            EXTEND(11);
            EXTEND(12);
            EXTEND(13);
            EXTEND(14);
            EXTEND(15);
            EIGHT(0, k);
            EIGHT(8, k);
        }
        s[0] += a, s[1] += b, s[2] += c, s[3] += d, s[4] += e, s[5] += f, s[6] += g, s[7] += h;
    }
    memcpy(state, s, sizeof s);
}

__attribute__((target("avx2"))) static void
with_avx2(uint32_t state[8][LANES], const uint8_t *const data[LANES], size_t blocks)
{
    body(state, data, blocks);
}

__attribute__((target("avx512f,avx512vl,avx512bw"))) static void
with_avx512(uint32_t state[8][LANES], const uint8_t *const data[LANES], size_t blocks)
{
    body(state, data, blocks);
}

unsigned dray_sha256_lanes_least(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & SHA_BIT))
        return LANES + 1; /* OpenSSL uses them */
    if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return 2;
    return __builtin_cpu_supports("avx2") ? 3 : LANES + 1;
}

void dray_sha256_lanes(uint32_t state[8][LANES], const uint8_t *const data[LANES], size_t blocks)
{
    if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        with_avx512(state, data, blocks);
    else
        with_avx2(state, data, blocks);
}

#else

unsigned dray_sha256_lanes_least(void)
{
    return DRAY_SHA256_LANES + 1;
}

void dray_sha256_lanes(uint32_t state[8][DRAY_SHA256_LANES],
                       const uint8_t *const data[DRAY_SHA256_LANES], size_t blocks)
{
    (void)state, (void)data, (void)blocks;
}

#endif
