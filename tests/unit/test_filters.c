/* SPDX-License-Identifier: Apache-2.0 */
/* test_filters.c - the `filters` parameter in both of its shapes. */
#include "engine/filters.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "check.h"

#include <sys/resource.h>

static const char *const allowed[] = {"label", "label!", "name", "status", "all", NULL};

static int parse(const char *text, struct dray_filters *f, struct dray_err *err)
{
    return dray_filters_parse(text, allowed, f, err);
}

static void test_empty(void)
{
    DRAY_AUTO(dray_filters) f = {0};
    CU_ASSERT_EQUAL(parse(NULL, &f, NULL), 0);
    CU_ASSERT_EQUAL(parse("", &f, NULL), 0);
    CU_ASSERT_EQUAL(parse("{}", &f, NULL), 0);
    CU_ASSERT_EQUAL(parse("null", &f, NULL), 0);
    CU_ASSERT_FALSE(dray_filters_has(&f, "name"));
    CU_ASSERT_TRUE(dray_filters_exact(&f, "name", "x"));
}

static void test_shapes(void)
{
    static const char *const texts[] = {
        "{\"name\":[\"a\",\"b\"],\"status\":[\"exited\"]}",
        "{\"name\":{\"a\":true,\"b\":true},\"status\":{\"exited\":true}}",
    };
    for (size_t i = 0; i < 2; i++) {
        DRAY_AUTO(dray_filters) f = {0};
        CU_ASSERT_EQUAL_FATAL(parse(texts[i], &f, NULL), 0);
        CU_ASSERT_STRING_EQUAL(dray_filters_get(&f, "name", 0), "a");
        CU_ASSERT_STRING_EQUAL(dray_filters_get(&f, "name", 1), "b");
        CU_ASSERT_PTR_NULL(dray_filters_get(&f, "name", 2));
        CU_ASSERT_TRUE(dray_filters_exact(&f, "status", "exited"));
        CU_ASSERT_FALSE(dray_filters_exact(&f, "status", "running"));
    }
}

