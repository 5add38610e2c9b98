/* SPDX-License-Identifier: Apache-2.0 */
/* test_mount_detached.c - overlays that are mounted for nobody else, on this kernel and on older
 * ones. */
#include "engine/rootfs/mount_detached.h"

#include "check.h"

#include <dray/util.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static bool write_file(int at, const char *name, const char *text)
{
    dray_autofd int fd = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Two lower folders, an upper one. */
static void make_folders(void)
{
    static const char *const names[] = {"a", "b", "upper", "work"};
    (void)snprintf(dir, sizeof dir, "/tmp/test_mount.XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    dray_autofd int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(mkdirat(at, names[i], 0755), 0);
    CU_ASSERT_TRUE_FATAL(write_file(at, "a/one", "1") && write_file(at, "b/two", "2"));
}

static void remove_folders(void)
{
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* 0, or the number of the step that failed. */
static int mount_and_look(bool rdonly)
{
    char lower[160], upper[80], work[80];
    (void)snprintf(lower, sizeof lower, "lowerdir=%s/a:%s/b", dir, dir);
    (void)snprintf(upper, sizeof upper, "upperdir=%s/upper", dir);
    (void)snprintf(work, sizeof work, "workdir=%s/work", dir);
    const char *options[] = {lower, rdonly ? "ro" : upper, work};
    const struct dray_mount m = {.size = sizeof m,
                                 .type = "overlay",
                                 .source = "overlay",
                                 .target = "",
                                 .options = {options, rdonly ? 2 : 3}};
    struct dray_err err = {.text = ""};
    dray_autofd int fd = -EBADF;
    if (dray_mount_detached(&m, rdonly, NULL, &fd, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    if (faccessat(fd, "one", F_OK, 0) != 0 || faccessat(fd, "two", F_OK, 0) != 0)
        return 2;
    if (write_file(fd, "three", "3") == rdonly)
        return 3;
    struct stat st;
    return !rdonly && (fstatat(AT_FDCWD, upper + strlen("upperdir="), &st, 0) != 0) ? 4 : 0;
}

/* As before Linux 6.8, where an overlay's lower folders cannot be set one by one. */
static bool be_old(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsconfig, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int in_child(bool old, bool rdonly)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(old && !be_old() ? 9 : mount_and_look(rdonly));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_overlay(void)
{
    for (int i = 0; i < 4; i++) {
        make_folders();
        CU_ASSERT_EQUAL(in_child(i & 1, i & 2), 0);
        remove_folders();
    }
}

static void test_failure(void)
{
    const char *options[] = {"lowerdir=/no/such:/no/other", "ro"};
    const struct dray_mount m = {.size = sizeof m,
                                 .type = "overlay",
                                 .source = "overlay",
                                 .target = "",
                                 .options = {options, 2}};
    struct dray_err err = {.text = ""};
    int fd = -EBADF;
    CU_ASSERT_NOT_EQUAL(dray_mount_detached(&m, true, NULL, &fd, &err), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "No such file or directory"));
    CU_ASSERT_EQUAL(fd, -EBADF);
}

static const struct check_case all[] = {
    {"an overlay, by the newer calls and by mount(2)", test_overlay},
    {"folders that are not there", test_failure},
};

CHECK_MAIN("mount-detached", all)
