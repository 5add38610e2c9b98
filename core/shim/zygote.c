/* SPDX-License-Identifier: Apache-2.0 */
/* zygote.c - loads the drivers once and forks a shim for each container. */
#include "shim/zygote.h"

#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "shim/drivers.h"
#include "shim/protocol.h"
#include "shim/shim.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>

#define DRAY_LOG_AREA "zygote"

/* The kernel's out-of-memory killer shall take containers before shims. Lowering the score needs
 * a capability that root of a confined machine may lack. */
static void protect_from_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "-999", 4) < 0)
        dray_debug("cannot lower oom_score_adj: %s", strerror(errno));
    (void)close(fd);
}

/* SIGPIPE gets a handler that does nothing: unlike an ignored signal it is not handed down to the
 * programs that a runtime starts. */
static void nothing(int sig)
{
    (void)sig;
}

static void reset_signals(void)
{
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = nothing, .sa_flags = SA_RESTART},
                    NULL);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become_shim(struct shim_drivers *drivers, struct json_object *body, int conn)
{
    (void)close(DRAY_SHIM_FD);
    (void)setsid(); /* its own group, too */
    reset_signals();
    (void)prctl(PR_SET_NAME, "dray-shim");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    return shim_main(drivers, dray_json_str(body, "id", ""), dray_json_str(body, "dir", ""), conn);
}

static void spawn(struct shim_drivers *drivers, struct dray_sockmsg *m)
{
    int conn = dray_sockmsg_take_fd(m, 0);
    if (!drivers || conn < 0 || !*dray_json_str(m->body, "id", "")) {
        dray_error("spawn: %s", drivers ? "the message is incomplete" : "it came before init");
        dray_cleanup_fd(&conn);
        return;
    }
    pid_t pid = fork();
    if (pid < 0)
        dray_error("spawn: fork: %s", strerror(errno));
    if (pid == 0) /* the drivers' instances are the zygote's: they are not closed here */
        _exit(become_shim(drivers, m->body, conn));
    (void)close(conn); /* the daemon sees its end close if there is no shim */
}

static void init(struct json_object *body, struct shim_drivers **drivers)
{
    struct dray_err err = {0};
    dray_log_setup((uint32_t)dray_json_int(body, "log_level", DRAY_LOG_INFO), false);
    if (*drivers)
        dray_error("init: came twice");
    else if (shim_drivers_open(body, drivers, &err))
        dray_error("init: %s", err.text);
    (void)signal(SIGCHLD, SIG_IGN); /* from now on children are shims: the kernel reaps them */
    (void)malloc_trim(0);
}

int shim_zygote_main(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN); /* the terminal's keys are for the daemon */
    (void)fcntl(DRAY_SHIM_FD, F_SETFD, FD_CLOEXEC);
    (void)prctl(PR_SET_NAME, "dray-zygote");
    protect_from_oom();
    struct shim_drivers *drivers = NULL;
    for (;;) {
        struct dray_err err = {0};
        DRAY_AUTO(dray_sockmsg) m = {0};
        int rc = dray_sockmsg_recv(DRAY_SHIM_FD, -1, &m, &err);
        if (rc == DRAY_E_UNAVAIL || rc == DRAY_E_IO)
            break;
        const char *op = rc ? "" : dray_json_str(m.body, "op", "");
        if (strcmp(op, "init") == 0)
            init(m.body, &drivers);
        else if (strcmp(op, "spawn") == 0)
            spawn(drivers, &m);
        else
            dray_error("message not understood: %s", rc ? err.text : op);
    }
    shim_drivers_close(drivers);
    return 0;
}
