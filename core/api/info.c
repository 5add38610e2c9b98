/* SPDX-License-Identifier: Apache-2.0 */
/* info.c - GET /info. */
#include "api/system.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "engine/authz.h"
#include "engine/container/containers.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/image/images.h"

#include <dray/storage.h>
#include <fcntl.h>

#ifndef DRAY_VERSION
#define DRAY_VERSION "0.0.0"
#endif

/* One line of a storage driver's status: ["Backing Filesystem", "extfs"]. */
static int32_t take_status(void *ctx, const struct dray_record *rec)
{
    if (rec->type != DRAY_REC_STATUS)
        return 0;
    struct json_object *pair = json_object_new_array();
    json_object_array_add(pair, json_object_new_string(dray_kvs_get(rec->fields, "key", "")));
    json_object_array_add(pair, json_object_new_string(dray_kvs_get(rec->fields, "value", "")));
    json_object_array_add(ctx, pair);
    return 0;
}

static struct json_object *driver_status(struct dray_driver *d)
{
    struct json_object *list = json_object_new_array();
    if (!dray_driver_has(d, "status") || dray_driver_suspect(d))
        return list;
    struct dray_call_scope s = {0};
    dray_call_emit_to(&s, take_status, list);
    if (dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL) == 0)
        (void)((const struct dray_storage_ops *)s.ops)->status(s.self, &s.call, NULL);
    dray_call_leave(&s);
    return list;
}

static struct json_object *names_of(struct dray_engine *e, uint32_t kind)
{
    struct json_object *list = json_object_new_array();
    struct dray_driver *d = NULL;
    for (size_t i = 0; (d = dray_drivers_at(e->drivers, kind, i)) != NULL; i++)
        json_object_array_add(list, json_object_new_string(dray_driver_name(d)));
    return list;
}

/* Those that are asked, in their order; one that is only loaded allows nothing and denies nothing.
 */
static struct json_object *asked_authz(struct dray_engine *e)
{
    DRAY_AUTO(dray_strlist) names = {0};
    if (dray_authz_none(e->authz) || dray_authz_names(e->authz, &names, NULL))
        return NULL;
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < names.n; i++)
        json_object_array_add(list, json_object_new_string(names.v[i]));
    return list;
}

static struct json_object *plugins(struct dray_engine *e)
{
    struct json_object *o = json_object_new_object();
    dray_json_add(o, "Volume", names_of(e, DRAY_KIND_VOLUME));
    dray_json_add(o, "Network", names_of(e, DRAY_KIND_NETWORK));
    dray_json_add(o, "Authorization", asked_authz(e));
    dray_json_add(o, "Log", names_of(e, DRAY_KIND_LOG));
    return o;
}

static struct json_object *runtimes(struct dray_engine *e)
{
    struct json_object *o = json_object_new_object();
    struct dray_driver *d = NULL;
    for (size_t i = 0; (d = dray_drivers_at(e->drivers, DRAY_KIND_RUNTIME, i)) != NULL; i++) {
        struct json_object *r = json_object_new_object();
        dray_json_add_str(r, "path", dray_driver_name(d));
        dray_json_add(o, dray_driver_name(d), r);
    }
    if (e->config->runtimes) {
        json_object_object_foreach(e->config->runtimes, name, value)
            dray_json_add(o, name, dray_json_copy(value));
    }
    return o;
}

/* Mirrors are shown with a slash at their end. */
static struct json_object *slashed(const struct dray_strlist *mirrors)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < mirrors->n; i++) {
        const char *m = mirrors->v[i];
        size_t n = strlen(m);
        dray_autofree char *text = dray_strf("%s%s", m, n && m[n - 1] == '/' ? "" : "/");
        json_object_array_add(list, json_object_new_string(text ? text : m));
    }
    return list;
}

static struct json_object *index_config(const char *name, const struct dray_strlist *mirrors,
                                        bool secure)
{
    static const struct dray_strlist none = {0};
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Name", name);
    dray_json_add(o, "Mirrors", slashed(mirrors ? mirrors : &none));
    dray_json_add_bool(o, "Secure", secure);
    dray_json_add_bool(o, "Official", mirrors != NULL);
    return o;
}

