/* SPDX-License-Identifier: Apache-2.0 */
/* build_session.c - one build: the builder's call, what it is kept for it, what it says. */
#include "engine/build/build_priv.h"

#include "engine/build/build_policy.h"

#include "base/fs.h"
#include "base/ident.h"
#include "base/logging.h"
#include "engine/image/image_priv.h"
#include "engine/metrics.h"

#define DRAY_LOG_AREA "build"

const struct dray_build_host dray_builds_iface = {
    .head = DRAY_TABLE(struct dray_build_host, 0),
    .image_get = build_image_get,
    .layer_make = build_layer_make,
    .layer_squash = build_layer_squash,
    .layer_open = build_layer_open,
    .run = build_run,
    .cache_get = build_cache_get,
    .cache_put = build_cache_put,
    .image_put = build_image_put,
    .image_tag = build_image_tag,
    .image_name = build_image_name,
    .context_get = build_context_fetch,
};

/* --- what the builder says ---------------------------------------------------------------------*/

static int send_text(struct build *b, const char *text, size_t len)
{
    pthread_mutex_lock(&b->out);
    int rc = b->req->line(b->req->ctx, text, len);
    pthread_mutex_unlock(&b->out);
    return rc;
}

int build_send(struct build *b, struct json_object *line /* takes */)
{
    const char *text = dray_json_text(line);
    int rc = send_text(b, text, strlen(text));
    json_object_put(line);
    return rc;
}

static int32_t on_record(void *ctx, const struct dray_record *rec)
{
    struct build *b = ctx;
    const char *json = dray_kvs_get(rec->fields, "json", NULL);
    const char *text = dray_kvs_get(rec->fields, "text", NULL);
    if (rec->type != DRAY_REC_STREAM)
        return 0;
    if (json)
        return send_text(b, json, strlen(json));
    struct json_object *line = json_object_new_object();
    dray_json_add_str(line, "stream", text ? text : "");
    return build_send(b, line);
}

/* --- what is kept for it -----------------------------------------------------------------------*/

struct build *build_of(const struct dray_call *call, struct dray_err *err)
{
    const struct dray_call_scope *s = call ? call->arena : NULL;
    if (s && s->emit == on_record)
        return s->emit_ctx;
    (void)dray_fail(err, DRAY_E_INVAL, "this call is not one of a build");
    return NULL;
}

int build_cancel_fd(const struct build *b)
{
    return b->req->cancel_fd;
}

static bool make_room(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    void *old = NULL;
    memcpy(&old, list, sizeof old);
    size_t want = *cap ? *cap * 2 : 16;
    void *grown = reallocarray(old, want, size);
    if (!grown)
        return false;
    memcpy(list, &grown, sizeof grown);
    *cap = want;
    return true;
}

const char *build_text(struct build *b, const char *text)
{
    char *copy = strdup(text);
    pthread_mutex_lock(&b->lock);
    bool ok = copy && make_room(&b->texts, b->n_texts, &b->cap_texts, sizeof *b->texts);
    if (ok)
        b->texts[b->n_texts++] = copy;
    pthread_mutex_unlock(&b->lock);
    if (!ok)
        free(copy);
    return ok ? copy : NULL;
}

void build_pin_drop(struct dray_images *im, struct build_pin *pin)
{
    img_layer_unref(im, pin->layer);
    img_blob_unref(im, pin->blob, false);
    *pin = (struct build_pin){0};
}

/* Lock held. */
static struct build_pin *find_pin(struct build *b, const char *chain)
{
    for (size_t i = b->n_pins; i > 0; i--)
        if (strcmp(b->pins[i - 1].part.chain, chain) == 0)
            return &b->pins[i - 1];
    return NULL;
}

int build_pin_add(struct build *b, struct build_pin *pin /* takes */, struct dray_err *err)
{
    struct build_pin surplus = *pin;
    bool ok = true;
    pthread_mutex_lock(&b->lock);
    if (!find_pin(b, pin->part.chain)) {
        ok = make_room(&b->pins, b->n_pins, &b->cap_pins, sizeof *b->pins);
        if (ok) {
            b->pins[b->n_pins++] = *pin;
            surplus = (struct build_pin){0};
        }
    }
    pthread_mutex_unlock(&b->lock);
    build_pin_drop(b->e->images, &surplus);
    *pin = (struct build_pin){0};
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int build_layer_find(struct build *b, const char *name, struct img_layer **out,
                     struct dray_err *err)
{
    *out = NULL;
    if (!*name)
        return 0;
    pthread_mutex_lock(&b->lock);
    const struct build_pin *pin = find_pin(b, name);
    if (pin)
        *out = pin->layer;
    pthread_mutex_unlock(&b->lock);
    return *out ? 0 : dray_fail(err, DRAY_E_NOTFOUND, "no such layer in this build: %.80s", name);
}

int build_pin_copy(struct build *b, const char *chain, struct build_pin *out,
                   void (*copy)(struct dray_images *im, const struct build_pin *from,
                                struct build_pin *to),
                   struct dray_err *err)
{
    pthread_mutex_lock(&b->lock);
    const struct build_pin *pin = find_pin(b, chain);
    if (pin)
        copy(b->e->images, pin, out);
    pthread_mutex_unlock(&b->lock);
    return pin ? 0 : dray_fail(err, DRAY_E_NOTFOUND, "no such layer in this build: %.80s", chain);
}

bool build_part_find(struct build *b, const char *chain, struct build_part *out)
{
    pthread_mutex_lock(&b->lock);
    const struct build_pin *pin = find_pin(b, chain);
    if (pin)
        *out = pin->part;
    pthread_mutex_unlock(&b->lock);
    return pin != NULL;
}

static void build_fini(struct build *b)
{
    build_cache_release(b);
    for (size_t i = b->n_pins; i > 0; i--)
        build_pin_drop(b->e->images, &b->pins[i - 1]);
    for (size_t i = 0; i < b->n_texts; i++)
        free(b->texts[i]);
    free(b->pins);
    free(b->texts);
    free(b->used);
    build_contexts_free(b);
    pthread_cond_destroy(&b->folder_done);
    pthread_mutex_destroy(&b->lock);
    pthread_mutex_destroy(&b->out);
}

/* --- the call ----------------------------------------------------------------------------------*/

static struct dray_driver *choose_builder(struct dray_builds *bs,
                                          const struct dray_build_spec *spec)
{
    struct dray_driver *best = NULL, *d = NULL;
    int32_t best_score = 0;
    for (size_t i = 0; (d = dray_drivers_at(bs->engine->drivers, DRAY_KIND_BUILDER, i)); i++) {
        DRAY_AUTO(dray_call_scope) s = {0};
        if (dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL) != 0)
            continue;
        int32_t score = ((const struct dray_builder_ops *)s.ops)->detect(s.self, &s.call, spec);
        if (score > best_score) {
            best = d;
            best_score = score;
        }
    }
    return best;
}

