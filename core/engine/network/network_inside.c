/* SPDX-License-Identifier: Apache-2.0 */
/* network_inside.c - what an endpoint's settings ask of its interface beyond what drivers do: its
 * name, settings of the kernel's, and link-local addresses. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/strlist.h"
#include "engine/network/network_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#define OPT_SYSCTLS "DriverOpts.com.docker.network.endpoint.sysctls"
#define PLACEHOLDER "IFNAME"

const char *dray_net_ifname(struct json_object *config)
{
    return dray_json_str(config, DRAY_OPT_IFNAME, "");
}

static bool ifname_valid(const char *name)
{
    size_t n = strlen(name);
    if (n >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strcmp(name, "lo") == 0)
        return false;
    for (const char *p = name; *p; p++)
        if (isspace((unsigned char)*p) || *p == '/' || *p == ':')
            return false;
    return true;
}

/* "net.ipv4.conf.IFNAME.log_martians=1": the place of the interface's name, or NULL. As with Docker
 * it may be written in any case. */
static const char *sysctl_place(const char *setting)
{
    static const char *const families[] = {"net.ipv4.", "net.ipv6.", "net.mpls."};
    const char *place = strcasestr(setting, "." PLACEHOLDER "."), *equals = strchr(setting, '=');
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (dray_str_prefix(setting, families[i]))
            return place && equals && place < equals && !strchr(setting, '/') ? place + 1 : NULL;
    return NULL;
}

int dray_net_inside_check(struct json_object *config, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) settings = {0};
    const char *sysctls = dray_json_str(config, OPT_SYSCTLS, "");
    if (!ifname_valid(dray_net_ifname(config)))
        return dray_fail(err, DRAY_E_INVAL, "invalid interface name: \"%s\"",
                         dray_net_ifname(config));
    if (*sysctls && !dray_strlist_split(&settings, sysctls, ','))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < settings.n; i++)
        if (!sysctl_place(settings.v[i]))
            return dray_fail(err, DRAY_E_INVAL,
                             "unrecognised network interface sysctl '%s'; represent "
                             "'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', "
                             "'ipv6' or 'mpls'",
                             settings.v[i]);
    return 0;
}

static int write_sysctl(const char *ifname, const char *setting, struct dray_err *err)
{
    const char *place = sysctl_place(setting), *rest = place + strlen(PLACEHOLDER);
    int key = (int)(strchr(setting, '=') - setting);
    dray_autofree char *head = strndup(setting, (size_t)(place - setting));
    dray_autofree char *tail = strndup(rest, (size_t)(setting + key - rest));
    if (!head || !tail)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    /* Dots part the path; the interface's own name may hold some. */
    for (char *p = head; *p; p++)
        *p = *p == '.' ? '/' : *p;
    for (char *p = tail; *p; p++)
        *p = *p == '.' ? '/' : *p;
    dray_autofree char *path = dray_strf("/proc/sys/%s%s%s", head, ifname, tail);
    dray_autofd int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    const char *value = setting + key + 1;
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return dray_fail_errno(err, "set the sysctl %.*s of the interface %s", key, setting,
                               ifname);
    return 0;
}

/* ---- Addresses ---- */

struct new_addr {
    struct nlmsghdr head;
    struct ifaddrmsg addr;
    char attrs[64];
};

static void put_addr(struct new_addr *m, unsigned short type, const void *addr, size_t n)
{
    struct rtattr *a = (struct rtattr *)(void *)((char *)m + NLMSG_ALIGN(m->head.nlmsg_len));
    a->rta_type = type;
    a->rta_len = (unsigned short)RTA_LENGTH(n);
    memcpy(RTA_DATA(a), addr, n);
    m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static int add_address(int sock, unsigned index, const char *text, struct dray_err *err)
{
    unsigned char raw[16];
    bool v6 = strchr(text, ':') != NULL;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text, raw) != 1)
        return dray_fail(err, DRAY_E_INVAL, "invalid link-local IP address: %s", text);
    if (v6 ? raw[0] != 0xfe || (raw[1] & 0xc0) != 0x80 : raw[0] != 169 || raw[1] != 254)
        return dray_fail(err, DRAY_E_INVAL, "invalid link local IP address: %s", text);
    struct new_addr m = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof m.addr),
                 .nlmsg_type = RTM_NEWADDR,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE},
        .addr = {.ifa_family = v6 ? AF_INET6 : AF_INET,
                 .ifa_prefixlen = v6 ? 64 : 16,
                 .ifa_flags = v6 ? IFA_F_NODAD : 0,
                 .ifa_scope = RT_SCOPE_LINK,
                 .ifa_index = index}};
    put_addr(&m, IFA_LOCAL, raw, v6 ? 16 : 4);
    put_addr(&m, IFA_ADDRESS, raw, v6 ? 16 : 4);
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[256];
    } answer;
    if (send(sock, &m, m.head.nlmsg_len, 0) < 0 || recv(sock, &answer, sizeof answer, 0) < 0)
        return dray_fail_errno(err, "add the address %s", text);
    errno = answer.head.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EPROTO;
    return errno ? dray_fail_errno(err, "add the address %s", text) : 0;
}

static int add_link_locals(const char *ifname, struct json_object *list, struct dray_err *err)
{
    if (dray_json_len(list) == 0)
        return 0;
    dray_autofd int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    unsigned index = if_nametoindex(ifname);
    if (sock < 0 || index == 0)
        return dray_fail_errno(err, "find the interface %s", ifname);
    int rc = 0;
    for (size_t i = 0; i < dray_json_len(list) && rc == 0; i++)
        rc = add_address(sock, index, json_object_get_string(json_object_array_get_idx(list, i)),
                         err);
    return rc;
}

/* ---- In the namespace ---- */

struct job {
    int netns;
    const char *ifname;
    struct json_object *config;
    struct dray_err *err;
    int rc;
};

static int settle(const struct job *j)
{
    DRAY_AUTO(dray_strlist) settings = {0};
    const char *sysctls = dray_json_str(j->config, OPT_SYSCTLS, "");
    if (setns(j->netns, CLONE_NEWNET) != 0)
        return dray_fail_errno(j->err, "enter a network namespace");
    if (*sysctls && !dray_strlist_split(&settings, sysctls, ','))
        return dray_fail(j->err, DRAY_E_NOMEM, "out of memory");
    int rc = 0;
    for (size_t i = 0; i < settings.n && rc == 0; i++)
        rc = write_sysctl(j->ifname, settings.v[i], j->err);
    return rc ? rc
              : add_link_locals(j->ifname, dray_json_arr(j->config, "IPAMConfig.LinkLocalIPs"),
                                j->err);
}

/* On a thread of its own, since that changes its namespace for good. */
static void *settle_thread(void *arg)
{
    struct job *j = arg;
    j->rc = settle(j);
    return NULL;
}

int dray_net_inside(int netns, const char *ifname, struct json_object *config, struct dray_err *err)
{
    struct job job = {.netns = netns, .ifname = ifname, .config = config, .err = err};
    pthread_t thread;
    if (!*dray_json_str(config, OPT_SYSCTLS, "") &&
        dray_json_len(dray_json_arr(config, "IPAMConfig.LinkLocalIPs")) == 0)
        return 0;
    errno = pthread_create(&thread, NULL, settle_thread, &job);
    if (errno != 0)
        return dray_fail_errno(err, "start a thread");
    pthread_join(thread, NULL);
    return job.rc;
}
