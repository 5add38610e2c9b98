/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs_inside.c - runs a function with a container's root as its own, confined by the kernel. */
#include "base/bounded.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/rootfs/rootfs.h"
#include "engine/rootfs/userns.h"
#include "engine/volume/volumes.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DRAY_LOG_AREA "rootfs"

enum { ENTERING, INSIDE, GONE };

/** One visit, shared by who asked and the thread; whoever is last frees it. What the thread needs
 *  before it is inside is the visit's own: then the one who asked may have given up. */
struct visit {
    struct dray_container *c;
    char *path; /* looked at to see whether its file server answers */
    int root;
    bool running;
    struct json_object *points; /* to be bound by hand when it does not run */
    char *workdir;              /* of one that was never started, if it has one */
    bool fresh;                 /* it was never started */
    char *at;                   /* mount point for a stopped container's root */
    bool remapped;
    struct dray_remap remap; /* of its ids, if it is */
    dray_inside_fn fn;
    void *arg;

    pthread_mutex_t lock; /* guards: the rest. order: leaf */
    pthread_cond_t moved;
    unsigned users;
    int state;
    bool given_up; /* fn must not be called any more */
    int rc;
    struct dray_err err;
};

static struct visit *visit_new(struct dray_container *c)
{
    struct visit *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    pthread_condattr_t mono;
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&v->lock, NULL);
    (void)pthread_cond_init(&v->moved, &mono);
    (void)pthread_condattr_destroy(&mono);
    v->c = dray_container_ref(c);
    v->root = -EBADF;
    v->users = 1;
    return v;
}

static void visit_unref(struct visit *v)
{
    (void)pthread_mutex_lock(&v->lock);
    bool last = --v->users == 0;
    (void)pthread_mutex_unlock(&v->lock);
    if (!last)
        return;
    if (v->root >= 0)
        (void)close(v->root);
    json_object_put(v->points);
    free(v->path);
    free(v->workdir);
    free(v->at);
    dray_container_unref(v->c);
    (void)pthread_cond_destroy(&v->moved);
    (void)pthread_mutex_destroy(&v->lock);
    free(v);
}

static void visit_cleanup(struct visit **v)
{
    if (*v)
        visit_unref(*v);
}

/* A stopped container's mounts, in a mount namespace that dies with the thread. */

