/* SPDX-License-Identifier: Apache-2.0 */
/* network_join.c - endpoints: a container comes onto a network and goes. */
#include "engine/network/network_priv.h"

#include "base/json.h"
#include "base/logging.h"
#include "engine/network/proxy.h"

#define DRAY_LOG_AREA "net"

/* A join under way; what has been done is undone in reverse when a step fails. */
struct joining {
    struct dray_networks *ns;
    const struct dray_join_req *req;
    struct dray_net *net;
    struct dray_net_ep *ep; /* in the network's list */
    char gateway4[DRAY_NET_CIDR], gateway6[DRAY_NET_CIDR];
    struct json_object *ports; /* published, or NULL */
    bool made;                 /* in the driver */
    char mac[18];              /* chosen here, or "" */
};

static const char *wanted(const struct joining *j, const char *path)
{
    return dray_json_str(j->req->config, path, "");
}

/* The record counts as an active endpoint from the beginning: the network cannot go meanwhile. */
static int enlist(struct joining *j, struct dray_err *err)
{
    struct dray_net_ep *ep = calloc(1, sizeof *ep);
    if (!ep)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    const char *old = j->req->replay ? wanted(j, "EndpointID") : "";
    if (dray_id_is_hex(old, DRAY_ID_LEN - 1, DRAY_ID_LEN - 1))
        (void)snprintf(ep->id, sizeof ep->id, "%s", old);
    else
        dray_id_new(ep->id);
    (void)snprintf(ep->container, sizeof ep->container, "%s", j->req->container_id);
    (void)snprintf(ep->name, sizeof ep->name, "%s", j->req->container_name);
    ep->gw_priority = dray_json_int(j->req->config, "GwPriority", 0);
    int rc = 0;
    pthread_mutex_lock(&j->net->lock);
    for (const struct dray_net_ep *e = j->net->eps; !rc && e; e = e->next)
        if (strcmp(e->container, ep->container) == 0)
            rc = dray_fail(err, DRAY_E_DENIED, "endpoint with name %s already exists in network %s",
                           ep->name, j->net->name);
    if (!rc && j->net->removing)
        rc = dray_fail(err, DRAY_E_NOTFOUND, "network %s not found", j->net->name);
    if (!rc) {
        ep->next = j->net->eps;
        j->net->eps = ep;
        j->net->n_eps++;
    }
    pthread_mutex_unlock(&j->net->lock);
    if (rc)
        free(ep);
    else
        j->ep = ep;
    return rc;
}

/* Takes a record off the list; the caller frees it. NULL if it is not there. */
static struct dray_net_ep *delist(struct dray_net *n, const char *ep_id)
{
    struct dray_net_ep *found = NULL;
    pthread_mutex_lock(&n->lock);
    for (struct dray_net_ep **at = &n->eps; *at; at = &(*at)->next) {
        if (strcmp((*at)->id, ep_id) == 0) {
            found = *at;
            *at = found->next;
            n->n_eps--;
            break;
        }
    }
    pthread_mutex_unlock(&n->lock);
    return found;
}

/* The user's choice, or ours for an address driver that looks at it. */
static const char *mac_of(const struct joining *j)
{
    const char *given = wanted(j, "MacAddress");
    return *given ? given : j->mac;
}

static int get_address(struct joining *j, uint32_t family, struct dray_err *err)
{
    bool replay = j->req->replay;
    char *out = family == 4 ? j->ep->ipv4 : j->ep->ipv6;
    const char *fixed = family == 4 ? "IPAMConfig.IPv4Address" : "IPAMConfig.IPv6Address";
    const char *before = family == 4 ? "IPAddress" : "GlobalIPv6Address";
    const char *want = wanted(j, replay ? before : fixed);
    if (replay && !*want)
        return 0;
    char got[DRAY_NET_CIDR] = "";
    const struct dray_addr_spec spec = {
        .size = sizeof spec, .addr = want, .mac = mac_of(j), .name = j->req->container_name};
    int rc = dray_net_addr_request(j->net, family, &spec, replay, got, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&j->net->lock);
    memcpy(out, got, sizeof got);
    pthread_mutex_unlock(&j->net->lock);
    return 0;
}

static int get_addresses(struct joining *j, struct dray_err *err)
{
    char hex[9];
    struct dray_net *n = j->net;
    if (!n->ipam)
        return 0;
    if (!j->req->replay && !*mac_of(j) && dray_net_addr_wants_mac(n)) {
        dray_id_hex(hex, 8);
        (void)snprintf(j->mac, sizeof j->mac, "02:42:%.2s:%.2s:%.2s:%.2s", hex, hex + 2, hex + 4,
                       hex + 6);
    }
    int rc = n->ipv4 ? get_address(j, 4, err) : 0;
    return !rc && n->ipv6 && !j->req->no_ipv6 ? get_address(j, 6, err) : rc;
}

