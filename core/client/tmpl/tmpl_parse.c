/* SPDX-License-Identifier: Apache-2.0 */
/* tmpl_parse.c - reads a Go template into a tree. */
#include "client/tmpl/tmpl_priv.h"

#include <ctype.h>
#include <stddef.h>

struct reader {
    struct tmpl *t;
    const char *start; /* of the whole text */
    const char *p;
    const char *vars[64]; /* declared so far */
    size_t n_vars;
    int depth;
    struct dray_err *err;
};

static void *arena(struct reader *r, size_t n)
{
    struct tmpl_block *b = calloc(1, sizeof *b + n);
    if (!b)
        abort();
    b->next = r->t->blocks;
    r->t->blocks = b;
    return b->data;
}

static const char *keep(struct reader *r, const char *from, size_t n)
{
    char *s = arena(r, n + 1);
    memcpy(s, from, n);
    return s;
}

static void *grown(struct reader *r, const void *old, size_t n, size_t size)
{
    char *v = arena(r, (n + 1) * size);
    if (n)
        memcpy(v, old, n * size);
    return v;
}

static int line_of(const struct reader *r, const char *at)
{
    int line = 1;
    for (const char *p = r->start; p < at; p++)
        line += *p == '\n';
    return line;
}

__attribute__((format(printf, 2, 3))) static int bad(struct reader *r, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return dray_fail(r->err, DRAY_E_INVAL, "template: :%d: %s", line_of(r, r->p), text);
}

static void skip_space(struct reader *r)
{
    while (isspace((unsigned char)*r->p))
        r->p++;
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

static size_t word_len(const char *p)
{
    size_t n = 0;
    while (word_char(p[n]))
        n++;
    return n;
}

static bool at_end(const struct reader *r)
{
    return dray_str_prefix(r->p, "}}") || dray_str_prefix(r->p, " -}}") ||
           dray_str_prefix(r->p, "-}}");
}

static int parse_pipe(struct reader *r, const struct tmpl_pipe **out);

static int parse_fields(struct reader *r, struct tmpl_operand *o)
{
    size_t n = 0;
    while (*r->p == '.' && word_char(r->p[1])) {
        size_t len = word_len(++r->p);
        const char **v = arena(r, (n + 2) * sizeof *v);
        if (n)
            memcpy(v, o->fields, n * sizeof *v);
        v[n++] = keep(r, r->p, len);
        o->fields = v;
        r->p += len;
    }
    if (*r->p == '.' && o->kind != OP_DOT)
        return bad(r, "unexpected <.> in operand");
    return 0;
}

static void set_literal(struct reader *r, struct tmpl_operand *o, struct json_object *v)
{
    (void)arena(r, 0);
    r->t->blocks->literal = v;
    o->kind = OP_LITERAL;
    o->literal = v;
}

static void unescape(struct dray_buf *b, const char *p, const char *end)
{
    for (; p < end; p++) {
        if (*p != '\\' || p + 1 >= end) {
            dray_buf_addc(b, *p);
            continue;
        }
        p++;
        const char *from = "ntr\\\"'", *to = "\n\t\r\\\"'";
        const char *at = strchr(from, *p);
        dray_buf_addc(b, at ? to[at - from] : *p);
    }
}

static int parse_string(struct reader *r, struct tmpl_operand *o)
{
    char quote = *r->p;
    const char *from = r->p + 1, *p = from;
    while (*p && *p != quote && (quote == '`' || *p != '\n'))
        p += *p == '\\' && quote != '`' && p[1] ? 2 : 1;
    if (*p != quote)
        return bad(r,
                   quote == '`' ? "unterminated raw quoted string" : "unterminated quoted string");
    DRAY_AUTO(dray_buf) b = {0};
    if (quote == '`')
        dray_buf_add(&b, from, (size_t)(p - from));
    else
        unescape(&b, from, p);
    set_literal(r, o, json_object_new_string_len(b.data ? b.data : "", (int)b.len));
    r->p = p + 1;
    return 0;
}

static int parse_number(struct reader *r, struct tmpl_operand *o)
{
    char *end = NULL, *dend = NULL;
    long long n = strtoll(r->p, &end, 0);
    double d = strtod(r->p, &dend);
    if (dend > end)
        set_literal(r, o, json_object_new_double(d));
    else
        set_literal(r, o, json_object_new_int64(n));
    r->p = dend > end ? dend : end;
    return word_char(*r->p) ? bad(r, "bad number syntax: %.10s", r->p) : 0;
}

static bool var_known(const struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->n_vars; i++)
        if (strcmp(r->vars[i], name) == 0)
            return true;
    return !*name;
}

