/* SPDX-License-Identifier: Apache-2.0 */
/* image_layers.c - blobs and unpacked layers with those who use them; the last one removes. */
#include "engine/layer/layer_map.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/ident.h"
#include "base/logging.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#define DRAY_LOG_AREA "images"
#define WAIT_NS (100 * 1000 * 1000)
#define KEEP_PARTIAL_NS (3 * 24 * 3600 * DRAY_NS_PER_S)

bool img_fd_ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

int img_wait(struct dray_images *im, int abort_fd, struct dray_err *err)
{
    if (img_fd_ready(abort_fd))
        return dray_fail(err, DRAY_E_CANCELED, "canceled");
    int64_t until = dray_clock_mono() + WAIT_NS;
    struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
    (void)pthread_cond_timedwait(&im->changed, &im->lock, &ts);
    return 0;
}

int img_slot_take(struct dray_images *im, unsigned *counter, unsigned max, int abort_fd,
                  struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&im->lock);
    while (!rc && *counter >= max)
        rc = img_wait(im, abort_fd, err);
    if (!rc)
        (*counter)++;
    pthread_mutex_unlock(&im->lock);
    return rc;
}

void img_slot_give(struct dray_images *im, unsigned *counter)
{
    pthread_mutex_lock(&im->lock);
    (*counter)--;
    pthread_cond_broadcast(&im->changed);
    pthread_mutex_unlock(&im->lock);
}

/* --- blobs ------------------------------------------------------------------------------------*/

struct img_blob *img_blob_ref_locked(struct dray_images *im, const char *digest)
{
    void *found = NULL;
    struct img_blob *b = NULL;
    if (lh_table_lookup_ex(im->blob_table, digest, &found)) {
        b = found;
    } else {
        b = calloc(1, sizeof *b);
        if (!b)
            return NULL;
        (void)snprintf(b->digest, sizeof b->digest, "%s", digest);
        b->present = dray_blobs_has(im->blobs, digest, &b->size);
        if (lh_table_insert(im->blob_table, b->digest, b) != 0) {
            free(b);
            return NULL;
        }
    }
    b->refs++;
    return b;
}

struct img_blob *img_blob_ref(struct dray_images *im, const char *digest)
{
    pthread_mutex_lock(&im->lock);
    struct img_blob *b = img_blob_ref_locked(im, digest);
    pthread_mutex_unlock(&im->lock);
    return b;
}

void img_blob_unref(struct dray_images *im, struct img_blob *b, bool keep)
{
    if (!b)
        return;
    pthread_mutex_lock(&im->lock);
    if (--b->refs == 0 && !b->busy) {
        if (!keep && b->present) {
            b->busy = true;
            pthread_mutex_unlock(&im->lock);
            dray_blobs_remove(im->blobs, b->digest);
            pthread_mutex_lock(&im->lock);
            b->busy = b->present = false;
            pthread_cond_broadcast(&im->changed);
        }
        if (b->refs == 0) { /* nobody came meanwhile */
            (void)lh_table_delete(im->blob_table, b->digest);
            free(b);
        }
    }
    pthread_mutex_unlock(&im->lock);
}

int img_blob_claim(struct dray_images *im, struct img_blob *b, int abort_fd, bool *mine_out,
                   struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&im->lock);
    while (!rc && b->busy)
        rc = img_wait(im, abort_fd, err);
    *mine_out = !rc && !b->present;
    if (*mine_out) {
        b->busy = true;
        b->progress = 0;
    }
    pthread_mutex_unlock(&im->lock);
    return rc;
}

void img_blob_done(struct dray_images *im, struct img_blob *b, bool present, uint64_t size)
{
    pthread_mutex_lock(&im->lock);
    b->busy = false;
    b->present = present;
    b->size = size;
    pthread_cond_broadcast(&im->changed);
    pthread_mutex_unlock(&im->lock);
}

int img_blob_put(struct dray_images *im, const void *data, size_t len, struct img_blob **out,
                 struct dray_err *err)
{
    char digest[DRAY_DIGEST_LEN];
    dray_digest_of(data, len, digest);
    struct img_blob *b = img_blob_ref(im, digest);
    if (!b)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bool mine = false;
    int rc = img_blob_claim(im, b, -1, &mine, err);
    if (!rc && mine) {
        rc = dray_blobs_put(im->blobs, data, len, digest, err);
        img_blob_done(im, b, rc == 0, len);
    }
    if (rc) {
        img_blob_unref(im, b, false);
        return rc;
    }
    *out = b;
    return 0;
}

