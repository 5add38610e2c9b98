/* SPDX-License-Identifier: Apache-2.0 */
/* test_runtime_native.c - containers made by the driver "native": what is promised of them. */
#include "check.h"
#include "native_rig.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#define NONE (&(struct rig_spec){.args = NULL})
#define HAS(r, text) (strstr((r).output, (text)) != NULL)
#define CHECK_HAS(r, text)                                                                         \
    do {                                                                                           \
        if (!HAS(r, text))                                                                         \
            (void)fprintf(stderr, "  wanted \"%s\" in: %s\n", (text), (r).output);                 \
        CU_ASSERT(HAS(r, text));                                                                   \
    } while (0)
#define CHECK_TEXT(r, want)                                                                        \
    do {                                                                                           \
        if (strstr((r).err.text, (want)) == NULL)                                                  \
            (void)fprintf(stderr, "  wanted \"%s\" in: %s\n", (want), (r).err.text);               \
        CU_ASSERT_PTR_NOT_NULL(strstr((r).err.text, (want)));                                      \
    } while (0)

static struct rig_run r, x;

static void test_exit_codes(void)
{
    CU_ASSERT_EQUAL(rig_do(&r, NONE), 0);
    CU_ASSERT_FALSE(rig_cgroup_left(r.id));
    CU_ASSERT_EQUAL(rig_sh(&r, NONE, "exit 42"), 42);
    CU_ASSERT_EQUAL(rig_sh(&r, NONE, "kill -9 $$"), 0); /* init is immune to its own kind */
    CU_ASSERT_EQUAL(rig_ops->remove(rig_self, rig_call(), r.id, &r.err), 0);
}

static void test_streams(void)
{
    struct rig_spec s = {.args = "[\"cat\"]"};
    CU_ASSERT_EQUAL_FATAL(rig_create(&r, &s), 0);
    CU_ASSERT_EQUAL(rig_start(&r), 0);
    CU_ASSERT_EQUAL(write(r.in, "hello\n", 6), 6);
    rig_finish(&r);
    CU_ASSERT_STRING_EQUAL(r.output, "hello\n");
    CU_ASSERT_EQUAL(r.code, 0);
    CU_ASSERT_EQUAL(rig_remove(&r), 0);
    CU_ASSERT_EQUAL(rig_sh(&r, NONE, "echo out; echo err >&2; ls -l /proc/self/fd"), 0);
    CHECK_HAS(r, "out\nerr\n");
    CU_ASSERT_FALSE(HAS(r, " 4 ->")); /* 3 is the listing's own */
}

static void test_surroundings(void)
{
    CU_ASSERT_EQUAL(rig_sh(&r, NONE,
                           "hostname; echo pid $$; pwd; echo home $HOME; umask; ls /dev; "
                           "ls / ; cat /proc/self/cgroup; ls /sys/fs/cgroup; mount"),
                    0);
    CHECK_HAS(r, "box\npid 1\n/\nhome /root\n0022\n");
    CHECK_HAS(r, "full\n");
    CHECK_HAS(r, "ptmx\n");
    CU_ASSERT_FALSE(HAS(r, "/dray-test")); /* the cgroup namespace hides where it lies */
    CU_ASSERT_FALSE(HAS(r, "config.json"));
    CHECK_HAS(r, "overlay on / type overlay (rw");
}

static void test_terminal(void)
{
    struct rig_spec s = {.args = "[\"sh\",\"-c\",\"tty; stty size; test -c /dev/console && echo "
                                 "console; echo leader >/dev/tty\"]",
                         .terminal = true};
    CU_ASSERT_EQUAL(rig_do(&r, &s), 0);
    CHECK_HAS(r, "/dev/pts/0\r\n33 77\r\nconsole\r\nleader");
}

static void test_commands(void)
{
    struct rig_spec s = {.args = "[\"nothere\"]"};
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_NOCMD);
    CHECK_TEXT(r, "exec: \"nothere\": executable file not found in $PATH");
    CU_ASSERT_EQUAL(r.code, 127);
    s.args = "[\"/nothere\"]";
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_NOCMD);
    CHECK_TEXT(r, "exec: \"/nothere\": stat /nothere: no such file or directory");
    s.args = "[\"/plain\"]";
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_NOEXEC);
    CHECK_TEXT(r, "exec: \"/plain\": permission denied");
    CU_ASSERT_EQUAL(r.code, 126);
    s.args = "[\"/etc\"]";
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_NOEXEC);
    CHECK_TEXT(r, "is a directory");
    s.args = "[\"/garbage\"]";
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_NOEXEC);
    CHECK_TEXT(r, "exec format error");
    s.args = "[\"/proc/self/exe\"]"; /* the host's own program */
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_NOEXEC);
    CU_ASSERT_FALSE(rig_cgroup_left(r.id));
}

