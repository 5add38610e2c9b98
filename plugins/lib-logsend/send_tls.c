/* SPDX-License-Identifier: Apache-2.0 */
/*
 * send_tls.c - TLS for connections that ask for it.
 *
 * OpenSSL is loaded with the first such connection: shims are many, and of those that have none no
 * memory is taken by it.
 */
#include "send_conn.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>

#define FUNCTIONS(X)                                                                               \
    X(TLS_client_method)                                                                           \
    X(SSL_CTX_new)                                                                                 \
    X(SSL_CTX_free)                                                                                \
    X(SSL_CTX_set_verify)                                                                          \
    X(SSL_CTX_load_verify_locations)                                                               \
    X(SSL_CTX_set_default_verify_paths)                                                            \
    X(SSL_CTX_use_certificate_chain_file)                                                          \
    X(SSL_CTX_use_PrivateKey_file)                                                                 \
    X(SSL_new)                                                                                     \
    X(SSL_free)                                                                                    \
    X(SSL_ctrl)                                                                                    \
    X(SSL_set_fd)                                                                                  \
    X(SSL_set1_host)                                                                               \
    X(SSL_get0_param)                                                                              \
    X(SSL_connect)                                                                                 \
    X(SSL_read)                                                                                    \
    X(SSL_write)                                                                                   \
    X(SSL_get_error)                                                                               \
    X(SSL_get_verify_result)                                                                       \
    X(X509_VERIFY_PARAM_set1_ip_asc)                                                               \
    X(X509_verify_cert_error_string)                                                               \
    X(ERR_get_error)                                                                               \
    X(ERR_clear_error)                                                                             \
    X(ERR_reason_error_string)

/* Where the library's functions are. Filled once, read-only afterwards. */
#define MEMBER(name) __typeof__(&(name)) name;
static struct library {
    bool loaded;
    FUNCTIONS(MEMBER)
} lib;
static pthread_once_t once = PTHREAD_ONCE_INIT;

struct dray_send_tls {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static void load(void)
{
    void *so = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!so)
        return;
    bool all = true;
#define FIND(name)                                                                                 \
    {                                                                                              \
        void *at = dlsym(so, #name);                                                               \
        all = all && at;                                                                           \
        memcpy(&lib.name, &at, sizeof at);                                                         \
    }
    FUNCTIONS(FIND)
    lib.loaded = all;
}

static int fail_ssl(struct dray_err *err, const char *what)
{
    unsigned long code = lib.ERR_get_error();
    const char *why = code ? lib.ERR_reason_error_string(code) : NULL;
    lib.ERR_clear_error();
    return dray_fail(err, DRAY_E_IO, "tls: %s: %s", what, why ? why : "the connection has ended");
}

static int configure(SSL_CTX *ctx, const struct dray_send_tls_conf *conf, struct dray_err *err)
{
    lib.SSL_CTX_set_verify(ctx, conf->skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (conf->ca && *conf->ca) {
        if (lib.SSL_CTX_load_verify_locations(ctx, conf->ca, NULL) != 1)
            return fail_ssl(err, conf->ca);
    } else {
        (void)lib.SSL_CTX_set_default_verify_paths(ctx);
    }
    if (!conf->cert || !*conf->cert)
        return 0;
    if (lib.SSL_CTX_use_certificate_chain_file(ctx, conf->cert) != 1)
        return fail_ssl(err, conf->cert);
    const char *key = conf->key && *conf->key ? conf->key : conf->cert;
    return lib.SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1 ? 0
                                                                            : fail_ssl(err, key);
}

static bool is_address(const char *host)
{
    unsigned char buf[16];
    return inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1;
}

static int name_peer(SSL *ssl, const char *host, struct dray_err *err)
{
    int ok = 1;
    if (is_address(host)) {
        ok = lib.X509_VERIFY_PARAM_set1_ip_asc(lib.SSL_get0_param(ssl), host);
    } else {
        /* what the macro SSL_set_tlsext_host_name does */
        (void)lib.SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                           (void *)(uintptr_t)host);
        ok = lib.SSL_set1_host(ssl, host);
    }
    return ok == 1 ? 0 : fail_ssl(err, host);
}

/* What must be waited for after an operation gave n; 0 is "again". */
static int wait_for(struct dray_send_tls *t, int n, const struct dray_send_wait *wait,
                    const char *what, struct dray_err *err)
{
    switch (lib.SSL_get_error(t->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        return dray_send_wait_fd(wait, t->fd, POLLIN, err);
    case SSL_ERROR_WANT_WRITE:
        return dray_send_wait_fd(wait, t->fd, POLLOUT, err);
    default:
        return fail_ssl(err, what);
    }
}

static int handshake(struct dray_send_tls *t, const struct dray_send_wait *wait,
                     struct dray_err *err)
{
    for (;;) {
        int n = lib.SSL_connect(t->ssl);
        if (n == 1)
            return 0;
        long bad = lib.SSL_get_verify_result(t->ssl);
        int rc = wait_for(t, n, wait, "handshake", err);
        if (rc && bad != X509_V_OK)
            return dray_fail(err, rc, "tls: failed to verify certificate: %s",
                             lib.X509_verify_cert_error_string(bad));
        if (rc)
            return rc;
    }
}

int dray_send_tls_open(int fd, const char *host, const struct dray_send_tls_conf *conf,
                       const struct dray_send_wait *wait, struct dray_send_tls **out,
                       struct dray_err *err)
{
    (void)pthread_once(&once, load);
    if (!lib.loaded)
        return dray_fail(err, DRAY_E_NOTSUP, "TLS needs OpenSSL 3 (libssl.so.3), which is missing");
    struct dray_send_tls *t = calloc(1, sizeof *t);
    if (!t)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    t->fd = fd;
    t->ctx = lib.SSL_CTX_new(lib.TLS_client_method());
    int rc = t->ctx ? configure(t->ctx, conf, err) : fail_ssl(err, "context");
    if (!rc && (!(t->ssl = lib.SSL_new(t->ctx)) || lib.SSL_set_fd(t->ssl, fd) != 1))
        rc = fail_ssl(err, "connection");
    if (!rc)
        rc = name_peer(t->ssl, conf->name && *conf->name ? conf->name : host, err);
    if (!rc)
        rc = handshake(t, wait, err);
    if (rc)
        dray_send_tls_free(t);
    else
        *out = t;
    return rc;
}

int dray_send_tls_write(struct dray_send_tls *t, const void *data, size_t len,
                        const struct dray_send_wait *wait, struct dray_err *err)
{
    const char *p = data;
    while (len > 0) {
        int n = lib.SSL_write(t->ssl, p, len > (1 << 30) ? 1 << 30 : (int)len);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            continue;
        }
        int rc = wait_for(t, n, wait, "write", err);
        if (rc)
            return rc;
    }
    return 0;
}

ssize_t dray_send_tls_read(struct dray_send_tls *t, void *buf, size_t size,
                           const struct dray_send_wait *wait, struct dray_err *err)
{
    for (;;) {
        int n = lib.SSL_read(t->ssl, buf, size > (1 << 30) ? 1 << 30 : (int)size);
        if (n > 0)
            return n;
        if (lib.SSL_get_error(t->ssl, n) == SSL_ERROR_ZERO_RETURN)
            return 0;
        int rc = wait_for(t, n, wait, "read", err);
        if (rc)
            return rc;
    }
}

void dray_send_tls_free(struct dray_send_tls *t)
{
    if (t->ssl)
        lib.SSL_free(t->ssl);
    if (t->ctx)
        lib.SSL_CTX_free(t->ctx);
    free(t);
}
