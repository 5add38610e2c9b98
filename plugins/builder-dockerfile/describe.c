/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c - what a Dockerfile offers to its user: the parameters of a target, the targets. */
#include "bd.h"

/* --- what a comment says -----------------------------------------------------------------------*/

/* The line before the one that begins at `at`, without blanks around it; NULL at the file's start.
 */
static const char *line_before(const struct dray_df_file *f, const char **at, size_t *len)
{
    if (*at == f->text)
        return NULL;
    const char *end = *at - 1, *start = end;
    while (start > f->text && start[-1] != '\n')
        start--;
    *at = start;
    while (start < end && strchr(" \t\r", *start))
        start++;
    while (end > start && strchr(" \t\r", end[-1]))
        end--;
    *len = (size_t)(end - start);
    return start;
}

/* Of the comments right above an instruction the first that begins with a name tells what is behind
 * the name. Owned, or NULL. */
static char *comment_of(const struct dray_df_file *f, uint32_t line, const char *name)
{
    const char *at = f->text, *text = NULL;
    char *found = NULL;
    size_t len = 0, n = name ? strlen(name) : 0;
    for (uint32_t i = 1; i < line && at; i++) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    while (n && at && (text = line_before(f, &at, &len)) != NULL && len && *text == '#') {
        for (text++, len--; len && strchr(" \t", *text); text++)
            len--;
        if (len > n && strncmp(text, name, n) == 0 && text[n] == ' ') {
            free(found);
            found = strndup(text + n + 1, len - n - 1);
        }
    }
    return found;
}

/* --- items -------------------------------------------------------------------------------------*/

static struct json_object *line_of(uint32_t line)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "line", json_object_new_int64(line));
    return o;
}

static void add_place(struct json_object *item, const struct dray_df_where *w)
{
    struct json_object *range = json_object_new_object(), *ranges = json_object_new_array();
    struct json_object *place = json_object_new_object();
    json_object_object_add(range, "start", line_of(w->line));
    json_object_object_add(range, "end", line_of(w->end_line ? w->end_line : w->line));
    json_object_array_add(ranges, range);
    json_object_object_add(place, "ranges", ranges);
    json_object_object_add(item, "location", place);
}

static void set_text(struct json_object *o, const char *key, const char *value)
{
    if (value && *value)
        bd_json_set(o, key, value);
}

static bool listed(struct json_object *list, const char *name)
{
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++)
        if (strcmp(bd_json_str(json_object_array_get_idx(list, i), "name", ""), name) == 0)
            return true;
    return false;
}

static int64_t line_in(struct json_object *item)
{
    struct json_object *ranges = bd_json_get(bd_json_get(item, "location"), "ranges");
    struct json_object *start = bd_json_get(json_object_array_get_idx(ranges, 0), "start");
    return json_object_get_int64(bd_json_get(start, "line"));
}

static int by_line(const void *a, const void *b)
{
    struct json_object *const *x = a, *const *y = b;
    int64_t i = line_in(*x), k = line_in(*y);
    return i < k ? -1 : i > k;
}

/* A list in the order of lines, unless there is nothing in it. */
static void add_list(struct json_object *o, const char *key, struct json_object *list /* takes */)
{
    if (json_object_array_length(list) == 0) {
        json_object_put(list);
        return;
    }
    json_object_array_sort(list, by_line);
    json_object_object_add(o, key, list);
}

static void emit_described(struct bd_build *b, struct json_object *result /* takes */)
{
    struct json_object *line = json_object_new_object(), *o = json_object_new_object();
    json_object_object_add(o, "result", result);
    bd_json_set(o, "text", b->file->text);
    json_object_object_add(line, "described", o);
    (void)bd_emit_json(b, line);
}

/* --- the parameters of a target ----------------------------------------------------------------*/

struct outline {
    struct bd_build *build;
    struct json_object *args, *secrets, *ssh, *cache;
    struct dray_df_arena arena;
    struct bd_vars scope; /* values of the stage that is looked at */
};

static const char *scope_get(void *arg, const char *name)
{
    struct outline *o = arg;
    const char *value = bd_vars_get(&o->scope, name);
    return value ? value : bd_platform_arg(o->build, name);
}

/* The ARG before the first FROM that a name has; *pair tells which of its pairs. */
static const struct dray_df_instr *global_arg(const struct dray_df_file *f, const char *name)
{
    for (const struct dray_df_instr *in = f->args; in; in = in->next)
        for (size_t i = 0; i < in->u.pairs.n; i++)
            if (strcmp(in->u.pairs.v[i].key, name) == 0)
                return in;
    return NULL;
}

static void put_arg(struct outline *o, const char *name, const char *value,
                    const struct dray_df_instr *in)
{
    struct bd_build *b = o->build;
    if (listed(o->args, name))
        return;
    struct json_object *item = json_object_new_object();
    dray_autofree char *said = comment_of(b->file, in->where.line, name);
    bd_json_set(item, "name", name);
    set_text(item, "description", said);
    set_text(item, "value", value);
    add_place(item, &in->where);
    json_object_array_add(o->args, item);
}

