/* SPDX-License-Identifier: Apache-2.0 */
/* system.c - /_ping, /version, /auth, /system/df, /plugins, and the routes of info and events. */
#include "api/system.h"

#include "api/registry_auth.h"
#include "base/buf.h"
#include "base/json.h"
#include "engine/build/builds.h"
#include "engine/container/containers.h"
#include "engine/engine.h"
#include "engine/image/images.h"
#include "engine/metrics.h"
#include "engine/volume/volumes.h"

#include <dray/registry.h>
#include <strings.h>
#include <sys/utsname.h>

#ifndef DRAY_VERSION
#define DRAY_VERSION "0.0.0"
#endif
#ifndef DRAY_GIT_COMMIT
#define DRAY_GIT_COMMIT ""
#endif
#ifndef DRAY_BUILD_TIME
#define DRAY_BUILD_TIME ""
#endif

static int ping(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    (void)err;
    /* The builder of a client that speaks both protocols and was told of neither: docker 20.10.
     * With 1 it prints what its users' scripts read; newer ones do not look at this. */
    dray_http_header(h, "Builder-Version", "1");
    dray_http_header(h, "Swarm", "inactive");
    dray_http_header(h, "Cache-Control", "no-cache, no-store, must-revalidate");
    dray_http_header(h, "Pragma", "no-cache");
    bool head = strcmp(dray_http_method_in(h), "HEAD") == 0; /* Docker's has no length of a body */
    return dray_http_reply_text(h, 200, "text/plain; charset=utf-8", head ? "" : "OK");
}

/* Any path, be it known or not: nothing but the common headers. */
static int options(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    (void)err;
    return dray_http_reply_empty(h, 200);
}

static void add_version(struct json_object *o, struct dray_engine *e, bool details)
{
    struct utsname u = {0};
    (void)uname(&u);
    if (!details)
        dray_json_add_str(o, "Version", DRAY_VERSION);
    dray_json_add_str(o, "ApiVersion", "1.51");
    dray_json_add_str(o, "MinAPIVersion", "1.24");
    dray_json_add_str(o, "GitCommit", DRAY_GIT_COMMIT);
    dray_json_add_str(o, "GoVersion", "");
    dray_json_add_str(o, "Os", "linux");
    dray_json_add_str(o, "Arch", dray_machine_goarch());
    dray_json_add_str(o, "KernelVersion", u.release);
    dray_json_add_str(o, "BuildTime", DRAY_BUILD_TIME);
    if (details)
        dray_json_add_str(o, "Experimental", e->config->experimental ? "true" : "false");
    else if (e->config->experimental)
        dray_json_add_bool(o, "Experimental", true);
}

static int version(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)err;
    struct json_object *o = json_object_new_object();
    struct json_object *platform = json_object_new_object();
    struct json_object *engine = json_object_new_object();
    struct json_object *details = json_object_new_object();
    struct json_object *components = json_object_new_array();
    dray_json_add_str(platform, "Name", "Dray");
    dray_json_add(o, "Platform", platform);
    dray_json_add_str(engine, "Name", "Engine");
    dray_json_add_str(engine, "Version", DRAY_VERSION);
    add_version(details, e, true);
    dray_json_add(engine, "Details", details);
    json_object_array_add(components, engine);
    dray_json_add(o, "Components", components);
    add_version(o, e, false);
    return dray_http_reply_json(h, 200, o);
}

/* ---- /auth ---- */

/* "https://index.docker.io/v1/" is docker.io. */
static void host_of(const char *server, char out[256])
{
    const char *scheme = strstr(server, "://");
    const char *host = scheme ? scheme + 3 : server;
    (void)snprintf(out, 256, "%.*s", (int)strcspn(host, "/"), host);
    if (!*out || strcasecmp(out, "index.docker.io") == 0 ||
        strcasecmp(out, "registry-1.docker.io") == 0)
        (void)snprintf(out, 256, "docker.io");
}

static int32_t score(struct dray_driver *d, const char *repo)
{
    struct dray_call_scope s = {0};
    int32_t n = 0;
    if (dray_driver_suspect(d) || !dray_driver_has(d, "login"))
        return 0;
    if (dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL) == 0)
        n = ((const struct dray_registry_ops *)s.ops)->match(s.self, &s.call, repo);
    dray_call_leave(&s);
    return n;
}

