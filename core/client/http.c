/* SPDX-License-Identifier: Apache-2.0 */
/* http.c - requests, replies and their bodies over one connection (RFC 9112). */
#include "client/http.h"

#include <ctype.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

ssize_t http_raw_write(struct http_conn *c, const void *buf, size_t n)
{
    if (c->ops)
        return c->ops->write(c->state, buf, n);
    ssize_t w = send(c->fd, buf, n, MSG_NOSIGNAL);
    if (w < 0 && errno == ENOTSOCK)
        w = write(c->fd, buf, n);
    return w;
}

#define HEAD_MAX ((size_t)1 << 20)

static ssize_t read_wire(struct http_conn *c, void *buf, size_t n)
{
    for (;;) {
        ssize_t r = c->ops ? c->ops->read(c->state, buf, n) : read(c->fd, buf, n);
        if (r < 0 && errno == EINTR)
            continue;
        return r;
    }
}

ssize_t http_raw_read(struct http_conn *c, void *buf, size_t n)
{
    if (c->in_pos < c->in_len) {
        size_t have = c->in_len - c->in_pos;
        if (have > n)
            have = n;
        memcpy(buf, c->in + c->in_pos, have);
        c->in_pos += have;
        return (ssize_t)have;
    }
    return read_wire(c, buf, n);
}

bool http_raw_pending(const struct http_conn *c)
{
    return c->in_pos < c->in_len || (c->ops && c->ops->pending(c->state));
}

void http_raw_end(struct http_conn *c)
{
    if (c->ops)
        c->ops->end(c->state);
    else
        (void)shutdown(c->fd, SHUT_WR);
}

