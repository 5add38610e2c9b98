/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - columns of text, and lists printed by --format. */
#include "client/tmpl/table.h"

#include "base/json.h"
#include "client/tmpl/tmpl.h"
#include "client/units.h"

struct line {
    const char *text;
    size_t cells; /* tab-ended cells */
};

static size_t count_cells(const char *p, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += p[i] == '\t';
    return n;
}

static const char *cell_at(const char *p, size_t column)
{
    for (; column > 0; column--)
        p += strcspn(p, "\t\n") + 1;
    return p;
}

static int cell_width(const char *p)
{
    int n = 0;
    for (; *p && *p != '\t' && *p != '\n'; p++)
        n += ((unsigned char)*p & 0xc0) != 0x80;
    return n;
}

/* Width of a column in the run of lines around `at` that have it. */
static int column_width(const struct line *lines, size_t n, size_t at, size_t column, int min,
                        int padding)
{
    int width = min;
    size_t from = at, to = at + 1;
    while (from > 0 && lines[from - 1].cells > column)
        from--;
    while (to < n && lines[to].cells > column)
        to++;
    for (size_t i = from; i < to; i++) {
        int w = cell_width(cell_at(lines[i].text, column)) + padding;
        if (w > width)
            width = w;
    }
    return width;
}

static void print_line(FILE *out, const struct line *lines, size_t n, size_t at, int *widths,
                       size_t *known, int min, int padding)
{
    size_t cells = lines[at].cells;
    if (cells > 64)
        cells = 64;
    if (cells != *known) { /* a run of equal lines computes its widths once */
        for (size_t c = 0; c < cells; c++)
            widths[c] = column_width(lines, n, at, c, min, padding);
        *known = cells;
    }
    const char *p = lines[at].text;
    for (size_t c = 0; c < cells; c++) {
        size_t len = strcspn(p, "\t\n");
        (void)fprintf(out, "%.*s%*s", (int)len, p, widths[c] - cell_width(p), "");
        p += len + 1;
    }
    (void)fprintf(out, "%.*s\n", (int)strcspn(p, "\n"), p);
}

void table_align(FILE *out, const char *text, int min_width, int padding)
{
    size_t n = 0;
    for (const char *p = text; *p; p++)
        n += *p == '\n';
    dray_autofree struct line *lines = cli_need(calloc(n + 1, sizeof *lines));
    const char *p = text;
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(p, "\n");
        lines[i] = (struct line){.text = p, .cells = count_cells(p, len)};
        p += len + 1;
    }
    int widths[64];
    size_t known = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && lines[i].cells != lines[i - 1].cells)
            known = SIZE_MAX;
        print_line(out, lines, n, i, widths, &known, min_width, padding);
    }
    (void)fputs(p, out);
}

