/* SPDX-License-Identifier: Apache-2.0 */
/* bitset.c - a sorted array of 64-bit words, searched by halves. */
#include "bitset.h"

#include <stdlib.h>
#include <string.h>

/* Position of the word, or where it would go. */
static size_t position(const struct bitset *s, uint64_t index)
{
    size_t low = 0;
    size_t high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (s->v[mid].index < index)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool bitset_has(const struct bitset *s, uint64_t number)
{
    size_t at = position(s, number / 64);
    return at < s->n && s->v[at].index == number / 64 && (s->v[at].bits >> (number % 64) & 1);
}

bool bitset_add(struct bitset *s, uint64_t number)
{
    size_t at = position(s, number / 64);
    if (at == s->n || s->v[at].index != number / 64) {
        if (s->n == s->cap) {
            size_t cap = s->cap ? s->cap * 2 : 4;
            struct bitset_word *v = reallocarray(s->v, cap, sizeof *v);
            if (!v)
                return false;
            s->v = v;
            s->cap = cap;
        }
        memmove(s->v + at + 1, s->v + at, (s->n - at) * sizeof *s->v);
        s->v[at] = (struct bitset_word){.index = number / 64};
        s->n++;
    }
    s->v[at].bits |= UINT64_C(1) << (number % 64);
    return true;
}

void bitset_remove(struct bitset *s, uint64_t number)
{
    size_t at = position(s, number / 64);
    if (at == s->n || s->v[at].index != number / 64)
        return;
    s->v[at].bits &= ~(UINT64_C(1) << (number % 64));
    if (s->v[at].bits)
        return;
    s->n--;
    memmove(s->v + at, s->v + at + 1, (s->n - at) * sizeof *s->v);
}

bool bitset_first_free(const struct bitset *s, uint64_t first, uint64_t last, uint64_t *out)
{
    uint64_t candidate = first;
    for (size_t at = position(s, first / 64); at < s->n; at++) {
        if (s->v[at].index != candidate / 64)
            break; /* a gap between the words: the candidate is free */
        uint64_t skipped = (UINT64_C(1) << (candidate % 64)) - 1;
        uint64_t free_bits = ~(s->v[at].bits | skipped);
        if (free_bits) {
            candidate = s->v[at].index * 64 + (uint64_t)__builtin_ctzll(free_bits);
            break;
        }
        if (s->v[at].index >= last / 64)
            return false;
        candidate = (s->v[at].index + 1) * 64;
    }
    if (candidate > last)
        return false;
    *out = candidate;
    return true;
}

void bitset_free(struct bitset *s)
{
    free(s->v);
    *s = (struct bitset){0};
}
