/* SPDX-License-Identifier: Apache-2.0 */
/* pull.c - reading from a registry: resolve, fetch with resume, stat, tags. */
#include "hub.h"

#include <json-c/json.h>
#include <openssl/evp.h>
#include <strings.h>

static const char *const manifest_types[] = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
};

static const char *accepted_types(void)
{
    return "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
           "application/vnd.docker.distribution.manifest.list.v2+json, "
           "application/vnd.docker.distribution.manifest.v2+json";
}

bool hub_is_manifest(const char *media_type)
{
    for (size_t i = 0; media_type && i < sizeof manifest_types / sizeof manifest_types[0]; i++)
        if (strcmp(media_type, manifest_types[i]) == 0)
            return true;
    return media_type && strstr(media_type, "docker.distribution.manifest.v1") != NULL;
}

int32_t hub_match(struct dray_self *s, const struct dray_call *call, const char *repo)
{
    (void)s, (void)call;
    const char *slash = strchr(repo, '/');
    return slash && slash != repo && slash[-1] != ':' ? 50 : 0; /* "oci:/path" is no host */
}

/* Resolve. */

static int digest_of(const struct hub_buf *b, char out[80])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(b->data ? b->data : "", b->len, sum, &len, EVP_sha256(), NULL) != 1)
        return DRAY_E_INTERNAL;
    size_t at = (size_t)snprintf(out, 80, "sha256:");
    for (unsigned i = 0; i < len; i++)
        at += (size_t)snprintf(out + at, 80 - at, "%02x", sum[i]);
    return 0;
}

