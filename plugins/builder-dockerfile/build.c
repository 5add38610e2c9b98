/* SPDX-License-Identifier: Apache-2.0 */
/* build.c - a whole build: reads the context, plans the stages, runs them side by side, names the
 * image. */
#include "build.h"

#include <poll.h>
#include <sys/eventfd.h>

/* --- the plan ----------------------------------------------------------------------------------*/

static void need(struct bd_build *b, struct bd_stage *s)
{
    if (s->needed)
        return;
    s->needed = true;
    for (uint32_t i = 0; i < s->df->index; i++)
        if (s->deps[i])
            need(b, &b->stages[i]);
}

static void note_dep(struct bd_build *b, struct bd_stage *s, const char *name)
{
    int i = name ? bd_stage_named(b, &name, s->df->index) : -1;
    if (i >= 0)
        s->deps[i] = true;
}

static int find_deps(struct bd_build *b, struct bd_stage *s, struct dray_err *err)
{
    struct dray_df_env env = bd_global_env(b);
    const struct dray_df_instr *from = NULL;
    s->deps = calloc(b->n_stages, sizeof *s->deps);
    if (!s->deps)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_df_expand(&b->file->arena, s->df->from, b->file->escape, &env, &from, err);
    if (rc)
        return rc;
    note_dep(b, s, from->u.from.image);
    for (const struct dray_df_instr *in = s->df->first; in; in = in->next) {
        if (in->kind == DRAY_DF_COPY || in->kind == DRAY_DF_ADD)
            note_dep(b, s, in->u.copy.from);
        for (size_t i = 0; in->kind == DRAY_DF_RUN && i < in->u.run.mounts.n; i++)
            note_dep(b, s, in->u.run.mounts.v[i].from);
    }
    return 0;
}

/* Names of stages are lower case, or their numbers. */
static void choose_uncached(struct bd_build *b)
{
    const struct dray_strs names = b->spec->no_cache;
    for (uint64_t i = 0; i < names.n; i++) {
        int at = dray_df_stage_find(b->file, names.v[i], b->n_stages);
        if (at >= 0)
            b->stages[at].no_cache = true;
    }
}

static int choose_target(struct bd_build *b, struct dray_err *err)
{
    const char *name = b->spec->target;
    int i = *name ? dray_df_stage_find(b->file, name, b->n_stages) : (int)b->n_stages - 1;
    if (i < 0)
        return dray_fail(err, DRAY_E_INVAL, "target stage \"%s\" could not be found", name);
    b->target = &b->stages[i];
    need(b, b->target);
    return 0;
}

static unsigned count_globals(const struct bd_build *b)
{
    unsigned n = 0;
    for (const struct dray_df_instr *in = b->file->args; in; in = in->next)
        n++;
    return n;
}

static void number_steps(struct bd_build *b)
{
    unsigned step = 1 + count_globals(b);
    for (uint32_t i = 0; i < b->n_stages; i++) {
        struct bd_stage *s = &b->stages[i];
        if (!s->needed)
            continue;
        s->first_step = step;
        s->steps = 1 + s->df->n_instrs;
        if (s == b->target)
            s->steps += (unsigned)b->spec->labels.n;
        step += s->steps;
    }
    b->total_steps = step - 1;
}

static int plan(struct bd_build *b, struct dray_err *err)
{
    b->n_stages = b->file->n_stages;
    if (b->n_stages == 0)
        return dray_fail(err, DRAY_E_INVAL, "file with no instructions");
    b->stages = calloc(b->n_stages, sizeof *b->stages);
    if (!b->stages)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = bd_globals_init(b, &b->file->arena, err);
    for (uint32_t i = 0; !rc && i < b->n_stages; i++) {
        b->stages[i].build = b;
        b->stages[i].df = &b->file->stages[i];
        rc = find_deps(b, &b->stages[i], err);
    }
    if (!rc)
        rc = choose_target(b, err);
    if (!rc)
        choose_uncached(b);
    if (!rc)
        number_steps(b);
    return rc;
}

/* --- running stages ----------------------------------------------------------------------------*/

