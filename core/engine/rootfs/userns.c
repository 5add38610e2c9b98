/* SPDX-License-Identifier: Apache-2.0 */
/* userns.c - user namespaces of containers, and layers as they are seen in them. */
#include "engine/rootfs/userns.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/logging.h"
#include "plugin/driver.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DRAY_LOG_AREA "userns"
#define HOLDER_MS 10000

struct seen {
    struct seen *next;
    struct dray_driver *driver;
    struct dray_userns_view view;
};

struct dray_userns {
    struct dray_remap remap;
    char *dir;            /* EXEC_ROOT/remap: mount points of views */
    pthread_mutex_t lock; /* guards: views. order: leaf; held over the mount of a view */
    struct seen *views;
};

const struct dray_remap *dray_userns_remap(const struct dray_userns *u)
{
    return &u->remap;
}

int dray_userns_take_root(const struct dray_userns *u, struct dray_fsids *was, struct dray_err *err)
{
    return dray_fsids_take(u->remap.uid.first, u->remap.gid.first, was, err);
}

/* --- namespaces --------------------------------------------------------------------------------*/

/* A process that makes namespaces and then waits to be killed: they are taken from its /proc. Only
 * one of a single thread may enter a user namespace. */

struct holder {
    pid_t pid;
};

static void holder_cleanup(struct holder *h)
{
    if (h->pid <= 0)
        return;
    (void)kill(h->pid, SIGKILL);
    while (waitpid(h->pid, NULL, __WALL) < 0 && errno == EINTR)
        continue;
}

/* The copy holds every descriptor of the daemon: one that outlived it would keep its connections
 * open and its socket busy. Asked for anew whenever credentials change, which forgets it. */
static void end_with(long parent)
{
    if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
        syscall(SYS_getppid) != parent)
        (void)syscall(SYS_exit_group, 1);
}

/* Nothing but system calls: it is the copy of a program with several threads. */
static _Noreturn void hold(long parent, int within, uint64_t later, int ready)
{
    int why = 0;
    end_with(parent);
    if (within >= 0 && syscall(SYS_setns, within, CLONE_NEWUSER) != 0)
        why = errno;
    end_with(parent);
    if (!why && later && syscall(SYS_unshare, later) != 0)
        why = errno;
    (void)syscall(SYS_write, ready, &why, sizeof why);
    for (;;)
        (void)syscall(SYS_pause);
}

static int explain(int why, struct dray_err *err)
{
    errno = why;
    if (why == ENOSPC || why == EUSERS || why == EPERM)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "make a user namespace: %s; see /proc/sys/user/max_user_namespaces",
                         strerror(why));
    if (why == EINVAL)
        return dray_fail(err, DRAY_E_NOTSUP, "this kernel has no user namespaces");
    return dray_fail_errno(err, "make a user namespace");
}

/** flags: CLONE_NEWUSER, CLONE_NEWNET. With `within`, those that are made in it. */
static int holder_start(struct holder *h, int within, uint64_t flags, struct dray_err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    dray_autofd int told = ends[0], tell = ends[1];
    struct clone_args args = {.flags = within < 0 ? flags : 0};
    long parent = getpid();
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        hold(parent, within, within < 0 ? 0 : flags, tell);
    if (pid < 0)
        return explain(errno, err);
    h->pid = (pid_t)pid;
    (void)close(dray_steal_fd(&tell));
    int why = 0;
    struct pollfd p = {.fd = told, .events = POLLIN};
    if (poll(&p, 1, HOLDER_MS) == 0)
        return dray_fail(err, DRAY_E_TIMEOUT, "the maker of a user namespace does not answer");
    if (read(told, &why, sizeof why) != (ssize_t)sizeof why)
        return dray_fail(err, DRAY_E_INTERNAL, "the maker of a user namespace has died");
    return why ? explain(why, err) : 0;
}

static int write_map(const struct holder *h, const char *file, struct dray_idrange r,
                     struct dray_err *err)
{
    char path[48], text[48];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)h->pid, file);
    (void)snprintf(text, sizeof text, "0 %u %u", r.first, r.count);
    return dray_fs_write(AT_FDCWD, path, text, err);
}

static int holder_map(const struct holder *h, const struct dray_remap *r, struct dray_err *err)
{
    int rc = write_map(h, "uid_map", r->uid, err);
    return rc ? rc : write_map(h, "gid_map", r->gid, err);
}

