/* SPDX-License-Identifier: Apache-2.0 */
/* cg_bpf.c - which devices a cgroup v2 may use: a small BPF program, made from the rules. */
#include "cgroup.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

/* Registers during the program. */
enum {
    RESULT = BPF_REG_0,
    SCRATCH = BPF_REG_1,
    TYPE = BPF_REG_2,
    ACCESS = BPF_REG_3,
    MAJOR = BPF_REG_4,
    MINOR = BPF_REG_5
};

struct program {
    struct bpf_insn *v;
    size_t n;
};

static void emit(struct program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off,
                 int32_t imm)
{
    p->v[p->n].code = code;
    p->v[p->n].dst_reg = dst & 15u;
    p->v[p->n].src_reg = src & 15u;
    p->v[p->n].off = off;
    p->v[p->n].imm = imm;
    p->n++;
}

static void prologue(struct program *p)
{
    const uint8_t load = BPF_LDX | BPF_MEM | BPF_W;
    emit(p, load, TYPE, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
    emit(p, BPF_ALU | BPF_MOV | BPF_X, ACCESS, TYPE, 0, 0);
    emit(p, BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
    emit(p, BPF_ALU | BPF_RSH | BPF_K, ACCESS, 0, 0, 16);
    emit(p, load, MAJOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
    emit(p, load, MINOR, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
}

static void ret(struct program *p, bool allow)
{
    emit(p, BPF_ALU64 | BPF_MOV | BPF_K, RESULT, 0, 0, allow);
    emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/** One rule: each test that fails jumps behind the rule. An allowing rule must cover all of the
 *  access asked for, a denying one matches any part of it. */
static void rule(struct program *p, const struct rn_dev_rule *r)
{
    size_t first = p->n;
    emit(p, BPF_JMP | BPF_JNE | BPF_K, TYPE, 0, 0,
         r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (r->access != RN_DEV_ALL) {
        emit(p, BPF_ALU | BPF_MOV | BPF_X, SCRATCH, ACCESS, 0, 0);
        emit(p, BPF_ALU | BPF_AND | BPF_K, SCRATCH, 0, 0, r->access);
        if (r->allow)
            emit(p, BPF_JMP | BPF_JNE | BPF_X, SCRATCH, ACCESS, 0, 0);
        else
            emit(p, BPF_JMP | BPF_JEQ | BPF_K, SCRATCH, 0, 0, 0);
    }
    if (r->major >= 0)
        emit(p, BPF_JMP | BPF_JNE | BPF_K, MAJOR, 0, 0, (int32_t)r->major);
    if (r->minor >= 0)
        emit(p, BPF_JMP | BPF_JNE | BPF_K, MINOR, 0, 0, (int32_t)r->minor);
    ret(p, r->allow);
    for (size_t i = first; i < p->n; i++)
        if (BPF_CLASS(p->v[i].code) == BPF_JMP && BPF_OP(p->v[i].code) != BPF_EXIT)
            p->v[i].off = (int16_t)(p->n - i - 1);
}

static int bpf(int cmd, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, cmd, attr, sizeof *attr);
}

static int load(const struct rn_dev_rules *r)
{
    struct program p = {.v = calloc(r->n * 9 + 16, sizeof *p.v)};
    if (!p.v)
        return -1;
    prologue(&p);
    for (size_t i = r->n; i > 0; i--)
        rule(&p, &r->v[i - 1]);
    ret(&p, r->allow);
    union bpf_attr attr = {0};
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uint64_t)(uintptr_t)p.v;
    attr.insn_cnt = (uint32_t)p.n;
    attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
    memcpy(attr.prog_name, "dray_devices", 13);
    int fd = bpf(BPF_PROG_LOAD, &attr);
    free(p.v);
    return fd;
}

/** Programs that were there before; with several, all must agree, so they go once ours is in. */
static uint32_t attached(int dir, uint32_t ids[16])
{
    union bpf_attr attr = {0};
    attr.query.target_fd = (uint32_t)dir;
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
    attr.query.prog_cnt = 16;
    return bpf(BPF_PROG_QUERY, &attr) == 0 ? attr.query.prog_cnt : 0;
}

static void detach(int dir, uint32_t id)
{
    union bpf_attr attr = {0};
    attr.prog_id = id;
    dray_autofd int prog = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
    if (prog < 0)
        return;
    attr = (union bpf_attr){0};
    attr.target_fd = (uint32_t)dir;
    attr.attach_bpf_fd = (uint32_t)prog;
    attr.attach_type = BPF_CGROUP_DEVICE;
    (void)bpf(BPF_PROG_DETACH, &attr);
}

int rn_dev_rules_v2(const struct rn_cgroup *g, const struct rn_dev_rules *r, struct dray_err *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s%s", g->layout->v2.mount, g->path);
    dray_autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open cgroup %s", path);
    uint32_t ids[16];
    uint32_t n = attached(dir, ids);
    if (r->allow && r->n == 0 && n == 0)
        return 0;
    dray_autofd int prog = load(r);
    if (prog < 0)
        return dray_fail_errno(err, "load the BPF program for devices");
    union bpf_attr attr = {0};
    attr.target_fd = (uint32_t)dir;
    attr.attach_bpf_fd = (uint32_t)prog;
    attr.attach_type = BPF_CGROUP_DEVICE;
    attr.attach_flags = BPF_F_ALLOW_MULTI;
    if (bpf(BPF_PROG_ATTACH, &attr) != 0)
        return dray_fail_errno(err, "attach the BPF program for devices");
    for (uint32_t i = 0; i < n; i++)
        detach(dir, ids[i]);
    return 0;
}
