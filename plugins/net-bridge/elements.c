/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elements.c - encodes elements for the kernel by hand.
 *
 * libnftables lists a whole map before it deletes one element of it (16 ms with 10,000 published
 * ports), so elements go over netlink directly; the table itself is written with libnftables.
 */
#include "elements.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <netinet/in.h>

#define ELEMS_PER_MESSAGE 400 /* a nested attribute ends at 64 KiB */

enum field { F_END, F_IF, F_PROTO, F_PORT, F_IP4, F_IP6 };

static const struct {
    uint8_t size; /* in the kernel, padded */
    const char *type;
} fields[] = {
    [F_IF] = {16, "ifname"},    [F_PROTO] = {4, "inet_proto"}, [F_PORT] = {4, "inet_service"},
    [F_IP4] = {4, "ipv4_addr"}, [F_IP6] = {16, "ipv6_addr"},
};

struct shape {
    const char *name;
    uint8_t key[4]; /* enum field, ended by F_END */
    uint8_t data[3];
};

static const struct shape shapes[ELEM_SETS] = {
    [ELEM_BRIDGES] = {"bridges", {F_IF}, {0}},
    [ELEM_SAME] = {"same", {F_IF, F_IF}, {0}},
    [ELEM_ICC] = {"icc", {F_IF, F_IF}, {0}},
    [ELEM_INTERNAL] = {"internal", {F_IF}, {0}},
    [ELEM_UNPROTECTED] = {"unprotected", {F_IF}, {0}},
    [ELEM_MASQ4] = {"masq4", {F_IF}, {0}},
    [ELEM_MASQ6] = {"masq6", {F_IF}, {0}},
    [ELEM_SELF4] = {"self4", {F_IP4, F_IP4}, {0}},
    [ELEM_SELF6] = {"self6", {F_IP6, F_IP6}, {0}},
    [ELEM_OPEN4] = {"open4", {F_IP4, F_PROTO, F_PORT}, {0}},
    [ELEM_OPEN6] = {"open6", {F_IP6, F_PROTO, F_PORT}, {0}},
    [ELEM_ANY4] = {"any4", {F_PROTO, F_PORT}, {F_IP4, F_PORT}},
    [ELEM_HOST4] = {"host4", {F_IP4, F_PROTO, F_PORT}, {F_IP4, F_PORT}},
    [ELEM_ANY6] = {"any6", {F_PROTO, F_PORT}, {F_IP6, F_PORT}},
    [ELEM_HOST6] = {"host6", {F_IP6, F_PROTO, F_PORT}, {F_IP6, F_PORT}},
    [ELEM_GUARD_ANY4] = {"guard_any4", {F_PROTO, F_PORT}, {0}},
    [ELEM_GUARD_HOST4] = {"guard_host4", {F_IP4, F_PROTO, F_PORT}, {0}},
    [ELEM_GUARD_ANY6] = {"guard_any6", {F_PROTO, F_PORT}, {0}},
    [ELEM_GUARD_HOST6] = {"guard_host6", {F_IP6, F_PROTO, F_PORT}, {0}},
};

static size_t size_of(const uint8_t *list)
{
    size_t n = 0;
    for (; *list; list++)
        n += fields[*list].size;
    return n;
}

void elems_free(struct elems *l)
{
    free(l->v);
    *l = (struct elems){0};
}

static struct elem *append(struct elems *l, enum elem_set set)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        struct elem *v = reallocarray(l->v, cap, sizeof *v);
        if (!v) {
            l->failed = true;
            return NULL;
        }
        l->v = v;
        l->cap = cap;
    }
    struct elem *e = &l->v[l->n++];
    *e = (struct elem){.set = (uint8_t)set};
    return e;
}

static uint8_t *put(uint8_t *at, const void *value, size_t n)
{
    memcpy(at, value, n);
    return at + (n + 3) / 4 * 4;
}

static uint8_t *put_port(uint8_t *at, uint16_t port)
{
    uint16_t be = htons(port);
    return put(at, &be, sizeof be);
}

