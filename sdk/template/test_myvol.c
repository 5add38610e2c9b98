/* test_myvol.c - drives the built plugin through a host for tests. */
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
    struct dray_kvs none = {0};
    CHECK(argc == 2);
    CHECK(dray_testhost_open(&t, argv[1], NULL, &err) == 0);
    const struct dray_volume_ops *ops = dray_testhost_ops(&t, DRAY_KIND_VOLUME);
    CHECK(ops);

    /* Everything that changes something may come twice. */
    CHECK(ops->create(t.self, &t.call, "v1", none, &err) == 0);
    CHECK(ops->create(t.self, &t.call, "v1", none, &err) == 0);
    CHECK(ops->create(t.self, &t.call, "../v2", none, &err) == DRAY_E_INVAL);

    struct dray_volume_info info = {.size = sizeof info};
    CHECK(ops->inspect(t.self, &t.call, "v1", &info, &err) == 0);
    CHECK(access(info.mountpoint, W_OK) == 0);
    CHECK(ops->inspect(t.self, &t.call, "v2", &info, &err) == DRAY_E_NOTFOUND);

    CHECK(ops->list(t.self, &t.call, &err) == 0);
    CHECK(strncmp(t.emitted, "name=v1 mountpoint=", 19) == 0);

    const char *path = NULL;
    CHECK(ops->mount(t.self, &t.call, "v1", "container", &path, &err) == 0);
    char file[400];
    (void)snprintf(file, sizeof file, "%s/data", path);
    FILE *f = fopen(file, "w");
    CHECK(f && fclose(f) == 0);
    CHECK(ops->unmount(t.self, &t.call, "v1", "container", &err) == 0);
    CHECK(ops->remove(t.self, &t.call, "v1", &err) == 0);
    CHECK(ops->remove(t.self, &t.call, "v1", &err) == 0);

    dray_testhost_close(&t);
    CHECK(rmdir(t.paths[0]) == 0 && rmdir(t.dir) == 0);
    puts("ok");
    return 0;
}
