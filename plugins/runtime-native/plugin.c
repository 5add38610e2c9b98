/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the driver "native": runs OCI bundles itself, with the kernel's own means. */
#include "files.h"
#include "mount.h"
#include "native.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/utsname.h>

DRAY_PLUGIN_CARD("{\"name\":\"native\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"runtime\"],\"license\":\"Apache-2.0\"}");

static int32_t native_probe(const struct dray_host *host, struct dray_err *err)
{
    (void)host;
    struct utsname u = {.release = "?"};
    (void)uname(&u);
    dray_autofd int fd = rn_openat2(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, RESOLVE_IN_ROOT);
    if (fd < 0)
        return dray_fail(err, DRAY_E_NOTSUP, "the kernel (%s) lacks openat2: Linux 5.12 is needed",
                         u.release);
    if (mount_setattr(-1, "", AT_EMPTY_PATH, NULL, 0) != 0 && errno == ENOSYS)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "the kernel (%s) lacks mount_setattr: Linux 5.12 is needed", u.release);
    return 0;
}

/** A container that gets the host's /dev/null as a stream could give it another mode or owner,
 * which every program of the host would feel. Through a read-only mount it cannot. */
static int open_null(struct dray_self *self, struct dray_err *err)
{
    const struct rn_mount_opts o = {
        .bind = true, .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
    int rc = rn_mount_clone(AT_FDCWD, "/dev/null", &o, &self->null_tree, err);
    if (rc != 0)
        return rc;
    /* The mount stays open: to take it apart costs a wait for the kernel's RCU. */
    struct rn_fdpath path = rn_fdpath(self->null_tree);
    self->null = open(path.s, O_RDWR | O_CLOEXEC);
    if (self->null < 0)
        return dray_fail_errno(err, "open /dev/null");
    return rn_is_null(self->null) ? 0
                                  : dray_fail(err, DRAY_E_IO, "/dev/null of the host is no device");
}

static void close_files(struct dray_self *self)
{
    dray_cleanup_fd(&self->null);
    dray_cleanup_fd(&self->null_tree);
    dray_cleanup_fd(&self->run);
}

static int32_t native_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->null = self->null_tree = -EBADF;
    (void)pthread_mutex_init(&self->lock, NULL);
    struct stat st;
    if (stat("/proc/self/exe", &st) == 0) {
        self->self_dev = (uint64_t)st.st_dev;
        self->self_ino = (uint64_t)st.st_ino;
    }
    char on[4] = "";
    self->apparmor =
        rn_read_at(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", on, sizeof on) > 0 &&
        *on == 'Y';
    self->selinux = access("/sys/fs/selinux/enforce", F_OK) == 0;
    const char *run = host->path(host, DRAY_PATH_RUN);
    self->run = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = self->run < 0 ? dray_fail_errno(err, "open %s", run) : open_null(self, err);
    if (rc == 0)
        rc = rn_cg_layout_read(&self->cgroups, err);
    if (rc != 0) {
        close_files(self);
        free(self);
        return rc;
    }
    *out = self;
    return 0;
}

static void native_close(struct dray_self *self)
{
    while (self->pending) {
        struct rn_pending *p = self->pending;
        self->pending = p->next;
        (void)close(p->chan);
        free(p->id);
        free(p);
    }
    rn_cg_layout_cleanup(&self->cgroups);
    close_files(self);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct dray_runtime_ops ops = {
    .head = DRAY_TABLE(struct dray_runtime_ops, 0),
    .create = rn_create,
    .start = rn_start,
    .kill = rn_kill,
    .state = rn_state,
    .remove = rn_remove,
    .exec = rn_exec,
    .freeze = rn_freeze,
    .update = rn_update,
    .stats = rn_stats,
    .ps = rn_ps,
    .reattach = rn_reattach,
};

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_RUNTIME, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "native",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .probe = native_probe,
    .open = native_open,
    .close = native_close,
};
