/* SPDX-License-Identifier: Apache-2.0 */
/* credhelper.c - runs docker-credential-* programs, which keep people's passwords. */
#include "client/config.h"

#include "base/fs.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <sys/wait.h>

static char *locate(const char *name)
{
    const char *path = getenv("PATH");
    for (path = path ? path : "/usr/bin"; *path;) {
        size_t n = strcspn(path, ":");
        char *full = cli_strf("%.*s/docker-credential-%s", (int)n, path, name);
        if (access(full, X_OK) == 0)
            return full;
        free(full);
        path += n + (path[n] == ':');
    }
    return NULL;
}

int credhelper_run(const char *name, const char *verb, const char *input, struct dray_buf *out,
                   struct dray_err *err)
{
    if (strchr(name, '/'))
        return dray_fail(err, DRAY_E_INVAL, "invalid credential helper name \"%s\"", name);
    dray_autofree char *program = locate(name);
    if (!program)
        return dray_fail(err, DRAY_E_NOTFOUND,
                         "exec: \"docker-credential-%s\": executable file not found in $PATH",
                         name);
    int in[2], back[2];
    if (pipe2(in, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "pipe");
    dray_autofd int in_r = in[0], in_w = in[1];
    if (pipe2(back, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "pipe");
    dray_autofd int back_r = back[0], back_w = back[1];
    const char *argv[] = {program, verb, NULL};
    int fds[3] = {in_r, back_w, STDERR_FILENO};
    pid_t pid = 0;
    struct dray_spawn s = {.argv = argv, .fds = fds, .n_fds = 3};
    int rc = dray_spawn(&s, &pid, err);
    if (rc != 0)
        return rc;
    dray_cleanup_fd(&in_r);
    in_r = -EBADF;
    dray_cleanup_fd(&back_w);
    back_w = -EBADF;
    (void)dray_fs_write_all(in_w, input, strlen(input), NULL);
    dray_cleanup_fd(&in_w);
    in_w = -EBADF;
    rc = dray_fs_read_fd(back_r, 1 << 20, out, err);
    int status = 0;
    (void)waitpid(pid, &status, 0);
    if (rc == 0 && status != 0)
        rc =
            dray_fail(err, DRAY_E_UNAUTH, "error %s credentials - %s",
                      strcmp(verb, "get") == 0 ? "getting" : "storing", out->data ? out->data : "");
    return rc;
}