static void test_malformed(void)
{
    static const char *const bad[] = {
        "[]",
        "\"x\"",
        "{",
        "{\"name\":\"a\"}",
        "{\"name\":[1]}",
        "{\"name\":{\"a\":\"b\"}}",
        "{\"name\":[\"a\"]}x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        DRAY_AUTO(dray_filters) f = {0};
        struct dray_err err = {0};
        CU_ASSERT_EQUAL(parse(bad[i], &f, &err), DRAY_E_INVAL);
        CU_ASSERT_EQUAL(strncmp(err.text, "invalid filter", 14), 0);
    }
    DRAY_AUTO(dray_filters) f = {0};
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(parse("{\"nmae\":[\"a\"]}", &f, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(err.text, "invalid filter 'nmae'");
}

static void test_match(void)
{
    DRAY_AUTO(dray_filters) f = {0};
    CU_ASSERT_EQUAL_FATAL(parse("{\"name\":[\"^/web$\",\"db\"]}", &f, NULL), 0);
    CU_ASSERT_TRUE(dray_filters_match(&f, "name", "/web"));
    CU_ASSERT_FALSE(dray_filters_match(&f, "name", "/web2"));
    CU_ASSERT_TRUE(dray_filters_match(&f, "name", "/my-db-1"));
    CU_ASSERT_FALSE(dray_filters_match(&f, "name", "/cache"));
    DRAY_AUTO(dray_filters) g = {0};
    CU_ASSERT_EQUAL_FATAL(parse("{\"name\":[\"((((\"]}", &g, NULL), 0);
    CU_ASSERT_FALSE(dray_filters_match(&g, "name", "x"));
    DRAY_AUTO(dray_filters) p = {0};
    CU_ASSERT_EQUAL_FATAL(parse("{\"name\":[\"abc\"]}", &p, NULL), 0);
    CU_ASSERT_TRUE(dray_filters_prefix(&p, "name", "abcdef"));
    CU_ASSERT_FALSE(dray_filters_prefix(&p, "name", "ab"));
}

static void test_labels(void)
{
    dray_autojson *labels = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse("{\"a\":\"1\",\"b\":\"\"}", 16, &labels, NULL), 0);
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {"{\"label\":[\"a\"]}", true},          {"{\"label\":[\"a=1\"]}", true},
        {"{\"label\":[\"a=2\"]}", false},       {"{\"label\":[\"a=1\",\"b\"]}", true},
        {"{\"label\":[\"a=1\",\"c\"]}", false}, {"{\"label\":[\"b=\"]}", true},
        {"{\"label!\":[\"c\"]}", true},         {"{\"label!\":[\"a\"]}", false},
        {"{\"label!\":[\"a=2\"]}", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        DRAY_AUTO(dray_filters) f = {0};
        CU_ASSERT_EQUAL_FATAL(parse(rows[i].text, &f, NULL), 0);
        CU_ASSERT_EQUAL(dray_filters_labels(&f, labels), rows[i].want);
    }
    DRAY_AUTO(dray_filters) f = {0};
    CU_ASSERT_EQUAL_FATAL(parse("{\"label\":[\"a\"]}", &f, NULL), 0);
    CU_ASSERT_FALSE(dray_filters_labels(&f, NULL));
}

static void test_bool(void)
{
    static const struct {
        const char *text;
        int rc;
        bool want;
    } rows[] = {
        {"{}", 0, true},
        {"{\"all\":[\"0\"]}", 0, false},
        {"{\"all\":[\"true\"]}", 0, true},
        {"{\"all\":{\"false\":true}}", 0, false},
        {"{\"all\":[\"maybe\"]}", DRAY_E_INVAL, false},
        {"{\"all\":[\"1\",\"0\"]}", DRAY_E_INVAL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        DRAY_AUTO(dray_filters) f = {0};
        CU_ASSERT_EQUAL_FATAL(parse(rows[i].text, &f, NULL), 0);
        bool value = false;
        CU_ASSERT_EQUAL(dray_filters_bool(&f, "all", true, &value, NULL), rows[i].rc);
        if (!rows[i].rc)
            CU_ASSERT_EQUAL(value, rows[i].want);
    }
}

/* The C library takes gigabytes, or for ever, for some of these. */
static void hostile_patterns_cost_nothing(void)
{
    static const char *const patterns[] = {
        "((a{1,99}){1,99}){1,99}",
        "a{1,32767}",
        "(()()()()()()()){1,2000}",
        ")){1,30}{9}b[^]x]$){1,30}^[^]x]?+{1,30}{1,30}",
        "((((a?){1,30}){1,30}){1,30}){1,30}",
        "(a*)*(a*)*(a*)*b\\\\1",
        "(((((a|a)*)*)*)*)*c",
        "((((((((((((((((((",
    };
    struct rlimit was;
    int64_t begin = dray_clock_mono();
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_DATA, &was), 0);
    struct rlimit small = {(rlim_t)256 << 20, was.rlim_max};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    small.rlim_cur = was.rlim_cur; /* the sanitizer's own memory would count */
#endif
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_DATA, &small), 0);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        DRAY_AUTO(dray_filters) f = {0};
        dray_autofree char *text = dray_strf("{\"name\":[\"%s\"]}", patterns[i]);
        CU_ASSERT_EQUAL_FATAL(parse(text, &f, NULL), 0);
        for (int k = 0; k < 100; k++)
            (void)dray_filters_match(&f, "name", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    }
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_DATA, &was), 0);
    CU_ASSERT_TRUE(dray_clock_mono() - begin < 10 * DRAY_NS_PER_S);
}

static void expressions_are_go_s(void)
{
    static const struct {
        const char *pattern, *value;
        bool match;
    } cases_of[] = {
        {"^web", "web1", true},
        {"^web", "aweb", false},
        {"^w.b\\\\d+$", "wab12", true},
        {"^w.b\\\\d+$", "wab12x", false},
        {"(?i)WEB", "aweb", true},
        {"[", "a[b", true},
        {"[", "ab", false},
    };
    for (size_t i = 0; i < sizeof cases_of / sizeof cases_of[0]; i++) {
        DRAY_AUTO(dray_filters) f = {0};
        dray_autofree char *text = dray_strf("{\"name\":[\"%s\"]}", cases_of[i].pattern);
        CU_ASSERT_EQUAL_FATAL(parse(text, &f, NULL), 0);
        CU_ASSERT_EQUAL(dray_filters_match(&f, "name", cases_of[i].value), cases_of[i].match);
    }
}

static const struct check_case cases[] = {
    {"nothing matches everything", test_empty},
    {"lists and sets", test_shapes},
    {"malformed and unknown", test_malformed},
    {"match and prefix", test_match},
    {"labels", test_labels},
    {"booleans", test_bool},
    {"hostile patterns cost nothing", hostile_patterns_cost_nothing},
    {"expressions are Go's", expressions_are_go_s},
};

CHECK_MAIN("filters", cases)
