/* SPDX-License-Identifier: Apache-2.0 */
/*
 * words.c - expands words: quotes, escapes, variables with their modifiers. The rules are those of
 * BuildKit's Dockerfile frontend, which follow POSIX sh 2.6.2 but for escapes and quoting.
 */
#include "lang_priv.h"

#include <dray/pathmatch.h>

struct lexer {
    const char *p, *end;
    char escape;
    bool raw_quotes, raw_escapes, keep_unset, plain_quotes;
    unsigned depth;
    const struct dray_df_env *env;
    struct dray_err *err;
};

/** Words in the making, as the text passes by. */
struct words {
    struct dray_df_arena *a;
    struct dray_df_list list;
    struct dray_df_buf word;
    bool in_word, failed;
};

static int fail(struct lexer *x, const char *text)
{
    return dray_fail(x->err, DRAY_E_INVAL, "%s", text);
}

static void words_end(struct words *w)
{
    if (!w || w->word.len == 0)
        return;
    char *copy = dray_df_strndup(w->a, w->word.data, w->word.len);
    w->failed = w->failed || !copy || w->word.failed || !dray_df_list_add(w->a, &w->list, copy);
    w->word.len = 0;
    w->in_word = false;
}

/* Text whose blanks do not split. */
static void words_raw(struct words *w, const char *text, size_t n)
{
    if (!w)
        return;
    dray_df_buf_add(&w->word, text, n);
    w->in_word = true;
}

static void words_text(struct words *w, const char *text, size_t n)
{
    for (size_t i = 0; w && i < n; i++) {
        if (!dray_df_space(text[i]))
            words_raw(w, text + i, 1);
        else if (w->in_word)
            words_end(w);
    }
}

static const char *lookup(struct lexer *x, const char *name, bool defaulted)
{
    const char *value = x->env->get ? x->env->get(x->env->arg, name) : NULL;
    if (!value && !defaulted && x->env->missing)
        x->env->missing(x->env->arg, name);
    return value;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c) ||
           (unsigned char)c >= 0x80;
}

/* The name at p: letters and digits, a number, or one special character. Adds it to out. */
static void read_name(struct lexer *x, struct dray_df_buf *out)
{
    const char *from = x->p;
    if (x->p < x->end && is_digit(*x->p)) {
        while (x->p < x->end && is_digit(*x->p))
            x->p++;
    } else if (x->p < x->end && strchr("@*#?-$!", *x->p)) {
        x->p++;
    } else {
        while (x->p < x->end && is_name(*x->p))
            x->p++;
    }
    dray_df_buf_add(out, from, (size_t)(x->p - from));
    if (!out->data)
        out->failed = true;
}

static int read_until(struct lexer *x, char stop, bool raw_escapes, struct dray_df_buf *out,
                      struct words *w);

/* An operand of ${}: up to stop, variables within replaced. */
static int read_operand(struct lexer *x, char stop, bool raw_escapes, struct dray_df_buf *out)
{
    if (x->depth >= DRAY_DF_MAX_DEPTH)
        return fail(x, "syntax error: substitutions are nested too deep");
    x->depth++;
    int rc = read_until(x, stop, raw_escapes, out, NULL);
    x->depth--;
    if (rc == DRAY_E_INVAL && x->p == x->end)
        return fail(x,
                    stop == '}' ? "syntax error: missing '}'" : "syntax error: missing '/' in ${}");
    if (rc == 0 && !out->data)
        dray_df_buf_adds(out, "");
    return rc;
}

/* ${name?word}, ${name:?word}. */
static int check_set(struct lexer *x, const char *name, const char *value, bool null_counts,
                     const char *word)
{
    if (value && !(null_counts && !*value))
        return 0;
    const char *why = *word    ? word
                      : !value ? "is not allowed to be unset"
                               : "is not allowed to be empty";
    return dray_fail(x->err, DRAY_E_INVAL, "%s: %s", name, why);
}

/* The modifiers with one operand: c is '-', '+', '?', '#' or '%'; text is how they were written. */
static int modify(struct lexer *x, const char *name, char c, bool null_counts,
                  struct dray_df_buf *out)
{
    DRAY_AUTO(dray_df_buf) word = {0};
    int rc = read_operand(x, '}', c == '#' || c == '%', &word);
    if (rc != 0)
        return rc;
    const char *value = lookup(x, name, c == '-' || c == '+' || c == '?');
    if (!value && x->keep_unset) {
        const char *colon = null_counts ? ":" : "";
        dray_df_buf_adds(out, "${");
        dray_df_buf_adds(out, name);
        dray_df_buf_adds(out, colon);
        dray_df_buf_add(out, &c, 1);
        dray_df_buf_adds(out, word.data);
        dray_df_buf_adds(out, "}");
        return 0;
    }
    bool is_set = value && !(null_counts && !*value);
    switch (c) {
    case '-':
        dray_df_buf_adds(out, is_set ? value : word.data);
        return 0;
    case '+':
        dray_df_buf_adds(out, is_set ? word.data : "");
        return 0;
    case '?':
        rc = check_set(x, name, value, null_counts, word.data);
        dray_df_buf_adds(out, rc == 0 && value ? value : "");
        return rc;
    default: {
        bool is_long = word.data[0] == c;
        return dray_df_pattern(value ? value : "", c, is_long, word.data + is_long, NULL, out,
                               x->err);
    }
    }
}

