/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - registry-layout: an OCI image layout, a folder or a tar, as a registry ("oci:/path").
 */
#include "layout.h"

#include <dray/plugin.h>

static int32_t open_(const struct dray_host *host, const char *instance, struct dray_self **out,
                     struct dray_err *err)
{
    (void)instance;
    struct dray_self *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->host = host;
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return 0;
}

static void close_(struct dray_self *s)
{
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_REGISTRY, DRAY_THREAD_PARALLEL, &layout_ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"layout\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"registry\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "layout",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = open_,
    .close = close_,
};