static int bind_at(int root, int source, const char *dest, struct dray_err *err)
{
    dray_autofd int from =
        (int)syscall(SYS_open_tree, source, "",
                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (unsigned)AT_RECURSIVE);
    if (from < 0)
        return dray_fail_errno(err, "open what is mounted on %s", dest);
    dray_autofd int to = dray_fs_open_in_root(root, dest, O_PATH | O_CLOEXEC, 0);
    if (to < 0)
        return 0; /* the place is made when the container first starts */
    if (syscall(SYS_move_mount, from, "", to, "",
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return dray_fail_errno(err, "mount on %s", dest);
    return 0;
}

/* Make what dest lacks below root, as the first start would: folders, and at its end one or a file.
 * What cannot be made is not: then nothing is mounted there. */
static void make_place(int root, const char *dest, bool folder)
{
    dray_autofree char *path = strdup(dest);
    if (!path)
        return;
    for (char *p = path; *p;) {
        p += strspn(p, "/");
        char *end = p + strcspn(p, "/");
        bool last = end[strspn(end, "/")] == '\0';
        char first = *p, after = *end;
        *p = '\0';
        dray_autofd int at = dray_fs_open_in_root(root, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        *p = first;
        *end = '\0';
        if (at < 0 || !*p)
            return;
        if (last && !folder) {
            dray_autofd int file = openat(at, p, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
            (void)file;
        } else {
            (void)mkdirat(at, p, 0755);
        }
        *end = after;
        p = end;
    }
}

static int bind_point(struct visit *v, struct json_object *p, int root)
{
    const char *type = dray_json_str(p, "Type", "");
    if (strcmp(type, "bind") != 0 && strcmp(type, "volume") != 0)
        return 0;
    struct stat st;
    const char *source = dray_json_str(p, "Source", ""), *sub = dray_json_str(p, "Subpath", ""),
               *dest = dray_json_str(p, "Destination", "/");
    dray_autofd int fd = *sub ? -EBADF : open(source, O_PATH | O_CLOEXEC);
    if (*sub) {
        int rc =
            dray_container_subpath(dray_json_str(p, "Name", ""), source, sub, O_PATH, &fd, &v->err);
        if (rc != 0)
            return rc;
    }
    if (fd < 0)
        return dray_fail_errno(&v->err, "open %s", source);
    if (v->fresh && fstat(fd, &st) == 0)
        make_place(root, dest, S_ISDIR(st.st_mode));
    return bind_at(root, fd, dest, &v->err);
}

/* The files of its own that a container has in /etc, once it was started. */
static void bind_files(struct visit *v, int root)
{
    static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        dray_autofree char *source = dray_strf(
            "%s/containers/%s/%s", v->c->set->engine->config->data_root, v->c->id, files[i]);
        dray_autofree char *dest = dray_strf("/etc/%s", files[i]);
        dray_autofd int fd = source ? open(source, O_PATH | O_CLOEXEC) : -EBADF;
        if (dest && fd >= 0)
            (void)bind_at(root, fd, dest, NULL);
    }
}

static int assemble(struct visit *v)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return dray_fail_errno(&v->err, "make a mount namespace");
    if (syscall(SYS_move_mount, v->root, "", AT_FDCWD, v->at, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return dray_fail_errno(&v->err, "mount the root of container %.12s", v->c->id);
    dray_autofd int root = open(v->at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return dray_fail_errno(&v->err, "open %s", v->at);
    bind_files(v, root);
    for (size_t i = 0; i < dray_json_len(v->points); i++) {
        int rc = bind_point(v, json_object_array_get_idx(v->points, i), root);
        if (rc != 0)
            return rc;
    }
    if (fchdir(root) != 0)
        return dray_fail_errno(&v->err, "enter %s", v->at);
    return 0;
}

static int enter(struct visit *v)
{
    if (!v->running)
        return assemble(v);
    if (unshare(CLONE_FS) != 0 || fchdir(v->root) != 0)
        return dray_fail_errno(&v->err, "enter the root of container %.12s", v->c->id);
    return 0;
}

static int go_inside(struct visit *v)
{
    struct dray_fsids was; /* goes with the thread */
    int rc =
        v->remapped ? dray_fsids_take(v->remap.uid.first, v->remap.gid.first, &was, &v->err) : 0;
    if (rc == 0)
        rc = enter(v);
    if (rc == 0 && (chroot(".") != 0 || chdir("/") != 0))
        rc = dray_fail_errno(&v->err, "chroot");
    if (rc == 0 && v->workdir) /* it is there from the creation on, as far as one can see */
        (void)dray_fs_mkdirs(AT_FDCWD, v->workdir, 0755, NULL);
    struct stat st;
    if (rc == 0)
        (void)lstat(v->path, &st);
    return rc;
}

/** Whether the one who asked still waits. */
static bool move(struct visit *v, int state, int rc)
{
    (void)pthread_mutex_lock(&v->lock);
    v->state = state;
    v->rc = rc;
    bool wanted = !v->given_up;
    (void)pthread_cond_signal(&v->moved);
    (void)pthread_mutex_unlock(&v->lock);
    return wanted;
}

static void *visit_thread(void *arg)
{
    struct visit *v = arg;
    int rc = go_inside(v);
    if (move(v, rc == 0 ? INSIDE : GONE, rc) && rc == 0)
        (void)move(v, GONE, v->fn(v->arg, &v->err));
    visit_unref(v);
    return NULL;
}

static int mount_volumes(struct visit *v, const char *user, struct dray_err *err)
{
    struct dray_volumes *vs = v->c->set->engine->volumes;
    for (size_t i = 0; i < dray_json_len(v->points); i++) {
        struct json_object *p = json_object_array_get_idx(v->points, i);
        const char *name = dray_json_str(p, "Name", "");
        if (!*name)
            continue;
        dray_autofree char *path = NULL;
        int rc = dray_volumes_mount(vs, name, user, dray_json_str(p, "Destination", ""), true,
                                    &path, err);
        if (rc != 0)
            return rc;
        dray_json_add_str(p, "Source", path);
    }
    return 0;
}

static void unmount_volumes(struct visit *v, const char *user)
{
    for (size_t i = 0; i < dray_json_len(v->points); i++) {
        const char *name = dray_json_str(json_object_array_get_idx(v->points, i), "Name", "");
        if (*name)
            (void)dray_volumes_unmount(v->c->set->engine->volumes, name, user, NULL);
    }
}

static int start_thread(struct visit *v, struct dray_err *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    v->users++;
    int rc = pthread_create(&thread, &attr, visit_thread, v);
    (void)pthread_attr_destroy(&attr);
    if (rc == 0)
        return 0;
    v->users--;
    errno = rc;
    return dray_fail_errno(err, "start a thread");
}

static int run(struct visit *v, struct dray_err *err)
{
    int rc = start_thread(v, err);
    if (rc != 0)
        return rc;
    int64_t end = dray_clock_mono() + (int64_t)DRAY_BOUNDED_MS * 1000000;
    const struct timespec until = {.tv_sec = end / DRAY_NS_PER_S, .tv_nsec = end % DRAY_NS_PER_S};
    (void)pthread_mutex_lock(&v->lock);
    while (v->state == ENTERING && rc == 0)
        rc = pthread_cond_timedwait(&v->moved, &v->lock, &until);
    v->given_up = v->state == ENTERING;
    while (!v->given_up && v->state != GONE)
        (void)pthread_cond_wait(&v->moved, &v->lock);
    if (v->given_up)
        rc = dray_fail(err, DRAY_E_TIMEOUT,
                       "%s in container %.12s, or a mount on the way to it, does not answer after "
                       "%d s: is its file server dead?",
                       v->path, v->c->id, DRAY_BOUNDED_MS / 1000);
    else if ((rc = v->rc) != 0 && err)
        *err = v->err;
    (void)pthread_mutex_unlock(&v->lock);
    return rc;
}

static int run_stopped(struct visit *v, struct dray_err *err)
{
    char user[DRAY_ID_LEN + 8], tail[7];
    dray_id_hex(tail, 6);
    (void)snprintf(user, sizeof user, "%s-%s", v->c->id, tail);
    int rc = dray_fs_mkdirs(AT_FDCWD, v->at, 0700, err);
    if (rc == 0)
        rc = mount_volumes(v, user, err);
    if (rc == 0)
        rc = run(v, err);
    unmount_volumes(v, user);
    return rc;
}

int dray_rootfs_inside(struct dray_container *c, const char *path, dray_inside_fn fn, void *arg,
                       struct dray_err *err)
{
    __attribute__((cleanup(visit_cleanup))) struct visit *v = visit_new(c);
    if (!v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    v->fn = fn;
    v->arg = arg;
    v->remapped = dray_container_remap(c, &v->remap);
    pthread_mutex_lock(&c->lock);
    v->running = dray_container_alive(c);
    v->fresh = c->st.started_ns == 0 && !v->running;
    pthread_mutex_unlock(&c->lock);
    dray_autojson *config = v->fresh ? dray_container_json(c, &c->config) : NULL;
    const char *workdir = dray_json_str(config, "WorkingDir", "");
    if (workdir[0] == '/' && workdir[1])
        v->workdir = strdup(workdir);
    v->path = strdup(path);
    v->at = dray_strf("%s/inside", c->set->engine->config->exec_root);
    if (!v->path || !v->at)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_rootfs_open(c, &v->root, err);
    if (rc != 0)
        return rc;
    if (v->running)
        return run(v, err);
    v->points = dray_container_json(c, &c->mounts);
    return run_stopped(v, err);
}
