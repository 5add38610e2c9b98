/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the descriptor of the local volume driver, its opening and its end. */
#include "local.h"

#include <fcntl.h>

static void close_self(struct dray_self *self)
{
    dray_pl_trash_close(self->trash);
    dray_pl_quota_close(self->quota);
    dray_cleanup_fd(&self->root_fd);
    while (self->uses) {
        struct volume_use *use = self->uses;
        self->uses = use->next;
        for (size_t i = 0; i < use->n_users; i++)
            free(use->users[i]);
        free(use->users);
        free(use);
    }
    (void)pthread_mutex_destroy(&self->lock);
    free(self->root);
    free(self);
}

static int open_root(struct dray_self *self, const char *root, struct dray_err *err)
{
    int rc = dray_pl_mkdirs(root, 0701, err);
    if (rc < 0)
        return rc;
    self->root = realpath(root, NULL);
    if (!self->root)
        return dray_fail_errno(err, "resolve %s", root);
    self->root_fd = open(self->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->root_fd < 0)
        return dray_fail_errno(err, "open %s", self->root);
    rc = dray_pl_trash_open(self->host, self->root_fd, ".trash", &self->trash, err);
    return rc < 0 ? rc : dray_pl_quota_open(self->root_fd, &self->quota, err);
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->root_fd = -EBADF;
    (void)pthread_mutex_init(&self->lock, NULL);
    const char *root = host->opt_str(host, "root");
    int rc = open_root(self, root && *root ? root : host->path(host, DRAY_PATH_DATA), err);
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
    dray_pl_trash_settle(self->trash, deadline_ns);
    return 0;
}

static const struct dray_option options[] = {
    {"root", DRAY_OPT_PATH, 0, NULL, 0, 0, NULL,
     "folder that holds the volumes, instead of the driver's own"},
};

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_VOLUME, DRAY_THREAD_PER_OBJECT, &dray_local_ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"local\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"volume\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "local",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .open = open_self,
    .quiesce = quiesce,
    .close = close_self,
};
