/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - what a container uses, in the shape of Docker's API. */
#include "stats.h"
#include "files.h"

#include <fcntl.h>

#define SMALL 16384

void rn_stats_put(struct json_object *o, const char *key, uint64_t value)
{
    (void)json_object_object_add(o, key, json_object_new_uint64(value));
}

void rn_stats_pair_put(void *object, const char *key, uint64_t value)
{
    rn_stats_put(object, key, value);
}

void rn_stats_pairs(int dir, const char *file,
                    void (*fn)(void *ctx, const char *key, uint64_t value), void *ctx)
{
    char text[SMALL];
    if (rn_read_at(dir, file, text, sizeof text) <= 0)
        return;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, ' ');
        if (!value)
            continue;
        *value = '\0';
        fn(ctx, line, strtoull(value + 1, NULL, 10));
    }
}

void rn_stats_io(struct json_object *list, uint64_t major, uint64_t minor, const char *op,
                 uint64_t value)
{
    struct json_object *o = json_object_new_object();
    rn_stats_put(o, "major", major);
    rn_stats_put(o, "minor", minor);
    (void)json_object_object_add(o, "op", json_object_new_string(op));
    rn_stats_put(o, "value", value);
    (void)json_object_array_add(list, o);
}

uint64_t rn_stats_memory_total(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/** The machine's processor time of all kinds, and how many processors it is of. */
static void put_system(struct json_object *cpu)
{
    FILE *f = fopen("/proc/stat", "re");
    char line[512];
    uint64_t ticks = 0, n = 0;
    while (f && fgets(line, sizeof line, f) && strncmp(line, "cpu", 3) == 0) {
        if (line[3] != ' ') {
            n++;
            continue;
        }
        char *p = line + 4;
        for (int i = 0; i < 7; i++)
            ticks += strtoull(p, &p, 10);
    }
    if (f)
        (void)fclose(f);
    rn_stats_put(cpu, "system_cpu_usage",
                 ticks * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK)));
    rn_stats_put(cpu, "online_cpus", n);
}

struct json_object *rn_stats_collect(const struct rn_cgroup *g)
{
    struct json_object *all = json_object_new_object(), *cpu = json_object_new_object();
    const struct rn_stats s = {
        .usage = json_object_new_object(),
        .throttling = json_object_new_object(),
        .memory = json_object_new_object(),
        .blkio = json_object_new_object(),
        .pids = json_object_new_object(),
    };
    (void)json_object_object_add(cpu, "cpu_usage", s.usage);
    (void)json_object_object_add(cpu, "throttling_data", s.throttling);
    (void)json_object_object_add(all, "cpu_stats", cpu);
    (void)json_object_object_add(all, "memory_stats", s.memory);
    (void)json_object_object_add(all, "blkio_stats", s.blkio);
    (void)json_object_object_add(all, "pids_stats", s.pids);
    if (g->layout->unified)
        rn_stats_v2(g, &s);
    else
        rn_stats_v1(g, &s);
    put_system(cpu);
    return all;
}
