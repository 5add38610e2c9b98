// SPDX-License-Identifier: Apache-2.0
// readers.cpp - an authorization driver: the users of a list may only look.
#include <dray/authz.h>
#include <dray/plugin.h>
#include <dray/util.h>

#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <string_view>

DRAY_PLUGIN_CARD("{\"name\":\"readers\",\"version\":\"1.0.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"authz\"],\"license\":\"Apache-2.0\"}");

using UserSet = std::set<std::string, std::less<>>;

// What the daemon calls an instance. The set is replaced as a whole when the options change, and
// calls that are under way keep the one they have.
struct dray_self {
    const dray_host *host;
    std::mutex lock;
    std::shared_ptr<const UserSet> users;

    std::shared_ptr<const UserSet> current()
    {
        std::lock_guard<std::mutex> hold(lock);
        return users;
    }

    void read_options()
    {
        auto fresh = std::make_shared<UserSet>();
        const dray_strs list = host->opt_list(host, "users");
        for (uint64_t i = 0; i < list.n; i++)
            fresh->insert(list.v[i]);
        std::lock_guard<std::mutex> hold(lock);
        users = std::move(fresh);
    }
};

namespace
{

// The daemon is C: an exception that left a driver would end it.
template <typename F> int32_t guarded(dray_err *err, F &&body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    } catch (...) {
        return dray_fail(err, DRAY_E_INTERNAL, "the driver failed");
    }
}

// "/v1.41/containers/json?all=1" to "/containers/json"
std::string_view path_of(std::string_view uri)
{
    uri = uri.substr(0, uri.find('?'));
    if (uri.size() > 2 && uri[0] == '/' && uri[1] == 'v' && uri[2] >= '0' && uri[2] <= '9') {
        const size_t next = uri.find('/', 1);
        uri = next == std::string_view::npos ? "/" : uri.substr(next);
    }
    return uri;
}

bool ends_with(std::string_view text, std::string_view end)
{
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// GET and HEAD change nothing, but for attaching by websocket; these change nothing either.
bool only_looks(std::string_view method, std::string_view path)
{
    if (method == "GET" || method == "HEAD")
        return !ends_with(path, "/attach/ws");
    return method == "POST" && (path == "/auth" || ends_with(path, "/wait"));
}

// By the name of a certificate; of those without one, by the user of this machine, or all with "-".
bool is_listed(const UserSet &users, const dray_authz_exchange &x)
{
    if (*x.user)
        return users.count(x.user) > 0;
    return users.count("-") > 0 ||
           (x.has_peer && users.count("uid:" + std::to_string(x.peer_uid)) > 0);
}

int32_t request(dray_self *self, const dray_call *, const dray_authz_exchange *x, dray_err *err)
{
    return guarded(err, [&]() -> int32_t {
        const auto users = self->current();
        if (!is_listed(*users, *x) || only_looks(x->method, path_of(x->uri)))
            return 0;
        return dray_fail(err, DRAY_E_DENIED, "%s may only look", *x->user ? x->user : "you");
    });
}

int32_t response(dray_self *, const dray_call *, const dray_authz_exchange *, dray_err *)
{
    return 0;
}

int32_t open_instance(const dray_host *host, const char *, dray_self **out, dray_err *err)
{
    return guarded(err, [&]() -> int32_t {
        auto self = std::make_unique<dray_self>();
        self->host = host;
        self->read_options();
        *out = self.release();
        return 0;
    });
}

int32_t reload(dray_self *self, dray_err *err)
{
    return guarded(err, [&]() -> int32_t {
        self->read_options();
        return 0;
    });
}

void close_instance(dray_self *self)
{
    delete self;
}

const dray_authz_ops ops = {DRAY_TABLE(dray_authz_ops, 0), request, response};
const dray_iface ifaces[] = {{DRAY_KIND_AUTHZ, DRAY_THREAD_PARALLEL, &ops.head}};
const dray_option options[] = {
    {"users", DRAY_OPT_LIST, DRAY_OPT_F_RELOADABLE, "", 0, 0, nullptr,
     "who may only look: names of client certificates, uid:N, - without any"}};

// C++17 has no names in initializers: the fields are set one by one.
constexpr dray_plugin describe()
{
    dray_plugin p{};
    p.magic = DRAY_PLUGIN_MAGIC;
    p.head = DRAY_TABLE(dray_plugin, 0);
    p.name = "readers";
    p.version = "1.0.0";
    p.license = "Apache-2.0";
    p.options = options;
    p.n_options = 1;
    p.ifaces = ifaces;
    p.n_ifaces = 1;
    p.open = open_instance;
    p.reload = reload;
    p.close = close_instance;
    return p;
}

} // namespace

const dray_plugin dray_plugin_v1 = describe();
