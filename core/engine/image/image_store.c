/* SPDX-License-Identifier: Apache-2.0 */
/* image_store.c - opens the image store, finds images, counts their users. */
#include "engine/image/image_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/ident.h"
#include "base/logging.h"
#include "engine/events.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAY_LOG_AREA "images"

struct img *img_find(struct dray_images *im, const char *id)
{
    void *found = NULL;
    return lh_table_lookup_ex(im->by_id, id, &found) ? found : NULL;
}

static void list_blob(struct dray_images *im, const char *digest)
{
    struct img_blob *b = *digest ? img_blob_ref_locked(im, digest) : NULL;
    if (b && !b->present)
        b->present = dray_blobs_has(im->blobs, digest, &b->size);
}

/* Enter an image into the tables: it refers to its blobs and its top layer. Lock held. */
static bool insert_locked(struct dray_images *im, struct img *g)
{
    if (lh_table_insert(im->by_id, g->id, g) != 0)
        return false;
    list_blob(im, g->id);
    list_blob(im, g->manifest);
    list_blob(im, g->index);
    for (size_t i = 0; i < g->n_parts; i++)
        list_blob(im, g->parts[i].digest);
    for (size_t i = 0; i < g->others.n; i++)
        list_blob(im, g->others.v[i]);
    if (!g->top && g->n_parts > 0) {
        g->top = img_layer_find(im, g->parts[g->n_parts - 1].chain);
        if (g->top)
            img_layer_ref_locked(g->top);
    }
    return true;
}

/* --- opening ----------------------------------------------------------------------------------*/

static int load_all(struct dray_images *im, struct dray_err *err)
{
    int fd = openat(im->images_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        dray_cleanup_fd(&fd);
        return dray_fail_errno(err, "list the images");
    }
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (!dray_str_suffix(e->d_name, ".json")) {
            if (e->d_name[0] != '.')
                (void)unlinkat(im->images_fd, e->d_name, 0);
            continue;
        }
        struct img *g = img_load(im, e->d_name);
        if (!g || !insert_locked(im, g)) {
            dray_error(
                "image document %s cannot be read: the image is left out, and what belongs to it "
                "is kept; pull or load it again",
                e->d_name);
            atomic_store(&im->engine->damaged, true);
            img_free(g);
        }
    }
    (void)closedir(d);
    return 0;
}

static int open_parts(struct dray_images *im, struct dray_err *err)
{
    int rc = dray_fs_open_dir(im->engine->data_fd, "images", 0700, &im->images_fd, err);
    if (!rc)
        rc = dray_fs_open_dir(im->engine->data_fd, "layers", 0700, &im->layers_fd, err);
    if (!rc)
        rc = dray_blobs_open(im->engine->data_fd, &im->blobs, err);
    if (rc)
        return rc;
    im->by_id = lh_kchar_table_new(64, NULL);
    im->refs = lh_kchar_table_new(64, NULL);
    im->layers = lh_kchar_table_new(64, NULL);
    im->blob_table = lh_kchar_table_new(64, NULL);
    if (!im->by_id || !im->refs || !im->layers || !im->blob_table)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_lock(&im->lock);
    img_layers_load(im);
    rc = load_all(im, err);
    if (!rc)
        rc = img_refs_load(im, err);
    pthread_mutex_unlock(&im->lock);
    return rc;
}

int dray_images_open(struct dray_engine *e, struct dray_images **out, struct dray_err *err)
{
    struct dray_images *im = calloc(1, sizeof *im);
    if (!im)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    im->engine = e;
    im->images_fd = im->layers_fd = -EBADF;
    im->data_fd = e->data_fd;
    pthread_mutex_init(&im->lock, NULL);
    pthread_mutex_init(&im->refs_io, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&im->changed, &attr);
    pthread_condattr_destroy(&attr);
    int rc = img_flusher_open(im, err);
    if (!rc)
        rc = open_parts(im, err);
    if (rc) {
        dray_images_close(im);
        return dray_err_note(err, "open the image store");
    }
    img_drop_spools(im);
    *out = im;
    return 0;
}

