/* SPDX-License-Identifier: Apache-2.0 */
/* parse.c - reads a Dockerfile line by line: directives, comments, continuations, stages. */
#include "lang_priv.h"

struct parser {
    struct dray_df_file *f;
    struct dray_df_ctx c;
    const char *at, *end;
    uint32_t line; /* number of the last line that was read */
    bool directives_done, has_escape;
    uint32_t n_instrs;
    uint32_t *empty;
    size_t n_empty;
    struct dray_df_instr **arg_tail, **instr_tail;
    struct dray_df_stage *stages;
    size_t cap_stages;
};

/* The next line with its end, or NULL. */
static const char *next_line(struct parser *p, size_t *len)
{
    if (p->at == p->end)
        return NULL;
    const char *from = p->at, *nl = memchr(from, '\n', (size_t)(p->end - from));
    p->at = nl ? nl + 1 : p->end;
    *len = (size_t)(p->at - from);
    p->line++;
    return from;
}

static size_t trim_end(const char *line, size_t len)
{
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    return len;
}

static size_t blanks(const char *line, size_t len)
{
    size_t n = 0;
    while (n < len && dray_df_space(line[n]))
        n++;
    return n;
}

static bool is_alnum(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && c >= '0' && c <= '9');
}

/* "# name = value": the two parts, or false. */
static bool match_directive(struct dray_df_ctx *c, const char *line, size_t len, char **name,
                            char **value)
{
    if (len == 0 || line[0] != '#')
        return false;
    size_t from = 1 + blanks(line + 1, len - 1), to = from;
    while (to < len && is_alnum(line[to], to == from))
        to++;
    size_t eq = to + blanks(line + to, len - to);
    if (to == from || eq >= len || line[eq] != '=')
        return false;
    *name = dray_df_strndup(c->a, line + from, to - from);
    *value = dray_df_trim(c->a, line + eq + 1, len - eq - 1);
    *name = *name ? dray_df_lower(c->a, *name) : NULL;
    return *name && *value && **value;
}

static int set_directive(struct parser *p, const char *name, const char *value, bool *known)
{
    struct dray_df_ctx *c = &p->c;
    *known = true;
    if (strcmp(name, "syntax") == 0 && !p->f->syntax) {
        p->f->syntax = value;
    } else if (strcmp(name, "check") == 0 && !p->f->check.text) {
        p->f->check.text = value;
        return dray_df_check_parse(c, value, &p->f->check);
    } else if (strcmp(name, "escape") == 0 && !p->has_escape) {
        if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
            return dray_df_bad(c, value, "invalid escape token '%s' does not match ` or \\", value);
        p->has_escape = true;
        c->escape = value[0];
    } else if (strcmp(name, "syntax") == 0 || strcmp(name, "check") == 0 ||
               strcmp(name, "escape") == 0) {
        return dray_df_bad(c, name, "only one %s parser directive can be used", name);
    } else {
        *known = false;
    }
    return 0;
}

/* A line without its end: is it a directive? The first that is none ends the search. */
static int try_directive(struct parser *p, const char *line, size_t len)
{
    char *name = NULL, *value = NULL;
    bool known = false;
    if (p->directives_done)
        return 0;
    int rc = match_directive(&p->c, line, len, &name, &value)
                 ? set_directive(p, name, value, &known)
                 : 0;
    p->directives_done = !known;
    return rc;
}

/* Cut the continuation character off; false when the line has none. */
static bool trim_continuation(char escape, const char *line, size_t *len)
{
    size_t n = *len;
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
        n--;
    if (n == 0 || line[n - 1] != escape || (n > 1 && line[n - 2] == escape))
        return false;
    *len = n - 1;
    return true;
}

