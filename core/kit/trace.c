/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - turns what a builder tells of its steps into BuildKit's StatusResponse messages. */
#include "kit/trace.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/ident.h"
#include "base/json.h"
#include "kit/pb.h"

/** A step that was told of. */
struct kit_vertex {
    struct kit_vertex *next;
    char *id, *name;
    char digest[DRAY_DIGEST_LEN];
    int64_t started_ns, completed_ns;
    bool cached;
    char *error;
    struct kit_part *parts;
};

/** Something in it that moves on: a layer of a pull, a transfer. */
struct kit_part {
    struct kit_part *next;
    char *what;
    int64_t started_ns, told_ns, current, total;
    bool done;
};

/** Progress of one thing is told at most this often. */
#define TELL_NS (100 * 1000 * 1000)
#define PULL "pull"

void kit_trace_init(struct kit_trace *t, dray_kit_status_fn status, void *ctx)
{
    *t = (struct kit_trace){.status = status, .ctx = ctx};
    dray_id_hex(t->build, 32);
    pthread_mutex_init(&t->lock, NULL);
}

/* ---- Sending; the lock is held ---- */

enum { VERTEXES = 1, STATUSES = 2, LOGS = 3, WARNINGS = 4 }; /* of StatusResponse */

static int send(struct kit_trace *t, unsigned field, const struct dray_buf *inner)
{
    DRAY_AUTO(dray_buf) msg = {0};
    pb_message(&msg, field, inner);
    return msg.failed ? DRAY_E_NOMEM : t->status(t->ctx, msg.data, msg.len);
}

static int send_vertex(struct kit_trace *t, const struct kit_vertex *v)
{
    DRAY_AUTO(dray_buf) b = {0};
    pb_text(&b, 1, v->digest);
    pb_text(&b, 3, v->name);
    pb_bool(&b, 4, v->cached);
    pb_time(&b, 5, v->started_ns);
    pb_time(&b, 6, v->completed_ns);
    pb_text(&b, 7, v->error);
    return send(t, VERTEXES, &b);
}

static int send_part(struct kit_trace *t, const struct kit_vertex *v, const struct kit_part *p)
{
    DRAY_AUTO(dray_buf) b = {0};
    int64_t now = dray_clock_now();
    pb_text(&b, 1, p->what);
    pb_text(&b, 2, v->digest);
    pb_uint(&b, 4, (uint64_t)p->current);
    pb_uint(&b, 5, (uint64_t)p->total);
    pb_time(&b, 6, now);
    pb_time(&b, 7, p->started_ns);
    pb_time(&b, 8, p->done ? now : 0);
    return send(t, STATUSES, &b);
}

static int send_log(struct kit_trace *t, const struct kit_vertex *v, const char *text)
{
    DRAY_AUTO(dray_buf) b = {0};
    pb_text(&b, 1, v->digest);
    pb_time(&b, 2, dray_clock_now());
    pb_uint(&b, 3, 1);
    pb_text(&b, 4, text);
    return send(t, LOGS, &b);
}

/* ---- Steps; the lock is held ---- */

static struct kit_vertex *find(struct kit_trace *t, const char *id)
{
    struct kit_vertex *v = t->vertexes;
    while (v && strcmp(v->id, id) != 0)
        v = v->next;
    return v;
}

static void vertex_free(struct kit_vertex *v)
{
    while (v->parts) {
        struct kit_part *next = v->parts->next;
        free(v->parts->what);
        free(v->parts);
        v->parts = next;
    }
    free(v->id);
    free(v->name);
    free(v->error);
    free(v);
}

static struct kit_vertex *begin(struct kit_trace *t, const char *id, const char *name)
{
    struct kit_vertex *v = calloc(1, sizeof *v);
    dray_autofree char *seed = dray_strf("%s %s", t->build, id);
    if (!v || !seed || !(v->id = strdup(id)) || !(v->name = strdup(name))) {
        if (v)
            vertex_free(v);
        return NULL;
    }
    dray_digest_of(seed, strlen(seed), v->digest);
    v->started_ns = dray_clock_now();
    v->next = t->vertexes;
    t->vertexes = v;
    (void)send_vertex(t, v);
    return v;
}

