/* SPDX-License-Identifier: Apache-2.0 */
/* test_native_parts.c - parts of the driver "native" that a run of a container does not reach. */
#include "check.h"

#include "cgroup.h"
#include "filter.h"
#include "jsonx.h"
#include "mount.h"
#include "program.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LAYERS 120
#define KEEPERS 6
#define KEPT 300

static void check_find(const char *text, const char *want)
{
    size_t n = 0;
    const char *at = rn_json_find(text, strlen(text), "linux", "seccomp", &n);
    if (!want) {
        CU_ASSERT_PTR_NULL(at);
        return;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    CU_ASSERT_EQUAL(n, strlen(want));
    CU_ASSERT_EQUAL(strncmp(at, want, strlen(want)), 0);
}

static void test_find(void)
{
    check_find("{\"linux\":{\"seccomp\":{\"a\":[1,2]}}}", "{\"a\":[1,2]}");
    check_find(" { \"x\" : \"}{\\\"\" , \"linux\" : { \"y\":[{}], \"seccomp\" : null } } ",
               "null ");
    check_find("{\"process\":{\"linux\":{\"seccomp\":1}},\"linux\":{\"a\":1}}", NULL);
    check_find("{\"linux\":{\"seccomp\":", NULL);
    check_find("{\"linux\"", NULL);
    check_find("{\"linux", NULL);
    check_find("[]", NULL);
    check_find("", NULL);
    check_find("{\"a\\", NULL);
}

static void test_cgroup_path(void)
{
    static const struct {
        const char *given, *want;
    } table[] = {
        {NULL, "/dray/id"},
        {"", "/dray/id"},
        {"/a//b/./c/", "/a/b/c"},
        {"rel/x", "/rel/x"},
        {"system.slice:dray:abc", "/system.slice/dray-abc.scope"},
        {"/a/../b", "/b"},
        {"/../a/../../b/c/..", "/b"},
        {"/", NULL},
        {"/a/..", NULL},
        {"/a\nb", NULL},
    };
    char out[PATH_MAX];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int rc = rn_cg_path("id", table[i].given, out, NULL);
        CU_ASSERT_EQUAL(rc == 0, table[i].want != NULL);
        if (rc == 0 && table[i].want)
            CU_ASSERT_STRING_EQUAL(out, table[i].want);
    }
}