static void test_users(void)
{
    static const struct {
        const char *user, *want;
    } good[] = {
        {"{\"uid\":0,\"gid\":0,\"username\":\"web\"}",
         "uid=1000(web) gid=1001(web) groups=1001(web),2000(extra)\n/home/web\n"},
        {"{\"uid\":0,\"gid\":0,\"username\":\"web:other\"}", "uid=1000(web) gid=2001(other)"},
        {"{\"uid\":0,\"gid\":0,\"username\":\"1000\"}", "uid=1000(web) gid=1001(web)"},
        {"{\"uid\":0,\"gid\":0,\"username\":\"77:88\"}", "uid=77 gid=88"},
        {"{\"uid\":5,\"gid\":6,\"additionalGids\":[7,8]}", "uid=5 gid=6 groups=7,8\n/\n"},
        {"{\"uid\":5,\"gid\":6,\"additionalGroups\":[\"other\",\"9\"]}", "gid=6 groups="},
    };
    static const struct {
        const char *user, *want;
    } bad[] = {
        {"nobody", "unable to find user nobody: no matching entries in passwd file"},
        {"web:none", "unable to find group none: no matching entries in group file"},
        {"99999999999", "uids and gids must be in range 0-2147483647"},
    };
    char process[256];
    struct rig_spec s = {.args = "[\"sh\",\"-c\",\"id; echo $HOME\"]", .process = process};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        (void)snprintf(process, sizeof process, ",\"user\":%s", good[i].user);
        CU_ASSERT_EQUAL(rig_do(&r, &s), 0);
        CHECK_HAS(r, good[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(process, sizeof process, ",\"user\":{\"username\":\"%s\"}", bad[i].user);
        CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_INVAL);
        CHECK_TEXT(r, bad[i].want);
        CU_ASSERT_FALSE(rig_cgroup_left(r.id));
    }
}

static void test_rights(void)
{
    static const char show[] = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status";
    struct rig_spec s = {.caps = "[\"CAP_CHOWN\",\"CAP_SETUID\"]"};
    CU_ASSERT_EQUAL(rig_sh(&r, &s, show), 0);
    CHECK_HAS(r, "CapInh:\t0000000000000000\nCapPrm:\t0000000000000081\n"
                 "CapEff:\t0000000000000081\nCapBnd:\t0000000000000081\n"
                 "CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n");
    s.process = ",\"noNewPrivileges\":true,\"user\":{\"uid\":9,\"gid\":9},\"capabilities\":{"
                "\"bounding\":[\"CAP_CHOWN\"],\"permitted\":[\"CAP_CHOWN\"],\"effective\":"
                "[\"CAP_CHOWN\"],\"inheritable\":[\"CAP_CHOWN\"],\"ambient\":[\"CAP_CHOWN\"]}";
    CU_ASSERT_EQUAL(rig_sh(&r, &s, show), 0);
    CHECK_HAS(r, "CapPrm:\t0000000000000001\nCapEff:\t0000000000000001\n");
    CHECK_HAS(r, "CapAmb:\t0000000000000001\nNoNewPrivs:\t1\n");
}

#define SECCOMP                                                                                    \
    ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\","      \
    "\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77},{\"names\":[\"kill\"],"           \
    "\"action\":"                                                                                  \
    "\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":1,\"value\":15,\"op\":\"SCMP_CMP_EQ\"}]}]}"

static void test_seccomp(void)
{
    struct rig_spec s = {.linux_ = SECCOMP};
    static const char line[] = "mkdir /x; kill -15 $$; kill -10 $$ && echo other; "
                               "grep Seccomp: /proc/self/status";
    for (int i = 0; i < 2; i++) { /* compiled, then from the cache */
        CU_ASSERT_EQUAL(rig_sh(&r, &s, line), 0);
        CHECK_HAS(r, "File descriptor in bad state"); /* 77 is EBADFD */
        CHECK_HAS(r, "Operation not permitted");
        CHECK_HAS(r, "other\nSeccomp:\t2\n");
    }
    s.linux_ = ",\"seccomp\":{\"defaultAction\":\"SCMP_ACT_BOGUS\"}";
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_INVAL);
    CHECK_TEXT(r, "SCMP_ACT_BOGUS");
}

