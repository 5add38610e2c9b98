/* SPDX-License-Identifier: Apache-2.0 */
/* rules.c - the packet rules that lead port 53 of 127.0.0.11 to the resolver's own ports. */
#include "dns/rules.h"

#include "dns/protocol.h"

#include <arpa/inet.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>

#define TABLE "dray_dns"
#define ANSWER_MS 2000
#define DNS_PORT 53
#define BEFORE_ALL (-300) /* "raw": connection tracking, where it is on, sees one port only */

/* Messages of one transaction. */
struct batch {
    _Alignas(NLMSG_ALIGNTO) char data[8192];
    size_t len;
    uint32_t seq;
    bool failed;
};

static struct nlmsghdr *open_message(struct batch *b, uint16_t type, uint16_t flags)
{
    return nftnl_nlmsg_build_hdr(b->data + b->len, type, NFPROTO_IPV4, flags, b->seq++);
}

static void close_message(struct batch *b, const struct nlmsghdr *h)
{
    b->len += NLMSG_ALIGN(h->nlmsg_len);
}

static void add_table(struct batch *b, uint16_t type, uint16_t flags)
{
    struct nftnl_table *t = nftnl_table_alloc();
    if (!t || nftnl_table_set_str(t, NFTNL_TABLE_NAME, TABLE) < 0) {
        b->failed = true;
    } else {
        struct nlmsghdr *h = open_message(b, type, flags);
        nftnl_table_nlmsg_build_payload(h, t);
        close_message(b, h);
    }
    nftnl_table_free(t);
}

static void add_chain(struct batch *b, const char *name, uint32_t hook)
{
    struct nftnl_chain *c = nftnl_chain_alloc();
    if (!c || nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, TABLE) < 0 ||
        nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name) < 0 ||
        nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter") < 0) {
        b->failed = true;
    } else {
        nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook);
        nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, BEFORE_ALL);
        struct nlmsghdr *h = open_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
        nftnl_chain_nlmsg_build_payload(h, c);
        close_message(b, h);
    }
    nftnl_chain_free(c);
}

/* Expressions of a rule. */

static struct nftnl_expr *new_expr(struct batch *b, struct nftnl_rule *r, const char *kind)
{
    struct nftnl_expr *e = nftnl_expr_alloc(kind);
    if (e)
        nftnl_rule_add_expr(r, e);
    else
        b->failed = true;
    return e;
}

static void add_compare(struct batch *b, struct nftnl_rule *r, const void *data, uint32_t len)
{
    struct nftnl_expr *e = new_expr(b, r, "cmp");
    if (!e)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
    if (nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len) < 0)
        b->failed = true;
}

static void match_protocol(struct batch *b, struct nftnl_rule *r, uint8_t protocol)
{
    struct nftnl_expr *e = new_expr(b, r, "meta");
    if (!e)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_L4PROTO);
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
    add_compare(b, r, &protocol, sizeof protocol);
}

static void match_bytes(struct batch *b, struct nftnl_rule *r, uint32_t base, uint32_t offset,
                        const void *data, uint32_t len)
{
    struct nftnl_expr *e = new_expr(b, r, "payload");
    if (!e)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
    add_compare(b, r, data, len);
}

static void write_port(struct batch *b, struct nftnl_rule *r, uint32_t offset, uint16_t port,
                       uint32_t checksum)
{
    struct nftnl_expr *value = new_expr(b, r, "immediate");
    struct nftnl_expr *e = new_expr(b, r, "payload");
    if (!value || !e)
        return;
    nftnl_expr_set_u32(value, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
    if (nftnl_expr_set(value, NFTNL_EXPR_IMM_DATA, &port, sizeof port) < 0)
        b->failed = true;
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_SREG, NFT_REG_1);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, sizeof port);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, checksum);
}

/* One rewriting: packets of 127.0.0.11 whose source or destination port is `from` get `to`. */
struct rewrite {
    const char *chain;
    uint8_t protocol;
    bool source; /* of answers; else the destination of questions */
    uint16_t from, to;
};

