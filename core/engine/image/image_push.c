/* SPDX-License-Identifier: Apache-2.0 */
/* image_push.c - pushes images: blobs that the registry lacks, then the manifest. */
#include "engine/image/image_variants.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define WORKERS_MAX 16u

struct push_layer {
    struct img_desc desc;
    char id[13]; /* of the diff id: what users see */
};

/* A push under way; its own thread works, the caller's thread talks to the client. */
struct push {
    struct dray_images *im;
    const struct dray_push_req *req;
    struct img_progress progress;
    struct img_source source;
    struct dray_ref ref;

    pthread_mutex_t lock; /* guards next, rc and err while workers run. order: leaf */
    struct push_layer *layers;
    size_t n, next;
    int rc;
    struct dray_err err;
};

/* What is pushed of an image, copied while the lock was held; the blobs are referred to. */
struct snapshot {
    char id[DRAY_DIGEST_LEN]; /* its config's digest */
    struct img_desc manifest;
    struct img_blob **blobs;
    size_t n_blobs;
};

static void snapshot_free(struct dray_images *im, struct snapshot *s)
{
    for (size_t i = 0; i < s->n_blobs; i++)
        img_blob_unref(im, s->blobs[i], false);
    free(s->blobs);
    img_desc_free(&s->manifest);
}

static void free_layers(struct push *p)
{
    for (size_t i = 0; i < p->n; i++)
        img_desc_free(&p->layers[i].desc);
    free(p->layers);
    p->layers = NULL;
    p->n = p->next = 0;
}

/* Refer to a blob of the image. Lock held. */
static bool hold_blob(struct dray_images *im, struct snapshot *s, const char *digest)
{
    s->blobs[s->n_blobs] = img_blob_ref_locked(im, digest);
    return s->blobs[s->n_blobs] && ++s->n_blobs;
}

static bool copy_layers(struct push *p, const struct img *g)
{
    p->layers = calloc(g->n_parts + 1, sizeof *p->layers);
    for (size_t i = 0; p->layers && i < g->n_parts; i++) {
        struct push_layer *l = &p->layers[i];
        l->desc.media_type = strdup(g->parts[i].media_type);
        memcpy(l->desc.digest, g->parts[i].digest, sizeof l->desc.digest);
        l->desc.size = g->parts[i].size;
        p->n = i + 1;
        if (g->parts[i].urls && dray_json_to_strlist(g->parts[i].urls, &l->desc.urls, NULL) != 0)
            return false;
        (void)snprintf(l->id, sizeof l->id, "%.12s", dray_digest_hex(g->parts[i].diff));
        if (!l->desc.media_type)
            return false;
    }
    return p->layers != NULL;
}

