/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - who is called what: the containers, their networks, names and addresses.
 *
 * One thread. Names compare without regard to ASCII case.
 */
#ifndef DRAY_DNS_TABLE_H
#define DRAY_DNS_TABLE_H

#include "dns/protocol.h"

#include <dray/util.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct json_object;
struct dray_dns_table;
struct dray_dns_net;

struct dray_dns_server {
    struct sockaddr_storage addr;
    socklen_t len;
    bool host; /* asked from the host's namespace */
};

struct dray_dns_link {
    char *alias, *name;
};

/** A container on a network. */
struct dray_dns_ep {
    struct dray_dns_net *net;
    char **names; /* the container's own first */
    size_t n_names;
    struct dray_dns_link *links;
    size_t n_links;
    bool has4, has6;
    struct in_addr v4;
    struct in6_addr v6;
};

struct dray_dns_container {
    struct dray_dns_container *next;
    char id[72];
    bool forward, ndots;
    struct dray_dns_server servers[DRAY_DNS_SERVERS];
    size_t n_servers;
    struct dray_dns_ep *eps;
    size_t n_eps;
    void *user; /* the caller's: NULL in a new one */
};

struct dray_dns_table *dray_dns_table_new(void);
void dray_dns_table_free(struct dray_dns_table *t);
/** Take in a document of protocol.h, in place of that container's last one. *out stays valid until
 *  the container is dropped. */
int dray_dns_table_set(struct dray_dns_table *t, struct json_object *doc,
                       struct dray_dns_container **out, struct dray_err *err);
struct dray_dns_container *dray_dns_table_find(const struct dray_dns_table *t, const char *id);
/** Forget a container. NULL is nothing. */
void dray_dns_table_drop(struct dray_dns_table *t, struct dray_dns_container *c);

/** Addresses of a name as one container sees it. */
struct dray_dns_found {
    bool known; /* the name exists, if perhaps with addresses of the other family only */
    size_t n;
    const struct dray_dns_ep *v[64];
};
/** name: without a dot at its end. family: AF_INET, AF_INET6. More than fit are left out. */
void dray_dns_table_lookup(const struct dray_dns_table *t, const struct dray_dns_container *c,
                           const char *name, int family, struct dray_dns_found *out);
/** "name.network" of an address on the container's networks; false: nobody there. */
bool dray_dns_table_reverse(const struct dray_dns_table *t, const struct dray_dns_container *c,
                            int family, const void *addr, char *out, size_t size);

#endif
