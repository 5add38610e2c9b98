/* SPDX-License-Identifier: Apache-2.0 */
/* network_doc.c - a network's document in data_root/networks. */
#include "engine/network/network_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"

#include <fcntl.h>

#define DRAY_LOG_AREA "networks"

/* "<id>.json" */
struct doc_name {
    char text[DRAY_ID_LEN + 8];
};

static struct doc_name doc_name(const char *id)
{
    struct doc_name d;
    (void)snprintf(d.text, sizeof d.text, "%s.json", id);
    return d;
}

static struct json_object *pool_json(const struct dray_net_pool_state *p, bool all)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Subnet", p->subnet);
    if (p->range[0])
        dray_json_add_str(o, "IPRange", p->range);
    if (p->gateway[0] && (all || !p->quiet_gateway))
        dray_json_add_str(o, "Gateway", p->gateway);
    if (p->aux)
        dray_json_add(o, "AuxiliaryAddresses", dray_json_copy(p->aux));
    return o;
}

struct json_object *dray_net_ipam_json(const struct dray_net *n, bool all)
{
    struct json_object *ipam = json_object_new_object();
    struct json_object *config = n->n_pools ? json_object_new_array() : NULL;
    for (size_t i = 0; i < n->n_pools; i++)
        json_object_array_add(config, pool_json(&n->pools[i], all));
    dray_json_add_str(ipam, "Driver", n->ipam_name);
    dray_json_add(ipam, "Options", dray_json_copy(n->ipam_options));
    dray_json_add(ipam, "Config", config);
    return ipam;
}

int dray_net_store(struct dray_networks *ns, const struct dray_net *n, struct dray_err *err)
{
    char created[DRAY_TIME_LEN];
    dray_time_format(n->created_ns, created);
    dray_autojson *doc = json_object_new_object();
    dray_json_add_str(doc, "Name", n->name);
    dray_json_add_str(doc, "Id", n->id);
    dray_json_add_str(doc, "Created", created);
    dray_json_add_str(doc, "Driver", n->driver_name);
    dray_json_add_bool(doc, "Predefined", n->predefined);
    dray_json_add_bool(doc, "Internal", n->internal);
    dray_json_add_bool(doc, "Attachable", n->attachable);
    dray_json_add_bool(doc, "EnableIPv4", n->ipv4);
    dray_json_add_bool(doc, "EnableIPv6", n->ipv6);
    dray_json_add(doc, "Options", dray_json_copy(n->options));
    dray_json_add(doc, "Labels", dray_json_copy(n->labels));
    dray_json_add(doc, "IPAM", dray_net_ipam_json(n, true));
    struct json_object *given = json_object_new_array(), *quiet = json_object_new_array();
    for (size_t i = 0; i < n->n_pools; i++) {
        json_object_array_add(given, json_object_new_boolean(n->pools[i].given));
        json_object_array_add(quiet, json_object_new_boolean(n->pools[i].quiet_gateway));
    }
    dray_json_add(doc, "GivenSubnets", given);
    dray_json_add(doc, "QuietGateways", quiet);
    return dray_json_store(ns->dir, doc_name(n->id).text, doc, err);
}

int dray_net_forget(struct dray_networks *ns, const struct dray_net *n, struct dray_err *err)
{
    if (unlinkat(ns->dir, doc_name(n->id).text, 0) && errno != ENOENT)
        return dray_fail_errno(err, "remove the document of network %s", n->name);
    return fsync(ns->dir) ? dray_fail_errno(err, "remove the document of network %s", n->name) : 0;
}

