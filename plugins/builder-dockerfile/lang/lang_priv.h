/* SPDX-License-Identifier: Apache-2.0 */
/* lang_priv.h - what the files of the language share. */
#ifndef DRAY_BUILDER_LANG_PRIV_H
#define DRAY_BUILDER_LANG_PRIV_H

#include "dockerfile.h"

/** A growing text with a limit. Zero-initialised is empty; dray_df_buf_cleanup() frees it. */
struct dray_df_buf {
    char *data; /**< NUL-terminated once something was added */
    size_t len, cap;
    bool failed; /**< no memory, or longer than DRAY_DF_MAX_WORD */
};
void dray_df_buf_add(struct dray_df_buf *b, const char *text, size_t n);
void dray_df_buf_adds(struct dray_df_buf *b, const char *text);
void dray_df_buf_cleanup(struct dray_df_buf *b);

/** A growing list of strings that live in an arena. */
struct dray_df_list {
    const char **v;
    size_t n, cap;
};
/** false without memory. */
bool dray_df_list_add(struct dray_df_arena *a, struct dray_df_list *l, const char *text);
static inline struct dray_strs dray_df_list_view(const struct dray_df_list *l)
{
    return (struct dray_strs){.v = l->v, .n = l->n};
}

static inline bool dray_df_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/** What an error is about: the parser looks the token up in the source for its column. */
struct dray_df_ctx {
    struct dray_df_arena *a;
    char escape;
    const char *token; /**< the culprit, or NULL */
    struct dray_err *err;
};
/** Fill the error with DRAY_E_INVAL; token may be NULL. */
int dray_df_bad(struct dray_df_ctx *c, const char *token, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int dray_df_nomem(struct dray_df_ctx *c);

/** text in double quotes as Go's %q writes it, in the arena; "" without memory. */
const char *dray_df_quote(struct dray_df_arena *a, const char *text);
char *dray_df_lower(struct dray_df_arena *a, const char *text);
char *dray_df_upper(struct dray_df_arena *a, const char *text);
char *dray_df_printf(struct dray_df_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/** A copy without blanks around it. */
char *dray_df_trim(struct dray_df_arena *a, const char *text, size_t n);
/** Is a name nearer to the word than *best, the fewest edits so far? *best begins at 3; a word that
 *  is the name itself makes it 0. */
bool dray_df_nearer(const char *word, const char *name, bool any_case, unsigned *best);
/** The nearest of the names (NULL-terminated), at most two edits away, or NULL. */
const char *dray_df_nearest(const char *word, const char *const *names, bool any_case);
/** " (did you mean X?)" in the case of the word, or "". */
const char *dray_df_suggest(struct dray_df_arena *a, const char *word, const char *const *names,
                            bool any_case);

/** One instruction before it is typed. */
struct dray_df_line {
    struct dray_df_where where;
    const char *text;
    const char *name;
    struct dray_strs flags;
    const char *rest;
    struct dray_df_heredocs heredocs;
};

/** Cut a logical line into name, flags and rest. */
int dray_df_split(struct dray_df_ctx *c, const char *text, struct dray_df_line *out);
/** Words at blanks, quotes and escapes kept (ENV, LABEL, ARG). */
int dray_df_split_words(struct dray_df_ctx *c, const char *rest, struct dray_df_list *out);
/** Words at blanks alone. */
int dray_df_split_blanks(struct dray_df_ctx *c, const char *rest, struct dray_df_list *out);
/** A JSON array of strings: 1 and *out, or 0 when the text is not a JSON array at all. */
int dray_df_split_json(struct dray_df_ctx *c, const char *rest, struct dray_df_list *out);

/** The here-documents that a line announces, still without content. */
int dray_df_heredocs(struct dray_df_ctx *c, const char *text, struct dray_df_heredoc **out,
                     size_t *n_out);
/** Is the word a here-document's marker ("<<EOF")? Its ending word, or NULL. */
const char *dray_df_heredoc_name(struct dray_df_arena *a, const char *word);
/** Can an instruction have here-documents? For ONBUILD that of its trigger counts. */
bool dray_df_takes_heredoc(const struct dray_df_line *line);

/** The typed instruction of a line. */
int dray_df_type(struct dray_df_ctx *c, const struct dray_df_line *line,
                 struct dray_df_instr **out);
/** RUN's --mount value. Without an environment values with "$" stay as they are. */
int dray_df_mount_parse(struct dray_df_ctx *c, const char *value, const struct dray_df_env *env,
                        struct dray_df_mount *out);
/** Nanoseconds of Go's "1m30s". */
int dray_df_duration(struct dray_df_ctx *c, const char *text, int64_t *out);
/** "skip=A,B;error=true" */
int dray_df_check_parse(struct dray_df_ctx *c, const char *text, struct dray_df_check *out);

/** Words of a line with quotes, escapes and variables as they are; none if it cannot be read. */
int dray_df_raw_words(struct dray_df_arena *a, const char *text, struct dray_df_list *out);

/** What "${x#pattern}" and its kin leave of a value. op is '#', '%' or '/'; long: doubled. */
int dray_df_pattern(const char *value, char op, bool is_long, const char *pattern, const char *with,
                    struct dray_df_buf *out, struct dray_err *err);

#endif