static int put_args(struct outline *o, const struct dray_df_instr *in, struct dray_err *err)
{
    struct bd_build *b = o->build;
    const struct dray_df_env env = {.get = scope_get, .arg = o};
    for (size_t i = 0; i < in->u.pairs.n; i++) {
        const struct dray_kv *kv = &in->u.pairs.v[i];
        const char *value = bd_build_arg(b, kv->key), *text = NULL;
        const struct dray_df_instr *above = kv->value ? NULL : global_arg(b->file, kv->key);
        int rc = 0;
        if (!value && kv->value)
            rc = dray_df_word(&o->arena, kv->value, b->file->escape, 0, &env, &text, err);
        else if (!value)
            text = bd_vars_get(&b->globals, kv->key);
        if (rc)
            return rc;
        value = value ? value : text;
        if (!bd_vars_set(&o->scope, kv->key, value))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        put_arg(o, kv->key, value, above ? above : in);
    }
    return 0;
}

static void put_mount(struct outline *o, const struct dray_df_mount *m,
                      const struct dray_df_instr *in)
{
    struct json_object *into = m->type == DRAY_DF_MOUNT_SECRET  ? o->secrets
                               : m->type == DRAY_DF_MOUNT_SSH   ? o->ssh
                               : m->type == DRAY_DF_MOUNT_CACHE ? o->cache
                                                                : NULL;
    const char *id = m->id ? m->id : m->target ? m->target : "default";
    if (!into || listed(into, id))
        return;
    struct json_object *item = json_object_new_object();
    bd_json_set(item, m->type == DRAY_DF_MOUNT_CACHE ? "ID" : "name", id);
    if (m->required)
        json_object_object_add(item, "required", json_object_new_boolean(true));
    add_place(item, &in->where);
    json_object_array_add(into, item);
}

/* The variables that FROM names. */
static void put_from(struct outline *o, const char *image)
{
    for (const char *at = image ? strchr(image, '$') : NULL; at; at = strchr(at, '$')) {
        at += 1 + (at[1] == '{');
        size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        const char *name = dray_df_strndup(&o->arena, at, n);
        const struct dray_df_instr *in = name ? global_arg(o->build->file, name) : NULL;
        if (in)
            put_arg(o, name, bd_vars_get(&o->build->globals, name), in);
    }
}

/* The arguments of a stage, with those that it has of the stage below it. */
static int stage_args(struct outline *o, const struct bd_stage *s, struct dray_err *err)
{
    const char *below = s->df->from->u.from.image;
    int i = bd_stage_named(o->build, &below, s->df->index);
    int rc = i >= 0 ? stage_args(o, &o->build->stages[i], err) : 0;
    for (const struct dray_df_instr *in = s->df->first; !rc && in; in = in->next)
        if (in->kind == DRAY_DF_ARG)
            rc = put_args(o, in, err);
    return rc;
}

static int outline_stage(struct outline *o, const struct bd_stage *s, struct dray_err *err)
{
    bd_vars_free(&o->scope);
    put_from(o, s->df->from->u.from.image);
    int rc = stage_args(o, s, err);
    for (const struct dray_df_instr *in = s->df->first; !rc && in; in = in->next) {
        for (size_t i = 0; in->kind == DRAY_DF_RUN && i < in->u.run.mounts.n; i++)
            put_mount(o, &in->u.run.mounts.v[i], in);
    }
    return rc;
}

static int outline(struct bd_build *b, struct dray_err *err)
{
    struct outline o = {.build = b,
                        .args = json_object_new_array(),
                        .secrets = json_object_new_array(),
                        .ssh = json_object_new_array(),
                        .cache = json_object_new_array()};
    const struct dray_df_stage *target = b->target->df;
    struct json_object *result = json_object_new_object();
    dray_autofree char *said =
        comment_of(b->file, target->from->where.line, target->from->u.from.name_raw);
    int rc = 0;
    for (uint32_t i = 0; !rc && i < b->n_stages; i++)
        if (b->stages[i].needed)
            rc = outline_stage(&o, &b->stages[i], err);
    set_text(result, "name", target->name);
    set_text(result, "description", said);
    add_list(result, "args", o.args);
    add_list(result, "secrets", o.secrets);
    add_list(result, "ssh", o.ssh);
    add_list(result, "cache", o.cache);
    bd_vars_free(&o.scope);
    dray_df_arena_free(&o.arena);
    if (rc)
        json_object_put(result);
    else
        emit_described(b, result);
    return rc;
}

/* --- the targets -------------------------------------------------------------------------------*/

static void targets(struct bd_build *b)
{
    struct json_object *result = json_object_new_object(), *list = json_object_new_array();
    for (uint32_t i = 0; i < b->file->n_stages; i++) {
        const struct dray_df_stage *s = &b->file->stages[i];
        const struct dray_df_from *from = &s->from->u.from;
        struct json_object *item = json_object_new_object();
        dray_autofree char *said = comment_of(b->file, s->from->where.line, from->name_raw);
        set_text(item, "name", s->name);
        if (i + 1 == b->file->n_stages)
            json_object_object_add(item, "default", json_object_new_boolean(true));
        set_text(item, "description", said);
        set_text(item, "base", from->image);
        set_text(item, "platform", from->platform);
        add_place(item, &s->from->where);
        json_object_array_add(list, item);
    }
    json_object_object_add(result, "targets", list);
    emit_described(b, result);
}

int bd_describe(struct bd_build *b, struct dray_err *err)
{
    if (strcmp(b->spec->request, "targets") != 0)
        return outline(b, err);
    targets(b);
    return 0;
}
