/* SPDX-License-Identifier: Apache-2.0 */
/* extensions.c - /extensions: the list, and requests that a plugin answers. */
#include "engine/extensions.h"

#include "api/http.h"
#include "base/json.h"
#include "base/strlist.h"
#include "engine/engine.h"

#include <poll.h>
#include <strings.h>

#define CHUNK 65536

static int list(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *all = NULL;
    int rc = dray_extensions_list(e->extensions, &all, err);
    return rc ? rc : dray_http_reply_json(h, 200, all);
}

/* "/extensions/x" has its pages below "/extensions/x/": links on them are relative. */
static int redirect(struct dray_http *h, const char *name)
{
    char target[300];
    (void)snprintf(target, sizeof target, "%.280s/", name);
    dray_http_header(h, "Location", target);
    return dray_http_reply_empty(h, 301);
}

/* Headers that the server itself sets. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {"Connection", "Content-Length", "Content-Type", "Date",
                                       "Transfer-Encoding"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcasecmp(name, ours[i]) == 0)
            return true;
    return false;
}

/* Copy the plugin's descriptor to the client until its end. */
static int send_fd(struct dray_http *h, int fd, struct dray_err *err)
{
    dray_autofree char *chunk = malloc(CHUNK);
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                          {.fd = dray_http_cancel_fd(h), .events = POLLIN}};
    if (!chunk)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return dray_fail_errno(err, "wait for the extension's answer");
        if (p[1].revents)
            return DRAY_E_CANCELED;
        ssize_t n = p[0].revents ? read(fd, chunk, CHUNK) : -1;
        if (n == 0)
            return 0;
        if (n < 0 && p[0].revents && errno != EINTR && errno != EAGAIN)
            return dray_fail_errno(err, "read the extension's answer");
        int rc = n > 0 ? dray_http_write(h, chunk, (size_t)n) : 0;
        if (rc)
            return rc;
    }
}

/* The answer while the call's memory lasts; a descriptor is left in *fd_out to be sent after it. */
static int begin_answer(struct dray_http *h, const struct dray_ext_response *r,
                        struct dray_err *err)
{
    int status = r->status >= 200 && r->status < 600 ? (int)r->status : 500;
    for (uint64_t i = 0; i < r->headers.n; i++)
        if (!is_ours(r->headers.v[i].key))
            dray_http_header(h, r->headers.v[i].key, r->headers.v[i].value);
    if (r->body_fd.fd < 0) {
        if (r->content_type)
            dray_http_header(h, "Content-Type", r->content_type);
        return dray_http_reply_bytes(h, status, NULL, r->body.data, (size_t)r->body.len);
    }
    int rc = dray_http_stream(h, status, r->content_type, err);
    return rc || !r->body.len ? rc : dray_http_write(h, r->body.data, (size_t)r->body.len);
}

static int ask(struct dray_http *h, struct dray_driver *d, const struct dray_ext_request *req,
               struct dray_err *err)
{
    struct dray_call_scope s = {0};
    struct dray_ext_response r = {.size = sizeof r, .status = 200, .body_fd = {-1}};
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, dray_http_cancel_fd(h), err);
    if (!rc) {
        rc = ((const struct dray_extension_ops *)s.ops)->handle(s.self, &s.call, req, &r, err);
        rc = dray_call_result(&s, rc, "handle", err);
    }
    if (!rc)
        rc = begin_answer(h, &r, err);
    dray_call_leave(&s);
    if (!rc && r.body_fd.fd >= 0)
        rc = send_fd(h, r.body_fd.fd, err);
    dray_cleanup_fd(&r.body_fd.fd);
    return rc;
}

static int handle(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *name = dray_http_param(h, "name");
    const char *path = dray_http_param(h, "**");
    if (!*path)
        return redirect(h, name);
    struct dray_driver *d = NULL;
    int rc = dray_extensions_find(e->extensions, name, dray_http_method_in(h), path, &d, err);
    if (rc)
        return rc;
    DRAY_AUTO(dray_kvlist) headers = {0};
    dray_http_headers_in(h, &headers);
    struct dray_ext_request req = {.size = sizeof req,
                                   .method = dray_http_method_in(h),
                                   .path = path,
                                   .query = dray_http_query_all(h),
                                   .headers = dray_kvlist_view(&headers),
                                   .body = {dray_http_body_fd(h)}};
    return ask(h, d, &req, err);
}

const struct dray_route dray_routes_extensions[] = {
    {DRAY_GET, "/extensions", list, 0, 0, 0},
    {DRAY_GET | DRAY_HEAD, "/extensions/{name}/{**}", handle, 0, 0, 0},
    {DRAY_POST | DRAY_PUT | DRAY_DELETE, "/extensions/{name}/{**}", handle, DRAY_ROUTE_BODY, 0, 0},
    {0},
};
