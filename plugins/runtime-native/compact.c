/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compact.c - says the same as a system call filter in fewer instructions.
 *
 * libseccomp compares with one call's number after the other: 1,200 instructions for Docker's
 * profile, which the kernel checks, tries with every call and compiles anew for each container.
 * Most neighbours share an answer, so here the comparisons that follow a load of the number become
 * one search among intervals. Everything else is kept as it is.
 */
#include "filter.h"

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/** Where a comparison leads. */
struct target {
    enum { TO_NODE, TO_RETURN, TO_BLOCK } kind;
    uint32_t v; /* index of a node; what is returned; index of the old instruction */
};

/** An instruction to be. Of comparisons alone: the targets, and whether they are too far to jump.
 */
struct node {
    struct sock_filter ins;
    struct target to[2]; /* when false, when true */
    bool far[2];
};

struct compactor {
    const struct sock_filter *old;
    size_t n_old;
    struct node *nodes;
    size_t n, max;
    bool full; /* the new program is no shorter: it is given up */
    /* Per old instruction. A block starts with a load, and is made after all that lead to it. */
    bool *wanted;
    uint32_t *block_at;
    /* The intervals of the search being made: where each starts, and its target. */
    uint32_t *starts;
    struct target *targets;
    size_t n_starts;
};

static bool is_compare(const struct sock_filter *i)
{
    return BPF_CLASS(i->code) == BPF_JMP && BPF_OP(i->code) != BPF_JA;
}

static bool is_return(const struct sock_filter *i)
{
    return i->code == (BPF_RET | BPF_K);
}

/** What this file understands of the language; jumps inside of the program. */
static bool is_known(const struct compactor *c, size_t at)
{
    const struct sock_filter *i = &c->old[at];
    size_t left = c->n_old - at - 1;
    switch (i->code) {
    case BPF_LD | BPF_W | BPF_ABS:
    case BPF_ALU | BPF_AND | BPF_K:
        return left > 0;
    case BPF_RET | BPF_K:
        return true;
    case BPF_JMP | BPF_JA:
        return i->k < left;
    case BPF_JMP | BPF_JEQ | BPF_K:
    case BPF_JMP | BPF_JGT | BPF_K:
    case BPF_JMP | BPF_JGE | BPF_K:
    case BPF_JMP | BPF_JSET | BPF_K:
        return i->jt < left && i->jf < left;
    default:
        return false;
    }
}

/** The first instruction from at on that is no jump. */
static uint32_t skip_jumps(const struct compactor *c, uint32_t at)
{
    while (c->old[at].code == (BPF_JMP | BPF_JA))
        at += 1 + c->old[at].k;
    return at;
}

/** Index of the new node; any, when there is no room. */
static uint32_t append(struct compactor *c, struct sock_filter ins)
{
    c->full = c->full || c->n == c->max;
    if (c->full)
        return 0;
    c->nodes[c->n] = (struct node){.ins = ins};
    return (uint32_t)c->n++;
}

static struct target to_old(struct compactor *c, uint32_t at)
{
    const struct sock_filter *i = &c->old[at];
    if (is_return(i))
        return (struct target){TO_RETURN, i->k};
    c->wanted[at] = true;
    return (struct target){TO_BLOCK, at};
}

static bool same(struct target a, struct target b)
{
    return a.kind == b.kind && a.v == b.v;
}

/* --- the search among intervals ----------------------------------------------------------------*/

