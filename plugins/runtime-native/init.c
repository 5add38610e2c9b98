/* SPDX-License-Identifier: Apache-2.0 */
/* init.c - the first process of a container, from its clone to its exec. */
#include "init.h"
#include "chan.h"
#include "console.h"
#include "files.h"
#include "hooks.h"
#include "mount.h"
#include "namespaces.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

/** Wait for one word; the maker's end or another word ends this process. */
static void await(const struct rn_init *in, enum rn_word want)
{
    enum rn_word word = RN_WORD_END;
    if (rn_chan_recv(in->task.chan, 0, &word, NULL, NULL, NULL) != 0 || word != want)
        _exit(1);
}

int rn_init_join(struct rn_init *in, struct dray_err *err)
{
    if (in->joined)
        return 0;
    in->joined = true;
    await(in, RN_WORD_CGROUPS);
    int rc = rn_cg_join_v1(&in->task.cgroup, err);
    if (rc == 0 && (in->spec->ns_new & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) != 0)
        rc = dray_fail_errno(err, "make a cgroup namespace");
    return rc;
}

/** Is it in a user namespace that it was made in, or that it was put into? */
static bool has_user(const struct rn_init *in)
{
    return (in->spec->ns_new & CLONE_NEWUSER) || rn_ns_user(in->spec) >= 0;
}

/** Inside a user namespace: become its root. */
static int enter_user(struct rn_init *in, struct dray_err *err)
{
    if (in->spec->ns_new & CLONE_NEWUSER)
        await(in, RN_WORD_MAPPED);
    int rc = rn_init_join(in, err); /* while the groups' owner is still who we are */
    if (rc != 0)
        return rc;
    if (syscall(SYS_setresgid, 0, 0, 0) != 0 || syscall(SYS_setresuid, 0, 0, 0) != 0)
        return dray_fail_errno(err, "become root of the user namespace");
    rn_task_keys(in->task.id); /* of the namespace's root, as those of execs */
    return 0;
}

static int enter_namespaces(struct rn_init *in, struct dray_err *err)
{
    const struct rn_spec *s = in->spec;
    int rc = 0;
    if (!(s->ns_new & CLONE_NEWUSER))
        rc = rn_ns_join(s, err);
    if (rc == 0 && (s->ns_new & CLONE_NEWUSER))
        rc = enter_user(in, err);
    if (rc == 0 && setsid() < 0)
        rc = dray_fail_errno(err, "setsid");
    if (rc == 0 && s->hostname && sethostname(s->hostname, strlen(s->hostname)) != 0)
        rc = dray_fail_errno(err, "set the host name \"%s\"", s->hostname);
    if (rc == 0 && s->domainname && setdomainname(s->domainname, strlen(s->domainname)) != 0)
        rc = dray_fail_errno(err, "set the domain name \"%s\"", s->domainname);
    return rc;
}

