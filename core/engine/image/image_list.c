/* SPDX-License-Identifier: Apache-2.0 */
/* image_list.c - lists images. */
#include "engine/image/image_variants.h"

#include "base/clock.h"
#include "engine/filters.h"

#include <fnmatch.h>

#define MADE_FROM_MAX (size_t)1024 /* steps from an image to its ancestor */

/* What the filters name, resolved before the walk. */
struct selection {
    const struct dray_images_list_req *req;
    bool dangling_only, dangling_never;
    int64_t before_ns, since_ns, until_ns; /* 0: no such filter */
};

static int64_t created_of(struct dray_images *im, const char *ref, struct dray_err *err)
{
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_lookup(im, ref, NULL, err);
    int64_t ns = g ? g->created_ns : -1;
    pthread_mutex_unlock(&im->lock);
    return ns;
}

static int resolve_times(struct dray_images *im, struct selection *s, struct dray_err *err)
{
    const struct dray_filters *f = s->req->filters;
    const char *ref = NULL, *until = dray_filters_get(f, "until", 0);
    for (size_t i = 0; (ref = dray_filters_get(f, "before", i)) != NULL; i++) {
        int64_t ns = created_of(im, ref, err);
        if (ns < 0)
            return DRAY_E_NOTFOUND;
        s->before_ns = s->before_ns && s->before_ns < ns ? s->before_ns : ns;
    }
    for (size_t i = 0; (ref = dray_filters_get(f, "since", i)) != NULL; i++) {
        int64_t ns = created_of(im, ref, err);
        if (ns < 0)
            return DRAY_E_NOTFOUND;
        s->since_ns = s->since_ns > ns ? s->since_ns : ns;
    }
    if (until && !dray_time_parse_when(until, dray_clock_now(), &s->until_ns))
        return dray_fail(err, DRAY_E_INVAL, "invalid filter 'until=[%.60s]'", until);
    bool dangling = false;
    int rc = dray_filters_bool(f, "dangling", false, &dangling, err);
    s->dangling_only = dangling;
    s->dangling_never = dray_filters_has(f, "dangling") && !dangling;
    return rc;
}

static bool in_time(const struct selection *s, const struct img *g)
{
    return (!s->before_ns || g->created_ns < s->before_ns) &&
           (!s->since_ns || g->created_ns > s->since_ns) &&
           (!s->until_ns || g->created_ns < s->until_ns);
}

static bool ref_matches(const struct dray_filters *f, const char *key)
{
    if (!dray_filters_has(f, "reference"))
        return true;
    const char *shown = dray_ref_key_familiar(key), *pattern = NULL;
    dray_autofree char *repo = dray_ref_key_repo(key);
    for (size_t i = 0; (pattern = dray_filters_get(f, "reference", i)) != NULL; i++)
        if (fnmatch(pattern, shown, FNM_PATHNAME) == 0 ||
            (repo && fnmatch(pattern, dray_ref_familiar(repo), FNM_PATHNAME) == 0))
            return true;
    return false;
}

bool img_has_children(struct dray_images *im, const char *id)
{
    struct lh_entry *e;
    lh_foreach(im->by_id, e)
    {
        const struct img *g = lh_entry_v(e);
        if (!g->deleted && strcmp(g->parent, id) == 0)
            return true;
    }
    return false;
}

/* References by image, so that the walk is not quadratic. */
static struct json_object *group_refs(struct dray_images *im, const struct dray_filters *f)
{
    struct json_object *by_id = json_object_new_object();
    struct lh_entry *e;
    lh_foreach(im->refs, e)
    {
        const struct img_ref *r = lh_entry_v(e);
        if (!ref_matches(f, r->key))
            continue;
        struct json_object *list = NULL;
        if (!json_object_object_get_ex(by_id, r->id, &list)) {
            list = json_object_new_array();
            dray_json_add(by_id, r->id, list);
        }
        json_object_array_add(list, json_object_new_string(r->key));
    }
    return by_id;
}

static int by_text(const void *a, const void *b)
{
    struct json_object *const *x = a, *const *y = b;
    return strcmp(json_object_get_string(*x), json_object_get_string(*y));
}

/* The names as people write them, in the order of the whole ones. */
void img_split_refs(struct json_object *keys, struct json_object **tags_out,
                    struct json_object **digests_out)
{
    *tags_out = json_object_new_array();
    *digests_out = json_object_new_array();
    if (dray_json_len(keys) > 0)
        json_object_array_sort(keys, by_text);
    for (size_t i = 0; i < dray_json_len(keys); i++) {
        const char *key = json_object_get_string(json_object_array_get_idx(keys, i));
        json_object_array_add(dray_ref_key_is_digest(key) ? *digests_out : *tags_out,
                              json_object_new_string(dray_ref_key_familiar(key)));
    }
}

/* Bytes in layers that other images have, too. */
static int64_t shared_size(const struct img *g)
{
    uint64_t size = 0;
    bool shared = false;
    for (const struct img_layer *l = g->top; l; l = l->parent) {
        shared = shared || l->refs > 1;
        size += shared ? l->size : 0;
    }
    return (int64_t)size;
}

static struct json_object *null_if_empty(struct json_object *list /* takes */)
{
    if (json_object_array_length(list) > 0)
        return list;
    json_object_put(list);
    return NULL;
}

