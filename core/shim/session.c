/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - attach sessions: bytes between a client's socket and a process. */
#include "shim/shim.h"

#include "base/clock.h"
#include "base/json.h"
#include "shim/protocol.h"

#include <sys/socket.h>
#include <sys/uio.h>

/* Does the end of this client's input end that of the process? */
static bool closes_stdin(const struct shim_session *s)
{
    const struct shim_proc *p = s->proc;
    return s->want_in && p->open_stdin && !p->terminal && (p->id || p->stdin_once);
}

static bool wants(const struct shim_session *s, uint8_t stream)
{
    return stream == DRAY_FRAME_STDOUT ? s->want_out : s->want_err;
}

/* Output. */

static void keep(struct shim_session *s, const struct iovec *io, size_t sent)
{
    size_t more = io[0].iov_len + io[1].iov_len - sent;
    if (s->pend && s->pend_off > 0) {
        memmove(s->pend, s->pend + s->pend_off, s->pend_len - s->pend_off);
        s->pend_len -= s->pend_off;
        s->pend_off = 0;
    }
    char *grown = realloc(s->pend, s->pend_len + more);
    if (!grown)
        abort(); /* cannot be told to the client any more */
    s->pend = grown;
    for (size_t i = 0; i < 2; i++) {
        size_t skip = sent < io[i].iov_len ? sent : io[i].iov_len;
        memcpy(s->pend + s->pend_len, (const char *)io[i].iov_base + skip, io[i].iov_len - skip);
        s->pend_len += io[i].iov_len - skip;
        sent -= skip;
    }
}

