/* SPDX-License-Identifier: Apache-2.0 */
/* image_pull.c - pulls images: from a reference to a listed image. */
#include "engine/image/image_manifest.h"
#include "engine/image/image_pull.h"

#include <signal.h>
#include <stdio.h>

#define INDEX_DEPTH 3

/* A pull under way; its own thread works, the caller's thread talks to the client. */
struct pull {
    struct dray_images *im;
    const struct dray_pull_req *req;
    struct img_progress progress;
    struct img_source source;
    struct dray_ref ref;
    struct img_platform platform;

    pthread_mutex_t lock;       /* guards layers. order: before the progress's */
    struct pull_layers *layers; /* what a tick shows, or NULL */

    bool any_new; /* a name stands for another image than before */
    int rc;
    struct dray_err err;
};

/* What is brought together for one image before it is listed. */
struct found {
    struct img_blob *blobs[8]; /* indexes, manifest, config */
    size_t n_blobs;
    char index[DRAY_DIGEST_LEN];
    struct img_desc manifest, config;
    struct dray_buf manifest_text, config_text;
    struct json_object *doc, *config_doc;
    struct json_object *layers; /* borrowed from doc */
};

static void found_free(struct pull *p, struct found *f, bool keep)
{
    for (size_t i = 0; i < f->n_blobs; i++)
        img_blob_unref(p->im, f->blobs[i], keep);
    img_desc_free(&f->manifest);
    img_desc_free(&f->config);
    dray_buf_free(&f->manifest_text);
    dray_buf_free(&f->config_text);
    json_object_put(f->doc);
    json_object_put(f->config_doc);
}

/* Get something small, from here if it is here, and store it. */
static int get_small(struct pull *p, struct found *f, const struct img_desc *d, size_t max,
                     struct dray_buf *text, struct dray_err *err)
{
    if (f->n_blobs == sizeof f->blobs / sizeof *f->blobs)
        return dray_fail(err, DRAY_E_LIMIT, "too many nested manifests");
    int rc = dray_blobs_read(p->im->blobs, d->digest, max, text, NULL);
    if (rc) {
        dray_buf_reset(text);
        rc = img_source_get(&p->source, d, max, text, err);
    }
    if (!rc)
        rc = img_blob_put(p->im, text->data ? text->data : "", text->len, &f->blobs[f->n_blobs],
                          err);
    if (!rc)
        f->n_blobs++;
    return rc;
}

/* Follow indexes down to the manifest for the platform. */
static int find_manifest(struct pull *p, const struct img_desc *root, struct found *f,
                         struct dray_err *err)
{
    DRAY_AUTO(img_desc) at = {.media_type = strdup(root->media_type), .size = root->size};
    memcpy(at.digest, root->digest, sizeof at.digest);
    if (!at.media_type)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (int depth = 0; img_is_index(at.media_type); depth++) {
        DRAY_AUTO(dray_buf) text = {0};
        dray_autojson *index = NULL;
        struct json_object *entry = NULL;
        if (depth == INDEX_DEPTH)
            return dray_fail(err, DRAY_E_CORRUPT, "manifest lists are nested too deeply");
        int rc = get_small(p, f, &at, MANIFEST_MAX, &text, err);
        if (!rc && dray_json_parse(text.data, text.len, &index, NULL) != 0)
            rc = dray_fail(err, DRAY_E_CORRUPT, "the manifest list is not valid JSON");
        if (!rc)
            rc = img_index_choose(index, &p->platform, &entry, err);
        if (rc)
            return rc;
        if (!f->index[0])
            memcpy(f->index, at.digest, sizeof f->index);
        img_desc_free(&at);
        rc = img_desc_parse(entry, &at, err);
        if (rc)
            return rc;
    }
    if (strstr(at.media_type, MT_DOCKER_V1))
        return dray_fail(err, DRAY_E_NOTSUP,
                         "Docker Image manifest version 2, schema 1 is not supported: %s",
                         at.media_type);
    int rc = get_small(p, f, &at, MANIFEST_MAX, &f->manifest_text, err);
    f->manifest = at;
    at = (struct img_desc){0};
    return rc;
}

