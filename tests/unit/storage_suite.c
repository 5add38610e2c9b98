/* SPDX-License-Identifier: Apache-2.0 */
/* storage_suite.c - disks, drivers and short forms of the operations for storage tests. */
#include "storage_suite.h"

#include "tarball.h"

const char *base = "/var/tmp";

static struct disk btrfs_disk;

static const struct {
    const char *name, *so;
    const struct disk *disk; /* NULL: base */
} drivers[] = {
    {"overlay", OVERLAY_SO, NULL}, {"vfs", VFS_SO, NULL}, {"btrfs", BTRFS_SO, &btrfs_disk}};

bool mount_disk(struct disk *d, const char *mkfs, const char *options, unsigned mb)
{
    char command[512];
    (void)snprintf(d->dir, sizeof d->dir, "/var/tmp/dray-disk-XXXXXX");
    if (!mkdtemp(d->dir))
        return false;
    (void)snprintf(d->image, sizeof d->image, "%s.img", d->dir);
    (void)snprintf(
        command, sizeof command,
        "truncate -s %uM %s && %s %s >/dev/null 2>&1 && mount -o loop,%s %s %s 2>/dev/null", mb,
        d->image, mkfs, d->image, options, d->image, d->dir);
    d->mounted = system(command) == 0;
    if (!d->mounted)
        (void)printf("SKIP: no such disk here: %s, %s\n", mkfs, options);
    return d->mounted;
}

void unmount_disk(struct disk *d)
{
    if (d->mounted && umount2(d->dir, 0) < 0)
        perror(d->dir);
    (void)unlink(d->image);
    (void)rmdir(d->dir);
    d->mounted = false;
}

/* --- short forms of the operations ------------------------------------------------------------*/

int show(int rc, int want, const struct dray_err *err, const char *what)
{
    if (rc != want)
        (void)printf("\n    %s: %d instead of %d: %s\n", what, rc, want, err->text);
    CU_ASSERT(rc == want);
    return rc;
}

int create(struct st_host *s, const char *id, const char *parent, uint32_t flags, int want)
{
    struct st_call c;
    struct dray_err err = {0};
    const struct dray_kvs none = {NULL, 0};
    int rc = OPS(s)->create(s->self, &st_call(&c)->call, id, parent, flags, none, &err);
    st_call_end(&c);
    return show(rc, want, &err, "create");
}

int drop(struct st_host *s, const char *id, int want)
{
    struct st_call c;
    struct dray_err err = {0};
    int rc = OPS(s)->remove(s->self, &st_call(&c)->call, id, &err);
    st_call_end(&c);
    return show(rc, want, &err, "remove");
}