static int bind_namespace(const struct holder *h, const char *kind, const char *path,
                          struct dray_err *err)
{
    char from[48];
    (void)snprintf(from, sizeof from, "/proc/%d/ns/%s", (int)h->pid, kind);
    if (mount(from, path, NULL, MS_BIND, NULL) != 0)
        return dray_fail_errno(err, "keep a %s namespace at %s", kind, path);
    return 0;
}

int dray_userns_pair(struct dray_userns *u, const char *within, const char *user_path,
                     const char *net_path, struct dray_err *err)
{
    __attribute__((cleanup(holder_cleanup))) struct holder h = {.pid = -1};
    dray_autofd int old = within ? open(within, O_RDONLY | O_CLOEXEC) : -EBADF;
    if (within && old < 0)
        return dray_fail_errno(err, "open user namespace %s", within);
    int rc = holder_start(&h, old, (within ? 0 : CLONE_NEWUSER) | CLONE_NEWNET, err);
    if (rc == 0 && !within)
        rc = holder_map(&h, &u->remap, err);
    if (rc == 0)
        rc = bind_namespace(&h, "user", user_path, err);
    if (rc == 0 && (rc = bind_namespace(&h, "net", net_path, err)) != 0)
        (void)umount2(user_path, MNT_DETACH);
    return rc;
}

/** A user namespace that only says how ids are mapped. */
static int open_mapping(const struct dray_remap *r, int *fd_out, struct dray_err *err)
{
    __attribute__((cleanup(holder_cleanup))) struct holder h = {.pid = -1};
    int rc = holder_start(&h, -1, CLONE_NEWUSER, err);
    if (rc == 0)
        rc = holder_map(&h, r, err);
    if (rc != 0)
        return rc;
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)h.pid);
    *fd_out = open(path, O_RDONLY | O_CLOEXEC);
    return *fd_out < 0 ? dray_fail_errno(err, "open %s", path) : 0;
}

/* --- views -------------------------------------------------------------------------------------*/

static int mount_view(const struct dray_userns *u, const struct dray_userns_view *v,
                      struct dray_err *err)
{
    dray_autofd int map = -EBADF;
    int rc = dray_fs_mkdirs(AT_FDCWD, v->to, 0700, err);
    if (rc == 0)
        rc = open_mapping(&u->remap, &map, err);
    if (rc != 0)
        return rc;
    dray_autofd int tree =
        (int)syscall(SYS_open_tree, AT_FDCWD, v->from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return dray_fail_errno(err, "open %s", v->from);
    struct mount_attr a = {
        .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint32_t)map, .propagation = MS_PRIVATE};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &a, sizeof a) != 0)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "userns-remap: the ids of %s cannot be mapped: %s; it needs a kernel and "
                         "a file system with idmapped mounts (Linux 5.19, ext4, xfs, btrfs)",
                         v->from, strerror(errno));
    while (umount2(v->to, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) /* of a daemon that was killed */
        continue;
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, v->to, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return dray_fail_errno(err, "mount %s", v->to);
    /* Where the place came from may pass mounts on. */
    if (mount(NULL, v->to, NULL, MS_PRIVATE, NULL) != 0)
        return dray_fail_errno(err, "make %s private", v->to);
    return 0;
}

static void free_seen(struct seen *s)
{
    free(s->view.from);
    free(s->view.to);
    free(s);
}

static int add_view(struct dray_userns *u, struct dray_driver *d, struct seen **out,
                    struct dray_err *err)
{
    struct seen *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->driver = d;
    s->view.from = strdup(dray_driver_folder(d));
    s->view.to = dray_strf("%s/%s", u->dir, dray_driver_name(d));
    int rc = s->view.from && s->view.to ? mount_view(u, &s->view, err)
                                        : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc != 0) {
        free_seen(s);
        return rc;
    }
    s->next = u->views;
    u->views = s;
    *out = s;
    return 0;
}

int dray_userns_view(struct dray_userns *u, struct dray_driver *storage,
                     const struct dray_userns_view **out, struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&u->lock);
    struct seen *s = u->views;
    while (s && s->driver != storage)
        s = s->next;
    if (!s)
        rc = add_view(u, storage, &s, err);
    pthread_mutex_unlock(&u->lock);
    if (rc == 0)
        *out = &s->view;
    return rc;
}

