/* SPDX-License-Identifier: Apache-2.0 */
/* publish.c - publishes ports: reserves them on the host, then translates to the endpoint. */
#include "bridge.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const struct {
    const char *name;
    uint8_t number;
} protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP}};

static bool protocol_number(const char *name, uint8_t *out)
{
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        if (strcmp(protocols[i].name, name) == 0) {
            *out = protocols[i].number;
            return true;
        }
    }
    return false;
}

/* Where a published port leads: the endpoint's address of the host address's family. */
static const struct dray_cidr *target(const struct endpoint *e, const struct port_want *w)
{
    return w->host.family == AF_INET ? &e->ip4 : &e->ip6;
}

static enum gateway_mode mode_of(const struct endpoint *e, const struct port_want *w)
{
    return w->host.family == AF_INET ? e->net->mode4 : e->net->mode6;
}

static void port_elems(const struct endpoint *e, const struct port *p, struct elems *out)
{
    const struct dray_cidr *to = target(e, &p->want);
    if (!to->family)
        return;
    if (mode_of(e, &p->want) == GATEWAY_ROUTED)
        elems_add_open(out, p->want.proto, to, p->container_port);
    else
        elems_add_nat(out, p->want.proto, &p->want.host, p->want.port, to, p->container_port);
    if (e->net->guarded && mode_of(e, &p->want) != GATEWAY_ROUTED)
        elems_add_guarded(out, p->want.proto, &p->want.host, p->want.port);
}

static void elems_of(const struct endpoint *e, const struct port *ports, size_t n,
                     struct elems *out)
{
    bool self4 = false;
    bool self6 = false;
    for (size_t i = 0; i < n; i++) {
        bool v4 = ports[i].want.host.family == AF_INET;
        bool *done = v4 ? &self4 : &self6;
        if (!*done && target(e, &ports[i].want)->family) {
            elems_add_self(out, target(e, &ports[i].want));
            *done = true;
        }
        port_elems(e, &ports[i], out);
    }
}

void endpoint_elems(const struct endpoint *e, struct elems *out)
{
    elems_of(e, e->ports, e->n_ports, out);
}

/* A request for one port after its text was read. */
struct plan {
    bool routed;           /* no port of the machine is taken */
    struct port_want want; /* port: the first that will do */
    uint16_t last;         /* the last that will do */
    uint16_t container_port;
    bool ephemeral;
    size_t index; /* in the caller's array */
};

static int read_port(const struct endpoint *e, const struct dray_port *p, struct plan *out,
                     struct dray_err *err)
{
    if (!protocol_number(p->proto, &out->want.proto))
        return dray_fail(err, DRAY_E_INVAL, "invalid protocol \"%s\"", p->proto);
    if (!p->container_port)
        return dray_fail(err, DRAY_E_INVAL, "invalid container port 0");
    if (!p->host_ip || !p->host_ip[0])
        out->want.host = e->net->host_binding;
    else if (!dray_cidr_parse(p->host_ip, &out->want.host) || strchr(p->host_ip, '/'))
        return dray_fail(err, DRAY_E_INVAL, "invalid IP address \"%s\"", p->host_ip);
    if (!target(e, &out->want)->family)
        return dray_fail(err, DRAY_E_INVAL,
                         "host address %s needs a container address of the same family",
                         p->host_ip);
    out->container_port = p->container_port;
    if (mode_of(e, &out->want) == GATEWAY_ROUTED) {
        out->routed = true;
        return 0;
    }
    out->want.port = p->host_port;
    out->last = p->host_port_end > p->host_port ? p->host_port_end : p->host_port;
    out->ephemeral = !p->host_port;
    if (out->ephemeral)
        port_ephemeral_range(&out->want.port, &out->last);
    return 0;
}

