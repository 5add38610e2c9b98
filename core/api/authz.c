/* SPDX-License-Identifier: Apache-2.0 */
/* authz.c - asks the authorization plugins about a request, and again about its answer. */
#include "api/http_priv.h"

#include "base/logging.h"
#include "engine/authz.h"
#include "engine/engine.h"

#include <strings.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "authz"
#define BODY_MAX ((size_t)1 << 20)

/* Headers that carry credentials, which are nobody's business. */
static bool is_secret(const char *name)
{
    static const char *const names[] = {"X-Registry-Auth", "X-Registry-Config", "Authorization",
                                        "Cookie"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool add_open_headers(struct dray_http *h, struct dray_kvlist *out)
{
    DRAY_AUTO(dray_kvlist) all = {0};
    bool ok = true;
    dray_http_headers_in(h, &all);
    for (size_t i = 0; ok && i < all.n; i++)
        if (!is_secret(all.v[i].key))
            ok = dray_kvlist_add(out, all.v[i].key, all.v[i].value);
    return ok;
}

static bool is_json(const char *type)
{
    size_t n = type ? strcspn(type, "; \t") : 0;
    return n == strlen("application/json") && strncasecmp(type, "application/json", n) == 0;
}

/* Passwords travel in bodies to /auth. */
static bool shows_body(const struct dray_http *h)
{
    size_t n = strcspn(h->target, "?");
    return n < 5 || strncmp(h->target + n - 5, "/auth", 5) != 0;
}

/* One plugin's word. Whatever it says but yes is a no, in Docker's forms: 403 for what it denies,
 * 500 where it has no word. */
static int ask(struct dray_http *h, const char *name, const struct dray_authz_exchange *x,
               struct dray_err *err)
{
    struct dray_err why = {0};
    struct dray_driver *d =
        dray_drivers_get(h->server->engine->drivers, DRAY_KIND_AUTHZ, name, &why);
    int rc = d ? 0 : DRAY_E_NOTFOUND;
    struct dray_call_scope s = {0};
    if (d)
        rc = dray_call_enter(&s, d, DRAY_CLASS_QUICK, dray_http_cancel_fd(h), &why);
    if (!rc) {
        const struct dray_authz_ops *ops = s.ops;
        rc = x->status ? ops->response(s.self, &s.call, x, &why)
                       : ops->request(s.self, &s.call, x, &why);
        rc = dray_call_result(&s, rc, x->status ? "response" : "request", &why);
    }
    dray_call_leave(&s);
    if (!rc)
        return 0;
    if (rc == DRAY_E_DENIED)
        return dray_fail(err, rc, "authorization denied by plugin %s: %.340s", name, why.text);
    dray_warn("%s %s: plugin %s failed with error: %s", x->method, x->uri, name, why.text);
    return dray_fail(err, DRAY_E_INTERNAL, "plugin %s failed with error: %.340s", name, why.text);
}

static int ask_all(struct dray_http *h, const struct dray_authz_exchange *x, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) names = {0};
    int rc = dray_authz_names(h->server->engine->authz, &names, err);
    for (size_t i = 0; !rc && i < names.n; i++)
        rc = ask(h, names.v[i], x, err);
    return rc;
}

static bool is_wanted(const struct dray_http *h)
{
    return h->server->engine && !dray_authz_none(h->server->engine->authz);
}

/* Who is behind the unix socket. That of a TLS connection ends in this process, which is nobody. */
static void add_peer(struct dray_http *h, struct dray_authz_exchange *x)
{
    struct ucred c = {0};
    socklen_t n = sizeof c;
    int family = 0;
    socklen_t family_len = sizeof family;
    if (getsockopt(h->fd, SOL_SOCKET, SO_DOMAIN, &family, &family_len) != 0 ||
        family != AF_UNIX || getsockopt(h->fd, SOL_SOCKET, SO_PEERCRED, &c, &n) != 0 ||
        c.pid == getpid())
        return;
    x->has_peer = 1;
    x->peer_uid = c.uid;
    x->peer_gid = c.gid;
    x->peer_pid = c.pid;
}

/* What both questions have in common. The strings are the request's. */
static void fill(struct dray_http *h, struct dray_kvlist *headers, struct dray_authz_exchange *x)
{
    (void)add_open_headers(h, headers);
    const char *user = dray_http_user(h);
    *x = (struct dray_authz_exchange){
        .size = sizeof *x,
        .user = user ? user : "",
        .user_auth = user ? "TLS" : "",
        .method = dray_http_method_in(h),
        .uri = h->target,
        .headers = dray_kvlist_view(headers),
    };
    if (shows_body(h) && is_json(dray_http_header_in(h, "Content-Type")))
        x->body = (struct dray_span){h->body.data, h->body.len};
    add_peer(h, x);
}

int dray_api_authz_request(struct dray_http *h, struct dray_err *err)
{
    if (!is_wanted(h))
        return 0;
    DRAY_AUTO(dray_kvlist) headers = {0};
    struct dray_authz_exchange x;
    fill(h, &headers, &x);
    /* What the plugins cannot see they cannot allow. */
    if (x.body.len > BODY_MAX)
        return dray_fail(err, DRAY_E_DENIED,
                         "authorization denied: the request's body of %llu bytes is too large for "
                         "the authorization plugins",
                         (unsigned long long)x.body.len);
    return ask_all(h, &x, err);
}

int dray_api_authz_answer(struct dray_http *h, int status, const char *content_type,
                          struct dray_err *err)
{
    if (!is_wanted(h) || h->denied)
        return 0;
    DRAY_AUTO(dray_kvlist) headers = {0};
    DRAY_AUTO(dray_kvlist) answered = {0};
    struct dray_authz_exchange x;
    fill(h, &headers, &x);
    for (size_t i = 0; i < h->headers.n; i++)
        (void)dray_kvlist_set(&answered, h->headers.v[i].key, h->headers.v[i].value);
    if (content_type)
        (void)dray_kvlist_set(&answered, "Content-Type", content_type);
    x.status = (uint32_t)status;
    x.answer_headers = dray_kvlist_view(&answered);
    if (h->state == DRAY_HTTP_REPLIED && shows_body(h) && is_json(content_type) &&
        h->text_len <= BODY_MAX)
        x.answer_body = (struct dray_span){h->text, h->text_len};
    int rc = ask_all(h, &x, err);
    h->denied = rc != 0;
    return rc;
}