static uint8_t *put_addr(uint8_t *at, const struct dray_cidr *c)
{
    return put(at, c->addr, (size_t)dray_cidr_len(c));
}

void elems_add_bridge(struct elems *l, enum elem_set set, const char *ifname)
{
    struct elem *e = append(l, set);
    char name[IFNAMSIZ] = "";
    (void)snprintf(name, sizeof name, "%s", ifname);
    if (!e)
        return;
    uint8_t *at = put(e->key, name, sizeof name);
    if (shapes[set].key[1])
        (void)put(at, name, sizeof name);
}

void elems_add_self(struct elems *l, const struct dray_cidr *addr)
{
    struct elem *e = append(l, addr->family == AF_INET ? ELEM_SELF4 : ELEM_SELF6);
    if (e)
        (void)put_addr(put_addr(e->key, addr), addr);
}

static bool any_address(const struct dray_cidr *c)
{
    static const uint8_t zero[16];
    return memcmp(c->addr, zero, (size_t)dray_cidr_len(c)) == 0;
}

void elems_add_guarded(struct elems *l, uint8_t proto, const struct dray_cidr *host, uint16_t port)
{
    bool v4 = host->family == AF_INET;
    bool any = any_address(host);
    struct elem *e = append(l, v4    ? (any ? ELEM_GUARD_ANY4 : ELEM_GUARD_HOST4)
                               : any ? ELEM_GUARD_ANY6
                                     : ELEM_GUARD_HOST6);
    if (!e)
        return;
    uint8_t *at = any ? e->key : put_addr(e->key, host);
    (void)put_port(put(at, &proto, 1), port);
}

void elems_add_nat(struct elems *l, uint8_t proto, const struct dray_cidr *host, uint16_t host_port,
                   const struct dray_cidr *to, uint16_t to_port)
{
    bool v4 = host->family == AF_INET;
    bool any = any_address(host);
    struct elem *e = append(l, v4 ? (any ? ELEM_ANY4 : ELEM_HOST4) : any ? ELEM_ANY6 : ELEM_HOST6);
    if (!e)
        return;
    uint8_t *at = any ? e->key : put_addr(e->key, host);
    (void)put_port(put(at, &proto, 1), host_port);
    (void)put_port(put_addr(e->data, to), to_port);
}

void elems_add_open(struct elems *l, uint8_t proto, const struct dray_cidr *to, uint16_t to_port)
{
    struct elem *e = append(l, to->family == AF_INET ? ELEM_OPEN4 : ELEM_OPEN6);
    if (e)
        (void)put_port(put(put_addr(e->key, to), &proto, 1), to_port);
}

const char *elem_set_name(enum elem_set set)
{
    return shapes[set].name;
}

static void declare_fields(FILE *out, const uint8_t *list)
{
    for (size_t i = 0; list[i]; i++)
        (void)fprintf(out, "%s%s", i ? " . " : "", fields[list[i]].type);
}

void elems_declare(FILE *out, bool ipv6)
{
    for (size_t i = 0; i < ELEM_SETS; i++) {
        const struct shape *s = &shapes[i];
        if (!ipv6 && strchr(s->name, '6'))
            continue;
        (void)fprintf(out, "%s %s { type ", s->data[0] ? "map" : "set", s->name);
        declare_fields(out, s->key);
        if (s->data[0]) {
            (void)fputs(" : ", out);
            declare_fields(out, s->data);
        }
        (void)fputs("; }\n", out);
    }
}

static const uint8_t *print_field(FILE *out, uint8_t field, const uint8_t *at)
{
    char addr[INET6_ADDRSTRLEN] = "";
    uint16_t be;
    switch (field) {
    case F_IF:
        (void)fprintf(out, "\"%.16s\"", (const char *)at);
        break;
    case F_PROTO:
        (void)fprintf(out, "%u", *at);
        break;
    case F_PORT:
        memcpy(&be, at, sizeof be);
        (void)fprintf(out, "%u", ntohs(be));
        break;
    default:
        (void)inet_ntop(field == F_IP4 ? AF_INET : AF_INET6, at, addr, sizeof addr);
        (void)fputs(addr, out);
    }
    return at + fields[field].size;
}

