/* SPDX-License-Identifier: Apache-2.0 */
/* pull.c - reading from a registry: resolve, fetch with resume, stat, tags. */
#include "hub.h"

#include <json-c/json.h>
#include <openssl/evp.h>
#include <strings.h>

#define ATTEMPTS 5
#define PAUSE_FIRST_MS 200
#define PAUSE_MOST_S 60

static const char *const manifest_types[] = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
};

const char *hub_manifest_types(void)
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
    return strchr(repo, '/') ? 50 : 0;
}

/** One server, as often as may help. */
static int try_target(struct dray_self *s, struct hub_request *rq, const char *scope,
                      const struct dray_auth *auth, struct hub_answer *out, struct dray_err *err)
{
    long pause = PAUSE_FIRST_MS;
    for (int attempt = 0;; attempt++) {
        struct dray_err why = {0};
        int rc = hub_authorized(s, rq, scope, auth, out, &why);
        bool again = rc == DRAY_E_UNAVAIL ? (why.flags & DRAY_ERR_TRANSIENT) != 0
                                          : rc == 0 && hub_transient(out->status);
        /* A body that went on its way cannot be taken back: the caller resumes. */
        if (!again || attempt + 1 >= ATTEMPTS || (rc != 0 && rq->sink)) {
            if (rc != 0 && err)
                *err = why;
            return rc;
        }
        long ms = rc == 0 && out->retry_after >= 0 ? out->retry_after * 1000 : pause;
        if (ms > PAUSE_MOST_S * 1000)
            return rc;
        rc = hub_pause(rq->call, ms, err);
        if (rc != 0)
            return rc;
        pause *= 2;
    }
}

