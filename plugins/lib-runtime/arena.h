/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - memory that is given back all at once, for what is parsed from a bundle. */
#ifndef RN_ARENA_H
#define RN_ARENA_H

#include <stddef.h>

struct rn_arena_block;

/** Zero is a valid empty arena. */
struct rn_arena {
    struct rn_arena_block *head;
};

/** n zeroed bytes aligned for anything; NULL without memory. */
void *rn_arena_alloc(struct rn_arena *a, size_t n);
__attribute__((format(printf, 2, 3))) char *rn_arena_printf(struct rn_arena *a, const char *fmt,
                                                            ...);
void rn_arena_cleanup(struct rn_arena *a);

#endif