/* --- layers -----------------------------------------------------------------------------------*/

static char *layer_key(struct dray_driver *d, const char *chain)
{
    return dray_strf("%s-%s", dray_driver_name(d), dray_digest_hex(chain));
}

struct img_layer *img_layer_find(struct dray_images *im, const char *chain)
{
    dray_autofree char *key = layer_key(im->engine->storage, chain);
    void *found = NULL;
    if (!key || !lh_table_lookup_ex(im->layers, key, &found))
        return NULL;
    struct img_layer *l = found;
    return l->state == LAYER_READY ? l : NULL;
}

void img_layer_ref_locked(struct img_layer *l)
{
    l->refs++;
}

struct img_layer *img_layer_known(struct dray_images *im, const struct img_layer *parent,
                                  const char *diff)
{
    char chain[DRAY_DIGEST_LEN];
    img_chain_next(parent ? parent->chain : "", diff, chain);
    pthread_mutex_lock(&im->lock);
    struct img_layer *l = img_layer_find(im, chain);
    if (l)
        l->refs++;
    pthread_mutex_unlock(&im->lock);
    return l;
}

static int write_layer_doc(struct dray_images *im, const struct img_layer *l, struct dray_err *err)
{
    dray_autojson *o = json_object_new_object();
    dray_json_add_str(o, "storage", dray_driver_name(l->driver));
    dray_json_add_str(o, "chain", l->chain);
    dray_json_add_str(o, "diff", l->diff);
    dray_json_add_str(o, "parent", l->parent ? l->parent->chain : "");
    dray_json_add_str(o, "id", l->id);
    dray_json_add_str(o, "init", l->init_id);
    dray_json_add_int(o, "size", (int64_t)l->size);
    if (l->tar_size)
        dray_json_add_int(o, "tar", (int64_t)l->tar_size);
    char name[256];
    (void)snprintf(name, sizeof name, "%s.json", l->key);
    const char *text = dray_json_text(o);
    return dray_fs_replace(im->layers_fd, name, text, strlen(text), 0600, DRAY_FS_PLAIN, err);
}

int img_layer_save(struct dray_images *im, const struct img_layer *l, struct dray_err *err)
{
    return write_layer_doc(im, l, err);
}

static void drop_in_driver(struct img_layer *l)
{
    struct dray_err err = {0};
    if (!l->id[0])
        return; /* was to be made when its parent is complete */
    if (l->init_id[0])
        (void)dray_driver_call(l->driver, storage, DRAY_CLASS_DATA, NULL, remove, l->init_id);
    if (dray_driver_call(l->driver, storage, DRAY_CLASS_DATA, &err, remove, l->id))
        dray_warn("layer %.12s stays in %s until the next start: %s", l->id,
                  dray_driver_name(l->driver), err.text);
}

static void free_layer(struct img_layer *l)
{
    free(l->key);
    free(l);
}

void img_layer_unref(struct dray_images *im, struct img_layer *l)
{
    while (l) {
        pthread_mutex_lock(&im->lock);
        bool last = --l->refs == 0 && l->state != LAYER_REMOVING;
        if (last)
            l->state = l->state == LAYER_READY ? LAYER_REMOVING : LAYER_ABSENT;
        bool ready = last && l->state == LAYER_REMOVING;
        pthread_mutex_unlock(&im->lock);
        if (!last)
            return;
        if (ready) {
            char name[256];
            (void)snprintf(name, sizeof name, "%s.json", l->key);
            (void)unlinkat(im->layers_fd, name, 0);
            dray_layer_map_remove(im, l);
            drop_in_driver(l);
        }
        pthread_mutex_lock(&im->lock);
        struct img_layer *parent = l->parent;
        l->parent = NULL;
        l->state = LAYER_ABSENT;
        bool wanted = l->refs > 0;
        if (!wanted) {
            (void)lh_table_delete(im->layers, l->key);
            free_layer(l);
        }
        pthread_cond_broadcast(&im->changed);
        pthread_mutex_unlock(&im->lock);
        l = parent;
    }
}

