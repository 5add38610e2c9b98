/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the descriptor of the overlay driver, its opening and its end. */
#include "overlay.h"

#include <fcntl.h>

static int open_parts(struct dray_self *self, struct dray_err *err)
{
    int rc = dray_pl_layers_open(self->host, &self->layers, err);
    if (rc == 0)
        rc = dray_pl_layers_keep_spares(self->layers, err);
    if (rc < 0)
        return rc;
    const char *root = dray_pl_layers_root(self->layers);
    dray_autofd int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "open %s", root);
    rc = dray_pl_open_dir(fd, "empty", 0700, &self->empty_fd, err);
    if (rc < 0)
        return rc;
    if (asprintf(&self->scratch, "%s/scratch", self->host->path(self->host, DRAY_PATH_RUN)) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    rc = dray_pl_mkdirs(self->scratch, 0700, err);
    return rc < 0 ? rc : dray_pl_quota_open(fd, &self->quota, err);
}

static void close_self(struct dray_self *self)
{
    dray_pl_layers_close(self->layers);
    dray_pl_quota_close(self->quota);
    dray_cleanup_fd(&self->empty_fd);
    free(self->scratch);
    free(self);
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->empty_fd = -EBADF;
    self->is_volatile = host->opt_int(host, "volatile") != 0;
    self->sync = host->opt_int(host, "sync") != 0;
    dray_overlay_find_switches(self);
    int rc = open_parts(self, err);
    if (rc < 0) {
        close_self(self);
        return rc;
    }
    *out = self;
    return 0;
}

static int32_t quiesce(struct dray_self *self, uint64_t deadline_ns, struct dray_err *err)
{
    (void)err;
    dray_pl_trash_settle(dray_pl_layers_trash(self->layers), deadline_ns);
    return 0;
}

static const struct dray_option options[] = {
    {"volatile", DRAY_OPT_BOOL, 0, "false", 0, 0, NULL,
     "containers' writes may be lost when the machine crashes, and are faster"},
    {"sync", DRAY_OPT_BOOL, 0, "true", 0, 0, NULL,
     "flush an unpacked image layer to disk before it counts as there"},
};

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_STORAGE, DRAY_THREAD_PARALLEL, &dray_overlay_ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"overlay\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"storage\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "overlay",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .probe = dray_overlay_probe,
    .open = open_self,
    .quiesce = quiesce,
    .close = close_self,
};
