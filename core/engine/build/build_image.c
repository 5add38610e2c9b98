/* SPDX-License-Identifier: Apache-2.0 */
/* build_image.c - images that builds start from, and those they end in. */
#include "engine/build/build_priv.h"

#include "base/clock.h"

#include <stdio.h>

/* --- get ---------------------------------------------------------------------------------------*/

static int on_pull_line(void *ctx, struct json_object *line /* takes */)
{
    return build_send(ctx, line);
}

static int pull(struct build *b, const char *ref, const char *platform, struct dray_err *err)
{
    DRAY_AUTO(dray_ref) r = {0};
    int rc = dray_ref_parse_tagged(ref, &r, err);
    if (rc)
        return rc;
    dray_autofree char *host = strndup(r.repo, strcspn(r.repo, "/"));
    const struct dray_pull_req req = {.ref = ref,
                                      .platform = platform && *platform ? platform : NULL,
                                      .auth = host && b->req->auth ? b->req->auth(b->req->ctx, host)
                                                                   : NULL,
                                      .cancel_fd = build_cancel_fd(b)};
    return dray_images_pull(b->e->images, &req, on_pull_line, b, err);
}

/* want is NULL for any platform. */
static bool fits(const struct dray_image *image, const struct img_platform *want)
{
    if (!want)
        return true;
    const char *arch = dray_json_str(image->config, "architecture", "");
    return strcmp(dray_json_str(image->config, "os", "linux"), want->os) == 0 &&
           (!*arch || strcmp(arch, want->arch) == 0);
}

/* Keep every layer of the image, with what is known of its blob. */
static int pin_layers(struct build *b, const struct dray_image *image, struct dray_err *err)
{
    struct dray_images *im = b->e->images;
    int rc = 0;
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_find(im, image->id);
    size_t n = g ? g->n_parts : 0;
    struct build_pin *pins = calloc(n + 1, sizeof *pins);
    struct img_layer *l = image->pin;
    for (size_t i = n; pins && i > 0 && l; i--, l = l->parent) {
        const struct img_part *p = &g->parts[i - 1];
        struct build_pin *pin = &pins[i - 1];
        img_layer_ref_locked(l);
        pin->layer = l;
        pin->blob = img_blob_ref_locked(im, p->digest);
        pin->part.size = p->size;
        (void)snprintf(pin->part.chain, sizeof pin->part.chain, "%s", l->chain);
        (void)snprintf(pin->part.diff, sizeof pin->part.diff, "%s", l->diff);
        (void)snprintf(pin->part.digest, sizeof pin->part.digest, "%s", p->digest);
        (void)snprintf(pin->part.media_type, sizeof pin->part.media_type, "%s", p->media_type);
    }
    pthread_mutex_unlock(&im->lock);
    if (!pins || (n > 0 && !pins[0].layer))
        rc = dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", image->id);
    for (size_t i = 0; pins && i < n; i++) {
        if (rc || !pins[i].layer)
            build_pin_drop(im, &pins[i]);
        else
            rc = build_pin_add(b, &pins[i], err);
    }
    free(pins);
    return rc;
}

static int look(struct build *b, const char *ref, const char *platform, uint32_t flags,
                struct dray_image *image, struct dray_err *err)
{
    struct img_platform want;
    bool any = !platform || !*platform;
    int rc = any ? 0 : img_platform_parse(platform, &want, err);
    if (rc)
        return dray_err_note(err, "failed to parse platform %s", platform);
    rc = DRAY_E_NOTFOUND;
    if (!(flags & DRAY_BUILD_PULL))
        rc = dray_images_get(b->e->images, ref, image, NULL);
    if (!rc && fits(image, any ? NULL : &want))
        return 0;
    if (!rc)
        dray_image_release(image);
    rc = pull(b, ref, platform, err);
    return rc ? rc : dray_images_get(b->e->images, ref, image, err);
}

