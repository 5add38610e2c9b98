/* SPDX-License-Identifier: Apache-2.0 */
/* container_mounts_start.c - mount points become OCI mounts when a container starts. */
#include "base/bounded.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/image/images.h"
#include "engine/rootfs/propagation.h"
#include "engine/rootfs/userns.h"
#include "engine/volume/volumes.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DRAY_LOG_AREA "mounts"

static struct json_object *oci_mount(const char *dest, const char *type, const char *source)
{
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "destination", dest);
    dray_json_add_str(m, "type", type);
    dray_json_add_str(m, "source", source);
    dray_json_add(m, "options", json_object_new_array());
    return m;
}

static void add_option(struct json_object *mount, const char *option)
{
    json_object_array_add(dray_json_arr(mount, "options"), json_object_new_string(option));
}

/** What is made for a container belongs to its root. */
static int make_source(struct dray_container *c, const char *source, struct dray_err *err)
{
    const struct dray_userns *u = dray_container_userns_of(c);
    DRAY_AUTO(dray_fsids) was = {0};
    int rc = u ? dray_userns_take_root(u, &was, err) : 0;
    return rc ? rc : dray_fs_mkdirs(AT_FDCWD, source, 0755, err);
}

static int ensure_source(struct dray_container *c, struct json_object *p, const char *source,
                         struct dray_err *err)
{
    struct stat st;
    int rc = dray_bounded_stat(source, DRAY_BOUNDED_MS, &st, err);
    if (rc != DRAY_E_IO)
        return rc;
    if (errno == ENOENT && dray_json_bool(p, "CreateSource", false))
        return make_source(c, source, err);
    if (errno == ENOENT)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid mount config for type \"bind\": bind source path does not exist: "
                         "%s",
                         source);
    return dray_fail_errno(err, "error while creating mount source path '%s'", source);
}

