/* SPDX-License-Identifier: Apache-2.0 */
/* test_dockerfile_words.c - expansion of words, and of whole instructions. */
#include "dockerfile_dump.h"

#include "check.h"

static const char *missing;

static const char *get(void *arg, const char *name)
{
    static const char *const vars[][2] = {
        {"a", "one"},
        {"empty", ""},
        {"two", "x  y"},
        {"path", "/usr/local/lib"},
        {"f", "a.tar.gz"},
        {"star", "a*b"},
        {"back", "a\\b"},
        {"\xc3\xa9", "acute"},
        {"u", "\xc3\xa9t\xc3\xa9"},
        {"q", "it's"},
        {"_x1", "under"},
        {"nl", "a\nb"},
        {"ports", "80 443/tcp"},
        {"dir", "/d"},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof vars / sizeof *vars; i++)
        if (strcmp(vars[i][0], name) == 0)
            return vars[i][1];
    return NULL;
}

static void note_missing(void *arg, const char *name)
{
    static char kept[64];
    (void)arg;
    (void)snprintf(kept, sizeof kept, "%s", name);
    missing = kept;
}

static const struct dray_df_env env = {.get = get, .missing = note_missing};

/* "!" begins the text of an error, without "failed to process ...". */
static const struct {
    const char *word, *want;
} table[] = {
    {"plain", "plain"},
    {"", ""},
    {"$a", "one"},
    {"x$a-y", "xone-y"},
    {"${a}", "one"},
    {"${a}b", "oneb"},
    {"$ab", ""},
    {"$a$a", "oneone"},
    {"$", "$"},
    {"a$", "a$"},
    {"$.", "$."},
    {"$/x", "$/x"},
    {"\\$a", "$a"},
    {"\\\\$a", "\\one"},
    {"a\\b", "ab"},
    {"a\\", "a"},
    {"'$a'", "$a"},
    {"\"$a\"", "one"},
    {"\"\\$a\"", "$a"},
    {"\"a\\b\"", "a\\b"},
    {"\"a\\\"b\"", "a\"b"},
    {"\"a\\\\b\"", "a\\b"},
    {"'a\"b'\"c'd\"", "a\"bc'd"},
    {"\"it's\"", "it's"},
    {"a' b 'c", "a b c"},
    {"'a", "!unexpected end of statement while looking for matching single-quote"},
    {"\"a", "!unexpected end of statement while looking for matching double-quote"},
    {"\"${a\"", "!unsupported modifier (\") in substitution"},
    {"$1", ""},
    {"$12a", "a"},
    {"$@x", "x"},
    {"$_x1", "under"},
    {"${\xc3\xa9}", "acute"},
    {"$two", "x  y"},
    {"${no}", ""},
    {"${}", "!syntax error: bad substitution"},
    {"${", "!syntax error: missing '}'"},
    {"${a", "!syntax error: missing '}'"},
    {"${{a}}", "!syntax error: bad substitution"},
    {"${:a}", "!syntax error: bad substitution"},
    {"${a!b}", "!unsupported modifier (!) in substitution"},
    {"${a:b}", "!unsupported modifier (:b) in substitution"},
    {"${a:=b}", "!unsupported modifier (:=) in substitution"},
    {"${a:-b}", "one"},
    {"${no:-b}", "b"},
    {"${empty:-b}", "b"},
    {"${empty-b}", ""},
    {"${no-b}", "b"},
    {"${no:-}", ""},
    {"${no:-$a}", "one"},
    {"${no:-${no2:-deep}}", "deep"},
    {"${no:-${a}x}y", "onexy"},
    {"${no:-a b}", "a b"},
    {"${no:-'}'}", "}"},
    {"${no:-\\}}", "}"},
    {"${no:-\"a}\"}", "a}"},
    {"${a:+b}", "b"},
    {"${no:+b}", ""},
    {"${empty:+b}", ""},
    {"${empty+b}", "b"},
    {"${no+b}", ""},
    {"${a:+}", ""},
    {"${a:?x}", "one"},
    {"${no:?is bad}", "!no: is bad"},
    {"${no?}", "!no: is not allowed to be unset"},
    {"${empty:?}", "!empty: is not allowed to be empty"},
    {"${empty?x}", ""},
    {"${no:-b", "!syntax error: missing '}'"},
    {"${path#/usr}", "/local/lib"},
    {"${path#*/}", "usr/local/lib"},
    {"${path##*/}", "lib"},
    {"${path%/*}", "/usr/local"},
    {"${path%%/*}", ""},
    {"${f%.*}", "a.tar"},
    {"${f%%.*}", "a"},
    {"${f#*.}", "tar.gz"},
    {"${f##*.}", "gz"},
    {"${f#x}", "a.tar.gz"},
    {"${f%.g?}", "a.tar"},
    {"${f#?.}", "tar.gz"},
    {"${f#}", "a.tar.gz"},
    {"${f%}", "a.tar.gz"},
    {"${f##*}", ""},
    {"${f#*}", "a.tar.gz"},
    {"${no#x}", ""},
    {"${path#$dir}", "/usr/local/lib"},
    {"${star#a\\*}", "b"},
    {"${star%\\*b}", "a"},
    {"${star#a\\b}", "!invalid pattern (a\\b) in substitution: invalid escape '\\b'"},
    {"${u#?}", "t\xc3\xa9"},
    {"${u%?}", "\xc3\xa9t"},
    {"${path/\\//-}", "-usr/local/lib"},
    {"${path//\\//-}", "-usr-local-lib"},
    {"${f/a/b}", "b.tar.gz"},
    {"${f//a/b}", "b.tbr.gz"},
    {"${f/t*r/x}", "a.x.gz"},
    {"${f/*/x}", "x"},
    {"${f//./}", "atargz"},
    {"${f/zz/x}", "a.tar.gz"},
    {"${f/a/$a}", "one.tar.gz"},
    {"${f/$no/x}", "xa.tar.gz"},
    {"${u//?/x}", "xxx"},
    {"${no/a/b}", ""},
    {"${f/a}", "!syntax error: missing '/' in ${}"},
    {"${f/a/b", "!syntax error: missing '}'"},
    {"${nl#a*}", "\nb"},
};

