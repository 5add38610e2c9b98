/* SPDX-License-Identifier: Apache-2.0 */
/* grpc_h2.c - what HTTP/2 reports of a connection (RFC 9113; "gRPC over HTTP2"), and the thread
 * that moves its bytes. */
#include "kit/grpc_priv.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define STREAM_WINDOW (1 << 20)
#define CONN_WINDOW (8 << 20)
#define MAX_CALLS 64u
#define MAX_SERVING 128u
#define HEADERS_MAX ((size_t)256 << 10) /* bytes of a call's headers that are kept */
#define HEADERS_MAX_COUNT 512u
#define SEND_HEADERS_MAX ((size_t)8 << 20)
#define WIRE_MAX ((size_t)256 << 10)
#define READ_SIZE ((size_t)64 << 10)

/* ---- Callbacks; the lock is held in all of them ---- */

static struct grpc_call *call_of(nghttp2_session *h2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h2, id);
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct grpc_conn *c = arg;
    if (!c->serve || frame->hd.type != NGHTTP2_HEADERS ||
        frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct grpc_call *call = c->serving < MAX_SERVING ? grpc_call_new(c) : NULL;
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    call->id = frame->hd.stream_id;
    call->released = true; /* until a thread has it */
    (void)nghttp2_session_set_stream_user_data(h2, call->id, call);
    return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    struct grpc_call *call = call_of(h2, frame->hd.stream_id);
    (void)flags, (void)arg;
    if (!call)
        return 0;
    call->header_bytes += name_len + value_len;
    if (call->header_bytes > HEADERS_MAX || call->headers.n >= HEADERS_MAX_COUNT)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    /* Both end with a NUL: nghttp2's promise. */
    return dray_kvlist_add(&call->headers, (const char *)name, (const char *)value)
               ? 0
               : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct grpc_conn *c = arg;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct grpc_call *call = call_of(h2, frame->hd.stream_id);
    if (!call)
        return 0;
    call->in_end = call->in_end || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    pthread_cond_broadcast(&c->changed);
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST &&
        c->serve && !grpc_call_serve(call))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *arg)
{
    struct grpc_conn *c = arg;
    struct grpc_call *call = call_of(h2, id);
    (void)flags;
    if (!call || call->released) {
        (void)nghttp2_session_consume(h2, id, len);
        return 0;
    }
    dray_buf_add(&call->in, data, len);
    call->held += len;
    pthread_cond_broadcast(&c->changed);
    return call->in.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t code, void *arg)
{
    struct grpc_conn *c = arg;
    struct grpc_call *call = call_of(h2, id);
    if (!call)
        return 0;
    /* What it still held counts against the connection. */
    (void)nghttp2_session_consume_connection(h2, call->held);
    call->held = 0;
    grpc_call_close(call);
    call->reset = code;
    pthread_cond_broadcast(&c->changed);
    grpc_call_drop(call);
    return 0;
}

/* ---- What is sent ---- */

static void add_trailer(nghttp2_nv *nv, size_t *n, const char *key, const char *value)
{
    union {
        const char *in;
        uint8_t *out;
    } k = {.in = key}, v = {.in = value};
    if (value && *value)
        nv[(*n)++] = (nghttp2_nv){k.out, v.out, strlen(key), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void submit_trailers(struct grpc_call *call)
{
    char status[16];
    nghttp2_nv nv[3];
    size_t n = 0;
    (void)snprintf(status, sizeof status, "%d", call->status);
    add_trailer(nv, &n, "grpc-status", status);
    add_trailer(nv, &n, "grpc-message", call->text);
    add_trailer(nv, &n, "grpc-status-details-bin", call->coded);
    (void)nghttp2_submit_trailer(call->conn->h2, call->id, nv, n);
}

static ssize_t read_source(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t len,
                           uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct grpc_call *call = source->ptr;
    size_t left = call->out.len - call->out_pos, n = left < len ? left : len;
    (void)h2, (void)id, (void)arg;
    if (left == 0 && !call->out_end) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n)
        memcpy(buf, call->out.data + call->out_pos, n);
    call->out_pos += n;
    if (call->out_pos == call->out.len) {
        dray_buf_reset(&call->out);
        call->out_pos = 0;
        if (call->out_end)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (call->out_end && call->conn->serve) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(call);
        }
    }
    pthread_cond_broadcast(&call->conn->changed);
    return (ssize_t)n;
}

nghttp2_data_provider grpc_source(struct grpc_call *call)
{
    return (nghttp2_data_provider){.source.ptr = call, .read_callback = read_source};
}

/* ---- The session ---- */

