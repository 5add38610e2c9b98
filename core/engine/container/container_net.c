/* SPDX-License-Identifier: Apache-2.0 */
/* container_net.c - a container's network namespace and its endpoints on networks. */
#include "base/buf.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/network/netns.h"
#include "engine/network/networks.h"

#include <fcntl.h>

#define DRAY_LOG_AREA "net"

/** "80" means "80/tcp". */
static char *full_port(const char *spec)
{
    return strchr(spec, '/') ? strdup(spec) : dray_strf("%s/tcp", spec);
}

/** Ports to publish: PortBindings, and with PublishAllPorts every exposed one. */
static struct json_object *wanted_ports(struct json_object *config, struct json_object *host)
{
    struct json_object *ports = json_object_new_object();
    struct json_object *bound = dray_json_obj(host, "PortBindings");
    if (bound) {
        json_object_object_foreach(bound, spec, bindings)
        {
            dray_autofree char *port = full_port(spec);
            if (port)
                json_object_object_add(ports, port, dray_json_copy(bindings));
        }
    }
    struct json_object *exposed = dray_json_obj(config, "ExposedPorts");
    if (!exposed || !dray_json_bool(host, "PublishAllPorts", false))
        return ports;
    json_object_object_foreach(exposed, spec, unused)
    {
        (void)unused;
        struct json_object *had;
        dray_autofree char *port = full_port(spec);
        if (!port || (json_object_object_get_ex(ports, port, &had) && dray_json_len(had) > 0))
            continue;
        struct json_object *list = json_object_new_array(), *any = json_object_new_object();
        dray_json_add_str(any, "HostIp", "");
        dray_json_add_str(any, "HostPort", "");
        json_object_array_add(list, any);
        json_object_object_add(ports, port, list);
    }
    return ports;
}

/** NetworkSettings.Ports: what was published, and null for what is only exposed. */
static struct json_object *shown_ports(struct json_object *config, struct json_object *published)
{
    struct json_object *out = json_object_new_object();
    struct json_object *exposed = dray_json_obj(config, "ExposedPorts");
    if (exposed) {
        json_object_object_foreach(exposed, spec, unused)
        {
            (void)unused;
            dray_autofree char *port = full_port(spec);
            if (port)
                json_object_object_add(out, port, NULL);
        }
    }
    if (published) {
        json_object_object_foreach(published, port, list)
        {
            json_object_object_add(out, port, json_object_get(list));
        }
    }
    return out;
}

#define PUBLISHES "Publishes" /* of an endpoint: the ports are published there */

struct joining {
    struct dray_container *c;
    struct json_object *config, *host;
    struct json_object *done;      /* endpoints by network name */
    struct json_object *published; /* or NULL */
    const char *gateway;           /* network that gives the default route */
    int netns;
    int n;
};

bool dray_container_without_ipv6(struct json_object *host)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(dray_json_obj(host, "Sysctls"),
                                     "net.ipv6.conf.all.disable_ipv6", &value) &&
           strcmp(json_object_get_string(value), "1") == 0;
}

static int join_one(struct joining *j, const char *network, struct json_object *wanted,
                    struct dray_err *err)
{
    char ifname[16];
    (void)snprintf(ifname, sizeof ifname, "eth%d", j->n);
    j->n += *dray_json_str(wanted, DRAY_OPT_IFNAME, "") == '\0';
    bool main_one = j->gateway && strcmp(j->gateway, network) == 0;
    dray_autojson *ports = main_one ? wanted_ports(j->config, j->host) : NULL;
    pthread_mutex_lock(&j->c->lock);
    dray_autofree char *name = strdup(j->c->name);
    pthread_mutex_unlock(&j->c->lock);
    struct dray_join_req req = {.container_id = j->c->id,
                                .container_name = name,
                                .hostname = dray_json_str(j->config, "Hostname", ""),
                                .network = network,
                                .config = wanted,
                                .ports = ports,
                                .netns = j->netns,
                                .ifname = ifname,
                                .set_default = main_one,
                                .no_ipv6 = dray_container_without_ipv6(j->host)};
    struct json_object *endpoint = NULL, *published = NULL;
    int rc = dray_networks_join(j->c->set->engine->networks, &req, &endpoint, &published, err);
    if (rc != 0)
        return rc;
    json_object_object_add(j->done, network, endpoint);
    if (published && main_one) {
        dray_json_add_bool(endpoint, PUBLISHES, true);
        j->published = published;
    } else if (published)
        json_object_put(published);
    return 0;
}

