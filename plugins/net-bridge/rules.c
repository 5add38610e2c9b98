/* SPDX-License-Identifier: Apache-2.0 */
/* rules.c - writes the table with libnftables, and keeps its elements current. */
#include "rules.h"

#include "bridge.h"

#include <linux/netfilter.h>
#include <linux/netlink.h>

/*
 * same         bridge . bridge of every network: traffic that stays on it
 * icc          the same, of networks whose containers may talk to each other
 * internal     bridges without a way out
 * unprotected  bridges whose containers may be reached from outside on any port
 * masq4, masq6 bridges whose traffic leaves under the machine's address
 * any4, host4  published ports, on any address of the machine or on a given one
 * self4        endpoints that publish: one that talks to its own port must see another's address
 * open4        ports that may be reached at the endpoint's address (routed networks)
 */
static const char raw_chain[] =
    /* route_localnet lets 127.0.0.1 reach containers; their way to the machine's own 127.0.0.1
     * stays closed. */
    "chain raw { type filter hook prerouting priority raw; policy accept;\n"
    "  ip daddr 127.0.0.0/8 iifname @bridges drop\n"
    "  ip saddr 127.0.0.0/8 iifname @bridges drop\n"
    "}\n";

/* What comes from outside to a published port must pass the host's rules first (hostrules.h). */
static const char guard_chain4[] =
    "chain guard { type filter hook prerouting priority -113; policy accept;\n"
    "  iifname @bridges return\n"
    "  fib daddr type != local return\n"
    "  meta nfproto ipv4 meta l4proto . th dport @guard_any4 meta priority set " HOSTRULES_MARK_TEXT
    "\n"
    "  ip daddr . meta l4proto . th dport @guard_host4 meta priority set " HOSTRULES_MARK_TEXT "\n";
static const char guard_chain6[] =
    "  meta nfproto ipv6 meta l4proto . th dport @guard_any6 meta priority set " HOSTRULES_MARK_TEXT
    "\n"
    "  ip6 daddr . meta l4proto . th dport @guard_host6 meta priority set " HOSTRULES_MARK_TEXT
    "\n";
static const char guard_end[] =
    "}\n"
    "chain guarded { type filter hook prerouting priority -101; policy accept;\n"
    "  meta priority " HOSTRULES_MARK_TEXT " meta priority set none\n"
    "}\n";

static const char nat_chains4[] =
    "  dnat ip to ip daddr . meta l4proto . th dport map @host4\n"
    "  meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4\n";
static const char nat_chains6[] =
    "  dnat ip6 to ip6 daddr . meta l4proto . th dport map @host6\n"
    "  meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6\n";

static const char hook_chains[] =
    "chain prerouting { type nat hook prerouting priority dstnat; policy accept;\n"
    "  ip daddr 127.0.0.0/8 accept\n"
    "  fib daddr type local jump publish\n"
    "}\n"
    "chain output { type nat hook output priority -100; policy accept;\n"
    "%s"
    "  fib daddr type local jump publish\n"
    "}\n"
    "chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n"
    "  ip saddr 127.0.0.0/8 oifname @bridges masquerade\n"
    "  ct status dnat iifname . oifname @same masquerade\n"
    "  ct status dnat ip saddr . ip daddr @self4 masquerade\n"
    "  meta nfproto ipv4 iifname @masq4 iifname . oifname != @same masquerade\n";
static const char postrouting6[] =
    "  ip6 saddr ::1 oifname @bridges masquerade\n"
    "  ct status dnat ip6 saddr . ip6 daddr @self6 masquerade\n"
    "  meta nfproto ipv6 iifname @masq6 iifname . oifname != @same masquerade\n";

/* Where bridges hand IPv6 to netfilter (net.bridge.bridge-nf-call-ip6tables) an answer gets its
 * address ::1 back too early, and the kernel drops it: better refuse ::1 at once. */
static const char no_loopback6[] = "  ip6 daddr ::1 accept\n";

static const char forward_chain[] =
    "chain forward { type filter hook forward priority filter; policy accept;\n"
    "  ct state established,related accept\n"
    "  iifname . oifname @icc accept\n"
    "  iifname @internal drop\n"
    "  oifname @internal drop\n"
    "  oifname != @bridges accept\n"
    "  ct status dnat accept\n"
    "  oifname @unprotected iifname . oifname != @same accept\n"
    "  ip daddr . meta l4proto . th dport @open4 accept\n";
