/* SPDX-License-Identifier: Apache-2.0 */
/* test_dockerfile.c - the Dockerfile parser: tables of files, places of errors, bounds. */
#include "dockerfile_dump.h"

#include "check.h"
#include "dockerfile_cases.h"

static struct dump dump;

/* What the parser says of a text, as in the table. */
static const char *said(const char *text, size_t len)
{
    struct dray_df_file *f = NULL;
    struct dray_df_where where = {0};
    struct dray_err err = {0};
    dump.len = 0;
    dump.text[0] = '\0';
    if (dray_df_parse(text, len, "Dockerfile", &f, &where, &err) != 0) {
        dump_put(&dump, "!%u:%u %s", where.line, where.column, err.text);
        return dump.text;
    }
    dump_file(&dump, f);
    dray_df_free(f);
    return dump.text;
}

static void table(void)
{
    static const char head[] = "FROM scratch\n", from[] = "FROM 'scratch'\n";
    for (size_t i = 0; i < sizeof dockerfile_cases / sizeof *dockerfile_cases; i++) {
        const char *text = dockerfile_cases[i].text;
        char whole[1024];
        bool headed = *text == '|';
        (void)snprintf(whole, sizeof whole, "%s%s", headed ? head : "", text + headed);
        const char *got = said(whole, strlen(whole));
        if (headed && strncmp(got, from, sizeof from - 1) == 0)
            got += sizeof from - 1;
        if (strcmp(got, dockerfile_cases[i].want) != 0)
            printf("\n%s:\n  got  %s\n  want %s\n", dockerfile_cases[i].name, got,
                   dockerfile_cases[i].want);
        CU_ASSERT_STRING_EQUAL(got, dockerfile_cases[i].want);
    }
    CU_ASSERT(sizeof dockerfile_cases / sizeof *dockerfile_cases >= 150);
}

static struct dray_df_file *parse(const char *text)
{
    struct dray_df_file *f = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_df_parse(text, strlen(text), "df", &f, NULL, NULL), 0);
    return f;
}

static void places(void)
{
    struct dray_df_file *f = parse("# syntax = docker/dockerfile:1.7 \n"
                                   "\n"
                                   "ARG X\n"
                                   "FROM a AS One\n"
                                   "  RUN x \\\n"
                                   "   # c\n"
                                   "\n"
                                   "   y\n"
                                   "COPY <<EOF /f\n"
                                   "1\n"
                                   "EOF\n"
                                   "FROM b\n"
                                   "USER u\n");
    const struct dray_df_instr *run = f->stages[0].first, *copy = run->next;
    CU_ASSERT_STRING_EQUAL(f->syntax, "docker/dockerfile:1.7");
    CU_ASSERT_EQUAL(f->n_stages, 2);
    CU_ASSERT_EQUAL(f->args->where.line, 3);
    CU_ASSERT_EQUAL(f->stages[0].from->where.line, 4);
    CU_ASSERT_STRING_EQUAL(f->stages[0].name, "one");
    CU_ASSERT_STRING_EQUAL(f->stages[0].from->u.from.name_raw, "One");
    CU_ASSERT_EQUAL(f->stages[0].n_instrs, 2);
    CU_ASSERT_EQUAL(f->stages[0].end_line, 11);
    CU_ASSERT_EQUAL(run->where.line, 5);
    CU_ASSERT_EQUAL(run->where.end_line, 8);
    CU_ASSERT_EQUAL(run->where.column, 3);
    CU_ASSERT_STRING_EQUAL(run->text, "RUN x    y");
    CU_ASSERT_STRING_EQUAL(run->rest, "x    y");
    CU_ASSERT_EQUAL(copy->where.line, 9);
    CU_ASSERT_EQUAL(copy->where.end_line, 11);
    CU_ASSERT_STRING_EQUAL(copy->text, "COPY <<EOF /f");
    CU_ASSERT_EQUAL(f->empty_continuations[0], 8);
    CU_ASSERT_EQUAL(f->empty_continuations[1], 0);
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "ONE", 2), 0);
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "one", 0), -1);
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "1", 2), 1);
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "1", 1), -1);
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "-1", 2), -1);
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "99999999999999999999", 2), -1);
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "", 2), -1);
    dray_df_free(f);
}

static void later_stage_wins_a_name(void)
{
    struct dray_df_file *f = parse("FROM a AS x\nFROM b AS x\nFROM x\n");
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "x", 2), 1);
    CU_ASSERT_EQUAL(dray_df_stage_find(f, "x", 1), 0);
    dray_df_free(f);
}

static void check_option(void)
{
    struct dray_df_file *f =
        parse("# check= skip=A , B;error = true;experimental=all\nFROM scratch\n");
    CU_ASSERT_EQUAL(f->check.skip.n, 2);
    CU_ASSERT_STRING_EQUAL(f->check.skip.v[1], "B");
    CU_ASSERT(f->check.error && !f->check.skip_all && f->check.experimental_all);
    dray_df_free(f);
    f = parse("#check=skip=all\nFROM scratch\n");
    CU_ASSERT(f->check.skip_all && !f->check.error);
    dray_df_free(f);
}

