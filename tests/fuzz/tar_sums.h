/* SPDX-License-Identifier: Apache-2.0 */
/* tar_sums.h - gives the headers of a tar right checksums: without them nearly every mutation ends
 * at the first. */
#ifndef DRAY_TESTS_TAR_SUMS_H
#define DRAY_TESTS_TAR_SUMS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void tar_mend_sums(uint8_t *data, size_t size)
{
    for (size_t at = 0; at + 512 <= size; at += 512) {
        uint8_t *h = data + at;
        if (memcmp(h + 257, "ustar", 5) != 0)
            continue;
        unsigned sum = 0;
        memset(h + 148, ' ', 8);
        for (size_t i = 0; i < 512; i++)
            sum += h[i];
        for (unsigned i = 6; i-- > 0; sum >>= 3)
            h[148 + i] = (uint8_t)('0' + (sum & 7));
        h[154] = 0;
    }
}

#endif
