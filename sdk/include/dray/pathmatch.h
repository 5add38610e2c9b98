/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pathmatch.h - how Docker matches paths: Go's path.Clean and filepath.Match, and the "**" that
 * .dockerignore adds to them. Inline, nothing here is ABI.
 *
 * A pattern is compiled into pieces and run as a set of states, so no pattern, however hostile,
 * costs more than its length times the path's.
 */
#ifndef DRAY_PATHMATCH_H
#define DRAY_PATHMATCH_H

#include <dray/util.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Longest pattern that is taken, in bytes; longer ones are malformed. */
#define DRAY_GLOB_MAX 4096u

enum dray_glob_kind {
    DRAY_GLOB_CHAR = 1,  /**< the character lo */
    DRAY_GLOB_ONE = 2,   /**< "?": any but "/" */
    DRAY_GLOB_STAR = 3,  /**< "*": any number of characters but "/" */
    DRAY_GLOB_DEEP = 4,  /**< "**" + "/": nothing, or anything that ends in "/" */
    DRAY_GLOB_REST = 5,  /**< "**" at the end: anything */
    DRAY_GLOB_CLASS = 6, /**< "[...]": hi ranges follow; lo is 1 for "[^...]" */
    DRAY_GLOB_RANGE = 7, /**< lo to hi */
};

struct dray_glob_piece {
    uint32_t kind; /**< enum dray_glob_kind */
    uint32_t lo, hi;
};

/** A compiled pattern; dray_glob_free() frees it. Zero-initialised matches nothing. */
struct dray_glob {
    struct dray_glob_piece *v;
    unsigned char *states; /**< scratch space: a glob is for one thread at a time */
    size_t n;
};

/** The character at p (< end) and its length; a byte that is not UTF-8 is U+FFFD of length 1. */
static inline size_t dray_glob_rune(const char *p, const char *end, uint32_t *out)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    size_t n = u[0] < 0x80   ? 1
               : u[0] < 0xc2 ? 0
               : u[0] < 0xe0 ? 2
               : u[0] < 0xf0 ? 3
               : u[0] < 0xf5 ? 4
                             : 0;
    uint32_t rune = n == 1 ? u[0] : n == 2 ? u[0] & 0x1fu : n == 3 ? u[0] & 0x0fu : u[0] & 0x07u;
    *out = 0xfffd;
    if (n == 0 || n > left)
        return 1;
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 1;
        rune = rune << 6 | (u[i] & 0x3fu);
    }
    if ((n == 3 && (rune < 0x800 || (rune >= 0xd800 && rune < 0xe000))) ||
        (n == 4 && (rune < 0x10000 || rune > 0x10ffff)))
        return 1;
    *out = rune;
    return n;
}

static inline void dray_glob_free(struct dray_glob *g)
{
    free(g->v);
    free(g->states);
    memset(g, 0, sizeof *g);
}

static inline void dray_glob_put(struct dray_glob *g, uint32_t kind, uint32_t lo, uint32_t hi)
{
    const struct dray_glob_piece piece = {kind, lo, hi};
    g->v[g->n++] = piece;
}

/* One bound of a range in a class; 0, or -1 when malformed. */
static inline int dray_glob_bound(const char **p, const char *end, uint32_t *out)
{
    if (*p == end || **p == '-' || **p == ']')
        return -1;
    if (**p == '\\' && ++*p == end)
        return -1;
    size_t n = dray_glob_rune(*p, end, out);
    if (*out == 0xfffd && n == 1)
        return -1;
    *p += n;
    return *p == end ? -1 : 0;
}

/* What follows "[". */
static inline int dray_glob_class(struct dray_glob *g, const char **p, const char *end)
{
    size_t at = g->n;
    dray_glob_put(g, DRAY_GLOB_CLASS, *p < end && **p == '^', 0);
    *p += g->v[at].lo;
    while (*p < end && !(**p == ']' && g->v[at].hi > 0)) {
        uint32_t lo = 0, hi = 0;
        if (dray_glob_bound(p, end, &lo) != 0)
            return -1;
        hi = lo;
        if (**p == '-') {
            ++*p;
            if (dray_glob_bound(p, end, &hi) != 0)
                return -1;
        }
        dray_glob_put(g, DRAY_GLOB_RANGE, lo, hi);
        g->v[at].hi++;
    }
    if (*p == end)
        return -1;
    ++*p;
    return 0;
}

/* The pieces of a pattern; -1 when it is malformed. There is room for all of them. */
static inline int dray_glob_scan(struct dray_glob *g, const char *p, const char *end, int deep)
{
    while (p < end) {
        uint32_t rune = 0;
        if (*p == '*' && deep && p + 1 < end && p[1] == '*') {
            p += p + 2 < end && p[2] == '/' ? 3 : 2;
            dray_glob_put(g, p == end ? DRAY_GLOB_REST : DRAY_GLOB_DEEP, 0, 0);
        } else if (*p == '*') {
            p++;
            dray_glob_put(g, DRAY_GLOB_STAR, 0, 0);
        } else if (*p == '?') {
            p++;
            dray_glob_put(g, DRAY_GLOB_ONE, 0, 0);
        } else if (*p == '[') {
            p++;
            if (dray_glob_class(g, &p, end) != 0)
                return -1;
        } else {
            if (*p == '\\' && ++p == end)
                return -1;
            p += dray_glob_rune(p, end, &rune);
            dray_glob_put(g, DRAY_GLOB_CHAR, rune, 0);
        }
    }
    return 0;
}

/** Compile a pattern; deep gives "**" its meaning in .dockerignore. DRAY_E_INVAL with Go's "syntax
 *  error in pattern", or DRAY_E_NOMEM. */