static void print_fields(FILE *out, const uint8_t *list, const uint8_t *at)
{
    for (size_t i = 0; list[i]; i++) {
        (void)fputs(i ? " . " : "", out);
        at = print_field(out, list[i], at);
    }
}

void elems_print(FILE *out, const char *table, const struct elems *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct elem *e = &l->v[i];
        const struct shape *s = &shapes[e->set];
        bool first = !i || l->v[i - 1].set != e->set;
        bool last = i + 1 == l->n || l->v[i + 1].set != e->set;
        if (first)
            (void)fprintf(out, "add element inet %s %s { ", table, s->name);
        print_fields(out, s->key, e->key);
        if (s->data[0]) {
            (void)fputs(" : ", out);
            print_fields(out, s->data, e->data);
        }
        (void)fputs(last ? " }\n" : ", ", out);
    }
}

static struct nl_msg *nft_msg(struct dray_nl_batch *b, int type, int flags, size_t size,
                              uint8_t family, uint16_t res_id, const char *what)
{
    struct nl_msg *m = dray_nl_add(b, type, flags, size, "nftables: %s", what);
    struct nfgenmsg g = {.nfgen_family = family, .res_id = htons(res_id)};
    if (m && nlmsg_append(m, &g, sizeof g, NLMSG_ALIGNTO) < 0)
        b->failed = true;
    return m;
}

static void put_value(struct nl_msg *m, int attr, const void *value, size_t n)
{
    struct nlattr *nest = nla_nest_start(m, attr);
    if (!nest)
        return;
    nla_put(m, NFTA_DATA_VALUE, (int)n, value);
    nla_nest_end(m, nest);
}

/* One message with elements first..last, all of one set. */
static void put_elements(struct dray_nl_batch *b, const char *table, const struct elem *v, size_t n,
                         bool add, bool ack)
{
    const struct shape *s = &shapes[v->set];
    char what[48];
    (void)snprintf(what, sizeof what, "%s an element of %s", add ? "add" : "delete", s->name);
    int type = NFNL_SUBSYS_NFTABLES << 8 | (add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
    int flags = (add ? NLM_F_CREATE : 0) | (ack ? NLM_F_ACK : 0);
    struct nl_msg *m = nft_msg(b, type, flags, 128 + n * 96, NFPROTO_INET, 0, what);
    if (!m)
        return;
    nla_put_string(m, NFTA_SET_ELEM_LIST_TABLE, table);
    nla_put_string(m, NFTA_SET_ELEM_LIST_SET, s->name);
    struct nlattr *list = nla_nest_start(m, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (size_t i = 0; list && i < n; i++) {
        struct nlattr *one = nla_nest_start(m, NFTA_LIST_ELEM);
        if (!one)
            break;
        put_value(m, NFTA_SET_ELEM_KEY, v[i].key, size_of(s->key));
        if (s->data[0] && add)
            put_value(m, NFTA_SET_ELEM_DATA, v[i].data, size_of(s->data));
        nla_nest_end(m, one);
    }
    if (list)
        nla_nest_end(m, list);
}

void elems_transact(struct dray_nl_batch *b, const char *table, const struct elems *l, bool add)
{
    (void)nft_msg(b, NFNL_MSG_BATCH_BEGIN, 0, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, "begin");
    for (size_t i = 0, end; i < l->n; i = end) {
        for (end = i + 1; end < l->n && end - i < ELEMS_PER_MESSAGE; end++)
            if (l->v[end].set != l->v[i].set)
                break;
        put_elements(b, table, l->v + i, end - i, add, end == l->n);
    }
    (void)nft_msg(b, NFNL_MSG_BATCH_END, 0, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, "commit");
}
