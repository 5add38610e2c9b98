/* SPDX-License-Identifier: Apache-2.0 */
/* builds.c - POST /build and /build/prune. */
#include "engine/build/builds.h"

#include "api/http.h"
#include "api/http_priv.h"
#include "api/registry_auth.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/filters.h"

#include <limits.h>
#include <openssl/evp.h>
#include <strings.h>

#define OUTPUT_MAX 64u        /* of the name of an exporter */
#define SECRET_MAX (1u << 20) /* of what is read of one */

/* --- X-Registry-Config -------------------------------------------------------------------------*/

/* The credentials of the client for every registry, and the one that was asked for last. */
struct registries {
    struct json_object *doc;
    struct dray_auth auth;
};

/* As in the client's file: "https://index.docker.io/v1/" is docker.io. */
static bool names_host(const char *key, const char *host)
{
    const char *scheme = strstr(key, "://");
    const char *at = scheme ? scheme + 3 : key;
    size_t n = strcspn(at, "/");
    if (strlen(host) == n && strncasecmp(at, host, n) == 0)
        return true;
    return strcmp(host, "docker.io") == 0 && n == strlen("index.docker.io") &&
           strncasecmp(at, "index.docker.io", n) == 0;
}

/* --- parameters --------------------------------------------------------------------------------*/

struct request {
    struct dray_http *h;
    struct registries registries;
    struct dray_strlist tags, cache_from;
    struct dray_kvlist args, labels;
    struct json_object *host;
    struct dray_buf held; /* lines that "q" keeps back */
    bool quiet;
};

static void request_cleanup(struct request *r)
{
    json_object_put(r->registries.doc);
    json_object_put(r->host);
    dray_strlist_free(&r->tags);
    dray_strlist_free(&r->cache_from);
    dray_kvlist_free(&r->args);
    dray_kvlist_free(&r->labels);
    dray_buf_free(&r->held);
}

static const struct dray_auth *auth_for(void *ctx, const char *host)
{
    struct request *r = ctx;
    if (!json_object_is_type(r->registries.doc, json_type_object))
        return NULL;
    json_object_object_foreach(r->registries.doc, key, entry)
    {
        if (!names_host(key, host))
            continue;
        r->registries.auth =
            (struct dray_auth){.size = sizeof r->registries.auth,
                               .username = dray_json_str(entry, "username", ""),
                               .password = dray_json_str(entry, "password", ""),
                               .identity_token = dray_json_str(entry, "identitytoken", ""),
                               .registry_token = dray_json_str(entry, "registrytoken", ""),
                               .server = dray_json_str(entry, "serveraddress", host)};
        return &r->registries.auth;
    }
    return NULL;
}

static int query_json(struct dray_http *h, const char *key, enum json_type type,
                      struct json_object **out, struct dray_err *err)
{
    const char *text = dray_http_query(h, key);
    *out = NULL;
    if (!text || !*text || strcmp(text, "null") == 0)
        return 0;
    int rc = dray_json_parse(text, strlen(text), out, err);
    if (!rc && *out && !json_object_is_type(*out, type))
        rc = dray_fail(err, DRAY_E_INVAL, "not what is expected here");
    return rc ? dray_err_note(err, "error reading %s", key) : 0;
}

