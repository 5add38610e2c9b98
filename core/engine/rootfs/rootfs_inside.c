/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs_inside.c - runs a function with a container's root as its own, confined by the kernel. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/rootfs/rootfs.h"
#include "engine/rootfs/userns.h"
#include "engine/volume/volumes.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DRAY_LOG_AREA "rootfs"

/** One visit. */
struct visit {
    struct dray_container *c;
    dray_inside_fn fn;
    void *arg;
    int root;
    bool running;
    struct json_object *points; /* to be bound by hand when it does not run */
    bool fresh;                 /* it was never started */
    const char *workdir;        /* then, and if it has one */
    char *at;                   /* mount point for a stopped container's root */
    bool remapped;
    struct dray_remap remap; /* of its ids, if it is */
    int rc;
    struct dray_err err;
};

/* A stopped container's mounts, in a mount namespace that dies with the thread. */

static int bind_at(int root, const char *source, const char *dest, struct dray_err *err)
{
    dray_autofd int from =
        (int)syscall(SYS_open_tree, AT_FDCWD, source,
                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (unsigned)AT_RECURSIVE);
    if (from < 0)
        return dray_fail_errno(err, "open %s", source);
    dray_autofd int to = dray_fs_open_in_root(root, dest, O_PATH | O_CLOEXEC, 0);
    if (to < 0)
        return 0; /* the place is made when the container first starts */
    if (syscall(SYS_move_mount, from, "", to, "",
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return dray_fail_errno(err, "mount %s on %s", source, dest);
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
    const char *source = dray_json_str(p, "Source", ""),
               *dest = dray_json_str(p, "Destination", "/");
    if (v->fresh && stat(source, &st) == 0)
        make_place(root, dest, S_ISDIR(st.st_mode));
    return bind_at(root, source, dest, &v->err);
}

/* The files of its own that a container has in /etc, once it was started. */
static void bind_files(struct visit *v, int root)
{
    static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        dray_autofree char *source = dray_strf(
            "%s/containers/%s/%s", v->c->set->engine->config->data_root, v->c->id, files[i]);
        dray_autofree char *dest = dray_strf("/etc/%s", files[i]);
        if (source && dest && access(source, F_OK) == 0)
            (void)bind_at(root, source, dest, NULL);
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

static void *visit_thread(void *arg)
{
    struct visit *v = arg;
    struct dray_fsids was; /* goes with the thread */
    v->rc =
        v->remapped ? dray_fsids_take(v->remap.uid.first, v->remap.gid.first, &was, &v->err) : 0;
    if (v->rc == 0)
        v->rc = enter(v);
    if (v->rc == 0 && (chroot(".") != 0 || chdir("/") != 0))
        v->rc = dray_fail_errno(&v->err, "chroot");
    if (v->rc == 0 && v->workdir) /* it is there from the creation on, as far as one can see */
        (void)dray_fs_mkdirs(AT_FDCWD, v->workdir, 0755, NULL);
    if (v->rc == 0)
        v->rc = v->fn(v->arg, &v->err);
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
        const char *sub = dray_json_str(p, "Subpath", "");
        dray_json_addf(p, "Source", "%s%s%s", path, *sub ? "/" : "", sub);
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

static int run(struct visit *v, struct dray_err *err)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, visit_thread, v) != 0)
        return dray_fail_errno(err, "start a thread");
    pthread_join(thread, NULL);
    if (v->rc != 0 && err)
        *err = v->err;
    return v->rc;
}

int dray_rootfs_inside(struct dray_container *c, dray_inside_fn fn, void *arg, struct dray_err *err)
{
    struct visit v = {.c = c, .fn = fn, .arg = arg, .root = -EBADF};
    v.remapped = dray_container_remap(c, &v.remap);
    pthread_mutex_lock(&c->lock);
    v.running = dray_container_alive(c);
    v.fresh = c->st.started_ns == 0 && !v.running;
    pthread_mutex_unlock(&c->lock);
    dray_autojson *config = v.fresh ? dray_container_json(c, &c->config) : NULL;
    const char *workdir = dray_json_str(config, "WorkingDir", "");
    v.workdir = workdir[0] == '/' && workdir[1] ? workdir : NULL;
    dray_autofree char *at = dray_strf("%s/inside", c->set->engine->config->exec_root);
    v.at = at;
    int rc = dray_rootfs_open(c, &v.root, err);
    dray_autofd int root = v.root;
    if (rc != 0 || v.running)
        return rc != 0 ? rc : run(&v, err);
    (void)root;
    dray_autojson *points = dray_container_json(c, &c->mounts);
    v.points = points;
    char user[DRAY_ID_LEN + 8], tail[7];
    dray_id_hex(tail, 6);
    (void)snprintf(user, sizeof user, "%s-%s", c->id, tail);
    rc = dray_fs_mkdirs(AT_FDCWD, at, 0700, err);
    if (rc == 0)
        rc = mount_volumes(&v, user, err);
    if (rc == 0)
        rc = run(&v, err);
    unmount_volumes(&v, user);
    return rc;
}
