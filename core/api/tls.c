/* SPDX-License-Identifier: Apache-2.0 */
/* tls.c - ends TLS in front of the HTTP server: one thread a connection between two sockets. */
#include "api/http_priv.h"

#include "base/logging.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "tls"
#define HANDSHAKE_MS 30000
#define CHUNK 16384
#define TLS_USER_MAX 100

struct dray_tls {
    SSL_CTX *ctx;
};

struct front {
    struct dray_server *server;
    SSL *ssl;
    int net;   /* the client */
    int plain; /* our end of the socketpair; the other is MHD's */
    char up[CHUNK], down[CHUNK];
    size_t up_len, up_at, down_len, down_at;
    bool up_ended, down_ended;
    short net_wants; /* what OpenSSL waits for */
};

static int ssl_fail(struct dray_err *err, const char *what, const char *name)
{
    char text[160] = "unknown error";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return dray_fail(err, DRAY_E_INVAL, "%s %s: %s", what, name ? name : "(none given)", text);
}

int dray_tls_open(const struct dray_listen *l, struct dray_tls **out, struct dray_err *err)
{
    if (!l->cert || !l->key)
        return dray_fail(err, DRAY_E_INVAL, "TLS on %s needs --tlscert and --tlskey", l->host);
    struct dray_tls *t = calloc(1, sizeof *t);
    if (!t)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    t->ctx = SSL_CTX_new(TLS_server_method());
    int rc = 0;
    if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1)
        rc = ssl_fail(err, "set up", "TLS");
    else if (SSL_CTX_use_certificate_chain_file(t->ctx, l->cert) != 1)
        rc = ssl_fail(err, "load the certificate", l->cert);
    else if (SSL_CTX_use_PrivateKey_file(t->ctx, l->key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(t->ctx) != 1)
        rc = ssl_fail(err, "load the key", l->key);
    else if (l->tls_verify && (!l->ca || SSL_CTX_load_verify_locations(t->ctx, l->ca, NULL) != 1))
        rc = ssl_fail(err, "load the CA certificates", l->ca);
    if (rc) {
        dray_tls_close(t);
        return rc;
    }
    if (l->tls_verify)
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    /* OpenSSL refuses to take a session up again, with the client's certificate, that has no
     * context. */
    static const unsigned char sessions[] = "drayd";
    (void)SSL_CTX_set_session_id_context(t->ctx, sessions, sizeof sessions - 1);
    (void)SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    *out = t;
    return 0;
}

