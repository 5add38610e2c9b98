/* SPDX-License-Identifier: Apache-2.0 */
/* reply.c - answers: stored ones that MHD sends, and those written to the socket by ourselves. */
#include "api/http_priv.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <dray/pathmatch.h>

#include <fcntl.h>
#include <poll.h>
#include <strings.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#ifndef DRAY_VERSION
#define DRAY_VERSION "0.0.0"
#endif

#define SEND_STALL_MS 600000 /* a client that reads nothing for so long is taken for gone */
#define LINGER_MS 1000
#define HEAD_STEP_NS 50000     /* how often the head of a hijack is looked after, */
#define HEAD_STEPS 200         /* how often at most, */
#define HEAD_MOMENT_NS 3000000 /* and how long where nothing tells */

static const struct {
    int code, status;
} statuses[] = {
    {DRAY_E_INVAL, 400},  {DRAY_E_NOTFOUND, 404}, {DRAY_E_CONFLICT, 409},
    {DRAY_E_DENIED, 403}, {DRAY_E_UNAUTH, 401},   {DRAY_E_NOTSUP, 501},
    {DRAY_E_BUSY, 409},   {DRAY_E_UNAVAIL, 503},  {DRAY_E_NOTMODIFIED, 304},
    {DRAY_E_NOEXEC, 400}, {DRAY_E_NOCMD, 400},    {DRAY_E_LIMIT, 413},
    {DRAY_E_AGAIN, 429},
};

int dray_http_status(int code)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].code == code)
            return statuses[i].status;
    return 500;
}

void dray_http_header(struct dray_http *h, const char *name, const char *value)
{
    (void)dray_kvlist_set(&h->headers, name, value);
}

static int store(struct dray_http *h, int status, const char *content_type, char *text /* takes */,
                 size_t len)
{
    if (h->state != DRAY_HTTP_OPEN) {
        free(text);
        return DRAY_E_INTERNAL;
    }
    h->state = DRAY_HTTP_REPLIED;
    h->status = status;
    h->content_type = content_type;
    h->text = text;
    h->text_len = len;
    return 0;
}

int dray_http_reply_json(struct dray_http *h, int status, struct json_object *value)
{
    dray_autojson *held = value;
    const char *text = dray_json_text(held);
    char *copy = dray_strf("%s\n", text ? text : "null");
    if (!copy)
        return DRAY_E_NOMEM;
    return store(h, status, "application/json", copy, strlen(copy));
}

int dray_http_reply_json_text(struct dray_http *h, int status, char *text)
{
    return store(h, status, "application/json", text, text ? strlen(text) : 0);
}

int dray_http_reply_text(struct dray_http *h, int status, const char *content_type,
                         const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return DRAY_E_NOMEM;
    return store(h, status, content_type, copy, strlen(copy));
}

int dray_http_reply_bytes(struct dray_http *h, int status, const char *content_type,
                          const void *data, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return DRAY_E_NOMEM;
    if (len)
        memcpy(copy, data, len);
    copy[len] = '\0';
    return store(h, status, content_type, copy, len);
}

int dray_http_reply_empty(struct dray_http *h, int status)
{
    return store(h, status, NULL, NULL, 0);
}

/* The text as a JSON string. What is not UTF-8 (a client's own bytes, a character cut by the length
 * of an error) becomes U+FFFD, as Go's encoder has it. */
static struct json_object *string_of(const char *text)
{
    DRAY_AUTO(dray_buf) out = {0};
    const char *end = text + strlen(text);
    while (text < end) {
        uint32_t rune = 0;
        size_t n = dray_glob_rune(text, end, &rune);
        if (n == 1 && rune == 0xfffd)
            dray_buf_adds(&out, "\xef\xbf\xbd");
        else
            dray_buf_add(&out, text, n);
        text += n;
    }
    return json_object_new_string_len(out.data ? out.data : "", (int)out.len);
}

void dray_reply_error(struct dray_http *h, int rc, const struct dray_err *err)
{
    if (h->state != DRAY_HTTP_OPEN)
        return;
    if (rc == DRAY_E_NOTMODIFIED) {
        (void)dray_http_reply_empty(h, 304);
        return;
    }
    const char *text = err && err->code && err->text[0] ? err->text : "internal error";
    if (h->plain_errors) {
        dray_autofree char *line = dray_strf("%s\n", text);
        (void)dray_http_reply_text(h, dray_http_status(rc), "text/plain; charset=utf-8",
                                   line ? line : text);
        return;
    }
    struct json_object *obj = json_object_new_object();
    dray_json_add(obj, "message", string_of(text));
    if (!obj || dray_http_reply_json(h, dray_http_status(rc), obj) != 0)
        (void)dray_http_reply_empty(h, 500);
}

