/* SPDX-License-Identifier: Apache-2.0 */
/* test_log_json_file.c - the driver "json-file": format, rotation, queries. */
#define DRIVER "json-file"
#define FILE_NAME ID "-json.log"
#include "log_cases.h"

/* Writing. */

static void test_format(void)
{
    BENCH(b);
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "hello");
    put_at(&b, T0 - 123456789, DRAY_LOG_STDERR, "a\"b\\c\td\re<f>&g\x7f\x01");
    put_at(
        &b, T0 - 456789, DRAY_LOG_STDOUT,
        "ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 sep \xe2\x80\xa8\xe2\x80\xa9 bad \xff\xc0\xaf "
        "\xed\xa0\x80 cut \xe2\x82");
    struct dray_log_record piece = record(T0, DRAY_LOG_STDOUT, "piece");
    piece.flags = DRAY_LOG_PARTIAL;
    CU_ASSERT_EQUAL(dray_driver_call(b.log, log, DRAY_CLASS_DATA, NULL, write, ID, &piece, 1), 0);
    dray_autofree char *text = contents(&b, "");
    CU_ASSERT_STRING_EQUAL(
        text,
        "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:00.123456789Z\"}\n"
        "{\"log\":\"a\\\"b\\\\c\\u0009d\\re\\u003cf\\u003e\\u0026g\x7f\\u0001\\n\","
        "\"stream\":\"stderr\",\"time\":\"2024-01-01T00:00:00Z\"}\n"
        "{\"log\":\"ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 sep \\u2028\\u2029 bad "
        "\\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\\ufffd cut \\ufffd\\ufffd\\n\",\"stream\":"
        "\"stdout\",\"time\":\"2024-01-01T00:00:00.123Z\"}\n"
        "{\"log\":\"piece\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:00.123456789Z\"}\n");
    struct stat st;
    CU_ASSERT_EQUAL(stat(b.file, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0640);
    says(&b, 0, -1,
         "o:hello|e:a\"b\\c\td\re<f>&g\x7f\x01|o:ok \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 sep "
         "\xe2\x80\xa8\xe2\x80\xa9 bad \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd cut \xef\xbf\xbd\xef\xbf\xbd|o:piece+|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void test_attrs(void)
{
    BENCH(b);
    struct dray_kv labels[] = {{"team", "a b"}, {"app.x", "1"}, {"other", "no"}};
    struct dray_kv env[] = {{"PATH", "/bin"}, {"MODE", "x,y"}};
    b.info.labels = (struct dray_kvs){labels, 3};
    b.info.env = (struct dray_kvs){env, 2};
    option(&b, "labels", "team,absent");
    option(&b, "labels-regex", "^app\\.");
    option(&b, "env", "MODE");
    option(&b, "tag", "{{.Name}}/{{ .ImageID }}/{{.ID}}");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put(&b, "x");
    dray_autofree char *text = contents(&b, "");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\"stream\":\"stdout\",\"attrs\":{\"MODE\":\"x,y\",\"app.x\":\"1\",\"tag\":"
                     "\"box/0123456789ab/c0ffee\",\"team\":\"a b\"},\"time\":"));
    says(&b, 0, -1, "{MODE=x%2Cy,app.x=1,tag=box%2F0123456789ab%2Fc0ffee,team=a+b}o:x|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static void test_options(void)
{
    static const struct {
        const char *key, *value, *text;
    } bad[] = {
        {"max-size", "huge", "invalid size"},
        {"max-size", "0", "max-size must be a positive number"},
        {"max-file", "0", "max-file cannot be less than 1"},
        {"compress", "perhaps", "strconv.ParseBool: parsing \"perhaps\": invalid syntax"},
        {"labels-regex", "(", "error parsing regexp: missing closing ): `(`"},
        {"tag", "{{.Nope}}", "tag"},
        {"colour", "red", "unknown log opt 'colour' for json-file log driver"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        BENCH(b);
        option(&b, bad[i].key, bad[i].value);
        CU_ASSERT_EQUAL(
            dray_driver_call(b.log, log, DRAY_CLASS_QUICK, &b.err, validate, b.info.options),
            DRAY_E_INVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(b.err.text, bad[i].text));
        CU_ASSERT_EQUAL(log_open(&b), DRAY_E_INVAL);
    }
    BENCH(b);
    option(&b, "max-size", "1g");
    option(&b, "max-file", "7");
    option(&b, "compress", "true");
    CU_ASSERT_EQUAL(
        dray_driver_call(b.log, log, DRAY_CLASS_QUICK, &b.err, validate, b.info.options), 0);
}

static void test_foreign(void)
{
    BENCH(b);
    spoil(&b, "{ \"time\": \"2024-01-01T02:00:01.5+02:00\", \"x\": [1,{\"y\":\"}\"}], \"stream\": "
              "\"stderr\", \"log\": \"tab\\there \\ud83d\\ude00 \\/\\n\" }\n"
              "rubbish\n"
              "{\"log\":\"no time\\n\",\"stream\":\"stdout\"}\n"
              "{\"log\":\"ok\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-01T00:00:02Z\"}\n"
              "\n"
              "{\"log\":\"torn");
    says(&b, 0, -1, "e:tab\there \xf0\x9f\x98\x80 /|o:ok|");
    says(&b, 0, 1, "o:ok|");
    says(&b, 0, 2, "e:tab\there \xf0\x9f\x98\x80 /|o:ok|");
    CU_ASSERT_EQUAL(log_open(&b), 0);
    put_at(&b, T0 + 10 * DRAY_NS_PER_S, DRAY_LOG_STDOUT, "after the crash");
    says(&b, 0, 2, "o:ok|o:after the crash|");
    CU_ASSERT_EQUAL(log_close(&b), 0);
}

static const struct check_case cases[] = {
    {"format", test_format},
    {"attributes", test_attrs},
    {"options", test_options},
    {"foreign and damaged lines", test_foreign},
    LOG_CASES,
};

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return check_main("log-json-file", cases, sizeof cases / sizeof cases[0]);
}
