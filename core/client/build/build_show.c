/* SPDX-License-Identifier: Apache-2.0 */
/* build_show.c - reads the answer of a build line by line and hands its parts to the view. */
#include "client/build/build_view.h"

#include "client/progress.h"

#include "base/clock.h"
#include "base/json.h"

#include <poll.h>

/** How often the live view is drawn. */
#define DRAW_NS (100 * 1000000)
/** Of each step's output this much is kept. */
#define TAIL_MAX (64u << 10)

struct show {
    struct build_view v;
    struct progress *classic;
    struct build_result *out;
    const struct dray_strlist *tags;
    bool saw_step;
    struct dray_buf notes;    /* of the builder, for the end */
    struct dray_buf warnings; /* a line each */
    size_t n_warnings;
    char *place; /* where it has failed: the lines around */
};

void build_result_cleanup(struct build_result *r)
{
    free(r->id);
    r->id = NULL;
}

const char *build_seconds(int64_t ns, char out[24])
{
    (void)snprintf(out, 24, "%.1fs", (double)(ns < 0 ? 0 : ns) / 1e9);
    return out;
}

static struct build_step *find_step(struct build_view *v, const char *id)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->steps[i]->id, id) == 0)
            return v->steps[i];
    v->steps = cli_need(realloc(v->steps, (v->n + 1) * sizeof *v->steps));
    struct build_step *s = cli_need(calloc(1, sizeof *s));
    s->id = cli_strdup(id);
    s->name = cli_strdup("");
    s->number = (unsigned)v->n + 1;
    s->start_ns = dray_clock_mono();
    v->steps[v->n++] = s;
    return s;
}

static void keep_tail(struct build_step *s, const char *text)
{
    dray_buf_adds(&s->tail, text);
    if (s->tail.len <= 2 * TAIL_MAX)
        return;
    char *from = s->tail.data + s->tail.len - TAIL_MAX;
    char *nl = strchr(from, '\n');
    from = nl ? nl + 1 : from;
    s->tail.len -= (size_t)(from - s->tail.data);
    memmove(s->tail.data, from, s->tail.len + 1);
}

static void take_step(struct show *w, struct json_object *o)
{
    struct build_view *v = &w->v;
    struct build_step *s = find_step(v, dray_json_str(o, "id", ""));
    const char *name = dray_json_str(o, "name", NULL), *text = dray_json_str(o, "text", NULL);
    const char *state = dray_json_str(o, "state", ""), *error = dray_json_str(o, "error", NULL);
    w->saw_step = v->need_draw = true;
    if (name) {
        free(s->name);
        s->name = cli_strdup(name);
    }
    if (strcmp(state, "started") == 0 && v->mode == BUILD_PLAIN)
        build_plain_started(v, s);
    if (text) {
        keep_tail(s, text);
        if (v->mode == BUILD_PLAIN)
            build_plain_text(v, s, text);
    }
    bool failed = strcmp(state, "error") == 0;
    if (strcmp(state, "done") != 0 && !failed)
        return;
    s->done = true;
    s->failed = failed;
    s->cached = dray_json_bool(o, "cached", false);
    s->end_ns = dray_clock_mono();
    if (v->mode == BUILD_PLAIN)
        build_plain_ended(v, s, failed ? (error ? error : "failed") : NULL);
}

/* Docker's text of one finding of --check. */
static void take_finding(struct show *w, struct json_object *f)
{
    const char *detail = dray_json_str(f, "detail", ""), *url = dray_json_str(f, "url", "");
    (void)printf("%sWARNING: %s%s%s\n%s\n%s", w->out->warnings ? "\n" : "",
                 dray_json_str(f, "rule", ""), *url ? " - " : "", url,
                 *detail ? detail : dray_json_str(f, "description", ""),
                 dray_json_str(f, "excerpt", ""));
    w->out->warnings++;
}

static void take_check(struct show *w, struct json_object *c)
{
    int64_t n = dray_json_int(c, "warnings", (int64_t)w->out->warnings);
    const char *error = dray_json_str(c, "error", NULL);
    if (n == 0)
        (void)printf("Check complete, no warnings found.\n");
    else
        (void)printf("\nCheck complete, %lld warning%s been found!\n", (long long)n,
                     n == 1 ? " has" : "s have");
    if (error)
        (void)printf("ERROR: %s\n", error);
    w->out->warnings = (size_t)n;
}

