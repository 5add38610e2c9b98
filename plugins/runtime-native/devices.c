/* SPDX-License-Identifier: Apache-2.0 */
/* devices.c - device nodes and links in a container's /dev. */
#include "files.h"
#include "init.h"
#include "mount.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

static const struct rn_device defaults[] = {
    {"/dev/null", 'c', 1, 3, 0, 0, 0666},    {"/dev/zero", 'c', 1, 5, 0, 0, 0666},
    {"/dev/full", 'c', 1, 7, 0, 0, 0666},    {"/dev/random", 'c', 1, 8, 0, 0, 0666},
    {"/dev/urandom", 'c', 1, 9, 0, 0, 0666}, {"/dev/tty", 'c', 5, 0, 0, 0, 0666},
};

static const struct {
    const char *name, *to;
} links[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

/** Without the right to make devices (a user namespace) the host's own is shown. */
static int bind_device(const struct rn_device *d, int root, struct dray_err *err)
{
    const struct rn_mount_opts o = {.bind = true};
    dray_autofd int mnt = -EBADF, target = -EBADF;
    int rc = rn_mount_clone(AT_FDCWD, d->path, &o, &mnt, err);
    if (rc == 0)
        rc = rn_mount_target(root, d->path, false, &target, err);
    return rc != 0 ? rc : rn_mount_attach(mnt, target, d->path, err);
}

static int make_node(const struct rn_device *d, int root, int dev, struct dray_err *err)
{
    char parent[PATH_MAX];
    dray_autofd int own = -EBADF;
    int dir = dev;
    const char *name = strrchr(d->path, '/') + 1;
    if ((size_t)(name - d->path) != sizeof "/dev" || strncmp(d->path, "/dev/", 5) != 0) {
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(name - d->path), d->path);
        own = rn_mkdirs_in(root, parent, 0755);
        if (own < 0)
            return dray_fail_errno(err, "make the folder of device %s", d->path);
        dir = own;
    }
    mode_t type = d->type == 'b' ? S_IFBLK : d->type == 'p' ? S_IFIFO : S_IFCHR;
    if (mknodat(dir, name, type | d->mode, makedev(d->major, d->minor)) != 0) {
        if (errno == EEXIST)
            return 0;
        if (errno == EPERM)
            return bind_device(d, root, err);
        return dray_fail_errno(err, "make device %s", d->path);
    }
    if ((d->uid != 0 || d->gid != 0) &&
        fchownat(dir, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return dray_fail_errno(err, "give device %s to its owner", d->path);
    return 0;
}

static int make_console(int root, int console, struct dray_err *err)
{
    const struct rn_mount_opts o = {.bind = true};
    dray_autofd int mnt = -EBADF, target = -EBADF;
    int rc = rn_mount_clone(console, "", &o, &mnt, err);
    if (rc == 0)
        rc = rn_mount_target(root, "/dev/console", false, &target, err);
    return rc != 0 ? rc : rn_mount_attach(mnt, target, "/dev/console", err);
}

static bool dev_is_host(const struct rn_spec *s)
{
    for (size_t i = 0; i < s->n_mounts; i++)
        if (s->mounts[i].fd >= 0 && strcmp(s->mounts[i].dest, "/dev") == 0)
            return true;
    return false;
}

static int make_all(const struct rn_spec *s, int root, struct dray_err *err)
{
    dray_autofd int dev = rn_mkdirs_in(root, "/dev", 0755);
    if (dev < 0)
        return dray_fail_errno(err, "open /dev of the container");
    int rc = 0;
    /* The specification's own come first: they may change a default one's mode. */
    for (size_t i = 0; i < s->n_devices && rc == 0; i++)
        rc = make_node(&s->devices[i], root, dev, err);
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0] && rc == 0; i++)
        rc = make_node(&defaults[i], root, dev, err);
    for (size_t i = 0; i < sizeof links / sizeof links[0] && rc == 0; i++)
        if (symlinkat(links[i].to, dev, links[i].name) != 0 && errno != EEXIST)
            rc = dray_fail_errno(err, "make link /dev/%s", links[i].name);
    if (rc == 0 && access("/proc/kcore", F_OK) == 0 && symlinkat("/proc/kcore", dev, "core") != 0 &&
        errno != EEXIST)
        rc = dray_fail_errno(err, "make link /dev/core");
    return rc;
}

int rn_devices_make(const struct rn_spec *s, int root, int console, struct dray_err *err)
{
    if (dev_is_host(s))
        return 0;
    mode_t old = umask(0);
    int rc = make_all(s, root, err);
    (void)umask(old);
    if (rc == 0 && console >= 0)
        rc = make_console(root, console, err);
    return rc;
}
