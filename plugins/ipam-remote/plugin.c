/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.c - a family of address drivers: servers of libnetwork's remote ipam protocol.
 *
 * A server keeps its pools and addresses itself. What it called a pool is written down, so that the
 * host's replay after a restart needs no answer from it, unless the server has said that it forgets
 * (RequiresRequestReplay).
 */
#include "remote.h"

#include <dray/ipam.h>

#define POOLS "pools.json"
#define GATEWAY_TYPE "com.docker.network.gateway"
#define MAC_OPTION "com.docker.network.endpoint.macaddress"

struct dray_self {
    const struct dray_host *host;
    struct dray_remote *remote;
    pthread_mutex_t lock;      /* guards what follows. order: alone */
    struct json_object *pools; /* subnet: {"PoolID", "Gateway", "Replay"} */
    char *space;               /* the server's local address space, or NULL as yet */
    pthread_mutex_t file_lock; /* guards: the file of the pools; only savers wait for it.
                                  order: before lock */
};

static char *copy(const struct dray_self *self, const struct dray_call *call, const char *text)
{
    return dray_call_strdup(self->host, call, text);
}

/* --- pools -------------------------------------------------------------------------------------*/

/* Write down what is known by now. */
static int save(struct dray_self *self, struct dray_err *err)
{
    dray_remote_auto *doc = NULL;
    pthread_mutex_lock(&self->file_lock);
    pthread_mutex_lock(&self->lock);
    int rc = json_object_deep_copy(self->pools, &doc, NULL);
    pthread_mutex_unlock(&self->lock);
    rc = rc ? dray_fail(err, DRAY_E_NOMEM, "out of memory")
            : dray_remote_save(self->remote, POOLS, doc, err);
    pthread_mutex_unlock(&self->file_lock);
    return rc;
}

static int remember(struct dray_self *self, const char *subnet, const char *id, const char *gateway,
                    bool replay, struct dray_err *err)
{
    struct json_object *o = json_object_new_object();
    dray_remote_add(o, "PoolID", id);
    dray_remote_add(o, "Gateway", gateway);
    (void)json_object_object_add(o, "Replay", json_object_new_boolean(replay));
    pthread_mutex_lock(&self->lock);
    (void)json_object_object_add(self->pools, subnet, o);
    pthread_mutex_unlock(&self->lock);
    return save(self, err);
}

static void forget(struct dray_self *self, const char *pool)
{
    const char *found = NULL;
    pthread_mutex_lock(&self->lock);
    json_object_object_foreach(self->pools, subnet, o)
    {
        if (strcmp(dray_remote_str(o, "PoolID"), pool) == 0)
            found = subnet;
    }
    if (found)
        json_object_object_del(self->pools, found);
    pthread_mutex_unlock(&self->lock);
    (void)save(self, NULL);
}

/* What is known of a pool by its subnet or, without one, by its id. Copies die with the call. */
struct known {
    char *id, *gateway;
    bool replay;
};

static bool look_up(struct dray_self *self, const struct dray_call *call, const char *subnet,
                    const char *id, struct known *out)
{
    *out = (struct known){0};
    pthread_mutex_lock(&self->lock);
    json_object_object_foreach(self->pools, key, o)
    {
        if (*subnet ? strcmp(key, subnet) != 0 : strcmp(dray_remote_str(o, "PoolID"), id) != 0)
            continue;
        out->id = copy(self, call, dray_remote_str(o, "PoolID"));
        out->gateway = copy(self, call, dray_remote_str(o, "Gateway"));
        out->replay = dray_remote_bool(o, "Replay");
    }
    pthread_mutex_unlock(&self->lock);
    return out->id && out->gateway;
}

