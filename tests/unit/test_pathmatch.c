/* SPDX-License-Identifier: Apache-2.0 */
/* test_pathmatch.c - path patterns as Go's filepath.Match and .dockerignore have them. */
#include <dray/dockerignore.h>

#include "check.h"

#include <stdio.h>

/* want: 1, 0, or -1 for a malformed pattern. */
static const struct {
    const char *pattern, *path;
    int want;
} globs[] = {
    {"abc", "abc", 1},
    {"abc", "abcd", 0},
    {"", "", 1},
    {"", "a", 0},
    {"*", "abc", 1},
    {"*", "", 1},
    {"*", "a/b", 0},
    {"*c", "abc", 1},
    {"a*", "a", 1},
    {"a*", "ab/c", 0},
    {"a*/b", "abc/b", 1},
    {"a*/b", "a/c/b", 0},
    {"a*b*c*d*e*/f", "axbxcxdxe/f", 1},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/f", 1},
    {"a*b*c*d*e*/f", "axbxcxdxe/xxx/f", 0},
    {"a*b*c*d*e*/f", "axbxcxdxexxx/fff", 0},
    {"a*b?c*x", "abxbbxdbxebxczzx", 1},
    {"a*b?c*x", "abxbbxdbxebxczzy", 0},
    {"ab[c]", "abc", 1},
    {"ab[b-d]", "abc", 1},
    {"ab[e-g]", "abc", 0},
    {"ab[^c]", "abc", 0},
    {"ab[^b-d]", "abc", 0},
    {"ab[^e-g]", "abc", 1},
    {"a[!b]", "a!", 1},
    {"a\\*b", "a*b", 1},
    {"a\\*b", "ab", 0},
    {"a?b",
     "a\xe2\x98\xba"
     "b",
     1},
    {"a[^a]b",
     "a\xe2\x98\xba"
     "b",
     1},
    {"a???b",
     "a\xe2\x98\xba"
     "b",
     0},
    {"[a-\xce\xb6]*", "\xce\xb1", 1},
    {"*[a-\xce\xb6]", "A", 0},
    {"a?b", "a/b", 0},
    {"a*b", "a/b", 0},
    {"[\\]a]", "]", 1},
    {"[\\-]", "-", 1},
    {"[x\\-]", "x", 1},
    {"[x\\-]", "-", 1},
    {"[x\\-]", "z", 0},
    {"[\\-x]", "a", 0},
    {"[]a]", "]", -1},
    {"[-]", "-", -1},
    {"[x-]", "x", -1},
    {"[-x]", "x", -1},
    {"\\", "a", -1},
    {"[a-b-c]", "a", -1},
    {"[", "a", -1},
    {"[^", "a", -1},
    {"[^bc", "a", -1},
    {"a[", "a", -1},
    {"a[", "ab", -1},
    {"a[", "x", -1},
    {"a/b[", "x", -1},
    {"*x", "xxx", 1},
    {"**", "a", 1},
    {"**", "a/b", 0},
    {"a]", "a]", 1},
    {"[*]", "*", 1},
    {"[*]", "a", 0},
    {"\xff", "\xff", 1},
    {"[\xff]", "a", -1},
    {"a[^x]b", "a/b", 1},
};

static void go_match(void)
{
    for (size_t i = 0; i < sizeof globs / sizeof *globs; i++) {
        struct dray_err err = {0};
        int got = dray_path_match(globs[i].pattern, globs[i].path, &err);
        int want = globs[i].want < 0 ? DRAY_E_INVAL : globs[i].want;
        if (got != want)
            printf("\n%s, %s: got %d, want %d\n", globs[i].pattern, globs[i].path, got, want);
        CU_ASSERT_EQUAL(got, want);
        if (want < 0)
            CU_ASSERT_STRING_EQUAL(err.text, "syntax error in pattern");
    }
}

