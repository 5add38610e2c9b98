/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs.c - looking into a container's file system from the daemon. */
#include "engine/rootfs/rootfs.h"

#include "base/buf.h"
#include "engine/container/container.h"
#include "engine/rootfs/mount_detached.h"
#include "engine/rootfs/userns.h"

#include <dray/storage.h>
#include <fcntl.h>

/** Layers of a container with ids of its own are looked at as it sees them. */
static int see_as_inside(struct dray_container *c, struct dray_driver *d,
                         const struct dray_userns_view **view, struct dray_fsids *was,
                         struct dray_err *err)
{
    struct dray_userns *u = dray_container_userns_of(c);
    if (!u)
        return 0;
    int rc = dray_userns_view(u, d, view, err);
    return rc != 0 ? rc : dray_userns_take_root(u, was, err);
}

/* Is it removed, or about to be? Its layer may be gone at any time then. */
static bool is_leaving(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    bool leaving = c->removed || c->st.status == DRAY_CS_REMOVING;
    pthread_mutex_unlock(&c->lock);
    return leaving;
}

int dray_rootfs_open_layer(struct dray_container *c, bool rdonly, int *fd_out, struct dray_err *err)
{
    struct dray_driver *d =
        dray_drivers_get(c->set->engine->drivers, DRAY_KIND_STORAGE, c->driver, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    struct dray_call_scope s = {0};
    const struct dray_userns_view *view = NULL;
    DRAY_AUTO(dray_fsids) was = {0};
    int rc = see_as_inside(c, d, &view, &was, err);
    if (rc == 0)
        rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (rc != 0)
        return rc;
    const struct dray_storage_ops *ops = s.ops;
    struct dray_mounts mounts = {0};
    rc = ops->mounts(s.self, &s.call, c->layer, rdonly ? DRAY_MOUNTS_RDONLY : 0, &mounts, err);
    if (rc == 0 && mounts.n != 1)
        rc = dray_fail(err, DRAY_E_NOTSUP, "storage driver %s: %llu mounts for one root", c->driver,
                       (unsigned long long)mounts.n);
    if (rc == 0)
        rc = dray_mount_detached(&mounts.v[0], rdonly, view, fd_out, err);
    dray_call_leave(&s);
    if (rc != 0 && is_leaving(c))
        return dray_fail(err, DRAY_E_NOTFOUND, "No such container: %s", c->id);
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
