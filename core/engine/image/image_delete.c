/* SPDX-License-Identifier: Apache-2.0 */
/* image_delete.c - removes names and images, with Docker's rules of conflict. */
#include "engine/image/image_variants.h"

#include "base/clock.h"
#include "engine/container/containers.h"
#include "engine/filters.h"

#include <stdio.h>

struct removal {
    struct dray_images *im;
    struct json_object *records;
    bool force, prune;
    uint64_t bytes; /* set free */
};

static void record(struct removal *r, const char *what, const char *name)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, what, name);
    json_object_array_add(r->records, o);
}

static bool used_by(struct dray_images *im, const char *id, bool running, char by[DRAY_ID_LEN])
{
    struct dray_containers *cs = im->engine->containers;
    return cs && dray_containers_use_image(cs, id, running, by);
}

/* At most one tag, and all references in its repository. */
static bool single_reference(const struct dray_strlist *keys)
{
    const char *tag = NULL;
    for (size_t i = 0; i < keys->n; i++) {
        if (dray_ref_key_is_digest(keys->v[i]))
            continue;
        if (tag)
            return false;
        tag = keys->v[i];
    }
    if (keys->n == 0)
        return true;
    dray_autofree char *repo = dray_ref_key_repo(tag ? tag : keys->v[0]);
    for (size_t i = 0; i < keys->n; i++) {
        dray_autofree char *other = dray_ref_key_repo(keys->v[i]);
        if (!repo || !other || strcmp(repo, other) != 0)
            return false;
    }
    return true;
}

static void refs_of(struct dray_images *im, const char *id, struct dray_strlist *out)
{
    dray_strlist_free(out);
    pthread_mutex_lock(&im->lock);
    img_refs_of(im, id, out);
    pthread_mutex_unlock(&im->lock);
}

#define CONFLICT_HARD 1u
#define CONFLICT_REFERENCE 2u
#define CONFLICT_STOPPED 4u
#define CONFLICT_SOFT (CONFLICT_REFERENCE | CONFLICT_STOPPED)

/* *used_out: a container or another image is the reason. */
static int check_conflict(struct dray_images *im, const char *id, unsigned mask, bool *used_out,
                          struct dray_err *err)
{
    char by[DRAY_ID_LEN];
    DRAY_AUTO(dray_strlist) keys = {0};
    const char *hex = dray_digest_hex(id);
    *used_out = false;
    pthread_mutex_lock(&im->lock);
    bool children = img_has_children(im, id);
    img_refs_of(im, id, &keys);
    pthread_mutex_unlock(&im->lock);
    *used_out = children;
    if ((mask & CONFLICT_HARD) && children)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "conflict: unable to delete %.12s (cannot be forced) - image has "
                         "dependent child images",
                         hex);
    if ((mask & CONFLICT_HARD) && used_by(im, id, true, by)) {
        *used_out = true;
        return dray_fail(err, DRAY_E_CONFLICT,
                         "conflict: unable to delete %.12s (cannot be forced) - image is being "
                         "used by running container %.12s",
                         hex, by);
    }
    if ((mask & CONFLICT_REFERENCE) && keys.n > 0)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "conflict: unable to delete %.12s (must be forced) - image is referenced "
                         "in multiple repositories",
                         hex);
    if ((mask & CONFLICT_STOPPED) && used_by(im, id, false, by)) {
        *used_out = true;
        return dray_fail(err, DRAY_E_CONFLICT,
                         "conflict: unable to delete %.12s (must be forced) - image is being used "
                         "by stopped container %.12s",
                         hex, by);
    }
    return 0;
}

static int untag(struct removal *r, const char *id, const struct dray_strlist *keys,
                 struct dray_err *err)
{
    int rc = img_ref_drop(r->im, keys, err);
    for (size_t i = 0; !rc && i < keys->n; i++) {
        img_event(r->im, id, id, "untag");
        record(r, "Untagged", dray_ref_key_familiar(keys->v[i]));
    }
    return rc;
}

/* Chains that go with the image: those nobody else refers to. */
static void note_layers(struct removal *r, const char *id)
{
    pthread_mutex_lock(&r->im->lock);
    const struct img *g = img_find(r->im, id);
    bool stays = !g || g->holds.n > 0;
    for (const struct img_layer *l = stays ? NULL : g->top; l && l->refs == 1; l = l->parent) {
        record(r, "Deleted", l->chain);
        r->bytes += l->size;
    }
    pthread_mutex_unlock(&r->im->lock);
}

