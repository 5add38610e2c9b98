/* SPDX-License-Identifier: Apache-2.0 */
/* image_variants.c - the platforms of an image's index: which are here, and what they consist of.
 */
#include "engine/image/image_variants.h"

#include "engine/image/image_manifest.h"

#include <stdio.h>

void img_variants_free(struct img_variants *vs)
{
    for (size_t i = 0; i < vs->n; i++) {
        img_desc_free(&vs->v[i].manifest);
        dray_strlist_free(&vs->v[i].blobs);
    }
    free(vs->v);
    img_desc_free(&vs->index);
    dray_strlist_free(&vs->holds);
    *vs = (struct img_variants){0};
}

/* --- looking ----------------------------------------------------------------------------------*/

static void note_blob(struct dray_images *im, struct img_variant *v, struct json_object *desc)
{
    const char *digest = dray_json_str(desc, "digest", "");
    uint64_t size = 0;
    bool foreign = dray_json_len(dray_json_arr(desc, "urls")) > 0;
    if (!dray_digest_valid(digest) || !dray_strlist_add(&v->blobs, digest))
        v->here = false;
    else if (dray_blobs_has(im->blobs, digest, &size))
        v->content += size;
    else
        v->here = v->here && foreign;
}

/* What the manifest says, if it is here. An image's own may lack blobs that it makes when asked. */
static void look_into(struct dray_images *im, struct img_variant *v)
{
    dray_autojson *doc = NULL;
    dray_autojson *config = NULL;
    uint64_t size = 0;
    if (!dray_blobs_has(im->blobs, v->manifest.digest, &size) ||
        img_read_json(im, v->manifest.digest, MANIFEST_MAX, &doc, NULL) != 0)
        return;
    struct json_object *layers = dray_json_arr(doc, "layers");
    v->here = true;
    v->content = size;
    note_blob(im, v, dray_json_obj(doc, "config"));
    (void)snprintf(v->config, sizeof v->config, "%s", dray_json_str(doc, "config.digest", ""));
    for (size_t i = 0; i < dray_json_len(layers); i++)
        note_blob(im, v, json_object_array_get_idx(layers, i));
    if (!v->platform.os[0] && img_read_json(im, v->config, CONFIG_MAX, &config, NULL) == 0)
        img_platform_read(config, &v->platform);
    v->here = v->here || v->own;
}

static int add_entry(struct dray_images *im, struct img_variants *out, struct json_object *entry,
                     const char *own, struct dray_err *err)
{
    struct img_variant *v = &out->v[out->n];
    int rc = img_desc_parse(entry, &v->manifest, err);
    if (rc)
        return rc;
    out->n++;
    img_platform_read(dray_json_obj(entry, "platform"), &v->platform);
    v->own = strcmp(v->manifest.digest, own) == 0;
    v->attestation = img_is_attestation(entry, v->about);
    look_into(im, v);
    out->all_here = out->all_here && v->here;
    return 0;
}

int img_variants_of_index(struct dray_images *im, const struct img_desc *index, const char *own,
                          struct img_variants *out, struct dray_err *err)
{
    dray_autojson *doc = NULL;
    int rc = img_read_json(im, index->digest, MANIFEST_MAX, &doc, err);
    struct json_object *list = dray_json_arr(doc, "manifests");
    size_t n = dray_json_len(list);
    out->v = rc ? NULL : calloc(n + 1, sizeof *out->v);
    if (!rc && !out->v)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    out->all_here = true;
    for (size_t i = 0; !rc && i < n; i++)
        rc = add_entry(im, out, json_object_array_get_idx(list, i), own, err);
    if (rc)
        img_variants_free(out);
    return rc;
}

