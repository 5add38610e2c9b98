/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp.c - turns OCI's "seccomp" object into a BPF program, by libseccomp. */
#include "filter.h"
#include "jsonx.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#elif defined(__s390x__)
#define NATIVE_ARCH AUDIT_ARCH_S390X
#elif defined(__powerpc64__)
#define NATIVE_ARCH AUDIT_ARCH_PPC64LE
#else
#define NATIVE_ARCH 0
#endif

#define X32_BIT 0x40000000u

/** Calls that an installed libseccomp may not know yet; their numbers are the same everywhere. */
static const struct {
    const char *name;
    uint32_t nr;
} late_calls[] = {
    {"set_mempolicy_home_node", 450},
    {"cachestat", 451},
    {"fchmodat2", 452},
    {"map_shadow_stack", 453},
    {"futex_wake", 454},
    {"futex_wait", 455},
    {"futex_requeue", 456},
    {"statmount", 457},
    {"listmount", 458},
    {"lsm_get_self_attr", 459},
    {"lsm_set_self_attr", 460},
    {"lsm_list_modules", 461},
    {"mseal", 462},
    {"setxattrat", 463},
    {"getxattrat", 464},
    {"listxattrat", 465},
    {"removexattrat", 466},
    {"open_tree_attr", 467},
    {"file_getattr", 468},
    {"file_setattr", 469},
};
#define N_LATE (sizeof late_calls / sizeof late_calls[0])

/** What is gathered while rules are added. */
struct build {
    scmp_filter_ctx ctx;
    bool deny_default; /* what no rule names is refused */
    uint32_t top;      /* highest call that the profile knows */
    bool late[N_LATE]; /* allowed without conditions */
};

static const struct {
    const char *name;
    uint32_t action;
} actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
};

static int parse_action(const char *name, int64_t errno_ret, uint32_t *out, struct dray_err *err)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(actions[i].name, name) != 0)
            continue;
        *out = actions[i].action;
        if (*out == SCMP_ACT_ERRNO(0))
            *out = SCMP_ACT_ERRNO((uint32_t)errno_ret & 0xffffu);
        else if (*out == SCMP_ACT_TRACE(0))
            *out = SCMP_ACT_TRACE((uint32_t)errno_ret & 0xffffu);
        return 0;
    }
    if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
        return dray_fail(err, DRAY_E_NOTSUP, "seccomp: SCMP_ACT_NOTIFY is not supported");
    return dray_fail(err, DRAY_E_INVAL, "seccomp: unknown action \"%s\"", name);
}

static const struct {
    const char *name;
    enum scmp_compare op;
} compares[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

static int parse_arg(struct json_object *o, struct scmp_arg_cmp *out, struct dray_err *err)
{
    const char *op = rn_json_str(o, "op", "");
    int64_t index = rn_json_int(o, "index", -1);
    for (size_t i = 0; i < sizeof compares / sizeof compares[0]; i++) {
        if (strcmp(compares[i].name, op) != 0 || index < 0 || index > 5)
            continue;
        *out = (struct scmp_arg_cmp){
            .arg = (unsigned)index,
            .op = compares[i].op,
            .datum_a = rn_json_uint(o, "value", 0),
            .datum_b = rn_json_uint(o, "valueTwo", 0),
        };
        return 0;
    }
    return dray_fail(err, DRAY_E_INVAL, "seccomp: bad argument rule (op \"%s\", index %lld)", op,
                     (long long)index);
}

static int add_call(struct build *b, const char *name, uint32_t action,
                    const struct scmp_arg_cmp *args, unsigned n_args, struct dray_err *err)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr == __NR_SCMP_ERROR) {
        for (size_t i = 0; i < N_LATE; i++)
            if (strcmp(late_calls[i].name, name) == 0) {
                b->late[i] = b->late[i] || (action == SCMP_ACT_ALLOW && n_args == 0);
                if (late_calls[i].nr > b->top)
                    b->top = late_calls[i].nr;
            }
        return 0; /* not on this kernel, or not of this architecture */
    }
    if (nr > 0 && (uint32_t)nr > b->top)
        b->top = (uint32_t)nr;
    int rc = seccomp_rule_add_array(b->ctx, action, nr, n_args, args);
    /* A rule that only repeats the default action is refused as useless. */
    if (rc != 0 && rc != -EACCES && rc != -EDOM && rc != -EEXIST)
        return dray_fail(err, DRAY_E_INVAL, "seccomp: rule for %s: %s", name, strerror(-rc));
    return 0;
}

