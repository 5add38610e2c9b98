/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_worker.c - starts the worker without privileges, feeds it, replaces it. */
#include "dns/keeper_priv.h"

#include "base/helper.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "dns/worker.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define DRAY_LOG_AREA "dns"
#define ANSWER_MS 3000
#define NOBODY 65534
#define EMPTY ".empty"
#define CALM_MS 10000 /* a worker that ran so long is replaced at once */

/* An empty folder for a root, nobody's rights, no descriptor but its own. */
static int give_up_privileges(int dir, struct dray_err *err)
{
    if ((mkdirat(dir, EMPTY, 0555) && errno != EEXIST))
        return dray_fail_errno(err, "make %s", EMPTY);
    dray_autofd int empty = openat(dir, EMPTY, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (empty < 0 || fchdir(empty) || chroot("."))
        return dray_fail_errno(err, "change the root folder");
    if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
        setresuid(NOBODY, NOBODY, NOBODY))
        return dray_fail_errno(err, "become nobody");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL) ||
        prctl(PR_SET_DUMPABLE, 0))
        return dray_fail_errno(err, "give up privileges");
    return 0;
}

_Noreturn static void be_worker(const struct dray_dns_keeper *k, int control, int sockets)
{
    enum { CONTROL = 3, SOCKETS = 4 };
    struct dray_err err = {0};
    (void)prctl(PR_SET_NAME, "dray-dns-worker");
    if (give_up_privileges(k->dir, &err)) {
        dray_error("%s", err.text);
        _exit(1);
    }
    /* Both lie above what they are moved to: the keeper's listener and folder came first. */
    if (dup3(control, CONTROL, O_CLOEXEC) < 0 || dup3(sockets, SOCKETS, O_CLOEXEC) < 0 ||
        close_range(SOCKETS + 1, ~0U, 0))
        _exit(1);
    _exit(dray_dns_worker_main(CONTROL, SOCKETS));
}

void dray_dns_worker_end(struct dray_dns_keeper *k)
{
    if (k->control >= 0)
        (void)close(k->control);
    if (k->sockets >= 0)
        (void)close(k->sockets);
    k->control = k->sockets = -EBADF;
    if (k->worker > 0) {
        (void)kill(k->worker, SIGKILL);
        (void)waitpid(k->worker, NULL, 0);
    }
    k->worker = 0;
}

static int fork_worker(struct dray_dns_keeper *k, struct dray_err *err)
{
    int control[2], sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control))
        return dray_fail_errno(err, "make a socket pair");
    dray_autofd int c0 = control[0], c1 = control[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
        return dray_fail_errno(err, "make a socket pair");
    dray_autofd int s0 = sockets[0], s1 = sockets[1];
    pid_t pid = fork();
    if (pid < 0)
        return dray_fail_errno(err, "start the worker");
    if (pid == 0)
        be_worker(k, c1, s1);
    k->worker = pid;
    k->worker_since = dray_dns_now_ms();
    k->control = dray_steal_fd(&c0);
    k->sockets = dray_steal_fd(&s0);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = k->sockets};
    return epoll_ctl(k->epoll, EPOLL_CTL_ADD, k->sockets, &ev)
               ? dray_fail_errno(err, "watch the worker")
               : 0;
}

static int order(struct dray_dns_keeper *k, struct json_object *m, const int *fds, size_t n,
                 struct dray_err *err)
{
    DRAY_AUTO(dray_sockmsg) answer = {0};
    int rc = k->control < 0 ? dray_fail(err, DRAY_E_UNAVAIL, "the resolver does not run")
                            : dray_sockmsg_send(k->control, m, fds, n, err);
    rc = rc ? rc : dray_sockmsg_recv(k->control, ANSWER_MS, &answer, err);
    if (rc)
        return rc;
    int code = (int)dray_json_int(answer.body, "code", DRAY_E_INTERNAL);
    return code ? dray_fail(err, code, "the resolver refuses a container") : 0;
}

static int tell(struct dray_dns_keeper *k, struct dray_dns_sandbox *s, struct json_object *doc,
                struct dray_err *err)
{
    const int fds[] = {s->udp, s->tcp};
    dray_autojson *m = json_object_new_object();
    dray_json_add_str(m, "op", "set");
    dray_json_add(m, "doc", json_object_get(doc));
    int rc = order(k, m, fds, s->handed_over ? 0 : 2, err);
    s->handed_over = s->handed_over || !rc;
    return rc;
}

static void tell_all(struct dray_dns_keeper *k)
{
    for (struct dray_dns_sandbox *s = k->sandboxes; s; s = s->next) {
        dray_autojson *doc = NULL;
        struct dray_err err = {0};
        char name[DRAY_HELPER_DOC];
        s->handed_over = false;
        if (!dray_helper_doc_name(s->id, name) || dray_json_load(k->dir, name, &doc, &err))
            continue; /* opened only: its document will come */
        if (tell(k, s, doc, &err))
            dray_error("container %.12s: %s", s->id, err.text);
    }
}

int dray_dns_worker_start(struct dray_dns_keeper *k, struct dray_err *err)
{
    if (k->worker_since && dray_dns_now_ms() - k->worker_since < CALM_MS) {
        struct timespec pause = {.tv_nsec = 200000000};
        (void)nanosleep(&pause, NULL);
    }
    int rc = fork_worker(k, err);
    if (rc)
        dray_dns_worker_end(k);
    else
        tell_all(k);
    return rc;
}

/* One that hangs or has died is replaced; the new one is told everything, this order included. */
static int replace_worker(struct dray_dns_keeper *k, struct dray_err *err)
{
    dray_error("the resolver's worker is replaced: %s", err->text);
    dray_dns_worker_end(k);
    return dray_dns_worker_start(k, err);
}

int dray_dns_worker_set(struct dray_dns_keeper *k, struct dray_dns_sandbox *s,
                        struct json_object *doc, struct dray_err *err)
{
    struct dray_err why = {0};
    int rc = tell(k, s, doc, &why);
    if (rc == DRAY_E_UNAVAIL || rc == DRAY_E_TIMEOUT)
        return replace_worker(k, err ? err : &why);
    return rc ? dray_fail(err, rc, "%s", why.text) : 0;
}

void dray_dns_worker_drop(struct dray_dns_keeper *k, const char *id)
{
    struct dray_err err = {0};
    dray_autojson *m = json_object_new_object();
    dray_json_add_str(m, "op", "drop");
    dray_json_add_str(m, "id", id);
    if (order(k, m, NULL, 0, &err) && replace_worker(k, &err))
        dray_error("%s", err.text);
}
