/* SPDX-License-Identifier: Apache-2.0 */
/* test_remap.c - "userns-remap": users, groups and their ranges; ids and paths as they are mapped.
 */
#include "engine/rootfs/remap.h"
#include "engine/rootfs/userns.h"

#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static void put(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void open_dir(void)
{
    (void)snprintf(dir, sizeof dir, "/tmp/test_remap.XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    put("passwd", "root:x:0:0::/:/bin/sh\nann:x:1001:2002::/:/bin/sh\nbob:x:1002:1002::/:/bin/sh\n"
                  "dockremap:x:110:110::/:/bin/false\nsmall:x:1003:1003::/:/bin/sh\n");
    put("group", "root:x:0:\nann:x:1001:\nstaff:x:2002:\nbob:x:1002:\ndockremap:x:110:\n"
                 "small:x:1003:\n");
    put("subuid", "# who has what\n\nann:100000:65536\nann:900000:65536\ndockremap:300000:70000\n"
                  "bob:500000:65536\nsmall:600000:65535\n");
    put("subgid", "ann:200000:65537\ndockremap:400000:65536\nstaff:700000:65536\n"
                  "small:600000:65536\n");
}

static void close_dir(void)
{
    static const char *const files[] = {"passwd", "group", "subuid", "subgid"};
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

struct remap_case {
    const char *setting;
    const char *failure; /* part of the message; NULL: it works */
    uint32_t uid, n_uid, gid, n_gid;
};

static const struct remap_case cases[] = {
    {"ann", NULL, 100000, 65536, 200000, 65537},
    {"1001", NULL, 100000, 65536, 200000, 65537},
    {"ann:staff", NULL, 100000, 65536, 200000, 65537},
    {"1001:2002", NULL, 100000, 65536, 200000, 65537},
    {"bob:staff", NULL, 500000, 65536, 700000, 65536}, /* by the group's name */
    {"default", NULL, 300000, 70000, 400000, 65536},
    {"bob", "no subgid ranges found for user \"bob\"", 0, 0, 0, 0},
    {"small", "has 65535 ids, 65536 are needed", 0, 0, 0, 0},
    {"eve", "Error during uid lookup for \"eve\"", 0, 0, 0, 0},
    {"4711", "Uid 4711 has no entry in", 0, 0, 0, 0},
    {"ann:eve", "Error during gid lookup for \"eve\"", 0, 0, 0, 0},
    {"ann:4711", "Gid 4711 has no entry in", 0, 0, 0, 0},
    {":ann", "Invalid user/group specification", 0, 0, 0, 0},
    {"ann:", "Invalid user/group specification", 0, 0, 0, 0},
    {"a:b:c", "Invalid user/group specification", 0, 0, 0, 0},
    {"99999999999", "Error during uid lookup for \"99999999999\"", 0, 0, 0, 0},
};

static void test_settings(void)
{
    open_dir();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct remap_case *c = &cases[i];
        struct dray_remap r = {.user = ""};
        struct dray_err err = {.text = ""};
        bool on = false;
        int rc = dray_remap_resolve(c->setting, dir, &r, &on, &err);
        CU_ASSERT_EQUAL(rc, c->failure ? DRAY_E_INVAL : 0);
        CU_ASSERT_EQUAL(on, !c->failure);
        if (c->failure && !strstr(err.text, c->failure))
            CU_FAIL(c->setting);
        CU_ASSERT_EQUAL(r.uid.first, c->uid);
        CU_ASSERT_EQUAL(r.uid.count, c->n_uid);
        CU_ASSERT_EQUAL(r.gid.first, c->gid);
        CU_ASSERT_EQUAL(r.gid.count, c->n_gid);
    }
    close_dir();
}

static void test_off(void)
{
    static const char *const settings[] = {"", "host", "root", "0", "0:0"};
    open_dir();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct dray_remap r;
        bool on = true;
        CU_ASSERT_EQUAL(dray_remap_resolve(settings[i], dir, &r, &on, NULL), 0);
        CU_ASSERT_FALSE(on);
    }
    close_dir();
}

static void test_bad_files(void)
{
    static const char *const texts[] = {
        "ann\n",        "ann:1\n", "ann:x:65536\n", "ann:1:65536:\n", "ann:4294900000:70000\n",
        "ann:0:65536\n"};
    open_dir();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct dray_remap r;
        bool on = true;
        put("subuid", texts[i]);
        CU_ASSERT_EQUAL(dray_remap_resolve("ann", dir, &r, &on, NULL), DRAY_E_INVAL);
        CU_ASSERT_FALSE(on);
    }
    close_dir();
}

