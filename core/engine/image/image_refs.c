/* SPDX-License-Identifier: Apache-2.0 */
/* image_refs.c - the references: names and digests that point to images, kept in references.json.
 */
#include "engine/image/image_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/logging.h"

#include <fcntl.h>
#include <stdio.h>

#define DRAY_LOG_AREA "images"

#define REFS_FILE "references.json"

static struct img_ref *find_ref(struct dray_images *im, const char *key)
{
    void *found = NULL;
    return lh_table_lookup_ex(im->refs, key, &found) ? found : NULL;
}

const char *img_ref_get(struct dray_images *im, const char *key)
{
    struct img_ref *r = find_ref(im, key);
    return r ? r->id : NULL;
}

static bool set_locked(struct dray_images *im, const char *key, const char *id)
{
    struct img_ref *r = find_ref(im, key);
    if (!r) {
        r = calloc(1, sizeof *r);
        if (r)
            r->key = strdup(key);
        if (!r || !r->key || lh_table_insert(im->refs, r->key, r) != 0) {
            free(r ? r->key : NULL);
            free(r);
            return false;
        }
    }
    (void)snprintf(r->id, sizeof r->id, "%s", id);
    return true;
}

static void drop_locked(struct dray_images *im, const char *key)
{
    struct img_ref *r = find_ref(im, key);
    if (!r)
        return;
    (void)lh_table_delete(im->refs, r->key);
    free(r->key);
    free(r);
}

/* Write all references; refs_io is held, lock is not. */
static int save(struct dray_images *im, struct dray_err *err)
{
    dray_autojson *doc = json_object_new_object();
    struct json_object *all = json_object_new_object(), *tagged = json_object_new_object();
    dray_json_add(doc, "references", all);
    dray_json_add(doc, "tagged", tagged);
    pthread_mutex_lock(&im->lock);
    struct lh_entry *e;
    lh_foreach(im->refs, e)
    {
        const struct img_ref *r = lh_entry_v(e);
        const struct img *g = img_find(im, r->id);
        dray_json_add_str(all, r->key, r->id);
        if (g && g->tagged_ns)
            dray_json_add_int(tagged, r->id, g->tagged_ns);
    }
    pthread_mutex_unlock(&im->lock);
    if (im->lost_refs) {
        json_object_object_foreach(im->lost_refs, key, id)
        {
            if (!json_object_object_get_ex(all, key, NULL))
                dray_json_add(all, key, json_object_get(id));
        }
    }
    return dray_json_store(im->data_fd, REFS_FILE, doc, err);
}

int img_ref_set(struct dray_images *im, const char *key, const char *id, bool tagged,
                struct dray_err *err)
{
    char old[DRAY_DIGEST_LEN] = "";
    pthread_mutex_lock(&im->refs_io);
    pthread_mutex_lock(&im->lock);
    const char *was = img_ref_get(im, key);
    if (was)
        (void)snprintf(old, sizeof old, "%s", was);
    bool same = was && strcmp(was, id) == 0;
    struct img *g = img_find(im, id);
    bool known = g && !g->deleted;
    bool ok = known && set_locked(im, key, id);
    if (ok && tagged)
        g->tagged_ns = dray_clock_now();
    pthread_mutex_unlock(&im->lock);
    int rc = 0;
    if (!known)
        rc = dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", id);
    else if (!ok)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    else if (!same)
        rc = save(im, err);
    if (rc && ok) {
        pthread_mutex_lock(&im->lock);
        if (old[0])
            (void)set_locked(im, key, old);
        else
            drop_locked(im, key);
        pthread_mutex_unlock(&im->lock);
    }
    pthread_mutex_unlock(&im->refs_io);
    return rc;
}

int img_ref_drop(struct dray_images *im, const struct dray_strlist *keys, struct dray_err *err)
{
    if (keys->n == 0)
        return 0;
    pthread_mutex_lock(&im->refs_io);
    pthread_mutex_lock(&im->lock);
    for (size_t i = 0; i < keys->n; i++)
        drop_locked(im, keys->v[i]);
    pthread_mutex_unlock(&im->lock);
    int rc = save(im, err);
    pthread_mutex_unlock(&im->refs_io);
    return rc;
}

void img_refs_of(struct dray_images *im, const char *id, struct dray_strlist *out)
{
    struct lh_entry *e;
    lh_foreach(im->refs, e)
    {
        const struct img_ref *r = lh_entry_v(e);
        if (strcmp(r->id, id) == 0)
            (void)dray_strlist_add(out, r->key);
    }
    dray_strlist_sort(out);
}

/* The next reference that is set writes the file anew: what it was is kept beside it. */
static void set_aside(struct dray_images *im, const char *why)
{
    char aside[64];
    (void)snprintf(aside, sizeof aside, REFS_FILE ".broken-%lld",
                   (long long)(dray_clock_now() / DRAY_NS_PER_S));
    bool kept = linkat(im->data_fd, REFS_FILE, im->data_fd, aside, 0) == 0 ||
                renameat(im->data_fd, REFS_FILE, im->data_fd, aside) == 0;
    dray_error("names of images cannot be read, and the images are without: %s%s%s", why,
               kept ? "; the file is kept as " : "", kept ? aside : "");
    atomic_store(&im->engine->damaged, true);
}

/* An image whose document cannot be read may come back, by its names. */
static bool has_document(struct dray_images *im, const char *id)
{
    char name[80];
    if (!dray_digest_valid(id))
        return false;
    (void)snprintf(name, sizeof name, "%s.json", dray_digest_hex(id));
    return faccessat(im->images_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int keep_lost(struct dray_images *im, const char *key, const char *id)
{
    if (!im->lost_refs)
        im->lost_refs = json_object_new_object();
    struct json_object *value = json_object_new_string(id);
    if (im->lost_refs && value && json_object_object_add(im->lost_refs, key, value) == 0)
        return 0;
    json_object_put(value);
    return DRAY_E_NOMEM;
}

int img_refs_load(struct dray_images *im, struct dray_err *err)
{
    dray_autojson *doc = NULL;
    struct dray_err why = {0};
    int rc = dray_json_load(im->data_fd, REFS_FILE, &doc, &why);
    if (rc == DRAY_E_NOTFOUND)
        return 0;
    if (rc == DRAY_E_NOMEM)
        return dray_fail(err, rc, "read the image references: %s", why.text);
    struct json_object *all = dray_json_obj(doc, "references");
    if (!all) {
        set_aside(im, rc ? why.text : REFS_FILE " has no references");
        return 0;
    }
    bool whole = true;
    json_object_object_foreach(all, key, value)
    {
        const char *id =
            json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
        struct img *g = img_find(im, id);
        if (g && !g->deleted && !set_locked(im, key, id))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        whole = whole && dray_digest_valid(id);
        if (!g && has_document(im, id) && keep_lost(im, key, id) != 0)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    if (!whole)
        set_aside(im, "there are names of what is no image");
    struct json_object *tagged = dray_json_obj(doc, "tagged");
    if (!tagged)
        return 0;
    json_object_object_foreach(tagged, image, when)
    {
        struct img *g = img_find(im, image);
        if (g)
            g->tagged_ns = json_object_get_int64(when);
    }
    return 0;
}

void img_refs_free(struct dray_images *im)
{
    struct lh_entry *e;
    lh_foreach(im->refs, e)
    {
        struct img_ref *r = lh_entry_v(e);
        free(r->key);
        free(r);
    }
    lh_table_free(im->refs);
    json_object_put(im->lost_refs);
}
