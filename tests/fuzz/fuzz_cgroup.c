/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_cgroup.c - libFuzzer target: files of control groups, with lines "--" between them, each a
 * name, a space and what is in it. They are read as those of either version.
 */
#include "cgroup.h"
#include "fuzz.h"
#include "stats.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/dev/shm/dray-fuzz-cgroup-XXXXXX";
static int dir = -1;

static const char *const files[] = {
    "cpuacct.usage",
    "cpuacct.usage_percpu",
    "cpuacct.usage_user",
    "cpu.stat",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "memory.stat",
    "memory.oom_control",
    "memory.current",
    "memory.max",
    "memory.events",
    "pids.current",
    "pids.max",
    "blkio.throttle.io_service_bytes",
    "blkio.throttle.io_serviced",
    "io.stat",
    "cgroup.procs",
    "freezer.state",
    "cgroup.events",
};
#define FILES (sizeof files / sizeof files[0])

static void drop_folder(void)
{
    for (size_t i = 0; i < FILES; i++)
        (void)unlinkat(dir, files[i], 0);
    (void)rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    need(mkdtemp(folder) != NULL);
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(dir >= 0);
    return atexit(drop_folder);
}

static void put(const char *text)
{
    size_t n = strcspn(text, " ");
    const char *rest = text[n] ? text + n + 1 : "";
    for (size_t i = 0; i < FILES; i++) {
        if (strlen(files[i]) != n || memcmp(files[i], text, n) != 0)
            continue;
        int fd = openat(dir, files[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        need(fd >= 0 && write(fd, rest, strlen(rest)) == (ssize_t)strlen(rest));
        (void)close(fd);
    }
}

static void read_all(const struct rn_cg_layout *layout)
{
    const struct rn_cgroup g = {.layout = layout, .path = "/"};
    struct dray_err err = {0};
    pid_t *pids = NULL;
    size_t n = 0;
    struct json_object *o = rn_stats_collect(&g);
    need(json_object_is_type(o, json_type_object) && json_object_to_json_string(o) != NULL);
    json_object_put(o);
    int rc = rn_cg_pids(&g, &pids, &n, &err);
    need_words(rc, &err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        need(pids[i] > 0);
    free(pids);
    (void)rn_cg_oom_kills(&g);
    (void)rn_cg_frozen(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct rn_cg_layout v2 = {.v2 = {.mount = folder, .controllers = ~0u}, .unified = true};
    const struct rn_cg_layout v1 = {
        .v1 = {{.mount = folder, .options = folder, .controllers = ~0u}}, .n_v1 = 1};
    for (size_t i = 0; i < FILES; i++)
        (void)unlinkat(dir, files[i], 0);
    for (int i = 0; size > 0 && i < 24; i++) {
        dray_autofree char *text = fuzz_part(&data, &size);
        put(text);
    }
    read_all(&v1);
    read_all(&v2);
    return 0;
}
