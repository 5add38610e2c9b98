/* SPDX-License-Identifier: Apache-2.0 */
/* cache_from.c - steps of images that --cache-from names: what was made by the same words on the
 * same layers is taken from there. */
#include "bd.h"

#include <time.h>

/* --- the images --------------------------------------------------------------------------------*/

/* "image", or "type=registry,ref=image". */
static char *ref_of(const char *source)
{
    const char *at = source;
    if (!strchr(source, '='))
        return strdup(source);
    while (at && !bd_prefix(at, "ref="))
        at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL;
    return at ? strndup(at + 4, strcspn(at + 4, ",")) : NULL;
}

static void say_unusable(struct bd_build *b, const char *source, const char *why)
{
    DRAY_AUTO(bd_buf) text = {0};
    bd_addf(&text, "[Warning] cache-from %s is not used: %s\n", source, why);
    (void)bd_emit_text(b, bd_text(&text));
}

static void open_one(struct bd_build *b, const char *source)
{
    dray_autofree char *ref = ref_of(source);
    struct dray_build_image image = {.size = sizeof image};
    struct json_object *config = NULL;
    struct dray_err why = {0};
    dray_autofree char *title = bd_strf("importing cache manifest from %s", ref ? ref : source);
    if (title)
        bd_trace_begin(b, title, title);
    if (!ref)
        (void)dray_fail(&why, DRAY_E_INVAL, "it names no image");
    else if (b->engine->image_get(b->call, ref, b->spec->platform, 0, &image, &why) == 0)
        (void)bd_json_parse(image.config, &config, &why);
    if (title)
        bd_trace_finish(b, title, config ? NULL : &why);
    if (!config) {
        say_unusable(b, source, why.text);
        return;
    }
    json_object_array_add(b->cache_from, config);
}

void bd_cache_from_open(struct bd_build *b)
{
    b->cache_from = json_object_new_array();
    if (b->spec->flags & DRAY_BUILD_NO_CACHE)
        return;
    for (uint64_t i = 0; i < b->spec->cache_from.n; i++)
        open_one(b, b->spec->cache_from.v[i]);
}

/* --- a step ------------------------------------------------------------------------------------*/

static bool is_empty(struct json_object *h)
{
    return json_object_get_boolean(bd_json_get(h, "empty_layer"));
}

static struct json_object *at(struct json_object *list, size_t i)
{
    return i < json_object_array_length(list) ? json_object_array_get_idx(list, i) : NULL;
}

/* Did the image come about as the stage has, until now? */
static bool begins_alike(const struct bd_stage *s, struct json_object *history,
                         struct json_object *words, struct json_object *diffs)
{
    size_t n = json_object_array_length(s->history), n_diffs = json_object_array_length(s->diffs);
    if (json_object_array_length(history) <= n || json_object_array_length(diffs) < n_diffs)
        return false;
    for (size_t i = 0; i < n; i++)
        if (is_empty(at(history, i)) != is_empty(at(s->history, i)) ||
            strcmp(json_object_get_string(at(words, i)), json_object_get_string(at(s->words, i))) !=
                0)
            return false;
    for (size_t i = 0; i < n_diffs; i++)
        if (strcmp(json_object_get_string(at(diffs, i)), json_object_get_string(at(s->diffs, i))) !=
            0)
            return false;
    return true;
}

/* 2026-01-02T03:04:05.678Z in nanoseconds; 0 when it is none. */
static int64_t read_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t ns = 0, unit = 100000000;
    if (!rest)
        return 0;
    for (rest += *rest == '.'; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
        ns += (*rest - '0') * unit;
    return (int64_t)timegm(&tm) * 1000000000 + ns;
}

/* Names of layers are chain ids: OCI image-spec, "Layer ChainID". */
static const char *chain_of(struct bd_stage *s, const char *diff)
{
    char chain[BD_DIGEST_LEN];
    if (!*s->layer)
        return dray_df_strndup(&s->arena, diff, strlen(diff));
    bd_autosum *sum = bd_sum_new();
    if (!sum)
        return NULL;
    bd_sum_add(sum, s->layer, strlen(s->layer));
    bd_sum_add(sum, " ", 1);
    bd_sum_add(sum, diff, strlen(diff));
    bd_sum_end(sum, chain);
    return dray_df_strndup(&s->arena, chain, strlen(chain));
}

static bool take(struct bd_stage *s, struct json_object *image, const char *by, struct bd_hit *out)
{
    struct json_object *history = bd_json_get(image, "history");
    struct json_object *diffs = bd_json_get(bd_json_get(image, "rootfs"), "diff_ids");
    bd_autojson *words = bd_image_words(image);
    if (!history || !diffs || !begins_alike(s, history, words, diffs))
        return false;
    struct json_object *h = at(history, json_object_array_length(s->history));
    struct json_object *diff = at(diffs, json_object_array_length(s->diffs));
    const char *word = json_object_get_string(at(words, json_object_array_length(s->history)));
    if (strcmp(word, by) != 0 || (!is_empty(h) && !diff))
        return false;
    *out = (struct bd_hit){.created_ns = read_time(bd_json_str(h, "created", "")),
                           .layer = {.size = sizeof out->layer,
                                     .empty = is_empty(h),
                                     .layer = s->layer,
                                     .diff_id = ""},
                           .hash = ""};
    if (out->layer.empty)
        return true;
    const char *text = json_object_get_string(diff);
    out->layer.diff_id = dray_df_strndup(&s->arena, text, strlen(text));
    out->layer.layer = chain_of(s, text);
    return out->layer.diff_id && out->layer.layer;
}

bool bd_cache_from_find(struct bd_stage *s, const char *by, struct bd_hit *out)
{
    struct json_object *list = s->build->cache_from;
    size_t n = list && s->build->epoch_s < 0 ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++)
        if (take(s, at(list, i), by, out))
            return true;
    return false;
}
