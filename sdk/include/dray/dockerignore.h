/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dockerignore.h - reads .dockerignore files and matches paths as moby/patternmatcher does: in
 * order, "!" brings back, a match of a parent folder counts. Inline, nothing here is ABI.
 */
#ifndef DRAY_DOCKERIGNORE_H
#define DRAY_DOCKERIGNORE_H

#include <dray/pathmatch.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bounds of a file: bytes and patterns. */
#define DRAY_IGNORE_MAX_FILE (1u << 20)
#define DRAY_IGNORE_MAX_PATTERNS 16384u

enum dray_ignore_kind {
    DRAY_IGNORE_EXACT = 1,  /**< "a/b" */
    DRAY_IGNORE_PREFIX = 2, /**< "a/" + "**" */
    DRAY_IGNORE_SUFFIX = 3, /**< "**" + "/a" */
    DRAY_IGNORE_GLOB = 4,
};

struct dray_ignore_pattern {
    char *text; /**< without "!" */
    size_t len;
    uint32_t kind; /**< enum dray_ignore_kind */
    uint32_t negated;
    struct dray_glob glob;
};

/** Zero-initialised matches nothing; for one thread at a time. */
struct dray_ignore {
    struct dray_ignore_pattern *v;
    size_t n, cap;
    size_t negations;
};

static inline void dray_ignore_free(struct dray_ignore *ig)
{
    for (size_t i = 0; i < ig->n; i++) {
        free(ig->v[i].text);
        dray_glob_free(&ig->v[i].glob);
    }
    free(ig->v);
    memset(ig, 0, sizeof *ig);
}

static inline void dray_ignore_cleanup(struct dray_ignore *ig)
{
    dray_ignore_free(ig);
}

/* The patterns that need no glob: the kinds differ where patternmatcher's do. */
static inline uint32_t dray_ignore_kind_of(const char *text, size_t len)
{
    size_t special = strcspn(text, "*?[]\\");
    if (special == len)
        return DRAY_IGNORE_EXACT;
    if (special == len - 2 && len > 2 && text[len - 2] == '*' && text[len - 1] == '*')
        return DRAY_IGNORE_PREFIX;
    if (len >= 2 && text[0] == '*' && text[1] == '*' && strcspn(text + 2, "*?[]\\") == len - 2)
        return DRAY_IGNORE_SUFFIX;
    return DRAY_IGNORE_GLOB;
}

static inline int dray_ignore_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A cleaned copy of a word without blanks around it; NULL without memory. */
static inline char *dray_ignore_clean(const char *text, size_t len)
{
    while (len && dray_ignore_space(text[0]))
        text++, len--;
    while (len && dray_ignore_space(text[len - 1]))
        len--;
    char *copy = (char *)malloc(len + 2);
    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (len)
        dray_path_clean(copy);
    return copy;
}

static inline int dray_ignore_push(struct dray_ignore *ig, const char *text, uint32_t negated,
                                   struct dray_err *err)
{
    if (ig->n == ig->cap) {
        size_t cap = ig->cap ? 2 * ig->cap : 16;
        void *more = realloc(ig->v, cap * sizeof *ig->v);
        if (!more)
            return dray_fail(err, DRAY_E_NOMEM, "no memory for patterns");
        ig->v = (struct dray_ignore_pattern *)more;
        ig->cap = cap;
    }
    struct dray_ignore_pattern *p = &ig->v[ig->n];
    memset(p, 0, sizeof *p);
    int rc = dray_glob_compile(&p->glob, text, 1, err);
    if (rc != 0)
        return rc;
    p->len = strlen(text);
    p->text = (char *)malloc(p->len + 1);
    if (!p->text) {
        dray_glob_free(&p->glob);
        return dray_fail(err, DRAY_E_NOMEM, "no memory for patterns");
    }
    memcpy(p->text, text, p->len + 1);
    p->kind = dray_ignore_kind_of(text, p->len);
    p->negated = negated;
    ig->negations += negated;
    ig->n++;
    return 0;
}

/** Add one pattern, "!" in front or not, as given to a program (not a line of a file: "/a" stays
 *  rooted). An empty one is passed over. DRAY_E_INVAL with Docker's words. */
static inline int dray_ignore_add(struct dray_ignore *ig, const char *pattern, struct dray_err *err)
{
    int rc = 0;
    char *text = dray_ignore_clean(pattern, strlen(pattern));
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "no memory for patterns");
    if (strcmp(text, "!") == 0)
        rc = dray_fail(err, DRAY_E_INVAL, "illegal exclusion pattern: \"!\"");
    else if (ig->n >= DRAY_IGNORE_MAX_PATTERNS)
        rc = dray_fail(err, DRAY_E_LIMIT, "more than %u ignore patterns", DRAY_IGNORE_MAX_PATTERNS);
    else if (*text)
        rc = dray_ignore_push(ig, text + (text[0] == '!'), text[0] == '!', err);
    free(text);
    return rc;
}

