/* SPDX-License-Identifier: Apache-2.0 */
/* hostrules_copy.c - copies a chain of nftables, and what it leads to, into a table of ours. */
#include "hostrules.h"

#include "bridge.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

/* More than that is no firewall that we could follow. */
#define MOST_NAMES 4096

struct names {
    char **v;
    size_t n;
};

/* Copies of messages that the kernel sent. */
struct heap {
    struct nlmsghdr **v;
    size_t n;
    bool failed;
};

struct source {
    const struct host_chain *from;
    struct names chains, sets;
    struct heap rules, set_defs, elems;
    bool failed;
};

static void source_cleanup(struct source *s)
{
    struct names *names[] = {&s->chains, &s->sets};
    struct heap *heaps[] = {&s->rules, &s->set_defs, &s->elems};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < names[i]->n; k++)
            free(names[i]->v[k]);
        free(names[i]->v);
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < heaps[i]->n; k++)
            free(heaps[i]->v[k]);
        free(heaps[i]->v);
    }
}

static void add_name(struct source *s, struct names *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], name) == 0)
            return;
    char **v = l->n < MOST_NAMES ? reallocarray(l->v, l->n + 1, sizeof *v) : NULL;
    char *copy = v ? strdup(name) : NULL;
    if (v)
        l->v = v;
    if (copy)
        l->v[l->n++] = copy;
    else
        s->failed = true;
}

static bool keep(struct heap *h, const struct nlmsghdr *msg)
{
    struct nlmsghdr **v = reallocarray(h->v, h->n + 1, sizeof(struct nlmsghdr *));
    struct nlmsghdr *copy = v ? malloc(msg->nlmsg_len) : NULL;
    if (v)
        h->v = v;
    if (!copy) {
        h->failed = true;
        return false;
    }
    memcpy(copy, msg, msg->nlmsg_len);
    h->v[h->n++] = copy;
    return true;
}

static struct nlattr *find(const struct nlmsghdr *h, int type)
{
    return nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), type);
}

static struct nlattr *inner(struct nlattr *nest, int type)
{
    return nest ? nla_find(nla_data(nest), nla_len(nest), type) : NULL;
}

static uint32_t number(struct nlattr *a)
{
    return a && nla_len(a) >= 4 ? ntohl(nla_get_u32(a)) : 0;
}

/* "NFTA_DATA_VERDICT" of a rule's or an element's data: where it jumps to. */
static void note_verdict(struct source *s, struct nlattr *data)
{
    struct nlattr *chain = inner(inner(data, NFTA_DATA_VERDICT), NFTA_VERDICT_CHAIN);
    if (chain)
        add_name(s, &s->chains, nla_get_string(chain));
}

static void note_expr(struct source *s, const char *name, struct nlattr *data)
{
    struct nlattr *set = NULL;
    if (strcmp(name, "immediate") == 0)
        note_verdict(s, inner(data, NFTA_IMMEDIATE_DATA));
    else if (strcmp(name, "lookup") == 0)
        set = inner(data, NFTA_LOOKUP_SET);
    else if (strcmp(name, "dynset") == 0)
        set = inner(data, NFTA_DYNSET_SET_NAME);
    if (set)
        add_name(s, &s->sets, nla_get_string(set));
}

static int note_rule(const struct nlmsghdr *h, void *ctx)
{
    struct source *s = ctx;
    struct nlattr *list = find(h, NFTA_RULE_EXPRESSIONS);
    struct nlattr *e;
    int left;
    if ((h->nlmsg_type & 0xff) != NFT_MSG_NEWRULE || !keep(&s->rules, h) || !list)
        return 0;
    nla_for_each_nested(e, list, left)
    {
        struct nlattr *name = inner(e, NFTA_EXPR_NAME);
        if (name)
            note_expr(s, nla_get_string(name), inner(e, NFTA_EXPR_DATA));
    }
    return 0;
}

static int note_set(const struct nlmsghdr *h, void *ctx)
{
    struct source *s = ctx;
    if ((h->nlmsg_type & 0xff) == NFT_MSG_NEWSET)
        (void)keep(&s->set_defs, h);
    return 0;
}

static int note_elems(const struct nlmsghdr *h, void *ctx)
{
    struct source *s = ctx;
    struct nlattr *list = find(h, NFTA_SET_ELEM_LIST_ELEMENTS);
    struct nlattr *e;
    int left;
    if ((h->nlmsg_type & 0xff) != NFT_MSG_NEWSETELEM || !list || !keep(&s->elems, h))
        return 0;
    nla_for_each_nested(e, list, left) note_verdict(s, inner(e, NFTA_SET_ELEM_DATA));
    return 0;
}

