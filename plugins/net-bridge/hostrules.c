/* SPDX-License-Identifier: Apache-2.0 */
/* hostrules.c - follows the machine's input rules and keeps our copy of them current. */
#include "hostrules.h"

#include "bridge.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#define MOST_CHAINS 64

/** What is there: input chains of the machine, and tables that we made of them. */
struct scene {
    struct dray_self *self;
    struct host_chain *chains;
    size_t n_chains;
    struct {
        uint8_t family;
        char name[HOSTRULES_NAME];
    } old[MOST_CHAINS];
    size_t n_old;
    bool too_many;
};

static void scene_cleanup(struct scene *s)
{
    free(s->chains);
}

static struct nlattr *find(const struct nlmsghdr *h, int type)
{
    return nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), type);
}

static uint32_t number(struct nlattr *a)
{
    return a ? ntohl(nla_get_u32(a)) : 0;
}

bool hostrules_own(const struct dray_self *self, const char *table)
{
    size_t n = strlen(self->table);
    return strncmp(table, self->table, n) == 0 && (!table[n] || strncmp(table + n, "_in", 3) == 0);
}

static int note_chain(const struct nlmsghdr *h, void *ctx)
{
    struct scene *s = ctx;
    const struct nfgenmsg *g = nlmsg_data(h);
    struct nlattr *table = find(h, NFTA_CHAIN_TABLE);
    struct nlattr *name = find(h, NFTA_CHAIN_NAME);
    struct nlattr *type = find(h, NFTA_CHAIN_TYPE);
    struct nlattr *hook = find(h, NFTA_CHAIN_HOOK);
    if (!table || !name || !type || !hook || strcmp(nla_get_string(type), "filter") != 0 ||
        hostrules_own(s->self, nla_get_string(table)))
        return 0;
    if (g->nfgen_family != NFPROTO_IPV4 && g->nfgen_family != NFPROTO_IPV6 &&
        g->nfgen_family != NFPROTO_INET)
        return 0;
    struct nlattr *num = nla_find(nla_data(hook), nla_len(hook), NFTA_HOOK_HOOKNUM);
    struct nlattr *prio = nla_find(nla_data(hook), nla_len(hook), NFTA_HOOK_PRIORITY);
    if (number(num) != NF_INET_LOCAL_IN)
        return 0;
    struct host_chain *v =
        s->n_chains < MOST_CHAINS ? reallocarray(s->chains, s->n_chains + 1, sizeof *v) : NULL;
    if (!v) {
        s->too_many = true;
        return 0;
    }
    s->chains = v;
    struct host_chain *c = &v[s->n_chains++];
    *c = (struct host_chain){.family = g->nfgen_family,
                             .priority = (int32_t)number(prio),
                             .drop = number(find(h, NFTA_CHAIN_POLICY)) == NF_DROP &&
                                     find(h, NFTA_CHAIN_POLICY)};
    (void)nla_strlcpy(c->table, table, sizeof c->table);
    (void)nla_strlcpy(c->chain, name, sizeof c->chain);
    return 0;
}

static int note_table(const struct nlmsghdr *h, void *ctx)
{
    struct scene *s = ctx;
    const struct nfgenmsg *g = nlmsg_data(h);
    struct nlattr *name = find(h, NFTA_TABLE_NAME);
    if (!name || !hostrules_own(s->self, nla_get_string(name)) ||
        strcmp(nla_get_string(name), s->self->table) == 0)
        return 0;
    if (s->n_old == MOST_CHAINS)
        return 0;
    s->old[s->n_old].family = g->nfgen_family;
    (void)nla_strlcpy(s->old[s->n_old++].name, name, HOSTRULES_NAME);
    return 0;
}