static int make_endpoint(struct joining *j, struct dray_err *err)
{
    DRAY_AUTO(dray_kvlist) opts = {0};
    struct json_object *driver_opts = dray_json_obj(j->req->config, "DriverOpts");
    int rc = driver_opts ? dray_json_to_kvlist(driver_opts, &opts, err) : 0;
    struct dray_ep_spec spec = {.size = sizeof spec,
                                .mac = mac_of(j),
                                .ipv4 = j->ep->ipv4,
                                .ipv6 = j->ep->ipv6,
                                .hostname = j->req->hostname ? j->req->hostname : "",
                                .options = dray_kvlist_view(&opts)};
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_object(&s, j->ep->id);
    if (j->req->replay)
        dray_call_replay(&s);
    rc = rc ? rc : dray_call_enter(&s, j->net->driver, DRAY_CLASS_MOUNT, -1, err);
    const char *mac = "";
    if (!rc)
        rc = ((const struct dray_network_ops *)s.ops)
                 ->ep_create(s.self, &s.call, j->net->id, j->ep->id, &spec, &mac, err);
    if (rc)
        return rc;
    j->made = true;
    pthread_mutex_lock(&j->net->lock);
    (void)snprintf(j->ep->mac, sizeof j->ep->mac, "%s", mac);
    pthread_mutex_unlock(&j->net->lock);
    return 0;
}

/* The endpoint of a container that should have its default route: the highest priority, then the
 * network's name, among those that lead out of the machine. A reference to its network. */
static struct dray_net *best_gateway(struct dray_networks *ns, const char *container,
                                     char ep_out[DRAY_ID_LEN])
{
    struct dray_net **v = NULL;
    struct dray_net *best = NULL;
    int64_t best_priority = 0;
    size_t n = dray_net_snapshot(ns, &v);
    for (size_t i = 0; i < n; i++) {
        if (v[i]->internal || !v[i]->driver || !v[i]->n_pools)
            continue;
        pthread_mutex_lock(&v[i]->lock);
        for (const struct dray_net_ep *e = v[i]->eps; e; e = e->next) {
            if (strcmp(e->container, container) != 0 ||
                (best && (e->gw_priority < best_priority ||
                          (e->gw_priority == best_priority && strcmp(v[i]->name, best->name) > 0))))
                continue;
            best = v[i];
            best_priority = e->gw_priority;
            memcpy(ep_out, e->id, DRAY_ID_LEN);
        }
        pthread_mutex_unlock(&v[i]->lock);
    }
    if (best)
        (void)dray_net_ref(best);
    dray_net_list_free(v, n);
    return best;
}

/* Is this the only endpoint of its container with a way out, or one that outbids the others? */
static bool leads_out(const struct joining *j)
{
    bool outbids = true;
    struct dray_net **v = NULL;
    size_t n = dray_net_snapshot(j->ns, &v);
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&v[i]->lock);
        for (const struct dray_net_ep *e = v[i]->eps; e && !v[i]->internal; e = e->next)
            if (e != j->ep && strcmp(e->container, j->ep->container) == 0 &&
                e->gw_priority >= j->ep->gw_priority)
                outbids = false;
        pthread_mutex_unlock(&v[i]->lock);
    }
    dray_net_list_free(v, n);
    return outbids && !j->net->internal;
}

static int enter_namespace(struct joining *j, struct dray_err *err)
{
    if (j->req->netns < 0)
        return 0;
    bool first = j->req->set_default || leads_out(j);
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_object(&s, j->ep->id);
    int rc = dray_call_enter(&s, j->net->driver, DRAY_CLASS_MOUNT, -1, err);
    struct dray_ep_join out = {.size = sizeof out};
    const char *wish = dray_net_ifname(j->req->config);
    if (!rc)
        rc = ((const struct dray_network_ops *)s.ops)
                 ->join(s.self, &s.call, j->net->id, j->ep->id,
                        (struct dray_fd_borrow){j->req->netns}, *wish ? wish : j->req->ifname,
                        first, &out, err);
    if (rc)
        return rc;
    if (*wish && (!out.ifname || strcmp(out.ifname, wish) != 0))
        return dray_fail(err, DRAY_E_CONFLICT, "the interface name \"%s\" is in use", wish);
    if (out.ifname && (rc = dray_net_inside(j->req->netns, out.ifname, j->req->config, err)) != 0)
        return rc;
    (void)snprintf(j->gateway4, sizeof j->gateway4, "%s", out.gateway4 ? out.gateway4 : "");
    (void)snprintf(j->gateway6, sizeof j->gateway6, "%s", out.gateway6 ? out.gateway6 : "");
    return 0;
}

