/* SPDX-License-Identifier: Apache-2.0 */
/* mounts.c - makes the mounts of a container, below its root, in its own mount namespace. */
#include "files.h"
#include "init.h"
#include "mount.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>

static int mount_bind(const struct rn_init *in, const struct rn_spec_mount *m, struct dray_err *err)
{
    struct stat st;
    dray_autofd int target = -EBADF;
    if (fstat(m->fd, &st) != 0)
        return dray_fail_errno(err, "look at %s", m->source);
    int rc = rn_mount_target(in->root, m->dest, S_ISDIR(st.st_mode), &target, err);
    return rc != 0 ? rc : rn_mount_attach(m->fd, target, m->dest, err);
}

/** proc and sysfs must not be led elsewhere by a link in the image. */
static int ordinary_target(const struct rn_init *in, const char *dest, int *fd_out,
                           struct dray_err *err)
{
    dray_autofd int fd = rn_openat2(in->root, dest + strspn(dest, "/"), O_PATH | O_DIRECTORY, 0,
                                    RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
    if (fd < 0 && errno == ENOENT)
        return rn_mount_target(in->root, dest, true, fd_out, err);
    if (fd < 0)
        return dray_fail_errno(err, "filesystem at %s must be mounted on an ordinary directory",
                               dest);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

static int copy_up(const struct rn_init *in, const struct rn_spec_mount *m, int mnt,
                   struct dray_err *err)
{
    dray_autofd int from = rn_open_in(in->root, m->dest, O_RDONLY | O_DIRECTORY, 0);
    dray_autofd int to = openat(mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0 || to < 0)
        return dray_fail_errno(err, "tmpcopyup %s", m->dest);
    return rn_copyup(from, to, err);
}

static bool strict(const char *type)
{
    return strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
}

static int mount_fs(const struct rn_init *in, const struct rn_spec_mount *m, struct dray_err *err)
{
    struct rn_mount_opts o;
    dray_autofd int target = -EBADF, mnt = -EBADF;
    int rc = rn_mount_options(m->options.v, m->options.n, &o, err);
    if (rc == 0)
        rc = strict(m->type) ? ordinary_target(in, m->dest, &target, err)
                             : rn_mount_target(in->root, m->dest, true, &target, err);
    uint64_t ro = o.attr_set & MOUNT_ATTR_RDONLY;
    if (o.copyup)
        o.attr_set &= ~ro; /* until it has been filled */
    if (rc == 0)
        rc = rn_mount_new(m->type, m->source, &o, &mnt, err);
    if (rc == 0 && o.copyup)
        rc = copy_up(in, m, mnt, err);
    if (rc == 0 && (o.propagation || (o.copyup && ro))) {
        o.attr_clr = 0;
        o.attr_set = o.copyup ? ro : 0;
        o.rec_set = o.rec_clr = 0;
        rc = rn_mount_attrs(mnt, &o, err);
    }
    return rc != 0 ? rc : rn_mount_attach(mnt, target, m->dest, err);
}

/* /sys/fs/cgroup: each hierarchy is shown by a bind of the container's own group. Inside a cgroup
 * namespace, whose root that group is, this is the same as mounting the hierarchy anew. */

static int bind_group(const struct rn_init *in, const struct rn_cg_tree *t, int target,
                      const struct rn_mount_opts *o, const char *name, struct dray_err *err)
{
    char path[PATH_MAX];
    dray_autofd int mnt = -EBADF;
    bool host = !(in->spec->ns_new & CLONE_NEWCGROUP) && in->task.cgroup.layout->unified;
    (void)snprintf(path, sizeof path, "%s%s", t->mount, host ? "" : in->task.cgroup.path);
    int rc = rn_mount_clone(AT_FDCWD, path, o, &mnt, err);
    return rc != 0 ? rc : rn_mount_attach(mnt, target, name, err);
}

/** "cpu" beside "cpu,cpuacct" */
static int link_controllers(int dir, const char *options, struct dray_err *err)
{
    if (!strchr(options, ',') || strncmp(options, "name=", 5) == 0)
        return 0;
    for (const char *p = options; *p;) {
        char one[64];
        size_t n = strcspn(p, ",");
        if (n < sizeof one) {
            memcpy(one, p, n);
            one[n] = '\0';
            if (symlinkat(options, dir, one) != 0 && errno != EEXIST)
                return dray_fail_errno(err, "make link /sys/fs/cgroup/%s", one);
        }
        p += n + (p[n] == ',');
    }
    return 0;
}

static int bind_tree(const struct rn_init *in, const struct rn_cg_tree *t, int dir,
                     const struct rn_mount_opts *o, struct dray_err *err)
{
    const char *name = t->options ? t->options : "unified";
    if (strncmp(name, "name=", 5) == 0)
        name += 5;
    if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "make /sys/fs/cgroup/%s", name);
    dray_autofd int target = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (target < 0)
        return dray_fail_errno(err, "open /sys/fs/cgroup/%s", name);
    int rc = bind_group(in, t, target, o, name, err);
    if (rc == 0 && t->options)
        rc = link_controllers(dir, t->options, err);
    return rc;
}

static int mount_cgroup(struct rn_init *in, const struct rn_spec_mount *m, struct dray_err *err)
{
    struct rn_mount_opts o;
    const struct rn_cg_layout *l = in->task.cgroup.layout;
    dray_autofd int target = -EBADF, tmp = -EBADF;
    int rc = rn_init_join(in, err);
    if (rc == 0)
        rc = rn_mount_options(m->options.v, m->options.n, &o, err);
    if (rc == 0)
        rc = rn_mount_target(in->root, m->dest, true, &target, err);
    if (rc != 0)
        return rc;
    o.bind = true;
    o.n_data = 0;
    if (l->unified)
        return bind_group(in, &l->v2, target, &o, m->dest, err);
    struct rn_mount_opts plain = {
        .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
        .data = {"mode=755"},
        .n_data = 1,
    };
    rc = rn_mount_new("tmpfs", "tmpfs", &plain, &tmp, err);
    if (rc == 0)
        rc = rn_mount_attach(tmp, target, m->dest, err);
    for (size_t i = 0; i < l->n_v1 && rc == 0; i++)
        rc = bind_tree(in, &l->v1[i], tmp, &o, err);
    if (rc == 0 && l->v2.mount)
        rc = bind_tree(in, &l->v2, tmp, &o, err);
    if (rc == 0 && (o.attr_set & MOUNT_ATTR_RDONLY)) {
        const struct rn_mount_opts ro = {.attr_set = MOUNT_ATTR_RDONLY};
        rc = rn_mount_attrs(tmp, &ro, err);
    }
    return rc;
}

int rn_mounts_make(struct rn_init *in, struct dray_err *err)
{
    for (size_t i = 0; i < in->spec->n_mounts; i++) {
        const struct rn_spec_mount *m = &in->spec->mounts[i];
        int rc = 0;
        if (m->fd >= 0)
            rc = mount_bind(in, m, err);
        else if (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0)
            rc = mount_cgroup(in, m, err);
        else
            rc = mount_fs(in, m, err);
        if (rc != 0)
            return dray_err_note(err, "error mounting \"%.100s\" to rootfs at \"%.100s\"",
                                 *m->source ? m->source : m->type, m->dest);
    }
    return 0;
}
