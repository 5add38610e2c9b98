/* SPDX-License-Identifier: Apache-2.0 */
/* container_create.c - POST /containers/create: from a request to a container on disk. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/image/images.h"
#include "engine/network/networks.h"
#include "engine/spec/container_config.h"
#include "engine/spec/container_fields.h"
#include "engine/spec/log_opts.h"

#include <dray/storage.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "create"

/** What a creation holds until it commits; undone in reverse. */
struct creation {
    struct dray_containers *cs;
    struct dray_container *c;
    struct dray_image image;
    struct json_object *config, *host, *warnings;
    struct dray_network_ref net; /* last one looked up */
    bool named, held, foldered, layered, mounted;
};

static int prepare_config(struct creation *k, const struct dray_create_req *req,
                          struct dray_err *err)
{
    struct dray_config now = *k->cs->engine->config;
    const struct dray_config *cfg = &now, *live = dray_engine_live(k->cs->engine);
    now.default_runtime = live->default_runtime;
    now.default_shm_size = live->default_shm_size;
    now.default_ipc_mode = live->default_ipc_mode;
    int rc = dray_create_compat(req->body, req->api_version, k->warnings, err);
    if (rc == 0)
        rc = dray_container_config(req->body, &k->config, err);
    if (rc == 0)
        rc = dray_host_config(dray_json_get(req->body, "HostConfig"), cfg, req->api_version,
                              &k->host, err);
    if (rc != 0)
        return rc;
    rc = dray_host_config_check(k->host, k->config, cfg, k->warnings, err);
    if (rc == 0)
        rc = dray_container_userns_check(k->c, k->host, err);
    struct json_object *exposed =
        dray_json_obj(k->config, "ExposedPorts"); /* not yet the image's */
    if (rc == 0 && exposed && json_object_object_length(exposed) > 0 &&
        dray_str_prefix(dray_json_str(k->host, "NetworkMode", ""), "container:"))
        rc = dray_fail(err, DRAY_E_INVAL,
                       "conflicting options: port exposing and the container type network mode");
    return rc;
}

