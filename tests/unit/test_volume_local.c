/* SPDX-License-Identifier: Apache-2.0 */
/* test_volume_local.c - the local volume driver: names, options, mounts, users, restarts. */
#include "check.h"
#include "storage_host.h"

#include <dray/volume.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <linux/magic.h>

#define OPS(s) ((const struct dray_volume_ops *)(const void *)(s)->ops)

static struct st_host host;
static struct dray_err err;

static void start(void)
{
    host = (struct st_host){0};
    st_start(&host, LOCAL_SO, "/var/tmp");
}

static void end(void)
{
    st_end(&host);
}

static int show(int rc, int want, const char *what)
{
    if (rc != want)
        (void)printf("\n    %s: %d instead of %d: %s\n", what, rc, want, err.text);
    CU_ASSERT(rc == want);
    return rc;
}

static int create(const char *name, const struct dray_kv *kv, uint64_t n, int want)
{
    struct st_call c;
    int rc =
        OPS(&host)->create(host.self, &st_call(&c)->call, name, (struct dray_kvs){kv, n}, &err);
    st_call_end(&c);
    return show(rc, want, name);
}

static int drop(const char *name, int want)
{
    struct st_call c;
    int rc = OPS(&host)->remove(host.self, &st_call(&c)->call, name, &err);
    st_call_end(&c);
    return show(rc, want, name);
}

/* Mount for a user; the path is copied to out. */
static int attach(const char *name, const char *user, char out[256], int want)
{
    struct st_call c;
    const char *path = "";
    int rc = OPS(&host)->mount(host.self, &st_call(&c)->call, name, user, &path, &err);
    (void)snprintf(out, 256, "%s", path);
    st_call_end(&c);
    return show(rc, want, name);
}

static int detach(const char *name, const char *user, int want)
{
    struct st_call c;
    int rc = OPS(&host)->unmount(host.self, &st_call(&c)->call, name, user, &err);
    st_call_end(&c);
    return show(rc, want, name);
}

static void restore(const char *name, const char *const *users, uint64_t n)
{
    struct st_call c;
    int rc = OPS(&host)->restore(host.self, &st_call(&c)->call, name, (struct dray_strs){users, n},
                                 &err);
    st_call_end(&c);
    (void)show(rc, 0, name);
}

static bool is_tmpfs(const char *path)
{
    struct statfs st;
    return statfs(path, &st) == 0 && st.f_type == TMPFS_MAGIC;
}

static void list_is(const char *const *names, size_t n)
{
    struct st_call c;
    char want[4096] = "";
    size_t used = 0;
    CU_ASSERT(OPS(&host)->list(host.self, &st_call(&c)->call, &err) == 0);
    const char *at = st_records(&c);
    for (size_t i = 0; i < n; i++) {
        used =
            (size_t)snprintf(want, sizeof want, "name=%s mountpoint=%s/%s/_data created=", names[i],
                             host.data, names[i]);
        CU_ASSERT(strncmp(at, want, used) == 0);
        at = strchrnul(at, '\n');
        at += *at == '\n';
    }
    CU_ASSERT(*at == '\0');
    st_call_end(&c);
}

/* --- tests ------------------------------------------------------------------------------------*/

static void test_plain(void)
{
    char path[256], again[256];
    start();
    create("data", NULL, 0, 0);
    create("data", NULL, 0, 0);
    create("Other_1.x-y", NULL, 0, 0);
    const char *const names[] = {"Other_1.x-y", "data"};
    list_is(names, 2);
    attach("data", "box1", path, 0);
    attach("data", "box1", again, 0);
    CU_ASSERT(strcmp(path, again) == 0);
    char want[256];
    (void)snprintf(want, sizeof want, "%s/data/_data", host.data);
    CU_ASSERT(strcmp(path, want) == 0);
    struct stat st;
    CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 07777) == 0755);
    drop("data", DRAY_E_CONFLICT);
    CU_ASSERT(strstr(err.text, "volume is in use") != NULL);
    detach("data", "nobody", 0);
    drop("data", DRAY_E_CONFLICT);
    detach("data", "box1", 0);
    detach("data", "box1", 0);
    drop("data", 0);
    drop("data", 0);
    attach("data", "box1", path, DRAY_E_NOTFOUND);
    list_is(names, 1);
    end();
}