/* The lines that continue the one in b. */
static int read_continued(struct parser *p, struct dray_df_buf *b)
{
    bool more = true, empty = false;
    const char *line = NULL;
    size_t len = 0;
    while (more && (line = next_line(p, &len))) {
        len = trim_end(line, len);
        size_t skip = blanks(line, len);
        if (skip == len)
            empty = true;
        if (skip == len || line[skip] == '#')
            continue;
        more = trim_continuation(p->c.escape, line, &len);
        dray_df_buf_add(b, line, len);
    }
    if (empty && p->f) {
        uint32_t *all = dray_df_alloc(p->c.a, (p->n_empty + 2) * sizeof *all);
        if (!all)
            return dray_df_nomem(&p->c);
        if (p->n_empty)
            memcpy(all, p->empty, p->n_empty * sizeof *all);
        all[p->n_empty++] = p->line;
        p->empty = all;
    }
    return 0;
}

/* The next logical line that says something; 1, or 0 at the end. */
static int read_logical(struct parser *p, struct dray_df_buf *b, struct dray_df_where *where)
{
    const char *line = NULL;
    size_t len = 0;
    b->len = 0;
    while ((line = next_line(p, &len))) {
        size_t skip = blanks(line, len);
        const char *from = line + (skip < len ? skip : len);
        len = trim_end(from, len - (skip < len ? skip : len));
        *where = (struct dray_df_where){p->line, p->line, (uint32_t)(from - line) + 1};
        int rc = try_directive(p, from, len);
        if (rc != 0)
            return rc;
        if (len == 0 || from[0] == '#')
            continue;
        bool more = trim_continuation(p->c.escape, from, &len);
        dray_df_buf_add(b, from, len);
        if (more)
            rc = read_continued(p, b);
        where->end_line = p->line;
        if (rc != 0)
            return rc;
        if (b->failed)
            return dray_df_bad(&p->c, NULL, "dockerfile line greater than max allowed size of %u",
                               DRAY_DF_MAX_WORD);
        if (blanks(b->data, b->len) < b->len)
            return 1;
    }
    return 0;
}

/* The content of a here-document, its leading tabs gone with "<<-". */
static int take_content(struct parser *p, struct dray_df_heredoc *doc, const char *from,
                        const char *to)
{
    char *copy = dray_df_strndup(p->c.a, from, (size_t)(to - from));
    size_t len = 0;
    bool start = true;
    if (!copy)
        return dray_df_nomem(&p->c);
    for (const char *in = from; in < to; in++) {
        if (doc->chomp && start && *in == '\t')
            continue;
        start = *in == '\n';
        copy[len++] = *in;
    }
    copy[len] = '\0';
    doc->content = copy;
    doc->len = len;
    return 0;
}

static int read_heredoc(struct parser *p, struct dray_df_heredoc *doc)
{
    const char *from = p->at, *line = NULL;
    size_t len = 0, want = strlen(doc->name);
    while ((line = next_line(p, &len))) {
        size_t n = trim_end(line, len), tabs = 0;
        while (doc->chomp && tabs < n && line[tabs] == '\t')
            tabs++;
        if (n - tabs == want && memcmp(line + tabs, doc->name, want) == 0)
            return take_content(p, doc, from, line);
    }
    return dray_df_bad(&p->c, doc->name, "unterminated heredoc");
}

/* Read one instruction: 1, or 0 at the end. */
static int read_instr(struct parser *p, struct dray_df_buf *b, struct dray_df_where *where,
                      struct dray_df_instr **out)
{
    struct dray_df_line line = {0};
    struct dray_df_heredoc *docs = NULL;
    size_t n_docs = 0;
    int rc = read_logical(p, b, where);
    if (rc != 1)
        return rc;
    if (p->n_instrs++ >= DRAY_DF_MAX_INSTRS)
        return dray_df_bad(&p->c, NULL, "more than %u instructions", DRAY_DF_MAX_INSTRS);
    rc = dray_df_split(&p->c, b->data, &line);
    if (rc == 0 && strstr(line.text, "<<") && dray_df_takes_heredoc(&line))
        rc = dray_df_heredocs(&p->c, line.text, &docs, &n_docs);
    for (size_t i = 0; rc == 0 && i < n_docs; i++)
        rc = read_heredoc(p, &docs[i]);
    where->end_line = p->line;
    line.where = *where;
    line.heredocs = (struct dray_df_heredocs){docs, n_docs};
    if (rc == 0)
        rc = dray_df_type(&p->c, &line, out);
    return rc == 0 ? 1 : rc;
}

