/* SPDX-License-Identifier: Apache-2.0 */
/* finish.c - the last steps of a process before its exec: identity, rights, streams. */
#include "caps.h"
#include "chan.h"
#include "console.h"
#include "files.h"
#include "init.h"
#include "program.h"
#include "rlimits.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define CHAN_FD 3
#define CAP_SYS_ADMIN_BIT (UINT64_C(1) << 21)

_Noreturn void rn_task_fail(const struct rn_task *t, const struct dray_err *err)
{
    (void)rn_chan_send(t->chan, RN_WORD_FAILED, err, -1);
    _exit(err->code == DRAY_E_NOCMD ? 127 : 126);
}

void rn_task_keys(const char *id)
{
    char name[160];
    (void)snprintf(name, sizeof name, "_ses.%s", id);
    /* Execs get the same ring by its name. A kernel without keys has none to leak. */
    (void)syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, name);
}

/** An id outside of the user namespace's 0. */
static int root_of(int proc, pid_t pid, const char *file, uint32_t *out)
{
    char path[48], text[4096];
    unsigned inside = 0, outside = 0;
    (void)snprintf(path, sizeof path, "%d/%s", (int)pid, file);
    if (rn_read_at(proc, path, text, sizeof text) <= 0 ||
        sscanf(text, "%u %u", &inside, &outside) != 2 || inside != 0)
        return -1;
    *out = outside;
    return 0;
}

int rn_ns_root_of(int proc, pid_t pid, uid_t *uid, gid_t *gid)
{
    return root_of(proc, pid, "uid_map", uid) == 0 ? root_of(proc, pid, "gid_map", gid) : -1;
}

void rn_task_give(const struct dray_stdio *io, uid_t uid, gid_t gid)
{
    const int fds[3] = {io->in.fd, io->out.fd, io->err.fd};
    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        if (fds[i] < 0 || fstat(fds[i], &st) != 0 ||
            !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
            continue;
        if (fchown(fds[i], uid, gid) != 0)
            continue; /* it works all the same, but for /dev/stdout and its like */
    }
}

static int set_oom_score(const struct rn_task *t, struct dray_err *err)
{
    const struct rn_process *p = t->process;
    if (p->has_oom_score && rn_read_int_at(t->proc, "self/oom_score_adj", 0) != p->oom_score &&
        rn_writef_at(t->proc, "self/oom_score_adj", "%d", p->oom_score) != 0)
        return dray_fail_errno(err, "write %d to oom_score_adj", p->oom_score);
    return 0;
}

int rn_task_raise(const struct rn_task *t, struct dray_err *err)
{
    rn_rlimits_raise(t->process);
    return set_oom_score(t, err);
}

static int write_label(const struct rn_task *t, const char *const *files, const char *text,
                       const char *what, struct dray_err *err)
{
    for (; *files; files++) {
        if (rn_write_at(t->proc, *files, text) == 0)
            return 0;
        if (errno != ENOENT && errno != EINVAL)
            return dray_fail_errno(err, "apply %s \"%s\"", what, text);
    }
    return dray_fail(err, DRAY_E_NOTSUP, "this kernel cannot apply %s \"%s\"", what, text);
}

int rn_task_labels(const struct rn_task *t, struct dray_err *err)
{
    const struct rn_process *p = t->process;
    int rc = set_oom_score(t, err);
    if (rc == 0 && p->apparmor && t->self->apparmor) {
        static const char *const files[] = {"self/attr/apparmor/exec", "self/attr/exec", NULL};
        char text[300];
        (void)snprintf(text, sizeof text, "exec %s", p->apparmor);
        errno = 0;
        rc = write_label(t, files, text, "AppArmor profile", err);
        if (rc == DRAY_E_NOTSUP && errno == ENOENT)
            rc = dray_fail(err, DRAY_E_INVAL,
                           "unable to apply apparmor profile: \"%s\" is not loaded into the kernel",
                           p->apparmor);
    }
    if (rc == 0 && p->selinux && t->self->selinux) {
        static const char *const files[] = {"self/attr/exec", NULL};
        rc = write_label(t, files, p->selinux, "SELinux label", err);
    }
    return rc;
}