/* A finding of a build that goes on: told at its end. */
static void keep_warning(struct show *w, struct json_object *o)
{
    w->n_warnings++;
    dray_buf_addf(&w->warnings, " - %s: %s (line %lld)\n", dray_json_str(o, "rule", ""),
                  dray_json_str(o, "detail", ""), (long long)dray_json_int(o, "line", 0));
}

static void tell_warnings(struct show *w)
{
    if (w->notes.len)
        (void)fputs(w->notes.data, w->v.out);
    if (w->n_warnings && (w->v.mode == BUILD_PLAIN || w->v.mode == BUILD_TTY))
        (void)fprintf(w->v.out, "\n %zu warning%s found (use --check to expand):\n%s",
                      w->n_warnings, w->n_warnings == 1 ? "" : "s", w->warnings.data);
}

static int take_error(struct show *w, struct json_object *m, const char *error)
{
    w->out->exit_code = (int)dray_json_int(m, "errorDetail.code", 0);
    return w->place ? cli_fail(w->v.cli, "%s\n%s", error, w->place)
                    : cli_fail(w->v.cli, "%s", error);
}

/* What the builder says beside its steps; the image is told of in our own words. */
static void keep_note(struct show *w, const char *text)
{
    if (w->saw_step && !dray_str_prefix(text, "Successfully "))
        dray_buf_adds(&w->notes, text);
    else if (!w->saw_step)
        (void)fputs(text, w->v.out);
}

/* The plain view tells of pulls by what has changed, never by bars. */
static void take_classic(struct show *w, struct json_object *m)
{
    const char *stream = dray_json_str(m, "stream", NULL), *id = dray_json_str(m, "id", "");
    const char *status = dray_json_str(m, "status", "");
    switch (w->v.mode) {
    case BUILD_CLASSIC:
        progress_message(w->classic, m);
        break;
    case BUILD_PLAIN:
        if (stream)
            keep_note(w, stream);
        else if (dray_json_int(m, "progressDetail.current", 0) == 0)
            (void)fprintf(w->v.out, "%s%s%s\n", id, *id ? ": " : "", status);
        break;
    case BUILD_TTY:
        free(w->v.pull);
        w->v.pull = *status ? cli_strf("%s%s%s", id, *id ? ": " : "", status) : NULL;
        w->v.pull_ns = dray_clock_mono();
        w->v.need_draw = true;
        if (stream)
            keep_note(w, stream);
        break;
    case BUILD_RAW:
    case BUILD_QUIET:
        break;
    }
}

static int take_message(struct show *w, struct json_object *m, const char *line, size_t len)
{
    struct json_object *part = NULL;
    const char *error = dray_json_str(m, "errorDetail.message", dray_json_str(m, "error", NULL));
    const char *stream = dray_json_str(m, "stream", NULL);
    if (w->v.mode == BUILD_RAW)
        (void)fprintf(w->v.out, "%.*s\n", (int)len, line);
    if (error)
        return take_error(w, m, error);
    if (json_object_object_get_ex(m, "aux", &part)) {
        const char *id = dray_json_str(part, "ID", NULL);
        if (id) {
            free(w->out->id);
            w->out->id = cli_strdup(id);
        }
    } else if (json_object_object_get_ex(m, "step", &part)) {
        take_step(w, part);
    } else if (json_object_object_get_ex(m, "finding", &part)) {
        take_finding(w, part);
    } else if (json_object_object_get_ex(m, "warning", &part)) {
        keep_warning(w, part);
    } else if (json_object_object_get_ex(m, "place", &part)) {
        free(w->place);
        w->place = cli_strdup(dray_json_str(part, "excerpt", ""));
    } else if (json_object_object_get_ex(m, "check", &part)) {
        take_check(w, part);
    } else if (w->v.mode == BUILD_QUIET && stream && dray_str_prefix(stream, "sha256:")) {
        free(w->out->id);
        w->out->id = cli_strf("%.*s", (int)strcspn(stream, "\r\n"), stream);
    } else {
        take_classic(w, m);
    }
    (void)fflush(w->v.out);
    return 0;
}

