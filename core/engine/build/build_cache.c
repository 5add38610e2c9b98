/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_cache.c - results of build steps, one small file each, that keep their layers.
 *
 * Files are replaced in one step and not flushed: they survive the death of the daemon. After a
 * power loss those are dropped that are younger than the last flush of the image store.
 */
#include "engine/build/build_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/logging.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#define DRAY_LOG_AREA "build"
#define TRUST_FILE "trust.json"
#define SAVE_USE_NS (600 * DRAY_NS_PER_S) /* how old the noted use of a record may be */

static void record_free(struct dray_images *im, struct build_record *r)
{
    if (!r)
        return;
    build_pin_drop(im, &r->pin);
    free(r->key);
    free(r->value);
    free(r->description);
    free(r->parent);
    free(r);
}

static void file_name(const struct build_record *r, char out[48])
{
    (void)snprintf(out, 48, "%s.json", r->id);
}

static void name_of(const char *key, char out[33])
{
    char digest[DRAY_DIGEST_LEN];
    dray_digest_of(key, strlen(key), digest);
    (void)snprintf(out, 33, "%.32s", dray_digest_hex(digest));
}

/* --- documents ---------------------------------------------------------------------------------*/

static struct json_object *part_json(const struct build_part *p)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "chain", p->chain);
    dray_json_add_str(o, "diff", p->diff);
    dray_json_add_str(o, "digest", p->digest);
    dray_json_add_int(o, "size", (int64_t)p->size);
    dray_json_add_str(o, "type", p->media_type);
    return o;
}

static void part_read(struct json_object *o, struct build_part *p)
{
    (void)snprintf(p->chain, sizeof p->chain, "%s", dray_json_str(o, "chain", ""));
    (void)snprintf(p->diff, sizeof p->diff, "%s", dray_json_str(o, "diff", ""));
    (void)snprintf(p->digest, sizeof p->digest, "%s", dray_json_str(o, "digest", ""));
    (void)snprintf(p->media_type, sizeof p->media_type, "%s", dray_json_str(o, "type", ""));
    p->size = (uint64_t)dray_json_int(o, "size", 0);
}

static int write_doc(struct dray_builds *bs, const struct build_record *r, struct dray_err *err)
{
    dray_autojson *o = json_object_new_object();
    dray_json_add_str(o, "key", r->key);
    dray_json_add_str(o, "value", r->value);
    dray_json_add_str(o, "description", r->description);
    dray_json_add_str(o, "parent", r->parent);
    dray_json_add_int(o, "created", r->created_ns);
    dray_json_add_int(o, "used", r->used_ns);
    dray_json_add_int(o, "times", r->times);
    if (r->pin.layer)
        dray_json_add(o, "layer", part_json(&r->pin.part));
    char name[48];
    file_name(r, name);
    const char *text = dray_json_text(o);
    return dray_fs_replace(bs->cache_dir, name, text, strlen(text), 0600, DRAY_FS_PLAIN, err);
}

static bool fill_texts(struct build_record *r, const char *key, const char *value,
                       const char *description, const char *parent)
{
    r->key = strdup(key);
    r->value = strdup(value);
    r->description = strdup(description);
    r->parent = strdup(parent);
    return r->key && r->value && r->description && r->parent;
}

/* Refer to the layer and the blob of a part that is here; false: it is not. */
static bool take_part(struct dray_images *im, const struct build_part *part, struct build_pin *out)
{
    pthread_mutex_lock(&im->lock);
    struct img_layer *l = img_layer_find(im, part->chain);
    struct img_blob *blob = l ? img_blob_ref_locked(im, part->digest) : NULL;
    if (blob)
        img_layer_ref_locked(l);
    bool here = blob && img_blob_here(blob);
    pthread_mutex_unlock(&im->lock);
    if (!blob)
        return false;
    *out = (struct build_pin){.layer = l, .blob = blob, .part = *part};
    if (here || strcmp(part->digest, part->diff) == 0) /* img_settle() makes it */
        return true;
    build_pin_drop(im, out);
    return false;
}

/* --- at start ----------------------------------------------------------------------------------*/

static void boot_id(char out[64])
{
    DRAY_AUTO(dray_buf) b = {0};
    (void)dray_fs_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 63, &b, NULL);
    (void)snprintf(out, 64, "%.*s", (int)strcspn(b.data ? b.data : "", "\n"), b.data ? b.data : "");
}

static void write_trust(struct dray_builds *bs, int64_t flushed_ns)
{
    char boot[64];
    boot_id(boot);
    dray_autojson *o = json_object_new_object();
    dray_json_add_str(o, "boot", boot);
    dray_json_add_int(o, "flushed", flushed_ns);
    const char *text = dray_json_text(o);
    (void)dray_fs_replace(bs->dir, TRUST_FILE, text, strlen(text), 0600, DRAY_FS_PLAIN, NULL);
}

