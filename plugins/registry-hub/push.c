/* SPDX-License-Identifier: Apache-2.0 */
/* push.c - writing to a registry: blobs, manifests, cross-repository mounts. */
#include "hub.h"

#include <sys/stat.h>

/** An upload's Location, absolute, with the digest added. */
static char *upload_url(const struct hub_target *t, const char *location, const char *digest)
{
    char *url = NULL;
    bool relative = location[0] == '/';
    int n = asprintf(&url, "%s%s%sdigest=%s", relative ? t->base : "", location,
                     strchr(location, '?') ? "&" : "?", digest);
    return n < 0 ? NULL : url;
}

/** Which of the repository's servers answers: uploads go on where they began. */
static int writable_target(struct dray_self *s, const struct dray_call *call, const char *repo,
                           const char *scope, const char *path, const struct dray_auth *auth,
                           struct hub_target *out, struct hub_answer *a, struct dray_err *err)
{
    struct hub_target targets[HUB_TARGETS];
    size_t n = hub_targets(s, repo, false, targets);
    int rc = dray_fail(err, DRAY_E_UNAVAIL, "no server for %s", repo);
    for (size_t i = 0; i < n && rc == DRAY_E_UNAVAIL; i++) {
        dray_autofree char *url = NULL;
        if (asprintf(&url, "%s/v2/%s/%s", targets[i].base, hub_path(repo), path) < 0)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        struct hub_request rq = {
            .call = call, .method = "POST", .url = url, .target = &targets[i], .body_fd = -1};
        rc = hub_authorized(s, &rq, scope, auth, a, err);
        *out = targets[i];
    }
    return rc;
}

static void push_scope(char *out, size_t size, const char *repo)
{
    (void)snprintf(out, size, "repository:%s:pull,push", hub_path(repo));
}

static int refused(const struct hub_answer *a, const char *repo, const char *what,
                   struct dray_err *err)
{
    if (a->status == 401 || a->status == 403)
        return dray_fail(err, a->status == 401 ? DRAY_E_UNAUTH : DRAY_E_DENIED,
                         "%s: requested access to the resource is denied",
                         a->status == 401 ? "unauthorized" : "denied");
    return hub_refused(a, repo, what, err);
}

static int push_blob(struct dray_self *s, const struct dray_call *call, const char *repo,
                     const struct dray_desc *d, const struct dray_auth *auth, int in,
                     struct dray_err *err)
{
    char scope[700];
    struct hub_target t;
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    push_scope(scope, sizeof scope, repo);
    int rc = writable_target(s, call, repo, scope, "blobs/uploads/", auth, &t, &a, err);
    if (rc != 0)
        return rc;
    if (a.status != 202 || !a.location[0])
        return refused(&a, repo, d->digest, err);
    dray_autofree char *url = upload_url(&t, a.location, d->digest);
    if (!url)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct hub_request rq = {.call = call,
                             .method = "PUT",
                             .url = url,
                             .target = &t,
                             .content_type = "application/octet-stream",
                             .body_fd = in,
                             .body_len = d->length};
    rc = hub_authorized(s, &rq, scope, auth, &a, err);
    if (rc == 0 && a.status != 201 && a.status != 204)
        rc = refused(&a, repo, d->digest, err);
    return rc;
}

static int push_manifest(struct dray_self *s, const struct dray_call *call, const char *repo,
                         const char *tag, const struct dray_desc *d, const struct dray_auth *auth,
                         int in, struct dray_err *err)
{
    char path[400];
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    (void)snprintf(path, sizeof path, "manifests/%s", *tag ? tag : d->digest);
    struct hub_request rq = {
        .method = "PUT", .content_type = d->media_type, .body_fd = in, .body_len = d->length};
    int rc = hub_call(s, call, repo, "pull,push", path, &rq, auth, &a, err);
    if (rc == 0 && a.status != 201 && a.status != 200)
        rc = refused(&a, repo, *tag ? tag : d->digest, err);
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
    if (hub_is_manifest(d->media_type))
        return push_manifest(s, call, repo, tag, &known, auth, in.fd, err);
    return push_blob(s, call, repo, &known, auth, in.fd, err);
}

int32_t hub_mount(struct dray_self *s, const struct dray_call *call, const char *repo,
                  const char *from_repo, const struct dray_desc *d, const struct dray_auth *auth,
                  struct dray_err *err)
{
    char scope[1400], path[900];
    struct hub_target t;
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    (void)snprintf(scope, sizeof scope, "repository:%s:pull,push repository:%s:pull",
                   hub_path(repo), hub_path(from_repo));
    (void)snprintf(path, sizeof path, "blobs/uploads/?mount=%s&from=%s", d->digest,
                   hub_path(from_repo));
    int rc = writable_target(s, call, repo, scope, path, auth, &t, &a, err);
    if (rc != 0 || a.status == 201)
        return rc;
    if (a.status == 202 && a.location[0]) { /* an upload was begun instead: call it off */
        dray_autofree char *url = NULL;
        bool relative = a.location[0] == '/';
        if (asprintf(&url, "%s%s", relative ? t.base : "", a.location) >= 0) {
            __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer ignored = {0};
            struct hub_request rq = {
                .call = call, .method = "DELETE", .url = url, .target = &t, .body_fd = -1};
            (void)hub_authorized(s, &rq, scope, auth, &ignored, NULL);
        }
    }
    return dray_fail(err, DRAY_E_NOTFOUND, "%s is not to be had from %s", d->digest, from_repo);
}