/* "0.0.0.0:8080", "[::]:8080". */
static void host_text(const struct port_want *w, char out[INET6_ADDRSTRLEN + 16])
{
    char addr[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(w->host.family, w->host.addr, addr, sizeof addr);
    bool v6 = w->host.family == AF_INET6;
    (void)snprintf(out, INET6_ADDRSTRLEN + 16, "%s%s%s:%u", v6 ? "[" : "", addr, v6 ? "]" : "",
                   w->port);
}

static int refuse(const struct endpoint *e, const struct plan *p, const struct dray_err *why,
                  struct dray_err *err)
{
    char host[INET6_ADDRSTRLEN + 16];
    struct port_want to = p->want;
    char container[INET6_ADDRSTRLEN + 16];
    host_text(&p->want, host);
    to.host = *target(e, &p->want);
    to.port = p->container_port;
    host_text(&to, container);
    if (why->code == DRAY_E_CONFLICT && !why->os_errno)
        return dray_fail(err, DRAY_E_CONFLICT, "Bind for %s failed: port is already allocated",
                         host);
    const char *proto = "tcp";
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
        if (protocols[i].number == p->want.proto)
            proto = protocols[i].name;
    return dray_fail(err, why->code, "failed to bind host port for %s:%s/%s: %s", host, container,
                     proto, why->text);
}

/* The plans of one group ask for the same ports on several addresses: all get the same port. */
static size_t group_end(const struct plan *plans, size_t n, size_t first)
{
    size_t end = first + 1;
    const struct plan *a = &plans[first];
    if (a->routed || a->want.port == a->last)
        return end;
    for (; end < n; end++) {
        const struct plan *b = &plans[end];
        if (b->routed || b->container_port != a->container_port || b->want.proto != a->want.proto ||
            b->want.port != a->want.port || b->last != a->last ||
            b->want.host.family == a->want.host.family)
            break;
    }
    return end;
}

static int hold_group(struct dray_self *self, const struct endpoint *e, const struct plan *plans,
                      size_t n, uint16_t port, bool adopt, struct port *out, struct dray_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct plan one = plans[i];
        struct dray_err why = {0};
        one.want.port = port;
        out[i] = (struct port){.want = one.want, .container_port = one.container_port};
        int rc = port_reserve(&self->ports, &one.want, adopt, &out[i].hold, &why);
        if (!rc)
            continue;
        while (i-- > 0)
            port_release(&self->ports, out[i].hold);
        return refuse(e, &one, &why, err);
    }
    return 0;
}

static int settle_group(struct dray_self *self, const struct endpoint *e, const struct plan *plans,
                        size_t n, bool adopt, struct port *out, struct dray_err *err)
{
    const struct plan *p = &plans[0];
    if (p->routed) {
        out[0] = (struct port){.want = p->want, .container_port = p->container_port};
        return 0;
    }
    if (p->want.port == p->last)
        return hold_group(self, e, plans, n, p->last, adopt, out, err);
    uint32_t count = (uint32_t)p->last - p->want.port + 1;
    struct dray_err why = {0};
    for (uint32_t i = 0; i < count; i++) {
        uint16_t port = p->ephemeral ? port_next(&self->ports, p->want.port, p->last)
                                     : (uint16_t)(p->want.port + i);
        int rc = hold_group(self, e, plans, n, port, false, out, &why);
        if (rc != DRAY_E_CONFLICT) {
            if (rc && err)
                *err = why;
            return rc;
        }
    }
    if (!p->ephemeral && err) {
        *err = why;
        return why.code;
    }
    return dray_fail(err, DRAY_E_NOSPACE, "all ports are allocated");
}

/* The groups with a choice of ports, or those without. */
static int settle(struct dray_self *self, const struct endpoint *e, const struct plan *plans,
                  size_t n, bool choice, bool adopt, struct port *held, struct dray_err *err)
{
    int rc = 0;
    for (size_t first = 0, end = 0; !rc && first < n; first = end) {
        end = group_end(plans, n, first);
        if ((plans[first].want.port != plans[first].last) == choice)
            rc = settle_group(self, e, plans + first, end - first, adopt, held + first, err);
    }
    return rc;
}

static void release_all(struct dray_self *self, struct port *ports, size_t n)
{
    for (size_t i = 0; i < n; i++)
        port_release(&self->ports, ports[i].hold);
    free(ports);
}

