/* SPDX-License-Identifier: Apache-2.0 */
/* layer_view.c - looks into an image layer through a detached mount. */
#include "engine/image/image_priv.h"

#include "engine/rootfs/mount_detached.h"
#include "engine/rootfs/userns.h"

#include <fcntl.h>

static int open_mount(const struct dray_mount *m, bool rdonly, const struct dray_userns_view *view,
                      int *fd_out, struct dray_err *err)
{
    if (view || strcmp(m->type, "bind") != 0)
        return dray_mount_detached(m, rdonly, view, fd_out, err);
    *fd_out = open(m->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out < 0 ? dray_fail_errno(err, "open %s", m->source) : 0;
}

/* flags: of mounts(). */
static int mount_layer(struct dray_driver *d, const char *id, uint32_t flags, struct dray_userns *u,
                       int *fd_out, struct dray_err *err)
{
    DRAY_AUTO(dray_call_scope) s = {0};
    DRAY_AUTO(dray_fsids) was = {0};
    const struct dray_userns_view *view = NULL;
    int rc = u ? dray_userns_view(u, d, &view, err) : 0;
    if (!rc && u)
        rc = dray_userns_take_root(u, &was, err);
    dray_call_object(&s, id);
    if (!rc)
        rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (rc)
        return rc;
    struct dray_mounts mounts = {0};
    rc = ((const struct dray_storage_ops *)s.ops)->mounts(s.self, &s.call, id, flags, &mounts, err);
    if (!rc && mounts.n != 1)
        rc = dray_fail(err, DRAY_E_NOTSUP, "storage driver %s: %llu mounts for one root",
                       dray_driver_name(d), (unsigned long long)mounts.n);
    if (!rc)
        rc = open_mount(&mounts.v[0], (flags & DRAY_MOUNTS_RDONLY) != 0, view, fd_out, err);
    return rc ? dray_err_note(err, "look into layer %s", id) : 0;
}

int dray_layer_view(struct dray_driver *d, const char *id, int *fd_out, struct dray_err *err)
{
    return mount_layer(d, id, DRAY_MOUNTS_RDONLY, NULL, fd_out, err);
}

int dray_layer_view_own(struct dray_driver *d, const char *id, int *fd_out, struct dray_err *err)
{
    return mount_layer(d, id, DRAY_MOUNTS_RDONLY | DRAY_MOUNTS_OWN, NULL, fd_out, err);
}

int dray_layer_mount(struct dray_driver *d, const char *id, bool rdonly, struct dray_userns *u,
                     int *fd_out, struct dray_err *err)
{
    return mount_layer(d, id, rdonly ? DRAY_MOUNTS_RDONLY : DRAY_MOUNTS_VOLATILE, u, fd_out, err);
}

static struct dray_driver *storage_of(const struct dray_image *image, struct dray_err *err)
{
    struct dray_engine *e = image->images->engine;
    const char *storage = image->storage ? image->storage : dray_driver_name(e->storage);
    return dray_drivers_get(e->drivers, DRAY_KIND_STORAGE, storage, err);
}

int dray_image_view(const struct dray_image *image, struct dray_userns *u, int *fd_out,
                    struct dray_err *err)
{
    struct dray_driver *d = storage_of(image, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    if (!image->top_layer || !*image->top_layer)
        return dray_fail(err, DRAY_E_INVAL, "image %s has no layers", image->id);
    return dray_layer_mount(d, image->top_layer, true, u, fd_out, err);
}

int dray_image_export(const struct dray_image *image, int out_fd, struct dray_err *err)
{
    static const char empty[1024];
    struct dray_driver *d = storage_of(image, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    if (!image->top_layer || !*image->top_layer)
        return write(out_fd, empty, sizeof empty) == (ssize_t)sizeof empty
                   ? 0
                   : dray_fail_errno(err, "write the files of image %s", image->id);
    return dray_driver_call(d, storage, DRAY_CLASS_DATA, err, diff, image->top_layer, "",
                            (struct dray_fd_borrow){out_fd});
}
