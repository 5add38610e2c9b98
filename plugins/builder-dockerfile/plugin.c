/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the builder of Dockerfiles: what the host sees. */
#include "build.h"
#include "fetch.h"

#include <dray/plugin.h>

DRAY_PLUGIN_CARD("{\"name\":\"dockerfile\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"builder\"],\"license\":\"Apache-2.0\"}");

static int32_t op_detect(struct dray_self *self, const struct dray_call *call,
                         const struct dray_build_spec *spec)
{
    (void)self;
    (void)call;
    (void)spec;
    return 50; /* any name may be a Dockerfile's: a builder for special ones says more */
}

static int32_t op_build(struct dray_self *self, const struct dray_call *call,
                        const struct dray_build_spec *spec, const char **image_out,
                        struct dray_err *err)
{
    return bd_build_run(self, call, spec, image_out, err);
}

static const struct dray_builder_ops ops = {
    .head = DRAY_TABLE(struct dray_builder_ops, 0),
    .detect = op_detect,
    .build = op_build,
};

static int32_t op_open(const struct dray_host *host, const char *instance, struct dray_self **out,
                       struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->engine = host->iface(host, DRAY_BUILD_IFACE, 1);
    if (!self->engine) {
        free(self);
        return dray_fail(err, DRAY_E_NOTSUP, "this host does not offer %s", DRAY_BUILD_IFACE);
    }
    bd_fetch_sweep(host);
    *out = self;
    return 0;
}

static void op_close(struct dray_self *self)
{
    free(self);
}

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_BUILDER, DRAY_THREAD_PARALLEL, &ops.head},
};

const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "dockerfile",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = op_open,
    .close = op_close,
};
