/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - an extension: one page in the browser that shows what the API tells. */
#include <dray/extension.h>
#include <dray/plugin.h>
#include <dray/util.h>

struct dray_self {
    const struct dray_host *host;
};

static const unsigned char page[] = {
#include "page.inc"
};

static int32_t describe(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    static const struct dray_kv offers[] = {{"route", "GET /"}, {"route", "GET /index.html"}};
    int32_t rc = 0;
    (void)err;
    for (size_t i = 0; !rc && i < sizeof offers / sizeof *offers; i++) {
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {&offers[i], 1}};
        rc = self->host->emit(call, &rec);
    }
    return rc;
}

/* The page asks nobody but the API that it came from, and no other page may frame it. */
static const struct dray_kv headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; "
     "style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-cache"},
};

static int32_t handle(struct dray_self *self, const struct dray_call *call,
                      const struct dray_ext_request *req, struct dray_ext_response *out,
                      struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)req;
    (void)err;
    out->status = 200;
    out->content_type = "text/html; charset=utf-8";
    out->headers = (struct dray_kvs){headers, sizeof headers / sizeof *headers};
    out->body = (struct dray_span){page, sizeof page};
    out->body_fd.fd = -1;
    return 0;
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    *out = self;
    return 0;
}

static void close_self(struct dray_self *self)
{
    free(self);
}

static const struct dray_extension_ops ops = {
    .head = DRAY_TABLE(struct dray_extension_ops, 0),
    .describe = describe,
    .handle = handle,
};
static const struct dray_iface ifaces[] = {
    {DRAY_KIND_EXTENSION, DRAY_THREAD_PARALLEL, &ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"dashboard\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"extension\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "dashboard",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .open = open_self,
    .close = close_self,
};