/** Where the comparisons from at on lead for one value. */
static uint32_t answer(const struct compactor *c, uint32_t at, uint32_t value)
{
    for (;;) {
        at = skip_jumps(c, at);
        const struct sock_filter *i = &c->old[at];
        if (!is_compare(i))
            return at;
        bool yes = BPF_OP(i->code) == BPF_JEQ   ? value == i->k
                   : BPF_OP(i->code) == BPF_JGT ? value > i->k
                                                : value >= i->k;
        at += 1u + (yes ? i->jt : i->jf);
    }
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/** Every value from which on the comparisons that can be reached from at may answer otherwise. */
static bool gather_starts(struct compactor *c, uint32_t at, bool *seen)
{
    c->n_starts = 0;
    c->starts[c->n_starts++] = 0;
    memset(seen, 0, c->n_old * sizeof *seen);
    seen[at] = true;
    for (uint32_t p = at; p < c->n_old; p++) {
        const struct sock_filter *i = &c->old[p];
        if (!seen[p] || BPF_CLASS(i->code) != BPF_JMP)
            continue;
        if (BPF_OP(i->code) == BPF_JA) {
            seen[p + 1 + i->k] = true;
            continue;
        }
        if (BPF_OP(i->code) == BPF_JSET)
            return false;
        seen[p + 1 + i->jt] = seen[p + 1 + i->jf] = true;
        if (BPF_OP(i->code) != BPF_JGT)
            c->starts[c->n_starts++] = i->k;
        if (BPF_OP(i->code) != BPF_JGE && i->k != UINT32_MAX)
            c->starts[c->n_starts++] = i->k + 1;
    }
    return true;
}

static bool find_intervals(struct compactor *c, uint32_t at, bool *seen)
{
    if (!gather_starts(c, at, seen))
        return false;
    qsort(c->starts, c->n_starts, sizeof *c->starts, by_value);
    size_t n = 0;
    for (size_t i = 0; i < c->n_starts; i++) {
        struct target t = to_old(c, answer(c, at, c->starts[i]));
        if (n > 0 && same(t, c->targets[n - 1]))
            continue;
        c->starts[n] = c->starts[i];
        c->targets[n++] = t;
    }
    c->n_starts = n;
    return true;
}

static struct target make_search(struct compactor *c, size_t from, size_t to)
{
    if (to - from == 1)
        return c->targets[from];
    /* One value that differs from its neighbours on both sides. */
    bool lone = to - from == 3 && c->starts[from + 2] == c->starts[from + 1] + 1 &&
                same(c->targets[from], c->targets[from + 2]);
    size_t mid = lone ? from + 1 : from + (to - from) / 2;
    uint16_t op = lone ? BPF_JEQ : BPF_JGE;
    uint32_t at = append(
        c, (struct sock_filter){.code = (uint16_t)(BPF_JMP | op | BPF_K), .k = c->starts[mid]});
    struct target no = make_search(c, from, lone ? from + 1 : mid);
    struct target yes = make_search(c, mid, lone ? mid + 1 : to);
    c->nodes[at].to[0] = no;
    c->nodes[at].to[1] = yes;
    return (struct target){TO_NODE, at};
}

/* --- blocks ------------------------------------------------------------------------------------*/

/** Comparisons of something else than the number: as they are. */
static struct target copy_compares(struct compactor *c, uint32_t old)
{
    old = skip_jumps(c, old);
    const struct sock_filter *i = &c->old[old];
    if (!is_compare(i) || c->full)
        return to_old(c, old);
    uint32_t at = append(c, (struct sock_filter){.code = i->code, .k = i->k});
    struct target no = copy_compares(c, old + 1 + i->jf);
    struct target yes = copy_compares(c, old + 1 + i->jt);
    c->nodes[at].to[0] = no;
    c->nodes[at].to[1] = yes;
    return (struct target){TO_NODE, at};
}

/** The returns that a block's comparisons lead to, behind it. */
static void place_returns(struct compactor *c, size_t from)
{
    const size_t first = c->n;
    for (size_t i = from; i < first; i++) {
        for (int way = 0; way < 2 && is_compare(&c->nodes[i].ins); way++) {
            struct target *t = &c->nodes[i].to[way];
            if (t->kind != TO_RETURN)
                continue;
            size_t at = first;
            while (at < c->n && c->nodes[at].ins.k != t->v)
                at++;
            if (at == c->n)
                (void)append(c, (struct sock_filter){.code = BPF_RET | BPF_K, .k = t->v});
            *t = (struct target){TO_NODE, (uint32_t)at};
        }
    }
}

static bool make_block(struct compactor *c, uint32_t old, bool *seen)
{
    size_t from = c->n;
    bool number = false;
    c->block_at[old] = (uint32_t)from;
    for (; !is_compare(&c->old[old]); old = skip_jumps(c, old + 1)) {
        const struct sock_filter *i = &c->old[old];
        (void)append(c, *i);
        if (is_return(i))
            return true;
        number = i->code == (BPF_LD | BPF_W | BPF_ABS) && i->k == offsetof(struct seccomp_data, nr);
    }
    struct target first;
    if (!number)
        first = copy_compares(c, old);
    else if (find_intervals(c, old, seen))
        first = make_search(c, 0, c->n_starts);
    else
        return false;
    if (first.kind == TO_RETURN) /* whatever was loaded */
        (void)append(c, (struct sock_filter){.code = BPF_RET | BPF_K, .k = first.v});
    else if (first.kind == TO_BLOCK)
        return false;
    place_returns(c, from);
    return true;
}

/* --- the new program ---------------------------------------------------------------------------*/

static uint32_t node_of(const struct compactor *c, struct target t)
{
    return t.kind == TO_BLOCK ? c->block_at[t.v] : t.v;
}

/** Fills in where each node comes to lie. A comparison jumps 255 far; beyond, a jump is put behind
 *  it. Returns the length. */
static size_t lay_out(struct compactor *c, uint32_t *at)
{
    for (bool again = true; again;) {
        again = false;
        at[0] = 0;
        for (size_t i = 0; i < c->n; i++)
            at[i + 1] = at[i] + 1 + c->nodes[i].far[0] + c->nodes[i].far[1];
        for (size_t i = 0; i < c->n; i++) {
            struct node *d = &c->nodes[i];
            for (int way = 0; way < 2 && is_compare(&d->ins); way++)
                if (!d->far[way] && at[node_of(c, d->to[way])] - at[i] - 1 > 255)
                    d->far[way] = again = true;
        }
    }
    return at[c->n];
}

static void write_out(const struct compactor *c, const uint32_t *at, struct sock_filter *out)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct node *d = &c->nodes[i];
        out[at[i]] = d->ins;
        uint32_t next = at[i] + 1;
        for (int way = 0; way < 2 && is_compare(&d->ins); way++) {
            uint32_t to = at[node_of(c, d->to[way])];
            uint8_t jump = (uint8_t)(to - at[i] - 1);
            if (d->far[way]) {
                out[next] = (struct sock_filter){.code = BPF_JMP | BPF_JA, .k = to - next - 1};
                jump = (uint8_t)(next++ - at[i] - 1);
            }
            *(way ? &out[at[i]].jt : &out[at[i]].jf) = jump;
        }
    }
}

