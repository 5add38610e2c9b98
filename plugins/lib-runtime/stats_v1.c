/* SPDX-License-Identifier: Apache-2.0 */
/* stats_v1.c - counters of cgroup v1. */
#include "files.h"
#include "stats.h"

static int open_of(const struct rn_cgroup *g, enum rn_controller c)
{
    const struct rn_cg_tree *t = rn_cg_tree_of(g->layout, c);
    return t ? rn_cg_open(g, t) : -EBADF;
}

static uint64_t read_u64(int dir, const char *file)
{
    char buf[64];
    return rn_read_at(dir, file, buf, sizeof buf) > 0 ? strtoull(buf, NULL, 10) : 0;
}

static void cpuacct(int dir, struct json_object *usage)
{
    char text[8192];
    rn_stats_put(usage, "total_usage", read_u64(dir, "cpuacct.usage"));
    if (rn_read_at(dir, "cpuacct.usage_percpu", text, sizeof text) > 0) {
        struct json_object *list = json_object_new_array();
        char *save = NULL;
        for (char *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
            (void)json_object_array_add(list, json_object_new_uint64(strtoull(w, NULL, 10)));
        (void)json_object_object_add(usage, "percpu_usage", list);
    }
    rn_stats_put(usage, "usage_in_kernelmode", read_u64(dir, "cpuacct.usage_sys"));
    rn_stats_put(usage, "usage_in_usermode", read_u64(dir, "cpuacct.usage_user"));
}

static void throttled(void *object, const char *key, uint64_t value)
{
    if (strcmp(key, "nr_periods") == 0)
        rn_stats_put(object, "periods", value);
    else if (strcmp(key, "nr_throttled") == 0)
        rn_stats_put(object, "throttled_periods", value);
    else if (strcmp(key, "throttled_time") == 0)
        rn_stats_put(object, "throttled_time", value);
}

static void memory(int dir, struct json_object *o)
{
    uint64_t total = rn_stats_memory_total(), limit = read_u64(dir, "memory.limit_in_bytes");
    rn_stats_put(o, "usage", read_u64(dir, "memory.usage_in_bytes"));
    rn_stats_put(o, "max_usage", read_u64(dir, "memory.max_usage_in_bytes"));
    struct json_object *stats = json_object_new_object();
    rn_stats_pairs(dir, "memory.stat", rn_stats_pair_put, stats);
    (void)json_object_object_add(o, "stats", stats);
    rn_stats_put(o, "failcnt", read_u64(dir, "memory.failcnt"));
    rn_stats_put(o, "limit", limit == 0 || limit > total ? total : limit);
}

/** Lines "MAJ:MIN Op VALUE", or "MAJ:MIN VALUE" where there is one kind only. */
static bool io_list(int dir, const char *file, struct json_object *list)
{
    char text[16384];
    if (rn_read_at(dir, file, text, sizeof text) <= 0)
        return false;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        unsigned long long major = 0, minor = 0, value = 0;
        char op[24] = "";
        if (sscanf(line, "%llu:%llu %23[A-Za-z] %llu", &major, &minor, op, &value) == 4 ||
            sscanf(line, "%llu:%llu %llu", &major, &minor, &value) == 3) {
            for (char *p = op; *p; p++)
                *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
            rn_stats_io(list, major, minor, op, value);
        }
    }
    return json_object_array_length(list) > 0;
}

static void blkio(int dir, struct json_object *o)
{
    static const struct {
        const char *key, *files[3];
    } table[] = {
        {"io_service_bytes_recursive",
         {"blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive",
          "blkio.throttle.io_service_bytes"}},
        {"io_serviced_recursive",
         {"blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive",
          "blkio.throttle.io_serviced"}},
        {"io_queue_recursive", {"blkio.bfq.io_queued_recursive", NULL, NULL}},
        {"io_service_time_recursive", {"blkio.bfq.io_service_time_recursive", NULL, NULL}},
        {"io_wait_time_recursive", {"blkio.bfq.io_wait_time_recursive", NULL, NULL}},
        {"io_merged_recursive", {"blkio.bfq.io_merged_recursive", NULL, NULL}},
        {"io_time_recursive", {"blkio.bfq.time_recursive", NULL, NULL}},
        {"sectors_recursive", {"blkio.bfq.sectors_recursive", NULL, NULL}},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct json_object *list = json_object_new_array();
        for (int k = 0; k < 3 && table[i].files[k] && dir >= 0; k++)
            if (io_list(dir, table[i].files[k], list))
                break;
        (void)json_object_object_add(o, table[i].key, list);
    }
}

void rn_stats_v1(const struct rn_cgroup *g, const struct rn_stats *s)
{
    dray_autofd int acct = open_of(g, RN_CG_CPUACCT), cpu = open_of(g, RN_CG_CPU);
    dray_autofd int mem = open_of(g, RN_CG_MEMORY), io = open_of(g, RN_CG_IO);
    dray_autofd int pids = open_of(g, RN_CG_PIDS);
    rn_stats_put(s->usage, "total_usage", 0);
    if (acct >= 0)
        cpuacct(acct, s->usage);
    rn_stats_put(s->throttling, "periods", 0);
    rn_stats_put(s->throttling, "throttled_periods", 0);
    rn_stats_put(s->throttling, "throttled_time", 0);
    if (cpu >= 0)
        rn_stats_pairs(cpu, "cpu.stat", throttled, s->throttling);
    if (mem >= 0)
        memory(mem, s->memory);
    blkio(io, s->blkio);
    if (pids < 0)
        return;
    rn_stats_put(s->pids, "current", read_u64(pids, "pids.current"));
    uint64_t limit = read_u64(pids, "pids.max"); /* "max" reads as 0 */
    rn_stats_put(s->pids, "limit", limit ? limit : UINT64_MAX);
}