static int take_snapshot(struct push *p, const char *key, struct snapshot *s, struct dray_err *err)
{
    char settled[DRAY_DIGEST_LEN] = "";
    *s = (struct snapshot){0};
    pthread_mutex_lock(&p->im->lock);
    const char *known = img_ref_get(p->im, key);
    (void)snprintf(settled, sizeof settled, "%s", known ? known : "");
    pthread_mutex_unlock(&p->im->lock);
    int rc = *settled ? img_settle(p->im, settled, p->source.abort_fd, err) : 0;
    if (rc)
        return rc;
    pthread_mutex_lock(&p->im->lock);
    const char *id = img_ref_get(p->im, key);
    const struct img *g = id ? img_find(p->im, id) : NULL;
    bool ok = g && copy_layers(p, g);
    if (ok) {
        memcpy(s->id, g->id, sizeof s->id);
        memcpy(s->manifest.digest, g->manifest, sizeof s->manifest.digest);
        s->manifest.size = g->manifest_size;
        s->manifest.media_type = strdup(g->manifest_type);
        s->blobs = calloc(g->n_parts + 2, sizeof(struct img_blob *));
        ok = s->blobs && s->manifest.media_type && hold_blob(p->im, s, g->id) &&
             hold_blob(p->im, s, g->manifest);
        for (size_t i = 0; ok && i < g->n_parts; i++)
            ok = hold_blob(p->im, s, g->parts[i].digest);
    }
    pthread_mutex_unlock(&p->im->lock);
    if (!g)
        return dray_fail(err, DRAY_E_NOTFOUND, "An image does not exist locally with the tag: %s",
                         dray_ref_familiar(p->ref.repo));
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* --- one blob ---------------------------------------------------------------------------------*/

/* Does an image with that blob come from, or go to, this repository? Lock held. */
static bool has_part(const struct img *g, const char *digest)
{
    for (size_t i = 0; i < g->n_parts; i++)
        if (strcmp(g->parts[i].digest, digest) == 0)
            return true;
    return false;
}

/* Another repository of the same registry that has the blob; owned, or NULL. */
static char *mount_source(struct push *p, const char *digest)
{
    size_t domain = strcspn(p->ref.repo, "/") + 1;
    char *found = NULL;
    struct lh_entry *e;
    pthread_mutex_lock(&p->im->lock);
    lh_foreach(p->im->refs, e)
    {
        const struct img_ref *r = lh_entry_v(e);
        if (!dray_ref_key_is_digest(r->key) || strncmp(r->key, p->ref.repo, domain) != 0)
            continue;
        char *repo = dray_ref_key_repo(r->key);
        const struct img *g = img_find(p->im, r->id);
        if (repo && strcmp(repo, p->ref.repo) != 0 && g && has_part(g, digest)) {
            found = repo;
            break;
        }
        free(repo);
    }
    pthread_mutex_unlock(&p->im->lock);
    return found;
}

enum push_result { PUSH_UPLOADED, PUSH_EXISTED, PUSH_MOUNTED };

/* Whose bar moves while a driver uploads. */
struct push_bar {
    struct push *push;
    const char *id;
    uint64_t total;
};

static int32_t move_bar(void *ctx, const struct dray_record *rec)
{
    const struct push_bar *b = ctx;
    if (rec->type == DRAY_REC_PROGRESS && b->id)
        img_progress_add(
            &b->push->progress,
            img_progress_bar(b->id, "Pushing",
                             strtoull(dray_kvs_get(rec->fields, "current", "0"), NULL, 10),
                             b->total));
    return 0;
}

/* id: what users see, NULL for no bar. */
static int upload(struct push *p, const struct img_desc *d, const char *id, const char *tag,
                  struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = dray_blobs_get(p->im->blobs, d->digest, &fd, NULL, err);
    if (!rc) /* not every registry looks itself */
        rc = dray_blobs_check(p->im->blobs, fd, d->digest, p->source.abort_fd, err);
    if (rc)
        return rc;
    struct dray_desc view = img_desc_view(d);
    struct push_bar bar = {p, id, d->size};
    DRAY_AUTO(dray_call_scope) c = {0};
    dray_call_emit_to(&c, move_bar, &bar);
    rc = dray_call_enter(&c, p->source.driver, DRAY_CLASS_DATA, p->source.abort_fd, err);
    if (!rc)
        rc = ((const struct dray_registry_ops *)c.ops)
                 ->push(c.self, &c.call, p->source.repo, tag, &view, p->source.auth,
                        (struct dray_fd_borrow){fd}, err);
    return rc;
}

static int stat_blob(struct push *p, const struct img_desc *d)
{
    struct dray_desc view = img_desc_view(d);
    DRAY_AUTO(dray_call_scope) c = {0};
    int rc = dray_call_enter(&c, p->source.driver, DRAY_CLASS_DATA, p->source.abort_fd, NULL);
    return rc ? rc
              : ((const struct dray_registry_ops *)c.ops)
                    ->stat(c.self, &c.call, p->source.repo, &view, p->source.auth, NULL);
}

static int mount_blob(struct push *p, const struct img_desc *d, const char *from)
{
    struct dray_desc view = img_desc_view(d);
    DRAY_AUTO(dray_call_scope) c = {0};
    int rc = dray_call_enter(&c, p->source.driver, DRAY_CLASS_DATA, p->source.abort_fd, NULL);
    return rc ? rc
              : ((const struct dray_registry_ops *)c.ops)
                    ->mount(c.self, &c.call, p->source.repo, from, &view, p->source.auth, NULL);
}

static int push_blob(struct push *p, const struct img_desc *d, const char *id,
                     enum push_result *result, char **from_out, struct dray_err *err)
{
    *result = PUSH_EXISTED;
    if (stat_blob(p, d) == 0)
        return 0;
    *from_out = mount_source(p, d->digest);
    if (*from_out && mount_blob(p, d, *from_out) == 0) {
        *result = PUSH_MOUNTED;
        return 0;
    }
    *result = PUSH_UPLOADED;
    int max = dray_engine_live(p->im->engine)->max_concurrent_uploads;
    int rc = img_slot_take(p->im, &p->im->uploads, max > 0 ? (unsigned)max : UINT32_MAX,
                           p->source.abort_fd, err);
    if (rc)
        return rc;
    if (id)
        img_progress_add(&p->progress, img_progress_bar(id, "Pushing", 0, d->size));
    rc = upload(p, d, id, "", err);
    img_slot_give(p->im, &p->im->uploads);
    if (!rc && id)
        img_progress_add(&p->progress, img_progress_bar(id, "Pushing", d->size, d->size));
    return rc;
}

static int push_layer(struct push *p, struct push_layer *l, struct dray_err *err)
{
    if (l->desc.urls.n > 0) {
        img_progress_say(&p->progress, l->id, "Skipped foreign layer");
        return 0;
    }
    enum push_result result = PUSH_EXISTED;
    dray_autofree char *from = NULL;
    int rc = push_blob(p, &l->desc, l->id, &result, &from, err);
    if (rc)
        return rc;
    if (result == PUSH_EXISTED)
        img_progress_say(&p->progress, l->id, "Layer already exists");
    else if (result == PUSH_MOUNTED)
        img_progress_say(&p->progress, l->id, "Mounted from %s", dray_ref_path(from));
    else
        img_progress_say(&p->progress, l->id, "Pushed");
    return 0;
}

/* --- one image --------------------------------------------------------------------------------*/

static void *worker(void *arg)
{
    struct push *p = arg;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        size_t i = p->rc ? p->n : p->next++;
        pthread_mutex_unlock(&p->lock);
        if (i >= p->n)
            return NULL;
        struct dray_err why = {0};
        int rc = push_layer(p, &p->layers[i], &why);
        if (!rc)
            continue;
        pthread_mutex_lock(&p->lock);
        if (!p->rc) {
            p->rc = rc;
            p->err = why;
        }
        pthread_mutex_unlock(&p->lock);
        img_progress_abort(&p->progress);
        return NULL;
    }
}