static bool make_blocks(struct compactor *c, bool *seen)
{
    for (size_t i = 0; i < c->n_old; i++)
        if (!is_known(c, i))
            return false;
    c->wanted[skip_jumps(c, 0)] = true;
    for (uint32_t i = 0; i < c->n_old;
         i++) /* jumps lead forwards: so do all who want it lie before */
        if (c->wanted[i] && (is_compare(&c->old[i]) || !make_block(c, i, seen) || c->full))
            return false;
    return true;
}

void rn_filter_compact(struct rn_filter *f)
{
    size_t n = f->n;
    struct compactor c = {.old = f->insns, .n_old = n, .max = n};
    c.nodes = calloc(n, sizeof *c.nodes);
    c.wanted = calloc(2 * n, sizeof *c.wanted);
    c.block_at = calloc(n + n + 1, sizeof *c.block_at);
    c.starts = calloc(2 * n + 1, sizeof *c.starts);
    c.targets = calloc(2 * n + 1, sizeof *c.targets);
    if (c.nodes && c.wanted && c.block_at && c.starts && c.targets &&
        make_blocks(&c, c.wanted + n)) {
        uint32_t *at = c.block_at + n;
        size_t len = lay_out(&c, at);
        struct sock_filter *out = len < n ? calloc(len, sizeof *out) : NULL;
        if (out) {
            write_out(&c, at, out);
            free(f->insns);
            f->insns = out;
            f->n = len;
        }
    }
    free(c.nodes);
    free(c.wanted);
    free(c.block_at);
    free(c.starts);
    free(c.targets);
}