void dray_tls_close(struct dray_tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

/* After a call of OpenSSL: 1 go on when the socket is ready, 0 the peer has ended, -1 broken. */
static int verdict(struct front *f, int ret)
{
    switch (SSL_get_error(f->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        f->net_wants |= POLLIN;
        return 1;
    case SSL_ERROR_WANT_WRITE:
        f->net_wants |= POLLOUT;
        return 1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        ERR_clear_error();
        return -1;
    }
}

static bool handshake(struct front *f)
{
    struct pollfd p[2] = {{.fd = f->net}, {.fd = f->server->stop_fd, .events = POLLIN}};
    for (;;) {
        int ret = SSL_accept(f->ssl);
        if (ret == 1)
            return true;
        f->net_wants = 0;
        if (verdict(f, ret) <= 0)
            return false;
        p[0].events = f->net_wants;
        if (poll(p, 2, HANDSHAKE_MS) <= 0 || p[1].revents)
            return false;
    }
}

/* Client to server: decrypt, then hand over. */
static bool step_up(struct front *f)
{
    while (!f->up_ended || f->up_at < f->up_len) {
        if (f->up_at == f->up_len) {
            int n = SSL_read(f->ssl, f->up, CHUNK);
            int v = n > 0 ? 1 : verdict(f, n);
            if (n <= 0 && v == 1)
                return true;
            if (n <= 0) {
                f->up_ended = true;
                (void)shutdown(f->plain, SHUT_WR);
                return v == 0;
            }
            f->up_at = 0;
            f->up_len = (size_t)n;
        }
        ssize_t n =
            send(f->plain, f->up + f->up_at, f->up_len - f->up_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n < 0)
            f->up_at = f->up_len; /* nobody listens any more; its last words still go out */
        else
            f->up_at += (size_t)n;
    }
    return true;
}

/* Server to client: take, then encrypt. */
static bool step_down(struct front *f)
{
    while (!f->down_ended) {
        if (f->down_at == f->down_len) {
            ssize_t n = recv(f->plain, f->down, CHUNK, MSG_DONTWAIT);
            if (n < 0)
                return errno == EAGAIN || errno == EINTR;
            if (n == 0) {
                f->down_ended = true;
                (void)SSL_shutdown(f->ssl);
                (void)shutdown(f->net, SHUT_WR);
                return true;
            }
            f->down_at = 0;
            f->down_len = (size_t)n;
        }
        int n = SSL_write(f->ssl, f->down + f->down_at, (int)(f->down_len - f->down_at));
        if (n <= 0)
            return verdict(f, n) == 1;
        f->down_at += (size_t)n;
    }
    return true;
}

static void pump(struct front *f)
{
    while (!(f->up_ended && f->down_ended)) {
        f->net_wants = 0;
        if (!step_down(f) || !step_up(f))
            return;
        struct pollfd p[2] = {{.fd = f->net}, {.fd = f->plain}};
        bool up_full = f->up_at < f->up_len;
        p[0].events = f->up_ended || up_full ? (short)(f->net_wants & POLLOUT) : f->net_wants;
        p[1].events = (short)((up_full ? POLLOUT : 0) |
                              (!f->down_ended && f->down_at == f->down_len ? POLLIN : 0));
        if (poll(p, 2, f->down_ended ? 1000 : -1) == 0 && f->down_ended)
            return;
        if ((p[0].revents & (POLLHUP | POLLERR)) && !(p[0].revents & POLLIN))
            return;
    }
}

static void front_free(struct front *f)
{
    struct dray_server *s = f->server;
    SSL_free(f->ssl);
    if (f->net >= 0)
        (void)close(f->net);
    if (f->plain >= 0)
        (void)close(f->plain);
    free(f);
    pthread_mutex_lock(&s->lock);
    s->n_front--;
    pthread_mutex_unlock(&s->lock);
}

/* The common name on the client's certificate. */
static bool common_name(const SSL *ssl, char out[TLS_USER_MAX])
{
    const X509 *cert = SSL_get0_peer_certificate(ssl);
    const X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;
    int at = subject ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
    const X509_NAME_ENTRY *entry = at >= 0 ? X509_NAME_get_entry(subject, at) : NULL;
    unsigned char *text = NULL;
    int n = entry ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry)) : -1;
    /* A name with a NUL inside would be taken for a shorter one. */
    bool ok = n > 0 && n < TLS_USER_MAX && !memchr(text, '\0', (size_t)n);
    if (ok) {
        memcpy(out, text, (size_t)n);
        out[n] = '\0';
    }
    OPENSSL_free(text);
    return ok && SSL_get_verify_result(ssl) == X509_V_OK;
}

static void *front_main(void *arg)
{
    struct front *f = arg;
    int sv[2];
    if (!handshake(f)) {
        dray_debug("a client failed the TLS handshake");
    } else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) == 0) {
        f->plain = sv[0];
        char user[TLS_USER_MAX];
        dray_server_add(f->server, sv[1], common_name(f->ssl, user) ? user : NULL);
        pump(f);
    }
    front_free(f);
    return NULL;
}

void dray_tls_accept(struct dray_tls *t, struct dray_server *s, int fd)
{
    struct front *f = calloc(1, sizeof *f);
    if (!f) {
        (void)close(fd);
        return;
    }
    *f = (struct front){.server = s, .net = fd, .plain = -EBADF, .ssl = SSL_new(t->ctx)};
    pthread_mutex_lock(&s->lock);
    s->n_front++;
    pthread_mutex_unlock(&s->lock);
    pthread_t thread;
    if (!f->ssl || SSL_set_fd(f->ssl, fd) != 1 || dray_thread_start(front_main, f, &thread) != 0) {
        front_free(f);
        return;
    }
    (void)pthread_detach(thread);
}