static int start_session(struct grpc_conn *c, nghttp2_session_callbacks *cb, nghttp2_option *o)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_CALLS},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)HEADERS_MAX},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_max_send_header_block_length(o, SEND_HEADERS_MAX);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    int rc = c->serve ? nghttp2_session_server_new2(&c->h2, cb, c, o)
                      : nghttp2_session_client_new2(&c->h2, cb, c, o);
    if (!rc) /* a server has no pushes to refuse */
        rc = nghttp2_submit_settings(c->h2, NGHTTP2_FLAG_NONE, settings, c->serve ? 3 : 4);
    if (!rc)
        rc = nghttp2_session_set_local_window_size(c->h2, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
    return rc;
}

int grpc_h2_open(struct grpc_conn *c, struct dray_err *err)
{
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *o = NULL;
    int rc = nghttp2_session_callbacks_new(&cb);
    if (!rc)
        rc = nghttp2_option_new(&o);
    if (!rc)
        rc = start_session(c, cb, o);
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    return rc ? dray_fail(err, DRAY_E_NOMEM, "start HTTP/2: %s", nghttp2_strerror(rc)) : 0;
}

void grpc_wake(struct grpc_conn *c)
{
    (void)eventfd_write(c->wake, 1);
}

/* ---- Moving bytes ---- */

/* Take from the session what it has to send; false: it is broken. */
static bool fill_wire(struct grpc_conn *c)
{
    bool ok = true;
    pthread_mutex_lock(&c->lock);
    while (ok && c->wire.len < WIRE_MAX) {
        const uint8_t *data = NULL;
        ssize_t n = nghttp2_session_mem_send(c->h2, &data);
        if (n <= 0) {
            ok = n == 0;
            break;
        }
        dray_buf_add(&c->wire, data, (size_t)n);
        ok = !c->wire.failed;
    }
    pthread_mutex_unlock(&c->lock);
    return ok;
}

/* Has all been said and heard? */
static bool over(struct grpc_conn *c)
{
    pthread_mutex_lock(&c->lock);
    bool going = nghttp2_session_want_read(c->h2) || nghttp2_session_want_write(c->h2);
    pthread_mutex_unlock(&c->lock);
    return !going;
}

static bool write_wire(struct grpc_conn *c)
{
    while (c->wire_pos < c->wire.len) {
        ssize_t n = send(c->sock, c->wire.data + c->wire_pos, c->wire.len - c->wire_pos,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n < 0)
            return false;
        c->wire_pos += (size_t)n;
    }
    dray_buf_reset(&c->wire);
    c->wire_pos = 0;
    return true;
}

static bool read_wire(struct grpc_conn *c, char *buf)
{
    ssize_t n = recv(c->sock, buf, READ_SIZE, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    pthread_mutex_lock(&c->lock);
    ssize_t took = nghttp2_session_mem_recv(c->h2, (const uint8_t *)buf, (size_t)n);
    pthread_mutex_unlock(&c->lock);
    return took >= 0;
}

static void move_bytes(struct grpc_conn *c, int stop_fd, char *buf)
{
    while (fill_wire(c)) {
        eventfd_t drop = 0;
        bool filled = c->wire.len > 0;
        if (!write_wire(c))
            return;
        bool more = c->wire_pos < c->wire.len;
        if (filled && !more)
            continue; /* there may be more to say than a piece */
        if (!more && over(c))
            return;
        struct pollfd p[3] = {{.fd = c->sock, .events = (short)(POLLIN | (more ? POLLOUT : 0))},
                              {.fd = c->wake, .events = POLLIN},
                              {.fd = stop_fd, .events = POLLIN}};
        if (poll(p, 3, -1) < 0 && errno != EINTR)
            return;
        if (p[2].revents && !(p[0].revents & POLLIN))
            return;
        if (p[1].revents)
            (void)eventfd_read(c->wake, &drop);
        if ((p[0].revents & ~POLLOUT) && !read_wire(c, buf))
            return;
    }
}

void grpc_conn_run(struct grpc_conn *c, int stop_fd)
{
    dray_autofree char *buf = malloc(READ_SIZE);
    if (buf)
        move_bytes(c, stop_fd, buf);
    pthread_mutex_lock(&c->lock);
    c->dead = true;
    for (struct grpc_call *call = c->calls; call; call = call->next)
        grpc_call_close(call);
    (void)eventfd_write(c->dead_fd, 1);
    pthread_cond_broadcast(&c->changed);
    while (c->serving > 0)
        pthread_cond_wait(&c->changed, &c->lock);
    nghttp2_session_del(c->h2);
    c->h2 = NULL;
    for (struct grpc_call *call = c->calls, *next = NULL; call; call = next) {
        next = call->next;
        grpc_call_drop(call);
    }
    pthread_mutex_unlock(&c->lock);
}
