/* SPDX-License-Identifier: Apache-2.0 */
/* container_inspect.c - GET /containers/{id}/json. */
#include "base/buf.h"
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/container/container_link_names.h"
#include "engine/container/exec.h"
#include "engine/image/images.h"
#include "engine/network/netns.h"
#include "engine/network/networks.h"
#include "engine/spec/apparmor.h"

static void add_time(struct json_object *o, const char *key, int64_t ns)
{
    char text[DRAY_TIME_LEN];
    dray_time_format(ns, text);
    dray_json_add_str(o, key, text);
}

static struct json_object *state_json(struct dray_container *c)
{
    struct json_object *s = json_object_new_object();
    pthread_mutex_lock(&c->lock);
    struct dray_container_state st = c->st;
    pthread_mutex_unlock(&c->lock);
    bool restarting = st.status == DRAY_CS_RESTARTING;
    dray_json_add_str(s, "Status", dray_container_status_name(st.status));
    dray_json_add_bool(s, "Running", st.pid > 0 || restarting);
    dray_json_add_bool(s, "Paused", st.status == DRAY_CS_PAUSED);
    dray_json_add_bool(s, "Restarting", restarting);
    dray_json_add_bool(s, "OOMKilled", st.oom_killed);
    dray_json_add_bool(s, "Dead", st.status == DRAY_CS_DEAD);
    dray_json_add_int(s, "Pid", st.pid);
    dray_json_add_int(s, "ExitCode", st.exit_code);
    dray_json_add_str(s, "Error", st.error);
    add_time(s, "StartedAt", st.started_ns);
    add_time(s, "FinishedAt", st.finished_ns);
    struct json_object *health = dray_health_json(c);
    if (health)
        dray_json_add(s, "Health", health);
    return s;
}

/** Path and Args: the command line split at its first word. */
static void add_command(struct json_object *o, struct json_object *config)
{
    struct json_object *parts[] = {dray_json_arr(config, "Entrypoint"),
                                   dray_json_arr(config, "Cmd")};
    struct json_object *args = json_object_new_array();
    const char *path = NULL;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < dray_json_len(parts[k]); i++) {
            const char *word = json_object_get_string(json_object_array_get_idx(parts[k], i));
            if (!path)
                path = word;
            else
                json_object_array_add(args, json_object_new_string(word));
        }
    }
    dray_json_add_str(o, "Path", path ? path : "");
    dray_json_add(o, "Args", args);
}

static int32_t on_status(void *ctx, const struct dray_record *rec)
{
    struct json_object *data = ctx;
    const char *key = dray_kvs_get(rec->fields, "key", NULL);
    const char *value = dray_kvs_get(rec->fields, "value", "");
    if (key)
        dray_json_add_str(data, key, value);
    return 0;
}

static struct json_object *graph_driver(struct dray_container *c)
{
    struct json_object *g = json_object_new_object(), *data = json_object_new_object();
    struct dray_driver *d =
        dray_drivers_find(c->set->engine->drivers, DRAY_KIND_STORAGE, c->driver);
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_emit_to(&s, on_status, data);
    if (d && dray_call_enter(&s, d, DRAY_CLASS_QUICK, -1, NULL) == 0)
        (void)((const struct dray_storage_ops *)s.ops)->inspect(s.self, &s.call, c->layer, NULL);
    dray_json_add(g, "Data", data);
    dray_json_add_str(g, "Name", dray_storage_shown(c->driver));
    return g;
}

static struct json_object *mounts_json(struct dray_container *c)
{
    dray_autojson *points = dray_container_json(c, &c->mounts);
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < dray_json_len(points); i++)
        json_object_array_add(list,
                              dray_container_mount_view(json_object_array_get_idx(points, i)));
    return list;
}

static void add_alias(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < dray_json_len(list); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name) == 0)
            return;
    if (*name)
        json_object_array_add(list, json_object_new_string(name));
}

