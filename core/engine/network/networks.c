/* SPDX-License-Identifier: Apache-2.0 */
/* networks.c - the table of networks: opened at start, searched, kept in the order of creation. */
#include "engine/network/network_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/events.h"
#include "engine/network/proxy.h"

#include <dirent.h>
#include <fcntl.h>
#include <time.h>

#define DRAY_LOG_AREA "net"

struct dray_net *dray_net_new(const char *name)
{
    struct dray_net *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    atomic_init(&n->refs, 1);
    pthread_mutex_init(&n->lock, NULL);
    (void)snprintf(n->name, sizeof n->name, "%s", name);
    n->created_ns = dray_clock_now();
    n->options = json_object_new_object();
    n->labels = json_object_new_object();
    dray_id_new(n->id);
    return n;
}

struct dray_net *dray_net_ref(struct dray_net *n)
{
    atomic_fetch_add(&n->refs, 1);
    return n;
}

void dray_net_unref(struct dray_net *n)
{
    if (!n || atomic_fetch_sub(&n->refs, 1) != 1)
        return;
    for (size_t i = 0; i < n->n_pools; i++) {
        free(n->pools[i].pool);
        json_object_put(n->pools[i].aux);
    }
    while (n->eps) {
        struct dray_net_ep *e = n->eps;
        n->eps = e->next;
        free(e);
    }
    json_object_put(n->options);
    json_object_put(n->labels);
    json_object_put(n->ipam_options);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

/* Lock held. How many ready networks match; *out is one of them. */
static size_t search(const struct dray_networks *ns, const char *key, struct dray_net **out)
{
    size_t prefixes = 0;
    struct dray_net *by_name = NULL;
    size_t len = strlen(key);
    for (size_t i = 0; i < ns->n; i++) {
        struct dray_net *n = ns->v[i];
        if (!n->ready)
            continue;
        if (strcmp(n->id, key) == 0) {
            *out = n;
            return 1;
        }
        if (strcmp(n->name, key) == 0)
            by_name = n;
        if (len && strncmp(n->id, key, len) == 0 && prefixes++ == 0)
            *out = n;
    }
    if (!by_name)
        return prefixes;
    *out = by_name;
    return 1;
}

int dray_net_find(struct dray_networks *ns, const char *name_or_id, struct dray_net **out,
                  struct dray_err *err)
{
    const char *key = strcmp(name_or_id, "default") == 0 ? "bridge" : name_or_id;
    struct dray_net *found = NULL;
    pthread_rwlock_rdlock(&ns->lock);
    size_t matches = search(ns, key, &found);
    if (matches == 1)
        *out = dray_net_ref(found);
    pthread_rwlock_unlock(&ns->lock);
    if (matches == 1)
        return 0;
    if (matches)
        return dray_fail(err, DRAY_E_INVAL,
                         "network %s is ambiguous (%zu matches found based on ID prefix)",
                         name_or_id, matches);
    if (strcmp(key, "bridge") == 0 && ns->no_bridge[0])
        return dray_fail(
            err, DRAY_E_NOTFOUND,
            "network bridge not found: it could not be made when the daemon started: %s",
            ns->no_bridge);
    return dray_fail(err, DRAY_E_NOTFOUND, "network %s not found", name_or_id);
}

int dray_net_insert(struct dray_networks *ns, struct dray_net *n, struct dray_err *err)
{
    int rc = 0;
    pthread_rwlock_wrlock(&ns->lock);
    for (size_t i = 0; !rc && i < ns->n; i++)
        if (strcmp(ns->v[i]->name, n->name) == 0)
            rc = dray_fail(err, DRAY_E_CONFLICT, "network with name %s already exists", n->name);
    if (!rc && ns->n == ns->cap) {
        size_t cap = ns->cap ? ns->cap * 2 : 16;
        struct dray_net **v = reallocarray(ns->v, cap, sizeof(struct dray_net *));
        if (v) {
            ns->v = v;
            ns->cap = cap;
        } else {
            rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
        }
    }
    if (!rc)
        ns->v[ns->n++] = dray_net_ref(n);
    pthread_rwlock_unlock(&ns->lock);
    return rc;
}

void dray_net_set_ready(struct dray_networks *ns, struct dray_net *n)
{
    pthread_rwlock_wrlock(&ns->lock);
    n->ready = true;
    pthread_rwlock_unlock(&ns->lock);
}

void dray_net_erase(struct dray_networks *ns, struct dray_net *n)
{
    bool found = false;
    pthread_rwlock_wrlock(&ns->lock);
    for (size_t i = 0; i < ns->n; i++) {
        if (found)
            ns->v[i - 1] = ns->v[i];
        found = found || ns->v[i] == n;
    }
    if (found)
        ns->n--;
    pthread_rwlock_unlock(&ns->lock);
    if (found)
        dray_net_unref(n);
}

size_t dray_net_snapshot(struct dray_networks *ns, struct dray_net ***out)
{
    size_t n = 0;
    pthread_rwlock_rdlock(&ns->lock);
    struct dray_net **v = calloc(ns->n + 1, sizeof(struct dray_net *));
    for (size_t i = 0; v && i < ns->n; i++)
        if (ns->v[i]->ready)
            v[n++] = dray_net_ref(ns->v[i]);
    pthread_rwlock_unlock(&ns->lock);
    *out = v;
    return n;
}

void dray_net_list_free(struct dray_net **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dray_net_unref(v[i]);
    free(v);
}

void dray_net_event(struct dray_networks *ns, const struct dray_net *n, const char *action,
                    const char *container)
{
    struct json_object *attrs = json_object_new_object();
    if (container)
        dray_json_add_str(attrs, "container", container);
    dray_json_add_str(attrs, "name", n->name);
    dray_json_add_str(attrs, "type", n->driver_name);
    dray_events_emit(ns->engine->events, "network", action, n->id, attrs);
}

static int by_age(const void *a, const void *b)
{
    const struct dray_net *x = *(struct dray_net *const *)a;
    const struct dray_net *y = *(struct dray_net *const *)b;
    return x->created_ns < y->created_ns ? -1 : x->created_ns > y->created_ns;
}

/* A network whose driver fails stays listed: it is used again when the driver is mended. */
static void revive(struct dray_networks *ns, struct dray_net *n)
{
    struct dray_err why = {0};
    int rc = dray_net_find_drivers(ns, n, &why);
    if (!rc)
        rc = dray_net_establish(n, true, &why);
    if (rc)
        dray_error("network %s (%.12s): %s", n->name, n->id, why.text);
}

static int load_one(struct dray_networks *ns, const char *file)
{
    char id[DRAY_ID_LEN];
    size_t len = strlen(file);
    if (len != DRAY_ID_LEN - 1 + strlen(".json") || strcmp(file + DRAY_ID_LEN - 1, ".json") != 0)
        return 0;
    (void)snprintf(id, sizeof id, "%.64s", file);
    struct dray_err why = {0};
    dray_autonet *n = NULL;
    int rc = dray_net_load(ns, id, &n, &why);
    rc = rc ? rc : dray_net_insert(ns, n, &why);
    if (rc) {
        dray_error("network %s is broken, and left out until it is mended or removed by its id: %s",
                   id, why.text);
        atomic_store(&ns->engine->damaged, true);
    }
    return rc;
}

static int load_all(struct dray_networks *ns, struct dray_err *err)
{
    dray_fs_sweep(ns->dir);
    int fd = openat(ns->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            (void)close(fd);
        return dray_fail_errno(err, "read the networks");
    }
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        (void)load_one(ns, e->d_name);
    (void)closedir(d);
    if (ns->n)
        qsort(ns->v, ns->n, sizeof(struct dray_net *), by_age);
    return 0;
}

int dray_networks_open(struct dray_engine *e, struct dray_networks **out, struct dray_err *err)
{
    struct dray_networks *ns = calloc(1, sizeof *ns);
    if (!ns)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    ns->engine = e;
    ns->dir = -EBADF;
    pthread_rwlock_init(&ns->lock, NULL);
    pthread_mutex_init(&ns->check_lock, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&ns->check_wake, &mono);
    pthread_condattr_destroy(&mono);
    int rc = dray_fs_open_dir(e->data_fd, "networks", 0700, &ns->dir, err);
    rc = rc ? rc : load_all(ns, err);
    for (size_t i = 0; !rc && i < ns->n; i++) {
        if (!ns->v[i]->predefined)
            revive(ns, ns->v[i]);
        ns->v[i]->ready = true;
    }
    rc = rc ? rc : dray_net_defaults(ns, err);
    rc = rc ? rc : dray_net_check_start(ns, err);
    if (rc) {
        dray_networks_close(ns);
        return rc;
    }
    *out = ns;
    return 0;
}

void dray_networks_close(struct dray_networks *ns)
{
    if (!ns)
        return;
    dray_net_check_stop(ns);
    for (size_t i = 0; i < ns->n; i++)
        dray_net_unref(ns->v[i]);
    free(ns->v);
    if (ns->dir >= 0)
        (void)close(ns->dir);
    pthread_cond_destroy(&ns->check_wake);
    pthread_mutex_destroy(&ns->check_lock);
    pthread_rwlock_destroy(&ns->lock);
    free(ns);
}

/* Ids of what lives on one driver. */
static void gather_alive(struct dray_net **v, size_t n, const struct dray_driver *d,
                         struct dray_strlist *nets, struct dray_strlist *eps)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i]->driver != d)
            continue;
        (void)dray_strlist_add(nets, v[i]->id);
        pthread_mutex_lock(&v[i]->lock);
        for (const struct dray_net_ep *e = v[i]->eps; e; e = e->next)
            (void)dray_strlist_add(eps, e->id);
        pthread_mutex_unlock(&v[i]->lock);
    }
}

