/* SPDX-License-Identifier: Apache-2.0 */
/* image_save_pick.c - which images, and which of their platforms, a save means. */
#include "engine/image/image_save.h"

#include <stdio.h>

void img_saved_free(struct img_saved *g)
{
    img_desc_free(&g->root);
    free(g->parts);
    dray_strlist_free(&g->tags);
}

/* The keys of a repository's references: its tags, or where it has none, its digests. */
static void keys_of(struct dray_images *im, const char *repo, bool digests,
                    struct dray_strlist *out)
{
    struct lh_entry *e;
    lh_foreach(im->refs, e)
    {
        const struct img_ref *r = lh_entry_v(e);
        dray_autofree char *of = dray_ref_key_repo(r->key);
        if (of && strcmp(of, repo) == 0 && dray_ref_key_is_digest(r->key) == digests)
            (void)dray_strlist_add(out, dray_ref_key_familiar(r->key));
    }
}

void img_save_expand(struct dray_images *im, struct dray_strs names, struct dray_strlist *out)
{
    for (uint64_t i = 0; i < names.n; i++) {
        DRAY_AUTO(dray_ref) ref = {0};
        struct dray_strlist keys = {0};
        bool is_id = dray_digest_valid(names.v[i]) || dray_id_is_hex(names.v[i], 64, 64);
        if (!is_id && dray_ref_parse(names.v[i], &ref, NULL) == 0 && !ref.tag && !ref.digest) {
            pthread_mutex_lock(&im->lock);
            keys_of(im, ref.repo, false, &keys);
            if (!keys.n)
                keys_of(im, ref.repo, true, &keys);
            pthread_mutex_unlock(&im->lock);
            dray_strlist_sort(&keys);
        }
        for (size_t k = 0; k < keys.n; k++)
            (void)dray_strlist_add(out, keys.v[k]);
        if (!keys.n)
            (void)dray_strlist_add(out, names.v[i]);
        dray_strlist_free(&keys);
    }
}

/* Parts without their strings. */
static bool copy_parts(struct img_saved *out, const struct img *g)
{
    out->parts = calloc(g->n_parts + 1, sizeof *out->parts);
    for (size_t i = 0; out->parts && i < g->n_parts; i++) {
        out->parts[i] = g->parts[i];
        out->parts[i].media_type = NULL;
        out->parts[i].urls = NULL;
    }
    out->n_parts = g->n_parts;
    return out->parts != NULL;
}

/** A tag names itself, an id and a digest nothing. */
static int find(struct dray_images *im, const char *name, struct img_saved *out,
                struct dray_err *err)
{
    const char *key = NULL;
    pthread_mutex_lock(&im->lock);
    struct img *g = img_lookup(im, name, &key, err);
    bool full = g && copy_parts(out, g);
    if (g) {
        memcpy(out->id, g->id, sizeof out->id);
        memcpy(out->parent, g->parent, sizeof out->parent);
        if (key && !dray_ref_key_is_digest(key))
            full = full && dray_strlist_add(&out->tags, dray_ref_key_familiar(key));
    }
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return err ? err->code : DRAY_E_NOTFOUND;
    return full ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int img_saved_set_root(struct img_saved *g, const struct img_desc *d, struct dray_err *err)
{
    img_desc_free(&g->root);
    g->root = (struct img_desc){.size = d->size, .media_type = strdup(d->media_type)};
    memcpy(g->root.digest, d->digest, sizeof g->root.digest);
    return g->root.media_type ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static void set_text(char out[DRAY_DIGEST_LEN], const char *digest)
{
    (void)snprintf(out, DRAY_DIGEST_LEN, "%s", digest ? digest : "");
}

/* The parts of a manifest that is not unpacked: its layers, and the config's diff ids. */
static int read_parts(struct dray_images *im, const struct img_variant *v, struct img_saved *out,
                      struct dray_err *err)
{
    dray_autojson *manifest = NULL;
    dray_autojson *config = NULL;
    int rc = img_read_json(im, v->manifest.digest, MANIFEST_MAX, &manifest, err);
    if (!rc)
        rc = img_read_json(im, v->config, CONFIG_MAX, &config, err);
    struct json_object *layers = dray_json_arr(manifest, "layers");
    struct json_object *diffs = dray_json_arr(config, "rootfs.diff_ids");
    size_t n = dray_json_len(layers);
    if (!rc && n != dray_json_len(diffs))
        rc = dray_fail(err, DRAY_E_CORRUPT, "%zu layers but %zu diff ids", n, dray_json_len(diffs));
    free(out->parts);
    out->n_parts = 0;
    out->parts = rc ? NULL : calloc(n + 1, sizeof *out->parts);
    if (!rc && !out->parts)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < n; i++) {
        struct img_part *p = &out->parts[i];
        struct json_object *layer = json_object_array_get_idx(layers, i);
        set_text(p->digest, dray_json_str(layer, "digest", ""));
        set_text(p->diff, json_object_get_string(json_object_array_get_idx(diffs, i)));
        p->size = (uint64_t)dray_json_int(layer, "size", 0);
        out->n_parts = i + 1;
        if (!dray_digest_valid(p->digest) || !dray_digest_valid(p->diff))
            rc = dray_fail(err, DRAY_E_CORRUPT, "layer %zu has no valid digest", i + 1);
        else
            img_chain_next(i ? out->parts[i - 1].chain : "", p->diff, p->chain);
    }
    set_text(out->id, v->config);
    return rc;
}

/* Are they all here, as they came? */
static bool all_blobs(struct dray_images *im, const struct img_variants *vs)
{
    bool all = vs->all_here;
    for (size_t i = 0; i < vs->n; i++)
        for (size_t k = 0; all && k < vs->v[i].blobs.n; k++)
            all = dray_blobs_has(im->blobs, vs->v[i].blobs.v[k], NULL);
    return all;
}

/* Which of the image's platforms are saved; vs: they. */
static int choose(struct dray_images *im, const char *name, const char *platform,
                  struct img_variants *vs, struct img_saved *out, struct dray_err *err)
{
    const struct img_variant *v = NULL;
    int rc = img_variants_open(im, name, vs, err);
    if (!rc && platform)
        rc = img_variants_find(vs, name, platform, &v, err);
    if (rc)
        return dray_err_note(err, "no suitable export target found");
    if (v && !v->own)
        out->parent[0] = '\0';
    if (v && !v->own)
        return read_parts(im, v, out, err);
    out->whole = !platform && vs->index.digest[0] && all_blobs(im, vs);
    return 0;
}

int img_save_pick(struct dray_images *im, const char *name, const char *platform,
                  struct img_variants *vs, struct img_saved *out, struct dray_err *err)
{
    int rc = find(im, name, out, err);
    return rc ? rc : choose(im, name, platform, vs, out, err);
}

int dray_images_save_check(struct dray_images *im, struct dray_strs names, const char *platform,
                           struct dray_err *err)
{
    struct dray_err own = {0};
    struct dray_strlist all = {0};
    img_save_expand(im, names, &all);
    int rc = names.n ? 0 : dray_fail(err, DRAY_E_INVAL, "no images to save");
    for (size_t i = 0; !rc && i < all.n; i++) {
        struct img_saved g = {0};
        DRAY_AUTO(img_variants) vs = {0};
        rc = find(im, all.v[i], &g, err ? err : &own);
        if (!rc && platform)
            rc = choose(im, all.v[i], platform, &vs, &g, err);
        img_saved_free(&g);
    }
    dray_strlist_free(&all);
    return rc;
}
