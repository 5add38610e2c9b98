/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_http.c - replies as servers send them, whole and in pieces. */
#include "client/http.h"

#include "check.h"

#include <sys/socket.h>

/* A connection whose other end has said `text` and, if asked, closed. */
static struct http_conn *said(const char *text, bool close_it, int *peer)
{
    int pair[2];
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    struct http_conn *c = calloc(1, sizeof *c);
    c->in = malloc(HTTP_IN_SIZE);
    c->fd = pair[0];
    c->host_header = "x";
    CU_ASSERT_EQUAL(write(pair[1], text, strlen(text)), (ssize_t)strlen(text));
    if (close_it) {
        (void)close(pair[1]);
        pair[1] = -1;
    }
    *peer = pair[1];
    return c;
}

static void expect_body(const char *text, bool close_it, int status, const char *want, bool keep)
{
    int peer = -1;
    struct http_conn *c = said(text, close_it, &peer);
    struct dray_err err = {0};
    DRAY_AUTO(dray_buf) body = {0};
    CU_ASSERT_EQUAL(http_reply(c, &err), 0);
    CU_ASSERT_EQUAL(c->status, status);
    int rc = http_read_all(c, &body, 1 << 20, &err);
    CU_ASSERT_EQUAL(rc == 0, want != NULL);
    if (want)
        CU_ASSERT_STRING_EQUAL(body.data ? body.data : "", want);
    CU_ASSERT_EQUAL(http_reusable(c), keep);
    http_close(c);
    if (peer >= 0)
        (void)close(peer);
}

static void bodies(void)
{
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, 200, "hello", true);
    expect_body("HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", true);
    expect_body("HTTP/1.1 304 Not Modified\r\n\r\n", false, 304, "", true);
    expect_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n"
                "0123456789\r\n0\r\nTrailer: x\r\n\r\n",
                false, 200, "abc0123456789", true);
    expect_body("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", false, 200,
                "x", false);
    expect_body("HTTP/1.1 200 OK\r\n\r\nuntil the end", true, 200, "until the end", false);
    expect_body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                false, 404, "", true);
}

static void broken(void)
{
    expect_body("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", true, 200, NULL, false);
    expect_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true, 200, NULL,
                false);
    expect_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", true, 200, NULL,
                false);
    int peer = -1;
    struct dray_err err = {0};
    struct http_conn *c = said("", true, &peer);
    CU_ASSERT_NOT_EQUAL(http_reply(c, &err), 0);
    http_close(c);
    static const char *const heads[] = {"SSH-2.0-x\r\n", "HTTP/1.1 -2 x\r\n\r\n",
                                        "HTTP/1.0 99 x\r\n\r\n"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        c = said(heads[i], true, &peer);
        CU_ASSERT_NOT_EQUAL(http_reply(c, &err), 0);
        http_close(c);
    }
    c = said("HTTP/1.1 99999999999999999999 x\r\n\r\n", true, &peer);
    CU_ASSERT_EQUAL(http_reply(c, &err), 0);
    CU_ASSERT_EQUAL(c->status, 999);
    http_close(c);
}

static void headers(void)
{
    int peer = -1;
    char v[64] = "";
    struct dray_err err = {0};
    struct http_conn *c =
        said("HTTP/1.1 101 UPGRADED\r\nApi-Version: 1.51\r\nContent-Type:  a/b \r\n\r\nraw", false,
             &peer);
    CU_ASSERT_EQUAL(http_reply(c, &err), 0);
    CU_ASSERT_TRUE(http_header(c, "api-version", v, sizeof v));
    CU_ASSERT_STRING_EQUAL(v, "1.51");
    CU_ASSERT_FALSE(http_header(c, "nope", v, sizeof v));
    CU_ASSERT_TRUE(http_raw_pending(c)); /* bytes that came with the head are not lost */
    char raw[8] = "";
    CU_ASSERT_EQUAL(http_raw_read(c, raw, sizeof raw), 3);
    CU_ASSERT_STRING_EQUAL(raw, "raw");
    http_close(c);
    (void)close(peer);
}

static void requests(void)
{
    int peer = -1;
    char got[512] = "";
    struct dray_err err = {0};
    struct http_conn *c = said("", false, &peer);
    CU_ASSERT_EQUAL(http_send(c, "POST", "/x", NULL, "{}", 2, &err), 0);
    CU_ASSERT_TRUE(read(peer, got, sizeof got - 1) > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "POST /x HTTP/1.1\r\nHost: x\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "Content-Length: 2\r\n\r\n{}"));
    memset(got, 0, sizeof got);
    CU_ASSERT_EQUAL(http_send_chunk(c, "hello", 5, &err), 0);
    CU_ASSERT_EQUAL(http_send_chunk(c, NULL, 0, &err), 0);
    CU_ASSERT_TRUE(read(peer, got, sizeof got - 1) > 0);
    CU_ASSERT_STRING_EQUAL(got, "5\r\nhello\r\n0\r\n\r\n");
    http_close(c);
    (void)close(peer);
    DRAY_AUTO(dray_buf) b = {0};
    http_escape(&b, "a b/\xc3\xa4?");
    CU_ASSERT_STRING_EQUAL(b.data, "a%20b%2F%C3%A4%3F");
}

static const struct check_case cases[] = {
    {"bodies", bodies}, {"broken", broken}, {"headers", headers}, {"requests", requests}};
CHECK_MAIN("client http", cases)