/** The network whose endpoint has the published ports, or NULL. */
static const char *publisher(struct json_object *endpoints)
{
    json_object_object_foreach(endpoints, name, ep)
    {
        if (dray_json_bool(ep, PUBLISHES, false))
            return name;
    }
    return NULL;
}

/** The network whose gateway becomes the default route: highest GwPriority among those that have a
 *  way out, else the network mode's own. */
static const char *choose_gateway(struct dray_container *c, struct json_object *endpoints,
                                  const char *mode)
{
    const char *best = NULL;
    int64_t best_priority = INT64_MIN;
    json_object_object_foreach(endpoints, name, ep)
    {
        struct dray_network_ref ref;
        if (dray_networks_find(c->set->engine->networks, name, &ref, NULL) != 0 || ref.internal)
            continue;
        int64_t priority = dray_json_int(ep, "GwPriority", 0);
        if (priority > best_priority || (priority == best_priority && strcmp(name, mode) == 0)) {
            best = name;
            best_priority = priority;
        }
    }
    return best ? best : mode;
}

/** The name of the network that NetworkMode says, which may be by id. ref holds it. */
static const char *mode_network(struct dray_container *c, struct json_object *host,
                                struct dray_network_ref *ref)
{
    const char *mode = dray_json_str(host, "NetworkMode", "bridge");
    bool found = dray_networks_find(c->set->engine->networks, mode, ref, NULL) == 0;
    return found ? ref->name : mode;
}

/* Without a default bridge its containers have no network, which is no mistake in Docker's eyes. */
static bool is_disabled(const struct dray_container *c, const char *network)
{
    const char *bridge = c->set->engine->config->bridge;
    return bridge && strcmp(bridge, "none") == 0 &&
           (strcmp(network, "bridge") == 0 || strcmp(network, "default") == 0);
}

static int join_all(struct joining *j, struct json_object *endpoints, struct dray_err *err)
{
    struct dray_network_ref ref;
    const char *mode = mode_network(j->c, j->host, &ref);
    j->gateway = choose_gateway(j->c, endpoints, mode);
    struct json_object *first;
    int rc = 0;
    if (json_object_object_get_ex(endpoints, mode, &first) && !is_disabled(j->c, mode))
        rc = join_one(j, mode, first, err);
    json_object_object_foreach(endpoints, name, ep)
    {
        if (rc == 0 && strcmp(name, mode) != 0 && !is_disabled(j->c, name))
            rc = join_one(j, name, ep, err);
    }
    return rc;
}

static void leave_all(struct dray_container *c, struct json_object *endpoints)
{
    json_object_object_foreach(endpoints, name, ep)
    {
        struct dray_err err = {0};
        if (*dray_json_str(ep, "EndpointID", "") &&
            dray_networks_leave(c->set->engine->networks, c->id, ep, -1, &err) != 0)
            dray_warn("container %.12s leaves network %s: %s", c->id, name, err.text);
    }
}

/** What is kept of an endpoint while the container does not run: what the user asked for. */
static struct json_object *dormant(struct json_object *ep)
{
    static const char *const keep[] = {"IPAMConfig", "Links",     "Aliases",         "DriverOpts",
                                       "GwPriority", "NetworkID", "MacAddressGiven", "DNSNames"};
    struct json_object *out = json_object_new_object();
    for (size_t i = 0; i < sizeof keep / sizeof keep[0]; i++)
        if (dray_json_get(ep, keep[i]))
            dray_json_add(out, keep[i], dray_json_copy(dray_json_get(ep, keep[i])));
    const char *mac = dray_json_str(ep, "MacAddressGiven", "");
    if (*mac)
        dray_json_add_str(out, "MacAddress", mac);
    return out;
}

