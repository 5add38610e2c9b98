/* SPDX-License-Identifier: Apache-2.0 */
/* cg_v2.c - makes and limits a group of cgroup v2. */
#include "cg_resources.h"
#include "cgroup.h"
#include "files.h"

#include <fcntl.h>

static uint32_t controllers(int dir)
{
    char buf[512];
    return rn_read_at(dir, "cgroup.controllers", buf, sizeof buf) > 0 ? rn_cg_mask(buf, " \n", true)
                                                                      : 0;
}

/** Hand the controllers down from the root to the group's parent, as far as each goes. */
static void enable_down(const char *path, size_t base, uint32_t want)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    for (size_t i = base; i < n; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        dray_autofd int dir = open(part, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
            return;
        for (int c = 0; c < RN_CG_N; c++) {
            const char *name = rn_cg_name((enum rn_controller)c, true);
            if ((want >> c & 1) && *name && c != RN_CG_CPUACCT)
                (void)rn_writef_at(dir, "cgroup.subtree_control", "+%s", name);
        }
    }
}

int rn_cg_make_v2(const struct rn_cgroup *g, struct dray_err *err)
{
    const struct rn_cg_tree *t = &g->layout->v2;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s", t->mount, g->path);
    if (n < 0 || (size_t)n >= sizeof path)
        return dray_fail(err, DRAY_E_INVAL, "cgroupsPath is too long");
    if (rn_mkdirs(path, 0755) != 0)
        return dray_fail_errno(err, "make cgroup %s", path);
    dray_autofd int dir = t->controllers ? rn_cg_open(g, t) : -EBADF;
    if (dir >= 0 && (controllers(dir) & t->controllers) != t->controllers)
        enable_down(path, strlen(t->mount), t->controllers);
    return 0;
}

/* Limits. */

static const struct rn_cg_row rows[] = {
    {"memory", "reservation", RN_CG_MEMORY, "memory.low", RN_ROW_MAX},
    {"cpu", "idle", RN_CG_CPU, "cpu.idle", RN_ROW_ZERO},
    {"cpu", "burst", RN_CG_CPU, "cpu.max.burst", RN_ROW_INT},
    {"cpu", "cpus", RN_CG_CPUSET, "cpuset.cpus", RN_ROW_STR},
    {"cpu", "mems", RN_CG_CPUSET, "cpuset.mems", RN_ROW_STR},
    {"pids", "limit", RN_CG_PIDS, "pids.max", RN_ROW_MAX},
};

static const struct rn_cg_throttle throttles[] = {
    {"throttleReadBpsDevice", "io.max", "rbps"},
    {"throttleWriteBpsDevice", "io.max", "wbps"},
    {"throttleReadIOPSDevice", "io.max", "riops"},
    {"throttleWriteIOPSDevice", "io.max", "wiops"},
};

static int put(int dir, const char *file, int64_t value, struct dray_err *err)
{
    int rc = value < 0 ? rn_write_at(dir, file, "max")
                       : rn_writef_at(dir, file, "%lld", (long long)value);
    if (rc == 0)
        return 0;
    if (errno == ENOENT)
        return dray_fail(err, DRAY_E_NOTSUP, "%s: this cgroup's controller is not available", file);
    return dray_fail_errno(err, "write %lld to %s", (long long)value, file);
}

