/* SPDX-License-Identifier: Apache-2.0 */
/* frontend.c - the options of BuildKit's Dockerfile frontend. */
#include "kit/frontend.h"

#include "base/json.h"
#include "engine/build/builds.h"
#include "kit/job.h"

#include <strings.h>

#define DESCRIBE "frontend.subrequests.describe"
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
    for (size_t i = 0; i < t->n_exporters; i++) {
        free(t->exporters[i].type);
        dray_kvlist_free(&t->exporters[i].attrs);
    }
    dray_strlist_free(&t->entitlements);
}

static struct kit_exporter *add_exporter(struct kit_target *t)
{
    if (t->n_exporters == KIT_EXPORTERS_MAX)
        return NULL;
    struct kit_exporter *x = &t->exporters[t->n_exporters];
    (void)snprintf(x->id, sizeof x->id, "%zu", t->n_exporters++);
    return x;
}

static bool read_exporter(const struct pb_field *field, struct kit_target *t)
{
    struct kit_exporter *x = add_exporter(t);
    struct pb m = pb_open(field->data, field->len);
    struct pb_field f;
    bool ok = x != NULL;
    while (ok && pb_next(&m, &f)) {
        if (f.number == 1)
            ok = take_text(&f, &x->type);
        else if (f.number == 2)
            ok = pb_read_entry(&f, &x->attrs);
    }
    return ok && !m.bad;
}

/* Clients that know of several tell of the first in the old way as well. */
static bool take_single(struct kit_target *t, struct kit_exporter *single /* takes */)
{
    struct kit_exporter *x = t->n_exporters == 0 && single->type ? add_exporter(t) : NULL;
    if (x) {
        x->type = dray_steal(single->type);
        x->attrs = single->attrs;
        single->attrs = (struct dray_kvlist){0};
    }
    free(single->type);
    dray_kvlist_free(&single->attrs);
    return true;
}

/* Append the names of a list with commas. */
static bool add_names(struct dray_buf *out, const char *list, bool whole)
{
    DRAY_AUTO(dray_strlist) names = {0};
    bool ok = dray_strlist_split(&names, list, ',');
    for (size_t i = 0; ok && i < names.n; i++) {
        dray_autofree char *full = whole ? kit_full_name(names.v[i]) : strdup(names.v[i]);
        ok = full != NULL;
        if (ok && *full)
            dray_buf_addf(out, "%s%s", out->len ? "," : "", full);
    }
    return ok;
}

char *kit_target_names(const struct kit_target *t, bool whole)
{
    DRAY_AUTO(dray_buf) b = {0};
    bool ok = true;
    dray_buf_adds(&b, "");
    for (size_t i = 0; ok && i < t->n_exporters; i++)
        ok = add_names(&b, dray_kvlist_get(&t->exporters[i].attrs, "name", ""), whole);
    return ok ? dray_buf_steal(&b) : NULL;
}

int kit_target_read(struct pb *req, char **ref_out, struct kit_target *out, struct dray_err *err)
{
    struct kit_exporter single = {0};
    struct pb_field f;
    bool ok = true, own = true;
    while (ok && own && pb_next(req, &f)) {
        if (f.number == 1)
            ok = take_text(&f, ref_out);
        else if (f.number == 3)
            ok = take_text(&f, &single.type);
        else if (f.number == 4)
            ok = pb_read_entry(&f, &single.attrs);
        else if (f.number == 13)
            ok = read_exporter(&f, out);
        else if (f.number == 5)
            ok = take_text(&f, &out->session);
        else if (f.number == 6 && f.len)
            own = false;
        else if (f.number == 9) {
            dray_autofree char *name = pb_dup(&f);
            ok = name && dray_strlist_add(&out->entitlements, name);
        }
    }
    ok = take_single(out, &single) && ok;
    if (!own)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "a frontend is run by the client's own build function only");
    if (!ok || req->bad || !*ref_out || !**ref_out)
        return dray_fail(err, DRAY_E_INVAL, "malformed SolveRequest");
    return 0;
}

/* ---- The bridge's request ---- */

void kit_frontend_cleanup(struct kit_frontend *f)
{
    free(f->frontend);
    dray_kvlist_free(&f->opts);
    dray_kvlist_free(&f->inputs);
    dray_kvlist_free(&f->args);
    dray_kvlist_free(&f->labels);
    dray_kvlist_free(&f->contexts);
    dray_strlist_free(&f->tags);
    dray_strlist_free(&f->cache_from);
    dray_strlist_free(&f->no_cache);
    json_object_put(f->host);
}