struct nl_msg *hostrules_msg(struct dray_nl_batch *b, int type, int flags, uint8_t family,
                             size_t size, const char *what)
{
    struct nl_msg *m =
        dray_nl_add(b, NFNL_SUBSYS_NFTABLES << 8 | type, flags, size + 512, "nftables: %s", what);
    struct nfgenmsg g = {.nfgen_family = family};
    if (m && nlmsg_append(m, &g, sizeof g, NLMSG_ALIGNTO) < 0)
        b->failed = true;
    return m;
}

static void put_mark(struct dray_nl_batch *b, int type)
{
    struct nl_msg *m = dray_nl_add(b, type, 0, 64, "nftables: transaction");
    struct nfgenmsg g = {.nfgen_family = AF_UNSPEC, .res_id = htons(NFNL_SUBSYS_NFTABLES)};
    if (m && nlmsg_append(m, &g, sizeof g, NLMSG_ALIGNTO) < 0)
        b->failed = true;
}

void hostrules_begin(struct dray_nl_batch *b)
{
    put_mark(b, NFNL_MSG_BATCH_BEGIN);
}

int hostrules_commit(int fd, struct dray_nl_batch *b, struct dray_err *err)
{
    if (b->n == 1 && !b->failed)
        return 0; /* nothing to delete or add */
    if (b->n)
        nlmsg_hdr(b->v[b->n - 1].msg)->nlmsg_flags |= NLM_F_ACK;
    put_mark(b, NFNL_MSG_BATCH_END);
    return dray_nl_send(fd, b, err);
}

static int ask(int fd, struct source *s, int type, int flags, const char *name, dray_nl_dump_fn fn,
               struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct nl_msg *m = hostrules_msg(&b, type, flags, s->from->family, 64, "read the host's rules");
    if (!m)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    nla_put_string(m, 1 /* NFTA_*_TABLE */, s->from->table);
    nla_put_string(m, 2 /* NFTA_RULE_CHAIN, NFTA_SET_NAME, NFTA_SET_ELEM_LIST_SET */, name);
    return dray_nl_dump(fd, &b, fn, s, err);
}

/* The chain, the chains that it may jump to, and their sets. */
static int gather(int fd, struct source *s, struct dray_err *err)
{
    int rc = 0;
    add_name(s, &s->chains, s->from->chain);
    for (size_t c = 0, k = 0; !rc && !s->failed && (c < s->chains.n || k < s->sets.n);) {
        if (c < s->chains.n) {
            rc = ask(fd, s, NFT_MSG_GETRULE, NLM_F_DUMP, s->chains.v[c++], note_rule, err);
            continue;
        }
        const char *set = s->sets.v[k++];
        rc = ask(fd, s, NFT_MSG_GETSET, 0, set, note_set, err);
        rc = rc ? rc : ask(fd, s, NFT_MSG_GETSETELEM, NLM_F_DUMP, set, note_elems, err);
    }
    if (!rc && (s->failed || s->rules.failed || s->set_defs.failed || s->elems.failed))
        return dray_fail(err, DRAY_E_NOMEM, "the host's rules are too many");
    return rc;
}

/* --- writing ----------------------------------------------------------------------------------*/

static void put_copy(struct nl_msg *m, struct nlattr *a)
{
    if (a)
        nla_put(m, a->nla_type, nla_len(a), nla_data(a));
}

static void put_expr(struct nl_msg *m, const char *name, struct nlattr **nest_out,
                     struct nlattr **data_out)
{
    *nest_out = nla_nest_start(m, NFTA_LIST_ELEM);
    nla_put_string(m, NFTA_EXPR_NAME, name);
    *data_out = nla_nest_start(m, NFTA_EXPR_DATA);
}

static void end_expr(struct nl_msg *m, struct nlattr *nest, struct nlattr *data)
{
    nla_nest_end(m, data);
    nla_nest_end(m, nest);
}

static void put_verdict(struct nl_msg *m, int code, const char *chain)
{
    struct nlattr *nest, *data;
    put_expr(m, "immediate", &nest, &data);
    nla_put_u32(m, NFTA_IMMEDIATE_DREG, htonl(NFT_REG_VERDICT));
    struct nlattr *value = nla_nest_start(m, NFTA_IMMEDIATE_DATA);
    struct nlattr *verdict = nla_nest_start(m, NFTA_DATA_VERDICT);
    nla_put_u32(m, NFTA_VERDICT_CODE, htonl((uint32_t)code));
    if (chain)
        nla_put_string(m, NFTA_VERDICT_CHAIN, chain);
    nla_nest_end(m, verdict);
    nla_nest_end(m, value);
    end_expr(m, nest, data);
}

