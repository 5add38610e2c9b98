/* SPDX-License-Identifier: Apache-2.0 */
/* network_ports.c - PortBindings to and from a network driver's ports. */
#include "engine/network/network_priv.h"

#include "base/json.h"
#include "base/logging.h"
#include "engine/network/proxy.h"

#define DRAY_LOG_AREA "net"

#define MAX_PORTS 65536

#define TRIES 16 /* of ports that are ours to choose, when the proxy finds them taken */

#define NO_PAIR SIZE_MAX

/** One binding. */
struct binding {
    struct dray_port port;       /* as it is wanted */
    char host_ip[DRAY_NET_CIDR]; /* as it is wanted; then as it is */
    uint16_t host_port;          /* as it is */
    bool proxied;                /* the proxy's, else the driver's */
    bool done;
    size_t pair; /* it gets the same port as that one, on IPv6; or NO_PAIR */
};

struct bindings {
    struct binding *v;
    size_t n, cap;
    bool proxy;           /* what the endpoint has no address for goes to the proxy */
    bool all;             /* everything does: the driver keeps no rules */
    const char *anywhere; /* host address of ports that name none, if all */
};

/* "80/tcp", "53/udp", "80". */
static int parse_key(const char *key, uint16_t *port_out, const char **proto_out,
                     struct dray_err *err)
{
    static const char *const protos[] = {"tcp", "udp", "sctp"};
    char *end = NULL;
    unsigned long port = strtoul(key, &end, 10);
    const char *proto = *end == '/' ? end + 1 : "tcp";
    if (end == key || (*end && *end != '/') || port < 1 || port > 65535)
        return dray_fail(err, DRAY_E_INVAL, "invalid port specification: \"%s\"", key);
    for (size_t i = 0; i < sizeof protos / sizeof protos[0]; i++) {
        if (strcmp(protos[i], proto) == 0) {
            *port_out = (uint16_t)port;
            *proto_out = protos[i];
            return 0;
        }
    }
    return dray_fail(err, DRAY_E_INVAL, "invalid proto: %s", proto);
}

/* "", "8080", "8000-8010". */
static int parse_host_port(const char *text, struct dray_port *p, struct dray_err *err)
{
    char *end = NULL;
    if (!*text)
        return 0;
    unsigned long first = strtoul(text, &end, 10);
    unsigned long last = first;
    if (end != text && *end == '-')
        last = strtoul(end + 1, &end, 10);
    if (end == text || *end || first > 65535 || last > 65535 || last < first || text[0] == '-')
        return dray_fail(err, DRAY_E_INVAL, "invalid port specification: \"%s\"", text);
    p->host_port = (uint16_t)first;
    p->host_port_end = last > first ? (uint16_t)last : 0;
    return 0;
}

static int append(struct bindings *l, const struct binding *b, const char *host_ip,
                  struct dray_err *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        struct binding *v = cap <= MAX_PORTS ? reallocarray(l->v, cap, sizeof *v) : NULL;
        if (!v)
            return dray_fail(err, DRAY_E_LIMIT, "too many published ports");
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n] = *b;
    (void)snprintf(l->v[l->n].host_ip, DRAY_NET_CIDR, "%s", host_ip);
    l->n++;
    return 0;
}

/* Without a host address a port is published for each family that the endpoint has; IPv6 goes to
 * IPv4 by the proxy. */
static int add_anywhere(struct bindings *l, const struct dray_net_ep *ep, struct binding *b,
                        struct dray_err *err)
{
    int rc = ep->ipv4[0] ? append(l, b, "", err) : 0;
    if (rc || (!ep->ipv6[0] && !(l->proxy && ep->ipv4[0])))
        return rc;
    b->proxied = !ep->ipv6[0];
    b->pair = b->proxied ? l->n - 1 : NO_PAIR;
    return append(l, b, "::", err);
}

/* Both families lead to what the endpoint has, under one number. */
static int add_proxied(struct bindings *l, struct binding *b, struct dray_err *err)
{
    b->proxied = true;
    int rc = append(l, b, l->anywhere, err);
    if (rc || strcmp(l->anywhere, "0.0.0.0") != 0 || !dray_proxy_ipv6())
        return rc;
    b->pair = l->n - 1;
    return append(l, b, "::", err);
}

