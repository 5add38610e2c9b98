/* SPDX-License-Identifier: Apache-2.0 */
/* screen.c - what the client sees: the stages' output one after the other, also when they run side
 * by side. */
#include "bd.h"

int bd_emit_json(struct bd_build *b, struct json_object *line /* takes */)
{
    const struct dray_kv field = {"json", bd_json_text(line)};
    const struct dray_record rec = {
        .size = sizeof rec, .type = DRAY_REC_STREAM, .fields = {&field, 1}};
    int rc = b->host->emit(b->call, &rec);
    json_object_put(line);
    return rc;
}

int bd_emit_text(struct bd_build *b, const char *text)
{
    const struct dray_kv field = {"text", text};
    const struct dray_record rec = {
        .size = sizeof rec, .type = DRAY_REC_STREAM, .fields = {&field, 1}};
    return b->host->emit(b->call, &rec);
}

size_t bd_whole_characters(const char *text, size_t n)
{
    size_t back = 0;
    while (back < n && back < 4 && ((unsigned char)text[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back == n || back == 4)
        return n;
    unsigned char lead = (unsigned char)text[n - 1 - back];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return want > back + 1 ? n - 1 - back : n;
}

/* Send what is held back. build->lock is held: the order of lines is what it is for. */
static void flush(struct bd_stage *s, bool last)
{
    struct bd_buf *o = &s->output;
    size_t n = last ? o->len : bd_whole_characters(o->text, o->len);
    if (n == 0)
        return;
    char kept = o->text[n];
    o->text[n] = '\0';
    (void)bd_emit_text(s->build, o->text);
    o->text[n] = kept;
    memmove(o->text, o->text + n, o->len - n);
    o->len -= n;
    o->text[o->len] = '\0';
}

/* --- the classic lines -------------------------------------------------------------------------*/

void bd_say_text(struct bd_stage *s, const char *text, size_t n)
{
    struct bd_build *b = s->build;
    pthread_mutex_lock(&b->lock);
    bd_add(&s->output, text, n);
    if (bd_tracing(b))
        bd_trace_output(s, false);
    else if (b->shown == s->df->index)
        flush(s, false);
    pthread_mutex_unlock(&b->lock);
}

void bd_say(struct bd_stage *s, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    if (bd_tracing(s->build))
        return;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    bd_say_text(s, text, (size_t)n);
    free(text);
}

void bd_screen_next(struct bd_build *b)
{
    while (b->shown < b->n_stages) {
        struct bd_stage *s = &b->stages[b->shown];
        if (s->needed) {
            bool over = s->state == BD_DONE || s->state == BD_FAILED;
            flush(s, over);
            if (!over)
                return;
        }
        b->shown++;
    }
}