static int add_rule(struct build *b, struct json_object *rule, uint32_t default_action,
                    struct dray_err *err)
{
    uint32_t action = 0;
    struct scmp_arg_cmp args[6];
    struct json_object *list = rn_json_arr(rule, "args"), *names = rn_json_arr(rule, "names");
    size_t n = rn_json_len(list);
    int rc = parse_action(rn_json_str(rule, "action", ""), rn_json_int(rule, "errnoRet", EPERM),
                          &action, err);
    if (rc != 0 || action == default_action)
        return rc;
    if (n > 6)
        return dray_fail(err, DRAY_E_INVAL, "seccomp: too many argument rules");
    bool twice = false; /* two tests of one argument cannot be one rule: each becomes its own */
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = parse_arg(json_object_array_get_idx(list, i), &args[i], err);
        for (size_t k = 0; k < i && rc == 0; k++)
            twice = twice || args[k].arg == args[i].arg;
    }
    for (size_t i = 0; i < rn_json_len(names) && rc == 0; i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));
        if (!name)
            continue;
        if (!twice)
            rc = add_call(b, name, action, args, (unsigned)n, err);
        for (size_t k = 0; twice && k < n && rc == 0; k++)
            rc = add_call(b, name, action, &args[k], 1, err);
    }
    return rc;
}

static int add_archs(struct build *b, struct json_object *list, struct dray_err *err)
{
    for (size_t i = 0; i < rn_json_len(list); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(list, i));
        char name[32];
        if (!text || strncmp(text, "SCMP_ARCH_", 10) != 0 || strlen(text) >= sizeof name)
            return dray_fail(err, DRAY_E_INVAL, "seccomp: unknown architecture \"%s\"",
                             text ? text : "");
        size_t k = 0;
        for (const char *p = text + 10; *p; p++)
            name[k++] = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
        name[k] = '\0';
        uint32_t arch = seccomp_arch_resolve_name(name);
        int rc = arch == 0 ? 0 : seccomp_arch_add(b->ctx, arch);
        if (rc != 0 && rc != -EEXIST)
            return dray_fail(err, DRAY_E_INVAL, "seccomp: architecture %s: %s", name,
                             strerror(-rc));
    }
    return 0;
}

static uint32_t parse_flags(struct json_object *list)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } table[] = {
        {"SECCOMP_FILTER_FLAG_TSYNC", 1u},
        {"SECCOMP_FILTER_FLAG_LOG", 2u},
        {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", 4u},
    };
    uint32_t flags = 0;
    for (size_t i = 0; i < rn_json_len(list); i++)
        for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
            const char *text = json_object_get_string(json_object_array_get_idx(list, i));
            if (text && strcmp(text, table[k].name) == 0)
                flags |= table[k].flag;
        }
    return flags;
}

static struct sock_filter ins(unsigned code, uint8_t jt, uint8_t jf, uint32_t k)
{
    return (struct sock_filter){.code = (uint16_t)code, .jt = jt, .jf = jf, .k = k};
}

/**
 * A head for the program: calls that the profile allows and libseccomp does not know are let
 * through, and those newer than the whole profile fail with ENOSYS, so that C libraries fall back
 * to older ones instead of reporting EPERM.
 */
