/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - dray-dns: the resolver of user-defined networks, for all containers of a daemon. */
#include "base/fs.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "dns/keeper.h"
#include "dns/protocol.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "dns"

/* Three descriptors a container, and one a forwarded question. */
static void raise_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static int open_places(const char *exec_root, int *dir_out, int *listener_out, struct dray_err *err)
{
    dray_autofd int root = open(exec_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return dray_fail_errno(err, "open %s", exec_root);
    dray_autofd int dir = -EBADF;
    int rc = dray_fs_open_dir(root, DRAY_DNS_DIR, 0700, &dir, err);
    rc = rc ? rc : dray_sock_listen_at(root, DRAY_DNS_SOCKET, SOCK_SEQPACKET, listener_out, err);
    if (!rc)
        *dir_out = dray_steal_fd(&dir);
    return rc;
}

int main(int argc, char **argv)
{
    int dir = -EBADF, listener = -EBADF;
    struct dray_err err = {0};
    if (argc != 2) {
        (void)fputs("usage: dray-dns EXEC_ROOT\nIt is started by drayd.\n", stderr);
        return 2;
    }
    dray_log_setup(DRAY_LOG_INFO, true);
    if (open_places(argv[1], &dir, &listener, &err)) {
        dray_error("%s", err.text);
        return 1;
    }
    /* Whoever started us may connect now; we go on without it. */
    pid_t pid = fork();
    if (pid != 0)
        return pid < 0 ? 1 : 0;
    (void)setsid();
    (void)signal(SIGPIPE, SIG_IGN);
    raise_limit();
    return dray_dns_keeper_main(dir, listener);
}
