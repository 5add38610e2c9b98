/* SPDX-License-Identifier: Apache-2.0 */
/* net_wire.h - network namespaces and real traffic between them, for tests. */
#ifndef DRAY_TESTS_NET_WIRE_H
#define DRAY_TESTS_NET_WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WIRE_TIMEOUT_MS 400

/** A new namespace as a descriptor; the caller stays where it is. -1 on failure. */
static inline int wire_ns_new(void)
{
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int fd = -1;
    if (home >= 0 && !unshare(CLONE_NEWNET)) {
        fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (setns(home, CLONE_NEWNET))
            abort();
    }
    close(home);
    return fd;
}

/** A socket made inside a namespace; ns -1 is the caller's. */
static inline int wire_socket(int ns, int family, int type)
{
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (ns >= 0 && setns(ns, CLONE_NEWNET))
        abort();
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (ns >= 0 && setns(home, CLONE_NEWNET))
        abort();
    close(home);
    struct timeval limit = {.tv_usec = WIRE_TIMEOUT_MS * 1000};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return fd;
}

/** Run a command inside a namespace. */
static inline int wire_run(int ns, const char *command)
{
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (ns >= 0 && setns(ns, CLONE_NEWNET))
        abort();
    int rc = system(command);
    if (ns >= 0 && setns(home, CLONE_NEWNET))
        abort();
    close(home);
    return rc;
}

static inline socklen_t wire_addr(const char *ip, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (strchr(ip, ':')) {
        struct sockaddr_in6 *a = (void *)out;
        a->sin6_family = AF_INET6;
        a->sin6_port = htons(port);
        inet_pton(AF_INET6, ip, &a->sin6_addr);
        return sizeof *a;
    }
    struct sockaddr_in *a = (void *)out;
    a->sin_family = AF_INET;
    a->sin_port = htons(port);
    inet_pton(AF_INET, ip, &a->sin_addr);
    return sizeof *a;
}

static inline void wire_name(const struct sockaddr_storage *a, char out[INET6_ADDRSTRLEN])
{
    if (a->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, out, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, out, INET6_ADDRSTRLEN);
}

/** A server inside a namespace, on every address of the family. */
static inline int wire_serve(int ns, int family, int type, uint16_t port)
{
    int fd = wire_socket(ns, family, type);
    struct sockaddr_storage a;
    socklen_t n = wire_addr(family == AF_INET6 ? "::" : "0.0.0.0", port, &a);
    if (bind(fd, (struct sockaddr *)&a, n) || (type == SOCK_STREAM && listen(fd, 16))) {
        close(fd);
        return -1;
    }
    return fd;
}

/**
 * Does a TCP connection from the namespace to ip:port end at the server, and do bytes come back?
 * peer_out gets the address that the server saw.
 */
static inline bool wire_tcp(int ns, const char *ip, uint16_t port, int server,
                            char peer_out[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage a;
    socklen_t n = wire_addr(ip, port, &a);
    int c = wire_socket(ns, a.ss_family, SOCK_STREAM);
    char byte = 0;
    bool ok = false;
    peer_out[0] = '\0';
    if (connect(c, (struct sockaddr *)&a, n) == 0) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int s = accept(server, (struct sockaddr *)&peer, &len);
        if (s >= 0) {
            wire_name(&peer, peer_out);
            ok = write(s, "x", 1) == 1 && read(c, &byte, 1) == 1 && byte == 'x';
            close(s);
        }
    }
    close(c);
    return ok;
}

/** The same with a datagram there and one back. */
static inline bool wire_udp(int ns, const char *ip, uint16_t port, int server,
                            char peer_out[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage a;
    socklen_t n = wire_addr(ip, port, &a);
    int c = wire_socket(ns, a.ss_family, SOCK_DGRAM);
    char byte = 0;
    bool ok = false;
    peer_out[0] = '\0';
    if (connect(c, (struct sockaddr *)&a, n) == 0 && send(c, "q", 1, 0) == 1) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        if (recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer, &len) == 1) {
            wire_name(&peer, peer_out);
            ok = sendto(server, "r", 1, 0, (struct sockaddr *)&peer, len) == 1 &&
                 recv(c, &byte, 1, 0) == 1 && byte == 'r';
        }
    }
    close(c);
    return ok;
}

#endif