int32_t build_image_get(const struct dray_call *call, const char *ref, const char *platform,
                        uint32_t flags, struct dray_build_image *out, struct dray_err *err)
{
    struct build *b = build_of(call, err);
    DRAY_AUTO(dray_image) image = {0};
    if (!b)
        return DRAY_E_INVAL;
    const char *dir = build_context_folder(b, ref);
    if (dir)
        return build_context_get(b, dir, out, err);
    const struct dray_build_result *input = build_context_input(b, ref);
    if (input)
        return build_result_use(b, input, out, err);
    int rc = look(b, build_context_image(b, ref), platform, flags, &image, err);
    if (!rc)
        rc = pin_layers(b, &image, err);
    if (rc)
        return rc;
    out->id = build_text(b, image.id);
    out->config = build_text(b, dray_json_text(image.config));
    out->layer = build_text(b, image.pin ? image.pin->chain : "");
    return out->id && out->config && out->layer ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int32_t build_image_name(const struct dray_call *call, const char *ref, const char **name_out,
                         struct dray_err *err)
{
    struct build *b = build_of(call, err);
    DRAY_AUTO(dray_ref) r = {0};
    const char *url = b ? build_context_url(b, ref) : NULL;
    if (url) {
        *name_out = url;
        return 0;
    }
    bool folder = b && (build_context_folder(b, ref) || build_context_input(b, ref));
    int rc = b ? 0 : DRAY_E_INVAL;
    if (b && !folder)
        rc = dray_ref_parse_tagged(build_context_image(b, ref), &r, err);
    if (rc)
        return rc;
    dray_autofree char *key = folder ? strdup(ref) : dray_ref_key(&r);
    const char *name = key ? build_text(b, key) : NULL;
    if (!name)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *name_out = name;
    return 0;
}

/* --- put ---------------------------------------------------------------------------------------*/

/* The parts of top and of all below it, bottom first; media types are owned. */
static int collect_parts(struct build *b, struct img_layer *top, struct img_part **out,
                         size_t *n_out, struct dray_err *err)
{
    size_t n = 0;
    for (const struct img_layer *l = top; l; l = l->parent)
        n++;
    struct img_part *parts = calloc(n + 1, sizeof *parts);
    if (!parts)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *out = parts;
    *n_out = n;
    const struct img_layer *l = top;
    for (size_t i = n; i > 0; i--, l = l->parent) {
        struct build_part known;
        struct img_part *p = &parts[i - 1];
        if (!build_part_find(b, l->chain, &known))
            return dray_fail(err, DRAY_E_NOTFOUND, "the blob of layer %.19s is not known",
                             l->chain);
        memcpy(p->digest, known.digest, sizeof p->digest);
        memcpy(p->diff, known.diff, sizeof p->diff);
        p->size = known.size;
        p->media_type = strdup(known.media_type);
        if (!p->media_type)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

static bool known_image(struct dray_images *im, const char *id)
{
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_find(im, id);
    bool known = g && !g->deleted && (g->top || g->n_parts == 0);
    pthread_mutex_unlock(&im->lock);
    return known;
}

static int make(struct build *b, struct json_object *config, struct img_layer *top,
                const char *parent, char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    struct dray_images *im = b->e->images;
    const char *text = dray_json_text(config);
    dray_digest_of(text, strlen(text), id);
    if (known_image(im, id))
        return 0;
    struct img_part *parts = NULL;
    size_t n = 0;
    int64_t before = dray_clock_now();
    int rc = collect_parts(b, top, &parts, &n, err);
    if (!rc)
        rc = img_make(im, config, parts, n, top, parent, id, err);
    if (!rc)
        build_cache_flushed(b->set, before);
    for (size_t i = 0; parts && i < n; i++)
        free(parts[i].media_type);
    free(parts);
    return rc;
}

static int tag_all(struct build *b, const char *id, struct dray_strs tags, struct dray_err *err)
{
    int rc = 0;
    for (uint64_t i = 0; !rc && i < tags.n; i++)
        rc = dray_images_tag(b->e->images, id, tags.v[i], err);
    return rc;
}

/* Keep and list, as the request wants. */
static int deliver(struct build *b, struct json_object *config, struct img_layer *top,
                   const char *parent, char id[DRAY_DIGEST_LEN], struct dray_err *err)
{
    const char *text = dray_json_text(config);
    int rc = 0;
    dray_digest_of(text, strlen(text), id);
    if (!b->req->unlisted)
        rc = make(b, config, top, parent, id, err);
    return rc || !b->req->result_out ? rc : build_result_keep(b, id, config, top, err);
}

int32_t build_image_put(const struct dray_call *call, const char *config, const char *top,
                        const char *parent, struct dray_strs tags, const char **id_out,
                        struct dray_err *err)
{
    struct build *b = build_of(call, err);
    struct img_layer *layer = NULL;
    dray_autojson *doc = NULL;
    char id[DRAY_DIGEST_LEN] = "";
    if (!b)
        return DRAY_E_INVAL;
    int rc = build_layer_find(b, top, &layer, err);
    if (!rc)
        rc = dray_json_parse(config, strlen(config), &doc, err);
    if (!rc)
        rc = deliver(b, doc, layer, parent, id, err);
    if (!rc && !b->req->unlisted) {
        img_event(b->e->images, id, id, "create");
        rc = tag_all(b, id, tags, err);
    }
    if (!rc && !(*id_out = build_text(b, id)))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return rc;
}

/* An image as it was before the build: one of the store, or one of the inputs. */
static int deliver_base(struct build *b, const char *id, struct dray_err *err)
{
    DRAY_AUTO(dray_image) image = {0};
    char same[DRAY_DIGEST_LEN];
    int rc = DRAY_E_NOTFOUND;
    for (size_t i = 0; rc && i < b->req->n_inputs; i++)
        if (strcmp(dray_build_result_id(b->req->inputs[i].result), id) == 0)
            rc = dray_build_result_image(b->req->inputs[i].result, &image, err);
    bool input = !rc;
    if (rc && !b->req->result_out)
        return 0;
    if (rc)
        rc = dray_images_get(b->e->images, id, &image, err);
    if (!rc && input)
        return deliver(b, image.config, image.pin, "", same, err);
    return rc ? rc : build_result_keep(b, id, image.config, image.pin, err);
}

int32_t build_image_tag(const struct dray_call *call, const char *id, struct dray_strs tags,
                        const char **id_out, struct dray_err *err)
{
    struct build *b = build_of(call, err);
    int rc = b ? deliver_base(b, id, err) : DRAY_E_INVAL;
    if (!rc && !b->req->unlisted) {
        img_event(b->e->images, id, id, "create");
        rc = tag_all(b, id, tags, err);
    }
    if (!rc && !(*id_out = build_text(b, id)))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return rc;
}