/* The image's own manifest alone. */
static int only_own(struct dray_images *im, struct img_variants *out,
                    struct img_desc *own /* takes */, struct dray_err *err)
{
    img_desc_free(&out->index);
    out->v = calloc(1, sizeof *out->v);
    if (!out->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    out->n = 1;
    out->v->manifest = *own;
    *own = (struct img_desc){0};
    out->v->own = true;
    look_into(im, out->v);
    return 0;
}

static bool has_own(const struct img_variants *vs)
{
    for (size_t i = 0; i < vs->n; i++)
        if (vs->v[i].own)
            return true;
    return false;
}

int img_variants_open(struct dray_images *im, const char *ref, struct img_variants *out,
                      struct dray_err *err)
{
    DRAY_AUTO(img_desc) own = {0};
    DRAY_AUTO(img_desc) index = {0};
    *out = (struct img_variants){0};
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_lookup(im, ref, NULL, err);
    char id[DRAY_DIGEST_LEN] = "";
    if (g) {
        memcpy(id, g->id, sizeof id);
        memcpy(own.digest, g->manifest, sizeof own.digest);
        memcpy(index.digest, g->index, sizeof index.digest);
        own.size = g->manifest_size;
        own.media_type = strdup(g->manifest_type);
        out->unpacked = g->size;
        for (size_t i = 0; i < g->holds.n; i++)
            (void)dray_strlist_add(&out->holds, g->holds.v[i]);
    }
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return err && err->code ? err->code : DRAY_E_NOTFOUND;
    dray_autojson *doc = NULL;
    int rc = -1;
    if (*index.digest && dray_blobs_has(im->blobs, index.digest, &index.size) &&
        img_read_json(im, index.digest, MANIFEST_MAX, &doc, NULL) == 0) {
        index.media_type = strdup(dray_json_str(doc, "mediaType", MT_OCI_INDEX));
        rc = index.media_type ? img_variants_of_index(im, &index, own.digest, out, NULL) : -1;
    }
    memcpy(out->id, id, sizeof id);
    if (rc || !has_own(out)) { /* an index of indexes, or none */
        struct dray_strlist holds = out->holds;
        uint64_t unpacked = out->unpacked;
        out->holds = (struct dray_strlist){0};
        img_variants_free(out);
        memcpy(out->id, id, sizeof id);
        out->holds = holds;
        out->unpacked = unpacked;
        return only_own(im, out, &own, err);
    }
    out->index = index;
    index = (struct img_desc){0};
    return 0;
}

/* The same platform? What was asked for may leave the variant open. */
static bool same_platform(const struct img_platform *want, const struct img_platform *have)
{
    struct img_platform is = *have;
    img_platform_normal(&is);
    if (strcmp(want->os, is.os) != 0 || strcmp(want->arch, is.arch) != 0)
        return false;
    return !want->variant[0] || strcmp(want->variant, is.variant) == 0;
}

bool img_platform_is(struct json_object *described, const char *platform)
{
    struct img_platform want, have;
    img_platform_read(described, &have);
    return img_platform_parse(platform, &want, NULL) == 0 && same_platform(&want, &have);
}

int dray_image_check_platform(const struct dray_image *image, const char *ref, const char *platform,
                              struct dray_err *err)
{
    struct img_platform want, have;
    int rc = img_platform_parse(platform, &want, err);
    if (rc)
        return rc;
    img_platform_read(image->config, &have);
    img_platform_normal(&have);
    want.variant[0] = '\0'; /* which of them the processor has is its own to find out */
    return same_platform(&want, &have)
               ? 0
               : dray_fail(err, DRAY_E_NOTFOUND,
                           "image with reference %s was found but its platform (%s/%s) does not "
                           "match the specified platform (%s)",
                           ref, have.os, have.arch, platform);
}

int img_variants_find(const struct img_variants *vs, const char *ref, const char *platform,
                      const struct img_variant **out, struct dray_err *err)
{
    struct img_platform want;
    int rc = img_platform_parse(platform, &want, err);
    *out = NULL;
    if (rc)
        return rc;
    for (int own = 1; own >= 0; own--)
        for (size_t i = 0; i < vs->n && !*out; i++) {
            const struct img_variant *v = &vs->v[i];
            if (v->own == own && v->here && !v->attestation && same_platform(&want, &v->platform))
                *out = v;
        }
    return *out ? 0
                : dray_fail(err, DRAY_E_NOTFOUND,
                            "image with reference %s was found but does not provide the specified "
                            "platform (%s)",
                            ref, platform);
}

/* --- telling ----------------------------------------------------------------------------------*/

struct json_object *img_desc_json(const struct img_desc *d)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "mediaType", d->media_type);
    dray_json_add_str(o, "digest", d->digest);
    dray_json_add_int(o, "size", (int64_t)d->size);
    return o;
}

static struct json_object *image_data(const struct img_variants *vs, const struct img_variant *v)
{
    struct json_object *o = json_object_new_object(), *platform = json_object_new_object();
    struct json_object *users = json_object_new_array(), *size = json_object_new_object();
    dray_json_add_str(platform, "architecture", v->platform.arch);
    dray_json_add_str(platform, "os", v->platform.os);
    if (v->platform.variant[0])
        dray_json_add_str(platform, "variant", v->platform.variant);
    dray_json_add(o, "Platform", platform);
    for (size_t i = 0; v->own && i < vs->holds.n; i++)
        json_object_array_add(users, json_object_new_string(vs->holds.v[i]));
    dray_json_add(o, "Containers", users);
    dray_json_add_int(size, "Unpacked", v->own ? (int64_t)vs->unpacked : 0);
    dray_json_add(o, "Size", size);
    return o;
}