static void end(struct kit_trace *t, struct kit_vertex *v, const char *error)
{
    if (v->completed_ns)
        return;
    v->completed_ns = dray_clock_now();
    v->error = error ? strdup(error) : NULL;
    (void)send_vertex(t, v);
}

static void progress(struct kit_trace *t, struct kit_vertex *v, const struct kit_part *state)
{
    struct kit_part *p = v->parts;
    int64_t now = dray_clock_now();
    while (p && strcmp(p->what, state->what) != 0)
        p = p->next;
    if (!p && (p = calloc(1, sizeof *p)) != NULL) {
        p->what = strdup(state->what);
        if (!p->what) {
            free(p);
            return;
        }
        p->started_ns = now;
        p->next = v->parts;
        v->parts = p;
    }
    if (!p || p->done)
        return;
    p->current = state->current;
    p->total = state->total;
    p->done = state->done;
    if (!p->done && now - p->told_ns < TELL_NS)
        return;
    p->told_ns = now;
    (void)send_part(t, v, p);
}

/* ---- Steps of ours ---- */

void kit_trace_begin(struct kit_trace *t, const char *id, const char *name)
{
    pthread_mutex_lock(&t->lock);
    (void)begin(t, id, name);
    pthread_mutex_unlock(&t->lock);
}

void kit_trace_progress(struct kit_trace *t, const char *id, const char *what, int64_t current,
                        int64_t total, bool done)
{
    dray_autofree char *name = strdup(what);
    const struct kit_part state = {.what = name, .current = current, .total = total, .done = done};
    pthread_mutex_lock(&t->lock);
    struct kit_vertex *v = find(t, id);
    if (v && name)
        progress(t, v, &state);
    pthread_mutex_unlock(&t->lock);
}

void kit_trace_end(struct kit_trace *t, const char *id, const char *error)
{
    pthread_mutex_lock(&t->lock);
    struct kit_vertex *v = find(t, id);
    if (v)
        end(t, v, error);
    pthread_mutex_unlock(&t->lock);
}

void kit_trace_fini(struct kit_trace *t, const char *error)
{
    for (struct kit_vertex *v = t->vertexes, *next = NULL; v; v = next) {
        next = v->next;
        end(t, v, error);
        vertex_free(v);
    }
    pthread_mutex_destroy(&t->lock);
}

/* ---- What a builder says; the lock is held ---- */

void kit_trace_words(const char *text, char *out, size_t room)
{
    static const char head[] = "The command '", tail[] = "' returned a non-zero code: ";
    static const char copy[] =
        "file not found in build context or excluded by .dockerignore: stat ";
    const char *missing = strstr(text, copy);
    const char *end = dray_str_prefix(text, head) ? strstr(text, tail) : NULL;
    if (end)
        (void)snprintf(out, room, "process \"%.*s\" did not complete successfully: exit code: %s",
                       (int)(end - text - (ptrdiff_t)strlen(head)), text + strlen(head),
                       end + strlen(tail));
    else if (missing)
        (void)snprintf(
            out, room,
            "failed to compute cache key: failed to calculate checksum: \"/%.*s\": not found",
            (int)strcspn(missing + strlen(copy), ":"), missing + strlen(copy));
    else
        (void)snprintf(out, room, "%s", text);
}