static void close_from(unsigned first)
{
    if (syscall(SYS_close_range, first, ~0u, 0) == 0)
        return;
    for (unsigned fd = first; fd < 65536; fd++)
        (void)close((int)fd);
}

/** The program may open its streams anew through /proc, so they must belong to its user. */
static void own_streams(const struct rn_task *t)
{
    for (int fd = 0; fd < 3; fd++) {
        struct stat st;
        if (fstat(fd, &st) != 0 || st.st_uid == t->ids.uid)
            continue;
        bool tty = isatty(fd);
        if ((S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || tty) &&
            fchown(fd, t->ids.uid, tty ? (gid_t)-1 : st.st_gid) != 0)
            continue; /* a read-only or foreign file system: the stream works all the same */
    }
}

/** The container's own null device, or else the host's through a read-only mount: the mode and the
 *  owner of what a container gets as a stream are the container's to change. */
static int null_stream(const struct rn_task *t)
{
    char path[32];
    dray_autofd int own = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (own < 0 || !rn_is_null(own)) /* the container's root may have put anything there */
        return t->self->null;
    (void)snprintf(path, sizeof path, "self/fd/%d", own);
    int fd = openat(t->proc, path, O_RDWR | O_CLOEXEC);
    return fd >= 0 ? fd : t->self->null;
}

int rn_task_descriptors(struct rn_task *t, struct dray_err *err)
{
    int high[4];
    /* Lift all four out of the way first: a source may sit where another belongs. */
    for (int i = 0; i < 4; i++) {
        int from = i < 3 ? t->io[i] : t->chan;
        if (i < 3 && (from < 0 || rn_is_null(from)))
            from = null_stream(t);
        high[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, 16);
        if (high[i] < 0)
            return dray_fail_errno(err, "set up descriptor %d", i);
    }
    for (int i = 0; i < 3; i++)
        if (dup2(high[i], i) < 0)
            return dray_fail_errno(err, "set up descriptor %d", i);
    if (dup3(high[3], CHAN_FD, O_CLOEXEC) < 0)
        return dray_fail_errno(err, "set up descriptor %d", CHAN_FD);
    t->chan = CHAN_FD;
    t->proc = -EBADF;
    close_from(CHAN_FD + 1);
    own_streams(t);
    return 0;
}

static int take_user(const struct rn_task *t, struct dray_err *err)
{
    const struct rn_ids *ids = &t->ids;
    gid_t groups[RN_MAX_GROUPS * 2];
    for (size_t i = 0; i < ids->n_groups; i++)
        groups[i] = ids->groups[i];
    /* The system calls themselves: the C library's functions would ask threads to follow that this
     * copy of a program with several does not have, and wait for them. */
    if (syscall(SYS_setgroups, ids->n_groups, groups) != 0 &&
        !(errno == EPERM && ids->n_groups == 0))
        return dray_fail_errno(err, "setgroups");
    if (syscall(SYS_setresgid, ids->gid, ids->gid, ids->gid) != 0)
        return dray_fail_errno(err, "setgid %u", ids->gid);
    if (syscall(SYS_setresuid, ids->uid, ids->uid, ids->uid) != 0)
        return dray_fail_errno(err, "setuid %u", ids->uid);
    return 0;
}

/** The kernel's own view of where we are, which is not led astray by what is mounted. */
static int check_cwd(struct dray_err *err)
{
    char where[PATH_MAX];
    if (syscall(SYS_getcwd, where, sizeof where) > 0 && where[0] == '/')
        return 0;
    return dray_fail(err, DRAY_E_DENIED,
                     "current working directory is outside of container mount namespace root -- "
                     "possible container breakout detected");
}

