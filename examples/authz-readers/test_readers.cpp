// SPDX-License-Identifier: Apache-2.0
// test_readers.cpp - the readers driver through a host for tests.
#include <dray/authz.h>
#include <dray/testhost.h>

#include <cstdio>
#include <cstring>

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            std::fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, err.text);         \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

int main(int argc, char **argv)
{
    static dray_testhost t;
    dray_err err{};
    CHECK(argc == 2);
    CHECK(dray_testhost_open(&t, argv[1], "users=dashboard,users=auditor,users=uid:1000", &err) ==
          0);
    const auto *ops = static_cast<const dray_authz_ops *>(dray_testhost_ops(&t, DRAY_KIND_AUTHZ));
    CHECK(ops);
    auto ask = [&](const char *user, const char *method, const char *uri) {
        dray_authz_exchange x{};
        x.size = sizeof x;
        x.user = user;
        x.user_auth = *user ? "TLS" : "";
        x.method = method;
        x.uri = uri;
        return ops->request(t.self, &t.call, &x, &err);
    };

    CHECK(ask("dashboard", "GET", "/v1.41/containers/json?all=1") == 0);
    CHECK(ask("dashboard", "HEAD", "/_ping") == 0);
    CHECK(ask("auditor", "POST", "/v1.41/containers/c/wait?condition=removed") == 0);
    CHECK(ask("auditor", "POST", "/auth") == 0);
    CHECK(ask("dashboard", "POST", "/v1.41/containers/create?name=wait") == DRAY_E_DENIED);
    CHECK(std::strcmp(err.text, "dashboard may only look") == 0);
    CHECK(ask("dashboard", "POST", "/containers/create?x=/wait") == DRAY_E_DENIED);
    CHECK(ask("auditor", "DELETE", "/v1.51/images/x") == DRAY_E_DENIED);
    CHECK(ask("auditor", "PUT", "/containers/c/archive?path=/") == DRAY_E_DENIED);
    CHECK(ask("auditor", "GET", "/v1.41/containers/c/attach/ws?stdin=1") == DRAY_E_DENIED);
    CHECK(ask("admin", "DELETE", "/v1.51/images/x") == 0);
    CHECK(ask("", "DELETE", "/v1.51/images/x") == 0);
    dray_authz_exchange local{};
    local.size = sizeof local;
    local.user = local.user_auth = "";
    local.method = "DELETE";
    local.uri = "/v1.51/images/x";
    local.peer_uid = 1000;
    CHECK(ops->request(t.self, &t.call, &local, &err) == 0);
    local.has_peer = 1;
    CHECK(ops->request(t.self, &t.call, &local, &err) == DRAY_E_DENIED);
    CHECK(std::strcmp(err.text, "you may only look") == 0);
    local.peer_uid = 0;
    CHECK(ops->request(t.self, &t.call, &local, &err) == 0);
    dray_testhost_close(&t);
    return 0;
}
