/* SPDX-License-Identifier: Apache-2.0 */
/* frontend.c - the options of BuildKit's Dockerfile frontend. */
#include "kit/frontend.h"

#include "base/json.h"
#include "engine/build/builds.h"

#include <strings.h>

#define LINT "frontend.lint"
#define UPLOAD "http://buildkit-session/"

static bool take_text(const struct pb_field *f, char **out)
{
    free(*out);
    *out = pb_dup(f);
    return *out != NULL;
}

/* ---- Control's request ---- */

void kit_target_fini(struct kit_target *t)
{
    free(t->session);
    free(t->exporter);
    dray_kvlist_free(&t->attrs);
    dray_strlist_free(&t->entitlements);
}

int kit_target_read(struct pb *req, char **ref_out, struct kit_target *out, struct dray_err *err)
{
    struct pb_field f;
    bool ok = true;
    while (ok && pb_next(req, &f)) {
        if (f.number == 1)
            ok = take_text(&f, ref_out);
        else if (f.number == 3)
            ok = take_text(&f, &out->exporter);
        else if (f.number == 4)
            ok = pb_read_entry(&f, &out->attrs);
        else if (f.number == 5)
            ok = take_text(&f, &out->session);
        else if (f.number == 6 && f.len)
            return dray_fail(err, DRAY_E_NOTSUP,
                             "a frontend is run by the client's own build function only");
        else if (f.number == 9) {
            dray_autofree char *name = pb_dup(&f);
            ok = name && dray_strlist_add(&out->entitlements, name);
        }
    }
    if (!ok || req->bad || !*ref_out || !**ref_out)
        return dray_fail(err, DRAY_E_INVAL, "malformed SolveRequest");
    return 0;
}

/* ---- The bridge's request ---- */

void kit_frontend_cleanup(struct kit_frontend *f)
{
    free(f->frontend);
    dray_kvlist_free(&f->opts);
    dray_kvlist_free(&f->args);
    dray_kvlist_free(&f->labels);
    dray_kvlist_free(&f->contexts);
    dray_strlist_free(&f->tags);
    dray_strlist_free(&f->cache_from);
    json_object_put(f->host);
}

int kit_frontend_read(struct pb *req, struct kit_frontend *out, struct dray_err *err)
{
    struct pb_field f;
    bool ok = true;
    while (ok && pb_next(req, &f)) {
        if (f.number == 1 && f.len)
            return dray_fail(err, DRAY_E_NOTSUP,
                             "builds other than of a Dockerfile are not supported by this engine");
        else if (f.number == 2)
            ok = take_text(&f, &out->frontend);
        else if (f.number == 3)
            ok = pb_read_entry(&f, &out->opts);
        else if (f.number == 6)
            out->array_ref = f.value != 0;
    }
    if (ok && !out->frontend)
        ok = (out->frontend = strdup("")) != NULL;
    return ok && !req->bad ? 0 : dray_fail(err, DRAY_E_INVAL, "malformed SolveRequest");
}

/* ---- Options ---- */

static bool add_host(struct kit_frontend *f, const char *value)
{
    DRAY_AUTO(dray_strlist) pairs = {0};
    struct json_object *list = json_object_new_array();
    bool ok = dray_strlist_split(&pairs, value, ',');
    for (size_t i = 0; ok && i < pairs.n; i++) {
        char *eq = strchr(pairs.v[i], '=');
        if (eq)
            *eq = ':';
        json_object_array_add(list, json_object_new_string(pairs.v[i]));
    }
    dray_json_add(f->host, "ExtraHosts", list);
    return ok;
}

