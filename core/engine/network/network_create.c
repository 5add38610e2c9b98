/* SPDX-License-Identifier: Apache-2.0 */
/* network_create.c - creation, removal and pruning of networks. */
#include "engine/network/network_priv.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/containers.h"
#include "engine/events.h"
#include "engine/filters.h"

#define DRAY_LOG_AREA "net"

bool dray_net_name_predefined(const char *name)
{
    static const char *const names[] = {"bridge", "host", "none", "default"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

uint64_t dray_net_features(const struct dray_net *n)
{
    return n->driver ? dray_driver_features(n->driver) : 0;
}

int dray_net_find_drivers(struct dray_networks *ns, struct dray_net *n, struct dray_err *err)
{
    struct dray_drivers *drivers = ns->engine->drivers;
    n->driver = dray_drivers_get(drivers, DRAY_KIND_NETWORK, n->driver_name, err);
    if (!n->driver)
        return DRAY_E_NOTFOUND;
    if (dray_net_features(n) & DRAY_NETWORK_F_NO_IPAM)
        return 0;
    n->ipam = dray_drivers_get(drivers, DRAY_KIND_IPAM, n->ipam_name, err);
    return n->ipam ? 0 : DRAY_E_NOTFOUND;
}

static uint32_t spec_flags(const struct dray_net *n)
{
    return (n->internal ? DRAY_NET_INTERNAL : 0) | (n->ipv4 ? DRAY_NET_IPV4 : 0) |
           (n->ipv6 ? DRAY_NET_IPV6 : 0) |
           (n->predefined && strcmp(n->name, "bridge") == 0 ? DRAY_NET_DEFAULT : 0);
}

/* Docker's way to say where default routes lead, by auxiliary addresses of these names. */
static const char *route_of(const struct dray_net *n, uint32_t family)
{
    const char *key = family == 4 ? DRAY_NET_ROUTE4 : DRAY_NET_ROUTE6;
    const char *addr = "";
    for (size_t i = 0; i < n->n_pools && !*addr; i++)
        if (n->pools[i].family == family && n->pools[i].aux)
            addr = dray_json_str(n->pools[i].aux, key, "");
    return addr;
}

static int create_in_driver(struct dray_net *n, bool replay, struct dray_err *err)
{
    DRAY_AUTO(dray_kvlist) opts = {0};
    DRAY_AUTO(dray_kvlist) labels = {0};
    struct dray_net_pool pools[DRAY_NET_POOLS];
    for (size_t i = 0; i < n->n_pools; i++)
        pools[i] = (struct dray_net_pool){.size = sizeof pools[i],
                                          .family = n->pools[i].family,
                                          .subnet = n->pools[i].subnet,
                                          .gateway = n->pools[i].gateway};
    int rc = dray_json_to_kvlist(n->options, &opts, err);
    rc = rc ? rc : dray_json_to_kvlist(n->labels, &labels, err);
    if (rc)
        return rc;
    struct dray_net_spec spec = {.size = sizeof spec,
                                 .flags = spec_flags(n),
                                 .name = n->name,
                                 .options = dray_kvlist_view(&opts),
                                 .labels = dray_kvlist_view(&labels),
                                 .pools = pools,
                                 .n_pools = n->n_pools,
                                 .route4 = route_of(n, 4),
                                 .route6 = route_of(n, 6)};
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_object(&s, n->id);
    if (replay)
        dray_call_replay(&s);
    rc = dray_call_enter(&s, n->driver, DRAY_CLASS_MOUNT, -1, err);
    if (!rc)
        rc = ((const struct dray_network_ops *)s.ops)
                 ->net_create(s.self, &s.call, n->id, &spec, err);
    return rc;
}

int dray_net_establish(struct dray_net *n, bool replay, struct dray_err *err)
{
    int rc = n->ipam ? dray_net_pools_request(n, replay, err) : 0;
    if (rc)
        return rc;
    rc = create_in_driver(n, replay, err);
    if (rc && n->ipam)
        dray_net_pools_release(n);
    return rc;
}

static int check_request(struct json_object *req, struct dray_err *err)
{
    const char *name = dray_json_str(req, "Name", "");
    if (name[strspn(name, " \t\n")] == '\0')
        return dray_fail(err, DRAY_E_INVAL, "invalid name: name is empty");
    if (strlen(name) >= DRAY_NET_NAME)
        return dray_fail(err, DRAY_E_INVAL, "invalid network name \"%.40s\"", name);
    if (dray_net_name_predefined(name))
        return dray_fail(err, DRAY_E_DENIED, "operation is not permitted on predefined %s network ",
                         name);
    if (dray_json_bool(req, "ConfigOnly", false) || *dray_json_str(req, "ConfigFrom.Network", ""))
        return dray_fail(err, DRAY_E_INVAL, "config-only networks are not supported");
    if (dray_json_bool(req, "Ingress", false) ||
        strcmp(dray_json_str(req, "Scope", ""), "swarm") == 0 ||
        strcmp(dray_json_str(req, "Driver", ""), "overlay") == 0)
        return dray_fail(err, DRAY_E_UNAVAIL,
                         "This node is not a swarm manager. Use \"docker swarm init\" or "
                         "\"docker swarm join\" to connect this node to swarm and try again.");
    return 0;
}

/* Options and labels must be maps of strings. */
static int copy_strings(struct json_object **slot, struct json_object *from, const char *what,
                        struct dray_err *err)
{
    if (!from)
        return 0;
    json_object_object_foreach(from, key, value)
    {
        if (!json_object_is_type(value, json_type_string))
            return dray_fail(err, DRAY_E_INVAL, "%s of a network: value of \"%s\" is no string",
                             what, key);
    }
    json_object_put(*slot);
    *slot = dray_json_copy(from);
    return 0;
}

/* What the daemon's configuration says of new networks of this driver and the user does not. */
static void add_default_options(struct dray_net *n, struct json_object *defaults)
{
    struct json_object *of_driver = NULL;
    if (!defaults || !json_object_object_get_ex(defaults, n->driver_name, &of_driver))
        return;
    json_object_object_foreach(of_driver, key, value)
    {
        if (!json_object_object_get_ex(n->options, key, NULL))
            dray_json_add_str(n->options, key, json_object_get_string(value));
    }
}

/* Has it addresses of a family? The request says so itself, or by a driver's option. */
static int read_family(struct dray_net *n, struct json_object *req, const char *key,
                       const char *option, bool *out, struct dray_err *err)
{
    struct json_object *said = NULL, *text = NULL;
    if (json_object_object_get_ex(req, key, &said) && said) {
        json_object_object_del(n->options, option);
        *out = json_object_get_boolean(said);
    } else if (json_object_object_get_ex(n->options, option, &text) &&
               !dray_str_bool(json_object_get_string(text), out)) {
        return dray_fail(err, DRAY_E_INVAL, "driver-opt \"%s\" is not a valid bool", option);
    }
    return 0;
}

static int fill(struct dray_networks *ns, struct dray_net *n, struct json_object *req,
                struct dray_err *err)
{
    const char *driver = dray_json_str(req, "Driver", "");
    const char *name = *driver && strcmp(driver, "default") != 0 ? driver : "bridge";
    if (strlen(name) >= sizeof n->driver_name)
        return dray_fail(err, DRAY_E_NOTFOUND, "plugin \"%.40s...\" not found", name);
    (void)snprintf(n->driver_name, sizeof n->driver_name, "%s", name);
    n->internal = dray_json_bool(req, "Internal", false);
    n->attachable = dray_json_bool(req, "Attachable", false);
    int rc = copy_strings(&n->options, dray_json_obj(req, "Options"), "options", err);
    rc = rc ? rc : copy_strings(&n->labels, dray_json_obj(req, "Labels"), "labels", err);
    if (rc)
        return rc;
    add_default_options(n, ns->engine->config->default_network_opts);
    n->ipv4 = true;
    rc = read_family(n, req, "EnableIPv4", "com.docker.network.enable_ipv4", &n->ipv4, err);
    rc = rc ? rc
            : read_family(n, req, "EnableIPv6", "com.docker.network.enable_ipv6", &n->ipv6, err);
    if (rc)
        return rc;
    if (!n->ipv4 && !n->ipv6)
        return dray_fail(err, DRAY_E_INVAL, "IPv4 or IPv6 must be enabled");
    return dray_net_ipam_parse(n, dray_json_obj(req, "IPAM"), err);
}

static int make(struct dray_networks *ns, struct dray_net *n, struct dray_err *err)
{
    int rc = dray_net_find_drivers(ns, n, err);
    if (!rc && dray_net_features(n) & DRAY_NETWORK_F_SINGLE)
        rc = dray_fail(err, DRAY_E_DENIED, "only one instance of \"%s\" network is allowed",
                       n->driver_name);
    rc = rc ? rc : dray_net_establish(n, false, err);
    if (rc)
        return rc;
    rc = dray_net_store(ns, n, err);
    if (!rc)
        return 0;
    (void)dray_driver_call(n->driver, network, DRAY_CLASS_MOUNT, NULL, net_remove, n->id);
    if (n->ipam)
        dray_net_pools_release(n);
    return rc;
}

int dray_networks_create(struct dray_networks *ns, struct json_object *req,
                         struct json_object **out, struct dray_err *err)
{
    int rc = check_request(req, err);
    if (rc)
        return rc;
    dray_autonet *n = dray_net_new(dray_json_str(req, "Name", ""));
    if (!n)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    rc = fill(ns, n, req, err);
    rc = rc ? rc : dray_net_insert(ns, n, err);
    if (rc)
        return rc;
    rc = make(ns, n, err);
    if (rc) {
        dray_net_erase(ns, n);
        return rc;
    }
    dray_net_set_ready(ns, n);
    dray_net_event(ns, n, "create", NULL);
    *out = json_object_new_object();
    dray_json_add_str(*out, "Id", n->id);
    dray_json_add_str(*out, "Warning", "");
    return 0;
}

/* From here on nobody joins. */
static int begin_removal(struct dray_net *n, struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&n->lock);
    if (n->eps)
        rc = dray_fail(err, DRAY_E_DENIED,
                       "error while removing network: network %s has active endpoints (name:\"%s\" "
                       "id:\"%.12s\")",
                       n->name, n->eps->name, n->eps->id);
    else if (n->removing)
        rc = dray_fail(err, DRAY_E_NOTFOUND, "network %s not found", n->name);
    else
        n->removing = true;
    pthread_mutex_unlock(&n->lock);
    return rc;
}

/* A container of the network that has ended, but not yet left it, does so soon. */
static bool one_leaves(struct dray_networks *ns, struct dray_net *n)
{
    char id[DRAY_ID_LEN] = "";
    pthread_mutex_lock(&n->lock);
    if (n->eps)
        memcpy(id, n->eps->container, sizeof id);
    pthread_mutex_unlock(&n->lock);
    if (!*id || !ns->engine->containers || !dray_containers_let_go(ns->engine->containers, id))
        return false;
    pthread_mutex_lock(&n->lock);
    bool left = !n->eps || strcmp(n->eps->container, id) != 0;
    pthread_mutex_unlock(&n->lock);
    return left;
}

static int remove_net(struct dray_networks *ns, struct dray_net *n, struct dray_err *err)
{
    if (n->predefined)
        return dray_fail(err, DRAY_E_DENIED, "%s is a pre-defined network and cannot be removed",
                         n->name);
    int rc = begin_removal(n, err);
    while (rc == DRAY_E_DENIED && one_leaves(ns, n))
        rc = begin_removal(n, err);
    if (rc)
        return rc;
    if (n->driver)
        rc = dray_driver_call(n->driver, network, DRAY_CLASS_MOUNT, err, net_remove, n->id);
    rc = rc ? rc : dray_net_forget(ns, n, err);
    if (rc) {
        pthread_mutex_lock(&n->lock);
        n->removing = false;
        pthread_mutex_unlock(&n->lock);
        return dray_err_note(err, "error while removing network");
    }
    if (n->ipam)
        dray_net_pools_release(n);
    dray_net_erase(ns, n);
    dray_net_event(ns, n, "destroy", NULL);
    return 0;
}

int dray_networks_remove(struct dray_networks *ns, const char *name_or_id, struct dray_err *err)
{
    dray_autonet *n = NULL;
    int rc = dray_net_find(ns, name_or_id, &n, err);
    if (rc == DRAY_E_NOTFOUND && dray_net_forget_broken(ns, name_or_id))
        return 0;
    return rc ? rc : remove_net(ns, n, err);
}

static int until_of(const struct dray_filters *f, int64_t *out, struct dray_err *err)
{
    const char *text = dray_filters_get(f, "until", 0);
    *out = INT64_MAX;
    if (!text)
        return 0;
    if (dray_filters_get(f, "until", 1))
        return dray_fail(err, DRAY_E_INVAL, "more than one until filter specified");
    if (!dray_time_parse_when(text, dray_clock_now(), out))
        return dray_fail(err, DRAY_E_INVAL, "invalid filter 'until=%s'", text);
    return 0;
}

static bool prunable(struct dray_net *n, const struct dray_filters *f, int64_t until)
{
    pthread_mutex_lock(&n->lock);
    bool idle = !n->eps;
    pthread_mutex_unlock(&n->lock);
    return idle && !n->predefined && n->created_ns < until && dray_filters_labels(f, n->labels);
}

int dray_networks_prune(struct dray_networks *ns, const struct dray_filters *f,
                        struct json_object **out, struct dray_err *err)
{
    int64_t until = 0;
    int rc = until_of(f, &until, err);
    if (rc)
        return rc;
    struct dray_net **v = NULL;
    size_t n = dray_net_snapshot(ns, &v);
    struct json_object *deleted = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        struct dray_err why = {0};
        if (!prunable(v[i], f, until))
            continue;
        if (!remove_net(ns, v[i], &why))
            json_object_array_add(deleted, json_object_new_string(v[i]->name));
        else
            dray_warn("prune network %s: %s", v[i]->name, why.text);
    }
    dray_net_list_free(v, n);
    struct json_object *attrs = json_object_new_object();
    dray_json_add_str(attrs, "reclaimed", "0");
    dray_events_emit(ns->engine->events, "network", "prune", "", attrs);
    *out = json_object_new_object();
    if (dray_json_len(deleted) == 0)
        json_object_put(dray_steal(deleted)); /* null, as Docker's */
    dray_json_add(*out, "NetworksDeleted", deleted);
    return 0;
}
