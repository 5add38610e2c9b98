/* SPDX-License-Identifier: Apache-2.0 */
/* push.c - writing to a registry: blobs, manifests, cross-repository mounts. */
#include "hub.h"

#include <sys/stat.h>

static int refused(const struct hub_answer *a, const char *repo, const char *what,
                   struct dray_err *err)
{
    if (a->status == 401 || a->status == 403)
        return dray_fail(err, a->status == 401 ? DRAY_E_UNAUTH : DRAY_E_DENIED,
                         "%s: requested access to the resource is denied",
                         a->status == 401 ? "unauthorized" : "denied");
    return hub_refused(a, repo, what, err);
}

/* --- one blob ---------------------------------------------------------------------------------*/

/** An upload under way. */
struct upload {
    struct dray_self *self;
    struct hub_route route;
    struct hub_target target;
    const struct dray_call *call;
    const struct dray_desc *desc;
    int in;
    char *url; /* where it goes on; owned */
    uint64_t offset;
};

/** The server said where the upload goes on; it may be on another server. */
static int take_location(struct upload *u, const struct hub_answer *a, struct dray_err *err)
{
    char *next = *a->location ? hub_url_join(u->url ? u->url : u->target.base, a->location) : NULL;
    if (!next)
        return u->url ? 0
                      : dray_fail(err, DRAY_E_CORRUPT,
                                  "the registry does not say where to upload: \"%.100s\"",
                                  a->location);
    free(u->url);
    u->url = next;
    return 0;
}

static int begin_upload(struct upload *u, struct dray_err *err)
{
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    struct hub_request rq = {.call = u->call, .method = "POST", .body_fd = -1};
    free(u->url);
    u->url = NULL;
    u->offset = 0;
    int rc = hub_call(u->self, &u->route, "blobs/uploads/", &rq, &u->target, &a, err);
    if (rc == 0 && a.status != 202)
        rc = refused(&a, u->route.repo, u->desc->digest, err);
    return rc ? rc : take_location(u, &a, err);
}

/** One request that carries `len` bytes from the offset on. */
static int send_piece(struct upload *u, const char *method, uint64_t len, struct hub_answer *a,
                      struct dray_err *err)
{
    char range[64];
    bool last = strcmp(method, "PUT") == 0;
    dray_autofree char *url = NULL;
    if (last && asprintf(&url, "%s%sdigest=%s", u->url, strchr(u->url, '?') ? "&" : "?",
                         u->desc->digest) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)u->offset,
                   (unsigned long long)(u->offset + (len ? len - 1 : 0)));
    struct hub_request rq = {.call = u->call,
                             .method = method,
                             .url = last ? url : u->url,
                             .target = &u->target,
                             .content_type = "application/octet-stream",
                             .content_range = last ? NULL : range,
                             .body_fd = u->in,
                             .body_from = u->offset,
                             .body_len = len,
                             .progress = u->self->host};
    int rc = hub_authorized(u->self, &rq, u->route.scope, u->route.auth, a, err);
    bool good = last ? a->status == 201 || a->status == 204 : a->status == 202;
    if (rc == 0 && !good)
        rc = refused(a, u->route.repo, u->desc->digest, err);
    if (rc == 0)
        u->offset += len;
    return rc;
}

/** All that is left, in one request if nothing forbids it, else in pieces. */
static int send_rest(struct upload *u, struct dray_err *err)
{
    uint64_t most = (uint64_t)u->self->host->opt_int(u->self->host, "upload-chunk-size");
    uint64_t length = u->desc->length;
    int rc = 0;
    if (most == 0)
        most = length;
    while (rc == 0 && u->offset < length && (u->offset > 0 || most < length)) {
        __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
        uint64_t left = length - u->offset;
        rc = send_piece(u, "PATCH", left < most ? left : most, &a, err);
        if (rc == 0)
            rc = take_location(u, &a, err);
    }
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    return rc ? rc : send_piece(u, "PUT", length - u->offset, &a, err);
}

/** After a failure: how much has arrived? False: the upload is gone, begin again. */
static bool find_offset(struct upload *u)
{
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    struct hub_request rq = {
        .call = u->call, .method = "GET", .url = u->url, .target = &u->target, .body_fd = -1};
    int rc = hub_authorized(u->self, &rq, u->route.scope, u->route.auth, &a, NULL);
    if (rc != 0 || a.status != 204 || a.range_end < 0 || (uint64_t)a.range_end >= u->desc->length ||
        take_location(u, &a, NULL) != 0)
        return false;
    u->offset = a.range_end > 0 ? (uint64_t)a.range_end + 1 : 0;
    return true;
}