void dray_reply_replace(struct dray_http *h, int rc, const struct dray_err *err)
{
    free(h->text);
    h->text = NULL;
    h->text_len = 0;
    dray_kvlist_free(&h->headers);
    h->headers = (struct dray_kvlist){0};
    h->state = DRAY_HTTP_OPEN;
    dray_reply_error(h, rc, err);
}

/* Headers that every answer has. */
static size_t common_headers(const struct dray_http *h, struct dray_kv out[4])
{
    out[0] = (struct dray_kv){"Api-Version", DRAY_API_MAX_TEXT};
    out[1] = (struct dray_kv){"Docker-Experimental", h->server->experimental ? "true" : "false"};
    out[2] = (struct dray_kv){"Ostype", "linux"};
    out[3] = (struct dray_kv){"Server", "Dray/" DRAY_VERSION " (linux)"};
    return 4;
}

static void add_all_headers(struct dray_http *h, struct MHD_Response *r)
{
    struct dray_kv common[4];
    size_t n = common_headers(h, common);
    for (size_t i = 0; i < n; i++)
        (void)MHD_add_response_header(r, common[i].key, common[i].value);
    for (size_t i = 0; i < h->headers.n; i++)
        (void)MHD_add_response_header(r, h->headers.v[i].key, h->headers.v[i].value);
    if (h->content_type)
        (void)MHD_add_response_header(r, "Content-Type", h->content_type);
    if (h->close)
        (void)MHD_add_response_header(r, "Connection", "close");
}

enum MHD_Result dray_reply_queue(struct dray_http *h)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(h->text_len, h->text, MHD_RESPMEM_MUST_FREE);
    if (!r)
        return MHD_NO;
    h->text = NULL;
    add_all_headers(h, r);
    enum MHD_Result ok = MHD_queue_response(h->conn, (unsigned)h->status, r);
    MHD_destroy_response(r);
    return ok;
}

