/* SPDX-License-Identifier: Apache-2.0 */
/* stage.c - one stage: its base, then its instructions one after the other. */
#include "bd.h"

void bd_stage_free(struct bd_stage *s)
{
    bd_tree_free(s->root);
    json_object_put(s->config);
    json_object_put(s->history);
    json_object_put(s->words);
    json_object_put(s->diffs);
    bd_vars_free(&s->args);
    bd_vars_free(&s->over);
    dray_df_arena_free(&s->arena);
    free(s->output.text);
    free(s->arch);
    free(s->os);
    free(s->variant);
    free(s->author);
    free(s->deps);
}

void bd_say_cached(struct bd_stage *s)
{
    bd_say(s, " ---> Using cache\n");
    bd_trace_cached(s);
}

static void say_step(struct bd_stage *s, const struct dray_df_instr *in)
{
    unsigned total = s->build->total_steps;
    s->where = in->where;
    if (bd_trace_counts(in->kind))
        bd_trace_step(s, in->text);
    bd_say(s, "Step %u/%u : %s\n", s->first_step + s->step++, total, in->text);
}

static const char *short_id(const struct bd_stage *s)
{
    return *s->id ? s->id + strlen("sha256:") : "";
}

/* --- instructions ------------------------------------------------------------------------------*/

/* Only the config changes, by an instruction or by an option of the client. The cache keeps the
 * time, so that the same steps give the same image. */
static int change_config(struct bd_stage *s, const struct dray_df_instr *in, bool option,
                         struct dray_err *err)
{
    dray_autofree char *classic = NULL;
    dray_autofree char *kit = NULL;
    bd_autosum *sum = bd_sum_new();
    char key[BD_DIGEST_LEN];
    int rc = sum ? bd_config_apply(s, in, &classic, &kit, err)
                 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        return rc;
    dray_autofree char *by = bd_nop(s, " %s", classic);
    if (!by)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bd_sum_text(sum, "config 1");
    bd_sum_text(sum, s->id);
    bd_sum_text(sum, bd_json_text(s->config));
    bd_sum_text(sum, by);
    bd_sum_num(sum, s->build->epoch_s);
    bd_sum_end(sum, key);
    struct bd_hit hit = {0};
    if (option) {
        free(kit);
        kit = NULL;
    }
    /* What is no step is none in the history of an image of --cache-from. */
    bool step = kit || !bd_kit(s->build);
    if (bd_cache_find(s, key, step ? by : NULL, &hit)) {
        bd_say_cached(s);
    } else {
        hit = (struct bd_hit){.layer = {.size = sizeof hit.layer, .empty = 1, .layer = ""},
                              .created_ns = bd_step_time(s->build)};
        rc = bd_cache_keep(s, key, &hit, in->text, err);
    }
    return rc ? rc : bd_commit(s, (struct bd_said){by, kit}, NULL, hit.created_ns, err);
}

static int dispatch(struct bd_stage *s, const struct dray_df_instr *in, struct dray_err *err)
{
    struct dray_df_env env = bd_stage_env(s);
    const struct dray_df_instr *x = NULL;
    int rc = dray_df_expand(&s->arena, in, s->build->file->escape, &env, &x, err);
    if (rc)
        return rc;
    switch (x->kind) {
    case DRAY_DF_RUN:
        return bd_run(s, x, err);
    case DRAY_DF_COPY:
    case DRAY_DF_ADD:
        return bd_copy(s, x, err);
    case DRAY_DF_WORKDIR:
        return bd_workdir(s, x, err);
    case DRAY_DF_FROM:
        return dray_fail(err, DRAY_E_INTERNAL, "FROM within a stage");
    default:
        return change_config(s, x, false, err);
    }
}

/* --- the base ----------------------------------------------------------------------------------*/

static char *dup_text(struct json_object *o, const char *key, const char *def)
{
    return strdup(bd_json_str(o, key, def));
}

static struct json_object *copy_or_new(struct json_object *o)
{
    struct json_object *copy = bd_json_copy(o);
    return copy ? copy : json_object_new_array();
}

