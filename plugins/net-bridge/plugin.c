/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - net-bridge: Linux bridges, veth pairs, and one nftables table. */
#include "bridge.h"

#include <dray/plugin.h>

DRAY_PLUGIN_CARD("{\"name\":\"bridge\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"network\"],\"license\":\"Apache-2.0\"}");

static int32_t net_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          const struct dray_net_spec *spec, struct dray_err *err)
{
    return bridge_net_create(self, call, net_id, spec, err);
}

static int32_t net_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          struct dray_err *err)
{
    (void)call;
    return bridge_net_remove(self, net_id, err);
}

static int32_t ep_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, const struct dray_ep_spec *spec, const char **mac_out,
                         struct dray_err *err)
{
    return bridge_ep_create(self, call, net_id, ep_id, spec, mac_out, err);
}

static int32_t ep_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, struct dray_err *err)
{
    (void)call;
    (void)net_id;
    return bridge_ep_remove(self, ep_id, err);
}

static int32_t join(struct dray_self *self, const struct dray_call *call, const char *net_id,
                    const char *ep_id, struct dray_fd_borrow netns, const char *ifname_hint,
                    uint32_t set_default, struct dray_ep_join *out, struct dray_err *err)
{
    (void)net_id;
    const char *name = ifname_hint && ifname_hint[0] ? ifname_hint : "eth0";
    return bridge_join(self, call, ep_id, netns.fd, name, set_default != 0, out, err);
}

static int32_t leave(struct dray_self *self, const struct dray_call *call, const char *net_id,
                     const char *ep_id, struct dray_fd_borrow netns, struct dray_err *err)
{
    (void)call;
    (void)net_id;
    return bridge_leave(self, ep_id, netns.fd, err);
}

static int32_t publish(struct dray_self *self, const struct dray_call *call, const char *net_id,
                       const char *ep_id, struct dray_port *ports, uint64_t n, struct dray_err *err)
{
    (void)net_id;
    return bridge_publish(self, call, ep_id, ports, n, err);
}

static int32_t unpublish(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, struct dray_err *err)
{
    (void)call;
    (void)net_id;
    return bridge_unpublish(self, ep_id, err);
}

static int32_t inspect(struct dray_self *self, const struct dray_call *call, const char *net_id,
                       struct dray_err *err)
{
    struct network *n = store_network(&self->store, net_id);
    if (!n)
        return dray_fail(err, DRAY_E_NOTFOUND, "network %s not found", net_id);
    struct dray_kv kv[] = {{"key", "com.docker.network.bridge.name"}, {"value", n->bridge}};
    struct dray_record rec = {
        .size = sizeof rec, .type = DRAY_REC_STATUS, .fields = {.v = kv, .n = 2}};
    int rc = self->host->emit(call, &rec);
    network_unref(&self->store, n);
    return rc;
}

/* The networks of the store, each with a reference. */
struct listed {
    struct network **v;
    size_t n, cap;
};

static void list_network(struct network *n, void *ctx)
{
    struct listed *l = ctx;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct network **v = reallocarray(l->v, cap, sizeof(struct network *));
        if (!v)
            return;
        l->v = v;
        l->cap = cap;
    }
    n->refs++;
    l->v[l->n++] = n;
}

int bridge_rules_check(struct dray_self *self, struct dray_err *err)
{
    if (self->no_rules)
        return 0;
    int rc = rules_check(self, err);
    int passage = passage_settle(self, rc ? NULL : err);
    rc = rc ? rc : passage;
    firewalld_settle(self);
    int host = self->hostrules.on ? hostrules_sync(self, rc ? NULL : err) : 0;
    return rc ? rc : host;
}

static int32_t check(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    (void)call;
    struct listed l = {0};
    int rc = 0;
    store_each_network(&self->store, list_network, &l);
    for (size_t i = 0; i < l.n; i++) {
        int one = bridge_link_check(self, l.v[i], rc ? NULL : err);
        rc = rc ? rc : one;
        network_unref(&self->store, l.v[i]);
    }
    free(l.v);
    int rules = bridge_rules_check(self, rc ? NULL : err);
    return rc ? rc : rules;
}

static bool named(struct dray_strs list, const char *id)
{
    for (uint64_t i = 0; i < list.n; i++)
        if (strcmp(list.v[i], id) == 0)
            return true;
    return false;
}

struct unnamed {
    struct dray_strs keep;
    char (*ids)[BRIDGE_ID];
    size_t n;
};

static void note_unnamed(struct unnamed *u, const char *id)
{
    if (named(u->keep, id))
        return;
    void *ids = reallocarray(u->ids, u->n + 1, sizeof *u->ids);
    if (!ids)
        return;
    u->ids = ids;
    (void)snprintf(u->ids[u->n++], BRIDGE_ID, "%s", id);
}

