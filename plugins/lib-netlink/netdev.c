/* SPDX-License-Identifier: Apache-2.0 */
/* netdev.c - builds requests about links, addresses and routes. */
#include "netdev.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>

#define SYSCTL_ROOT "/proc/sys/net/"

bool dray_cidr_parse(const char *text, struct dray_cidr *out)
{
    char addr[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof addr)
        return false;
    memcpy(addr, text, n);
    addr[n] = '\0';
    struct dray_cidr c = {.family = strchr(addr, ':') ? AF_INET6 : AF_INET};
    if (inet_pton(c.family, addr, c.addr) != 1)
        return false;
    unsigned long longest = c.family == AF_INET ? 32 : 128;
    unsigned long prefix = longest;
    if (slash) {
        char *end = NULL;
        prefix = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || prefix > longest)
            return false;
    }
    c.prefix = (uint8_t)prefix;
    *out = c;
    return true;
}

unsigned dray_netdev_index(int fd, const char *name)
{
    struct ifreq ifr = {0};
    if (strlen(name) >= sizeof ifr.ifr_name)
        return 0;
    memcpy(ifr.ifr_name, name, strlen(name));
    return ioctl(fd, SIOCGIFINDEX, &ifr) ? 0 : (unsigned)ifr.ifr_ifindex;
}

bool dray_netdev_next_name(char name[16])
{
    size_t stem = strlen(name);
    while (stem && name[stem - 1] >= '0' && name[stem - 1] <= '9')
        stem--;
    if (!name[stem] || strlen(name + stem) > 6)
        return false;
    unsigned long number = strtoul(name + stem, NULL, 10) + 1;
    int n = snprintf(name + stem, 16 - stem, "%lu", number);
    return n > 0 && (size_t)n < 16 - stem;
}

int dray_netdev_sysctl(const char *path, const char *value, struct dray_err *err)
{
    char full[160];
    int n = snprintf(full, sizeof full, SYSCTL_ROOT "%s", path);
    if (n < 0 || (size_t)n >= sizeof full)
        return dray_fail(err, DRAY_E_INVAL, "sysctl name is too long: %s", path);
    dray_autofd int fd = open(full, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return dray_fail(err, DRAY_E_NOTFOUND, "no sysctl %s", path);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return dray_fail_errno(err, "set sysctl net/%s to %s", path, value);
    return 0;
}

bool dray_netdev_sysctl_read(const char *path, char *out, size_t size)
{
    char full[160];
    int n = snprintf(full, sizeof full, SYSCTL_ROOT "%s", path);
    if (n < 0 || (size_t)n >= sizeof full)
        return false;
    dray_autofd int fd = open(full, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, size - 1);
    if (got < 0)
        return false;
    out[got] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return true;
}

struct nl_msg *dray_netdev_link(struct dray_nl_batch *b, int type, int flags, unsigned ifindex,
                                unsigned ifi_flags, unsigned ifi_change, const char *what)
{
    struct nl_msg *m = dray_nl_add(b, type, flags | NLM_F_ACK, 512, "%s", what);
    struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC,
                            .ifi_index = (int)ifindex,
                            .ifi_flags = ifi_flags,
                            .ifi_change = ifi_change};
    if (m && nlmsg_append(m, &ifi, sizeof ifi, NLMSG_ALIGNTO) < 0)
        b->failed = true;
    return m;
}

void dray_netdev_up(struct dray_nl_batch *b, unsigned ifindex, const char *what)
{
    (void)dray_netdev_link(b, RTM_NEWLINK, 0, ifindex, IFF_UP, IFF_UP, what);
}

void dray_netdev_addr(struct dray_nl_batch *b, unsigned ifindex, const struct dray_cidr *c)
{
    char text[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(c->family, c->addr, text, sizeof text);
    struct nl_msg *m = dray_nl_add(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 128,
                                   "add address %s/%u", text, c->prefix);
    if (!m)
        return;
    dray_nl_ignore(b, EEXIST);
    struct ifaddrmsg ifa = {.ifa_family = c->family,
                            .ifa_prefixlen = c->prefix,
                            .ifa_flags = c->family == AF_INET6 ? IFA_F_NODAD : 0,
                            .ifa_scope = RT_SCOPE_UNIVERSE,
                            .ifa_index = ifindex};
    int len = dray_cidr_len(c);
    nlmsg_append(m, &ifa, sizeof ifa, NLMSG_ALIGNTO);
    nla_put(m, IFA_LOCAL, len, c->addr);
    nla_put(m, IFA_ADDRESS, len, c->addr);
    if (c->family == AF_INET && c->prefix < 31) {
        uint32_t brd = 0;
        memcpy(&brd, c->addr, 4);
        brd |= htonl(c->prefix ? 0xffffffffu >> c->prefix : 0xffffffffu);
        nla_put(m, IFA_BROADCAST, 4, &brd);
    }
}

void dray_netdev_neighbour(struct dray_nl_batch *b, unsigned ifindex, const struct dray_cidr *c,
                           const uint8_t mac[6])
{
    struct nl_msg *m = dray_nl_add(b, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, 64,
                                   "note a neighbour");
    if (!m)
        return;
    struct ndmsg nd = {
        .ndm_family = c->family, .ndm_ifindex = (int)ifindex, .ndm_state = NUD_STALE};
    nlmsg_append(m, &nd, sizeof nd, NLMSG_ALIGNTO);
    nla_put(m, NDA_DST, dray_cidr_len(c), c->addr);
    nla_put(m, NDA_LLADDR, 6, mac);
}

void dray_netdev_default_route(struct dray_nl_batch *b, unsigned ifindex,
                               const struct dray_cidr *gateway)
{
    struct nl_msg *m = dray_nl_add(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, 128,
                                   "set the default route");
    if (!m)
        return;
    struct rtmsg rt = {.rtm_family = gateway->family,
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_BOOT,
                       .rtm_scope = RT_SCOPE_UNIVERSE,
                       .rtm_type = RTN_UNICAST};
    nlmsg_append(m, &rt, sizeof rt, NLMSG_ALIGNTO);
    nla_put(m, RTA_GATEWAY, dray_cidr_len(gateway), gateway->addr);
    if (ifindex)
        nla_put_u32(m, RTA_OIF, ifindex);
}