static char *unescaped(const char *format)
{
    char *out = cli_strdup(format), *to = out;
    for (const char *p = format; *p; p++) {
        if (*p == '\\' && (p[1] == 't' || p[1] == 'n')) {
            p++;
            *to++ = *p == 't' ? '\t' : '\n';
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return out;
}

static struct json_object *titles(const struct table_spec *spec)
{
    struct json_object *o = json_object_new_object();
    for (const struct table_field *f = spec->fields; f->name; f++)
        json_object_object_add(o, f->name, json_object_new_string(f->title));
    return o;
}

static int run_rows(struct cli *cli, const struct tmpl *t, const struct table_spec *spec,
                    struct json_object *rows, struct dray_buf *out)
{
    struct tmpl_env env = {.type = spec->type};
    struct dray_err err = {0};
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        json_object_object_add(row, TMPL_HIDDEN_ROW, json_object_new_boolean(true));
        if (tmpl_exec(t, row, &env, out, &err) != 0)
            return cli_fail(cli, "failed to execute template: %s", err.text);
        dray_buf_addc(out, '\n');
    }
    return 0;
}

static int list_by_template(struct cli *cli, const char *format, bool table,
                            const struct table_spec *spec, struct json_object *rows)
{
    dray_autofree char *text = unescaped(format);
    DRAY_AUTO(dray_buf) out = {0};
    struct dray_err err = {0};
    struct tmpl *t = NULL;
    if (tmpl_parse(text, &t, &err) != 0)
        return cli_fail(cli, "failed to parse template: %s", err.text);
    int rc = 0;
    if (table) {
        dray_autojson *head = titles(spec);
        struct tmpl_env env = {.type = spec->type, .header = true};
        DRAY_AUTO(dray_buf) line = {0};
        rc = tmpl_exec(t, head, &env, &line, &err);
        if (rc != 0)
            (void)cli_fail(cli, "failed to execute template: %s", err.text);
        dray_buf_addf(&out, "%s\n", line.data ? line.data : "");
    }
    if (rc == 0)
        rc = run_rows(cli, t, spec, rows, &out);
    tmpl_free(t);
    if (rc != 0)
        return -1;
    if (table)
        table_align(stdout, out.data ? out.data : "", 10, 3);
    else
        (void)fputs(out.data ? out.data : "", stdout);
    return 0;
}

/* As Go's json.Marshal writes it, safe inside HTML. */
static void print_escaped(const char *json)
{
    for (; *json; json++) {
        if (strchr("<>&", *json))
            (void)printf("\\u00%02x", (unsigned)*json);
        else
            (void)putchar(*json);
    }
    (void)putchar('\n');
}

int table_list(struct cli *cli, const char *format, const struct table_spec *spec,
               struct json_object *rows)
{
    if (!format || !*format || strcmp(format, "table") == 0)
        return list_by_template(cli, spec->layout, true, spec, rows);
    if (strcmp(format, "json") == 0 || strcmp(format, "{{json .}}") == 0) {
        for (size_t i = 0; i < json_object_array_length(rows); i++) {
            dray_autojson *o = tmpl_sorted(json_object_array_get_idx(rows, i));
            print_escaped(dray_json_text(o));
        }
        return 0;
    }
    if (dray_str_prefix(format, "table "))
        return list_by_template(cli, format + strlen("table "), true, spec, rows);
    return list_by_template(cli, format, false, spec, rows);
}

int table_value(struct cli *cli, const char *format, const char *type, struct json_object *value)
{
    struct dray_err err = {0};
    struct tmpl *t = NULL;
    DRAY_AUTO(dray_buf) out = {0};
    if (strcmp(format, "json") == 0)
        format = "{{json .}}";
    if (tmpl_parse(format, &t, &err) != 0)
        return cli_fail(cli, "template parsing error: %s", err.text);
    struct tmpl_env env = {.type = type, .inspect = true};
    int rc = tmpl_exec(t, value, &env, &out, &err);
    tmpl_free(t);
    if (rc != 0)
        return cli_fail(cli, "template parsing error: %s", err.text);
    (void)printf("%s\n", out.data ? out.data : "");
    return 0;
}

static void new_line(struct dray_buf *out, int depth, int spaces)
{
    dray_buf_addf(out, "\n%*s", depth * spaces, "");
}

void table_indent(struct dray_buf *out, const char *json, int spaces)
{
    int depth = 0;
    bool quoted = false;
    for (const char *p = json; *p; p++) {
        if (quoted) {
            dray_buf_addc(out, *p);
            if (*p == '\\' && p[1])
                dray_buf_addc(out, *++p);
            else if (*p == '"')
                quoted = false;
            continue;
        }
        bool opens = *p == '{' || *p == '[', closes = *p == '}' || *p == ']';
        if (opens && p[1] != '}' && p[1] != ']') {
            dray_buf_addc(out, *p);
            new_line(out, ++depth, spaces);
        } else if (closes && p[-1] != '{' && p[-1] != '[') {
            new_line(out, --depth, spaces);
            dray_buf_addc(out, *p);
        } else if (*p == ',') {
            dray_buf_addc(out, ',');
            new_line(out, depth, spaces);
        } else if (*p == ':') {
            dray_buf_adds(out, ": ");
        } else if (*p != ' ') {
            quoted = *p == '"';
            dray_buf_addc(out, *p);
        }
    }
}