/* The entry of a chain, made if it is not there; referred to. Lock held. */
static struct img_layer *enter_layer(struct dray_images *im, const char *chain, const char *diff)
{
    char *key = layer_key(im->engine->storage, chain);
    void *found = NULL;
    if (key && lh_table_lookup_ex(im->layers, key, &found)) {
        free(key);
        ((struct img_layer *)found)->refs++;
        return found;
    }
    struct img_layer *l = key ? calloc(1, sizeof *l) : NULL;
    if (!l || lh_table_insert(im->layers, key, l) != 0) {
        free(key);
        free(l);
        return NULL;
    }
    l->key = key;
    (void)snprintf(l->chain, sizeof l->chain, "%s", chain);
    (void)snprintf(l->diff, sizeof l->diff, "%s", diff);
    l->driver = im->engine->storage;
    l->refs = 1;
    return l;
}

bool img_layer_parallel(const struct img_layer *l)
{
    return dray_driver_features(l->driver) & DRAY_STORAGE_F_PARALLEL_APPLY;
}

static void name_in_driver(struct img_layer *l)
{
    l->id[0] = 'l';
    dray_id_hex(l->id + 1, 32);
}

int img_layer_create(struct dray_images *im, struct img_layer *l, struct dray_err *err)
{
    (void)im;
    name_in_driver(l);
    return dray_driver_call(l->driver, storage, DRAY_CLASS_MOUNT, err, create, l->id,
                            l->parent ? l->parent->id : "", 0, (struct dray_kvs){0});
}

int img_layer_claim(struct dray_images *im, struct img_layer *parent, const char *diff,
                    int abort_fd, struct img_layer **out, bool *mine_out, struct dray_err *err)
{
    char chain[DRAY_DIGEST_LEN];
    img_chain_next(parent ? parent->chain : "", diff, chain);
    int rc = 0;
    unsigned faults = img_flush_faults(im);
    pthread_mutex_lock(&im->lock);
    struct img_layer *l = enter_layer(im, chain, diff);
    while (l && !rc && (l->state == LAYER_BUILDING || l->state == LAYER_REMOVING))
        rc = img_wait(im, abort_fd, err);
    *mine_out = l && !rc && l->state == LAYER_ABSENT;
    bool later = false;
    if (*mine_out) {
        later = parent && parent->state == LAYER_BUILDING && !img_layer_parallel(l);
        l->id[0] = '\0';
        l->state = LAYER_BUILDING;
        l->parent = parent;
        l->init_id[0] = '\0';
        l->size = l->tar_size = 0;
        l->flushed = false;
        l->faults = faults;
        if (parent)
            parent->refs++;
    }
    pthread_mutex_unlock(&im->lock);
    if (!l)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && *mine_out && !later && (rc = img_layer_create(im, l, err)) != 0)
        (void)img_layer_done(im, l, false, 0, NULL);
    if (rc) {
        img_layer_unref(im, l);
        return rc;
    }
    *out = l;
    return 0;
}

int img_layer_done(struct dray_images *im, struct img_layer *l, bool ok, uint64_t size,
                   struct dray_err *err)
{
    int rc = 0;
    l->size = size;
    if (ok)
        rc = write_layer_doc(im, l, err);
    if (!ok || rc)
        drop_in_driver(l);
    pthread_mutex_lock(&im->lock);
    struct img_layer *parent = NULL;
    if (ok && !rc) {
        l->state = LAYER_READY;
    } else {
        l->state = LAYER_ABSENT;
        parent = l->parent;
        l->parent = NULL;
    }
    pthread_cond_broadcast(&im->changed);
    pthread_mutex_unlock(&im->lock);
    img_layer_unref(im, parent);
    return rc;
}

/* --- layers whose chain is known at the end only
 * ------------------------------------------------*/

static struct img_layer *new_anon(struct dray_images *im)
{
    struct img_layer *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->driver = im->engine->storage;
    l->refs = 1;
    l->state = LAYER_BUILDING;
    l->faults = img_flush_faults(im);
    return l;
}

static void set_parent(struct dray_images *im, struct img_layer *l, struct img_layer *parent)
{
    l->parent = parent;
    if (!parent)
        return;
    pthread_mutex_lock(&im->lock);
    parent->refs++;
    pthread_mutex_unlock(&im->lock);
}

int img_layer_anon(struct dray_images *im, struct img_layer *parent, struct img_layer **out,
                   struct dray_err *err)
{
    struct img_layer *l = new_anon(im);
    if (!l)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    l->parent = parent;
    int rc = img_layer_create(im, l, err);
    if (rc) {
        free(l);
        return rc;
    }
    set_parent(im, l, parent);
    *out = l;
    return 0;
}

