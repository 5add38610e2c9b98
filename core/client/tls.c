/* SPDX-License-Identifier: Apache-2.0 */
/* tls.c - TLS to the daemon; OpenSSL is loaded only when a TLS host is used. */
#include "client/http.h"

#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Every function used, by the name and type of OpenSSL's own headers. */
#define TLS_FUNCTIONS(X)                                                                           \
    X(TLS_client_method)                                                                           \
    X(SSL_CTX_new)                                                                                 \
    X(SSL_CTX_free)                                                                                \
    X(SSL_CTX_ctrl)                                                                                \
    X(SSL_CTX_set_verify)                                                                          \
    X(SSL_CTX_load_verify_locations)                                                               \
    X(SSL_CTX_set_default_verify_paths)                                                            \
    X(SSL_CTX_use_certificate_chain_file)                                                          \
    X(SSL_CTX_use_PrivateKey_file)                                                                 \
    X(SSL_new)                                                                                     \
    X(SSL_free)                                                                                    \
    X(SSL_set_fd)                                                                                  \
    X(SSL_ctrl)                                                                                    \
    X(SSL_set1_host)                                                                               \
    X(SSL_connect)                                                                                 \
    X(SSL_read)                                                                                    \
    X(SSL_write)                                                                                   \
    X(SSL_get_error)                                                                               \
    X(SSL_pending)                                                                                 \
    X(SSL_shutdown)                                                                                \
    X(SSL_get_verify_result)

struct tls_library {
#define X(name) __typeof__(&name) name;
    TLS_FUNCTIONS(X)
#undef X
    __typeof__(&X509_verify_cert_error_string) verify_text;
    __typeof__(&ERR_get_error) last_error;
    __typeof__(&ERR_reason_error_string) reason;
};

struct tls_state {
    struct tls_library lib;
    SSL_CTX *ctx;
    SSL *ssl;
};

static int load_library(struct tls_library *lib, struct dray_err *err)
{
    void *ssl = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    void *crypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!ssl || !crypto)
        return dray_fail(err, DRAY_E_NOTSUP, "TLS needs OpenSSL's libssl.so.3: %s", dlerror());
    bool all = true;
#define X(name)                                                                                    \
    *(void **)&lib->name = dlsym(ssl, #name);                                                      \
    all = all && lib->name;
    TLS_FUNCTIONS(X)
#undef X
    *(void **)&lib->verify_text = dlsym(crypto, "X509_verify_cert_error_string");
    *(void **)&lib->last_error = dlsym(crypto, "ERR_get_error");
    *(void **)&lib->reason = dlsym(crypto, "ERR_reason_error_string");
    if (!all || !lib->verify_text || !lib->last_error || !lib->reason)
        return dray_fail(err, DRAY_E_NOTSUP, "libssl.so.3 lacks a function that TLS needs");
    return 0;
}

static ssize_t tls_result(struct tls_state *s, int n)
{
    if (n > 0)
        return n;
    switch (s->lib.SSL_get_error(s->ssl, n)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_SYSCALL:
        return n == 0 || errno == 0 ? 0 : -1;
    default:
        errno = EIO;
        return -1;
    }
}

static ssize_t tls_read(void *state, void *buf, size_t n)
{
    struct tls_state *s = state;
    return tls_result(s, s->lib.SSL_read(s->ssl, buf, n > 65536 ? 65536 : (int)n));
}

static ssize_t tls_write(void *state, const void *buf, size_t n)
{
    struct tls_state *s = state;
    return tls_result(s, s->lib.SSL_write(s->ssl, buf, n > 65536 ? 65536 : (int)n));
}

static bool tls_pending(void *state)
{
    struct tls_state *s = state;
    return s->lib.SSL_pending(s->ssl) > 0;
}

static void tls_end(void *state)
{
    struct tls_state *s = state;
    (void)s->lib.SSL_shutdown(s->ssl);
}

static void tls_free(void *state)
{
    struct tls_state *s = state;
    if (s->ssl)
        s->lib.SSL_free(s->ssl);
    if (s->ctx)
        s->lib.SSL_CTX_free(s->ctx);
    free(s);
}

static const struct http_ops tls_ops = {
    .read = tls_read, .write = tls_write, .pending = tls_pending, .end = tls_end, .free = tls_free};

static int load_keys(struct tls_state *s, const struct http_target *t, struct dray_err *err)
{
    if (t->verify) {
        s->lib.SSL_CTX_set_verify(s->ctx, SSL_VERIFY_PEER, NULL);
        int ok = t->ca ? s->lib.SSL_CTX_load_verify_locations(s->ctx, t->ca, NULL)
                       : s->lib.SSL_CTX_set_default_verify_paths(s->ctx);
        if (ok != 1)
            return dray_fail(err, DRAY_E_INVAL, "could not read CA certificate \"%s\"",
                             t->ca ? t->ca : "(system)");
    }
    if (!t->cert || !t->key)
        return 0;
    if (s->lib.SSL_CTX_use_certificate_chain_file(s->ctx, t->cert) != 1)
        return dray_fail(err, DRAY_E_INVAL, "could not load X509 key pair: %s", t->cert);
    if (s->lib.SSL_CTX_use_PrivateKey_file(s->ctx, t->key, SSL_FILETYPE_PEM) != 1)
        return dray_fail(err, DRAY_E_INVAL, "could not load X509 key pair: %s", t->key);
    return 0;
}

static int handshake(struct tls_state *s, const struct http_target *t, int fd, const char *name,
                     struct dray_err *err)
{
    s->ssl = s->lib.SSL_new(s->ctx);
    if (!s->ssl || s->lib.SSL_set_fd(s->ssl, fd) != 1)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)s->lib.SSL_ctrl(s->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                          (void *)(uintptr_t)name);
    if (t->verify && s->lib.SSL_set1_host(s->ssl, name) != 1)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (s->lib.SSL_connect(s->ssl) == 1)
        return 0;
    long verdict = t->verify ? s->lib.SSL_get_verify_result(s->ssl) : X509_V_OK;
    const char *why =
        verdict != X509_V_OK ? s->lib.verify_text(verdict) : s->lib.reason(s->lib.last_error());
    return dray_fail(err, DRAY_E_UNAVAIL, "error during connect: %s: tls: %s", t->host,
                     why ? why : "handshake failed");
}

int http_tls_start(struct http_conn *c, const struct http_target *t, const char *name,
                   struct dray_err *err)
{
    struct tls_state *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = load_library(&s->lib, err);
    if (rc == 0) {
        s->ctx = s->lib.SSL_CTX_new(s->lib.TLS_client_method());
        rc = s->ctx ? load_keys(s, t, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    if (rc == 0) {
        (void)s->lib.SSL_CTX_ctrl(s->ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
        rc = handshake(s, t, c->fd, name, err);
    }
    if (rc != 0) {
        tls_free(s);
        return rc;
    }
    c->ops = &tls_ops;
    c->state = s;
    return 0;
}