/* A build argument without value asks for none. */
static int query_kvs(struct dray_http *h, const char *key, struct dray_kvlist *out,
                     struct dray_err *err)
{
    dray_autojson *o = NULL;
    int rc = query_json(h, key, json_type_object, &o, err);
    if (rc || !o)
        return rc;
    json_object_object_foreach(o, name, value)
    {
        if (value && !dray_kvlist_set(out, name, json_object_get_string(value)))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

/* The limits of steps, from the query to a HostConfig. */
static const struct {
    const char *query, *field;
    enum { INT, TEXT } type;
} limits[] = {
    {"memory", "Memory", INT},
    {"memswap", "MemorySwap", INT},
    {"cpushares", "CpuShares", INT},
    {"cpuperiod", "CpuPeriod", INT},
    {"cpuquota", "CpuQuota", INT},
    {"cpusetcpus", "CpusetCpus", TEXT},
    {"cpusetmems", "CpusetMems", TEXT},
    {"shmsize", "ShmSize", INT},
    {"cgroupparent", "CgroupParent", TEXT},
    {"isolation", "Isolation", TEXT},
};

static int read_limits(struct request *r, struct dray_err *err)
{
    struct json_object *ulimits = NULL, *hosts = NULL;
    r->host = json_object_new_object();
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof limits / sizeof *limits; i++) {
        const char *text = dray_http_query(r->h, limits[i].query);
        int64_t n = 0;
        if (!text || !*text)
            continue;
        if (limits[i].type == TEXT)
            dray_json_add_str(r->host, limits[i].field, text);
        else if (!(rc = dray_http_query_int(r->h, limits[i].query, 0, &n, err)) && n != 0)
            dray_json_add_int(r->host, limits[i].field, n);
    }
    if (!rc)
        rc = query_json(r->h, "ulimits", json_type_array, &ulimits, err);
    if (ulimits)
        dray_json_add(r->host, "Ulimits", ulimits);
    const char *text = dray_http_query(r->h, "extrahosts");
    if (!rc && text && *text == '[')
        rc = query_json(r->h, "extrahosts", json_type_array, &hosts, err);
    else
        for (size_t i = 0; (text = dray_http_query_at(r->h, "extrahosts", i)) != NULL; i++) {
            hosts = hosts ? hosts : json_object_new_array();
            json_object_array_add(hosts, json_object_new_string(text));
        }
    if (hosts)
        dray_json_add(r->host, "ExtraHosts", hosts);
    dray_autojson *opts = NULL;
    if (!rc)
        rc = query_json(r->h, "securityopt", json_type_array, &opts, err);
    if (opts)
        dray_json_add(r->host, "SecurityOpt", dray_steal(opts));
    return rc;
}

static int read_lists(struct request *r, struct dray_err *err)
{
    const char *tag = NULL;
    for (size_t i = 0; (tag = dray_http_query_at(r->h, "t", i)) != NULL; i++)
        if (*tag && !dray_strlist_add(&r->tags, tag))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autojson *from = NULL;
    int rc = query_json(r->h, "cachefrom", json_type_array, &from, err);
    if (!rc && from)
        rc = dray_json_to_strlist(from, &r->cache_from, err);
    if (!rc)
        rc = query_kvs(r->h, "buildargs", &r->args, err);
    return rc ? rc : query_kvs(r->h, "labels", &r->labels, err);
}

static uint32_t read_flags(struct dray_http *h)
{
    static const struct {
        const char *query;
        uint32_t flag;
        bool def, off;
    } flags[] = {
        {"nocache", DRAY_BUILD_NO_CACHE, false, false},
        {"pull", DRAY_BUILD_PULL, false, false},
        {"squash", DRAY_BUILD_SQUASH, false, false},
        {"q", DRAY_BUILD_QUIET, false, false},
        {"rm", DRAY_BUILD_KEEP, true, true},
        {"check", DRAY_BUILD_CHECK, false, false},
        {"trace", DRAY_BUILD_TRACE, false, false},
        {"kit", DRAY_BUILD_KIT, false, false},
    };
    uint32_t out = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (dray_http_query_bool(h, flags[i].query, flags[i].def) != flags[i].off)
            out |= flags[i].flag;
    if (dray_http_query_bool(h, "forcerm", false))
        out &= ~DRAY_BUILD_KEEP;
    return out;
}

static const char *query_or(struct dray_http *h, const char *key, const char *def)
{
    const char *text = dray_http_query(h, key);
    return text && *text ? text : def;
}

/* --- the answer --------------------------------------------------------------------------------*/

static int write_line(struct request *r, const char *json, size_t len)
{
    if (!dray_http_streaming(r->h)) {
        int rc = dray_http_stream(r->h, 200, "application/json", NULL);
        if (rc)
            return rc;
    }
    DRAY_AUTO(dray_buf) line = {0};
    dray_buf_add(&line, json, len);
    dray_buf_adds(&line, "\r\n");
    return line.failed ? DRAY_E_NOMEM : dray_http_write(r->h, line.data, line.len);
}

static int on_line(void *ctx, const char *json, size_t len)
{
    struct request *r = ctx;
    if (!r->quiet)
        return write_line(r, json, len);
    dray_buf_add(&r->held, json, len);
    dray_buf_adds(&r->held, "\r\n");
    return 0;
}

static void write_error(struct request *r, const struct dray_err *err)
{
    struct json_object *detail = json_object_new_object();
    dray_autojson *line = json_object_new_object();
    /* "The command '...' returned a non-zero code: 7" carries the code; BuildKit's has none. */
    static const char mark[] = "returned a non-zero code: ";
    const char *code = strstr(err->text, mark);
    if (code)
        dray_json_add_int(detail, "code", atoi(code + strlen(mark)));
    dray_json_add_str(detail, "message", err->text);
    dray_json_add(line, "errorDetail", detail);
    dray_json_add_str(line, "error", err->text);
    const char *text = dray_json_text(line);
    (void)write_line(r, text, strlen(text));
}

static int end(struct request *r, int rc, const char *image, const struct dray_err *why,
               struct dray_err *err)
{
    if (rc && r->held.len > 0 && dray_http_stream(r->h, 200, "application/json", NULL) == 0)
        (void)dray_http_write(r->h, r->held.data, r->held.len);
    if (rc && !dray_http_streaming(r->h)) {
        if (err)
            *err = *why;
        return rc;
    }
    if (rc) {
        write_error(r, why);
        return 0;
    }
    if (r->quiet && *image) {
        dray_autojson *line = json_object_new_object();
        dray_json_addf(line, "stream", "%s\n", image);
        const char *text = dray_json_text(line);
        return write_line(r, text, strlen(text));
    }
    return dray_http_streaming(r->h) ? 0 : dray_http_stream(r->h, 200, "application/json", err);
}

/* "allow=security.insecure,network.host": our own client says so; the docker CLI cannot. */
static bool allows(struct dray_http *h, const char *what)
{
    size_t n = strlen(what);
    for (const char *at = query_or(h, "allow", ""); *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        if (len == n && strncmp(at, what, n) == 0)
            return true;
        at += len;
    }
    return false;
}

static int read_request(struct request *r, struct dray_build_spec *spec, struct dray_err *err)
{
    struct dray_http *h = r->h;
    int rc = dray_http_registry_header(h, "X-Registry-Config", &r->registries.doc, err);
    if (!rc)
        rc = read_lists(r, err);
    if (!rc)
        rc = read_limits(r, err);
    if (rc)
        return rc;
    const char *remote = query_or(h, "remote", "");
    *spec = (struct dray_build_spec){
        .size = sizeof *spec,
        .flags = read_flags(h),
        .context = {*remote && strcmp(remote, "client-session") != 0 ? -1 : dray_http_body_fd(h)},
        .remote = remote,
        .dockerfile = query_or(h, "dockerfile", "Dockerfile"),
        .target = query_or(h, "target", ""),
        .platform = query_or(h, "platform", ""),
        .tags = dray_strlist_view(&r->tags),
        .args = dray_kvlist_view(&r->args),
        .labels = dray_kvlist_view(&r->labels),
        .cache_from = dray_strlist_view(&r->cache_from),
        .host_config = dray_json_text(r->host),
        .network = query_or(h, "networkmode", "")};
    return 0;
}

static int build_classic(struct request *r, const struct dray_build_spec *spec,
                         struct dray_engine *e, struct dray_err *err)
{
    struct dray_http *h = r->h;
    r->quiet = dray_http_query_bool(h, "q", false);
    const struct dray_build_req req = {.spec = *spec,
                                       .line = on_line,
                                       .auth = auth_for,
                                       .ctx = r,
                                       .session = query_or(h, "session", ""),
                                       .allow_insecure = allows(h, "security.insecure"),
                                       .allow_host_network = allows(h, "network.host"),
                                       .cancel_fd = dray_http_cancel_fd(h)};
    struct dray_err why = {0};
    char image[72] = "";
    int rc = dray_builds_run(e->builds, &req, image, &why);
    return end(r, rc, image, &why, err);
}

/* --- with BuildKit's protocol ------------------------------------------------------------------*/

/* {"id":"moby.buildkit.trace","aux":"<base64>"} */
static int on_status(void *ctx, const void *message, size_t len)
{
    DRAY_AUTO(dray_buf) line = {0};
    dray_buf_adds(&line, "{\"id\":\"moby.buildkit.trace\",\"aux\":\"");
    char *room = len < INT_MAX / 2 ? dray_buf_room(&line, 4 * (len / 3 + 1) + 4) : NULL;
    if (!room)
        return DRAY_E_NOMEM;
    line.len += (size_t)EVP_EncodeBlock((unsigned char *)room, message, (int)len);
    dray_buf_adds(&line, "\"}");
    return line.failed ? DRAY_E_NOMEM : write_line(ctx, line.data, line.len);
}

/* "outputs" of the query: [{"Type":"local","Attrs":{}}]. */
static int read_output(struct request *r, char type[OUTPUT_MAX], struct dray_err *err)
{
    static const char *const kept[] = {"", "moby", "docker", "image"};
    struct json_object *list = NULL;
    int rc = query_json(r->h, "outputs", json_type_array, &list, err);
    dray_autojson *held __attribute__((unused)) = list;
    *type = '\0';
    if (rc || dray_json_len(list) == 0)
        return rc;
    if (dray_json_len(list) > 1)
        return dray_fail(err, DRAY_E_INVAL, "multiple outputs not supported");
    const char *name = dray_json_str(json_object_array_get_idx(list, 0), "Type", "");
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strcmp(name, kept[i]) == 0)
            return 0;
    (void)snprintf(type, OUTPUT_MAX, "%s", name);
    return 0;
}

