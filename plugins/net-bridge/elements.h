/* SPDX-License-Identifier: Apache-2.0 */
/* elements.h - elements of our nftables sets and maps, in the kernel's layout and as text. */
#ifndef DRAY_BRIDGE_ELEMENTS_H
#define DRAY_BRIDGE_ELEMENTS_H

#include "netdev.h"
#include "netlink.h"

#include <stdint.h>
#include <stdio.h>

/** Sets and maps of the table; rules.c says what each is for. */
enum elem_set {
    ELEM_BRIDGES,
    ELEM_SAME,
    ELEM_ICC,
    ELEM_INTERNAL,
    ELEM_UNPROTECTED,
    ELEM_MASQ4,
    ELEM_MASQ6,
    ELEM_SELF4,
    ELEM_SELF6,
    ELEM_OPEN4,
    ELEM_OPEN6,
    ELEM_ANY4,
    ELEM_HOST4,
    ELEM_ANY6,
    ELEM_HOST6,
    ELEM_GUARD_ANY4,
    ELEM_GUARD_HOST4,
    ELEM_GUARD_ANY6,
    ELEM_GUARD_HOST6,
    ELEM_SETS, /* how many */
};

#define ELEM_KEY_MAX 32
#define ELEM_DATA_MAX 20

struct elem {
    uint8_t set;
    uint8_t key[ELEM_KEY_MAX]; /* fields padded to 4 bytes each, as in the kernel's registers */
    uint8_t data[ELEM_DATA_MAX];
};

/** Zero-initialised is empty. */
struct elems {
    struct elem *v;
    size_t n, cap;
    bool failed; /* memory ran out */
};

void elems_free(struct elems *l);
static inline void elems_cleanup(struct elems *l)
{
    elems_free(l);
}

/** {ifname} and {ifname . ifname}, the same twice. */
void elems_add_bridge(struct elems *l, enum elem_set set, const char *ifname);
/** {addr . addr} of one endpoint. */
void elems_add_self(struct elems *l, const struct dray_cidr *addr);
/** A published port: host address (all zero: any) and port to the endpoint's. */
void elems_add_nat(struct elems *l, uint8_t proto, const struct dray_cidr *host, uint16_t host_port,
                   const struct dray_cidr *to, uint16_t to_port);
/** A published port that the host's rules decide over. */
void elems_add_guarded(struct elems *l, uint8_t proto, const struct dray_cidr *host, uint16_t port);
/** A port that may be reached at the endpoint's own address. */
void elems_add_open(struct elems *l, uint8_t proto, const struct dray_cidr *to, uint16_t to_port);

const char *elem_set_name(enum elem_set set);
/** Declarations of all sets and maps, in nft's language. */
void elems_declare(FILE *out, bool ipv6);
/** "add element" commands, in nft's language. */
void elems_print(FILE *out, const char *table, const struct elems *l);
/** Append one transaction that adds or deletes the elements. */
void elems_transact(struct dray_nl_batch *b, const char *table, const struct elems *l, bool add);

#endif
