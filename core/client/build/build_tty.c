/* SPDX-License-Identifier: Apache-2.0 */
/* build_tty.c - the live view of a build on a terminal: a line for each step, and its last output.
 */
#include "client/build/build_view.h"

#include "client/term.h"
#include "client/units.h"

#include "base/clock.h"

/** Lines of output below a step that runs. */
#define OUTPUT_LINES 6

struct screen {
    struct build_view *v;
    int columns, rows;
    unsigned lines;
};

/* Text that does what it says on a terminal: no control characters. */
static char *printable(const char *text, size_t n)
{
    char *copy = cli_strf("%.*s", (int)n, text);
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    return copy;
}

static void put(struct screen *s, const char *left, const char *right, const char *color)
{
    int width = s->columns - units_runes(right) - 1;
    dray_autofree char *cut = units_ellipsis(left, width > 10 ? width : 10);
    int pad = width - units_runes(cut);
    bool colored = *color && !getenv("NO_COLOR");
    (void)fprintf(s->v->out, "%s%s%*s%s%s\033[K\n", colored ? color : "", cut, pad > 0 ? pad : 0,
                  "", right, colored ? "\033[0m" : "");
    s->lines++;
}

/* The last lines of what a running step has written. */
static void put_output(struct screen *s, const struct build_step *step, int room)
{
    const char *text = step->tail.data, *end = text ? text + step->tail.len : NULL, *from = end;
    if (!text || room <= 0)
        return;
    int want = room < OUTPUT_LINES ? room : OUTPUT_LINES;
    for (int n = 0; from > text; from--)
        if (from[-1] == '\n' && from != end && ++n >= want)
            break;
    while (from < end) {
        const char *nl = memchr(from, '\n', (size_t)(end - from));
        size_t n = (size_t)((nl ? nl : end) - from);
        dray_autofree char *shown = printable(from, n);
        dray_autofree char *line = cli_strf(" => => # %s", shown);
        put(s, line, "", "\033[2m");
        from += n + (nl != NULL);
    }
}

static void put_step(struct screen *s, const struct build_step *step)
{
    char seconds[24];
    int64_t end = step->done ? step->end_ns : dray_clock_mono();
    dray_autofree char *name = printable(step->name, strlen(step->name));
    dray_autofree char *line = cli_strf(" => %s%s",
                                        step->failed   ? "ERROR "
                                        : step->cached ? "CACHED "
                                                       : "",
                                        name);
    put(s, line, build_seconds(end - step->start_ns, seconds),
        step->failed ? "\033[31m"
        : step->done ? "\033[34m"
                     : "");
}

/* The steps that fit: those that run, and the last of those that are done. */
static void put_steps(struct screen *s, bool last)
{
    struct build_view *v = s->v;
    size_t running = 0, room = last ? v->n : (size_t)(s->rows > 4 ? s->rows - 3 : 1), done = 0;
    for (size_t i = 0; i < v->n; i++)
        running += !v->steps[i]->done;
    size_t ended = v->n - running;
    size_t skip = v->n > room && ended > room - (running < room ? running : room)
                      ? ended - (room - (running < room ? running : room))
                      : 0;
    int spare = (int)room - (int)(v->n - skip);
    for (size_t i = 0; i < v->n && (last || s->lines + 1 < (unsigned)s->rows); i++) {
        const struct build_step *step = v->steps[i];
        if (step->done && done++ < skip)
            continue;
        put_step(s, step);
        if (!step->done && !last) {
            unsigned before = s->lines;
            put_output(s, step, spare);
            spare -= (int)(s->lines - before);
        }
    }
}

void build_tty_draw(struct build_view *v, bool last)
{
    struct screen s = {.v = v, .columns = 80, .rows = 24};
    size_t done = 0;
    char seconds[24];
    int64_t now = dray_clock_mono();
    v->drawn_ns = now;
    if (v->n == 0 && !v->pull)
        return;
    if (!term_size(fileno(v->out), &s.rows, &s.columns) || s.columns < 20 || s.rows < 5) {
        s.columns = 80;
        s.rows = 24;
    }
    for (size_t i = 0; i < v->n; i++)
        done += v->steps[i]->done;
    if (v->drawn)
        (void)fprintf(v->out, "\033[%uA\r", v->drawn);
    dray_autofree char *head =
        cli_strf("[+] Building %s (%zu/%zu)%s", build_seconds(now - v->start_ns, seconds), done,
                 v->n, last && done == v->n ? " FINISHED" : "");
    put(&s, head, "", "");
    put_steps(&s, last);
    if (v->pull && !last && now - v->pull_ns < 2 * (int64_t)1000000000) {
        dray_autofree char *pull = printable(v->pull, strlen(v->pull));
        dray_autofree char *line = cli_strf(" => => %s", pull);
        put(&s, line, "", "");
    }
    (void)fputs("\033[J", v->out);
    (void)fflush(v->out);
    v->drawn = s.lines;
    v->need_draw = false;
}
