/* SPDX-License-Identifier: Apache-2.0 */
/* test_filter_compact.c - a shorter system call filter answers as the one it was made of. */
#include "filter.h"

#include "check.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define X32_BIT 0x40000000u
#define CALLS 600u /* all numbers that are given, and some that are not */

/** What a program returns, as the kernel runs it; UINT32_MAX for a fault of the program. */
static uint32_t run(const struct rn_filter *f, const struct seccomp_data *d, size_t *steps)
{
    uint32_t a = 0;
    for (size_t pc = 0; pc < f->n; pc++, (*steps)++) {
        const struct sock_filter *i = &f->insns[pc];
        bool yes = false;
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (i->k + sizeof a > sizeof *d)
                return UINT32_MAX;
            memcpy(&a, (const char *)d + i->k, sizeof a);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            continue;
        case BPF_RET | BPF_K:
            return i->k;
        case BPF_JMP | BPF_JA:
            pc += i->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            yes = a == i->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            yes = a > i->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            yes = a >= i->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            yes = (a & i->k) != 0;
            break;
        default:
            return UINT32_MAX;
        }
        pc += yes ? i->jt : i->jf;
    }
    return UINT32_MAX;
}

static struct rn_filter copy_of(const struct rn_filter *f)
{
    struct rn_filter c = *f;
    c.insns = malloc(f->n * sizeof *f->insns);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c.insns);
    memcpy(c.insns, f->insns, f->n * sizeof *f->insns);
    return c;
}

static uint32_t some(uint32_t below)
{
    static uint64_t state = 20260101;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static uint64_t some_argument(void)
{
    static const uint64_t likely[] = {0,          1,          2,          8,         40,
                                      0x7e020000, UINT32_MAX, UINT64_MAX, 1ull << 32};
    return likely[some(sizeof likely / sizeof *likely)] + some(2);
}

/** The old and the new program with every call of every architecture. */
static void check_same(const struct rn_filter *old, const struct rn_filter *new, size_t *was,
                       size_t *is)
{
    static const uint32_t archs[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0};
    static const uint32_t bases[] = {0, X32_BIT, UINT32_MAX - CALLS + 1, X32_BIT - CALLS};
    size_t wrong = 0;
    *was = *is = 0;
    for (size_t arch = 0; arch < sizeof archs / sizeof *archs; arch++)
        for (size_t base = 0; base < sizeof bases / sizeof *bases; base++)
            for (uint32_t nr = 0; nr < CALLS; nr++) {
                struct seccomp_data d = {.nr = (int)(bases[base] + nr), .arch = archs[arch]};
                for (size_t i = 0; i < 6; i++)
                    d.args[i] = some_argument();
                uint32_t want = run(old, &d, was);
                wrong += want == UINT32_MAX || run(new, &d, is) != want;
            }
    CU_ASSERT_EQUAL(wrong, 0);
}

static struct rn_filter exported(scmp_filter_ctx ctx)
{
    dray_autofd int fd = memfd_create("filter", MFD_CLOEXEC);
    struct stat st;
    CU_ASSERT_EQUAL_FATAL(seccomp_export_bpf(ctx, fd), 0);
    CU_ASSERT_EQUAL_FATAL(fstat(fd, &st), 0);
    struct rn_filter f = {.n = (size_t)st.st_size / sizeof *f.insns};
    f.insns = malloc((size_t)st.st_size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f.insns);
    CU_ASSERT_EQUAL(pread(fd, f.insns, (size_t)st.st_size, 0), st.st_size);
    return f;
}

/** Compacts what libseccomp makes; returns the new length, and compares. */
static size_t check_compact(scmp_filter_ctx ctx, size_t *was, size_t *is)
{
    struct rn_filter f = exported(ctx), old = copy_of(&f);
    rn_filter_compact(&f);
    size_t n = f.n;
    CU_ASSERT_TRUE(n <= old.n);
    check_same(&old, &f, was, is);
    rn_filter_cleanup(&f);
    rn_filter_cleanup(&old);
    return n;
}

static void add_random_rule(scmp_filter_ctx ctx, uint32_t action)
{
    static const enum scmp_compare ops[] = {SCMP_CMP_NE, SCMP_CMP_LT, SCMP_CMP_LE,
                                            SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_MASKED_EQ};
    int call = (int)some(450);
    struct scmp_arg_cmp args[2];
    unsigned n = some(4) ? 0 : 1 + some(2);
    for (unsigned i = 0; i < n; i++)
        args[i] = (struct scmp_arg_cmp){.arg = i,
                                        .op = ops[some(sizeof ops / sizeof *ops)],
                                        .datum_a = some_argument(),
                                        .datum_b = some_argument()};
    (void)seccomp_rule_add_array(ctx, action, call, n, args); /* doubles are refused */
}

/** Profiles of all shapes: allow lists and deny lists, with arguments, for several architectures.
 */
static void test_random(void)
{
    for (unsigned round = 0; round < 60; round++) {
        bool deny = some(2) != 0;
        scmp_filter_ctx ctx = seccomp_init(deny ? SCMP_ACT_ERRNO(1) : SCMP_ACT_ALLOW);
        CU_ASSERT_PTR_NOT_NULL_FATAL(ctx);
        if (some(3)) {
            (void)seccomp_arch_add(ctx, SCMP_ARCH_X86);
            (void)seccomp_arch_add(ctx, SCMP_ARCH_X32);
        }
        (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 1 + some(2));
        for (unsigned i = some(round * 8 + 1); i > 0; i--)
            add_random_rule(ctx, deny      ? SCMP_ACT_ALLOW
                                 : some(2) ? SCMP_ACT_KILL_PROCESS
                                           : SCMP_ACT_ERRNO(38));
        size_t was, is;
        (void)check_compact(ctx, &was, &is);
        seccomp_release(ctx);
    }
}

/** Of a list like Docker's. */
static void test_allow_list(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(1));
    CU_ASSERT_PTR_NOT_NULL_FATAL(ctx);
    CU_ASSERT_EQUAL(seccomp_arch_add(ctx, SCMP_ARCH_X86), 0);
    CU_ASSERT_EQUAL(seccomp_arch_add(ctx, SCMP_ARCH_X32), 0);
    for (int call = 0; call < 450; call++)
        if (call % 9 != 4 && (call < 300 || call > 310))
            (void)seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0);
    struct rn_filter f = exported(ctx);
    size_t old = f.n, was, is;
    rn_filter_cleanup(&f);
    CU_ASSERT_TRUE(check_compact(ctx, &was, &is) * 2 < old);
    CU_ASSERT_TRUE(is * 4 < was);
    seccomp_release(ctx);
}

