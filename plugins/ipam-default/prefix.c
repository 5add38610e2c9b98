/* SPDX-License-Identifier: Apache-2.0 */
/* prefix.c - reads, writes and compares prefixes. */
#include "prefix.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static prefix_u128 mask_of(uint32_t family, uint32_t len)
{
    uint32_t host = prefix_bits(family) - len;
    prefix_u128 all = ~(prefix_u128)0;
    if (family == 4)
        all = 0xffffffffu;
    return host >= 128 ? 0 : (all >> host) << host;
}

static bool parse_bare(const char *addr, uint32_t *family_out, prefix_u128 *out)
{
    uint8_t raw[16];
    bool v6 = strchr(addr, ':');
    if (inet_pton(v6 ? AF_INET6 : AF_INET, addr, raw) != 1)
        return false;
    prefix_u128 value = 0;
    for (size_t i = 0; i < (v6 ? 16u : 4u); i++)
        value = value << 8 | raw[i];
    *family_out = v6 ? 6 : 4;
    *out = value;
    return true;
}

bool prefix_parse_addr(const char *text, uint32_t *family_out, prefix_u128 *out)
{
    char addr[INET6_ADDRSTRLEN];
    size_t n = strcspn(text, "/");
    if (n >= sizeof addr)
        return false;
    memcpy(addr, text, n);
    addr[n] = '\0';
    return parse_bare(addr, family_out, out);
}

bool prefix_parse(const char *text, struct prefix *out)
{
    const char *slash = strchr(text, '/');
    struct prefix p;
    if (!slash || slash[1] < '0' || slash[1] > '9' || !prefix_parse_addr(text, &p.family, &p.base))
        return false;
    char *end = NULL;
    unsigned long len = strtoul(slash + 1, &end, 10);
    if (*end || len > prefix_bits(p.family))
        return false;
    p.len = (uint32_t)len;
    p.base &= mask_of(p.family, p.len);
    *out = p;
    return true;
}

static void format(uint32_t family, uint32_t len, prefix_u128 value, char out[PREFIX_TEXT])
{
    uint8_t raw[16];
    size_t n = prefix_bits(family) / 8;
    for (size_t i = 0; i < n; i++)
        raw[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
    char addr[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(family == 4 ? AF_INET : AF_INET6, raw, addr, sizeof addr);
    (void)snprintf(out, PREFIX_TEXT, "%s/%u", addr, len);
}

void prefix_format(const struct prefix *p, char out[PREFIX_TEXT])
{
    format(p->family, p->len, p->base, out);
}

void prefix_format_addr(const struct prefix *p, prefix_u128 addr, char out[PREFIX_TEXT])
{
    format(p->family, p->len, addr, out);
}

bool prefix_overlap(const struct prefix *a, const struct prefix *b)
{
    return a->len <= b->len ? prefix_contains(a, b) : prefix_contains(b, a);
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
    return inner->len >= outer->len && prefix_has_addr(outer, inner->family, inner->base);
}

bool prefix_has_addr(const struct prefix *p, uint32_t family, prefix_u128 addr)
{
    return p->family == family && (addr & mask_of(p->family, p->len)) == p->base;
}

uint64_t prefix_last_host(const struct prefix *p)
{
    uint32_t host = prefix_bits(p->family) - p->len;
    return host >= 64 ? UINT64_MAX : (UINT64_C(1) << host) - 1;
}
