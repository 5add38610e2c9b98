/* SPDX-License-Identifier: Apache-2.0 */
/* network_routes.c - which addresses this machine uses already. */
#include "engine/network_priv.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>

static void add_address(struct dray_strlist *out, const struct ifaddrs *a)
{
    char text[INET6_ADDRSTRLEN] = "";
    int family = a->ifa_addr->sa_family;
    const uint8_t *mask = NULL;
    size_t n = 0;
    const void *addr = NULL;
    if (family == AF_INET) {
        addr = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
        mask =
            (const uint8_t *)&((const struct sockaddr_in *)(const void *)a->ifa_netmask)->sin_addr;
        n = 4;
    } else {
        addr = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
        mask = (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)a->ifa_netmask)
                   ->sin6_addr;
        n = 16;
    }
    unsigned len = 0;
    for (size_t i = 0; i < n; i++)
        len += (unsigned)__builtin_popcount(mask[i]);
    if (inet_ntop(family, addr, text, sizeof text))
        (void)dray_strlist_addf(out, "%s/%u", text, len);
}

/* IPv4 routes of the main table, one a line: "eth0 0011AC AC10... ... Mask". */
static void add_routes(struct dray_strlist *out, const char *but_link)
{
    FILE *f = fopen("/proc/self/net/route", "re");
    char line[256];
    char link[IFNAMSIZ];
    unsigned dest;
    unsigned mask;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%15s %x %*x %*x %*d %*d %*d %x", link, &dest, &mask) != 3 || !mask ||
            strcmp(link, but_link) == 0)
            continue;
        char text[INET_ADDRSTRLEN] = "";
        const struct in_addr a = {.s_addr = dest}; /* the file has network order as it is */
        if (inet_ntop(AF_INET, &a, text, sizeof text))
            (void)dray_strlist_addf(out, "%s/%d", text, __builtin_popcount(mask));
    }
    if (f)
        (void)fclose(f);
}

void dray_host_cidrs(const char *but_link, struct dray_strlist *out)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) == 0) {
        for (const struct ifaddrs *a = list; a; a = a->ifa_next)
            if (a->ifa_addr && a->ifa_netmask && strcmp(a->ifa_name, but_link) != 0 &&
                (a->ifa_addr->sa_family == AF_INET || a->ifa_addr->sa_family == AF_INET6))
                add_address(out, a);
        freeifaddrs(list);
    }
    add_routes(out, but_link);
}

bool dray_link_cidr(const char *link, uint32_t family, char out[DRAY_NET_CIDR])
{
    DRAY_AUTO(dray_strlist) all = {0};
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list))
        return false;
    for (const struct ifaddrs *a = list; a; a = a->ifa_next)
        if (a->ifa_addr && a->ifa_netmask && strcmp(a->ifa_name, link) == 0 &&
            a->ifa_addr->sa_family == (family == 4 ? AF_INET : AF_INET6))
            add_address(&all, a);
    freeifaddrs(list);
    for (size_t i = 0; i < all.n; i++) {
        if (dray_cidr_has("fe80::/10", all.v[i]))
            continue;
        (void)snprintf(out, DRAY_NET_CIDR, "%s", all.v[i]);
        return true;
    }
    return false;
}