static struct json_object *one_json(const struct img_variants *vs, const struct img_variant *v)
{
    struct json_object *o = json_object_new_object(), *size = json_object_new_object();
    uint64_t total = v->content + (v->own ? vs->unpacked : 0);
    dray_json_add_str(o, "ID", v->manifest.digest);
    dray_json_add(o, "Descriptor", img_desc_json(&v->manifest));
    dray_json_add_bool(o, "Available", v->here);
    dray_json_add_int(size, "Content", (int64_t)v->content);
    dray_json_add_int(size, "Total", (int64_t)total);
    dray_json_add(o, "Size", size);
    dray_json_add_str(o, "Kind", v->attestation ? *v->about ? "attestation" : "unknown" : "image");
    if (!v->attestation)
        dray_json_add(o, "ImageData", image_data(vs, v));
    if (v->attestation && *v->about) {
        struct json_object *data = json_object_new_object();
        dray_json_add_str(data, "For", v->about);
        dray_json_add(o, "AttestationData", data);
    }
    return o;
}

struct json_object *img_variants_json(const struct img_variants *vs)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < vs->n; i++)
        json_object_array_add(list, one_json(vs, &vs->v[i]));
    return list;
}

/* --- keeping ----------------------------------------------------------------------------------*/

int img_keep_variants(struct dray_images *im, const char *id, const struct img_desc *index,
                      const struct dray_strlist *blobs, struct dray_err *err)
{
    dray_autofree char *text = NULL;
    bool full = true;
    pthread_mutex_lock(&im->lock);
    struct img *g = img_find(im, id);
    if (g && !g->index[0] && img_blob_ref_locked(im, index->digest))
        memcpy(g->index, index->digest, sizeof g->index);
    for (size_t i = 0; g && full && strcmp(g->index, index->digest) == 0 && i < blobs->n; i++) {
        if (dray_strlist_has(&g->others, blobs->v[i]))
            continue;
        full = dray_strlist_add(&g->others, blobs->v[i]) &&
               img_blob_ref_locked(im, blobs->v[i]) != NULL;
    }
    if (g)
        text = img_doc_text(g);
    pthread_mutex_unlock(&im->lock);
    if (!g || !full)
        return g ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 0;
    return img_save(im, id, text, true, err);
}

/* Does another variant that stays need the blob? */
static bool needed(const struct img_variants *vs, const struct img_variant *leaves,
                   const char *blob)
{
    for (size_t i = 0; i < vs->n; i++)
        if (&vs->v[i] != leaves && (strcmp(vs->v[i].manifest.digest, blob) == 0 ||
                                    dray_strlist_has(&vs->v[i].blobs, blob)))
            return true;
    return false;
}

int img_drop_variant(struct dray_images *im, const struct img_variants *vs,
                     const struct img_variant *v, struct dray_err *err)
{
    dray_autofree char *text = NULL;
    dray_autofree struct img_blob **gone = calloc(v->blobs.n + 1, sizeof(struct img_blob *));
    size_t n = 0;
    if (!gone)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_lock(&im->lock);
    struct img *g = img_find(im, vs->id);
    bool kept = g && dray_strlist_has(&g->others, v->manifest.digest);
    for (size_t i = 0; kept && i < g->others.n;) {
        void *found = NULL;
        char *digest = g->others.v[i];
        bool leaves =
            (strcmp(digest, v->manifest.digest) == 0 || dray_strlist_has(&v->blobs, digest)) &&
            !needed(vs, v, digest) && n <= v->blobs.n;
        if (!leaves) {
            i++;
            continue;
        }
        if (lh_table_lookup_ex(im->blob_table, digest, &found))
            gone[n++] = found;
        free(digest);
        g->others.v[i] = g->others.v[--g->others.n];
        g->others.v[g->others.n] = NULL;
    }
    if (kept)
        text = img_doc_text(g);
    pthread_mutex_unlock(&im->lock);
    if (g && !kept)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "conflict: unable to delete a platform of image %.12s that is image %.12s",
                         dray_digest_hex(vs->id), v->config + (v->config[0] ? 7 : 0));
    int rc = text ? img_save(im, vs->id, text, true, err)
                  : dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", vs->id);
    for (size_t i = 0; i < n; i++)
        img_blob_unref(im, gone[i], rc != 0);
    return rc;
}