static void note_given_mac(struct json_object *endpoints)
{
    json_object_object_foreach(endpoints, name, ep)
    {
        (void)name;
        const char *mac = dray_json_str(ep, "MacAddress", "");
        if (*mac && !*dray_json_str(ep, "EndpointID", ""))
            dray_json_add_str(ep, "MacAddressGiven", mac);
    }
}

static void commit(struct dray_container *c, struct joining *j, char *path /* takes */)
{
    dray_autojson *ports = shown_ports(j->config, j->published);
    pthread_mutex_lock(&c->lock);
    dray_container_set_endpoints(c, j->done);
    dray_container_set_text(&c->ports, ports);
    free(c->netns);
    c->netns = path;
    pthread_mutex_unlock(&c->lock);
}

/** The host's namespace, or another container's: nothing is made. */
static int borrow_namespace(struct dray_container *c, struct json_object *config, const char *mode,
                            struct dray_err *err)
{
    struct joining j = {.c = c, .config = config, .done = json_object_new_object()};
    char *path = NULL;
    int rc = 0;
    if (dray_str_prefix(mode, "container:")) {
        dray_autocontainer *other = NULL;
        rc = dray_container_find(c->set, mode + strlen("container:"), &other, err);
        if (rc == 0 && strcmp(other->id, c->id) == 0)
            rc = dray_fail(err, DRAY_E_INVAL, "cannot join own network namespace");
        if (rc == 0 && dray_container_need_running(other, NULL) != 0)
            rc = dray_fail(err, DRAY_E_CONFLICT,
                           "cannot join network of a non running container: %s", other->id);
        if (rc == 0) {
            pthread_mutex_lock(&other->lock);
            path = dray_strf("/proc/%d/ns/net", other->st.pid);
            pthread_mutex_unlock(&other->lock);
        }
    } else {
        pthread_mutex_lock(&c->lock);
        dray_autofree char *name = c->name ? strdup(c->name) : NULL;
        pthread_mutex_unlock(&c->lock);
        struct dray_join_req req = {.container_id = c->id,
                                    .container_name = name ? name : "",
                                    .hostname = "",
                                    .network = mode,
                                    .netns = -1,
                                    .ifname = ""};
        struct json_object *ep = NULL, *ports = NULL;
        rc = dray_networks_join(c->set->engine->networks, &req, &ep, &ports, err);
        if (rc == 0)
            json_object_object_add(j.done, mode, ep);
        if (ports)
            json_object_put(ports);
    }
    if (rc == 0)
        commit(c, &j, path);
    json_object_put(j.done);
    return rc;
}

/** The sandbox of the container: owned by its user namespace, if it has one. */
static int make_namespace(struct dray_container *c, struct json_object *host, char **path_out,
                          struct dray_err *err)
{
    if (!dray_container_userns(c, host))
        return dray_netns_get(c->set->netns, path_out, err);
    dray_autofree char *within = NULL;
    int rc = dray_container_userns_shared(c, host, &within, err);
    return rc != 0 ? rc : dray_netns_get_owned(c->set->netns, within, path_out, err);
}