static int push_layers(struct push *p, struct dray_err *err)
{
    pthread_t threads[WORKERS_MAX];
    int max = dray_engine_live(p->im->engine)->max_concurrent_uploads;
    size_t want = max > 0 && (unsigned)max < WORKERS_MAX ? (size_t)max : WORKERS_MAX, n = 0;
    want = want < p->n ? want : p->n;
    for (size_t i = p->n; i > 0; i--)
        img_progress_say(&p->progress, p->layers[i - 1].id, "Preparing");
    while (n < want && pthread_create(&threads[n], NULL, worker, p) == 0)
        n++;
    if (n == 0 && p->n > 0)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    for (size_t i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
    if (p->rc && err)
        *err = p->err;
    return p->rc;
}

static int push_config(struct push *p, const struct snapshot *s, struct dray_err *err)
{
    enum push_result result;
    dray_autofree char *from = NULL;
    struct img_desc config = {.media_type = (char *)(uintptr_t)MT_DOCKER_CONFIG};
    memcpy(config.digest, s->id, sizeof config.digest);
    if (!dray_blobs_has(p->im->blobs, s->id, &config.size))
        return dray_fail(err, DRAY_E_CORRUPT, "the config of image %.19s is missing", s->id);
    return push_blob(p, &config, NULL, &result, &from, err);
}

static void tell_aux(struct push *p, struct json_object *aux /* takes */)
{
    struct json_object *line = json_object_new_object();
    dray_json_add(line, "progressDetail", json_object_new_object());
    dray_json_add(line, "aux", aux);
    img_progress_add(&p->progress, line);
}

static void tell_result(struct push *p, const char *tag, const struct img_desc *root)
{
    img_progress_say(&p->progress, NULL, "%s: digest: %s size: %llu", tag, root->digest,
                     (unsigned long long)root->size);
    struct json_object *aux = json_object_new_object();
    dray_json_add_str(aux, "Tag", tag);
    dray_json_add_str(aux, "Digest", root->digest);
    dray_json_add_int(aux, "Size", (int64_t)root->size);
    tell_aux(p, aux);
}

/* --- platforms --------------------------------------------------------------------------------*/

/* Refer to all that a variant consists of; it may leave meanwhile. */
static int hold_variant(struct dray_images *im, const struct img_variant *v, struct snapshot *s,
                        struct dray_err *err)
{
    s->blobs = calloc(v->blobs.n + 1, sizeof(struct img_blob *));
    bool ok = s->blobs != NULL, here = true;
    pthread_mutex_lock(&im->lock);
    for (size_t i = 0; ok && i <= v->blobs.n; i++) {
        ok = hold_blob(im, s, i ? v->blobs.v[i - 1] : v->manifest.digest);
        here = here && ok && (img_blob_here(s->blobs[i]) || i > 1); /* layers may be foreign */
    }
    pthread_mutex_unlock(&im->lock);
    if (!ok)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return here ? 0 : dray_fail(err, DRAY_E_NOTFOUND, "content %s is gone", v->manifest.digest);
}

/* The layers of a manifest that is here. */
static int read_layers(struct push *p, struct json_object *manifest, struct json_object *config,
                       struct dray_err *err)
{
    struct json_object *layers = dray_json_arr(manifest, "layers");
    struct json_object *diffs = dray_json_arr(config, "rootfs.diff_ids");
    size_t n = dray_json_len(layers);
    free_layers(p);
    p->layers = calloc(n + 1, sizeof *p->layers);
    if (!p->layers)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct push_layer *l = &p->layers[i];
        int rc = img_desc_parse(json_object_array_get_idx(layers, i), &l->desc, err);
        if (rc)
            return rc;
        struct json_object *diff =
            i < dray_json_len(diffs) ? json_object_array_get_idx(diffs, i) : NULL;
        const char *digest = json_object_is_type(diff, json_type_string)
                                 ? json_object_get_string(diff)
                                 : l->desc.digest;
        (void)snprintf(l->id, sizeof l->id, "%.12s",
                       dray_digest_hex(dray_digest_valid(digest) ? digest : l->desc.digest));
        p->n = i + 1;
    }
    return 0;
}

