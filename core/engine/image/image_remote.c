/* SPDX-License-Identifier: Apache-2.0 */
/* image_remote.c - asking registries: search, and what a reference is there. */
#include "engine/filters.h"
#include "engine/image/image_pull.h"

/* Search. */

struct results {
    struct json_object *list;
    const struct dray_filters *f;
};

static int32_t on_result(void *ctx, const struct dray_record *rec)
{
    struct results *r = ctx;
    struct json_object *o = json_object_new_object();
    const char *official = dray_kvs_get(rec->fields, "official", "false");
    int stars = atoi(dray_kvs_get(rec->fields, "stars", "0"));
    const char *least = dray_filters_get(r->f, "stars", 0);
    bool is_official = strcmp(official, "true") == 0 || strcmp(official, "1") == 0, want = false;
    dray_json_add_int(o, "star_count", stars);
    dray_json_add_bool(o, "is_official", is_official);
    dray_json_add_str(o, "name", dray_kvs_get(rec->fields, "name", ""));
    dray_json_add_bool(o, "is_automated", false);
    dray_json_add_str(o, "description", dray_kvs_get(rec->fields, "description", ""));
    bool keep = !least || stars >= atoi(least);
    if (dray_filters_has(r->f, "is-official") &&
        dray_filters_bool(r->f, "is-official", true, &want, NULL) == 0)
        keep = keep && is_official == want;
    if (dray_filters_has(r->f, "is-automated") &&
        dray_filters_bool(r->f, "is-automated", true, &want, NULL) == 0)
        keep = keep && !want;
    if (keep)
        json_object_array_add(r->list, o);
    else
        json_object_put(o);
    return 0;
}

int dray_images_search(struct dray_images *im, const char *term, uint32_t limit,
                       const struct dray_filters *f, const struct dray_auth *auth,
                       struct json_object **out, struct dray_err *err)
{
    struct img_source source;
    if (strstr(term, "://"))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid repository name: repository name (%s) should not have a scheme",
                         term);
    int rc = img_source_open(im, "docker.io/library/x", auth, -1, &source, err);
    if (rc)
        return rc;
    dray_autojson *list = json_object_new_array();
    struct results r = {list, f};
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_emit_to(&s, on_result, &r);
    rc = dray_call_enter(&s, source.driver, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_registry_ops *)s.ops)
                 ->search(s.self, &s.call, term, limit, source.auth, err);
    if (!rc)
        *out = dray_steal(list);
    return rc;
}

/* Distribution. */

static void add_platform(struct json_object *list, struct json_object *p)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "architecture", dray_json_str(p, "architecture", ""));
    dray_json_add_str(o, "os", dray_json_str(p, "os", ""));
    const char *variant = dray_json_str(p, "variant", "");
    if (*variant)
        dray_json_add_str(o, "variant", variant);
    json_object_array_add(list, o);
}

static int platforms(const struct img_source *source, struct json_object *doc,
                     struct json_object *list, struct dray_err *err)
{
    struct json_object *manifests = dray_json_arr(doc, "manifests");
    for (size_t i = 0; i < dray_json_len(manifests); i++)
        add_platform(list, dray_json_obj(json_object_array_get_idx(manifests, i), "platform"));
    if (manifests)
        return 0;
    struct img_desc config __attribute__((cleanup(img_desc_cleanup))) = {0};
    DRAY_AUTO(dray_buf) text = {0};
    dray_autojson *c = NULL;
    int rc = img_desc_parse(dray_json_obj(doc, "config"), &config, err);
    if (!rc)
        rc = img_source_get(source, &config, CONFIG_MAX, &text, err);
    if (!rc)
        rc = dray_json_parse(text.data, text.len, &c, err);
    if (!rc)
        add_platform(list, c);
    return rc;
}

int dray_images_distribution(struct dray_images *im, const char *ref, const struct dray_auth *auth,
                             int cancel_fd, struct json_object **out, struct dray_err *err)
{
    DRAY_AUTO(dray_ref) r = {0};
    DRAY_AUTO(dray_buf) text = {0};
    dray_autojson *doc = NULL;
    dray_autojson *list = json_object_new_array();
    struct img_desc found __attribute__((cleanup(img_desc_cleanup))) = {0};
    struct img_source source;
    int rc = dray_ref_parse_tagged(ref, &r, err);
    if (!rc)
        rc = img_source_open(im, dray_ref_source(&r), auth, cancel_fd, &source, err);
    if (!rc)
        rc = img_source_resolve(&source, r.digest ? r.digest : r.tag, &found, err);
    if (!rc)
        rc = img_source_get(&source, &found, MANIFEST_MAX, &text, err);
    if (!rc)
        rc = dray_json_parse(text.data, text.len, &doc, err);
    if (!rc)
        rc = platforms(&source, doc, list, err);
    if (rc)
        return rc;
    struct json_object *o = json_object_new_object(), *desc = json_object_new_object();
    dray_json_add_str(desc, "mediaType", found.media_type);
    dray_json_add_str(desc, "digest", found.digest);
    dray_json_add_int(desc, "size", (int64_t)text.len);
    dray_json_add(o, "Descriptor", desc);
    dray_json_add(o, "Platforms", dray_steal(list));
    *out = o;
    return 0;
}
