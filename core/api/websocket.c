/* SPDX-License-Identifier: Apache-2.0 */
/* websocket.c - a WebSocket in front of a plain byte stream (RFC 6455). */
#include "api/websocket.h"

#include "api/http_priv.h"

#include <openssl/evp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>

#define ROOM 16384
#define HEAD 10
#define CONTROL_MAX 125

enum opcode { WS_MORE = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* Bytes that wait to be sent. */
struct queue {
    unsigned char data[ROOM + 2 * (HEAD + CONTROL_MAX)];
    size_t at, len;
};

struct relay {
    int client, inner;
    unsigned char opcode; /* of the data frames that go out */

    /* Where the reader stands in a frame of the client's. */
    unsigned char head[14];
    size_t head_len;
    uint64_t left; /* payload still to come */
    size_t seen;   /* payload bytes unmasked so far */
    unsigned char control[CONTROL_MAX];
    size_t control_len;

    struct queue in;  /* to inner */
    struct queue out; /* to the client */
    bool in_ended, out_ended;
};

static size_t waiting(const struct queue *q)
{
    return q->len - q->at;
}

static void put(struct queue *q, const void *data, size_t n)
{
    if (q->at == q->len)
        q->at = q->len = 0;
    if (n > sizeof q->data - q->len)
        n = sizeof q->data - q->len;
    memcpy(q->data + q->len, data, n);
    q->len += n;
}

/* A frame of the server's: never masked, never in parts. */
static void put_frame(struct queue *q, unsigned char opcode, const void *data, size_t n)
{
    unsigned char head[4] = {(unsigned char)(0x80 | opcode), (unsigned char)n};
    size_t head_len = 2;
    if (n > CONTROL_MAX) {
        head[1] = 126;
        head[2] = (unsigned char)(n >> 8);
        head[3] = (unsigned char)n;
        head_len = 4;
    }
    put(q, head, head_len);
    put(q, data, n);
}

/* Length of the head that has begun: known from its second byte on. */
static size_t head_size(const struct relay *r)
{
    if (r->head_len < 2)
        return 2;
    unsigned n = r->head[1] & 0x7f;
    return 6 + (n == 127 ? 8 : n == 126 ? 2 : 0);
}

static uint64_t payload_size(const struct relay *r)
{
    unsigned n = r->head[1] & 0x7f;
    if (n < 126)
        return n;
    uint64_t size = 0;
    for (size_t i = 2; i < (n == 126 ? 4u : 10u); i++)
        size = size << 8 | r->head[i];
    return size;
}

static bool is_control(const struct relay *r)
{
    return (r->head[0] & 0x08) != 0;
}

/* A control frame is whole. False: the client says goodbye. */
static bool end_control(struct relay *r)
{
    unsigned opcode = r->head[0] & 0x0f;
    if (opcode == WS_PING)
        put_frame(&r->out, WS_PONG, r->control, r->control_len);
    return opcode != WS_CLOSE;
}

/* Take n bytes of the client's apart. False: it has ended, or speaks no WebSocket. */
static bool take(struct relay *r, const unsigned char *p, size_t n)
{
    while (n > 0) {
        if (r->head_len < head_size(r)) {
            r->head[r->head_len++] = *p++;
            n--;
            if (r->head_len < head_size(r))
                continue;
            r->left = payload_size(r);
            r->seen = r->control_len = 0;
            if (!(r->head[1] & 0x80) || (is_control(r) && r->left > CONTROL_MAX))
                return false;
        }
        const unsigned char *mask = r->head + head_size(r) - 4;
        for (; n > 0 && r->left > 0; n--, r->left--) {
            unsigned char byte = *p++ ^ mask[r->seen++ % 4];
            if (is_control(r))
                r->control[r->control_len++] = byte;
            else
                put(&r->in, &byte, 1);
        }
        if (r->left == 0 && r->head_len == head_size(r)) {
            if (is_control(r) && !end_control(r))
                return false;
            r->head_len = 0;
        }
    }
    return true;
}

static void end_input(struct relay *r)
{
    r->in_ended = true;
    if (!waiting(&r->in))
        (void)shutdown(r->inner, SHUT_WR);
}

static void read_client(struct relay *r)
{
    unsigned char data[ROOM];
    ssize_t n = recv(r->client, data, sizeof data, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || !take(r, data, (size_t)n))
        end_input(r);
}

static void read_inner(struct relay *r)
{
    unsigned char data[ROOM];
    ssize_t n = recv(r->inner, data, sizeof data, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        put_frame(&r->out, r->opcode, data, (size_t)n);
        return;
    }
    static const unsigned char normal[] = {1000 >> 8, 1000 & 0xff};
    put_frame(&r->out, WS_CLOSE, normal, sizeof normal);
    r->out_ended = true;
}

/* False: the other side takes no more. */
static bool flush(int fd, struct queue *q)
{
    ssize_t n = send(fd, q->data + q->at, waiting(q), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    q->at += (size_t)n;
    return true;
}

/* The client is read only when what it sent before has been taken, and the container's output only
 * when the client has taken all before: neither can fill the other's memory. */
static bool turn(struct relay *r)
{
    bool more_in = !r->in_ended && !waiting(&r->in), more_out = !r->out_ended && !waiting(&r->out);
    struct pollfd p[2] = {
        {r->client, (short)((more_in ? POLLIN : 0) | (waiting(&r->out) ? POLLOUT : 0)), 0},
        {r->inner, (short)((more_out ? POLLIN : 0) | (waiting(&r->in) ? POLLOUT : 0)), 0}};
    if (poll(p, 2, -1) < 0)
        return errno == EINTR;
    if (more_in && (p[0].revents & (POLLIN | POLLHUP | POLLERR)))
        read_client(r);
    if (more_out && (p[1].revents & (POLLIN | POLLHUP | POLLERR)))
        read_inner(r);
    if (waiting(&r->out) && !flush(r->client, &r->out))
        return false;
    if (waiting(&r->in) && !flush(r->inner, &r->in))
        r->in.at = r->in.len;
    if (r->in_ended && !waiting(&r->in))
        (void)shutdown(r->inner, SHUT_WR);
    return !((p[0].revents & (POLLHUP | POLLERR)) && r->in_ended);
}

static void *relay_main(void *arg)
{
    struct relay *r = arg;
    while (!(r->out_ended && !waiting(&r->out)) && turn(r))
        ;
    (void)shutdown(r->inner, SHUT_RDWR);
    free(r);
    return NULL;
}

/* RFC 6455 4.2.2: the answer to Sec-WebSocket-Key. */
static void accept_key(const char *key, char out[32])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    char text[128];
    unsigned n = 0;
    int len = snprintf(text, sizeof text, "%.64s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    (void)EVP_Digest(text, (size_t)len, md, &n, EVP_sha1(), NULL);
    unsigned char encoded[64];
    (void)EVP_EncodeBlock(encoded, md, (int)n);
    (void)snprintf(out, 32, "%.28s", (const char *)encoded);
}

int dray_websocket_open(struct dray_http *h, struct dray_websocket *w, struct dray_err *err)
{
    const char *upgrade = dray_http_header_in(h, "Upgrade");
    const char *key = dray_http_header_in(h, "Sec-WebSocket-Key");
    if (!upgrade || strcasecmp(upgrade, "websocket") != 0 || !key || !*key)
        return dray_fail(err, DRAY_E_INVAL, "bad request: the client asks for no WebSocket");
    char accept[32];
    int sv[2], sock = -1;
    accept_key(key, accept);
    dray_http_header(h, "Sec-WebSocket-Accept", accept);
    struct relay *r = calloc(1, sizeof *r);
    if (!r)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_http_hijack(h, NULL, &sock, err);
    if (!rc && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        rc = dray_fail_errno(err, "websocket: socketpair");
    if (rc) {
        free(r);
        return rc;
    }
    *w = (struct dray_websocket){.inner = sv[0], .outer = sv[1]};
    r->client = sock;
    r->inner = sv[1];
    r->opcode = dray_http_version(h) < 128 ? WS_TEXT : WS_BINARY;
    rc = dray_thread_start(relay_main, r, &w->relay);
    if (rc) {
        free(r);
        (void)close(sv[0]);
        (void)close(sv[1]);
        return dray_fail_errno(err, "websocket: thread");
    }
    return 0;
}

void dray_websocket_close(struct dray_websocket *w)
{
    (void)shutdown(w->inner, SHUT_RDWR);
    (void)close(w->inner);
    pthread_join(w->relay, NULL);
    (void)close(w->outer);
}