static void test_ids(void)
{
    const struct dray_idrange r = {100000, 65536};
    CU_ASSERT_EQUAL(dray_idrange_out(r, 0), 100000);
    CU_ASSERT_EQUAL(dray_idrange_out(r, 65535), 165535);
    CU_ASSERT_EQUAL(dray_idrange_out(r, 65536), -1);
    CU_ASSERT_EQUAL(dray_idrange_out(r, -1), -1);
    CU_ASSERT_EQUAL(dray_idrange_in(r, 100000), 0);
    CU_ASSERT_EQUAL(dray_idrange_in(r, 165535), 65535);
    CU_ASSERT_EQUAL(dray_idrange_in(r, 165536), 65534);
    CU_ASSERT_EQUAL(dray_idrange_in(r, 0), 65534);
}

static void test_paths(void)
{
    static const struct {
        const char *text, *want;
    } paths[] = {
        {"/d/s/layers/a/diff", "/run/m/layers/a/diff"},
        {"upperdir=/d/s/layers/a/diff", "upperdir=/run/m/layers/a/diff"},
        {"lowerdir=/d/s/l/1:/d/s/l/2:/d/sx/3", "lowerdir=/run/m/l/1:/run/m/l/2:/d/sx/3"},
        {"lowerdir=/a\\:/d/s/l", "lowerdir=/a\\:/d/s/l"},
        {"/x/d/s/l", "/x/d/s/l"},
        {"overlay", "overlay"},
        {"", ""},
    };
    char from[] = "/d/s", to[] = "/run/m";
    const struct dray_userns_view v = {.from = from, .to = to};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        dray_autofree char *got = dray_userns_shift(&v, paths[i].text);
        CU_ASSERT_PTR_NOT_NULL_FATAL(got);
        CU_ASSERT_STRING_EQUAL(got, paths[i].want);
    }
}

/** A process in a user namespace of its own, that ends with its parent. */
static pid_t other_user_namespace(void)
{
    int ready[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || unshare(CLONE_NEWUSER) != 0)
            _exit(1);
        (void)close(ready[1]);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    char end;
    CU_ASSERT_EQUAL(read(ready[0], &end, 1), 0);
    (void)close(ready[0]);
    return pid;
}

/** Makes one pair after the other, until it is killed. */
static _Noreturn void make_pairs(const char *within, const char *user, const char *net)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        _exit(1);
    while (dray_userns_pair(NULL, within, user, net, NULL) == 0 && umount(net) == 0 &&
           umount(user) == 0)
        continue;
    _exit(1);
}

/** What makes namespaces is a copy of the daemon: it must not hold its connections after it. */
static void test_maker_ends_with_the_daemon(void)
{
#ifdef __SANITIZE_THREAD__
    return; /* its own thread in each process keeps that from entering a user namespace */
#endif
    if (geteuid() != 0)
        return;
    open_dir();
    put("user", "");
    put("net", "");
    char user[128], net[128], within[64];
    (void)snprintf(user, sizeof user, "%s/user", dir);
    (void)snprintf(net, sizeof net, "%s/net", dir);
    pid_t owner = other_user_namespace();
    (void)snprintf(within, sizeof within, "/proc/%d/ns/user", (int)owner);
    for (int round = 0; round < 40; round++) {
        int held[2];
        CU_ASSERT_EQUAL_FATAL(pipe2(held, O_CLOEXEC), 0);
        pid_t daemon = fork();
        if (daemon == 0)
            make_pairs(within, user, net);
        (void)close(held[1]);
        (void)usleep(3000 + (useconds_t)round * 97);
        (void)kill(daemon, SIGKILL);
        int status = 0;
        CU_ASSERT_EQUAL(waitpid(daemon, &status, 0), daemon);
        CU_ASSERT_TRUE(WIFSIGNALED(status));
        struct pollfd closed = {.fd = held[0], .events = POLLIN};
        CU_ASSERT_EQUAL(poll(&closed, 1, 5000), 1);
        (void)close(held[0]);
    }
    (void)kill(owner, SIGKILL);
    (void)waitpid(owner, NULL, 0);
    close_dir();
}

static const struct check_case all[] = {
    {"users, groups and ranges", test_settings},
    {"settings that ask for nothing", test_off},
    {"files that say nothing usable", test_bad_files},
    {"ids inside and outside", test_ids},
    {"paths of layers", test_paths},
    {"the maker of namespaces ends with the daemon", test_maker_ends_with_the_daemon},
};

CHECK_MAIN("remap", all)