static int parse_variable(struct reader *r, struct tmpl_operand *o)
{
    size_t len = word_len(r->p + 1);
    o->kind = OP_VAR;
    o->name = keep(r, r->p + 1, len);
    if (!var_known(r, o->name))
        return bad(r, "undefined variable \"$%s\"", o->name);
    r->p += len + 1;
    return parse_fields(r, o);
}

static int parse_word(struct reader *r, struct tmpl_operand *o)
{
    size_t len = word_len(r->p);
    const char *name = keep(r, r->p, len);
    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0) {
        set_literal(r, o, json_object_new_boolean(*name == 't'));
    } else if (strcmp(name, "nil") == 0) {
        o->kind = OP_NIL;
    } else if (tmpl_func_known(name)) {
        o->kind = OP_FUNC;
        o->name = name;
    } else {
        return bad(r, "function \"%s\" not defined", name);
    }
    r->p += len;
    return 0;
}

static int parse_group(struct reader *r, struct tmpl_operand *o)
{
    r->p++;
    o->kind = OP_PIPE;
    if (++r->depth > 100)
        return bad(r, "max expression depth exceeded");
    int rc = parse_pipe(r, &o->pipe);
    r->depth--;
    if (rc != 0)
        return rc;
    if (*r->p != ')')
        return bad(r, "unclosed left paren");
    r->p++;
    return parse_fields(r, o);
}

static int parse_operand(struct reader *r, struct tmpl_operand *o)
{
    const char *from = r->p;
    const char *bol = from;
    while (bol > r->start && bol[-1] != '\n')
        bol--;
    o->line = line_of(r, from);
    o->col = (int)(from - bol);
    int rc = 0;
    if (*from == '.' && isdigit((unsigned char)from[1])) {
        rc = parse_number(r, o);
    } else if (*from == '.') {
        o->kind = word_char(from[1]) ? OP_FIELD : OP_DOT;
        if (o->kind == OP_DOT)
            r->p++;
        else
            rc = parse_fields(r, o);
    } else if (*from == '$') {
        rc = parse_variable(r, o);
    } else if (*from == '"' || *from == '`') {
        rc = parse_string(r, o);
    } else if (isdigit((unsigned char)*from) ||
               ((*from == '-' || *from == '+') && isdigit((unsigned char)from[1]))) {
        rc = parse_number(r, o);
    } else if (*from == '(') {
        rc = parse_group(r, o);
    } else if (word_char(*from)) {
        rc = parse_word(r, o);
    } else if (!*from) {
        return bad(r, "unclosed action");
    } else {
        return bad(r, "unexpected %s%c%s in operand", isprint((unsigned char)*from) ? "\"" : "",
                   *from, isprint((unsigned char)*from) ? "\"" : "");
    }
    o->text = keep(r, from, (size_t)(r->p - from));
    return rc;
}

static bool command_ends(const struct reader *r)
{
    return !*r->p || *r->p == '|' || *r->p == ')' || at_end(r);
}

