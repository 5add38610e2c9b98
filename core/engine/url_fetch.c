/* SPDX-License-Identifier: Apache-2.0 */
/* url_fetch.c - fetches a URL into a pipe by libcurl. */
#include "engine/url_fetch.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#define REDIRECTS 10L
#define CONNECT_TIMEOUT_MS 15000L
#define STALL_BYTES 16L
#define STALL_SECONDS 30L
#define PIPE_BYTES (1 << 20)

struct dray_url_fetch {
    CURL *easy;
    int out, cancel_fd;
    bool canceled;
    pthread_t thread;
    CURLcode code;
    long status;
    char why[CURL_ERROR_SIZE];
    char url[512]; /* for messages */
};

static bool is_canceled(struct dray_url_fetch *f)
{
    struct pollfd p = {.fd = f->cancel_fd, .events = POLLIN};
    if (f->cancel_fd >= 0 && poll(&p, 1, 0) > 0)
        f->canceled = true;
    return f->canceled;
}

/* The reader may be slow: waits for room, but not for one who has gone. */
static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
    struct dray_url_fetch *f = ctx;
    size_t at = 0;
    (void)one;
    while (at < len && !is_canceled(f)) {
        ssize_t n = write(f->out, data + at, len - at);
        if (n > 0) {
            at += (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return CURL_WRITEFUNC_ERROR;
        struct pollfd p[2] = {{.fd = f->out, .events = POLLOUT},
                              {.fd = f->cancel_fd, .events = POLLIN}};
        (void)poll(p, 2, -1);
    }
    return f->canceled ? CURL_WRITEFUNC_ERROR : len;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return is_canceled(ctx);
}

static void *fetch_thread(void *arg)
{
    struct dray_url_fetch *f = arg;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    f->code = curl_easy_perform(f->easy);
    (void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &f->status);
    dray_cleanup_fd(&f->out);
    return NULL;
}

static void prepare(struct dray_url_fetch *f, const char *url)
{
    CURL *c = f->easy;
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_DEFAULT_PROTOCOL, "http");
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https,ftp");
    (void)curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(c, CURLOPT_MAXREDIRS, REDIRECTS);
    (void)curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS);
    (void)curl_easy_setopt(c, CURLOPT_USERAGENT, "dray");
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->why);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
    (void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, f);
}

int dray_url_fetch_begin(const char *url, int cancel_fd, struct dray_url_fetch **out, int *fd_out,
                         struct dray_err *err)
{
    int fds[2];
    struct dray_url_fetch *f = calloc(1, sizeof *f);
    if (!f || !(f->easy = curl_easy_init())) {
        free(f);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    (void)snprintf(f->url, sizeof f->url, "%s", url);
    f->cancel_fd = cancel_fd;
    prepare(f, url);
    if (pipe2(fds, O_CLOEXEC) != 0) {
        int rc = dray_fail_errno(err, "make a pipe");
        curl_easy_cleanup(f->easy);
        free(f);
        return rc;
    }
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
    (void)fcntl(fds[1], F_SETFL, O_NONBLOCK);
    f->out = fds[1];
    if (pthread_create(&f->thread, NULL, fetch_thread, f) != 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        curl_easy_cleanup(f->easy);
        free(f);
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    *fd_out = fds[0];
    *out = f;
    return 0;
}

int dray_url_fetch_end(struct dray_url_fetch *f /* takes */, struct dray_err *err)
{
    int rc = 0;
    if (!f)
        return 0;
    (void)pthread_join(f->thread, NULL);
    if (f->canceled)
        rc = dray_fail(err, DRAY_E_CANCELED, "canceled");
    else if (f->code == CURLE_HTTP_RETURNED_ERROR)
        rc = dray_fail(err, DRAY_E_INVAL, "Got HTTP status code >= 400: %ld", f->status);
    else if (f->code != CURLE_OK)
        rc = dray_fail(err, DRAY_E_UNAVAIL, "Get \"%s\": %s", f->url,
                       f->why[0] ? f->why : curl_easy_strerror(f->code));
    curl_easy_cleanup(f->easy);
    free(f);
    return rc;
}
