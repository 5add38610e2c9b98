/* SPDX-License-Identifier: Apache-2.0 */
/* rules_check.c - looks at what the kernel has of our table. */
#include "rules.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

static struct nl_msg *ask(struct dray_nl_batch *b, int type, int flags, const char *what)
{
    struct nl_msg *m =
        dray_nl_add(b, NFNL_SUBSYS_NFTABLES << 8 | type, flags, 128, "nftables: %s", what);
    struct nfgenmsg g = {.nfgen_family = NFPROTO_INET};
    if (m && nlmsg_append(m, &g, sizeof g, NLMSG_ALIGNTO) < 0)
        b->failed = true;
    return m;
}

static int note_found(const struct nlmsghdr *h, void *ctx)
{
    (void)h;
    *(bool *)ctx = true;
    return 1;
}

bool rules_present(int fd, const char *table)
{
    bool found = false;
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = ask(&b, NFT_MSG_GETSET, 0, "look for the table");
    if (!m)
        return false;
    nla_put_string(m, NFTA_SET_TABLE, table);
    nla_put_string(m, NFTA_SET_NAME, RULES_MARKER);
    return !dray_nl_dump(fd, &b, note_found, &found, NULL) && found;
}

static int note_generation(const struct nlmsghdr *h, void *ctx)
{
    struct nlattr *a =
        nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), NFTA_GEN_ID);
    if (a)
        *(uint32_t *)ctx = ntohl(nla_get_u32(a));
    return 1;
}

uint32_t rules_generation(int fd)
{
    uint32_t generation = 0;
    DRAY_AUTO(dray_nl_batch) b = {0};
    if (!ask(&b, NFT_MSG_GETGEN, 0, "ask for the generation"))
        return 0;
    return dray_nl_dump(fd, &b, note_generation, &generation, NULL) ? 0 : generation;
}

static int note_policy(const struct nlmsghdr *h, void *ctx)
{
    struct nlattr *a = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg),
                                       NFTA_CHAIN_POLICY);
    *(enum forward_state *)ctx =
        a && ntohl(nla_get_u32(a)) == NF_DROP ? FORWARD_DROPS : FORWARD_ACCEPTS;
    return 1;
}

enum forward_state rules_forward_state(int fd, uint8_t family)
{
    enum forward_state state = FORWARD_ABSENT;
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = ask(&b, NFT_MSG_GETCHAIN, 0, "look at FORWARD");
    if (!m)
        return state;
    struct nfgenmsg *g = nlmsg_data(nlmsg_hdr(m));
    g->nfgen_family = family; /* iptables-nft keeps its chains by family */
    nla_put_string(m, NFTA_CHAIN_TABLE, "filter");
    nla_put_string(m, NFTA_CHAIN_NAME, "FORWARD");
    (void)dray_nl_dump(fd, &b, note_policy, &state, NULL);
    return state;
}

static int count_rule(const struct nlmsghdr *h, void *ctx)
{
    if ((h->nlmsg_type & 0xff) == NFT_MSG_NEWRULE)
        ++*(unsigned *)ctx;
    return 0;
}

bool rules_count(int fd, const char *table, unsigned *out)
{
    unsigned n = 0;
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = ask(&b, NFT_MSG_GETRULE, NLM_F_DUMP, "list rules");
    if (!m)
        return false;
    nla_put_string(m, NFTA_RULE_TABLE, table);
    if (dray_nl_dump(fd, &b, count_rule, &n, NULL))
        return false;
    *out = n;
    return true;
}

static int count_elements(const struct nlmsghdr *h, void *ctx)
{
    struct nlattr *list = nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg),
                                          NFTA_SET_ELEM_LIST_ELEMENTS);
    struct nlattr *a;
    int left;
    if (list)
        nla_for_each_nested(a, list, left)++ *(size_t *)ctx;
    return 0;
}

bool rules_count_elements(int fd, const char *table, enum elem_set set, size_t *out)
{
    size_t n = 0;
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = ask(&b, NFT_MSG_GETSETELEM, NLM_F_DUMP, "list elements");
    if (!m)
        return false;
    nla_put_string(m, NFTA_SET_ELEM_LIST_TABLE, table);
    nla_put_string(m, NFTA_SET_ELEM_LIST_SET, elem_set_name(set));
    if (dray_nl_dump(fd, &b, count_elements, &n, NULL))
        return false;
    *out = n;
    return true;
}