static int check_platform(struct pull *p, const struct found *f, struct dray_err *err)
{
    const char *os = dray_json_str(f->config_doc, "os", "linux");
    const char *arch = dray_json_str(f->config_doc, "architecture", "");
    if (strcmp(os, "windows") == 0)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "image operating system \"windows\" cannot be used on this platform");
    if (!p->req->platform || !*p->req->platform)
        return 0;
    if (strcmp(os, p->platform.os) == 0 && strcmp(arch, p->platform.arch) == 0)
        return 0;
    return dray_fail(err, DRAY_E_NOTFOUND,
                     "image with reference %s was found but does not match the specified "
                     "platform: wanted %s/%s, actual: %s/%s",
                     dray_ref_familiar(p->ref.repo), p->platform.os, p->platform.arch, os, arch);
}

static int find_config(struct pull *p, struct found *f, struct dray_err *err)
{
    int rc = img_manifest_read(f->manifest_text.data ? f->manifest_text.data : "",
                               f->manifest_text.len, &f->config, &f->layers, &f->doc, err);
    if (!rc)
        rc = get_small(p, f, &f->config, CONFIG_MAX, &f->config_text, err);
    if (!rc && dray_json_parse(f->config_text.data ? f->config_text.data : "", f->config_text.len,
                               &f->config_doc, NULL) != 0)
        rc = dray_fail(err, DRAY_E_CORRUPT, "the image's config is not valid JSON");
    return rc ? rc : check_platform(p, f, err);
}

/* --- layers -----------------------------------------------------------------------------------*/

static int list_layers(struct pull_layers *l, const struct found *f, struct dray_err *err)
{
    struct json_object *diffs = dray_json_arr(f->config_doc, "rootfs.diff_ids");
    size_t n = dray_json_len(f->layers);
    if (n != dray_json_len(diffs))
        return dray_fail(err, DRAY_E_CORRUPT,
                         "layers from manifest don't match image configuration");
    l->v = calloc(n + 1, sizeof *l->v);
    if (!l->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct pull_layer *one = &l->v[i];
        int rc = img_desc_parse(json_object_array_get_idx(f->layers, i), &one->desc, err);
        if (rc)
            return rc;
        l->n = i + 1;
        struct json_object *d = json_object_array_get_idx(diffs, i);
        const char *diff =
            json_object_is_type(d, json_type_string) ? json_object_get_string(d) : "";
        if (!dray_digest_valid(diff))
            return dray_fail(err, DRAY_E_CORRUPT, "invalid diff id \"%.80s\" in image config",
                             diff);
        (void)snprintf(one->diff, sizeof one->diff, "%s", diff);
        (void)snprintf(one->id, sizeof one->id, "%.12s", dray_digest_hex(one->desc.digest));
    }
    return 0;
}

static void show(struct pull *p, struct pull_layers *layers)
{
    pthread_mutex_lock(&p->lock);
    p->layers = layers;
    pthread_mutex_unlock(&p->lock);
}

static void tick(void *arg)
{
    struct pull *p = arg;
    pthread_mutex_lock(&p->lock);
    if (p->layers)
        img_pull_layers_tick(p->layers);
    pthread_mutex_unlock(&p->lock);
}

static uint64_t unpacked_size(struct dray_images *im, const struct pull_layers *l)
{
    uint64_t size = 0;
    pthread_mutex_lock(&im->lock);
    for (size_t i = 0; i < l->n; i++)
        size += l->v[i].layer->size;
    pthread_mutex_unlock(&im->lock);
    return size;
}

