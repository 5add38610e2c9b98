/* SPDX-License-Identifier: Apache-2.0 */
/* far.c - named contexts that lie afar: what a repository or a URL holds, as a base and for --from.
 */
#include "copy.h"
#include "fetch.h"

/** One that the build has named. */
struct bd_far {
    struct bd_far *next;
    const char *url;           /**< the host's string */
    enum bd_stage_state state; /**< build->lock, as the rest of the list; what follows is constant
                                    once it is over */
    const char *layer;
    char *config; /**< of an image of this layer alone */
    struct dray_err err;
};

/* --- fetching ----------------------------------------------------------------------------------*/

static int write_layer(struct bd_copying *c, struct bd_hit *hit, struct dray_err *err)
{
    struct bd_build *b = c->stage->build;
    struct bd_tree *nothing = NULL;
    hit->layer.size = sizeof hit->layer;
    hit->created_ns = bd_step_time(b);
    int rc = bd_layer_tree(b, "", &nothing, err);
    if (!rc)
        rc = bd_layer_write_on(b, "", nothing, bd_copy_write, c, &hit->layer, err);
    bd_tree_free(nothing);
    return rc;
}

/* By its content, so that the steps above it are found again. */
static int fetch_layer(struct bd_copying *c, const char *url, struct bd_hit *hit,
                       struct dray_err *err)
{
    char hash[BD_DIGEST_LEN + 8], key[BD_DIGEST_LEN];
    int rc = bd_copy_start(c, err);
    if (!rc)
        rc = bd_add_fetch(c, url, err);
    if (!rc)
        rc = bd_copy_hash(c, hash, err);
    if (rc)
        return rc;
    bd_autosum *sum = bd_sum_new();
    if (!sum)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bd_sum_text(sum, "far 1");
    bd_sum_text(sum, hash);
    bd_sum_num(sum, c->stage->build->epoch_s);
    bd_sum_end(sum, key);
    if (bd_cache_find(c->stage, key, NULL, hit))
        return 0;
    rc = write_layer(c, hit, err);
    return rc ? rc : bd_cache_keep(c->stage, key, hit, url, err);
}

static int set_config(struct bd_far *f, const struct bd_build *b, const struct bd_hit *hit,
                      struct dray_err *err)
{
    bd_autojson *config = json_object_new_object();
    struct json_object *rootfs = json_object_new_object(), *diffs = json_object_new_array();
    struct json_object *history = json_object_new_array();
    if (!hit->layer.empty) {
        struct json_object *made = json_object_new_object();
        bd_json_set(made, "created_by", "FROM a context");
        json_object_array_add(history, made);
        json_object_array_add(diffs, json_object_new_string(hit->layer.diff_id));
    }
    bd_json_set(rootfs, "type", "layers");
    json_object_object_add(rootfs, "diff_ids", diffs);
    json_object_object_add(config, "rootfs", rootfs);
    json_object_object_add(config, "history", history);
    bd_json_set(config, "architecture", bd_platform_arg(b, "TARGETARCH"));
    bd_json_set(config, "os", bd_platform_arg(b, "TARGETOS"));
    bd_json_set(config, "variant", bd_platform_arg(b, "TARGETVARIANT"));
    f->layer = hit->layer.empty ? "" : hit->layer.layer;
    f->config = strdup(bd_json_text(config));
    return f->config ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int fetch(struct bd_stage *s, struct bd_far *f, const char *name)
{
    const char *const sources[] = {f->url};
    const char *last = s->last_key;
    const struct dray_df_copy in = {.sources = {sources, 1}, .dest = "/"};
    struct bd_copying c
        __attribute__((cleanup(bd_copying_cleanup))) = {.stage = s, .in = &in, .add = true};
    struct bd_hit hit = {0};
    dray_autofree char *title = bd_is_git(f->url) ? bd_strf("[internal] load git source %s", f->url)
                                                  : bd_strf("[context %s] %s", name, f->url);
    if (!title)
        return dray_fail(&f->err, DRAY_E_NOMEM, "out of memory");
    bd_trace_begin(s->build, title, title);
    int rc = fetch_layer(&c, f->url, &hit, &f->err);
    if (!rc)
        rc = set_config(f, s->build, &hit, &f->err);
    bd_trace_finish(s->build, title, rc ? &f->err : NULL);
    s->last_key = last;
    return rc;
}

/* --- the list ----------------------------------------------------------------------------------*/

/* The one who names it first fetches it, the others wait. */
static struct bd_far *claim(struct bd_build *b, const char *url, bool *mine)
{
    struct bd_far *f = b->far;
    while (f && strcmp(f->url, url) != 0)
        f = f->next;
    *mine = !f;
    if (!f && (f = calloc(1, sizeof *f))) {
        f->url = url;
        f->state = BD_RUNNING;
        f->next = b->far;
        b->far = f;
    }
    return f;
}

int bd_far_image(struct bd_stage *s, const char *name, const char *url,
                 struct dray_build_image *out, struct dray_err *err)
{
    struct bd_build *b = s->build;
    bool mine = false;
    pthread_mutex_lock(&b->lock);
    struct bd_far *f = claim(b, url, &mine);
    while (f && !mine && f->state == BD_RUNNING)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
    if (!f)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (mine) {
        int rc = fetch(s, f, name);
        pthread_mutex_lock(&b->lock);
        f->state = rc ? BD_FAILED : BD_DONE;
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->lock);
    }
    if (f->state == BD_FAILED && err)
        *err = f->err;
    if (f->state == BD_FAILED)
        return f->err.code;
    out->id = "";
    out->config = f->config;
    out->layer = f->layer;
    return 0;
}

void bd_far_free(struct bd_build *b)
{
    while (b->far) {
        struct bd_far *next = b->far->next;
        free(b->far->config);
        free(b->far);
        b->far = next;
    }
}
