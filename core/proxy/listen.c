/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - the ports of an endpoint: read from its document, opened and closed together. */
#include "proxy/proxy.h"

#include "base/json.h"
#include "base/logging.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "proxy"
#define BACKLOG 4096
#define TWIN_TRIES 16
#define SPARE_FDS 32 /* the daemon's connections, pipes that are kept, and what is open anyway */

socklen_t proxy_addr_len(const union proxy_addr *a)
{
    return a->sa.sa_family == AF_INET ? sizeof a->in4 : sizeof a->in6;
}

static in_port_t *port_of(union proxy_addr *a)
{
    return a->sa.sa_family == AF_INET ? &a->in4.sin_port : &a->in6.sin6_port;
}

static uint16_t port_number(const union proxy_addr *a)
{
    return ntohs(a->sa.sa_family == AF_INET ? a->in4.sin_port : a->in6.sin6_port);
}

/* false: no address. */
static bool parse_addr(const char *text, uint16_t port, union proxy_addr *out)
{
    *out = (union proxy_addr){.in6 = {0}};
    if (inet_pton(AF_INET, text, &out->in4.sin_addr) == 1)
        out->sa.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1)
        out->sa.sa_family = AF_INET6;
    else
        return false;
    *port_of(out) = htons(port);
    return true;
}

/* "[::]:8080", "172.17.0.2:80". */
static void addr_text(const union proxy_addr *a, char out[INET6_ADDRSTRLEN + 10])
{
    char text[INET6_ADDRSTRLEN] = "";
    bool six = a->sa.sa_family == AF_INET6;
    (void)inet_ntop(a->sa.sa_family, six ? (const void *)&a->in6.sin6_addr : &a->in4.sin_addr, text,
                    sizeof text);
    (void)snprintf(out, INET6_ADDRSTRLEN + 10, six ? "[%s]:%u" : "%s:%u", text, port_number(a));
}

int proxy_watch(struct proxy *p, struct proxy_item *item, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = item};
    return epoll_ctl(p->epoll, EPOLL_CTL_ADD, item->fd, &ev) ? errno : 0;
}

void proxy_unwatch(struct proxy *p, struct proxy_item *item)
{
    if (item->fd >= 0)
        (void)close(item->fd);
    item->fd = -EBADF;
    for (int i = 0; i < p->n_events; i++)
        if (p->events[i].data.ptr == item)
            p->events[i].data.ptr = NULL;
}

static void group_free(struct proxy *p, struct proxy_group *g)
{
    for (size_t i = 0; i < g->n_ports; i++) {
        proxy_unwatch(p, &g->ports[i]->item);
        free(g->ports[i]);
    }
    free(g->ports);
    free(g);
}

static int read_number(struct json_object *o, const char *key, uint16_t *out)
{
    int64_t v = dray_json_int(o, key, 0);
    *out = (uint16_t)v;
    return v < 0 || v > 65535;
}

static struct proxy_port *read_port(struct json_object *o, struct dray_err *err)
{
    uint16_t first = 0, last = 0, to = 0;
    const char *proto = dray_json_str(o, "proto", "");
    struct proxy_port *port = calloc(1, sizeof *port);
    if (!port) {
        (void)dray_fail(err, DRAY_E_NOMEM, "out of memory");
        return NULL;
    }
    port->item.fd = -EBADF;
    port->udp = strcmp(proto, "udp") == 0;
    if (read_number(o, "port", &first) || read_number(o, "last", &last) ||
        read_number(o, "to_port", &to) || !to || (!port->udp && strcmp(proto, "tcp") != 0) ||
        !parse_addr(dray_json_str(o, "listen", ""), first, &port->listen) ||
        !parse_addr(dray_json_str(o, "to", ""), to, &port->to)) {
        (void)dray_fail(err, DRAY_E_INVAL, "invalid port: %s", dray_json_text(o));
        free(port);
        return NULL;
    }
    port->last = last > first ? last : first;
    port->twin = dray_json_bool(o, "twin", false);
    return port;
}

/* UDP answers must come from the address that was asked. */
static int want_destination(int fd, int family)
{
    int on = 1;
    return family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on)
                             : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
}

