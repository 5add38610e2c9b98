/* SPDX-License-Identifier: Apache-2.0 */
/* test_options.c - declared options: types, defaults, ranges, secrets, nearest names. */
#include "check.h"

#include "base/json.h"
#include "plugin/options.h"

static const struct dray_option table[] = {
    {"string", DRAY_OPT_STRING, 0, "def", 0, 0, NULL, "a string"},
    {"choice", DRAY_OPT_STRING, 0, "a", 0, 0, "a|bb|ccc", "a choice"},
    {"int", DRAY_OPT_INT, 0, "5", 1, 10, NULL, "an integer"},
    {"free", DRAY_OPT_INT, 0, NULL, 0, 0, NULL, "any integer"},
    {"bool", DRAY_OPT_BOOL, 0, "true", 0, 0, NULL, "a switch"},
    {"size", DRAY_OPT_SIZE, 0, "10m", 0, 0, NULL, "a size"},
    {"list", DRAY_OPT_LIST, 0, "x,y,z", 0, 0, NULL, "a list"},
    {"path", DRAY_OPT_PATH, 0, NULL, 0, 0, NULL, "a path"},
    {"time", DRAY_OPT_DURATION, 0, "1m30s", 0, 0, NULL, "a time"},
};
enum { N = sizeof table / sizeof table[0] };

static struct dray_options *parse(const char *text, struct dray_err *err)
{
    dray_autojson *json = NULL;
    struct dray_options *o = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(text, strlen(text), &json, NULL), 0);
    int rc = dray_options_parse(table, N, json, &o, err);
    CU_ASSERT_EQUAL(rc == 0, o != NULL);
    return o;
}

static void defaults(void)
{
    struct dray_options *o = NULL;
    CU_ASSERT_EQUAL(dray_options_check_table(table, N, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dray_options_parse(table, N, NULL, &o, NULL), 0);
    CU_ASSERT_STRING_EQUAL(dray_options_str(o, "string"), "def");
    CU_ASSERT_EQUAL(dray_options_int(o, "int"), 5);
    CU_ASSERT_EQUAL(dray_options_int(o, "free"), 0);
    CU_ASSERT_EQUAL(dray_options_int(o, "bool"), 1);
    CU_ASSERT_EQUAL(dray_options_int(o, "size"), 10 << 20);
    CU_ASSERT_EQUAL(dray_options_int(o, "time"), INT64_C(90000000000));
    CU_ASSERT_PTR_NULL(dray_options_str(o, "path"));
    CU_ASSERT_EQUAL(dray_options_list(o, "list").n, 3);
    CU_ASSERT_PTR_NULL(dray_options_str(o, "nope"));
    CU_ASSERT_EQUAL(dray_options_int(o, "nope"), 0);
    CU_ASSERT_EQUAL(dray_options_list(o, "nope").n, 0);
    dray_options_free(o);
}

static void takes(void)
{
    static const struct {
        const char *json, *name;
        int64_t value;
    } t[] = {
        {"{\"int\":10}", "int", 10},
        {"{\"int\":\"1\"}", "int", 1},
        {"{\"free\":-9223372036854775807}", "free", -INT64_MAX},
        {"{\"bool\":false}", "bool", 0},
        {"{\"bool\":\"true\"}", "bool", 1},
        {"{\"size\":0}", "size", 0},
        {"{\"size\":\"1k\"}", "size", 1024},
        {"{\"size\":\"1.5GB\"}", "size", INT64_C(1610612736)},
        {"{\"size\":\"2GiB\"}", "size", INT64_C(2147483648)},
        {"{\"size\":\"7b\"}", "size", 7},
        {"{\"size\":\"3 MB\"}", "size", 3 << 20},
        {"{\"time\":\"0\"}", "time", 0},
        {"{\"time\":\"2h\"}", "time", INT64_C(7200000000000)},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct dray_options *o = parse(t[i].json, NULL);
        CU_ASSERT_EQUAL(dray_options_int(o, t[i].name), t[i].value);
        dray_options_free(o);
    }
    struct dray_options *o = parse("{\"choice\":\"bb\",\"list\":[],\"path\":\"/x\"}", NULL);
    CU_ASSERT_STRING_EQUAL(dray_options_str(o, "choice"), "bb");
    CU_ASSERT_STRING_EQUAL(dray_options_str(o, "path"), "/x");
    CU_ASSERT_EQUAL(dray_options_list(o, "list").n, 0);
    dray_options_free(o);
}

static void refuses(void)
{
    static const char *const bad[] = {
        "{\"string\":1}",       "{\"string\":null}",  "{\"string\":[\"a\"]}",
        "{\"choice\":\"b\"}",   "{\"choice\":\"\"}",  "{\"choice\":\"a|bb\"}",
        "{\"int\":0}",          "{\"int\":11}",       "{\"int\":\"5x\"}",
        "{\"int\":1.5}",        "{\"int\":true}",     "{\"free\":\"99999999999999999999\"}",
        "{\"bool\":\"maybe\"}", "{\"bool\":1}",       "{\"size\":\"1x\"}",
        "{\"size\":\"-1\"}",    "{\"size\":\"\"}",    "{\"size\":\"0x10\"}",
        "{\"size\":\"inf\"}",   "{\"size\":\"nan\"}", "{\"size\":\"99999999p\"}",
        "{\"size\":\"1mm\"}",   "{\"list\":\"x\"}",   "{\"list\":[1]}",
        "{\"path\":\"rel\"}",   "{\"time\":\"5\"}",   "{\"time\":5}",
        "{\"strin\":\"a\"}",    "{\"String\":\"a\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dray_err err = {0};
        CU_ASSERT_PTR_NULL(parse(bad[i], &err));
        CU_ASSERT_EQUAL(err.code, DRAY_E_INVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "option \""));
    }
}