int hub_call(struct dray_self *s, const struct dray_call *call, const char *repo,
             const char *actions, const char *path, struct hub_request *rq,
             const struct dray_auth *auth, struct hub_answer *out, struct dray_err *err)
{
    struct hub_target targets[HUB_TARGETS];
    bool reading = strcmp(actions, "pull") == 0;
    size_t n = hub_targets(s, repo, reading, targets);
    char scope[700];
    (void)snprintf(scope, sizeof scope, "repository:%s:%s", hub_path(repo), actions);
    int rc = DRAY_E_UNAVAIL;
    struct dray_err first = {0};
    for (size_t i = 0; i < n; i++) {
        dray_autofree char *url = NULL;
        if (asprintf(&url, "%s/v2/%s/%s", targets[i].base, hub_path(repo), path) < 0)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rq->call = call;
        /* cppcheck-suppress autoVariables ; cleared below */
        rq->url = url;
        /* cppcheck-suppress autoVariables ; the same */
        rq->target = &targets[i];
        struct dray_err why = {0};
        rc = try_target(s, rq, scope, targets[i].mirror ? NULL : auth, out, &why);
        rq->url = NULL;
        bool next =
            i + 1 < n && (rc == DRAY_E_UNAVAIL || (targets[i].mirror && out->status >= 400));
        if (rc != 0 && (first.code == 0 || !next))
            first = why;
        if (!next)
            break;
    }
    rq->target = NULL;
    if (rc != 0 && err)
        *err = first;
    return rc;
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
    struct hub_request rq = {.method = "HEAD", .accept = hub_manifest_types(), .body_fd = -1};
    char path[400];
    (void)snprintf(path, sizeof path, "manifests/%s", tag_or_digest);
    int rc = hub_call(s, call, repo, "pull", path, &rq, auth, &a, err);
    if (rc != 0)
        return rc;
    bool whole = a.status == 200 && a.digest[0] && a.length >= 0 && hub_is_manifest(a.type);
    if (!whole) { /* its words, or what HEAD did not tell, are in the body */
        rq.method = "GET";
        rc = hub_call(s, call, repo, "pull", path, &rq, auth, &a, err);
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

static int fetch_once(struct dray_self *s, const struct dray_call *call, const char *repo,
                      const struct dray_desc *d, uint64_t offset, const struct dray_auth *auth,
                      struct sink *k, struct hub_answer *a, struct dray_err *err)
{
    char path[300];
    bool manifest = hub_is_manifest(d->media_type);
    (void)snprintf(path, sizeof path, "%s/%s", manifest ? "manifests" : "blobs", d->digest);
    struct hub_request rq = {.method = "GET",
                             .accept = manifest ? hub_manifest_types() : NULL,
                             .body_fd = -1,
                             .offset = offset,
                             .sink = write_out,
                             .sink_ctx = k};
    int rc = hub_call(s, call, repo, "pull", path, &rq, auth, a, err);
    if (rc != 0)
        return rc;
    if (offset > 0 && a->status == 200)
        return dray_fail(err, DRAY_E_CONFLICT, "the server cannot continue at byte %llu",
                         (unsigned long long)offset);
    if (a->status != 200 && a->status != 206)
        return hub_refused(a, repo, d->digest, err);
    return 0;
}

int32_t hub_fetch(struct dray_self *s, const struct dray_call *call, const char *repo,
                  const struct dray_desc *d, uint64_t offset, const struct dray_auth *auth,
                  struct dray_fd_borrow out, struct dray_err *err)
{
    uint64_t most = d->length == UINT64_MAX ? UINT64_MAX : d->length - offset;
    struct sink k = {.fd = out.fd, .most = most};
    long pause = PAUSE_FIRST_MS;
    for (int attempt = 0;; attempt++) {
        __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
        struct dray_err why = {0};
        uint64_t before = k.written;
        int rc = fetch_once(s, call, repo, d, offset + k.written, auth, &k, &a, &why);
        if (rc == 0 && (d->length == UINT64_MAX || k.written == most))
            return 0;
        if (rc == 0) { /* it ended early and said nothing */
            rc = dray_fail(&why, DRAY_E_UNAVAIL, "unexpected EOF: %llu of %llu bytes of %s",
                           (unsigned long long)(offset + k.written), (unsigned long long)d->length,
                           d->digest);
            why.flags |= DRAY_ERR_TRANSIENT;
        }
        if (k.written > before)
            attempt = 0, pause = PAUSE_FIRST_MS;
        bool again = (why.flags & DRAY_ERR_TRANSIENT) && attempt + 1 < ATTEMPTS;
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
    struct hub_request rq = {
        .method = "HEAD", .accept = manifest ? hub_manifest_types() : NULL, .body_fd = -1};
    int rc = hub_call(s, call, repo, "pull,push", path, &rq, auth, &a, err);
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

/** "</v2/x/tags/list?last=b&n=2>; rel="next"": what follows "tags/" of it. */
static bool next_page(const struct hub_answer *a, char *path, size_t size)
{
    const char *begin = strchr(a->link, '<'), *end = strchr(a->link, '>');
    const char *tags = begin ? strstr(begin, "/tags/list") : NULL;
    if (!tags || !end || tags > end || !strstr(end, "next"))
        return false;
    (void)snprintf(path, size, "%.*s", (int)(end - tags - 1), tags + 1);
    return true;
}

int32_t hub_tags(struct dray_self *s, const struct dray_call *call, const char *repo,
                 const struct dray_auth *auth, struct dray_err *err)
{
    char path[1200] = "tags/list?n=1000";
    for (int page = 0; page < 1000; page++) {
        __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
        struct hub_request rq = {.method = "GET", .accept = "application/json", .body_fd = -1};
        int rc = hub_call(s, call, repo, "pull", path, &rq, auth, &a, err);
        if (rc == 0 && a.status != 200)
            rc = hub_refused(&a, repo, "tags", err);
        if (rc == 0)
            rc = emit_tags(s, call, &a, err);
        if (rc != 0 || !next_page(&a, path, sizeof path))
            return rc;
    }
    return dray_fail(err, DRAY_E_LIMIT, "the list of tags does not end");
}
