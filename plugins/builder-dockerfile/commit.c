/* SPDX-License-Identifier: Apache-2.0 */
/* commit.c - the image as it stands after each step, and what the cache remembers of steps. */
#include "bd.h"

/* What caches know steps by, where the history has BuildKit's words: those do not tell contents. */
#define WORDS "io.dray.steps"
#define KIT_COMMENT "buildkit.dockerfile.v0"

static void set_or_not(struct json_object *o, const char *key, const char *value)
{
    if (value && *value)
        bd_json_set(o, key, value);
}

/* Does the history say of each step what caches know it by? */
static bool words_are_history(const struct bd_stage *s)
{
    size_t n = json_object_array_length(s->history);
    for (size_t i = 0; i < n; i++)
        if (strcmp(bd_json_str(json_object_array_get_idx(s->history, i), "created_by", ""),
                   json_object_get_string(json_object_array_get_idx(s->words, i))) != 0)
            return false;
    return true;
}

static bool are_texts(struct json_object *list)
{
    bool ok = json_object_is_type(list, json_type_array);
    for (size_t i = 0; ok && i < json_object_array_length(list); i++)
        ok = json_object_is_type(json_object_array_get_idx(list, i), json_type_string);
    return ok;
}

struct json_object *bd_image_words(struct json_object *doc)
{
    struct json_object *history = bd_json_get(doc, "history"), *words = bd_json_get(doc, WORDS);
    bool listed = json_object_is_type(history, json_type_array);
    size_t n = listed ? json_object_array_length(history) : 0;
    if (are_texts(words) && json_object_array_length(words) == n)
        return bd_json_copy(words);
    words = json_object_new_array();
    for (size_t i = 0; i < n; i++)
        json_object_array_add(words, json_object_new_string(bd_json_str(
                                         json_object_array_get_idx(history, i), "created_by", "")));
    return words;
}

const char *bd_image_text(struct bd_stage *s, struct json_object **doc)
{
    struct json_object *o = json_object_new_object(), *rootfs = json_object_new_object();
    char created[40];
    bd_time_text(s->created_ns, created);
    bd_json_set(o, "architecture", s->arch);
    set_or_not(o, "author", s->author);
    json_object_object_add(o, "config", json_object_get(s->config));
    bd_json_set(o, "created", created);
    json_object_object_add(o, "history", json_object_get(s->history));
    if (!words_are_history(s))
        json_object_object_add(o, WORDS, json_object_get(s->words));
    bd_json_set(o, "os", s->os);
    bd_json_set(rootfs, "type", "layers");
    json_object_object_add(rootfs, "diff_ids", json_object_get(s->diffs));
    json_object_object_add(o, "rootfs", rootfs);
    set_or_not(o, "variant", s->variant);
    *doc = o;
    return bd_json_text(o);
}

int64_t bd_step_time(const struct bd_build *b)
{
    return b->epoch_s >= 0 ? b->epoch_s * 1000000000 : bd_now();
}

static void note_history(struct bd_stage *s, struct bd_said said, bool empty)
{
    bool kit = bd_kit(s->build);
    const char *by = kit ? said.kit : said.classic;
    if (!by)
        return;
    struct json_object *h = json_object_new_object();
    char created[40];
    bd_time_text(s->created_ns, created);
    bd_json_set(h, "created", created);
    if (!kit)
        set_or_not(h, "author", s->author);
    bd_json_set(h, "created_by", by);
    if (kit)
        bd_json_set(h, "comment", KIT_COMMENT);
    if (empty)
        json_object_object_add(h, "empty_layer", json_object_new_boolean(true));
    json_object_array_add(s->history, h);
    json_object_array_add(s->words, json_object_new_string(said.classic));
}

int bd_commit(struct bd_stage *s, struct bd_said said, const struct dray_build_layer *made,
              int64_t created_ns, struct dray_err *err)
{
    bool empty = !made || made->empty;
    s->created_ns = created_ns;
    if (!empty) {
        s->layer = made->layer;
        json_object_array_add(s->diffs, json_object_new_string(made->diff_id));
    }
    bd_json_set(s->config, "Image", s->id);
    note_history(s, said, empty);
    bd_autojson *doc = NULL;
    bd_autosum *sum = bd_sum_new();
    if (!sum)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    const char *text = bd_image_text(s, &doc);
    bd_sum_add(sum, text, strlen(text));
    bd_sum_end(sum, s->id);
    return 0;
}

char *bd_nop(struct bd_stage *s, const char *fmt, ...)
{
    DRAY_AUTO(bd_buf) b = {0};
    struct json_object *shell = bd_json_get(s->config, "Shell");
    size_t n = shell ? json_object_array_length(shell) : 0;
    for (size_t i = 0; i < n; i++)
        bd_addf(&b, "%s ", json_object_get_string(json_object_array_get_idx(shell, i)));
    if (n == 0)
        bd_adds(&b, "/bin/sh -c ");
    bd_adds(&b, "#(nop) ");
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0)
        return NULL;
    bd_adds(&b, text);
    free(text);
    if (b.failed)
        return NULL;
    return dray_steal(b.text);
}

/* --- the cache ---------------------------------------------------------------------------------*/

bool bd_cache_find(struct bd_stage *s, const char *key, const char *created_by, struct bd_hit *out)
{
    struct bd_build *b = s->build;
    struct dray_build_record rec = {.size = sizeof rec};
    if (s->no_cache || (b->spec->flags & DRAY_BUILD_NO_CACHE))
        return false;
    if (b->engine->cache_get(b->call, key, &rec, NULL) != 0)
        return created_by && bd_cache_from_find(s, created_by, out);
    bd_autojson *o = NULL;
    if (bd_json_parse(rec.value, &o, NULL))
        return false;
    const char *diff = bd_json_str(o, "diff", ""), *hash = bd_json_str(o, "hash", "");
    *out = (struct bd_hit){
        .created_ns = json_object_get_int64(bd_json_get(o, "created")),
        .layer = {.size = sizeof out->layer,
                  .empty = *diff == '\0',
                  .layer = rec.layer,
                  .diff_id = dray_df_strndup(&s->arena, diff, strlen(diff))},
        .hash = dray_df_strndup(&s->arena, hash, strlen(hash)),
    };
    s->last_key = dray_df_strndup(&s->arena, key, strlen(key));
    return out->layer.diff_id && out->hash;
}

int bd_cache_keep(struct bd_stage *s, const char *key, const struct bd_hit *hit,
                  const char *description, struct dray_err *err)
{
    struct bd_build *b = s->build;
    bd_autojson *o = json_object_new_object();
    bd_json_set(o, "diff", hit->layer.empty ? "" : hit->layer.diff_id);
    json_object_object_add(o, "created", json_object_new_int64(hit->created_ns));
    if (hit->hash && *hit->hash)
        bd_json_set(o, "hash", hit->hash);
    const struct dray_build_record rec = {.size = sizeof rec,
                                          .layer = hit->layer.empty ? "" : hit->layer.layer,
                                          .value = bd_json_text(o),
                                          .description = description,
                                          .parent = s->last_key ? s->last_key : ""};
    int rc = b->engine->cache_put(b->call, key, &rec, err);
    s->last_key = dray_df_strndup(&s->arena, key, strlen(key));
    return rc;
}