/* 0, or a positive errno. */
static int bind_one(struct proxy_port *port, uint16_t number)
{
    int on = 1;
    union proxy_addr at = port->listen;
    *port_of(&at) = htons(number);
    dray_autofd int fd = socket(
        at.sa.sa_family, (port->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (at.sa.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    /* Connections of before that linger are not in the way, listening sockets are. */
    if (!port->udp)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    else if (want_destination(fd, at.sa.sa_family))
        return errno;
    socklen_t len = sizeof at;
    if (bind(fd, &at.sa, proxy_addr_len(&at)) || (!port->udp && listen(fd, BACKLOG)) ||
        getsockname(fd, &at.sa, &len))
        return errno;
    *port_of(&port->listen) = *port_of(&at);
    port->item.fd = dray_steal_fd(&fd);
    return 0;
}

static int open_port(struct proxy *p, struct proxy_port *port, struct dray_err *err)
{
    char listen_at[INET6_ADDRSTRLEN + 10], to[INET6_ADDRSTRLEN + 10];
    int errnum = EADDRINUSE;
    for (unsigned n = port_number(&port->listen); n <= port->last && errnum == EADDRINUSE; n++)
        errnum = bind_one(port, (uint16_t)n);
    port->item.ready = port->udp ? proxy_udp_datagram : proxy_tcp_accept;
    errnum = errnum ? errnum : proxy_watch(p, &port->item, EPOLLIN);
    if (!errnum)
        return 0;
    addr_text(&port->listen, listen_at);
    addr_text(&port->to, to);
    int code = errnum == EADDRINUSE      ? DRAY_E_CONFLICT
               : errnum == EADDRNOTAVAIL ? DRAY_E_INVAL
                                         : DRAY_E_IO;
    return dray_fail(err, code, "failed to bind host port for %s:%s/%s: %s", listen_at, to,
                     port->udp ? "udp" : "tcp",
                     errnum == EADDRINUSE      ? "address already in use"
                     : errnum == EADDRNOTAVAIL ? "cannot assign requested address"
                                               : strerror(errnum));
}

static void set_number(struct proxy_port *port, uint16_t number)
{
    *port_of(&port->listen) = htons(number);
}

/* A port and its twin (or NULL) under one number; another one is tried where there is a choice. */
static int open_both(struct proxy *p, struct proxy_port *port, struct proxy_port *twin,
                     struct dray_err *err)
{
    bool any = port_number(&port->listen) == 0;
    for (int tries = 1;; tries++) {
        int rc = open_port(p, port, err);
        uint16_t chosen = port_number(&port->listen);
        if (rc || !twin)
            return rc;
        set_number(twin, chosen);
        twin->last = chosen;
        rc = open_port(p, twin, err);
        if (rc != DRAY_E_CONFLICT || (any ? tries == TWIN_TRIES : chosen >= port->last))
            return rc;
        proxy_unwatch(p, &port->item);
        set_number(port, any ? 0 : (uint16_t)(chosen + 1));
    }
}

static int read_ports(struct proxy_group *g, struct json_object *list, struct dray_err *err)
{
    size_t n = dray_json_len(list);
    g->ports = calloc(n + 1, sizeof(struct proxy_port *));
    if (!g->ports)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct proxy_port *port = read_port(json_object_array_get_idx(list, i), err);
        if (!port)
            return DRAY_E_INVAL;
        port->group = g;
        g->ports[g->n_ports++] = port;
    }
    return 0;
}

int proxy_group_open(struct proxy *p, struct json_object *doc, size_t *taken_out,
                     struct dray_err *err)
{
    const char *id = dray_json_str(doc, "id", "");
    struct proxy_group *g = calloc(1, sizeof *g);
    if (!g || strlen(id) >= sizeof g->id) {
        free(g);
        return dray_fail(err, g ? DRAY_E_INVAL : DRAY_E_NOMEM, "endpoint");
    }
    (void)snprintf(g->id, sizeof g->id, "%s", id);
    int rc = read_ports(g, dray_json_arr(doc, "ports"), err);
    for (size_t i = 0; !rc && i < g->n_ports; i++) {
        bool twin = i + 1 < g->n_ports && g->ports[i + 1]->twin;
        rc = open_both(p, g->ports[i], twin ? g->ports[i + 1] : NULL, err);
        *taken_out = i;
        i += twin;
    }
    if (rc) {
        group_free(p, g);
        return rc;
    }
    g->next = p->groups;
    p->groups = g;
    p->n_ports += g->n_ports;
    return 0;
}

void proxy_group_close(struct proxy *p, struct proxy_group *g)
{
    for (struct proxy_group **at = &p->groups; *at; at = &(*at)->next) {
        if (*at == g) {
            *at = g->next;
            break;
        }
    }
    p->n_ports -= g->n_ports;
    proxy_tcp_close(p, g);
    proxy_udp_close(p, g);
    group_free(p, g);
}

struct proxy_group *proxy_group_find(const struct proxy *p, const char *id)
{
    struct proxy_group *g = p->groups;
    while (g && strcmp(g->id, id) != 0)
        g = g->next;
    return g;
}

static bool addr_same(const union proxy_addr *a, const union proxy_addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family || port_number(a) != port_number(b))
        return false;
    return a->sa.sa_family == AF_INET
               ? a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr
               : memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
}

bool proxy_group_matches(const struct proxy_group *g, struct json_object *doc)
{
    struct json_object *list = dray_json_arr(doc, "ports");
    bool same = dray_json_len(list) == g->n_ports;
    for (size_t i = 0; same && i < g->n_ports; i++) {
        struct proxy_port *want = read_port(json_object_array_get_idx(list, i), NULL);
        same = want && want->udp == g->ports[i]->udp &&
               addr_same(&want->listen, &g->ports[i]->listen) &&
               addr_same(&want->to, &g->ports[i]->to);
        free(want);
    }
    return same;
}

static void add_addr(struct json_object *o, const char *addr_key, const char *port_key,
                     const union proxy_addr *a)
{
    char text[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(a->sa.sa_family,
                    a->sa.sa_family == AF_INET6 ? (const void *)&a->in6.sin6_addr
                                                : &a->in4.sin_addr,
                    text, sizeof text);
    dray_json_add_str(o, addr_key, text);
    dray_json_add_int(o, port_key, port_number(a));
}

struct json_object *proxy_group_doc(const struct proxy_group *g)
{
    struct json_object *doc = json_object_new_object();
    struct json_object *list = json_object_new_array();
    dray_json_add_str(doc, "id", g->id);
    for (size_t i = 0; i < g->n_ports; i++) {
        struct json_object *o = json_object_new_object();
        dray_json_add_str(o, "proto", g->ports[i]->udp ? "udp" : "tcp");
        add_addr(o, "listen", "port", &g->ports[i]->listen);
        add_addr(o, "to", "to_port", &g->ports[i]->to);
        json_object_array_add(list, o);
    }
    dray_json_add(doc, "ports", list);
    return doc;
}

static void set_events(struct proxy *p, struct proxy_port *port, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = &port->item};
    (void)epoll_ctl(p->epoll, EPOLL_CTL_MOD, port->item.fd, &ev);
}

size_t proxy_most(const struct proxy *p)
{
    uint64_t own = SPARE_FDS + p->n_ports;
    return p->most_fds > own ? (size_t)((p->most_fds - own) / 2) : 0;
}

void proxy_port_pause(struct proxy *p, struct proxy_port *port, const char *why)
{
    if (!p->any_paused)
        dray_warn("no more connections are carried for now: %s", why);
    port->paused = p->any_paused = true;
    set_events(p, port, 0);
}

void proxy_ports_resume(struct proxy *p)
{
    p->any_paused = false;
    for (struct proxy_group *g = p->groups; g; g = g->next) {
        for (size_t i = 0; i < g->n_ports; i++) {
            if (!g->ports[i]->paused)
                continue;
            g->ports[i]->paused = false;
            set_events(p, g->ports[i], EPOLLIN);
        }
    }
}
