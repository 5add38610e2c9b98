/* SPDX-License-Identifier: Apache-2.0 */
/* test_storage_load.c - the daemon's own loader takes the storage and volume drivers. */
#include "plugins/bench.h"

#include <dray/storage.h>

static struct json_object *find_entry(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (strcmp(dray_json_str(o, "Name", ""), name) == 0)
            return o;
    }
    return NULL;
}

static void expect_state(struct bench *b, const char *name, const char *state, const char *reason)
{
    dray_autojson *list = dray_drivers_list(b->drivers);
    struct json_object *o = find_entry(list, name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    const char *error = dray_json_str(o, "Error", "");
    if (strcmp(dray_json_str(o, "State", ""), state) != 0 || !strstr(error, reason))
        (void)printf("\n    %s\n", dray_json_text(o));
    CU_ASSERT_STRING_EQUAL(dray_json_str(o, "State", ""), state);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, reason));
}

static void test_load(void)
{
    BENCH(b);
    bench_add(&b, "storage-overlay", "storage-overlay.so");
    bench_add(&b, "storage-vfs", "storage-vfs.so");
    bench_add(&b, "storage-btrfs", "storage-btrfs.so");
    bench_add(&b, "volume-local", "volume-local.so");
    CU_ASSERT_EQUAL_FATAL(bench_open(&b), 0);
    expect_state(&b, "overlay", "ready", "");
    expect_state(&b, "vfs", "ready", "");
    expect_state(&b, "local", "ready", "");
    dray_autojson *list = dray_drivers_list(b.drivers);
    struct json_object *btrfs = find_entry(list, "btrfs");
    CU_ASSERT_PTR_NOT_NULL_FATAL(btrfs);
    if (strcmp(dray_json_str(btrfs, "State", ""), "ready") != 0)
        CU_ASSERT_PTR_NOT_NULL(strstr(dray_json_str(btrfs, "Error", ""), "is not on a btrfs"));

    struct dray_driver *overlay = dray_drivers_find(b.drivers, DRAY_KIND_STORAGE, "overlay");
    CU_ASSERT_PTR_NOT_NULL_FATAL(overlay);
    struct dray_err err = {0};
    const struct dray_kvs none = {NULL, 0};
    CU_ASSERT_EQUAL(
        dray_driver_call(overlay, storage, DRAY_CLASS_QUICK, &err, create, "layer", "", 0, none),
        0);
    CU_ASSERT_EQUAL(dray_driver_call(overlay, storage, DRAY_CLASS_QUICK, &err, remove, "layer"), 0);
}

static const struct check_case tests[] = {{"load", test_load}};

int main(void)
{
    if (geteuid() != 0) {
        (void)printf("SKIP: overlay mounts need root\n");
        return 0;
    }
    return check_main("storage drivers in the loader", tests, 1);
}
