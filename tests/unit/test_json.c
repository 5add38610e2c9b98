/* SPDX-License-Identifier: Apache-2.0 */
/* test_json.c - parsing with limits, key matching, typed getters, builders. */
#include "check.h"

#include "base/json.h"

#include <fcntl.h>

static int parse(const char *text, struct json_object **out)
{
    struct dray_err err = {0};
    int rc = dray_json_parse(text, strlen(text), out, &err);
    if (rc)
        CU_ASSERT(strncmp(err.text, "invalid JSON: ", 14) == 0 ||
                  strcmp(err.text, "unexpected content after JSON") == 0);
    return rc;
}

static void accepts(void)
{
    static const char *const good[] = {
        "{}", " [1, 2] \n", "\"x\"", "12", "-1.5e3", "null", "true", "{\"a\":\"\\\\u0000\"}",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        dray_autojson *v = NULL;
        CU_ASSERT_EQUAL(parse(good[i], &v), 0);
    }
}

static void refuses(void)
{
    static const char *const bad[] = {
        "",           " ",          "{",         "{\"a\":1",
        "{} x",       "{}{}",       "{'a':1}",   "[1,]",
        "/* */ {}",   "nul",        "{\"a\" 1}", "[\"a\\u0000b\"]",
        "\"\xff\"",   "{\"a\":1,}", "12 13",     "NaN",
        "[Infinity]", "[\"a\tb\"]", "[\"\\",     "[\"\\\\\\u0000\"]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dray_autojson *v = NULL;
        CU_ASSERT_EQUAL(parse(bad[i], &v), DRAY_E_INVAL);
        CU_ASSERT_PTR_NULL(v);
    }
    struct json_object *v = NULL;
    CU_ASSERT_EQUAL(dray_json_parse("{}\0{}", 5, &v, NULL), DRAY_E_INVAL);
}

/* Clients match these texts. */
static void explains(void)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{bad", "invalid JSON: invalid character 'b' looking for beginning of object key string"},
        {"{\"a\":1,}",
         "invalid JSON: invalid character '}' looking for beginning of object key string"},
        {"{\"a\" 1}", "invalid JSON: invalid character '1' after object key"},
        {"{\"a\":[] 1}", "invalid JSON: invalid character '1' after object key:value pair"},
        {"[{}, 1 2]", "invalid JSON: invalid character '2' after array element"},
        {"[1,]", "invalid JSON: invalid character ']' looking for beginning of value"},
        {"'x'", "invalid JSON: invalid character '\\'' looking for beginning of value"},
        {"[trie]", "invalid JSON: invalid character 'i' in literal true (expecting 'u')"},
        {"[1.x]", "invalid JSON: invalid character 'x' after decimal point in numeric literal"},
        {"[1e]", "invalid JSON: invalid character ']' in exponent of numeric literal"},
        {"[-]", "invalid JSON: invalid character ']' in numeric literal"},
        {"[\"\t\"]", "invalid JSON: invalid character '\\t' in string literal"},
        {"[\"\\q\"]", "invalid JSON: invalid character 'q' in string escape code"},
        {"[\"\\u12g\"]", "invalid JSON: invalid character 'g' in \\u hexadecimal character escape"},
        {"\x01", "invalid JSON: invalid character '\\x01' looking for beginning of value"},
        {"{\"a\":", "invalid JSON: unexpected EOF"},
        {"[[{\"a\":[1", "invalid JSON: unexpected EOF"},
        {"{} more", "unexpected content after JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dray_err err = {0};
        dray_autojson *v = NULL;
        CU_ASSERT(dray_json_parse(cases[i].text, strlen(cases[i].text), &v, &err) == DRAY_E_INVAL);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].why);
    }
}

static void limits_depth(void)
{
    char text[300];
    for (size_t depth = 60; depth < 130; depth += 4) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        dray_autojson *v = NULL;
        int rc = parse(text, &v);
        CU_ASSERT_EQUAL(rc, depth <= 64 ? 0 : DRAY_E_INVAL);
    }
}

