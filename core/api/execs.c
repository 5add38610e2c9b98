/* SPDX-License-Identifier: Apache-2.0 */
/* execs.c - /exec: more processes in running containers. */
#include "api/containers.h"
#include "api/http.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/json_shape.h"
#include "base/logging.h"
#include "engine/container/containers.h"
#include "engine/engine.h"

#include <sys/socket.h>

#define DRAY_LOG_AREA "api"

static int create(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    struct json_object *out = NULL;
    int rc = dray_http_json(h, &body, err);
    if (!rc && !body)
        body = json_object_new_object();
    if (!rc)
        rc = dray_execs_create(e->containers, dray_http_param(h, "name"), body,
                               dray_http_version(h), &out, err);
    return rc ? rc : dray_http_reply_json(h, 201, out);
}

static int inspect(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *out = NULL;
    int rc = dray_execs_inspect(e->containers, dray_http_param(h, "id"), &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int resize(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int rows = 0, cols = 0;
    int rc = dray_api_window(h, &rows, &cols, err);
    if (!rc)
        rc = dray_execs_resize(e->containers, dray_http_param(h, "id"), rows, cols, err);
    return rc ? rc : dray_http_reply_empty(h, 200);
}

/* The head has gone: a failure can only be told in the stream itself, as Docker does. */
static void say_failure(int sock, bool tty, const struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    size_t n = strlen(err->text) + 2;
    if (!tty) {
        const char head[8] = {1, 0, 0, 0, 0, 0, (char)(n >> 8), (char)(n & 0xff)};
        dray_buf_add(&b, head, sizeof head);
    }
    dray_buf_addf(&b, "%s\r\n", err->text);
    if (!b.failed)
        (void)send(sock, b.data, b.len, MSG_NOSIGNAL);
}

static const struct dray_shape_field start_fields[] = {
    {"Detach", &dray_shape_bool, 0},
    {"Tty", &dray_shape_bool, 0},
    {"ConsoleSize", &dray_shape_uints, DRAY_SHAPE_PTR},
};
static const struct dray_shape start_shape = DRAY_SHAPE_STRUCT(start_fields, "ExecStartOptions");

static void read_start(struct json_object *body, struct dray_exec_start *out)
{
    *out = (struct dray_exec_start){.detach = dray_json_bool(body, "Detach", false),
                                    .tty = dray_json_bool(body, "Tty", false)};
    struct json_object *size = dray_json_arr(body, "ConsoleSize");
    if (!out->tty || dray_json_len(size) != 2)
        return;
    out->rows = json_object_get_int(json_object_array_get_idx(size, 0));
    out->cols = json_object_get_int(json_object_array_get_idx(size, 1));
}

static int start(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *id = dray_http_param(h, "id");
    dray_autojson *body = NULL;
    struct dray_exec_start req = {0};
    int sock = -1;
    int rc = dray_http_json(h, &body, err);
    if (!rc)
        rc = dray_shape_check(&start_shape, body, "ExecStartOptions", err);
    if (!rc)
        read_start(body, &req);
    if (!rc)
        rc = dray_execs_start_prepare(e->containers, id, err);
    if (!rc && req.detach) {
        rc = dray_execs_start(e->containers, id, &req, -1, err);
        return rc ? rc : dray_http_reply_empty(h, 200);
    }
    if (!rc)
        rc = dray_http_hijack(h, dray_api_stream_type(h, req.tty), &sock, err);
    if (rc)
        return rc;
    rc = dray_execs_start(e->containers, id, &req, sock, err);
    if (rc && err)
        say_failure(sock, req.tty, err);
    return rc;
}

const struct dray_route dray_routes_execs[] = {
    {DRAY_POST, "/containers/{name:*}/exec", create, 0, 0, 0},
    {DRAY_POST, "/exec/{id}/start", start, DRAY_ROUTE_HIJACK, 0, 0},
    {DRAY_POST, "/exec/{id}/resize", resize, 0, 0, 0},
    {DRAY_GET, "/exec/{id}/json", inspect, 0, 0, 0},
    {0},
};
