/* SPDX-License-Identifier: Apache-2.0 */
/* image_save_tables.c - the documents that tell what is in a saved archive. */
#include "engine/image/image_save.h"

#define MT_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"

struct json_object *img_plain_desc(const struct img_part *p)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "mediaType", MT_OCI_LAYER);
    dray_json_add_str(o, "digest", p->diff);
    dray_json_add_int(o, "size", (int64_t)p->size);
    return o;
}

struct json_object *img_plain_manifest(const struct img_saved *g, uint64_t config_size)
{
    struct json_object *doc = json_object_new_object(), *layers = json_object_new_array();
    struct img_desc config = {.media_type = (char *)(uintptr_t)MT_OCI_CONFIG, .size = config_size};
    memcpy(config.digest, g->id, sizeof config.digest);
    dray_json_add_int(doc, "schemaVersion", 2);
    dray_json_add_str(doc, "mediaType", MT_OCI_MANIFEST);
    dray_json_add(doc, "config", img_desc_json(&config));
    for (size_t i = 0; i < g->n_parts; i++)
        json_object_array_add(layers, img_plain_desc(&g->parts[i]));
    dray_json_add(doc, "layers", layers);
    return doc;
}

static void add_to_index(struct json_object *list, const struct img_saved *g, const char *tag)
{
    struct json_object *d = img_desc_json(&g->root);
    DRAY_AUTO(dray_ref) ref = {0};
    if (tag && dray_ref_parse_tagged(tag, &ref, NULL) == 0) {
        struct json_object *notes = json_object_new_object();
        dray_autofree char *key = dray_ref_key(&ref);
        json_object_object_add(notes, "io.containerd.image.name",
                               json_object_new_string(key ? key : ""));
        json_object_object_add(notes, "org.opencontainers.image.ref.name",
                               json_object_new_string(ref.tag ? ref.tag : ""));
        dray_json_add(d, "annotations", notes);
    }
    json_object_array_add(list, d);
}

struct json_object *img_saved_index(const struct img_saved *v, size_t n)
{
    struct json_object *index = json_object_new_object(), *list = json_object_new_array();
    dray_json_add_int(index, "schemaVersion", 2);
    dray_json_add_str(index, "mediaType", MT_OCI_INDEX);
    for (size_t i = 0; i < n; i++) {
        const struct img_saved *g = &v[i];
        for (size_t k = 0; k < g->tags.n; k++)
            add_to_index(list, g, g->tags.v[k]);
        if (!g->tags.n)
            add_to_index(list, g, NULL);
    }
    dray_json_add(index, "manifests", list);
    return index;
}

/** The row of manifest.json. */
static struct json_object *names_row(const struct img_saved *g)
{
    struct json_object *row = json_object_new_object(), *layers = json_object_new_array();
    struct json_object *sources = g->whole ? NULL : json_object_new_object();
    struct json_object *tags = g->tags.n ? json_object_new_array() : NULL;
    dray_autofree char *config = dray_strf("blobs/sha256/%s", dray_digest_hex(g->id));
    for (size_t i = 0; i < g->tags.n; i++)
        json_object_array_add(tags, json_object_new_string(g->tags.v[i]));
    for (size_t i = 0; i < g->n_parts; i++) {
        const struct img_part *p = &g->parts[i];
        dray_autofree char *path =
            dray_strf("blobs/sha256/%s", dray_digest_hex(g->whole ? p->digest : p->diff));
        json_object_array_add(layers, json_object_new_string(path ? path : ""));
        if (sources)
            json_object_object_add(sources, p->diff, img_plain_desc(p));
    }
    dray_json_add_str(row, "Config", config);
    dray_json_add(row, "RepoTags", tags);
    dray_json_add(row, "Layers", layers);
    if (sources)
        dray_json_add(row, "LayerSources", sources);
    return row;
}

struct json_object *img_saved_names(const struct img_saved *v, size_t n)
{
    struct json_object *names = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = names_row(&v[i]);
        for (size_t k = 0; k < n && v[i].parent[0]; k++)
            if (strcmp(v[k].id, v[i].parent) == 0)
                dray_json_add_str(row, "Parent", v[i].parent);
        json_object_array_add(names, row);
    }
    return names;
}

/* Of a tag "repo:tag": its topmost layer, in the form of long ago. */
static void add_repository(struct json_object *all, const char *tag, const struct img_saved *g)
{
    const char *colon = strrchr(tag, ':');
    if (!colon || g->whole || !g->n_parts)
        return;
    struct json_object *repo = NULL;
    dray_autofree char *name = strndup(tag, (size_t)(colon - tag));
    if (name && !json_object_object_get_ex(all, name, &repo)) {
        repo = json_object_new_object();
        json_object_object_add(all, name, repo);
    }
    if (repo)
        json_object_object_add(
            repo, colon + 1,
            json_object_new_string(dray_digest_hex(g->parts[g->n_parts - 1].diff)));
}

struct json_object *img_saved_repositories(const struct img_saved *v, size_t n)
{
    struct json_object *all = json_object_new_object();
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < v[i].tags.n; k++)
            add_repository(all, v[i].tags.v[k], &v[i]);
    return all;
}