static int add_binding(struct bindings *l, const struct dray_net_ep *ep, const char *key,
                       struct json_object *o, struct dray_err *err)
{
    struct binding b = {.port.size = sizeof b.port, .pair = NO_PAIR};
    const char *host_ip = dray_json_str(o, "HostIp", "");
    int rc = parse_key(key, &b.port.container_port, &b.port.proto, err);
    rc = rc ? rc : parse_host_port(dray_json_str(o, "HostPort", ""), &b.port, err);
    if (rc)
        return rc;
    uint32_t family = dray_addr_family(host_ip);
    if (*host_ip && !family)
        return dray_fail(err, DRAY_E_INVAL, "invalid IP address: %s", host_ip);
    if (l->all && strcmp(b.port.proto, "sctp") == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "cannot publish port %s: with \"iptables\": false ports are carried by "
                         "dray-proxy, which knows tcp and udp only",
                         key);
    if (!family)
        return l->all ? add_proxied(l, &b, err) : add_anywhere(l, ep, &b, err);
    b.proxied = l->all || !(family == 4 ? ep->ipv4[0] : ep->ipv6[0]);
    return b.proxied && !l->proxy ? 0 : append(l, &b, host_ip, err);
}

static int read_bindings(struct json_object *ports, const struct dray_net_ep *ep,
                         struct bindings *out, struct dray_err *err)
{
    json_object_object_foreach(ports, key, list)
    {
        for (size_t i = 0; json_object_is_type(list, json_type_array) && i < dray_json_len(list);
             i++) {
            int rc = add_binding(out, ep, key, json_object_array_get_idx(list, i), err);
            if (rc)
                return rc;
        }
    }
    return 0;
}

static struct json_object *describe(const struct bindings *l)
{
    struct json_object *out = json_object_new_object();
    for (size_t i = 0; i < l->n; i++) {
        char key[32];
        struct json_object *list = NULL;
        const struct binding *b = &l->v[i];
        if (!b->done)
            continue;
        (void)snprintf(key, sizeof key, "%u/%s", b->port.container_port, b->port.proto);
        if (!json_object_object_get_ex(out, key, &list)) {
            list = json_object_new_array();
            json_object_object_add(out, key, list);
        }
        struct json_object *o = json_object_new_object();
        dray_json_add_str(o, "HostIp", b->host_ip);
        if (b->host_port)
            dray_json_addf(o, "HostPort", "%u", b->host_port);
        else
            dray_json_add_str(o, "HostPort", ""); /* reached at the container's own address */
        json_object_array_add(list, o);
    }
    return out;
}

/* Those of the driver. */
static int publish_driver(struct dray_net *n, const struct dray_net_ep *ep, struct bindings *l,
                          bool replay, struct dray_err *err)
{
    dray_autofree struct dray_port *ports = calloc(l->n, sizeof *ports);
    size_t n_ports = 0;
    if (!ports)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].proxied)
            continue;
        ports[n_ports] = l->v[i].port;
        ports[n_ports++].host_ip = l->v[i].host_ip;
    }
    if (!n_ports)
        return 0;
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_object(&s, ep->id);
    if (replay)
        dray_call_replay(&s);
    int rc = dray_call_enter(&s, n->driver, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_network_ops *)s.ops)
                 ->publish(s.self, &s.call, n->id, ep->id, ports, n_ports, err);
    for (size_t i = 0, k = 0; !rc && i < l->n; i++) {
        struct binding *b = &l->v[i];
        if (b->proxied)
            continue;
        if (ports[k].host_ip != b->host_ip)
            (void)snprintf(b->host_ip, sizeof b->host_ip, "%s", ports[k].host_ip);
        b->host_port = ports[k++].host_port;
        b->done = true;
    }
    return rc;
}

/* What the proxy has to do; false: nothing, because the other half of a pair has an address of its
 * own, or no port of the machine, or the protocol is none of the proxy's. */
static bool proxy_port(const struct bindings *l, const struct binding *b,
                       struct dray_proxy_port *out)
{
    const struct binding *other = b->pair == NO_PAIR ? NULL : &l->v[b->pair];
    out->twin = other && other->proxied;
    if (out->twin)
        other = NULL;
    if (strcmp(b->port.proto, "sctp") == 0 ||
        (other && (!other->host_port || strcmp(other->host_ip, "0.0.0.0") != 0)))
        return false;
    out->proto = b->port.proto;
    out->listen = b->host_ip;
    out->port = other ? other->host_port : b->port.host_port;
    out->last = other ? 0 : b->port.host_port_end;
    out->to_port = b->port.container_port;
    return true;
}

