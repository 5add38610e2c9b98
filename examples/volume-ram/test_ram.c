/* SPDX-License-Identifier: Apache-2.0 */
/* test_ram.c - the ram driver through a host for tests. Needs the right to mount. */
#include <dray/testhost.h>
#include <dray/volume.h>

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, err.text);              \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

int main(int argc, char **argv)
{
    static struct dray_testhost t;
    struct dray_err err = {0};
    const struct dray_kv kv[] = {{"size", "64k"}, {"mode", "0700"}};
    const struct dray_kv wrong[] = {{"size", "1t"}};
    struct dray_kvs none = {0}, some = {kv, 2}, bad = {wrong, 1};
    struct dray_volume_info info = {.size = sizeof info};
    const char *path = NULL, *again = NULL;
    uint64_t bytes = 1;

    CHECK(argc == 2);
    if (geteuid() != 0) {
        puts("skipped: mounting needs root");
        return 77;
    }
    CHECK(dray_testhost_open(&t, argv[1], "max-size=1m", &err) == 0);
    const struct dray_volume_ops *ops = dray_testhost_ops(&t, DRAY_KIND_VOLUME);

    CHECK(ops->create(t.self, &t.call, "v", bad, &err) == DRAY_E_INVAL);
    CHECK(ops->create(t.self, &t.call, "v", some, &err) == 0);
    CHECK(ops->create(t.self, &t.call, "v", some, &err) == 0);
    CHECK(ops->create(t.self, &t.call, "v", none, &err) == DRAY_E_CONFLICT);
    CHECK(ops->inspect(t.self, &t.call, "v", &info, &err) == 0);
    CHECK(strcmp(dray_kvs_get(info.status, "mounted", ""), "false") == 0);

    CHECK(ops->mount(t.self, &t.call, "v", "c1", &path, &err) == 0);
    CHECK(ops->mount(t.self, &t.call, "v", "c2", &again, &err) == 0);
    CHECK(ops->mount(t.self, &t.call, "v", "c2", &again, &err) == 0);
    CHECK(strcmp(path, again) == 0 && strcmp(path, info.mountpoint) == 0);

    /* The limit holds: 64 KiB fit, not one more. */
    char file[400];
    static char data[65536];
    snprintf(file, sizeof file, "%s/f", path);
    FILE *f = fopen(file, "w");
    CHECK(f && setvbuf(f, NULL, _IONBF, 0) == 0);
    CHECK(fwrite(data, 1, sizeof data, f) <= sizeof data);
    CHECK(fwrite(data, 1, sizeof data, f) == 0 && errno == ENOSPC);
    fclose(f);
    CHECK(ops->usage(t.self, &t.call, "v", &bytes, &err) == 0 && bytes > 4096 && bytes <= 65536);

    CHECK(ops->remove(t.self, &t.call, "v", &err) == DRAY_E_CONFLICT);
    CHECK(ops->unmount(t.self, &t.call, "v", "c1", &err) == 0);
    CHECK(access(file, F_OK) == 0);
    /* After a restart nobody uses it any more. */
    CHECK(ops->restore(t.self, &t.call, "v", (struct dray_strs){0}, &err) == 0);
    CHECK(access(file, F_OK) != 0);
    CHECK(ops->list(t.self, &t.call, &err) == 0);
    CHECK(strncmp(t.emitted, "name=v mountpoint=/", 19) == 0);
    CHECK(ops->remove(t.self, &t.call, "v", &err) == 0);
    CHECK(ops->remove(t.self, &t.call, "v", &err) == 0);
    dray_testhost_close(&t);
    CHECK(rmdir(t.paths[0]) == 0 && rmdir(t.dir) == 0);
    puts("ok");
    return 0;
}
