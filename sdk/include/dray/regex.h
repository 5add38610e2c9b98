/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regex.h - regular expressions of strangers, by PCRE2 (link libpcre2-8), with bounds: regcomp() of
 * the C library takes gigabytes for a few bytes, or never ends. Close to Go's syntax, which is
 * Docker's. Inline, nothing here is ABI.
 */
#ifndef DRAY_REGEX_H
#define DRAY_REGEX_H

#include <dray/util.h>
#include <stdbool.h>

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DRAY_REGEX_STEPS 100000u /**< of one match; beyond, nothing matches */
#define DRAY_REGEX_HEAP_KB 1024u
#define DRAY_REGEX_LONGEST 4096u /**< bytes of a pattern */

/** Zero-initialised matches nothing. */
struct dray_regex {
    pcre2_code *code;
    pcre2_match_data *found;
    pcre2_match_context *bounds;
};

static inline void dray_regex_free(struct dray_regex *re)
{
    pcre2_match_context_free(re->bounds);
    pcre2_match_data_free(re->found);
    pcre2_code_free(re->code);
    re->code = NULL;
    re->found = NULL;
    re->bounds = NULL;
}

static inline void dray_regex_cleanup(struct dray_regex *re)
{
    dray_regex_free(re);
}

/** Go's words for what is wrong. */
static inline int dray_regex_fail(int code, const char *pattern, struct dray_err *err)
{
    char text[128] = "";
    const char *why = text;
    if (code == PCRE2_ERROR_MISSING_CLOSING_PARENTHESIS)
        why = "missing closing )";
    else if (code == PCRE2_ERROR_MISSING_SQUARE_BRACKET)
        why = "missing closing ]";
    else if (code == PCRE2_ERROR_QUANTIFIER_INVALID)
        why = "missing argument to repetition operator";
    else
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
    return dray_fail(err, DRAY_E_INVAL, "error parsing regexp: %s: `%.200s`", why, pattern);
}

/** INVAL: it cannot be understood, or is too large. On failure nothing is held. */
static inline int dray_regex_compile(struct dray_regex *re, const char *pattern,
                                     struct dray_err *err)
{
    const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY |
                             PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;
    size_t len = strlen(pattern), at = 0;
    int code = 0;
    re->code = NULL;
    re->found = NULL;
    re->bounds = NULL;
    if (len > DRAY_REGEX_LONGEST)
        return dray_fail(err, DRAY_E_INVAL,
                         "error parsing regexp: expression too large: `%.40s...`", pattern);
    re->code = pcre2_compile((PCRE2_SPTR)pattern, len, options, &code, &at, NULL);
    if (!re->code)
        return dray_regex_fail(code, pattern, err);
    re->found = pcre2_match_data_create(1, NULL);
    re->bounds = pcre2_match_context_create(NULL);
    if (!re->found || !re->bounds) {
        dray_regex_free(re);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    (void)pcre2_set_match_limit(re->bounds, DRAY_REGEX_STEPS);
    (void)pcre2_set_heap_limit(re->bounds, DRAY_REGEX_HEAP_KB);
    return 0;
}

/** Is it found in the text? By one thread at a time. */
static inline bool dray_regex_match(const struct dray_regex *re, const char *text)
{
    return re->code &&
           pcre2_match(re->code, (PCRE2_SPTR)text, strlen(text), 0, 0, re->found, re->bounds) >= 0;
}

#ifdef __cplusplus
}
#endif
#endif