static void refuses_bad_tables(void)
{
    static const struct dray_option bad[] = {
        {NULL, DRAY_OPT_STRING, 0, NULL, 0, 0, NULL, NULL},
        {"", DRAY_OPT_STRING, 0, NULL, 0, 0, NULL, NULL},
        {"x", 0, 0, NULL, 0, 0, NULL, NULL},
        {"x", 8, 0, NULL, 0, 0, NULL, NULL},
        {"x", DRAY_OPT_INT, 0, "word", 0, 0, NULL, NULL},
        {"x", DRAY_OPT_INT, DRAY_OPT_F_REQUIRED, "11", 1, 10, NULL, NULL},
        {"x", DRAY_OPT_STRING, 0, "c", 0, 0, "a|b", NULL},
        {"x", DRAY_OPT_LIST, 0, "[]", 0, 0, NULL, NULL},
        {"x", DRAY_OPT_LIST, 0, "[\"a\"]", 0, 0, NULL, NULL},
        {"x", DRAY_OPT_LIST, 0, "a,c", 0, 0, "a|b", NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(dray_options_check_table(&bad[i], 1, NULL), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_options_check_table(NULL, 1, NULL), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_options_check_table(table, UINT64_MAX, NULL), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_options_check_table(NULL, 0, NULL), 0);
}

static const char *name_at(const void *ctx, size_t i)
{
    (void)ctx;
    static const char *const names[] = {"bridge", "overlay", "local", "json-file", NULL};
    return names[i];
}

static void nearest(void)
{
    CU_ASSERT_STRING_EQUAL(dray_nearest_name("brigde", name_at, NULL), "bridge");
    CU_ASSERT_STRING_EQUAL(dray_nearest_name("overlay2", name_at, NULL), "overlay");
    CU_ASSERT_STRING_EQUAL(dray_nearest_name("jsonfile", name_at, NULL), "json-file");
    CU_ASSERT_PTR_NULL(dray_nearest_name("zzzzzz", name_at, NULL));
    CU_ASSERT_PTR_NULL(dray_nearest_name("", name_at, NULL));
    char huge[300];
    memset(huge, 'b', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    CU_ASSERT_PTR_NULL(dray_nearest_name(huge, name_at, NULL));
}

static const struct check_case cases[] = {
    {"defaults", defaults}, {"takes", takes},
    {"refuses", refuses},   {"refuses bad tables", refuses_bad_tables},
    {"nearest", nearest},
};
CHECK_MAIN("options", cases)