static void free_tables(struct dray_images *im)
{
    struct lh_entry *e;
    lh_foreach(im->by_id, e) img_free(lh_entry_v(e));
    lh_foreach(im->blob_table, e) free(lh_entry_v(e));
    lh_foreach(im->layers, e)
    {
        struct img_layer *l = lh_entry_v(e);
        free(l->key);
        free(l);
    }
    lh_table_free(im->by_id);
    lh_table_free(im->blob_table);
    lh_table_free(im->layers);
    img_refs_free(im);
}

void dray_images_close(struct dray_images *im)
{
    if (!im)
        return;
    img_flusher_close(im->flusher);
    if (im->by_id && im->refs && im->layers && im->blob_table)
        free_tables(im);
    dray_blobs_close(im->blobs);
    dray_cleanup_fd(&im->images_fd);
    dray_cleanup_fd(&im->layers_fd);
    pthread_mutex_destroy(&im->lock);
    pthread_mutex_destroy(&im->refs_io);
    pthread_cond_destroy(&im->changed);
    free(im);
}

/* --- finding ----------------------------------------------------------------------------------*/

static struct img *visible(struct dray_images *im, const char *id)
{
    struct img *g = id ? img_find(im, id) : NULL;
    return g && !g->deleted ? g : NULL;
}

/* The only image whose id begins with the hex digits, or NULL. */
static struct img *by_prefix(struct dray_images *im, const char *text)
{
    const char *hex = dray_str_prefix(text, "sha256:") ? text + 7 : text;
    if (!dray_id_is_hex(hex, 1, 64))
        return NULL;
    struct img *found = NULL;
    struct lh_entry *e;
    lh_foreach(im->by_id, e)
    {
        struct img *g = lh_entry_v(e);
        if (g->deleted || !dray_str_prefix(g->id + 7, hex))
            continue;
        if (found)
            return NULL;
        found = g;
    }
    return found;
}

struct img *img_lookup(struct dray_images *im, const char *text, const char **key_out,
                       struct dray_err *err)
{
    if (key_out)
        *key_out = NULL;
    DRAY_AUTO(dray_ref) ref = {0};
    struct img *g = NULL;
    bool is_id = dray_digest_valid(text) || dray_id_is_hex(text, 64, 64);
    if (!is_id) {
        int rc = dray_ref_parse_tagged(text, &ref, err);
        if (rc) {
            g = by_prefix(im, text);
            return g;
        }
        dray_autofree char *key = dray_ref_key(&ref);
        void *found = NULL;
        if (key && lh_table_lookup_ex(im->refs, key, &found)) {
            const struct img_ref *r = found;
            g = visible(im, r->id);
            if (g && key_out)
                *key_out = r->key;
        }
    }
    if (!g)
        g = by_prefix(im, text);
    if (!g && is_id)
        (void)dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s%s",
                        dray_str_prefix(text, "sha256:") ? "" : "sha256:", text);
    else if (!g)
        (void)dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s%s%s%s%s",
                        dray_ref_familiar(ref.repo), ref.tag ? ":" : "", ref.tag ? ref.tag : "",
                        ref.digest ? "@" : "", ref.digest ? ref.digest : "");
    return g;
}

void dray_image_release(struct dray_image *image)
{
    json_object_put(image->config);
    free(image->top_layer);
    free(image->storage);
    free(image->manifest);
    if (image->pin)
        img_layer_unref(image->images, image->pin);
    *image = (struct dray_image){0};
}

