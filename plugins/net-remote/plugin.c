/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.c - a family of network drivers: servers of libnetwork's remote driver protocol.
 *
 * The server makes a link for each endpoint and names it in its answer to Join; we take it into the
 * namespace, as Docker does. A server keeps its networks itself, so a replay asks nothing of it.
 */
#include "remote_net.h"

#include <netinet/in.h>

#define GENERIC "com.docker.network.generic"
#define PORTMAP "com.docker.network.portmap"
#define EXPOSED "com.docker.network.endpoint.exposedports"

static struct json_object *ids(const char *net_id, const char *ep_id)
{
    struct json_object *o = json_object_new_object();
    dray_remote_add(o, "NetworkID", net_id);
    if (ep_id)
        dray_remote_add(o, "EndpointID", ep_id);
    return o;
}

/* --- networks ----------------------------------------------------------------------------------*/

static struct json_object *pools_of(const struct dray_net_spec *spec, uint32_t family)
{
    struct json_object *a = json_object_new_array();
    for (uint64_t i = 0; i < spec->n_pools; i++) {
        const struct dray_net_pool *p = &spec->pools[i];
        const char *slash = strchr(p->subnet, '/');
        if (p->family != family)
            continue;
        struct json_object *o = json_object_new_object();
        char gateway[80];
        dray_remote_add(o, "AddressSpace", "");
        if (*p->subnet) /* what is there is read as a CIDR */
            dray_remote_add(o, "Pool", p->subnet);
        if (*p->gateway) {
            (void)snprintf(gateway, sizeof gateway, "%s%s", p->gateway, slash ? slash : "");
            dray_remote_add(o, "Gateway", gateway);
        }
        (void)json_object_object_add(o, "AuxAddresses", json_object_new_object());
        (void)json_object_array_add(a, o);
    }
    return a;
}

static int32_t net_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          const struct dray_net_spec *spec, struct dray_err *err)
{
    if (call->flags & DRAY_CALL_REPLAY)
        return 0;
    struct json_object *body = ids(net_id, NULL);
    struct json_object *options = json_object_new_object();
    (void)json_object_object_add(options, GENERIC, dray_remote_kvs(spec->options));
    (void)json_object_object_add(options, "com.docker.network.enable_ipv6",
                                 json_object_new_boolean((spec->flags & DRAY_NET_IPV6) != 0));
    if (spec->flags & DRAY_NET_INTERNAL)
        (void)json_object_object_add(options, "com.docker.network.internal",
                                     json_object_new_boolean(1));
    (void)json_object_object_add(body, "Options", options);
    (void)json_object_object_add(body, "IPv4Data", pools_of(spec, 4));
    (void)json_object_object_add(body, "IPv6Data", pools_of(spec, 6));
    return dray_remote_call(self->remote, call, "CreateNetwork", body, NULL, err);
}

static int32_t net_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          struct dray_err *err)
{
    int rc = dray_remote_call(self->remote, call, "DeleteNetwork", ids(net_id, NULL), NULL, err);
    return rc == DRAY_E_NOTFOUND ? 0 : rc;
}

/* --- endpoints ---------------------------------------------------------------------------------*/

static void take_text(char *out, size_t size, struct json_object *obj, const char *key)
{
    const char *text = dray_remote_str(obj, key);
    if (*text)
        (void)snprintf(out, size, "%s", text);
}

static int ask_endpoint(struct dray_self *self, const struct dray_call *call,
                        const struct dray_ep_spec *spec, struct remote_ep *e, struct dray_err *err)
{
    struct json_object *body = ids(e->net, e->id);
    struct json_object *face = json_object_new_object();
    dray_remote_add(face, "Address", e->ipv4);
    dray_remote_add(face, "AddressIPv6", e->ipv6);
    dray_remote_add(face, "MacAddress", e->mac);
    (void)json_object_object_add(body, "Interface", face);
    struct json_object *options = json_object_new_object();
    (void)json_object_object_add(options, GENERIC, dray_remote_kvs(spec->options));
    (void)json_object_object_add(body, "Options", options);
    dray_remote_auto *got = NULL;
    int rc = dray_remote_call(self->remote, call, "CreateEndpoint", body, &got, err);
    if (rc)
        return rc;
    struct json_object *answer = dray_remote_obj(got, "Interface");
    take_text(e->mac, sizeof e->mac, answer, "MacAddress");
    take_text(e->ipv4, sizeof e->ipv4, answer, "Address");
    take_text(e->ipv6, sizeof e->ipv6, answer, "AddressIPv6");
    return 0;
}