bool img_layers_float(const struct dray_images *im)
{
    struct dray_driver *d = im->engine->storage;
    return (dray_driver_features(d) & DRAY_STORAGE_F_PARALLEL_APPLY) && dray_driver_has(d, "seal");
}

int img_layer_afloat(struct dray_images *im, struct img_layer **out, struct dray_err *err)
{
    struct img_layer *l = new_anon(im);
    if (!l)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    name_in_driver(l);
    /* Writable is what seal() takes and puts on top of another. */
    int rc = dray_driver_call(l->driver, storage, DRAY_CLASS_MOUNT, err, create, l->id, "",
                              DRAY_LAYER_WRITABLE, (struct dray_kvs){0});
    if (rc)
        free(l);
    else
        *out = l;
    return rc;
}

int img_layer_land(struct dray_images *im, struct img_layer *l, struct img_layer *parent,
                   struct dray_err *err)
{
    int rc = dray_driver_call(l->driver, storage, DRAY_CLASS_MOUNT, err, seal, l->id,
                              parent ? parent->id : "");
    if (!rc)
        set_parent(im, l, parent);
    return rc;
}

void img_layer_anon_drop(struct dray_images *im, struct img_layer *l)
{
    drop_in_driver(l);
    img_layer_unref(im, l->parent);
    free_layer(l);
}

int img_layer_anon_done(struct dray_images *im, struct img_layer *l /* takes */, const char *diff,
                        uint64_t size, struct img_layer **out, struct dray_err *err)
{
    char chain[DRAY_DIGEST_LEN];
    img_chain_next(l->parent ? l->parent->chain : "", diff, chain);
    pthread_mutex_lock(&im->lock);
    struct img_layer *known = enter_layer(im, chain, diff);
    while (known && (known->state == LAYER_BUILDING || known->state == LAYER_REMOVING))
        (void)img_wait(im, -1, NULL);
    bool ours = known && known->state == LAYER_ABSENT;
    if (ours) {
        known->parent = l->parent; /* with its reference */
        memcpy(known->id, l->id, sizeof known->id);
        known->tar_size = l->tar_size;
        known->flushed = false;
        known->faults = l->faults;
        known->init_id[0] = '\0';
        known->state = LAYER_BUILDING;
    }
    pthread_mutex_unlock(&im->lock);
    if (!ours)
        img_layer_anon_drop(im, l);
    else
        free_layer(l);
    if (!known)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = ours ? img_layer_done(im, known, true, size, err) : 0;
    if (rc)
        img_layer_unref(im, known);
    else
        *out = known;
    return rc;
}

/* --- at start ---------------------------------------------------------------------------------*/

static void load_layer(struct dray_images *im, const char *name)
{
    dray_autojson *o = NULL;
    struct dray_err err = {0};
    if (dray_json_load(im->layers_fd, name, &o, &err) ||
        !dray_digest_valid(dray_json_str(o, "chain", "")) || !*dray_json_str(o, "id", "")) {
        dray_error(
            "layer document %s cannot be read%s%s: the layer is unpacked again when it is needed",
            name, err.code ? ": " : "", err.text);
        atomic_store(&im->engine->damaged, true);
        return;
    }
    const char *chain = dray_json_str(o, "chain", "");
    const char *storage = dray_json_str(o, "storage", "");
    struct dray_driver *d = im->engine->drivers
                                ? dray_drivers_find(im->engine->drivers, DRAY_KIND_STORAGE, storage)
                                : NULL;
    if (!d && strcmp(storage, dray_driver_name(im->engine->storage)) == 0)
        d = im->engine->storage;
    if (!d)
        return; /* its driver is not loaded: it is left alone */
    struct img_layer *l = calloc(1, sizeof *l);
    char *key = layer_key(d, chain);
    if (!l || !key || lh_table_insert(im->layers, key, l) != 0) {
        free(l);
        free(key);
        return;
    }
    l->key = key;
    l->driver = d;
    l->state = LAYER_READY;
    l->flushed = true;
    l->size = (uint64_t)dray_json_int(o, "size", 0);
    l->tar_size = (uint64_t)dray_json_int(o, "tar", 0);
    (void)snprintf(l->chain, sizeof l->chain, "%s", chain);
    (void)snprintf(l->diff, sizeof l->diff, "%s", dray_json_str(o, "diff", ""));
    (void)snprintf(l->id, sizeof l->id, "%s", dray_json_str(o, "id", ""));
    (void)snprintf(l->init_id, sizeof l->init_id, "%s", dray_json_str(o, "init", ""));
    /* The parent is found by its chain once all are read. */
    l->parent = NULL;
    const char *parent = dray_json_str(o, "parent", "");
    if (*parent)
        (void)json_object_object_add(im->layer_parents, l->key, json_object_new_string(parent));
}

