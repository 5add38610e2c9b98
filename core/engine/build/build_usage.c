/* SPDX-License-Identifier: Apache-2.0 */
/* build_usage.c - what the build cache holds, as people see it, and what of it goes. */
#include "engine/build/build_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "engine/events.h"
#include "engine/filters.h"

#include <stdio.h>

/** A record or a folder of the cache, as it was when it was looked at. */
struct row {
    struct build_record *record; /* or */
    struct build_cache_dir *dir;
    char id[72];
    char parent[33];
    char *description;
    const char *type;
    int64_t size, created_ns, used_ns, times;
    bool in_use, shared; /* neither record nor dir: a context */
};

struct rows {
    struct row *v;
    size_t n, cap;
};

static void rows_cleanup(struct rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].description);
    free(r->v);
}

/* --- looking -----------------------------------------------------------------------------------*/

/* Chains of all layers that images have. */
static struct json_object *image_chains(struct dray_images *im)
{
    struct json_object *chains = json_object_new_object();
    struct lh_entry *e;
    pthread_mutex_lock(&im->lock);
    lh_foreach(im->by_id, e)
    {
        const struct img *g = lh_entry_v(e);
        for (const struct img_layer *l = g->top; l; l = l->parent) {
            if (json_object_object_get_ex(chains, l->chain, NULL))
                break; /* then all below are there, too */
            (void)json_object_object_add(chains, l->chain, json_object_new_boolean(true));
        }
    }
    pthread_mutex_unlock(&im->lock);
    return chains;
}

static void parent_name(const char *key, char out[33])
{
    char digest[DRAY_DIGEST_LEN];
    out[0] = '\0';
    if (!*key)
        return;
    dray_digest_of(key, strlen(key), digest);
    (void)snprintf(out, 33, "%.32s", dray_digest_hex(digest));
}

static void fill_record(struct row *row, struct build_record *r, struct json_object *chains)
{
    *row = (struct row){.record = r,
                        .description = strdup(r->description),
                        .type = "regular",
                        .created_ns = r->created_ns,
                        .used_ns = r->used_ns,
                        .times = r->times,
                        .in_use = r->users > 0};
    (void)snprintf(row->id, sizeof row->id, "%s", r->id);
    parent_name(r->parent, row->parent);
    if (!r->pin.layer)
        return;
    row->size = (int64_t)r->pin.layer->size;
    row->shared = json_object_object_get_ex(chains, r->pin.part.chain, NULL);
}

static void fill_dir(struct row *row, struct build_cache_dir *d)
{
    *row = (struct row){.dir = d,
                        .description = dray_strf("mount cache %s", d->id),
                        .type = "exec.cachemount",
                        .created_ns = d->created_ns,
                        .used_ns = d->used_ns,
                        .times = d->times,
                        .in_use = d->users > 0};
    (void)snprintf(row->id, sizeof row->id, "%s", d->name);
}

static void fill_kept(void *ctx, const struct build_kept *k)
{
    struct rows *out = ctx;
    struct row *row = out->n < out->cap ? &out->v[out->n++] : NULL;
    if (!row)
        return;
    *row = (struct row){.description = strdup("local source for context"),
                        .type = "source.local",
                        .size = k->bytes,
                        .created_ns = k->used_ns,
                        .used_ns = k->used_ns,
                        .times = 1};
    (void)snprintf(row->id, sizeof row->id, "%s", k->name);
}

static int look(struct dray_builds *bs, struct rows *out, struct dray_err *err)
{
    dray_autojson *chains = image_chains(bs->engine->images);
    struct lh_entry *e;
    size_t n = (size_t)build_kept_each(bs, NULL, NULL);
    pthread_mutex_lock(&bs->lock);
    for (const struct build_cache_dir *d = bs->mounts; d; d = d->next)
        n++;
    n += (size_t)lh_table_length(bs->records);
    out->v = calloc(n + 1, sizeof *out->v);
    out->cap = n;
    if (out->v) {
        lh_foreach(bs->records, e) fill_record(&out->v[out->n++], lh_entry_v(e), chains);
        for (struct build_cache_dir *d = bs->mounts; d; d = d->next)
            if (!d->fresh && !d->going)
                fill_dir(&out->v[out->n++], d);
    }
    pthread_mutex_unlock(&bs->lock);
    if (!out->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)build_kept_each(bs, fill_kept, out);
    for (size_t i = 0; i < out->n; i++) {
        uint64_t bytes = 0, inodes = 0;
        if (!out->v[i].dir)
            continue;
        (void)dray_fs_usage(bs->mounts_dir, out->v[i].id, &bytes, &inodes, NULL);
        out->v[i].size = (int64_t)bytes;
    }
    return 0;
}