static void collect_networks(struct dray_networks *ns, struct dray_driver *d)
{
    DRAY_AUTO(dray_strlist) nets = {0};
    DRAY_AUTO(dray_strlist) eps = {0};
    struct dray_net **v = NULL;
    size_t n = dray_net_snapshot(ns, &v);
    struct dray_err why = {0};
    gather_alive(v, n, d, &nets, &eps);
    int rc = dray_driver_call(d, network, DRAY_CLASS_MOUNT, &why, collect, dray_strlist_view(&nets),
                              dray_strlist_view(&eps));
    if (rc && rc != DRAY_E_NOTSUP)
        dray_warn("network driver %s: %s", dray_driver_name(d), why.text);
    dray_net_list_free(v, n);
}

static void collect_pools(struct dray_networks *ns, struct dray_driver *d)
{
    DRAY_AUTO(dray_strlist) pools = {0};
    struct dray_net **v = NULL;
    size_t n = dray_net_snapshot(ns, &v);
    struct dray_err why = {0};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; v[i]->ipam == d && k < v[i]->n_pools; k++)
            if (v[i]->pools[k].pool)
                (void)dray_strlist_add(&pools, v[i]->pools[k].pool);
    int rc = dray_driver_call(d, ipam, DRAY_CLASS_QUICK, &why, collect, dray_strlist_view(&pools));
    if (rc && rc != DRAY_E_NOTSUP)
        dray_warn("ipam driver %s: %s", dray_driver_name(d), why.text);
    dray_net_list_free(v, n);
}