/* Wait until the client takes more bytes; false once it has gone or stalls for ever. */
static bool wait_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n = 0;
    do
        n = poll(&p, 1, SEND_STALL_MS);
    while (n < 0 && errno == EINTR);
    return n > 0 && !(p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* Write all to the client, waiting for it as long as it is there. False once it has gone. */
static bool send_all(struct dray_http *h, struct iovec *iov, int n)
{
    while (!h->gone && n > 0) {
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
        ssize_t sent = sendmsg(h->fd, &m, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR || (errno == EAGAIN && wait_writable(h->fd)))
                continue;
            h->gone = true;
            break;
        }
        size_t left = (size_t)sent;
        for (; n > 0 && left >= iov->iov_len; iov++, n--)
            left -= iov->iov_len;
        if (n > 0) {
            iov->iov_base = (char *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
    return !h->gone;
}

static void head_line(struct dray_buf *b, const char *key, const char *value)
{
    dray_buf_addf(b, "%s: ", key);
    for (; *value; value++)
        dray_buf_addc(b, *value == '\r' || *value == '\n' ? ' ' : *value);
    dray_buf_adds(b, "\r\n");
}

static void add_head(struct dray_http *h, struct dray_buf *b)
{
    struct dray_kv common[4];
    size_t n = common_headers(h, common);
    for (size_t i = 0; i < n; i++)
        head_line(b, common[i].key, common[i].value);
    for (size_t i = 0; i < h->headers.n; i++)
        head_line(b, h->headers.v[i].key, h->headers.v[i].value);
    char date[64];
    struct tm tm;
    time_t now = time(NULL);
    if (gmtime_r(&now, &tm) && strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        head_line(b, "Date", date);
}

static void status_line(struct dray_buf *b, int status, const char *content_type)
{
    const char *reason = MHD_get_reason_phrase_for((unsigned)status);
    dray_buf_addf(b, "HTTP/1.1 %d %s\r\n", status, reason ? reason : "Unknown");
    if (content_type)
        head_line(b, "Content-Type", content_type);
}

static bool send_buf(struct dray_http *h, struct dray_buf *b)
{
    struct iovec iov = {.iov_base = b->data, .iov_len = b->len};
    return !b->failed && send_all(h, &iov, 1);
}

void dray_reply_write(struct dray_http *h)
{
    DRAY_AUTO(dray_buf) b = {0};
    status_line(&b, h->status, h->content_type);
    add_head(h, &b);
    if (h->status != 204 && h->status != 304)
        dray_buf_addf(&b, "Content-Length: %zu\r\n", h->text_len);
    dray_buf_adds(&b, "Connection: close\r\n\r\n");
    if (h->text_len && h->method != DRAY_HEAD)
        dray_buf_add(&b, h->text, h->text_len);
    (void)send_buf(h, &b);
}

/* A stop waits for handlers, ends streams, and leaves hijacked sessions alone. */
static void enter_state(struct dray_http *h, enum dray_http_state state)
{
    pthread_mutex_lock(&h->server->lock);
    h->state = state;
    h->server->n_hijacked += state == DRAY_HTTP_HIJACKED;
    pthread_cond_broadcast(&h->server->idle);
    pthread_mutex_unlock(&h->server->lock);
    h->raw = true;
}

int dray_http_stream(struct dray_http *h, int status, const char *content_type,
                     struct dray_err *err)
{
    if (h->state != DRAY_HTTP_OPEN)
        return dray_fail(err, DRAY_E_INTERNAL, "the request has been answered already");
    int rc = dray_api_authz_answer(h, status, content_type, err);
    if (rc)
        return rc;
    enter_state(h, DRAY_HTTP_STREAMING);
    h->chunked = !h->http10;
    DRAY_AUTO(dray_buf) b = {0};
    status_line(&b, status, content_type);
    add_head(h, &b);
    if (h->chunked)
        dray_buf_adds(&b, "Transfer-Encoding: chunked\r\n");
    dray_buf_adds(&b, "Connection: close\r\n\r\n");
    if (!send_buf(h, &b))
        return dray_fail(err, DRAY_E_CANCELED, "the client has gone");
    return 0;
}

static int send_chunk(struct dray_http *h, const void *data, size_t len, const char *tail,
                      size_t tail_len)
{
    if (h->state != DRAY_HTTP_STREAMING)
        return DRAY_E_INTERNAL;
    if (len + tail_len == 0 || h->method == DRAY_HEAD)
        return h->gone ? DRAY_E_CANCELED : 0;
    char size[24];
    int n = snprintf(size, sizeof size, "%zx\r\n", len + tail_len);
    union {
        const void *in;
        void *out;
    } d = {.in = data}, t = {.in = tail};
    struct iovec iov[] = {
        {.iov_base = size, .iov_len = h->chunked ? (size_t)n : 0},
        {.iov_base = d.out, .iov_len = len},
        {.iov_base = t.out, .iov_len = tail_len},
        {.iov_base = size + n - 2, .iov_len = h->chunked ? 2 : 0},
    };
    return send_all(h, iov, 4) ? 0 : DRAY_E_CANCELED;
}

int dray_http_write(struct dray_http *h, const void *data, size_t len)
{
    return send_chunk(h, data, len, "", 0);
}

int dray_http_write_json(struct dray_http *h, struct json_object *value)
{
    dray_autojson *held = value;
    const char *text = dray_json_text(held);
    if (!text)
        return DRAY_E_NOMEM;
    return send_chunk(h, text, strlen(text), "\r\n", 2);
}

bool dray_http_streaming(struct dray_http *h)
{
    return h->state == DRAY_HTTP_STREAMING;
}

int dray_http_client_fd(struct dray_http *h)
{
    return h->fd;
}

int dray_http_cancel_fd(struct dray_http *h)
{
    if (h->cancel_fd >= 0)
        return h->cancel_fd;
    /* An epoll descriptor is itself readable while one of its events is pending: with POLLRDHUP
     * alone asked for, that is as soon as the client has gone, whatever it has sent before. */
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event gone = {.events = EPOLLRDHUP | EPOLLHUP | EPOLLERR};
    struct epoll_event stop = {.events = EPOLLIN};
    if (ep < 0)
        return -1;
    if (epoll_ctl(ep, EPOLL_CTL_ADD, h->fd, &gone) < 0 ||
        epoll_ctl(ep, EPOLL_CTL_ADD, h->server->stop_fd, &stop) < 0) {
        (void)close(ep);
        return -1;
    }
    h->cancel_fd = ep;
    return ep;
}

/* Read away what the client still sends until it has seen our end: closing a socket with unread
 * bytes would reset it and lose the tail of the answer. */
static void linger(int fd)
{
    int64_t end = dray_clock_mono() + LINGER_MS * INT64_C(1000000);
    for (;;) {
        int64_t left = (end - dray_clock_mono()) / 1000000;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char drop[4096];
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return;
        ssize_t n = recv(fd, drop, sizeof drop, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return;
    }
}

void dray_reply_finish(struct dray_http *h)
{
    if (h->state == DRAY_HTTP_STREAMING && h->chunked && h->method != DRAY_HEAD) {
        struct iovec end = {.iov_base = (char[]){"0\r\n\r\n"}, .iov_len = 5};
        (void)send_all(h, &end, 1);
    }
    if (h->fd >= 0 && !h->gone && shutdown(h->fd, SHUT_WR) == 0)
        linger(h->fd);
}

/* Put a relay between the client and the handler, which first delivers what MHD had read already.
 */
static int interpose_relay(struct dray_http *h, struct dray_err *err)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
        return dray_fail_errno(err, "hijack: socketpair");
    h->relay_fd = sv[0];
    h->hijack_fd = sv[1];
    if (dray_relay_start(h->fd, sv[0], h->early_bytes, h->early_len, &h->relay) != 0)
        return dray_fail_errno(err, "hijack: thread");
    h->relaying = true;
    return 0;
}

/* Some clients (docker-py among them) read the head through a buffer and what follows around it:
 * bytes that come together with the head are lost to them. So output waits until the head has been
 * read. On a local socket the kernel tells; elsewhere those clients get a moment. */
static void await_head_read(struct dray_http *h)
{
    struct sockaddr_un addr = {0};
    socklen_t len = sizeof addr;
    bool local = getsockname(h->fd, (struct sockaddr *)(void *)&addr, &len) == 0 &&
                 addr.sun_family == AF_UNIX && len > sizeof addr.sun_family;
    const char *agent = dray_http_header_in(h, "User-Agent");
    struct timespec step = {.tv_nsec = HEAD_STEP_NS}, moment = {.tv_nsec = HEAD_MOMENT_NS};
    int left = 0;
    if (!local) {
        if (agent && strncmp(agent, "docker-sdk-python", 17) == 0)
            (void)nanosleep(&moment, NULL);
        return;
    }
    for (int i = 0; i < HEAD_STEPS && ioctl(h->fd, SIOCOUTQ, &left) == 0 && left > 0; i++)
        (void)nanosleep(&step, NULL);
}

int dray_http_hijack(struct dray_http *h, const char *content_type, int *sock_out,
                     struct dray_err *err)
{
    if (h->state != DRAY_HTTP_OPEN)
        return dray_fail(err, DRAY_E_INTERNAL, "the request has been answered already");
    const char *upgrade = dray_http_header_in(h, "Upgrade");
    int rc = dray_api_authz_answer(h, upgrade ? 101 : 200, content_type, err);
    if (rc)
        return rc;
    DRAY_AUTO(dray_buf) b = {0};
    dray_buf_addf(&b, "HTTP/1.1 %s\r\n", upgrade ? "101 UPGRADED" : "200 OK");
    if (content_type)
        head_line(&b, "Content-Type", content_type);
    if (upgrade)
        dray_buf_addf(&b, "Connection: Upgrade\r\nUpgrade: %s\r\n",
                      content_type                      ? "tcp"
                      : strcasecmp(upgrade, "h2c") == 0 ? "h2c"
                                                        : "websocket");
    add_head(h, &b);
    dray_buf_adds(&b, "\r\n");
    rc = h->early_len ? interpose_relay(h, err) : 0;
    if (rc)
        return rc;
    enter_state(h, DRAY_HTTP_HIJACKED);
    /* The relay may have begun, but nothing comes from the handler's side before this. */
    if (!send_buf(h, &b))
        return dray_fail(err, DRAY_E_CANCELED, "the client has gone");
    await_head_read(h);
    *sock_out = h->hijack_fd >= 0 ? h->hijack_fd : h->fd;
    return 0;
}
