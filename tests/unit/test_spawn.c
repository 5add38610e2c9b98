/* SPDX-License-Identifier: Apache-2.0 */
/* test_spawn.c - starting programs: descriptors, environment, signals, failures. */
#include "check.h"

#include "base/fs.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static int finish(pid_t pid)
{
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Run a shell script with a pipe as its descriptor `at` and give back what it wrote there. */
static void run_script(const char *script, const char *const *envp, const int *fds, size_t n_fds,
                       int reader, struct dray_buf *out)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    const struct dray_spawn s = {.argv = argv, .envp = envp, .fds = fds, .n_fds = n_fds};
    pid_t pid = -1;
    CU_ASSERT_EQUAL_FATAL(dray_spawn(&s, &pid, NULL), 0);
    for (size_t i = 0; i < n_fds; i++)
        if (fds[i] > 2)
            (void)close(fds[i]);
    CU_ASSERT_EQUAL(dray_fs_read_fd(reader, 65536, out, NULL), 0);
    (void)close(reader);
    CU_ASSERT_EQUAL(finish(pid), 0);
}

static void places_descriptors(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    int pipes[2];
    CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
    /* 0 is /dev/null, 1 and 2 lie among the targets in the wrong order. */
    const int fds[] = {-1, pipes[1], 1, 0};
    static const char *const env[] = {"A=b", NULL};
    int hidden = fcntl(pipes[0], F_DUPFD_CLOEXEC, 77);
    CU_ASSERT_EQUAL(hidden, 77);
    run_script("readlink /proc/self/fd/0; echo $A; echo to-one >&1; test -e /proc/self/fd/3 && "
               "! test -e /proc/self/fd/77 && echo only",
               env, fds, 4, pipes[0], &b);
    (void)close(hidden);
    CU_ASSERT_STRING_EQUAL(b.data, "/dev/null\nb\nto-one\nonly\n");
}

static void resets_signals(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    int pipes[2];
    CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
    sigset_t set, old;
    sigfillset(&set);
    CU_ASSERT_EQUAL(sigprocmask(SIG_BLOCK, &set, &old), 0);
    CU_ASSERT(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    const int fds[] = {-1, pipes[1], -1};
    /* The first 28 signals: 32 and 33 are the C library's own. */
    run_script("sed -nE 's/^Sig(Blk|Ign):.*(.{7})$/\\1 \\2/p' /proc/self/status", NULL, fds, 3,
               pipes[0], &b);
    CU_ASSERT_EQUAL(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    CU_ASSERT_STRING_EQUAL(b.data, "Blk 0000000\nIgn 0000000\n");
}

static void fails_clearly(void)
{
    struct dray_err err = {0};
    pid_t pid = -1;
    const char *const none[] = {"/nonexistent/program", NULL};
    const char *const noexec[] = {"/etc/passwd", NULL};
    CU_ASSERT_EQUAL(dray_spawn(&(struct dray_spawn){.argv = none}, &pid, &err), DRAY_E_NOCMD);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/nonexistent/program"));
    CU_ASSERT_EQUAL(dray_spawn(&(struct dray_spawn){.argv = noexec}, &pid, &err), DRAY_E_NOEXEC);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
}

static void knows_its_folder(void)
{
    dray_autofree char *dir = dray_spawn_self_dir();
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    dray_autofd int fd = open(dir, O_PATH | O_CLOEXEC);
    CU_ASSERT_EQUAL(faccessat(fd, "test_spawn", X_OK, 0), 0);
}

static void what_hangs_is_ended(void)
{
    const char *const hangs[] = {"/bin/sleep", "1000", NULL}, *const ends[] = {"/bin/true", NULL};
    pid_t pid = 0;
    CU_ASSERT_EQUAL_FATAL(dray_spawn(&(struct dray_spawn){.argv = hangs}, &pid, NULL), 0);
    int status = dray_spawn_wait(pid, 50);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CU_ASSERT_EQUAL_FATAL(dray_spawn(&(struct dray_spawn){.argv = ends}, &pid, NULL), 0);
    CU_ASSERT_EQUAL(dray_spawn_wait(pid, 30000), 0);
}

static const struct check_case cases[] = {
    {"places descriptors", places_descriptors}, {"resets signals", resets_signals},
    {"fails clearly", fails_clearly},           {"what hangs is ended", what_hangs_is_ended},
    {"knows its folder", knows_its_folder},
};
CHECK_MAIN("spawn", cases)
