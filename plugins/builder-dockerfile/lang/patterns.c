/* SPDX-License-Identifier: Apache-2.0 */
/* patterns.c - the patterns of ${x#p}, ${x%p} and ${x/p/r}: "*", "?" and escapes. */
#include "lang_priv.h"

#include <dray/pathmatch.h>

/** Steps that one substitution may take: a value times a pattern, for each place. */
#define MAX_STEPS (200u << 20)

enum { ANY_ONE = 0x110000, ANY_MANY };

struct pattern {
    uint32_t *v; /* characters, ANY_ONE, ANY_MANY */
    size_t n;
    unsigned char *states; /* two sets of n + 1 */
    uint64_t steps;
};

static void pattern_cleanup(struct pattern *p)
{
    free(p->v);
    free(p->states);
}

static int bad_escape(const char *pattern, const char *at, struct dray_err *err)
{
    uint32_t rune = 0;
    size_t n = *at ? dray_glob_rune(at, at + strlen(at), &rune) : 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "invalid pattern (%s) in substitution: invalid escape '\\%.*s'", pattern,
                     (int)n, at);
}

static int compile(struct pattern *p, const char *pattern, struct dray_err *err)
{
    size_t len = strlen(pattern);
    p->v = calloc(len + 1, sizeof *p->v);
    p->states = calloc(2, len + 1);
    if (!p->v || !p->states)
        return dray_fail(err, DRAY_E_NOMEM, "no memory for a pattern");
    for (const char *at = pattern, *end = pattern + len; at < end;) {
        uint32_t rune = 0;
        if (*at == '*' || *at == '?') {
            rune = *at++ == '*' ? ANY_MANY : ANY_ONE;
        } else {
            if (*at == '\\' && !strchr("}/*?\\", *++at))
                return bad_escape(pattern, at, err);
            if (!*at)
                return bad_escape(pattern, at, err);
            at += dray_glob_rune(at, end, &rune);
        }
        p->v[p->n++] = rune;
    }
    return 0;
}

static void enter(const struct pattern *p, unsigned char *set, size_t i)
{
    set[i] = 1;
    while (i < p->n && p->v[i] == ANY_MANY)
        set[++i] = 1;
}

/* Where a match that begins at text ends: the nearest or the farthest place, or NULL. */
static const char *match_end(struct pattern *p, const char *text, const char *end, bool is_long)
{
    unsigned char *now = p->states, *next = p->states + p->n + 1;
    const char *found = NULL;
    memset(now, 0, p->n + 1);
    enter(p, now, 0);
    for (bool alive = true; alive;) {
        if (now[p->n]) {
            found = text;
            if (!is_long)
                break;
        }
        p->steps += p->n + 1;
        if (text == end || p->steps > MAX_STEPS)
            break;
        uint32_t rune = 0;
        text += dray_glob_rune(text, end, &rune);
        memset(next, 0, p->n + 1);
        for (size_t i = 0; i < p->n; i++)
            if (now[i] && p->v[i] == ANY_MANY && rune != '\n')
                enter(p, next, i);
            else if (now[i] && (p->v[i] == rune || (p->v[i] == ANY_ONE && rune != '\n')))
                enter(p, next, i + 1);
        alive = memchr(next, 1, p->n + 1) != NULL;
        unsigned char *other = now;
        now = next;
        next = other;
    }
    return found;
}

static const char *step(const char *at, const char *end)
{
    uint32_t rune = 0;
    return at + dray_glob_rune(at, end, &rune);
}

/* ${x%p}: the last (or first, when long) place from which the pattern reaches the end. */
static const char *suffix_start(struct pattern *p, const char *value, const char *end, bool is_long)
{
    const char *found = NULL;
    for (const char *at = value;; at = step(at, end)) {
        if (match_end(p, at, end, true) == end) {
            found = at;
            if (is_long)
                break;
        }
        if (at == end)
            break;
    }
    return found ? found : end;
}

/* Matches are the leftmost ones and there the longest; empty ones do not follow another. */
static void replace(struct pattern *p, const char *value, const char *end, bool all,
                    const char *with, struct dray_df_buf *out)
{
    const char *last = NULL;
    bool more = true;
    for (const char *at = value;;) {
        const char *to = more ? match_end(p, at, end, true) : NULL;
        if (to && !(to == at && at == last)) {
            dray_df_buf_adds(out, with);
            more = all;
            last = to;
        }
        if (to > at) {
            at = to;
            continue;
        }
        if (at == end)
            break;
        const char *next = step(at, end);
        dray_df_buf_add(out, at, (size_t)(next - at));
        at = next;
    }
}

int dray_df_pattern(const char *value, char op, bool is_long, const char *pattern, const char *with,
                    struct dray_df_buf *out, struct dray_err *err)
{
    DRAY_AUTO(pattern) p = {0};
    const char *end = value + strlen(value), *at = NULL;
    int rc = compile(&p, pattern, err);
    if (rc != 0)
        return rc;
    switch (op) {
    case '#':
        at = match_end(&p, value, end, is_long);
        at = at ? at : value;
        dray_df_buf_add(out, at, (size_t)(end - at));
        break;
    case '%':
        at = suffix_start(&p, value, end, is_long);
        dray_df_buf_add(out, value, (size_t)(at - value));
        break;
    default:
        replace(&p, value, end, is_long, with, out);
        break;
    }
    return p.steps > MAX_STEPS ? dray_fail(err, DRAY_E_LIMIT, "a substitution takes too long") : 0;
}