static struct json_object *row_json(const struct row *row)
{
    char when[DRAY_TIME_LEN];
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "ID", row->id);
    if (row->parent[0]) {
        struct json_object *parents = json_object_new_array();
        json_object_array_add(parents, json_object_new_string(row->parent));
        dray_json_add(o, "Parents", parents);
    }
    dray_json_add_str(o, "Type", row->type);
    dray_json_add_str(o, "Description", row->description);
    dray_json_add_bool(o, "InUse", row->in_use);
    dray_json_add_bool(o, "Shared", row->shared);
    dray_json_add_int(o, "Size", row->size);
    dray_time_format(row->created_ns, when);
    dray_json_add_str(o, "CreatedAt", when);
    dray_time_format(row->used_ns, when);
    dray_json_add_str(o, "LastUsedAt", when);
    dray_json_add_int(o, "UsageCount", row->times);
    return o;
}

static int by_use(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->used_ns < y->used_ns ? -1 : x->used_ns > y->used_ns;
}

int dray_builds_usage(struct dray_builds *bs, struct json_object **out, struct dray_err *err)
{
    struct rows rows __attribute__((cleanup(rows_cleanup))) = {0};
    int rc = look(bs, &rows, err);
    if (rc)
        return rc;
    qsort(rows.v, rows.n, sizeof *rows.v, by_use);
    *out = json_object_new_array();
    for (size_t i = 0; i < rows.n; i++)
        json_object_array_add(*out, row_json(&rows.v[i]));
    return 0;
}

/* --- pruning -----------------------------------------------------------------------------------*/

struct rule {
    const struct dray_filters *f;
    bool all, want_use, want_shared, want_private, by_use, by_shared, by_private;
    int64_t until_ns, keep;
};

/* "until" is a time or an age; "unused-for" an age, both of the last use. */
static int read_rule(const struct dray_filters *f, struct rule *r, struct dray_err *err)
{
    const char *until = dray_filters_get(f, "until", 0);
    const char *unused = dray_filters_get(f, "unused-for", 0);
    const char *text = until ? until : unused;
    int64_t now = dray_clock_now(), age = 0;
    r->f = f;
    r->until_ns = INT64_MAX;
    if (text && dray_duration_parse(text, &age))
        r->until_ns = now - age;
    else if (text && !dray_time_parse_when(text, now, &r->until_ns))
        return dray_fail(err, DRAY_E_INVAL, "invalid filter 'until=%s'", text);
    r->by_use = dray_filters_has(f, "inuse");
    r->by_shared = dray_filters_has(f, "shared");
    r->by_private = dray_filters_has(f, "private");
    int rc = dray_filters_bool(f, "inuse", false, &r->want_use, err);
    if (!rc)
        rc = dray_filters_bool(f, "shared", false, &r->want_shared, err);
    return rc ? rc : dray_filters_bool(f, "private", false, &r->want_private, err);
}

static bool goes(const struct rule *r, const struct row *row)
{
    if (row->in_use || row->used_ns > r->until_ns)
        return false;
    if (!r->all && row->shared && !r->by_shared)
        return false;
    if ((r->by_use && r->want_use != row->in_use) ||
        (r->by_shared && r->want_shared != row->shared) ||
        (r->by_private && r->want_private == row->shared))
        return false;
    return dray_filters_prefix(r->f, "id", row->id) &&
           dray_filters_prefix(r->f, "parent", row->parent) &&
           dray_filters_exact(r->f, "type", row->type) &&
           dray_filters_match(r->f, "description", row->description);
}

static bool drop(struct dray_builds *bs, const struct row *row)
{
    if (row->record)
        return build_cache_drop(bs, row->record);
    return row->dir ? build_cache_dir_remove(bs, row->dir) : build_kept_remove(bs, row->id);
}

int dray_builds_prune(struct dray_builds *bs, const struct dray_filters *f, bool all, int64_t keep,
                      struct json_object **out, struct dray_err *err)
{
    struct rows rows __attribute__((cleanup(rows_cleanup))) = {0};
    struct rule rule = {.all = all, .keep = keep};
    int64_t total = 0, gained = 0;
    int rc = read_rule(f, &rule, err);
    pthread_mutex_lock(&bs->prune); /* rows must not be freed by another */
    if (!rc)
        rc = look(bs, &rows, err);
    struct json_object *deleted = json_object_new_array();
    if (rows.n > 1)
        qsort(rows.v, rows.n, sizeof *rows.v, by_use);
    for (size_t i = 0; !rc && i < rows.n; i++)
        total += rows.v[i].size;
    for (size_t i = 0; !rc && i < rows.n && (keep == 0 || total > keep); i++) {
        const struct row *row = &rows.v[i];
        if (!goes(&rule, row) || !drop(bs, row))
            continue;
        total -= row->size;
        gained += row->shared ? 0 : row->size;
        json_object_array_add(deleted, json_object_new_string(row->id));
    }
    pthread_mutex_unlock(&bs->prune);
    if (rc) {
        json_object_put(deleted);
        return rc;
    }
    *out = json_object_new_object();
    dray_json_add(*out, "CachesDeleted", deleted);
    dray_json_add_int(*out, "SpaceReclaimed", gained);
    if (json_object_array_length(deleted) == 0 && keep > 0)
        return 0; /* nothing had to go */
    struct json_object *attrs = json_object_new_object();
    dray_json_addf(attrs, "reclaimed", "%lld", (long long)gained);
    dray_events_emit(bs->engine->events, "builder", "prune", "", attrs);
    return 0;
}