/* Go on only with packets that carry the mark. */
static void put_marked(struct nl_msg *m)
{
    struct nlattr *nest, *data;
    put_expr(m, "meta", &nest, &data);
    nla_put_u32(m, NFTA_META_KEY, htonl(NFT_META_PRIORITY));
    nla_put_u32(m, NFTA_META_DREG, htonl(NFT_REG_1));
    end_expr(m, nest, data);
    put_expr(m, "cmp", &nest, &data);
    nla_put_u32(m, NFTA_CMP_SREG, htonl(NFT_REG_1));
    nla_put_u32(m, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
    struct nlattr *value = nla_nest_start(m, NFTA_CMP_DATA);
    nla_put_u32(m, NFTA_DATA_VALUE, HOSTRULES_MARK);
    nla_nest_end(m, value);
    end_expr(m, nest, data);
}

static void put_table(struct dray_nl_batch *b, uint8_t family, const char *table)
{
    struct nl_msg *m =
        hostrules_msg(b, NFT_MSG_NEWTABLE, NLM_F_CREATE, family, 64, "add a table of host rules");
    if (m)
        nla_put_string(m, NFTA_TABLE_NAME, table);
}

static void put_chain(struct dray_nl_batch *b, uint8_t family, const char *table, const char *name,
                      const int *priority)
{
    struct nl_msg *m =
        hostrules_msg(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, 128, "add a chain of host rules");
    if (!m)
        return;
    nla_put_string(m, NFTA_CHAIN_TABLE, table);
    nla_put_string(m, NFTA_CHAIN_NAME, name);
    if (!priority)
        return;
    struct nlattr *hook = nla_nest_start(m, NFTA_CHAIN_HOOK);
    nla_put_u32(m, NFTA_HOOK_HOOKNUM, htonl(NF_INET_PRE_ROUTING));
    nla_put_u32(m, NFTA_HOOK_PRIORITY, htonl((uint32_t)*priority));
    nla_nest_end(m, hook);
    nla_put_string(m, NFTA_CHAIN_TYPE, "filter");
}

/* In the chain with the hook: marked packets get the verdict. */
static void put_hook_rule(struct dray_nl_batch *b, uint8_t family, const char *table, int code,
                          const char *chain)
{
    struct nl_msg *m = hostrules_msg(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family, 512,
                                     "add a rule of host rules");
    if (!m)
        return;
    nla_put_string(m, NFTA_RULE_TABLE, table);
    nla_put_string(m, NFTA_RULE_CHAIN, "dray hook");
    struct nlattr *list = nla_nest_start(m, NFTA_RULE_EXPRESSIONS);
    put_marked(m);
    put_verdict(m, code, chain);
    nla_nest_end(m, list);
}

static void put_set(struct dray_nl_batch *b, const char *table, const struct nlmsghdr *h,
                    uint32_t id)
{
    static const int copied[] = {NFTA_SET_NAME,      NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN,
                                 NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN, NFTA_SET_POLICY,
                                 NFTA_SET_DESC,      NFTA_SET_TIMEOUT,  NFTA_SET_GC_INTERVAL,
                                 NFTA_SET_USERDATA,  NFTA_SET_EXPR,     NFTA_SET_EXPRESSIONS};
    const struct nfgenmsg *g = nlmsg_data(h);
    struct nlattr *flags = find(h, NFTA_SET_FLAGS);
    struct nl_msg *m = hostrules_msg(b, NFT_MSG_NEWSET, NLM_F_CREATE, g->nfgen_family, h->nlmsg_len,
                                     "add a set of host rules");
    if (!m)
        return;
    nla_put_string(m, NFTA_SET_TABLE, table);
    nla_put_u32(m, NFTA_SET_ID, htonl(id));
    if (flags)
        nla_put_u32(m, NFTA_SET_FLAGS,
                    nla_get_u32(flags) & ~htonl(NFT_SET_ANONYMOUS | NFT_SET_CONSTANT));
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++)
        put_copy(m, find(h, copied[i]));
}

static void put_elems(struct dray_nl_batch *b, const char *table, const struct nlmsghdr *h)
{
    const struct nfgenmsg *g = nlmsg_data(h);
    struct nl_msg *m = hostrules_msg(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE, g->nfgen_family,
                                     h->nlmsg_len, "add elements of host rules");
    if (!m)
        return;
    nla_put_string(m, NFTA_SET_ELEM_LIST_TABLE, table);
    put_copy(m, find(h, NFTA_SET_ELEM_LIST_SET));
    put_copy(m, find(h, NFTA_SET_ELEM_LIST_ELEMENTS));
}

/* Targets of iptables work at the hooks of their tables only: what refuses drops here, the rest
 * (LOG and its like) is left to the original. Named objects stay where they are. */
static void put_one_expr(struct nl_msg *m, struct nlattr *e, const char *name)
{
    if (strcmp(name, "objref") == 0)
        return;
    if (strcmp(name, "target") != 0) {
        put_copy(m, e);
        return;
    }
    struct nlattr *target = inner(inner(e, NFTA_EXPR_DATA), NFTA_TARGET_NAME);
    if (target && (strcmp(nla_get_string(target), "REJECT") == 0 ||
                   strcmp(nla_get_string(target), "DROP") == 0))
        put_verdict(m, NF_DROP, NULL);
}