static int write_all(struct http_conn *c, const char *p, size_t n, struct dray_err *err)
{
    while (n > 0) {
        ssize_t w = http_raw_write(c, p, n);
        if (w < 0 && (errno == EINTR || errno == EAGAIN)) {
            struct pollfd pf = {.fd = c->fd, .events = POLLOUT};
            (void)poll(&pf, 1, 1000);
            continue;
        }
        if (w <= 0)
            return dray_fail_errno(err, "write to the daemon");
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

int http_send(struct http_conn *c, const char *method, const char *path, const char *extra,
              const char *body, size_t body_len, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    dray_buf_addf(&b,
                  "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Docker-Client/dray-0.1.0 (linux)\r\n",
                  method, path, c->host_header);
    if (extra)
        dray_buf_adds(&b, extra);
    if (body)
        dray_buf_addf(&b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body_len);
    else if (strcmp(method, "POST") == 0 && !(extra && strstr(extra, "Transfer-Encoding")))
        dray_buf_adds(&b, "Content-Length: 0\r\n");
    dray_buf_adds(&b, "\r\n");
    if (body)
        dray_buf_add(&b, body, body_len);
    if (b.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    c->done = false;
    c->status = 0;
    return write_all(c, b.data, b.len, err);
}

int http_send_chunk(struct http_conn *c, const void *data, size_t n, struct dray_err *err)
{
    char size[24];
    int len = snprintf(size, sizeof size, "%zx\r\n", n);
    int rc = write_all(c, size, (size_t)len, err);
    if (rc == 0 && n > 0)
        rc = write_all(c, data, n, err);
    return rc == 0 ? write_all(c, "\r\n", 2, err) : rc;
}

/* Make sure that there is unread input; 0 at the end of the stream. */
static ssize_t fill(struct http_conn *c)
{
    if (c->in_pos < c->in_len)
        return 1;
    ssize_t r = read_wire(c, c->in, HTTP_IN_SIZE);
    c->in_pos = 0;
    c->in_len = r > 0 ? (size_t)r : 0;
    return r;
}

/* One line without its end; false when the connection broke. */
static bool read_line(struct http_conn *c, struct dray_buf *line)
{
    for (;;) {
        if (fill(c) <= 0)
            return false;
        char *from = c->in + c->in_pos;
        size_t have = c->in_len - c->in_pos;
        char *nl = memchr(from, '\n', have);
        size_t take = nl ? (size_t)(nl - from) : have;
        dray_buf_add(line, from, take);
        c->in_pos += take + (nl != NULL);
        if (line->len > 1024 * 1024)
            return false;
        if (!nl)
            continue;
        if (line->len && line->data[line->len - 1] == '\r')
            line->data[--line->len] = '\0';
        return true;
    }
}

static bool header_is(const char *line, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    *value = line + n + 1;
    *value += strspn(*value, " \t");
    return true;
}

static void use_header(struct http_conn *c, const char *line)
{
    const char *v = NULL;
    if (header_is(line, "Content-Length", &v)) {
        c->left = strtoll(v, NULL, 10);
        c->until_close = false;
    } else if (header_is(line, "Transfer-Encoding", &v) && strcasestr(v, "chunked")) {
        c->chunked = true;
        c->first_chunk = true;
        c->until_close = false;
        c->left = 0;
    } else if (header_is(line, "Connection", &v) && strcasestr(v, "close")) {
        c->keep = false;
    }
    dray_buf_adds(&c->head, line);
    dray_buf_addc(&c->head, '\n');
}

static int read_head(struct http_conn *c, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) line = {0};
    dray_buf_reset(&c->head);
    c->chunked = false;
    c->keep = c->until_close = true;
    c->left = 0;
    if (!read_line(c, &line) || !line.data)
        return dray_fail(err, DRAY_E_UNAVAIL, "EOF");
    if (sscanf(line.data, "HTTP/1.%*1d %3d", &c->status) != 1 || c->status < 100)
        return dray_fail(err, DRAY_E_UNAVAIL, "malformed HTTP response \"%.80s\"", line.data);
    for (;;) {
        dray_buf_reset(&line);
        if (!read_line(c, &line))
            return dray_fail(err, DRAY_E_UNAVAIL, "unexpected EOF");
        if (line.len == 0)
            return 0;
        use_header(c, line.data);
        if (c->head.len > HEAD_MAX)
            return dray_fail(err, DRAY_E_LIMIT, "the daemon's answer has too many headers");
    }
}

int http_reply(struct http_conn *c, struct dray_err *err)
{
    do {
        int rc = read_head(c, err);
        if (rc != 0)
            return rc;
    } while (c->status == 100);
    c->done =
        c->status == 204 || c->status == 304 || (!c->chunked && !c->until_close && c->left == 0);
    return 0;
}

bool http_header(const struct http_conn *c, const char *name, char *out, size_t n)
{
    for (const char *p = c->head.data; p && *p;) {
        const char *v = NULL;
        size_t len = strcspn(p, "\n");
        if (header_is(p, name, &v)) {
            (void)snprintf(out, n, "%.*s", (int)(p + len - v), v);
            return true;
        }
        p += len + (p[len] == '\n');
    }
    return false;
}

/* Step to the next chunk; false at the last one or on broken framing (then keep is off). */
static bool next_chunk(struct http_conn *c)
{
    DRAY_AUTO(dray_buf) line = {0};
    if (!c->first_chunk && (!read_line(c, &line) || line.len != 0))
        goto broken;
    c->first_chunk = false;
    dray_buf_reset(&line);
    if (!read_line(c, &line) || line.len == 0)
        goto broken;
    char *end = NULL;
    c->left = strtoll(line.data, &end, 16);
    if (end == line.data || c->left < 0)
        goto broken;
    if (c->left > 0)
        return true;
    do {
        dray_buf_reset(&line);
        if (!read_line(c, &line))
            goto broken;
    } while (line.len > 0);
    c->done = true;
    return false;
broken:
    c->keep = false;
    c->left = -1;
    return false;
}

ssize_t http_read(struct http_conn *c, void *buf, size_t n)
{
    if (c->done)
        return 0;
    if (c->chunked && c->left == 0 && !next_chunk(c))
        return c->done ? 0 : -1;
    if (!c->until_close && n > (size_t)c->left)
        n = (size_t)c->left;
    ssize_t r = http_raw_read(c, buf, n);
    if (r <= 0) {
        c->keep = false;
        c->done = true;
        return r == 0 && c->until_close ? 0 : -1;
    }
    if (!c->until_close) {
        c->left -= r;
        if (!c->chunked && c->left == 0)
            c->done = true;
    }
    return r;
}

int http_read_all(struct http_conn *c, struct dray_buf *out, size_t max, struct dray_err *err)
{
    for (;;) {
        char *room = dray_buf_room(out, HTTP_IN_SIZE);
        if (!room)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        ssize_t r = http_read(c, room, HTTP_IN_SIZE);
        if (r < 0)
            return dray_fail(err, DRAY_E_UNAVAIL, "unexpected EOF");
        if (r == 0)
            break;
        out->len += (size_t)r;
        if (out->len > max)
            return dray_fail(err, DRAY_E_LIMIT, "the answer of the daemon is too large");
    }
    if (out->data)
        out->data[out->len] = '\0';
    return 0;
}

bool http_reusable(const struct http_conn *c)
{
    return c->done && c->keep && c->status != 101 && c->in_pos == c->in_len;
}

void http_escape(struct dray_buf *b, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char ch = (unsigned char)*text;
        if (isalnum(ch) || strchr("-_.~", ch)) {
            dray_buf_addc(b, (char)ch);
        } else {
            dray_buf_addc(b, '%');
            dray_buf_addc(b, hex[ch >> 4]);
            dray_buf_addc(b, hex[ch & 15]);
        }
    }
}
