/* SPDX-License-Identifier: Apache-2.0 */
/* image_load_names.c - what the images of an archive are called, and made from. */
#include "engine/image/image_load.h"

#include "base/json.h"

int img_load_say(struct img_load *l, const char *fmt, const char *what)
{
    struct json_object *line = json_object_new_object();
    dray_autofree char *text = dray_strf("%s%s\n", fmt, what);
    dray_json_add_str(line, "stream", text);
    return l->fn ? l->fn(l->ctx, line) : (json_object_put(line), 0);
}

/** Somebody else's so far? Then that one loses it. */
static int tell_renamed(struct img_load *l, const char *key, const char *id)
{
    char old[DRAY_DIGEST_LEN] = "";
    pthread_mutex_lock(&l->im->lock);
    const char *was = img_ref_get(l->im, key);
    if (was && strcmp(was, id) != 0)
        (void)snprintf(old, sizeof old, "%s", was);
    pthread_mutex_unlock(&l->im->lock);
    dray_autofree char *text =
        old[0] ? dray_strf("The image %s already exists, renaming the old one with ID %s to empty "
                           "string",
                           dray_ref_key_familiar(key), old)
               : NULL;
    return text ? img_load_say(l, "", text) : 0;
}

int img_load_name(struct img_load *l, const char *name, const char *id, struct dray_err *err)
{
    DRAY_AUTO(dray_ref) ref = {0};
    int rc = dray_ref_parse_tagged(name, &ref, err);
    if (!rc)
        rc = img_tag_check(&ref, err);
    dray_autofree char *key = rc ? NULL : dray_ref_key(&ref);
    if (!rc && !key)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = tell_renamed(l, key, id);
    if (!rc)
        rc = img_ref_set(l->im, key, id, false, err);
    return rc ? rc : img_load_say(l, "Loaded image: ", dray_ref_key_familiar(key));
}

/* "blobs/sha256/HEX" or "HEX.json" */
static bool id_of(const char *config, char id[DRAY_DIGEST_LEN])
{
    const char *slash = strrchr(config, '/');
    const char *hex = slash ? slash + 1 : config;
    (void)snprintf(id, DRAY_DIGEST_LEN, "sha256:%.64s", hex);
    return dray_digest_valid(id);
}

static bool in_archive(struct json_object *names, const char *id)
{
    char other[DRAY_DIGEST_LEN];
    for (size_t i = 0; i < dray_json_len(names); i++)
        if (id_of(dray_json_str(json_object_array_get_idx(names, i), "Config", ""), other) &&
            strcmp(other, id) == 0)
            return true;
    return false;
}

/* Are the layers of parent those that g begins with, and was it not made from g? Lock held. */
static bool may_be_parent(struct dray_images *im, const struct img *g, const struct img *parent)
{
    if (parent->n_parts > g->n_parts)
        return false;
    for (const struct img *p = parent; p; p = p->parent[0] ? img_find(im, p->parent) : NULL)
        if (p == g)
            return false;
    for (size_t i = 0; i < parent->n_parts; i++)
        if (strcmp(g->parts[i].diff, parent->parts[i].diff) != 0)
            return false;
    return true;
}

void img_load_parents(struct img_load *l, struct json_object *names)
{
    for (size_t i = 0; i < dray_json_len(names); i++) {
        struct json_object *row = json_object_array_get_idx(names, i);
        const char *parent = dray_json_str(row, "Parent", "");
        char id[DRAY_DIGEST_LEN];
        if (!dray_digest_valid(parent) || !id_of(dray_json_str(row, "Config", ""), id) ||
            !in_archive(names, parent))
            continue;
        pthread_mutex_lock(&l->im->lock);
        struct img *g = img_find(l->im, id), *p = img_find(l->im, parent);
        dray_autofree char *text = NULL;
        if (g && p && !g->parent[0] && may_be_parent(l->im, g, p)) {
            memcpy(g->parent, p->id, sizeof g->parent);
            text = img_doc_text(g);
        }
        pthread_mutex_unlock(&l->im->lock);
        if (text)
            (void)img_save(l->im, id, text, false, NULL);
    }
}