static int begin_stage(struct parser *p, struct dray_df_instr *from)
{
    uint32_t n = p->f->n_stages;
    if (n == DRAY_DF_MAX_STAGES)
        return dray_df_bad(&p->c, NULL, "more than %u stages", DRAY_DF_MAX_STAGES);
    if (n == p->cap_stages) {
        size_t cap = n ? 2 * (size_t)n : 8;
        struct dray_df_stage *more = dray_df_alloc(p->c.a, cap * sizeof *more);
        if (!more)
            return dray_df_nomem(&p->c);
        if (n)
            memcpy(more, p->stages, n * sizeof *more);
        p->stages = more;
        p->cap_stages = cap;
    }
    p->stages[n] = (struct dray_df_stage){
        .index = n, .name = from->u.from.name, .from = from, .end_line = from->where.end_line};
    p->f->n_stages = n + 1;
    p->f->stages = p->stages;
    p->instr_tail = NULL;
    return 0;
}

static int add_instr(struct parser *p, struct dray_df_instr *in)
{
    if (in->kind == DRAY_DF_FROM)
        return begin_stage(p, in);
    if (p->f->n_stages == 0) {
        if (in->kind != DRAY_DF_ARG)
            return dray_df_bad(&p->c, NULL, "no build stage in current context");
        if (p->arg_tail)
            *p->arg_tail = in;
        else
            p->f->args = in;
        p->arg_tail = &in->next;
        return 0;
    }
    struct dray_df_stage *s = &p->stages[p->f->n_stages - 1];
    if (p->instr_tail)
        *p->instr_tail = in;
    else
        s->first = in;
    p->instr_tail = &in->next;
    s->n_instrs++;
    s->end_line = in->where.end_line;
    return 0;
}

/* Put the column where the culprit stands, and the line in front of the text. */
static int settle_error(struct parser *p, struct dray_df_where *where, int rc)
{
    const char *line = p->f->text, *token = p->c.token;
    uint32_t n = 1;
    for (; token && *token && *line; n++) {
        const char *nl = strchrnul(line, '\n');
        const char *at =
            n >= where->line ? memmem(line, (size_t)(nl - line), token, strlen(token)) : NULL;
        if (at) {
            where->column = (uint32_t)(at - line) + 1;
            if (n > where->line)
                where->line = n;
            break;
        }
        if (n >= where->end_line || !*nl)
            break;
        line = nl + 1;
    }
    if (rc == DRAY_E_INVAL && where->line)
        (void)dray_err_note(p->c.err, "dockerfile parse error on line %u", where->line);
    return rc;
}

static int parse_all(struct parser *p, struct dray_df_where *where)
{
    DRAY_AUTO(dray_df_buf) b = {0};
    struct dray_df_instr *in = NULL;
    int rc = 0;
    while ((rc = read_instr(p, &b, where, &in)) == 1 && in) {
        rc = add_instr(p, in);
        if (rc != 0)
            break;
    }
    if (rc != 0)
        return settle_error(p, where, rc);
    *where = (struct dray_df_where){0};
    if (p->f->n_stages == 0 && !p->f->args)
        return dray_fail(p->c.err, DRAY_E_INVAL, "file with no instructions");
    if (p->f->n_stages == 0)
        return dray_fail(p->c.err, DRAY_E_INVAL, "dockerfile contains no stages to build");
    static const uint32_t none[] = {0};
    p->f->empty_continuations = p->empty ? p->empty : none;
    p->f->escape = p->c.escape;
    return 0;
}