static int call_builder(struct build *b, struct dray_driver *d, char image_out[72],
                        struct dray_err *err)
{
    DRAY_AUTO(dray_call_scope) s = {0};
    const char *image = NULL;
    dray_call_emit_to(&s, on_record, b);
    dray_call_object(&s, b->id);
    int rc = dray_call_enter(&s, d, DRAY_CLASS_DATA, b->req->cancel_fd, err);
    if (rc)
        return rc;
    rc = ((const struct dray_builder_ops *)s.ops)
             ->build(s.self, &s.call, &b->req->spec, &image, err);
    rc = dray_call_result(&s, rc, "build", err);
    if (!rc)
        (void)snprintf(image_out, 72, "%s", image ? image : "");
    return rc;
}

int dray_builds_run(struct dray_builds *bs, const struct dray_build_req *req, char image_out[72],
                    struct dray_err *err)
{
    struct build b = {.set = bs, .e = bs->engine, .req = req};
    struct img_platform platform;
    int rc = img_platform_parse(req->spec.platform, &platform, err);
    if (rc)
        return rc;
    struct dray_driver *d = choose_builder(bs, &req->spec);
    if (!d)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "no builder is loaded that can build this; see `dray plugin ls`");
    dray_id_hex(b.id, 32);
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.folder_done, NULL);
    pthread_mutex_init(&b.out, NULL);
    build_client_begin(&b);
    dray_metrics_count(bs->engine->metrics, DRAY_COUNT_BUILDS);
    rc = call_builder(&b, d, image_out, err);
    if (rc)
        dray_metrics_count(bs->engine->metrics, rc == DRAY_E_CANCELED ? DRAY_COUNT_BUILDS_CANCELED
                                                                      : DRAY_COUNT_BUILDS_FAILED);
    build_client_end(&b);
    build_fini(&b);
    build_policy_collect(bs->policy);
    return rc;
}

/* --- open and close ----------------------------------------------------------------------------*/

int dray_builds_open(struct dray_engine *e, struct dray_builds **out, struct dray_err *err)
{
    struct dray_builds *bs = calloc(1, sizeof *bs);
    if (!bs)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bs->engine = e;
    bs->dir = bs->cache_dir = bs->mounts_dir = bs->kept_dir = -EBADF;
    pthread_mutex_init(&bs->prune, NULL);
    pthread_mutex_init(&bs->lock, NULL);
    pthread_cond_init(&bs->mount_free, NULL);
    int rc = dray_fs_open_dir(e->data_fd, "build", 0700, &bs->dir, err);
    if (!rc)
        rc = dray_fs_open_dir(bs->dir, "cache", 0700, &bs->cache_dir, err);
    if (!rc)
        rc = dray_fs_open_dir(bs->dir, "mounts", 0700, &bs->mounts_dir, err);
    if (!rc)
        rc = dray_fs_open_dir(bs->dir, "contexts", 0700, &bs->kept_dir, err);
    if (!rc) {
        dray_fs_sweep(bs->dir);
        dray_fs_sweep(bs->mounts_dir);
        rc = build_policy_open(bs, &bs->policy, err);
    }
    if (!rc)
        rc = build_cache_load(bs, err);
    if (rc) {
        dray_builds_close(bs);
        return dray_err_note(err, "open the build cache");
    }
    build_cache_dirs_load(bs);
    build_mounts_sweep(bs);
    build_kept_sweep(bs);
    *out = bs;
    return 0;
}

void dray_builds_close(struct dray_builds *bs)
{
    if (!bs)
        return;
    build_policy_close(bs->policy);
    build_cache_free(bs);
    build_cache_dirs_free(bs);
    build_clients_free(bs);
    dray_cleanup_fd(&bs->kept_dir);
    dray_cleanup_fd(&bs->mounts_dir);
    dray_cleanup_fd(&bs->cache_dir);
    dray_cleanup_fd(&bs->dir);
    pthread_cond_destroy(&bs->mount_free);
    pthread_mutex_destroy(&bs->lock);
    pthread_mutex_destroy(&bs->prune);
    free(bs);
}