static void words(void)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        DRAY_AUTO(dray_df_arena) a = {0};
        struct dray_err err = {0};
        const char *got = NULL, *want = table[i].want;
        int rc = dray_df_word(&a, table[i].word, '\\', 0, &env, &got, &err);
        if (rc != 0) {
            CU_ASSERT_EQUAL(rc, DRAY_E_INVAL);
            const char *cut = strstr(err.text, "\": ");
            static char text[512];
            (void)snprintf(text, sizeof text, "!%s", cut ? cut + 3 : err.text);
            got = text;
        }
        if (strcmp(got, want) != 0)
            printf("\n%s: got %s, want %s\n", table[i].word, got, want);
        CU_ASSERT_STRING_EQUAL(got, want);
    }
}

static void expect_flags(const char *word, char escape, unsigned flags, const char *want)
{
    DRAY_AUTO(dray_df_arena) a = {0};
    const char *got = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_df_word(&a, word, escape, flags, &env, &got, NULL), 0);
    if (strcmp(got, want) != 0)
        printf("\n%s: got %s, want %s\n", word, got, want);
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void flags(void)
{
    expect_flags("$no ${no} ${no:-b} ${no#c} ${no/a/b} $a", '\\', DRAY_DF_KEEP_UNSET,
                 "$no ${no} ${no:-b} ${no#c} ${no/a/b} one");
    expect_flags("'$a' \"$a\" a\\ b", '\\', DRAY_DF_KEEP_QUOTES, "'$a' \"one\" a\\ b");
    expect_flags("it's \"$a\" \\$a", '\\', DRAY_DF_PLAIN_QUOTES, "it's \"one\" $a");
    expect_flags("`$a a\\b \"`$x\\\"", '`', 0, "$a a\\b $x\\");
}

static void expect_words(const char *word, const char *want)
{
    DRAY_AUTO(dray_df_arena) a = {0};
    struct dray_strs got = {0};
    struct dump d = {.len = 0};
    CU_ASSERT_EQUAL_FATAL(dray_df_words(&a, word, '\\', &env, &got, NULL), 0);
    dump_strs(&d, got);
    if (strcmp(d.text, want) != 0)
        printf("\n%s: got %s, want %s\n", word, d.text, want);
    CU_ASSERT_STRING_EQUAL(d.text, want);
}

static void splitting(void)
{
    expect_words("a b", " 'a' 'b'");
    expect_words("  a   b  ", " 'a' 'b'");
    expect_words("$ports", " '80' '443/tcp'");
    expect_words("\"$ports\"", " '80 443/tcp'");
    expect_words("'a b' c", " 'a b' 'c'");
    expect_words("a\\ b c", " 'a b' 'c'");
    expect_words("x$ports-y", " 'x80' '443/tcp-y'");
    expect_words("$empty", "");
    expect_words("", "");
    expect_words("a'b c'd", " 'ab cd'");
}

static void unset_names_are_told(void)
{
    DRAY_AUTO(dray_df_arena) a = {0};
    const char *got = NULL;
    missing = NULL;
    CU_ASSERT_EQUAL(dray_df_word(&a, "$a ${no:-x} ${no+y}", '\\', 0, &env, &got, NULL), 0);
    CU_ASSERT_PTR_NULL(missing);
    CU_ASSERT_EQUAL(dray_df_word(&a, "${gone}", '\\', 0, &env, &got, NULL), 0);
    CU_ASSERT_STRING_EQUAL(missing, "gone");
}

