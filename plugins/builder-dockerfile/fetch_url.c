/* SPDX-License-Identifier: Apache-2.0 */
/* fetch_url.c - loads a file over HTTP. */
#include "fetch.h"

#include <curl/curl.h>
#include <poll.h>

#define CONNECT_TIMEOUT_S 30L
#define STALL_S 120L
#define REDIRECTS 10L

struct loading {
    int fd, cancel_fd;
    int64_t size;
    bool full;
};

static size_t on_data(char *data, size_t one, size_t n, void *arg)
{
    struct loading *l = arg;
    size_t left = one * n;
    while (left > 0) {
        ssize_t k = write(l->fd, data, left);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            l->full = true;
            return 0;
        }
        data += k;
        left -= (size_t)k;
        l->size += k;
    }
    return one * n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct loading *l = arg;
    struct pollfd p = {.fd = l->cancel_fd, .events = POLLIN};
    (void)a, (void)b, (void)c, (void)d;
    return l->cancel_fd >= 0 && poll(&p, 1, 0) > 0;
}

static void set_options(CURL *c, const char *url, struct loading *l)
{
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(c, CURLOPT_MAXREDIRS, REDIRECTS);
    (void)curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALL_S);
    (void)curl_easy_setopt(c, CURLOPT_USERAGENT, "dray/0.1.0");
    (void)curl_easy_setopt(c, CURLOPT_FILETIME, 1L);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, l);
    (void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, l);
}

int bd_fetch_url(struct bd_build *b, const char *url, int fd, int64_t *size, int64_t *mtime_s,
                 struct dray_err *err)
{
    struct loading l = {.fd = fd, .cancel_fd = b->cancel_fd};
    CURL *c = curl_easy_init();
    long when = -1, status = 0;
    if (!c)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    set_options(c, url, &l);
    CURLcode r = curl_easy_perform(c);
    (void)curl_easy_getinfo(c, CURLINFO_FILETIME, &when);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    *size = l.size;
    *mtime_s = when > 0 ? when : 0;
    if (r == CURLE_OK)
        return 0;
    if (l.full)
        return dray_fail(err, DRAY_E_NOSPACE, "load %s: the disk is full", url);
    if (r == CURLE_ABORTED_BY_CALLBACK)
        return dray_fail(err, DRAY_E_CANCELED, "the build was canceled");
    if (status >= 400)
        return dray_fail(err, DRAY_E_INVAL, "failed to GET %s with status %ld", url, status);
    return dray_fail(err, DRAY_E_UNAVAIL, "failed to GET %s: %s", url, curl_easy_strerror(r));
}