static void test_names(void)
{
    static const char *const bad[] = {
        "",    "a",  ".",   "..",    "../x", "a/b", "/etc",  ".hid",  "-rf",         "a b",
        "a\n", "_x", "a:b", "ab\\c", "a,b",  "..a", "ab/..", "a\x01", "caf\xc3\xa9", ".trash"};
    char long_name[300], path[256];
    start();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        create(bad[i], NULL, 0, DRAY_E_INVAL);
        drop(bad[i], DRAY_E_INVAL);
        attach(bad[i], "u", path, DRAY_E_INVAL);
        detach(bad[i], "u", DRAY_E_INVAL);
    }
    create("x/y", NULL, 0, DRAY_E_INVAL);
    CU_ASSERT(strstr(err.text, "\"x/y\" includes invalid characters for a local volume name, only "
                               "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed") != NULL);
    memset(long_name, 'n', sizeof long_name);
    long_name[256] = '\0';
    create(long_name, NULL, 0, DRAY_E_INVAL);
    long_name[255] = '\0';
    create(long_name, NULL, 0, 0);
    drop(long_name, 0);
    list_is(NULL, 0);
    end();
}

static void test_options(void)
{
    const struct dray_kv unknown[] = {{"tpye", "tmpfs"}};
    const struct dray_kv no_device[] = {{"type", "tmpfs"}};
    const struct dray_kv no_type[] = {{"device", "tmpfs"}};
    const struct dray_kv o_alone[] = {{"o", "size=10m"}};
    const struct dray_kv no_quota[] = {{"size", "1g"}};
    const struct dray_kv bad_size[] = {{"size", "much"}};
    start();
    create("vol", unknown, 1, DRAY_E_INVAL);
    CU_ASSERT(strcmp(err.text, "invalid option: \"tpye\"") == 0);
    create("vol", no_device, 1, DRAY_E_INVAL);
    CU_ASSERT(strcmp(err.text, "missing required option: \"device\"") == 0);
    create("vol", no_type, 1, DRAY_E_INVAL);
    CU_ASSERT(strcmp(err.text, "missing required option: \"type\"") == 0);
    create("vol", o_alone, 1, DRAY_E_INVAL);
    CU_ASSERT(strcmp(err.text, "missing required option: \"device\"") == 0);
    create("vol", no_quota, 1, DRAY_E_INVAL);
    CU_ASSERT(strcmp(err.text, "quota size requested but no quota support") == 0);
    create("vol", bad_size, 1, DRAY_E_INVAL);
    CU_ASSERT(strcmp(err.text, "invalid size: 'much'") == 0);
    list_is(NULL, 0);
    const struct dray_kv empty_device[] = {{"type", "tmpfs"}, {"device", ""}};
    char path[256];
    create("vol", empty_device, 2, 0);
    attach("vol", "u", path, DRAY_E_INVAL);
    CU_ASSERT(strstr(err.text, "missing device in volume options") != NULL);
    end();
}

static const struct dray_kv tmpfs_opts[] = {
    {"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=2m,nosuid,mode=0750"}};

static void test_tmpfs(void)
{
    char path[256], text[512];
    start();
    create("mem", tmpfs_opts, 3, 0);
    create("mem", tmpfs_opts, 3, 0);
    create("mem", tmpfs_opts, 2, DRAY_E_CONFLICT);
    create("mem", NULL, 0, DRAY_E_CONFLICT);
    (void)snprintf(path, sizeof path, "%s/mem/opts.json", host.data);
    CU_ASSERT(dray_pl_read_small(AT_FDCWD, path, text, sizeof text) > 0);
    CU_ASSERT(strcmp(text, "{\"MountType\":\"tmpfs\",\"MountOpts\":\"size=2m,nosuid,mode=0750\","
                           "\"MountDevice\":\"tmpfs\",\"Quota\":{\"Size\":0}}") == 0);
    attach("mem", "one", path, 0);
    CU_ASSERT(is_tmpfs(path));
    struct stat st;
    CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 07777) == 0750);
    attach("mem", "two", path, 0);
    attach("mem", "two", path, 0);
    detach("mem", "one", 0);
    CU_ASSERT(is_tmpfs(path));
    detach("mem", "two", 0);
    CU_ASSERT(!is_tmpfs(path));
    detach("mem", "two", 0);
    drop("mem", 0);
    end();
}

