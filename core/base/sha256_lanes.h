/* SPDX-License-Identifier: Apache-2.0 */
/* sha256_lanes.h - SHA-256 of several streams in step, in the lanes of vector registers. */
#ifndef DRAY_BASE_SHA256_LANES_H
#define DRAY_BASE_SHA256_LANES_H

#include <stddef.h>
#include <stdint.h>

#define DRAY_SHA256_LANES 8u

/** From how many streams on this machine is quicker so than one after the other; more than
 *  DRAY_SHA256_LANES: never. */
unsigned dray_sha256_lanes_least(void);

/** Add blocks of 64 bytes to each stream's state (FIPS 180-4 6.2), word by word, lane by lane. Only
 *  where dray_sha256_lanes_least() says that it is worth it. */
void dray_sha256_lanes(uint32_t state[8][DRAY_SHA256_LANES],
                       const uint8_t *const data[DRAY_SHA256_LANES], size_t blocks);

#endif
