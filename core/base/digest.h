/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - content digests, "sha256:<64 hex digits>". */
#ifndef DRAY_BASE_DIGEST_H
#define DRAY_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

/** "sha256:" + 64 digits + NUL; sha512 does not fit and is refused by dray_digest_valid(). */
#define DRAY_DIGEST_LEN 72

struct dray_sha256; /* streaming state */

struct dray_sha256 *dray_sha256_new(void); /* NULL without memory */
struct dray_hash_pool;
/** One whose bytes are hashed by a pool's threads; for what is long. NULL without memory. */
struct dray_sha256 *dray_sha256_new_in(struct dray_hash_pool *pool);
void dray_sha256_add(struct dray_sha256 *s, const void *data, size_t len);
/** Write the digest with its "sha256:" and begin anew. */
void dray_sha256_end(struct dray_sha256 *s, char out[DRAY_DIGEST_LEN]);
void dray_sha256_free(struct dray_sha256 *s);

void dray_digest_of(const void *data, size_t len, char out[DRAY_DIGEST_LEN]);
/** A well-formed sha256 digest in lower case? */
bool dray_digest_valid(const char *digest);
/** The hex part of a valid digest. */
const char *dray_digest_hex(const char *digest);

#endif