/* List the image whose content is all here. */
static int enter(struct pull *p, const struct found *f, const struct pull_layers *l,
                 struct dray_err *err)
{
    struct img *g = calloc(1, sizeof *g);
    if (g)
        g->parts = calloc(l->n + 1, sizeof *g->parts);
    if (!g || !g->parts) {
        img_free(g);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    memcpy(g->id, f->config.digest, sizeof g->id);
    memcpy(g->manifest, f->manifest.digest, sizeof g->manifest);
    memcpy(g->index, f->index, sizeof g->index);
    g->manifest_type = strdup(f->manifest.media_type);
    g->manifest_size = f->manifest_text.len;
    g->n_parts = l->n;
    bool ok = g->manifest_type != NULL;
    for (size_t i = 0; i < l->n; i++) {
        memcpy(g->parts[i].digest, l->v[i].desc.digest, sizeof g->parts[i].digest);
        g->parts[i].size = l->v[i].desc.size;
        g->parts[i].media_type = strdup(l->v[i].desc.media_type);
        g->parts[i].urls = l->v[i].desc.urls.n ? dray_json_strs(&l->v[i].desc.urls) : NULL;
        ok = ok && g->parts[i].media_type;
    }
    int rc =
        ok ? img_from_config(g, f->config_doc, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc) {
        img_free(g);
        return rc;
    }
    g->size = unpacked_size(p->im, l);
    if (l->n > 0) {
        g->top = l->v[l->n - 1].layer;
        pthread_mutex_lock(&p->im->lock);
        img_layer_ref_locked(g->top);
        pthread_mutex_unlock(&p->im->lock);
    }
    return img_register(p->im, g, err);
}

/* May another try go better, so that what has come is worth its room? A full disk needs it at once.
 */
static bool worth_keeping(int rc)
{
    return rc != 0 && rc != DRAY_E_NOTSUP && rc != DRAY_E_INVAL && rc != DRAY_E_LIMIT &&
           rc != DRAY_E_NOSPACE;
}

static int bring_once(struct pull *p, const struct img_desc *root, char id_out[DRAY_DIGEST_LEN],
                      bool *again_out, struct dray_err *err)
{
    struct found f = {0};
    struct pull_layers layers = {.source = &p->source, .progress = &p->progress};
    int rc = find_manifest(p, root, &f, err);
    if (!rc)
        rc = find_config(p, &f, err);
    if (!rc)
        rc = list_layers(&layers, &f, err);
    if (!rc) {
        show(p, &layers);
        rc = img_pull_layers(&layers, err);
        show(p, NULL);
    }
    if (!rc)
        rc = enter(p, &f, &layers, err);
    if (!rc)
        memcpy(id_out, f.config.digest, DRAY_DIGEST_LEN);
    *again_out = rc && layers.distrusted;
    img_pull_layers_drop(&layers, worth_keeping(rc));
    found_free(p, &f, worth_keeping(rc));
    return rc;
}

/* What an interrupted pull left may be damaged (power loss): then all of it is fetched anew. */
static int bring(struct pull *p, const struct img_desc *root, char id_out[DRAY_DIGEST_LEN],
                 struct dray_err *err)
{
    bool again = false;
    struct dray_err why = {0};
    int rc = bring_once(p, root, id_out, &again, &why);
    if (rc && again) {
        img_progress_rearm(&p->progress);
        why = (struct dray_err){0};
        rc = bring_once(p, root, id_out, &again, &why);
    }
    if (rc && err)
        *err = why;
    return rc;
}

/* --- references -------------------------------------------------------------------------------*/

/* Id that a key names, copied. */
static bool key_id(struct dray_images *im, const char *key, char out[DRAY_DIGEST_LEN])
{
    pthread_mutex_lock(&im->lock);
    const char *id = img_ref_get(im, key);
    (void)snprintf(out, DRAY_DIGEST_LEN, "%s", id ? id : "");
    pthread_mutex_unlock(&im->lock);
    return out[0] != '\0';
}

/* Is the image of that id one for the platform asked for, and here in full? */
static bool suits(struct pull *p, const char *id)
{
    pthread_mutex_lock(&p->im->lock);
    const struct img *g = img_find(p->im, id);
    bool ok = g && !g->deleted && (g->top || g->n_parts == 0) &&
              strcmp(g->os, p->platform.os) == 0 && strcmp(g->arch, p->platform.arch) == 0;
    pthread_mutex_unlock(&p->im->lock);
    return ok;
}

static int set_names(struct pull *p, const char *tag_key, const char *digest_key, const char *id,
                     bool *new_out, struct dray_err *err)
{
    char old[DRAY_DIGEST_LEN];
    const char *main_key = tag_key ? tag_key : digest_key;
    *new_out = !key_id(p->im, main_key, old) || strcmp(old, id) != 0;
    int rc = img_ref_set(p->im, digest_key, id, false, err);
    return rc || !tag_key ? rc : img_ref_set(p->im, tag_key, id, false, err);
}

/* The last line of a pull. SHOWN is the image's name, or the repository's when all tags came. */
static void say_status(struct pull *p, const char *shown)
{
    img_progress_say(&p->progress, NULL, "Status: %s %s",
                     p->any_new ? "Downloaded newer image for" : "Image is up to date for", shown);
}

/* One tag or digest of the repository. */
static int pull_one(struct pull *p, const char *tag, const char *digest, struct dray_err *err)
{
    DRAY_AUTO(img_desc) root = {0};
    const char *shown = dray_ref_familiar(p->ref.repo), *path = dray_ref_path(p->ref.repo);
    int rc = img_source_resolve(&p->source, digest ? digest : tag, &root, err);
    if (rc)
        return rc;
    if (digest && strcmp(digest, root.digest) != 0)
        return dray_fail(err, DRAY_E_CORRUPT,
                         "manifest verification failed for digest %s: the registry says %s", digest,
                         root.digest);
    img_progress_say(&p->progress, digest ? digest : tag, "Pulling from %s", path);
    struct dray_ref by_tag = {.repo = p->ref.repo, .tag = (char *)(uintptr_t)tag};
    struct dray_ref by_digest = {.repo = p->ref.repo, .digest = root.digest};
    dray_autofree char *tag_key = digest ? NULL : dray_ref_key(&by_tag);
    dray_autofree char *digest_key = dray_ref_key(&by_digest);
    if (!digest_key || (!digest && !tag_key))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char id[DRAY_DIGEST_LEN] = "";
    if (!key_id(p->im, digest_key, id) || !suits(p, id))
        rc = bring(p, &root, id, err);
    bool is_new = false;
    if (!rc)
        rc = set_names(p, tag_key, digest_key, id, &is_new, err);
    if (rc)
        return rc;
    img_progress_say(&p->progress, NULL, "Digest: %s", root.digest);
    p->any_new |= is_new;
    dray_autofree char *actor =
        dray_strf("%s%c%s", shown, digest ? '@' : ':', digest ? digest : tag);
    if (!p->req->all_tags)
        say_status(p, actor ? actor : shown);
    img_event(p->im, actor ? actor : shown, shown, "pull");
    return 0;
}

static int pull_all_tags(struct pull *p, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) tags = {0};
    int rc = img_source_tags(&p->source, &tags, err);
    if (!rc && tags.n == 0)
        rc = dray_fail(err, DRAY_E_NOTFOUND, "repository %s has no tags",
                       dray_ref_familiar(p->ref.repo));
    for (size_t i = 0; !rc && i < tags.n; i++)
        rc = pull_one(p, tags.v[i], NULL, err);
    if (!rc)
        say_status(p, dray_ref_familiar(p->ref.repo));
    return rc;
}

