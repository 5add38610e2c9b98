/* SPDX-License-Identifier: Apache-2.0 */
/* images.c - /images and /distribution. */
#include "engine/image/images.h"

#include "api/http.h"
#include "api/pipe_reply.h"
#include "api/registry_auth.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/filters.h"
#include "engine/url_fetch.h"

/* --- X-Registry-Auth --------------------------------------------------------------------------*/

/* Credentials of a request; the strings live in doc. */
struct credentials {
    struct json_object *doc;
    struct dray_auth auth;
};

static void credentials_cleanup(struct credentials *c)
{
    json_object_put(c->doc);
}

static int get_auth(struct dray_http *h, struct credentials *c, struct dray_err *err)
{
    int rc = dray_http_registry_header(h, "X-Registry-Auth", &c->doc, err);
    c->auth = (struct dray_auth){.size = sizeof c->auth,
                                 .username = dray_json_str(c->doc, "username", ""),
                                 .password = dray_json_str(c->doc, "password", ""),
                                 .identity_token = dray_json_str(c->doc, "identitytoken", ""),
                                 .registry_token = dray_json_str(c->doc, "registrytoken", ""),
                                 .server = dray_json_str(c->doc, "serveraddress", ""),
                                 .client = dray_http_header_in(h, "User-Agent")};
    return rc;
}

/* --- progress ---------------------------------------------------------------------------------*/

static int send_line(void *ctx, struct json_object *line /* takes */)
{
    struct dray_http *h = ctx;
    if (!dray_http_streaming(h)) {
        int rc = dray_http_stream(h, 200, "application/json", NULL);
        if (rc) {
            json_object_put(line);
            return rc;
        }
    }
    return dray_http_write_json(h, line);
}

/* An error after the first line goes into the stream. */
static int end_stream(struct dray_http *h, int rc, const struct dray_err *err)
{
    if (rc == 0 || !dray_http_streaming(h))
        return rc;
    const char *text = err && err->text[0] ? err->text : "unknown error";
    struct json_object *line = json_object_new_object(), *detail = json_object_new_object();
    dray_json_add_str(detail, "message", text);
    dray_json_add(line, "errorDetail", detail);
    dray_json_add_str(line, "error", text);
    (void)dray_http_write_json(h, line);
    return 0;
}

/* --- create: pull and import ------------------------------------------------------------------*/

static int pull(struct dray_http *h, struct dray_engine *e, const char *name, struct dray_err *err)
{
    struct credentials cred __attribute__((cleanup(credentials_cleanup))) = {0};
    const char *tag = dray_http_query(h, "tag");
    bool digest = tag && strchr(tag, ':');
    dray_autofree char *ref =
        tag && *tag ? dray_strf("%s%s%s", name, digest ? "@" : ":", tag) : strdup(name);
    if (!ref)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = get_auth(h, &cred, err);
    if (rc)
        return rc;
    const char *slash = strrchr(ref, '/');
    bool named_only = !strchr(ref, '@') && !strchr(slash ? slash : ref, ':');
    struct dray_pull_req req = {.ref = ref,
                                .platform = dray_http_query(h, "platform"),
                                .auth = &cred.auth,
                                .all_tags = named_only,
                                .cancel_fd = dray_http_cancel_fd(h)};
    struct dray_err why = {0};
    rc = dray_images_pull(e->images, &req, send_line, h, &why);
    if (rc == DRAY_E_UNAUTH && !dray_http_streaming(h)) /* at a 401 docker would ask for a login */
        rc = why.code = DRAY_E_INTERNAL;
    rc = dray_http_registry_code(rc, &why);
    if (rc && err)
        *err = why;
    return end_stream(h, rc, &why);
}

static int end_fetch(void *ctx, struct dray_err *err)
{
    struct dray_url_fetch **f = ctx;
    return dray_url_fetch_end(dray_steal(*f), err);
}

