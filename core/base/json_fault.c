/* SPDX-License-Identifier: Apache-2.0 */
/* json_fault.c - a walk along RFC 8259's grammar that stops at the first byte out of place. */
#include "base/json_fault.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_NESTED 256

struct walk {
    const char *at, *end;
    const char *why; /* what was looked for where it stopped; NULL while all is well */
};

/* Stop here. Always false, so that callers can return it. */
static bool stop(struct walk *w, const char *why)
{
    w->why = why;
    return false;
}

static void skip_space(struct walk *w)
{
    while (w->at < w->end && strchr(" \t\r\n", *w->at) && *w->at)
        w->at++;
}

static bool is_next(const struct walk *w, char c)
{
    return w->at < w->end && *w->at == c;
}

static bool escape(struct walk *w)
{
    w->at++;
    if (w->at == w->end || !*w->at || !strchr("\"\\/bfnrtu", *w->at))
        return stop(w, "in string escape code");
    if (*w->at++ != 'u')
        return true;
    for (int i = 0; i < 4; i++, w->at++)
        if (w->at == w->end || !isxdigit((unsigned char)*w->at))
            return stop(w, "in \\u hexadecimal character escape");
    return true;
}

static bool string(struct walk *w)
{
    w->at++;
    while (w->at < w->end && *w->at != '"') {
        if ((unsigned char)*w->at < 0x20)
            break;
        if (*w->at != '\\')
            w->at++;
        else if (!escape(w))
            return false;
    }
    if (!is_next(w, '"'))
        return stop(w, "in string literal");
    w->at++;
    return true;
}

/* At least one digit. */
static bool digits(struct walk *w, const char *why)
{
    if (w->at == w->end || !isdigit((unsigned char)*w->at))
        return stop(w, why);
    while (w->at < w->end && isdigit((unsigned char)*w->at))
        w->at++;
    return true;
}

static bool number(struct walk *w)
{
    if (is_next(w, '-'))
        w->at++;
    if (is_next(w, '0'))
        w->at++;
    else if (!digits(w, "in numeric literal"))
        return false;
    if (is_next(w, '.')) {
        w->at++;
        if (!digits(w, "after decimal point in numeric literal"))
            return false;
    }
    if (!is_next(w, 'e') && !is_next(w, 'E'))
        return true;
    w->at++;
    if (is_next(w, '+') || is_next(w, '-'))
        w->at++;
    return digits(w, "in exponent of numeric literal");
}

static bool literal(struct walk *w)
{
    static const struct {
        const char *word;
        const char *why[5]; /* by the letter that is missing */
    } all[] = {
        {"true",
         {"", "in literal true (expecting 'r')", "in literal true (expecting 'u')",
          "in literal true (expecting 'e')"}},
        {"false",
         {"", "in literal false (expecting 'a')", "in literal false (expecting 'l')",
          "in literal false (expecting 's')", "in literal false (expecting 'e')"}},
        {"null",
         {"", "in literal null (expecting 'u')", "in literal null (expecting 'l')",
          "in literal null (expecting 'l')"}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!is_next(w, all[i].word[0]))
            continue;
        for (size_t k = 0; all[i].word[k]; k++, w->at++)
            if (!is_next(w, all[i].word[k]))
                return stop(w, all[i].why[k]);
        return true;
    }
    return stop(w, "looking for beginning of value");
}

static bool scalar(struct walk *w)
{
    if (is_next(w, '"'))
        return string(w);
    if (is_next(w, '-') || (w->at < w->end && isdigit((unsigned char)*w->at)))
        return number(w);
    return literal(w);
}

/* A member's name and its colon. */
static bool key(struct walk *w)
{
    skip_space(w);
    if (!is_next(w, '"'))
        return stop(w, "looking for beginning of object key string");
    if (!string(w))
        return false;
    skip_space(w);
    if (!is_next(w, ':'))
        return stop(w, "after object key");
    w->at++;
    return true;
}

/* Go into the arrays and objects that open here; false with no why: an empty one has closed. */
static bool descend(struct walk *w, char *open, size_t *depth)
{
    for (;;) {
        skip_space(w);
        if (!is_next(w, '{') && !is_next(w, '['))
            return scalar(w);
        if (*depth == MAX_NESTED)
            return stop(w, "nested too deep");
        char kind = *w->at++;
        open[(*depth)++] = kind;
        skip_space(w);
        if (is_next(w, kind == '{' ? '}' : ']'))
            return true;
        if (kind == '{' && !key(w))
            return false;
    }
}

/* After a value: close what closes here. False: the whole value is over, or out of place (why). */
static bool ascend(struct walk *w, const char *open, size_t *depth)
{
    while (*depth > 0) {
        bool object = open[*depth - 1] == '{';
        skip_space(w);
        if (is_next(w, ',')) {
            w->at++;
            return !object || key(w);
        }
        if (!is_next(w, object ? '}' : ']'))
            return stop(w, object ? "after object key:value pair" : "after array element");
        w->at++;
        (*depth)--;
    }
    return false;
}

bool dray_json_fault(const char *text, size_t len, char *out, size_t size, size_t *rest_out)
{
    struct walk w = {.at = text, .end = text + len};
    char open[MAX_NESTED];
    size_t depth = 0;
    while (descend(&w, open, &depth) && ascend(&w, open, &depth)) {
    }
    *rest_out = (size_t)(w.at - text);
    *out = '\0';
    if (!w.why)
        return false;
    unsigned char c = w.at < w.end ? (unsigned char)*w.at : 0;
    if (w.at == w.end)
        (void)snprintf(out, size, "unexpected EOF");
    else if (c == '\'' || c == '\\')
        (void)snprintf(out, size, "invalid character '\\%c' %s", c, w.why);
    else if (c == '"')
        (void)snprintf(out, size, "invalid character '\"' %s", w.why);
    else if (c >= 0x20 && c < 0x7f)
        (void)snprintf(out, size, "invalid character '%c' %s", c, w.why);
    else if (strchr("\t\n\r", c) && c)
        (void)snprintf(out, size, "invalid character '\\%c' %s",
                       c == '\t' ? 't' : (c == '\n' ? 'n' : 'r'), w.why);
    else
        (void)snprintf(out, size, "invalid character '\\x%02x' %s", c, w.why);
    return true;
}
