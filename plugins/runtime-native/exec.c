/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c - runs one more process in a container. */
#include "chan.h"
#include "console.h"
#include "files.h"
#include "init.h"
#include "namespaces.h"
#include "state.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define REAP_MS 200
#define LOOK_MS 250 /* how soon a pause is noticed */

/** What the making of an exec holds. */
struct work {
    struct dray_self *self;
    const char *id;
    const struct dray_exec_spec *spec;
    struct json_object *doc;
    struct rn_arena arena;
    struct rn_process process;
    struct rn_state state;
    struct rn_filter filter;
    struct rn_cgroup cgroup;
    int chan[2], proc, init, v2, pidfd;
    pid_t pid;            /* the process that joins */
    volatile pid_t *goes; /* the one that goes on in the pid namespace, in memory shared with it */
};

static void work_cleanup(struct work *w)
{
    int fds[] = {w->chan[0], w->chan[1], w->proc, w->init, w->v2, w->pidfd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    if (w->goes)
        (void)munmap((void *)(uintptr_t)w->goes, sizeof *w->goes);
    rn_state_cleanup(&w->state);
    rn_filter_cleanup(&w->filter);
    (void)json_object_put(w->doc);
    rn_arena_cleanup(&w->arena);
}

/** All but the pid namespace, which is for the process's child. */
static int set_up(struct rn_task *t, const struct work *w, int *master, struct dray_err *err)
{
    int flags = (int)(w->state.namespaces & ~UINT64_C(0x80)); /* no time namespace: its offsets
                                                                 are for children only */
    int rc = rn_cg_join_v1(&t->cgroup, err);
    if (rc == 0 && (flags & CLONE_NEWUSER))
        rc = rn_task_raise(t, err);
    if (rc == 0 && setns(w->init, flags) != 0)
        rc = errno == ESRCH ? dray_fail(err, DRAY_E_CONFLICT, "the container is not running")
                            : dray_fail_errno(err, "enter the container's namespaces");
    if (rc == 0 && (flags & CLONE_NEWUSER) &&
        (syscall(SYS_setresgid, 0, 0, 0) != 0 || syscall(SYS_setresuid, 0, 0, 0) != 0))
        rc = dray_fail_errno(err, "become root of the user namespace");
    rn_task_keys(t->id);
    dray_autofd int root = rc == 0 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
    if (rc == 0 && root < 0)
        rc = dray_fail_errno(err, "open the container's root");
    if (rc == 0)
        rc = rn_userdb_find(root, &t->process->user, &t->ids, err);
    int slave = -EBADF;
    if (rc == 0 && t->terminal)
        rc = rn_console_open(root, t->rows, t->cols, master, &slave, err);
    for (int i = 0; i < 3 && t->terminal; i++)
        t->io[i] = slave;
    return rc == 0 ? rn_task_labels(t, err) : rc;
}

/** From here on processes of the container see this one, and those that may trace each other look
 *  into it and write to its memory: it is in the container's root, holds nothing of the host's, and
 *  has the container's rights, but for the one that loading a filter may need. */
static int show_up(struct rn_task *t, const struct work *w, struct dray_err *err)
{
    int rc = w->goes ? rn_ns_step(w->goes, err) : 0;
    if (rc == 0 && setsid() < 0)
        rc = dray_fail_errno(err, "setsid");
    return rc == 0 && t->terminal ? rn_console_control(0, err) : rc;
}

static _Noreturn void exec_main(struct rn_task *t, const struct work *w)
{
    struct dray_err err = {.code = DRAY_E_INTERNAL};
    int master = -EBADF;
    (void)close(w->chan[0]);
    rn_reset_signals();
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    int rc = set_up(t, w, &master, &err);
    if (rc == 0 && master >= 0)
        (void)rn_chan_send(t->chan, RN_WORD_READY, NULL, master);
    if (rc == 0)
        rc = rn_task_descriptors(t, &err);
    if (rc == 0)
        rc = rn_task_rights(t, &err);
    if (rc == 0)
        rc = show_up(t, w, &err);
    if (rc == 0)
        (void)rn_task_exec(t, &err);
    rn_task_fail(t, &err);
}

static void fill_task(const struct work *w, struct rn_task *t)
{
    const struct dray_exec_spec *spec = w->spec;
    const int io[3] = {spec->io.in.fd, spec->io.out.fd, spec->io.err.fd};
    *t = (struct rn_task){
        .self = w->self,
        .id = w->id,
        .process = &w->process,
        .filter = &w->filter,
        .chan = w->chan[1],
        .proc = w->proc,
        .terminal = spec->terminal != 0,
        .rows = spec->rows ? spec->rows : w->process.rows,
        .cols = spec->cols ? spec->cols : w->process.cols,
        .cgroup = w->cgroup,
    };
    for (int i = 0; i < 3; i++)
        t->io[i] = io[i];
}

/** The group that the container's first process is in now: it may have moved down, and then no
 *  process may be put into the one above. */
static int open_inner(const struct work *w)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof path, "%d/cgroup", (int)w->state.pid);
    if (rn_read_at(w->proc, path, text, sizeof text) <= 0)
        return -1;
    const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return -1;
    char full[PATH_MAX];
    const char *in = line + (*line == '\n' ? 4 : 3);
    int n = snprintf(full, sizeof full, "%s%.*s", w->self->cgroups.v2.mount, (int)strcspn(in, "\n"),
                     in);
    return n < 0 || (size_t)n >= sizeof full ? -1 : open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int clone_exec(struct work *w, struct dray_err *err)
{
    struct rn_task t;
    fill_task(w, &t);
    if (w->self->cgroups.v2.mount)
        w->v2 = rn_cg_open(&w->cgroup, &w->self->cgroups.v2);
    struct rn_clone how = {.pid_ns = -1, .cgroup = w->v2, .user_ns = -1};
    int rc = rn_ns_clone(&how, &w->pid, &w->pidfd, err);
    if (rc != 0 && errno == EBUSY && how.cgroup >= 0) {
        (void)close(dray_steal_fd(&w->v2));
        how.cgroup = w->v2 = open_inner(w);
        rc = rn_ns_clone(&how, &w->pid, &w->pidfd, err);
    }
    if (rc != 0)
        return rc;
    if (w->pid == 0)
        exec_main(&t, w);
    (void)close(dray_steal_fd(&w->chan[1]));
    return 0;
}