/* A path begins a text, a value, or an element of a list. */
static bool begins_path(const char *text, const char *at)
{
    return at == text || at[-1] == '=' || (at[-1] == ':' && (at - text < 2 || at[-2] != '\\'));
}

char *dray_userns_shift(const struct dray_userns_view *v, const char *text)
{
    DRAY_AUTO(dray_buf) b = {0};
    size_t n = strlen(v->from);
    for (const char *p = text; *p;) {
        if (begins_path(text, p) && strncmp(p, v->from, n) == 0 && p[n] == '/') {
            dray_buf_adds(&b, v->to);
            p += n;
        } else {
            dray_buf_addc(&b, *p++);
        }
    }
    return b.len ? dray_buf_steal(&b) : strdup("");
}

/* --- trying it ---------------------------------------------------------------------------------*/

/* An overlay in a folder of the view, with the options that matter. */
static int try_overlay(const char *at, struct dray_err *err)
{
    char option[3][4200];
    static const char *const keys[] = {"lowerdir", "upperdir", "workdir"};
    dray_autofd int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    if (fs < 0)
        return dray_fail_errno(err, "open file system overlay");
    int rc = 0;
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        (void)snprintf(option[i], sizeof option[i], "%s/%c", at, keys[i][0]);
        rc = (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, keys[i], option[i], 0);
    }
    if (rc == 0)
        rc = (int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (rc != 0)
        return dray_fail(
            err, DRAY_E_NOTSUP,
            "userns-remap: overlayfs takes no idmapped layers here: %s; it needs Linux "
            "5.19 or the storage driver \"vfs\"",
            strerror(errno));
    return 0;
}

int dray_userns_check(struct dray_userns *u, struct dray_driver *storage, struct dray_err *err)
{
    const struct dray_userns_view *v;
    DRAY_AUTO(dray_fsids) was = {0};
    int rc = dray_userns_view(u, storage, &v, err);
    if (rc != 0 || strcmp(dray_driver_name(storage), "overlay") != 0)
        return rc;
    dray_autofd int dir = open(v->to, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char name[40];
    (void)snprintf(name, sizeof name, ".userns-%d", (int)getpid());
    dray_autofree char *at = dray_strf("%s/%s", v->to, name);
    rc = dir < 0 || !at ? dray_fail_errno(err, "open %s", v->to)
                        : dray_userns_take_root(u, &was, err);
    static const char *const folders[] = {"", "/l", "/u", "/w"};
    for (size_t i = 0; i < 4 && rc == 0; i++) {
        char path[48];
        (void)snprintf(path, sizeof path, "%s%s", name, folders[i]);
        if (mkdirat(dir, path, 0700) != 0)
            rc = dray_fail_errno(err, "make a folder in %s", v->to);
    }
    if (rc == 0)
        rc = try_overlay(at, err);
    (void)dray_fs_remove_tree(dir, name, NULL);
    return rc;
}

/* --- the whole ---------------------------------------------------------------------------------*/

int dray_userns_open(const char *setting, const char *exec_root, struct dray_userns **out,
                     struct dray_err *err)
{
    bool on = false;
    struct dray_remap remap = {.user = ""};
    *out = NULL;
    int rc = dray_remap_resolve(setting, "/etc", &remap, &on, err);
    if (rc != 0 || !on)
        return rc;
    struct dray_userns *u = calloc(1, sizeof *u);
    if (!u || !(u->dir = dray_strf("%s/remap", exec_root))) {
        free(u);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    pthread_mutex_init(&u->lock, NULL);
    u->remap = remap;
    dray_info("user namespaces: ids of containers are %u+%u, groups %u+%u, of %s", remap.uid.first,
              remap.uid.count, remap.gid.first, remap.gid.count, remap.user);
    *out = u;
    return 0;
}

void dray_userns_close(struct dray_userns *u)
{
    if (!u)
        return;
    while (u->views) {
        struct seen *s = u->views;
        u->views = s->next;
        (void)umount2(s->view.to, MNT_DETACH | UMOUNT_NOFOLLOW);
        (void)rmdir(s->view.to);
        free_seen(s);
    }
    (void)rmdir(u->dir);
    pthread_mutex_destroy(&u->lock);
    free(u->dir);
    free(u);
}