/* "nofile=1024:2048,nproc=3" */
static bool add_ulimits(struct kit_frontend *f, const char *value)
{
    DRAY_AUTO(dray_strlist) parts = {0};
    struct json_object *list = json_object_new_array();
    bool ok = dray_strlist_split(&parts, value, ',');
    for (size_t i = 0; ok && i < parts.n; i++) {
        char *eq = strchr(parts.v[i], '='), *end = NULL;
        if (!eq)
            continue;
        *eq = '\0';
        long long soft = strtoll(eq + 1, &end, 10);
        long long hard = *end == ':' ? strtoll(end + 1, NULL, 10) : soft;
        struct json_object *o = json_object_new_object();
        dray_json_add_str(o, "Name", parts.v[i]);
        dray_json_add_int(o, "Soft", soft);
        dray_json_add_int(o, "Hard", hard);
        json_object_array_add(list, o);
    }
    dray_json_add(f->host, "Ulimits", list);
    return ok;
}

/* [{"Type":"registry","Attrs":{"ref":"x"}}] */
static bool add_imports(struct kit_frontend *f, const char *value)
{
    dray_autojson *list = NULL;
    bool ok = true;
    if (dray_json_parse(value, strlen(value), &list, NULL) != 0)
        return false;
    for (size_t i = 0; ok && i < dray_json_len(list); i++) {
        const char *ref = dray_json_str(json_object_array_get_idx(list, i), "Attrs.ref", NULL);
        ok = !ref || dray_strlist_add(&f->cache_from, ref);
    }
    return ok;
}

static bool set_filename(struct kit_frontend *f, const char *value)
{
    f->build.spec.dockerfile = value;
    return true;
}

static bool set_target(struct kit_frontend *f, const char *value)
{
    f->build.spec.target = value;
    return true;
}

static bool set_platform(struct kit_frontend *f, const char *value)
{
    f->build.spec.platform = value;
    return true;
}

static bool set_network(struct kit_frontend *f, const char *value)
{
    f->build.spec.network = value;
    return true;
}

/* A list of stages in place of all: what is built anew is never wrong. */
static bool set_no_cache(struct kit_frontend *f, const char *value)
{
    (void)value;
    f->build.spec.flags |= DRAY_BUILD_NO_CACHE;
    return true;
}

static bool set_resolve(struct kit_frontend *f, const char *value)
{
    if (strcmp(value, "pull") == 0)
        f->build.spec.flags |= DRAY_BUILD_PULL;
    return true;
}

static bool set_shm(struct kit_frontend *f, const char *value)
{
    dray_json_add_int(f->host, "ShmSize", strtoll(value, NULL, 10));
    return true;
}

static bool set_parent(struct kit_frontend *f, const char *value)
{
    dray_json_add_str(f->host, "CgroupParent", value);
    return true;
}

static bool set_cache_from(struct kit_frontend *f, const char *value)
{
    return dray_strlist_split(&f->cache_from, value, ',');
}

static bool set_context_dir(struct kit_frontend *f, const char *value)
{
    f->build.context_dir = value;
    return true;
}

static bool set_dockerfile_dir(struct kit_frontend *f, const char *value)
{
    f->build.dockerfile_dir = value;
    return true;
}

static const struct {
    const char *key;
    bool (*set)(struct kit_frontend *f, const char *value);
} options[] = {
    {"filename", set_filename},      {"target", set_target},
    {"platform", set_platform},      {"force-network-mode", set_network},
    {"no-cache", set_no_cache},      {"image-resolve-mode", set_resolve},
    {"add-hosts", add_host},         {"ulimit", add_ulimits},
    {"shm-size", set_shm},           {"cgroup-parent", set_parent},
    {"cache-imports", add_imports},  {"cache-from", set_cache_from},
    {"contextkey", set_context_dir}, {"dockerfilekey", set_dockerfile_dir},
};

