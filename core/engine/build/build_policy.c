/* SPDX-License-Identifier: Apache-2.0 */
/* build_policy.c - "builder" of daemon.json: entitlements, and the collection of the cache. */
#include "engine/build/build_policy.h"

#include "base/clock.h"
#include "base/logging.h"
#include "engine/build/build_priv.h"
#include "engine/config_load.h"

#include <stdio.h>
#include <sys/statvfs.h>

#define DRAY_LOG_AREA "build"
#define RULES_MAX 16
#define DEFAULT_SHARE 10          /* the cache may have a tenth of the disk, ... */
#define DEFAULT_LEAST (2LL << 30) /* ... and so much in any case */
#define REST 100                  /* after a collection: so many times as long as it took */

struct gc_rule {
    struct dray_filters filters;
    bool all;
    int64_t keep; /* bytes; 0: nothing */
};

struct build_policy {
    struct dray_builds *bs;
    bool host_network, insecure;
    bool collects;
    struct gc_rule rules[RULES_MAX];
    size_t n;
    pthread_mutex_t lock; /* guards all below. order: leaf */
    pthread_t thread;
    bool started, running;
    int64_t next_ns; /* monotonic: no collection before */
};

/* --- settings ----------------------------------------------------------------------------------*/

static const char *const filter_keys[] = {"until",       "id",      "parent",     "type",
                                          "description", "private", "unused-for", "inuse",
                                          "shared",      NULL};

static int read_size(struct json_object *o, const char *key, int64_t *out, struct dray_err *err)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, key, &v) || dray_config_size(v, out))
        return 0;
    return dray_fail(err, DRAY_E_INVAL, "builder.gc: invalid %s: %s", key,
                     json_object_get_string(v));
}

/* ["unused-for=48h"], or the shape of the API. */
static int read_filters(struct json_object *list, struct dray_filters *out, struct dray_err *err)
{
    dray_autojson *o = json_object_new_object();
    if (!list || json_object_is_type(list, json_type_object))
        return list ? dray_filters_parse(dray_json_text(list), filter_keys, out, err) : 0;
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *word = json_object_get_string(json_object_array_get_idx(list, i));
        const char *eq = word ? strchr(word, '=') : NULL;
        if (!eq)
            return dray_fail(err, DRAY_E_INVAL, "builder.gc: invalid filter: %s", word);
        dray_autofree char *key = strndup(word, (size_t)(eq - word));
        struct json_object *values = NULL;
        if (!key)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        if (!json_object_object_get_ex(o, key, &values))
            dray_json_add(o, key, values = json_object_new_array());
        json_object_array_add(values, json_object_new_string(eq + 1));
    }
    return dray_filters_parse(dray_json_text(o), filter_keys, out, err);
}

/* What may stay goes by several names: those of today, and those before. */
static int read_keep(struct json_object *o, const char *const names[], int64_t *out,
                     struct dray_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && names[i]; i++)
        rc = read_size(o, names[i], out, err);
    return rc;
}

static int64_t default_keep(const struct build_policy *p)
{
    struct statvfs vfs;
    if (fstatvfs(p->bs->dir, &vfs) != 0)
        return DEFAULT_LEAST;
    int64_t share = (int64_t)((uint64_t)vfs.f_blocks * (uint64_t)vfs.f_frsize / DEFAULT_SHARE);
    return share > DEFAULT_LEAST ? share : DEFAULT_LEAST;
}

static int add_rule(struct build_policy *p, struct json_object *filters, bool all, int64_t keep,
                    struct dray_err *err)
{
    if (p->n == RULES_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "builder.gc: more than %d rules", RULES_MAX);
    struct gc_rule *r = &p->rules[p->n++];
    r->all = all;
    r->keep = keep;
    return read_filters(filters, &r->filters, err);
}

/* Docker's: first what is cheap to get again, then what is old, then the least used. */
static int default_rules(struct build_policy *p, int64_t keep, struct dray_err *err)
{
    static const char mounts[] = "{\"type\":[\"exec.cachemount\",\"source.local\"],"
                                 "\"unused-for\":[\"48h\"]}";
    static const char old[] = "{\"unused-for\":[\"1440h\"]}";
    dray_autojson *first = json_tokener_parse(mounts), *second = json_tokener_parse(old);
    int64_t little = keep < (512 << 20) ? keep : 512 << 20;
    int rc = add_rule(p, first, true, little, err);
    if (!rc)
        rc = add_rule(p, second, false, keep, err);
    if (!rc)
        rc = add_rule(p, NULL, false, keep, err);
    return rc ? rc : add_rule(p, NULL, true, keep, err);
}