/* One line of a file. */
static inline int dray_ignore_line(struct dray_ignore *ig, const char *line, size_t len,
                                   struct dray_err *err)
{
    if (len && line[0] == '#')
        return 0;
    while (len && dray_ignore_space(line[0]))
        line++, len--;
    while (len && dray_ignore_space(line[len - 1]))
        len--;
    if (len == 0)
        return 0;
    size_t negated = line[0] == '!';
    char *text = dray_ignore_clean(line + negated, len - negated);
    char *whole = text ? (char *)malloc(strlen(text) + 2) : NULL;
    int rc = DRAY_E_NOMEM;
    if (whole) {
        size_t rooted = text[0] == '/' && text[1];
        whole[0] = '!';
        memcpy(whole + negated, text + rooted, strlen(text + rooted) + 1);
        rc = dray_ignore_add(ig, whole, err);
    } else {
        rc = dray_fail(err, DRAY_E_NOMEM, "no memory for patterns");
    }
    free(whole);
    free(text);
    return rc;
}

/** Add the lines of a .dockerignore file. */
static inline int dray_ignore_parse(struct dray_ignore *ig, const char *text, size_t len,
                                    struct dray_err *err)
{
    if (len > DRAY_IGNORE_MAX_FILE)
        return dray_fail(err, DRAY_E_LIMIT, ".dockerignore is larger than %u bytes",
                         DRAY_IGNORE_MAX_FILE);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3, len -= 3;
    while (len) {
        const char *nl = (const char *)memchr(text, '\n', len);
        size_t n = nl ? (size_t)(nl - text) : len;
        int rc = memchr(text, '\0', n) ? dray_fail(err, DRAY_E_INVAL, "syntax error in pattern")
                                       : dray_ignore_line(ig, text, n, err);
        if (rc != 0)
            return rc;
        n += nl != NULL;
        text += n;
        len -= n;
    }
    return 0;
}

/* Does one pattern match the path by itself? */
static inline int dray_ignore_hit(const struct dray_ignore_pattern *p, const char *path, size_t len)
{
    switch (p->kind) {
    case DRAY_IGNORE_EXACT:
        return len == p->len && memcmp(path, p->text, len) == 0;
    case DRAY_IGNORE_PREFIX:
        return len >= p->len - 2 && memcmp(path, p->text, p->len - 2) == 0;
    case DRAY_IGNORE_SUFFIX:
        if (len >= p->len - 2 && memcmp(path + len - (p->len - 2), p->text + 2, p->len - 2) == 0)
            return 1;
        return p->text[2] == '/' && len == p->len - 3 && memcmp(path, p->text + 3, len) == 0;
    default:
        return dray_glob_match(&p->glob, path, len);
    }
}

/* Does one pattern match the path or a folder above it? */
static inline int dray_ignore_hit_above(const struct dray_ignore_pattern *p, const char *path)
{
    for (size_t i = 0;; i++)
        if ((path[i] == '/' && i > 0) || !path[i]) {
            if (dray_ignore_hit(p, path, i))
                return 1;
            if (!path[i])
                return 0;
        }
}

/** Is the path (clean, relative, slashes) ignored, by itself or by a folder above it? */
static inline int dray_ignore_match(const struct dray_ignore *ig, const char *path)
{
    uint32_t ignored = 0;
    for (size_t i = 0; i < ig->n; i++)
        if (ig->v[i].negated == ignored && dray_ignore_hit_above(&ig->v[i], path))
            ignored = !ignored;
    return (int)ignored;
}

/**
 * The same while walking down a tree: `above` holds what the folder above left in its `mine` (NULL
 * at the top), one byte for each pattern; `mine` is filled for what lies below. As in Docker, a "!"
 * pattern that only matches a folder above counts if something was ignored there already: with
 * "a/b" and "!a" the walk ignores a/b, dray_ignore_match() does not.
 */
static inline int dray_ignore_walk(const struct dray_ignore *ig, const char *path,
                                   const unsigned char *above, unsigned char *mine)
{
    uint32_t ignored = 0;
    size_t len = strlen(path);
    for (size_t i = 0; i < ig->n; i++) {
        const struct dray_ignore_pattern *p = &ig->v[i];
        int hit = above && above[i];
        if (!hit && p->negated == ignored)
            hit = dray_ignore_hit(p, path, len);
        mine[i] = (unsigned char)hit;
        if (hit)
            ignored = !p->negated;
    }
    return (int)ignored;
}

/** May an ignored folder hold something that a "!" pattern brings back? If not, skip it whole. */
static inline int dray_ignore_may_hold(const struct dray_ignore *ig, const char *folder)
{
    size_t n = strlen(folder);
    for (size_t i = 0; ig->negations && i < ig->n; i++) {
        const struct dray_ignore_pattern *p = &ig->v[i];
        size_t plain = strcspn(p->text, "*?[\\");
        if (!p->negated)
            continue;
        if (plain < p->len && plain <= n && memcmp(p->text, folder, plain) == 0)
            return 1;
        if (p->len >= n && memcmp(p->text, folder, n) == 0 && (p->len == n || p->text[n] == '/'))
            return 1;
    }
    return 0;
}

#ifdef __cplusplus
}
#endif
#endif
