/* SPDX-License-Identifier: Apache-2.0 */
/* test_storage_limits.c - storage drivers at their limits: depth, size, a full disk, speed. */
#include "storage_suite.h"

#define DEEP 130

static void detached_holds(struct st_host *s, const char *id, bool old)
{
    struct st_call c;
    struct dray_err err = {0};
    struct dray_mounts mounts = {0};
    char scratch[96];
    (void)snprintf(scratch, sizeof scratch, "%s/mnt", s->top);
    CU_ASSERT_FATAL(OPS(s)->mounts(s->self, &st_call(&c)->call, id, 0, &mounts, &err) == 0);
    int fd = -1;
    int rc = old ? dray_pl_mount_detached_old(&mounts.v[0], scratch, &fd, &err)
                 : dray_pl_mount_detached(&mounts.v[0], scratch, &fd, &err);
    (void)show(rc, 0, &err, "mount detached");
    char text[16] = "";
    CU_ASSERT(dray_pl_read_small(fd, "f0", text, sizeof text) == 1);
    CU_ASSERT(faccessat(fd, "f129", F_OK, 0) == 0);
    (void)close(fd);
    st_call_end(&c);
}

static void do_deep(struct st_host *s)
{
    char id[16], parent[16] = "", name[16];
    for (unsigned i = 0; i < DEEP; i++) {
        (void)snprintf(id, sizeof id, "layer-%u", i);
        (void)snprintf(name, sizeof name, "f%u", i);
        create(s, id, parent, 0, 0);
        APPLY(s, id, {.type = '0', .name = name, .data = "x"},
              {.type = '0', .name = "top", .data = id});
        memcpy(parent, id, sizeof parent);
    }
    create(s, "box", parent, DRAY_LAYER_WRITABLE, 0);
    char at[96];
    mount_layer(s, "box", 0, at);
    CU_ASSERT(holds(at, "f0", "x"));
    CU_ASSERT(holds(at, "f64", "x"));
    CU_ASSERT(holds(at, "top", "layer-129"));
    put(at, "mine", "m");
    unmount(s, "box", at);
    detached_holds(s, "box", false);
    detached_holds(s, "box", true);
    expect_changes(s, "box", "kind=1 path=/mine\n");
}

static void test_deep(void)
{
    each(do_deep);
}

/* A volatile overlay can be mounted again, and says so in its options. */
static void test_volatile(void)
{
    struct st_host s = {.keys = {"volatile"}, .values = {"1"}};
    st_start(&s, OVERLAY_SO, base);
    make_image(&s);
    create(&s, "box", "two", DRAY_LAYER_WRITABLE, 0);
    char at[96];
    for (unsigned i = 0; i < 2; i++) {
        mount_layer(&s, "box", 0, at);
        put(at, "fresh", "f");
        char mounts[65536];
        CU_ASSERT(dray_pl_read_small(AT_FDCWD, "/proc/self/mounts", mounts, sizeof mounts) > 0);
        CU_ASSERT(strstr(mounts, "volatile") != NULL);
        unmount(&s, "box", at);
    }
    st_end(&s);
}

/* Without quotas in the file system, a size is refused and not ignored. */
static void do_size(struct st_host *s)
{
    struct st_call c;
    struct dray_err err = {0};
    const struct dray_kv size = {"size", "1g"}, wrong = {"size", "lots"};
    const struct dray_kvs opts = {&size, 1}, bad = {&wrong, 1};
    int rc = OPS(s)->create(s->self, &st_call(&c)->call, "q", "", DRAY_LAYER_WRITABLE, opts, &err);
    CU_ASSERT(rc == DRAY_E_NOTSUP);
    rc = OPS(s)->create(s->self, &c.call, "q", "", DRAY_LAYER_WRITABLE, bad, &err);
    CU_ASSERT(rc == DRAY_E_INVAL || rc == DRAY_E_NOTSUP);
    st_call_end(&c);
    list_is(s, "");
}

static void test_size(void)
{
    each(do_size);
}