bool dray_net_forget_broken(struct dray_networks *ns, const char *id)
{
    if (!dray_id_is_hex(id, DRAY_ID_LEN - 1, DRAY_ID_LEN - 1) ||
        faccessat(ns->dir, doc_name(id).text, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    struct dray_err err = {0};
    int rc = dray_fs_remove_tree(ns->dir, doc_name(id).text, &err);
    dray_info("the document of the broken network %s: %s", id, rc ? err.text : "removed");
    return rc == 0;
}

static int copy_text(char *out, size_t size, struct json_object *obj, const char *key,
                     struct dray_err *err)
{
    const char *text = dray_json_str(obj, key, "");
    if (strlen(text) >= size)
        return dray_fail(err, DRAY_E_CORRUPT, "%s is too long", key);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int load_pool(struct dray_net *n, struct json_object *o, bool given, struct dray_err *err)
{
    if (n->n_pools == DRAY_NET_POOLS)
        return dray_fail(err, DRAY_E_CORRUPT, "too many pools");
    struct dray_net_pool_state *p = &n->pools[n->n_pools];
    int rc = copy_text(p->subnet, sizeof p->subnet, o, "Subnet", err);
    rc = rc ? rc : copy_text(p->range, sizeof p->range, o, "IPRange", err);
    rc = rc ? rc : copy_text(p->gateway, sizeof p->gateway, o, "Gateway", err);
    p->family = dray_addr_family(p->subnet);
    p->given = given;
    if (!rc && !p->family)
        return dray_fail(err, DRAY_E_CORRUPT, "invalid subnet \"%s\"", p->subnet);
    if (rc)
        return rc;
    p->aux = dray_json_copy(dray_json_obj(o, "AuxiliaryAddresses"));
    n->n_pools++;
    return 0;
}

static int load_fields(struct dray_net *n, struct json_object *doc, struct dray_err *err)
{
    int64_t created = 0;
    int rc = copy_text(n->name, sizeof n->name, doc, "Name", err);
    rc = rc ? rc : copy_text(n->driver_name, sizeof n->driver_name, doc, "Driver", err);
    rc = rc ? rc : copy_text(n->ipam_name, sizeof n->ipam_name, doc, "IPAM.Driver", err);
    if (!rc && (!n->name[0] || !n->driver_name[0]))
        rc = dray_fail(err, DRAY_E_CORRUPT, "name or driver is missing");
    if (dray_time_parse(dray_json_str(doc, "Created", ""), &created))
        n->created_ns = created;
    n->predefined = dray_json_bool(doc, "Predefined", false);
    n->internal = dray_json_bool(doc, "Internal", false);
    n->attachable = dray_json_bool(doc, "Attachable", false);
    n->ipv4 = dray_json_bool(doc, "EnableIPv4", true);
    n->ipv6 = dray_json_bool(doc, "EnableIPv6", false);
    struct json_object *config = dray_json_arr(doc, "IPAM.Config");
    struct json_object *given = dray_json_arr(doc, "GivenSubnets");
    struct json_object *quiet = dray_json_arr(doc, "QuietGateways");
    for (size_t i = 0; !rc && i < dray_json_len(config); i++) {
        bool named = i < dray_json_len(given) &&
                     json_object_get_boolean(json_object_array_get_idx(given, i));
        rc = load_pool(n, json_object_array_get_idx(config, i), named, err);
        if (!rc && i < dray_json_len(quiet))
            n->pools[i].quiet_gateway =
                json_object_get_boolean(json_object_array_get_idx(quiet, i));
    }
    return rc;
}

static void replace(struct json_object **slot, struct json_object *value)
{
    if (!value)
        return;
    json_object_put(*slot);
    *slot = dray_json_copy(value);
}

int dray_net_load(struct dray_networks *ns, const char *id, struct dray_net **out,
                  struct dray_err *err)
{
    dray_autojson *doc = NULL;
    int rc = dray_json_load(ns->dir, doc_name(id).text, &doc, err);
    if (rc)
        return rc;
    dray_autonet *n = dray_net_new("");
    if (!n)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)snprintf(n->id, sizeof n->id, "%s", id);
    rc = load_fields(n, doc, err);
    if (rc)
        return rc;
    replace(&n->options, dray_json_obj(doc, "Options"));
    replace(&n->labels, dray_json_obj(doc, "Labels"));
    replace(&n->ipam_options, dray_json_obj(doc, "IPAM.Options"));
    *out = dray_steal(n);
    return 0;
}