static void test_paths(void)
{
    struct rig_spec s = {
        .linux_ = ",\"maskedPaths\":[\"/proc/keys\",\"/proc/scsi\",\"/sys/firmware\",\"/none\"],"
                  "\"readonlyPaths\":[\"/proc/sys\",\"/etc\"],\"sysctl\":"
                  "{\"kernel.domainname\":\"example\"}"};
    CU_ASSERT_EQUAL(rig_sh(&r, &s,
                           "cat /proc/keys | head -c 9; ls /sys/firmware; echo; "
                           "touch /etc/x; echo 1 > /proc/sys/vm/drop_caches; "
                           "cat /proc/sys/kernel/domainname; touch /ok && echo written"),
                    0);
    CHECK_HAS(r, "touch: /etc/x: Read-only file system");
    CHECK_HAS(r, "drop_caches: Read-only file system");
    CHECK_HAS(r, "example\nwritten\n");
    /* What covers a file is the host's device: its mode and owner are not the container's. */
    CU_ASSERT_EQUAL(rig_sh(&r, &s,
                           "chmod 666 /proc/keys; chown 0 /proc/keys; "
                           "echo x > /proc/keys && echo swallowed"),
                    0);
    CHECK_HAS(r, "chmod: /proc/keys: Read-only file system");
    CHECK_HAS(r, "chown: /proc/keys: Read-only file system");
    CHECK_HAS(r, "swallowed\n");
    struct rig_spec ro = {.root = ",\"readonly\":true"};
    CU_ASSERT_EQUAL(rig_sh(&r, &ro, "touch /x; echo x > /dev/null && echo null"), 0);
    CHECK_HAS(r, "touch: /x: Read-only file system\nnull\n");
}

static void test_mounts(void)
{
    char mounts[2048];
    rig_file("../src/file", "from the host\n", 0644);
    rig_file("up/seed", "seed\n", 0600);
    (void)snprintf(mounts, sizeof mounts,
                   ",{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"%s/src\","
                   "\"options\":[\"rbind\",\"ro\"]},"
                   "{\"destination\":\"/deep/er/file\",\"type\":\"bind\",\"source\":"
                   "\"%s/src/file\",\"options\":[\"bind\"]},"
                   "{\"destination\":\"/up\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
                   "\"options\":[\"tmpcopyup\",\"size=1m\",\"noexec\"]},"
                   "{\"destination\":\"/rro\",\"type\":\"bind\",\"source\":\"%s/src\","
                   "\"options\":[\"rbind\",\"rro\"]}",
                   rig_dir, rig_dir, rig_dir);
    struct rig_spec s = {.mounts = mounts};
    CU_ASSERT_EQUAL(rig_sh(&r, &s,
                           "cat /data/file /deep/er/file /up/seed; stat -c %a /up/seed; "
                           "touch /data/x; touch /rro/x; touch /up/x && echo up; "
                           "grep ' /up ' /proc/mounts; grep -c shared /proc/self/mountinfo"),
                    1);
    CHECK_HAS(r, "from the host\nfrom the host\nseed\n600\n");
    CHECK_HAS(r, "/data/x: Read-only file system\ntouch: /rro/x: Read-only file system\nup\n");
    CHECK_HAS(r, "rw,noexec");
    s.mounts = ",{\"destination\":\"/proc/uptime2/x\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}";
    CU_ASSERT(rig_do(&r, &s) < 0);
    s.mounts = ",{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"/no/such\","
               "\"options\":[\"bind\"]}";
    CU_ASSERT(rig_do(&r, &s) < 0);
    CHECK_TEXT(r, "/no/such");
    s.mounts = ",{\"destination\":\"/x\",\"type\":\"nosuchfs\",\"source\":\"none\"}";
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_NOTSUP);
    CHECK_TEXT(r, "nosuchfs");
}