static void expect_clean(const char *path, const char *want)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s", path);
    dray_path_clean(text);
    if (strcmp(text, want) != 0)
        printf("\n%s: got %s, want %s\n", path, text, want);
    CU_ASSERT_STRING_EQUAL(text, want);
}

static void go_clean(void)
{
    static const char *const table[][2] = {
        {"", "."},
        {".", "."},
        {"/", "/"},
        {"//", "/"},
        {"abc/", "abc"},
        {"a//b", "a/b"},
        {"./a", "a"},
        {"a/.", "a"},
        {"a/..", "."},
        {"a/../b", "b"},
        {"../a", "../a"},
        {"a/../../b", "../b"},
        {"/..", "/"},
        {"/../a", "/a"},
        {"/a/../../b", "/b"},
        {"../../a", "../../a"},
        {"a/b/../../c", "c"},
        {"a/b/../..", "."},
        {"...", "..."},
        {"..a", "..a"},
        {"a/b/c/../../../../d", "../d"},
        {"//a//b//", "/a/b"},
        {"..", ".."},
        {"../..", "../.."},
        {"../../..", "../../.."},
        {"./", "."},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        expect_clean(table[i][0], table[i][1]);
}

/* One or several patterns, split at a comma, against a path. */
static const struct {
    const char *patterns, *path;
    int want;
} ignores[] = {
    {"**", "file", 1},
    {"**", "dir/file", 1},
    {"**/", "file", 1},
    {"**/**", "dir/file", 1},
    {"dir/**", "dir/file", 1},
    {"dir/**", "dir/dir2/file", 1},
    {"dir/**", "dir", 0},
    {"dir/**", "dirx", 0},
    {"**/dir", "dir", 1},
    {"**/dir", "dir/file", 1},
    {"**/dir2/*", "dir/dir2/file", 1},
    {"**/dir2/*", "dir/dir2/dir2/file", 1},
    {"**/dir2/**", "dir/dir2/dir2/file", 1},
    {"**/dir2/**", "dir2", 0},
    {"**file", "file", 1},
    {"**file", "dir/file", 1},
    {"**file", "dir/xfile", 1},
    {"**/file", "dir/dir/file", 1},
    {"**/file*", "dir/dir/file.txt", 1},
    {"**/file*", "dir/dir/xfile", 0},
    {"**/file*txt", "dir/dir/file.txt", 1},
    {"**/file*.txt*", "dir/dir/file.txt", 1},
    {"**/**/*.txt", "dir/dir/file.txt", 1},
    {"**/**/*.txt2", "dir/dir/file.txt", 0},
    {"**/*.txt", "file.txt", 1},
    {"**/**/*.txt", "file.txt", 1},
    {"a**/*.txt", "a/file.txt", 1},
    {"a**/*.txt", "a/dir/file.txt", 1},
    {"a**/*.txt", "a/dir/dir/file.txt", 1},
    {"a/*.txt", "a/dir/file.txt", 0},
    {"a/*.txt", "a/file.txt", 1},
    {"a/*.txt**", "a/file.txt", 1},
    {"a[b-d]e", "ae", 0},
    {"a[b-d]e", "ace", 1},
    {"a[b-d]e", "aae", 0},
    {"a[^b-d]e", "aze", 1},
    {".*", ".foo", 1},
    {".*", "foo", 0},
    {"abc.def", "abcdef", 0},
    {"abc.def", "abc.def", 1},
    {"abc.def", "abcZdef", 0},
    {"abc?def", "abcZdef", 1},
    {"abc?def", "abcdef", 0},
    {"a\\*b", "a*b", 1},
    {"a\\*b", "axb", 0},
    {"**/foo/bar", "foo/bar", 1},
    {"**/foo/bar", "dir/foo/bar", 1},
    {"**/foo/bar", "dir/dir2/foo/bar", 1},
    {"abc/**", "abc", 0},
    {"abc/**", "abc/def", 1},
    {"abc/**", "abc/def/ghi", 1},
    {"**/.foo", ".foo", 1},
    {"**/.foo", "bar.foo", 0},
    {"a(b)c/def", "a(b)c/def", 1},
    {"a(b)c/def", "a(b)c/xyz", 0},
    {"a.|)$(}+{bc", "a.|)$(}+{bc", 1},
    {"dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
     "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", 1},
    {"dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", 1},
    {"a", "a/b/c", 1},
    {"a/b", "a", 0},
    {"a/b", "ab", 0},
    {"*", "a/b", 1},
    {"*/b", "a/b/c", 1},
    {"docs/*.md,!docs/README.md", "docs/README.md", 0},
    {"docs/*.md,!docs/README.md", "docs/x.md", 1},
    {"!docs/README.md,docs/*.md", "docs/README.md", 1},
    {"*,!a", "a", 0},
    {"*,!a", "a/b", 0},
    {"*,!a/b", "a/b", 0},
    {"*,!a/b", "a/c", 1},
    {"*,!a,a/b", "a/b/c", 1},
    {"*,!a,a/b", "a/c", 0},
    {"**,!**/*.go", "x/y/z.go", 0},
    {"**,!**/*.go", "x/y/z.c", 1},
    {"a,!a/b,a/b/c", "a/b/c", 1},
    {"a,!a/b,a/b/c", "a/b/d", 0},
    {"./a/../b/", "b", 1},
    {" a ", "a", 1},
    {"util/docker/web,!util/docker/web/foo", "util/docker/web/foo/x", 0},
    {"**/a*c**b", "acxcb", 1},
    {"*.txt,!x.txt,x.*", "x.txt", 1},
    {"\xc3\xa9*", "\xc3\xa9t\xc3\xa9", 1},
    {"x", "", 0},
};

static void add_all(struct dray_ignore *ig, const char *patterns)
{
    char text[128], *save = NULL;
    (void)snprintf(text, sizeof text, "%s", patterns);
    for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save))
        CU_ASSERT_EQUAL_FATAL(dray_ignore_add(ig, p, NULL), 0);
}