static void base_scratch(struct bd_stage *s)
{
    s->config = bd_config_new(NULL);
    s->history = json_object_new_array();
    s->words = json_object_new_array();
    s->diffs = json_object_new_array();
    s->arch = strdup(bd_platform_arg(s->build, "TARGETARCH"));
    s->os = strdup(bd_platform_arg(s->build, "TARGETOS"));
    s->variant = strdup(bd_platform_arg(s->build, "TARGETVARIANT"));
    s->layer = "";
    s->from_scratch = true;
}

static int base_image(struct bd_stage *s, const char *ref, const char *platform,
                      struct dray_err *err)
{
    struct dray_build_image image = {.size = sizeof image};
    bd_autojson *doc = NULL;
    int rc = bd_image(s, ref, platform, &image, err);
    if (!rc)
        rc = bd_json_parse(image.config, &doc, err);
    if (rc)
        return rc;
    struct json_object *rootfs = bd_json_get(doc, "rootfs");
    s->config = bd_config_new(bd_json_get(doc, "config"));
    s->history = copy_or_new(bd_json_get(doc, "history"));
    s->words = bd_image_words(doc);
    s->diffs = copy_or_new(bd_json_get(rootfs, "diff_ids"));
    s->arch = dup_text(doc, "architecture", "");
    s->os = dup_text(doc, "os", "linux");
    s->variant = dup_text(doc, "variant", "");
    s->author = dup_text(doc, "author", "");
    s->layer = image.layer;
    (void)snprintf(s->id, sizeof s->id, "%s", image.id);
    if (*s->id)
        bd_check_base(s, ref, platform);
    return 0;
}

/* Arguments hold in the stages that begin with this one, too. */
static int base_stage(struct bd_stage *s, const struct bd_stage *from, struct dray_err *err)
{
    for (size_t i = 0; i < from->args.n; i++)
        if (!bd_vars_set(&s->args, from->args.v[i].key, from->args.v[i].value))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->config = bd_config_new(from->config);
    s->history = bd_json_copy(from->history);
    s->words = bd_json_copy(from->words);
    s->diffs = bd_json_copy(from->diffs);
    s->arch = strdup(from->arch);
    s->os = strdup(from->os);
    s->variant = strdup(from->variant);
    s->author = from->author ? strdup(from->author) : NULL;
    s->layer = from->layer;
    s->created_ns = from->created_ns;
    s->from_scratch = from->from_scratch;
    s->last_key = from->last_key;
    memcpy(s->id, from->id, sizeof s->id);
    return 0;
}

/* Expand what FROM names with the global arguments. */
static int base_name(struct bd_stage *s, const char **image, const char **platform,
                     struct dray_err *err)
{
    struct dray_df_env env = bd_global_env(s->build);
    const struct dray_df_instr *from = NULL;
    int rc = dray_df_expand(&s->arena, s->df->from, s->build->file->escape, &env, &from, err);
    if (rc)
        return rc;
    *image = from->u.from.image;
    *platform = from->u.from.platform && *from->u.from.platform ? from->u.from.platform
                                                                : s->build->spec->platform;
    if (from->u.from.platform && !*from->u.from.platform)
        return dray_fail(err, DRAY_E_INVAL, "empty platform value from expression %s",
                         s->df->from->u.from.platform);
    if (!**image)
        return dray_fail(err, DRAY_E_INVAL, "base name (%s) should not be blank",
                         s->df->from->u.from.image);
    return 0;
}

/* The steps that people see: from_image says whether the base is one of them. */
static void count_steps(struct bd_stage *s, bool from_image)
{
    struct json_object *triggers = bd_json_get(s->config, "OnBuild");
    size_t n = triggers ? json_object_array_length(triggers) : 0;
    s->trace_total = from_image;
    for (size_t i = 0; i < n; i++) {
        const struct dray_df_instr *in = NULL;
        const char *text = json_object_get_string(json_object_array_get_idx(triggers, i));
        if (dray_df_parse_one(&s->arena, text, true, &in, NULL) == 0)
            s->trace_total += bd_trace_counts(in->kind);
    }
    for (const struct dray_df_instr *in = s->df->first; in; in = in->next)
        s->trace_total += bd_trace_counts(in->kind);
}

