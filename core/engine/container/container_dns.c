/* SPDX-License-Identifier: Apache-2.0 */
/* container_dns.c - what the embedded resolver is told of a container. */
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/network/dns.h"
#include "engine/network/networks.h"
#include "engine/network/resolv.h"

#include <fcntl.h>

#define DRAY_LOG_AREA "dns"

static bool has_names(struct dray_container *c, const char *network, struct dray_network_ref *ref)
{
    return dray_networks_find(c->set->engine->networks, network, ref, NULL) == 0 &&
           ref->user_defined && ref->mode == DRAY_NETMODE_PRIVATE;
}

bool dray_container_has_dns(struct dray_container *c, struct json_object *endpoints)
{
    json_object_object_foreach(endpoints, network, ep)
    {
        struct dray_network_ref ref;
        (void)ep;
        if (has_names(c, network, &ref))
            return true;
    }
    return false;
}

static void add_wanted(struct json_object *host, const char *key, const struct dray_strlist *def,
                       struct dray_strlist *out)
{
    struct json_object *own = dray_json_arr(host, key);
    if (dray_json_len(own) > 0) {
        (void)dray_json_to_strlist(own, out, NULL);
        return;
    }
    for (size_t i = 0; i < def->n; i++)
        (void)dray_strlist_add(out, def->v[i]);
}

static bool has_ipv6(struct json_object *endpoints)
{
    json_object_object_foreach(endpoints, network, ep)
    {
        (void)network;
        if (*dray_json_str(ep, "GlobalIPv6Address", ""))
            return true;
    }
    return false;
}

void dray_container_resolv(struct dray_container *c, struct json_object *host,
                           struct json_object *endpoints, struct dray_resolv *out)
{
    const struct dray_config *cfg = c->set->engine->config;
    DRAY_AUTO(dray_strlist) servers = {0};
    DRAY_AUTO(dray_strlist) search = {0};
    DRAY_AUTO(dray_strlist) options = {0};
    add_wanted(host, "Dns", &cfg->dns, &servers);
    add_wanted(host, "DnsSearch", &cfg->dns_search, &search);
    add_wanted(host, "DnsOptions", &cfg->dns_opts, &options);
    dray_resolv_load_host(out);
    dray_resolv_override(out, &servers, &search, &options);
    if (strcmp(dray_json_str(host, "NetworkMode", ""), "host") == 0)
        return;
    if (dray_container_has_dns(c, endpoints))
        dray_resolv_for_internal(out, has_ipv6(endpoints));
    else
        dray_resolv_for_legacy(out, has_ipv6(endpoints));
}

/* The resolver knows containers by name: one that is given by its id stands for that. */
static char *link_name(struct dray_containers *cs, const char *text, size_t n)
{
    dray_autocontainer *other = NULL;
    dray_autofree char *given = strndup(text + (*text == '/'), n - (*text == '/'));
    if (!given || dray_container_find(cs, given, &other, NULL) != 0)
        return dray_steal(given);
    pthread_mutex_lock(&other->lock);
    char *name = strdup(other->name);
    pthread_mutex_unlock(&other->lock);
    return name;
}

/* "container:alias" or "container" into {alias: container}. */
static struct json_object *links_of(struct dray_containers *cs, struct json_object *list)
{
    struct json_object *out = json_object_new_object();
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(list, i));
        size_t n = strcspn(text, ":");
        dray_autofree char *name = link_name(cs, text, n);
        if (name)
            dray_json_add_str(out, text[n] ? text + n + 1 : name, name);
    }
    return out;
}