/* The answer while walking down must be that of the whole path. */
static int walk(const struct dray_ignore *ig, const char *path)
{
    unsigned char trails[2][32];
    int got = 0;
    unsigned level = 0;
    char part[256];
    for (const char *p = path;; p++)
        if (*p == '/' || !*p) {
            (void)snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
            got = dray_ignore_walk(ig, part, level ? trails[(level - 1) % 2] : NULL,
                                   trails[level % 2]);
            level++;
            if (!*p)
                return got;
        }
}

static void dockerignore(void)
{
    for (size_t i = 0; i < sizeof ignores / sizeof *ignores; i++) {
        DRAY_AUTO(dray_ignore) ig = {0};
        add_all(&ig, ignores[i].patterns);
        int got = dray_ignore_match(&ig, ignores[i].path), walked = walk(&ig, ignores[i].path);
        if (got != ignores[i].want || walked != ignores[i].want)
            printf("\n%s, %s: got %d and %d, want %d\n", ignores[i].patterns, ignores[i].path, got,
                   walked, ignores[i].want);
        CU_ASSERT_EQUAL(got, ignores[i].want);
        CU_ASSERT_EQUAL(walked, ignores[i].want);
    }
}

/* Docker's two ways differ here, and builds go by the walk. */
static void walk_differs(void)
{
    DRAY_AUTO(dray_ignore) ig = {0};
    add_all(&ig, "a/b,!a");
    CU_ASSERT_EQUAL(dray_ignore_match(&ig, "a/b"), 0);
    CU_ASSERT_EQUAL(walk(&ig, "a/b"), 1);
}

