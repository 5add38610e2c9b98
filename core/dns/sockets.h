/* SPDX-License-Identifier: Apache-2.0 */
/* sockets.h - the resolver's sockets inside the network namespaces of containers. */
#ifndef DRAY_DNS_SOCKETS_H
#define DRAY_DNS_SOCKETS_H

#include <dray/util.h>
#include <stdbool.h>

/** Enter a namespace (one thread only; privileged). */
int dray_dns_enter(int netns, struct dray_err *err);
/**
 * In the namespace of the caller: sockets that answer at 127.0.0.11:53, and the rules that lead
 * there. Where the kernel has no such rules, the sockets take port 53 itself. again: there may be
 * rules of before. The descriptors are the caller's, non-blocking.
 */
int dray_dns_listen(bool again, int *udp_out, int *tcp_out, struct dray_err *err);
/** A non-blocking socket towards a server. family: AF_INET, AF_INET6. Returns -1 with errno. */
int dray_dns_client_socket(int family, bool tcp);

#endif
