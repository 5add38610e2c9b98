/* SPDX-License-Identifier: Apache-2.0 */
/* create.c - makes a container and starts its command. */
#include "chan.h"
#include "files.h"
#include "hooks.h"
#include "init.h"
#include "mount.h"
#include "namespaces.h"
#include "scope.h"
#include "state.h"

#include <dray/fsids.h>

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

/** Everything that a creation holds; what is still held at the end is undone. */
struct work {
    struct dray_self *self;
    const char *id;
    uint64_t deadline_ns;
    struct rn_spec spec;
    struct rn_state state;
    struct rn_filter filter;
    struct rn_cgroup cgroup;
    char cgroup_path[PATH_MAX];
    int chan[2]; /* ours, the process's */
    int proc, root, v2, pidfd;
    pid_t keeper; /* of the scope, until the process is in it */
    bool has_state, has_cgroups;
};

static void work_undo(struct work *w)
{
    rn_scope_release(&w->keeper);
    if (w->state.pid > 0) {
        (void)rn_pidfd_signal(w->pidfd, SIGKILL);
        while (waitpid(w->state.pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (w->has_cgroups)
        (void)rn_cg_remove(&w->cgroup, NULL);
    if (w->has_state)
        (void)rn_state_remove(w->self, w->id, NULL);
}

static void work_cleanup(struct work *w)
{
    int fds[] = {w->chan[0], w->chan[1], w->proc, w->root, w->v2, w->pidfd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    w->state.cgroup = w->state.bundle = NULL; /* borrowed here */
    rn_state_cleanup(&w->state);
    rn_filter_cleanup(&w->filter);
    rn_spec_cleanup(&w->spec);
}

static int open_binds(struct rn_spec *s, struct dray_err *err)
{
    for (size_t i = 0; i < s->n_mounts; i++) {
        struct rn_spec_mount *m = &s->mounts[i];
        struct rn_mount_opts o;
        if (!rn_mount_is_bind(m))
            continue;
        int rc = rn_mount_options(m->options.v, m->options.n, &o, err);
        if (rc == 0)
            rc = rn_mount_clone(AT_FDCWD, m->source, &o, &m->fd, err);
        if (rc != 0)
            return dray_err_note(err, "error mounting \"%.150s\" to rootfs at \"%.150s\"",
                                 m->source, m->dest);
    }
    return 0;
}

/** Has it ids of its own, in a user namespace that exists? */
static bool mapped(const struct rn_spec *s)
{
    return rn_ns_user(s) >= 0 && s->n_uid_map > 0 && s->n_gid_map > 0;
}

/** Of layers whose ids are mapped: the mount is made with ids that they have, and while the host's
 *  rights are there. */
static int open_mapped(struct work *w, const struct dray_mounts *list, struct dray_err *err)
{
    DRAY_AUTO(dray_fsids) was = {0};
    if (list->n > 1)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "a root of several mounts cannot be had in a user namespace");
    int rc = dray_fsids_take(w->spec.uid_map[0].outside, w->spec.gid_map[0].outside, &was, err);
    if (rc == 0)
        rc = rn_rootfs_new(&list->v[0], &w->root, err);
    if (rc == 0 && w->root < 0)
        rc = rn_rootfs_apart(&list->v[0], w->spec.root, &w->root, err);
    return rc;
}

/** The root, detached: the storage driver's first mount, or the folder itself. */
static int open_root(struct work *w, const struct dray_run_spec *run, struct dray_err *err)
{
    if (rn_mkdirs(w->spec.root, 0755) != 0)
        return dray_fail_errno(err, "make %s", w->spec.root);
    if (run->rootfs.n > 0)
        return mapped(&w->spec) ? open_mapped(w, &run->rootfs, err)
                                : rn_rootfs_new(&run->rootfs.v[0], &w->root, err);
    const struct rn_mount_opts o = {.bind = true, .rec = true};
    return rn_mount_clone(AT_FDCWD, w->spec.root, &o, &w->root, err);
}

static int open_all(struct work *w, const struct dray_run_spec *run, struct dray_err *err)
{
    struct rn_spec *s = &w->spec;
    int rc = rn_cg_path(w->id, s->cgroups_path, w->cgroup_path, err);
    if (rc == 0 && s->seccomp)
        rc =
            rn_seccomp_get(w->self->run, w->state.dir, s->seccomp, s->seccomp_len, &w->filter, err);
    if (rc == 0)
        rc = rn_ns_open(s, err);
    if (rc == 0)
        rc = open_root(w, run, err);
    if (rc == 0)
        rc = open_binds(s, err);
    if (rc == 0)
        rc = rn_chan_open(w->chan, err);
    if (rc != 0)
        return rc;
    w->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (w->proc < 0)
        return dray_fail_errno(err, "open /proc");
    return 0;
}

/** The v2 group, so that the process can be born in it. Beside v1 it is a luxury. */
static int open_v2(struct work *w, struct dray_err *err)
{
    const struct rn_cg_layout *l = w->cgroup.layout;
    if (!l->v2.mount)
        return 0;
    w->has_cgroups = true;
    int rc = rn_scope_make(&w->cgroup, &w->keeper, err);
    if (rc != 0)
        return rc;
    rc = rn_cg_make_v2(&w->cgroup, l->unified ? err : NULL);
    if (rc == 0 && (w->v2 = rn_cg_open(&w->cgroup, &l->v2)) < 0)
        rc = dray_fail_errno(err, "open cgroup %s%s", l->v2.mount, w->cgroup_path);
    return l->unified ? rc : 0;
}

static void fill_task(struct work *w, const struct dray_run_spec *run, struct rn_task *t)
{
    const int io[3] = {run->io.in.fd, run->io.out.fd, run->io.err.fd};
    *t = (struct rn_task){
        .self = w->self,
        .id = w->id,
        .process = &w->spec.process,
        .filter = &w->filter,
        .chan = w->chan[1],
        .proc = w->proc,
        .terminal = run->terminal != 0,
        .rows = run->rows ? run->rows : w->spec.process.rows,
        .cols = run->cols ? run->cols : w->spec.process.cols,
        .cgroup = w->cgroup,
    };
    for (int i = 0; i < 3; i++)
        t->io[i] = io[i];
}

static int raise_limits(void *arg, struct dray_err *err)
{
    return rn_task_raise(arg, err);
}

static int clone_init(struct work *w, const struct dray_run_spec *run, struct dray_err *err)
{
    struct rn_init in = {.spec = &w->spec, .run = run, .root = w->root, .parent = w->chan[0]};
    fill_task(w, run, &in.task);
    /* The cgroup namespace comes later: its root is the group that the process is in by then. */
    struct rn_clone how = {.flags = w->spec.ns_new & ~(uint64_t)CLONE_NEWCGROUP,
                           .pid_ns = -1,
                           .cgroup = w->v2,
                           .user_ns = rn_ns_user(&w->spec),
                           .before = raise_limits,
                           .arg = &in.task};
    for (size_t i = 0; i < w->spec.n_join; i++) {
        w->state.namespaces |= w->spec.join[i].flag;
        if (w->spec.join[i].flag == CLONE_NEWPID)
            how.pid_ns = w->spec.join[i].fd;
    }
    w->state.namespaces |= w->spec.ns_new;
    pid_t pid = -1;
    if (mapped(&w->spec))
        rn_task_give(&run->io, w->spec.uid_map[0].outside, w->spec.gid_map[0].outside);
    int rc = rn_ns_clone(&how, &pid, &w->pidfd, err);
    if (rc != 0)
        return rc;
    if (pid == 0)
        rn_init_main(&in);
    rn_scope_release(&w->keeper);
    w->state.pid = pid;
    (void)close(dray_steal_fd(&w->chan[1]));
    return 0;
}

/** While the process sets up its mounts: its ids, its cgroups, and what we remember of it. */
static int serve(struct work *w, const struct dray_run_spec *run, struct dray_err *err)
{
    const struct rn_spec *s = &w->spec;
    int rc = 0;
    if (s->ns_new & CLONE_NEWUSER) {
        rc = rn_ns_map(s, w->state.pid, err);
        if (rc == 0 && rn_chan_send(w->chan[0], RN_WORD_MAPPED, NULL, -1) != 0)
            return DRAY_OK; /* it has died: the next step says why */
    }
    w->has_cgroups = true;
    if (rc == 0)
        rc = rn_cg_make_v1(&w->cgroup, err);
    if (rc == 0)
        rc = rn_cg_apply(&w->cgroup, s->resources, true, err);
    if (rc == 0)
        (void)rn_chan_send(w->chan[0], RN_WORD_CGROUPS, NULL, -1);
    if (rc != 0)
        return rc;
    w->state.start = rn_proc_start_time(w->state.pid);
    w->state.cgroup = w->cgroup_path;
    w->state.bundle = (char *)(uintptr_t)run->bundle;
    w->state.hooks = (s->poststart.n ? (unsigned)RN_HOOKS_POSTSTART : 0u) |
                     (s->poststop.n ? (unsigned)RN_HOOKS_POSTSTOP : 0u);
    return rn_state_write(&w->state, err);
}

static int run_hooks(struct work *w, struct dray_err *err)
{
    const struct rn_spec *s = &w->spec;
    int rc =
        rn_hooks_run(&s->prestart, "prestart", w->id, w->state.pid, s->bundle, "creating", err);
    if (rc == 0)
        rc = rn_hooks_run(&s->create_runtime, "createRuntime", w->id, w->state.pid, s->bundle,
                          "creating", err);
    if (rc == 0)
        (void)rn_chan_send(w->chan[0], RN_WORD_HOOKED, NULL, -1);
    return rc;
}

static int died(struct work *w, struct dray_err *err)
{
    int status = 0;
    pid_t pid = w->state.pid;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    w->state.pid = 0;
    if (WIFSIGNALED(status))
        return dray_fail(err, DRAY_E_IO,
                         "the container's first process was killed by signal %d during its setup%s",
                         WTERMSIG(status),
                         rn_cg_oom_kills(&w->cgroup) ? ": the memory limit is too low" : "");
    return dray_fail(err, DRAY_E_INTERNAL, "the container's first process ended during its setup");
}

static int until_ready(struct work *w, int *terminal, struct dray_err *err)
{
    for (;;) {
        enum rn_word word = RN_WORD_END;
        struct dray_err failed = {.code = DRAY_E_INTERNAL};
        int rc = rn_chan_recv(w->chan[0], w->deadline_ns, &word, &failed, terminal, err);
        if (rc == 0 && word == RN_WORD_HOOKS)
            rc = run_hooks(w, err);
        if (rc != 0)
            return rc;
        if (word == RN_WORD_READY)
            return 0;
        if (word == RN_WORD_FAILED) {
            if (err)
                *err = failed;
            return failed.code;
        }
        if (word == RN_WORD_END)
            return died(w, err);
    }
}

/* Keep the channel of a created container until it is started. */
static int pending_add(struct dray_self *self, const char *id, int chan /* takes */)
{
    struct rn_pending *p = calloc(1, sizeof *p);
    char *name = strdup(id);
    if (!p || !name) {
        free(p);
        free(name);
        (void)close(chan);
        return DRAY_E_NOMEM;
    }
    p->id = name;
    p->chan = chan;
    (void)pthread_mutex_lock(&self->lock);
    p->next = self->pending;
    self->pending = p;
    (void)pthread_mutex_unlock(&self->lock);
    return 0;
}

static int create(struct work *w, const struct dray_run_spec *run, struct dray_proc *out,
                  struct dray_err *err)
{
    int terminal = -1;
    int rc = rn_state_new(w->self, w->id, &w->state.dir, err);
    if (rc != 0)
        return rc;
    w->has_state = true;
    rc = open_all(w, run, err);
    if (rc == 0)
        rc = open_v2(w, err);
    if (rc == 0)
        rc = clone_init(w, run, err);
    if (rc == 0)
        rc = serve(w, run, err);
    if (rc == 0)
        rc = until_ready(w, &terminal, err);
    if (rc == 0)
        rc = pending_add(w->self, w->id, dray_steal_fd(&w->chan[0]));
    if (rc != 0) {
        if (terminal >= 0)
            (void)close(terminal);
        return rc;
    }
    out->pid = w->state.pid;
    out->pidfd.fd = dray_steal_fd(&w->pidfd);
    out->terminal.fd = terminal;
    return 0;
}

int32_t rn_create(struct dray_self *self, const struct dray_call *call, const char *id,
                  const struct dray_run_spec *run, struct dray_proc *out, struct dray_err *err)
{
    __attribute__((cleanup(work_cleanup))) struct work w = {
        .self = self,
        .id = id,
        .deadline_ns = call ? call->deadline_ns : 0,
        .state = {.dir = -EBADF},
        .chan = {-EBADF, -EBADF},
        .proc = -EBADF,
        .root = -EBADF,
        .v2 = -EBADF,
        .pidfd = -EBADF,
    };
    w.cgroup =
        (struct rn_cgroup){.layout = &self->cgroups, .path = w.cgroup_path, .host = self->host};
    int rc = rn_spec_load(run->bundle, &w.spec, err);
    if (rc == 0)
        rc = create(&w, run, out, err);
    if (rc != 0)
        work_undo(&w);
    return rc;
}

/* Start. */

int rn_pending_take(struct dray_self *self, const char *id)
{
    int chan = -1;
    struct rn_pending *hit = NULL;
    (void)pthread_mutex_lock(&self->lock);
    for (struct rn_pending **p = &self->pending; *p; p = &(*p)->next)
        if (strcmp((*p)->id, id) == 0) {
            hit = *p;
            *p = hit->next;
            break;
        }
    (void)pthread_mutex_unlock(&self->lock);
    if (hit) {
        chan = hit->chan;
        free(hit->id);
        free(hit);
    }
    return chan;
}

static int poststart(const struct rn_state *st, const char *id, struct dray_err *err)
{
    __attribute__((cleanup(rn_spec_cleanup))) struct rn_spec s = {.n_mounts = 0};
    int rc = rn_spec_load(st->bundle, &s, err);
    return rc != 0
               ? rc
               : rn_hooks_run(&s.poststart, "poststart", id, st->pid, st->bundle, "running", err);
}

int32_t rn_start(struct dray_self *self, const struct dray_call *call, const char *id,
                 struct dray_err *err)
{
    __attribute__((cleanup(rn_state_cleanup))) struct rn_state st = {.dir = -EBADF};
    int rc = rn_state_read(self, id, &st, err);
    if (rc != 0)
        return rc;
    dray_autofd int chan = rn_pending_take(self, id);
    if (chan < 0)
        return dray_fail(err, DRAY_E_CONFLICT,
                         st.started ? "container %s is already started"
                                    : "container %s was created by a process that has ended",
                         id);
    rc = rn_state_mark_started(&st, err);
    if (rc != 0)
        return rc;
    (void)rn_chan_send(chan, RN_WORD_START, NULL, -1);
    enum rn_word word = RN_WORD_END;
    struct dray_err failed = {.code = DRAY_E_INTERNAL};
    rc = rn_chan_recv(chan, call ? call->deadline_ns : 0, &word, &failed, NULL, err);
    if (rc == 0 && word == RN_WORD_FAILED) {
        if (err)
            *err = failed;
        rc = failed.code;
    }
    /* The shim that called us stays for as long as the container runs. */
    (void)malloc_trim(0);
    if (rc == 0 && (st.hooks & RN_HOOKS_POSTSTART)) {
        struct dray_err why = {.code = 0};
        if (poststart(&st, id, &why) != 0)
            dray_host_logf(self->host, DRAY_LOG_WARN, "%s", why.text);
    }
    return rc;
}
