/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - one HTTP exchange by libcurl: cancelled, timed, with bounded answers. */
#include "hub.h"

#include <dirent.h>
#include <poll.h>
#include <time.h>

#define CONNECT_TIMEOUT_MS 15000L
#define STALL_BYTES 16L /* fewer a second for the stall-timeout: the server has died */
#define REDIRECTS 10L
#define AGENT_MAX 512 /* longer names of clients are cut */
#define HEADERS_MAX (256u << 10)
#define PROGRESS_STEP (512u << 10)
#define CERTS_MAX (4u << 20)
#define SYSTEM_CERTS "/etc/ssl/certs/ca-certificates.crt"

/** A multi handle keeps its connections: reused by whoever asks next. */
struct hub_worker {
    struct hub_worker *next;
    CURLM *multi;
};

/** One transfer. */
struct transfer {
    const struct hub_request *rq;
    struct hub_answer *out;
    CURL *easy;
    struct curl_slist *headers;
    struct dray_err *err;
    int rc; /* of the sink or of a limit */
    uint64_t sent, told;
    size_t header_bytes;
    char why[CURL_ERROR_SIZE];
};

/* Workers. */

static struct hub_worker *take_worker(struct dray_self *s)
{
    pthread_mutex_lock(&s->lock);
    struct hub_worker *w = s->idle;
    if (w)
        s->idle = w->next;
    pthread_mutex_unlock(&s->lock);
    if (w)
        return w;
    w = calloc(1, sizeof *w);
    if (w && !(w->multi = curl_multi_init())) {
        free(w);
        return NULL;
    }
    return w;
}

static void give_worker(struct dray_self *s, struct hub_worker *w)
{
    pthread_mutex_lock(&s->lock);
    w->next = s->idle;
    s->idle = w;
    pthread_mutex_unlock(&s->lock);
}

void hub_workers_free(struct dray_self *s)
{
    while (s->idle) {
        struct hub_worker *w = s->idle;
        s->idle = w->next;
        (void)curl_multi_cleanup(w->multi);
        free(w);
    }
}

/* What comes in. */

static size_t on_header(char *line, size_t one, size_t len, void *ctx)
{
    struct transfer *t = ctx;
    (void)one;
    t->header_bytes += len;
    if (t->header_bytes > HEADERS_MAX) {
        t->rc = dray_fail(t->err, DRAY_E_LIMIT, "the server's headers are too large");
        return 0;
    }
    hub_answer_header(t->out, line, len);
    return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *ctx)
{
    struct transfer *t = ctx;
    (void)one;
    long status = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    bool good = status == 200 || status == 206;
    if (good && t->rq->sink && !(t->rq->offset > 0 && status == 200))
        t->rc = t->rq->sink(t->rq->sink_ctx, data, len, t->err), t->out->sunk += len;
    else if (t->out->body.len + len > ANSWER_MAX)
        t->rc = dray_fail(t->err, DRAY_E_LIMIT, "the server's answer is larger than %u bytes",
                          ANSWER_MAX);
    else
        t->rc = hub_buf_add(&t->out->body, data, len);
    return t->rc == 0 ? len : CURL_WRITEFUNC_ERROR;
}

/** Tell the caller now and then how much of a body has gone out. */
static void tell_progress(struct transfer *t)
{
    const struct hub_request *rq = t->rq;
    char current[24];
    if (!rq->progress || t->sent < t->told + PROGRESS_STEP)
        return;
    t->told = t->sent;
    (void)snprintf(current, sizeof current, "%llu", (unsigned long long)(rq->body_from + t->sent));
    struct dray_kv kv = {"current", current};
    struct dray_record rec = {sizeof rec, DRAY_REC_PROGRESS, {&kv, 1}};
    (void)rq->progress->emit(rq->call, &rec);
}

