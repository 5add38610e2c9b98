/* SPDX-License-Identifier: Apache-2.0 */
/* send_conn.c - connecting and sending, with an end to every wait. */
#include "send_conn.h"

#include <ctype.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)

/* Waiting. */

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec;
}

struct dray_send_wait dray_send_wait_within(const struct dray_send_wait *wait, int64_t ms)
{
    struct dray_send_wait w = *wait;
    uint64_t end = now_ns() + (uint64_t)ms * NS_PER_MS;
    if (!w.deadline_ns || end < w.deadline_ns)
        w.deadline_ns = end;
    return w;
}

/* Milliseconds that are left, rounded up; -1 without an end. */
static int left_ms(const struct dray_send_wait *wait)
{
    if (!wait->deadline_ns)
        return -1;
    uint64_t now = now_ns();
    uint64_t ms = now >= wait->deadline_ns ? 0 : (wait->deadline_ns - now) / NS_PER_MS + 1;
    return ms > 1000000 ? 1000000 : (int)ms;
}

int dray_send_wait_fd(const struct dray_send_wait *wait, int fd, short events, struct dray_err *err)
{
    struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = wait->cancel_fd, .events = POLLIN}};
    for (;;) {
        int ms = left_ms(wait);
        int n = poll(p, 2, ms);
        if (n < 0 && errno != EINTR)
            return dray_fail_errno(err, "poll");
        if (n > 0 && p[1].revents)
            return dray_fail(err, DRAY_E_CANCELED, "canceled");
        if (n > 0)
            return 0;
        if (ms == 0)
            return dray_fail(err, DRAY_E_TIMEOUT, "i/o timeout");
    }
}

bool dray_send_wait_sleep(const struct dray_send_wait *wait, int64_t ms)
{
    struct dray_send_wait w = dray_send_wait_within(wait, ms);
    int rc = dray_send_wait_fd(&w, -1, 0, NULL);
    return rc == DRAY_E_TIMEOUT && (!wait->deadline_ns || now_ns() < wait->deadline_ns);
}

/* Connecting. */

/* Go's words for an errno: the C library's, with a small first letter. */
static int fail_dial(struct dray_err *err, const char *net, const char *where, int error)
{
    char buf[96];
    const char *why = strerror_r(error, buf, sizeof buf);
    return dray_fail(err, DRAY_E_IO, "dial %s %s: connect: %c%s", net, where,
                     tolower((unsigned char)*why), *why ? why + 1 : "");
}

static int connect_fd(int fd, const struct sockaddr *sa, socklen_t len,
                      const struct dray_send_wait *wait, int *error_out)
{
    *error_out = 0;
    if (connect(fd, sa, len) == 0)
        return 0;
    *error_out = errno;
    if (errno != EINPROGRESS)
        return DRAY_E_IO;
    if (dray_send_wait_fd(wait, fd, POLLOUT, NULL) != 0) {
        *error_out = ETIMEDOUT;
        return DRAY_E_TIMEOUT;
    }
    socklen_t size = sizeof *error_out;
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, error_out, &size);
    return *error_out ? DRAY_E_IO : 0;
}