int tar_file(const struct tarball *t)
{
    int fd = open(base, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT(dray_pl_write_all(fd, t->data, t->len) == 0);
    CU_ASSERT(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

uint64_t apply_fd(struct st_host *s, const char *id, int fd, int want)
{
    struct st_call c;
    struct dray_err err = {0};
    uint64_t size = 0;
    const struct dray_kvs none = {NULL, 0};
    int rc = OPS(s)->apply(s->self, &st_call(&c)->call, id, (struct dray_fd_borrow){fd}, none,
                           &size, &err);
    st_call_end(&c);
    (void)show(rc, want, &err, "apply");
    return size;
}

uint64_t apply(struct st_host *s, const char *id, const struct member *m, size_t n)
{
    struct tarball t = {0};
    for (size_t i = 0; i < n; i++)
        tar_member(&t, &m[i]);
    tar_end(&t);
    int fd = tar_file(&t);
    uint64_t size = apply_fd(s, id, fd, 0);
    (void)close(fd);
    free(t.data);
    return size;
}

void mount_layer(struct st_host *s, const char *id, uint32_t flags, char path[96])
{
    struct st_call c;
    struct dray_err err = {0};
    struct dray_mounts mounts = {0};
    (void)snprintf(path, 96, "%s/mnt", s->top);
    (void)mkdir(path, 0700);
    int rc = OPS(s)->mounts(s->self, &st_call(&c)->call, id, flags, &mounts, &err);
    (void)show(rc, 0, &err, "mounts");
    CU_ASSERT_FATAL(rc == 0);
    for (uint64_t i = 0; i < mounts.n; i++) {
        CU_ASSERT(mounts.v[i].target[0] == '\0');
        (void)show(dray_pl_mount_at(&mounts.v[i], path, &err), 0, &err, "mount");
    }
    st_call_end(&c);
}

void unmount(struct st_host *s, const char *id, const char *path)
{
    struct st_call c;
    struct dray_err err = {0};
    CU_ASSERT(umount2(path, 0) == 0);
    CU_ASSERT(OPS(s)->release(s->self, &st_call(&c)->call, id, &err) == 0);
    st_call_end(&c);
}

void put(const char *dir, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CU_ASSERT(fd >= 0 && dray_pl_write_all(fd, text, strlen(text)) == 0);
    (void)close(fd);
}

bool holds(const char *dir, const char *name, const char *text)
{
    char path[256], buf[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    ssize_t n = dray_pl_read_small(AT_FDCWD, path, buf, sizeof buf);
    return text ? n >= 0 && strcmp(buf, text) == 0 : n < 0 && errno == ENOENT;
}

void expect(const char *got, const char *want)
{
    if (strcmp(got, want) != 0)
        (void)printf("\n    got:\n%s    instead of:\n%s", got, want);
    CU_ASSERT(strcmp(got, want) == 0);
}

void expect_changes(struct st_host *s, const char *id, const char *want)
{
    struct st_call c;
    struct dray_err err = {0};
    (void)show(OPS(s)->changes(s->self, &st_call(&c)->call, id, &err), 0, &err, "changes");
    expect(st_records(&c), want);
    st_call_end(&c);
}

int diff(struct st_host *s, const char *id, const char *parent)
{
    struct st_call c;
    struct dray_err err = {0};
    const struct tarball none = {0};
    int fd = tar_file(&none);
    int rc =
        OPS(s)->diff(s->self, &st_call(&c)->call, id, parent, (struct dray_fd_borrow){fd}, &err);
    (void)show(rc, 0, &err, "diff");
    st_call_end(&c);
    (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

void each(void (*test)(struct st_host *s))
{
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        struct st_host s = {0};
        unsigned before = CU_get_number_of_failures();
        if (drivers[i].disk && !drivers[i].disk->mounted)
            continue;
        st_start(&s, drivers[i].so, drivers[i].disk ? drivers[i].disk->dir : base);
        test(&s);
        st_end(&s);
        if (CU_get_number_of_failures() != before)
            (void)printf("\n    (with driver %s)\n", drivers[i].name);
    }
}

void list_is(struct st_host *s, const char *want)
{
    struct st_call c;
    struct dray_err err = {0};
    CU_ASSERT(OPS(s)->list(s->self, &st_call(&c)->call, &err) == 0);
    /* no order is promised */
    size_t len = 0;
    const char *text = st_records(&c);
    dray_autofree char *copy = strdup(want);
    for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
        char *at = strstr(text, line);
        if (*line && !at)
            (void)printf("\n    list lacks: %s\n", line);
        CU_ASSERT(*line == '\0' || at != NULL);
        len += *line ? strlen(line) + 1 : 0;
    }
    CU_ASSERT(strlen(text) == len);
    st_call_end(&c);
}

static const struct member base_layer[] = {
    {.type = '5', .name = "etc", .mtime = 100},
    {.type = '0', .name = "etc/passwd", .data = "root"},
    {.type = '0', .name = "etc/group", .data = "wheel", .gid = 5},
    {.type = '5', .name = "var", .mtime = 100},
    {.type = '5', .name = "var/cache", .mode = 0700},
    {.type = '0', .name = "var/cache/big", .size = 10000},
    {.type = '5', .name = "opt"},
    {.type = '0', .name = "opt/tool", .data = "v1", .mode = 04755},
    {.type = '1', .name = "opt/link", .link = "opt/tool"},
    {.type = '2', .name = "bin", .link = "opt"},
};

static const struct member second_layer[] = {
    {.type = '5', .name = "etc", .mtime = 100},
    {.type = '0', .name = "etc/.wh.group", .data = ""},
    {.type = '0', .name = "etc/passwd", .data = "root and others"},
    {.type = '5', .name = "opt"},
    {.type = '0', .name = "opt/.wh..wh..opq", .data = ""},
    {.type = '0', .name = "opt/new", .data = "v2"},
};

void make_image(struct st_host *s)
{
    create(s, "one", "", 0, 0);
    create(s, "two", "one", 0, 0);
    CU_ASSERT(apply(s, "one", base_layer, 10) == 4 + 5 + 10000 + 2);
    if (OPS(s)->head.features & DRAY_STORAGE_F_PARALLEL_APPLY) {
        CU_ASSERT(apply(s, "two", second_layer, 6) == 15 + 2);
        return;
    }
    drop(s, "two", 0); /* made again once its parent is full */
    create(s, "two", "one", 0, 0);
    CU_ASSERT(apply(s, "two", second_layer, 6) == 15 + 2);
}

int storage_main(const char *title, const struct check_case *tests, size_t n)
{
    (void)signal(SIGPIPE, SIG_IGN);
    /* Mounts of the tests are nobody else's. */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        (void)printf("SKIP: mounting needs root: %s\n", strerror(errno));
        return 0;
    }
    if (getenv("DRAY_TEST_DIR"))
        base = getenv("DRAY_TEST_DIR");
    (void)mount_disk(&btrfs_disk, "mkfs.btrfs -q", "rw", 200);
    int rc = check_main(title, tests, n);
    unmount_disk(&btrfs_disk);
    return rc;
}
