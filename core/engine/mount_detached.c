/* SPDX-License-Identifier: Apache-2.0 */
/* mount_detached.c - mounts that storage drivers describe, for nobody else to see. */
#include "engine/mount_detached.h"

#include "engine/userns.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>

/* glibc 2.36 has these; the numbers are the same everywhere. */
static int sys_fsconfig(int fs, unsigned cmd, const char *key, const void *value)
{
    return (int)syscall(SYS_fsconfig, fs, cmd, key, value, 0);
}

static char *shifted(const struct dray_userns_view *view, const char *text)
{
    return view ? dray_userns_shift(view, text) : strdup(text);
}

/** Folder by folder, since one value may not be longer than 255 bytes here. */
static int add_lower(int fs, char *dirs, struct dray_err *err)
{
    char *save = NULL;
    for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save))
        if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", dir) != 0)
            return dray_fail_errno(err, "add the lower folder %s", dir);
    return 0;
}

/** Set one "key=value" or flag. */
static int set_option(int fs, const char *option, const struct dray_userns_view *view,
                      struct dray_err *err)
{
    dray_autofree char *key = shifted(view, option);
    if (!key)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *value = strchr(key, '=');
    if (!value) {
        (void)sys_fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL);
        return 0;
    }
    *value++ = '\0';
    if (strcmp(key, "lowerdir") == 0)
        return add_lower(fs, value, err);
    if (sys_fsconfig(fs, FSCONFIG_SET_STRING, key, value) != 0)
        return dray_fail_errno(err, "set the mount option %s", key);
    return 0;
}

static int mount_new(const struct dray_mount *m, bool rdonly, const struct dray_userns_view *view,
                     int *fd_out, struct dray_err *err)
{
    dray_autofd int fs = (int)syscall(SYS_fsopen, m->type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return dray_fail_errno(err, "open the file system %s", m->type);
    (void)sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source);
    for (uint64_t i = 0; i < m->options.n; i++) {
        int rc = set_option(fs, m->options.v[i], view, err);
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

static int mount_bound(const struct dray_mount *m, const struct dray_userns_view *view, int *fd_out,
                       struct dray_err *err)
{
    dray_autofree char *source = shifted(view, m->source);
    if (!source)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "bind %s", source);
    *fd_out = fd;
    return 0;
}

int dray_mount_detached(const struct dray_mount *m, bool rdonly,
                        const struct dray_userns_view *view, int *fd_out, struct dray_err *err)
{
    return strcmp(m->type, "bind") == 0 ? mount_bound(m, view, fd_out, err)
                                        : mount_new(m, rdonly, view, fd_out, err);
}