static int32_t ep_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, const struct dray_ep_spec *spec, const char **mac_out,
                         struct dray_err *err)
{
    struct remote_ep e = {.next = NULL};
    bool known = remote_ep_get(self, ep_id, &e);
    if (!known) {
        (void)snprintf(e.id, sizeof e.id, "%s", ep_id);
        (void)snprintf(e.net, sizeof e.net, "%s", net_id);
        (void)snprintf(e.mac, sizeof e.mac, "%s", spec->mac);
        (void)snprintf(e.ipv4, sizeof e.ipv4, "%s", spec->ipv4);
        (void)snprintf(e.ipv6, sizeof e.ipv6, "%s", spec->ipv6);
    }
    int rc = 0;
    if (!known && !(call->flags & DRAY_CALL_REPLAY))
        rc = ask_endpoint(self, call, spec, &e, err);
    rc = rc ? rc : remote_ep_put(self, &e, err);
    *mac_out = rc ? NULL : dray_call_strdup(self->host, call, e.mac);
    if (!rc && !*mac_out)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return rc;
}

/* The server is told to leave once, whether the namespace is still there or not. */
static int tell_leave(struct dray_self *self, const struct dray_call *call, struct remote_ep *e,
                      struct dray_err *err)
{
    if (!e->joined)
        return 0;
    int rc = dray_remote_call(self->remote, call, "Leave", ids(e->net, e->id), NULL, err);
    if (rc && rc != DRAY_E_NOTFOUND)
        return rc;
    e->joined = false;
    return remote_ep_put(self, e, err);
}

/* All the server has of the endpoint, in reverse. It must be reached for the last step only. */
static int32_t ep_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, struct dray_err *err)
{
    struct remote_ep e;
    struct dray_err why = {0};
    if (!remote_ep_get(self, ep_id, &e))
        return 0;
    if (e.published)
        (void)dray_remote_call(self->remote, call, "RevokeExternalConnectivity", ids(net_id, ep_id),
                               NULL, &why);
    (void)tell_leave(self, call, &e, &why);
    int rc = dray_remote_call(self->remote, call, "DeleteEndpoint", ids(net_id, ep_id), NULL, &why);
    if (rc && !dray_remote_refused(rc)) {
        if (err)
            *err = why;
        return rc;
    }
    /* The container has gone; what the server says to this cannot keep the endpoint. */
    if (why.code)
        dray_host_logf(self->host, DRAY_LOG_WARN, "endpoint %.12s: %s", ep_id, why.text);
    remote_ep_drop(self, ep_id);
    return 0;
}

/* --- join and leave ----------------------------------------------------------------------------*/

static int ask_join(struct dray_self *self, const struct dray_call *call, struct remote_ep *e,
                    int netns, struct json_object **got, struct dray_err *err)
{
    char key[64];
    (void)snprintf(key, sizeof key, "/proc/%d/fd/%d", (int)getpid(), netns);
    struct json_object *body = ids(e->net, e->id);
    dray_remote_add(body, "SandboxKey", key);
    (void)json_object_object_add(body, "Options", json_object_new_object());
    int rc = dray_remote_call(self->remote, call, "Join", body, got, err);
    if (rc)
        return rc;
    struct json_object *name = dray_remote_obj(*got, "InterfaceName");
    take_text(e->source, sizeof e->source, name, "SrcName");
    take_text(e->gateway4, sizeof e->gateway4, *got, "Gateway");
    take_text(e->gateway6, sizeof e->gateway6, *got, "GatewayIPv6");
    e->joined = true;
    return remote_ep_put(self, e, err);
}

/* "eth" and a number, unless the host has a name for it. */
static void choose_name(struct remote_ep *e, const char *hint, struct json_object *answer)
{
    const char *prefix = dray_remote_str(dray_remote_obj(answer, "InterfaceName"), "DstPrefix");
    if (*hint && (!*prefix || strncmp(hint, prefix, strlen(prefix)) == 0))
        (void)snprintf(e->ifname, sizeof e->ifname, "%s", hint);
    else
        (void)snprintf(e->ifname, sizeof e->ifname, "%.13s0", *prefix ? prefix : "eth");
}

static int enter(struct dray_self *self, const struct dray_call *call, struct remote_ep *e,
                 int netns, const char *hint, struct dray_err *err)
{
    dray_remote_auto *got = NULL;
    int rc = ask_join(self, call, e, netns, &got, err);
    if (rc)
        return rc;
    if (*e->source) {
        choose_name(e, hint, got);
        rc = remote_link_enter(self, e, netns, got, err);
    }
    return rc ? rc : remote_ep_put(self, e, err);
}