static int run_triggers(struct bd_stage *s, struct dray_err *err)
{
    bd_autojson *triggers = json_object_get(bd_json_get(s->config, "OnBuild"));
    size_t n = triggers ? json_object_array_length(triggers) : 0;
    if (n == 0)
        return 0;
    bd_say(s, "# Executing %zu build trigger%s\n", n, n > 1 ? "s" : "");
    json_object_object_add(s->config, "OnBuild", NULL);
    for (size_t i = 0; i < n; i++) {
        const struct dray_df_instr *in = NULL;
        const char *text = json_object_get_string(json_object_array_get_idx(triggers, i));
        int rc = dray_df_parse_one(&s->arena, text, true, &in, err);
        dray_autofree char *shown = rc ? NULL : bd_strf("ONBUILD %s", in->text);
        if (shown && bd_trace_counts(in->kind))
            bd_trace_step(s, shown);
        s->triggered = true;
        if (!rc)
            rc = dispatch(s, in, err);
        s->triggered = false;
        if (rc)
            return rc;
        bd_trace_done(s);
    }
    return 0;
}

static void trace_base(struct bd_stage *s, const char *image)
{
    dray_autofree char *text = bd_strf("FROM %s", bd_image_name(s->build, image));
    bd_trace_step(s, text ? text : "FROM");
    bd_trace_done(s);
}

static int begin(struct bd_stage *s, struct dray_err *err)
{
    const char *image = NULL, *platform = NULL;
    say_step(s, s->df->from);
    int rc = base_name(s, &image, &platform, err);
    if (rc)
        return rc;
    int i = bd_stage_named(s->build, &image, s->df->index);
    bool scratch = bd_is_scratch(s->build, image), named = !scratch && i < 0;
    if (scratch)
        base_scratch(s);
    else if (i >= 0)
        rc = base_stage(s, &s->build->stages[i], err);
    else
        rc = base_image(s, image, platform, err);
    if (rc)
        return rc;
    count_steps(s, named);
    if (named)
        trace_base(s, image);
    s->base_layer = s->layer;
    s->base_layers = json_object_array_length(s->diffs);
    memcpy(s->base_id, s->id, sizeof s->base_id);
    bd_say(s, " ---> %.12s\n", short_id(s));
    return run_triggers(s, err);
}

/* --- the whole ---------------------------------------------------------------------------------*/

static bool stopped(struct bd_build *b)
{
    pthread_mutex_lock(&b->lock);
    bool stop = b->failed;
    pthread_mutex_unlock(&b->lock);
    return stop;
}

/* --label comes as one more instruction at the end. */
static int add_labels(struct bd_stage *s, struct dray_err *err)
{
    const struct dray_kvs labels = s->build->spec->labels;
    DRAY_AUTO(bd_list) keys = {0};
    int rc = 0;
    for (uint64_t i = 0; i < labels.n; i++)
        if (!bd_list_add(&keys, labels.v[i].key))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bd_list_sort(&keys);
    for (size_t i = 0; !rc && i < keys.n; i++) {
        const struct dray_kv kv = {keys.v[i], dray_kvs_get(labels, keys.v[i], "")};
        dray_autofree char *text = bd_strf("LABEL %s=%s", kv.key, kv.value);
        const struct dray_df_instr in = {.kind = DRAY_DF_LABEL,
                                         .name = "LABEL",
                                         .text = text ? text : "LABEL",
                                         .u.pairs = {.v = &kv, .n = 1}};
        say_step(s, &in);
        rc = change_config(s, &in, true, err);
        if (!rc)
            bd_say(s, " ---> %.12s\n", short_id(s));
    }
    return rc;
}

int bd_stage_run(struct bd_stage *s, struct dray_err *err)
{
    int rc = begin(s, err);
    for (const struct dray_df_instr *in = s->df->first; !rc && in; in = in->next) {
        if (stopped(s->build))
            return dray_fail(err, DRAY_E_CANCELED, "canceled");
        say_step(s, in);
        rc = dispatch(s, in, err);
        if (rc)
            break;
        bd_trace_done(s);
        bd_say(s, " ---> %.12s\n", short_id(s));
    }
    return !rc && s == s->build->target ? add_labels(s, err) : rc;
}
