/* SPDX-License-Identifier: Apache-2.0 */
/* test_http.c - the HTTP server with a small route table, spoken to in raw bytes. */
#include "api/http.h"
#include "api/server.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "check.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char sock_path[108];
static char dir_path[64];
static struct dray_server *server;
static atomic_int gone_seen, cut_seen;

/* ---- the routes ---- */

static int on_ping(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    (void)err;
    return dray_http_reply_text(h, 200, "text/plain", "OK");
}

static int on_echo(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    struct json_object *body = NULL;
    int rc = dray_http_json(h, &body, err);
    return rc ? rc : dray_http_reply_json(h, 201, body);
}

static int on_name(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    (void)err;
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "name", dray_http_param(h, "name"));
    dray_json_add_str(o, "q", dray_http_query(h, "q"));
    dray_json_add_str(o, "q1", dray_http_query_at(h, "q", 1));
    dray_json_add_bool(o, "flag", dray_http_query_bool(h, "flag", false));
    dray_json_add_int(o, "version", dray_http_version(h));
    return dray_http_reply_json(h, 200, o);
}

static int on_fail(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    int64_t code = 0;
    int rc = dray_http_query_int(h, "code", DRAY_E_NOTFOUND, &code, err);
    return rc ? rc : dray_fail(err, (int)code, "No such thing: x");
}

static int on_count(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    char buf[65536];
    uint64_t total = 0;
    ssize_t n = 0;
    while ((n = read(dray_http_body_fd(h), buf, sizeof buf)) > 0)
        total += (uint64_t)n;
    if (n < 0) {
        cut_seen = errno;
        return dray_fail_errno(err, "read body");
    }
    struct json_object *o = json_object_new_object();
    dray_json_add_int(o, "bytes", (int64_t)total);
    return dray_http_reply_json(h, 200, o);
}

static int on_refuse(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    char buf[1024];
    (void)!read(dray_http_body_fd(h), buf, sizeof buf);
    return dray_fail(err, DRAY_E_CONFLICT, "no more of this");
}

static int on_lines(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    int rc = dray_http_stream(h, 200, "application/json", err);
    for (int i = 0; !rc && i < 3; i++) {
        struct json_object *o = json_object_new_object();
        dray_json_add_int(o, "n", i);
        rc = dray_http_write_json(h, o);
    }
    return rc;
}

static int on_follow(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    int rc = dray_http_stream(h, 200, "text/plain", err);
    struct pollfd p = {.fd = dray_http_cancel_fd(h), .events = POLLIN};
    if (!rc && poll(&p, 1, 10000) == 1)
        gone_seen = 1;
    return rc;
}

/* The socket does not block. */
static bool send_all(int sock, const char *data, size_t n)
{
    while (n > 0) {
        struct pollfd p = {.fd = sock, .events = POLLOUT};
        ssize_t k = poll(&p, 1, 5000) == 1 ? send(sock, data, n, MSG_NOSIGNAL) : -1;
        if (k < 0)
            return false;
        data += k;
        n -= (size_t)k;
    }
    return true;
}

static int on_attach(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    if (dray_http_query(h, "missing"))
        return dray_fail(err, DRAY_E_NOTFOUND, "No such container: x");
    int sock = -1;
    int rc = dray_http_hijack(h, "application/vnd.docker.raw-stream", &sock, err);
    if (rc)
        return rc;
    /* Sends everything back in upper case until the client's end of file, then a last word. */
    for (;;) {
        char buf[4096];
        struct pollfd p = {.fd = sock, .events = POLLIN};
        ssize_t n = poll(&p, 1, 5000) > 0 ? recv(sock, buf, sizeof buf, 0) : 0;
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            buf[i] = (char)(buf[i] >= 'a' && buf[i] <= 'z' ? buf[i] - 32 : buf[i]);
        if (!send_all(sock, buf, (size_t)n))
            break;
    }
    (void)send(sock, "[end]", 5, MSG_NOSIGNAL);
    return 0;
}