static int32_t join(struct dray_self *self, const struct dray_call *call, const char *net_id,
                    const char *ep_id, struct dray_fd_borrow netns, const char *ifname_hint,
                    uint32_t set_default, struct dray_ep_join *out, struct dray_err *err)
{
    struct remote_ep e;
    if (!remote_ep_get(self, ep_id, &e))
        return dray_fail(err, DRAY_E_NOTFOUND, "network %.12s has no endpoint %.12s", net_id,
                         ep_id);
    int rc = e.joined ? 0 : enter(self, call, &e, netns.fd, ifname_hint, err);
    if (!rc && set_default)
        rc = remote_link_default(self, &e, netns.fd, err);
    if (rc)
        return rc;
    const struct dray_host *h = self->host;
    out->ifname = dray_call_strdup(h, call, e.ifname);
    out->mac = dray_call_strdup(h, call, e.mac);
    out->gateway4 = dray_call_strdup(h, call, e.gateway4);
    out->gateway6 = dray_call_strdup(h, call, e.gateway6);
    return out->ifname && out->mac && out->gateway4 && out->gateway6
               ? 0
               : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int32_t leave(struct dray_self *self, const struct dray_call *call, const char *net_id,
                     const char *ep_id, struct dray_fd_borrow netns, struct dray_err *err)
{
    (void)net_id;
    struct remote_ep e;
    if (!remote_ep_get(self, ep_id, &e) || !e.joined)
        return 0;
    int rc = *e.ifname ? remote_link_return(self, &e, netns.fd, err) : 0;
    return rc ? rc : tell_leave(self, call, &e, err);
}

/* --- ports -------------------------------------------------------------------------------------*/

static int proto_number(const char *name)
{
    return strcmp(name, "udp") == 0    ? IPPROTO_UDP
           : strcmp(name, "sctp") == 0 ? IPPROTO_SCTP
                                       : IPPROTO_TCP;
}

static void add_int(struct json_object *o, const char *key, int value)
{
    (void)json_object_object_add(o, key, json_object_new_int(value));
}

static int32_t publish(struct dray_self *self, const struct dray_call *call, const char *net_id,
                       const char *ep_id, struct dray_port *ports, uint64_t n, struct dray_err *err)
{
    if (call->flags & DRAY_CALL_REPLAY)
        return 0;
    struct json_object *map = json_object_new_array(), *exposed = json_object_new_array();
    for (uint64_t i = 0; i < n; i++) {
        const struct dray_port *p = &ports[i];
        struct json_object *o = json_object_new_object(), *x = json_object_new_object();
        add_int(o, "Proto", proto_number(p->proto));
        dray_remote_add(o, "IP", "");
        add_int(o, "Port", p->container_port);
        dray_remote_add(o, "HostIP", p->host_ip);
        add_int(o, "HostPort", p->host_port);
        add_int(o, "HostPortEnd", p->host_port_end ? p->host_port_end : p->host_port);
        (void)json_object_array_add(map, o);
        add_int(x, "Proto", proto_number(p->proto));
        add_int(x, "Port", p->container_port);
        (void)json_object_array_add(exposed, x);
    }
    struct json_object *body = ids(net_id, ep_id), *options = json_object_new_object();
    (void)json_object_object_add(options, PORTMAP, map);
    (void)json_object_object_add(options, EXPOSED, exposed);
    (void)json_object_object_add(body, "Options", options);
    int rc = dray_remote_call(self->remote, call, "ProgramExternalConnectivity", body, NULL, err);
    struct remote_ep e;
    if (rc || !remote_ep_get(self, ep_id, &e))
        return rc;
    e.published = true;
    return remote_ep_put(self, &e, err);
}

static int32_t unpublish(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, struct dray_err *err)
{
    int rc = dray_remote_call(self->remote, call, "RevokeExternalConnectivity", ids(net_id, ep_id),
                              NULL, err);
    struct remote_ep e;
    if ((rc && rc != DRAY_E_NOTFOUND) || !remote_ep_get(self, ep_id, &e))
        return rc == DRAY_E_NOTFOUND ? 0 : rc;
    e.published = false;
    return remote_ep_put(self, &e, err);
}

/* --- the plugin --------------------------------------------------------------------------------*/

static void close_self(struct dray_self *self)
{
    dray_worker_free(self->worker);
    dray_remote_close(self->remote);
    remote_ep_free_all(self);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    (void)pthread_mutex_init(&self->lock, NULL);
    int rc = dray_remote_open(host, instance, "NetworkDriver", &self->remote, err);
    rc = rc ? rc : dray_worker_new(&self->worker, err);
    if (rc) {
        close_self(self);
        return rc;
    }
    *out = self;
    return 0;
}

static const struct dray_network_ops ops = {
    .head = DRAY_TABLE(struct dray_network_ops, 0),
    .net_create = net_create,
    .net_remove = net_remove,
    .ep_create = ep_create,
    .ep_remove = ep_remove,
    .join = join,
    .leave = leave,
    .publish = publish,
    .unpublish = unpublish,
};
static const struct dray_option options[] = {DRAY_REMOTE_OPTIONS};
static const struct dray_iface ifaces[] = {
    {DRAY_KIND_NETWORK, DRAY_THREAD_PER_OBJECT, &ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"remote\",\"version\":\"0.1.0\",\"abi\":\"0.1\",\"family\":true,"
                 "\"kinds\":[\"network\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "remote",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .open = open_self,
    .close = close_self,
    .claim = dray_remote_claim,
};