int dray_container_net_start(struct dray_container *c, struct json_object *config,
                             struct json_object *host, struct dray_err *err)
{
    const char *mode = dray_json_str(host, "NetworkMode", "bridge");
    struct dray_network_ref ref = {0};
    if (dray_str_prefix(mode, "container:"))
        return borrow_namespace(c, config, mode, err);
    int rc =
        is_disabled(c, mode) ? 0 : dray_networks_find(c->set->engine->networks, mode, &ref, err);
    if (rc != 0)
        return rc;
    if (ref.mode == DRAY_NETMODE_HOST)
        return borrow_namespace(c, config, mode, err);
    dray_autofree char *path = NULL;
    rc = make_namespace(c, host, &path, err);
    if (rc != 0)
        return rc;
    dray_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    dray_autojson *done = json_object_new_object();
    note_given_mac(endpoints);
    struct joining j = {.c = c, .config = config, .host = host, .done = done, .netns = fd};
    if (fd >= 0 && dray_container_has_dns(c, endpoints))
        dray_container_dns_prepare(c, fd);
    rc = fd < 0 ? dray_fail_errno(err, "open %s", path) : join_all(&j, endpoints, err);
    if (rc == 0) {
        /* What marks a given address must outlive the join. */
        json_object_object_foreach(done, name, ep)
        {
            struct json_object *was = NULL;
            if (json_object_object_get_ex(endpoints, name, &was) &&
                *dray_json_str(was, "MacAddressGiven", ""))
                dray_json_add_str(ep, "MacAddressGiven", dray_json_str(was, "MacAddressGiven", ""));
        }
        commit(c, &j, dray_steal(path));
        rc = dray_container_dns_update(c, err);
        if (rc != 0)
            dray_container_net_stop(c);
    } else {
        dray_container_dns_drop(c);
        leave_all(c, done);
        dray_netns_drop(c->set->netns, path);
    }
    if (j.published)
        json_object_put(j.published);
    return rc;
}

void dray_container_net_stop(struct dray_container *c)
{
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    dray_autojson *asleep = json_object_new_object();
    dray_container_dns_drop(c);
    leave_all(c, endpoints);
    json_object_object_foreach(endpoints, name, ep)
    {
        json_object_object_add(asleep, name, dormant(ep));
    }
    pthread_mutex_lock(&c->lock);
    dray_autofree char *path = dray_steal(c->netns);
    dray_container_set_endpoints(c, asleep);
    dray_container_set_text(&c->ports, NULL);
    pthread_mutex_unlock(&c->lock);
    if (path && !dray_str_prefix(path, "/proc/"))
        dray_netns_drop(c->set->netns, path);
}

static int restore_one(struct dray_container *c, const char *network, struct json_object *ep,
                       struct json_object *ports, int netns, struct dray_err *err)
{
    struct dray_join_req req = {.container_id = c->id,
                                .container_name = c->name,
                                .hostname = "",
                                .network = network,
                                .config = ep,
                                .ports = ports,
                                .netns = netns,
                                .ifname = "",
                                .replay = true};
    struct json_object *endpoint = NULL, *published = NULL;
    int rc = dray_networks_join(c->set->engine->networks, &req, &endpoint, &published, err);
    if (endpoint)
        json_object_put(endpoint);
    if (published)
        json_object_put(published);
    return rc;
}

int dray_container_net_restore(struct dray_container *c, struct dray_err *err)
{
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    dray_autojson *host = dray_container_json(c, &c->host);
    dray_autojson *ports = dray_container_json(c, &c->ports);
    struct dray_network_ref ref;
    const char *gateway = publisher(endpoints);
    if (!gateway)
        gateway = choose_gateway(c, endpoints, mode_network(c, host, &ref));
    dray_autofd int fd = c->netns ? open(c->netns, O_RDONLY | O_CLOEXEC) : -1;
    int rc = 0;
    json_object_object_foreach(endpoints, name, ep)
    {
        if (rc == 0 && *dray_json_str(ep, "EndpointID", ""))
            rc = restore_one(c, name, ep, strcmp(name, gateway) == 0 ? ports : NULL, fd, err);
    }
    return rc ? rc : dray_container_dns_update(c, err);
}

/* Connecting and disconnecting by hand. */

static void show_ports(struct dray_container *c, struct json_object *config,
                       struct json_object *published)
{
    dray_autojson *ports = shown_ports(config, published);
    pthread_mutex_lock(&c->lock);
    dray_container_set_text(&c->ports, ports);
    pthread_mutex_unlock(&c->lock);
}