static void matches_keys(void)
{
    dray_autojson *v = NULL;
    CU_ASSERT_EQUAL_FATAL(
        parse("{\"state\":{\"Pid\":7},\"NAME\":\"a\",\"Name\":\"b\",\"name\":\"c\","
              "\"com.x.y\":\"dots\",\"n\":null,\"d\":2.0,\"t\":true,\"a\":[1]}",
              &v),
        0);
    CU_ASSERT_EQUAL(dray_json_int(v, "State.Pid", 0), 7);
    CU_ASSERT_EQUAL(dray_json_int(v, "State.Nope", -3), -3);
    CU_ASSERT_EQUAL(dray_json_int(v, "Name.Pid", -3), -3);
    CU_ASSERT_STRING_EQUAL(dray_json_str(v, "Name", ""), "b");
    CU_ASSERT_STRING_EQUAL(dray_json_str(v, "nAMe", ""), "c");
    CU_ASSERT_STRING_EQUAL(dray_json_str(v, "com.x.y", ""), "dots");
    CU_ASSERT_STRING_EQUAL(dray_json_str(v, "n", "def"), "def");
    CU_ASSERT_STRING_EQUAL(dray_json_str(NULL, "n", "def"), "def");
    CU_ASSERT_EQUAL(dray_json_int(v, "d", 0), 2);
    CU_ASSERT_TRUE(dray_json_bool(v, "T", false));
    CU_ASSERT_TRUE(dray_json_bool(v, "Name", true));
    CU_ASSERT_EQUAL(dray_json_len(dray_json_arr(v, "a")), 1);
    CU_ASSERT_PTR_NULL(dray_json_obj(v, "a"));
}

static void last_duplicate_wins(void)
{
    dray_autojson *v = NULL;
    CU_ASSERT_EQUAL_FATAL(parse("{\"a\":1,\"a\":2}", &v), 0);
    CU_ASSERT_EQUAL(dray_json_int(v, "a", 0), 2);
}

static void builds(void)
{
    dray_autojson *o = json_object_new_object();
    dray_json_add_str(o, "a", "x/y");
    dray_json_add_str(o, "b", NULL);
    dray_json_add_int(o, "c", INT64_C(1) << 60);
    dray_json_add_bool(o, "d", true);
    dray_json_addf(o, "e", "%d-%s", 1, "z");
    CU_ASSERT_STRING_EQUAL(dray_json_text(o),
                           "{\"a\":\"x/y\",\"b\":null,"
                           "\"c\":1152921504606846976,\"d\":true,\"e\":\"1-z\"}");
    dray_autojson *copy = dray_json_copy(o);
    CU_ASSERT_STRING_EQUAL(dray_json_text(copy), dray_json_text(o));
    CU_ASSERT_PTR_NULL(dray_json_copy(NULL));
}

static void converts_lists(void)
{
    dray_autojson *v = NULL;
    CU_ASSERT_EQUAL_FATAL(parse("{\"l\":[\"a\",\"b\"],\"m\":{\"k\":\"v\"},\"bad\":[1]}", &v), 0);
    DRAY_AUTO(dray_strlist) l = {0};
    DRAY_AUTO(dray_kvlist) m = {0};
    CU_ASSERT_EQUAL(dray_json_to_strlist(dray_json_get(v, "l"), &l, NULL), 0);
    CU_ASSERT_EQUAL(l.n, 2);
    CU_ASSERT_EQUAL(dray_json_to_kvlist(dray_json_get(v, "m"), &m, NULL), 0);
    CU_ASSERT_STRING_EQUAL(dray_kvlist_get(&m, "k", ""), "v");
    CU_ASSERT_EQUAL(dray_json_to_strlist(dray_json_get(v, "bad"), &l, NULL), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_json_to_kvlist(dray_json_get(v, "bad"), &m, NULL), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_json_to_strlist(NULL, &l, NULL), 0);
    dray_autojson *back = dray_json_strs(&l);
    CU_ASSERT_STRING_EQUAL(dray_json_text(back), "[\"a\",\"b\"]");
    dray_autojson *kv = dray_json_kvs(dray_kvlist_view(&m));
    CU_ASSERT_STRING_EQUAL(dray_json_text(kv), "{\"k\":\"v\"}");
}

static void stores_and_loads(void)
{
    char dir[] = "/tmp/dray-test-json-XXXXXX";
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    dray_autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dray_autojson *v = NULL;
    dray_autojson *w = NULL;
    CU_ASSERT_EQUAL(dray_json_load(fd, "x.json", &w, NULL), DRAY_E_NOTFOUND);
    CU_ASSERT_EQUAL(parse("{\"k\":[1,2]}", &v), 0);
    CU_ASSERT_EQUAL(dray_json_store(fd, "x.json", v, NULL), 0);
    CU_ASSERT_EQUAL(dray_json_load(fd, "x.json", &w, NULL), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_text(w), dray_json_text(v));
    CU_ASSERT_EQUAL(unlinkat(fd, "x.json", 0), 0);
    CU_ASSERT_EQUAL(rmdir(dir), 0); /* nothing temporary is left */
}

static const struct check_case cases[] = {
    {"accepts values", accepts},
    {"refuses malformed text", refuses},
    {"explains in known words", explains},
    {"limits depth", limits_depth},
    {"matches keys as Go does", matches_keys},
    {"last duplicate wins", last_duplicate_wins},
    {"builds", builds},
    {"converts lists", converts_lists},
    {"stores and loads", stores_and_loads},
};
CHECK_MAIN("json", cases)