static int reserve_all(struct dray_self *self, const struct endpoint *e,
                       const struct dray_port *ports, size_t n, bool adopt, struct port **out,
                       struct dray_err *err)
{
    dray_autofree struct plan *plans = calloc(n, sizeof *plans);
    struct port *held = calloc(n, sizeof *held);
    int rc = plans && held ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < n; i++)
        rc = read_port(e, &ports[i], &plans[i], err);
    /* What must be one port comes before what may be any. */
    rc = rc ? rc : settle(self, e, plans, n, false, adopt, held, err);
    rc = rc ? rc : settle(self, e, plans, n, true, adopt, held, err);
    if (rc) {
        release_all(self, held, held ? n : 0);
        return rc;
    }
    *out = held;
    return 0;
}

static int append_ports(struct dray_self *self, struct endpoint *e, const struct port *ports,
                        size_t n, struct dray_err *err)
{
    pthread_mutex_lock(&self->store.lock);
    struct port *v = reallocarray(e->ports, e->n_ports + n, sizeof *v);
    if (v) {
        e->ports = v;
        memcpy(v + e->n_ports, ports, n * sizeof *v);
        e->n_ports += n;
    }
    pthread_mutex_unlock(&self->store.lock);
    return v ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int tell_ports(struct dray_self *self, const struct dray_call *call, const struct port *held,
                      struct dray_port *ports, size_t n, struct dray_err *err)
{
    for (size_t i = 0; i < n; i++) {
        ports[i].host_port = held[i].want.port;
        ports[i].host_port_end = 0;
        if (ports[i].host_ip && ports[i].host_ip[0])
            continue;
        char addr[INET6_ADDRSTRLEN] = "";
        (void)inet_ntop(held[i].want.host.family, held[i].want.host.addr, addr, sizeof addr);
        ports[i].host_ip = dray_call_strdup(self->host, call, addr);
        if (!ports[i].host_ip)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

static int publish(struct dray_self *self, const struct dray_call *call, struct endpoint *e,
                   struct dray_port *ports, size_t n, struct dray_err *err)
{
    struct port *held = NULL;
    bool adopt = (call->flags & DRAY_CALL_REPLAY) != 0;
    int rc = reserve_all(self, e, ports, n, adopt, &held, err);
    if (rc)
        return rc;
    rc = tell_ports(self, call, held, ports, n, err);
    rc = rc ? rc : append_ports(self, e, held, n, err);
    if (rc) {
        release_all(self, held, n);
        return rc;
    }
    DRAY_AUTO(elems) l = {0};
    elems_of(e, held, n, &l);
    rc = rules_add(self, &l, err);
    for (size_t i = 0; !rc && !adopt && i < n; i++)
        if (held[i].want.proto == IPPROTO_UDP)
            conntrack_forget_udp(self, held[i].want.host.family, held[i].want.port);
    free(held);
    if (rc)
        (void)bridge_unpublish(self, e->id, NULL);
    return rc;
}

int bridge_publish(struct dray_self *self, const struct dray_call *call, const char *ep_id,
                   struct dray_port *ports, size_t n, struct dray_err *err)
{
    struct endpoint *e = store_endpoint(&self->store, ep_id);
    if (!e)
        return dray_fail(err, DRAY_E_NOTFOUND, "endpoint %s not found", ep_id);
    int rc = n ? publish(self, call, e, ports, n, err) : 0;
    endpoint_unref(&self->store, e);
    return rc;
}

int bridge_unpublish(struct dray_self *self, const char *ep_id, struct dray_err *err)
{
    struct endpoint *e = store_endpoint(&self->store, ep_id);
    if (!e)
        return 0;
    pthread_mutex_lock(&self->store.lock);
    struct port *ports = e->ports;
    size_t n = e->n_ports;
    e->ports = NULL;
    e->n_ports = 0;
    pthread_mutex_unlock(&self->store.lock);
    DRAY_AUTO(elems) l = {0};
    elems_of(e, ports, n, &l);
    int rc = n ? rules_delete(self, &l, err) : 0;
    release_all(self, ports, n);
    endpoint_unref(&self->store, e);
    return rc;
}