/* Unpack an image for the driver in use, which it was not pulled with. */
static int unpack_late(struct dray_images *im, const char *id, struct dray_err *err)
{
    int rc = img_settle(im, id, -1, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&im->lock);
    struct img *g = visible(im, id);
    size_t n = g ? g->n_parts : 0;
    dray_autofree struct img_part *parts = calloc(n + 1, sizeof *parts);
    for (size_t i = 0; parts && i < n; i++) {
        parts[i] = g->parts[i];
        parts[i].media_type = NULL;
        parts[i].urls = NULL;
    }
    pthread_mutex_unlock(&im->lock);
    if (!parts)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct img_layer *top = NULL;
    rc = img_unpack_image(im, parts, n, -1, &top, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&im->lock);
    g = visible(im, id);
    if (g && !g->top) {
        g->top = top;
        top = NULL;
    }
    pthread_mutex_unlock(&im->lock);
    img_layer_unref(im, top);
    return 0;
}

int img_read_config(struct dray_images *im, const char *id, struct json_object **out,
                    struct dray_err *err)
{
    DRAY_AUTO(dray_buf) text = {0};
    int rc = dray_blobs_read(im->blobs, id, CONFIG_MAX, &text, err);
    if (!rc)
        rc = dray_json_parse(text.data ? text.data : "", text.len, out, err);
    return rc ? dray_err_note(err, "read the config of image %.19s", id) : 0;
}

/* Load an image for use, once it was found; held: also one that is kept for its containers only. */
static int load(struct dray_images *im, const char *id, bool held, struct dray_image *out,
                struct dray_err *err)
{
    pthread_mutex_lock(&im->lock);
    struct img *g = held ? img_find(im, id) : visible(im, id);
    if (g) {
        memcpy(out->id, g->id, sizeof out->id);
        out->images = im;
        out->pin = g->top;
        if (g->top)
            img_layer_ref_locked(g->top);
        out->top_layer = strdup(g->top ? g->top->id : "");
        out->manifest = strdup(g->manifest);
    }
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", id);
    out->storage = strdup(dray_driver_name(im->engine->storage));
    int rc = out->top_layer && out->storage ? img_read_config(im, out->id, &out->config, err)
                                            : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        dray_image_release(out);
    return rc;
}

int dray_images_get(struct dray_images *im, const char *ref, struct dray_image *out,
                    struct dray_err *err)
{
    *out = (struct dray_image){0};
    char id[sizeof out->id];
    bool late = false;
    pthread_mutex_lock(&im->lock);
    struct img *g = img_lookup(im, ref, NULL, err);
    if (g) {
        memcpy(id, g->id, sizeof id);
        late = !g->top && g->n_parts > 0;
    }
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return err ? err->code : DRAY_E_NOTFOUND;
    int rc = late ? unpack_late(im, id, err) : 0;
    return rc ? rc : load(im, id, false, out, err);
}

int dray_images_get_held(struct dray_images *im, const char *id, struct dray_image *out,
                         struct dray_err *err)
{
    struct dray_err why = {0};
    int rc = dray_images_get(im, id, out, &why);
    if (rc == DRAY_E_NOTFOUND)
        return load(im, id, true, out, err);
    if (rc && err)
        *err = why;
    return rc;
}

/* --- users ------------------------------------------------------------------------------------*/