static void undo(struct joining *j)
{
    struct dray_err why = {0};
    if (j->ep->proxied)
        dray_proxy_drop(j->ns->engine->proxy, j->ep->id);
    if (j->made && dray_driver_call(j->net->driver, network, DRAY_CLASS_MOUNT, &why, ep_remove,
                                    j->net->id, j->ep->id))
        dray_warn("network %s: remove an endpoint: %s", j->net->name, why.text);
    dray_net_addr_release(j->net, j->ep->ipv4);
    dray_net_addr_release(j->net, j->ep->ipv6);
    free(delist(j->net, j->ep->id));
    json_object_put(j->ports);
}

/* A port that is taken is an error of the server in Docker's API. */
static int publish_ports(struct joining *j, struct dray_err *err)
{
    struct dray_publish what = {.ports = j->req->ports, .replay = j->req->replay};
    int rc = dray_net_publish(j->ns, j->net, j->ep, &what, err);
    j->ports = what.out;
    if (!rc)
        return 0;
    (void)dray_err_note(err, "driver failed programming external connectivity on endpoint %s (%s)",
                        j->ep->name, j->ep->id);
    if (rc != DRAY_E_CONFLICT)
        return rc;
    if (err)
        err->code = DRAY_E_INTERNAL;
    return DRAY_E_INTERNAL;
}

int dray_networks_publish(struct dray_networks *ns, struct json_object *endpoint,
                          struct json_object *ports, struct json_object **ports_out,
                          struct dray_err *err)
{
    const struct dray_join_req req = {.ports = ports};
    struct joining j = {.ns = ns, .req = &req};
    dray_autonet *n = NULL;
    int rc = dray_net_find(ns, dray_json_str(endpoint, "NetworkID", ""), &n, err);
    if (rc)
        return rc;
    const char *id = dray_json_str(endpoint, "EndpointID", "");
    pthread_mutex_lock(&n->lock);
    for (j.ep = n->eps; j.ep && strcmp(j.ep->id, id) != 0;)
        j.ep = j.ep->next;
    pthread_mutex_unlock(&n->lock);
    j.net = n;
    if (!j.ep || !n->driver)
        return dray_fail(err, DRAY_E_NOTFOUND, "endpoint %s not found", id);
    rc = publish_ports(&j, err);
    *ports_out = j.ports;
    return rc;
}

static int connect_all(struct joining *j, struct dray_err *err)
{
    struct dray_net *n = j->net;
    int rc = 0;
    if (!n->driver)
        return dray_fail(err, DRAY_E_UNAVAIL, "network %s: its driver \"%s\" is not there", n->name,
                         n->driver_name);
    if (!j->req->replay)
        rc = dray_net_endpoint_check(n->ipam ? n : NULL, n->predefined, j->req->config, err);
    rc = rc ? rc : get_addresses(j, err);
    rc = rc ? rc : make_endpoint(j, err);
    if (!rc && !j->req->replay && !(dray_net_features(n) & DRAY_NETWORK_F_HOST))
        rc = enter_namespace(j, err);
    return rc || !j->req->ports ? rc : publish_ports(j, err);
}

static void add_name(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < dray_json_len(list); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name) == 0)
            return;
    if (*name)
        json_object_array_add(list, json_object_new_string(name));
}

struct json_object *dray_endpoint_dns_names(const char *name, const char *id, const char *hostname,
                                            struct json_object *aliases)
{
    struct json_object *names = json_object_new_array();
    char short_id[13];
    (void)snprintf(short_id, sizeof short_id, "%s", id);
    add_name(names, name);
    for (size_t i = 0; i < dray_json_len(aliases); i++) {
        const char *alias = json_object_get_string(json_object_array_get_idx(aliases, i));
        add_name(names, alias ? alias : "");
    }
    add_name(names, short_id);
    add_name(names, hostname ? hostname : "");
    return names;
}

static struct json_object *dns_names(const struct joining *j)
{
    if (j->net->predefined)
        return NULL;
    return dray_endpoint_dns_names(j->req->container_name, j->req->container_id, j->req->hostname,
                                   dray_json_arr(j->req->config, "Aliases"));
}

static void add_address(struct json_object *o, const char *cidr, const char *addr_key,
                        const char *len_key)
{
    char addr[DRAY_NET_CIDR];
    const char *slash = strchr(cidr, '/');
    (void)snprintf(addr, sizeof addr, "%.*s", (int)strcspn(cidr, "/"), cidr);
    dray_json_add_str(o, addr_key, addr);
    dray_json_add_int(o, len_key, slash ? atoi(slash + 1) : 0);
}