static void add_rewrite(struct batch *b, const struct rewrite *w)
{
    enum { SOURCE_ADDRESS = 12, DESTINATION_ADDRESS = 16, UDP_CHECKSUM = 6, TCP_CHECKSUM = 16 };
    const uint32_t port_at = w->source ? 0 : 2;
    const uint16_t from = htons(w->from);
    struct in_addr ours;
    struct nftnl_rule *r = nftnl_rule_alloc();
    if (!r || inet_pton(AF_INET, DRAY_DNS_ADDRESS, &ours) != 1 ||
        nftnl_rule_set_str(r, NFTNL_RULE_TABLE, TABLE) < 0 ||
        nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, w->chain) < 0) {
        b->failed = true;
        nftnl_rule_free(r);
        return;
    }
    nftnl_rule_set_u32(r, NFTNL_RULE_FAMILY, NFPROTO_IPV4);
    match_bytes(b, r, NFT_PAYLOAD_NETWORK_HEADER, w->source ? SOURCE_ADDRESS : DESTINATION_ADDRESS,
                &ours, sizeof ours);
    match_protocol(b, r, w->protocol);
    match_bytes(b, r, NFT_PAYLOAD_TRANSPORT_HEADER, port_at, &from, sizeof from);
    write_port(b, r, port_at, htons(w->to),
               w->protocol == IPPROTO_UDP ? UDP_CHECKSUM : TCP_CHECKSUM);
    struct nlmsghdr *h = open_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
    nftnl_rule_nlmsg_build_payload(h, r);
    close_message(b, h);
    nftnl_rule_free(r);
}

/* Questions are rewritten as they leave the client, answers as they arrive: after any connection
 * tracking, which so sees the same ports both ways. */
static size_t add_rewrites(struct batch *b, uint16_t udp_port, uint16_t tcp_port)
{
    const struct rewrite all[] = {
        {"out", IPPROTO_UDP, false, DNS_PORT, udp_port},
        {"out", IPPROTO_TCP, false, DNS_PORT, tcp_port},
        {"in", IPPROTO_UDP, true, udp_port, DNS_PORT},
        {"in", IPPROTO_TCP, true, tcp_port, DNS_PORT},
    };
    const size_t n = sizeof all / sizeof all[0];
    for (size_t i = 0; i < n; i++)
        add_rewrite(b, &all[i]);
    return n;
}

/* One answer, positive or not, comes for each message that asked for it. */
static int read_answers(int sock, size_t wanted)
{
    _Alignas(NLMSG_ALIGNTO) char data[4096];
    while (wanted > 0) {
        struct pollfd p = {.fd = sock, .events = POLLIN};
        if (poll(&p, 1, ANSWER_MS) != 1)
            return ETIMEDOUT;
        ssize_t got = recv(sock, data, sizeof data, 0);
        if (got < 0 && errno != EINTR)
            return errno;
        size_t left = got < 0 ? 0 : (size_t)got;
        for (const struct nlmsghdr *h = (void *)data; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            const struct nlmsgerr *e = NLMSG_DATA(h);
            if (h->nlmsg_type != NLMSG_ERROR)
                continue;
            if (e->error)
                return -e->error;
            wanted -= wanted > 0;
        }
    }
    return 0;
}

int dray_dns_rules_put(uint16_t udp_port, uint16_t tcp_port, bool replace, struct dray_err *err)
{
    struct batch b = {.seq = 1};
    close_message(&b, nftnl_batch_begin(b.data, b.seq++));
    add_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    if (replace) {
        add_table(&b, NFT_MSG_DELTABLE, 0);
        add_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    }
    add_chain(&b, "out", NF_INET_LOCAL_OUT);
    add_chain(&b, "in", NF_INET_LOCAL_IN);
    size_t answers = add_rewrites(&b, udp_port, tcp_port);
    close_message(&b, nftnl_batch_end(b.data + b.len, b.seq++));
    if (b.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autofd int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sock < 0 ||
        sendto(sock, b.data, b.len, 0, (const void *)&kernel, sizeof kernel) != (ssize_t)b.len)
        return dray_fail_errno(err, "send the rules of the resolver");
    errno = read_answers(sock, answers);
    return errno ? dray_fail_errno(err, "set the rules of the resolver") : 0;
}
