/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp.c - carries datagrams: each client that sends to a published port gets a socket towards the
 * container, whose answers leave from the address that the client asked.
 */
#include "proxy/proxy.h"

#include <sys/socket.h>

#define SILENT_MS 90000
#define DATAGRAMS 64 /* of one socket before others have their turn */

struct proxy_session {
    struct proxy_item item; /* towards the container */
    struct proxy_port *port;
    union proxy_addr client;
    struct in6_addr asked; /* the address of this machine; of IPv4 the first four bytes */
    int64_t used;
    struct proxy_session *next;            /* in its bucket */
    struct proxy_session *older, *younger; /* by last use */
};

static char buffer[65536]; /* of the one datagram in hand */

union control {
    char data[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    struct cmsghdr align;
};

static size_t bucket_of(const union proxy_addr *client, const struct in6_addr *asked)
{
    const unsigned char *a = (const unsigned char *)client;
    const unsigned char *b = (const unsigned char *)asked;
    uint32_t h = 2166136261u;
    for (socklen_t i = 0; i < proxy_addr_len(client); i++)
        h = (h ^ a[i]) * 16777619u;
    for (size_t i = 0; i < sizeof *asked; i++)
        h = (h ^ b[i]) * 16777619u;
    return h % PROXY_BUCKETS;
}

static void age_out(struct proxy *p, struct proxy_session *s)
{
    *(s->older ? &s->older->younger : &p->oldest) = s->younger;
    *(s->younger ? &s->younger->older : &p->newest) = s->older;
}

static void use(struct proxy *p, struct proxy_session *s, bool fresh)
{
    if (!fresh)
        age_out(p, s);
    s->used = proxy_now();
    s->older = p->newest;
    s->younger = NULL;
    *(p->newest ? &p->newest->younger : &p->oldest) = s;
    p->newest = s;
}

static void session_close(struct proxy *p, struct proxy_session *s)
{
    struct proxy_session **at = &p->buckets[bucket_of(&s->client, &s->asked)];
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at)
        *at = s->next;
    age_out(p, s);
    proxy_unwatch(p, &s->item);
    free(s);
    p->n_sessions--;
}

/* From the address that was asked, to the client. */
static void answer(const struct proxy_session *s, size_t n)
{
    union control c = {.data = {0}};
    struct iovec io = {.iov_base = buffer, .iov_len = n};
    union proxy_addr to = s->client;
    struct msghdr m = {.msg_name = &to,
                       .msg_namelen = proxy_addr_len(&to),
                       .msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = c.data,
                       .msg_controllen = sizeof c.data};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (to.sa.sa_family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, &s->asked, sizeof info.ipi_spec_dst);
        *h = (struct cmsghdr){
            .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
        memcpy(CMSG_DATA(h), &info, sizeof info);
        m.msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_addr = s->asked};
        *h = (struct cmsghdr){.cmsg_level = IPPROTO_IPV6,
                              .cmsg_type = IPV6_PKTINFO,
                              .cmsg_len = CMSG_LEN(sizeof info)};
        memcpy(CMSG_DATA(h), &info, sizeof info);
    }
    (void)sendmsg(s->port->item.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL); /* datagrams may be lost */
}

static void on_answer(struct proxy *p, struct proxy_item *item, uint32_t events)
{
    struct proxy_session *s = (struct proxy_session *)item; /* its first member */
    (void)events;
    for (int i = 0; i < DATAGRAMS; i++) {
        ssize_t n = recv(item->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && errno == ECONNREFUSED)
            continue; /* nobody listens there yet */
        if (n < 0)
            return;
        use(p, s, false);
        answer(s, (size_t)n);
    }
}

static struct proxy_session *session_open(struct proxy *p, struct proxy_port *port,
                                          const union proxy_addr *client,
                                          const struct in6_addr *asked)
{
    struct proxy_session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct proxy_session){.port = port, .client = *client, .asked = *asked};
    s->item.ready = on_answer;
    s->item.fd = socket(port->to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->item.fd < 0 || connect(s->item.fd, &port->to.sa, proxy_addr_len(&port->to)) ||
        proxy_watch(p, &s->item, EPOLLIN)) {
        proxy_unwatch(p, &s->item);
        free(s);
        return NULL;
    }
    struct proxy_session **bucket = &p->buckets[bucket_of(client, asked)];
    s->next = *bucket;
    *bucket = s;
    use(p, s, true);
    p->n_sessions++;
    return s;
}

static struct proxy_session *session_of(struct proxy *p, struct proxy_port *port,
                                        const union proxy_addr *client,
                                        const struct in6_addr *asked)
{
    for (struct proxy_session *s = p->buckets[bucket_of(client, asked)]; s; s = s->next) {
        if (s->port != port || memcmp(&s->client, client, proxy_addr_len(client)) != 0 ||
            memcmp(&s->asked, asked, sizeof *asked) != 0)
            continue;
        use(p, s, false);
        return s;
    }
    while (p->oldest && p->n_sessions >= proxy_most(p))
        session_close(p, p->oldest);
    return session_open(p, port, client, asked);
}

static void destination(struct msghdr *m, struct in6_addr *out)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(h), sizeof info);
            memcpy(out, &info.ipi_addr, sizeof info.ipi_addr);
        } else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(h), sizeof info);
            *out = info.ipi6_addr;
        }
    }
}

void proxy_udp_datagram(struct proxy *p, struct proxy_item *item, uint32_t events)
{
    struct proxy_port *port = (struct proxy_port *)item; /* its first member */
    (void)events;
    for (int i = 0; i < DATAGRAMS; i++) {
        union control c;
        union proxy_addr from = {.in6 = {0}};
        struct in6_addr asked = {0};
        struct iovec io = {.iov_base = buffer, .iov_len = sizeof buffer};
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = &io,
                           .msg_iovlen = 1,
                           .msg_control = c.data,
                           .msg_controllen = sizeof c.data};
        ssize_t n = recvmsg(item->fd, &m, MSG_DONTWAIT);
        if (n < 0)
            return;
        destination(&m, &asked);
        struct proxy_session *s = session_of(p, port, &from, &asked);
        if (s)
            (void)send(s->item.fd, buffer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void proxy_udp_close(struct proxy *p, const struct proxy_group *g)
{
    for (struct proxy_session *s = p->oldest, *next; s; s = next) {
        next = s->younger;
        if (s->port->group == g)
            session_close(p, s);
    }
}

int proxy_udp_expire(struct proxy *p)
{
    int64_t now = p->oldest ? proxy_now() : 0;
    while (p->oldest && now - p->oldest->used >= SILENT_MS)
        session_close(p, p->oldest);
    return p->oldest ? (int)(p->oldest->used + SILENT_MS - now) : -1;
}
