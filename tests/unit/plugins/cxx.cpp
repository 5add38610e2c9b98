/* SPDX-License-Identifier: Apache-2.0 */
/* cxx.cpp - an authorization plugin in C++17: the SDK serves its authors too. */
#include <dray/authz.h>
#include <dray/plugin.h>
#include <dray/util.h>

#include <string>
#include <string_view>

DRAY_PLUGIN_CARD("{\"name\":\"cxx\",\"version\":\"1.0.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"authz\"],\"license\":\"MIT\"}");

struct dray_self {
    const dray_host *host;
    std::string forbidden;
};

namespace
{

int32_t request(dray_self *self, const dray_call *, const dray_authz_exchange *x, dray_err *err)
{
    if (std::string_view(x->uri).find(self->forbidden) == std::string_view::npos)
        return 0;
    return dray_fail(err, DRAY_E_DENIED, "%s is forbidden", self->forbidden.c_str());
}

int32_t response(dray_self *, const dray_call *, const dray_authz_exchange *, dray_err *)
{
    return 0;
}

const dray_authz_ops ops = {DRAY_TABLE(dray_authz_ops, 0), request, response};
const dray_iface ifaces[] = {{DRAY_KIND_AUTHZ, DRAY_THREAD_PARALLEL, &ops.head}};
const dray_option options[] = {
    {"forbidden", DRAY_OPT_STRING, 0, "/commit", 0, 0, nullptr, "part of a path"},
};

int32_t open_instance(const dray_host *host, const char *, dray_self **out, dray_err *)
{
    *out = new dray_self{host, host->opt_str(host, "forbidden")};
    return 0;
}

void close_instance(dray_self *self)
{
    delete self;
}

} // namespace

const struct dray_plugin dray_plugin_v1 = {
    DRAY_PLUGIN_MAGIC,
    DRAY_TABLE(dray_plugin, 0),
    "cxx",
    "1.0.0",
    "MIT",
    options,
    1,
    ifaces,
    1,
    nullptr,
    open_instance,
    nullptr,
    nullptr,
    nullptr,
    close_instance,
};