static int parse_command(struct reader *r, struct tmpl_command *c)
{
    skip_space(r);
    const char *from = r->p, *last = from;
    for (;;) {
        skip_space(r);
        if (command_ends(r))
            break;
        c->v = grown(r, c->v, c->n, sizeof *c->v);
        int rc = parse_operand(r, &c->v[c->n++]);
        if (rc != 0)
            return rc;
        last = r->p;
        if (!command_ends(r) && !isspace((unsigned char)*r->p))
            return bad(r, "unexpected %.1s in operand", r->p);
    }
    c->text = keep(r, from, (size_t)(last - from));
    return c->n ? 0 : bad(r, *r->p ? "missing value for command" : "unclosed action");
}

/* "$x :=", "$i, $x :=", "$x =": declarations in front of a pipeline. */
static int parse_decl(struct reader *r, struct tmpl_pipe *pipe)
{
    const char *save = r->p;
    size_t n = 0;
    const char *names[2] = {NULL, NULL};
    while (*r->p == '$' && n < 2) {
        size_t len = word_len(r->p + 1);
        names[n++] = keep(r, r->p + 1, len);
        r->p += len + 1;
        skip_space(r);
        if (*r->p != ',')
            break;
        r->p++;
        skip_space(r);
    }
    if (n && (dray_str_prefix(r->p, ":=") || (*r->p == '=' && r->p[1] != '='))) {
        pipe->assign = *r->p == '=';
        r->p += pipe->assign ? 1 : 2;
        for (size_t i = 0; i < n; i++) {
            pipe->decl[i] = names[i];
            if (r->n_vars < 64)
                r->vars[r->n_vars++] = names[i];
        }
        return 0;
    }
    r->p = save;
    return 0;
}

static int parse_pipe(struct reader *r, const struct tmpl_pipe **out)
{
    struct tmpl_pipe *pipe = arena(r, sizeof *pipe);
    skip_space(r);
    int rc = parse_decl(r, pipe);
    while (rc == 0) {
        pipe->v = grown(r, pipe->v, pipe->n, sizeof *pipe->v);
        rc = parse_command(r, &pipe->v[pipe->n++]);
        if (rc != 0 || *r->p != '|')
            break;
        r->p++;
    }
    *out = pipe;
    return rc;
}

/* Step over "}}" or "-}}"; the latter eats the space that follows. */
static int close_action(struct reader *r)
{
    skip_space(r);
    bool trim = *r->p == '-';
    if (trim)
        r->p++;
    if (!dray_str_prefix(r->p, "}}"))
        return bad(r, *r->p ? "unexpected %.1s in command" : "unclosed action%s",
                   *r->p ? r->p : "");
    r->p += 2;
    if (trim)
        skip_space(r);
    return 0;
}

/* What ended a list of nodes. */
enum stop { STOP_EOF, STOP_END, STOP_ELSE };

static int parse_list(struct reader *r, struct tmpl_node **out, enum stop *stop);

static int parse_block(struct reader *r, struct tmpl_node *n)
{
    size_t vars = r->n_vars;
    enum stop stop = STOP_EOF;
    int rc = parse_pipe(r, &n->pipe);
    if (rc == 0)
        rc = close_action(r);
    if (rc == 0)
        rc = parse_list(r, &n->body, &stop);
    if (rc == 0 && stop == STOP_ELSE) {
        skip_space(r);
        size_t len = word_len(r->p);
        bool chain =
            (len == 2 && memcmp(r->p, "if", 2) == 0) || (len == 4 && memcmp(r->p, "with", 4) == 0);
        if (chain) { /* {{else if}} shares the {{end}} */
            n->other = arena(r, sizeof *n->other);
            n->other->kind = len == 2 ? NODE_IF : NODE_WITH;
            r->p += len;
            rc = parse_block(r, n->other);
            r->n_vars = vars;
            return rc;
        }
        rc = close_action(r);
        if (rc == 0)
            rc = parse_list(r, &n->other, &stop);
        if (rc == 0 && stop == STOP_ELSE)
            return bad(r, "expected end; found {{else}}");
    }
    if (rc == 0 && stop == STOP_EOF)
        return bad(r, "unexpected EOF");
    if (rc == 0)
        rc = close_action(r);
    r->n_vars = vars;
    return rc;
}