static int check_text(const char *text, size_t len, const char *path, struct dray_err *err)
{
    if (len > DRAY_DF_MAX_FILE)
        return dray_fail(err, DRAY_E_LIMIT, "the Dockerfile (%s) is larger than %u bytes", path,
                         DRAY_DF_MAX_FILE);
    if (len == 0)
        return dray_fail(err, DRAY_E_INVAL, "the Dockerfile (%s) cannot be empty", path);
    if (memchr(text, '\0', len))
        return dray_fail(err, DRAY_E_INVAL, "the Dockerfile (%s) is not a text: it holds NUL bytes",
                         path);
    return 0;
}

static size_t bom_size(const char *text, size_t len)
{
    return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

int dray_df_parse(const char *text, size_t len, const char *path, struct dray_df_file **out,
                  struct dray_df_where *where, struct dray_err *err)
{
    struct dray_err own = {0};
    struct dray_df_where here = {0};
    int rc = check_text(text, len, path, err);
    if (rc != 0)
        return rc;
    struct dray_df_file *f = calloc(1, sizeof *f);
    if (!f)
        return dray_fail(err, DRAY_E_NOMEM, "no memory for the Dockerfile");
    size_t bom = bom_size(text, len);
    struct parser p = {.f = f, .c = {.a = &f->arena, .escape = '\\', .err = err ? err : &own}};
    f->text = dray_df_strndup(&f->arena, text + bom, len - bom);
    f->path = dray_df_strndup(&f->arena, path, strlen(path));
    f->len = len - bom;
    p.at = f->text;
    rc = f->text && f->path ? 0 : dray_df_nomem(&p.c);
    if (rc == 0) {
        p.end = f->text + f->len;
        rc = parse_all(&p, &here);
    }
    if (where)
        *where = here;
    if (rc == 0)
        *out = f;
    else
        dray_df_free(f);
    return rc;
}

void dray_df_free(struct dray_df_file *f)
{
    if (!f)
        return;
    dray_df_arena_free(&f->arena);
    free(f);
}

int dray_df_parse_one(struct dray_df_arena *a, const char *text, bool onbuild,
                      const struct dray_df_instr **out, struct dray_err *err)
{
    DRAY_AUTO(dray_df_buf) b = {0};
    struct dray_err own = {0};
    struct dray_df_where where = {0};
    struct dray_df_instr *in = NULL;
    struct parser p = {.c = {.a = a, .escape = '\\', .err = err ? err : &own},
                       .at = text,
                       .end = text + strlen(text),
                       .directives_done = true};
    int rc = strlen(text) > DRAY_DF_MAX_FILE
                 ? dray_fail(p.c.err, DRAY_E_LIMIT, "an instruction is too long")
                 : read_instr(&p, &b, &where, &in);
    if (rc == 0)
        rc = dray_df_bad(&p.c, NULL, "file with no instructions");
    if (rc < 0 || !in)
        return rc;
    if (onbuild && in->kind == DRAY_DF_ONBUILD)
        return dray_df_bad(&p.c, NULL, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    if (onbuild && (in->kind == DRAY_DF_FROM || in->kind == DRAY_DF_MAINTAINER))
        return dray_df_bad(&p.c, NULL, "%s isn't allowed as an ONBUILD trigger",
                           dray_df_kind_name(in->kind));
    *out = in;
    return 0;
}

int dray_df_stage_find(const struct dray_df_file *f, const char *name, uint32_t before)
{
    uint32_t n = before < f->n_stages ? before : f->n_stages;
    for (uint32_t i = n; i-- > 0;)
        if (f->stages[i].name && strcasecmp(f->stages[i].name, name) == 0)
            return (int)i;
    char *end = NULL;
    errno = 0;
    long index = *name >= '0' && *name <= '9' ? strtol(name, &end, 10) : -1;
    return index >= 0 && errno == 0 && !*end && index < (long)n ? (int)index : -1;
}