int dray_container_subpath(const char *name, const char *whole, const char *sub, int flags,
                           int *fd_out, struct dray_err *err)
{
    dray_autofd int root = open(whole, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *fd_out = root >= 0 ? dray_fs_open_beneath(root, sub, flags) : -1;
    if (*fd_out >= 0)
        return 0;
    if (errno == EXDEV)
        return dray_fail(err, DRAY_E_INVAL,
                         "path concatenation escapes the base directory, base: %s, subpath: %s",
                         whole, sub);
    return dray_fail(err, DRAY_E_NOTFOUND, "cannot access path %s/%s in volume %s: %s", whole, sub,
                     name, errno == ENOENT ? "no such file or directory" : strerror(errno));
}

/** Where what a mount point has of its own is mounted while the container runs. */
static char *point_path(struct dray_container *c, const char *kind, struct json_object *p)
{
    DRAY_AUTO(dray_buf) name = {0};
    for (const char *d = dray_json_str(p, "Destination", ""); *d; d++)
        dray_buf_addf(&name, "%02x", (unsigned char)*d);
    return dray_strf("%s/containers/%s/%s-%.200s", c->set->engine->config->exec_root, c->id, kind,
                     name.data ? name.data : "");
}

static int make_target(int fd, const char *path, struct dray_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return dray_fail_errno(err, "look at what is mounted at %s", path);
    if (S_ISDIR(st.st_mode))
        return mkdir(path, 0700) == 0 || errno == EEXIST
                   ? 0
                   : dray_fail_errno(err, "make the folder %s", path);
    dray_autofd int file = open(path, O_CREAT | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    return file >= 0 ? 0 : dray_fail_errno(err, "make the file %s", path);
}

/** Mount a copy of what fd is: its name may become another's before the container is made. */
static int attach_copy(int fd, const char *path, struct dray_err *err)
{
    dray_autofd int copy =
        (int)syscall(SYS_open_tree, fd, "",
                     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (unsigned)AT_RECURSIVE);
    if (copy < 0 || syscall(SYS_move_mount, copy, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return dray_fail_errno(err, "mount at %s", path);
    return 0;
}

static int subpath_source(struct dray_container *c, struct json_object *p, const char *name,
                          const char *whole, char **out, struct dray_err *err)
{
    dray_autofree char *path = point_path(c, "sub", p);
    dray_autofd int fd = -EBADF;
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_container_subpath(name, whole, dray_json_str(p, "Subpath", ""), O_PATH, &fd, err);
    if (rc == 0)
        rc = make_target(fd, path, err);
    if (rc == 0)
        rc = attach_copy(fd, path, err);
    if (rc == 0)
        *out = dray_steal(path);
    return rc;
}

static int volume_source(struct dray_container *c, struct json_object *p, char **out,
                         struct dray_err *err)
{
    const char *name = dray_json_str(p, "Name", "");
    int rc = dray_volumes_mount(c->set->engine->volumes, name, c->id,
                                dray_json_str(p, "Destination", ""), dray_json_bool(p, "RW", true),
                                out, err);
    struct stat st;
    if (rc == 0 && dray_bounded_stat(*out, DRAY_BOUNDED_MS, &st, err) == DRAY_E_TIMEOUT)
        return dray_err_note(err, "volume %s", name);
    if (rc != 0 || !*dray_json_str(p, "Subpath", ""))
        return rc;
    dray_autofree char *whole = dray_steal(*out);
    return subpath_source(c, p, name, whole, out, err);
}

static int attach_view(int view, const char *path, struct dray_err *err)
{
    int rc = make_target(view, path, err);
    if (rc != 0 || syscall(SYS_move_mount, view, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0)
        return rc;
    return attach_copy(view, path, err); /* a plain folder, when the image has one layer alone */
}

static int image_source(struct dray_container *c, struct json_object *p, char **out,
                        struct dray_err *err)
{
    dray_autofree char *path = point_path(c, "image", p);
    DRAY_AUTO(dray_image) image = {0};
    dray_autofd int view = -EBADF;
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc =
        dray_images_get_held(c->set->engine->images, dray_json_str(p, "ImageID", ""), &image, err);
    if (rc == 0)
        rc = dray_image_view(&image, dray_container_userns_of(c), &view, err);
    if (rc == 0)
        rc = attach_view(view, path, err);
    if (rc != 0)
        return dray_err_note(err, "mount image %s", dray_json_str(p, "Source", ""));
    if (*dray_json_str(p, "Subpath", ""))
        return subpath_source(c, p, dray_json_str(p, "Source", ""), path, out, err);
    *out = dray_steal(path);
    return 0;
}

static struct json_object *tmpfs_mount(struct json_object *p)
{
    struct json_object *m = oci_mount(dray_json_str(p, "Destination", ""), "tmpfs", "tmpfs");
    static const char *const fixed[] = {"noexec", "nosuid", "nodev"};
    struct json_object *extra = dray_json_arr(p, "Tmpfs.Options");
    for (size_t i = 0; i < 3; i++)
        add_option(m, fixed[i]);
    for (size_t i = 0; i < dray_json_len(extra); i++) {
        struct json_object *pair = json_object_array_get_idx(extra, i);
        const char *key = json_object_get_string(json_object_array_get_idx(pair, 0));
        const char *value = json_object_get_string(json_object_array_get_idx(pair, 1));
        dray_autofree char *text = value ? dray_strf("%s=%s", key, value) : NULL;
        add_option(m, text ? text : key);
    }
    int64_t size = dray_json_int(p, "Tmpfs.SizeBytes", 0);
    int64_t mode = dray_json_int(p, "Tmpfs.Mode", 0);
    char text[48];
    if (size > 0) {
        (void)snprintf(text, sizeof text, "size=%lld", (long long)size);
        add_option(m, text);
    }
    if (mode > 0) {
        (void)snprintf(text, sizeof text, "mode=%llo", (unsigned long long)mode);
        add_option(m, text);
    }
    add_option(m, dray_json_bool(p, "RW", true) ? "rw" : "ro");
    return m;
}

static struct json_object *bind_mount(struct json_object *p, const char *source)
{
    struct json_object *m = oci_mount(dray_json_str(p, "Destination", ""), "bind", source);
    const char *prop = dray_json_str(p, "Propagation", "");
    bool recursive = !dray_json_bool(p, "NonRecursive", false);
    add_option(m, recursive ? "rbind" : "bind");
    if (!dray_json_bool(p, "RW", true))
        add_option(m,
                   recursive && !dray_json_bool(p, "ReadOnlyNonRecursive", false) ? "rro" : "ro");
    add_option(m, *prop ? prop : "rprivate");
    return m;
}

static int start_point(struct dray_container *c, struct json_object *p, struct json_object *mounts,
                       struct dray_err *err)
{
    const char *type = dray_json_str(p, "Type", "");
    if (strcmp(type, "tmpfs") == 0) {
        json_object_array_add(mounts, tmpfs_mount(p));
        return 0;
    }
    dray_autofree char *source = NULL;
    int rc;
    if (strcmp(type, "volume") == 0) {
        rc = volume_source(c, p, &source, err);
    } else if (strcmp(type, "image") == 0) {
        rc = image_source(c, p, &source, err);
    } else {
        source = strdup(dray_json_str(p, "Source", ""));
        rc = ensure_source(c, p, source, err);
        /* What nobody asked for may come to nothing. */
        if (rc == 0 && !dray_json_bool(p, "PropagationDefault", false))
            rc = dray_propagation_check(source, dray_json_str(p, "Propagation", ""), err);
    }
    if (rc == 0)
        json_object_array_add(mounts, bind_mount(p, source));
    return rc;
}

int dray_container_mounts_start(struct dray_container *c, struct json_object *points,
                                struct json_object *mounts, struct dray_err *err)
{
    for (size_t i = 0; i < dray_json_len(points); i++) {
        int rc = start_point(c, json_object_array_get_idx(points, i), mounts, err);
        if (rc != 0) {
            dray_container_mounts_stop(c);
            return rc;
        }
    }
    return 0;
}

static void detach(struct dray_container *c, const char *kind, struct json_object *p)
{
    dray_autofree char *path = point_path(c, kind, p);
    if (path && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        (void)remove(path);
}

void dray_container_mounts_stop(struct dray_container *c)
{
    dray_autojson *points = dray_container_json(c, &c->mounts);
    for (size_t i = 0; i < dray_json_len(points); i++) {
        struct json_object *p = json_object_array_get_idx(points, i);
        const char *name = dray_json_str(p, "Name", "");
        struct dray_err why = {0};
        if (*dray_json_str(p, "Subpath", ""))
            detach(c, "sub", p);
        if (strcmp(dray_json_str(p, "Type", ""), "image") == 0)
            detach(c, "image", p);
        if (*name && dray_volumes_unmount(c->set->engine->volumes, name, c->id, &why) != 0)
            dray_warn("unmount volume %s: %s", name, why.text);
    }
}