static int take_step(struct kit_trace *t, struct json_object *o)
{
    const char *id = dray_json_str(o, "id", ""), *state = dray_json_str(o, "state", "");
    const char *text = dray_json_str(o, "text", NULL);
    struct kit_vertex *v = find(t, id);
    if (!v)
        v = begin(t, id, dray_json_str(o, "name", ""));
    if (!v)
        return DRAY_E_NOMEM;
    v->cached = v->cached || dray_json_bool(o, "cached", false);
    int rc = text ? send_log(t, v, text) : 0;
    bool failed = strcmp(state, "error") == 0;
    char why[sizeof((struct dray_err *)0)->text] = "";
    if (failed)
        kit_trace_words(dray_json_str(o, "error", "failed"), why, sizeof why);
    if (failed || strcmp(state, "done") == 0)
        end(t, v, failed ? why : NULL);
    return rc;
}

/* A pull has no step of its own to the builder; here it has one. */
static int take_pull(struct kit_trace *t, struct json_object *o, const char *status)
{
    struct kit_vertex *v = find(t, PULL);
    const char *layer = dray_json_str(o, "id", "");
    if (!v || v->completed_ns) {
        static const char from[] = "Pulling from ";
        const char *image = dray_str_prefix(status, from) ? status + strlen(from) : "";
        if (v) { /* the one before has ended: its place is free again */
            free(v->id);
            v->id = strdup("");
        }
        dray_autofree char *name =
            dray_strf("[internal] pull %s%s%s", image, *layer ? ":" : "", layer);
        v = name ? begin(t, PULL, name) : NULL;
        return v ? 0 : DRAY_E_NOMEM;
    }
    if (dray_str_prefix(status, "Status: ")) {
        end(t, v, NULL);
    } else if (*layer) {
        bool done = strcmp(status, "Pull complete") == 0 || strcmp(status, "Already exists") == 0;
        dray_autofree char *what = dray_strf("%s", layer);
        const struct kit_part state = {.what = what,
                                       .current = dray_json_int(o, "progressDetail.current", 0),
                                       .total = dray_json_int(o, "progressDetail.total", 0),
                                       .done = done};
        if (what)
            progress(t, v, &state);
    }
    return 0;
}

/* pb.SourceInfo and pb.Range: where in the Dockerfile it is. */
static void add_place(struct dray_buf *b, struct json_object *o)
{
    DRAY_AUTO(dray_buf) info = {0};
    DRAY_AUTO(dray_buf) range = {0};
    DRAY_AUTO(dray_buf) position = {0};
    int64_t line = dray_json_int(o, "line", 0);
    if (line <= 0)
        return;
    pb_text(&info, 1, dray_json_str(o, "file", "Dockerfile"));
    pb_message(b, 6, &info);
    pb_uint(&position, 1, (uint64_t)line);
    pb_message(&range, 1, &position);
    pb_message(&range, 2, &position);
    pb_message(b, 7, &range);
}

static int take_warning(struct kit_trace *t, struct json_object *o)
{
    DRAY_AUTO(dray_buf) b = {0};
    dray_autofree char *text =
        dray_strf("%s: %s (line %d)", dray_json_str(o, "rule", ""), dray_json_str(o, "detail", ""),
                  (int)dray_json_int(o, "line", 0));
    const struct kit_vertex *v = find(t, KIT_TRACE_DOCKERFILE);
    v = v ? v : t->vertexes;
    pb_text(&b, 1, v ? v->digest : "");
    pb_uint(&b, 2, 1);
    pb_text(&b, 3, text);
    pb_text(&b, 4, dray_json_str(o, "description", ""));
    pb_text(&b, 5, dray_json_str(o, "url", ""));
    add_place(&b, o);
    return send(t, WARNINGS, &b);
}

int kit_trace_line(struct kit_trace *t, struct json_object *line)
{
    struct json_object *step = dray_json_obj(line, "step");
    struct json_object *warning = dray_json_obj(line, "warning");
    const char *status = dray_json_str(line, "status", NULL);
    int rc = 0;
    pthread_mutex_lock(&t->lock);
    if (step)
        rc = take_step(t, step);
    else if (warning)
        rc = take_warning(t, warning);
    else if (status)
        rc = take_pull(t, line, status);
    pthread_mutex_unlock(&t->lock);
    return rc;
}
