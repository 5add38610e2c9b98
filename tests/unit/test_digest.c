/* SPDX-License-Identifier: Apache-2.0 */
/* test_digest.c - SHA-256 of known texts (FIPS 180-4 examples), whole and in pieces. */
#include "check.h"

#include "base/digest.h"

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
    {"whole", whole},
    {"streaming", streaming},
    {"validates", validates},
};
CHECK_MAIN("digest", cases)