static size_t on_read(char *to, size_t one, size_t len, void *ctx)
{
    struct transfer *t = ctx;
    uint64_t left = t->rq->body_len - t->sent;
    size_t want = one * len;
    if (want > left)
        want = (size_t)left;
    ssize_t n = want > 0 ? pread(t->rq->body_fd, to, want, (off_t)(t->rq->body_from + t->sent)) : 0;
    if (n < 0)
        return CURL_READFUNC_ABORT;
    t->sent += (uint64_t)n;
    tell_progress(t);
    return (size_t)n;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    t->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* What goes out. */

static void add_header(struct transfer *t, const char *name, const char *value)
{
    char *line = NULL;
    if (value && asprintf(&line, "%s: %s", name, value) >= 0) {
        struct curl_slist *more = curl_slist_append(t->headers, line);
        if (more)
            t->headers = more;
        free(line);
    }
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

static void append_file(struct hub_buf *b, const char *path)
{
    char chunk[4096];
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    for (size_t n; b->len < CERTS_MAX && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        (void)hub_buf_add(b, chunk, n);
    (void)hub_buf_add(b, "\n", 1);
    (void)fclose(f);
}

/** certs.d/HOST: every *.crt is an authority beside the system's, NAME.cert with NAME.key is ours.
 */
static void set_certificates(struct dray_self *s, struct transfer *t)
{
    char dir[512], path[800];
    struct hub_buf authorities = {0};
    (void)snprintf(dir, sizeof dir, "%s/%s", s->host->opt_str(s->host, "certs-dir"),
                   t->rq->target->host);
    DIR *d = *t->rq->target->host && !strchr(t->rq->target->host, '/') ? opendir(dir) : NULL;
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (ends_with(e->d_name, ".crt")) {
            append_file(&authorities, path);
        } else if (ends_with(e->d_name, ".cert")) {
            (void)curl_easy_setopt(t->easy, CURLOPT_SSLCERT, path);
            size_t len = strlen(path);
            memcpy(path + len - 5, ".key", sizeof ".key");
            (void)curl_easy_setopt(t->easy, CURLOPT_SSLKEY, path);
        }
    }
    closedir(d);
    if (authorities.len > 0) {
        append_file(&authorities, SYSTEM_CERTS);
        struct curl_blob blob = {authorities.data, authorities.len, CURL_BLOB_COPY};
        (void)curl_easy_setopt(t->easy, CURLOPT_CAINFO_BLOB, &blob);
    }
    free(authorities.data);
}

/** An option, or else the environment as Go reads it: upper case first. */
static const char *proxy_setting(struct dray_self *s, const char *option, const char *upper,
                                 const char *lower)
{
    const char *v = s->host->opt_str(s->host, option);
    if (!v || !*v)
        v = getenv(upper);
    if (!v || !*v)
        v = getenv(lower);
    return v ? v : "";
}

static void set_proxy(struct dray_self *s, CURL *easy, const char *url)
{
    char bare[256];
    const char *host = strstr(url, "://");
    bool tls = strncmp(url, "https", 5) == 0;
    const char *proxy = tls ? proxy_setting(s, "https-proxy", "HTTPS_PROXY", "https_proxy")
                            : proxy_setting(s, "http-proxy", "HTTP_PROXY", "http_proxy");
    hub_bare_host(host ? host + 3 : url, bare, sizeof bare);
    /* "" is not "unset" to libcurl: it then does not look at the environment by itself. */
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, hub_is_loopback(bare) ? "" : proxy);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROXY,
                           proxy_setting(s, "no-proxy", "NO_PROXY", "no_proxy"));
}

static void set_method(struct transfer *t)
{
    const struct hub_request *rq = t->rq;
    CURL *c = t->easy;
    if (strcmp(rq->method, "HEAD") == 0) {
        (void)curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
        return;
    }
    if (rq->body_fd >= 0) {
        (void)curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
        (void)curl_easy_setopt(c, CURLOPT_READDATA, t);
        (void)curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
        (void)curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
        (void)curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)rq->body_len);
    } else if (rq->form || strcmp(rq->method, "POST") == 0) {
        (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, rq->form ? rq->form : "");
    }
    (void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, rq->method);
}

/* As dockerd's: its own name, and in a comment of RFC 9110 5.6.5 that of its client. */
static void set_agent(CURL *c, const char *client)
{
    char text[AGENT_MAX] = "dray/0.1.0";
    size_t len = strlen(text);
    if (client && *client) {
        len += (size_t)snprintf(text + len, sizeof text - len, " UpstreamClient(");
        for (; *client && len + 4 < sizeof text; client++) {
            if (strchr("();\\", *client))
                text[len++] = '\\';
            text[len++] = *client >= ' ' ? *client : ' ';
        }
        text[len++] = ')';
        text[len] = '\0';
    }
    (void)curl_easy_setopt(c, CURLOPT_USERAGENT, text);
}