/* Run the import on the request's body, or on what the URL gives. */
static int run_import(struct dray_http *h, struct dray_engine *e, struct dray_import_req *req,
                      char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    struct dray_url_fetch *fetch = NULL;
    dray_autofd int fd = -EBADF;
    if (strcmp(req->source, "-") == 0) {
        req->fd = dray_http_body_fd(h);
        return dray_images_import(e->images, req, id, err);
    }
    int rc = dray_url_fetch_begin(req->source, req->cancel_fd, &fetch, &fd, err);
    if (rc)
        return rc;
    struct json_object *line = json_object_new_object();
    dray_autofree char *text = dray_strf("Downloading from %s", req->source);
    dray_json_add_str(line, "status", text);
    rc = send_line(h, line);
    req->fd = fd;
    req->complete = end_fetch;
    /* cppcheck-suppress autoVariables ; cleared below */
    req->ctx = &fetch;
    struct dray_err why = {0};
    if (!rc)
        rc = dray_images_import(e->images, req, id, &why);
    req->complete = NULL;
    req->ctx = NULL;
    dray_cleanup_fd(&fd); /* a thread that still writes notices */
    fd = -EBADF;
    struct dray_err cause = {0};
    int ended = dray_url_fetch_end(fetch, &cause);
    if (rc && ended && cause.code != DRAY_E_CANCELED && cause.code != DRAY_E_UNAVAIL)
        why = cause; /* an archive that is none because the server said so */
    if (rc && err)
        *err = why;
    return rc;
}

static int import(struct dray_http *h, struct dray_engine *e, const char *src, struct dray_err *err)
{
    const char *repo = dray_http_query(h, "repo"), *tag = dray_http_query(h, "tag");
    dray_autofree char *name =
        repo && *repo ? dray_strf("%s%s%s", repo, tag && *tag ? ":" : "", tag ? tag : "") : NULL;
    DRAY_AUTO(dray_strlist) list = {0};
    const char *change = NULL;
    for (size_t i = 0; (change = dray_http_query_at(h, "changes", i)) != NULL; i++)
        if (!dray_strlist_add(&list, change))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct dray_strs changes = dray_strlist_view(&list);
    struct dray_import_req req = {.fd = -EBADF,
                                  .repo = name,
                                  .message = dray_http_query(h, "message"),
                                  .platform = dray_http_query(h, "platform"),
                                  .source = src,
                                  .changes = &changes,
                                  .cancel_fd = dray_http_cancel_fd(h)};
    char id[DRAY_DIGEST_LEN];
    struct dray_err why = {0};
    int rc = run_import(h, e, &req, id, &why);
    if (rc && err)
        *err = why;
    if (rc)
        return end_stream(h, rc, &why);
    struct json_object *line = json_object_new_object();
    dray_json_add_str(line, "status", id);
    return send_line(h, line);
}

static int create(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *image = dray_http_query(h, "fromImage"), *src = dray_http_query(h, "fromSrc");
    if (image && *image)
        return pull(h, e, image, err);
    if (src && *src)
        return import(h, e, src, err);
    return dray_fail(err, DRAY_E_INVAL, "invalid reference format");
}

/* --- platforms --------------------------------------------------------------------------------*/