static void test_bind(void)
{
    char source[256], path[256], inside[300];
    start();
    (void)snprintf(source, sizeof source, "%s/host-dir", host.top);
    CU_ASSERT(mkdir(source, 0755) == 0);
    (void)snprintf(inside, sizeof inside, "%s/kept", source);
    CU_ASSERT(mkdir(inside, 0755) == 0);
    const struct dray_kv opts[] = {{"type", "none"}, {"o", "bind,ro"}, {"device", source}};
    create("bound", opts, 3, 0);
    attach("bound", "u", path, 0);
    (void)snprintf(inside, sizeof inside, "%s/kept", path);
    CU_ASSERT(access(inside, F_OK) == 0);
    CU_ASSERT(rmdir(inside) < 0 && errno == EROFS);
    st_close(&host); /* the daemon dies with the volume in use */
    st_open(&host);
    drop("bound", 0); /* nobody claims it: the mount goes first */
    st_close(&host);
    st_open(&host);
    (void)snprintf(inside, sizeof inside, "%s/kept", source);
    CU_ASSERT(access(inside, F_OK) == 0);
    end();
}

static void test_failed_mount(void)
{
    char path[256];
    const struct dray_kv missing[] = {
        {"type", "none"}, {"o", "bind"}, {"device", "/no/such/folder"}};
    const struct dray_kv no_type[] = {{"type", "nosuchfs"}, {"device", "x"}, {"o", "a=b"}};
    const struct dray_kv secret[] = {
        {"type", "nosuchfs"}, {"device", "x"}, {"o", "user=me,password=geheim,ro"}};
    start();
    create("gone", missing, 3, 0);
    attach("gone", "u", path, DRAY_E_IO);
    char want[400];
    (void)snprintf(
        want, sizeof want,
        "failed to mount local volume: mount /no/such/folder:%s/gone/_data, flags: 0x1000: no such "
        "file or directory",
        host.data);
    if (strcmp(err.text, want) != 0)
        (void)printf("\n    %s\n", err.text);
    CU_ASSERT(strcmp(err.text, want) == 0);
    create("type", no_type, 3, 0);
    attach("type", "u", path, DRAY_E_IO);
    CU_ASSERT(strstr(err.text, "data: a=b: no such device") != NULL);
    create("secret", secret, 3, 0);
    attach("secret", "u", path, DRAY_E_IO);
    CU_ASSERT(strstr(err.text, "geheim") == NULL && strstr(err.text, "user=me") != NULL);
    drop("gone", 0); /* a mount that never was holds nothing */
    end();
}

static void test_network_names(void)
{
    char path[256];
    const struct dray_kv nfs[] = {
        {"type", "nfs"}, {"device", ":/export"}, {"o", "addr=name.invalid,rw"}};
    const struct dray_kv cifs[] = {
        {"type", "cifs"}, {"device", "//name.invalid/share"}, {"o", "username=x"}};
    start();
    create("nfs", nfs, 3, 0);
    attach("nfs", "u", path, DRAY_E_UNAVAIL);
    CU_ASSERT(strstr(err.text, "name.invalid") != NULL);
    create("cifs", cifs, 3, 0);
    attach("cifs", "u", path, DRAY_E_UNAVAIL);
    CU_ASSERT(strstr(err.text, "name.invalid") != NULL);
    end();
}

/* What was mounted when the daemon died is taken over, or let go. */
static void test_restart(void)
{
    char path[256];
    start();
    create("mem", tmpfs_opts, 3, 0);
    create("idle", tmpfs_opts, 3, 0);
    create("lost", tmpfs_opts, 3, 0);
    attach("mem", "box", path, 0);
    char file[300];
    (void)snprintf(file, sizeof file, "%s/file", path);
    CU_ASSERT(mkdir(file, 0700) == 0);
    attach("idle", "box", path, 0);
    st_close(&host);
    st_open(&host);
    const char *const users[] = {"box", "box2"};
    restore("mem", users, 2);
    CU_ASSERT(access(file, F_OK) == 0);
    restore("idle", NULL, 0);
    CU_ASSERT(!is_tmpfs(path));
    restore("lost", users, 1); /* as after a reboot: users, but no mount */
    (void)snprintf(path, sizeof path, "%s/lost/_data", host.data);
    CU_ASSERT(is_tmpfs(path));
    detach("lost", "box", 0);
    drop("mem", DRAY_E_CONFLICT);
    detach("mem", "box", 0);
    CU_ASSERT(access(file, F_OK) == 0);
    detach("mem", "box2", 0);
    CU_ASSERT(access(file, F_OK) < 0);
    drop("mem", 0);
    end();
}

