/* SPDX-License-Identifier: Apache-2.0 */
/* http.c - the little of HTTP/1.1 that a collector's client needs (RFC 9112). */
#include "splunk.h"

#include <strings.h>

#define ANSWER_MS 15000
#define HEAD_MAX 8192
#define BODY_MAX 4096

struct answer {
    char text[HEAD_MAX + BODY_MAX + 1];
    size_t len;
    size_t head; /* bytes of the header; 0: not all of it is there */
    long length; /* of the body; -1: until the end of the connection */
    int status;
    bool last; /* the connection cannot be used again */
};

static const char *header(const struct answer *a, const char *name)
{
    size_t n = strlen(name);
    const char *line = strstr(a->text, "\r\n");
    for (; line && line < a->text + a->head - 2; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " \t");
    }
    return NULL;
}

static void parse_head(struct answer *a)
{
    const char *end = strstr(a->text, "\r\n\r\n");
    if (!end)
        return;
    a->head = (size_t)(end - a->text) + 4;
    if (sscanf(a->text, "HTTP/1.%*d %d", &a->status) != 1)
        a->status = -1;
    const char *length = header(a, "Content-Length");
    const char *connection = header(a, "Connection");
    a->length = length ? strtol(length, NULL, 10) : -1;
    a->last = a->length < 0 || a->length > BODY_MAX ||
              (connection && strncasecmp(connection, "close", 5) == 0);
}

static bool complete(const struct answer *a)
{
    return a->head && (a->last || a->len >= a->head + (size_t)a->length);
}

static int read_answer(struct dray_send_link *link, const struct dray_send_wait *wait,
                       struct answer *a, struct dray_err *err)
{
    struct dray_send_wait w = dray_send_wait_within(wait, ANSWER_MS);
    while (!complete(a)) {
        if (a->len == sizeof a->text - 1)
            return dray_fail(err, DRAY_E_IO, "splunk: the answer is too long");
        ssize_t n =
            dray_send_recv(&link->conn, a->text + a->len, sizeof a->text - 1 - a->len, &w, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return dray_fail(err, DRAY_E_UNAVAIL, "splunk: the collector closed the connection");
        a->len += (size_t)n;
        a->text[a->len] = '\0';
        if (!a->head)
            parse_head(a);
    }
    return 0;
}

static int write_head(const struct splunk_options *o, const struct splunk_request *req, char *out,
                      size_t size, struct dray_err *err)
{
    int n = snprintf(out, size,
                     "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: dray\r\n"
                     "Authorization: Splunk %s\r\nContent-Length: %zu\r\n%s\r\n",
                     req->method, o->path, o->authority, o->token, req->len,
                     req->gzipped ? "Content-Encoding: gzip\r\n" : "");
    return n > 0 && (size_t)n < size ? n : dray_fail(err, DRAY_E_LIMIT, "splunk-token is too long");
}

int splunk_http(struct dray_send_link *link, const struct splunk_options *opts,
                const struct splunk_request *req, const struct dray_send_wait *wait,
                struct dray_err *err)
{
    char head[4096];
    struct answer a = {.length = -1};
    int n = write_head(opts, req, head, sizeof head, err);
    if (n < 0)
        return n;
    dray_autofree char *whole = malloc((size_t)n + req->len);
    if (!whole)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    memcpy(whole, head, (size_t)n);
    if (req->len)
        memcpy(whole + n, req->body, req->len);
    int rc = dray_send_link_put(link, whole, (size_t)n + req->len, wait, err);
    if (!rc)
        rc = read_answer(link, wait, &a, err);
    if (rc || a.last)
        dray_send_link_close(link);
    if (rc)
        return rc;
    if (a.status >= 200 && a.status < 400)
        return 0;
    return dray_fail(err, DRAY_E_IO, "splunk: failed to send event - %d - %.200s", a.status,
                     a.text + a.head);
}
