/* SPDX-License-Identifier: Apache-2.0 */
/* containers.c - /containers: life and facts of containers; streams are in containers_io.c. */
#include "engine/container/containers.h"

#include "api/containers.h"
#include "api/http.h"
#include "base/buf.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/filters.h"
#include "engine/metrics.h"

#include <ctype.h>
#include <limits.h>

static const char *name_of(struct dray_http *h)
{
    return dray_http_param(h, "name");
}

/* 204 when rc is 0. */
static int done(struct dray_http *h, int rc)
{
    return rc ? rc : dray_http_reply_empty(h, 204);
}

/* A body that has to be a JSON object. */
static int object_or_none(struct dray_http *h, struct json_object **out, struct dray_err *err)
{
    int rc = dray_http_json(h, out, err);
    if (rc)
        return rc;
    if (!*out)
        *out = json_object_new_object();
    if (json_object_is_type(*out, json_type_object))
        return 0;
    json_object_put(*out);
    *out = NULL;
    return dray_fail(err, DRAY_E_INVAL, "invalid JSON: the request body must be an object");
}

static int need_object(struct dray_http *h, struct json_object **out, struct dray_err *err)
{
    if (dray_http_body_size(h) == 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid JSON: got EOF while reading request body");
    return object_or_none(h, out, err);
}

static int list(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char *const allowed[] = {
        "ancestor",  "before",  "expose", "exited", "health", "id",
        "isolation", "is-task", "label",  "label!", "name",   "network",
        "publish",   "since",   "status", "volume", NULL,
    };
    struct dray_list_req req = {.all = dray_http_query_bool(h, "all", false),
                                .size = dray_http_query_bool(h, "size", false),
                                .api_version = dray_http_version(h)};
    DRAY_AUTO(dray_filters) f = {0};
    int rc = dray_http_query_int(h, "limit", 0, &req.limit, err);
    if (!rc)
        rc = dray_filters_parse(dray_http_query(h, "filters"), allowed, &f, err);
    if (rc)
        return rc;
    req.filters = &f;
    char *text = NULL;
    rc = dray_containers_list(e->containers, &req, &text, err);
    return rc ? rc : dray_http_reply_json_text(h, 200, text);
}

static int create(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    struct json_object *out = NULL;
    int rc = need_object(h, &body, err);
    if (rc)
        return rc;
    struct dray_create_req req = {.name = dray_http_query(h, "name"),
                                  .platform = dray_http_query(h, "platform"),
                                  .body = body,
                                  .api_version = dray_http_version(h)};
    rc = dray_containers_create(e->containers, &req, &out, err);
    return rc ? rc : dray_http_reply_json(h, 201, out);
}

static int inspect(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *out = NULL;
    int rc =
        dray_containers_inspect(e->containers, name_of(h), dray_http_query_bool(h, "size", false),
                                dray_http_version(h), &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int top(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *out = NULL;
    int rc =
        dray_containers_top(e->containers, name_of(h), dray_http_query(h, "ps_args"), &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int changes(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *out = NULL;
    int rc = dray_containers_changes(e->containers, name_of(h), &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int start(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *checkpoint = dray_http_query(h, "checkpoint");
    /* "{}" and "null" have always been sent; a HostConfig here is of long ago. */
    if (dray_http_body_size(h) > 7)
        return dray_fail(err, DRAY_E_INVAL,
                         "starting container with non-empty request body was deprecated since API "
                         "v1.22 and removed in v1.24");
    if (checkpoint && *checkpoint)
        return dray_fail(err, DRAY_E_INVAL, "checkpoint is only supported in experimental mode");
    return done(h, dray_containers_start(e->containers, name_of(h), err));
}

/* Seconds to wait before the kill: INT_MIN stands for the container's own. */
static int timeout_of(struct dray_http *h, int *out, struct dray_err *err)
{
    int64_t t = 0;
    int rc = dray_http_query_int(h, "t", INT_MIN, &t, err);
    if (!rc && t != INT_MIN && (t < -1 || t > INT_MAX))
        t = t < 0 ? -1 : INT_MAX;
    *out = (int)t;
    return rc;
}

/* "signal" of stop and restart came with 1.42. */
static const char *stop_signal_of(struct dray_http *h)
{
    const char *signal = dray_http_query(h, "signal");
    return dray_http_version(h) >= 142 && signal && *signal ? signal : NULL;
}

static int stop(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int t = 0;
    int rc = timeout_of(h, &t, err);
    return rc ? rc
              : done(h, dray_containers_stop(e->containers, name_of(h), stop_signal_of(h), t, err));
}

static int restart(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int t = 0;
    int rc = timeout_of(h, &t, err);
    return rc ? rc
              : done(h,
                     dray_containers_restart(e->containers, name_of(h), stop_signal_of(h), t, err));
}

static int kill_it(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *signal = dray_http_query(h, "signal");
    return done(
        h, dray_containers_kill(e->containers, name_of(h), signal && *signal ? signal : NULL, err));
}

static int pause_it(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    return done(h, dray_containers_pause(e->containers, name_of(h), true, err));
}

static int unpause(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    return done(h, dray_containers_pause(e->containers, name_of(h), false, err));
}

static int rename_it(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *name = dray_http_query(h, "name");
    return done(h, dray_containers_rename(e->containers, name_of(h), name ? name : "", err));
}

static int update(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    struct json_object *out = NULL;
    int rc = object_or_none(h, &body, err);
    if (!rc && dray_http_version(h) < 140) /* which had no such limit */
        json_object_object_del(body, "PidsLimit");
    if (!rc)
        rc = dray_containers_update(e->containers, name_of(h), body, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int remove_it(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    return done(h, dray_containers_remove(e->containers, name_of(h),
                                          dray_http_query_bool(h, "force", false),
                                          dray_http_query_bool(h, "v", false),
                                          dray_http_query_bool(h, "link", false), err));
}

static int prune(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char *const allowed[] = {"label", "label!", "until", NULL};
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *out = NULL;
    int rc = dray_filters_parse(dray_http_query(h, "filters"), allowed, &f, err);
    if (!rc)
        rc = dray_containers_prune(e->containers, &f, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int window_side(struct dray_http *h, const char *key, const char *what, int *out,
                       struct dray_err *err)
{
    const char *text = dray_http_query(h, key);
    char *end = NULL;
    text = text ? text : "";
    long side = strtol(text, &end, 10); /* LONG_MAX is out of range, too */
    if (end == text || *end || isspace((unsigned char)*text))
        return dray_fail(err, DRAY_E_INVAL, "invalid resize %s \"%.100s\": invalid syntax", what,
                         text);
    if (side < 0 || side > USHRT_MAX)
        return dray_fail(err, DRAY_E_INVAL, "invalid resize %s \"%.100s\": value out of range",
                         what, text);
    *out = (int)side;
    return 0;
}

int dray_api_window(struct dray_http *h, int *rows, int *cols, struct dray_err *err)
{
    int rc = window_side(h, "h", "height", rows, err);
    return rc ? rc : window_side(h, "w", "width", cols, err);
}

static int resize(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int rows = 0, cols = 0;
    int rc = dray_api_window(h, &rows, &cols, err);
    if (!rc)
        rc = dray_containers_resize(e->containers, name_of(h), rows, cols, err);
    return rc ? rc : dray_http_reply_empty(h, 200);
}

/* The query of POST /commit as one object. */
static struct json_object *commit_params(struct dray_http *h)
{
    struct json_object *p = json_object_new_object();
    const char *repo = dray_http_query(h, "repo");
    const char *tag = dray_http_query(h, "tag");
    if (repo && *repo)
        dray_json_addf(p, "ref", "%s%s%s", repo, tag && *tag ? ":" : "", tag ? tag : "");
    const char *names[] = {"author", "comment"};
    for (size_t i = 0; i < 2; i++)
        if (dray_http_query(h, names[i]))
            dray_json_add_str(p, names[i], dray_http_query(h, names[i]));
    dray_json_add_bool(p, "pause", dray_http_query_bool(h, "pause", true));
    struct json_object *list_of = json_object_new_array();
    for (size_t i = 0; dray_http_query_at(h, "changes", i); i++)
        json_object_array_add(list_of, json_object_new_string(dray_http_query_at(h, "changes", i)));
    dray_json_add(p, "changes", list_of);
    return p;
}

static int commit(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *config = NULL;
    const char *name = dray_http_query(h, "container");
    int rc = dray_http_json(h, &config, err);
    if (rc)
        return rc;
    dray_autojson *params = commit_params(h);
    struct json_object *out = NULL;
    rc = dray_containers_commit(e->containers, name ? name : "", config, params, &out, err);
    return rc ? rc : dray_http_reply_json(h, 201, out);
}

static int stat_archive(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int rc = dray_api_path_stat(h, e, err);
    return rc ? rc : dray_http_reply_empty(h, 200);
}

const struct dray_route dray_routes_containers[] = {
    {DRAY_GET, "/containers/json", list, 0, 0, 0},
    {DRAY_POST, "/containers/create", create, DRAY_ROUTE_TIMED(DRAY_TIME_CONTAINER_CREATE), 0, 0},
    {DRAY_POST, "/containers/prune", prune, 0, 0, 0},
    {DRAY_GET, "/containers/{name:*}/json", inspect, 0, 0, 0},
    {DRAY_GET, "/containers/{name:*}/top", top, 0, 0, 0},
    {DRAY_GET, "/containers/{name:*}/changes", changes,
     DRAY_ROUTE_TIMED(DRAY_TIME_CONTAINER_CHANGES), 0, 0},
    {DRAY_GET, "/containers/{name:*}/logs", dray_api_logs, 0, 0, 0},
    {DRAY_GET, "/containers/{name:*}/stats", dray_api_stats, 0, 0, 0},
    {DRAY_GET, "/containers/{name:*}/export", dray_api_export, 0, 0, 0},
    {DRAY_HEAD, "/containers/{name:*}/archive", stat_archive, 0, 0, 0},
    {DRAY_GET, "/containers/{name:*}/archive", dray_api_archive_get, 0, 0, 0},
    {DRAY_PUT, "/containers/{name:*}/archive", dray_api_archive_put, DRAY_ROUTE_BODY, 0, 0},
    {DRAY_POST, "/containers/{name:*}/start", start, DRAY_ROUTE_TIMED(DRAY_TIME_CONTAINER_START), 0,
     0},
    {DRAY_POST, "/containers/{name:*}/stop", stop, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/restart", restart, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/kill", kill_it, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/pause", pause_it, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/unpause", unpause, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/wait", dray_api_wait, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/rename", rename_it, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/update", update, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/resize", resize, 0, 0, 0},
    {DRAY_POST, "/containers/{name:*}/attach", dray_api_attach, DRAY_ROUTE_HIJACK, 0, 0},
    {DRAY_GET, "/containers/{name:*}/attach/ws", dray_api_attach_ws, DRAY_ROUTE_HIJACK, 0, 0},
    {DRAY_GET | DRAY_POST, "/containers/{name:*}/checkpoints", dray_api_checkpoints, 0, 0, 0},
    {DRAY_DELETE, "/containers/{name:*}/checkpoints/{checkpoint}", dray_api_checkpoints, 0, 0, 0},
    {DRAY_DELETE, "/containers/{name:*}", remove_it, DRAY_ROUTE_TIMED(DRAY_TIME_CONTAINER_DELETE),
     0, 0},
    {DRAY_POST, "/commit", commit, DRAY_ROUTE_TIMED(DRAY_TIME_CONTAINER_COMMIT), 0, 0},
    {0},
};