static int push_blob(struct upload *u, struct dray_err *err)
{
    long pause = HUB_PAUSE_FIRST_MS;
    int rc = begin_upload(u, err);
    for (int attempt = 1; rc == 0; attempt++) {
        struct dray_err why = {0};
        rc = send_rest(u, &why);
        bool again = rc != 0 && attempt < HUB_ATTEMPTS && (why.flags & DRAY_ERR_TRANSIENT);
        if (!again) {
            if (rc != 0 && err)
                *err = why;
            return rc;
        }
        rc = hub_pause(u->call, pause, err);
        pause *= 2;
        if (rc == 0 && !find_offset(u))
            rc = begin_upload(u, err);
    }
    return rc;
}

/* --- operations -------------------------------------------------------------------------------*/

static int push_manifest(struct dray_self *s, const struct dray_call *call,
                         const struct hub_route *route, const char *tag, const struct dray_desc *d,
                         int in, struct dray_err *err)
{
    char path[400];
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    (void)snprintf(path, sizeof path, "manifests/%s", *tag ? tag : d->digest);
    struct hub_request rq = {.call = call,
                             .method = "PUT",
                             .content_type = d->media_type,
                             .body_fd = in,
                             .body_len = d->length};
    int rc = hub_call(s, route, path, &rq, NULL, &a, err);
    if (rc == 0 && a.status != 201 && a.status != 200)
        rc = refused(&a, route->repo, *tag ? tag : d->digest, err);
    return rc;
}

int32_t hub_push(struct dray_self *s, const struct dray_call *call, const char *repo,
                 const char *tag, const struct dray_desc *d, const struct dray_auth *auth,
                 struct dray_fd_borrow in, struct dray_err *err)
{
    struct dray_desc known = *d;
    struct stat st;
    if (known.length == UINT64_MAX) {
        if (fstat(in.fd, &st) != 0)
            return dray_fail_errno(err, "stat the content of %s", d->digest);
        known.length = (uint64_t)st.st_size;
    }
    char scope[HUB_SCOPE_MAX];
    hub_scope(scope, repo, "pull,push");
    const struct hub_route route = {repo, scope, false, auth};
    if (hub_is_manifest(d->media_type))
        return push_manifest(s, call, &route, tag, &known, in.fd, err);
    struct upload u = {.self = s, .route = route, .call = call, .desc = &known, .in = in.fd};
    int rc = push_blob(&u, err);
    free(u.url);
    return rc;
}

/** The registry began an upload that nobody wants. */
static void call_off(struct dray_self *s, const struct dray_call *call,
                     const struct hub_route *route, const struct hub_target *t,
                     const char *location)
{
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer ignored = {0};
    dray_autofree char *url = hub_url_join(t->base, location);
    struct hub_request rq = {.call = call,
                             .method = "DELETE",
                             .url = url,
                             .target = t,
                             .client = hub_client(route->auth),
                             .body_fd = -1};
    if (url)
        (void)hub_authorized(s, &rq, route->scope, route->auth, &ignored, NULL);
}

int32_t hub_mount(struct dray_self *s, const struct dray_call *call, const char *repo,
                  const char *from_repo, const struct dray_desc *d, const struct dray_auth *auth,
                  struct dray_err *err)
{
    char scope[HUB_SCOPE_MAX], path[900];
    struct hub_target t;
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    (void)snprintf(scope, sizeof scope, "repository:%s:pull,push repository:%s:pull",
                   hub_path(repo), hub_path(from_repo));
    (void)snprintf(path, sizeof path, "blobs/uploads/?mount=%s&from=%s", d->digest,
                   hub_path(from_repo));
    const struct hub_route route = {repo, scope, false, auth};
    struct hub_request rq = {.call = call, .method = "POST", .body_fd = -1};
    int rc = hub_call(s, &route, path, &rq, &t, &a, err);
    if (rc != 0 || a.status == 201)
        return rc;
    if (a.status == 202 && a.location[0])
        call_off(s, call, &route, &t, a.location);
    return dray_fail(err, DRAY_E_NOTFOUND, "%s is not to be had from %s", d->digest, from_repo);
}