static int on_hang(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    (void)err;
    (void)usleep(1500000);
    return dray_http_reply_empty(h, 204);
}

const struct dray_route dray_routes_system[] = {
    {DRAY_GET | DRAY_HEAD, "/_ping", on_ping, 0, 0, 0},
    {DRAY_POST, "/echo", on_echo, 0, 0, 0},
    {DRAY_GET, "/things/{name:*}/json", on_name, 0, 0, 0},
    {DRAY_GET, "/things/{name}", on_name, 0, 0, 0},
    {DRAY_GET, "/fail", on_fail, 0, 0, 0},
    {DRAY_GET, "/new", on_ping, 0, 150, 0},
    {DRAY_POST, "/count", on_count, DRAY_ROUTE_BODY, 0, 0},
    {DRAY_POST, "/refuse", on_refuse, DRAY_ROUTE_BODY, 0, 0},
    {DRAY_GET, "/lines", on_lines, 0, 0, 0},
    {DRAY_GET, "/follow", on_follow, 0, 0, 0},
    {DRAY_GET, "/hang", on_hang, 0, 0, 0},
    {DRAY_POST, "/attach", on_attach, DRAY_ROUTE_HIJACK, 0, 0},
    {0},
};
const struct dray_route dray_routes_containers[] = {{0}};
const struct dray_route dray_routes_execs[] = {{0}};
const struct dray_route dray_routes_images[] = {{0}};
const struct dray_route dray_routes_networks[] = {{0}};
const struct dray_route dray_routes_volumes[] = {{0}};

/* ---- a client ---- */

static int dial(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, sock_path, sizeof sock_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    struct timeval tv = {.tv_sec = 10};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    return fd;
}

static void say(int fd, const char *text)
{
    CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything until the end of the stream, or until `until` has been seen. */
static char *hear(int fd, const char *until)
{
    struct dray_buf b = {0};
    for (;;) {
        char buf[4096];
        if (until && b.data && strstr(b.data, until))
            break;
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n <= 0)
            break;
        dray_buf_add(&b, buf, (size_t)n);
    }
    return b.data ? dray_buf_steal(&b) : strdup("");
}

static char *ask(const char *request, const char *until)
{
    int fd = dial();
    say(fd, request);
    char *answer = hear(fd, until);
    (void)close(fd);
    return answer;
}