/** Call with op held: the network that published the ports has been left, another one does. */
static void publish_elsewhere(struct dray_container *c, struct json_object *endpoints)
{
    dray_autojson *config = dray_container_json(c, &c->config);
    dray_autojson *host = dray_container_json(c, &c->host);
    dray_autojson *ports = wanted_ports(config, host);
    dray_autojson *published = NULL;
    struct json_object *ep = NULL;
    struct dray_err why = {0};
    if (json_object_object_get_ex(endpoints, choose_gateway(c, endpoints, ""), &ep) && ports &&
        dray_networks_publish(c->set->engine->networks, ep, ports, &published, &why) != 0)
        dray_warn("container %.12s: publish its ports: %s", c->id, why.text);
    if (published)
        dray_json_add_bool(ep, PUBLISHES, true);
    show_ports(c, config, published);
}

/** Call with op held. Gives back the endpoints' new object through `endpoints`. */
static int connect_running(struct dray_container *c, struct json_object *endpoints,
                           const struct dray_network_ref *ref, struct json_object *wanted,
                           struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    dray_autofree char *path = c->netns ? strdup(c->netns) : NULL;
    pthread_mutex_unlock(&c->lock);
    dray_autofd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return dray_fail(err, DRAY_E_INTERNAL, "open the network namespace of container %.12s",
                         c->id);
    dray_autojson *config = dray_container_json(c, &c->config);
    dray_autojson *host = dray_container_json(c, &c->host);
    struct joining j = {.c = c, .config = config, .host = host, .done = endpoints, .netns = fd};
    if (!ref->internal && !*choose_gateway(c, endpoints, ""))
        j.gateway = ref->name; /* the first way out, where its ports are published */
    int rc = join_one(&j, ref->name, wanted, err); /* with the first name that is free */
    if (j.published) {
        show_ports(c, config, j.published);
        json_object_put(j.published);
    }
    return rc;
}

/** Call with op held: what the user asked for waits in `endpoints` for the start. */
static void connect_stopped(struct dray_container *c, struct json_object *endpoints,
                            const struct dray_network_ref *ref,
                            struct json_object *wanted /* takes */)
{
    dray_autojson *config = dray_container_json(c, &c->config);
    if (ref->user_defined)
        dray_json_add(wanted, "DNSNames",
                      dray_endpoint_dns_names(c->name, c->id, dray_json_str(config, "Hostname", ""),
                                              dray_json_arr(wanted, "Aliases")));
    json_object_object_add(endpoints, ref->name, wanted);
}

static int store_endpoints(struct dray_container *c, struct json_object *endpoints,
                           struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    dray_container_set_endpoints(c, endpoints);
    bool alive = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    int rc = alive ? dray_container_dns_update(c, err) : 0;
    if (alive)
        dray_container_files_refresh(c);
    int saved = dray_container_save(c, rc ? NULL : err);
    return rc ? rc : saved;
}

#define SHARES_NETWORK                                                                             \
    "container sharing network namespace with another container or host cannot be connected to "   \
    "any other network"
#define PRIVATE_NETWORK                                                                            \
    "container cannot be connected to multiple networks with one of the networks in private "      \
    "(none) mode"

/** May the network be joined beside those that the container is on? */
static int check_company(struct dray_container *c, struct json_object *endpoints,
                         const struct dray_network_ref *ref, struct dray_err *err)
{
    dray_autojson *host = dray_container_json(c, &c->host);
    const char *mode = dray_json_str(host, "NetworkMode", "");
    if (ref->mode == DRAY_NETMODE_HOST && strcmp(mode, "host") != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "cannot connect container to host network - container must be created in "
                         "host network mode");
    if (dray_str_prefix(mode, "container:"))
        return dray_fail(err, DRAY_E_INVAL, SHARES_NETWORK);
    json_object_object_foreach(endpoints, name, ep)
    {
        struct dray_network_ref other;
        (void)ep;
        if (strcmp(name, ref->name) == 0 ||
            dray_networks_find(c->set->engine->networks, name, &other, NULL) != 0)
            continue;
        if (other.mode == DRAY_NETMODE_HOST || ref->mode == DRAY_NETMODE_HOST)
            return dray_fail(err, DRAY_E_INVAL, SHARES_NETWORK);
        if (other.mode == DRAY_NETMODE_NONE || ref->mode == DRAY_NETMODE_NONE)
            return dray_fail(err, DRAY_E_INVAL, PRIVATE_NETWORK);
    }
    return 0;
}