static int publish_proxy(struct dray_networks *ns, struct dray_net_ep *ep, struct bindings *l,
                         struct dray_err *err)
{
    dray_autofree struct dray_proxy_port *ports = calloc(l->n, sizeof *ports);
    char to4[DRAY_NET_CIDR], to6[DRAY_NET_CIDR];
    size_t n = 0;
    if (!ports)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)snprintf(to4, sizeof to4, "%.*s", (int)strcspn(ep->ipv4, "/"), ep->ipv4);
    (void)snprintf(to6, sizeof to6, "%.*s", (int)strcspn(ep->ipv6, "/"), ep->ipv6);
    for (size_t i = 0; i < l->n; i++) {
        if (!l->v[i].proxied)
            continue;
        l->v[i].done = proxy_port(l, &l->v[i], &ports[n]);
        bool six = to6[0] && (!to4[0] || dray_addr_family(l->v[i].host_ip) == 6);
        if (l->v[i].done)
            ports[n++].to = six ? to6 : to4;
    }
    if (!n)
        return 0;
    int rc = dray_proxy_set(ns->engine->proxy, ep->id, ports, n, err);
    /* One that has not answered may carry them all the same, from before a restart. */
    ep->proxied = rc == 0 || rc == DRAY_E_TIMEOUT;
    if (rc)
        return rc;
    n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].proxied && l->v[i].done)
            l->v[i].host_port = ports[n++].port;
    return 0;
}

/* Another port of those that the driver may choose from: of a range it would take the same. */
static bool choose_others(struct bindings *l)
{
    bool any = false;
    for (size_t i = 0; i < l->n; i++) {
        struct binding *b = &l->v[i];
        if (b->pair == NO_PAIR)
            continue;
        struct binding *other = &l->v[b->pair];
        if (other->port.host_port_end && other->host_port < other->port.host_port_end) {
            other->port.host_port = (uint16_t)(other->host_port + 1);
            any = true;
        }
        any = any || !other->port.host_port;
    }
    return any;
}

static int publish(struct dray_networks *ns, struct dray_net *n, struct dray_net_ep *ep,
                   struct bindings *l, bool replay, struct dray_err *err)
{
    int rc = DRAY_E_CONFLICT;
    for (int i = 0; rc == DRAY_E_CONFLICT && i < TRIES; i++) {
        rc = publish_driver(n, ep, l, replay, err);
        if (rc || !l->proxy)
            return rc;
        rc = publish_proxy(ns, ep, l, err);
        if (!rc)
            return 0;
        if (replay) { /* the container runs, and is reached by IPv4 */
            dray_error("endpoint %s: %s", ep->name, err ? err->text : "the proxy failed");
            return 0;
        }
        (void)dray_driver_call(n->driver, network, DRAY_CLASS_MOUNT, NULL, unpublish, n->id,
                               ep->id);
        if (l->all || !choose_others(l))
            break;
    }
    return rc;
}

/* Its ports are reached at the containers' own addresses. */
static bool is_routed(const struct dray_net *n)
{
    const char *mode =
        dray_net_bridge_option(n, n->ipv4 ? "gateway_mode_ipv4" : "gateway_mode_ipv6", "");
    return strcmp(mode, "routed") == 0;
}

int dray_net_publish(struct dray_networks *ns, struct dray_net *n, struct dray_net_ep *ep,
                     struct dray_publish *what, struct dray_err *err)
{
    struct bindings l = {0};
    if (!what->ports || n->internal)
        return 0;
    const struct dray_config *c = ns->engine->config;
    bool can = (dray_net_features(n) & DRAY_NETWORK_F_PROXIED) != 0;
    l.all = can && !c->iptables && !is_routed(n);
    l.anywhere = dray_net_bridge_option(n, "host_binding_ipv4", "0.0.0.0");
    l.proxy = c->userland_proxy && can && (l.all || dray_proxy_ipv6());
    if (l.all && !l.proxy)
        return 0; /* as the log says */
    int rc = read_bindings(what->ports, ep, &l, err);
    if (!rc && l.n)
        rc = publish(ns, n, ep, &l, what->replay, err);
    if (!rc && l.n)
        what->out = describe(&l);
    free(l.v);
    return rc == DRAY_E_NOTSUP ? 0 : rc; /* macvlan and its like have no ports to publish */
}