static int delete_image(struct removal *r, const char *id, bool force, bool quiet,
                        struct dray_err *err)
{
    bool used = false;
    struct dray_err why = {0};
    DRAY_AUTO(dray_strlist) keys = {0};
    int rc = check_conflict(r->im, id, CONFLICT_HARD | (force ? 0 : CONFLICT_SOFT), &used, &why);
    refs_of(r->im, id, &keys);
    if (rc) {
        if (quiet && (keys.n > 0 || used))
            return 0;
        if (err)
            *err = why;
        return rc;
    }
    char parent[DRAY_DIGEST_LEN] = "";
    pthread_mutex_lock(&r->im->lock);
    const struct img *g = img_find(r->im, id);
    if (g && !g->deleted)
        memcpy(parent, g->parent, sizeof parent);
    bool known = g && !g->deleted && img_find(r->im, parent);
    pthread_mutex_unlock(&r->im->lock);
    rc = untag(r, id, &keys, err);
    if (rc)
        return rc;
    img_event(r->im, id, id, "delete");
    record(r, "Deleted", id);
    note_layers(r, id);
    img_forget(r->im, id);
    if (!r->prune || !known)
        return 0;
    return delete_image(r, parent, false, true, err);
}

/* Digest references of a repository that has no tag of the image any more. */
static void stale_digests(const struct dray_strlist *keys, const char *key,
                          struct dray_strlist *out)
{
    dray_autofree char *repo = dray_ref_key_repo(key);
    for (int pass = 0; repo && pass < 2; pass++)
        for (size_t i = 0; i < keys->n; i++) {
            dray_autofree char *other = dray_ref_key_repo(keys->v[i]);
            if (!other || strcmp(other, repo) != 0)
                continue;
            bool digest = dray_ref_key_is_digest(keys->v[i]);
            if (pass == 0 && !digest)
                return;
            if (pass == 1)
                (void)dray_strlist_add(out, keys->v[i]);
        }
}

/* Remove one name; *done_out: others are left, so the image stays. */
static int remove_name(struct removal *r, const char *id, const char *text, const char *key,
                       bool *done_out, struct dray_err *err)
{
    char by[DRAY_ID_LEN];
    DRAY_AUTO(dray_strlist) keys = {0};
    DRAY_AUTO(dray_strlist) gone = {0};
    refs_of(r->im, id, &keys);
    if (!r->force && single_reference(&keys) && used_by(r->im, id, false, by))
        return dray_fail(err, DRAY_E_CONFLICT,
                         "conflict: unable to remove repository reference \"%s\" (must force) - "
                         "container %.12s is using its referenced image %.12s",
                         text, by, dray_digest_hex(id));
    if (!dray_strlist_add(&gone, key))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = untag(r, id, &gone, err);
    if (rc)
        return rc;
    refs_of(r->im, id, &keys);
    dray_strlist_free(&gone);
    if (!dray_ref_key_is_digest(key))
        stale_digests(&keys, key, &gone);
    rc = untag(r, id, &gone, err);
    refs_of(r->im, id, &keys);
    *done_out = keys.n > 0;
    return rc;
}

static int remove_by_id(struct removal *r, const char *id, struct dray_err *err)
{
    bool used = false;
    DRAY_AUTO(dray_strlist) keys = {0};
    refs_of(r->im, id, &keys);
    if (!single_reference(&keys))
        return 0;
    unsigned mask = CONFLICT_HARD | (r->force ? 0 : CONFLICT_STOPPED);
    int rc = check_conflict(r->im, id, mask, &used, err);
    return rc ? rc : untag(r, id, &keys, err);
}

/* Of the platforms that are here, those that were not named. */
static size_t staying(const struct img_variants *vs, const bool *named)
{
    size_t n = 0;
    for (size_t i = 0; i < vs->n; i++)
        n += vs->v[i].here && !vs->v[i].attestation && !named[i];
    return n;
}

/* Remove content of other platforms than the unpacked one; *all_out: the image itself is meant. */
static int remove_platforms(struct removal *r, const char *ref, struct dray_strs platforms,
                            bool *all_out, struct dray_err *err)
{
    DRAY_AUTO(img_variants) vs = {0};
    int rc = img_variants_open(r->im, ref, &vs, err);
    dray_autofree bool *named = rc ? NULL : calloc(vs.n + 1, sizeof *named);
    if (!rc && !named)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (uint64_t i = 0; !rc && i < platforms.n; i++) {
        const struct img_variant *v = NULL;
        rc = img_variants_find(&vs, ref, platforms.v[i], &v, err);
        if (!rc) {
            named[v - vs.v] = true;
            *all_out = *all_out || v->own;
        }
    }
    if (!rc && *all_out && staying(&vs, named) > 0)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "conflict: unable to delete only some platforms of %s: the one that is "
                         "unpacked is among them, remove the image",
                         ref);
    for (size_t i = 0; !rc && !*all_out && i < vs.n; i++) {
        if (!named[i])
            continue;
        rc = img_drop_variant(r->im, &vs, &vs.v[i], err);
        if (!rc)
            record(r, "Deleted", vs.v[i].manifest.digest);
    }
    return rc;
}