static int end_kit(struct request *r, int rc, const char *image, const struct dray_err *why,
                   struct dray_err *err)
{
    if (rc)
        return end(r, rc, image, why, err);
    if (!*image)
        return 0;
    dray_autojson *line = json_object_new_object();
    struct json_object *aux = json_object_new_object();
    dray_json_add_str(aux, "ID", image);
    dray_json_add_str(line, "id", "moby.image.id");
    dray_json_add(line, "aux", aux);
    const char *text = dray_json_text(line);
    return write_line(r, text, strlen(text));
}

static int build_kit(struct request *r, const struct dray_build_spec *spec, struct dray_err *err)
{
    struct dray_http *h = r->h;
    char output[OUTPUT_MAX];
    int rc = read_output(r, output, err);
    if (rc)
        return rc;
    struct dray_kit_build req = {.spec = *spec,
                                 .session = query_or(h, "session", ""),
                                 .id = query_or(h, "buildid", ""),
                                 .upload = strcmp(spec->remote, "upload-request") == 0,
                                 .outputs = &(const struct dray_kit_output){.type = output},
                                 .n_outputs = *output != '\0',
                                 .unlisted = *output != '\0',
                                 .status = on_status,
                                 .ctx = r,
                                 .cancel_fd = dray_http_cancel_fd(h)};
    if (strcmp(spec->remote, "client-session") == 0) {
        req.context_dir = "context";
        req.dockerfile_dir = "dockerfile";
    }
    if (req.context_dir || req.upload) {
        req.spec.context.fd = -1;
        req.spec.remote = "";
    }
    struct dray_err why = {0};
    char image[72] = "";
    rc = dray_kit_build(h->server->kit, &req, image, &why);
    return end_kit(r, rc, image, &why, err);
}

