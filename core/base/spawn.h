/* SPDX-License-Identifier: Apache-2.0 */
/* spawn.h - starting helper programs without copying the caller's memory. */
#ifndef DRAY_BASE_SPAWN_H
#define DRAY_BASE_SPAWN_H

#include <dray/util.h>
#include <sys/types.h>

/** What the child gets. Descriptors not named are closed by O_CLOEXEC; all signals are reset. */
struct dray_spawn {
    const char *const *argv;
    const char *const *envp; /* NULL: the caller's */
    const int *fds;          /* child gets fds[i] as descriptor i; -1: /dev/null */
    size_t n_fds;
};

/** Start argv[0] (an absolute path). *pid_out is a child to be waited for. */
int dray_spawn(const struct dray_spawn *s, pid_t *pid_out, struct dray_err *err);
/** Wait for its end, at most timeout_ms: then it is killed. Its status as waitpid() gives it; -1
 * when it could not be waited for. */
int dray_spawn_wait(pid_t pid, int timeout_ms);
/** Folder of the running executable, absolute, without a slash at its end; owned by the caller. */
char *dray_spawn_self_dir(void);

#endif