/* Returns what the socket took, or -1 when the client is gone. */
static ssize_t push(struct shim_session *s, struct iovec *io, size_t n)
{
    struct msghdr msg = {.msg_iov = io, .msg_iovlen = n};
    ssize_t sent;
    do
        sent = sendmsg(s->sock.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -1;
    if (sent > 0)
        s->progress_mono = dray_clock_mono();
    return sent;
}

void shim_session_output(struct shim_session *s, uint8_t stream, const char *data, size_t n)
{
    if (s->hup || !wants(s, stream))
        return;
    uint8_t head[DRAY_FRAME_HEADER] = {
        stream, 0, 0, 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    struct iovec io[2] = {{head, s->framed ? sizeof head : 0}, {(void *)(uintptr_t)data, n}};
    ssize_t sent = s->pend ? 0 : push(s, io, 2);
    if (sent < 0) {
        shim_session_end(s, false);
        return;
    }
    if ((size_t)sent == io[0].iov_len + n)
        return;
    if (!s->pend)
        s->progress_mono = dray_clock_mono();
    keep(s, io, (size_t)sent);
    shim_session_update(s);
}

static void flush(struct shim_session *s)
{
    struct iovec io = {s->pend + s->pend_off, s->pend_len - s->pend_off};
    ssize_t sent = push(s, &io, 1);
    if (sent < 0) {
        shim_session_end(s, false);
        return;
    }
    s->pend_off += (size_t)sent;
    if (s->pend_off < s->pend_len)
        return;
    free(dray_steal(s->pend));
    s->pend_off = s->pend_len = 0;
    struct shim_proc *p = s->proc;
    if (p->finished) {
        shim_session_end(s, false);
        return;
    }
    shim_session_update(s);
    shim_proc_update(p);
}

/* Input. */

static void end_of_input(struct shim_session *s)
{
    s->in_eof = true;
    if (s->detach.matched)
        shim_proc_write(s->proc, s->detach.keys, s->detach.matched);
    s->detach.matched = 0;
    if (closes_stdin(s))
        shim_proc_close_in(s->proc);
    if (s->hup || (!s->want_out && !s->want_err))
        shim_session_end(s, false);
    else
        shim_session_update(s);
}

static void take_input(struct shim_session *s, const char *data, size_t n)
{
    struct shim_proc *p = s->proc;
    if (!p->terminal || s->detach.n == 0) {
        shim_proc_write(p, data, n);
        return;
    }
    uint8_t *out = malloc(n + SHIM_DETACH_MAX);
    if (!out)
        abort();
    size_t used = 0;
    bool found = shim_detach_feed(&s->detach, (const uint8_t *)data, n, out, &used);
    shim_proc_write(p, out, used);
    free(out);
    if (found)
        shim_session_end(s, true);
}

static void read_input(struct shim_session *s)
{
    char *buffer = shim_buffer(s->proc->shim);
    ssize_t n = recv(s->sock.fd, buffer, SHIM_BUFFER, MSG_DONTWAIT);
    if (n > 0)
        take_input(s, buffer, (size_t)n);
    else if (n == 0)
        end_of_input(s);
    else if (errno != EAGAIN && errno != EINTR)
        shim_session_end(s, false);
}

static bool may_read(const struct shim_session *s)
{
    return s->want_in && !s->in_eof && s->proc->pid && s->proc->in_len == 0;
}

static void discard_output(struct shim_session *s)
{
    if (!s->pend)
        return;
    free(dray_steal(s->pend));
    s->pend_off = s->pend_len = 0;
    shim_proc_update(s->proc);
}

/* The client has gone, but what it sent before is still to be read. */
static void on_hangup(struct shim_session *s)
{
    if (!s->want_in || s->in_eof || s->proc->finished) {
        shim_session_end(s, false);
        return;
    }
    s->hup = true;
    discard_output(s);
    if (may_read(s))
        read_input(s);
    else
        shim_session_update(s);
}

static void on_session(struct shim_watch *w, uint32_t events)
{
    struct shim_session *s = SHIM_OWNER(w, struct shim_session, sock);
    if (events & EPOLLERR)
        shim_session_end(s, false);
    else if (events & EPOLLHUP)
        on_hangup(s);
    else if (events & EPOLLOUT)
        flush(s);
    else if (events & EPOLLIN)
        read_input(s);
}

void shim_session_update(struct shim_session *s)
{
    uint32_t events = s->hup ? 0 : EPOLLHUP;
    if (may_read(s))
        events |= EPOLLIN;
    if (s->pend && !s->hup)
        events |= EPOLLOUT;
    shim_loop_set(&s->proc->shim->loop, &s->sock, events);
}

/* Life. */

static void parse_detach_keys(struct shim_session *s, struct json_object *keys)
{
    size_t n = dray_json_len(keys);
    for (size_t i = 0; i < n && i < SHIM_DETACH_MAX; i++)
        s->detach.keys[s->detach.n++] =
            (uint8_t)json_object_get_int(json_object_array_get_idx(keys, i));
}

int shim_session_new(struct shim_proc *p, struct json_object *body, int sock, int done,
                     struct dray_err *err)
{
    int type = 0;
    socklen_t len = sizeof type;
    if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
        return dray_fail(err, DRAY_E_INVAL, "attach: the stream is not a stream socket");
    struct shim_session *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "attach: out of memory");
    s->proc = p;
    s->sock = (struct shim_watch){.fd = sock, .fn = on_session};
    s->done = done;
    s->want_in = dray_json_bool(body, "stdin", false);
    s->want_out = dray_json_bool(body, "stdout", false);
    s->want_err = dray_json_bool(body, "stderr", false);
    s->framed = dray_json_bool(body, "framed", false);
    parse_detach_keys(s, dray_json_arr(body, "detach_keys"));
    LIST_INSERT_HEAD(&p->shim->sessions, s, link);
    p->n_sessions++;
    if (p->finished)
        shim_session_end(s, false);
    else
        shim_session_update(s);
    return 0;
}

void shim_session_end(struct shim_session *s, bool detached)
{
    struct shim_proc *p = s->proc;
    if (!s->in_eof && closes_stdin(s))
        shim_proc_close_in(p);
    LIST_REMOVE(s, link);
    p->n_sessions--;
    /* Closed, not shut down: the client sees its end when the daemon closes the last copy, by when
     * an exit code can be asked for. Without a daemon this copy is the last. */
    shim_loop_close(&p->shim->loop, &s->sock);
    if (detached && write(s->done, "d", 1) < 0) {
        /* the daemon has gone: nobody is to be told */
    }
    dray_cleanup_fd(&s->done);
    bool stalled = s->pend != NULL;
    free(s->pend);
    free(s);
    if (stalled)
        shim_proc_update(p);
}

void shim_session_end_all(struct shim *s)
{
    while (!LIST_EMPTY(&s->sessions))
        shim_session_end(LIST_FIRST(&s->sessions), false);
}

void shim_session_sweep(struct shim *s, int64_t now_mono)
{
    struct shim_session *next;
    for (struct shim_session *i = LIST_FIRST(&s->sessions); i; i = next) {
        next = LIST_NEXT(i, link);
        if (!i->proc->finished)
            continue;
        s->tick = true;
        if (now_mono - i->progress_mono > SHIM_DRAIN_NS)
            shim_session_end(i, false);
    }
}
