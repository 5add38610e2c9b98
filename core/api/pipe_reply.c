/* SPDX-License-Identifier: Apache-2.0 */
/* pipe_reply.c - streams to the client what an engine call writes into a descriptor. */
#include "api/pipe_reply.h"

#include "api/http_priv.h"

#include <fcntl.h>
#include <poll.h>

#define BLOCK ((size_t)256 << 10)

struct job {
    dray_pipe_fn fn;
    void *ctx;
    int fd;
    int rc;
    struct dray_err err;
};

static void *job_main(void *arg)
{
    struct job *j = arg;
    j->rc = j->fn(j->ctx, j->fd, &j->err);
    (void)close(j->fd);
    return NULL;
}

/* The next bytes; 0 at the end, negative when the client has gone meanwhile. */
static ssize_t next_block(struct dray_http *h, int fd, char *buf)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                          {.fd = dray_http_cancel_fd(h), .events = POLLIN}};
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (p[1].revents)
            return -1;
        if (!p[0].revents)
            continue;
        ssize_t n = read(fd, buf, BLOCK);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN))
            return n;
    }
}

int dray_http_reply_pipe(struct dray_http *h, const char *content_type, dray_pipe_fn fn, void *ctx,
                         struct dray_err *err)
{
    int p[2];
    dray_autofree char *buf = malloc(BLOCK);
    if (!buf || pipe2(p, O_CLOEXEC) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "no memory or descriptors for the answer");
    (void)fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
    struct job j = {.fn = fn, .ctx = ctx, .fd = p[1]};
    pthread_t thread;
    if (dray_thread_start(job_main, &j, &thread) != 0) {
        (void)close(p[0]);
        (void)close(p[1]);
        return dray_fail_errno(err, "start a thread");
    }
    int rc = 0;
    ssize_t n = 0;
    while (!rc && (n = next_block(h, p[0], buf)) > 0) {
        if (!dray_http_streaming(h))
            rc = dray_http_stream(h, 200, content_type, err);
        if (!rc)
            rc = dray_http_write(h, buf, (size_t)n);
    }
    /* From here on the writer gets EPIPE, should it not have ended. */
    (void)close(p[0]);
    pthread_join(thread, NULL);
    if (rc || n < 0)
        return rc ? rc : dray_fail(err, DRAY_E_CANCELED, "the client has gone");
    if (j.rc) {
        if (err)
            *err = j.err;
        return j.rc;
    }
    return dray_http_streaming(h) ? 0 : dray_http_stream(h, 200, content_type, err);
}