static void link_parents(struct dray_images *im)
{
    json_object_object_foreach(im->layer_parents, key, value)
    {
        void *found = NULL;
        if (!lh_table_lookup_ex(im->layers, key, &found))
            continue;
        struct img_layer *l = found;
        dray_autofree char *pkey = layer_key(l->driver, json_object_get_string(value));
        if (pkey && lh_table_lookup_ex(im->layers, pkey, &found)) {
            l->parent = found;
            l->parent->refs++;
        } else {
            l->state = LAYER_ABSENT; /* an incomplete chain is no layer */
        }
    }
}

void img_layers_load(struct dray_images *im)
{
    int fd = openat(im->layers_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    im->layer_parents = json_object_new_object();
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (dray_str_suffix(e->d_name, ".json"))
            load_layer(im, e->d_name);
    if (d)
        (void)closedir(d);
    dray_layer_map_tidy(im);
    link_parents(im);
    json_object_put(im->layer_parents);
    im->layer_parents = NULL;
}

/* Drop layers that no image refers to; children go before their parents by themselves. */
static void drop_unused(struct dray_images *im)
{
    for (bool again = true; again;) {
        struct img_layer *unused = NULL;
        struct lh_entry *e;
        pthread_mutex_lock(&im->lock);
        lh_foreach(im->layers, e)
        {
            struct img_layer *l = lh_entry_v(e);
            if (l->refs == 0 && l->driver == im->engine->storage &&
                strcmp(l->chain, IMG_EMPTY_DIFF) != 0)
                unused = l;
        }
        if (unused) {
            if (unused->state == LAYER_ABSENT)
                unused->state = LAYER_READY; /* its document and content go, too */
            unused->refs = 1;
        }
        pthread_mutex_unlock(&im->lock);
        again = unused != NULL;
        img_layer_unref(im, unused);
    }
}

static bool alive_ids(struct dray_images *im, struct dray_strlist *out)
{
    bool ok = true;
    struct lh_entry *e;
    pthread_mutex_lock(&im->lock);
    lh_foreach(im->layers, e)
    {
        const struct img_layer *l = lh_entry_v(e);
        if (l->driver != im->engine->storage)
            continue;
        ok = ok && dray_strlist_add(out, l->id);
        if (l->init_id[0])
            ok = ok && dray_strlist_add(out, l->init_id);
    }
    pthread_mutex_unlock(&im->lock);
    return ok;
}

/* Images that were kept for containers only, which are gone. */
static void forget_deleted(struct dray_images *im)
{
    DRAY_AUTO(dray_strlist) ids = {0};
    struct lh_entry *e;
    pthread_mutex_lock(&im->lock);
    lh_foreach(im->by_id, e)
    {
        const struct img *g = lh_entry_v(e);
        if (g->deleted && g->holds.n == 0)
            (void)dray_strlist_add(&ids, g->id);
    }
    pthread_mutex_unlock(&im->lock);
    for (size_t i = 0; i < ids.n; i++)
        img_forget(im, ids.v[i]);
}

int dray_images_collect(struct dray_images *im, struct dray_strs containers, struct dray_err *err)
{
    forget_deleted(im);
    drop_unused(im);
    int64_t old = dray_clock_now() - KEEP_PARTIAL_NS; /* what is younger can be resumed */
    img_drop_orphans(im, old);
    dray_blobs_expire(im->blobs, old);
    DRAY_AUTO(dray_strlist) alive = {0};
    bool ok = alive_ids(im, &alive);
    for (uint64_t i = 0; i < containers.n; i++)
        ok = ok && dray_strlist_add(&alive, containers.v[i]);
    if (!ok)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!dray_driver_has(im->engine->storage, "collect"))
        return 0;
    return dray_driver_call(im->engine->storage, storage, DRAY_CLASS_DATA, err, collect,
                            dray_strlist_view(&alive));
}
