/* SPDX-License-Identifier: Apache-2.0 */
/* network_routes.c - which addresses this machine uses already. */
#include "engine/network/network_priv.h"

#include <dray/util.h>

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#define DUMP_SIZE 32768 /* the kernel fills no more into one datagram */

/* What a dump of the kernel's is asked for, and who is left out. */
struct dump {
    int but_index; /* of a link; 0: nobody */
    int only_index;
    struct dray_strlist *out;
};

static void add_cidr(struct dray_strlist *out, int family, const void *addr, unsigned len)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (inet_ntop(family, addr, text, sizeof text))
        (void)dray_strlist_addf(out, "%s/%u", text, len);
}

static bool is_wanted(const struct dump *d, int index)
{
    return index != d->but_index && (!d->only_index || index == d->only_index);
}

/* RTA_NEXT() mixes signs. */
static const struct rtattr *next_attr(const struct rtattr *a, int *left)
{
    int step = (int)RTA_ALIGN((unsigned)a->rta_len);
    *left -= step;
    return (const void *)((const char *)a + step);
}

/* The machine's own address is IFA_LOCAL where there is one, behind a point-to-point link too. */
static void note_address(const struct nlmsghdr *h, const struct dump *d)
{
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    int left = (int)IFA_PAYLOAD(h);
    const void *addr = NULL;
    bool local = false;
    if (!is_wanted(d, (int)m->ifa_index))
        return;
    for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, left); a = next_attr(a, &left)) {
        if (a->rta_type != IFA_LOCAL && (a->rta_type != IFA_ADDRESS || local))
            continue;
        addr = RTA_DATA(a);
        local = a->rta_type == IFA_LOCAL;
    }
    if (addr)
        add_cidr(d->out, m->ifa_family, addr, m->ifa_prefixlen);
}

/* Routes of the main table but for the default one. */
static void note_route(const struct nlmsghdr *h, const struct dump *d)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    int left = (int)RTM_PAYLOAD(h);
    const void *to = NULL;
    int index = 0;
    if (m->rtm_table != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST || !m->rtm_dst_len)
        return;
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = next_attr(a, &left)) {
        if (a->rta_type == RTA_DST)
            to = RTA_DATA(a);
        else if (a->rta_type == RTA_OIF)
            memcpy(&index, RTA_DATA(a), sizeof index);
    }
    if (to && is_wanted(d, index))
        add_cidr(d->out, m->rtm_family, to, m->rtm_dst_len);
}

/* One datagram of answers; false when the dump has ended. */
static bool note_all(const char *data, size_t size, const struct dump *d)
{
    for (const struct nlmsghdr *h = (const void *)data; NLMSG_OK(h, size);
         h = NLMSG_NEXT(h, size)) {
        if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
            return false;
        if (h->nlmsg_type == RTM_NEWADDR)
            note_address(h, d);
        else if (h->nlmsg_type == RTM_NEWROUTE)
            note_route(h, d);
    }
    return true;
}

/* getifaddrs() would list every link with all it tells of itself as well. */
static void ask_kernel(uint16_t type, unsigned char family, const struct dump *d)
{
    struct {
        struct nlmsghdr h;
        struct rtmsg body; /* longer than struct ifaddrmsg, and of the same beginning */
    } ask = {.h = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
             .body = {.rtm_family = family}};
    ask.h.nlmsg_len =
        NLMSG_LENGTH(type == RTM_GETADDR ? sizeof(struct ifaddrmsg) : sizeof ask.body);
    struct timeval limit = {.tv_sec = 5};
    dray_autofd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    dray_autofree char *data = malloc(DUMP_SIZE);
    if (fd < 0 || !data || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
        send(fd, &ask, ask.h.nlmsg_len, 0) < 0)
        return;
    ssize_t n;
    do
        n = recv(fd, data, DUMP_SIZE, 0);
    while (n > 0 && note_all(data, (size_t)n, d));
}

void dray_host_cidrs(const char *but_link, struct dray_strlist *out)
{
    struct dump d = {.but_index = *but_link ? (int)if_nametoindex(but_link) : 0, .out = out};
    ask_kernel(RTM_GETADDR, AF_UNSPEC, &d);
    ask_kernel(RTM_GETROUTE, AF_INET, &d);
}

bool dray_link_cidr(const char *link, uint32_t family, const char *range, char out[DRAY_NET_CIDR])
{
    DRAY_AUTO(dray_strlist) all = {0};
    struct dump d = {.only_index = (int)if_nametoindex(link), .out = &all};
    if (!d.only_index)
        return false;
    ask_kernel(RTM_GETADDR, family == 4 ? AF_INET : AF_INET6, &d);
    const char *best = NULL;
    for (size_t i = 0; i < all.n; i++) {
        if (dray_cidr_has("fe80::/10", all.v[i]))
            continue;
        bool holds_range = range && *range && dray_cidr_has(all.v[i], range);
        if (!best || holds_range)
            best = all.v[i];
        if (holds_range)
            break;
    }
    if (best)
        (void)snprintf(out, DRAY_NET_CIDR, "%s", best);
    return best != NULL;
}