static struct json_object *endpoint_json(const struct joining *j)
{
    static const char *const kept[] = {"IPAMConfig", "Links", "Aliases"};
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        dray_json_add(o, kept[i], dray_json_copy(dray_json_get(j->req->config, kept[i])));
    dray_json_add_str(o, "MacAddress", j->ep->mac);
    dray_json_add(o, "DriverOpts", dray_json_copy(dray_json_get(j->req->config, "DriverOpts")));
    dray_json_add_int(o, "GwPriority", dray_json_int(j->req->config, "GwPriority", 0));
    dray_json_add_str(o, "NetworkID", j->net->id);
    dray_json_add_str(o, "EndpointID", j->ep->id);
    dray_json_add_str(o, "Gateway", j->req->replay ? wanted(j, "Gateway") : j->gateway4);
    add_address(o, j->ep->ipv4, "IPAddress", "IPPrefixLen");
    dray_json_add_str(o, "IPv6Gateway", j->req->replay ? wanted(j, "IPv6Gateway") : j->gateway6);
    add_address(o, j->ep->ipv6, "GlobalIPv6Address", "GlobalIPv6PrefixLen");
    dray_json_add(o, "DNSNames", dns_names(j));
    return o;
}

/* Several containers share the host's network; a second endpoint of one is no mistake there. */
int dray_networks_join(struct dray_networks *ns, const struct dray_join_req *req,
                       struct json_object **endpoint_out, struct json_object **ports_out,
                       struct dray_err *err)
{
    struct joining j = {.ns = ns, .req = req};
    dray_autonet *n = NULL;
    int rc = dray_net_find(ns, req->network, &n, err);
    j.net = n;
    rc = rc ? rc : enlist(&j, err);
    if (rc)
        return rc;
    rc = connect_all(&j, err);
    if (rc) {
        undo(&j);
        return rc;
    }
    *endpoint_out = endpoint_json(&j);
    *ports_out = j.ports;
    if (!req->replay)
        dray_net_event(ns, n, "connect", req->container_id);
    return 0;
}

static int take_out(struct dray_net *n, const char *ep_id, int netns, struct dray_err *err)
{
    int rc = 0;
    if (!n->driver)
        return 0;
    if (netns >= 0 && !(dray_net_features(n) & DRAY_NETWORK_F_HOST))
        rc = dray_driver_call(n->driver, network, DRAY_CLASS_MOUNT, err, leave, n->id, ep_id,
                              (struct dray_fd_borrow){netns});
    int removed = dray_driver_call(n->driver, network, DRAY_CLASS_MOUNT, rc ? NULL : err, ep_remove,
                                   n->id, ep_id);
    return rc ? rc : removed;
}

/* The endpoint that gave the default route may have gone: another one gives it. */
static void move_default_route(struct dray_networks *ns, const char *container, int netns)
{
    char ep[DRAY_ID_LEN] = "";
    dray_autonet *n = best_gateway(ns, container, ep);
    struct dray_err why = {0};
    struct dray_ep_join out = {.size = sizeof out};
    if (n && dray_driver_call(n->driver, network, DRAY_CLASS_MOUNT, &why, join, n->id, ep,
                              (struct dray_fd_borrow){netns}, "eth0", 1, &out))
        dray_warn("container %.12s: default route by network %s: %s", container, n->name, why.text);
}

int dray_networks_leave(struct dray_networks *ns, const char *container_id,
                        struct json_object *endpoint, int netns, struct dray_err *err)
{
    dray_autonet *n = NULL;
    const char *ep_id = dray_json_str(endpoint, "EndpointID", "");
    if (dray_net_find(ns, dray_json_str(endpoint, "NetworkID", ""), &n, NULL))
        return 0; /* the network has gone before */
    /* The driver first: an address is free when nobody answers to it. */
    int rc = take_out(n, ep_id, netns, err);
    dray_autofree struct dray_net_ep *ep = delist(n, ep_id);
    if (!ep)
        return rc;
    if (ep->proxied)
        dray_proxy_drop(ns->engine->proxy, ep->id);
    dray_net_addr_release(n, ep->ipv4);
    dray_net_addr_release(n, ep->ipv6);
    dray_net_event(ns, n, "disconnect", container_id);
    if (netns >= 0 && !n->internal)
        move_default_route(ns, container_id, netns);
    return rc;
}

void dray_networks_renamed(struct dray_networks *ns, const char *container_id, const char *new_name)
{
    struct dray_net **v = NULL;
    size_t n = dray_net_snapshot(ns, &v);
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&v[i]->lock);
        for (struct dray_net_ep *e = v[i]->eps; e; e = e->next)
            if (strcmp(e->container, container_id) == 0)
                (void)snprintf(e->name, sizeof e->name, "%s", new_name);
        pthread_mutex_unlock(&v[i]->lock);
    }
    dray_net_list_free(v, n);
}
