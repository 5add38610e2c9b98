/* SPDX-License-Identifier: Apache-2.0 */
/* prefix.h - IPv4 and IPv6 prefixes as numbers. */
#ifndef DRAY_IPAM_PREFIX_H
#define DRAY_IPAM_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PREFIX_TEXT 56

__extension__ typedef unsigned __int128 prefix_u128;

/** base has its host bits clear; IPv4 lives in the low 32 bits. */
struct prefix {
    uint32_t family; /* 4 or 6 */
    uint32_t len;
    prefix_u128 base;
};

/** Bits of an address of the family. */
static inline uint32_t prefix_bits(uint32_t family)
{
    return family == 4 ? 32 : 128;
}

/** Reads "10.1.2.3/8" as 10.0.0.0/8. */
bool prefix_parse(const char *text, struct prefix *out);
/** Reads an address, with or without "/len" behind it, which is ignored. */
bool prefix_parse_addr(const char *text, uint32_t *family_out, prefix_u128 *out);
void prefix_format(const struct prefix *p, char out[PREFIX_TEXT]);
/** "addr/len" for one address of p. */
void prefix_format_addr(const struct prefix *p, prefix_u128 addr, char out[PREFIX_TEXT]);
bool prefix_overlap(const struct prefix *a, const struct prefix *b);
/** Is inner within outer? */
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);
bool prefix_has_addr(const struct prefix *p, uint32_t family, prefix_u128 addr);
/** Number of the last host: 255 for a /24. At most UINT64_MAX: a larger subnet's rest is unused. */
uint64_t prefix_last_host(const struct prefix *p);

#endif