static void *pull_thread(void *arg)
{
    struct pull *p = arg;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    if (p->req->all_tags)
        p->rc = pull_all_tags(p, &p->err);
    else
        p->rc = pull_one(p, p->ref.tag ? p->ref.tag : "latest", p->ref.digest, &p->err);
    img_progress_end(&p->progress);
    return NULL;
}

static int run(struct pull *p, dray_progress_fn fn, void *ctx, struct dray_err *err)
{
    pthread_t thread;
    int rc = img_source_open(p->im, dray_ref_source(&p->ref), p->req->auth, p->progress.abort_fd,
                             &p->source, err);
    if (rc)
        return rc;
    if (pthread_create(&thread, NULL, pull_thread, p) != 0)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    img_progress_pump(&p->progress, p->req->cancel_fd, fn, ctx, tick, p);
    (void)pthread_join(thread, NULL);
    if (p->rc && err)
        *err = p->err;
    return p->rc;
}

int dray_images_pull(struct dray_images *im, const struct dray_pull_req *req, dray_progress_fn fn,
                     void *ctx, struct dray_err *err)
{
    struct pull p = {.im = im, .req = req};
    int rc = dray_ref_parse(req->ref, &p.ref, err);
    if (!rc)
        rc = img_platform_parse(req->platform, &p.platform, err);
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
