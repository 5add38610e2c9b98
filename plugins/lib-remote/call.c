/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - one call to a server: a POST with a deadline. */
#include "remote.h"

#include <curl/curl.h>
#include <time.h>

#define NS UINT64_C(1000000000)
#define MAX_ANSWER ((size_t)8 << 20)
#define MARGIN_NS (NS / 4) /* the call ends before the host finds it overdue */
#define SHORT_NS (2 * NS)  /* for a server that has not answered the last time */
#define MEDIA_TYPE "application/vnd.docker.plugins.v1.2+json"

struct answer {
    char *text; /* NUL terminated once there is any */
    size_t len;
    bool too_long;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

/* --- the transfer ------------------------------------------------------------------------------*/

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    struct answer *a = arg;
    n *= size;
    a->too_long = a->len + n > MAX_ANSWER;
    char *grown = a->too_long ? NULL : realloc(a->text, a->len + n + 1);
    if (!grown)
        return 0;
    memcpy(grown + a->len, data, n);
    a->text = grown;
    a->len += n;
    a->text[a->len] = '\0';
    return n;
}

/* The file descriptors of the server, when it runs beside us, are none of its business. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    (void)arg;
    (void)purpose;
    return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

static void set_target(CURL *c, const struct dray_remote_addr *addr, const char *url)
{
    (void)curl_easy_setopt(c, CURLOPT_URL, url);
    (void)curl_easy_setopt(c, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    (void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    if (addr->socket)
        (void)curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, addr->socket);
    if (addr->insecure) {
        (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (addr->ca)
        (void)curl_easy_setopt(c, CURLOPT_CAINFO, addr->ca);
    if (addr->cert)
        (void)curl_easy_setopt(c, CURLOPT_SSLCERT, addr->cert);
    if (addr->key)
        (void)curl_easy_setopt(c, CURLOPT_SSLKEY, addr->key);
}

static void set_body(CURL *c, struct curl_slist *headers, const char *body, struct answer *a)
{
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(c, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    (void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
}

/* Move bytes until the transfer ends, the time is up (CURLE_OPERATION_TIMEDOUT), or the caller has
 * gone (CURLE_ABORTED_BY_CALLBACK). */
static CURLcode drive(CURLM *m, const struct dray_call *call, uint64_t end_ns)
{
    struct curl_waitfd gone = {.fd = call->cancel_fd, .events = CURL_WAIT_POLLIN};
    int running = 1;
    while (running) {
        if (curl_multi_perform(m, &running) != CURLM_OK)
            return CURLE_FAILED_INIT;
        if (!running)
            break;
        uint64_t now = now_ns();
        if (now >= end_ns)
            return CURLE_OPERATION_TIMEDOUT;
        gone.revents = 0;
        (void)curl_multi_poll(m, &gone, call->cancel_fd >= 0, (int)((end_ns - now) / 1000000 + 1),
                              NULL);
        if (call->cancel_fd >= 0 && gone.revents)
            return CURLE_ABORTED_BY_CALLBACK;
    }
    int left = 0;
    const CURLMsg *msg = curl_multi_info_read(m, &left);
    return msg && msg->msg == CURLMSG_DONE ? msg->data.result : CURLE_FAILED_INIT;
}

static const char *place_of(const struct dray_remote_addr *addr)
{
    return addr->socket ? addr->socket : addr->url;
}

static int transfer_failed(const struct dray_remote *r, CURL *c, CURLcode code,
                           const struct dray_remote_addr *addr, uint64_t waited_ns,
                           const struct answer *a, struct dray_err *err)
{
    long os = 0;
    (void)curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &os);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return dray_fail(err, DRAY_E_CANCELED, "canceled");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return dray_fail(err, DRAY_E_TIMEOUT,
                         "the plugin \"%s\" has not answered within %.1f s (%s)", r->name,
                         (double)waited_ns / 1e9, place_of(addr));
    if (a->too_long)
        return dray_fail(err, DRAY_E_IO, "the answer of the plugin \"%s\" is longer than %zu MiB",
                         r->name, MAX_ANSWER >> 20);
    if (code == CURLE_COULDNT_CONNECT)
        return dray_fail(err, DRAY_E_IO, "cannot reach the plugin \"%s\": connect %s: %s", r->name,
                         place_of(addr), os ? strerror((int)os) : curl_easy_strerror(code));
    return dray_fail(err, DRAY_E_IO, "the plugin \"%s\" gave no proper answer (%s): %s", r->name,
                     place_of(addr), curl_easy_strerror(code));
}