/** OCI's swap is the sum of memory and swap, v2's is swap alone. */
static int apply_memory(const struct rn_cgroup *g, struct json_object *mem, struct dray_err *err)
{
    int64_t limit = rn_json_int(mem, "limit", 0), swap = rn_json_int(mem, "swap", 0);
    if (limit == 0 && swap == 0)
        return 0;
    dray_autofd int dir = rn_cg_dir(g, RN_CG_MEMORY, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    int64_t base = limit;
    if (swap > 0 && limit == 0)
        base = rn_read_int_at(dir, "memory.max", -1);
    if (swap > 0 && base > 0 && swap < base)
        return dray_fail(err, DRAY_E_INVAL, "memory+swap limit should be >= memory limit");
    if (swap > 0 && base <= 0)
        return dray_fail(err, DRAY_E_INVAL, "unable to set swap limit without memory limit");
    if (swap != 0 && faccessat(dir, "memory.swap.max", F_OK, 0) != 0) {
        if (swap > 0)
            rn_cg_warn(g, "no swap limit: this kernel does not account swap");
        swap = 0;
    }
    int rc = swap == 0 ? 0 : put(dir, "memory.swap.max", swap < 0 ? -1 : swap - base, err);
    if (rc == 0 && limit != 0)
        rc = put(dir, "memory.max", limit, err);
    return rc;
}

/** Shares of 2 to 262144 become weights of 1 to 10000. */
static int apply_shares(const struct rn_cgroup *g, struct json_object *cpu, struct dray_err *err)
{
    int64_t shares = rn_json_int(cpu, "shares", 0);
    if (shares == 0)
        return 0;
    dray_autofd int dir = rn_cg_dir(g, RN_CG_CPU, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
    return put(dir, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, err);
}

static int apply_quota(const struct rn_cgroup *g, struct json_object *cpu, struct dray_err *err)
{
    int64_t quota = rn_json_int(cpu, "quota", 0), period = rn_json_int(cpu, "period", 0);
    if (quota == 0 && period == 0)
        return 0;
    dray_autofd int dir = rn_cg_dir(g, RN_CG_CPU, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    char now[64] = "max 100000", text[64];
    (void)rn_read_at(dir, "cpu.max", now, sizeof now);
    const char *old_period = strchr(now, ' ');
    if (period == 0 && old_period)
        period = strtoll(old_period, NULL, 10);
    if (quota > 0)
        (void)snprintf(text, sizeof text, "%lld %lld", (long long)quota, (long long)period);
    else
        (void)snprintf(text, sizeof text, "%.*s %lld", quota < 0 ? 3 : (int)strcspn(now, " "),
                       quota < 0 ? "max" : now, (long long)period);
    if (rn_write_at(dir, "cpu.max", text) != 0)
        return dray_fail_errno(err, "write \"%s\" to cpu.max", text);
    return 0;
}

static int apply_weight(const struct rn_cgroup *g, struct json_object *io, struct dray_err *err)
{
    int64_t weight = rn_json_int(io, "weight", 0);
    struct json_object *per = rn_json_arr(io, "weightDevice");
    if (weight == 0 && rn_json_len(per) == 0)
        return 0;
    dray_autofd int dir = rn_cg_dir(g, RN_CG_IO, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    bool bfq = faccessat(dir, "io.bfq.weight", F_OK, 0) == 0;
    if (!bfq && faccessat(dir, "io.weight", F_OK, 0) != 0) {
        rn_cg_warn(g, "no I/O weight: this kernel's I/O schedulers have none");
        return 0;
    }
    const char *file = bfq ? "io.bfq.weight" : "io.weight";
    /* 10 to 1000 become 1 to 10000, but for BFQ, which takes them as they are. */
    if (weight != 0 &&
        rn_writef_at(dir, file, "default %lld",
                     (long long)(bfq ? weight : 1 + (weight - 10) * 9999 / 990)) != 0)
        return dray_fail_errno(err, "write %lld to %s", (long long)weight, file);
    for (size_t i = 0; i < rn_json_len(per); i++) {
        struct json_object *o = json_object_array_get_idx(per, i);
        int64_t w = rn_json_int(o, "weight", 0);
        if (rn_writef_at(dir, file, "%lld:%lld %lld", (long long)rn_json_int(o, "major", 0),
                         (long long)rn_json_int(o, "minor", 0),
                         (long long)(bfq ? w : 1 + (w - 10) * 9999 / 990)) != 0)
            return dray_fail_errno(err, "write to %s", file);
    }
    return 0;
}

/** "unified": names of files with what to write to them. */
static int apply_unified(const struct rn_cgroup *g, struct json_object *unified,
                         struct dray_err *err)
{
    if (!unified)
        return 0;
    dray_autofd int dir = rn_cg_open(g, &g->layout->v2);
    json_object_object_foreach(unified, file, value)
    {
        const char *text = value ? json_object_get_string(value) : "";
        if (strchr(file, '/'))
            return dray_fail(err, DRAY_E_INVAL, "unified resource \"%s\" must be a file name",
                             file);
        if (rn_write_at(dir, file, text) == 0)
            continue;
        if (errno == ENOENT)
            return dray_fail(err, DRAY_E_INVAL,
                             "unified resource \"%s\" can't be set: controller "
                             "not available",
                             file);
        return dray_fail_errno(err, "write \"%s\" to %s", text, file);
    }
    return 0;
}

int rn_cg_apply_v2(const struct rn_cgroup *g, struct json_object *resources, struct dray_err *err)
{
    struct json_object *io = rn_json_obj(resources, "blockIO");
    struct json_object *cpu = rn_json_obj(resources, "cpu");
    int rc = apply_memory(g, rn_json_obj(resources, "memory"), err);
    if (rc == 0)
        rc = rn_cg_apply_rows(g, resources, rows, sizeof rows / sizeof rows[0], err);
    if (rc == 0)
        rc = apply_shares(g, cpu, err);
    if (rc == 0)
        rc = apply_quota(g, cpu, err);
    if (rc == 0)
        rc = apply_weight(g, io, err);
    if (rc == 0)
        rc = rn_cg_apply_throttles(g, io, throttles, sizeof throttles / sizeof throttles[0], err);
    if (rc == 0)
        rc = rn_cg_apply_hugepages(g, rn_json_arr(resources, "hugepageLimits"), err);
    if (rc == 0)
        rc = apply_unified(g, rn_json_obj(resources, "unified"), err);
    return rc;
}