int dray_images_remove(struct dray_images *im, const char *ref, struct dray_strs platforms,
                       bool force, bool prune, struct json_object **out, struct dray_err *err)
{
    dray_autojson *records = json_object_new_array();
    struct removal r = {.im = im, .records = records, .force = force, .prune = prune};
    bool all = platforms.n == 0;
    if (!all) {
        int done = remove_platforms(&r, ref, platforms, &all, err);
        if (!done && !all)
            *out = dray_steal(records);
        if (done || !all)
            return done;
    }
    char id[DRAY_DIGEST_LEN] = "";
    const char *matched = NULL;
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_lookup(im, ref, &matched, err);
    dray_autofree char *key = matched ? strdup(matched) : NULL;
    if (g)
        memcpy(id, g->id, sizeof id);
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return err ? err->code : DRAY_E_NOTFOUND;
    bool done = false;
    int rc = key ? remove_name(&r, id, ref, key, &done, err) : remove_by_id(&r, id, err);
    if (!rc && !done)
        rc = delete_image(&r, id, force, key != NULL, err);
    if (!rc)
        *out = dray_steal(records);
    return rc;
}

/* --- prune ------------------------------------------------------------------------------------*/

static bool prunable(struct dray_images *im, const struct img *g, bool dangling, int64_t until,
                     const struct dray_filters *f)
{
    if (g->deleted || (dangling && g->holds.n > 0) || (until && g->created_ns >= until) ||
        !dray_filters_labels(f, g->labels))
        return false;
    if (!dangling)
        return true;
    DRAY_AUTO(dray_strlist) keys = {0};
    img_refs_of(im, g->id, &keys);
    for (size_t i = 0; i < keys.n; i++)
        if (!dray_ref_key_is_digest(keys.v[i]))
            return false;
    return !img_has_children(im, g->id);
}

static void list_prunable(struct dray_images *im, bool dangling, int64_t until,
                          const struct dray_filters *f, struct dray_strlist *out)
{
    struct lh_entry *e;
    pthread_mutex_lock(&im->lock);
    lh_foreach(im->by_id, e)
    {
        const struct img *g = lh_entry_v(e);
        if (prunable(im, g, dangling, until, f))
            (void)dray_strlist_add(out, g->id);
    }
    pthread_mutex_unlock(&im->lock);
}

static bool is_held(struct dray_images *im, const char *id)
{
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_find(im, id);
    bool held = g && g->holds.n > 0;
    pthread_mutex_unlock(&im->lock);
    return held;
}

/* The names of an image that a container uses, but the last. */
static void spare_names(struct removal *r, const char *id)
{
    DRAY_AUTO(dray_strlist) keys = {0};
    refs_of(r->im, id, &keys);
    dray_strlist_sort(&keys);
    while (keys.n > 1 && !single_reference(&keys)) {
        DRAY_AUTO(dray_strlist) one = {0};
        if (!dray_strlist_add(&one, keys.v[0]) || untag(r, id, &one, NULL) != 0)
            return;
        refs_of(r->im, id, &keys);
        dray_strlist_sort(&keys);
    }
}

int dray_images_prune(struct dray_images *im, const struct dray_filters *f,
                      struct json_object **out, struct dray_err *err)
{
    bool dangling = true;
    int64_t until = 0;
    int rc = dray_filters_bool(f, "dangling", true, &dangling, err);
    const char *text = dray_filters_get(f, "until", 0);
    if (!rc && text && !dray_time_parse_when(text, dray_clock_now(), &until))
        rc = dray_fail(err, DRAY_E_INVAL, "invalid filter 'until=[%.60s]'", text);
    if (rc)
        return rc;
    struct removal r = {
        .im = im, .records = json_object_new_array(), .force = !dangling, .prune = true};
    DRAY_AUTO(dray_strlist) ids = {0};
    list_prunable(im, dangling, until, f, &ids);
    for (size_t i = 0; i < ids.n; i++) {
        char by[DRAY_ID_LEN];
        DRAY_AUTO(dray_strlist) keys = {0};
        if (used_by(im, ids.v[i], false, by)) {
            spare_names(&r, ids.v[i]);
            continue;
        }
        if (is_held(im, ids.v[i])) /* for a container that is being made */
            continue;
        refs_of(im, ids.v[i], &keys);
        if (untag(&r, ids.v[i], &keys, NULL) == 0)
            (void)delete_image(&r, ids.v[i], false, true, NULL);
    }
    img_drop_orphans(im, INT64_MAX);
    *out = json_object_new_object();
    bool none = dray_json_len(r.records) == 0;
    if (none)
        json_object_put(r.records);
    dray_json_add(*out, "ImagesDeleted", none ? NULL : r.records);
    dray_json_add_int(*out, "SpaceReclaimed", (int64_t)r.bytes);
    img_event_pruned(im, (int64_t)r.bytes);
    return 0;
}
