/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.c - calls: messages in and out, and how they end. */
#include "kit/grpc_priv.h"

#include "base/clock.h"
#include "kit/pb.h"

#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

#define OUT_MAX ((size_t)256 << 10) /* of a call's messages that wait to be sent */
#define PREFIX 5u                   /* of a message: a flag and its length */
#define CANCEL_NS (50 * 1000 * 1000)
#define THREAD_STACK ((size_t)512 << 10)
#define STATUS_TEXT_MAX 1024u

/* ---- Connections ---- */

int grpc_conn_new(int sock, grpc_serve_fn serve, void *ctx, struct grpc_conn **out,
                  struct dray_err *err)
{
    struct grpc_conn *c = calloc(1, sizeof *c);
    if (!c)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *c = (struct grpc_conn){.sock = sock,
                            .serve = serve,
                            .ctx = ctx,
                            .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                            .dead_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    int rc = c->wake < 0 || c->dead_fd < 0 ? dray_fail_errno(err, "make an event")
                                           : grpc_h2_open(c, err);
    if (rc)
        grpc_conn_unref(c);
    else
        *out = c;
    return rc;
}

struct grpc_conn *grpc_conn_ref(struct grpc_conn *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void grpc_conn_unref(struct grpc_conn *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    nghttp2_session_del(c->h2);
    dray_buf_free(&c->wire);
    dray_cleanup_fd(&c->wake);
    dray_cleanup_fd(&c->dead_fd);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

int grpc_conn_dead_fd(const struct grpc_conn *c)
{
    return c->dead_fd;
}

/* ---- Calls ---- */

struct grpc_call *grpc_call_new(struct grpc_conn *c)
{
    struct grpc_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->conn = grpc_conn_ref(c);
    call->id = -1;
    call->gone = -EBADF;
    call->next = c->calls;
    if (c->calls)
        c->calls->prev = call;
    c->calls = call;
    return call;
}

void grpc_call_close(struct grpc_call *call)
{
    call->closed = call->in_end = true;
    if (call->gone >= 0)
        (void)eventfd_write(call->gone, 1);
}

void grpc_call_drop(struct grpc_call *call)
{
    struct grpc_conn *c = call->conn;
    if (!call->released || !call->closed)
        return;
    if (c->h2 && call->id >= 0)
        (void)nghttp2_session_set_stream_user_data(c->h2, call->id, NULL);
    if (call->prev)
        call->prev->next = call->next;
    else
        c->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    free(call->method);
    free(call->text);
    free(call->coded);
    dray_buf_free(&call->details);
    dray_kvlist_free(&call->headers);
    dray_buf_free(&call->in);
    dray_buf_free(&call->out);
    dray_cleanup_fd(&call->gone);
    free(call);
    /* Never the last one: who holds the lock has one as well. */
    atomic_fetch_sub(&c->refs, 1);
}

static nghttp2_nv pair(const char *key, const char *value)
{
    union {
        const char *in;
        uint8_t *out;
    } k = {.in = key}, v = {.in = value};
    return (nghttp2_nv){k.out, v.out, strlen(key), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static int ended(const struct grpc_call *call, struct dray_err *err)
{
    (void)call;
    return dray_fail(err, DRAY_E_UNAVAIL, "the client's session has ended");
}

int grpc_call_start(struct grpc_conn *c, const char *method, const struct dray_kvlist *metadata,
                    struct grpc_call **out, struct dray_err *err)
{
    size_t extra = metadata ? metadata->n : 0, n = 0;
    dray_autofree nghttp2_nv *nv = calloc(extra + 8, sizeof *nv);
    if (!nv)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    nv[n++] = pair(":method", "POST");
    nv[n++] = pair(":scheme", "http");
    nv[n++] = pair(":path", method);
    nv[n++] = pair(":authority", "localhost");
    nv[n++] = pair("content-type", "application/grpc");
    nv[n++] = pair("te", "trailers");
    for (size_t i = 0; i < extra; i++)
        nv[n++] = pair(metadata->v[i].key, metadata->v[i].value);
    pthread_mutex_lock(&c->lock);
    struct grpc_call *call = c->dead ? NULL : grpc_call_new(c);
    int rc = 0;
    if (call) {
        nghttp2_data_provider source = grpc_source(call);
        call->id = nghttp2_submit_request(c->h2, NULL, nv, n, &source, call);
        call->answered = true; /* its head is on its way */
        if (call->id < 0) {
            call->closed = call->released = true;
            grpc_call_drop(call);
            rc = dray_fail(err, DRAY_E_NOMEM, "begin a call to the client");
        }
    } else {
        rc = ended(NULL, err);
    }
    pthread_mutex_unlock(&c->lock);
    if (!rc) {
        grpc_wake(c);
        *out = call;
    }
    return rc;
}

void grpc_call_free(struct grpc_call *call)
{
    if (!call)
        return;
    struct grpc_conn *c = grpc_conn_ref(call->conn);
    pthread_mutex_lock(&c->lock);
    call->released = true;
    if (!call->closed && c->h2 && !c->dead) {
        (void)nghttp2_session_consume(c->h2, call->id, call->held);
        call->held = 0;
        (void)nghttp2_submit_rst_stream(c->h2, NGHTTP2_FLAG_NONE, call->id, NGHTTP2_CANCEL);
    }
    grpc_call_drop(call);
    pthread_mutex_unlock(&c->lock);
    grpc_wake(c);
    grpc_conn_unref(c);
}

/* Wait for a change, or look at cancel_fd now and then. Lock held. */
static bool wait_change(struct grpc_conn *c, int cancel_fd)
{
    if (cancel_fd < 0) {
        pthread_cond_wait(&c->changed, &c->lock);
        return true;
    }
    int64_t until = dray_clock_mono() + CANCEL_NS;
    struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
    (void)pthread_cond_clockwait(&c->changed, &c->lock, CLOCK_MONOTONIC, &ts);
    struct pollfd p = {.fd = cancel_fd, .events = POLLIN};
    return poll(&p, 1, 0) <= 0;
}

/* ---- Sending ---- */

/* The head of an answer goes out before its first message. Lock held. */
static void answer(struct grpc_call *call)
{
    if (call->answered)
        return;
    call->answered = true;
    nghttp2_nv nv[] = {pair(":status", "200"), pair("content-type", "application/grpc")};
    nghttp2_data_provider source = grpc_source(call);
    (void)nghttp2_submit_response(call->conn->h2, call->id, nv, 2, &source);
}

/* Lock held. */
static void resume(struct grpc_call *call)
{
    if (call->deferred && !call->closed)
        (void)nghttp2_session_resume_data(call->conn->h2, call->id);
    call->deferred = false;
}

int grpc_send(struct grpc_call *call, const void *data, size_t len, int cancel_fd,
              struct dray_err *err)
{
    struct grpc_conn *c = call->conn;
    const unsigned char head[PREFIX] = {0, (unsigned char)(len >> 24), (unsigned char)(len >> 16),
                                        (unsigned char)(len >> 8), (unsigned char)len};
    if (len > GRPC_MESSAGE_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "a message of %zu bytes is too long", len);
    pthread_mutex_lock(&c->lock);
    bool go = true;
    while (go && !call->closed && call->out.len - call->out_pos > OUT_MAX)
        go = wait_change(c, cancel_fd);
    int rc = !go            ? dray_fail(err, DRAY_E_CANCELED, "canceled")
             : call->closed ? ended(call, err)
                            : 0;
    if (!rc) {
        answer(call);
        dray_buf_add(&call->out, head, PREFIX);
        dray_buf_add(&call->out, data, len);
        if (call->out.failed)
            rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
        resume(call);
    }
    pthread_mutex_unlock(&c->lock);
    grpc_wake(c);
    return rc;
}

void grpc_send_end(struct grpc_call *call)
{
    if (call->conn->serve) {
        grpc_finish(call, GRPC_OK, NULL);
        return;
    }
    pthread_mutex_lock(&call->conn->lock);
    call->out_end = true;
    resume(call);
    pthread_mutex_unlock(&call->conn->lock);
    grpc_wake(call->conn);
}

/* ---- Receiving ---- */

/* Give the peer credit for all but the last `keep` bytes, which nobody has taken. Lock held. */
static void give_credit(struct grpc_call *call, size_t keep)
{
    struct grpc_conn *c = call->conn;
    size_t n = call->held > keep ? call->held - keep : 0;
    if (n && c->h2 && !call->closed) {
        (void)nghttp2_session_consume(c->h2, call->id, n);
        call->held -= n;
        grpc_wake(c);
    }
}

/* 1: a message was taken; 0: it is not whole yet. Lock held. */
static int take_message(struct grpc_call *call, struct dray_buf *msg, struct dray_err *err)
{
    size_t have = call->in.len - call->in_pos;
    if (have < PREFIX)
        return 0;
    const unsigned char *p = (const unsigned char *)call->in.data + call->in_pos;
    size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0] != 0)
        return dray_fail(err, DRAY_E_CORRUPT, "the peer compresses its messages unasked");
    if (len > GRPC_MESSAGE_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "a message of %zu bytes is too long", len);
    if (have < PREFIX + len)
        return 0;
    dray_buf_reset(msg);
    dray_buf_add(msg, p + PREFIX, len);
    call->in_pos += PREFIX + len;
    if (call->in_pos == call->in.len || call->in_pos > OUT_MAX) {
        call->in.len -= call->in_pos;
        memmove(call->in.data, call->in.data + call->in_pos, call->in.len);
        call->in_pos = 0;
    }
    return msg->failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 1;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* "grpc-message" is percent-encoded. */
static void decode_text(const char *text, char *out, size_t room)
{
    size_t n = 0;
    for (; *text && n + 1 < room; text++) {
        bool coded = *text == '%' && hex(text[1]) >= 0 && hex(text[2]) >= 0;
        out[n++] = (char)(coded ? hex(text[1]) << 4 | hex(text[2]) : *text);
        text += coded ? 2 : 0;
    }
    out[n] = '\0';
}

static int status_code(int status)
{
    static const int codes[] = {
        [1] = DRAY_E_CANCELED, [3] = DRAY_E_INVAL,  [4] = DRAY_E_TIMEOUT, [5] = DRAY_E_NOTFOUND,
        [6] = DRAY_E_CONFLICT, [7] = DRAY_E_DENIED, [8] = DRAY_E_LIMIT,   [12] = DRAY_E_NOTSUP,
        [14] = DRAY_E_UNAVAIL, [16] = DRAY_E_UNAUTH};
    size_t at = status > 0 ? (size_t)status : 0;
    return at < sizeof codes / sizeof *codes && codes[at] ? codes[at] : DRAY_E_INTERNAL;
}

/* How the peer has ended the call. Lock held. */
static int outcome(struct grpc_call *call, struct dray_err *err)
{
    struct grpc_conn *c = call->conn;
    const char *status = dray_kvlist_get(&call->headers, "grpc-status", NULL);
    if (c->serve)
        return call->closed && call->reset ? dray_fail(err, DRAY_E_CANCELED, "canceled") : 0;
    if (!status)
        return ended(call, err);
    if (strcmp(status, "0") == 0)
        return call->in.len > call->in_pos
                   ? dray_fail(err, DRAY_E_CORRUPT, "the client has ended amid a message")
                   : 0;
    char text[STATUS_TEXT_MAX];
    decode_text(dray_kvlist_get(&call->headers, "grpc-message", ""), text, sizeof text);
    return dray_fail(err, status_code(atoi(status)), "%s", *text ? text : "the client has failed");
}

int grpc_recv(struct grpc_call *call, struct dray_buf *msg, int cancel_fd, struct dray_err *err)
{
    struct grpc_conn *c = call->conn;
    int rc = 0;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        rc = take_message(call, msg, err);
        /* What is left behind a message waits; a message that is not whole needs more to come. */
        give_credit(call, rc == 1 ? call->in.len - call->in_pos : 0);
        if (rc)
            break;
        if (call->in_end) {
            rc = outcome(call, err);
            break;
        }
        if (!wait_change(c, cancel_fd)) {
            rc = c->dead ? ended(call, err) : dray_fail(err, DRAY_E_CANCELED, "canceled");
            break;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int grpc_unary(struct grpc_conn *c, const char *method, const struct dray_buf *request,
               struct dray_buf *response, int cancel_fd, struct dray_err *err)
{
    struct grpc_call *call = NULL;
    DRAY_AUTO(dray_buf) rest = {0};
    int rc = grpc_call_start(c, method, NULL, &call, err);
    if (rc)
        return rc;
    rc = grpc_send(call, request->data ? request->data : "", request->len, cancel_fd, err);
    grpc_send_end(call);
    if (!rc)
        rc = grpc_recv(call, response, cancel_fd, err);
    if (rc == 0)
        rc = dray_fail(err, DRAY_E_CORRUPT, "%s: the client has answered nothing", method);
    else if (rc == 1)
        rc = grpc_recv(call, &rest, cancel_fd, err); /* the status */
    grpc_call_free(call);
    return rc > 0 ? dray_fail(err, DRAY_E_CORRUPT, "%s: two answers", method) : rc;
}

/* ---- Serving ---- */

static void *serve_main(void *arg)
{
    struct grpc_call *call = arg;
    struct grpc_conn *c = grpc_conn_ref(call->conn);
    c->serve(c->ctx, call);
    grpc_finish(call, GRPC_UNKNOWN, "not answered");
    pthread_mutex_lock(&c->lock);
    call->released = true;
    grpc_call_drop(call);
    c->serving--;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    grpc_conn_unref(c);
    return NULL;
}

bool grpc_call_serve(struct grpc_call *call)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, old;
    const char *path = dray_kvlist_get(&call->headers, ":path", NULL);
    call->method = path ? strdup(path) : NULL;
    call->gone = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!call->method || call->gone < 0)
        return false;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    call->released = false;
    bool ok = pthread_create(&thread, &attr, serve_main, call) == 0;
    call->released = !ok;
    call->conn->serving += ok;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

const char *grpc_method(const struct grpc_call *call)
{
    return call->method;
}

int grpc_gone_fd(const struct grpc_call *call)
{
    return call->gone;
}

const char *grpc_metadata(const struct grpc_call *call, const char *key)
{
    return dray_kvlist_get(&call->headers, key, NULL);
}

bool grpc_metadata_all(const struct grpc_call *call, const char *key, struct dray_strlist *out)
{
    bool ok = true;
    for (size_t i = 0; ok && i < call->headers.n; i++)
        if (strcmp(call->headers.v[i].key, key) == 0)
            ok = dray_strlist_add(out, call->headers.v[i].value);
    return ok;
}

/* What may not stand in a header is percent-encoded. */
static char *encode_text(const char *text)
{
    DRAY_AUTO(dray_buf) b = {0};
    for (; *text && b.len < STATUS_TEXT_MAX; text++) {
        if (*text >= ' ' && *text <= '~' && *text != '%')
            dray_buf_addc(&b, *text);
        else
            dray_buf_addf(&b, "%%%02X", (unsigned)(unsigned char)*text);
    }
    return dray_buf_steal(&b);
}

void grpc_add_detail(struct grpc_call *call, const struct dray_buf *any)
{
    pb_message(&call->details, 3, any);
}

/* google.rpc.Status in a header, whose binary values are base64. */
static char *encode_status(const struct grpc_call *call, int status, const char *text)
{
    DRAY_AUTO(dray_buf) msg = {0};
    DRAY_AUTO(dray_buf) out = {0};
    if (status == GRPC_OK || call->details.len == 0 || call->details.failed)
        return NULL;
    pb_uint(&msg, 1, (uint64_t)status);
    pb_text(&msg, 2, text);
    dray_buf_add(&msg, call->details.data, call->details.len);
    char *room = msg.failed ? NULL : dray_buf_room(&out, 4 * (msg.len / 3 + 1) + 4);
    if (!room)
        return NULL;
    out.len = (size_t)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)msg.data,
                                      (int)msg.len);
    return dray_buf_steal(&out);
}

void grpc_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
    struct grpc_conn *c = call->conn;
    pthread_mutex_lock(&c->lock);
    if (!call->out_end) {
        call->out_end = true;
        call->status = (int)status;
        call->text = text ? encode_text(text) : NULL;
        call->coded = encode_status(call, (int)status, text);
        if (!call->closed) {
            answer(call);
            resume(call);
        }
    }
    pthread_mutex_unlock(&c->lock);
    grpc_wake(c);
}

void grpc_finish_err(struct grpc_call *call, const struct dray_err *err)
{
    /* Clients show the names of others in front of the text. */
    enum grpc_status status = err->code == DRAY_E_NOTFOUND   ? GRPC_NOT_FOUND
                              : err->code == DRAY_E_CANCELED ? GRPC_CANCELED
                              : err->code == DRAY_E_NOTSUP   ? GRPC_UNIMPLEMENTED
                                                             : GRPC_UNKNOWN;
    grpc_finish(call, status, err->text);
}
