/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gated_storage.c - another storage driver behind a gate that can be shut for one call.
 *
 * "inner" is the file of the driver that does the work. A call finds DIR/hang.storage.OP, renames
 * it to DIR/held.storage.OP and does not go on, whatever its deadline, while that is there. So one
 * call is held, and others of the same operation go on.
 */
#include <dray/plugin.h>
#include <dray/storage.h>
#include <dray/util.h>

#include <dlfcn.h>
#include <time.h>

DRAY_PLUGIN_CARD("{\"name\":\"gated\",\"version\":\"1.0.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"storage\"],\"license\":\"Apache-2.0\"}");

struct dray_self {
    const char *dir;
    const struct dray_plugin *inner;
    const struct dray_storage_ops *ops;
    struct dray_self *self;
};

static void gate(const struct dray_self *self, const char *op)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    char hang[300], held[300];
    (void)snprintf(hang, sizeof hang, "%s/hang.storage.%s", self->dir, op);
    (void)snprintf(held, sizeof held, "%s/held.storage.%s", self->dir, op);
    if (rename(hang, held) == 0)
        while (access(held, F_OK) == 0)
            (void)nanosleep(&nap, NULL);
}

#define PASS(op, params, ...)                                                                      \
    static int32_t op##_gated params                                                               \
    {                                                                                              \
        gate(self, #op);                                                                           \
        return self->ops->op(self->self, call, ##__VA_ARGS__, err);                                \
    }
#define OF struct dray_self *self, const struct dray_call *call
#define ID OF, const char *id
#define END struct dray_err *err

PASS(create, (ID, const char *parent, uint32_t flags, struct dray_kvs opts, END), id, parent, flags,
     opts)
PASS(remove, (ID, END), id)
PASS(mounts, (ID, uint32_t flags, struct dray_mounts *out, END), id, flags, out)
PASS(release, (ID, END), id)
PASS(apply, (ID, struct dray_fd_borrow tar, struct dray_kvs opts, uint64_t *size, END), id, tar,
     opts, size)
PASS(diff, (ID, const char *parent, struct dray_fd_borrow out, END), id, parent, out)
PASS(changes, (ID, END), id)
PASS(list, (OF, END))
PASS(usage, (ID, uint64_t *bytes, uint64_t *inodes, END), id, bytes, inodes)

static const struct dray_storage_ops ops = {
    .head = DRAY_TABLE(struct dray_storage_ops, 0),
    .create = create_gated,
    .remove = remove_gated,
    .mounts = mounts_gated,
    .release = release_gated,
    .apply = apply_gated,
    .diff = diff_gated,
    .changes = changes_gated,
    .list = list_gated,
    .usage = usage_gated,
};

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    static struct dray_self self;
    void *handle = dlopen(host->opt_str(host, "inner"), RTLD_NOW | RTLD_LOCAL);
    self.dir = host->opt_str(host, "dir");
    self.inner = handle ? dlsym(handle, DRAY_PLUGIN_SYMBOL) : NULL;
    if (!self.inner)
        return dray_fail(err, DRAY_E_INVAL, "%s", dlerror());
    self.ops = (const struct dray_storage_ops *)self.inner->ifaces[0].ops;
    *out = &self;
    return self.inner->open(host, instance, &self.self, err);
}

static void close_self(struct dray_self *self)
{
    self->inner->close(self->self);
}

static const struct dray_option options[] = {
    {"dir", DRAY_OPT_PATH, DRAY_OPT_F_REQUIRED, NULL, 0, 0, NULL, "folder with its orders"},
    {"inner", DRAY_OPT_PATH, DRAY_OPT_F_REQUIRED, NULL, 0, 0, NULL, "the driver behind the gate"},
};
static const struct dray_iface ifaces[] = {{DRAY_KIND_STORAGE, DRAY_THREAD_PARALLEL, &ops.head}};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "gated",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = 2,
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = open_self,
    .close = close_self,
};