/* A step of a build has its layer and its whole Config already. */
static int prepare_step(struct creation *k, const struct dray_step_root *step, struct dray_err *err)
{
    struct dray_container *c = k->c;
    c->step = !step->own;
    (void)snprintf(k->image.id, sizeof k->image.id, "%s", step->image_id);
    c->platform = strdup("linux");
    c->driver = strdup(step->storage);
    c->layer = strdup(step->layer);
    c->layer_parent = strdup(step->layer_parent);
    bool ok = c->platform && c->driver && c->layer && c->layer_parent;
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int prepare_image(struct creation *k, const struct dray_create_req *req,
                         struct dray_err *err)
{
    if (req->step)
        return prepare_step(k, req->step, err);
    const char *ref = dray_json_str(k->config, "Image", "");
    if (!*ref)
        return dray_fail(err, DRAY_E_INVAL, "%s",
                         dray_json_len(dray_json_arr(k->config, "Cmd")) == 0 &&
                                 dray_json_len(dray_json_arr(k->config, "Entrypoint")) == 0
                             ? "no command specified"
                             : "no image specified");
    int rc = dray_images_get(k->cs->engine->images, ref, &k->image, err);
    if (rc != 0)
        return rc;
    const char *os = dray_json_str(k->image.config, "os", "linux");
    if (req->platform && *req->platform)
        rc = dray_image_check_platform(&k->image, ref, req->platform, err);
    if (rc != 0)
        return rc;
    rc = dray_container_config_merge(k->config, dray_json_obj(k->image.config, "config"), err);
    if (rc != 0)
        return rc;
    k->c->platform = strdup(os);
    return 0;
}

static void apply_names(struct creation *k)
{
    struct dray_container *c = k->c;
    const char *mode = dray_json_str(k->host, "NetworkMode", "");
    if (*dray_json_str(k->config, "Hostname", ""))
        return;
    char host[256];
    if (strcmp(mode, "host") == 0 || strcmp(dray_json_str(k->host, "UTSMode", ""), "host") == 0) {
        if (gethostname(host, sizeof host) != 0)
            (void)snprintf(host, sizeof host, "localhost");
        host[sizeof host - 1] = '\0';
    } else {
        (void)snprintf(host, sizeof host, "%.12s", c->id);
    }
    if (!dray_str_prefix(mode, "container:"))
        dray_json_add_str(k->config, "Hostname", host);
}

/** The name of a network that may be named by its id; itself if there is none. */
static const char *network_name(struct creation *k, const char *name_or_id)
{
    return dray_networks_find(k->cs->engine->networks, name_or_id, &k->net, NULL) == 0 ? k->net.name
                                                                                       : name_or_id;
}

/** Endpoints are kept by the names of networks; compose names them by id. Takes nets. */
static struct json_object *by_network_name(struct creation *k, struct json_object *nets)
{
    struct json_object *out = json_object_new_object();
    json_object_object_foreach(nets, name, ep)
    {
        const char *key = network_name(k, name);
        if (!json_object_object_get_ex(out, key, NULL))
            json_object_object_add(out, key, ep ? json_object_get(ep) : json_object_new_object());
    }
    json_object_put(nets);
    return out;
}

/** Endpoints asked for: NetworkingConfig's, and NetworkMode's own. */
static struct json_object *wanted_endpoints(struct creation *k, const struct dray_create_req *req)
{
    struct json_object *nets =
        dray_json_copy(dray_json_obj(req->body, "NetworkingConfig.EndpointsConfig"));
    if (!nets)
        nets = json_object_new_object();
    const char *mode = dray_json_str(k->host, "NetworkMode", "bridge");
    if (dray_str_prefix(mode, "container:") ||
        dray_json_bool(k->config, "NetworkDisabled", false)) {
        json_object_put(nets);
        return json_object_new_object();
    }
    bool given = json_object_object_length(nets) > 0;
    struct json_object *alias;
    if (strcmp(mode, "bridge") == 0 && json_object_object_get_ex(nets, "default", &alias)) {
        json_object_object_add(nets, "bridge", json_object_get(alias));
        json_object_object_del(nets, "default");
    }
    /* Networks that are named take the place of the default one. */
    if (!json_object_object_get_ex(nets, mode, NULL) && !(given && strcmp(mode, "bridge") == 0))
        json_object_object_add(nets, mode, json_object_new_object());
    nets = by_network_name(k, nets);
    mode = network_name(k, mode);
    /* Older clients give the address outside of the endpoint. */
    const char *mac = dray_json_str(k->config, "MacAddress", "");
    struct json_object *own = NULL;
    if (*mac && json_object_object_get_ex(nets, mode, &own) &&
        !*dray_json_str(own, "MacAddress", ""))
        dray_json_add_str(own, "MacAddress", mac);
    return nets;
}

static int make_folder(struct creation *k, struct dray_err *err)
{
    if (mkdirat(k->cs->dir, k->c->id, 0710) != 0)
        return dray_fail_errno(err, "create the folder of container %.12s", k->c->id);
    k->foldered = true;
    return 0;
}

static int make_layer(struct creation *k, struct dray_err *err)
{
    struct dray_container *c = k->c;
    struct dray_drivers *drivers = k->cs->engine->drivers;
    const char *storage =
        k->image.storage ? k->image.storage : dray_driver_name(k->cs->engine->storage);
    struct dray_driver *d = dray_drivers_get(drivers, DRAY_KIND_STORAGE, storage, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    char *parent = NULL;
    int rc = dray_images_init_layer(k->cs->engine->images, &k->image, &parent, err);
    if (rc != 0)
        return rc;
    c->driver = strdup(storage);
    c->layer = strdup(c->id);
    c->layer_parent = parent;
    if (!c->driver || !c->layer)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    DRAY_AUTO(dray_kvlist) opts = {0};
    struct json_object *given = dray_json_obj(k->host, "StorageOpt");
    if (given && (rc = dray_json_to_kvlist(given, &opts, err)) != 0)
        return rc;
    rc = dray_driver_call(d, storage, DRAY_CLASS_QUICK, err, create, c->layer, parent,
                          DRAY_LAYER_WRITABLE, dray_kvlist_view(&opts));
    k->layered = rc == 0;
    return rc;
}

/** The driver that a runtime's name means: containerd's names for runc are runc, or where that is
 *  not installed the engine's own. */
static const char *runtime_driver(struct dray_drivers *drivers, const char *name)
{
    if (dray_drivers_find(drivers, DRAY_KIND_RUNTIME, name) ||
        (strcmp(name, "io.containerd.runc.v2") != 0 && strcmp(name, "io.containerd.runc.v1") != 0))
        return name;
    return dray_drivers_find(drivers, DRAY_KIND_RUNTIME, "runc") ? "runc" : "native";
}

static bool is_v6(const char *host_ip)
{
    return strchr(host_ip, ':') != NULL;
}

/* Without the proxy, ports are forwarded within a family of addresses: what is asked for on an
 * address of a family that none of the container's networks has reaches nobody, and is told of. */
static void warn_of_ports(struct creation *k, struct json_object *nets)
{
    struct json_object *ports = dray_json_obj(k->host, "PortBindings");
    bool have4 = false, have6 = false;
    if (k->cs->engine->config->userland_proxy)
        return;
    json_object_object_foreach(nets, name, ep)
    {
        (void)ep;
        if (dray_networks_find(k->cs->engine->networks, name, &k->net, NULL) != 0)
            return; /* it may come until the start, with any family */
        have4 = have4 || k->net.ipv4;
        have6 = have6 || k->net.ipv6;
    }
    if (!ports || (have4 == have6))
        return;
    json_object_object_foreach(ports, port, list)
    {
        for (size_t i = 0; i < dray_json_len(list); i++) {
            const char *ip = dray_json_str(json_object_array_get_idx(list, i), "HostIp", "");
            if (!*ip || is_v6(ip) == have6)
                continue;
            dray_autofree char *text = dray_strf("Published port %s on %s is discarded: no network "
                                                 "of the container has %s addresses",
                                                 port, ip, have6 ? "IPv4" : "IPv6");
            if (text)
                json_object_array_add(k->warnings, json_object_new_string(text));
        }
    }
}

static void fill_container(struct creation *k, const struct dray_create_req *req,
                           struct json_object *points)
{
    struct dray_container *c = k->c;
    (void)snprintf(c->image_id, sizeof c->image_id, "%s", k->image.id);
    c->image = strdup(dray_json_str(k->config, "Image", ""));
    c->manifest = k->image.manifest ? strdup(k->image.manifest) : NULL;
    c->runtime =
        strdup(runtime_driver(k->cs->engine->drivers, dray_json_str(k->host, "Runtime", "")));
    c->tty = dray_json_bool(k->config, "Tty", false);
    c->open_stdin = dray_json_bool(k->config, "OpenStdin", false);
    c->stdin_once = dray_json_bool(k->config, "StdinOnce", false);
    c->auto_remove = dray_json_bool(k->host, "AutoRemove", false);
    c->labels = dray_json_copy(dray_json_obj(k->config, "Labels"));
    dray_autojson *nets = wanted_endpoints(k, req);
    warn_of_ports(k, nets);
    dray_container_set_text(&c->config, k->config);
    dray_container_set_host(c, k->host);
    dray_container_set_text(&c->mounts, points);
    dray_container_set_endpoints(c, nets);
    dray_container_set_text(&c->ports, NULL);
    c->st.status = DRAY_CS_CREATED;
}

static int check_runtime(struct creation *k, struct dray_err *err)
{
    const char *name = dray_json_str(k->host, "Runtime", "");
    struct dray_err why = {0};
    struct dray_driver *d = dray_drivers_get(k->cs->engine->drivers, DRAY_KIND_RUNTIME,
                                             runtime_driver(k->cs->engine->drivers, name), &why);
    if (!d)
        return dray_fail(err, DRAY_E_INVAL, "unknown or invalid runtime name: %s", name);
    return dray_log_opts_check(k->cs->engine->drivers, dray_json_str(k->host, "LogConfig.Type", ""),
                               dray_json_obj(k->host, "LogConfig.Config"), err);
}

/* ---- Other containers that this one names ---- */

/* Whose namespace it shares is kept by id, so that it goes by any name that one gets. */
static int fix_peer(struct creation *k, const char *field, struct dray_err *err)
{
    static const char shared[] = "container:";
    const char *mode = dray_json_str(k->host, field, "");
    const char *name = mode + strlen(shared);
    dray_autocontainer *other = NULL;
    if (!dray_str_prefix(mode, shared))
        return 0;
    int rc = dray_container_find(k->cs, name, &other, err);
    if (rc == 0)
        dray_json_addf(k->host, field, "container:%s", other->id);
    /* Not 404: that would tell the client to pull the image. */
    return rc == DRAY_E_NOTFOUND ? dray_fail(err, DRAY_E_INVAL, "No such container: %s", name) : rc;
}

/* "NAME" or "NAME:ALIAS" */
static bool link_valid(const char *link)
{
    const char *alias = strchr(link, ':');
    return *link && *link != ':' && (!alias || (alias[1] && !strchr(alias + 1, ':')));
}

/* On networks of the user's, links are names that the resolver looks up when it is asked. */
static bool links_are_names(struct json_object *host)
{
    const char *mode = dray_json_str(host, "NetworkMode", "default");
    return *mode && strcmp(mode, "default") != 0 && strcmp(mode, "bridge") != 0 &&
           strcmp(mode, "none") != 0;
}

static int check_links(struct creation *k, struct dray_err *err)
{
    struct json_object *links = dray_json_arr(k->host, "Links");
    bool names = links_are_names(k->host);
    if (dray_json_len(links) > 0)
        atomic_store(&k->cs->has_links, true);
    for (size_t i = 0; i < dray_json_len(links); i++) {
        const char *link = json_object_get_string(json_object_array_get_idx(links, i));
        dray_autofree char *name = strndup(link, strcspn(link, ":"));
        if (!link_valid(link))
            return dray_fail(err, DRAY_E_INVAL, "bad format for links: %s", link);
        if (names)
            continue;
        dray_autocontainer *other = NULL;
        if (name && dray_container_find(k->cs, name, &other, NULL) != 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "could not get container for %s: No such container: %s", name, name);
        dray_autojson *host = other ? dray_container_json(other, &other->host) : NULL;
        if (strcmp(dray_json_str(host, "NetworkMode", ""), "host") == 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "conflicting options: host type networking can't be used with links. "
                             "This would result in undefined behavior");
    }
    return 0;
}

static int check_peers(struct creation *k, struct dray_err *err)
{
    (void)fix_peer(k, "NetworkMode", NULL); /* may come later */
    int rc = fix_peer(k, "IpcMode", err);
    if (rc == 0)
        rc = fix_peer(k, "PidMode", err);
    return rc ? rc : check_links(k, err);
}

/* Several networks at once came with API 1.44. */
static int check_endpoints(struct creation *k, const struct dray_create_req *req,
                           struct dray_err *err)
{
    struct json_object *nets = dray_json_obj(req->body, "NetworkingConfig.EndpointsConfig");
    DRAY_AUTO(dray_buf) names = {0};
    int rc = dray_shape_check(&dray_shape_networking, dray_json_get(req->body, "NetworkingConfig"),
                              "NetworkingConfig", err);
    if (rc != 0 || !nets)
        return rc;
    json_object_object_foreach(nets, name, ep)
    {
        dray_buf_addf(&names, "%s%s", names.len ? ", " : "", name);
        if (rc == 0 && !json_object_is_type(ep, json_type_object))
            rc = dray_fail(err, DRAY_E_INVAL,
                           "invalid config for network %s: EndpointsConfig is nil", name);
        if (rc == 0) {
            rc = dray_networks_check_endpoint(k->cs->engine->networks, name, ep, err);
            rc =
                rc ? dray_err_note(err, "invalid config for network %s", network_name(k, name)) : 0;
        }
    }
    if (rc != 0 || req->api_version >= 144 || json_object_object_length(nets) < 2)
        return rc;
    return dray_fail(err, DRAY_E_INVAL,
                     "Container cannot be created with multiple network endpoints: %s",
                     names.data ? names.data : "");
}

static int build(struct creation *k, const struct dray_create_req *req, struct dray_err *err)
{
    struct dray_container *c = k->c;
    int rc = prepare_config(k, req, err);
    if (rc == 0)
        rc = check_endpoints(k, req, err);
    if (rc == 0)
        rc = check_peers(k, err);
    if (rc == 0)
        rc = check_runtime(k, err);
    if (rc == 0)
        rc = prepare_image(k, req, err);
    if (rc != 0)
        return rc;
    apply_names(k);
    rc = dray_container_name_reserve(k->cs, req->name, c->id, &c->name, err);
    if (rc != 0)
        return rc;
    k->named = true;
    if (!req->step)
        rc = dray_images_hold(k->cs->engine->images, k->image.id, c->id, err);
    if (rc != 0)
        return rc;
    k->held = !req->step;
    memcpy(c->image_id, k->image.id, sizeof c->image_id);
    rc = make_folder(k, err);
    if (rc == 0 && !req->step)
        rc = make_layer(k, err);
    if (rc != 0)
        return rc;
    dray_autojson *points = NULL;
    k->mounted = true;
    rc = dray_container_mounts_create(c, k->config, k->host,
                                      dray_json_obj(k->image.config, "config"), &points, err);
    if (rc != 0)
        return rc;
    fill_container(k, req, points);
    dray_container_resummarize(c);
    rc = dray_container_save(c, err);
    if (rc == 0)
        rc = dray_container_insert(k->cs, c, err);
    return rc;
}

static void undo(struct creation *k)
{
    struct dray_container *c = k->c;
    struct dray_engine *e = k->cs->engine;
    if (k->mounted)
        dray_container_mounts_drop(c, true);
    struct dray_driver *d =
        c->driver ? dray_drivers_find(e->drivers, DRAY_KIND_STORAGE, c->driver) : NULL;
    struct dray_err why = {0};
    if (k->layered && d &&
        dray_driver_call(d, storage, DRAY_CLASS_QUICK, &why, remove, c->layer) != 0)
        dray_warn("remove layer %.12s: %s", c->layer, why.text);
    if (k->foldered)
        (void)dray_fs_remove_tree(k->cs->dir, c->id, NULL);
    if (k->held)
        dray_images_unhold(e->images, k->image.id, c->id);
    if (k->named)
        dray_container_name_release(k->cs, c->name);
}

int dray_containers_create(struct dray_containers *cs, const struct dray_create_req *req,
                           struct json_object **out, struct dray_err *err)
{
    struct creation k = {.cs = cs, .warnings = json_object_new_array()};
    k.c = dray_container_new(cs);
    if (!k.c || !k.warnings)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!dray_container_config_given(req->body)) {
        dray_container_unref(k.c);
        json_object_put(k.warnings);
        return dray_fail(err, DRAY_E_INVAL,
                         "config cannot be empty in order to create a container");
    }
    dray_id_new(k.c->id);
    k.c->created_ns = dray_clock_now();
    int rc = build(&k, req, err);
    if (rc != 0) {
        undo(&k);
        json_object_put(k.warnings);
    } else {
        dray_container_event(k.c, "create", NULL);
        *out = json_object_new_object();
        dray_json_add_str(*out, "Id", k.c->id);
        dray_json_add(*out, "Warnings", k.warnings);
    }
    dray_image_release(&k.image);
    if (k.config)
        json_object_put(k.config);
    if (k.host)
        json_object_put(k.host);
    dray_container_unref(k.c);
    return rc;
}