static void test_device_rules(void)
{
    struct rn_arena arena = {.head = NULL};
    struct rn_dev_rules r = {.n = 0};
    struct json_object *list = NULL;
    CU_ASSERT_EQUAL(rn_dev_rules_parse(NULL, &arena, &r, NULL), 0);
    CU_ASSERT_FALSE(r.allow);
    CU_ASSERT(r.n > 8);
    list = json_tokener_parse("[{\"allow\":true,\"type\":\"c\",\"major\":9,\"access\":\"r\"},"
                              "{\"allow\":true,\"access\":\"rwm\"},{\"allow\":false,\"type\":"
                              "\"b\",\"major\":8,\"minor\":0,\"access\":\"w\"}]");
    CU_ASSERT_EQUAL(rn_dev_rules_parse(list, &arena, &r, NULL), 0);
    CU_ASSERT_TRUE(r.allow);
    CU_ASSERT_EQUAL(r.n, 1);
    CU_ASSERT_EQUAL(r.v[0].type, 'b');
    CU_ASSERT_EQUAL(r.v[0].access, RN_DEV_WRITE);
    json_object_put(list);
    rn_arena_cleanup(&arena);
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/** More folders than fit into the page of options that mount(2) takes by their paths. */
static void test_many_layers(void)
{
    char dir[PATH_MAX] = "/dev/shm/dray-layers-XXXXXX", path[PATH_MAX + 300], deep[128];
    static char lower[LAYERS * 260 + 16];
    if (getuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) != 0 || !mkdtemp(dir)) {
        (void)printf("skipped: needs root\n");
        return;
    }
    memset(deep, 'd', 100);
    deep[100] = '\0';
    size_t len = (size_t)snprintf(lower, sizeof lower, "lowerdir=");
    for (int i = 0; i < LAYERS; i++) {
        (void)snprintf(path, sizeof path, "%s/%s-%d", dir, deep, i);
        CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
        len += (size_t)snprintf(lower + len, sizeof lower - len, "%s%s", i ? ":" : "", path);
        (void)snprintf(path, sizeof path, "%s/%s-%d/f%d", dir, deep, i, i);
        CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
    }
    const char *const options[] = {"nodev", lower};
    const struct dray_mount m = {.size = sizeof m,
                                 .type = "overlay",
                                 .source = "overlay",
                                 .target = "",
                                 .options = {.v = options, .n = 2}};
    struct dray_err err = {.code = 0};
    int fd = -EBADF;
    CU_ASSERT_EQUAL(rn_rootfs_new(&m, &fd, &err), 0);
    if (fd >= 0) { /* else this kernel is older than "lowerdir+" */
        CU_ASSERT_EQUAL(faccessat(fd, "f0", F_OK, 0), 0);
        CU_ASSERT_EQUAL(faccessat(fd, "f119", F_OK, 0), 0);
        (void)close(fd);
    }
    (void)snprintf(path, sizeof path, "%s/root", dir);
    CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
    CU_ASSERT_EQUAL(rn_rootfs_mount_at(&m, path, &err), 0);
    if (err.code)
        (void)fprintf(stderr, "  %s\n", err.text);
    (void)snprintf(path, sizeof path, "%s/root/f119", dir);
    CU_ASSERT_EQUAL(access(path, F_OK), 0);
    (void)snprintf(path, sizeof path, "%s/root", dir);
    CU_ASSERT_EQUAL(umount2(path, MNT_DETACH), 0);
    /* The same out of sight: it is in the descriptor alone. */
    fd = -EBADF;
    CU_ASSERT_EQUAL(rn_rootfs_apart(&m, path, &fd, &err), 0);
    CU_ASSERT_EQUAL(faccessat(fd, "f119", F_OK, 0), 0);
    (void)close(fd);
    CU_ASSERT_EQUAL(umount2(path, MNT_DETACH), -1);
    (void)nftw(dir, drop, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void test_program(void)
{
    char out[PATH_MAX];
    struct dray_err err = {.code = 0};
    const char *const env[] = {"PATH=/nowhere:/bin", NULL}, *const none[] = {NULL};
    CU_ASSERT_EQUAL(rn_program_find("sh", env, out, &err), 0);
    CU_ASSERT_STRING_EQUAL(out, "/bin/sh");
    CU_ASSERT_EQUAL(rn_program_find("sh", none, out, &err), DRAY_E_NOCMD);
    CU_ASSERT_EQUAL(rn_program_find("", env, out, &err), DRAY_E_NOCMD);
    CU_ASSERT_EQUAL(rn_program_find("/etc/passwd", env, out, &err), DRAY_E_NOEXEC);
    CU_ASSERT_EQUAL(rn_program_find("/etc/passwd/x", env, out, &err), DRAY_E_NOCMD);
    CU_ASSERT_EQUAL(rn_program_find("/bin/sh", env, out, &err), 0);
    /* A script whose interpreter is the host's own program is refused like that program. */
    struct stat st;
    CU_ASSERT_EQUAL(stat("/proc/self/exe", &st), 0);
    char script[] = "/tmp/dray-script-XXXXXX";
    int fd = mkstemp(script);
    CU_ASSERT(fd >= 0 && write(fd, "#! /proc/self/exe\n", 18) == 18);
    (void)close(fd);
    CU_ASSERT_EQUAL(rn_program_guard(script, st.st_dev, st.st_ino, &err), DRAY_E_NOEXEC);
    CU_ASSERT_EQUAL(rn_program_guard("/bin/sh", st.st_dev, st.st_ino, &err), 0);
    (void)unlink(script);
}

/* Keep the filter again and again, as if the cache had nothing of use. The exit code: did it fail?
 */
static int keep_filters(int run, int id_dir)
{
    static const char profile[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
    for (int i = 0; i < KEPT; i++) {
        struct rn_filter f = {.n = 0};
        struct dray_err err = {.code = 0};
        dray_autofd int dir = openat(run, "seccomp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = dir < 0 ? NULL : fdopendir(dup(dir));
        for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
            dray_autofd int fd = strlen(e->d_name) == 16
                                     ? openat(dir, e->d_name, O_WRONLY | O_TRUNC | O_CLOEXEC)
                                     : -1;
        }
        if (d)
            (void)closedir(d);
        int rc = rn_seccomp_get(run, id_dir, profile, sizeof profile - 1, &f, &err);
        rn_filter_cleanup(&f);
        if (rc != 0) {
            (void)fprintf(stderr, "  %s\n", err.text);
            return 1;
        }
    }
    return 0;
}

static void test_filters_at_once(void)
{
    char dir[] = "/tmp/dray-filters-XXXXXX";
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    int run = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < KEEPERS; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "id%d", i);
        CU_ASSERT_EQUAL(mkdirat(run, id, 0700), 0);
        if (fork() == 0)
            _exit(keep_filters(run, openat(run, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    }
    for (int i = 0, status = -1; i < KEEPERS; i++, status = -1) {
        CU_ASSERT(wait(&status) > 0);
        CU_ASSERT_EQUAL(status, 0);
    }
    (void)close(run);
    (void)nftw(dir, drop, 16, FTW_DEPTH | FTW_PHYS);
}

static const struct check_case cases[] = {
    {"a member's text", test_find},      {"cgroup paths", test_cgroup_path},
    {"device rules", test_device_rules}, {"many layers", test_many_layers},
    {"programs", test_program},          {"filters at once", test_filters_at_once},
};

CHECK_MAIN("native-parts", cases)
