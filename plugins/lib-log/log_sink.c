/* SPDX-License-Identifier: Apache-2.0 */
/* log_sink.c - frames of a log on their way to the reader's descriptor. */
#include "log_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define SINK_SIZE ((size_t)256 << 10)
#define PIPE_SIZE (1 << 20)

int dray_log_sink_init(struct dray_log_sink *s, int out, int cancel_fd, struct dray_err *err)
{
    *s = (struct dray_log_sink){.fd = out, .own = -EBADF, .cancel_fd = cancel_fd};
    s->buf = malloc(SINK_SIZE);
    if (!s->buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct stat st = {0};
    (void)fstat(out, &st);
    s->socket = S_ISSOCK(st.st_mode);
    if (!S_ISFIFO(st.st_mode))
        return 0;
    /* The flags of `out` belong to the caller: a descriptor of our own may be non-blocking. */
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", out);
    s->own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (s->own < 0)
        return 0;
    s->fd = s->own;
    (void)fcntl(s->fd, F_SETPIPE_SZ, PIPE_SIZE);
    return 0;
}

void dray_log_sink_fini(struct dray_log_sink *s)
{
    dray_cleanup_fd(&s->own);
    free(s->buf);
}

static int wait_for_room(struct dray_log_sink *s, struct dray_err *err)
{
    struct pollfd p[2] = {{.fd = s->fd, .events = POLLOUT}, {.fd = s->cancel_fd, .events = POLLIN}};
    if (poll(p, 2, -1) < 0 && errno != EINTR)
        return dray_fail_errno(err, "send logs");
    if (p[1].revents)
        return dray_fail(err, DRAY_E_CANCELED, "the reader of the logs has gone");
    return 0;
}

static int write_all(struct dray_log_sink *s, const char *data, size_t len, struct dray_err *err)
{
    while (len > 0) {
        ssize_t n = s->socket ? send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                              : write(s->fd, data, len);
        if (n >= 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return dray_fail(err, DRAY_E_UNAVAIL, "the reader of the logs has gone");
        int rc = errno == EAGAIN  ? wait_for_room(s, err)
                 : errno == EINTR ? 0
                                  : dray_fail_errno(err, "send logs");
        if (rc)
            return rc;
    }
    return 0;
}

int dray_log_sink_flush(struct dray_log_sink *s, struct dray_err *err)
{
    size_t len = s->len;
    s->len = 0;
    return write_all(s, s->buf, len, err);
}

int dray_log_sink_put(struct dray_log_sink *s, const struct dray_log_item *item,
                      struct dray_err *err)
{
    struct dray_log_frame head = {
        .time_ns = item->time_ns,
        .len = item->len,
        .stream = item->stream,
        .flags = item->flags,
        .attrs_len = item->attrs_len,
    };
    size_t size = sizeof head + item->attrs_len + item->len;
    if (s->len + size > SINK_SIZE) {
        int rc = dray_log_sink_flush(s, err);
        if (rc)
            return rc;
    }
    bool fits = size <= SINK_SIZE;
    char *p = s->buf + s->len;
    memcpy(p, &head, sizeof head);
    memcpy(p + sizeof head, item->attrs, item->attrs_len);
    s->len += sizeof head + item->attrs_len;
    if (fits) {
        memcpy(p + sizeof head + item->attrs_len, item->text, item->len);
        s->len += item->len;
        return 0;
    }
    int rc = dray_log_sink_flush(s, err);
    return rc ? rc : write_all(s, item->text, item->len, err);
}
