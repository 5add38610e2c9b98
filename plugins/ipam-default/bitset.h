/* SPDX-License-Identifier: Apache-2.0 */
/* bitset.h - a set of 64-bit numbers that keeps only the words that have a bit set. */
#ifndef DRAY_IPAM_BITSET_H
#define DRAY_IPAM_BITSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bitset_word {
    uint64_t index; /* numbers index*64 .. index*64+63 */
    uint64_t bits;
};

/** Zero-initialised is empty. A full /16 takes 16 KiB, a single address 16 bytes. */
struct bitset {
    struct bitset_word *v; /* sorted by index, no empty words */
    size_t n, cap;
};

bool bitset_has(const struct bitset *s, uint64_t number);
/** False without memory. */
bool bitset_add(struct bitset *s, uint64_t number);
void bitset_remove(struct bitset *s, uint64_t number);
/** The lowest number of first..last that is not in the set; false if all are. */
bool bitset_first_free(const struct bitset *s, uint64_t first, uint64_t last, uint64_t *out);
void bitset_free(struct bitset *s);

#endif