static void prepare(struct dray_self *s, struct transfer *t)
{
    const struct hub_request *rq = t->rq;
    CURL *c = t->easy;
    char range[40];
    (void)curl_easy_setopt(c, CURLOPT_URL, rq->url);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->why);
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, rq->body_fd >= 0 ? 0L : 1L);
    (void)curl_easy_setopt(c, CURLOPT_MAXREDIRS, REDIRECTS);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME,
                           (long)s->host->opt_int(s->host, "stall-timeout"));
    (void)curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L << 10);
    set_agent(c, rq->client);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    if (rq->target && !rq->target->verify) {
        (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (rq->target)
        set_certificates(s, t);
    set_proxy(s, c, rq->url);
    set_method(t);
    add_header(t, "Accept", rq->accept);
    add_header(t, "Content-Type", rq->content_type);
    add_header(t, "Content-Range", rq->content_range);
    add_header(t, "Authorization", rq->authorization);
    add_header(t, "Expect", "");
    if (rq->basic)
        (void)curl_easy_setopt(c, CURLOPT_USERPWD, rq->basic);
    if (rq->offset > 0) {
        (void)snprintf(range, sizeof range, "%llu-", (unsigned long long)rq->offset);
        (void)curl_easy_setopt(c, CURLOPT_RANGE, range);
    }
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
}

/* Driving it. */

static int64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int check_call(const struct dray_call *call, struct dray_err *err)
{
    struct pollfd p = {.fd = call->cancel_fd, .events = POLLIN};
    if (call->cancel_fd >= 0 && poll(&p, 1, 0) > 0)
        return dray_fail(err, DRAY_E_CANCELED, "canceled");
    if (call->deadline_ns && (uint64_t)now_ns() > call->deadline_ns)
        return dray_fail(err, DRAY_E_TIMEOUT, "the server did not answer in time");
    return 0;
}

int hub_pause(const struct dray_call *call, long ms, struct dray_err *err)
{
    struct pollfd p = {.fd = call->cancel_fd, .events = POLLIN};
    (void)poll(&p, 1, (int)ms);
    return check_call(call, err);
}

static int transport_error(struct transfer *t, CURLcode code, struct dray_err *err)
{
    const char *method = strcmp(t->rq->method, "HEAD") == 0 ? "Head" : "Get";
    const char *host = strstr(t->rq->url, "://");
    host = host ? host + 3 : t->rq->url;
    int n = (int)strcspn(host, "/");
    const char *why = t->why[0] ? t->why : curl_easy_strerror(code);
    int rc = DRAY_E_UNAVAIL;
    if (code == CURLE_COULDNT_CONNECT)
        (void)dray_fail(err, rc, "%s \"%s\": dial tcp %.*s: connect: connection refused", method,
                        t->rq->url, n, host);
    else if (code == CURLE_COULDNT_RESOLVE_HOST)
        (void)dray_fail(err, rc, "%s \"%s\": dial tcp: lookup %.*s: no such host", method,
                        t->rq->url, (int)strcspn(host, ":/"), host);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        (void)dray_fail(err, rc, "%s \"%s\": tls: failed to verify certificate: %s", method,
                        t->rq->url, why);
    else
        (void)dray_fail(err, rc, "%s \"%s\": %s", method, t->rq->url, why);
    bool lasting = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_TOO_MANY_REDIRECTS ||
                   code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ||
                   code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST;
    if (err && !lasting)
        err->flags |= DRAY_ERR_TRANSIENT;
    return rc;
}

static int drive(CURLM *multi, struct transfer *t, struct dray_err *err)
{
    int running = 1;
    while (running > 0) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return dray_fail(err, DRAY_E_INTERNAL, "libcurl failed");
        if (running == 0)
            break;
        struct curl_waitfd extra = {.fd = t->rq->call->cancel_fd, .events = CURL_WAIT_POLLIN};
        (void)curl_multi_poll(multi, &extra, t->rq->call->cancel_fd >= 0 ? 1 : 0, 500, NULL);
        int rc = check_call(t->rq->call, err);
        if (rc != 0)
            return rc;
    }
    int left;
    CURLMsg *m = curl_multi_info_read(multi, &left);
    CURLcode code = m ? m->data.result : CURLE_FAILED_INIT;
    if (t->rc != 0)
        return t->rc;
    return code == CURLE_OK ? 0 : transport_error(t, code, err);
}

int hub_exchange(struct dray_self *s, const struct hub_request *rq, struct hub_answer *out,
                 struct dray_err *err)
{
    struct hub_worker *w = take_worker(s);
    struct transfer t = {.rq = rq, .out = out, .err = err, .easy = curl_easy_init()};
    hub_answer_begin(out);
    if (!w || !t.easy) {
        if (w)
            give_worker(s, w);
        curl_easy_cleanup(t.easy);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    prepare(s, &t);
    (void)curl_multi_add_handle(w->multi, t.easy);
    int rc = drive(w->multi, &t, err);
    (void)curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, &out->status);
    curl_off_t wait = 0;
    if (curl_easy_getinfo(t.easy, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
        out->retry_after = (long)wait;
    const char *at = NULL;
    if (curl_easy_getinfo(t.easy, CURLINFO_EFFECTIVE_URL, &at) == CURLE_OK && at)
        out->elsewhere = !hub_same_origin(at, rq->url);
    (void)curl_multi_remove_handle(w->multi, t.easy);
    curl_easy_cleanup(t.easy);
    curl_slist_free_all(t.headers);
    give_worker(s, w);
    return rc;
}