static int read_gc(struct build_policy *p, struct json_object *gc, struct dray_err *err)
{
    static const char *const defaults[] = {"defaultKeepStorage", "defaultReservedSpace",
                                           "defaultMaxUsedSpace", NULL};
    static const char *const each[] = {"keepStorage", "reservedSpace", "maxUsedSpace", NULL};
    struct json_object *policy = dray_json_arr(gc, "policy");
    int64_t keep = 0;
    p->collects = dray_json_bool(gc, "enabled", true);
    int rc = read_keep(gc, defaults, &keep, err);
    if (!rc && keep == 0)
        keep = default_keep(p);
    if (!rc && dray_json_len(policy) == 0)
        return default_rules(p, keep, err);
    for (size_t i = 0; !rc && i < dray_json_len(policy); i++) {
        struct json_object *o = json_object_array_get_idx(policy, i), *filters = NULL;
        int64_t own = keep;
        (void)json_object_object_get_ex(o, "filter", &filters);
        rc = read_keep(o, each, &own, err);
        if (!rc)
            rc = add_rule(p, filters, dray_json_bool(o, "all", false), own, err);
    }
    return rc;
}

int build_policy_open(struct dray_builds *bs, struct build_policy **out, struct dray_err *err)
{
    struct json_object *builder = dray_json_obj(bs->engine->config->raw, "builder");
    struct json_object *may = dray_json_obj(builder, "entitlements");
    struct build_policy *p = calloc(1, sizeof *p);
    if (!p)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    p->bs = bs;
    p->host_network = dray_json_bool(may, "network-host", true);
    p->insecure = dray_json_bool(may, "security-insecure", true);
    pthread_mutex_init(&p->lock, NULL);
    int rc = read_gc(p, dray_json_obj(builder, "gc"), err);
    if (rc)
        build_policy_close(p);
    else
        *out = p;
    return rc;
}

void build_policy_close(struct build_policy *p)
{
    if (!p)
        return;
    if (p->started)
        (void)pthread_join(p->thread, NULL);
    for (size_t i = 0; i < p->n; i++)
        dray_filters_free(&p->rules[i].filters);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* --- entitlements ------------------------------------------------------------------------------*/

static int refuse(const char *what, bool daemon, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_DENIED, "%s is not allowed: %s", what,
                     daemon ? "the daemon's builder.entitlements refuse it"
                            : "build with \"dray build --allow\" when you trust the Dockerfile");
}

int build_policy_check(const struct build_policy *p, const struct dray_build_req *req,
                       const struct dray_build_run *run, struct dray_err *err)
{
    bool asked = strcmp(req->spec.network, "host") == 0;
    bool host = strcmp(run->network, "host") == 0 || (!*run->network && asked);
    if (run->flags & DRAY_BUILD_RUN_INSECURE) {
        if (!p->insecure || !req->allow_insecure)
            return refuse("security.insecure", !p->insecure, err);
    }
    if (host && (!p->host_network || !(asked || req->allow_host_network)))
        return refuse("network.host", !p->host_network, err);
    return 0;
}

/* --- collecting --------------------------------------------------------------------------------*/

static void *collect_main(void *arg)
{
    struct build_policy *p = arg;
    int64_t begin = dray_clock_mono();
    for (size_t i = 0; i < p->n; i++) {
        dray_autojson *out = NULL;
        struct dray_err why = {0};
        const struct gc_rule *r = &p->rules[i];
        if (dray_builds_prune(p->bs, &r->filters, r->all, r->keep, &out, &why))
            dray_warn("the build cache could not be collected: %s", why.text);
        else if (dray_json_len(dray_json_arr(out, "CachesDeleted")) > 0)
            dray_info("rule %zu of the build cache freed %lld bytes", i + 1,
                      (long long)dray_json_int(out, "SpaceReclaimed", 0));
    }
    int64_t end = dray_clock_mono();
    pthread_mutex_lock(&p->lock);
    p->running = false;
    p->next_ns = end + (end - begin) * REST;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void build_policy_collect(struct build_policy *p)
{
    if (!p->collects)
        return;
    pthread_mutex_lock(&p->lock);
    bool go = !p->running && dray_clock_mono() >= p->next_ns;
    if (go && p->started)
        (void)pthread_join(p->thread, NULL); /* it has ended */
    if (go)
        p->started = p->running = pthread_create(&p->thread, NULL, collect_main, p) == 0;
    pthread_mutex_unlock(&p->lock);
}