static const struct sock_filter odd[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 1, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, 1),
    BPF_STMT(BPF_JMP | BPF_JA, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, UINT32_MAX, 0, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static const struct sock_filter bits[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static const struct sock_filter registers[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_STMT(BPF_MISC | BPF_TAX, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static const struct sock_filter constant[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 7, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static size_t compacted(const struct sock_filter *insns, size_t n, bool same)
{
    struct rn_filter f = {.insns = (struct sock_filter *)(uintptr_t)insns, .n = n};
    struct rn_filter new = copy_of(&f);
    rn_filter_compact(&new);
    size_t was, is, len = new.n;
    if (same)
        check_same(&f, &new, &was, &is);
    rn_filter_cleanup(&new);
    return len;
}

/** Programs of other makers: made shorter where they are understood, else left alone. */
static void test_by_hand(void)
{
    CU_ASSERT_EQUAL(compacted(odd, sizeof odd / sizeof *odd, true), 5);
    CU_ASSERT_EQUAL(compacted(bits, sizeof bits / sizeof *bits, true), 4);
    CU_ASSERT_EQUAL(compacted(registers, sizeof registers / sizeof *registers, false), 3);
    CU_ASSERT_EQUAL(compacted(constant, sizeof constant / sizeof *constant, true), 2);
}

static const struct check_case all[] = {
    {"programs of libseccomp", test_random},
    {"a long allow list becomes short", test_allow_list},
    {"programs by hand", test_by_hand},
};

CHECK_MAIN("filter_compact", all)
