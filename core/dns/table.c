/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - who is called what: the containers, their networks, names and addresses. */
#include "dns/table.h"

#include "base/json.h"

#include <arpa/inet.h>
#include <strings.h>

#define DNS_PORT 53
#define MOST_NAMES 256 /* of an endpoint */
#define MOST_EPS 64    /* of a container */

/* A network that some container is on. */
struct dray_dns_net {
    struct dray_dns_net *next;
    size_t refs;
    char *id, *name;
};

/* A name, or an address in text, on a network. */
struct entry {
    struct entry *next;
    const struct dray_dns_ep *ep;
    const char *name; /* the endpoint's; NULL for an address */
    char addr[INET6_ADDRSTRLEN];
};

struct dray_dns_table {
    struct dray_dns_container *containers;
    struct dray_dns_net *nets;
    struct entry **buckets;
    size_t n_buckets, n_entries;
};

static const char *key_of(const struct entry *e)
{
    return e->name ? e->name : e->addr;
}

/* FNV-1a over the network and the name in lower case. */
static size_t hash(const struct dray_dns_net *net, const char *name)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ (uintptr_t)net;
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        h = (h ^ (uint64_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c)) * UINT64_C(1099511628211);
    }
    return (size_t)(h ^ (h >> 32));
}

/* The table of names. */

static void grow(struct dray_dns_table *t)
{
    size_t n = t->n_buckets ? t->n_buckets * 2 : 64;
    struct entry **v = calloc(n, sizeof(struct entry *));
    if (!v)
        return; /* longer chains do */
    for (size_t i = 0; i < t->n_buckets; i++) {
        while (t->buckets[i]) {
            struct entry *e = t->buckets[i];
            t->buckets[i] = e->next;
            size_t at = hash(e->ep->net, key_of(e)) & (n - 1);
            e->next = v[at];
            v[at] = e;
        }
    }
    free(t->buckets);
    t->buckets = v;
    t->n_buckets = n;
}

static int add_entry(struct dray_dns_table *t, const struct dray_dns_ep *ep, const char *name,
                     const char *addr)
{
    if (t->n_entries >= t->n_buckets)
        grow(t);
    struct entry *e = t->n_buckets ? calloc(1, sizeof *e) : NULL;
    if (!e)
        return DRAY_E_NOMEM;
    e->ep = ep;
    e->name = name;
    if (!name)
        (void)snprintf(e->addr, sizeof e->addr, "%s", addr);
    size_t at = hash(ep->net, key_of(e)) & (t->n_buckets - 1);
    e->next = t->buckets[at];
    t->buckets[at] = e;
    t->n_entries++;
    return 0;
}

static void remove_entry(struct dray_dns_table *t, const struct dray_dns_ep *ep, const char *key,
                         bool is_name)
{
    if (!t->n_buckets)
        return;
    struct entry **at = &t->buckets[hash(ep->net, key) & (t->n_buckets - 1)];
    for (; *at; at = &(*at)->next) {
        struct entry *e = *at;
        if (e->ep != ep || (e->name != NULL) != is_name || strcasecmp(key_of(e), key) != 0)
            continue;
        *at = e->next;
        t->n_entries--;
        free(e);
        return;
    }
}

static void addr_text(const struct dray_dns_ep *ep, int family, char out[INET6_ADDRSTRLEN])
{
    out[0] = '\0';
    (void)inet_ntop(family, family == AF_INET ? (const void *)&ep->v4 : (const void *)&ep->v6, out,
                    INET6_ADDRSTRLEN);
}

static int index_ep(struct dray_dns_table *t, const struct dray_dns_ep *ep)
{
    char text[INET6_ADDRSTRLEN];
    int rc = 0;
    for (size_t i = 0; !rc && i < ep->n_names; i++)
        rc = add_entry(t, ep, ep->names[i], NULL);
    addr_text(ep, AF_INET, text);
    rc = rc || !ep->has4 ? rc : add_entry(t, ep, NULL, text);
    addr_text(ep, AF_INET6, text);
    return rc || !ep->has6 ? rc : add_entry(t, ep, NULL, text);
}

static void unindex_ep(struct dray_dns_table *t, const struct dray_dns_ep *ep)
{
    char text[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < ep->n_names; i++)
        remove_entry(t, ep, ep->names[i], true);
    addr_text(ep, AF_INET, text);
    if (ep->has4)
        remove_entry(t, ep, text, false);
    addr_text(ep, AF_INET6, text);
    if (ep->has6)
        remove_entry(t, ep, text, false);
}

/* Networks. */

