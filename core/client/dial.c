/* SPDX-License-Identifier: Apache-2.0 */
/* dial.c - connects to the daemon: unix sockets, TCP, and through the ssh program. */
#include "client/http.h"

#include "base/spawn.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int cannot(const struct http_target *t, struct dray_err *err)
{
    if (errno == EACCES || errno == EPERM)
        return dray_fail(err, DRAY_E_DENIED,
                         "permission denied while trying to connect to the Dray daemon socket at "
                         "%s: %s",
                         t->host, strerror(errno));
    return dray_fail(err, DRAY_E_UNAVAIL,
                     "Cannot connect to the Dray daemon at %s. Is the dray daemon running?",
                     t->host);
}

static int dial_unix(const struct http_target *t, int *fd_out, struct dray_err *err)
{
    const char *path = t->host + strlen("unix://");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof addr.sun_path)
        return dray_fail(err, DRAY_E_INVAL, "unix socket path \"%s\" is too long", path);
    memcpy(addr.sun_path, path, strlen(path) + 1);
    dray_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0)
        return cannot(t, err);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

/* Split "host:port", "[v6]:port"; an absent port becomes def. */
static void split_host(const char *text, const char *def, char *host, size_t nh, char *port,
                       size_t np)
{
    size_t len = strcspn(text, "/");
    const char *colon = memrchr(text, ':', len);
    const char *bracket = memrchr(text, ']', len);
    if (colon && bracket && colon < bracket)
        colon = NULL;
    size_t hlen = colon ? (size_t)(colon - text) : len;
    (void)snprintf(port, np, "%.*s", colon ? (int)(text + len - colon - 1) : (int)strlen(def),
                   colon ? colon + 1 : def);
    if (hlen >= 2 && text[0] == '[') {
        text++;
        hlen -= 2;
    }
    (void)snprintf(host, nh, "%.*s", (int)hlen, text);
    if (!*host)
        (void)snprintf(host, nh, "localhost");
}

static int dial_tcp(const struct http_target *t, const char *host, const char *port, int *fd_out,
                    struct dray_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return dray_fail(err, DRAY_E_UNAVAIL, "error during connect: lookup %s: no such host",
                         host);
    dray_autofd int fd = -EBADF;
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        dray_cleanup_fd(&fd);
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
            int on = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
            freeaddrinfo(list);
            *fd_out = dray_steal_fd(&fd);
            return 0;
        }
    }
    freeaddrinfo(list);
    return cannot(t, err);
}

static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (*path) {
        size_t n = strcspn(path, ":");
        char *full = dray_strf("%.*s/%s", (int)n, path, name);
        if (full && access(full, X_OK) == 0)
            return full;
        free(full);
        path += n + (path[n] == ':');
    }
    return NULL;
}

static int dial_ssh(const struct http_target *t, struct http_conn *c, struct dray_err *err)
{
    char host[256], port[16];
    const char *at = t->host + strlen("ssh://");
    if (*at == '-' || !*at)
        return dray_fail(err, DRAY_E_INVAL, "invalid ssh host %s", t->host);
    split_host(at, "", host, sizeof host, port, sizeof port);
    dray_autofree char *program = find_program("ssh");
    if (!program)
        return dray_fail(err, DRAY_E_NOTFOUND, "the ssh program is not installed");
    const char *argv[12] = {program};
    size_t n = 1;
    if (*port) {
        argv[n++] = "-p";
        argv[n++] = port;
    }
    argv[n++] = "-T";
    argv[n++] = "-o";
    argv[n++] = "ConnectTimeout=30";
    argv[n++] = "--";
    argv[n++] = host;
    argv[n++] = "dray system dial-stdio";
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return dray_fail_errno(err, "socketpair");
    int fds[3] = {pair[1], pair[1], STDERR_FILENO};
    struct dray_spawn s = {.argv = argv, .fds = fds, .n_fds = 3};
    int rc = dray_spawn(&s, &c->helper, err);
    (void)close(pair[1]);
    c->fd = pair[0];
    return rc;
}

static int connect_by_scheme(const struct http_target *t, struct http_conn *c, struct dray_err *err)
{
    c->host_header = "localhost";
    if (dray_str_prefix(t->host, "unix://"))
        return dial_unix(t, &c->fd, err);
    if (dray_str_prefix(t->host, "ssh://"))
        return dial_ssh(t, c, err);
    const char *at = strstr(t->host, "://");
    char host[256], port[16];
    split_host(at ? at + 3 : t->host, t->tls ? "2376" : "2375", host, sizeof host, port,
               sizeof port);
    int rc = dial_tcp(t, host, port, &c->fd, err);
    if (rc == 0 && t->tls)
        rc = http_tls_start(c, t, t->server_name ? t->server_name : host, err);
    return rc;
}

int http_dial(const struct http_target *t, struct http_conn **out, struct dray_err *err)
{
    struct http_conn *c = calloc(1, sizeof *c);
    if (c)
        c->in = malloc(HTTP_IN_SIZE);
    if (!c || !c->in) {
        free(c);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    c->fd = -EBADF;
    int rc = connect_by_scheme(t, c, err);
    if (rc != 0) {
        http_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void http_close(struct http_conn *c)
{
    if (!c)
        return;
    if (c->ops)
        c->ops->free(c->state);
    dray_cleanup_fd(&c->fd);
    if (c->helper > 0)
        (void)waitpid(c->helper, NULL, 0);
    dray_buf_free(&c->head);
    free(c->in);
    free(c);
}
