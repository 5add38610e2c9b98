/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - memory of a parsed file: handed out in pieces, freed as a whole. */
#include "dockerfile.h"

#define BLOCK_SIZE 16384u
#define ALIGN 16u

struct dray_df_block {
    struct dray_df_block *next;
    size_t used, size;
    _Alignas(ALIGN) char data[];
};

void *dray_df_alloc(struct dray_df_arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    size_t need = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct dray_df_block *b = a->blocks;
    if (!b || b->size - b->used < need) {
        size_t size = need > BLOCK_SIZE ? need : BLOCK_SIZE;
        b = calloc(1, sizeof *b + size);
        if (!b)
            return NULL;
        b->size = size;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += need;
    a->used += need;
    return p;
}

char *dray_df_strndup(struct dray_df_arena *a, const char *text, size_t n)
{
    char *copy = dray_df_alloc(a, n + 1);
    if (copy && n)
        memcpy(copy, text, n);
    return copy;
}

void dray_df_arena_free(struct dray_df_arena *a)
{
    for (struct dray_df_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct dray_df_arena){0};
}