void build_cache_flushed(struct dray_builds *bs, int64_t when_ns)
{
    write_trust(bs, when_ns);
}

/* The time after which records cannot be relied upon. */
static int64_t trusted_until(struct dray_builds *bs)
{
    char boot[64];
    boot_id(boot);
    dray_autojson *o = NULL;
    if (dray_json_load(bs->dir, TRUST_FILE, &o, NULL) != 0)
        return INT64_MAX; /* there is nothing yet */
    int64_t flushed = dray_json_int(o, "flushed", 0);
    if (*boot && strcmp(boot, dray_json_str(o, "boot", "")) == 0)
        return INT64_MAX;
    write_trust(bs, flushed);
    return flushed;
}

static struct build_record *read_record(struct dray_builds *bs, const char *file, int64_t until)
{
    dray_autojson *o = NULL;
    if (dray_json_load(bs->cache_dir, file, &o, NULL) != 0)
        return NULL;
    struct build_record *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    struct json_object *layer = dray_json_obj(o, "layer");
    struct build_part part = {0};
    part_read(layer, &part);
    r->created_ns = dray_json_int(o, "created", 0);
    r->used_ns = r->saved_ns = dray_json_int(o, "used", 0);
    r->times = dray_json_int(o, "times", 0);
    bool ok = fill_texts(r, dray_json_str(o, "key", ""), dray_json_str(o, "value", ""),
                         dray_json_str(o, "description", ""), dray_json_str(o, "parent", ""));
    if (ok)
        name_of(r->key, r->id);
    ok = ok && strncmp(r->id, file, 32) == 0 && r->created_ns <= until;
    if (ok && (!layer || take_part(bs->engine->images, &part, &r->pin)))
        return r;
    record_free(bs->engine->images, r);
    return NULL;
}

int build_cache_load(struct dray_builds *bs, struct dray_err *err)
{
    bs->records = lh_kchar_table_new(256, NULL);
    int fd = openat(bs->cache_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!bs->records || !d)
        return dray_fail(err, DRAY_E_IO, "read the folder of the build cache");
    int64_t until = trusted_until(bs);
    if (faccessat(bs->dir, TRUST_FILE, F_OK, 0) != 0)
        write_trust(bs, 0);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.' && (e->d_name[1] == '\0' || e->d_name[1] == '.'))
            continue;
        struct build_record *r = read_record(bs, e->d_name, until);
        if (r && lh_table_insert(bs->records, r->key, r) == 0)
            continue;
        dray_info("record %s of the build cache is of no use any more: removed", e->d_name);
        record_free(bs->engine->images, r);
        (void)dray_fs_remove_tree(bs->cache_dir, e->d_name, NULL);
    }
    (void)closedir(d);
    return 0;
}

void build_cache_free(struct dray_builds *bs)
{
    struct lh_entry *e;
    if (!bs->records)
        return;
    /* The layers stay on the disk: their references are only forgotten with the image store. */
    lh_foreach(bs->records, e)
    {
        struct build_record *r = lh_entry_v(e);
        r->pin = (struct build_pin){0};
        record_free(bs->engine->images, r);
    }
    lh_table_free(bs->records);
}

/* --- get ---------------------------------------------------------------------------------------*/

/* Are all layers below known to the build, so that an image can be made? */
static bool below_known(struct build *b, const struct img_layer *l)
{
    struct build_part part;
    for (l = l ? l->parent : NULL; l; l = l->parent)
        if (!build_part_find(b, l->chain, &part))
            return false;
    return true;
}

static bool note_user(struct build *b, struct build_record *r)
{
    struct build_record **v = reallocarray(b->used, b->n_used + 1, sizeof *v);
    if (!v)
        return false;
    b->used = v;
    b->used[b->n_used++] = r;
    r->users++;
    return true;
}

/* The record, with a reference of the build's; its layer pinned in *pin. */
static bool use_record(struct build *b, const char *key, struct build_pin *pin,
                       struct dray_build_record *out)
{
    struct dray_builds *bs = b->set;
    void *found = NULL;
    bool ok = false;
    pthread_mutex_lock(&b->lock);
    pthread_mutex_lock(&bs->lock);
    if (lh_table_lookup_ex(bs->records, key, &found)) {
        struct build_record *r = found;
        ok = (!r->pin.layer || take_part(b->e->images, &r->pin.part, pin)) && note_user(b, r);
        if (ok) {
            r->used_ns = dray_clock_now();
            r->times++;
            out->value = r->value;
            out->description = r->description;
            out->parent = r->parent;
        }
    }
    pthread_mutex_unlock(&bs->lock);
    pthread_mutex_unlock(&b->lock);
    return ok;
}

