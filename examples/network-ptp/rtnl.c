/* SPDX-License-Identifier: Apache-2.0 */
/* rtnl.c - the few requests to the kernel's routing netlink that a point-to-point link needs. */
#include "rtnl.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

/* One request, built up by attributes. */
struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg addr;
        struct rtmsg route;
    };
    char attrs[512];
};

/* --- building and sending --------------------------------------------------------------------- */

static void begin(struct request *r, uint16_t type, uint16_t flags, size_t body)
{
    memset(r, 0, sizeof *r);
    r->head.nlmsg_type = type;
    r->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    r->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
}

static struct rtattr *add(struct request *r, uint16_t type, const void *data, size_t len)
{
    struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len));
    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(len);
    if (len && data)
        memcpy(RTA_DATA(a), data, len);
    r->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(r->head.nlmsg_len) + RTA_ALIGN(a->rta_len));
    return a;
}

static void add_text(struct request *r, uint16_t type, const char *text)
{
    (void)add(r, type, text, strlen(text) + 1);
}

/* An attribute that holds others ends where the message ends now. */
static void end(struct request *r, struct rtattr *a)
{
    a->rta_len = (uint16_t)((char *)r + NLMSG_ALIGN(r->head.nlmsg_len) - (char *)a);
}

/* Send and wait for the answer: 0, or -errno of the kernel. reply gets what comes before the
 * acknowledgement, if it is not NULL. */
static int talk(int fd, struct request *r, char *reply, size_t size)
{
    char buf[8192];
    if (send(fd, r, r->head.nlmsg_len, 0) < 0)
        return -errno;
    for (;;) {
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        struct nlmsghdr *h = (struct nlmsghdr *)buf;
        for (size_t left = (size_t)n; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_ERROR)
                return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
            if (reply && h->nlmsg_len <= size)
                memcpy(reply, h, h->nlmsg_len);
        }
    }
}

static int answer(int rc, struct dray_err *err, const char *what, const char *on)
{
    if (rc == 0)
        return 0;
    errno = -rc;
    return dray_fail_errno(err, "%s %s", what, on);
}

/* --- sockets of other namespaces -------------------------------------------------------------- */

struct errand {
    int netns, fd, why;
};

/* A socket belongs to the namespace of the thread that makes it, so a thread is sent there. */
static void *fetch_socket(void *arg)
{
    struct errand *e = (struct errand *)arg;
    if (e->netns >= 0 && setns(e->netns, CLONE_NEWNET) != 0)
        e->fd = -1;
    else
        e->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    e->why = errno;
    return NULL;
}

int rtnl_open(int netns, int *fd_out, struct dray_err *err)
{
    struct errand e = {.netns = netns, .fd = -1};
    if (netns < 0) {
        (void)fetch_socket(&e);
    } else {
        pthread_t t;
        int rc = pthread_create(&t, NULL, fetch_socket, &e);
        if (rc)
            return answer(-rc, err, "start", "a thread");
        (void)pthread_join(t, NULL);
    }
    if (e.fd < 0)
        return answer(-e.why, err, "open", "netlink socket");
    *fd_out = e.fd;
    return 0;
}

/* --- links, addresses, routes ----------------------------------------------------------------- */

int rtnl_veth(int fd, const char *name, const char *peer, int netns, unsigned mtu,
              struct dray_err *err)
{
    struct request r;
    const struct ifinfomsg none = {0};
    begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof r.link);
    add_text(&r, IFLA_IFNAME, name);
    if (mtu)
        (void)add(&r, IFLA_MTU, &mtu, sizeof mtu);
    struct rtattr *info = add(&r, IFLA_LINKINFO, NULL, 0);
    add_text(&r, IFLA_INFO_KIND, "veth");
    struct rtattr *data = add(&r, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *other = add(&r, VETH_INFO_PEER, &none, sizeof none);
    add_text(&r, IFLA_IFNAME, peer);
    if (mtu)
        (void)add(&r, IFLA_MTU, &mtu, sizeof mtu);
    (void)add(&r, IFLA_NET_NS_FD, &netns, sizeof netns);
    end(&r, other);
    end(&r, data);
    end(&r, info);
    return answer(talk(fd, &r, NULL, 0), err, "make link", name);
}

