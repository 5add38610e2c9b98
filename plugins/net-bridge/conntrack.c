/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conntrack.c - forgets UDP flows that were tracked before a port was published.
 *
 * A client that keeps sending from one port keeps its entry alive, and with it the translation (or
 * the lack of one) of the time before: it would never reach the new endpoint.
 */
#include "bridge.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>

/* Kernel bits of CTA_FILTER_ORIG_FLAGS; no header of the kernel tells them. */
#define FILTER_PROTO_NUM (1u << 3)
#define FILTER_DST_PORT (1u << 5)

struct flush {
    uint8_t family;
    uint16_t port;              /* of the host */
    struct dray_nl_batch found; /* deletions */
};

static struct nl_msg *ct_msg(struct dray_nl_batch *b, int type, int flags, size_t size,
                             uint8_t family)
{
    struct nl_msg *m = dray_nl_add(b, NFNL_SUBSYS_CTNETLINK << 8 | type, flags, size, "conntrack");
    struct nfgenmsg g = {.nfgen_family = family};
    if (m && nlmsg_append(m, &g, sizeof g, NLMSG_ALIGNTO) < 0)
        b->failed = true;
    return m;
}

/* Older kernels send everything, so what comes is looked at again. */
static bool concerns(struct nlattr *orig, uint16_t port)
{
    struct nlattr *tb[CTA_TUPLE_MAX + 1];
    struct nlattr *proto[CTA_PROTO_MAX + 1];
    return !nla_parse_nested(tb, CTA_TUPLE_MAX, orig, NULL) && tb[CTA_TUPLE_PROTO] &&
           !nla_parse_nested(proto, CTA_PROTO_MAX, tb[CTA_TUPLE_PROTO], NULL) &&
           proto[CTA_PROTO_NUM] && nla_get_u8(proto[CTA_PROTO_NUM]) == IPPROTO_UDP &&
           proto[CTA_PROTO_DST_PORT] && ntohs(nla_get_u16(proto[CTA_PROTO_DST_PORT])) == port;
}

static int note_flow(const struct nlmsghdr *h, void *ctx)
{
    struct flush *f = ctx;
    struct nlattr *orig =
        nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), CTA_TUPLE_ORIG);
    if (!orig || !concerns(orig, f->port))
        return 0;
    struct nl_msg *m =
        ct_msg(&f->found, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, (size_t)nla_len(orig) + 64, f->family);
    if (m)
        nla_put(m, CTA_TUPLE_ORIG | NLA_F_NESTED, nla_len(orig), nla_data(orig));
    dray_nl_ignore(&f->found, ENOENT); /* it ended by itself */
    return 0;
}

static void put_filter(struct nl_msg *m, uint16_t port)
{
    struct nlattr *tuple = nla_nest_start(m, CTA_TUPLE_ORIG | NLA_F_NESTED);
    struct nlattr *proto = nla_nest_start(m, CTA_TUPLE_PROTO | NLA_F_NESTED);
    nla_put_u8(m, CTA_PROTO_NUM, IPPROTO_UDP);
    nla_put_u16(m, CTA_PROTO_SRC_PORT, 0);
    nla_put_u16(m, CTA_PROTO_DST_PORT, htons(port));
    nla_nest_end(m, proto);
    nla_nest_end(m, tuple);
    struct nlattr *filter = nla_nest_start(m, CTA_FILTER | NLA_F_NESTED);
    nla_put_u32(m, CTA_FILTER_ORIG_FLAGS, FILTER_PROTO_NUM | FILTER_DST_PORT);
    nla_put_u32(m, CTA_FILTER_REPLY_FLAGS, 0);
    nla_nest_end(m, filter);
}

static int list_flows(int fd, struct flush *f, bool filtered)
{
    DRAY_AUTO(dray_nl_batch) ask = {0};
    struct nl_msg *m = ct_msg(&ask, IPCTNL_MSG_CT_GET, NLM_F_DUMP, 128, f->family);
    if (m && filtered)
        put_filter(m, f->port);
    return dray_nl_dump(fd, &ask, note_flow, f, NULL);
}

static void forget(void *arg)
{
    dray_autofree struct flush *f = arg;
    dray_autofd int fd = dray_nl_socket(NETLINK_NETFILTER);
    if (fd < 0)
        return;
    if (list_flows(fd, f, true)) { /* a kernel without this filter, before 5.8 */
        dray_autofd int again = dray_nl_socket(NETLINK_NETFILTER);
        if (again >= 0)
            (void)list_flows(again, f, false);
    }
    dray_autofd int out = dray_nl_socket(NETLINK_NETFILTER);
    if (out >= 0)
        (void)dray_nl_send(out, &f->found, NULL);
    dray_nl_batch_free(&f->found);
}

void conntrack_forget_udp(struct dray_self *self, uint8_t family, uint16_t port)
{
    struct flush *f = calloc(1, sizeof *f);
    if (!f)
        return;
    f->family = family;
    f->port = port;
    if (dray_worker_post(self->inside, 0, forget, f, NULL))
        free(f);
}