static struct json_object *ep_json(struct dray_containers *cs, const struct dray_network_ref *ref,
                                   struct json_object *ep, struct json_object *host)
{
    struct json_object *links = dray_json_arr(ep, "Links");
    const char *mode = dray_json_str(host, "NetworkMode", "");
    bool main_one = strcmp(mode, ref->name) == 0 || strcmp(mode, ref->id) == 0;
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "net", ref->id);
    dray_json_add_str(o, "netname", ref->name);
    dray_json_add_str(o, "v4", dray_json_str(ep, "IPAddress", ""));
    dray_json_add_str(o, "v6", dray_json_str(ep, "GlobalIPv6Address", ""));
    dray_json_add(o, "names", dray_json_copy(dray_json_arr(ep, "DNSNames")));
    if (dray_json_len(links) == 0 && main_one)
        links = dray_json_arr(host, "Links");
    dray_json_add(o, "links", links_of(cs, links));
    return o;
}

static struct json_object *servers_json(const struct dray_resolv *r)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < r->upstream.n; i++) {
        struct json_object *o = json_object_new_object();
        dray_json_add_str(o, "addr", r->upstream.v[i]);
        dray_json_add_bool(o, "host", dray_strlist_has(&r->upstream_host, r->upstream.v[i]));
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *doc_json(struct dray_container *c, struct json_object *endpoints,
                                    const char *netns)
{
    dray_autojson *host = dray_container_json(c, &c->host);
    DRAY_AUTO(dray_resolv) r = {0};
    struct json_object *doc = json_object_new_object();
    struct json_object *eps = json_object_new_array();
    bool forward = false;
    dray_container_resolv(c, host, endpoints, &r);
    json_object_object_foreach(endpoints, network, ep)
    {
        struct dray_network_ref ref = {0};
        bool named = has_names(c, network, &ref);
        forward = forward || (ref.mode == DRAY_NETMODE_PRIVATE && !ref.internal);
        if (named && *dray_json_str(ep, "EndpointID", ""))
            json_object_array_add(eps, ep_json(c->set, &ref, ep, host));
    }
    dray_json_add_str(doc, "id", c->id);
    dray_json_add_str(doc, "netns", netns);
    dray_json_add_bool(doc, "forward", forward);
    dray_json_add_bool(doc, "ndots", r.ndots_from && strcmp(r.ndots_from, "internal") != 0);
    dray_json_add(doc, "servers", servers_json(&r));
    dray_json_add(doc, "eps", eps);
    return doc;
}

void dray_container_dns_prepare(struct dray_container *c, int netns)
{
    c->has_dns = true;
    dray_dns_prepare(c->set->engine->dns, c->id, netns);
}

int dray_container_dns_update(struct dray_container *c, struct dray_err *err)
{
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    pthread_mutex_lock(&c->lock);
    dray_autofree char *netns = c->netns ? strdup(c->netns) : NULL;
    pthread_mutex_unlock(&c->lock);
    if (!netns || !dray_container_has_dns(c, endpoints)) {
        dray_container_dns_drop(c);
        return 0;
    }
    dray_autofd int fd = open(netns, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "open %s", netns);
    dray_autojson *doc = doc_json(c, endpoints, netns);
    c->has_dns = true;
    return dray_dns_set(c->set->engine->dns, doc, fd, err);
}

void dray_container_dns_drop(struct dray_container *c)
{
    if (c->has_dns)
        dray_dns_drop(c->set->engine->dns, c->id);
    c->has_dns = false;
}

void dray_container_dns_renamed(struct dray_container *c, const char *old, const char *name)
{
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    struct dray_err err = {0};
    json_object_object_foreach(endpoints, network, ep)
    {
        struct json_object *names = dray_json_arr(ep, "DNSNames");
        (void)network;
        for (size_t i = 0; i < dray_json_len(names); i++)
            if (strcmp(json_object_get_string(json_object_array_get_idx(names, i)), old) == 0)
                json_object_array_put_idx(names, i, json_object_new_string(name));
    }
    pthread_mutex_lock(&c->lock);
    dray_container_set_text(&c->endpoints, endpoints);
    pthread_mutex_unlock(&c->lock);
    if (c->has_dns && dray_container_dns_update(c, &err))
        dray_warn("container %.12s: %s", c->id, err.text);
}