static struct json_object *summary(const struct img *g, const struct dray_images_list_req *req,
                                   struct json_object *keys)
{
    struct json_object *tags = NULL, *digests = NULL;
    img_split_refs(keys, &tags, &digests);
    if (req->api_version < 143 && dray_json_len(tags) == 0 && dray_json_len(digests) == 0) {
        json_object_array_add(tags, json_object_new_string("<none>:<none>"));
        json_object_array_add(digests, json_object_new_string("<none>@<none>"));
    }
    struct json_object *o = json_object_new_object();
    bool counted = req->usage || req->api_version >= 151;
    dray_json_add_int(o, "Containers", counted ? (int64_t)g->holds.n : -1);
    dray_json_add_int(o, "Created", g->created_ns / DRAY_NS_PER_S);
    dray_json_add_str(o, "Id", g->id);
    dray_json_add(o, "Labels", dray_json_copy(g->labels));
    dray_json_add_str(o, "ParentId", g->parent);
    /* Later clients have empty lists instead, but not in the usage of the disk. */
    bool nulls = req->api_version < 143 || req->usage;
    dray_json_add(o, "RepoDigests", nulls ? null_if_empty(digests) : digests);
    dray_json_add(o, "RepoTags", nulls ? null_if_empty(tags) : tags);
    dray_json_add_int(o, "SharedSize", req->shared_size ? shared_size(g) : -1);
    dray_json_add_int(o, "Size", (int64_t)g->size);
    if (req->api_version < 144)
        dray_json_add_int(o, "VirtualSize", (int64_t)g->size);
    return o;
}

static bool wanted(struct dray_images *im, const struct selection *s, const struct img *g,
                   struct json_object *keys)
{
    if (g->deleted || !in_time(s, g) || !dray_filters_labels(s->req->filters, g->labels))
        return false;
    size_t tags = 0;
    for (size_t i = 0; i < dray_json_len(keys); i++)
        tags += !dray_ref_key_is_digest(json_object_get_string(json_object_array_get_idx(keys, i)));
    if (dray_json_len(keys) > 0)
        return !s->dangling_only || tags == 0;
    if (s->dangling_never || dray_filters_has(s->req->filters, "reference"))
        return false;
    if (s->dangling_only || !s->req->all)
        return !img_has_children(im, g->id);
    return true;
}

static int newest_first(const void *a, const void *b)
{
    struct json_object *const *x = a, *const *y = b;
    int64_t cx = dray_json_int(*x, "Created", 0), cy = dray_json_int(*y, "Created", 0);
    if (cx != cy)
        return cx < cy ? 1 : -1;
    return strcmp(dray_json_str(*x, "Id", ""), dray_json_str(*y, "Id", ""));
}

/* What clients of API 1.47 and later may ask for: all manifests of the images. */
static void add_manifests(struct dray_images *im, struct json_object *list)
{
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        DRAY_AUTO(img_variants) vs = {0};
        if (img_variants_open(im, dray_json_str(o, "Id", ""), &vs, NULL) == 0)
            dray_json_add(o, "Manifests", img_variants_json(&vs));
    }
}

int dray_images_list(struct dray_images *im, const struct dray_images_list_req *req,
                     struct json_object **out, struct dray_err *err)
{
    struct selection s = {.req = req};
    int rc = resolve_times(im, &s, err);
    if (rc)
        return rc;
    struct json_object *list = json_object_new_array();
    struct lh_entry *e;
    pthread_mutex_lock(&im->lock);
    dray_autojson *refs = group_refs(im, req->filters);
    lh_foreach(im->by_id, e)
    {
        const struct img *g = lh_entry_v(e);
        struct json_object *keys = NULL;
        (void)json_object_object_get_ex(refs, g->id, &keys);
        if (wanted(im, &s, g, keys))
            json_object_array_add(list, summary(g, req, keys));
    }
    pthread_mutex_unlock(&im->lock);
    json_object_array_sort(list, newest_first);
    if (req->manifests && req->api_version >= 147)
        add_manifests(im, list);
    *out = list;
    return 0;
}

uint64_t dray_images_layers_size(struct dray_images *im)
{
    uint64_t size = 0;
    struct lh_entry *e;
    pthread_mutex_lock(&im->lock);
    lh_foreach(im->layers, e)
    {
        const struct img_layer *l = lh_entry_v(e);
        size += l->state == LAYER_READY ? l->size : 0;
    }
    pthread_mutex_unlock(&im->lock);
    return size;
}

/* --- descendants ------------------------------------------------------------------------------*/

/* lock held */
static bool made_from(struct dray_images *im, const struct img *g, const struct img *ancestor)
{
    for (size_t depth = 0; g && depth < MADE_FROM_MAX; depth++) {
        if (g == ancestor)
            return true;
        g = *g->parent ? img_find(im, g->parent) : NULL;
    }
    return false;
}

int dray_images_descendants(struct dray_images *im, const char *ref, struct dray_strlist *ids,
                            struct dray_err *err)
{
    struct lh_entry *e;
    bool ok = true;
    pthread_mutex_lock(&im->lock);
    const struct img *ancestor = img_lookup(im, ref, NULL, NULL);
    if (ancestor)
        lh_foreach(im->by_id, e)
        {
            const struct img *g = lh_entry_v(e);
            if (ok && made_from(im, g, ancestor))
                ok = dray_strlist_add(ids, g->id);
        }
    pthread_mutex_unlock(&im->lock);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}
