/* SPDX-License-Identifier: Apache-2.0 */
/* suite_small.c - authorization, extensions, builders: kinds with a call or two. */
#include "check.h"

#include <dray/builder.h>

/* --- authz -------------------------------------------------------------------------------------*/

static void check_answer(struct ck *c, const char *what)
{
    if (c->rc == 0 || c->rc == DRAY_E_DENIED)
        (void)ck_true(c, true, what);
    else
        (void)ck_expect(c, DRAY_E_DENIED, what);
}

void ck_authz(struct ck *c)
{
    static const char json[] = "{\"Image\":\"busybox\"}";
    static const char bytes[] = "\xff\x00\xfe";
    const struct dray_kv headers[] = {{"Content-Type", "application/json"}};
    struct dray_authz_exchange x = {
        .size = sizeof x, .user = "", .user_auth = "", .method = "GET", .uri = "/v1.51/_ping"};
    (void)CK(c, authz, request, NULL, &x);
    check_answer(c, "request() without a body is allowed or denied");
    x.method = "POST";
    x.uri = "/v1.51/containers/create?name=x%20y";
    x.user = "somebody";
    x.user_auth = "TLS";
    x.headers = (struct dray_kvs){headers, 1};
    x.body = (struct dray_span){json, sizeof json - 1};
    (void)CK(c, authz, request, NULL, &x);
    check_answer(c, "request() with a user, headers and a body");
    x.body = (struct dray_span){bytes, sizeof bytes - 1};
    (void)CK(c, authz, request, NULL, &x);
    check_answer(c, "request() whose body is no JSON");
    x.status = 201;
    x.answer_headers = x.headers;
    x.answer_body = (struct dray_span){json, sizeof json - 1};
    (void)CK(c, authz, response, NULL, &x);
    check_answer(c, "response()");
}

/* --- extension ---------------------------------------------------------------------------------*/

static void check_handle(struct ck *c, const char *method, const char *path)
{
    const struct dray_ext_request q = {
        .size = sizeof q, .method = method, .path = path, .body = {-1}};
    struct dray_ext_response a = {.size = sizeof a, .body_fd = {-1}};
    (void)CK(c, extension, handle, NULL, &q, &a);
    if (a.body_fd.fd >= 0)
        (void)close(a.body_fd.fd);
    if (c->rc == 0 && (a.status < 100 || a.status > 599))
        ck_fail(c, "handle() of %s %s gave the status %u", method, path, a.status);
    else if (c->rc == 0 || (c->rc <= DRAY_E_INVAL && c->err.text[0]))
        c->shared->passed++;
}

/* The routes of describe(), each with its fewest letters. */
static void check_routes(struct ck *c)
{
    dray_autofree char *text = dray_buf_steal(&c->emitted);
    unsigned n = 0;
    char *rest = text;
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        char method[8] = "", path[256] = "";
        if (sscanf(line, "route=%7[A-Z] %255s", method, path) != 2) {
            if (strncmp(line, "route=", 6) == 0)
                ck_fail(c, "describe() gave \"%s\"; a route is METHOD /path", line);
            continue;
        }
        n++;
        if (path[0] != '/')
            ck_fail(c, "describe() gave the path \"%s\"; it begins with /", path);
        path[strcspn(path, "*")] = '\0';
        check_handle(c, method, path);
    }
    if (n)
        (void)ck_true(c, true, "handle() answers the routes of describe()");
}

void ck_extension(struct ck *c)
{
    (void)CK(c, extension, describe, NULL);
    if (!ck_expect(c, 0, "describe()"))
        return;
    check_routes(c);
    if (ck_has(c, "event")) {
        (void)CK(c, extension, event, NULL,
                 "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":{\"ID\":\"0\","
                 "\"Attributes\":{}},\"time\":1,\"timeNano\":1000000000}");
        (void)ck_expect(c, 0, "event()");
    }
}

/* --- builder -----------------------------------------------------------------------------------*/

/* Every service of the engine answers so. */
static int32_t no_engine(void)
{
    return DRAY_E_NOTSUP;
}

const void *ck_build_iface(void)
{
    static struct dray_build_host table;
    int32_t (*stub)(void) = no_engine;
    table.head = (struct dray_head)DRAY_TABLE(struct dray_build_host, 0);
    for (size_t at = sizeof table.head; at + sizeof stub <= sizeof table; at += sizeof stub)
        memcpy((char *)&table + at, &stub, sizeof stub);
    return &table;
}

void ck_builder(struct ck *c)
{
    const struct dray_build_spec spec = {.size = sizeof spec,
                                         .context = {-1},
                                         .remote = "",
                                         .dockerfile = "dray-check.no-such-language",
                                         .target = "",
                                         .platform = "",
                                         .host_config = "{}",
                                         .network = ""};
    c->err = (struct dray_err){0};
    int score = ck_enter(c, "detect", NULL, false);
    if (!score)
        score = ((const struct dray_builder_ops *)c->scope.ops)
                    ->detect(c->scope.self, &c->scope.call, &spec);
    (void)ck_result(c, score < 0 ? score : 0);
    (void)ck_true(c, score >= 0 && score <= 100, "detect() gives 0 to 100");
    ck_skip(c, "build() needs an engine; try it with drayd");
}