static int take_option(struct kit_frontend *f, const struct dray_kv *kv, struct dray_err *err)
{
    static const char arg[] = "build-arg:", label[] = "label:", context[] = "context:";
    bool ok = true;
    if (dray_str_prefix(kv->key, arg))
        ok = dray_kvlist_set(&f->args, kv->key + strlen(arg), kv->value);
    else if (dray_str_prefix(kv->key, label))
        ok = dray_kvlist_set(&f->labels, kv->key + strlen(label), kv->value);
    else if (dray_str_prefix(kv->key, context) && !build_context_valid(kv->value))
        return dray_fail(err, DRAY_E_NOTSUP,
                         "context %s: %s is not supported: give a folder or docker-image://NAME",
                         kv->key + strlen(context), kv->value);
    else if (dray_str_prefix(kv->key, context))
        ok = dray_kvlist_set(&f->contexts, kv->key + strlen(context), kv->value);
    else if (strcmp(kv->key, "requestid") == 0 && strcmp(kv->value, LINT) == 0)
        f->lint = true;
    else if (strcmp(kv->key, "requestid") == 0 && *kv->value)
        return dray_fail(err, DRAY_E_NOTSUP, "request %s is not supported; --check is", kv->value);
    for (size_t i = 0; ok && i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].key, kv->key) == 0)
            ok = options[i].set(f, kv->value);
    return ok ? 0 : dray_fail(err, DRAY_E_INVAL, "invalid value of %s", kv->key);
}

/* The context is the client's folder, comes through its session, or lies afar. */
static void choose_context(struct kit_frontend *f)
{
    const char *context = dray_kvlist_get(&f->opts, "context", "");
    bool named = dray_kvlist_get(&f->opts, "dockerfilekey", NULL) != NULL;
    if (!*context)
        return;
    f->build.context_dir = NULL;
    if (!named)
        f->build.dockerfile_dir = NULL;
    if (dray_str_prefix(context, UPLOAD))
        f->build.context_url = context;
    else
        f->build.spec.remote = context;
}

static int choose_output(struct kit_frontend *f, const struct kit_target *t, struct dray_err *err)
{
    static const char *const kept[] = {"", "moby", "image", "docker", "cacheonly"};
    const char *type = t->exporter ? t->exporter : "";
    bool keep = false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        keep = keep || strcmp(type, kept[i]) == 0;
    f->build.output.type = keep ? NULL : type;
    DRAY_AUTO(dray_strlist) names = {0};
    bool ok = dray_strlist_split(&names, dray_kvlist_get(&t->attrs, "name", ""), ',');
    for (size_t i = 0; ok && i < names.n; i++)
        ok = !*names.v[i] || dray_strlist_add(&f->tags, names.v[i]);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int kit_frontend_prepare(struct kit_frontend *f, const struct kit_target *target,
                         struct dray_err *err)
{
    if (*f->frontend && strcmp(f->frontend, "dockerfile.v0") != 0)
        return dray_fail(err, DRAY_E_NOTSUP, "frontend %s is not supported by this engine",
                         f->frontend);
    f->host = json_object_new_object();
    f->build = (struct dray_kit_build){
        .session = target->session ? target->session : "",
        .id = "",
        .context_dir = "context",
        .dockerfile_dir = "dockerfile",
        .allow_insecure = dray_strlist_has(&target->entitlements, "security.insecure"),
        .allow_host_network = dray_strlist_has(&target->entitlements, "network.host"),
    };
    f->build.spec = (struct dray_build_spec){.size = sizeof f->build.spec,
                                             .context = {-1},
                                             .remote = "",
                                             .dockerfile = "Dockerfile",
                                             .target = "",
                                             .platform = "",
                                             .network = ""};
    int rc =
        f->host ? choose_output(f, target, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < f->opts.n; i++)
        rc = take_option(f, &f->opts.v[i], err);
    choose_context(f);
    f->build.contexts = dray_kvlist_view(&f->contexts);
    f->build.spec.args = dray_kvlist_view(&f->args);
    f->build.spec.labels = dray_kvlist_view(&f->labels);
    f->build.spec.flags |= f->lint ? DRAY_BUILD_CHECK : 0;
    f->build.spec.tags = dray_strlist_view(&f->tags);
    f->build.spec.cache_from = dray_strlist_view(&f->cache_from);
    f->build.spec.host_config = dray_json_text(f->host);
    return rc;
}