static int push_content(struct push *p, const struct snapshot *s, struct dray_err *err)
{
    int rc = push_layers(p, err);
    return rc ? rc : push_config(p, s, err);
}

/* Another platform than the unpacked one. tag "": by its digest. */
static int push_variant(struct push *p, const struct img_variant *v, const char *tag,
                        struct dray_err *err)
{
    struct snapshot s = {0};
    dray_autojson *manifest = NULL;
    dray_autojson *config = NULL;
    memcpy(s.id, v->config, sizeof s.id);
    int rc = hold_variant(p->im, v, &s, err);
    if (!rc)
        rc = img_read_json(p->im, v->manifest.digest, MANIFEST_MAX, &manifest, err);
    if (!rc)
        rc = img_read_json(p->im, v->config, CONFIG_MAX, &config, err);
    if (!rc)
        rc = read_layers(p, manifest, config, err);
    if (!rc)
        rc = push_content(p, &s, err);
    if (!rc)
        rc = upload(p, &v->manifest, NULL, tag, err);
    snapshot_free(p->im, &s);
    return rc;
}

/* All of an index, its manifests by their digests. The layers of p are the unpacked one's. */
static int push_index(struct push *p, const struct img_variants *vs, const struct snapshot *own,
                      const char *tag, struct dray_err *err)
{
    int rc = push_content(p, own, err);
    if (!rc)
        rc = upload(p, &own->manifest, NULL, "", err);
    for (size_t i = 0; !rc && i < vs->n; i++)
        if (!vs->v[i].own)
            rc = push_variant(p, &vs->v[i], "", err);
    return rc ? rc : upload(p, &vs->index, NULL, tag, err);
}

/* The unpacked one. If the image came from an index of which more is not here, say so as Docker. */
static int push_own(struct push *p, const struct img_variants *vs, const struct snapshot *own,
                    const char *tag, struct dray_err *err)
{
    int rc = push_content(p, own, err);
    if (!rc)
        rc = upload(p, &own->manifest, NULL, tag, err);
    if (rc || p->req->platform || !vs->index.digest[0])
        return rc;
    struct json_object *aux = json_object_new_object();
    dray_json_add_bool(aux, "manifestPushedInsteadOfIndex", true);
    dray_json_add(aux, "originalIndex", img_desc_json(&vs->index));
    dray_json_add(aux, "selectedManifest", img_desc_json(&own->manifest));
    tell_aux(p, aux);
    return 0;
}

/* What the tag shall name; *known_out: its digest names the image here as well. */
static int push_root(struct push *p, const struct img_variants *vs, const struct snapshot *own,
                     const char *tag, const struct img_desc **root_out, bool *known_out,
                     struct dray_err *err)
{
    const struct img_variant *v = NULL;
    bool index = !p->req->platform && vs->index.digest[0] && vs->all_here;
    int rc = 0;
    if (p->req->platform)
        rc = img_variants_find(vs, dray_ref_familiar(p->ref.repo), p->req->platform, &v, err);
    if (rc)
        return rc;
    *known_out = !v || v->own;
    *root_out = index ? &vs->index : *known_out ? &own->manifest : &v->manifest;
    if (index)
        return push_index(p, vs, own, tag, err);
    return *known_out ? push_own(p, vs, own, tag, err) : push_variant(p, v, tag, err);
}

