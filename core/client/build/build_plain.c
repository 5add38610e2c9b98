/* SPDX-License-Identifier: Apache-2.0 */
/* build_plain.c - the progress of a build as lines, as BuildKit's plain view has them. */
#include "client/build/build_view.h"

#include "base/clock.h"

void build_plain_started(struct build_view *v, struct build_step *s)
{
    (void)fprintf(v->out, "\n#%u %s\n", s->number, s->name);
}

static void put_line(struct build_view *v, struct build_step *s, const char *text, size_t n)
{
    while (n && text[n - 1] == '\r')
        n--;
    (void)fprintf(v->out, "#%u %.3f %.*s\n", s->number,
                  (double)(dray_clock_mono() - s->start_ns) / 1e9, (int)n, text);
}

void build_plain_text(struct build_view *v, struct build_step *s, const char *text)
{
    dray_buf_adds(&s->line, text);
    size_t from = 0;
    for (char *nl; s->line.len && (nl = memchr(s->line.data + from, '\n', s->line.len - from));) {
        put_line(v, s, s->line.data + from, (size_t)(nl - s->line.data) - from);
        from = (size_t)(nl - s->line.data) + 1;
    }
    if (from) {
        s->line.len -= from;
        memmove(s->line.data, s->line.data + from, s->line.len + 1);
    }
}

void build_plain_ended(struct build_view *v, struct build_step *s, const char *error)
{
    char seconds[24];
    if (s->line.len) {
        put_line(v, s, s->line.data, s->line.len);
        s->line.len = 0;
    }
    if (error)
        (void)fprintf(v->out, "#%u ERROR: %s\n", s->number, error);
    else if (s->cached)
        (void)fprintf(v->out, "#%u CACHED\n", s->number);
    else
        (void)fprintf(v->out, "#%u DONE %s\n", s->number,
                      build_seconds(s->end_ns - s->start_ns, seconds));
}
