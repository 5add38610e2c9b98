/* SPDX-License-Identifier: Apache-2.0 */
/* network_ports.c - PortBindings to and from a network driver's ports. */
#include "engine/network_priv.h"

#include "base/json.h"

#define MAX_PORTS 65536

/** One binding, and the key it came under. */
struct binding {
    struct dray_port port;
    const char *key; /* "80/tcp" */
    char host_ip[DRAY_NET_CIDR];
};

struct bindings {
    struct binding *v;
    size_t n, cap;
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

/* Without a host address a port is published for each family that the endpoint has. */
static int add_binding(struct bindings *l, const struct dray_net_ep *ep, const char *key,
                       struct json_object *o, struct dray_err *err)
{
    struct binding b = {.port.size = sizeof b.port, .key = key};
    const char *host_ip = dray_json_str(o, "HostIp", "");
    int rc = parse_key(key, &b.port.container_port, &b.port.proto, err);
    rc = rc ? rc : parse_host_port(dray_json_str(o, "HostPort", ""), &b.port, err);
    if (rc)
        return rc;
    uint32_t family = dray_addr_family(host_ip);
    if (*host_ip && !family)
        return dray_fail(err, DRAY_E_INVAL, "invalid IP address: %s", host_ip);
    if (family)
        return (family == 4 ? ep->ipv4[0] : ep->ipv6[0]) ? append(l, &b, host_ip, err) : 0;
    rc = ep->ipv4[0] ? append(l, &b, "", err) : 0;
    return rc || !ep->ipv6[0] ? rc : append(l, &b, "::", err);
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

static struct json_object *describe(const struct bindings *l, const struct dray_port *ports)
{
    struct json_object *out = json_object_new_object();
    for (size_t i = 0; i < l->n; i++) {
        char key[32];
        struct json_object *list = NULL;
        (void)snprintf(key, sizeof key, "%u/%s", ports[i].container_port, ports[i].proto);
        if (!json_object_object_get_ex(out, key, &list)) {
            list = json_object_new_array();
            json_object_object_add(out, key, list);
        }
        struct json_object *o = json_object_new_object();
        dray_json_add_str(o, "HostIp", ports[i].host_ip);
        if (ports[i].host_port)
            dray_json_addf(o, "HostPort", "%u", ports[i].host_port);
        else
            dray_json_add_str(o, "HostPort", ""); /* reached at the container's own address */
        json_object_array_add(list, o);
    }
    return out;
}

static int publish(struct dray_net *n, const struct dray_net_ep *ep, struct bindings *l,
                   bool replay, struct json_object **out, struct dray_err *err)
{
    dray_autofree struct dray_port *ports = calloc(l->n, sizeof *ports);
    if (!ports)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < l->n; i++) {
        ports[i] = l->v[i].port;
        ports[i].host_ip = l->v[i].host_ip;
    }
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_object(&s, ep->id);
    if (replay)
        dray_call_replay(&s);
    int rc = dray_call_enter(&s, n->driver, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_network_ops *)s.ops)
                 ->publish(s.self, &s.call, n->id, ep->id, ports, l->n, err);
    if (!rc)
        *out = describe(l, ports);
    return rc;
}

int dray_net_publish(struct dray_net *n, const struct dray_net_ep *ep, struct json_object *ports,
                     bool replay, struct json_object **out, struct dray_err *err)
{
    struct bindings l = {0};
    *out = NULL;
    if (!ports || n->internal)
        return 0;
    int rc = read_bindings(ports, ep, &l, err);
    if (!rc && l.n)
        rc = publish(n, ep, &l, replay, out, err);
    free(l.v);
    return rc == DRAY_E_NOTSUP ? 0 : rc; /* macvlan and its like have no ports to publish */
}
