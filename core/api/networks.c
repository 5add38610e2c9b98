/* SPDX-License-Identifier: Apache-2.0 */
/* networks.c - routes of /networks. */
#include "api/http.h"

#include "base/json.h"
#include "base/json_shape.h"
#include "engine/container/containers.h"
#include "engine/engine.h"
#include "engine/spec/container_fields.h"
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

/* A body that is a JSON object, or none at all. */
static int body_object(struct dray_http *h, struct json_object **out, struct dray_err *err)
{
    int rc = dray_http_json(h, out, err);
    if (!rc && !*out)
        *out = json_object_new_object();
    if (!rc && !json_object_is_type(*out, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "invalid JSON: the request body must be an object");
    return rc;
}

static const struct dray_shape_field pool_fields[] = {
    {"Subnet", &dray_shape_str, 0},
    {"IPRange", &dray_shape_str, 0},
    {"Gateway", &dray_shape_str, 0},
    {"AuxiliaryAddresses", &dray_shape_strmap, 0},
};
static const struct dray_shape pool_shape = DRAY_SHAPE_STRUCT(pool_fields, "IPAMConfig");
static const struct dray_shape pools_shape = DRAY_SHAPE_LIST(&pool_shape, "[]IPAMConfig");
static const struct dray_shape_field ipam_fields[] = {
    {"Driver", &dray_shape_str, 0},
    {"Config", &pools_shape, 0},
    {"Options", &dray_shape_strmap, 0},
};
static const struct dray_shape ipam_shape = DRAY_SHAPE_STRUCT(ipam_fields, "IPAM");
static const struct dray_shape_field from_fields[] = {{"Network", &dray_shape_str, 0}};
static const struct dray_shape from_shape = DRAY_SHAPE_STRUCT(from_fields, "ConfigReference");
static const struct dray_shape_field create_fields[] = {
    {"Name", &dray_shape_str, 0},
    {"Driver", &dray_shape_str, 0},
    {"Scope", &dray_shape_str, 0},
    {"EnableIPv4", &dray_shape_bool, DRAY_SHAPE_PTR},
    {"EnableIPv6", &dray_shape_bool, DRAY_SHAPE_PTR},
    {"IPAM", &ipam_shape, DRAY_SHAPE_PTR},
    {"Internal", &dray_shape_bool, 0},
    {"Attachable", &dray_shape_bool, 0},
    {"Ingress", &dray_shape_bool, 0},
    {"ConfigOnly", &dray_shape_bool, 0},
    {"ConfigFrom", &from_shape, DRAY_SHAPE_PTR},
    {"Options", &dray_shape_strmap, 0},
    {"Labels", &dray_shape_strmap, 0},
};
static const struct dray_shape create_shape = DRAY_SHAPE_STRUCT(create_fields, "CreateRequest");

static int create(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    struct json_object *out = NULL;
    int rc = body_object(h, &body, err);
    rc = rc ? rc : dray_shape_check(&create_shape, body, "CreateRequest", err);
    if (!rc && dray_http_version(h) < 148) /* older clients cannot do without IPv4 */
        json_object_object_del(body, "EnableIPv4");
    rc = rc ? rc : dray_networks_create(e->networks, body, &out, err);
    return rc ? rc : dray_http_reply_json(h, 201, out);
}

static const struct dray_shape_field connect_fields[] = {
    {"Container", &dray_shape_str, 0},
    {"EndpointConfig", &dray_shape_endpoint, DRAY_SHAPE_PTR},
};
static const struct dray_shape connect_shape = DRAY_SHAPE_STRUCT(connect_fields, "ConnectOptions");

static int connect_(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    int rc = body_object(h, &body, err);
    rc = rc ? rc : dray_shape_check(&connect_shape, body, "ConnectOptions", err);
    rc = rc ? rc
            : dray_containers_connect(e->containers, dray_json_str(body, "Container", ""),
                                      dray_http_param(h, "id"),
                                      dray_json_obj(body, "EndpointConfig"), err);
    return rc ? rc : dray_http_reply_empty(h, 200);
}

static const struct dray_shape_field disconnect_fields[] = {
    {"Container", &dray_shape_str, 0},
    {"Force", &dray_shape_bool, 0},
};
static const struct dray_shape disconnect_shape =
    DRAY_SHAPE_STRUCT(disconnect_fields, "DisconnectOptions");

static int disconnect(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    int rc = body_object(h, &body, err);
    rc = rc ? rc : dray_shape_check(&disconnect_shape, body, "DisconnectOptions", err);
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
    {DRAY_POST, "/networks/prune", prune, 0, 0, 0},
    {DRAY_GET, "/networks/{id}", inspect, 0, 0, 0},
    {DRAY_POST, "/networks/{id}/connect", connect_, DRAY_ROUTE_TIMED(DRAY_TIME_NETWORK_CONNECT), 0,
     0},
    {DRAY_POST, "/networks/{id}/disconnect", disconnect, 0, 0, 0},
    {DRAY_DELETE, "/networks/{id}", remove_, 0, 0, 0},
    {0, NULL, NULL, 0, 0, 0},
};