/* Endpoints whose ports the proxy carries. */
static void collect_proxied(struct dray_networks *ns)
{
    DRAY_AUTO(dray_strlist) eps = {0};
    struct dray_net **v = NULL;
    size_t n = dray_net_snapshot(ns, &v);
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&v[i]->lock);
        for (const struct dray_net_ep *e = v[i]->eps; e; e = e->next)
            if (e->proxied)
                (void)dray_strlist_add(&eps, e->id);
        pthread_mutex_unlock(&v[i]->lock);
    }
    dray_proxy_keep(ns->engine->proxy, dray_strlist_view(&eps));
    dray_net_list_free(v, n);
}

void dray_networks_collect(struct dray_networks *ns)
{
    struct dray_drivers *drivers = ns->engine->drivers;
    struct dray_driver *d;
    for (size_t i = 0; (d = dray_drivers_at(drivers, DRAY_KIND_NETWORK, i)); i++)
        collect_networks(ns, d);
    for (size_t i = 0; (d = dray_drivers_at(drivers, DRAY_KIND_IPAM, i)); i++)
        collect_pools(ns, d);
    collect_proxied(ns);
}

int dray_networks_find(struct dray_networks *ns, const char *name_or_id,
                       struct dray_network_ref *out, struct dray_err *err)
{
    dray_autonet *n = NULL;
    int rc = dray_net_find(ns, name_or_id, &n, err);
    if (rc)
        return rc;
    *out = (struct dray_network_ref){.mode = DRAY_NETMODE_PRIVATE,
                                     .user_defined = !n->predefined,
                                     .internal = n->internal,
                                     .ipv4 = n->ipv4,
                                     .ipv6 = n->ipv6,
                                     .attachable = n->attachable};
    (void)snprintf(out->id, sizeof out->id, "%s", n->id);
    (void)snprintf(out->name, sizeof out->name, "%s", n->name);
    uint64_t features = dray_net_features(n);
    if (features & DRAY_NETWORK_F_HOST || (n->predefined && strcmp(n->name, "host") == 0))
        out->mode = DRAY_NETMODE_HOST;
    else if (n->predefined && strcmp(n->name, "none") == 0)
        out->mode = DRAY_NETMODE_NONE;
    return 0;
}

size_t dray_networks_host_gateways(struct dray_networks *ns, char out[2][DRAY_HOST_GATEWAY])
{
    const struct dray_config *c = ns->engine->config;
    size_t n_out = 0;
    for (size_t i = 0; i < c->host_gateway_ips.n && n_out < 2; i++)
        (void)snprintf(out[n_out++], DRAY_HOST_GATEWAY, "%s", c->host_gateway_ips.v[i]);
    if (!n_out && c->host_gateway_ip && *c->host_gateway_ip)
        (void)snprintf(out[n_out++], DRAY_HOST_GATEWAY, "%s", c->host_gateway_ip);
    dray_autonet *n = NULL;
    if (n_out || dray_net_find(ns, "bridge", &n, NULL) != 0)
        return n_out;
    for (size_t i = 0; i < n->n_pools && n_out < 2; i++)
        if (n->pools[i].gateway[0])
            (void)snprintf(out[n_out++], DRAY_HOST_GATEWAY, "%s", n->pools[i].gateway);
    return n_out;
}
