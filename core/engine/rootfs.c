/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs.c - looking into a container's file system from the daemon. */
#include "engine/rootfs.h"

#include "base/buf.h"
#include "engine/container.h"

#include <dray/storage.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>

/* glibc 2.36 has these; the numbers are the same everywhere. */
static int sys_fsopen(const char *type)
{
    return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
}

static int sys_fsconfig(int fs, unsigned cmd, const char *key, const void *value)
{
    return (int)syscall(SYS_fsconfig, fs, cmd, key, value, 0);
}

/** Set one "key=value" or flag; lowerdir is given folder by folder, since a value may not be longer
 *  than 255 bytes here. */
static int set_option(int fs, const char *option, struct dray_err *err)
{
    dray_autofree char *key = strdup(option);
    if (!key)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *value = strchr(key, '=');
    if (!value) {
        (void)sys_fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL);
        return 0;
    }
    *value++ = '\0';
    if (strcmp(key, "lowerdir") != 0) {
        if (sys_fsconfig(fs, FSCONFIG_SET_STRING, key, value) != 0)
            return dray_fail_errno(err, "set the mount option %s", key);
        return 0;
    }
    char *save = NULL;
    for (char *dir = strtok_r(value, ":", &save); dir; dir = strtok_r(NULL, ":", &save))
        if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", dir) != 0)
            return dray_fail_errno(err, "add the lower folder %s", dir);
    return 0;
}

static int mount_new(const struct dray_mount *m, bool rdonly, int *fd_out, struct dray_err *err)
{
    dray_autofd int fs = sys_fsopen(m->type);
    if (fs < 0)
        return dray_fail_errno(err, "open the file system %s", m->type);
    (void)sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source);
    for (uint64_t i = 0; i < m->options.n; i++) {
        int rc = set_option(fs, m->options.v[i], err);
        if (rc != 0)
            return rc;
    }
    if (sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) != 0)
        return dray_fail_errno(err, "mount %s", m->type);
    int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, rdonly ? MOUNT_ATTR_RDONLY : 0);
    if (fd < 0)
        return dray_fail_errno(err, "mount %s", m->type);
    *fd_out = fd;
    return 0;
}

static int mount_bound(const struct dray_mount *m, int *fd_out, struct dray_err *err)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "bind %s", m->source);
    *fd_out = fd;
    return 0;
}

int dray_rootfs_open_layer(struct dray_container *c, bool rdonly, int *fd_out, struct dray_err *err)
{
    struct dray_driver *d =
        dray_drivers_get(c->set->engine->drivers, DRAY_KIND_STORAGE, c->driver, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    struct dray_call_scope s = {0};
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (rc != 0)
        return rc;
    const struct dray_storage_ops *ops = s.ops;
    struct dray_mounts mounts = {0};
    rc = ops->mounts(s.self, &s.call, c->layer, rdonly ? DRAY_MOUNTS_RDONLY : 0, &mounts, err);
    if (rc == 0 && mounts.n != 1)
        rc = dray_fail(err, DRAY_E_NOTSUP, "storage driver %s: %llu mounts for one root", c->driver,
                       (unsigned long long)mounts.n);
    if (rc == 0)
        rc = strcmp(mounts.v[0].type, "bind") == 0 ? mount_bound(&mounts.v[0], fd_out, err)
                                                   : mount_new(&mounts.v[0], rdonly, fd_out, err);
    dray_call_leave(&s);
    return rc == 0 ? 0 : dray_err_note(err, "open the root of container %.12s", c->id);
}

int dray_rootfs_open(struct dray_container *c, int *fd_out, struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    int pid = dray_container_alive(c) ? c->st.pid : 0;
    pthread_mutex_unlock(&c->lock);
    if (pid > 0) {
        char path[32];
        (void)snprintf(path, sizeof path, "/proc/%d/root", pid);
        int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            *fd_out = fd;
            return 0;
        }
    }
    return dray_rootfs_open_layer(c, false, fd_out, err);
}
