/* SPDX-License-Identifier: Apache-2.0 */
/* ports.c - a table of the host ports we hold, each with the socket that keeps others away. */
#include "ports.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

struct port_hold {
    struct port_hold *next; /* in its bucket */
    struct port_want want;
    int fd; /* -EBADF: the kernel has no sockets of this protocol, or the port was adopted */
};

void port_table_init(struct port_table *t)
{
    *t = (struct port_table){0};
    pthread_mutex_init(&t->lock, NULL);
}

void port_table_fini(struct port_table *t)
{
    for (size_t i = 0; i < PORT_BUCKETS; i++)
        while (t->buckets[i])
            port_release(t, t->buckets[i]);
    pthread_mutex_destroy(&t->lock);
}

static struct port_hold **bucket(struct port_table *t, uint16_t port)
{
    return &t->buckets[port % PORT_BUCKETS];
}

static bool any_addr(const struct dray_cidr *c)
{
    static const uint8_t zero[16];
    return memcmp(c->addr, zero, (size_t)dray_cidr_len(c)) == 0;
}

static bool collides(const struct port_want *a, const struct port_want *b)
{
    if (a->port != b->port || a->proto != b->proto || a->host.family != b->host.family)
        return false;
    return any_addr(&a->host) || any_addr(&b->host) ||
           memcmp(a->host.addr, b->host.addr, (size_t)dray_cidr_len(&a->host)) == 0;
}

/* Datagrams that are not translated must not pile up in a socket that nobody reads. */
static void drop_all(int fd)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog prog = {.len = 1, .filter = code};
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog);
}

static int bind_to(int fd, const struct port_want *w)
{
    if (w->host.family == AF_INET) {
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(w->port)};
        memcpy(&sa.sin_addr, w->host.addr, 4);
        return bind(fd, (struct sockaddr *)&sa, sizeof sa);
    }
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(w->port)};
    memcpy(&sa.sin6_addr, w->host.addr, 16);
    int on = 1;
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    return bind(fd, (struct sockaddr *)&sa, sizeof sa);
}

/* 0 with a bound socket in *fd_out, or a positive errno. */
static int bind_socket(const struct port_want *w, int *fd_out)
{
    int type = w->proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
    dray_autofd int fd = socket(w->host.family, type | SOCK_CLOEXEC, w->proto);
    if (fd < 0)
        return errno;
    int on = 1;
    if (bind_to(fd, w)) {
        /* Connections in TIME_WAIT are in the way as well: with SO_REUSEADDR only a socket that
         * listens is. It is not set from the beginning, because it would let others bind too. */
        if (errno != EADDRINUSE || w->proto != IPPROTO_TCP)
            return errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind_to(fd, w))
            return errno;
    }
    if (w->proto == IPPROTO_UDP)
        drop_all(fd);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

static bool held(struct port_table *t, const struct port_want *w)
{
    for (const struct port_hold *h = *bucket(t, w->port); h; h = h->next)
        if (collides(&h->want, w))
            return true;
    return false;
}

static int refuse(int errnum, const struct port_want *w, struct dray_err *err)
{
    if (errnum == EADDRINUSE) {
        int rc = dray_fail(err, DRAY_E_CONFLICT, "address already in use");
        if (err)
            err->os_errno = errnum;
        return rc;
    }
    if (errnum == EADDRNOTAVAIL)
        return dray_fail(err, DRAY_E_INVAL, "cannot assign requested address");
    errno = errnum;
    return dray_fail_errno(err, "bind port %u", w->port);
}

/* Enter the port before its socket is there, so that the lock covers memory only. */
static int claim(struct port_table *t, const struct port_want *w, struct port_hold **out,
                 struct dray_err *err)
{
    struct port_hold *h = calloc(1, sizeof *h);
    if (!h)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *h = (struct port_hold){.want = *w, .fd = -EBADF};
    pthread_mutex_lock(&t->lock);
    bool taken = held(t, w);
    if (!taken) {
        h->next = *bucket(t, w->port);
        *bucket(t, w->port) = h;
    }
    pthread_mutex_unlock(&t->lock);
    if (taken) {
        free(h);
        return dray_fail(err, DRAY_E_CONFLICT, "port is already allocated");
    }
    *out = h;
    return 0;
}

int port_reserve(struct port_table *t, const struct port_want *w, bool adopt,
                 struct port_hold **out, struct dray_err *err)
{
    struct port_hold *h = NULL;
    int rc = claim(t, w, &h, err);
    if (rc)
        return rc;
    int errnum = bind_socket(w, &h->fd);
    bool no_such_sockets =
        errnum == EPROTONOSUPPORT || errnum == ESOCKTNOSUPPORT || errnum == EAFNOSUPPORT;
    if (errnum && !no_such_sockets && !adopt) {
        port_release(t, h);
        return refuse(errnum, w, err);
    }
    *out = h;
    return 0;
}

void port_release(struct port_table *t, struct port_hold *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&t->lock);
    for (struct port_hold **at = bucket(t, h->want.port); *at; at = &(*at)->next) {
        if (*at == h) {
            *at = h->next;
            break;
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (h->fd >= 0)
        (void)close(h->fd);
    free(h);
}

void port_ephemeral_range(uint16_t *first_out, uint16_t *last_out)
{
    char text[64];
    unsigned first = 0;
    unsigned last = 0;
    bool read = dray_netdev_sysctl_read("ipv4/ip_local_port_range", text, sizeof text) &&
                sscanf(text, "%u %u", &first, &last) == 2;
    if (!read || first > last || last > UINT16_MAX || !first) {
        first = 49153;
        last = UINT16_MAX;
    }
    *first_out = (uint16_t)first;
    *last_out = (uint16_t)last;
}

uint16_t port_next(struct port_table *t, uint16_t first, uint16_t last)
{
    pthread_mutex_lock(&t->lock);
    if (t->cursor < first || t->cursor > last)
        t->cursor = first;
    uint16_t port = t->cursor;
    t->cursor = port == last ? first : (uint16_t)(port + 1);
    pthread_mutex_unlock(&t->lock);
    return port;
}