static bool has(const char *text, const char *part)
{
    bool found = strstr(text, part) != NULL;
    if (!found)
        printf("\nwanted: %s\ngot: %s\n", part, text);
    return found;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define CHECK_ANSWER(request, part)                                                                \
    do {                                                                                           \
        dray_autofree char *answer_ = ask(request, NULL);                                          \
        CU_ASSERT(has(answer_, part));                                                             \
    } while (0)

/* ---- the tests ---- */

static void test_ping(void)
{
    dray_autofree char *a = ask(GET("/_ping"), NULL);
    CU_ASSERT(has(a, "HTTP/1.1 200 OK\r\n"));
    CU_ASSERT(has(a, "Api-Version: 1.51\r\n"));
    CU_ASSERT(has(a, "Docker-Experimental: false\r\n"));
    CU_ASSERT(has(a, "Ostype: linux\r\n"));
    CU_ASSERT(has(a, "Server: Dray/"));
    CU_ASSERT(has(a, "\r\n\r\nOK"));
}

static void test_head(void)
{
    dray_autofree char *a =
        ask("HEAD /v1.40/_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    CU_ASSERT(has(a, "HTTP/1.1 200 OK\r\n"));
    size_t n = strlen(a);
    CU_ASSERT(n > 4 && strcmp(a + n - 4, "\r\n\r\n") == 0);
    CHECK_ANSWER("HEAD /lines HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404 Not Found");
}

static void test_keep_alive(void)
{
    int fd = dial();
    for (int i = 0; i < 100; i++) {
        say(fd, "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n");
        dray_autofree char *a = hear(fd, "\r\n\r\nOK");
        CU_ASSERT(has(a, "200 OK"));
    }
    say(fd, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    dray_autofree char *b = hear(fd, "page not found");
    CU_ASSERT(has(b, "404 Not Found"));
    say(fd, "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    dray_autofree char *c = hear(fd, "page not found");
    CU_ASSERT(has(c, "404 Not Found"));
    say(fd, "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n");
    dray_autofree char *d = hear(fd, "\r\n\r\nOK");
    CU_ASSERT(has(d, "200 OK"));
    (void)close(fd);
}

static void test_pipelined(void)
{
    dray_autofree char *a =
        ask("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 7\r\n\r\n{\"a\":1}" GET("/things/z"),
            NULL);
    CU_ASSERT(has(a, "OKHTTP/1.1 201 Created"));
    CU_ASSERT(has(a, "{\"a\":1}"));
    CU_ASSERT(has(a, "\"name\":\"z\""));
}

static void test_routes(void)
{
    CHECK_ANSWER(GET("/v1.51/things/a/b%2Fc/json?q=1&q=2+3&flag=1"),
                 "{\"name\":\"a/b/c\",\"q\":\"1\",\"q1\":\"2 3\",\"flag\":true,\"version\":151}");
    CHECK_ANSWER(GET("/v1.24/things/json"), "\"name\":\"json\"");
    CHECK_ANSWER(GET("/v1.41/things/x?flag=false"), "\"flag\":false,\"version\":141");
    CHECK_ANSWER(GET("/things"), "404 Not Found");
    CHECK_ANSWER(GET("/things/"), "\"name\":\"\""); /* its handler tells what is missing */
    CHECK_ANSWER(GET("/"), "{\"message\":\"page not found\"}");
    CHECK_ANSWER("DELETE /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404 Not Found");
    CHECK_ANSWER(GET("/v1.49/new"), "404 Not Found");
    CHECK_ANSWER(GET("/v1.50/new"), "200 OK");
}

static void test_versions(void)
{
    CHECK_ANSWER(GET("/v1.23/_ping"),
                 "client version 1.23 is too old. Minimum supported API version is 1.24, please "
                 "upgrade your client to a newer version");
    CHECK_ANSWER(GET("/v1.23/_ping"), "400 Bad Request");
    CHECK_ANSWER(GET("/v1.99/_ping"),
                 "client version 1.99 is too new. Maximum supported API version is 1.51");
    CHECK_ANSWER(GET("/v2.0/_ping"), "is too new");
    CHECK_ANSWER(GET("/v99999999999999999999.0/_ping"), "is too new");
    CHECK_ANSWER(GET("/v1.x/_ping"), "404 Not Found");
    CHECK_ANSWER(GET("/v1.51"), "404 Not Found");
}

static void test_bad_escapes(void)
{
    CHECK_ANSWER(GET("/things/%zz"), "400 Bad Request");
    CHECK_ANSWER(GET("/things/%4"), "invalid URL escape");
    CHECK_ANSWER(GET("/things/%"), "400 Bad Request");
    CHECK_ANSWER(GET("/things/a%00b"), "400 Bad Request");
    CHECK_ANSWER(GET("/things/a?q=%"), "400 Bad Request");
    CHECK_ANSWER(GET("/things/a?q=%00"), "400 Bad Request");
    CHECK_ANSWER(GET("/things/%2e%2E"), "\"name\":\"..\"");
}

static void test_errors(void)
{
    CHECK_ANSWER(GET("/fail"), "404 Not Found");
    CHECK_ANSWER(GET("/fail"), "{\"message\":\"No such thing: x\"}");
    CHECK_ANSWER(GET("/fail?code=-3"), "409 Conflict");
    CHECK_ANSWER(GET("/fail?code=-6"), "501 Not Implemented");
    CHECK_ANSWER(GET("/fail?code=-7"), "500 Internal Server Error");
    CHECK_ANSWER(GET("/fail?code=abc"), "400 Bad Request");
    dray_autofree char *a = ask(GET("/fail?code=-13"), NULL);
    CU_ASSERT(has(a, "304 Not Modified"));
    CU_ASSERT(strstr(a, "message") == NULL);
}

static void test_json_bodies(void)
{
#define POST_JSON(type, n, body)                                                                   \
    "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" type "Content-Length: " n            \
    "\r\n\r\n" body
    CHECK_ANSWER(POST_JSON("Content-Type: application/json; charset=utf-8\r\n", "2", "[]"), "201");
    CHECK_ANSWER(POST_JSON("Content-Type: text/plain\r\n", "2", "[]"),
                 "unsupported Content-Type header (text/plain): must be 'application/json'");
    CHECK_ANSWER(POST_JSON("", "2", "[]"), "400 Bad Request");
    CHECK_ANSWER(POST_JSON("Content-Type: application/json\r\n", "2", "[}"), "400 Bad Request");
    CHECK_ANSWER(POST_JSON("Content-Type: application/json\r\n", "4", "[] 1"), "400 Bad Request");
    CHECK_ANSWER(POST_JSON("", "0", ""), "201 Created");
    CHECK_ANSWER("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: "
                 "application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n",
                 "{\"a\":1}");
}

static void test_body_limit(void)
{
    int fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 36700160\r\n\r\n");
    char block[65536];
    memset(block, ' ', sizeof block);
    for (int i = 0; i < 560; i++)
        CU_ASSERT_EQUAL_FATAL(send(fd, block, sizeof block, MSG_NOSIGNAL), sizeof block);
    dray_autofree char *a = hear(fd, "}");
    CU_ASSERT(has(a, "HTTP/1.1 413"));
    (void)close(fd);
}

static void test_upload(void)
{
    CHECK_ANSWER("POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
                 "{\"bytes\":11}");
    CHECK_ANSWER("POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "{\"bytes\":0}");
    int fd = dial();
    say(fd, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n");
    static char block[1 << 20];
    for (int i = 0; i < 100; i++)
        for (size_t at = 0; at < sizeof block;)
            at += (size_t)send(fd, block + at, sizeof block - at, MSG_NOSIGNAL);
    dray_autofree char *a = hear(fd, "}");
    CU_ASSERT(has(a, "{\"bytes\":104857600}"));
    say(fd, GET("/_ping"));
    dray_autofree char *b = hear(fd, NULL);
    CU_ASSERT(has(b, "200 OK"));
    (void)close(fd);
}

static void test_expect_continue(void)
{
    int fd = dial();
    say(fd, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    dray_autofree char *a = hear(fd, "\r\n\r\n");
    CU_ASSERT(has(a, "HTTP/1.1 100 Continue\r\n"));
    say(fd, "abcd");
    dray_autofree char *b = hear(fd, "}");
    CU_ASSERT(has(b, "{\"bytes\":4}"));
    (void)close(fd);
    dray_autofree char *c = ask("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                                "Expect: 100-continue\r\n\r\n",
                                "not found");
    CU_ASSERT(has(c, "404 Not Found"));
    CU_ASSERT(strstr(c, "100 Continue") == NULL);
}

static void test_early_answer(void)
{
    int fd = dial();
    say(fd, "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n");
    static char block[1 << 16];
    size_t sent = 0;
    while (sent < 50000000) {
        size_t n = 50000000 - sent < sizeof block ? 50000000 - sent : sizeof block;
        ssize_t k = send(fd, block, n, MSG_NOSIGNAL);
        if (k <= 0)
            break;
        sent += (size_t)k;
    }
    CU_ASSERT_EQUAL(sent, 50000000);
    dray_autofree char *a = hear(fd, NULL);
    CU_ASSERT(has(a, "409 Conflict"));
    CU_ASSERT(has(a, "no more of this"));
    CU_ASSERT(has(a, "Connection: close"));
    (void)close(fd);
}

static void test_cut_upload(void)
{
    cut_seen = 0;
    int fd = dial();
    say(fd, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart");
    (void)usleep(50000);
    (void)close(fd);
    for (int i = 0; i < 200 && !cut_seen; i++)
        (void)usleep(10000);
    CU_ASSERT_EQUAL(cut_seen, ECONNRESET);
}

static void test_stream(void)
{
    dray_autofree char *a = ask("GET /lines HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    CU_ASSERT(has(a, "Transfer-Encoding: chunked\r\n"));
    CU_ASSERT(has(
        a, "\r\n\r\n9\r\n{\"n\":0}\r\n\r\n9\r\n{\"n\":1}\r\n\r\n9\r\n{\"n\":2}\r\n\r\n0\r\n\r\n"));
    dray_autofree char *b = ask("GET /lines HTTP/1.0\r\n\r\n", NULL);
    CU_ASSERT(has(b, "\r\n\r\n{\"n\":0}\r\n{\"n\":1}\r\n{\"n\":2}\r\n"));
}

static void test_client_gone(void)
{
    gone_seen = 0;
    int fd = dial();
    say(fd, "GET /follow HTTP/1.1\r\nHost: x\r\n\r\n");
    dray_autofree char *a = hear(fd, "\r\n\r\n");
    CU_ASSERT(has(a, "200 OK"));
    (void)usleep(50000);
    CU_ASSERT_EQUAL(gone_seen, 0);
    int64_t start = dray_clock_mono();
    (void)close(fd);
    for (int i = 0; i < 300 && !gone_seen; i++)
        (void)usleep(10000);
    CU_ASSERT_EQUAL(gone_seen, 1);
    CU_ASSERT(dray_clock_mono() - start < DRAY_NS_PER_S);
}

static void hijack_with(const char *request, const char *head)
{
    int fd = dial();
    say(fd, request);
    dray_autofree char *a = hear(fd, "\r\n\r\n");
    CU_ASSERT(has(a, head));
    say(fd, "more");
    (void)shutdown(fd, SHUT_WR);
    dray_autofree char *b = hear(fd, NULL);
    dray_autofree char *all = dray_strf("%s%s", a, b);
    CU_ASSERT(has(all, strstr(request, "early") ? "\r\n\r\nEARLYMORE[end]" : "\r\n\r\nMORE[end]"));
    (void)close(fd);
}

static void test_hijack(void)
{
#define UPGRADE "Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
#define RAW "Content-Type: application/vnd.docker.raw-stream\r\n"
    hijack_with("POST /attach HTTP/1.1\r\n" UPGRADE "\r\n",
                "HTTP/1.1 101 UPGRADED\r\n" RAW "Connection: Upgrade\r\nUpgrade: tcp\r\n");
    hijack_with("POST /attach HTTP/1.1\r\n" UPGRADE "Content-Length: 0\r\n\r\nearly",
                "101 UPGRADED");
    hijack_with("POST /attach HTTP/1.1\r\n" UPGRADE
                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}early",
                "101 UPGRADED");
    hijack_with("POST /attach HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n" RAW);
    hijack_with("POST /attach HTTP/1.1\r\nHost: x\r\n\r\nearly", "200 OK");
    hijack_with("POST /attach HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
                "2\r\n\r\n{}early",
                "200 OK");
    hijack_with("POST /attach HTTP/1.0\r\n\r\n", "200 OK");
    CHECK_ANSWER("POST /attach?missing=1 HTTP/1.1\r\n" UPGRADE "\r\n",
                 "{\"message\":\"No such container: x\"}");
}

static void test_hijack_bulk(void)
{
    int fd = dial();
    say(fd, "POST /attach HTTP/1.1\r\n" UPGRADE "\r\nearly");
    static char block[1 << 16];
    memset(block, 'a', sizeof block);
    size_t sent = 5, got = 0, total = 8u << 20;
    bool in_head = true;
    while (got < total) {
        struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (sent < total ? POLLOUT : 0))};
        CU_ASSERT_FATAL(poll(&p, 1, 5000) > 0);
        if ((p.revents & POLLOUT) && sent < total) {
            size_t n = total - sent < sizeof block ? total - sent : sizeof block;
            ssize_t k = send(fd, block, n, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += k > 0 ? (size_t)k : 0;
        }
        if (p.revents & POLLIN) {
            static char in[1 << 16];
            ssize_t k = recv(fd, in, sizeof in - 1, 0);
            CU_ASSERT_FATAL(k > 0);
            in[k] = '\0';
            char *end = in_head ? strstr(in, "\r\n\r\n") : NULL;
            got += (size_t)k - (end ? (size_t)(end + 4 - in) : 0);
            in_head = false;
        }
    }
    CU_ASSERT_EQUAL(got, total);
    (void)close(fd);
}

static void test_large_head(void)
{
    struct dray_buf b = {0};
    dray_buf_adds(&b, "GET /things/x?q=");
    for (int i = 0; i < 20000; i++)
        dray_buf_addc(&b, 'y');
    dray_buf_adds(&b, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Registry-Config: ");
    for (int i = 0; i < 20000; i++)
        dray_buf_addc(&b, 'z');
    dray_buf_adds(&b, "\r\n\r\n");
    dray_autofree char *a = ask(b.data, NULL);
    CU_ASSERT(has(a, "200 OK"));
    dray_buf_reset(&b);
    dray_buf_adds(&b, "GET /_ping HTTP/1.1\r\nHost: x\r\nX-Big: ");
    for (int i = 0; i < 1000000; i++)
        dray_buf_addc(&b, 'z');
    int fd = dial();
    (void)send(fd, b.data, b.len, MSG_NOSIGNAL);
    dray_autofree char *c = hear(fd, NULL);
    CU_ASSERT(c[0] == '\0' || strstr(c, "HTTP/1.1 4") == c);
    (void)close(fd);
    dray_buf_free(&b);
    CHECK_ANSWER(GET("/_ping"), "200 OK");
}

static void test_garbage(void)
{
    static const char *const bad[] = {
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "GET /things/a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = dial();
        (void)send(fd, bad[i], strlen(bad[i]), MSG_NOSIGNAL);
        (void)shutdown(fd, SHUT_WR);
        dray_autofree char *a = hear(fd, NULL);
        CU_ASSERT(strstr(a, " 200 ") == NULL);
        (void)close(fd);
    }
    int fd = dial();
    static const char nul[] = "GET /things/a\0b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    (void)send(fd, nul, sizeof nul - 1, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    dray_autofree char *a = hear(fd, NULL);
    CU_ASSERT(strstr(a, "\"name\":\"a\"") != NULL || strstr(a, "HTTP/1.1 4") == a);
    (void)close(fd);
    CHECK_ANSWER(GET("/_ping"), "200 OK");
}

static void test_hung_handler(void)
{
    int slow = dial();
    say(slow, GET("/hang"));
    int64_t start = dray_clock_mono();
    for (int i = 0; i < 20; i++)
        CHECK_ANSWER(GET("/_ping"), "200 OK");
    CU_ASSERT(dray_clock_mono() - start < DRAY_NS_PER_S);
    dray_autofree char *a = hear(slow, NULL);
    CU_ASSERT(has(a, "204 No Content"));
    (void)close(slow);
}

static void test_speed(void)
{
    int fd = dial();
    static const char request[] = "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n";
    char buf[1024];
    int64_t start = dray_clock_mono();
    int n = 20000;
    for (int i = 0; i < n; i++) {
        (void)!write(fd, request, sizeof request - 1);
        CU_ASSERT_FATAL(recv(fd, buf, sizeof buf, 0) > 0);
    }
    double s = (double)(dray_clock_mono() - start) / 1e9;
    printf("(%.0f requests/s on one connection) ", n / s);
    CU_ASSERT(n / s > 1000);
    (void)close(fd);
}

static int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    return n;
}

static int fds_before;

static void test_no_descriptors_left(void)
{
    for (int i = 0; i < 300 && open_fds() > fds_before; i++)
        (void)usleep(10000);
    CU_ASSERT_EQUAL(open_fds(), fds_before);
}

static void test_second_server(void)
{
    struct dray_listen l = {.host = dray_strf("unix://%s", sock_path)};
    struct dray_server *s = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_server_open(NULL, &l, 1, &s, &err), DRAY_E_CONFLICT);
    CU_ASSERT(has(err.text, "another daemon answers there"));
    free((void *)(uintptr_t)l.host);
    CHECK_ANSWER(GET("/_ping"), "200 OK");
}

static void test_socket_mode(void)
{
    struct stat st;
    CU_ASSERT_EQUAL_FATAL(lstat(sock_path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
}

static void test_stop(void)
{
    gone_seen = 0;
    int fd = dial();
    say(fd, "GET /follow HTTP/1.1\r\nHost: x\r\n\r\n");
    dray_autofree char *a = hear(fd, "\r\n\r\n");
    CU_ASSERT(has(a, "200 OK"));
    int64_t start = dray_clock_mono();
    CU_ASSERT(dray_server_close(server, 5000));
    CU_ASSERT(dray_clock_mono() - start < 3 * DRAY_NS_PER_S);
    CU_ASSERT_EQUAL(gone_seen, 1);
    dray_autofree char *b = hear(fd, NULL);
    CU_ASSERT(has(b, "0\r\n\r\n"));
    (void)close(fd);
    CU_ASSERT(access(sock_path, F_OK) != 0);
}

static const struct check_case cases[] = {
    {"ping has the headers that clients negotiate by", test_ping},
    {"HEAD has no body", test_head},
    {"the socket is for root and the group", test_socket_mode},
    {"a connection serves many requests, also after errors", test_keep_alive},
    {"pipelined requests are answered in order", test_pipelined},
    {"routes, parameters, queries", test_routes},
    {"API versions", test_versions},
    {"bad escapes are refused", test_bad_escapes},
    {"errors have Docker's shape", test_errors},
    {"JSON bodies", test_json_bodies},
    {"JSON bodies are limited", test_body_limit},
    {"streamed bodies", test_upload},
    {"Expect: 100-continue", test_expect_continue},
    {"a handler may answer before the body ends", test_early_answer},
    {"a body cut short is an error, not an end", test_cut_upload},
    {"streams are chunked", test_stream},
    {"a client that goes is noticed", test_client_gone},
    {"hijack loses no byte", test_hijack},
    {"hijack with much data both ways", test_hijack_bulk},
    {"large heads", test_large_head},
    {"garbage", test_garbage},
    {"a hung handler holds up nobody", test_hung_handler},
    {"requests a second", test_speed},
    {"a second server is refused", test_second_server},
    {"nothing is left open", test_no_descriptors_left},
    {"a stop ends streams in good order", test_stop},
};

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    (void)snprintf(dir_path, sizeof dir_path, "/tmp/dray-http-XXXXXX");
    if (!mkdtemp(dir_path))
        return 2;
    (void)snprintf(sock_path, sizeof sock_path, "%s/s", dir_path);
    char host[200];
    (void)snprintf(host, sizeof host, "unix://%s", sock_path);
    struct dray_listen l = {.host = host};
    struct dray_err err = {0};
    if (dray_server_open(NULL, &l, 1, &server, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    fds_before = open_fds();
    int rc = check_main("http", cases, sizeof cases / sizeof cases[0]);
    (void)rmdir(dir_path);
    return rc;
}