int32_t build_cache_get(const struct dray_call *call, const char *key,
                        struct dray_build_record *out, struct dray_err *err)
{
    struct build *b = build_of(call, err);
    if (!b)
        return DRAY_E_INVAL;
    struct build_pin pin = {0};
    struct dray_build_record rec = {.size = sizeof rec, .layer = ""};
    if (!use_record(b, key, &pin, &rec))
        return dray_fail(err, DRAY_E_NOTFOUND, "no such record: %.80s", key);
    if (!below_known(b, pin.layer)) {
        build_pin_drop(b->e->images, &pin);
        return dray_fail(err, DRAY_E_NOTFOUND, "what %.80s was made on is not known", key);
    }
    if (pin.layer) {
        rec.layer = build_text(b, pin.part.chain);
        int rc =
            rec.layer ? build_pin_add(b, &pin, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
        if (rc)
            return rc;
    }
    *out = rec;
    return 0;
}

/* --- put ---------------------------------------------------------------------------------------*/

static struct build_record *make_record(struct build *b, const char *key,
                                        const struct dray_build_record *rec, struct dray_err *err)
{
    struct build_record *r = calloc(1, sizeof *r);
    if (!r || !fill_texts(r, key, rec->value, rec->description, rec->parent)) {
        record_free(b->e->images, r);
        (void)dray_fail(err, DRAY_E_NOMEM, "out of memory");
        return NULL;
    }
    name_of(key, r->id);
    r->created_ns = r->used_ns = r->saved_ns = dray_clock_now();
    r->times = 1;
    struct build_part part;
    if (*rec->layer &&
        !(build_part_find(b, rec->layer, &part) && take_part(b->e->images, &part, &r->pin))) {
        record_free(b->e->images, r);
        (void)dray_fail(err, DRAY_E_NOTFOUND, "no such layer in this build: %.80s", rec->layer);
        return NULL;
    }
    return r;
}

/* Builds that hold the old record keep reading its texts: it is only emptied into the new. */
static void enter_record(struct build *b, struct build_record *r)
{
    struct dray_builds *bs = b->set;
    void *found = NULL;
    pthread_mutex_lock(&bs->prune);
    pthread_mutex_lock(&b->lock);
    pthread_mutex_lock(&bs->lock);
    struct build_record *old = NULL;
    if (lh_table_lookup_ex(bs->records, r->key, &found)) {
        old = found;
        (void)lh_table_delete(bs->records, old->key);
    }
    if (lh_table_insert(bs->records, r->key, r) == 0)
        (void)note_user(b, r);
    bool drop = old && old->users == 0;
    if (old && !drop)
        old->id[0] = '\0'; /* the last build that uses it frees it */
    pthread_mutex_unlock(&bs->lock);
    pthread_mutex_unlock(&b->lock);
    if (drop)
        record_free(bs->engine->images, old);
    pthread_mutex_unlock(&bs->prune);
}

int32_t build_cache_put(const struct dray_call *call, const char *key,
                        const struct dray_build_record *rec, struct dray_err *err)
{
    struct build *b = build_of(call, err);
    if (!b)
        return DRAY_E_INVAL;
    struct build_record *r = make_record(b, key, rec, err);
    if (!r)
        return err ? err->code : DRAY_E_NOMEM;
    int rc = write_doc(b->set, r, err);
    if (rc) {
        record_free(b->e->images, r);
        return dray_err_note(err, "remember a step");
    }
    enter_record(b, r);
    return 0;
}

void build_cache_release(struct build *b)
{
    struct dray_builds *bs = b->set;
    for (size_t i = 0; i < b->n_used; i++) {
        struct build_record *r = b->used[i];
        pthread_mutex_lock(&bs->lock);
        bool drop = --r->users == 0 && !r->id[0];
        bool touched = r->users == 0 && r->id[0] && r->used_ns - r->saved_ns > SAVE_USE_NS;
        if (touched && write_doc(bs, r, NULL) == 0)
            r->saved_ns = r->used_ns;
        pthread_mutex_unlock(&bs->lock);
        if (drop)
            record_free(bs->engine->images, r);
    }
    b->n_used = 0;
}

bool build_cache_drop(struct dray_builds *bs, struct build_record *r)
{
    char name[48];
    pthread_mutex_lock(&bs->lock);
    bool idle = r->users == 0;
    if (idle) {
        file_name(r, name);
        (void)unlinkat(bs->cache_dir, name, 0);
        (void)lh_table_delete(bs->records, r->key);
    }
    pthread_mutex_unlock(&bs->lock);
    if (idle)
        record_free(bs->engine->images, r);
    return idle;
}