static const char forward6[] = "  ip6 daddr . meta l4proto . th dport @open6 accept\n";

void rules_init(struct rules *r)
{
    *r = (struct rules){.fd = -EBADF};
    pthread_mutex_init(&r->lock, NULL);
}

void rules_fini(struct rules *r)
{
    if (r->fd >= 0)
        (void)close(r->fd);
    pthread_mutex_destroy(&r->lock);
}

int rules_socket(struct rules *r)
{
    if (r->fd < 0)
        r->fd = dray_nl_socket(NETLINK_NETFILTER);
    return r->fd;
}

void rules_socket_drop(struct rules *r)
{
    if (r->fd >= 0)
        (void)close(r->fd);
    r->fd = -EBADF;
}

static bool bridged6(void)
{
    char value[8];
    return dray_netdev_sysctl_read("bridge/bridge-nf-call-ip6tables", value, sizeof value) &&
           strcmp(value, "0") != 0;
}

static void write_table(const struct dray_self *self, FILE *out)
{
    const char *table = self->table;
    bool ipv6 = self->ipv6;
    bool no_loopback = self->rules.bridged6;
    /* "add" before "delete": the table may be absent. All is one transaction. */
    (void)fprintf(out, "add table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table,
                  table);
    (void)fputs("set " RULES_MARKER " { type ifname; }\n", out);
    elems_declare(out, ipv6);
    if (self->hostrules.on)
        (void)fprintf(out, "%s%s%s", guard_chain4, ipv6 ? guard_chain6 : "", guard_end);
    (void)fprintf(out, "%schain publish {\n%s%s}\n", raw_chain, nat_chains4,
                  ipv6 ? nat_chains6 : "");
    (void)fprintf(out, hook_chains, no_loopback ? no_loopback6 : "");
    (void)fprintf(out, "%s}\n", ipv6 ? postrouting6 : "");
    (void)fprintf(out, "%s%s  drop\n}\n}\n", forward_chain, ipv6 ? forward6 : "");
}

static void gather_network(struct network *n, void *ctx)
{
    network_elems(n, ctx);
}

static void gather_endpoint(struct endpoint *e, void *ctx)
{
    endpoint_elems(e, ctx);
}

static int by_set(const void *a, const void *b)
{
    return (int)((const struct elem *)a)->set - (int)((const struct elem *)b)->set;
}

/* All elements that the store calls for, grouped by set. */
static int gather(struct dray_self *self, struct elems *out, struct dray_err *err)
{
    store_each_network(&self->store, gather_network, out);
    store_each_endpoint(&self->store, gather_endpoint, out);
    if (out->failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_set);
    return 0;
}

/* rules.lock held. */
static int rebuild(struct dray_self *self, struct dray_err *err)
{
    DRAY_AUTO(elems) all = {0};
    int rc = gather(self, &all, err);
    if (rc)
        return rc;
    dray_autofree char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->rules.bridged6 = self->ipv6 && bridged6();
    write_table(self, out);
    elems_print(out, self->table, &all);
    if (fclose(out))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    rc = rules_run(text, err);
    self->rules.ready = !rc;
    if (rc)
        return rc;
    self->rules.adopted = false;
    int fd = rules_socket(&self->rules);
    if (fd >= 0)
        (void)rules_count(fd, self->table, &self->rules.n_rules);
    return 0;
}

static int apply(struct dray_self *self, const struct elems *l, bool add, struct dray_err *err)
{
    int fd = rules_socket(&self->rules);
    if (fd < 0)
        return dray_fail_errno(err, "open a netfilter socket");
    if (!self->rules.ready && rules_present(fd, self->table)) {
        self->rules.ready = true;
        self->rules.adopted = true;
    }
    if (!self->rules.ready)
        return DRAY_E_NOTFOUND;
    DRAY_AUTO(dray_nl_batch) b = {0};
    elems_transact(&b, self->table, l, add);
    int rc = dray_nl_send(fd, &b, err);
    if (rc) /* answers may be left in it */
        rules_socket_drop(&self->rules);
    return rc;
}