/* Before API 1.45 the names that every endpoint has were among its aliases; docker-compose 1 knows
 * by the short id that a network was joined by itself, and rejoins others without their address. */
static void add_own_aliases(struct dray_container *c, const char *network, const char *hostname,
                            struct json_object *view)
{
    struct dray_network_ref ref = {.user_defined = true};
    char short_id[13];
    (void)dray_networks_find(c->set->engine->networks, network, &ref, NULL);
    if (!ref.user_defined)
        return;
    if (!dray_json_arr(view, "Aliases"))
        dray_json_add(view, "Aliases", json_object_new_array());
    (void)snprintf(short_id, sizeof short_id, "%.12s", c->id);
    add_alias(dray_json_arr(view, "Aliases"), short_id);
    add_alias(dray_json_arr(view, "Aliases"), hostname);
}

/** Its own namespace, or the host's; not that of another container, which has it. */
static void add_sandbox(struct json_object *o, struct dray_container *c,
                        struct json_object *endpoints)
{
    char id[DRAY_ID_LEN] = "";
    pthread_mutex_lock(&c->lock);
    bool own = c->netns && !dray_str_prefix(c->netns, "/proc/");
    bool host = !c->netns && dray_container_alive(c);
    dray_autofree char *path = own ? strdup(c->netns) : NULL;
    pthread_mutex_unlock(&c->lock);
    if (host && json_object_object_length(endpoints))
        path = dray_netns_host(c->set->netns);
    if (path)
        dray_netns_sandbox_id(path, c->id, id);
    dray_json_add_str(o, "SandboxID", id);
    dray_json_add_str(o, "SandboxKey", path ? path : "");
}

/** The older fields at the top of NetworkSettings repeat the default bridge's endpoint. */
static struct json_object *network_json(struct dray_container *c, const char *hostname,
                                        int api_version)
{
    static const char *const texts[] = {"EndpointID", "Gateway",     "GlobalIPv6Address",
                                        "IPAddress",  "IPv6Gateway", "MacAddress"};
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    struct json_object *n = json_object_new_object(), *bridge = NULL;
    (void)json_object_object_get_ex(endpoints, "bridge", &bridge);
    dray_json_add_str(n, "Bridge", "");
    add_sandbox(n, c, endpoints);
    dray_json_add(n, "Ports", dray_container_json(c, &c->ports));
    dray_json_add_bool(n, "HairpinMode", false);
    dray_json_add_str(n, "LinkLocalIPv6Address", "");
    dray_json_add_int(n, "LinkLocalIPv6PrefixLen", 0);
    dray_json_add(n, "SecondaryIPAddresses", NULL);
    dray_json_add(n, "SecondaryIPv6Addresses", NULL);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        dray_json_add_str(n, texts[i], dray_json_str(bridge, texts[i], ""));
    dray_json_add_int(n, "GlobalIPv6PrefixLen", dray_json_int(bridge, "GlobalIPv6PrefixLen", 0));
    dray_json_add_int(n, "IPPrefixLen", dray_json_int(bridge, "IPPrefixLen", 0));
    struct json_object *nets = json_object_new_object();
    json_object_object_foreach(endpoints, name, ep)
    {
        struct json_object *view = dray_endpoint_view(ep);
        if (api_version < 145)
            add_own_aliases(c, name, hostname, view);
        json_object_object_add(nets, name, view);
    }
    dray_json_add(n, "Networks", nets);
    return n;
}

/* The profile it is under; of several options the last counts. */
static const char *apparmor(struct json_object *host)
{
    static const char key[] = "apparmor";
    struct json_object *opts = dray_json_arr(host, "SecurityOpt");
    const char *asked = "";
    for (size_t i = 0; i < dray_json_len(opts); i++) {
        const char *o = json_object_get_string(json_object_array_get_idx(opts, i));
        if (dray_str_prefix(o, key) && (o[sizeof key - 1] == '=' || o[sizeof key - 1] == ':'))
            asked = o + sizeof key;
    }
    return dray_apparmor_profile(asked, dray_json_bool(host, "Privileged", false));
}