static int mount_root(struct rn_init *in, struct dray_err *err)
{
    const struct rn_spec *s = in->spec;
    const struct dray_mounts *list = &in->run->rootfs;
    unsigned long prop = s->root_propagation & (MS_SHARED | MS_SLAVE) ? MS_SLAVE : MS_PRIVATE;
    if (mount(NULL, "/", NULL, prop | MS_REC, NULL) != 0)
        return dray_fail_errno(err, "separate the mounts from the host's");
    int rc = 0;
    if (in->root >= 0) {
        if (move_mount(in->root, "", AT_FDCWD, s->root, MOVE_MOUNT_F_EMPTY_PATH) != 0)
            return dray_fail_errno(err, "mount the root on %s", s->root);
    } else {
        rc = rn_rootfs_mount_at(&list->v[0], s->root, err);
        if (rc == 0 && (in->root = open(s->root, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
            rc = dray_fail_errno(err, "open %s", s->root);
    }
    for (uint64_t i = 1; i < list->n && rc == 0; i++) {
        dray_autofd int mnt = -EBADF, target = -EBADF;
        rc = rn_rootfs_new(&list->v[i], &mnt, err);
        if (rc == 0)
            rc = rn_mount_target(in->root, list->v[i].target, true, &target, err);
        if (rc == 0)
            rc = rn_mount_attach(mnt, target, list->v[i].target, err);
    }
    return rc;
}

/** Kernel parameters are written through the host's /proc, which no image can replace; those of
 *  namespaces show the caller's own there too. */
static int write_sysctls(const struct rn_init *in, struct dray_err *err)
{
    if (!in->spec->sysctl)
        return 0;
    json_object_object_foreach(in->spec->sysctl, key, value)
    {
        char path[256];
        const char *text =
            json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
        int n = snprintf(path, sizeof path, "sys/%s", key);
        if (n < 0 || (size_t)n >= sizeof path || strstr(key, "..") || !text)
            return dray_fail(err, DRAY_E_INVAL, "sysctl \"%s\" is not allowed", key);
        /* "a.b/c" is /proc/sys/a/b.c, as sysctl(8) has it. */
        for (char *p = path + 4; *p; p++)
            *p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
        if (rn_write_at(in->task.proc, path, text) != 0)
            return dray_fail_errno(err, "write sysctl key %s", key);
    }
    return 0;
}

static int make_paths(struct rn_init *in, struct dray_err *err)
{
    dray_autofd int null = open("/dev/null", O_PATH | O_CLOEXEC);
    if (null < 0 || !rn_is_null(null))
        return dray_fail(err, DRAY_E_IO, "/dev/null of the host is no device");
    int rc = rn_masks_make(in->spec, in->root, null, err);
    if (rc != 0)
        return rc;
    /* Made when absent, as runc does; if it cannot be, changing to it says why. */
    dray_autofd int cwd = rn_mkdirs_in(in->root, in->spec->process.cwd, 0755);
    (void)cwd;
    return 0;
}

static int pivot(struct rn_init *in, struct dray_err *err)
{
    const struct rn_mount_opts ro = {.attr_set = MOUNT_ATTR_RDONLY};
    int rc = in->spec->root_ro ? rn_mount_attrs(in->root, &ro, err) : 0;
    if (rc != 0)
        return rc;
    /* The old root goes on top of the new one, and from there away. */
    if (fchdir(in->root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0)
        return dray_fail_errno(err, "pivot_root to %s", in->spec->root);
    if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        return dray_fail_errno(err, "leave the host's root");
    unsigned long prop = in->spec->root_propagation;
    if (prop && mount(NULL, "/", NULL, prop, NULL) != 0)
        return dray_fail_errno(err, "set the propagation of the root");
    return 0;
}

static int make_terminal(struct rn_init *in, int *master, struct dray_err *err)
{
    struct rn_task *t = &in->task;
    int slave = -EBADF;
    int rc = rn_console_open(in->root, t->rows, t->cols, master, &slave, err);
    for (int i = 0; i < 3 && rc == 0; i++)
        t->io[i] = slave;
    return rc;
}

static int run_hooks(struct rn_init *in, struct dray_err *err)
{
    const struct rn_spec *s = in->spec;
    if (s->prestart.n + s->create_runtime.n > 0) {
        if (rn_chan_send(in->task.chan, RN_WORD_HOOKS, NULL, -1) != 0)
            _exit(1);
        await(in, RN_WORD_HOOKED);
    }
    return rn_hooks_run_here(&s->create_container, "createContainer", err);
}

static int set_up(struct rn_init *in, int *master, struct dray_err *err)
{
    struct rn_task *t = &in->task;
    if (!has_user(in))
        rn_task_keys(t->id);
    int rc = enter_namespaces(in, err);
    if (rc == 0)
        rc = mount_root(in, err);
    /* Only now: the folders above the root are the host's. */
    if (rc == 0 && rn_ns_user(in->spec) >= 0)
        rc = enter_user(in, err);
    if (rc == 0)
        rc = rn_mounts_make(in, err);
    if (rc == 0 && t->terminal)
        rc = make_terminal(in, master, err);
    if (rc == 0)
        rc = rn_devices_make(in->spec, in->root, t->terminal ? t->io[0] : -1, err);
    if (rc == 0)
        rc = rn_userdb_find(in->root, &t->process->user, &t->ids, err);
    if (rc == 0)
        rc = make_paths(in, err);
    if (rc == 0)
        rc = rn_init_join(in, err);
    if (rc == 0)
        rc = run_hooks(in, err);
    if (rc == 0)
        rc = write_sysctls(in, err);
    if (rc == 0)
        rc = rn_task_labels(t, err);
    return rc == 0 ? pivot(in, err) : rc;
}

_Noreturn void rn_init_main(struct rn_init *in)
{
    struct dray_err err = {.code = DRAY_E_INTERNAL};
    int master = -EBADF;
    (void)close(in->parent);
    rn_reset_signals();
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    int rc = set_up(in, &master, &err);
    if (rc == 0 && master >= 0) {
        /* Passed on before everything else is closed. */
        if (rn_chan_send(in->task.chan, RN_WORD_READY, NULL, master) != 0)
            _exit(1);
    }
    if (rc == 0)
        rc = rn_task_descriptors(&in->task, &err);
    if (rc == 0 && in->task.terminal)
        rc = rn_console_control(0, &err);
    if (rc != 0)
        rn_task_fail(&in->task, &err);
    if (master < 0 && rn_chan_send(in->task.chan, RN_WORD_READY, NULL, -1) != 0)
        _exit(1);
    await(in, RN_WORD_START);
    rc = rn_hooks_run_here(&in->spec->start_container, "startContainer", &err);
    if (rc == 0)
        rc = rn_task_rights(&in->task, &err);
    if (rc == 0)
        (void)rn_task_exec(&in->task, &err);
    rn_task_fail(&in->task, &err);
}