static struct dray_driver *registry_for(struct dray_engine *e, const char *host)
{
    struct dray_driver *best = NULL, *d = NULL;
    int32_t best_score = 0;
    dray_autofree char *repo = dray_strf("%s/library/x", host);
    for (size_t i = 0; repo && (d = dray_drivers_at(e->drivers, DRAY_KIND_REGISTRY, i)); i++) {
        int32_t n = score(d, repo);
        if (n > best_score) {
            best_score = n;
            best = d;
        }
    }
    return best;
}

static int login(struct dray_http *h, struct dray_driver *d, const struct dray_auth *auth,
                 struct dray_err *err)
{
    struct dray_call_scope s = {0};
    const char *token = NULL;
    struct json_object *o = NULL;
    int rc = dray_call_enter(&s, d, DRAY_CLASS_MOUNT, dray_http_cancel_fd(h), err);
    if (!rc)
        rc = ((const struct dray_registry_ops *)s.ops)->login(s.self, &s.call, auth, &token, err);
    if (!rc) {
        o = json_object_new_object();
        dray_json_add_str(o, "Status", "Login Succeeded");
        dray_json_add_str(o, "IdentityToken", token ? token : "");
    }
    dray_call_leave(&s);
    return rc ? dray_http_registry_code(rc, err) : dray_http_reply_json(h, 200, o);
}

static int auth(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    dray_autojson *body = NULL;
    int rc = dray_http_json_untyped(h, &body, err);
    if (rc)
        return rc;
    if (!json_object_is_type(body, json_type_object))
        return dray_fail(err, DRAY_E_INVAL, "invalid JSON: got EOF while reading request body");
    const char *server = dray_json_str(body, "serveraddress", "");
    char host[256];
    host_of(server, host);
    struct dray_driver *d = registry_for(e, host);
    if (!d)
        return dray_fail(err, DRAY_E_UNAVAIL, "no registry driver serves %s", host);
    struct dray_auth a = {.size = sizeof a,
                          .username = dray_json_str(body, "username", ""),
                          .password = dray_json_str(body, "password", ""),
                          .identity_token = dray_json_str(body, "identitytoken", ""),
                          .registry_token = dray_json_str(body, "registrytoken", ""),
                          .server = *server ? server : host,
                          .client = dray_http_header_in(h, "User-Agent")};
    return login(h, d, &a, err);
}

/* ---- /system/df ---- */

/* Is the type asked for? All are when none is named. */
static bool wants(struct dray_http *h, const char *type)
{
    if (!dray_http_query(h, "type"))
        return true;
    for (size_t i = 0; dray_http_query_at(h, "type", i); i++)
        if (strcmp(dray_http_query_at(h, "type", i), type) == 0)
            return true;
    return false;
}

static int df_types(struct dray_http *h, struct dray_err *err)
{
    static const char *const known[] = {"container", "image", "volume", "build-cache"};
    const char *type = NULL;
    for (size_t i = 0; (type = dray_http_query_at(h, "type", i)) != NULL; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            found = found || strcmp(type, known[k]) == 0;
        if (!found)
            return dray_fail(err, DRAY_E_INVAL, "unknown object type: %s", type);
    }
    return 0;
}

static int df_containers(struct dray_http *h, struct dray_engine *e, struct dray_buf *b,
                         struct dray_err *err)
{
    struct dray_list_req req = {.all = true, .size = true, .api_version = dray_http_version(h)};
    dray_autofree char *text = NULL;
    int rc = dray_containers_list(e->containers, &req, &text, err);
    if (!rc)
        dray_buf_adds(b, text);
    return rc;
}

/* The rows of the image list, with what is shared worked out. */
static int df_images(struct dray_http *h, struct dray_engine *e, struct dray_buf *b,
                     int64_t *layers_size, struct dray_err *err)
{
    struct dray_images_list_req req = {
        .shared_size = true, .usage = true, .api_version = dray_http_version(h)};
    dray_autojson *images = NULL;
    int rc = dray_images_list(e->images, &req, &images, err);
    if (!rc)
        dray_buf_adds(b, dray_json_text(images));
    *layers_size = (int64_t)dray_images_layers_size(e->images);
    return rc;
}

static int df_volumes(struct dray_engine *e, struct dray_buf *b, struct dray_err *err)
{
    dray_autojson *volumes = NULL;
    int rc = dray_volumes_usage(e->volumes, &volumes, err);
    if (!rc)
        dray_buf_adds(b, dray_json_text(volumes));
    return rc;
}