/* Use the complete lines at the front of the buffer. */
static int take_lines(struct show *w, struct dray_buf *b)
{
    size_t from = 0;
    int rc = 0;
    while (rc == 0 && from < b->len) {
        char *nl = memchr(b->data + from, '\n', b->len - from);
        if (!nl)
            break;
        size_t len = (size_t)(nl - b->data) - from;
        len -= len && b->data[from + len - 1] == '\r';
        dray_autojson *m = NULL;
        if (len > 1 && dray_json_parse(b->data + from, len, &m, NULL) == 0)
            rc = take_message(w, m, b->data + from, len);
        from = (size_t)(nl - b->data) + 1;
    }
    memmove(b->data, b->data + from, b->len - from);
    b->len -= from;
    return rc;
}

/* The live view moves on while nothing comes. */
static void draw_while_waiting(struct show *w, const struct http_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (w->v.mode != BUILD_TTY)
        return;
    for (;;) {
        int64_t now = dray_clock_mono();
        bool ready = c->in_len > c->in_pos || http_raw_pending(c) || poll(&p, 1, 0) != 0;
        if (now - w->v.drawn_ns >= DRAW_NS)
            build_tty_draw(&w->v, false);
        if (ready || poll(&p, 1, 100) != 0)
            return;
    }
}

static int read_stream(struct show *w, struct http_conn *c)
{
    DRAY_AUTO(dray_buf) b = {0};
    int rc = 0;
    while (rc == 0) {
        draw_while_waiting(w, c);
        char *room = dray_buf_room(&b, 65536);
        ssize_t n = room ? http_read(c, room, 65536) : -1;
        if (n < 0)
            rc = cli_fail(w->v.cli, "unexpected EOF");
        if (n <= 0)
            break;
        b.len += (size_t)n;
        rc = take_lines(w, &b);
    }
    if (rc == 0 && b.len) {
        dray_buf_addc(&b, '\n');
        rc = take_lines(w, &b);
    }
    return rc;
}

/* What BuildKit's view says of the image. */
static void tell_image(struct show *w)
{
    struct build_view *v = &w->v;
    unsigned number = (unsigned)v->n + 1;
    if (!w->saw_step || !w->out->id || v->mode != BUILD_PLAIN)
        return;
    (void)fprintf(v->out, "#%u exporting to image\n#%u writing image %s done\n", number, number,
                  w->out->id);
    for (size_t i = 0; i < w->tags->n; i++)
        (void)fprintf(v->out, "#%u naming to %s done\n", number, w->tags->v[i]);
    (void)fprintf(v->out, "#%u DONE 0.0s\n", number);
}

/* After a failure: the output of the step that failed, as BuildKit repeats it. */
static void tell_failure(struct build_view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct build_step *s = v->steps[i];
        if (!s->failed)
            continue;
        const char *at = s->tail.data ? s->tail.data : "";
        (void)fprintf(v->out, "------\n > %s:\n%s%s------\n", s->name, at,
                      *at && at[strlen(at) - 1] != '\n' ? "\n" : "");
    }
}

static void end_view(struct build_view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        free(v->steps[i]->id);
        free(v->steps[i]->name);
        dray_buf_free(&v->steps[i]->line);
        dray_buf_free(&v->steps[i]->tail);
        free(v->steps[i]);
    }
    free(v->steps);
    free(v->pull);
}

int build_show(struct cli *cli, struct http_conn *conn, enum build_progress mode,
               const struct dray_strlist *tags, struct build_result *out)
{
    struct show w = {.v = {.cli = cli,
                           .mode = mode,
                           .out = mode == BUILD_CLASSIC ? stdout : stderr,
                           .start_ns = dray_clock_mono()},
                     .out = out,
                     .tags = tags};
    if (mode == BUILD_CLASSIC)
        w.classic = progress_new(cli, stdout);
    int rc = read_stream(&w, conn);
    if (mode == BUILD_TTY)
        build_tty_draw(&w.v, true);
    if (rc == 0)
        tell_image(&w), tell_warnings(&w);
    else if (mode == BUILD_PLAIN || mode == BUILD_TTY)
        tell_failure(&w.v);
    if (w.classic)
        progress_free(w.classic);
    (void)fflush(w.v.out);
    dray_buf_free(&w.notes);
    free(w.place);
    dray_buf_free(&w.warnings);
    end_view(&w.v);
    return rc;
}
