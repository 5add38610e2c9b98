/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_bridge_rig.h - opens net-bridge and asks it for networks, endpoints and ports.
 *
 * The whole test runs in a network namespace of its own, which plays the machine; nothing outside
 * is touched, and the kernel removes everything with it.
 */
#ifndef DRAY_TESTS_NET_BRIDGE_RIG_H
#define DRAY_TESTS_NET_BRIDGE_RIG_H

#include "check.h"
#include "net_host.h"
#include "net_wire.h"

#include <dray/network.h>

#define TABLE "draytest"
#define NET_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NET_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define MACHINE "192.0.2.1" /* the machine's address to the outside */
#define OUTSIDE "192.0.2.2"

extern struct fake_host fake;
extern const struct dray_network_ops *ops;
extern int outside; /**< a namespace beyond the machine */
extern char peer[INET6_ADDRSTRLEN];

bool quiet(const char *command);
void setup(void);
/** The daemon dies: nothing is undone in the kernel. */
void crash(void);
int collect_all(const char *const *nets, size_t n, const char *const *eps, size_t m);
void teardown(void);
int net_create_as(uint32_t call_flags, const char *id, const char *subnet, const char *gateway,
                  uint32_t flags, const struct dray_kv *kv, size_t n, struct dray_err *err);
void net_create(const char *id, const char *subnet, const char *gateway, uint32_t flags,
                const struct dray_kv *kv, size_t n);
int ep_create(uint32_t call_flags, const char *net, const char *ep, const char *ip4,
              const char *ip6);
int join(const char *net, const char *ep, int ns, const char *ifname, bool set_default);
/** A container's namespace on a network. */
int container(const char *net, const char *ep, const char *ip4, const char *ip6);
int publish_as(uint32_t call_flags, const char *ep, struct dray_port *ports, size_t n,
               struct dray_err *err);
struct dray_port port(const char *proto, const char *host_ip, uint16_t first, uint16_t last,
                      uint16_t container_port);
int publish(const char *ep, const char *proto, const char *host_ip, uint16_t host_port,
            uint16_t container_port);
void unpublish(const char *ep);
void ep_remove(const char *ep);
int net_remove(const char *net);
void net_a(void);
bool has(int ns, const char *command);
double now_ms(void);
/** Make the machine's namespace and run the cases; main()'s result. */
int rig_main(const char *title, const struct check_case *cases, size_t n);

#endif