static int find_space(struct dray_self *self, const struct dray_call *call, char **out,
                      struct dray_err *err)
{
    pthread_mutex_lock(&self->lock);
    *out = self->space ? copy(self, call, self->space) : NULL;
    pthread_mutex_unlock(&self->lock);
    if (*out)
        return 0;
    dray_remote_auto *got = NULL;
    int rc = dray_remote_call(self->remote, call, "GetDefaultAddressSpaces", NULL, &got, err);
    if (rc)
        return rc;
    const char *space = dray_remote_str(got, "LocalDefaultAddressSpace");
    *out = copy(self, call, space);
    pthread_mutex_lock(&self->lock);
    if (!self->space)
        self->space = strdup(space);
    pthread_mutex_unlock(&self->lock);
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static bool says(struct dray_self *self, const struct dray_call *call, const char *capability)
{
    dray_remote_auto *got = NULL;
    return !dray_remote_call(self->remote, call, "GetCapabilities", NULL, &got, NULL) &&
           dray_remote_bool(got, capability);
}

static int32_t capabilities(struct dray_self *self, const struct dray_call *call,
                            uint64_t *features_out, struct dray_err *err)
{
    (void)err;
    *features_out = says(self, call, "RequiresMACAddress") ? DRAY_IPAM_F_MAC : 0;
    return 0;
}

static int ask_pool(struct dray_self *self, const struct dray_call *call,
                    const struct dray_pool_spec *spec, struct json_object **got,
                    struct dray_err *err)
{
    char *space = NULL;
    int rc = find_space(self, call, &space, err);
    if (rc)
        return rc;
    struct json_object *body = json_object_new_object();
    dray_remote_add(body, "AddressSpace", space);
    dray_remote_add(body, "Pool", spec->subnet);
    dray_remote_add(body, "SubPool", spec->range);
    (void)json_object_object_add(body, "Options", dray_remote_kvs(spec->options));
    (void)json_object_object_add(body, "V6", json_object_new_boolean(spec->family == 6));
    return dray_remote_call(self->remote, call, "RequestPool", body, got, err);
}

static int32_t pool_request(struct dray_self *self, const struct dray_call *call,
                            const struct dray_pool_spec *spec, const char **pool_out,
                            const char **subnet_out, struct dray_err *err)
{
    struct known k;
    bool replay = call->flags & DRAY_CALL_REPLAY;
    if (replay && look_up(self, call, spec->subnet, "", &k) && !k.replay) {
        *pool_out = k.id;
        *subnet_out = spec->subnet;
        return 0;
    }
    dray_remote_auto *got = NULL;
    int rc = ask_pool(self, call, spec, &got, err);
    if (rc)
        return rc;
    const char *id = dray_remote_str(got, "PoolID");
    const char *subnet = dray_remote_str(got, "Pool");
    if (!*id || !strchr(subnet, '/'))
        return dray_fail(err, DRAY_E_IO,
                         "the plugin \"%s\" gave no pool and no CIDR in IpamDriver.RequestPool",
                         self->remote->name);
    *pool_out = copy(self, call, id);
    *subnet_out = copy(self, call, subnet);
    if (!*pool_out || !*subnet_out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    const char *gateway = dray_remote_str(dray_remote_obj(got, "Data"), GATEWAY_TYPE);
    return remember(self, subnet, id, gateway, replay || says(self, call, "RequiresRequestReplay"), err);
}

static int32_t pool_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            struct dray_err *err)
{
    struct json_object *body = json_object_new_object();
    dray_remote_add(body, "PoolID", pool);
    int rc = dray_remote_call(self->remote, call, "ReleasePool", body, NULL, err);
    forget(self, pool);
    return rc == DRAY_E_NOTFOUND ? 0 : rc;
}

/* --- addresses ---------------------------------------------------------------------------------*/

static int ask_address(struct dray_self *self, const struct dray_call *call, const char *pool,
                       const struct dray_addr_spec *spec, const char **addr_out,
                       struct dray_err *err)
{
    struct json_object *body = json_object_new_object();
    struct json_object *options = json_object_new_object();
    dray_remote_add(body, "PoolID", pool);
    dray_remote_add(body, "Address", spec->addr);
    if (spec->flags & DRAY_ADDR_GATEWAY)
        dray_remote_add(options, "RequestAddressType", GATEWAY_TYPE);
    if (*spec->mac)
        dray_remote_add(options, MAC_OPTION, spec->mac);
    (void)json_object_object_add(body, "Options", options);
    dray_remote_auto *got = NULL;
    int rc = dray_remote_call(self->remote, call, "RequestAddress", body, &got, err);
    if (rc)
        return rc;
    const char *given = dray_remote_str(got, "Address");
    if (!strchr(given, '/'))
        return dray_fail(err, DRAY_E_IO,
                         "the plugin \"%s\" gave no address with a prefix in "
                         "IpamDriver.RequestAddress",
                         self->remote->name);
    *addr_out = copy(self, call, given);
    return *addr_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int32_t addr_request(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const struct dray_addr_spec *spec, const char **addr_out,
                            struct dray_err *err)
{
    struct known k;
    bool found = look_up(self, call, "", pool, &k);
    if (found && spec->flags & DRAY_ADDR_GATEWAY && !*spec->addr && *k.gateway) {
        *addr_out = k.gateway;
        return 0;
    }
    /* The server has it still: the host wants its own words back. */
    if (found && call->flags & DRAY_CALL_REPLAY && !k.replay && *spec->addr) {
        *addr_out = copy(self, call, spec->addr);
        return *addr_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return ask_address(self, call, pool, spec, addr_out, err);
}

static int32_t addr_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const char *addr, struct dray_err *err)
{
    struct json_object *body = json_object_new_object();
    dray_remote_add(body, "PoolID", pool);
    dray_remote_add(body, "Address", addr);
    int rc = dray_remote_call(self->remote, call, "ReleaseAddress", body, NULL, err);
    return rc == DRAY_E_NOTFOUND ? 0 : rc;
}

/* --- the plugin --------------------------------------------------------------------------------*/

static void close_self(struct dray_self *self)
{
    json_object_put(self->pools);
    dray_remote_close(self->remote);
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_mutex_destroy(&self->file_lock);
    free(self->space);
    free(self);
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_mutex_init(&self->file_lock, NULL);
    int rc = dray_remote_open(host, instance, "IpamDriver", &self->remote, err);
    if (rc) {
        close_self(self);
        return rc;
    }
    self->pools = dray_remote_load(self->remote, POOLS);
    *out = self;
    return 0;
}

static const struct dray_ipam_ops ops = {
    .head = DRAY_TABLE(struct dray_ipam_ops, 0),
    .pool_request = pool_request,
    .pool_release = pool_release,
    .addr_request = addr_request,
    .addr_release = addr_release,
    .capabilities = capabilities,
};
static const struct dray_option options[] = {DRAY_REMOTE_OPTIONS};
static const struct dray_iface ifaces[] = {
    {DRAY_KIND_IPAM, DRAY_THREAD_PARALLEL, &ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"remote\",\"version\":\"0.1.0\",\"abi\":\"0.1\",\"family\":true,"
                 "\"kinds\":[\"ipam\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "remote",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .open = open_self,
    .close = close_self,
    .claim = dray_remote_claim,
};
