/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "none": output is not kept. */
#include <dray/log.h>
#include <dray/plugin.h>
#include <dray/util.h>

DRAY_PLUGIN_CARD("{\"name\":\"none\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

struct dray_self {
    char nothing;
};

static int32_t log_open(struct dray_self *self, const struct dray_call *call,
                        const struct dray_log_info *info, struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)info;
    (void)err;
    return 0;
}

static int32_t log_write(struct dray_self *self, const struct dray_call *call, const char *id,
                         const struct dray_log_record *records, uint64_t n, struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)id;
    (void)records;
    (void)n;
    (void)err;
    return 0;
}

static int32_t log_close(struct dray_self *self, const struct dray_call *call, const char *id,
                         struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)id;
    (void)err;
    return 0;
}

static int32_t plugin_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)host;
    (void)instance;
    *out = calloc(1, sizeof **out);
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static void plugin_close(struct dray_self *self)
{
    free(self);
}

static const struct dray_log_ops ops = {
    .head = DRAY_TABLE(struct dray_log_ops, DRAY_LOG_F_LOCAL),
    .open = log_open,
    .write = log_write,
    .close = log_close,
};

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_LOG, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "none",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = plugin_close,
};