static void add_paths(struct json_object *o, struct dray_container *c)
{
    const struct dray_config *cfg = c->set->engine->config;
    bool started = c->st.has_been_started;
    static const struct {
        const char *key, *file;
    } files[] = {
        {"ResolvConfPath", "resolv.conf"}, {"HostnamePath", "hostname"}, {"HostsPath", "hosts"}};
    for (size_t i = 0; i < 3; i++) {
        dray_autofree char *path =
            dray_strf("%s/containers/%s/%s", cfg->data_root, c->id, files[i].file);
        dray_json_add_str(o, files[i].key, started && path ? path : "");
    }
    dray_autojson *host = dray_container_json(c, &c->host);
    dray_json_add_str(o, "AppArmorProfile", started ? apparmor(host) : "");
    bool json_file = strcmp(dray_json_str(host, "LogConfig.Type", ""), "json-file") == 0;
    dray_autofree char *log =
        dray_strf("%s/containers/%s/%s-json.log", cfg->data_root, c->id, c->id);
    dray_json_add_str(o, "LogPath", json_file && started && log ? log : "");
}

/* The address that was asked for is shown in the config, too, where clients looked for it before
 * endpoints had one. */
static void show_mac(struct dray_container *c, struct json_object *host, struct json_object *config)
{
    const char *mode = dray_json_str(host, "NetworkMode", "");
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    struct json_object *ep = NULL;
    (void)json_object_object_get_ex(endpoints, strcmp(mode, "default") == 0 ? "bridge" : mode, &ep);
    /* An endpoint that is still to be has no address but that which was asked for. */
    bool made = *dray_json_str(ep, "EndpointID", "");
    const char *mac = dray_json_str(ep, made ? "MacAddressGiven" : "MacAddress", "");
    if (*mac)
        dray_json_add_str(config, "MacAddress", mac);
}

int dray_containers_inspect(struct dray_containers *cs, const char *name, bool size,
                            int api_version, struct json_object **out, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    dray_autojson *config = dray_container_json(c, &c->config);
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Id", c->id);
    add_time(o, "Created", c->created_ns);
    add_command(o, config);
    dray_json_add(o, "State", state_json(c));
    dray_json_add_str(o, "Image", c->image_id);
    add_paths(o, c);
    pthread_mutex_lock(&c->lock);
    dray_json_addf(o, "Name", "/%s", c->name);
    dray_json_add_int(o, "RestartCount", c->st.restart_count);
    pthread_mutex_unlock(&c->lock);
    dray_json_add_str(o, "Driver", dray_storage_shown(c->driver));
    dray_json_add_str(o, "Platform", c->platform ? c->platform : "linux");
    dray_json_add_str(o, "MountLabel", "");
    dray_json_add_str(o, "ProcessLabel", "");
    dray_json_add(o, "ExecIDs", dray_execs_ids(cs, c));
    struct json_object *host = dray_container_json(c, &c->host);
    dray_links_show(c, host);
    show_mac(c, host, config);
    dray_json_add(o, "HostConfig", host);
    dray_json_add(o, "GraphDriver", graph_driver(c));
    if (size) {
        int64_t rw = 0, root = 0;
        dray_container_sizes(c, &rw, &root);
        dray_json_add_int(o, "SizeRw", rw);
        dray_json_add_int(o, "SizeRootFs", root);
    }
    dray_json_add(o, "Mounts", mounts_json(c));
    dray_json_add(o, "NetworkSettings",
                  network_json(c, dray_json_str(config, "Hostname", ""), api_version));
    if (dray_json_len(dray_json_arr(config, "Env")) == 0)
        dray_json_add(config, "Env", NULL);
    dray_json_add(o, "Config", dray_steal(config));
    *out = o;
    return 0;
}
