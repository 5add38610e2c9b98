/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passage.c - lets our bridges through an iptables FORWARD chain that drops what it does not know.
 *
 * Docker sets that policy, and so do many hosts. An accept in our table does not outvote it, so two
 * rules for each bridge are put first into that chain, as iptables would write them. They open
 * nothing: what may reach our containers is decided in our own table, which every packet passes as
 * well, and the way from ours to the bridges of others is left to the rules of those.
 */
#include "bridge.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#define MOST_BRIDGES 2048
/* nft keeps a rule's comment as type, length and text. */
#define COMMENT_HEAD 2

/** One bridge: wanted by a network, or found in the chain. */
struct way {
    char bridge[IFNAMSIZ];
    bool wanted;
    unsigned found; /* rules */
};

struct ways {
    uint8_t family;
    char prefix[64]; /* of the comments */
    struct way *v;
    size_t n;
    struct dray_nl_batch *drop; /* deletes rules that nobody needs */
};

static struct way *way_of(struct ways *w, const char *bridge)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->v[i].bridge, bridge) == 0)
            return &w->v[i];
    struct way *v = w->n < MOST_BRIDGES ? reallocarray(w->v, w->n + 1, sizeof *v) : NULL;
    if (!v)
        return NULL;
    w->v = v;
    v[w->n] = (struct way){0};
    (void)snprintf(v[w->n].bridge, IFNAMSIZ, "%s", bridge);
    return &v[w->n++];
}

static void want(struct network *n, void *ctx)
{
    struct ways *w = ctx;
    struct way *one = w->family == NFPROTO_IPV6 && !n->ipv6 ? NULL : way_of(w, n->bridge);
    if (one)
        one->wanted = true;
}

static struct nl_msg *chain_msg(struct dray_nl_batch *b, int type, int flags, uint8_t family)
{
    struct nl_msg *m = hostrules_msg(b, type, flags, family, 64, "iptables' FORWARD chain");
    if (!m)
        return NULL;
    nla_put_string(m, NFTA_RULE_TABLE, "filter");
    nla_put_string(m, NFTA_RULE_CHAIN, "FORWARD");
    return m;
}

/* "dray:TABLE:BRIDGE", the comment of a rule of ours. */
static bool our_bridge(const struct ways *w, struct nlattr *userdata, char out[IFNAMSIZ])
{
    char text[128] = "";
    size_t len = strlen(w->prefix);
    if (!userdata || nla_len(userdata) <= COMMENT_HEAD ||
        nla_len(userdata) - COMMENT_HEAD >= (int)sizeof text)
        return false;
    memcpy(text, (const char *)nla_data(userdata) + COMMENT_HEAD,
           (size_t)nla_len(userdata) - COMMENT_HEAD);
    if (strncmp(text, w->prefix, len) != 0)
        return false;
    (void)snprintf(out, IFNAMSIZ, "%.15s", text + len);
    return true;
}

static int note_rule(const struct nlmsghdr *h, void *ctx)
{
    struct ways *w = ctx;
    struct nlmsghdr *msg = (struct nlmsghdr *)(uintptr_t)h;
    char bridge[IFNAMSIZ];
    struct nlattr *handle = nlmsg_find_attr(msg, sizeof(struct nfgenmsg), NFTA_RULE_HANDLE);
    if ((h->nlmsg_type & 0xff) != NFT_MSG_NEWRULE || !handle ||
        !our_bridge(w, nlmsg_find_attr(msg, sizeof(struct nfgenmsg), NFTA_RULE_USERDATA), bridge))
        return 0;
    struct way *one = way_of(w, bridge);
    if (one && one->wanted) {
        one->found++;
        return 0;
    }
    struct nl_msg *m = chain_msg(w->drop, NFT_MSG_DELRULE, 0, w->family);
    if (m)
        nla_put(m, NFTA_RULE_HANDLE, nla_len(handle), nla_data(handle));
    return 0;
}

/* Bridges of others, whose own rules say what may reach their containers. */
static void write_chain(FILE *out, const char *family, const char *chain)
{
    static const char *const others[] = {"docker*", "br-*", "cni*", "podman*", "virbr*"};
    (void)fprintf(out, "add chain %s filter %s\nflush chain %s filter %s\n", family, chain, family,
                  chain);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        (void)fprintf(out, "add rule %s filter %s oifname \"%s\" counter return\n", family, chain,
                      others[i]);
    (void)fprintf(out, "add rule %s filter %s counter accept\n", family, chain);
}

static int add_rules(const struct ways *w, const char *table, struct dray_err *err)
{
    dray_autofree char *text = NULL;
    size_t size = 0;
    bool any = false;
    char chain[48];
    const char *family = w->family == NFPROTO_IPV4 ? "ip" : "ip6";
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)snprintf(chain, sizeof chain, "%.20s-out", table);
    write_chain(out, family, chain);
    for (size_t i = 0; i < w->n; i++) {
        const char *bridge = w->v[i].bridge;
        if (!w->v[i].wanted || w->v[i].found)
            continue;
        any = true;
        (void)fprintf(out,
                      "insert rule %s filter FORWARD iifname \"%s\" counter jump %s comment "
                      "\"%s%s\"\n",
                      family, bridge, chain, w->prefix, bridge);
        (void)fprintf(out,
                      "insert rule %s filter FORWARD oifname \"%s\" counter accept comment "
                      "\"%s%s\"\n",
                      family, bridge, w->prefix, bridge);
    }
    if (fclose(out))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return any ? rules_run(text, err) : 0;
}

/* rules.lock held. */
static int settle(struct dray_self *self, uint8_t family, struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) drop = {0};
    DRAY_AUTO(dray_nl_batch) ask = {0};
    struct ways w = {.family = family, .drop = &drop};
    int fd = rules_socket(&self->rules);
    enum forward_state state = fd < 0 ? FORWARD_ABSENT : rules_forward_state(fd, family);
    if (state == FORWARD_ABSENT)
        return 0;
    (void)snprintf(w.prefix, sizeof w.prefix, "dray:%s:", self->table);
    if (state == FORWARD_DROPS && !self->hostrules.on && !self->no_rules)
        store_each_network(&self->store, want, &w);
    hostrules_begin(&drop);
    (void)chain_msg(&ask, NFT_MSG_GETRULE, NLM_F_DUMP, family);
    int rc = dray_nl_dump(fd, &ask, note_rule, &w, err);
    rc = rc ? rc : hostrules_commit(fd, &drop, err);
    if (rc)
        rules_socket_drop(&self->rules);
    rc = rc ? rc : add_rules(&w, self->table, err);
    free(w.v);
    return rc;
}

/* rules.lock keeps two of these apart. */
int passage_settle(struct dray_self *self, struct dray_err *err)
{
    pthread_mutex_lock(&self->rules.lock);
    int rc = settle(self, NFPROTO_IPV4, err);
    if (!rc && self->ipv6)
        rc = settle(self, NFPROTO_IPV6, err);
    pthread_mutex_unlock(&self->rules.lock);
    return rc ? dray_err_note(err, "iptables' FORWARD chain") : 0;
}