static void note_endpoint(struct endpoint *e, void *ctx)
{
    note_unnamed(ctx, e->id);
}

static void note_network(struct network *n, void *ctx)
{
    note_unnamed(ctx, n->id);
}

static int32_t collect(struct dray_self *self, const struct dray_call *call, struct dray_strs nets,
                       struct dray_strs endpoints, struct dray_err *err)
{
    (void)call;
    struct unnamed eps = {.keep = endpoints};
    struct unnamed ns = {.keep = nets};
    store_each_endpoint(&self->store, note_endpoint, &eps);
    store_each_network(&self->store, note_network, &ns);
    for (size_t i = 0; i < eps.n; i++)
        (void)bridge_ep_remove(self, eps.ids[i], NULL);
    for (size_t i = 0; i < ns.n; i++)
        (void)bridge_net_remove(self, ns.ids[i], NULL);
    free(eps.ids);
    free(ns.ids);
    int rc = links_collect(self, err);
    int rules = rules_collect(self, rc ? NULL : err);
    rc = rc ? rc : rules;
    int passage = passage_settle(self, rc ? NULL : err);
    rc = rc ? rc : passage;
    int host = hostrules_sync(self, rc ? NULL : err);
    return rc ? rc : host;
}

static void bridge_close(struct dray_self *self)
{
    follow_close(self);
    pthread_mutex_destroy(&self->hostrules.lock);
    dray_worker_free(self->inside);
    dray_worker_free(self->reaper);
    store_fini(&self->store, &self->ports);
    port_table_fini(&self->ports);
    rules_fini(&self->rules);
    free(self);
}

static bool table_name_valid(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strlen(name);
    return n && n < 32 && strchr(letters, name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

static int32_t bridge_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    const char *table = host->opt_str(host, "table");
    if (!table || !table_name_valid(table))
        return dray_fail(err, DRAY_E_INVAL, "option table: \"%s\" is no name for an nftables table",
                         table ? table : "");
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->table = table;
    self->ipv6 = access("/proc/net/if_inet6", F_OK) == 0;
    const char *policy = host->opt_str(host, "publish-policy");
    self->no_rules = !host->opt_int(host, "rules");
    self->hostrules.on = !self->no_rules && policy && strcmp(policy, "host-rules") == 0;
    self->follower.wake = -EBADF;
    pthread_mutex_init(&self->hostrules.lock, NULL);
    store_init(&self->store);
    rules_init(&self->rules);
    port_table_init(&self->ports);
    int rc = dray_worker_new(&self->inside, err);
    rc = rc ? rc : dray_worker_new(&self->reaper, err);
    rc = rc ? rc : follow_open(self, err);
    if (rc) {
        bridge_close(self);
        return rc;
    }
    *out = self;
    return 0;
}

static int32_t bridge_probe(const struct dray_host *host, struct dray_err *err)
{
    (void)host;
    dray_autofd int route = dray_nl_socket(0 /* NETLINK_ROUTE */);
    dray_autofd int netfilter = dray_nl_socket(12 /* NETLINK_NETFILTER */);
    if (route < 0 || netfilter < 0)
        return dray_fail(err, DRAY_E_NOTSUP, "this kernel has no %s netlink sockets",
                         route < 0 ? "route" : "netfilter");
    return 0;
}

static const struct dray_option options[] = {
    {.name = "table",
     .type = DRAY_OPT_STRING,
     .def = "dray",
     .help =
         "nftables table (inet) that holds all rules; another one for each daemon of a machine"},
    {.name = "mtu",
     .type = DRAY_OPT_INT,
     .def = "1500",
     .min = 68,
     .max = 65535,
     .help = "MTU of networks that do not set com.docker.network.driver.mtu"},
    {.name = "publish-policy",
     .type = DRAY_OPT_STRING,
     .def = "docker",
     .choices = "docker|host-rules",
     .help = "Who decides over published ports: docker: they are open, whatever the host's input "
             "rules say; host-rules: those rules apply to them too"},
    {.name = "rules",
     .type = DRAY_OPT_BOOL,
     .def = "true",
     .help =
         "Keep rules of nftables; without them nothing is translated, masqueraded or kept apart"},
    {.name = "ip-forward",
     .type = DRAY_OPT_BOOL,
     .def = "true",
     .help = "Turn on forwarding on this machine when a network needs it"},
};

static const struct dray_network_ops ops = {
    .head = DRAY_TABLE(struct dray_network_ops, DRAY_NETWORK_F_PROXIED),
    .net_create = net_create,
    .net_remove = net_remove,
    .ep_create = ep_create,
    .ep_remove = ep_remove,
    .join = join,
    .leave = leave,
    .publish = publish,
    .unpublish = unpublish,
    .inspect = inspect,
    .check = check,
    .collect = collect,
};

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_NETWORK, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "bridge",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .probe = bridge_probe,
    .open = bridge_open,
    .close = bridge_close,
};
