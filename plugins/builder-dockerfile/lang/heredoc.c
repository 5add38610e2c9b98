/* SPDX-License-Identifier: Apache-2.0 */
/* heredoc.c - finds the here-documents that a line of RUN, COPY or ADD announces. */
#include "lang_priv.h"

/* "3<<-" at the front of a word: what follows it, or NULL. */
static const char *marker(const char *word, uint32_t *fd, bool *chomp)
{
    uint64_t n = 0;
    for (; *word >= '0' && *word <= '9'; word++)
        n = n < UINT32_MAX ? n * 10 + (uint64_t)(*word - '0') : n;
    if (word[0] != '<' || word[1] != '<')
        return NULL;
    word += 2;
    *fd = n < UINT32_MAX ? (uint32_t)n : 0;
    *chomp = *word == '-';
    word += *chomp;
    while (dray_df_space(*word))
        word++;
    return strchr(word, '<') ? NULL : word;
}

static size_t count_quotes(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\'' || *text == '"';
    return n;
}

/* A word that looks like a marker: 1 and *out, 0 if it is none. */
static int read_marker(struct dray_df_ctx *c, const char *word, struct dray_df_heredoc *out)
{
    static const struct dray_df_env none = {0};
    struct dray_df_list raw = {0};
    const char *name = marker(word, &out->fd, &out->chomp);
    if (!name || !*name)
        return 0;
    int rc = dray_df_word(c->a, name, '\\', DRAY_DF_KEEP_UNSET, &none, &out->name, c->err);
    if (rc != 0) {
        c->token = word;
        return rc;
    }
    /* One word only, though it may be quoted. */
    rc = dray_df_raw_words(c->a, name, &raw);
    if (rc != 0 || raw.n != 1 || !*out->name)
        return rc;
    out->expand = count_quotes(raw.v[0]) == count_quotes(out->name);
    out->content = "";
    return 1;
}

/* "<<" and "EOF" were written apart. What can be a shift in $((1 << 2)) is none. */
static const char *join_marker(struct dray_df_ctx *c, const char *word, const char *next)
{
    uint32_t fd = 0;
    bool chomp = false;
    const char *name = marker(word, &fd, &chomp);
    if (!name || *name || !next || strpbrk(next, "<()"))
        return NULL;
    bool letter = (*next >= 'a' && *next <= 'z') || (*next >= 'A' && *next <= 'Z');
    if (!letter && !strchr("_'\"$\\-", *next))
        return NULL;
    return dray_df_printf(c->a, "%s%s", word, next);
}

int dray_df_heredocs(struct dray_df_ctx *c, const char *text, struct dray_df_heredoc **out,
                     size_t *n_out)
{
    struct dray_df_list words = {0};
    *n_out = 0;
    *out = NULL;
    if (!strstr(text, "<<"))
        return 0;
    int rc = dray_df_raw_words(c->a, text, &words);
    if (rc != 0 || words.n == 0)
        return rc;
    struct dray_df_heredoc *v = dray_df_alloc(c->a, DRAY_DF_MAX_HEREDOCS * sizeof *v);
    if (!v)
        return dray_df_nomem(c);
    for (size_t i = 0; i < words.n; i++) {
        const char *next = i + 1 < words.n ? words.v[i + 1] : NULL;
        const char *joined = join_marker(c, words.v[i], next);
        if (!joined && !strstr(words.v[i], "<<"))
            continue;
        if (*n_out == DRAY_DF_MAX_HEREDOCS)
            return dray_df_bad(c, words.v[i], "more than %u heredocs", DRAY_DF_MAX_HEREDOCS);
        rc = read_marker(c, joined ? joined : words.v[i], &v[*n_out]);
        if (rc < 0)
            return rc;
        *n_out += (size_t)rc;
        i += joined != NULL;
    }
    *out = v;
    return 0;
}

const char *dray_df_heredoc_name(struct dray_df_arena *a, const char *word)
{
    struct dray_err ignored = {0};
    struct dray_df_ctx c = {.a = a, .escape = '\\', .err = &ignored};
    struct dray_df_heredoc doc = {0};
    return read_marker(&c, word, &doc) == 1 ? doc.name : NULL;
}

static bool is_one_of(const char *name, size_t n, const char *const *names)
{
    for (; *names; names++)
        if (strlen(*names) == n && strncasecmp(name, *names, n) == 0)
            return true;
    return false;
}

bool dray_df_takes_heredoc(const struct dray_df_line *line)
{
    static const char *const plain[] = {"RUN", "COPY", "ADD", NULL};
    const char *rest = line->rest;
    bool takes = is_one_of(line->name, strlen(line->name), plain);
    if (strcasecmp(line->name, "ONBUILD") == 0) {
        size_t n = strcspn(rest, "\t\v\f\r ");
        takes = is_one_of(rest, n, plain);
        rest += n;
        rest += strspn(rest, "\t\v\f\r ");
    }
    if (!takes)
        return false;
    /* The exec form has none. */
    DRAY_AUTO(dray_df_arena) a = {0};
    struct dray_err ignored = {0};
    struct dray_df_ctx c = {.a = &a, .err = &ignored};
    struct dray_df_list json = {0};
    return dray_df_split_json(&c, rest, &json) == 0;
}
