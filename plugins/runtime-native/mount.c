/* SPDX-License-Identifier: Apache-2.0 */
/* mount.c - mounts by descriptor. */
#include "mount.h"
#include "files.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/vfs.h>

/** The kernel's own words on why a file system could not be made, if it has any. */
static int fs_fail(int fs, struct dray_err *err, const char *what)
{
    int why = errno;
    char msg[256];
    ssize_t n = read(fs, msg, sizeof msg - 1);
    errno = why;
    if (n <= 0)
        return dray_fail_errno(err, "%s", what);
    while (n > 0 && msg[n - 1] == '\n')
        n--;
    msg[n] = '\0';
    const char *text = n > 2 && msg[1] == ' ' ? msg + 2 : msg; /* "e text" */
    return dray_fail_errno(err, "%s: %s", what, text);
}

static int set_word(int fs, const char *word)
{
    const char *eq = strchr(word, '=');
    if (!eq)
        return fsconfig(fs, FSCONFIG_SET_FLAG, word, NULL, 0);
    char key[64];
    size_t n = (size_t)(eq - word);
    if (n >= sizeof key) {
        errno = EINVAL;
        return -1;
    }
    memcpy(key, word, n);
    key[n] = '\0';
    return fsconfig(fs, FSCONFIG_SET_STRING, key, eq + 1, 0);
}

int rn_mount_new(const char *type, const char *source, const struct rn_mount_opts *o, int *fd_out,
                 struct dray_err *err)
{
    dray_autofd int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return errno == ENODEV
                   ? dray_fail(err, DRAY_E_NOTSUP, "this kernel has no file system \"%s\"", type)
                   : dray_fail_errno(err, "open file system %s", type);
    if (source && *source && fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) != 0)
        return fs_fail(fs, err, "source");
    for (size_t i = 0; i < o->n_data; i++)
        if (set_word(fs, o->data[i]) != 0)
            return fs_fail(fs, err, o->data[i]);
    if (o->sb_ro && fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) != 0)
        return fs_fail(fs, err, "ro");
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return fs_fail(fs, err, type);
    int fd = fsmount(fs, 0x1 /* FSMOUNT_CLOEXEC */, (unsigned)(o->attr_set | o->rec_set));
    if (fd < 0)
        return fs_fail(fs, err, type);
    *fd_out = fd;
    return 0;
}

static int setattr(int fd, unsigned rec, struct mount_attr *a, struct dray_err *err)
{
    if (mount_setattr(fd, "", AT_EMPTY_PATH | rec, a, sizeof *a) == 0)
        return 0;
    if (errno == ENOSYS)
        return dray_fail(err, DRAY_E_NOTSUP, "the kernel lacks mount_setattr (Linux 5.12)");
    return dray_fail_errno(err, "set the attributes of a mount");
}

int rn_mount_attrs(int fd, const struct rn_mount_opts *o, struct dray_err *err)
{
    int rc = 0;
    if (o->propagation) {
        struct mount_attr a = {.propagation = o->propagation};
        rc = setattr(fd, o->propagation_rec ? AT_RECURSIVE : 0, &a, err);
    }
    if (rc == 0 && (o->attr_set || o->attr_clr)) {
        struct mount_attr a = {.attr_set = o->attr_set, .attr_clr = o->attr_clr};
        rc = setattr(fd, 0, &a, err);
    }
    if (rc == 0 && (o->rec_set || o->rec_clr)) {
        struct mount_attr a = {.attr_set = o->rec_set, .attr_clr = o->rec_clr};
        rc = setattr(fd, AT_RECURSIVE, &a, err);
    }
    return rc;
}

int rn_mount_clone(int dirfd, const char *path, const struct rn_mount_opts *o, int *fd_out,
                   struct dray_err *err)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0u : (unsigned)AT_EMPTY_PATH);
    dray_autofd int fd = open_tree(dirfd, path, flags | (o->rec ? (unsigned)AT_RECURSIVE : 0u));
    if (fd < 0)
        return dray_fail_errno(err, "bind %s", path);
    struct rn_mount_opts all = *o;
    if (!all.propagation) { /* else the copy would still pass mounts on to the host */
        all.propagation = MS_PRIVATE;
        all.propagation_rec = true;
    }
    int rc = rn_mount_attrs(fd, &all, err);
    if (rc == 0)
        *fd_out = dray_steal_fd(&fd);
    return rc;
}

int rn_mount_attach(int mnt, int target, const char *name, struct dray_err *err)
{
    if (move_mount(mnt, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return dray_fail_errno(err, "mount on %s", name);
    return 0;
}

/** Files of /proc that other programs replace by their own (lxcfs), as runc allows. */
static bool proc_allowed(const char *dest)
{
    static const char *const names[] = {
        "cpuinfo",
        "diskstats",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "loadavg",
        "slabinfo",
        "net/dev",
        "sys/kernel/ns_last_pid",
        "sys/crypto/fips_enabled",
    };
    if (strncmp(dest, "/proc/", 6) != 0)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(dest + 6, names[i]) == 0)
            return true;
    return false;
}

static int make_file(int root, const char *dest)
{
    char parent[PATH_MAX];
    size_t n = strlen(dest);
    if (n >= sizeof parent) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(parent, dest, n + 1);
    char *slash = strrchr(parent, '/');
    if (slash)
        *slash = '\0';
    dray_autofd int dir = rn_mkdirs_in(root, slash ? parent : "", 0755);
    if (dir < 0)
        return -1;
    dray_autofd int fd = rn_open_in(root, dest, O_RDONLY | O_CREAT | O_NONBLOCK | O_NOCTTY, 0755);
    return fd < 0 ? -1 : 0;
}

int rn_mount_target(int root, const char *dest, bool dir, int *fd_out, struct dray_err *err)
{
    dray_autofd int fd = rn_open_in(root, dest, O_PATH, 0);
    if (fd < 0 && errno == ENOENT && dir)
        fd = rn_mkdirs_in(root, dest, 0755);
    else if (fd < 0 && errno == ENOENT && make_file(root, dest) == 0)
        fd = rn_open_in(root, dest, O_PATH, 0);
    struct stat st;
    struct statfs fs;
    if (fd < 0 || fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
        return dray_fail_errno(err, "make mount point %s", dest);
    if (S_ISLNK(st.st_mode))
        return dray_fail(err, DRAY_E_INVAL, "mount point %s is a link", dest);
    if (S_ISDIR(st.st_mode) != dir)
        return dray_fail(err, DRAY_E_INVAL,
                         "not a directory: Are you trying to mount a directory onto a file (or "
                         "vice-versa)? Check if the specified host path exists and is the "
                         "expected type: %s",
                         dest);
    if (fs.f_type == PROC_SUPER_MAGIC && !proc_allowed(dest))
        return dray_fail(err, DRAY_E_INVAL, "\"%s\" cannot be mounted because it is inside /proc",
                         dest);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}