/** The image leads mount points, /etc and devices to the host; nothing may follow. */
static void test_hostile_image(void)
{
    char link_to[PATH_MAX + 16], path[PATH_MAX + 64], mounts[2 * PATH_MAX];
    (void)snprintf(link_to, sizeof link_to, "%s/outside", rig_dir);
    CU_ASSERT_EQUAL(mkdir(link_to, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/image/abs", rig_dir);
    CU_ASSERT_EQUAL(symlink(link_to, path), 0);
    (void)snprintf(path, sizeof path, "%s/image/up-and-out", rig_dir);
    CU_ASSERT_EQUAL(symlink("../../../../../../..", path), 0);
    (void)snprintf(mounts, sizeof mounts,
                   ",{\"destination\":\"/abs/made\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
                   "{\"destination\":\"/up-and-out/tmp/dray-made\",\"type\":\"bind\","
                   "\"source\":\"%s/src\",\"options\":[\"rbind\"]}",
                   rig_dir);
    struct rig_spec s = {.mounts = mounts};
    CU_ASSERT_EQUAL(rig_sh(&r, &s, "grep -E 'made' /proc/mounts; ls /tmp/dray-made"), 0);
    CHECK_HAS(r, "/tmp/dray-made ");
    CHECK_HAS(r, "file\n");
    (void)snprintf(path, sizeof path, "%s/made", link_to);
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
    CU_ASSERT_NOT_EQUAL(access("/tmp/dray-made", F_OK), 0);
    (void)snprintf(path, sizeof path, "%s/image/up-and-out", rig_dir);
    (void)unlink(path);

    /* A fifo as /etc/passwd must not block, a device must not be read. */
    (void)snprintf(path, sizeof path, "%s/image/etc/passwd", rig_dir);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkfifo(path, 0644), 0);
    struct rig_spec user = {.process = ",\"user\":{\"username\":\"web\"}"};
    CU_ASSERT_EQUAL(rig_do(&r, &user), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mknod(path, S_IFCHR | 0644, makedev(1, 5)), 0);
    CU_ASSERT_EQUAL(rig_do(&r, &user), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(symlink("/proc/1/root/etc/passwd", path), 0);
    CU_ASSERT_EQUAL(rig_do(&r, &user), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(unlink(path), 0);
    rig_file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:Web:/home/web:/bin/sh\n",
             0644);

    /* proc led elsewhere */
    (void)snprintf(path, sizeof path, "%s/image/proc", rig_dir);
    CU_ASSERT_EQUAL(symlink("/tmp", path), 0);
    CU_ASSERT(rig_do(&r, NONE) < 0);
    CU_ASSERT_EQUAL(unlink(path), 0);
    struct rig_spec cwd = {.process = ",\"cwd\":\"/proc/self/fd/7/../../etc\""};
    CU_ASSERT(rig_do(&r, &cwd) < 0);
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static bool begin(const struct rig_spec *s, const char *args)
{
    struct rig_spec own = *s;
    own.args = args;
    if (rig_create(&r, &own) != 0 || rig_start(&r) != 0) {
        (void)fprintf(stderr, "  %s\n", r.err.text);
        CU_FAIL("cannot start");
        return false;
    }
    return true;
}

static void end(void)
{
    CU_ASSERT_EQUAL(rig_ops->kill(rig_self, rig_call(), r.id, SIGKILL, 0, &r.err), 0);
    rig_finish(&r);
    CU_ASSERT_EQUAL(r.code, 137);
    CU_ASSERT_EQUAL(rig_remove(&r), 0);
    CU_ASSERT_FALSE(rig_cgroup_left(r.id));
}

static void test_life(void)
{
    struct dray_runtime_state st = {.size = sizeof st};
    struct rig_spec s = {.args = "[\"sleep\",\"1000\"]"};
    CU_ASSERT_EQUAL_FATAL(rig_create(&r, &s), 0);
    CU_ASSERT_EQUAL(rig_ops->state(rig_self, rig_call(), r.id, &st, &r.err), 0);
    CU_ASSERT_EQUAL(st.status, DRAY_RUNTIME_CREATED);
    CU_ASSERT_EQUAL(st.pid, r.proc.pid);
    CU_ASSERT_EQUAL(rig_start(&r), 0);
    CU_ASSERT_EQUAL(rig_start(&r), DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(rig_ops->state(rig_self, rig_call(), r.id, &st, &r.err), 0);
    CU_ASSERT_EQUAL(st.status, DRAY_RUNTIME_RUNNING);
    CU_ASSERT_EQUAL(rig_ops->reattach(rig_self, rig_call(), r.id, &r.err), 0);
    CU_ASSERT_EQUAL(rig_ops->freeze(rig_self, rig_call(), r.id, 1, &r.err), 0);
    CU_ASSERT_EQUAL(rig_ops->state(rig_self, rig_call(), r.id, &st, &r.err), 0);
    CU_ASSERT_EQUAL(st.status, DRAY_RUNTIME_PAUSED);
    CU_ASSERT_EQUAL(rig_exec(&r, &x, "{\"args\":[\"true\"]}", false), DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(rig_ops->freeze(rig_self, rig_call(), r.id, 0, &r.err), 0);
    CU_ASSERT_EQUAL(rig_ops->kill(rig_self, rig_call(), r.id, 99, 0, &r.err), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(rig_ops->kill(rig_self, rig_call(), r.id, SIGKILL, DRAY_KILL_ALL, &r.err), 0);
    rig_finish(&r);
    CU_ASSERT_EQUAL(r.code, 137);
    CU_ASSERT_EQUAL(rig_ops->state(rig_self, rig_call(), r.id, &st, &r.err), 0);
    CU_ASSERT_EQUAL(st.status, DRAY_RUNTIME_STOPPED);
    CU_ASSERT_EQUAL(st.pid, 0);
    CU_ASSERT_EQUAL(rig_ops->kill(rig_self, rig_call(), r.id, SIGTERM, 0, &r.err), DRAY_E_CONFLICT);
    CU_ASSERT_EQUAL(rig_remove(&r), 0);
    CU_ASSERT_EQUAL(rig_remove(&r), 0);
    CU_ASSERT_EQUAL(rig_ops->state(rig_self, rig_call(), r.id, &st, &r.err), DRAY_E_NOTFOUND);
    CU_ASSERT_EQUAL(rig_ops->state(rig_self, rig_call(), "../x", &st, &r.err), DRAY_E_INVAL);
    CU_ASSERT_FALSE(rig_cgroup_left(r.id));
    /* Created and never started. */
    CU_ASSERT_EQUAL_FATAL(rig_create(&r, &s), 0);
    CU_ASSERT_EQUAL(rig_remove(&r), 0);
    rig_finish(&r);
    CU_ASSERT_FALSE(rig_cgroup_left(r.id));
}

static void test_exec(void)
{
    if (!begin(&(struct rig_spec){.linux_ = SECCOMP}, "[\"sleep\",\"1000\"]"))
        return;
    static const char shell[] =
        "{\"cwd\":\"/etc\",\"env\":[\"PATH=/bin\",\"A=b\"],\"user\":{\"username\":\"web\"},"
        "\"noNewPrivileges\":true,\"args\":[\"sh\",\"-c\",\"pwd; echo $A $HOME; id -un; hostname; "
        "cat /proc/self/cgroup; ps; grep Seccomp: /proc/self/status; mkdir /tmp/x; "
        "ls -l /proc/self/fd; exit 7\"]}";
    CU_ASSERT_EQUAL(rig_exec(&r, &x, shell, false), 7);
    CHECK_HAS(x, "/etc\nb /home/web\nweb\nbox\n");
    CHECK_HAS(x, ":/\n");
    CU_ASSERT_FALSE(HAS(x, "dray-test"));
    CHECK_HAS(x, "sleep 1000");
    CHECK_HAS(x, "Seccomp:\t2");
    CHECK_HAS(x, "File descriptor in bad state");
    CU_ASSERT_FALSE(HAS(x, " 4 ->"));
    CU_ASSERT_EQUAL(rig_exec(&r, &x, "{\"args\":[\"nope\"],\"env\":[\"PATH=/bin\"]}", false),
                    DRAY_E_NOCMD);
    CHECK_TEXT(x, "exec: \"nope\": executable file not found in $PATH");
    CU_ASSERT_EQUAL(rig_exec(&r, &x, "{\"args\":[\"/plain\"]}", false), DRAY_E_NOEXEC);
    CU_ASSERT(rig_exec(&r, &x, "{\"args\":[\"/bin/true\"],\"cwd\":\"/gone\"}", false) < 0);
    CHECK_TEXT(x, "chdir to cwd (\"/gone\") set in config.json failed: no such file or directory");
    CU_ASSERT(rig_exec(&r, &x, "{\"args\":[\"/bin/true\"],\"cwd\":\"/proc/self/fd/3\"}", false) <
              0);
    CU_ASSERT_EQUAL(rig_exec(&r, &x,
                             "{\"args\":[\"/bin/sh\",\"-c\",\"tty; stty size\"],\"env\":"
                             "[\"PATH=/bin\"],\"consoleSize\":{\"height\":20,\"width\":"
                             "50}}",
                             true),
                    0);
    CHECK_HAS(x, "/dev/pts/0\r\n20 50\r\n");
    end();
    CU_ASSERT_EQUAL(rig_exec(&r, &x, "{\"args\":[\"/bin/true\"]}", false), DRAY_E_NOTFOUND);
}

/** A file of the container's own cgroup, v1 or v2. */
static void cg_cat(char *out, size_t cap, const char *controller, const char *v1, const char *v2)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%s/dray-test/%s/%s", controller, r.id, v1);
    if (access(path, F_OK) != 0)
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/dray-test/%s/%s", r.id, v2);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, cap - 1) : 0;
    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        (void)close(fd);
}

static void test_limits(void)
{
    char v[256];
    struct rig_spec s = {.resources = ",\"memory\":{\"limit\":67108864},\"cpu\":{\"shares\":512,"
                                      "\"quota\":50000,\"period\":100000,\"cpus\":\"0\"},"
                                      "\"pids\":{\"limit\":5}"};
    if (!begin(&s, "[\"sleep\",\"1000\"]"))
        return;
    cg_cat(v, sizeof v, "memory", "memory.limit_in_bytes", "memory.max");
    CU_ASSERT_STRING_EQUAL(v, "67108864\n");
    cg_cat(v, sizeof v, "pids", "pids.max", "pids.max");
    CU_ASSERT_STRING_EQUAL(v, "5\n");
    cg_cat(v, sizeof v, "cpuset", "cpuset.cpus", "cpuset.cpus");
    CU_ASSERT_STRING_EQUAL(v, "0\n");
    cg_cat(v, sizeof v, "cpu", "cpu.cfs_quota_us", "cpu.max");
    CU_ASSERT_EQUAL(strncmp(v, "50000", 5), 0);
    CU_ASSERT_NOT_EQUAL(rig_exec(&r, &x,
                                 "{\"env\":[\"PATH=/bin\"],\"args\":[\"sh\",\"-c\",\"for i in 1 2 "
                                 "3 4 5 6 7 8; do sleep 5 & done; wait\"]}",
                                 false),
                        0);
    CHECK_HAS(x, "can't fork");
    CU_ASSERT_EQUAL(rig_ops->update(rig_self, rig_call(), r.id,
                                    "{\"memory\":{\"limit\":134217728},\"pids\":{\"limit\":-1}}",
                                    &r.err),
                    0);
    cg_cat(v, sizeof v, "memory", "memory.limit_in_bytes", "memory.max");
    CU_ASSERT_STRING_EQUAL(v, "134217728\n");
    cg_cat(v, sizeof v, "pids", "pids.max", "pids.max");
    CU_ASSERT_STRING_EQUAL(v, "max\n");
    end();
}

static void test_oom(void)
{
    struct dray_runtime_state st = {.size = sizeof st};
    struct rig_spec s = {.args =
                             "[\"dd\",\"if=/dev/zero\",\"of=/dev/null\",\"bs=200M\",\"count=1\"]",
                         .resources = ",\"memory\":{\"limit\":33554432,\"swap\":33554432}"};
    CU_ASSERT_EQUAL_FATAL(rig_create(&r, &s), 0);
    CU_ASSERT_EQUAL(rig_start(&r), 0);
    rig_finish(&r);
    CU_ASSERT_EQUAL(r.code, 137);
    CU_ASSERT_EQUAL(rig_ops->state(rig_self, rig_call(), r.id, &st, &r.err), 0);
    CU_ASSERT_EQUAL(st.oom_killed, 1);
    CU_ASSERT_EQUAL(rig_remove(&r), 0);
}

static void test_devices(void)
{
    struct rig_spec s = {.linux_ = ",\"devices\":[{\"path\":\"/dev/zero2\",\"type\":\"c\","
                                   "\"major\":1,\"minor\":5,\"fileMode\":420,\"gid\":6}]"};
    CU_ASSERT_EQUAL(rig_sh(&r, &s,
                           "head -c 1 /dev/zero2 >/dev/null && echo ok; "
                           "stat -c '%a %g %t:%T' /dev/zero2; mknod /k c 1 11 && cat /k; "
                           "mknod /m c 1 1 && head -c 1 /m; echo done"),
                    0);
    CHECK_HAS(r, "ok\n644 6 1:5\n");
    CHECK_HAS(r, "/k': Operation not permitted");
    CHECK_HAS(r, "/m: Operation not permitted");
    struct rig_spec all = {.resources = ",\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]"};
    CU_ASSERT_EQUAL(rig_sh(&r, &all, "mknod /m c 1 1; head -c 1 /m >/dev/null"), 1);
    CHECK_HAS(r, "/m:"); /* the group allows it; CAP_SYS_RAWIO is another matter */
}

static void test_stats(void)
{
    const char *json = NULL;
    if (!begin(NONE, "[\"sh\",\"-c\",\"sleep 1000 & wait\"]"))
        return;
    pause_ms(50);
    CU_ASSERT_EQUAL(rig_ops->stats(rig_self, rig_call(), r.id, &json, &r.err), 0);
    static const char *const wanted[] = {"\"total_usage\":",
                                         "\"system_cpu_usage\":",
                                         "\"online_cpus\":",
                                         "\"throttled_periods\":0",
                                         "\"memory_stats\":{\"usage\":",
                                         "\"limit\":",
                                         "\"blkio_stats\":{\"io_service_bytes_recur",
                                         "\"pids_stats\":{\"current\":2"};
    for (size_t i = 0; json && i < sizeof wanted / sizeof wanted[0]; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(json, wanted[i]));
    rig_call_end();
    CU_ASSERT_EQUAL(rig_ops->ps(rig_self, rig_call(), r.id, &r.err), 0);
    CU_ASSERT_EQUAL(rig_emitted, 2);
    end();
}

/** Sharing namespaces of a running container, as --pid, --ipc and --network container: do. */
static void test_join(void)
{
    char ns[1024];
    if (!begin(NONE, "[\"sleep\",\"1000\"]"))
        return;
    static struct rig_run second;
    (void)snprintf(ns, sizeof ns,
                   "[{\"type\":\"mount\"},{\"type\":\"pid\",\"path\":\"/proc/%d/ns/pid\"},"
                   "{\"type\":\"ipc\",\"path\":\"/proc/%d/ns/ipc\"},{\"type\":\"network\"}]",
                   r.proc.pid, r.proc.pid);
    struct rig_spec s = {.namespaces = ns};
    CU_ASSERT_EQUAL(rig_sh(&second, &s, "ps; cat /proc/net/dev; echo pid $$"), 0);
    CHECK_HAS(second, "1 root     sleep 1000");
    CU_ASSERT_FALSE(HAS(second, "eth0"));
    CU_ASSERT_FALSE(HAS(second, "pid 1\n"));
    /* This process's own children must still be born where it lives. */
    pid_t pid = fork();
    if (pid == 0)
        _exit(getpid() > 2 ? 0 : 1);
    int status = 1;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
    end();
}

/** Parameters of the network namespace are the container's own. */
static void test_network_parameters(void)
{
    struct rig_spec s = {.namespaces =
                             "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"network\"}]",
                         .linux_ = ",\"sysctl\":{\"net.ipv4.ip_unprivileged_port_start\":\"7\","
                                   "\"net.ipv4.ping_group_range\":\"0 2147483647\"}"};
    CU_ASSERT_EQUAL(rig_sh(&r, &s, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), 0);
    CHECK_HAS(r, "7\n");
    int fd = open("/proc/sys/net/ipv4/ip_unprivileged_port_start", O_RDONLY | O_CLOEXEC);
    char text[16] = "";
    CU_ASSERT(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    CU_ASSERT_STRING_NOT_EQUAL(text, "7\n");
    if (fd >= 0)
        (void)close(fd);
    s.linux_ = ",\"sysctl\":{\"net.no.such\":\"1\"}";
    CU_ASSERT(rig_do(&r, &s) < 0);
    CHECK_TEXT(r, "write sysctl key net.no.such");
    s.linux_ = ",\"sysctl\":{\"../../etc/x\":\"1\"}";
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_INVAL);
}

/** Has a process ended, whether or not its parent has taken notice? */
static bool has_ended(pid_t pid)
{
    char path[40], text[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        (void)close(fd);
    const char *p = n > 0 ? strrchr(text, ')') : NULL;
    return !p || p[2] == 'Z' || p[2] == 'X';
}

/** Groups made by the container below its own, with processes left in them, go with it. */
static void test_groups_below(void)
{
    struct rig_spec s = {
        .namespaces = "[{\"type\":\"mount\"},{\"type\":\"cgroup\"}]", /* the host's pids: nothing
                                                                         dies with the first */
        .mounts = ",{\"destination\":\"/cg\",\"type\":\"cgroup\",\"source\":\"cgroup\","
                  "\"options\":[\"nosuid\"]}"};
    CU_ASSERT_EQUAL(
        rig_sh(&r, &s,
               "for d in /cg /cg/*; do test -w $d/cgroup.procs && mkdir -p $d/a/b; "
               "done; (sleep 1000 >/dev/null 2>&1 </dev/null & echo $! > /pid); p=$(cat "
               "/pid); for d in /cg /cg/*; do test -d $d/a/b && echo $p > "
               "$d/a/b/cgroup.procs; done; kill -0 $p && echo left $p"),
        0);
    CHECK_HAS(r, "left ");
    const char *left = strstr(r.output, "left ");
    CU_ASSERT(left && has_ended((pid_t)atoi(left + 5)));
    CU_ASSERT_FALSE(rig_cgroup_left(r.id));
}

static void test_kill_frozen(void)
{
    if (!begin(NONE, "[\"sleep\",\"1000\"]"))
        return;
    CU_ASSERT_EQUAL(rig_ops->freeze(rig_self, rig_call(), r.id, 1, &r.err), 0);
    end();
    if (!begin(NONE, "[\"sleep\",\"1000\"]"))
        return;
    CU_ASSERT_EQUAL(rig_ops->freeze(rig_self, rig_call(), r.id, 1, &r.err), 0);
    CU_ASSERT_EQUAL(rig_remove(&r), 0);
    rig_finish(&r);
    CU_ASSERT_EQUAL(r.code, 137);
}

static void test_user_namespace(void)
{
    struct rig_spec s = {
        .namespaces = "[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":"
                      "\"uts\"},{\"type\":\"cgroup\"},{\"type\":\"network\"},{\"type\":\"user\"}]",
        .linux_ = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":65536}],"
                  "\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":65536}]"};
    CU_ASSERT_EQUAL(rig_sh(&r, &s, "id -u; cat /proc/self/uid_map; echo x >/dev/null && echo nul"),
                    0);
    CHECK_HAS(r, "0\n");
    CHECK_HAS(r, "65536\nnul\n");
}

static void test_rlimits(void)
{
    struct rig_spec s = {.process = ",\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":100,"
                                    "\"hard\":200}]"};
    CU_ASSERT_EQUAL(rig_sh(&r, &s, "ulimit -n; ulimit -Hn"), 0);
    CHECK_HAS(r, "100\n200\n");
    s.process = ",\"rlimits\":[{\"type\":\"RLIMIT_BOGUS\",\"soft\":1,\"hard\":1}]";
    CU_ASSERT_EQUAL(rig_do(&r, &s), DRAY_E_INVAL);
}

static void test_hooks(void)
{
    char top[8 * PATH_MAX], text[4096] = "", path[PATH_MAX + 16];
    rig_file("../hook", "#!/bin/sh\necho \"$1 $(cat)\" >> $2\n", 0755);
    (void)snprintf(path, sizeof path, "%s/hooked", rig_dir);
    (void)snprintf(top, sizeof top,
                   ",\"hooks\":{\"prestart\":[{\"path\":\"%s/hook\",\"args\":[\"h\",\"pre\","
                   "\"%s\"]}],\"poststop\":[{\"path\":\"%s/hook\",\"args\":[\"h\",\"post\","
                   "\"%s\"]}]}",
                   rig_dir, path, rig_dir, path);
    struct rig_spec s = {.top = top};
    CU_ASSERT_EQUAL(rig_do(&r, &s), 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        (void)close(fd);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "pre {"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, r.id));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "post {"));
    s.top = ",\"hooks\":{\"prestart\":[{\"path\":\"/bin/false\"}]}";
    CU_ASSERT(rig_do(&r, &s) < 0);
    CHECK_TEXT(r, "error running prestart hook");
    CU_ASSERT_FALSE(rig_cgroup_left(r.id));
}

static void test_leaves_nothing(void)
{
    char line[4096];
    FILE *f = fopen("/proc/self/mountinfo", "re");
    bool found = false;
    while (f && fgets(line, sizeof line, f))
        found = found || strstr(line, rig_dir);
    if (f)
        (void)fclose(f);
    CU_ASSERT_FALSE(found);
}

static const struct check_case cases[] = {
    {"exit codes", test_exit_codes},
    {"streams", test_streams},
    {"surroundings", test_surroundings},
    {"terminal", test_terminal},
    {"commands that cannot run", test_commands},
    {"users", test_users},
    {"rights", test_rights},
    {"seccomp", test_seccomp},
    {"masked and read-only paths", test_paths},
    {"mounts", test_mounts},
    {"hostile image", test_hostile_image},
    {"life", test_life},
    {"exec", test_exec},
    {"limits", test_limits},
    {"out of memory", test_oom},
    {"devices", test_devices},
    {"stats and processes", test_stats},
    {"joined namespaces", test_join},
    {"network parameters", test_network_parameters},
    {"groups below", test_groups_below},
    {"kill when frozen", test_kill_frozen},
    {"user namespace", test_user_namespace},
    {"rlimits", test_rlimits},
    {"hooks", test_hooks},
    {"leaves nothing behind", test_leaves_nothing},
};

int main(void)
{
    int rc = rig_open() ? check_main("runtime-native", cases, sizeof cases / sizeof cases[0]) : 0;
    if (!rig_self && getuid() == 0 && access("/bin/busybox", X_OK) == 0)
        rc = 1;
    rig_close();
    return rc;
}