static void bounded(void)
{
    DRAY_AUTO(dray_df_arena) a = {0};
    struct dray_err err = {0};
    const char *got = NULL;
    char deep[4096] = "", *p = deep;
    for (int i = 0; i < 500; i++)
        p = stpcpy(p, "${n:-");
    CU_ASSERT_EQUAL(dray_df_word(&a, deep, '\\', 0, &env, &got, &err), DRAY_E_INVAL);
    /* A value that grows with each use. */
    char *big = malloc(3 << 20);
    for (p = big; p < big + (3 << 20) - 8;)
        p = stpcpy(p, "$path");
    CU_ASSERT_EQUAL(dray_df_word(&a, big, '\\', 0, &env, &got, &err), DRAY_E_LIMIT);
    /* Many that are large. */
    big[900000] = '\0';
    int rc = 0, n = 0;
    for (; rc == 0 && n < 1000; n++)
        rc = dray_df_word(&a, big, '`', DRAY_DF_KEEP_UNSET, &(struct dray_df_env){0}, &got, &err);
    CU_ASSERT_EQUAL(rc, DRAY_E_LIMIT);
    CU_ASSERT(n < 100);
    free(big);
}

/* One instruction, expanded and shown. */
static void expect_expanded(const char *text, const char *want)
{
    DRAY_AUTO(dray_df_arena) a = {0};
    const struct dray_df_instr *in = NULL;
    struct dray_err err = {0};
    struct dump d = {.len = 0};
    int rc = dray_df_parse_one(&a, text, false, &in, &err);
    if (rc == 0)
        rc = dray_df_expand(&a, in, '\\', &env, &in, &err);
    if (rc == 0)
        dump_instr(&d, in);
    else
        dump_put(&d, "!%s", err.text);
    if (strcmp(d.text, want) != 0)
        printf("\n%s: got %s, want %s\n", text, d.text, want);
    CU_ASSERT_STRING_EQUAL(d.text, want);
}

static void instructions(void)
{
    expect_expanded("ENV x=$a \"y z\"='$a' $a=\"$two\"", "ENV x='one' y z='$a' one='x  y'\n");
    expect_expanded("ENV x $a \"b\"  c", "ENV x='one b  c' legacy\n");
    expect_expanded("LABEL l.${a}=\"it's $a\"", "LABEL l.one='it's one'\n");
    expect_expanded("ARG x=$a y", "ARG x='one' y\n");
    expect_expanded("COPY --from=$a --chown=$a:$a --chmod=${no:-644} $dir/a b $no/d",
                    "COPY '/d/a' 'b' -> '/d' from='one' chown='one:one' chmod='644'\n");
    expect_expanded("COPY [\"$dir/a b\", \"/c\"]", "COPY '/d/a b' -> '/c'\n");
    expect_expanded("COPY --exclude=$a a b", "COPY 'a' -> 'b' exclude='one'\n");
    expect_expanded("COPY <<A <<'B' /d\n$a \"$a\" \\$a it's\nA\n$a\nB",
                    "COPY <<A:'one \"one\" $a it's~' <<B raw:'$a~' -> '/d'\n");
    expect_expanded("RUN echo $a", "RUN shell 'echo $a'\n");
    expect_expanded("RUN <<A\n$a\nA", "RUN shell '<<A' <<A:'$a~'\n");
    expect_expanded("RUN --mount=type=cache,target=$dir,id=$a,uid=${no:-7} x",
                    "RUN shell 'x' {cache source='/' target='/d' id='one' rw 7:0}\n");
    expect_expanded("RUN --mount=type=cache,target=/a,uid=$a x", "!invalid value one for uid");
    expect_expanded("RUN --mount=type=$no,target=/a x", "!unsupported mount type \"\"");
    expect_expanded("RUN --mount=type=cache,target=$no x",
                    "!target required for \"cache\" type mounts");
    expect_expanded("CMD $a", "CMD shell '$a'\n");
    expect_expanded("ENTRYPOINT [\"$a\"]", "ENTRYPOINT exec '$a'\n");
    expect_expanded("HEALTHCHECK CMD $a", "HEALTHCHECK shell '$a' 0/0/0/0/0\n");
    expect_expanded("EXPOSE $ports 1-${no:-3}", "EXPOSE '80' '443/tcp' '1-3'\n");
    expect_expanded("VOLUME $dir /x$a", "VOLUME '/d' '/xone'\n");
    expect_expanded("USER $a:${no:-g}", "USER 'one:g'\n");
    expect_expanded("WORKDIR $dir/\"$two\"", "WORKDIR '/d/x  y'\n");
    expect_expanded("STOPSIGNAL ${no-SIGINT}", "STOPSIGNAL 'SIGINT'\n");
    expect_expanded("FROM --platform=$a x:${no:-1}", "FROM 'x:1' platform='one'\n");
    expect_expanded("ONBUILD ENV a=$a", "ONBUILD 'ENV a=$a'\n");
    expect_expanded("USER ${no:?must be given}",
                    "!failed to process \"${no:?must be given}\": no: must be given");
}

static const struct check_case cases[] = {
    {"words", words},         {"flags", flags},
    {"splitting", splitting}, {"unset names are told", unset_names_are_told},
    {"bounded", bounded},     {"instructions", instructions},
};
CHECK_MAIN("Dockerfile words", cases)