static struct dray_dns_net *net_ref(struct dray_dns_table *t, const char *id, const char *name)
{
    for (struct dray_dns_net *n = t->nets; n; n = n->next) {
        if (strcmp(n->id, id) == 0) {
            n->refs++;
            return n;
        }
    }
    struct dray_dns_net *n = calloc(1, sizeof *n);
    if (!n || !(n->id = strdup(id)) || !(n->name = strdup(name))) {
        if (n)
            free(n->id);
        free(n);
        return NULL;
    }
    n->refs = 1;
    n->next = t->nets;
    t->nets = n;
    return n;
}

static void net_unref(struct dray_dns_table *t, struct dray_dns_net *n)
{
    if (!n || --n->refs)
        return;
    struct dray_dns_net **at = &t->nets;
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    free(n->id);
    free(n->name);
    free(n);
}

/* Endpoints. */

static void ep_fini(struct dray_dns_table *t, struct dray_dns_ep *ep)
{
    if (ep->net)
        unindex_ep(t, ep);
    for (size_t i = 0; i < ep->n_names; i++)
        free(ep->names[i]);
    for (size_t i = 0; i < ep->n_links; i++) {
        free(ep->links[i].alias);
        free(ep->links[i].name);
    }
    free(ep->names);
    free(ep->links);
    net_unref(t, ep->net);
}

static bool is_among(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return false;
}

static int read_names(struct dray_dns_ep *ep, struct json_object *names)
{
    size_t n = dray_json_len(names);
    n = n < MOST_NAMES ? n : MOST_NAMES;
    ep->names = calloc(n + 1, sizeof(char *));
    if (!ep->names)
        return DRAY_E_NOMEM;
    size_t got = 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));
        bool fresh = name && *name && !is_among(ep->names, got, name);
        char *copy = fresh ? strdup(name) : NULL;
        if (copy)
            ep->names[got++] = copy;
    }
    ep->n_names = got;
    return 0;
}

static int read_links(struct dray_dns_ep *ep, struct json_object *links)
{
    if (!links)
        return 0;
    ep->links = calloc((size_t)json_object_object_length(links) + 1, sizeof *ep->links);
    if (!ep->links)
        return DRAY_E_NOMEM;
    json_object_object_foreach(links, alias, value)
    {
        const char *name = json_object_get_string(value);
        struct dray_dns_link *l = &ep->links[ep->n_links++];
        l->alias = strdup(alias);
        l->name = strdup(name ? name : "");
        if (!l->alias || !l->name)
            return DRAY_E_NOMEM;
    }
    return 0;
}

static int read_ep(struct dray_dns_table *t, struct json_object *o, struct dray_dns_ep *ep)
{
    ep->has4 = inet_pton(AF_INET, dray_json_str(o, "v4", ""), &ep->v4) == 1;
    ep->has6 = inet_pton(AF_INET6, dray_json_str(o, "v6", ""), &ep->v6) == 1;
    int rc = read_names(ep, dray_json_arr(o, "names"));
    rc = rc ? rc : read_links(ep, dray_json_obj(o, "links"));
    if (rc)
        return rc;
    ep->net = net_ref(t, dray_json_str(o, "net", ""), dray_json_str(o, "netname", ""));
    return ep->net ? index_ep(t, ep) : DRAY_E_NOMEM;
}

static void eps_fini(struct dray_dns_table *t, struct dray_dns_container *c)
{
    for (size_t i = 0; i < c->n_eps; i++)
        ep_fini(t, &c->eps[i]);
    free(c->eps);
    c->eps = NULL;
    c->n_eps = 0;
}

static int read_eps(struct dray_dns_table *t, struct dray_dns_container *c, struct json_object *eps)
{
    size_t n = dray_json_len(eps);
    n = n < MOST_EPS ? n : MOST_EPS;
    c->eps = calloc(n + 1, sizeof *c->eps);
    int rc = c->eps ? 0 : DRAY_E_NOMEM;
    while (!rc && c->n_eps < n) {
        size_t i = c->n_eps++;
        rc = read_ep(t, json_object_array_get_idx(eps, i), &c->eps[i]);
    }
    return rc;
}

/* "10.0.0.1", "fe80::1%eth0" */
static bool read_server(struct json_object *o, struct dray_dns_server *s)
{
    const char *text = dray_json_str(o, "addr", "");
    struct sockaddr_in *in4 = (void *)&s->addr;
    struct sockaddr_in6 *in6 = (void *)&s->addr;
    *s = (struct dray_dns_server){.host = dray_json_bool(o, "host", false)};
    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(DNS_PORT);
        s->len = sizeof *in4;
    } else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(DNS_PORT);
        s->len = sizeof *in6;
    }
    return s->len != 0;
}

static void read_servers(struct dray_dns_container *c, struct json_object *servers)
{
    c->n_servers = 0;
    for (size_t i = 0; i < dray_json_len(servers) && c->n_servers < DRAY_DNS_SERVERS; i++)
        if (read_server(json_object_array_get_idx(servers, i), &c->servers[c->n_servers]))
            c->n_servers++;
}