static bool loads_protocol(const char *name, struct nlattr *data)
{
    if (strcmp(name, "meta") == 0)
        return number(inner(data, NFTA_META_KEY)) == NFT_META_L4PROTO;
    return strcmp(name, "payload") == 0 && /* of an IPv4 header */
           number(inner(data, NFTA_PAYLOAD_BASE)) == NFT_PAYLOAD_NETWORK_HEADER &&
           number(inner(data, NFTA_PAYLOAD_OFFSET)) == 9 &&
           number(inner(data, NFTA_PAYLOAD_LEN)) == 1;
}

/* Matches of iptables want to know which protocol a rule is for. The kernel keeps that to itself,
 * but the rule compares it. */
static void put_compat(struct nl_msg *m, struct nlattr *from)
{
    struct nlattr *e;
    int left;
    bool wanted = false;
    bool loaded = false;
    uint32_t proto = 0;
    uint32_t inverse = 0;
    nla_for_each_nested(e, from, left)
    {
        struct nlattr *attr = inner(e, NFTA_EXPR_NAME);
        struct nlattr *data = inner(e, NFTA_EXPR_DATA);
        const char *name = attr ? nla_get_string(attr) : "";
        struct nlattr *value = inner(inner(data, NFTA_CMP_DATA), NFTA_DATA_VALUE);
        wanted = wanted || strcmp(name, "match") == 0;
        if (loaded && !proto && strcmp(name, "cmp") == 0 && value && nla_len(value) >= 1) {
            proto = *(const uint8_t *)nla_data(value);
            inverse = number(inner(data, NFTA_CMP_OP)) == NFT_CMP_NEQ;
        }
        loaded = loads_protocol(name, data);
    }
    if (!wanted)
        return;
    struct nlattr *compat = nla_nest_start(m, NFTA_RULE_COMPAT);
    nla_put_u32(m, NFTA_RULE_COMPAT_PROTO, htonl(proto));
    nla_put_u32(m, NFTA_RULE_COMPAT_FLAGS, htonl(inverse ? NFT_RULE_COMPAT_F_INV : 0));
    nla_nest_end(m, compat);
}

static void put_rule(struct dray_nl_batch *b, const char *table, const struct nlmsghdr *h)
{
    const struct nfgenmsg *g = nlmsg_data(h);
    struct nlattr *from = find(h, NFTA_RULE_EXPRESSIONS);
    struct nlattr *e;
    int left;
    struct nl_msg *m = hostrules_msg(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
                                     g->nfgen_family, h->nlmsg_len, "add a rule of the host");
    if (!m)
        return;
    nla_put_string(m, NFTA_RULE_TABLE, table);
    put_copy(m, find(h, NFTA_RULE_CHAIN));
    put_copy(m, find(h, NFTA_RULE_USERDATA));
    if (!from)
        return;
    put_compat(m, from);
    struct nlattr *list = nla_nest_start(m, NFTA_RULE_EXPRESSIONS);
    nla_for_each_nested(e, from, left)
    {
        struct nlattr *name = inner(e, NFTA_EXPR_NAME);
        if (name)
            put_one_expr(m, e, nla_get_string(name));
    }
    nla_nest_end(m, list);
}

int hostrules_copy(int fd, struct dray_nl_batch *b, const struct host_chain *from, const char *to,
                   int priority, struct dray_err *err)
{
    DRAY_AUTO(source) s = {.from = from};
    int rc = gather(fd, &s, err);
    if (rc)
        return rc;
    put_table(b, from->family, to);
    for (size_t i = 0; i < s.chains.n; i++)
        put_chain(b, from->family, to, s.chains.v[i], NULL);
    put_chain(b, from->family, to, "dray hook", &priority);
    for (size_t i = 0; i < s.set_defs.n; i++)
        put_set(b, to, s.set_defs.v[i], (uint32_t)i + 1);
    for (size_t i = 0; i < s.elems.n; i++)
        put_elems(b, to, s.elems.v[i]);
    for (size_t i = 0; i < s.rules.n; i++)
        put_rule(b, to, s.rules.v[i]);
    put_hook_rule(b, from->family, to, NFT_JUMP, from->chain);
    if (from->drop)
        put_hook_rule(b, from->family, to, NF_DROP, NULL);
    return 0;
}

void hostrules_put_closed(struct dray_nl_batch *b, const char *table)
{
    const int priority = HOSTRULES_FIRST;
    put_table(b, NFPROTO_INET, table);
    put_chain(b, NFPROTO_INET, table, "dray hook", &priority);
    put_hook_rule(b, NFPROTO_INET, table, NF_DROP, NULL);
}
