/* SPDX-License-Identifier: Apache-2.0 */
/* sockets.c - the resolver's sockets inside the network namespaces of containers. */
#include "dns/sockets.h"

#include "base/logging.h"
#include "dns/protocol.h"
#include "dns/rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "dns"
#define DNS_PORT 53
#define BACKLOG 32

int dray_dns_enter(int netns, struct dray_err *err)
{
    return setns(netns, CLONE_NEWNET) ? dray_fail_errno(err, "enter a network namespace") : 0;
}

/* port 0: the kernel chooses; *port gets it. */
static int open_bound(int type, uint16_t *port)
{
    dray_autofd int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof at;
    const int on = 1;
    if (fd < 0 || inet_pton(AF_INET, DRAY_DNS_ADDRESS, &at.sin_addr) != 1)
        return -1;
    if (type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const void *)&at, sizeof at) || getsockname(fd, (void *)&at, &len) ||
        (type == SOCK_STREAM && listen(fd, BACKLOG)))
        return -1;
    *port = ntohs(at.sin_port);
    return dray_steal_fd(&fd);
}

static int open_pair(uint16_t port, int *udp, int *tcp, uint16_t ports[2], struct dray_err *err)
{
    ports[0] = ports[1] = port;
    *udp = open_bound(SOCK_DGRAM, &ports[0]);
    *tcp = *udp < 0 ? -1 : open_bound(SOCK_STREAM, &ports[1]);
    if (*tcp >= 0)
        return 0;
    int rc = dray_fail_errno(err, "open the resolver's sockets");
    if (*udp >= 0)
        (void)close(*udp);
    *udp = -EBADF;
    return rc;
}

int dray_dns_listen(bool again, int *udp_out, int *tcp_out, struct dray_err *err)
{
    static bool warned; /* of a process with one thread */
    uint16_t ports[2];
    struct dray_err why = {0};
    int rc = open_pair(0, udp_out, tcp_out, ports, err);
    if (rc || !dray_dns_rules_put(ports[0], ports[1], again, &why))
        return rc;
    if (!warned)
        dray_warn("%s; port 53 is taken in containers instead", why.text);
    warned = true;
    (void)close(*udp_out);
    (void)close(*tcp_out);
    return open_pair(DNS_PORT, udp_out, tcp_out, ports, err);
}

int dray_dns_client_socket(int family, bool tcp)
{
    return socket(family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}