static void excerpts(void)
{
    static const char text[] =
        "FROM scratch\nUSER u\nENV a=b\nRUNN \\\n  x\nUSER w\nUSER x\nUSER y";
    struct dray_df_where where = {0};
    struct dray_df_file *f = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_df_parse(text, strlen(text), "d/Dockerfile", &f, &where, &err),
                    DRAY_E_INVAL);
    char *got = dray_df_excerpt(text, strlen(text), "d/Dockerfile", &where, false);
    CU_ASSERT_STRING_EQUAL(got, "d/Dockerfile:4\n"
                                "--------------------\n"
                                "   2 |     USER u\n"
                                "   3 |     ENV a=b\n"
                                "   4 | >>> RUNN \\\n"
                                "   5 | >>>   x\n"
                                "   6 |     USER w\n"
                                "   7 |     USER x\n"
                                "--------------------\n");
    free(got);
    got = dray_df_excerpt("\xc3\xa9\r\n", 4, "f", &(struct dray_df_where){1, 1, 1}, false);
    CU_ASSERT_STRING_EQUAL(got, "f:1\n--------------------\n   1 | >>> \xc3\xa9\n"
                                "--------------------\n");
    free(got);
}

/* Error texts have little room: what does not fit is left out, from the outside. */
static void explanations(void)
{
    static const char text[] = "FROM scratch\nRUN --mount=type=bnd,target=/a x\n";
    char wide[2000];
    struct dray_df_where where = {2, 2, 18};
    struct dray_err err = {.text = "why"};
    dray_df_explain(text, strlen(text), "d/Df", &where, &err);
    CU_ASSERT_STRING_EQUAL(err.text, "why\nd/Df:2:18\n--------------------\n   1 |     FROM "
                                     "scratch\n   2 | >>> RUN --mount=type=bnd,target=/a x\n"
                                     "--------------------");
    (void)snprintf(wide, sizeof wide, "%s%0400d\nFROM x\n", "FROM scratch\n#", 0);
    where = (struct dray_df_where){3, 3, 1};
    (void)snprintf(err.text, sizeof err.text, "why");
    dray_df_explain(wide, strlen(wide), "Df", &where, &err);
    CU_ASSERT_STRING_EQUAL(err.text, "why\nDf:3:1\n--------------------\n   3 | >>> FROM x\n"
                                     "--------------------");
    where.line = 2;
    (void)snprintf(err.text, sizeof err.text, "why");
    dray_df_explain(wide, strlen(wide), "Df", &where, &err);
    CU_ASSERT(strlen(err.text) > 150 && strlen(err.text) < 220);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "   2 | >>> #0000"));
    (void)snprintf(err.text, sizeof err.text, "why");
    where.line = 0;
    dray_df_explain(wide, strlen(wide), "Df", &where, &err);
    CU_ASSERT_STRING_EQUAL(err.text, "why");
}

/* A text that repeats a piece. */
static char *repeat(const char *head, const char *piece, size_t n, const char *tail)
{
    size_t h = strlen(head), p = strlen(piece);
    char *text = malloc(h + p * n + strlen(tail) + 1);
    memcpy(text, head, h);
    for (size_t i = 0; i < n; i++)
        memcpy(text + h + i * p, piece, p);
    memcpy(text + h + n * p, tail, strlen(tail) + 1);
    return text;
}

static void expect_bound(const char *head, const char *piece, size_t n, const char *tail,
                         const char *want)
{
    char *text = repeat(head, piece, n, tail);
    const char *got = said(text, strlen(text));
    if (!strstr(got, want))
        printf("\nwant %s, got %.200s\n", want, got);
    CU_ASSERT_PTR_NOT_NULL(strstr(got, want));
    free(text);
}

static void bounds(void)
{
    expect_bound("FROM scratch\n#", "x", 5 << 20, "", "larger than");
    expect_bound("FROM scratch\nRUN ", "x", 2 << 20, "", "greater than max allowed size");
    expect_bound("FROM scratch\nRUN ", "x \\\n", 700000, "", "greater than max allowed size");
    expect_bound("FROM scratch\n", "USER u\n", 30000, "", "more than 20000 instructions");
    expect_bound("FROM scratch\nRUN ", "<<A ", 100, "\n", "more than 64 heredocs");
    expect_bound("FROM scratch\nRUN ", "[", 100000, "", "RUN shell '[[");
    expect_bound("", "FROM scratch\n", 1000, "", "FROM 'scratch'");
    expect_bound("", "FROM scratch\n", 1001, "", "more than 1000 stages");
    CU_ASSERT_STRING_EQUAL(said("FROM a\0b", 8),
                           "!0:0 the Dockerfile (Dockerfile) is not a text: it holds NUL bytes");
}

static void one_instruction(void)
{
    DRAY_AUTO(dray_df_arena) a = {0};
    const struct dray_df_instr *in = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_df_parse_one(&a, "ENV a=b", false, &in, &err), 0);
    CU_ASSERT_EQUAL(in->kind, DRAY_DF_ENV);
    CU_ASSERT_EQUAL(dray_df_parse_one(&a, "COPY <<A <<-B /d/\n1\nA\n\t2\nB", true, &in, &err), 0);
    CU_ASSERT_EQUAL(in->u.copy.contents.n, 2);
    CU_ASSERT_STRING_EQUAL(in->u.copy.contents.v[1].content, "2\n");
    CU_ASSERT_EQUAL(dray_df_parse_one(&a, "FROM a", true, &in, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(err.text, "FROM isn't allowed as an ONBUILD trigger");
    CU_ASSERT_EQUAL(dray_df_parse_one(&a, " ", true, &in, &err), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_df_parse_one(&a, "RUNN a", true, &in, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(err.text, "unknown instruction: RUNN (did you mean RUN?)");
}

static const struct check_case cases[] = {
    {"table of files", table},
    {"places", places},
    {"a later stage wins a name", later_stage_wins_a_name},
    {"# check", check_option},
    {"excerpts", excerpts},
    {"explanations", explanations},
    {"bounds", bounds},
    {"one instruction", one_instruction},
};
CHECK_MAIN("Dockerfile", cases)