/* ${name/pattern/with}, ${name//pattern/with}; the first slash is behind us. */
static int replace(struct lexer *x, const char *name, struct dray_df_buf *out)
{
    DRAY_AUTO(dray_df_buf) pattern = {0};
    DRAY_AUTO(dray_df_buf) with = {0};
    bool all = x->p < x->end && *x->p == '/';
    x->p += all;
    int rc = read_operand(x, '/', true, &pattern);
    if (rc == 0)
        rc = read_operand(x, '}', true, &with);
    if (rc != 0)
        return rc;
    const char *value = lookup(x, name, false);
    if (value || !x->keep_unset)
        return dray_df_pattern(value ? value : "", '/', all, pattern.data, with.data, out, x->err);
    const char *const parts[] = {"${", name, all ? "//" : "/", pattern.data, "/", with.data, "}"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        dray_df_buf_adds(out, parts[i]);
    return 0;
}

static int braced(struct lexer *x, struct dray_df_buf *out)
{
    DRAY_AUTO(dray_df_buf) name = {0};
    if (x->p == x->end)
        return fail(x, "syntax error: missing '}'");
    if (strchr("{}:", *x->p))
        return fail(x, "syntax error: bad substitution");
    dray_df_buf_add(&name, "", 0);
    read_name(x, &name);
    if (name.failed)
        return dray_fail(x->err, DRAY_E_NOMEM, "no memory for a word");
    if (x->p == x->end)
        return fail(x, "syntax error: missing '}'");
    char c = *x->p++;
    if (c == '}') {
        const char *value = lookup(x, name.data, false);
        if (!value && x->keep_unset) {
            dray_df_buf_adds(out, "${");
            dray_df_buf_adds(out, name.data);
            dray_df_buf_adds(out, "}");
        } else {
            dray_df_buf_adds(out, value ? value : "");
        }
        return 0;
    }
    if (c == '/')
        return replace(x, name.data, out);
    bool colon = c == ':';
    if (colon && x->p == x->end)
        return fail(x, "syntax error: missing '}'");
    if (colon)
        c = *x->p++;
    if (c && strchr("-+?#%", c))
        return modify(x, name.data, c, colon, out);
    x->p--;
    uint32_t rune = 0;
    size_t n = dray_glob_rune(x->p, x->end, &rune);
    return dray_fail(x->err, DRAY_E_INVAL, "unsupported modifier (%s%.*s) in substitution",
                     colon ? ":" : "", (int)n, x->p);
}

/* What begins with "$". */
static int dollar(struct lexer *x, struct dray_df_buf *out)
{
    x->p++;
    if (x->p < x->end && *x->p == '{') {
        x->p++;
        return braced(x, out);
    }
    DRAY_AUTO(dray_df_buf) name = {0};
    dray_df_buf_add(&name, "", 0);
    read_name(x, &name);
    if (name.failed)
        return dray_fail(x->err, DRAY_E_NOMEM, "no memory for a word");
    const char *value = name.len ? lookup(x, name.data, false) : NULL;
    if (value) {
        dray_df_buf_adds(out, value);
    } else if (name.len == 0 || x->keep_unset) {
        dray_df_buf_adds(out, "$");
        dray_df_buf_adds(out, name.data);
    }
    return 0;
}

static int single_quoted(struct lexer *x, struct dray_df_buf *out)
{
    const char *from = x->p, *close = memchr(from + 1, '\'', (size_t)(x->end - from - 1));
    if (!close) {
        x->p = x->end;
        return fail(x, "unexpected end of statement while looking for matching single-quote");
    }
    x->p = close + 1;
    if (x->raw_quotes)
        dray_df_buf_add(out, from, (size_t)(x->p - from));
    else
        dray_df_buf_add(out, from + 1, (size_t)(close - from - 1));
    return 0;
}

static int double_quoted(struct lexer *x, struct dray_df_buf *out)
{
    int rc = 0;
    x->p++;
    if (x->raw_quotes)
        dray_df_buf_adds(out, "\"");
    while (rc == 0 && x->p < x->end) {
        char c = *x->p;
        if (c == '"') {
            x->p++;
            dray_df_buf_adds(out, x->raw_quotes ? "\"" : "");
            return 0;
        }
        if (c == '$') {
            rc = dollar(x, out);
            continue;
        }
        x->p++;
        if (c == x->escape) {
            if (x->raw_escapes)
                dray_df_buf_add(out, &c, 1);
            if (x->p == x->end)
                break;
            if (*x->p == '"' || *x->p == '$' || *x->p == x->escape)
                c = *x->p++;
        }
        dray_df_buf_add(out, &c, 1);
    }
    return rc != 0 ? rc
                   : fail(x, "unexpected end of statement while looking for matching double-quote");
}

/* The character at p as it is, or what it escapes. */
static void plain(struct lexer *x, struct dray_df_buf *out, struct words *w)
{
    uint32_t rune = 0;
    if (*x->p == x->escape) {
        if (x->raw_escapes) {
            words_raw(w, x->p, 1);
            dray_df_buf_add(out, x->p, 1);
        }
        x->p++;
        if (x->p == x->end)
            return;
        size_t n = dray_glob_rune(x->p, x->end, &rune);
        words_raw(w, x->p, n);
        dray_df_buf_add(out, x->p, n);
        x->p += n;
    } else {
        words_text(w, x->p, 1);
        dray_df_buf_add(out, x->p, 1);
        x->p++;
    }
}

/* Read up to stop, or to the end when stop is NUL. */
static int read_until(struct lexer *x, char stop, bool raw_escapes, struct dray_df_buf *out,
                      struct words *w)
{
    bool raw_before = x->raw_escapes;
    int rc = 0;
    x->raw_escapes = raw_escapes;
    while (rc == 0 && x->p < x->end && !(stop && *x->p == stop)) {
        char c = *x->p;
        size_t from = out->len;
        if (c == '$')
            rc = dollar(x, out);
        else if (c == '\'' && !x->plain_quotes)
            rc = single_quoted(x, out);
        else if (c == '"' && !x->plain_quotes)
            rc = double_quoted(x, out);
        else
            plain(x, out, w);
        if (rc == 0 && !out->failed && c == '$')
            words_text(w, out->data ? out->data + from : "", out->len - from);
        else if (rc == 0 && !out->failed && (c == '\'' || c == '"') && !x->plain_quotes)
            words_raw(w, out->data ? out->data + from : "", out->len - from);
    }
    x->raw_escapes = raw_before;
    if (rc == 0 && stop && x->p == x->end)
        rc = dray_fail(x->err, DRAY_E_INVAL,
                       "unexpected end of statement while looking for matching %c", stop);
    if (rc == 0 && stop)
        x->p++;
    if (rc == 0 && out->failed)
        rc = dray_fail(x->err, DRAY_E_LIMIT, "a word is longer than %u bytes", DRAY_DF_MAX_WORD);
    words_end(w);
    return rc;
}

static int process(struct lexer *x, const char *word, struct dray_df_arena *a,
                   struct dray_df_buf *out, struct words *w)
{
    x->p = word;
    x->end = word + strlen(word);
    int rc = read_until(x, '\0', x->raw_escapes, out, w);
    if (rc == 0 && w && (w->failed || w->word.failed))
        rc = dray_fail(x->err, DRAY_E_NOMEM, "no memory for words");
    /* Values that double themselves would fill any memory. */
    if (rc == 0 && a && a->used + out->len > DRAY_DF_MAX_TEXT)
        rc = dray_fail(x->err, DRAY_E_LIMIT,
                       "the Dockerfile's variables expand to more than %u bytes", DRAY_DF_MAX_TEXT);
    if (rc == DRAY_E_INVAL && a)
        rc = dray_err_note(x->err, "failed to process %s", dray_df_quote(a, word));
    return rc;
}

int dray_df_word(struct dray_df_arena *a, const char *word, char escape, unsigned flags,
                 const struct dray_df_env *env, const char **out, struct dray_err *err)
{
    DRAY_AUTO(dray_df_buf) b = {0};
    struct dray_err own = {0};
    struct lexer x = {.escape = escape,
                      .raw_quotes = flags & DRAY_DF_KEEP_QUOTES,
                      .raw_escapes = flags & DRAY_DF_KEEP_QUOTES,
                      .keep_unset = flags & DRAY_DF_KEEP_UNSET,
                      .plain_quotes = flags & DRAY_DF_PLAIN_QUOTES,
                      .env = env,
                      .err = err ? err : &own};
    int rc = process(&x, word, a, &b, NULL);
    if (rc != 0)
        return rc;
    *out = dray_df_strndup(a, b.data ? b.data : "", b.len);
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "no memory for a word");
}

int dray_df_words(struct dray_df_arena *a, const char *word, char escape,
                  const struct dray_df_env *env, struct dray_strs *out, struct dray_err *err)
{
    DRAY_AUTO(dray_df_buf) b = {0};
    struct dray_err own = {0};
    struct words w = {.a = a};
    struct lexer x = {.escape = escape, .env = env, .err = err ? err : &own};
    int rc = process(&x, word, a, &b, &w);
    dray_df_buf_cleanup(&w.word);
    if (rc == 0)
        *out = dray_df_list_view(&w.list);
    return rc;
}

int dray_df_raw_words(struct dray_df_arena *a, const char *text, struct dray_df_list *out)
{
    static const struct dray_df_env none = {0};
    DRAY_AUTO(dray_df_buf) b = {0};
    struct dray_err ignored = {0};
    struct words w = {.a = a};
    struct lexer x = {.escape = '\\',
                      .raw_quotes = true,
                      .raw_escapes = true,
                      .keep_unset = true,
                      .env = &none,
                      .err = &ignored};
    int rc = process(&x, text, NULL, &b, &w);
    dray_df_buf_cleanup(&w.word);
    if (rc == 0)
        *out = w.list;
    return rc == DRAY_E_INVAL ? 0 : rc;
}
