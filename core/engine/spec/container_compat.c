/* SPDX-License-Identifier: Apache-2.0 */
/* container_compat.c - what the body of a create means in the version of the API that it came in.
 */
#include "base/buf.h"
#include "base/json.h"
#include "engine/spec/container_config.h"
#include "engine/spec/container_fields.h"

/* HostConfig, made where the body has none. */
static struct json_object *host_of(struct json_object *body)
{
    struct json_object *host = dray_json_get(body, "HostConfig");
    if (!host) {
        host = json_object_new_object();
        dray_json_add(body, "HostConfig", host);
    }
    return host;
}

static bool is_object(struct json_object *v)
{
    return json_object_is_type(v, json_type_object);
}

/* Options of another type of mount: since 1.42 they are refused, before they meant nothing. */
static int foreign_options(struct json_object *mount, int version, struct dray_err *err)
{
    static const struct {
        const char *key, *type;
    } options[] = {{"VolumeOptions", "volume"}, {"BindOptions", "bind"}, {"TmpfsOptions", "tmpfs"}};
    const char *type = dray_json_str(mount, "Type", "");
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (!dray_json_obj(mount, options[i].key) || strcmp(options[i].type, type) == 0)
            continue;
        if (version >= 142)
            return dray_fail(err, DRAY_E_INVAL, "%s must not be specified on mount type \"%s\"",
                             options[i].key, type);
        if (strcmp(options[i].key, "BindOptions") != 0)
            json_object_object_del(mount, options[i].key);
    }
    return 0;
}

static int mount_compat(struct json_object *mount, int version, struct dray_err *err)
{
    int rc = dray_shape_check(&dray_shape_mount, mount, "HostConfig.Mounts", err);
    struct json_object *bind = dray_json_obj(mount, "BindOptions");
    if (rc == 0 && mount)
        rc = foreign_options(mount, version, err);
    if (rc != 0 || !bind)
        return rc;
    if (version < 140)
        dray_json_add_bool(bind, "NonRecursive", false);
    if (version < 142)
        dray_json_add_bool(bind, "CreateMountpoint", false);
    if (version >= 144)
        return 0;
    dray_json_add_bool(bind, "ReadOnlyNonRecursive", false);
    if (dray_json_bool(bind, "ReadOnlyForceRecursive", false))
        return dray_fail(err, DRAY_E_INVAL,
                         "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
    return 0;
}

static int mounts_compat(struct json_object *host, int version, struct dray_err *err)
{
    struct json_object *mounts = dray_json_arr(host, "Mounts");
    for (size_t i = 0; i < dray_json_len(mounts); i++) {
        int rc = mount_compat(json_object_array_get_idx(mounts, i), version, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Has the mode a network of the container's own, with an interface in it? */
static bool has_interface(const char *mode)
{
    return strcmp(mode, "host") != 0 && strcmp(mode, "none") != 0 &&
           !dray_str_prefix(mode, "container:");
}

/* The address has been the endpoint's since 1.44; Config's stands for the main endpoint's. */
static int mac_compat(struct json_object *body, struct json_object *host, int version,
                      struct json_object *warnings, struct dray_err *err)
{
    const char *mac = dray_json_str(body, "MacAddress", "");
    const char *mode = dray_json_str(host, "NetworkMode", "");
    if (!*mac)
        return 0;
    if (version < 144)
        return has_interface(mode)
                   ? 0
                   : dray_fail(err, DRAY_E_INVAL,
                               "conflicting options: mac-address and the network mode");
    struct json_object *eps = dray_json_obj(body, "NetworkingConfig.EndpointsConfig"), *ep = NULL;
    bool main_one = !*mode || strcmp(mode, "default") == 0 || strcmp(mode, "bridge") == 0;
    if (eps && !(main_one && json_object_object_get_ex(eps, "default", &ep)))
        (void)json_object_object_get_ex(eps, main_one ? "bridge" : mode, &ep);
    const char *own = dray_json_str(ep, "MacAddress", "");
    if (*own && strcmp(own, mac) != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "the container-wide MAC address must match the endpoint-specific MAC "
                         "address for the main network, or be left empty");
    json_object_array_add(
        warnings, json_object_new_string("The container-wide MacAddress field is now deprecated. "
                                         "It should be specified in EndpointsConfig instead."));
    return 0;
}

int dray_create_compat(struct json_object *body, int version, struct json_object *warnings,
                       struct dray_err *err)
{
    struct json_object *host = host_of(body);
    if (!is_object(host))
        return 0;      /* told by whoever reads its fields */
    if (version < 125) /* the client removed it */
        dray_json_add_bool(host, "AutoRemove", false);
    if (version < 140)
        dray_json_add_int(host, "KernelMemoryTCP", 0);
    if (version < 142)
        dray_json_add(host, "ConsoleSize", NULL);
    if (version < 143)
        dray_json_add(host, "Annotations", NULL);
    struct json_object *health = dray_json_obj(body, "Healthcheck");
    if (version < 144 && health)
        dray_json_add_int(health, "StartInterval", 0);
    int rc = mounts_compat(host, version, err);
    return rc ? rc : mac_compat(body, host, version, warnings, err);
}