/* "os/arch[/variant]" of an OCI platform in JSON, as clients send it. */
static int read_platform(const char *json, char **out, struct dray_err *err)
{
    dray_autojson *o = NULL;
    if (dray_json_parse(json, strlen(json), &o, NULL) != 0 ||
        !json_object_is_type(o, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "failed to parse platform: it is no JSON object");
    const char *os = dray_json_str(o, "os", ""), *arch = dray_json_str(o, "architecture", "");
    const char *variant = dray_json_str(o, "variant", "");
    bool more = *variant || *dray_json_str(o, "os.version", "") || dray_json_arr(o, "os.features");
    if (!*os && !*arch && more)
        return dray_fail(err, DRAY_E_INVAL,
                         "optional platform fields provided, but OS and Architecture are missing");
    if (!*os || !*arch)
        return dray_fail(err, DRAY_E_INVAL, "both OS and Architecture must be provided");
    *out = dray_strf("%s/%s%s%s", os, arch, *variant ? "/" : "", variant);
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* The platform of a request, which clients of a version and later may name; *out NULL: none. */
static int get_platform(struct dray_http *h, int since, char **out, struct dray_err *err)
{
    const char *json = dray_http_version(h) >= since ? dray_http_query(h, "platform") : NULL;
    return json && *json ? read_platform(json, out, err) : 0;
}

/* --- one image --------------------------------------------------------------------------------*/

static int list(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char *const allowed[] = {"dangling", "label", "label!",    "before",
                                          "since",    "until", "reference", NULL};
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *out = NULL;
    int rc = dray_filters_parse(dray_http_query(h, "filters"), allowed, &f, err);
    const char *old = dray_http_version(h) < 141 ? dray_http_query(h, "filter") : NULL;
    if (!rc && old && *old && !dray_kvlist_add(&f.pairs, "reference", old))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        return rc;
    struct dray_images_list_req req = {.all = dray_http_query_bool(h, "all", false),
                                       .shared_size = dray_http_query_bool(h, "shared-size", false),
                                       .manifests = dray_http_query_bool(h, "manifests", false),
                                       .filters = &f,
                                       .api_version = dray_http_version(h)};
    rc = dray_images_list(e->images, &req, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int inspect(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *out = NULL;
    dray_autofree char *platform = NULL;
    bool manifests = dray_http_version(h) >= 148 && dray_http_query_bool(h, "manifests", false);
    int rc = get_platform(h, 149, &platform, err);
    if (!rc && manifests && platform)
        rc = dray_fail(err, DRAY_E_INVAL,
                       "conflicting options: manifests and platform options cannot both be set");
    struct dray_images_inspect_req req = {.ref = dray_http_param(h, "name"),
                                          .platform = platform,
                                          .manifests = manifests,
                                          .api_version = dray_http_version(h)};
    if (!rc)
        rc = dray_images_inspect(e->images, &req, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int history(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *out = NULL;
    dray_autofree char *platform = NULL;
    int rc = get_platform(h, 148, &platform, err);
    if (!rc)
        rc = dray_images_history(e->images, dray_http_param(h, "name"), platform, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int tag(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *repo = dray_http_query(h, "repo"), *name = dray_http_query(h, "tag");
    dray_autofree char *ref =
        dray_strf("%s%s%s", repo ? repo : "", name && *name ? ":" : "", name ? name : "");
    if (!ref)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_images_tag(e->images, dray_http_param(h, "name"), ref, err);
    return rc ? rc : dray_http_reply_empty(h, 201);
}

static int delete_one(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *out = NULL;
    DRAY_AUTO(dray_strlist) platforms = {0};
    const char *json = NULL, *name = dray_http_param(h, "name");
    int rc = name[strspn(name, " \t\r\n")]
                 ? 0
                 : dray_fail(err, DRAY_E_INVAL, "image name cannot be blank");
    for (size_t i = 0; !rc && dray_http_version(h) >= 150 &&
                       (json = dray_http_query_at(h, "platforms", i)) != NULL;
         i++) {
        dray_autofree char *one = NULL;
        rc = read_platform(json, &one, err);
        if (!rc && !dray_strlist_add(&platforms, one))
            rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    if (!rc)
        rc = dray_images_remove(e->images, name, dray_strlist_view(&platforms),
                                dray_http_query_bool(h, "force", false),
                                !dray_http_query_bool(h, "noprune", false), &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int push(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct credentials cred __attribute__((cleanup(credentials_cleanup))) = {0};
    dray_autofree char *platform = NULL;
    int rc = get_auth(h, &cred, err);
    if (!rc)
        rc = get_platform(h, 146, &platform, err);
    if (rc)
        return rc;
    struct dray_push_req req = {.name = dray_http_param(h, "name"),
                                .tag = dray_http_query(h, "tag"),
                                .platform = platform,
                                .auth = &cred.auth,
                                .cancel_fd = dray_http_cancel_fd(h)};
    struct dray_err why = {0};
    rc = dray_images_push(e->images, &req, send_line, h, &why);
    rc = dray_http_registry_code(rc, &why);
    if (rc && err)
        *err = why;
    return end_stream(h, rc, &why);
}

static int search(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char *const allowed[] = {"is-official", "is-automated", "stars", NULL};
    struct credentials cred __attribute__((cleanup(credentials_cleanup))) = {0};
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *out = NULL;
    int64_t limit = 0;
    int rc = dray_http_query_int(h, "limit", 25, &limit, err);
    if (!rc && (limit < 0 || limit > 100))
        rc = dray_fail(err, DRAY_E_INVAL, "Limit %lld is outside the range of [1, 100]",
                       (long long)limit);
    if (!rc)
        rc = dray_filters_parse(dray_http_query(h, "filters"), allowed, &f, err);
    if (!rc)
        rc = get_auth(h, &cred, err);
    const char *term = dray_http_query(h, "term");
    if (!rc)
        rc = dray_images_search(e->images, term ? term : "", limit ? (uint32_t)limit : 25, &f,
                                &cred.auth, &out, err);
    return rc ? dray_http_registry_code(rc, err) : dray_http_reply_json(h, 200, out);
}

static int prune(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char *const allowed[] = {"dangling", "until", "label", "label!", NULL};
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *out = NULL;
    int rc = dray_filters_parse(dray_http_query(h, "filters"), allowed, &f, err);
    if (!rc)
        rc = dray_images_prune(e->images, &f, &out, err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

static int distribution(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct credentials cred __attribute__((cleanup(credentials_cleanup))) = {0};
    struct json_object *out = NULL;
    int rc = get_auth(h, &cred, err);
    if (!rc)
        rc = dray_images_distribution(e->images, dray_http_param(h, "name"), &cred.auth,
                                      dray_http_cancel_fd(h), &out, err);
    return rc ? dray_http_registry_code(rc, err) : dray_http_reply_json(h, 200, out);
}

/* --- archives ---------------------------------------------------------------------------------*/

struct save_job {
    struct dray_engine *e;
    struct dray_strs names;
    const char *platform;
};

static int write_archive(void *ctx, int out_fd, struct dray_err *err)
{
    const struct save_job *j = ctx;
    return dray_images_save(j->e->images, j->names, j->platform, out_fd, err);
}

static int save(struct dray_http *h, struct dray_engine *e, struct dray_strs names,
                struct dray_err *err)
{
    dray_autofree char *platform = NULL;
    int rc = get_platform(h, 148, &platform, err);
    struct save_job job = {e, names, platform};
    if (!rc)
        rc = dray_images_save_check(e->images, names, platform, err);
    return rc ? rc : dray_http_reply_pipe(h, "application/x-tar", write_archive, &job, err);
}

static int get_one(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *name = dray_http_param(h, "name");
    return save(h, e, (struct dray_strs){&name, 1}, err);
}

static int get_many(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) names = {0};
    const char *name = NULL;
    for (size_t i = 0; (name = dray_http_query_at(h, "names", i)) != NULL; i++)
        if (!dray_strlist_add(&names, name))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return save(h, e, dray_strlist_view(&names), err);
}

static int write_files(void *ctx, int out_fd, struct dray_err *err)
{
    return dray_image_export(ctx, out_fd, err);
}

/* The files of an image without its layers: Dray's own. */
static int export_files(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    DRAY_AUTO(dray_image) image = {0};
    int rc = dray_images_get(e->images, dray_http_param(h, "name"), &image, err);
    return rc ? rc : dray_http_reply_pipe(h, "application/x-tar", write_files, &image, err);
}

/* What is wrong with the archive is told in the stream, as Docker does: clients look there. */
static int load_into(struct dray_http *h, struct dray_engine *e, struct dray_load_req *req,
                     struct dray_err *err)
{
    int rc = dray_images_load(e->images, req, send_line, h, err);
    if (rc && rc != DRAY_E_CANCELED && !dray_http_streaming(h))
        (void)dray_http_stream(h, 200, "application/json", NULL);
    return rc;
}

static int load(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct dray_err why = {0};
    dray_autofree char *platform = NULL;
    int rc = get_platform(h, 148, &platform, &why);
    struct dray_load_req req = {.fd = dray_http_body_fd(h),
                                .quiet = dray_http_query_bool(h, "quiet", true),
                                .platform = platform,
                                .cancel_fd = dray_http_cancel_fd(h)};
    if (!rc)
        rc = load_into(h, e, &req, &why);
    if (rc && err)
        *err = why;
    if (!rc && !dray_http_streaming(h))
        return dray_http_reply_text(h, 200, "application/json", "");
    return end_stream(h, rc, &why);
}

const struct dray_route dray_routes_images[] = {
    {DRAY_GET, "/images/json", list, 0, 0, 0},
    {DRAY_POST, "/images/create", create, DRAY_ROUTE_BODY, 0, 0},
    {DRAY_GET, "/images/search", search, 0, 0, 0},
    {DRAY_GET, "/images/get", get_many, 0, 0, 0},
    {DRAY_POST, "/images/load", load, DRAY_ROUTE_BODY, 0, 0},
    {DRAY_POST, "/images/prune", prune, 0, 0, 0},
    {DRAY_GET, "/images/{name:*}/json", inspect, 0, 0, 0},
    {DRAY_GET, "/images/{name:*}/history", history, 0, 0, 0},
    {DRAY_GET, "/images/{name:*}/get", get_one, 0, 0, 0},
    {DRAY_GET, "/images/{name:*}/export", export_files, 0, 0, 0},
    {DRAY_POST, "/images/{name:*}/push", push, 0, 0, 0},
    {DRAY_POST, "/images/{name:*}/tag", tag, 0, 0, 0},
    {DRAY_DELETE, "/images/{name:*}", delete_one, 0, 0, 0},
    {DRAY_GET, "/distribution/{name:*}/json", distribution, 0, 0, 0},
    {0, NULL, NULL, 0, 0, 0},
};