static int fail_cwd(const char *cwd, struct dray_err *err)
{
    char buf[96];
    const char *why = errno == ENOENT    ? "no such file or directory"
                      : errno == ENOTDIR ? "not a directory"
                      : errno == EACCES  ? "permission denied"
                                         : strerror_r(errno, buf, sizeof buf);
    return dray_fail(err, errno == EACCES ? DRAY_E_NOEXEC : DRAY_E_NOCMD,
                     "chdir to cwd (\"%s\") set in config.json failed: %s", cwd, why);
}

/** What the process shall have, and extra. */
static int set_caps(const struct rn_task *t, uint64_t extra, struct dray_err *err)
{
    const struct rn_caps *c = &t->process->caps;
    uint64_t permitted = c->permitted & t->bounding;
    if (rn_caps_set((c->effective & permitted) | extra, permitted | extra,
                    c->inheritable & t->bounding) != 0)
        return dray_fail_errno(err, "set capabilities");
    return 0;
}

/** Everything but the effective set that loading a filter may still need. */
static int take_rights(const struct rn_task *t, struct dray_err *err)
{
    const struct rn_caps *c = &t->process->caps;
    int rc =
        prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 ? 0 : dray_fail_errno(err, "keep capabilities");
    if (rc == 0)
        rc = rn_caps_drop(t->bounding & ~c->bounding, err);
    if (rc == 0)
        rc = take_user(t, err);
    if (rc == 0)
        rc = set_caps(t, t->extra, err);
    return rc != 0 ? rc
                   : rn_caps_ambient(c->ambient & c->permitted & t->bounding & c->inheritable, err);
}

static void add_home(const struct rn_task *t, char home[300])
{
    const struct rn_strv *env = &t->process->env;
    size_t at = env->n; /* one of the free slots; NULL follows */
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->v[i], "HOME=", 5) != 0)
            continue;
        if (env->v[i][5])
            return;
        at = i; /* an empty one is none */
    }
    (void)snprintf(home, 300, "HOME=%s", t->ids.home);
    env->v[at] = home;
}

static int find_program(const struct rn_task *t, char path[PATH_MAX], struct dray_err *err)
{
    const struct rn_process *p = t->process;
    int rc = rn_program_find(p->args.v[0], p->env.v, path, err);
    return rc != 0 ? rc : rn_program_guard(path, t->self->self_dev, t->self->self_ino, err);
}

int rn_task_rights(struct rn_task *t, struct dray_err *err)
{
    const struct rn_process *p = t->process;
    t->bounding = rn_caps_bounding();
    /* Without no_new_privs a filter needs CAP_SYS_ADMIN: keep it until the very end, so that the
     * filter has to permit no more than capset and execve. */
    t->extra = t->filter->insns && !p->no_new_privs ? CAP_SYS_ADMIN_BIT : 0;
    (void)umask(p->user.umask);
    int rc = rn_rlimits_apply(p, err);
    if (rc != 0)
        return rc;
    t->there = chdir(p->cwd) == 0;
    return take_rights(t, err);
}

int rn_task_exec(struct rn_task *t, struct dray_err *err)
{
    const struct rn_process *p = t->process;
    char path[PATH_MAX], home[300];
    add_home(t, home);
    int rc = t->there || chdir(p->cwd) == 0 ? 0 : fail_cwd(p->cwd, err);
    if (rc == 0)
        rc = check_cwd(err);
    if (rc == 0)
        rc = find_program(t, path, err);
    if (rc == 0 && p->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        rc = dray_fail_errno(err, "set no_new_privs");
    if (rc == 0 && t->filter->insns)
        rc = rn_seccomp_load(t->filter, err);
    if (rc == 0 && t->extra)
        rc = set_caps(t, 0, err);
    if (rc != 0)
        return rc;
    (void)execve(path, (char *const *)p->args.v, (char *const *)p->env.v);
    return rn_program_fail(path, errno, err);
}