static inline int dray_glob_compile(struct dray_glob *g, const char *pattern, int deep,
                                    struct dray_err *err)
{
    size_t len = strlen(pattern);
    memset(g, 0, sizeof *g);
    if (len > DRAY_GLOB_MAX)
        return dray_fail(err, DRAY_E_INVAL, "syntax error in pattern");
    g->v = (struct dray_glob_piece *)calloc(2 * len + 1, sizeof *g->v);
    g->states = (unsigned char *)calloc(2, 2 * len + 2);
    int rc = !g->v || !g->states ? dray_fail(err, DRAY_E_NOMEM, "no memory for a pattern")
             : dray_glob_scan(g, pattern, pattern + len, deep) != 0
                 ? dray_fail(err, DRAY_E_INVAL, "syntax error in pattern")
                 : 0;
    if (rc != 0)
        dray_glob_free(g);
    return rc;
}

static inline size_t dray_glob_width(const struct dray_glob *g, size_t i)
{
    return g->v[i].kind == DRAY_GLOB_CLASS ? 1 + g->v[i].hi : 1;
}

/* States are 1: before the piece, 2: amid it. Whatever may be empty is passed over at once. */
static inline void dray_glob_enter(const struct dray_glob *g, unsigned char *set, size_t i)
{
    set[i] |= 1;
    while (i < g->n && (g->v[i].kind == DRAY_GLOB_STAR || g->v[i].kind == DRAY_GLOB_DEEP ||
                        g->v[i].kind == DRAY_GLOB_REST))
        set[++i] |= 1;
}

static inline int dray_glob_in_class(const struct dray_glob_piece *piece, uint32_t rune)
{
    uint32_t found = 0;
    for (uint32_t i = 1; i <= piece->hi; i++)
        found |= rune >= piece[i].lo && rune <= piece[i].hi;
    return found != piece->lo;
}

static inline void dray_glob_step(const struct dray_glob *g, size_t i, uint32_t rune,
                                  unsigned char *next)
{
    const struct dray_glob_piece *piece = &g->v[i];
    switch (piece->kind) {
    case DRAY_GLOB_CHAR:
        if (rune == piece->lo)
            dray_glob_enter(g, next, i + 1);
        break;
    case DRAY_GLOB_ONE:
        if (rune != '/')
            dray_glob_enter(g, next, i + 1);
        break;
    case DRAY_GLOB_STAR:
        if (rune != '/')
            dray_glob_enter(g, next, i);
        break;
    case DRAY_GLOB_DEEP:
        if (rune != '\n')
            next[i] |= 2;
        if (rune == '/')
            dray_glob_enter(g, next, i + 1);
        break;
    case DRAY_GLOB_REST:
        if (rune != '\n')
            dray_glob_enter(g, next, i);
        break;
    default:
        if (dray_glob_in_class(piece, rune))
            dray_glob_enter(g, next, i + 1 + piece->hi);
        break;
    }
}

/** Does the whole of text (len bytes) match? */
static inline int dray_glob_match(const struct dray_glob *g, const char *text, size_t len)
{
    if (!g->states)
        return 0;
    unsigned char *now = g->states, *next = g->states + g->n + 1;
    int alive = 1;
    memset(now, 0, g->n + 1);
    dray_glob_enter(g, now, 0);
    for (const char *p = text, *end = text + len; p < end && alive;) {
        uint32_t rune = 0;
        p += dray_glob_rune(p, end, &rune);
        memset(next, 0, g->n + 1);
        for (size_t i = 0; i < g->n; i += dray_glob_width(g, i))
            if (now[i])
                dray_glob_step(g, i, rune, next);
        alive = memchr(next, 1, g->n + 1) || memchr(next, 2, g->n + 1) || memchr(next, 3, g->n + 1);
        unsigned char *other = now;
        now = next;
        next = other;
    }
    return now[g->n] != 0;
}

/** Go's filepath.Match: 1, 0, or a negative code with "syntax error in pattern". */
static inline int dray_path_match(const char *pattern, const char *path, struct dray_err *err)
{
    struct dray_glob g = {NULL, NULL, 0};
    int rc = dray_glob_compile(&g, pattern, 0, err);
    if (rc != 0)
        return rc;
    rc = dray_glob_match(&g, path, strlen(path));
    dray_glob_free(&g);
    return rc;
}

/** Does the pattern hold any of the characters that filepath.Match treats specially? */
static inline int dray_path_is_glob(const char *pattern)
{
    return strpbrk(pattern, "*?[\\") != NULL;
}

/** Go's path.Clean by words alone, in place: "a//b/./c/.." becomes "a/b", "" becomes ".". path has
 *  room for 2 bytes at least. */
static inline void dray_path_clean(char *path)
{
    int rooted = path[0] == '/';
    size_t out = rooted ? 1 : 0, keep = out; /* before keep lie "/" and ".." that nothing undoes */
    const char *in = path + out;
    while (*in) {
        size_t n = strcspn(in, "/");
        int up = n == 2 && in[0] == '.' && in[1] == '.';
        if (up && out > keep) {
            while (out > keep && path[--out] != '/')
                continue;
        } else if (n > 0 && !(n == 1 && in[0] == '.') && !(up && rooted)) {
            if (out > (rooted ? 1u : 0u))
                path[out++] = '/';
            memmove(path + out, in, n);
            out += n;
            if (up)
                keep = out;
        }
        in += n;
        in += strspn(in, "/");
    }
    if (out == 0)
        path[out++] = '.';
    path[out] = '\0';
}

#ifdef __cplusplus
}
#endif
#endif