/* The end of the answer; BuilderSize is for old clients. */
static int df_builds(struct dray_http *h, struct dray_engine *e, struct dray_buf *b,
                     struct dray_err *err)
{
    dray_autojson *cache = NULL;
    int64_t size = 0;
    int rc = wants(h, "build-cache") ? dray_builds_usage(e->builds, &cache, err) : 0;
    for (size_t i = 0; i < dray_json_len(cache); i++)
        size += dray_json_int(json_object_array_get_idx(cache, i), "Size", 0);
    dray_buf_addf(b, ",\"BuildCache\":%s", cache ? dray_json_text(cache) : "null");
    if (dray_http_version(h) < 142 && size != 0)
        dray_buf_addf(b, ",\"BuilderSize\":%lld", (long long)size);
    dray_buf_adds(b, "}\n");
    return rc;
}

static int df(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    int64_t layers_size = 0;
    int rc = df_types(h, err);
    if (rc)
        return rc;
    dray_buf_adds(&b, "{\"Images\":");
    if (wants(h, "image"))
        rc = df_images(h, e, &b, &layers_size, err);
    else
        dray_buf_adds(&b, "null");
    dray_buf_addf(&b, ",\"LayersSize\":%lld,\"Containers\":", (long long)layers_size);
    if (!rc && wants(h, "container"))
        rc = df_containers(h, e, &b, err);
    else
        dray_buf_adds(&b, "null");
    dray_buf_adds(&b, ",\"Volumes\":");
    if (!rc && wants(h, "volume"))
        rc = df_volumes(e, &b, err);
    else
        dray_buf_adds(&b, "null");
    if (!rc)
        rc = df_builds(h, e, &b, err);
    if (rc)
        return rc;
    if (b.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return dray_http_reply_json_text(h, 200, dray_buf_steal(&b));
}

/* ---- /plugins ---- */

const char *dray_api_commit(void)
{
    return DRAY_GIT_COMMIT;
}

static int loaded_plugins(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)err;
    return dray_http_reply_json(h, 200, dray_drivers_list(e->drivers));
}

/* Is this the plugin of the name, or of "KIND/NAME"? */
static bool is_called(struct json_object *plugin, const char *name)
{
    const char *own = dray_json_str(plugin, "Name", "");
    const char *slash = strchr(name, '/');
    if (!slash)
        return strcmp(own, name) == 0;
    struct json_object *kinds = dray_json_arr(plugin, "Kinds");
    bool of_kind = false;
    for (size_t i = 0; i < dray_json_len(kinds); i++) {
        const char *kind = json_object_get_string(json_object_array_get_idx(kinds, i));
        of_kind = of_kind || (strncmp(kind, name, (size_t)(slash - name)) == 0 &&
                              strlen(kind) == (size_t)(slash - name));
    }
    return of_kind && strcmp(own, slash + 1) == 0;
}

static int loaded_plugin(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *name = dray_http_param(h, "name");
    dray_autojson *all = dray_drivers_list(e->drivers);
    for (size_t i = 0; i < dray_json_len(all); i++) {
        struct json_object *o = json_object_array_get_idx(all, i);
        if (is_called(o, name))
            return dray_http_reply_json(h, 200, json_object_get(o));
    }
    return dray_fail(err, DRAY_E_NOTFOUND, "plugin \"%s\" not found", name);
}

const struct dray_route dray_routes_system[] = {
    {DRAY_OPTIONS, "/{**}", options, 0, 0, 0},
    {DRAY_GET | DRAY_HEAD, "/_ping", ping, 0, 0, 0},
    {DRAY_GET, "/version", version, 0, 0, 0},
    {DRAY_GET, "/info", dray_api_info, DRAY_ROUTE_TIMED(DRAY_TIME_INFO), 0, 0},
    {DRAY_GET, "/events", dray_api_events, 0, 0, 0},
    {DRAY_GET, "/system/df", df, 0, 0, 0},
    {DRAY_POST, "/auth", auth, 0, 0, 0},
    {DRAY_GET, "/plugins/loaded", loaded_plugins, 0, 0, 0},
    {DRAY_GET, "/plugins/loaded/{name}", loaded_plugin, 0, 0, 0},
    {0},
};