/* The table. */

struct dray_dns_table *dray_dns_table_new(void)
{
    return calloc(1, sizeof(struct dray_dns_table));
}

void dray_dns_table_free(struct dray_dns_table *t)
{
    while (t->containers)
        dray_dns_table_drop(t, t->containers);
    free(t->buckets);
    free(t);
}

struct dray_dns_container *dray_dns_table_find(const struct dray_dns_table *t, const char *id)
{
    struct dray_dns_container *c = t->containers;
    while (c && strcmp(c->id, id) != 0)
        c = c->next;
    return c;
}

void dray_dns_table_drop(struct dray_dns_table *t, struct dray_dns_container *c)
{
    if (!c)
        return;
    struct dray_dns_container **at = &t->containers;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    eps_fini(t, c);
    free(c);
}

int dray_dns_table_set(struct dray_dns_table *t, struct json_object *doc,
                       struct dray_dns_container **out, struct dray_err *err)
{
    const char *id = dray_json_str(doc, "id", "");
    struct dray_dns_container *c = dray_dns_table_find(t, id);
    if (!*id || strlen(id) >= sizeof c->id)
        return dray_fail(err, DRAY_E_INVAL, "invalid id of a container");
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        (void)snprintf(c->id, sizeof c->id, "%s", id);
        c->next = t->containers;
        t->containers = c;
    }
    c->forward = dray_json_bool(doc, "forward", false);
    c->ndots = dray_json_bool(doc, "ndots", false);
    read_servers(c, dray_json_arr(doc, "servers"));
    eps_fini(t, c);
    *out = c;
    if (!read_eps(t, c, dray_json_arr(doc, "eps")))
        return 0;
    eps_fini(t, c);
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* Looking up. */

static void collect(const struct dray_dns_table *t, const struct dray_dns_net *net,
                    const char *name, int family, struct dray_dns_found *out)
{
    const size_t most = sizeof out->v / sizeof out->v[0];
    if (!t->n_buckets)
        return;
    const struct entry *e = t->buckets[hash(net, name) & (t->n_buckets - 1)];
    for (; e; e = e->next) {
        if (e->ep->net != net || !e->name || strcasecmp(e->name, name) != 0)
            continue;
        out->known = true;
        if ((family == AF_INET ? e->ep->has4 : e->ep->has6) && out->n < most)
            out->v[out->n++] = e->ep;
    }
}

static const char *link_target(const struct dray_dns_ep *ep, const char *name)
{
    for (size_t i = 0; i < ep->n_links; i++)
        if (strcasecmp(ep->links[i].alias, name) == 0)
            return ep->links[i].name;
    return NULL;
}

/* On the networks called `network` (all if it is ""), links before names: the first network that
 * has an address wins. */
static void lookup_in(const struct dray_dns_table *t, const struct dray_dns_container *c,
                      const char *name, const char *network, int family, struct dray_dns_found *out)
{
    for (int links = 1; links >= 0 && !out->n; links--) {
        for (size_t i = 0; i < c->n_eps && !out->n; i++) {
            const struct dray_dns_ep *ep = &c->eps[i];
            const char *target = link_target(ep, name);
            if ((*network && strcasecmp(ep->net->name, network) != 0) || links != (target != NULL))
                continue;
            collect(t, ep->net, target ? target : name, family, out);
        }
    }
}

void dray_dns_table_lookup(const struct dray_dns_table *t, const struct dray_dns_container *c,
                           const char *name, int family, struct dray_dns_found *out)
{
    char host[256];
    *out = (struct dray_dns_found){.known = false};
    if (strlen(name) >= sizeof host)
        return;
    /* a.b.c: on any network, then a.b on network c, then a on network b.c */
    lookup_in(t, c, name, "", family, out);
    (void)snprintf(host, sizeof host, "%s", name);
    for (char *dot = strrchr(host, '.'); dot && !out->known; dot = strrchr(host, '.')) {
        *dot = '\0';
        lookup_in(t, c, host, name + (dot - host) + 1, family, out);
    }
}

bool dray_dns_table_reverse(const struct dray_dns_table *t, const struct dray_dns_container *c,
                            int family, const void *addr, char *out, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    if (!t->n_buckets || !inet_ntop(family, addr, text, sizeof text))
        return false;
    for (size_t i = 0; i < c->n_eps; i++) {
        const struct dray_dns_net *net = c->eps[i].net;
        const struct entry *e = t->buckets[hash(net, text) & (t->n_buckets - 1)];
        for (; e; e = e->next) {
            if (e->ep->net != net || e->name || strcmp(e->addr, text) != 0 || !e->ep->n_names)
                continue;
            int n = snprintf(out, size, "%s.%s", e->ep->names[0], net->name);
            return n > 0 && (size_t)n < size;
        }
    }
    return false;
}
