/* SPDX-License-Identifier: Apache-2.0 */
/* network_view.c - networks as the API shows them. */
#include "engine/network/network_priv.h"

#include "base/clock.h"
#include "base/json.h"
#include "engine/filters.h"

static struct json_object *containers_json(struct dray_net *n)
{
    struct json_object *out = json_object_new_object();
    pthread_mutex_lock(&n->lock);
    for (const struct dray_net_ep *e = n->eps; e; e = e->next) {
        struct json_object *o = json_object_new_object();
        dray_json_add_str(o, "Name", e->name);
        dray_json_add_str(o, "EndpointID", e->id);
        dray_json_add_str(o, "MacAddress", e->mac);
        dray_json_add_str(o, "IPv4Address", e->ipv4);
        dray_json_add_str(o, "IPv6Address", e->ipv6);
        dray_json_add(out, e->container, o);
    }
    pthread_mutex_unlock(&n->lock);
    return out;
}

static struct json_object *network_json(struct dray_net *n, bool with_containers)
{
    char created[DRAY_TIME_LEN];
    dray_time_format(n->created_ns, created);
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Name", n->name);
    dray_json_add_str(o, "Id", n->id);
    dray_json_add_str(o, "Created", created);
    dray_json_add_str(o, "Scope", "local");
    dray_json_add_str(o, "Driver", n->driver_name);
    dray_json_add_bool(o, "EnableIPv4", n->ipv4 || n->predefined);
    dray_json_add_bool(o, "EnableIPv6", n->ipv6);
    dray_json_add(o, "IPAM", dray_net_ipam_json(n, false));
    dray_json_add_bool(o, "Internal", n->internal);
    dray_json_add_bool(o, "Attachable", n->attachable);
    dray_json_add_bool(o, "Ingress", false);
    struct json_object *from = json_object_new_object();
    dray_json_add_str(from, "Network", "");
    dray_json_add(o, "ConfigFrom", from);
    dray_json_add_bool(o, "ConfigOnly", false);
    dray_json_add(o, "Containers", with_containers ? containers_json(n) : json_object_new_object());
    dray_json_add(o, "Options", dray_json_copy(n->options));
    dray_json_add(o, "Labels", dray_json_copy(n->labels));
    return o;
}

int dray_networks_inspect(struct dray_networks *ns, const char *name_or_id,
                          struct json_object **out, struct dray_err *err)
{
    dray_autonet *n = NULL;
    int rc = dray_net_find(ns, name_or_id, &n, err);
    if (rc)
        return rc;
    *out = network_json(n, true);
    return 0;
}

static int check_type(const struct dray_filters *f, struct dray_err *err)
{
    const char *value;
    for (size_t i = 0; (value = dray_filters_get(f, "type", i)); i++)
        if (strcmp(value, "custom") != 0 && strcmp(value, "builtin") != 0)
            return dray_fail(err, DRAY_E_INVAL, "invalid filter: 'type'='%s'", value);
    return 0;
}

static bool contains(const struct dray_filters *f, const char *key, const char *text)
{
    const char *value;
    size_t i = 0;
    for (; (value = dray_filters_get(f, key, i)); i++)
        if (strstr(text, value))
            return true;
    return i == 0;
}

static bool passes(struct dray_net *n, const struct dray_filters *f, bool dangling)
{
    if (!dray_filters_exact(f, "driver", n->driver_name) || !contains(f, "id", n->id) ||
        !dray_filters_match(f, "name", n->name) || !dray_filters_exact(f, "scope", "local") ||
        !dray_filters_exact(f, "type", n->predefined ? "builtin" : "custom") ||
        !dray_filters_labels(f, n->labels))
        return false;
    if (!dray_filters_has(f, "dangling"))
        return true;
    pthread_mutex_lock(&n->lock);
    bool idle = !n->eps && !n->predefined;
    pthread_mutex_unlock(&n->lock);
    return idle == dangling;
}

int dray_networks_list(struct dray_networks *ns, const struct dray_filters *f,
                       struct json_object **out, struct dray_err *err)
{
    bool dangling = false;
    int rc = dray_filters_bool(f, "dangling", false, &dangling, err);
    rc = rc ? rc : check_type(f, err);
    if (rc)
        return rc;
    struct dray_net **v = NULL;
    size_t n = dray_net_snapshot(ns, &v);
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < n; i++)
        if (passes(v[i], f, dangling))
            json_object_array_add(list, network_json(v[i], false));
    dray_net_list_free(v, n);
    *out = list;
    return 0;
}
