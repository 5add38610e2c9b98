/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - tells a client that wants it of the steps, as things happen, and of where a build has
 * failed. */
#include "bd.h"

bool bd_tracing(const struct bd_build *b)
{
    return (b->spec->flags & DRAY_BUILD_TRACE) != 0;
}

bool bd_kit(const struct bd_build *b)
{
    return (b->spec->flags & DRAY_BUILD_KIT) != 0;
}

/* --- steps of the build ------------------------------------------------------------------------*/

static struct json_object *event(const char *id, const char *state)
{
    struct json_object *step = json_object_new_object();
    bd_json_set(step, "id", id);
    if (state)
        bd_json_set(step, "state", state);
    return step;
}

static void emit(struct bd_build *b, struct json_object *step /* takes */)
{
    struct json_object *line = json_object_new_object();
    json_object_object_add(line, "step", step);
    (void)bd_emit_json(b, line);
}

void bd_trace_begin(struct bd_build *b, const char *id, const char *name)
{
    if (!bd_tracing(b))
        return;
    struct json_object *step = event(id, "started");
    bd_json_set(step, "name", name);
    emit(b, step);
}

void bd_trace_finish(struct bd_build *b, const char *id, const struct dray_err *err)
{
    if (!bd_tracing(b))
        return;
    struct json_object *step = event(id, err ? "error" : "done");
    if (err)
        bd_json_set(step, "error", err->text);
    emit(b, step);
}

/* --- steps of a stage --------------------------------------------------------------------------*/

/* An event of the step that is under way, with one field more. */
static void trace(struct bd_stage *s, const char *state, const char *key, const char *value)
{
    char id[32];
    (void)snprintf(id, sizeof id, "%u.%u", s->df->index, s->traced);
    struct json_object *step = event(id, state);
    if (key)
        bd_json_set(step, key, value);
    if (s->trace_cached)
        json_object_object_add(step, "cached", json_object_new_boolean(true));
    emit(s->build, step);
}

void bd_trace_output(struct bd_stage *s, bool last)
{
    struct bd_buf *o = &s->output;
    size_t n = last ? o->len : bd_whole_characters(o->text, o->len);
    if (n == 0 || !s->trace_open)
        return;
    char kept = o->text[n];
    o->text[n] = '\0';
    trace(s, NULL, "text", o->text);
    o->text[n] = kept;
    memmove(o->text, o->text + n, o->len - n);
    o->len -= n;
    o->text[o->len] = '\0';
}

void bd_trace_end(struct bd_stage *s, const struct dray_err *err)
{
    if (!bd_tracing(s->build) || !s->trace_open)
        return;
    bd_trace_output(s, true);
    trace(s, err ? "error" : "done", err ? "error" : NULL, err ? err->text : NULL);
    s->trace_open = s->trace_cached = false;
}

void bd_trace_done(struct bd_stage *s)
{
    pthread_mutex_lock(&s->build->lock);
    bd_trace_end(s, NULL);
    pthread_mutex_unlock(&s->build->lock);
}

bool bd_trace_counts(enum dray_df_kind kind)
{
    return kind == DRAY_DF_RUN || kind == DRAY_DF_COPY || kind == DRAY_DF_ADD ||
           kind == DRAY_DF_WORKDIR;
}

/* What the variables of the stage make of an instruction, for people. */
static const char *readable(struct bd_stage *s, const char *text)
{
    struct dray_df_env env = bd_stage_env(s);
    const char *out = text;
    (void)dray_df_word(&s->arena, text, s->build->file->escape,
                       DRAY_DF_KEEP_QUOTES | DRAY_DF_KEEP_UNSET, &env, &out, NULL);
    return out;
}

void bd_trace_step(struct bd_stage *s, const char *text)
{
    struct bd_build *b = s->build;
    DRAY_AUTO(bd_buf) name = {0};
    if (!bd_tracing(b))
        return;
    const char *shown = readable(s, text);
    pthread_mutex_lock(&b->lock);
    s->traced++;
    s->trace_open = true;
    if (b->n_stages == 1)
        bd_adds(&name, "[");
    else if (s->df->name)
        bd_addf(&name, "[%s ", s->df->name);
    else
        bd_addf(&name, "[stage-%u ", s->df->index);
    bd_addf(&name, "%u/%u] %s", s->traced, s->trace_total, shown);
    trace(s, "started", "name", bd_text(&name));
    pthread_mutex_unlock(&b->lock);
}

void bd_trace_cached(struct bd_stage *s)
{
    pthread_mutex_lock(&s->build->lock);
    s->trace_cached = s->trace_open;
    pthread_mutex_unlock(&s->build->lock);
}

/* --- where it has failed -----------------------------------------------------------------------*/

void bd_trace_place(struct bd_build *b, const char *text, size_t len,
                    const struct dray_df_where *where)
{
    if (!bd_tracing(b) || !where || where->line == 0)
        return;
    struct json_object *line = json_object_new_object(), *o = json_object_new_object();
    dray_autofree char *shown = dray_df_excerpt(text, len, b->spec->dockerfile, where, true);
    uint32_t end = where->end_line > where->line ? where->end_line : where->line;
    bd_json_set(o, "file", b->spec->dockerfile);
    json_object_object_add(o, "line", json_object_new_int64(where->line));
    json_object_object_add(o, "end_line", json_object_new_int64(end));
    json_object_object_add(o, "text", json_object_new_string_len(text, (int)len));
    bd_json_set(o, "excerpt", shown ? shown : "");
    json_object_object_add(line, "place", o);
    (void)bd_emit_json(b, line);
}