static int look(int fd, struct scene *s, struct dray_err *err)
{
    const struct {
        int type;
        dray_nl_dump_fn fn;
    } questions[] = {{NFT_MSG_GETTABLE, note_table}, {NFT_MSG_GETCHAIN, note_chain}};
    int rc = 0;
    for (size_t i = 0; !rc && i < 2; i++) {
        DRAY_AUTO(dray_nl_batch) b = {0};
        (void)hostrules_msg(&b, questions[i].type, NLM_F_DUMP, NFPROTO_UNSPEC, 0, "list");
        rc = dray_nl_dump(fd, &b, questions[i].fn, s, err);
    }
    if (!rc && s->too_many)
        return dray_fail(err, DRAY_E_LIMIT, "this machine has more than %d input chains",
                         MOST_CHAINS);
    return rc;
}

static int by_priority(const void *a, const void *b)
{
    const struct host_chain *x = a, *y = b;
    return x->priority < y->priority ? -1 : x->priority > y->priority;
}

static void begin(struct dray_nl_batch *b, const struct scene *s)
{
    hostrules_begin(b);
    for (size_t i = 0; i < s->n_old; i++) {
        struct nl_msg *m = hostrules_msg(b, NFT_MSG_DELTABLE, 0, s->old[i].family, 0,
                                         "delete a table of host rules");
        if (m)
            nla_put_string(m, NFTA_TABLE_NAME, s->old[i].name);
    }
}

static int copy_all(int fd, struct scene *s, struct dray_err *err)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    int rc = 0;
    begin(&b, s);
    if (s->n_chains && s->self->hostrules.on)
        qsort(s->chains, s->n_chains, sizeof *s->chains, by_priority);
    for (size_t i = 0; !rc && s->self->hostrules.on && i < s->n_chains; i++) {
        char to[HOSTRULES_NAME];
        int priority = HOSTRULES_FIRST + (int)i;
        (void)snprintf(to, sizeof to, "%s_in%zu", s->self->table, i);
        rc = hostrules_copy(fd, &b, &s->chains[i], to,
                            priority < HOSTRULES_LAST ? priority : HOSTRULES_LAST, err);
        if (rc)
            (void)dray_err_note(err, "chain %s of table %s", s->chains[i].chain,
                                s->chains[i].table);
    }
    return rc ? rc : hostrules_commit(fd, &b, err);
}

/* Whoever asked for it prefers closed ports to unguarded ones. */
static void close_all(const struct scene *s)
{
    DRAY_AUTO(dray_nl_batch) b = {0};
    struct dray_err why = {0};
    char name[HOSTRULES_NAME];
    (void)snprintf(name, sizeof name, "%s_in0", s->self->table);
    dray_autofd int fd = dray_nl_socket(NETLINK_NETFILTER);
    begin(&b, s);
    hostrules_put_closed(&b, name);
    if (fd < 0 || hostrules_commit(fd, &b, &why))
        dray_host_logf(s->self->host, DRAY_LOG_ERROR, "cannot close published ports: %s", why.text);
}

static int sync_locked(struct dray_self *self, struct dray_err *err)
{
    dray_autofd int fd = dray_nl_socket(NETLINK_NETFILTER);
    if (fd < 0)
        return dray_fail_errno(err, "open a netfilter socket");
    uint32_t before = rules_generation(fd);
    if (before && before == self->hostrules.generation)
        return 0;
    DRAY_AUTO(scene) s = {.self = self};
    int rc = look(fd, &s, err);
    rc = rc ? rc : copy_all(fd, &s, err);
    if (rc && self->hostrules.on) {
        close_all(&s);
        return dray_err_note(err,
                             "published ports are closed: the host's rules cannot be followed");
    }
    /* What changed meanwhile has been heard of too. */
    self->hostrules.generation = rc ? 0 : rules_generation(fd);
    return rc;
}

int hostrules_sync(struct dray_self *self, struct dray_err *err)
{
    pthread_mutex_lock(&self->hostrules.lock);
    int rc = sync_locked(self, err);
    pthread_mutex_unlock(&self->hostrules.lock);
    return rc;
}