static struct json_object *registry_config(const struct dray_config *c, int api_version)
{
    struct json_object *o = json_object_new_object();
    struct json_object *cidrs = json_object_new_array();
    struct json_object *indexes = json_object_new_object();
    json_object_array_add(cidrs, json_object_new_string("::1/128"));
    json_object_array_add(cidrs, json_object_new_string("127.0.0.0/8"));
    dray_json_add(indexes, "docker.io", index_config("docker.io", &c->registry_mirrors, true));
    for (size_t i = 0; i < c->insecure_registries.n; i++) {
        const char *r = c->insecure_registries.v[i];
        if (strchr(r, '/'))
            json_object_array_add(cidrs, json_object_new_string(r));
        else
            dray_json_add(indexes, r, index_config(r, NULL, false));
    }
    if (api_version < 147) {
        dray_json_add(o, "AllowNondistributableArtifactsCIDRs", NULL);
        dray_json_add(o, "AllowNondistributableArtifactsHostnames", NULL);
    }
    dray_json_add(o, "InsecureRegistryCIDRs", cidrs);
    dray_json_add(o, "IndexConfigs", indexes);
    dray_json_add(o, "Mirrors", slashed(&c->registry_mirrors));
    return o;
}

static struct json_object *no_swarm(void)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "NodeID", "");
    dray_json_add_str(o, "NodeAddr", "");
    dray_json_add_str(o, "LocalNodeState", "inactive");
    dray_json_add_bool(o, "ControlAvailable", false);
    dray_json_add_str(o, "Error", "");
    dray_json_add(o, "RemoteManagers", NULL);
    return o;
}

/* The commits of programs that Docker is made of; here they are one. */
static struct json_object *no_commit(void)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "ID", "");
    return o;
}

static struct json_object *address_pools(const struct dray_config *c)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < c->default_address_pools.n; i++) {
        const char *text = c->default_address_pools.v[i];
        const char *colon = strrchr(text, ':');
        struct json_object *p = json_object_new_object();
        dray_json_addf(p, "Base", "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text);
        dray_json_add_int(p, "Size", colon ? strtol(colon + 1, NULL, 10) : 0);
        json_object_array_add(list, p);
    }
    return list;
}

static void add_counts(struct json_object *o, struct dray_engine *e)
{
    struct dray_container_counts n = {0};
    dray_containers_counts(e->containers, &n);
    dray_json_add_int(o, "Containers", (int64_t)n.total);
    dray_json_add_int(o, "ContainersRunning", (int64_t)n.running);
    dray_json_add_int(o, "ContainersPaused", (int64_t)n.paused);
    dray_json_add_int(o, "ContainersStopped", (int64_t)n.stopped);
    dray_json_add_int(o, "Images", (int64_t)dray_images_count(e->images));
    dray_json_add_int(o, "NFd", dray_machine_count("fd"));
    dray_json_add_int(o, "NGoroutines", dray_machine_count("task"));
    dray_json_add_int(o, "NEventsListener", (int64_t)dray_events_readers(e->events));
    dray_json_add(o, "Labels", dray_json_strs(&dray_engine_live(e)->labels));
}

/* What is in use: the setting, or else the environment's. Names and passwords in it are nobody's to
 * read: they are shown as Docker shows them. */
static void add_proxy(struct json_object *o, const char *key, const char *setting,
                      const char *upper, const char *lower)
{
    const char *v = setting && *setting ? setting : getenv(upper);
    if (!v || !*v)
        v = getenv(lower);
    dray_autofree char *masked = v ? dray_str_masked(v) : NULL;
    dray_json_add_str(o, key, masked ? masked : "");
}

static void add_config(struct json_object *o, const struct dray_config *c,
                       const struct dray_config *live, int api_version)
{
    dray_json_add_str(o, "LoggingDriver", c->log_driver);
    dray_json_add_bool(o, "Debug", live->debug);
    dray_json_add_str(o, "DockerRootDir", c->data_root);
    add_proxy(o, "HttpProxy", c->http_proxy, "HTTP_PROXY", "http_proxy");
    add_proxy(o, "HttpsProxy", c->https_proxy, "HTTPS_PROXY", "https_proxy");
    add_proxy(o, "NoProxy", c->no_proxy, "NO_PROXY", "no_proxy");
    dray_json_add_bool(o, "ExperimentalBuild", c->experimental);
    dray_json_add_str(o, "DefaultRuntime", live->default_runtime);
    dray_json_add_str(o, "InitBinary", c->init_path ? c->init_path : "");
    dray_json_add(o, "RegistryConfig", registry_config(live, api_version));
    if (c->default_address_pools.n)
        dray_json_add(o, "DefaultAddressPools", address_pools(c));
}