static size_t make_head(const struct build *b, struct sock_filter *v)
{
    if (!b->deny_default || NATIVE_ARCH == 0 || b->top == 0)
        return 0;
    size_t n = 4;
    for (size_t i = 0; i < N_LATE; i++) {
        if (!b->late[i])
            continue;
        v[n++] = ins(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, late_calls[i].nr);
        v[n++] = ins(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
    }
    v[n++] = ins(BPF_JMP | BPF_JGT | BPF_K, 0, 1, b->top);
    v[n++] = ins(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS);
    uint8_t behind = (uint8_t)n;
    v[0] = ins(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    v[1] = ins(BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)(behind - 2), NATIVE_ARCH);
    v[2] = ins(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    v[3] = ins(BPF_JMP | BPF_JGE | BPF_K, (uint8_t)(behind - 4), 0, X32_BIT);
    return n;
}

static int export(struct build *b, struct rn_filter *out, struct dray_err *err)
{
    struct sock_filter head[2 * N_LATE + 8];
    size_t n_head = make_head(b, head);
    dray_autofd int fd = memfd_create("seccomp", MFD_CLOEXEC);
    struct stat st;
    int rc = fd < 0 ? -errno : seccomp_export_bpf(b->ctx, fd);
    if (rc != 0 || fstat(fd, &st) != 0)
        return dray_fail(err, DRAY_E_INVAL, "seccomp: cannot compile the profile: %s",
                         strerror(-rc));
    size_t bytes = (size_t)st.st_size, n = bytes / sizeof *out->insns;
    struct sock_filter *v = calloc(n + n_head, sizeof *v);
    if (!v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    memcpy(v, head, n_head * sizeof *v);
    if (pread(fd, v + n_head, bytes, 0) != (ssize_t)bytes) {
        free(v);
        return dray_fail_errno(err, "read the compiled seccomp profile");
    }
    out->insns = v;
    out->n = n + n_head;
    rn_filter_compact(out);
    if (n > 0 && out->n <= BPF_MAXINSNS)
        return 0;
    rn_filter_cleanup(out);
    return dray_fail(err, DRAY_E_INVAL, "seccomp: the compiled profile is too long");
}

static int compile(struct json_object *o, struct rn_filter *out, struct dray_err *err)
{
    uint32_t action = 0;
    if (*rn_json_str(o, "listenerPath", ""))
        return dray_fail(err, DRAY_E_NOTSUP, "seccomp: listenerPath is not supported");
    int rc = parse_action(rn_json_str(o, "defaultAction", ""),
                          rn_json_int(o, "defaultErrnoRet", EPERM), &action, err);
    if (rc != 0)
        return rc;
    struct build b = {.ctx = seccomp_init(action)};
    if (!b.ctx)
        return dray_fail(err, DRAY_E_NOMEM, "seccomp: cannot make a filter");
    b.deny_default = action != SCMP_ACT_ALLOW && action != SCMP_ACT_LOG;
    (void)seccomp_attr_set(b.ctx, SCMP_FLTATR_CTL_NNP, 0);
    out->flags = parse_flags(rn_json_arr(o, "flags"));
    rc = add_archs(&b, rn_json_arr(o, "architectures"), err);
    struct json_object *rules = rn_json_arr(o, "syscalls");
    for (size_t i = 0; i < rn_json_len(rules) && rc == 0; i++)
        rc = add_rule(&b, json_object_array_get_idx(rules, i), action, err);
    if (rc == 0)
        rc = export(&b, out, err);
    seccomp_release(b.ctx);
    return rc;
}

int rn_seccomp_compile(const char *text, size_t len, struct rn_filter *out, struct dray_err *err)
{
    rn_autojson *o = NULL;
    int rc = rn_json_parse(text, len, &o, err);
    return rc == 0 ? compile(o, out, err) : dray_err_note(err, "seccomp");
}

int rn_seccomp_load(const struct rn_filter *f, struct dray_err *err)
{
    const struct sock_fprog prog = {.len = (unsigned short)f->n, .filter = f->insns};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, f->flags, &prog) == 0)
        return 0;
    if (errno == ENOSYS || (errno == EINVAL && f->flags == 0))
        return dray_fail(err, DRAY_E_NOTSUP,
                         "this kernel has no seccomp filters: run with "
                         "--security-opt seccomp=unconfined");
    return dray_fail_errno(err, "load the seccomp filter");
}
