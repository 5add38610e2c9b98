/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - shows the JSON progress streams of pull, push, load, import. */
#include "client/progress.h"

#include "base/clock.h"
#include "base/json.h"
#include "client/term.h"
#include "client/units.h"

struct layer {
    char *id;
    int64_t start_ns, start_bytes; /* of the transfer that its bar shows */
    char status[32];
};

struct display {
    struct cli *cli;
    FILE *out;
    bool tty;
    int width;
    struct layer *layers;
    size_t n;
    progress_aux_fn aux;
    void *arg;
};

char *progress_bar(int64_t current, int64_t total, int width)
{
    char now[UNITS_LEN], all[UNITS_LEN], bar[64] = "";
    if (current <= 0 && total <= 0)
        return cli_strdup("");
    units_human_size((double)current, 4, now);
    if (total <= 0)
        return cli_strf("%8s", now);
    units_human_size((double)total, 4, all);
    int half = (int)((double)current / (double)total * 100) / 2;
    half = half > 50 ? 50 : half < 0 ? 0 : half;
    if (width > 110) {
        memset(bar, '=', (size_t)half);
        (void)snprintf(bar + half, sizeof bar - (size_t)half, ">%*s", 50 - half, "");
    }
    const char *open = *bar ? "[" : "", *close = *bar ? "] " : "";
    return current > total ? cli_strf("%s%s%s%8s", open, bar, close, now)
                           : cli_strf("%s%s%s%8s/%s", open, bar, close, now, all);
}

static struct layer *find_layer(struct display *d, const char *id, bool *is_new)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->layers[i].id, id) == 0)
            return &d->layers[i];
    d->layers = cli_need(realloc(d->layers, (d->n + 1) * sizeof *d->layers));
    d->layers[d->n] = (struct layer){.id = cli_strdup(id)};
    *is_new = true;
    return &d->layers[d->n++];
}

static void forget_layers(struct display *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->layers[i].id);
    free(d->layers);
    d->layers = NULL;
    d->n = 0;
}

/* " 12.3MB/s" since the transfer of this state began. */
static char *speed_of(struct layer *l, const char *status, int64_t current, int64_t total)
{
    char human[UNITS_LEN];
    int64_t now = dray_clock_mono();
    if (strcmp(l->status, status) != 0) {
        (void)snprintf(l->status, sizeof l->status, "%s", status);
        l->start_ns = now;
        l->start_bytes = current;
    }
    double seconds = (double)(now - l->start_ns) / 1e9;
    if (total <= 0 || seconds < 0.2 || current <= l->start_bytes)
        return cli_strdup("");
    units_human_size((double)(current - l->start_bytes) / seconds, 3, human);
    return cli_strf("  %s/s", human);
}

static void show_line(struct display *d, struct json_object *m, struct layer *l)
{
    const char *id = dray_json_str(m, "id", ""), *status = dray_json_str(m, "status", "");
    struct json_object *detail = dray_json_obj(m, "progressDetail");
    int64_t current = dray_json_int(detail, "current", 0);
    int64_t total = dray_json_int(detail, "total", 0);
    const char *stream = dray_json_str(m, "stream", NULL);
    bool bars = d->tty && !stream && detail;
    if (!bars && detail && (current > 0 || total > 0))
        return;
    if (bars)
        (void)fputs("\033[2K\r", d->out);
    if (*id)
        (void)fprintf(d->out, "%s: ", id);
    if (bars) {
        dray_autofree char *bar = progress_bar(current, total, d->width);
        dray_autofree char *speed = l ? speed_of(l, status, current, total) : cli_strdup("");
        (void)fprintf(d->out, "%s %s%s\r", status, bar, d->width > 110 ? speed : "");
    } else if (stream) {
        (void)fputs(stream, d->out);
    } else {
        (void)fprintf(d->out, "%s\n", status);
    }
}

static void show(struct display *d, struct json_object *m)
{
    const char *id = dray_json_str(m, "id", "");
    struct layer *l = NULL;
    int up = 0;
    if (*id && dray_json_obj(m, "progressDetail")) {
        bool is_new = false;
        l = find_layer(d, id, &is_new);
        up = (int)(d->layers + d->n - l);
        if (d->tty && is_new)
            (void)fputc('\n', d->out);
        if (d->tty && up)
            (void)fprintf(d->out, "\033[%dA", up);
    } else {
        forget_layers(d);
    }
    show_line(d, m, l);
    if (*id && d->tty && up)
        (void)fprintf(d->out, "\033[%dB", up);
    (void)fflush(d->out);
}

static int take_message(struct display *d, struct json_object *m)
{
    struct json_object *aux = NULL;
    const char *error = dray_json_str(m, "errorDetail.message", dray_json_str(m, "error", NULL));
    if (error)
        return cli_fail(d->cli, "%s", error);
    if (json_object_object_get_ex(m, "aux", &aux) && aux) {
        if (d->aux)
            d->aux(aux, d->arg);
        return 0;
    }
    if (d->out)
        show(d, m);
    return 0;
}

/* Use the complete lines at the front of the buffer. */
static int take_lines(struct display *d, struct dray_buf *b, bool all)
{
    size_t from = 0;
    int rc = 0;
    while (rc == 0 && from < b->len) {
        char *nl = memchr(b->data + from, '\n', b->len - from);
        size_t end = nl ? (size_t)(nl - b->data) : b->len;
        if (!nl && !all)
            break;
        dray_autojson *m = NULL;
        size_t len = end - from;
        if (len > 1 && dray_json_parse(b->data + from, len, &m, NULL) == 0)
            rc = take_message(d, m);
        from = nl ? end + 1 : end;
    }
    memmove(b->data, b->data + from, b->len - from);
    b->len -= from;
    return rc;
}

struct progress {
    struct display d;
};

static void begin(struct display *d, struct cli *cli, FILE *out)
{
    *d = (struct display){.cli = cli, .out = out};
    if (!out)
        return;
    d->width = term_columns(fileno(out));
    d->tty = isatty(fileno(out));
    d->width = d->width ? d->width : 200;
}

struct progress *progress_new(struct cli *cli, FILE *out)
{
    struct progress *p = cli_need(calloc(1, sizeof *p));
    begin(&p->d, cli, out);
    return p;
}

void progress_message(struct progress *p, struct json_object *message)
{
    if (p->d.out)
        show(&p->d, message);
}

void progress_free(struct progress *p)
{
    forget_layers(&p->d);
    free(p);
}

int progress_show(struct cli *cli, struct http_conn *c, FILE *out, progress_aux_fn aux, void *arg)
{
    struct display d;
    DRAY_AUTO(dray_buf) b = {0};
    int rc = 0;
    begin(&d, cli, out);
    d.aux = aux;
    d.arg = arg;
    while (rc == 0) {
        char *room = dray_buf_room(&b, 16384);
        ssize_t n = room ? http_read(c, room, 16384) : -1;
        if (n < 0)
            rc = cli_fail(cli, "unexpected EOF");
        if (n <= 0)
            break;
        b.len += (size_t)n;
        rc = take_lines(&d, &b, false);
    }
    if (rc == 0 && b.len)
        rc = take_lines(&d, &b, true);
    forget_layers(&d);
    return rc;
}
