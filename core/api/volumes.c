/* SPDX-License-Identifier: Apache-2.0 */
/* volumes.c - /volumes. */
#include "engine/volume/volumes.h"

#include "api/http.h"
#include "base/json.h"
#include "base/json_shape.h"
#include "engine/engine.h"
#include "engine/filters.h"

static int list(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char *const allowed[] = {"dangling", "driver", "label", "label!", "name", NULL};
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *volumes = NULL, *warnings = NULL;
    int rc = dray_filters_parse(dray_http_query(h, "filters"), allowed, &f, err);
    if (!rc)
        rc = dray_volumes_list(e->volumes, &f, &volumes, &warnings, err);
    if (rc)
        return rc;
    struct json_object *out = json_object_new_object();
    dray_json_add(out, "Volumes", volumes);
    dray_json_add(out, "Warnings", warnings);
    return dray_http_reply_json(h, 200, out);
}

static const struct dray_shape_field create_fields[] = {
    {"Name", &dray_shape_str, 0},
    {"Driver", &dray_shape_str, 0},
    {"DriverOpts", &dray_shape_strmap, 0},
    {"Labels", &dray_shape_strmap, 0},
    {"ClusterVolumeSpec", &dray_shape_none, DRAY_SHAPE_PTR},
};
static const struct dray_shape create_shape = DRAY_SHAPE_STRUCT(create_fields, "CreateOptions");

static int create(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *sent = NULL;
    dray_autojson *body = NULL;
    DRAY_AUTO(dray_kvlist) options = {0};
    DRAY_AUTO(dray_kvlist) labels = {0};
    struct json_object *out = NULL;
    int rc = dray_http_json(h, &sent, err);
    if (!rc)
        rc = dray_shape_take(&create_shape, sent, "CreateOptions", &body, err);
    if (!rc && dray_json_obj(body, "ClusterVolumeSpec"))
        rc = dray_fail(err, DRAY_E_UNAVAIL,
                       "This node is not a swarm manager: cluster volumes are not available");
    if (!rc)
        rc = dray_json_to_kvlist(dray_json_obj(body, "DriverOpts"), &options, err);
    if (!rc)
        rc = dray_json_to_kvlist(dray_json_obj(body, "Labels"), &labels, err);
    if (rc)
        return rc;
    struct dray_volume_req req = {.name = dray_json_str(body, "Name", NULL),
                                  .driver = dray_json_str(body, "Driver", NULL),
                                  .options = dray_kvlist_view(&options),
                                  .labels = dray_kvlist_view(&labels)};
    rc = dray_volumes_create(e->volumes, &req, &out, err);
    return rc ? rc : dray_http_reply_json(h, 201, out);
}

static int inspect(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *out = NULL;
    int rc = dray_volumes_inspect(e->volumes, dray_http_param(h, "name"), &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int update(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)h;
    (void)e;
    return dray_fail(err, DRAY_E_UNAVAIL,
                     "volume update only valid for cluster volumes, but swarm is unavailable");
}

static int remove_it(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int rc = dray_volumes_remove(e->volumes, dray_http_param(h, "name"),
                                 dray_http_query_bool(h, "force", false), err);
    return rc ? rc : dray_http_reply_empty(h, 204);
}

static int prune(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char *const allowed[] = {"all", "label", "label!", NULL};
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *out = NULL;
    int rc = dray_filters_parse(dray_http_query(h, "filters"), allowed, &f, err);
    /* Before 1.42 there was no "all", and all was pruned. */
    if (!rc && dray_http_version(h) < 142 && !dray_filters_has(&f, "all") &&
        !dray_kvlist_add(&f.pairs, "all", "true"))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = dray_volumes_prune(e->volumes, &f, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

const struct dray_route dray_routes_volumes[] = {
    {DRAY_GET, "/volumes", list, 0, 0, 0},
    {DRAY_POST, "/volumes/create", create, 0, 0, 0},
    {DRAY_POST, "/volumes/prune", prune, 0, 0, 0},
    {DRAY_GET, "/volumes/{name}", inspect, 0, 0, 0},
    {DRAY_PUT, "/volumes/{name}", update, 0, 0, 0},
    {DRAY_DELETE, "/volumes/{name}", remove_it, 0, 0, 0},
    {0},
};
