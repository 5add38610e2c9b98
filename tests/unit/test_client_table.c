/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_table.c - columns, JSON layout, ports of a list, progress bars, detach keys. */
#include "client/tmpl/table.h"

#include "base/json.h"
#include "check.h"
#include "client/cmd/rows.h"
#include "client/config.h"
#include "client/progress.h"
#include "client/stream.h"

static void expect_aligned(const char *text, const char *want)
{
    char *got = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&got, &n);
    table_align(f, text, 10, 3);
    (void)fclose(f);
    CU_ASSERT_STRING_EQUAL(got, want);
    free(got);
}

static void aligned(void)
{
    expect_aligned("A\tB\nlonger text\tx\n", "A             B\nlonger text   x\n");
    expect_aligned("A\tB\tC\n\xc3\xa4\xc3\xb6\ty\tz\n",
                   "A         B         C\n\xc3\xa4\xc3\xb6        y         z\n");
    expect_aligned("none\n", "none\n");
    /* a line without the cell ends the column's run */
    expect_aligned("aaaaaaaaaaaa\tx\nplain\nb\ty\n", "aaaaaaaaaaaa   x\nplain\nb         y\n");
}

static void indented(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    table_indent(&b, "{\"a\":[1,\"x:{,}\\\"\"],\"b\":{},\"c\":[]}", 4);
    CU_ASSERT_STRING_EQUAL(b.data, "{\n    \"a\": [\n        1,\n        \"x:{,}\\\"\"\n    ],\n"
                                   "    \"b\": {},\n    \"c\": []\n}");
}

static void expect_ports(const char *json, const char *want)
{
    dray_autojson *list = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(json, strlen(json), &list, NULL), 0);
    dray_autofree char *got = rows_ports(list);
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void ports(void)
{
    expect_ports("[]", "");
    expect_ports("[{\"PrivatePort\":80,\"Type\":\"tcp\"}]", "80/tcp");
    expect_ports("[{\"PrivatePort\":81,\"Type\":\"tcp\"},{\"PrivatePort\":80,\"Type\":\"tcp\"},"
                 "{\"PrivatePort\":53,\"Type\":\"udp\"}]",
                 "53/udp, 80-81/tcp");
    expect_ports("[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
                 "{\"IP\":\"::\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"}]",
                 "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
    expect_ports("[{\"IP\":\"1.2.3.4\",\"PrivatePort\":90,\"PublicPort\":90,\"Type\":\"tcp\"},"
                 "{\"IP\":\"1.2.3.4\",\"PrivatePort\":91,\"PublicPort\":91,\"Type\":\"tcp\"}]",
                 "1.2.3.4:90-91->90-91/tcp");
}

static void bars(void)
{
    dray_autofree char *half = progress_bar(500000, 1000000, 120);
    CU_ASSERT_STRING_EQUAL(half, "[=========================>                         ]    "
                                 "500kB/1MB");
    dray_autofree char *narrow = progress_bar(500000, 1000000, 80);
    CU_ASSERT_STRING_EQUAL(narrow, "   500kB/1MB");
    dray_autofree char *none = progress_bar(0, 0, 120);
    CU_ASSERT_STRING_EQUAL(none, "");
    dray_autofree char *open = progress_bar(1000, 0, 120);
    CU_ASSERT_STRING_EQUAL(open, "     1kB");
}

static void detach_keys(void)
{
    char keys[16];
    size_t n = 0;
    CU_ASSERT_TRUE(stream_parse_keys("ctrl-p,ctrl-q", keys, &n));
    CU_ASSERT_EQUAL(n, 2);
    CU_ASSERT_EQUAL(keys[0], 0x10);
    CU_ASSERT_EQUAL(keys[1], 0x11);
    CU_ASSERT_TRUE(stream_parse_keys("a,ctrl-[,ctrl-@", keys, &n));
    CU_ASSERT_EQUAL(keys[0], 'a');
    CU_ASSERT_EQUAL(keys[1], 27);
    CU_ASSERT_EQUAL(keys[2], 0);
    CU_ASSERT_FALSE(stream_parse_keys("ctrl-!", keys, &n));
    CU_ASSERT_FALSE(stream_parse_keys("ab", keys, &n));
}

static void base64(void)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"user:pass?", "dXNlcjpwYXNzPw=="}};
    for (size_t i = 0; i < 5; i++) {
        DRAY_AUTO(dray_buf) b = {0};
        DRAY_AUTO(dray_buf) back = {0};
        config_base64(&b, pairs[i][0], strlen(pairs[i][0]), false);
        CU_ASSERT_STRING_EQUAL(b.data ? b.data : "", pairs[i][1]);
        CU_ASSERT_TRUE(config_unbase64(&back, pairs[i][1]));
        CU_ASSERT_STRING_EQUAL(back.data ? back.data : "", pairs[i][0]);
    }
    static const char *const images[][2] = {{"busybox", "docker.io"},
                                            {"a/b", "docker.io"},
                                            {"localhost/b", "localhost"},
                                            {"h:5000/b:1", "h:5000"},
                                            {"ghcr.io/a/b", "ghcr.io"}};
    for (size_t i = 0; i < 5; i++) {
        dray_autofree char *r = config_registry_of(images[i][0]);
        CU_ASSERT_STRING_EQUAL(r, images[i][1]);
    }
}

static const struct check_case cases[] = {
    {"aligned", aligned}, {"indented", indented},       {"ports", ports},
    {"bars", bars},       {"detach keys", detach_keys}, {"base64", base64},
};
CHECK_MAIN("client tables", cases)