/* Until what it needs is there; false: a stage has failed. */
static bool wait_deps(struct bd_stage *s)
{
    struct bd_build *b = s->build;
    pthread_mutex_lock(&b->lock);
    for (uint32_t i = 0; i < s->df->index && !b->failed; i++)
        while (s->deps[i] && b->stages[i].state != BD_DONE && !b->failed)
            pthread_cond_wait(&b->changed, &b->lock);
    bool ok = !b->failed;
    if (ok)
        s->state = BD_RUNNING;
    pthread_mutex_unlock(&b->lock);
    return ok;
}

static void stop_all(struct bd_build *b)
{
    (void)eventfd_write(b->stop_fd, 1);
}

static void emit_id(struct bd_stage *s)
{
    if (!*s->id)
        return;
    struct json_object *line = json_object_new_object(), *aux = json_object_new_object();
    bd_json_set(aux, "ID", s->id);
    json_object_object_add(line, "aux", aux);
    (void)bd_emit_json(s->build, line);
}

static void *stage_main(void *arg)
{
    struct bd_stage *s = arg;
    struct bd_build *b = s->build;
    int rc =
        wait_deps(s) ? bd_stage_run(s, &s->err) : dray_fail(&s->err, DRAY_E_CANCELED, "canceled");
    bd_tree_free(s->root); /* keeps a mount */
    s->root = NULL;
    pthread_mutex_lock(&b->lock);
    s->state = rc ? BD_FAILED : BD_DONE;
    b->failed = b->failed || rc;
    bd_trace_end(s, rc ? &s->err : NULL);
    bd_screen_next(b);
    if (!rc)
        emit_id(s);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    if (rc)
        stop_all(b);
    return NULL;
}

/* In the thread of the stage that asks; what it says is said there. */
static int run_late(struct bd_stage *s, struct bd_stage *late, struct dray_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; !rc && i < late->df->index; i++)
        if (late->deps[i])
            rc = bd_stage_await(s, i, err);
    late->first_step = s->first_step + s->step;
    if (!rc)
        (void)stage_main(late);
    if (!rc && !bd_tracing(s->build) && late->output.len)
        bd_say_text(s, late->output.text, late->output.len);
    return rc;
}

int bd_stage_await(struct bd_stage *s, uint32_t index, struct dray_err *err)
{
    struct bd_build *b = s->build;
    struct bd_stage *other = &b->stages[index];
    pthread_mutex_lock(&b->lock);
    bool mine = !other->needed && !other->late;
    other->late = other->late || mine;
    pthread_mutex_unlock(&b->lock);
    int rc = mine ? run_late(s, other, err) : 0;
    if (rc)
        return rc;
    pthread_mutex_lock(&b->lock);
    while (other->state != BD_DONE && !b->failed)
        pthread_cond_wait(&b->changed, &b->lock);
    bool ok = other->state == BD_DONE;
    pthread_mutex_unlock(&b->lock);
    return ok ? 0 : dray_fail(err, DRAY_E_CANCELED, "canceled");
}

/* The failure that came first stopped the others. */
static int first_failure(struct bd_build *b, struct dray_err *err)
{
    int rc = 0;
    const struct dray_df_where *where = NULL;
    for (uint32_t i = 0; i < b->n_stages; i++) {
        const struct bd_stage *s = &b->stages[i];
        if (s->state != BD_FAILED || (rc && s->err.code == DRAY_E_CANCELED))
            continue;
        if (rc && rc != DRAY_E_CANCELED)
            continue;
        rc = s->err.code;
        where = &s->where;
        if (err)
            *err = s->err;
    }
    if (rc)
        bd_trace_place(b, b->file->text, b->file->len, where);
    return rc;
}

