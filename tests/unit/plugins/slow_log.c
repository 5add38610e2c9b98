/* SPDX-License-Identifier: Apache-2.0 */
/* slow_log.c - a log driver for tests that hangs as long as DIR/hang is there; it counts into
 * DIR/count. */
#include <dray/log.h>
#include <dray/plugin.h>
#include <dray/util.h>

#include <fcntl.h>
#include <time.h>

DRAY_PLUGIN_CARD("{\"name\":\"test-slow\",\"version\":\"1\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

/* A shim has one container. */
struct dray_self {
    char *hang, *count;
    uint64_t lines;
};

static int32_t slow_open(struct dray_self *self, const struct dray_call *call,
                         const struct dray_log_info *info, struct dray_err *err)
{
    (void)call;
    if (asprintf(&self->hang, "%s/hang", info->dir) < 0 ||
        asprintf(&self->count, "%s/count", info->dir) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

static int32_t slow_write(struct dray_self *self, const struct dray_call *call, const char *id,
                          const struct dray_log_record *records, uint64_t n, struct dray_err *err)
{
    (void)call;
    (void)id;
    (void)records;
    (void)err;
    while (access(self->hang, F_OK) == 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    self->lines += n;
    return 0;
}

static int32_t slow_close(struct dray_self *self, const struct dray_call *call, const char *id,
                          struct dray_err *err)
{
    (void)call;
    (void)id;
    dray_autofree char *new = NULL;
    if (asprintf(&new, "%s.new", self->count) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    (void)dprintf(fd, "%llu", (unsigned long long)self->lines);
    (void)close(fd);
    return rename(new, self->count) == 0 ? 0 : dray_fail(err, DRAY_E_IO, "%s: %m", self->count);
}

static int32_t plugin_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)host;
    (void)instance;
    (void)err;
    *out = calloc(1, sizeof **out);
    return 0;
}

static void plugin_close(struct dray_self *self)
{
    free(self->hang);
    free(self->count);
    free(self);
}

static const struct dray_log_ops ops = {
    .head = DRAY_TABLE(struct dray_log_ops, 0),
    .open = slow_open,
    .write = slow_write,
    .close = slow_close,
};

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_LOG, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "test-slow",
    .version = "1",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = plugin_close,
};