/* Where the API is open to the world, clients shall see it in red. */
static void add_host_warnings(struct json_object *warnings, const struct dray_config *c)
{
    struct json_object *hosts = dray_json_arr(c->raw, "hosts");
    bool tls = dray_json_bool(c->raw, "tlsverify", false);
    for (size_t i = 0; i < dray_json_len(hosts); i++) {
        const char *host = json_object_get_string(json_object_array_get_idx(hosts, i));
        bool named = strncmp(host, "tcp://", 6) == 0;
        if (tls || (!named && (host[0] == '/' || strstr(host, "://"))))
            continue;
        dray_autofree char *text = dray_strf("WARNING: API is accessible on http://%s without "
                                             "encryption.",
                                             host + (named ? 6 : 0));
        if (text)
            json_object_array_add(warnings, json_object_new_string(text));
    }
}

/* Gone with API 1.50; older clients warn of what they do not find. */
static void add_bridge_netfilter(struct json_object *o)
{
    static const struct {
        const char *key, *path;
    } rows[] = {{"BridgeNfIptables", "/proc/sys/net/bridge/bridge-nf-call-iptables"},
                {"BridgeNfIp6tables", "/proc/sys/net/bridge/bridge-nf-call-ip6tables"}};
    for (size_t i = 0; i < 2; i++) {
        DRAY_AUTO(dray_buf) b = {0};
        (void)dray_fs_read(AT_FDCWD, rows[i].path, 16, &b, NULL);
        dray_json_add_bool(o, rows[i].key, b.data && b.data[0] == '1');
    }
}

/* Whose rules keep networks apart and publish ports; nobody's with "iptables": false. */
static struct json_object *firewall_backend(struct dray_engine *e)
{
    struct json_object *o = json_object_new_object(), *rows = json_object_new_array();
    struct json_object *row = json_object_new_array();
    json_object_array_add(row, json_object_new_string("Table"));
    dray_autofree char *table = dray_strf("inet %s", e->config->nft_table);
    json_object_array_add(row, json_object_new_string(table ? table : ""));
    json_object_array_add(rows, row);
    dray_json_add_str(o, "Driver", "nftables");
    dray_json_add(o, "Info", rows);
    return o;
}

int dray_api_info(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct json_object *o = json_object_new_object();
    struct json_object *warnings = json_object_new_array();
    if (!o || !warnings)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char now[DRAY_TIME_LEN];
    dray_time_format(dray_clock_now(), now);
    dray_json_add_str(o, "ID", e->id);
    add_counts(o, e);
    const char *storage = dray_driver_name(e->storage);
    dray_json_add_str(o, "Driver", dray_storage_shown(storage));
    dray_json_add(o, "DriverStatus", driver_status(e->storage));
    dray_json_add(o, "Plugins", plugins(e));
    dray_machine_cgroup_info(o, e->config->systemd_cgroup, warnings);
    add_host_warnings(warnings, e->config);
    if (dray_http_version(h) < 150)
        add_bridge_netfilter(o);
    if (dray_http_version(h) >= 149 && e->config->iptables)
        dray_json_add(o, "FirewallBackend", firewall_backend(e));
    dray_json_add_str(o, "SystemTime", now);
    dray_machine_info(o);
    add_config(o, e->config, dray_engine_live(e), dray_http_version(h));
    dray_json_add_str(o, "IndexServerAddress", "https://index.docker.io/v1/");
    dray_json_add(o, "GenericResources", NULL);
    dray_json_add_str(o, "ServerVersion", DRAY_VERSION);
    dray_json_add(o, "Runtimes", runtimes(e));
    dray_json_add(o, "Swarm", no_swarm());
    dray_json_add_bool(o, "LiveRestoreEnabled", true);
    dray_json_add_str(o, "Isolation", "");
    dray_json_add(o, "ContainerdCommit", no_commit());
    dray_json_add(o, "RuncCommit", no_commit());
    dray_json_add(o, "InitCommit", no_commit());
    dray_json_add(o, "SecurityOptions",
                  dray_machine_security(e->config->seccomp_profile, e->userns != NULL));
    dray_json_add_str(o, "ProductLicense", "Apache-2.0");
    dray_json_add(o, "CDISpecDirs", json_object_new_array());
    dray_json_add(o, "Warnings", warnings);
    return dray_http_reply_json(h, 200, o);
}