int dray_images_hold(struct dray_images *im, const char *image_id, const char *container_id,
                     struct dray_err *err)
{
    pthread_mutex_lock(&im->lock);
    struct img *g = img_find(im, image_id);
    bool ok = g && (dray_strlist_has(&g->holds, container_id) ||
                    dray_strlist_add(&g->holds, container_id));
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", image_id);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

void dray_images_unhold(struct dray_images *im, const char *image_id, const char *container_id)
{
    bool forget = false;
    pthread_mutex_lock(&im->lock);
    struct img *g = img_find(im, image_id);
    for (size_t i = 0; g && i < g->holds.n; i++) {
        if (strcmp(g->holds.v[i], container_id) != 0)
            continue;
        free(g->holds.v[i]);
        g->holds.v[i] = g->holds.v[--g->holds.n];
        g->holds.v[g->holds.n] = NULL;
        forget = g->deleted && g->holds.n == 0;
        break;
    }
    pthread_mutex_unlock(&im->lock);
    if (forget)
        img_forget(im, image_id);
}

uint64_t dray_images_size(struct dray_images *im, const char *image_id)
{
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_find(im, image_id);
    uint64_t size = g ? g->size : 0;
    pthread_mutex_unlock(&im->lock);
    return size;
}

uint64_t dray_images_count(struct dray_images *im)
{
    uint64_t n = 0;
    struct lh_entry *e;
    pthread_mutex_lock(&im->lock);
    lh_foreach(im->by_id, e)
    {
        const struct img *g = lh_entry_v(e);
        n += !g->deleted;
    }
    pthread_mutex_unlock(&im->lock);
    return n;
}

/* --- registering and forgetting ---------------------------------------------------------------*/

/* The image is known already: take over what is new. Lock held. */
static void merge_known(struct img *known, struct img *g)
{
    known->deleted = false;
    if (!known->top && g->top) {
        known->top = g->top;
        g->top = NULL;
    }
}

/* After a flush that went well: the layers are on the disk, unless another's was told that they are
 * not. */
static int note_flushed(struct dray_images *im, struct img_layer *top, struct dray_err *err)
{
    unsigned faults = img_flush_faults(im);
    bool lost = false;
    pthread_mutex_lock(&im->lock);
    for (struct img_layer *l = top; l; l = l->parent)
        lost = lost || (!l->flushed && l->faults != faults);
    for (struct img_layer *l = top; l && !lost; l = l->parent)
        l->flushed = true;
    pthread_mutex_unlock(&im->lock);
    return lost ? dray_fail(err, DRAY_E_IO, "sync the image store: input/output error meanwhile")
                : 0;
}

/* The document of an image that is known, as one that is not deleted. Lock held. */
static char *known_text(struct img *known)
{
    bool deleted = known->deleted;
    known->deleted = false;
    char *text = img_doc_text(known);
    known->deleted = deleted;
    return text;
}

/* An image that is known keeps its manifest and its blobs, and so its document: those of another
 * archive of the same image are not kept with it. */
int img_register(struct dray_images *im, struct img *g /* takes */, struct dray_err *err)
{
    dray_autofree char *text = img_doc_text(g), *known_doc = NULL;
    int rc = img_flush(im, err);
    if (!rc)
        rc = note_flushed(im, g->top, err);
    pthread_mutex_lock(&im->lock);
    struct img *known = img_find(im, g->id);
    bool was_known = known != NULL;
    bool comes_back = known && known->deleted;
    if (comes_back)
        known_doc = known_text(known);
    pthread_mutex_unlock(&im->lock);
    if (!rc && (comes_back || !was_known))
        rc = img_save(im, g->id, comes_back ? known_doc : text, true, err);
    struct img_layer *drop = g->top;
    bool entered = false;
    if (!rc) {
        free(dray_steal(known_doc));
        pthread_mutex_lock(&im->lock);
        known = img_find(im, g->id);
        if (known)
            merge_known(known, g);
        else
            entered = insert_locked(im, g);
        if (known && !was_known) /* somebody was quicker */
            known_doc = known_text(known);
        drop = entered ? NULL : g->top;
        pthread_mutex_unlock(&im->lock);
    }
    if (!rc && entered && was_known) /* it went meanwhile, and its document with it */
        rc = img_save(im, g->id, text, true, err);
    else if (!rc && known_doc)
        rc = img_save(im, g->id, known_doc, true, err);
    img_layer_unref(im, drop);
    if (!entered)
        img_free(g);
    return rc;
}

/* The blobs of an image that leaves, as many as are known. Lock held. */
static struct img_blob **blobs_of(struct dray_images *im, const struct img *g, size_t *n_out)
{
    const char *own[3] = {g->id, g->manifest, g->index};
    size_t n = g->n_parts + 3, k = 0;
    struct img_blob **blobs = calloc(n + g->others.n, sizeof *blobs);
    for (size_t i = 0; blobs && i < n + g->others.n; i++) {
        const char *digest = i < 3 ? own[i] : i < n ? g->parts[i - 3].digest : g->others.v[i - n];
        void *found = NULL;
        if (*digest && lh_table_lookup_ex(im->blob_table, digest, &found))
            blobs[k++] = found;
    }
    *n_out = k;
    return blobs;
}

void img_forget(struct dray_images *im, const char *id)
{
    pthread_mutex_lock(&im->lock);
    struct img *g = img_find(im, id);
    dray_autofree char *text = NULL;
    dray_autofree struct img_blob **blobs = NULL;
    size_t n = 0;
    if (g && g->holds.n > 0) {
        g->deleted = true; /* its layers are needed until the containers are gone */
        text = img_doc_text(g);
    } else if (g) {
        (void)lh_table_delete(im->by_id, g->id);
        blobs = blobs_of(im, g, &n);
    }
    pthread_mutex_unlock(&im->lock);
    if (text)
        (void)img_save(im, id, text, true, NULL);
    if (text || !g)
        return;
    img_unlink_doc(im, g->id);
    for (size_t i = 0; i < n; i++)
        img_blob_unref(im, blobs[i], false);
    img_layer_unref(im, g->top);
    img_free(g);
}

void img_event(struct dray_images *im, const char *actor, const char *name, const char *action)
{
    if (!im->engine->events)
        return;
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_lookup(im, actor, NULL, NULL);
    struct json_object *attrs =
        g && g->labels ? dray_json_copy(g->labels) : json_object_new_object();
    pthread_mutex_unlock(&im->lock);
    if (name && *name)
        dray_json_add_str(attrs, "name", name);
    dray_events_emit(im->engine->events, "image", action, actor, attrs);
}

void img_event_pruned(struct dray_images *im, int64_t bytes)
{
    if (!im->engine->events)
        return;
    struct json_object *attrs = json_object_new_object();
    dray_json_addf(attrs, "reclaimed", "%lld", (long long)bytes);
    dray_events_emit(im->engine->events, "image", "prune", "", attrs);
}

/* --- at start ---------------------------------------------------------------------------------*/

struct orphans {
    struct dray_images *im;
    int64_t before;
    struct dray_strlist list;
};

static void note_orphan(void *ctx, const char *digest, int64_t when)
{
    struct orphans *o = ctx;
    if (when > o->before)
        return;
    void *found = NULL;
    pthread_mutex_lock(&o->im->lock);
    bool known = lh_table_lookup_ex(o->im->blob_table, digest, &found);
    pthread_mutex_unlock(&o->im->lock);
    if (!known)
        (void)dray_strlist_add(&o->list, digest);
}

static void note_partial(void *ctx, const char *digest)
{
    (void)dray_strlist_add(ctx, digest);
}

/* What interrupted pulls left, unless one is at it now. */
static void drop_partial(struct dray_images *im)
{
    DRAY_AUTO(dray_strlist) list = {0};
    dray_blobs_each_partial(im->blobs, note_partial, &list);
    for (size_t i = 0; i < list.n; i++) {
        struct img_blob *b = img_blob_ref(im, list.v[i]);
        if (!b)
            continue;
        pthread_mutex_lock(&im->lock);
        bool mine = !b->busy && !b->present;
        b->busy = b->busy || mine;
        pthread_mutex_unlock(&im->lock);
        if (mine) {
            dray_blobs_drop_partial(im->blobs, list.v[i]);
            img_blob_done(im, b, false, 0);
        }
        img_blob_unref(im, b, true);
    }
}

void img_drop_orphans(struct dray_images *im, int64_t before_ns)
{
    struct orphans o = {.im = im, .before = before_ns};
    (void)dray_blobs_each(im->blobs, note_orphan, &o, NULL);
    for (size_t i = 0; i < o.list.n; i++) {
        struct img_blob *b = img_blob_ref(im, o.list.v[i]);
        if (b)
            img_blob_unref(im, b, false);
    }
    dray_strlist_free(&o.list);
    if (before_ns == INT64_MAX)
        drop_partial(im);
}