static int fill_desc(struct dray_self *s, const struct dray_call *call, const struct hub_answer *a,
                     uint64_t length, struct dray_desc *out, struct dray_err *err)
{
    char type[sizeof a->type];
    (void)snprintf(type, sizeof type, "%.*s", (int)strcspn(a->type, "; "), a->type);
    if (!hub_is_manifest(type))
        return dray_fail(err, DRAY_E_CORRUPT, "invalid manifest content type: \"%s\"", type);
    out->media_type = dray_call_strdup(s->host, call, type);
    out->digest = dray_call_strdup(s->host, call, a->digest);
    out->length = length;
    out->urls = (struct dray_strs){0};
    return out->media_type && out->digest ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int32_t hub_resolve(struct dray_self *s, const struct dray_call *call, const char *repo,
                    const char *tag_or_digest, const struct dray_auth *auth, struct dray_desc *out,
                    struct dray_err *err)
{
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    struct hub_request rq = {
        .call = call, .method = "HEAD", .accept = accepted_types(), .body_fd = -1};
    char path[400], scope[HUB_SCOPE_MAX];
    hub_scope(scope, repo, "pull");
    const struct hub_route route = {repo, scope, true, auth};
    (void)snprintf(path, sizeof path, "manifests/%s", tag_or_digest);
    int rc = hub_call(s, &route, path, &rq, NULL, &a, err);
    if (rc != 0)
        return rc;
    bool whole = a.status == 200 && a.digest[0] && a.length >= 0 && hub_is_manifest(a.type);
    if (!whole) { /* its words, or what HEAD did not tell, are in the body */
        rq.method = "GET";
        rc = hub_call(s, &route, path, &rq, NULL, &a, err);
        if (rc == 0 && a.status != 200)
            rc = hub_refused(&a, repo, tag_or_digest, err);
        if (rc == 0)
            rc = digest_of(&a.body, a.digest);
        if (rc == 0)
            a.length = (int64_t)a.body.len;
    }
    return rc != 0 ? rc : fill_desc(s, call, &a, (uint64_t)a.length, out, err);
}

/* Fetch. */

struct sink {
    int fd;
    uint64_t written, most;
};

static int write_out(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct sink *k = ctx;
    const char *p = data;
    if (k->written + len > k->most)
        return dray_fail(err, DRAY_E_CORRUPT, "the server sends more than the %llu bytes announced",
                         (unsigned long long)k->most);
    while (len > 0) {
        ssize_t n = write(k->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE ? dray_fail(err, DRAY_E_CANCELED, "canceled")
                                  : dray_fail_errno(err, "write");
        p += n;
        len -= (size_t)n;
        k->written += (uint64_t)n;
    }
    return 0;
}

#define REFUSED_ATTEMPTS 3

/** What is fetched, and how far it is. */
struct fetch {
    struct hub_route route;
    const struct dray_call *call;
    const struct dray_desc *desc;
    uint64_t offset;
    struct sink sink;
    bool stuck; /* the server cannot go on where it broke off */
};

/** A layer that the registry does not hold may be elsewhere. Anybody's server: no credentials. */
static int fetch_foreign(struct dray_self *s, struct fetch *f, struct hub_request *rq,
                         struct hub_answer *a, struct dray_err *err)
{
    struct hub_target t = {.verify = true};
    const struct hub_route nobody = {f->route.repo, "", true, NULL};
    int rc = 0;
    for (uint64_t i = 0; i < f->desc->urls.n; i++) {
        if (strncmp(f->desc->urls.v[i], "https://", 8) != 0 &&
            strncmp(f->desc->urls.v[i], "http://", 7) != 0)
            continue;
        rq->url = f->desc->urls.v[i];
        /* cppcheck-suppress autoVariables ; cleared below */
        rq->target = &t;
        rc = hub_try(s, &nobody, rq, a, err);
        if (a->sunk > 0 || (rc == 0 && (a->status == 200 || a->status == 206)))
            break;
    }
    rq->url = NULL;
    rq->target = NULL;
    return rc;
}

static int fetch_once(struct dray_self *s, struct fetch *f, struct hub_answer *a,
                      struct dray_err *err)
{
    char path[300];
    uint64_t from = f->offset + f->sink.written;
    bool manifest = hub_is_manifest(f->desc->media_type);
    (void)snprintf(path, sizeof path, "%s/%s", manifest ? "manifests" : "blobs", f->desc->digest);
    struct hub_request rq = {.call = f->call,
                             .method = "GET",
                             .accept = manifest ? accepted_types() : NULL,
                             .body_fd = -1,
                             .offset = from,
                             .sink = write_out,
                             .sink_ctx = &f->sink};
    int rc = hub_call(s, &f->route, path, &rq, NULL, a, err);
    if (rc == 0 && a->status == 404 && f->desc->urls.n > 0)
        rc = fetch_foreign(s, f, &rq, a, err);
    if (rc != 0)
        return rc;
    if (from > 0 && a->status == 200 && f->sink.written > 0) { /* the host asks again from there */
        int gone = dray_fail(err, DRAY_E_UNAVAIL, "the server broke off at byte %llu",
                             (unsigned long long)from);
        err->flags |= DRAY_ERR_TRANSIENT;
        f->stuck = true;
        return gone;
    }
    if (from > 0 && a->status == 200)
        return dray_fail(err, DRAY_E_CONFLICT, "the server cannot continue at byte %llu",
                         (unsigned long long)from);
    if (a->status != 200 && a->status != 206)
        return hub_refused(a, f->route.repo, f->desc->digest, err);
    return 0;
}

/** Did it end too early, although it said nothing? */
static int check_end(const struct fetch *f, struct dray_err *err)
{
    uint64_t length = f->desc->length;
    if (length == UINT64_MAX || f->sink.written == f->sink.most)
        return 0;
    int rc = dray_fail(err, DRAY_E_UNAVAIL, "unexpected EOF: %llu of %llu bytes of %s",
                       (unsigned long long)(f->offset + f->sink.written),
                       (unsigned long long)length, f->desc->digest);
    err->flags |= DRAY_ERR_TRANSIENT;
    return rc;
}

int32_t hub_fetch(struct dray_self *s, const struct dray_call *call, const char *repo,
                  const struct dray_desc *d, uint64_t offset, const struct dray_auth *auth,
                  struct dray_fd_borrow out, struct dray_err *err)
{
    char scope[HUB_SCOPE_MAX];
    hub_scope(scope, repo, "pull");
    struct fetch f = {
        .route = {repo, scope, true, auth},
        .call = call,
        .desc = d,
        .offset = offset,
        .sink = {.fd = out.fd, .most = d->length == UINT64_MAX ? UINT64_MAX : d->length - offset}};
    long pause = HUB_PAUSE_FIRST_MS;
    for (int attempt = 1;; attempt++) {
        __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
        struct dray_err why = {0};
        uint64_t before = f.sink.written;
        int rc = fetch_once(s, &f, &a, &why);
        if (rc == 0)
            rc = check_end(&f, &why);
        if (rc == 0)
            return 0;
        if (f.sink.written > before)
            attempt = 1, pause = HUB_PAUSE_FIRST_MS;
        /* A server that never sent a byte was asked often enough by hub_call(). One that the
         * registry sent us to may refuse what was signed for too short a time: the registry signs
         * anew. */
        bool refused = a.elsewhere && (a.status == 401 || a.status == 403);
        bool again = refused ? attempt < REFUSED_ATTEMPTS
                             : (why.flags & DRAY_ERR_TRANSIENT) && f.sink.written > 0 &&
                                   attempt < HUB_ATTEMPTS;
        if (!again) {
            if (err)
                *err = why;
            return rc;
        }
        rc = hub_pause(call, a.retry_after > 0 ? a.retry_after * 1000 : pause, err);
        if (rc != 0)
            return rc;
        pause *= 2;
    }
}

int32_t hub_stat(struct dray_self *s, const struct dray_call *call, const char *repo,
                 const struct dray_desc *d, const struct dray_auth *auth, struct dray_err *err)
{
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    bool manifest = hub_is_manifest(d->media_type);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", manifest ? "manifests" : "blobs", d->digest);
    char scope[HUB_SCOPE_MAX];
    hub_scope(scope, repo, "pull,push");
    const struct hub_route route = {repo, scope, false, auth};
    struct hub_request rq = {.call = call,
                             .method = "HEAD",
                             .accept = manifest ? accepted_types() : NULL,
                             .body_fd = -1};
    int rc = hub_call(s, &route, path, &rq, NULL, &a, err);
    if (rc == 0 && a.status != 200)
        rc = hub_refused(&a, repo, d->digest, err);
    return rc;
}

/* Tags. */

static int emit_tags(struct dray_self *s, const struct dray_call *call, const struct hub_answer *a,
                     struct dray_err *err)
{
    struct json_object *doc = a->body.data ? json_tokener_parse(a->body.data) : NULL;
    struct json_object *tags = NULL;
    int rc = 0;
    if (!json_object_is_type(doc, json_type_object))
        rc = dray_fail(err, DRAY_E_CORRUPT, "the list of tags is not JSON");
    else if (json_object_object_get_ex(doc, "tags", &tags) &&
             json_object_is_type(tags, json_type_array))
        for (size_t i = 0; rc == 0 && i < json_object_array_length(tags); i++) {
            const char *tag = json_object_get_string(json_object_array_get_idx(tags, i));
            struct dray_kv kv = {"tag", tag ? tag : ""};
            struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {&kv, 1}};
            rc = s->host->emit(call, &rec);
        }
    if (doc)
        json_object_put(doc);
    return rc;
}

/** "</v2/x/tags/list?last=b&n=2>; rel="next"", or relative in another way: its query matters. */
static bool next_page(const struct hub_answer *a, char *path, size_t size)
{
    const char *begin = strchr(a->link, '<'), *end = strchr(a->link, '>');
    const char *query = begin ? strchr(begin, '?') : NULL;
    if (!query || !end || query > end || !strstr(end, "next"))
        return false;
    (void)snprintf(path, size, "tags/list%.*s", (int)(end - query), query);
    return true;
}

int32_t hub_tags(struct dray_self *s, const struct dray_call *call, const char *repo,
                 const struct dray_auth *auth, struct dray_err *err)
{
    char path[1200] = "tags/list?n=1000", scope[HUB_SCOPE_MAX];
    hub_scope(scope, repo, "pull");
    const struct hub_route route = {repo, scope, true, auth};
    for (int page = 0; page < 1000; page++) {
        __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
        struct hub_request rq = {
            .call = call, .method = "GET", .accept = "application/json", .body_fd = -1};
        int rc = hub_call(s, &route, path, &rq, NULL, &a, err);
        if (rc == 0 && a.status != 200)
            rc = hub_refused(&a, repo, "tags", err);
        if (rc == 0)
            rc = emit_tags(s, call, &a, err);
        if (rc != 0 || !next_page(&a, path, sizeof path))
            return rc;
    }
    return dray_fail(err, DRAY_E_LIMIT, "the list of tags does not end");
}
