/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h - the daemon's side of proxy/protocol.h: published ports of the other family. */
#ifndef DRAY_ENGINE_PROXY_H
#define DRAY_ENGINE_PROXY_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_engine;
struct dray_proxy;

/** A port of the machine, and the container's address and port that it leads to. */
struct dray_proxy_port {
    const char *proto;   /* "tcp" or "udp" */
    const char *listen;  /* address of the machine */
    const char *to;      /* address of the container, without prefix */
    uint16_t port, last; /* in: port 0 is any, last the end of a range or 0; out: what is used */
    uint16_t to_port;
    bool twin; /* gets the port of the one before it */
};

/** Starts nothing: the proxy runs from the first port that needs it. */
int dray_proxy_open(struct dray_engine *e, struct dray_proxy **out, struct dray_err *err);
/** A proxy without ports ends; else it goes on without the daemon. */
void dray_proxy_close(struct dray_proxy *x);
/** Can connections of IPv6 to this machine be listened for? */
bool dray_proxy_ipv6(void);
/** The ports of an endpoint, all or none; they are as before if these are the same. A port that is
 *  taken: DRAY_E_CONFLICT. */
int dray_proxy_set(struct dray_proxy *x, const char *endpoint, struct dray_proxy_port *ports,
                   size_t n, struct dray_err *err);
void dray_proxy_drop(struct dray_proxy *x, const char *endpoint);
/** At the daemon's start: drop all endpoints but these. */
void dray_proxy_keep(struct dray_proxy *x, struct dray_strs endpoints);
/** Start it again if it has died. */
void dray_proxy_check(struct dray_proxy *x);

#endif