static int push_tag(struct push *p, const char *tag, struct dray_err *err)
{
    struct dray_ref by_tag = {.repo = p->ref.repo, .tag = (char *)(uintptr_t)tag};
    dray_autofree char *key = dray_ref_key(&by_tag);
    struct snapshot s;
    int rc = key ? take_snapshot(p, key, &s, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!key)
        return rc;
    DRAY_AUTO(img_variants) vs = {0};
    const struct img_desc *root = NULL;
    bool known = false;
    if (!rc)
        rc = img_variants_open(p->im, s.id, &vs, err);
    if (!rc)
        rc = push_root(p, &vs, &s, tag, &root, &known, err);
    if (!rc && known) {
        char digest[DRAY_DIGEST_LEN];
        memcpy(digest, root->digest, sizeof digest);
        struct dray_ref by_digest = {.repo = p->ref.repo, .digest = digest};
        dray_autofree char *digest_key = dray_ref_key(&by_digest);
        rc = digest_key ? img_ref_set(p->im, digest_key, s.id, false, err)
                        : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    if (!rc) {
        const char *shown = dray_ref_familiar(p->ref.repo);
        dray_autofree char *actor = dray_strf("%s:%s", shown, tag);
        tell_result(p, tag, root);
        img_event(p->im, actor ? actor : shown, shown, "push");
    }
    free_layers(p);
    snapshot_free(p->im, &s);
    return rc;
}

/* The tags of the repository that are here. */
static void local_tags(struct push *p, struct dray_strlist *out)
{
    struct lh_entry *e;
    pthread_mutex_lock(&p->im->lock);
    lh_foreach(p->im->refs, e)
    {
        const struct img_ref *r = lh_entry_v(e);
        dray_autofree char *repo = dray_ref_key_repo(r->key);
        if (repo && strcmp(repo, p->ref.repo) == 0 && !dray_ref_key_is_digest(r->key))
            (void)dray_strlist_add(out, dray_ref_key_tag(r->key));
    }
    pthread_mutex_unlock(&p->im->lock);
    dray_strlist_sort(out);
}

static void *push_thread(void *arg)
{
    struct push *p = arg;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    DRAY_AUTO(dray_strlist) tags = {0};
    if (p->req->tag && *p->req->tag)
        (void)dray_strlist_add(&tags, p->req->tag);
    else
        local_tags(p, &tags);
    struct dray_err why = {0};
    int rc = 0;
    img_progress_say(&p->progress, NULL, "The push refers to repository [%s]", p->ref.repo);
    if (tags.n == 0)
        rc = dray_fail(&why, DRAY_E_NOTFOUND, "An image does not exist locally with the tag: %s",
                       dray_ref_familiar(p->ref.repo));
    for (size_t i = 0; !rc && i < tags.n; i++)
        rc = push_tag(p, tags.v[i], &why);
    p->rc = rc;
    p->err = why;
    img_progress_end(&p->progress);
    return NULL;
}

static int run(struct push *p, dray_progress_fn fn, void *ctx, struct dray_err *err)
{
    pthread_t thread;
    int rc = img_source_open(p->im, dray_ref_source(&p->ref), p->req->auth, p->progress.abort_fd,
                             &p->source, err);
    if (rc)
        return rc;
    if (pthread_create(&thread, NULL, push_thread, p) != 0)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    img_progress_pump(&p->progress, p->req->cancel_fd, fn, ctx, NULL, NULL);
    (void)pthread_join(thread, NULL);
    if (p->rc && err)
        *err = p->err;
    return p->rc;
}

int dray_images_push(struct dray_images *im, const struct dray_push_req *req, dray_progress_fn fn,
                     void *ctx, struct dray_err *err)
{
    struct push p = {.im = im, .req = req};
    int rc = dray_ref_parse(req->name, &p.ref, err);
    if (!rc && req->tag && *req->tag && !dray_ref_tag_valid(req->tag))
        rc = dray_fail(err, DRAY_E_INVAL, "invalid tag format");
    if (!rc)
        rc = img_progress_init(&p.progress, err);
    if (!rc) {
        pthread_mutex_init(&p.lock, NULL);
        rc = run(&p, fn, ctx, err);
        pthread_mutex_destroy(&p.lock);
        img_progress_fini(&p.progress);
    }
    dray_ref_free(&p.ref);
    return rc;
}
