/* SPDX-License-Identifier: Apache-2.0 */
/* sysinfo.c - which limits this machine's control groups can keep. */
#include "engine/sysinfo.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/statfs.h>

#define CGROUP2_MAGIC 0x63677270
#define CG "/sys/fs/cgroup/"

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The first line of a small file, cut to fit; "" when it is not there. */
static void read_line(const char *path, char *out, size_t size)
{
    DRAY_AUTO(dray_buf) b = {0};
    out[0] = '\0';
    if (dray_fs_read(AT_FDCWD, path, 65536, &b, NULL) == 0 && b.data)
        (void)snprintf(out, size, "%.*s", (int)strcspn(b.data, "\n"), b.data);
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)) != NULL; p += n)
        if ((p == text || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

/* The root group of cgroup v2 has no io.weight of its own: the daemon's group tells, or the files
 * that come with weights and only the root has. */
static bool v2_io_weight(void)
{
    char own[PATH_MAX], path[PATH_MAX + 64];
    read_line("/proc/self/cgroup", own, sizeof own);
    if (exists(CG "io.cost.qos") || exists(CG "io.bfq.weight"))
        return true;
    if (strncmp(own, "0::/", 4) != 0)
        return false;
    (void)snprintf(path, sizeof path, CG "%s/io.weight", own + 4);
    bool have = exists(path);
    (void)snprintf(path, sizeof path, CG "%s/io.bfq.weight", own + 4);
    return have || exists(path);
}

static void probe_v2(struct dray_sysinfo *c)
{
    char list[512];
    read_line(CG "cgroup.controllers", list, sizeof list);
    c->memory = c->reservation = has_word(list, "memory");
    c->swap = c->memory && exists("/proc/swaps");
    c->cfs = c->shares = has_word(list, "cpu");
    c->cpuset = has_word(list, "cpuset");
    c->pids = has_word(list, "pids");
    c->blkio = has_word(list, "io");
    c->blkio_weight = c->blkio_weight_device = c->blkio && v2_io_weight();
    read_line(CG "cpuset.cpus.effective", c->cpus, sizeof c->cpus);
    read_line(CG "cpuset.mems.effective", c->mems, sizeof c->mems);
}

static void probe_v1(struct dray_sysinfo *c)
{
    c->memory = exists(CG "memory/memory.limit_in_bytes");
    c->reservation = exists(CG "memory/memory.soft_limit_in_bytes");
    c->swap = exists(CG "memory/memory.memsw.limit_in_bytes");
    c->swappiness = exists(CG "memory/memory.swappiness");
    c->oom_kill_disable = exists(CG "memory/memory.oom_control");
    c->shares = exists(CG "cpu/cpu.shares");
    /* The root group has no quota file with some kernels; the scheduler's own switch tells then. */
    c->cfs = exists(CG "cpu/cpu.cfs_quota_us") ||
             (c->shares && exists("/proc/sys/kernel/sched_cfs_bandwidth_slice_us"));
    c->realtime = exists(CG "cpu/cpu.rt_period_us");
    c->cpuset = exists(CG "cpuset/cpuset.cpus");
    c->pids = exists(CG "pids/cgroup.procs");
    c->blkio = exists(CG "blkio/cgroup.procs");
    c->blkio_weight = exists(CG "blkio/blkio.weight") || exists(CG "blkio/blkio.bfq.weight");
    c->blkio_weight_device =
        exists(CG "blkio/blkio.weight_device") || exists(CG "blkio/blkio.bfq.weight_device");
    read_line(CG "cpuset/cpuset.cpus", c->cpus, sizeof c->cpus);
    read_line(CG "cpuset/cpuset.mems", c->mems, sizeof c->mems);
}

static void look(struct dray_sysinfo *out)
{
    struct statfs fs;
    *out = (struct dray_sysinfo){.v2 = statfs(CG, &fs) == 0 &&
                                       (unsigned long)fs.f_type == CGROUP2_MAGIC};
    if (out->v2)
        probe_v2(out);
    else
        probe_v1(out);
}

void dray_sysinfo_probe(struct dray_sysinfo *out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards: seen, until. order: leaf */
    static struct dray_sysinfo seen;
    static int64_t until;
    int64_t now = dray_clock_mono();
    (void)pthread_mutex_lock(&lock);
    if (now >= until) {
        look(&seen);
        until = now + DRAY_NS_PER_S;
    }
    *out = seen;
    (void)pthread_mutex_unlock(&lock);
}