/** Call with op held. */
static int connect_locked(struct dray_container *c, const struct dray_network_ref *ref,
                          struct json_object *config, struct dray_err *err)
{
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    dray_autojson *wanted = config ? dray_json_copy(config) : json_object_new_object();
    bool there = json_object_object_get_ex(endpoints, ref->name, NULL);
    pthread_mutex_lock(&c->lock);
    bool alive = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    int rc = dray_networks_check_endpoint(c->set->engine->networks, ref->name, wanted, err);
    rc = rc ? rc : check_company(c, endpoints, ref, err);
    if (rc != 0)
        return rc;
    if (there && alive)
        return dray_fail(err, DRAY_E_DENIED, "endpoint with name %s already exists in network %s",
                         c->name, ref->name);
    if (there)
        return 0; /* what was said before stays */
    if (alive)
        rc = connect_running(c, endpoints, ref, wanted, err);
    else
        connect_stopped(c, endpoints, ref, dray_steal(wanted));
    return rc ? rc : store_endpoints(c, endpoints, err);
}

int dray_containers_connect(struct dray_containers *cs, const char *container, const char *network,
                            struct json_object *endpoint_config, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    struct dray_network_ref ref;
    int rc = dray_container_find(cs, container, &c, err);
    if (rc == 0)
        rc = dray_networks_find(cs->engine->networks, network, &ref, err);
    if (rc == 0)
        rc = dray_container_op_begin(c, err);
    if (rc != 0)
        return rc;
    rc = connect_locked(c, &ref, endpoint_config, err);
    pthread_mutex_unlock(&c->op);
    return rc;
}

/** Call with op held. known: the network exists. */
static int disconnect_locked(struct dray_container *c, const struct dray_network_ref *ref,
                             bool known, struct dray_err *err)
{
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    struct json_object *ep = NULL;
    pthread_mutex_lock(&c->lock);
    dray_autofree char *path = c->netns ? strdup(c->netns) : NULL;
    bool alive = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    if (ref->mode == DRAY_NETMODE_HOST && alive)
        return dray_fail(err, DRAY_E_INVAL,
                         "cannot disconnect container from host network - container was created in "
                         "host network mode");
    if (!json_object_object_get_ex(endpoints, ref->name, &ep))
        return dray_fail(err, DRAY_E_INTERNAL, "container %s is not connected to %snetwork %s",
                         c->id, alive ? "" : "the ", ref->name);
    int rc = 0;
    if (known && *dray_json_str(ep, "EndpointID", "")) {
        dray_autofd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        rc = dray_networks_leave(c->set->engine->networks, c->id, ep, fd, err);
    } else if (known) {
        dray_networks_disconnected(c->set->engine->networks, ref->name, c->id);
    }
    if (rc != 0)
        return rc;
    bool published = dray_json_bool(ep, PUBLISHES, false);
    json_object_object_del(endpoints, ref->name);
    if (alive && published)
        publish_elsewhere(c, endpoints);
    return store_endpoints(c, endpoints, err);
}

int dray_containers_disconnect(struct dray_containers *cs, const char *container,
                               const char *network, bool force, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    struct dray_network_ref ref = {.mode = 0};
    int rc = dray_container_find(cs, container, &c, err);
    if (rc != 0)
        return rc;
    /* By force also from a network that is no more. */
    bool known = dray_networks_find(cs->engine->networks, network, &ref, force ? NULL : err) == 0;
    if (!known && !force)
        return DRAY_E_NOTFOUND;
    if (!known)
        (void)snprintf(ref.name, sizeof ref.name, "%s", network);
    rc = dray_container_op_begin(c, err);
    if (rc != 0)
        return rc;
    rc = disconnect_locked(c, &ref, known, err);
    pthread_mutex_unlock(&c->op);
    return rc;
}