static int run_stages(struct bd_build *b, struct dray_err *err)
{
    unsigned n = 0, started = 0;
    for (uint32_t i = 0; i < b->n_stages; i++)
        n += b->stages[i].needed;
    pthread_mutex_lock(&b->lock);
    bd_screen_next(b);
    pthread_mutex_unlock(&b->lock);
    for (uint32_t i = 0; i < b->n_stages; i++) {
        struct bd_stage *s = &b->stages[i];
        if (!s->needed)
            continue;
        /* The last one to be started has this thread. */
        if (++started == n) {
            (void)stage_main(s);
        } else if (pthread_create(&s->thread, NULL, stage_main, s) == 0) {
            s->started = true;
        } else {
            (void)stage_main(s); /* those before it are under way or done */
        }
    }
    for (uint32_t i = 0; i < b->n_stages; i++)
        if (b->stages[i].started)
            (void)pthread_join(b->stages[i].thread, NULL);
    return first_failure(b, err);
}

/* --- the image ---------------------------------------------------------------------------------*/

/* All layers above the base become one. */
static int squash(struct bd_stage *s, struct dray_err *err)
{
    struct bd_build *b = s->build;
    struct dray_build_layer made = {.size = sizeof made};
    size_t kept = 0;
    int rc = b->engine->layer_squash(b->call, s->layer, s->base_layer, &made, err);
    if (rc)
        return rc;
    size_t n = json_object_array_length(s->history);
    for (size_t i = 0; i < n; i++) {
        struct json_object *h = json_object_array_get_idx(s->history, i);
        bool empty = json_object_get_boolean(bd_json_get(h, "empty_layer"));
        if (!empty && ++kept > s->base_layers)
            json_object_object_add(h, "empty_layer", json_object_new_boolean(true));
    }
    json_object *diffs = json_object_new_array();
    for (size_t i = 0; i < s->base_layers; i++)
        json_object_array_add(diffs, json_object_get(json_object_array_get_idx(s->diffs, i)));
    json_object_put(s->diffs);
    s->diffs = diffs;
    s->layer = s->base_layer;
    dray_autofree char *by = bd_strf("merge %s to %s", s->id, *s->base_id ? s->base_id : "");
    return by ? bd_commit(s, (struct bd_said){by, by}, &made, bd_step_time(b), err)
              : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static void say_result(struct bd_build *b, const char *id)
{
    DRAY_AUTO(bd_buf) text = {0};
    bd_addf(&text, "Successfully built %.12s\n", id + strlen("sha256:"));
    (void)bd_emit_text(b, bd_text(&text));
    for (uint64_t i = 0; i < b->spec->tags.n; i++) {
        const char *tag = b->spec->tags.v[i];
        const char *slash = strrchr(tag, '/');
        DRAY_AUTO(bd_buf) line = {0};
        bd_addf(&line, "Successfully tagged %s%s\n", tag,
                strchr(slash ? slash : tag, ':') ? "" : ":latest");
        (void)bd_emit_text(b, bd_text(&line));
    }
}

static int put_image(struct bd_build *b, const char **image_out, struct dray_err *err)
{
    struct bd_stage *s = b->target;
    /* BuildKit makes an image of "FROM scratch" alone. */
    bool nothing = !*s->id;
    if (nothing && !bd_kit(b))
        return dray_fail(err, DRAY_E_INVAL, "No image was generated. Is your Dockerfile empty?");
    if (nothing)
        s->created_ns = bd_step_time(b);
    int rc = (b->spec->flags & DRAY_BUILD_SQUASH) ? squash(s, err) : 0;
    bd_autojson *doc = NULL;
    if (!rc && !nothing && strcmp(s->id, s->base_id) == 0) {
        rc = b->engine->image_tag(b->call, s->id, b->spec->tags, image_out, err);
    } else if (!rc) {
        const char *text = bd_image_text(s, &doc);
        rc = b->engine->image_put(b->call, text, s->layer, s->base_id, b->spec->tags, image_out,
                                  err);
    }
    return rc;
}

/* --- the call ----------------------------------------------------------------------------------*/

static int read_epoch(struct bd_build *b, struct dray_err *err)
{
    const char *text = dray_kvs_get(b->spec->args, "SOURCE_DATE_EPOCH", "");
    char *end = NULL;
    b->epoch_s = -1;
    if (!*text)
        return 0;
    long long n = strtoll(text, &end, 10);
    if (*end || n < 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid SOURCE_DATE_EPOCH: %s", text);
    b->epoch_s = n;
    return 0;
}

static void say_globals(struct bd_build *b)
{
    unsigned step = 0;
    if (bd_tracing(b))
        return;
    for (const struct dray_df_instr *in = b->file->args; in; in = in->next) {
        DRAY_AUTO(bd_buf) text = {0};
        bd_addf(&text, "Step %u/%u : %s\n", ++step, b->total_steps, in->text);
        (void)bd_emit_text(b, bd_text(&text));
    }
}

/* Watches for the client's end, and tells the steps. */
static void *watch_main(void *arg)
{
    struct bd_build *b = arg;
    struct pollfd p[2] = {{.fd = b->call->cancel_fd, .events = POLLIN},
                          {.fd = b->stop_fd, .events = POLLIN}};
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        continue;
    if (p[0].revents) {
        pthread_mutex_lock(&b->lock);
        b->failed = true;
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->lock);
        stop_all(b);
    }
    return NULL;
}

static int build_all(struct bd_build *b, const char **image_out, struct dray_err *err)
{
    DRAY_AUTO(bd_buf) text = {0};
    struct dray_df_where where = {0};
    int rc = read_epoch(b, err);
    if (!rc)
        rc = bd_context_open(b, &text, err);
    if (!rc) {
        rc = dray_df_parse(text.text, text.len, b->spec->dockerfile, &b->file, &where, err);
        if (rc && bd_tracing(b))
            bd_trace_place(b, text.text, text.len, &where);
        else if (rc)
            dray_df_explain(text.text, text.len, b->spec->dockerfile, &where, err);
    }
    if (!rc && (b->spec->flags & DRAY_BUILD_CHECK))
        return bd_check(b, err);
    if (!rc && b->spec->request) {
        rc = plan(b, err);
        return rc ? rc : bd_describe(b, err);
    }
    if (!rc)
        rc = bd_check_gate(b, err);
    if (!rc)
        rc = bd_context_hide(b, err);
    if (!rc)
        rc = plan(b, err);
    if (rc)
        return rc;
    say_globals(b);
    bd_check_warn(b);
    bd_cache_from_open(b);
    rc = run_stages(b, err);
    if (rc)
        return rc;
    bd_warn_unused(b);
    /* Before the image is flushed to the disk: the context need not go there. */
    bd_context_free(b);
    rc = put_image(b, image_out, err);
    if (!rc)
        say_result(b, *image_out);
    return rc;
}

static void build_fini(struct bd_build *b)
{
    for (uint32_t i = 0; i < b->n_stages && b->stages; i++)
        bd_stage_free(&b->stages[i]);
    free(b->stages);
    bd_vars_free(&b->globals);
    dray_df_free(b->file);
    bd_context_free(b);
    bd_far_free(b);
    json_object_put(b->cache_from);
    free(b->arg_used);
    dray_cleanup_fd(&b->stop_fd);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
}

int bd_build_run(struct dray_self *self, const struct dray_call *call,
                 const struct dray_build_spec *spec, const char **image_out, struct dray_err *err)
{
    struct bd_build b = {.self = self,
                         .host = self->host,
                         .engine = self->engine,
                         .call = call,
                         .spec = spec,
                         .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_t watch;
    struct dray_err own = {0};
    b.cancel_fd = b.stop_fd;
    b.arg_used = calloc(spec->args.n + 1, sizeof *b.arg_used);
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.changed, NULL);
    bd_platform_init(&b);
    int rc = b.stop_fd < 0 || !b.arg_used ? dray_fail(&own, DRAY_E_NOMEM, "out of memory") : 0;
    bool watched = !rc && call->cancel_fd >= 0 && pthread_create(&watch, NULL, watch_main, &b) == 0;
    if (!rc)
        rc = build_all(&b, image_out, &own);
    if (watched) {
        stop_all(&b);
        (void)pthread_join(watch, NULL);
    }
    build_fini(&b);
    if (rc && err)
        *err = own;
    return rc;
}
