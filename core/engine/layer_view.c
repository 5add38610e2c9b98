/* SPDX-License-Identifier: Apache-2.0 */
/* layer_view.c - looks into an image layer through a detached mount. */
#include "engine/image_priv.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/syscall.h>

static int config(int fs, unsigned cmd, const char *key, const void *value)
{
    return (int)syscall(SYS_fsconfig, fs, cmd, key, value, 0);
}

/* Folder by folder, since one value may not be longer than 255 bytes here. */
static int add_lower(int fs, char *dirs, struct dray_err *err)
{
    char *save = NULL;
    for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save))
        if (config(fs, FSCONFIG_SET_STRING, "lowerdir+", dir) != 0)
            return dray_fail_errno(err, "add the lower folder %s", dir);
    return 0;
}

static int set_option(int fs, const char *option, struct dray_err *err)
{
    dray_autofree char *key = strdup(option);
    if (!key)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *value = strchr(key, '=');
    if (!value) {
        (void)config(fs, FSCONFIG_SET_FLAG, key, NULL);
        return 0;
    }
    *value++ = '\0';
    if (strcmp(key, "lowerdir") == 0)
        return add_lower(fs, value, err);
    if (config(fs, FSCONFIG_SET_STRING, key, value) != 0)
        return dray_fail_errno(err, "set the mount option %s", key);
    return 0;
}

static int mount_new(const struct dray_mount *m, bool rdonly, int *fd_out, struct dray_err *err)
{
    dray_autofd int fs = (int)syscall(SYS_fsopen, m->type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return dray_fail_errno(err, "open the file system %s", m->type);
    (void)config(fs, FSCONFIG_SET_STRING, "source", m->source);
    for (uint64_t i = 0; i < m->options.n; i++) {
        int rc = set_option(fs, m->options.v[i], err);
        if (rc)
            return rc;
    }
    if (config(fs, FSCONFIG_CMD_CREATE, NULL, NULL) != 0)
        return dray_fail_errno(err, "mount %s", m->type);
    *fd_out = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, rdonly ? MOUNT_ATTR_RDONLY : 0);
    return *fd_out < 0 ? dray_fail_errno(err, "mount %s", m->type) : 0;
}

static int open_mount(const struct dray_mount *m, bool rdonly, int *fd_out, struct dray_err *err)
{
    if (strcmp(m->type, "bind") != 0)
        return mount_new(m, rdonly, fd_out, err);
    *fd_out = open(m->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out < 0 ? dray_fail_errno(err, "open %s", m->source) : 0;
}

int dray_layer_view(struct dray_driver *d, const char *id, int *fd_out, struct dray_err *err)
{
    return dray_layer_mount(d, id, true, fd_out, err);
}

int dray_layer_mount(struct dray_driver *d, const char *id, bool rdonly, int *fd_out,
                     struct dray_err *err)
{
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_object(&s, id);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, -1, err);
    if (rc)
        return rc;
    struct dray_mounts mounts = {0};
    rc = ((const struct dray_storage_ops *)s.ops)
             ->mounts(s.self, &s.call, id, rdonly ? DRAY_MOUNTS_RDONLY : DRAY_MOUNTS_VOLATILE,
                      &mounts, err);
    if (!rc && mounts.n != 1)
        rc = dray_fail(err, DRAY_E_NOTSUP, "storage driver %s: %llu mounts for one root",
                       dray_driver_name(d), (unsigned long long)mounts.n);
    if (!rc)
        rc = open_mount(&mounts.v[0], rdonly, fd_out, err);
    return rc ? dray_err_note(err, "look into layer %s", id) : 0;
}

static struct dray_driver *storage_of(const struct dray_image *image, struct dray_err *err)
{
    struct dray_engine *e = image->images->engine;
    const char *storage = image->storage ? image->storage : dray_driver_name(e->storage);
    return dray_drivers_get(e->drivers, DRAY_KIND_STORAGE, storage, err);
}

int dray_image_view(const struct dray_image *image, int *fd_out, struct dray_err *err)
{
    struct dray_driver *d = storage_of(image, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    if (!image->top_layer || !*image->top_layer)
        return dray_fail(err, DRAY_E_INVAL, "image %s has no layers", image->id);
    return dray_layer_view(d, image->top_layer, fd_out, err);
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