int rtnl_link_remove(int fd, const char *name, struct dray_err *err)
{
    struct request r;
    begin(&r, RTM_DELLINK, 0, sizeof r.link);
    add_text(&r, IFLA_IFNAME, name);
    int rc = talk(fd, &r, NULL, 0);
    return rc == -ENODEV ? 0 : answer(rc, err, "remove link", name);
}

static void read_mac(const char *reply, char *mac_out)
{
    const struct nlmsghdr *h = (const struct nlmsghdr *)reply;
    const struct ifinfomsg *link = (const struct ifinfomsg *)NLMSG_DATA(h);
    const struct rtattr *a = IFLA_RTA(link);
    mac_out[0] = '\0';
    for (int left = (int)IFLA_PAYLOAD(h); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        const unsigned char *m = (const unsigned char *)RTA_DATA(a);
        if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == 6)
            (void)snprintf(mac_out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
                           m[4], m[5]);
    }
}

unsigned rtnl_link_find(int fd, const char *name, char *mac_out)
{
    struct request r;
    char reply[8192] __attribute__((aligned(8))) = "";
    begin(&r, RTM_GETLINK, 0, sizeof r.link);
    add_text(&r, IFLA_IFNAME, name);
    if (talk(fd, &r, reply, sizeof reply) != 0)
        return 0;
    if (mac_out)
        read_mac(reply, mac_out);
    return (unsigned)((struct ifinfomsg *)NLMSG_DATA((struct nlmsghdr *)reply))->ifi_index;
}

int rtnl_link_set(int fd, unsigned index, const char *name, const char *mac, struct dray_err *err)
{
    struct request r;
    begin(&r, RTM_NEWLINK, 0, sizeof r.link);
    r.link.ifi_index = (int)index;
    if (name)
        add_text(&r, IFLA_IFNAME, name);
    if (mac) {
        unsigned char m[6];
        if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &m[0], &m[1], &m[2], &m[3], &m[4],
                   &m[5]) != 6)
            return dray_fail(err, DRAY_E_INVAL, "\"%s\" is no hardware address", mac);
        (void)add(&r, IFLA_ADDRESS, m, sizeof m);
    }
    int rc = talk(fd, &r, NULL, 0);
    if (rc == 0) {
        begin(&r, RTM_NEWLINK, 0, sizeof r.link);
        r.link.ifi_index = (int)index;
        r.link.ifi_flags = IFF_UP;
        r.link.ifi_change = IFF_UP;
        rc = talk(fd, &r, NULL, 0);
    }
    return answer(rc, err, "set up link", name ? name : "");
}

int rtnl_addr_add(int fd, unsigned index, struct in_addr addr, unsigned prefix,
                  struct dray_err *err)
{
    struct request r;
    begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof r.addr);
    r.addr.ifa_family = AF_INET;
    r.addr.ifa_prefixlen = (unsigned char)prefix;
    r.addr.ifa_index = index;
    (void)add(&r, IFA_LOCAL, &addr, sizeof addr);
    (void)add(&r, IFA_ADDRESS, &addr, sizeof addr);
    int rc = talk(fd, &r, NULL, 0);
    return rc == -EEXIST ? 0 : answer(rc, err, "add", "address");
}

int rtnl_route_add(int fd, unsigned index, struct in_addr addr, unsigned prefix,
                   struct in_addr gateway, struct dray_err *err)
{
    struct request r;
    begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof r.route);
    r.route.rtm_family = AF_INET;
    r.route.rtm_dst_len = (unsigned char)prefix;
    r.route.rtm_table = RT_TABLE_MAIN;
    r.route.rtm_protocol = RTPROT_STATIC;
    r.route.rtm_type = RTN_UNICAST;
    r.route.rtm_scope = gateway.s_addr ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    if (prefix)
        (void)add(&r, RTA_DST, &addr, sizeof addr);
    if (gateway.s_addr)
        (void)add(&r, RTA_GATEWAY, &gateway, sizeof gateway);
    (void)add(&r, RTA_OIF, &index, sizeof index);
    int rc = talk(fd, &r, NULL, 0);
    return rc == -EEXIST ? 0 : answer(rc, err, "add", "route");
}