/* --- both --------------------------------------------------------------------------------------*/

static int build(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char upload[] = "upload-request:"; /* no build, the context of one */
    struct request r __attribute__((cleanup(request_cleanup))) = {.h = h};
    const char *id = query_or(h, "buildid", "");
    if (strncmp(id, upload, strlen(upload)) == 0) {
        int rc = dray_kit_upload(h->server->kit, id + strlen(upload), dray_http_body_fd(h),
                                 dray_http_cancel_fd(h), err);
        return rc ? rc : dray_http_reply_empty(h, 200);
    }
    struct dray_build_spec spec;
    int rc = read_request(&r, &spec, err);
    if (rc)
        return rc;
    return strcmp(query_or(h, "version", ""), "2") == 0 ? build_kit(&r, &spec, err)
                                                        : build_classic(&r, &spec, e, err);
}

/* --- what a client lends to its build ----------------------------------------------------------*/

static int put_secret(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    char buf[4096];
    DRAY_AUTO(dray_buf) value = {0};
    int fd = dray_http_body_fd(h);
    for (ssize_t n = 1; n > 0;) {
        while ((n = read(fd, buf, sizeof buf)) < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read the secret");
        dray_buf_add(&value, buf, (size_t)n);
        if (value.len > SECRET_MAX)
            break; /* the engine says that it is too long */
    }
    int rc = value.failed
                 ? dray_fail(err, DRAY_E_NOMEM, "out of memory")
                 : dray_builds_secret_put(e->builds, dray_http_param(h, "session"),
                                          dray_http_param(h, "id"), value.data, value.len, err);
    explicit_bzero(buf, sizeof buf);
    if (value.data)
        explicit_bzero(value.data, value.len);
    return rc ? rc : dray_http_reply_empty(h, 204);
}

/* One connection to the client's agent: it lies ready until something in the build asks. */
static int lend_agent(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int sock = -1, fd = -EBADF;
    pthread_t relay;
    /* Once the client has its answer it builds: the agent must be known before. */
    int rc = dray_builds_agent_offer(e->builds, dray_http_param(h, "session"),
                                     dray_http_param(h, "id"), err);
    if (!rc)
        rc = dray_http_hijack(h, "application/vnd.docker.raw-stream", &sock, err);
    if (!rc)
        rc = dray_builds_agent_wait(e->builds, dray_http_param(h, "session"),
                                    dray_http_param(h, "id"), sock, &fd, err);
    if (!rc) {
        dray_autofd int theirs = fd;
        rc = dray_relay_start(sock, theirs, NULL, 0, &relay);
        if (!rc)
            (void)pthread_join(relay, NULL);
    }
    return rc;
}

/* --- prune -------------------------------------------------------------------------------------*/

static int prune(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    static const char *const allowed[] = {"until", "id",     "parent",  "type",       "description",
                                          "inuse", "shared", "private", "unused-for", NULL};
    DRAY_AUTO(dray_filters) f = {0};
    struct json_object *out = NULL;
    int64_t keep = 0;
    int rc = dray_filters_parse(dray_http_query(h, "filters"), allowed, &f, err);
    if (!rc)
        rc = dray_http_query_int(h, "keep-storage", 0, &keep, err);
    if (!rc)
        rc = dray_http_query_int(h, "reserved-space", keep, &keep, err);
    if (!rc)
        rc = dray_builds_prune(e->builds, &f, dray_http_query_bool(h, "all", false), keep, &out,
                               err);
    return rc ? rc : dray_http_reply_json(h, 200, out);
}

const struct dray_route dray_routes_builds[] = {
    {DRAY_POST, "/build", build, DRAY_ROUTE_BODY, 0, 0},
    {DRAY_POST, "/build/prune", prune, 0, 131, 0},
    {DRAY_PUT, "/build/session/{session}/secrets/{id:*}", put_secret, DRAY_ROUTE_BODY, 0, 0},
    {DRAY_POST, "/build/session/{session}/ssh/{id:*}", lend_agent, DRAY_ROUTE_HIJACK, 0, 0},
    {0, NULL, NULL, 0, 0, 0},
};
