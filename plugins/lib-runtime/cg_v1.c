/* SPDX-License-Identifier: Apache-2.0 */
/* cg_v1.c - makes, joins and limits the groups of cgroup v1. */
#include "cg_resources.h"
#include "cgroup.h"
#include "files.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

/** A group of cpuset takes no process until it has processors and memory nodes: take the parent's.
 */
static int cpuset_inherit(const char *mount, char *path, size_t base, const char *file)
{
    char value[1024];
    dray_autofd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || rn_read_at(dir, file, value, sizeof value) < 0)
        return -1;
    if (value[0] != '\0' && value[0] != '\n')
        return 0;
    char *slash = strrchr(path + base, '/');
    if (!slash)
        return -1;
    *slash = '\0';
    int rc = cpuset_inherit(mount, path, base, file);
    dray_autofd int up = rc == 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
    *slash = '/';
    if (up < 0 || rn_read_at(up, file, value, sizeof value) < 0)
        return -1;
    return rn_write_at(dir, file, value);
}

int rn_cg_make_v1(const struct rn_cgroup *g, struct dray_err *err)
{
    for (size_t i = 0; i < g->layout->n_v1; i++) {
        const struct rn_cg_tree *t = &g->layout->v1[i];
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s%s", t->mount, g->path);
        if (n < 0 || (size_t)n >= sizeof path)
            return dray_fail(err, DRAY_E_INVAL, "cgroupsPath is too long");
        if (rn_mkdirs(path, 0755) != 0)
            return dray_fail_errno(err, "make cgroup %s", path);
        if (!(t->controllers >> RN_CG_CPUSET & 1))
            continue;
        if (cpuset_inherit(t->mount, path, strlen(t->mount), "cpuset.cpus") != 0 ||
            cpuset_inherit(t->mount, path, strlen(t->mount), "cpuset.mems") != 0)
            return dray_fail_errno(err, "set up cpuset %s", path);
    }
    return 0;
}

int rn_cg_join_v1(const struct rn_cgroup *g, struct dray_err *err)
{
    for (size_t i = 0; i < g->layout->n_v1; i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s%s/tasks", g->layout->v1[i].mount, g->path);
        if (n < 0 || (size_t)n >= sizeof path)
            return dray_fail(err, DRAY_E_INVAL, "cgroupsPath is too long");
        /* Moving oneself by "tasks" spares the lock on all forks, which costs a grace period. */
        if (rn_write_at(AT_FDCWD, path, "0") != 0)
            return dray_fail_errno(err, "join cgroup %s", path);
    }
    return 0;
}

int rn_dev_rules_v1(const struct rn_cgroup *g, const struct rn_dev_rules *r, struct dray_err *err)
{
    const struct rn_cg_tree *t = rn_cg_tree_of(g->layout, RN_CG_DEVICES);
    if (!t)
        return 0;
    dray_autofd int dir = rn_cg_open(g, t);
    if (dir < 0)
        return dray_fail_errno(err, "open the devices cgroup");
    if (rn_write_at(dir, r->allow ? "devices.allow" : "devices.deny", "a") != 0)
        return dray_fail_errno(err, "%s all devices", r->allow ? "allow" : "deny");
    dray_autofd int allow = openat(dir, "devices.allow", O_WRONLY | O_CLOEXEC);
    dray_autofd int deny = openat(dir, "devices.deny", O_WRONLY | O_CLOEXEC);
    for (size_t i = 0; i < r->n; i++) {
        const struct rn_dev_rule *d = &r->v[i];
        char maj[24] = "*", min[24] = "*", line[80];
        if (d->major >= 0)
            (void)snprintf(maj, sizeof maj, "%lld", (long long)d->major);
        if (d->minor >= 0)
            (void)snprintf(min, sizeof min, "%lld", (long long)d->minor);
        int n = snprintf(line, sizeof line, "%c %s:%s %s%s%s", d->type, maj, min,
                         d->access & RN_DEV_READ ? "r" : "", d->access & RN_DEV_WRITE ? "w" : "",
                         d->access & RN_DEV_MKNOD ? "m" : "");
        if (write(d->allow ? allow : deny, line, (size_t)n) != n)
            return dray_fail_errno(err, "device rule \"%s\"", line);
    }
    return 0;
}