static int transfer(const struct dray_remote *r, const struct dray_call *call, CURL *c,
                    const struct dray_remote_addr *addr, uint64_t limit_ns, const struct answer *a,
                    struct dray_err *err)
{
    CURLM *m = curl_multi_init();
    uint64_t start = now_ns();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    if (m && curl_multi_add_handle(m, c) == CURLM_OK) {
        code = drive(m, call, limit_ns);
        (void)curl_multi_remove_handle(m, c);
    }
    int rc = code ? transfer_failed(r, c, code, addr, now_ns() - start, a, err) : 0;
    (void)curl_multi_cleanup(m);
    return rc;
}

/* When this call must have its answer. */
static uint64_t limit_of(struct dray_remote *r, const struct dray_call *call)
{
    pthread_mutex_lock(&r->lock);
    bool overdue = r->overdue;
    pthread_mutex_unlock(&r->lock);
    uint64_t timeout = (uint64_t)r->host->opt_int(r->host, "timeout");
    uint64_t now = now_ns();
    uint64_t end = now + (overdue && timeout > SHORT_NS ? SHORT_NS : timeout);
    if (call->deadline_ns && end + MARGIN_NS > call->deadline_ns)
        end = call->deadline_ns - MARGIN_NS;
    return end;
}

/* POST text to the server; *status_out and *text_out are its answer. */
static int post(struct dray_remote *r, const struct dray_call *call, const char *path,
                const char *text, long *status_out, char **text_out, struct dray_err *err)
{
    DRAY_AUTO(dray_remote_addr) addr = {0};
    int rc = dray_remote_find(r->host, r->name, &addr, err);
    if (rc)
        return rc == DRAY_E_NOTFOUND ? dray_fail(err, DRAY_E_IO,
                                                 "the plugin \"%s\" has gone: no socket and no "
                                                 "specification of that name is left",
                                                 r->name)
                                     : rc;
    dray_autofree char *url = NULL;
    struct answer a = {0};
    CURL *c = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = curl_slist_append(headers, "Accept: " MEDIA_TYPE);
    if (!c || !headers || !more || asprintf(&url, "%s/%s", addr.url, path) < 0) {
        url = NULL;
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    } else {
        set_target(c, &addr, url);
        set_body(c, headers, text, &a);
        rc = transfer(r, call, c, &addr, limit_of(r, call), &a, err);
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, status_out);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    pthread_mutex_lock(&r->lock);
    if (!rc || rc == DRAY_E_TIMEOUT)
        r->overdue = rc != 0;
    pthread_mutex_unlock(&r->lock);
    if (rc)
        free(a.text);
    else
        *text_out = a.text;
    return rc;
}

/* --- calls -------------------------------------------------------------------------------------*/

static int ask(struct dray_remote *r, const struct dray_call *call, const char *path,
               struct json_object *body, struct json_object **out, struct dray_err *err)
{
    long status = 0;
    dray_autofree char *text = NULL;
    const char *json = body ? json_object_to_json_string_ext(
                                  body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
                            : "{}";
    int rc = json ? post(r, call, path, json, &status, &text, err)
                  : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return rc ? rc : dray_remote_judge(r, path, status, text, out, err);
}

/* Ask once what it implements. */
static int activate(struct dray_remote *r, const struct dray_call *call, struct dray_err *err)
{
    pthread_mutex_lock(&r->lock);
    bool active = r->active;
    pthread_mutex_unlock(&r->lock);
    if (active)
        return 0;
    dray_remote_auto *answer = NULL;
    int rc = ask(r, call, "Plugin.Activate", NULL, &answer, err);
    if (rc)
        return rc;
    rc = dray_remote_implements(r, answer, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&r->lock);
    r->active = true;
    pthread_mutex_unlock(&r->lock);
    return 0;
}

int dray_remote_call(struct dray_remote *r, const struct dray_call *call, const char *method,
                     struct json_object *body, struct json_object **out, struct dray_err *err)
{
    dray_remote_auto *held = body;
    dray_remote_auto *answer = NULL;
    char path[96];
    (void)snprintf(path, sizeof path, "%s.%s", r->subject, method);
    int rc = activate(r, call, err);
    if (!rc)
        rc = ask(r, call, path, held, &answer, err);
    if (!rc && out)
        *out = dray_steal(answer);
    return rc;
}

int dray_remote_open(const struct dray_host *host, const char *name, const char *subject,
                     struct dray_remote **out, struct dray_err *err)
{
    struct dray_remote *r = calloc(1, sizeof *r);
    if (r)
        r->name = strdup(name);
    if (!r || !r->name) {
        free(r);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    r->host = host;
    r->subject = subject;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    *out = r;
    return 0;
}

void dray_remote_close(struct dray_remote *r)
{
    if (!r)
        return;
    (void)pthread_mutex_destroy(&r->lock);
    free(r->name);
    free(r);
}