static void reading(void)
{
    static const char text[] = "\xef\xbb\xbf"
                               "test1\r\n"
                               "/test2\n"
                               "/a/file/here/\n"
                               "\n"
                               "# a comment\n"
                               "  # a pattern\n"
                               "! /inverted/abs/path\n"
                               "  last  ";
    static const char *const want[] = {
        "test1", "test2", "a/file/here", "# a pattern", "inverted/abs/path", "last"};
    DRAY_AUTO(dray_ignore) ig = {0};
    CU_ASSERT_EQUAL(dray_ignore_parse(&ig, text, sizeof text - 1, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(ig.n, 6);
    for (size_t i = 0; i < ig.n; i++)
        CU_ASSERT_STRING_EQUAL(ig.v[i].text, want[i]);
    CU_ASSERT_EQUAL(ig.v[4].negated, 1);
    CU_ASSERT_EQUAL(ig.negations, 1);
}

static void expect_refused(const char *text, size_t len, int code, const char *want)
{
    DRAY_AUTO(dray_ignore) ig = {0};
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_ignore_parse(&ig, text, len, &err), code);
    CU_ASSERT_STRING_EQUAL(err.text, want);
}

static void refusals(void)
{
    expect_refused("a\n!\n", 4, DRAY_E_INVAL, "illegal exclusion pattern: \"!\"");
    expect_refused("! \n", 3, DRAY_E_INVAL, "illegal exclusion pattern: \"!\"");
    expect_refused("a[\n", 3, DRAY_E_INVAL, "syntax error in pattern");
    expect_refused("a\0b\n", 4, DRAY_E_INVAL, "syntax error in pattern");
    char *big = malloc(2 << 20);
    memset(big, 'a', 2 << 20);
    expect_refused(big, 5000, DRAY_E_INVAL, "syntax error in pattern");
    for (size_t i = 0; i < 1 << 20; i += 2)
        big[i] = '\n';
    expect_refused(big, 1 << 20, DRAY_E_LIMIT, "more than 16384 ignore patterns");
    expect_refused(big, 2 << 20, DRAY_E_LIMIT, ".dockerignore is larger than 1048576 bytes");
    free(big);
}

static void folders_to_enter(void)
{
    static const struct {
        const char *patterns, *folder;
        int want;
    } table[] = {
        {"*", "a", 0},          {"*,!a/b", "a", 1},  {"*,!a/b", "b", 0},   {"*,!a/b", "a/b", 1},
        {"*,!a/b", "a/b/c", 0}, {"*,!**/x", "a", 1}, {"*,!a/*.c", "a", 1}, {"*,!a/*.c", "b", 0},
        {"*,!a*/c", "ab", 1},   {"*,!a*/c", "b", 0}, {"*,!ab/c", "a", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        DRAY_AUTO(dray_ignore) ig = {0};
        add_all(&ig, table[i].patterns);
        int got = dray_ignore_may_hold(&ig, table[i].folder);
        if (got != table[i].want)
            printf("\n%s, %s: got %d\n", table[i].patterns, table[i].folder, got);
        CU_ASSERT_EQUAL(got, table[i].want);
    }
}

/* What takes exponential time in a matcher that backtracks. */
static void hostile_pattern(void)
{
    char pattern[256] = "", path[4000];
    for (int i = 0; i < 30; i++)
        (void)strcat(pattern, "**/*a*");
    (void)strcat(pattern, "b");
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    DRAY_AUTO(dray_ignore) ig = {0};
    CU_ASSERT_EQUAL(dray_ignore_add(&ig, pattern, NULL), 0);
    CU_ASSERT_EQUAL(dray_ignore_match(&ig, path), 0);
}

static const struct check_case cases[] = {
    {"Go's Match", go_match},
    {"Go's Clean", go_clean},
    {".dockerignore", dockerignore},
    {"a walk that differs", walk_differs},
    {"reading a file", reading},
    {"refusals", refusals},
    {"folders to enter", folders_to_enter},
    {"hostile pattern", hostile_pattern},
};
CHECK_MAIN("paths", cases)