/* A volume that a crash left half made is none, and can be made again. */
static void test_crash(void)
{
    char path[256];
    start();
    (void)snprintf(path, sizeof path, "%s/half", host.data);
    CU_ASSERT(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/half/_data.new", host.data);
    CU_ASSERT(mkdir(path, 0700) == 0);
    list_is(NULL, 0);
    create("half", NULL, 0, 0);
    const char *const names[] = {"half"};
    list_is(names, 1);
    (void)snprintf(path, sizeof path, "%s/evil", host.data);
    CU_ASSERT(symlink("/etc", path) == 0); /* not a folder of ours */
    list_is(names, 1);
    attach("evil", "u", path, DRAY_E_NOTFOUND);
    end();
}

/* A file system that never answers, as a dead server's: other calls do not wait for it. */
static void test_hung(void)
{
    char path[256], data[80];
    start();
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    (void)snprintf(data, sizeof data, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
    create("dead", NULL, 0, 0);
    create("good", NULL, 0, 0);
    (void)snprintf(path, sizeof path, "%s/dead/_data", host.data);
    if (fuse < 0 || mount("dead", path, "fuse", 0, data) < 0) {
        (void)printf("SKIP: no fuse here: %s\n", strerror(errno));
    } else {
        struct st_call c;
        struct dray_volume_info info = {.size = sizeof info};
        const char *const names[] = {"dead", "good"};
        (void)alarm(20); /* a hang ends the test */
        list_is(names, 2);
        CU_ASSERT(OPS(&host)->inspect(host.self, &st_call(&c)->call, "dead", &info, &err) == 0);
        st_call_end(&c);
        attach("good", "u", path, 0);
        detach("good", "u", 0);
        st_close(&host);
        st_open(&host);
        restore("dead", NULL, 0);
        drop("dead", 0);
        list_is(names + 1, 1);
        (void)alarm(0);
    }
    (void)close(fuse);
    end();
}

static void test_inspect(void)
{
    struct st_call c;
    struct dray_volume_info info = {.size = sizeof info};
    start();
    create("vol", NULL, 0, 0);
    CU_ASSERT(OPS(&host)->inspect(host.self, &st_call(&c)->call, "vol", &info, &err) == 0);
    char want[256];
    (void)snprintf(want, sizeof want, "%s/vol/_data", host.data);
    CU_ASSERT(strcmp(info.mountpoint, want) == 0);
    CU_ASSERT(info.created_s > 1600000000);
    st_call_end(&c);
    CU_ASSERT(OPS(&host)->inspect(host.self, &st_call(&c)->call, "none", &info, &err) ==
              DRAY_E_NOTFOUND);
    uint64_t bytes = 0;
    char file[300];
    (void)snprintf(file, sizeof file, "%s/file", want);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char block[50000] = "x";
    CU_ASSERT(write(fd, block, sizeof block) == sizeof block && fsync(fd) == 0);
    (void)close(fd);
    CU_ASSERT(OPS(&host)->usage(host.self, &c.call, "vol", &bytes, &err) == 0);
    CU_ASSERT(bytes >= 50000 && bytes < 70000);
    create("mem", tmpfs_opts, 3, 0);
    CU_ASSERT(OPS(&host)->usage(host.self, &c.call, "mem", &bytes, &err) == DRAY_E_NOTSUP);
    st_call_end(&c);
    end();
}

static void test_root_option(void)
{
    char root[] = "/var/tmp/dray-volumes-XXXXXX", path[256];
    CU_ASSERT_FATAL(mkdtemp(root) != NULL);
    host = (struct st_host){.keys = {"root"}, .values = {root}};
    st_start(&host, LOCAL_SO, "/var/tmp");
    create("vol", NULL, 0, 0);
    attach("vol", "u", path, 0);
    CU_ASSERT(strncmp(path, root, strlen(root)) == 0);
    detach("vol", "u", 0);
    end();
    CU_ASSERT(remove_path(root, &err) == 0);
}

static const struct check_case tests[] = {
    {"plain volumes", test_plain},
    {"names", test_names},
    {"options", test_options},
    {"tmpfs", test_tmpfs},
    {"bind", test_bind},
    {"failing mounts", test_failed_mount},
    {"names of servers", test_network_names},
    {"restart", test_restart},
    {"crash", test_crash},
    {"inspect and usage", test_inspect},
    {"another root", test_root_option},
    {"a dead server", test_hung},
};

int main(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        (void)printf("SKIP: mounting needs root: %s\n", strerror(errno));
        return 0;
    }
    return check_main("volume local", tests, sizeof tests / sizeof *tests);
}