static int change(struct dray_self *self, const struct elems *l, bool add, struct dray_err *err)
{
    if (l->failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!l->n || self->no_rules)
        return 0;
    struct dray_err why = {0};
    pthread_mutex_lock(&self->rules.lock);
    int rc = apply(self, l, add, &why);
    if (rc) {
        /* The table is not there (first use, or somebody flushed it), or an element of an earlier
         * process is in the way. The store knows what has to be. */
        if (self->rules.ready)
            dray_host_logf(self->host, DRAY_LOG_WARN, "%s; writing table %s anew", why.text,
                           self->table);
        rc = rebuild(self, err);
    }
    pthread_mutex_unlock(&self->rules.lock);
    return rc;
}

/* Packets must pass every table's forward hook: our accept does not outvote another's drop. Unless
 * the host's rules are to decide, passage.c sees to it. */
static void warn_of_policy(struct dray_self *self)
{
    pthread_mutex_lock(&self->rules.lock);
    int fd = rules_socket(&self->rules);
    bool dropped =
        fd >= 0 && self->hostrules.on && rules_forward_state(fd, NFPROTO_IPV4) == FORWARD_DROPS;
    bool tell = dropped && !self->rules.warned;
    self->rules.warned = dropped;
    pthread_mutex_unlock(&self->rules.lock);
    if (tell)
        dray_host_logf(self->host, DRAY_LOG_WARN,
                       "iptables' FORWARD policy is DROP, so containers reach nothing beyond this "
                       "machine: allow their bridges there, beside Docker with \"iptables -I "
                       "DOCKER-USER -i BRIDGE -j ACCEPT\" and the same with -o");
}

int rules_add(struct dray_self *self, const struct elems *l, struct dray_err *err)
{
    return change(self, l, true, err);
}

int rules_delete(struct dray_self *self, const struct elems *l, struct dray_err *err)
{
    return change(self, l, false, err);
}

/* An earlier process's. */
static int drop_table(struct dray_self *self, struct dray_err *err)
{
    char text[128];
    int fd = rules_socket(&self->rules);
    if (fd < 0 || !rules_present(fd, self->table))
        return 0;
    (void)snprintf(text, sizeof text, "delete table inet %.40s\n", self->table);
    return rules_run(text, err);
}

int rules_collect(struct dray_self *self, struct dray_err *err)
{
    pthread_mutex_lock(&self->rules.lock);
    int rc = self->no_rules ? drop_table(self, err) : self->rules.adopted ? rebuild(self, err) : 0;
    pthread_mutex_unlock(&self->rules.lock);
    return rc;
}

/* rules.lock held. */
static bool complete(struct dray_self *self)
{
    int fd = rules_socket(&self->rules);
    unsigned n = 0;
    uint32_t generation = fd < 0 ? 0 : rules_generation(fd);
    if (self->ipv6 && self->rules.bridged6 != bridged6())
        return false;
    if (generation && generation == self->rules.generation)
        return true; /* nobody has changed anything */
    if (fd < 0 || !rules_present(fd, self->table) || !rules_count(fd, self->table, &n))
        return false;
    if (!self->rules.n_rules || n != self->rules.n_rules)
        return false;
    DRAY_AUTO(elems) want = {0};
    if (gather(self, &want, NULL))
        return true; /* no memory: not the moment to rewrite */
    size_t wanted[ELEM_SETS] = {0};
    for (size_t i = 0; i < want.n; i++)
        wanted[want.v[i].set]++;
    for (unsigned set = 0; set < ELEM_SETS; set++) {
        size_t have = 0;
        if (wanted[set] &&
            (!rules_count_elements(fd, self->table, set, &have) || have < wanted[set]))
            return false;
    }
    self->rules.generation = generation;
    return true;
}

static void note_any(struct network *n, void *ctx)
{
    (void)n;
    *(bool *)ctx = true;
}

int rules_check(struct dray_self *self, struct dray_err *err)
{
    bool any = false;
    store_each_network(&self->store, note_any, &any);
    if (!any)
        return 0;
    int rc = 0;
    warn_of_policy(self);
    pthread_mutex_lock(&self->rules.lock);
    if (!complete(self)) {
        dray_host_logf(self->host, DRAY_LOG_WARN, "table %s is not as it was left; writing it anew",
                       self->table);
        rc = rebuild(self, err);
    }
    pthread_mutex_unlock(&self->rules.lock);
    return rc;
}