static int fail_paused(const struct work *w, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_CONFLICT,
                     "Container %s is paused, unpause the container before exec", w->id);
}

static int prepare(struct work *w, struct dray_err *err)
{
    const char *id = w->id;
    int rc = rn_state_read(w->self, id, &w->state, err);
    if (rc == 0)
        rc = rn_state_pidfd(&w->state, id, &w->init, err);
    if (rc == 0)
        rc = rn_json_parse(w->spec->process, strlen(w->spec->process), &w->doc, err);
    if (rc == 0)
        rc = rn_process_parse(w->doc, &w->arena, &w->process, err);
    if (rc == 0)
        rc = rn_seccomp_of(w->state.dir, &w->filter, err);
    if (rc == 0)
        rc = rn_chan_open(w->chan, err);
    if (rc != 0)
        return rc;
    w->cgroup = (struct rn_cgroup){
        .layout = &w->self->cgroups, .path = w->state.cgroup, .host = w->self->host};
    if (rn_cg_frozen(&w->cgroup))
        return fail_paused(w, err);
    w->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (w->proc < 0)
        return dray_fail_errno(err, "open /proc");
    if (!(w->state.namespaces & CLONE_NEWPID))
        return 0;
    void *shared =
        mmap(NULL, sizeof *w->goes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return dray_fail_errno(err, "share memory with an exec");
    w->goes = shared;
    return 0;
}

/** The streams are the container's to open anew. */
static void give_streams(const struct work *w)
{
    uid_t uid = 0;
    gid_t gid = 0;
    if ((w->state.namespaces & CLONE_NEWUSER) &&
        rn_ns_root_of(w->proc, w->state.pid, &uid, &gid) == 0)
        rn_task_give(&w->spec->io, uid, gid);
}

/** Until there is something to hear, or the time is over. A pause that came meanwhile holds the
 *  process up as well, and is not waited for. */
static int listen_to(const struct work *w, uint64_t deadline_ns, struct dray_err *err)
{
    while (!rn_chan_ready(w->chan[0], deadline_ns, LOOK_MS))
        if (rn_cg_frozen(&w->cgroup))
            return fail_paused(w, err);
    return 0;
}

/** Until the exec has closed the channel. The terminal comes before the process shows up in the
 *  container: what comes later may be others' words. */
static int await(struct work *w, uint64_t deadline_ns, int *terminal, struct dray_err *err)
{
    struct dray_err failed = {.code = 0};
    for (;;) {
        enum rn_word word = RN_WORD_END;
        bool wanted = w->spec->terminal && *terminal < 0;
        int rc = listen_to(w, deadline_ns, err);
        if (rc == 0)
            rc = rn_chan_recv(w->chan[0], deadline_ns, &word, &failed, wanted ? terminal : NULL,
                              err);
        if (rc != 0)
            return rc;
        if (word != RN_WORD_END)
            continue;
        if (err && failed.code)
            *err = failed;
        return failed.code;
    }
}

/** Wait for the end of a process, but not of one that the container's pause keeps from it: it ends
 *  when that does, and whoever has called waits for all of its children. */
static void reap(pid_t pid, int pidfd)
{
    struct pollfd gone = {.fd = pidfd, .events = POLLIN};
    while (poll(&gone, 1, REAP_MS) < 0 && errno == EINTR)
        ;
    (void)waitpid(pid, NULL, WNOHANG);
}

/** The one that joined has ended or is ended, and the one that goes on takes its place. */
static int follow(struct work *w, int rc, struct dray_err *err)
{
    if (w->pid <= 0 || !w->goes)
        return rc;
    if (rc != 0)
        (void)rn_pidfd_signal(w->pidfd, SIGKILL);
    reap(w->pid, w->pidfd);
    w->pid = *w->goes > 0 ? *w->goes : -1;
    (void)close(dray_steal_fd(&w->pidfd));
    if (w->pid < 0)
        return rc != 0 ? rc : dray_fail(err, DRAY_E_INTERNAL, "the process of the exec has died");
    w->pidfd = rn_pidfd_open(w->pid); /* nobody has waited for it: it is that one */
    return rc != 0 || w->pidfd >= 0 ? rc : dray_fail_errno(err, "watch the process of the exec");
}

int32_t rn_exec(struct dray_self *self, const struct dray_call *call, const char *id,
                const struct dray_exec_spec *spec, struct dray_proc *out, struct dray_err *err)
{
    __attribute__((cleanup(work_cleanup))) struct work w = {
        .self = self,
        .id = id,
        .spec = spec,
        .state = {.dir = -EBADF},
        .chan = {-EBADF, -EBADF},
        .proc = -EBADF,
        .init = -EBADF,
        .v2 = -EBADF,
        .pidfd = -EBADF,
        .pid = -1,
    };
    int terminal = -1;
    int rc = prepare(&w, err);
    if (rc == 0)
        give_streams(&w);
    if (rc == 0)
        rc = clone_exec(&w, err);
    if (rc == 0)
        rc = await(&w, call ? call->deadline_ns : 0, &terminal, err);
    rc = follow(&w, rc, err);
    if (rc != 0) {
        if (terminal >= 0)
            (void)close(terminal);
        if (w.pid > 0) {
            (void)kill(w.pid, SIGKILL); /* a child that nobody has waited for */
            reap(w.pid, w.pidfd);
        }
        return rc;
    }
    out->pid = w.pid;
    out->pidfd.fd = dray_steal_fd(&w.pidfd);
    out->terminal.fd = terminal;
    return 0;
}