int kit_frontend_read(struct pb *req, struct kit_frontend *out, struct dray_err *err)
{
    struct pb_field f;
    bool ok = true;
    int rc = 0;
    while (ok && !rc && pb_next(req, &f)) {
        if (f.number == 1 && f.len)
            return dray_fail(err, DRAY_E_NOTSUP,
                             "builds other than of a Dockerfile are not supported by this engine");
        else if (f.number == 2)
            ok = take_text(&f, &out->frontend);
        else if (f.number == 3)
            ok = pb_read_entry(&f, &out->opts);
        else if (f.number == 6)
            out->array_ref = f.value != 0;
        else if (f.number == 13)
            rc = kit_input_read(&f, &out->inputs, err);
    }
    if (rc)
        return rc;
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

/* All, or a list of stages. */
static bool set_no_cache(struct kit_frontend *f, const char *value)
{
    if (*value)
        return dray_strlist_split(&f->no_cache, value, ',');
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

static int set_request(struct kit_frontend *f, const char *id, struct dray_err *err)
{
    struct dray_build_spec *spec = &f->build.spec;
    f->asks = true;
    f->list = strcmp(id, DESCRIBE) == 0;
    if (!f->list && !kit_lint_request(id, &spec->request))
        return dray_fail(err, DRAY_E_NOTSUP, "unsupported request %s", id);
    if (!f->list && !spec->request)
        spec->flags |= DRAY_BUILD_CHECK;
    return 0;
}

static int take_option(struct kit_frontend *f, const struct dray_kv *kv, struct dray_err *err)
{
    static const char arg[] = "build-arg:", label[] = "label:", context[] = "context:";
    bool ok = true;
    if (dray_str_prefix(kv->key, arg))
        ok = dray_kvlist_set(&f->args, kv->key + strlen(arg), kv->value);
    else if (dray_str_prefix(kv->key, label))
        ok = dray_kvlist_set(&f->labels, kv->key + strlen(label), kv->value);
    else if (dray_str_prefix(kv->key, context) && !build_context_valid(kv->value))
        return dray_fail(
            err, DRAY_E_NOTSUP,
            "context %s: %s is not supported: give a folder, a URL or docker-image://NAME",
            kv->key + strlen(context), kv->value);
    else if (dray_str_prefix(kv->key, context))
        ok = dray_kvlist_set(&f->contexts, kv->key + strlen(context), kv->value);
    else if (strcmp(kv->key, "requestid") == 0 && *kv->value)
        return set_request(f, kv->value, err);
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

/* Images stay here; files go to the client; without any the result is in the cache alone. */
static void choose_outputs(struct kit_frontend *f, const struct kit_target *t)
{
    static const char *const images[] = {"moby", "image", "docker"};
    struct dray_kit_build *b = &f->build;
    b->unlisted = true;
    b->outputs = f->outputs;
    for (size_t i = 0; i < t->n_exporters; i++) {
        const char *type = t->exporters[i].type ? t->exporters[i].type : "";
        bool image = false;
        for (size_t k = 0; k < sizeof images / sizeof *images; k++)
            image = image || strcmp(type, images[k]) == 0;
        if (image)
            b->unlisted = false;
        else if (*type && strcmp(type, "cacheonly") != 0)
            f->outputs[b->n_outputs++] = (struct dray_kit_output){
                .type = type, .id = t->n_exporters > 1 ? t->exporters[i].id : NULL};
    }
}

static int choose_names(struct kit_frontend *f, const struct kit_target *t, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) names = {0};
    dray_autofree char *all = kit_target_names(t, false);
    bool ok = all && dray_strlist_split(&names, all, ',');
    for (size_t i = 0; ok && i < names.n; i++)
        ok = !*names.v[i] || dray_strlist_has(&f->tags, names.v[i]) ||
             dray_strlist_add(&f->tags, names.v[i]);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int kit_frontend_prepare(struct kit_frontend *f, const struct kit_target *target,
                         struct dray_err *err)
{
    /* An image that reads Dockerfiles ("# syntax=", BUILDKIT_SYNTAX) is not needed for that. */
    if (*f->frontend && strcmp(f->frontend, "dockerfile.v0") != 0 &&
        strcmp(f->frontend, "gateway.v0") != 0)
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
    choose_outputs(f, target);
    int rc = f->host ? choose_names(f, target, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < f->opts.n; i++)
        rc = take_option(f, &f->opts.v[i], err);
    choose_context(f);
    f->build.contexts = dray_kvlist_view(&f->contexts);
    f->build.spec.args = dray_kvlist_view(&f->args);
    f->build.spec.labels = dray_kvlist_view(&f->labels);
    f->build.spec.tags = dray_strlist_view(&f->tags);
    f->build.spec.cache_from = dray_strlist_view(&f->cache_from);
    f->build.spec.no_cache = dray_strlist_view(&f->no_cache);
    f->build.spec.host_config = dray_json_text(f->host);
    return rc;
}
