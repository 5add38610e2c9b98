/* SPDX-License-Identifier: Apache-2.0 */
/* split.c - cuts one logical line: the instruction's name, its flags, the words of the rest. */
#include "lang_priv.h"

#include <json-c/json.h>

/* One flag at p, quotes and escapes taken away; the first character behind it. */
static const char *read_flag(const char *p, struct dray_df_buf *out)
{
    char quote = 0;
    for (; *p && (quote || !dray_df_space(*p)); p++) {
        if (*p == quote) {
            quote = 0;
        } else if (!quote && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else if (*p == '\\') {
            if (!p[1])
                continue;
            p++;
            dray_df_buf_add(out, p, 1);
        } else {
            dray_df_buf_add(out, p, 1);
        }
    }
    return p;
}

/* The words that begin with "--", up to "--" or to another word. */
static int split_flags(struct dray_df_ctx *c, const char *p, struct dray_df_line *out)
{
    struct dray_df_list flags = {0};
    for (;;) {
        while (dray_df_space(*p))
            p++;
        if (p[0] != '-' || p[1] != '-')
            break;
        DRAY_AUTO(dray_df_buf) word = {0};
        p = read_flag(p, &word);
        if (word.data && !word.failed && strcmp(word.data, "--") == 0)
            break;
        if (word.failed ||
            !dray_df_list_add(c->a, &flags, dray_df_strndup(c->a, word.data, word.len)))
            return dray_df_nomem(c);
    }
    out->flags = dray_df_list_view(&flags);
    out->rest = dray_df_trim(c->a, p, strlen(p));
    return out->rest ? 0 : dray_df_nomem(c);
}

int dray_df_split(struct dray_df_ctx *c, const char *text, struct dray_df_line *out)
{
    char *line = dray_df_trim(c->a, text, strlen(text));
    if (!line)
        return dray_df_nomem(c);
    /* A trigger may carry here-documents behind its first line. */
    char *nl = strchr(line, '\n');
    if (nl)
        *nl = '\0';
    size_t n = strcspn(line, "\t\v\f\r ");
    out->text = line;
    out->name = dray_df_strndup(c->a, line, n);
    if (!out->name)
        return dray_df_nomem(c);
    return split_flags(c, line + n, out);
}

/* Copy what an escape at p stands for, both characters; at the end of the text it is dropped. */
static const char *take_escape(const char *p, struct dray_df_buf *word)
{
    if (!p[1])
        return p + 1;
    size_t n = 2;
    while (((unsigned char)p[n] & 0xc0) == 0x80)
        n++;
    dray_df_buf_add(word, p, n);
    return p + n;
}

int dray_df_split_words(struct dray_df_ctx *c, const char *rest, struct dray_df_list *out)
{
    for (const char *p = rest;;) {
        DRAY_AUTO(dray_df_buf) word = {0};
        char quote = 0;
        while (dray_df_space(*p))
            p++;
        if (!*p)
            return 0;
        dray_df_buf_add(&word, "", 0);
        while (*p && (quote || !dray_df_space(*p))) {
            if (*p == c->escape && quote != '\'') {
                p = take_escape(p, &word);
                continue;
            }
            if (quote)
                quote = *p == quote ? 0 : quote;
            else if (*p == '\'' || *p == '"')
                quote = *p;
            dray_df_buf_add(&word, p++, 1);
        }
        if (word.len == 0)
            continue;
        if (word.failed || !dray_df_list_add(c->a, out, dray_df_strndup(c->a, word.data, word.len)))
            return dray_df_nomem(c);
    }
}

int dray_df_split_blanks(struct dray_df_ctx *c, const char *rest, struct dray_df_list *out)
{
    for (const char *p = rest; *p;) {
        size_t n = strcspn(p, "\t\v\f\r ");
        if (n && !dray_df_list_add(c->a, out, dray_df_strndup(c->a, p, n)))
            return dray_df_nomem(c);
        p += n;
        p += strspn(p, "\t\v\f\r ");
    }
    return 0;
}

static int add_strings(struct dray_df_ctx *c, struct json_object *array, struct dray_df_list *out)
{
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        struct json_object *item = json_object_array_get_idx(array, i);
        if (!json_object_is_type(item, json_type_string))
            return dray_df_bad(
                c, "[", "when using JSON array syntax, arrays must be comprised of strings only");
        const char *text = json_object_get_string(item);
        size_t len = (size_t)json_object_get_string_len(item);
        if (strlen(text) != len)
            return dray_df_bad(c, "\\u0000", "a JSON string may not hold the character NUL");
        if (!dray_df_list_add(c->a, out, dray_df_strndup(c->a, text, len)))
            return dray_df_nomem(c);
    }
    return 1;
}

int dray_df_split_json(struct dray_df_ctx *c, const char *rest, struct dray_df_list *out)
{
    rest += strspn(rest, " \t\v\f\r\n");
    size_t len = strlen(rest);
    if (*rest != '[' || len > DRAY_DF_MAX_WORD)
        return 0;
    struct json_tokener *tok = json_tokener_new_ex((int)DRAY_DF_MAX_DEPTH);
    if (!tok)
        return dray_df_nomem(c);
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
    struct json_object *array = json_tokener_parse_ex(tok, rest, (int)len);
    bool whole = json_tokener_get_error(tok) == json_tokener_success &&
                 json_tokener_get_parse_end(tok) == len;
    int rc = whole && json_object_is_type(array, json_type_array) ? add_strings(c, array, out) : 0;
    json_object_put(array);
    json_tokener_free(tok);
    return rc;
}