static int connect_unix(struct dray_send_conn *c, const struct dray_send_addr *a,
                        const struct dray_send_wait *wait, struct dray_err *err)
{
    bool gram = a->transport == DRAY_SEND_UNIXGRAM;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(a->host) >= sizeof sa.sun_path)
        return fail_dial(err, gram ? "unixgram" : "unix", a->host, ENAMETOOLONG);
    memcpy(sa.sun_path, a->host, strlen(a->host));
    dray_autofd int fd =
        socket(AF_UNIX, (gram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return dray_fail_errno(err, "make a socket");
    int error = 0;
    if (connect_fd(fd, (const struct sockaddr *)&sa, sizeof sa, wait, &error) != 0)
        return fail_dial(err, gram ? "unixgram" : "unix", a->host, error);
    c->fd = dray_steal_fd(&fd);
    return 0;
}

static int try_each(struct dray_send_conn *c, const struct addrinfo *list,
                    const struct dray_send_wait *wait, int *error_out)
{
    *error_out = EADDRNOTAVAIL;
    for (const struct addrinfo *i = list; i; i = i->ai_next) {
        dray_autofd int fd =
            socket(i->ai_family, i->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, i->ai_protocol);
        if (fd < 0) {
            *error_out = errno;
            continue;
        }
        if (connect_fd(fd, i->ai_addr, i->ai_addrlen, wait, error_out) == 0) {
            c->fd = dray_steal_fd(&fd);
            return 0;
        }
    }
    return DRAY_E_IO;
}

/* Names are looked up by the C library, whose own limits (resolv.conf) end the wait. */
static int connect_inet(struct dray_send_conn *c, const struct dray_send_addr *a,
                        const struct dray_send_wait *wait, struct dray_err *err)
{
    const char *net = a->transport == DRAY_SEND_UDP ? "udp" : "tcp";
    char where[280];
    (void)dray_send_addr_text(a, where, sizeof where);
    struct addrinfo hints = {.ai_socktype = *net == 'u' ? SOCK_DGRAM : SOCK_STREAM};
    struct addrinfo *list = NULL;
    int gai = getaddrinfo(*a->host ? a->host : "localhost", a->port, &hints, &list);
    if (gai != 0)
        return dray_fail(err, DRAY_E_IO, "dial %s: lookup %s: %s", net, a->host,
                         gai == EAI_NONAME ? "no such host" : gai_strerror(gai));
    int error = 0;
    int rc = try_each(c, list, wait, &error);
    freeaddrinfo(list);
    return rc ? fail_dial(err, net, where, error) : 0;
}

int dray_send_connect(struct dray_send_conn *c, const struct dray_send_addr *addr,
                      const struct dray_send_tls_conf *tls, const struct dray_send_wait *wait,
                      struct dray_err *err)
{
    dray_send_close(c);
    bool local = addr->transport == DRAY_SEND_UNIX || addr->transport == DRAY_SEND_UNIXGRAM;
    int rc = local ? connect_unix(c, addr, wait, err) : connect_inet(c, addr, wait, err);
    if (rc || addr->transport != DRAY_SEND_TLS)
        return rc;
    rc = dray_send_tls_open(c->fd, addr->host, tls, wait, &c->tls, err);
    if (rc)
        dray_send_close(c);
    return rc;
}

/* Sending. */

int dray_send_all(struct dray_send_conn *c, const void *data, size_t len,
                  const struct dray_send_wait *wait, struct dray_err *err)
{
    const char *p = data;
    bool again = false;
    if (c->fd < 0)
        return dray_fail(err, DRAY_E_UNAVAIL, "not connected");
    if (c->tls)
        return dray_send_tls_write(c->tls, data, len, wait, err);
    while (len > 0) {
        ssize_t n = send(c->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            p += n;
            len -= (size_t)n;
            continue;
        }
        /* Of a datagram socket the error is that of an earlier datagram. */
        bool earlier = errno == ECONNREFUSED && !again;
        again = again || earlier;
        int rc = errno == EAGAIN || errno == ENOBUFS ? dray_send_wait_fd(wait, c->fd, POLLOUT, err)
                 : errno == EINTR || earlier         ? 0
                                                     : dray_fail_errno(err, "send");
        if (rc)
            return rc;
    }
    return 0;
}

ssize_t dray_send_recv(struct dray_send_conn *c, void *buf, size_t size,
                       const struct dray_send_wait *wait, struct dray_err *err)
{
    if (c->tls)
        return dray_send_tls_read(c->tls, buf, size, wait, err);
    for (;;) {
        ssize_t n = recv(c->fd, buf, size, MSG_DONTWAIT);
        if (n >= 0)
            return n;
        int rc = errno == EAGAIN  ? dray_send_wait_fd(wait, c->fd, POLLIN, err)
                 : errno == EINTR ? 0
                                  : dray_fail_errno(err, "read");
        if (rc)
            return rc;
    }
}

bool dray_send_broken(struct dray_send_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    return c->fd < 0 || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

void dray_send_close(struct dray_send_conn *c)
{
    if (c->tls)
        dray_send_tls_free(dray_steal(c->tls));
    dray_cleanup_fd(&c->fd);
    c->fd = -EBADF;
}
