/* SPDX-License-Identifier: Apache-2.0 */
/* stats_v2.c - counters of cgroup v2. */
#include "files.h"
#include "stats.h"

/** cpu.stat in microseconds; Docker counts in nanoseconds. */
static void cpu_pair(void *ctx, const char *key, uint64_t value)
{
    static const struct {
        const char *key, *name;
        bool usage;
        uint64_t factor;
    } table[] = {
        {"usage_usec", "total_usage", true, 1000},
        {"user_usec", "usage_in_usermode", true, 1000},
        {"system_usec", "usage_in_kernelmode", true, 1000},
        {"nr_periods", "periods", false, 1},
        {"nr_throttled", "throttled_periods", false, 1},
        {"throttled_usec", "throttled_time", false, 1000},
    };
    const struct rn_stats *s = ctx;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].key, key) == 0)
            rn_stats_put(table[i].usage ? s->usage : s->throttling, table[i].name,
                         value * table[i].factor);
}

static uint64_t read_max(int dir, const char *file, uint64_t max)
{
    char buf[64];
    if (rn_read_at(dir, file, buf, sizeof buf) <= 0 || strncmp(buf, "max", 3) == 0)
        return max;
    return strtoull(buf, NULL, 10);
}

static void memory(int dir, struct json_object *o)
{
    uint64_t total = rn_stats_memory_total();
    uint64_t limit = read_max(dir, "memory.max", UINT64_MAX);
    rn_stats_put(o, "usage", read_max(dir, "memory.current", 0));
    struct json_object *stats = json_object_new_object();
    rn_stats_pairs(dir, "memory.stat", rn_stats_pair_put, stats);
    (void)json_object_object_add(o, "stats", stats);
    rn_stats_put(o, "limit", limit > total ? total : limit);
}

/** Lines "MAJ:MIN rbytes=N wbytes=N rios=N ..." */
static struct json_object *io_list(int dir)
{
    char text[16384];
    struct json_object *list = json_object_new_array();
    if (rn_read_at(dir, "io.stat", text, sizeof text) <= 0)
        return list;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned long long major = 0, minor = 0;
        if (sscanf(line, "%llu:%llu", &major, &minor) != 2)
            continue;
        const char *r = strstr(line, " rbytes="), *w = strstr(line, " wbytes=");
        rn_stats_io(list, major, minor, "read", r ? strtoull(r + 8, NULL, 10) : 0);
        rn_stats_io(list, major, minor, "write", w ? strtoull(w + 8, NULL, 10) : 0);
    }
    return list;
}

void rn_stats_v2(const struct rn_cgroup *g, const struct rn_stats *s)
{
    static const char *const absent[] = {
        "io_serviced_recursive",  "io_queue_recursive",  "io_service_time_recursive",
        "io_wait_time_recursive", "io_merged_recursive", "io_time_recursive",
        "sectors_recursive",
    };
    dray_autofd int dir = rn_cg_open(g, &g->layout->v2);
    if (dir < 0)
        return;
    rn_stats_put(s->throttling, "periods", 0);
    rn_stats_put(s->throttling, "throttled_periods", 0);
    rn_stats_put(s->throttling, "throttled_time", 0);
    rn_stats_pairs(dir, "cpu.stat", cpu_pair, (void *)(uintptr_t)s);
    if (faccessat(dir, "memory.current", 0, 0) == 0)
        memory(dir, s->memory);
    (void)json_object_object_add(s->blkio, "io_service_bytes_recursive", io_list(dir));
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        (void)json_object_object_add(s->blkio, absent[i], NULL);
    rn_stats_put(s->pids, "current", read_max(dir, "pids.current", 0));
    rn_stats_put(s->pids, "limit", read_max(dir, "pids.max", UINT64_MAX));
}
