/* SPDX-License-Identifier: Apache-2.0 */
/* lint_text.c - rules on how a file is written: casing, comments, continuations. */
#include "lint_priv.h"

enum casing { CASE_LOWER, CASE_UPPER, CASE_MIXED };

static enum casing casing_of(const char *word)
{
    bool upper = false, lower = false;
    for (; *word; word++) {
        upper = upper || (*word >= 'A' && *word <= 'Z');
        lower = lower || (*word >= 'a' && *word <= 'z');
    }
    return upper && lower ? CASE_MIXED : upper ? CASE_UPPER : CASE_LOWER;
}

static void check_casing(struct dray_df_linting *l, const struct dray_df_instr *in,
                         enum casing wanted)
{
    if (casing_of(in->name) != wanted)
        dray_df_note(l, RULE_CONSISTENT_INSTRUCTION_CASING, &in->where,
                     "Command '%s' should match the case of the command majority (%s)", in->name,
                     wanted == CASE_LOWER ? "lowercase" : "uppercase");
}

static void instruction_casing(struct dray_df_linting *l)
{
    size_t counts[3] = {0};
    for (uint32_t i = 0; i < l->f->n_stages; i++) {
        counts[casing_of(l->f->stages[i].from->name)]++;
        for (const struct dray_df_instr *in = l->f->stages[i].first; in; in = in->next)
            counts[casing_of(in->name)]++;
    }
    enum casing wanted = counts[CASE_LOWER] > counts[CASE_UPPER] ? CASE_LOWER : CASE_UPPER;
    for (uint32_t i = 0; i < l->f->n_stages; i++) {
        check_casing(l, l->f->stages[i].from, wanted);
        for (const struct dray_df_instr *in = l->f->stages[i].first; in; in = in->next)
            check_casing(l, in, wanted);
    }
}

/* The second word of "image AS name". */
static void from_as_casing(struct dray_df_linting *l, const struct dray_df_instr *from)
{
    char as[3] = "";
    if (!from->u.from.name)
        return;
    const char *p = from->rest + strcspn(from->rest, "\t\v\f\r ");
    p += strspn(p, "\t\v\f\r ");
    memcpy(as, p, 2);
    enum casing wanted = casing_of(from->name);
    if (wanted != CASE_MIXED && casing_of(as) != wanted)
        dray_df_note(l, RULE_FROM_AS_CASING, &from->where,
                     "'%s' and '%s' keywords' casing do not match", as, from->name);
}

/* Names of stages. */
static void stage_names(struct dray_df_linting *l, uint32_t index)
{
    static const char *const reserved[] = {"context", "scratch"};
    const struct dray_df_instr *from = l->f->stages[index].from;
    const char *name = from->u.from.name;
    if (!name)
        return;
    if (casing_of(from->u.from.name_raw) != CASE_LOWER)
        dray_df_note(l, RULE_STAGE_NAME_CASING, &from->where, "Stage name '%s' should be lowercase",
                     from->u.from.name_raw);
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(reserved[i], name) == 0)
            dray_df_note(l, RULE_RESERVED_STAGE_NAME, &from->where,
                         "Stage name should not use the same name as reserved stage \"%s\"", name);
    for (uint32_t i = 0; i < index; i++)
        if (l->f->stages[i].name && strcmp(l->f->stages[i].name, name) == 0) {
            dray_df_note(l, RULE_DUPLICATE_STAGE_NAME, &from->where,
                         "Duplicate stage name \"%s\", stage names should be unique", name);
            break;
        }
}

/* Where the lines begin. */
static bool index_lines(struct dray_df_linting *l)
{
    size_t n = 1;
    for (const char *p = l->f->text; (p = strchr(p, '\n')); p++)
        n++;
    l->lines = dray_df_alloc(&l->a, n * sizeof *l->lines);
    l->failed = l->failed || !l->lines;
    if (!l->lines)
        return false;
    for (const char *p = l->f->text; p && l->n_lines < n; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
        l->lines[l->n_lines++] = p;
    return true;
}

/* The text of the comment line right above a line; NULL if there is none. */
static const char *comment_above(struct dray_df_linting *l, uint32_t line)
{
    if (line < 2 || (!l->lines && !index_lines(l)) || line - 2 >= l->n_lines)
        return NULL;
    const char *above = l->lines[line - 2];
    size_t len = strcspn(above, "\r\n");
    while (len && dray_df_space(*above))
        above++, len--;
    return len && *above == '#' ? dray_df_trim(&l->a, above + 1, len - 1) : NULL;
}

static bool is_directive(const char *comment)
{
    static const char *const names[] = {"syntax", "escape", "check"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncasecmp(comment, names[i], n) == 0 &&
            comment[n + strspn(comment + n, " \t")] == '=')
            return true;
    }
    return false;
}

static void description(struct dray_df_linting *l, const struct dray_df_instr *in, const char *kind,
                        const struct dray_kv *names, size_t n)
{
    bool on = n && dray_df_lint_on(l, RULE_INVALID_DEFINITION_DESCRIPTION);
    const char *comment = on ? comment_above(l, in->where.line) : NULL;
    if (!comment || !*comment || is_directive(comment))
        return;
    size_t len = strcspn(comment, " ");
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i].key) == len && memcmp(names[i].key, comment, len) == 0)
            return;
    dray_df_note(l, RULE_INVALID_DEFINITION_DESCRIPTION, &in->where,
                 "Comment for %s should follow the format: `# %s <description>`", kind,
                 n > 1 ? "<arg_key>" : names[0].key);
}

static void descriptions(struct dray_df_linting *l, const struct dray_df_instr *in)
{
    for (; in; in = in->next)
        if (in->kind == DRAY_DF_ARG)
            description(l, in, "ARG", in->u.pairs.v, in->u.pairs.n);
}

void dray_df_lint_text(struct dray_df_linting *l)
{
    for (const uint32_t *line = l->f->empty_continuations; *line; line++)
        dray_df_note(l, RULE_NO_EMPTY_CONTINUATION, &(struct dray_df_where){*line, *line, 1},
                     "Empty continuation line");
    instruction_casing(l);
    descriptions(l, l->f->args);
    for (uint32_t i = 0; i < l->f->n_stages; i++) {
        const struct dray_df_instr *from = l->f->stages[i].from;
        const struct dray_kv name = {from->u.from.name, NULL};
        from_as_casing(l, from);
        stage_names(l, i);
        description(l, from, "FROM", &name, from->u.from.name != NULL);
        descriptions(l, l->f->stages[i].first);
    }
}