/* A disk that fills up: a clear error, nothing half made, and all is free again afterwards. */
static void test_full_disk(void)
{
    struct disk small = {0};
    if (mount_disk(&small, "mkfs.ext4 -q", "rw", 32)) {
        struct st_host s = {0};
        struct st_call c;
        struct dray_err err = {0};
        uint64_t bytes = 0, inodes = 0;
        st_start(&s, OVERLAY_SO, small.dir);
        create(&s, "one", "", 0, 0);
        const struct member sizes[] = {{.type = '0', .name = "declared", .size = 60 << 20}};
        struct tarball t = {0};
        tar_member(&t, sizes);
        tar_end(&t);
        int fd = tar_file(&t);
        (void)apply_fd(&s, "one", fd, DRAY_E_NOSPACE);
        (void)close(fd);
        t.len = 0;
        for (unsigned i = 0; i < 40; i++) { /* folders and inodes are not declared */
            char name[16];
            (void)snprintf(name, sizeof name, "f%u", i);
            const struct member m = {.type = '0', .name = name, .size = 600000};
            tar_member(&t, &m);
        }
        tar_end(&t);
        char filler[96];
        (void)snprintf(filler, sizeof filler, "%s/filler", small.dir);
        int full = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CU_ASSERT(ftruncate(full, 0) == 0 && posix_fallocate(full, 0, 4 << 20) == 0);
        fd = tar_file(&t);
        (void)apply_fd(&s, "one", fd, DRAY_E_NOSPACE);
        (void)close(fd);
        CU_ASSERT(OPS(&s)->usage(s.self, &st_call(&c)->call, "one", &bytes, &inodes, &err) == 0);
        CU_ASSERT(inodes == 1);
        st_call_end(&c);
        (void)close(full);
        CU_ASSERT(unlink(filler) == 0);
        free(t.data);
        st_close(&s); /* waits for the trash */
        st_open(&s);
        CU_ASSERT(APPLY(&s, "one", {.type = '0', .name = "fits", .size = 10 << 20}) == 10 << 20);
        st_end(&s);
    }
    unmount_disk(&small);
}

/* A container's layer of limited size. */
static void test_quota(void)
{
    struct disk disk = {0};
    if (mount_disk(&disk, "mkfs.ext4 -q -O quota,project -E quotatype=prjquota", "prjquota", 64)) {
        struct st_host s = {0};
        struct st_call c;
        struct dray_err err = {0};
        st_start(&s, OVERLAY_SO, disk.dir);
        make_image(&s);
        const struct dray_kv size = {"size", "2m"};
        int rc = OPS(&s)->create(s.self, &st_call(&c)->call, "box", "two", DRAY_LAYER_WRITABLE,
                                 (struct dray_kvs){&size, 1}, &err);
        (void)show(rc, 0, &err, "create with a size");
        st_call_end(&c);
        char at[96], path[128];
        mount_layer(&s, "box", 0, at);
        (void)snprintf(path, sizeof path, "%s/big", at);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CU_ASSERT(posix_fallocate(fd, 0, 1 << 20) == 0);
        rc = posix_fallocate(fd, 0, 8 << 20);
        CU_ASSERT(rc == EDQUOT || rc == ENOSPC);
        (void)close(fd);
        unmount(&s, "box", at);
        st_end(&s);
    }
    unmount_disk(&disk);
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void do_speed(struct st_host *s)
{
    make_image(s);
    char id[32];
    double start = seconds();
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(id, sizeof id, "speed-%u", i);
        create(s, id, "two", DRAY_LAYER_WRITABLE, 0);
    }
    double made = seconds();
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(id, sizeof id, "speed-%u", i);
        drop(s, id, 0);
    }
    double gone = seconds();
    for (unsigned i = 0; i < 100; i++) {
        create(s, "short", "two", DRAY_LAYER_WRITABLE, 0);
        drop(s, "short", 0);
    }
    double turns = seconds();
    (void)printf("[%s: create %.0f us, remove %.0f us, both in turns %.0f us] ", s->plugin->name,
                 (made - start) * 10000, (gone - made) * 10000, (turns - gone) * 10000);
}

static void test_speed(void)
{
    each(do_speed);
}

static const struct check_case tests[] = {
    {"130 layers", test_deep},
    {"volatile", test_volatile},
    {"sizes without quotas", test_size},
    {"a full disk", test_full_disk},
    {"quota", test_quota},
    {"speed of create and remove", test_speed},
};

int main(void)
{
    return storage_main("limits of storage", tests, sizeof tests / sizeof *tests);
}