/* Limits. */

static const struct rn_cg_row rows[] = {
    {"memory", "reservation", RN_CG_MEMORY, "memory.soft_limit_in_bytes", RN_ROW_INT},
    {"memory", "kernelTCP", RN_CG_MEMORY, "memory.kmem.tcp.limit_in_bytes", RN_ROW_SOFT},
    {"memory", "swappiness", RN_CG_MEMORY, "memory.swappiness", RN_ROW_ZERO},
    {"cpu", "shares", RN_CG_CPU, "cpu.shares", RN_ROW_INT},
    {"cpu", "realtimePeriod", RN_CG_CPU, "cpu.rt_period_us", RN_ROW_INT},
    {"cpu", "realtimeRuntime", RN_CG_CPU, "cpu.rt_runtime_us", RN_ROW_INT},
    {"cpu", "idle", RN_CG_CPU, "cpu.idle", RN_ROW_ZERO},
    {"cpu", "burst", RN_CG_CPU, "cpu.cfs_burst_us", RN_ROW_INT},
    {"cpu", "cpus", RN_CG_CPUSET, "cpuset.cpus", RN_ROW_STR},
    {"cpu", "mems", RN_CG_CPUSET, "cpuset.mems", RN_ROW_STR},
    {"pids", "limit", RN_CG_PIDS, "pids.max", RN_ROW_MAX},
    {"network", "classID", RN_CG_NET_CLS, "net_cls.classid", RN_ROW_INT},
};

