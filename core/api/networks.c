/* SPDX-License-Identifier: Apache-2.0 */
/* networks.c - routes of /networks. */
#include "api/http.h"

#include "base/json.h"
#include "engine/container/containers.h"
#include "engine/engine.h"
#include "engine/filters.h"
#include "engine/metrics.h"
#include "engine/network/networks.h"

static const char *const list_filters[] = {"dangling", "driver", "id",   "label", "label!",
                                           "name",     "scope",  "type", NULL};
static const char *const prune_filters[] = {"label", "label!", "until", NULL};

static int list(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *out = NULL;
    int rc = dray_filters_parse(dray_http_query(h, "filters"), list_filters, &f, err);
    rc = rc ? rc : dray_networks_list(e->networks, &f, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

/* "verbose" tells more of swarm services only; a wrong value is refused all the same. */
static int check_verbose(const char *value, struct dray_err *err)
{
    static const char *const words[] = {"1", "t", "T",     "TRUE",  "true",  "True", "0",
                                        "f", "F", "FALSE", "false", "False", ""};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!value || strcmp(value, words[i]) == 0)
            return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "invalid value for verbose: %s: strconv.ParseBool: parsing \"%s\": invalid "
                     "syntax",
                     value, value);
}

static int inspect(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *id = dray_http_param(h, "id");
    const char *scope = dray_http_query(h, "scope");
    struct json_object *out = NULL;
    int rc = check_verbose(dray_http_query(h, "verbose"), err);
    if (rc)
        return rc;
    if (scope && *scope && strcmp(scope, "local") != 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "network %s not found", id);
    rc = dray_networks_inspect(e->networks, id, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

/* A body that must be a JSON object. */
static int body_object(struct dray_http *h, struct json_object **out, struct dray_err *err)
{
    int rc = dray_http_json(h, out, err);
    if (!rc && !json_object_is_type(*out, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "got EOF while reading request body");
    return rc;
}

static int create(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    struct json_object *out = NULL;
    int rc = body_object(h, &body, err);
    rc = rc ? rc : dray_networks_create(e->networks, body, &out, err);
    return rc ? rc : dray_http_reply_json(h, 201, out);
}

static int connect_(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    int rc = body_object(h, &body, err);
    rc = rc ? rc
            : dray_containers_connect(e->containers, dray_json_str(body, "Container", ""),
                                      dray_http_param(h, "id"),
                                      dray_json_obj(body, "EndpointConfig"), err);
    return rc ? rc : dray_http_reply_empty(h, 200);
}

static int disconnect(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    int rc = body_object(h, &body, err);
    rc = rc ? rc
            : dray_containers_disconnect(e->containers, dray_json_str(body, "Container", ""),
                                         dray_http_param(h, "id"),
                                         dray_json_bool(body, "Force", false), err);
    return rc ? rc : dray_http_reply_empty(h, 200);
}

static int remove_(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int rc = dray_networks_remove(e->networks, dray_http_param(h, "id"), err);
    return rc ? rc : dray_http_reply_empty(h, 204);
}

static int prune(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *out = NULL;
    int rc = dray_filters_parse(dray_http_query(h, "filters"), prune_filters, &f, err);
    rc = rc ? rc : dray_networks_prune(e->networks, &f, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

const struct dray_route dray_routes_networks[] = {
    {DRAY_GET, "/networks", list, 0, 0, 0},
    {DRAY_GET, "/networks/", list, 0, 0, 0},
    {DRAY_POST, "/networks/create", create, 0, 0, 0},
    {DRAY_POST, "/networks/prune", prune, 0, 125, 0},
    {DRAY_GET, "/networks/{id}", inspect, 0, 0, 0},
    {DRAY_POST, "/networks/{id}/connect", connect_, DRAY_ROUTE_TIMED(DRAY_TIME_NETWORK_CONNECT), 0,
     0},
    {DRAY_POST, "/networks/{id}/disconnect", disconnect, 0, 0, 0},
    {DRAY_DELETE, "/networks/{id}", remove_, 0, 0, 0},
    {0, NULL, NULL, 0, 0, 0},
};