static int parse_keyword(struct reader *r, struct tmpl_node *n, bool *taken, enum stop *stop)
{
    static const struct {
        const char *word;
        enum tmpl_node_kind kind;
    } words[] = {{"if", NODE_IF},       {"range", NODE_RANGE},       {"with", NODE_WITH},
                 {"break", NODE_BREAK}, {"continue", NODE_CONTINUE}, {"end", NODE_TEXT},
                 {"else", NODE_TEXT}};
    size_t len = word_len(r->p);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) != len || memcmp(words[i].word, r->p, len) != 0)
            continue;
        *taken = true;
        r->p += len;
        n->kind = words[i].kind;
        if (n->kind == NODE_TEXT) {
            *stop = len == 3 ? STOP_END : STOP_ELSE;
            return 0;
        }
        return i < 3 ? parse_block(r, n) : close_action(r);
    }
    return 0;
}

static int parse_comment(struct reader *r)
{
    const char *end = strstr(r->p, "*/");
    if (!end)
        return bad(r, "unclosed comment");
    r->p = end + 2;
    return close_action(r);
}

/* One action; *stop is set when it was an end or else of the list around. */
static int parse_action(struct reader *r, struct tmpl_node *n, enum stop *stop)
{
    skip_space(r);
    if (dray_str_prefix(r->p, "/*")) {
        n->kind = NODE_TEXT;
        n->text = "";
        return parse_comment(r);
    }
    bool taken = false;
    int rc = parse_keyword(r, n, &taken, stop);
    if (taken || rc != 0)
        return rc;
    n->kind = NODE_ACTION;
    rc = parse_pipe(r, &n->pipe);
    return rc == 0 ? close_action(r) : rc;
}

static struct tmpl_node *add_text(struct reader *r, size_t len)
{
    struct tmpl_node *n = arena(r, sizeof *n);
    n->kind = NODE_TEXT;
    n->text = keep(r, r->p, len);
    return n;
}

static int parse_list(struct reader *r, struct tmpl_node **out, enum stop *stop)
{
    struct tmpl_node **tail = out;
    *stop = STOP_EOF;
    while (*r->p) {
        const char *open = strstr(r->p, "{{");
        size_t len = open ? (size_t)(open - r->p) : strlen(r->p);
        size_t shown = len;
        bool trim = open && open[2] == '-' && isspace((unsigned char)open[3]);
        while (trim && shown && isspace((unsigned char)r->p[shown - 1]))
            shown--;
        if (shown) {
            *tail = add_text(r, shown);
            tail = &(*tail)->next;
        }
        r->p += len;
        if (!open)
            break;
        r->p += trim ? 3 : 2;
        struct tmpl_node *n = arena(r, sizeof *n);
        enum stop inner = STOP_EOF;
        int rc = parse_action(r, n, &inner);
        if (rc != 0)
            return rc;
        *stop = inner;
        if (inner != STOP_EOF)
            return 0;
        *tail = n;
        tail = &n->next;
    }
    return 0;
}

int tmpl_parse(const char *text, struct tmpl **out, struct dray_err *err)
{
    struct tmpl *t = calloc(1, sizeof *t);
    if (!t)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct reader r = {.t = t, .start = text, .p = text, .err = err};
    enum stop stop = STOP_EOF;
    int rc = parse_list(&r, &t->root, &stop);
    if (rc == 0 && stop != STOP_EOF)
        rc = bad(&r, "unexpected {{%s}}", stop == STOP_END ? "end" : "else");
    if (rc != 0)
        tmpl_free(t);
    else
        *out = t;
    return rc;
}

void tmpl_free(struct tmpl *t)
{
    if (!t)
        return;
    for (struct tmpl_block *b = t->blocks; b;) {
        struct tmpl_block *next = b->next;
        if (b->literal)
            json_object_put(b->literal);
        free(b);
        b = next;
    }
    free(t);
}
