/* SPDX-License-Identifier: Apache-2.0 */
/* kit.c - POST /session, /grpc and /build/cancel: what clients that speak BuildKit's protocol need
 * beside /build. */
#include "api/http_priv.h"
#include "base/json.h"
#include "engine/engine.h"

static int upgrade_check(struct dray_http *h, struct dray_err *err)
{
    const char *proto = dray_http_header_in(h, "Upgrade");
    if (!proto)
        return dray_fail(err, DRAY_E_INVAL, "no upgrade proto in request");
    if (strcasecmp(proto, "h2c") != 0)
        return dray_fail(err, DRAY_E_INVAL, "protocol %s not supported", proto);
    return 0;
}

static const char *header_or_none(struct dray_http *h, const char *name)
{
    const char *value = dray_http_header_in(h, name);
    return value ? value : "";
}

static int session(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) methods = {0};
    int sock = -1;
    (void)e;
    int rc = upgrade_check(h, err);
    if (rc)
        return rc;
    if (!dray_http_header_in_all(h, "X-Docker-Expose-Session-Grpc-Method", &methods))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    const struct dray_kit_hello hello = {
        .id = header_or_none(h, "X-Docker-Expose-Session-Uuid"),
        .methods = dray_strlist_view(&methods),
        .shared_key = dray_http_header_in(h, "X-Docker-Expose-Session-Sharedkey"),
    };
    rc = dray_kit_session_check(h->server->kit, &hello, err);
    if (!rc)
        rc = dray_http_hijack(h, NULL, &sock, err);
    return rc ? rc
              : dray_kit_session_run(h->server->kit, &hello, sock, dray_http_cancel_fd(h), err);
}

static int cancel(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *id = dray_http_query(h, "id");
    (void)e;
    if (!id || !*id)
        return dray_fail(err, DRAY_E_INVAL, "build ID not provided");
    dray_kit_cancel(h->server->kit, id);
    return dray_http_reply_empty(h, 200);
}

static int grpc(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int sock = -1;
    (void)e;
    int rc = upgrade_check(h, err);
    if (!rc)
        rc = dray_http_hijack(h, NULL, &sock, err);
    return rc ? rc : dray_kit_serve(h->server->kit, sock, dray_http_cancel_fd(h), err);
}

const struct dray_route dray_routes_kit[] = {
    {DRAY_POST, "/session", session, DRAY_ROUTE_HIJACK, 0, 0},
    {DRAY_POST, "/grpc", grpc, DRAY_ROUTE_HIJACK, 0, 0},
    {DRAY_POST, "/build/cancel", cancel, 0, 0, 0},
    {0},
};