static const struct rn_cg_throttle throttles[] = {
    {"throttleReadBpsDevice", "blkio.throttle.read_bps_device", NULL},
    {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", NULL},
    {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", NULL},
    {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", NULL},
};

/** The sum of memory and swap can never be below memory: which is written first depends. */
static int apply_memory(const struct rn_cgroup *g, struct json_object *mem, struct dray_err *err)
{
    int64_t limit = rn_json_int(mem, "limit", 0), swap = rn_json_int(mem, "swap", 0);
    if (limit == 0 && swap == 0)
        return 0;
    static const char memory_file[] = "memory.limit_in_bytes";
    static const char swap_file[] = "memory.memsw.limit_in_bytes";
    dray_autofd int dir = rn_cg_dir(g, RN_CG_MEMORY, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    int64_t now = rn_read_int_at(dir, swap_file, -1);
    if (now < 0 && swap != 0) {
        if (swap != -1)
            rn_cg_warn(g, "no swap limit: this kernel does not account swap");
        swap = 0;
    }
    bool swap_first = swap == -1 || (swap != 0 && limit > now);
    for (int i = 0; i < 2; i++) {
        bool is_swap = (i == 0) == swap_first;
        int64_t value = is_swap ? swap : limit;
        if (value == 0)
            continue;
        if (rn_writef_at(dir, is_swap ? swap_file : memory_file, "%lld", (long long)value) == 0)
            continue;
        if (errno == EBUSY)
            return dray_fail(
                err, DRAY_E_INVAL, "unable to set memory limit to %lld (current usage: %lld)",
                (long long)value, (long long)rn_read_int_at(dir, "memory.usage_in_bytes", 0));
        return dray_fail_errno(err, "write %lld to %s", (long long)value,
                               is_swap ? swap_file : memory_file);
    }
    return 0;
}

static int apply_quota(const struct rn_cgroup *g, struct json_object *cpu, struct dray_err *err)
{
    int64_t quota = rn_json_int(cpu, "quota", 0), period = rn_json_int(cpu, "period", 0);
    if (quota == 0 && period == 0)
        return 0;
    dray_autofd int dir = rn_cg_dir(g, RN_CG_CPU, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    bool late = false;
    if (period != 0 && rn_writef_at(dir, "cpu.cfs_period_us", "%lld", (long long)period) != 0) {
        /* The pair must stay below the parent's share at each step: try the other order. */
        late = errno == EINVAL && quota != 0;
        if (!late)
            return dray_fail_errno(err, "write %lld to cpu.cfs_period_us", (long long)period);
    }
    if (quota != 0 && rn_writef_at(dir, "cpu.cfs_quota_us", "%lld", (long long)quota) != 0)
        return dray_fail_errno(err, "write %lld to cpu.cfs_quota_us", (long long)quota);
    if (late && rn_writef_at(dir, "cpu.cfs_period_us", "%lld", (long long)period) != 0)
        return dray_fail_errno(err, "write %lld to cpu.cfs_period_us", (long long)period);
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
    bool bfq = faccessat(dir, "blkio.bfq.weight", F_OK, 0) == 0;
    if (!bfq && faccessat(dir, "blkio.weight", F_OK, 0) != 0) {
        rn_cg_warn(g, "no blkio weight: this kernel's I/O schedulers have none");
        return 0;
    }
    const char *file = bfq ? "blkio.bfq.weight" : "blkio.weight";
    if (weight != 0 && rn_writef_at(dir, file, "%lld", (long long)weight) != 0)
        return dray_fail_errno(err, "write %lld to %s", (long long)weight, file);
    const char *dev = bfq ? "blkio.bfq.weight_device" : "blkio.weight_device";
    for (size_t i = 0; i < rn_json_len(per); i++) {
        struct json_object *o = json_object_array_get_idx(per, i);
        if (rn_writef_at(dir, dev, "%lld:%lld %lld", (long long)rn_json_int(o, "major", 0),
                         (long long)rn_json_int(o, "minor", 0),
                         (long long)rn_json_int(o, "weight", 0)) != 0)
            return dray_fail_errno(err, "write to %s", dev);
    }
    return 0;
}

static int apply_oom(const struct rn_cgroup *g, struct json_object *mem, struct dray_err *err)
{
    if (!rn_json_bool(mem, "disableOOMKiller", false))
        return 0;
    dray_autofd int dir = rn_cg_dir(g, RN_CG_MEMORY, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    if (rn_write_at(dir, "memory.oom_control", "1") != 0)
        return dray_fail_errno(err, "disable the OOM killer");
    return 0;
}

static int apply_priorities(const struct rn_cgroup *g, struct json_object *net,
                            struct dray_err *err)
{
    struct json_object *list = rn_json_arr(net, "priorities");
    if (rn_json_len(list) == 0)
        return 0;
    dray_autofd int dir = rn_cg_dir(g, RN_CG_NET_PRIO, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    for (size_t i = 0; i < rn_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (rn_writef_at(dir, "net_prio.ifpriomap", "%s %lld", rn_json_str(o, "name", ""),
                         (long long)rn_json_int(o, "priority", 0)) != 0)
            return dray_fail_errno(err, "set the network priority");
    }
    return 0;
}

int rn_cg_apply_v1(const struct rn_cgroup *g, struct json_object *resources, struct dray_err *err)
{
    struct json_object *io = rn_json_obj(resources, "blockIO");
    struct json_object *mem = rn_json_obj(resources, "memory");
    int rc = apply_memory(g, mem, err);
    if (rc == 0)
        rc = rn_cg_apply_rows(g, resources, rows, sizeof rows / sizeof rows[0], err);
    if (rc == 0)
        rc = apply_quota(g, rn_json_obj(resources, "cpu"), err);
    if (rc == 0)
        rc = apply_oom(g, mem, err);
    if (rc == 0)
        rc = apply_weight(g, io, err);
    if (rc == 0)
        rc = rn_cg_apply_throttles(g, io, throttles, sizeof throttles / sizeof throttles[0], err);
    if (rc == 0)
        rc = rn_cg_apply_hugepages(g, rn_json_arr(resources, "hugepageLimits"), err);
    if (rc == 0)
        rc = apply_priorities(g, rn_json_obj(resources, "network"), err);
    return rc;
}
