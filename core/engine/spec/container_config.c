/* SPDX-License-Identifier: Apache-2.0 */
/* container_config.c - what a Config and a HostConfig mean: defaults, merges, updates. */
#include "engine/spec/container_config.h"

#include "base/json.h"
#include "base/strlist.h"
#include "engine/config.h"
#include "engine/spec/container_fields.h"
#include "engine/sysinfo.h"

#include <ctype.h>
#include <strings.h>

#define PORT_MAX 65535ul
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

bool dray_container_config_given(struct json_object *body)
{
    for (const struct dray_field *f = dray_config_fields; body && f->name; f++)
        if (dray_json_get(body, f->name))
            return true;
    return false;
}

/* A port as Docker reads it: the protocol in any case, and nothing after it. */
static char *port_key(const char *text)
{
    size_t number = strcspn(text, "/");
    size_t proto = text[number] ? strcspn(text + number + 1, "/") + 1 : 0;
    char *key = strndup(text, number + proto);
    for (char *p = key ? key + number : NULL; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return key;
}

/* "8000-8010/tcp" for each of them; what is no such range stays, and is refused later. So does what
 * comes when the ports of all protocols have been named: ranges cost their sender nothing. */
static bool add_range(struct json_object *ports, const char *text, unsigned long *left)
{
    char *dash, *end;
    unsigned long first = strtoul(text, &dash, 10);
    if (!isdigit((unsigned char)*text) || *dash != '-' || !isdigit((unsigned char)dash[1]))
        return false;
    unsigned long last = strtoul(dash + 1, &end, 10);
    bool known =
        !*end || strcmp(end, "/tcp") == 0 || strcmp(end, "/udp") == 0 || strcmp(end, "/sctp") == 0;
    if (!known || first < 1 || last < first || last > PORT_MAX || last - first >= *left)
        return false;
    *left -= last - first + 1;
    for (unsigned long port = first; port <= last; port++) {
        char one[40];
        (void)snprintf(one, sizeof one, "%lu%s", port, end);
        json_object_object_add(ports, one, json_object_new_object());
    }
    return true;
}

static void expand_ports(struct json_object *config)
{
    struct json_object *given = dray_json_obj(config, "ExposedPorts");
    struct json_object *ports = given ? json_object_new_object() : NULL;
    unsigned long left = 3ul * PORT_MAX;
    if (!ports)
        return;
    json_object_object_foreach(given, text, value)
    {
        dray_autofree char *key = port_key(text);
        if (key && !add_range(ports, key, &left))
            json_object_object_add(ports, key, json_object_get(value));
    }
    json_object_object_add(config, "ExposedPorts", ports);
}

static void settle_bindings(struct json_object *host)
{
    struct json_object *given = dray_json_obj(host, "PortBindings");
    struct json_object *ports = given ? json_object_new_object() : NULL;
    if (!ports)
        return;
    json_object_object_foreach(given, text, list)
    {
        dray_autofree char *key = port_key(text);
        if (key)
            json_object_object_add(ports, key, json_object_get(list));
    }
    dray_json_add(host, "PortBindings", ports);
}

int dray_container_config(struct json_object *body, struct json_object **out, struct dray_err *err)
{
    int rc = dray_fields_fill(dray_config_fields, body, "Config", out, err);
    if (rc == 0)
        expand_ports(*out);
    return rc;
}

/* Defaults that come from the daemon's configuration. */

static void default_log(struct json_object *host, const struct dray_config *cfg)
{
    struct json_object *log = dray_json_obj(host, "LogConfig");
    if (!dray_json_obj(log, "Config"))
        dray_json_add(log, "Config", json_object_new_object());
    const char *type = dray_json_str(log, "Type", "");
    if (strcmp(type, "none") == 0)
        return;
    bool other = *type && strcmp(type, cfg->log_driver) != 0;
    if (!other)
        dray_json_add_str(log, "Type", cfg->log_driver);
    struct json_object *opts = dray_json_obj(log, "Config");
    for (size_t i = 0; i < cfg->log_opts.n; i++) {
        const char *key = cfg->log_opts.v[i].key;
        /* Those for the copy that logs are read from hold for every driver. */
        if (!dray_json_get(opts, key) && (!other || strncmp(key, "cache-", 6) == 0))
            dray_json_add_str(opts, key, cfg->log_opts.v[i].value);
    }
}

static void default_str(struct json_object *obj, const char *key, const char *value)
{
    if (value && !*dray_json_str(obj, key, ""))
        dray_json_add_str(obj, key, value);
}

/* As in Go, where it is an array of two: what is missing is zero. */
static void settle_console(struct json_object *host)
{
    struct json_object *size = dray_json_arr(host, "ConsoleSize");
    struct json_object *two = json_object_new_array_ext(2);
    for (size_t i = 0; i < 2; i++)
        json_object_array_add(
            two, json_object_new_int64(json_object_get_int64(json_object_array_get_idx(size, i))));
    dray_json_add(host, "ConsoleSize", two);
}

/* As Docker: on cgroup v1 a privileged container sees the host's groups; on v2 it need not. Clients
 * before API 1.41 know of no such namespace. */
static const char *cgroupns(const struct dray_config *cfg, bool privileged, int api_version)
{
    struct dray_sysinfo si;
    dray_sysinfo_probe(&si);
    if ((privileged || (api_version && api_version < 141)) && !si.v2)
        return "host";
    if (cfg->default_cgroupns_mode && *cfg->default_cgroupns_mode)
        return cfg->default_cgroupns_mode;
    return si.v2 ? "private" : "host";
}

static void default_ulimits(struct json_object *host, const struct dray_config *cfg)
{
    if (!cfg->default_ulimits)
        return;
    struct json_object *list = dray_json_arr(host, "Ulimits");
    if (!list) {
        list = json_object_new_array();
        dray_json_add(host, "Ulimits", list);
    }
    size_t given = dray_json_len(list);
    json_object_object_foreach(cfg->default_ulimits, name, limit)
    {
        bool has = false;
        for (size_t i = 0; i < given && !has; i++)
            has = strcmp(dray_json_str(json_object_array_get_idx(list, i), "Name", ""), name) == 0;
        if (has)
            continue;
        struct json_object *copy = dray_json_copy(limit);
        dray_json_add_str(copy, "Name", name);
        json_object_array_add(list, copy);
    }
}

/* What Docker makes of limits before it shows them: swap is as much as memory again, and no limit
 * on processes is none at all. */
static void settle_limits(struct json_object *host)
{
    int64_t memory = dray_json_int(host, "Memory", 0);
    if (memory > 0 && memory <= INT64_MAX / 2 && dray_json_int(host, "MemorySwap", 0) == 0)
        dray_json_add_int(host, "MemorySwap", 2 * memory);
    if (dray_json_int(host, "PidsLimit", 0) <= 0)
        dray_json_add(host, "PidsLimit", NULL);
    if (dray_json_int(host, "MemorySwappiness", -1) == -1)
        dray_json_add(host, "MemorySwappiness", NULL);
}

/* Who shares the host's namespaces is not confined by a label: inspect shows it so. */
static void disable_label(struct json_object *host)
{
    struct json_object *opts = dray_json_arr(host, "SecurityOpt");
    if (!opts) {
        opts = json_object_new_array();
        dray_json_add(host, "SecurityOpt", opts);
    }
    for (size_t i = 0; i < dray_json_len(opts); i++)
        if (strncmp(json_object_get_string(json_object_array_get_idx(opts, i)), "label", 5) == 0)
            return;
    json_object_array_add(opts, json_object_new_string("label=disable"));
}

/* Namespaces that the request leaves to the daemon. Before API 1.40 IPC was there to be shared. */
static void default_namespaces(struct json_object *host, const struct dray_config *cfg,
                               int api_version)
{
    bool privileged = dray_json_bool(host, "Privileged", false);
    const char *mode = dray_json_str(host, "NetworkMode", "");
    if (!*mode || strcmp(mode, "default") == 0)
        dray_json_add_str(host, "NetworkMode", "bridge");
    mode = dray_json_str(host, "NetworkMode", "");
    if (cfg->bridge && strcmp(cfg->bridge, "none") == 0 && strcmp(mode, "bridge") == 0)
        dray_json_add_str(host, "NetworkMode", "none");
    default_str(host, "IpcMode",
                api_version && api_version < 140 ? "shareable" : cfg->default_ipc_mode);
    default_str(host, "IpcMode", "private");
    default_str(host, "CgroupnsMode", cgroupns(cfg, privileged, api_version));
}

int dray_host_config(struct json_object *user, const struct dray_config *cfg, int api_version,
                     struct json_object **out, struct dray_err *err)
{
    dray_autojson *host = NULL;
    int rc = dray_fields_fill(dray_host_fields, user, "HostConfig", &host, err);
    if (rc != 0)
        return rc;
    bool privileged = dray_json_bool(host, "Privileged", false);
    default_namespaces(host, cfg, api_version);
    default_log(host, cfg);
    default_ulimits(host, cfg);
    default_str(host, "Runtime", cfg->default_runtime);
    default_str(host, "CgroupParent", cfg->cgroup_parent);
    if (!*dray_json_str(host, "RestartPolicy.Name", ""))
        dray_json_add_str(dray_json_obj(host, "RestartPolicy"), "Name", "no");
    if (dray_json_int(host, "ShmSize", 0) == 0)
        dray_json_add_int(host, "ShmSize", cfg->default_shm_size);
    settle_limits(host);
    settle_bindings(host);
    settle_console(host);
    if (privileged || strcmp(dray_json_str(host, "IpcMode", ""), "host") == 0 ||
        strcmp(dray_json_str(host, "PidMode", ""), "host") == 0)
        disable_label(host);
    if (privileged) {
        dray_json_add(host, "MaskedPaths", NULL);
        dray_json_add(host, "ReadonlyPaths", NULL);
    }
    *out = dray_steal(host);
    return 0;
}

/* Merging an image's config. */

static bool is_empty(struct json_object *v)
{
    return !v || (json_object_is_type(v, json_type_array) && json_object_array_length(v) == 0) ||
           (json_object_is_type(v, json_type_string) && json_object_get_string_len(v) == 0);
}

static void copy_if_empty(struct json_object *config, struct json_object *image, const char *key)
{
    struct json_object *v = dray_json_get(image, key);
    if (v && is_empty(dray_json_get(config, key)))
        dray_json_add(config, key, dray_json_copy(v));
}

static void merge_object(struct json_object *config, struct json_object *image, const char *key)
{
    struct json_object *from = dray_json_obj(image, key);
    if (!from || json_object_object_length(from) == 0)
        return;
    struct json_object *to = dray_json_obj(config, key);
    if (!to) {
        dray_json_add(config, key, dray_json_copy(from));
        return;
    }
    json_object_object_foreach(from, name, value)
    {
        if (!json_object_object_get_ex(to, name, NULL))
            json_object_object_add(to, name, dray_json_copy(value));
    }
}

static bool env_has(struct json_object *env, const char *entry)
{
    size_t len = strcspn(entry, "=");
    for (size_t i = 0; i < dray_json_len(env); i++) {
        const char *e = json_object_get_string(json_object_array_get_idx(env, i));
        if (strncmp(e, entry, len) == 0 && (e[len] == '=' || e[len] == '\0'))
            return true;
    }
    return false;
}

static void merge_env(struct json_object *config, struct json_object *image)
{
    struct json_object *mine = dray_json_arr(config, "Env");
    struct json_object *from = dray_json_arr(image, "Env");
    for (size_t i = 0; i < dray_json_len(from); i++) {
        const char *entry = json_object_get_string(json_object_array_get_idx(from, i));
        if (entry && !env_has(mine, entry))
            json_object_array_add(mine, json_object_new_string(entry));
    }
}

static void merge_health(struct json_object *config, struct json_object *image)
{
    struct json_object *from = dray_json_obj(image, "Healthcheck");
    struct json_object *to = dray_json_obj(config, "Healthcheck");
    if (!from)
        return;
    if (!to) {
        dray_json_add(config, "Healthcheck", dray_json_copy(from));
        return;
    }
    if (dray_json_len(dray_json_arr(to, "Test")) == 0)
        copy_if_empty(to, from, "Test");
    static const char *const times[] = {"Interval", "Timeout", "StartPeriod", "StartInterval",
                                        "Retries"};
    for (size_t i = 0; i < COUNT(times); i++)
        if (dray_json_int(to, times[i], 0) == 0 && dray_json_get(from, times[i]))
            dray_json_add_int(to, times[i], dray_json_int(from, times[i], 0));
}

static int merge_command(struct json_object *config, struct json_object *image,
                         struct dray_err *err)
{
    /* An entrypoint of the user's drops the image's command; [""] resets the image's entrypoint. */
    struct json_object *entry = dray_json_arr(config, "Entrypoint");
    if (dray_json_len(entry) == 0) {
        copy_if_empty(config, image, "Cmd");
        if (!entry)
            copy_if_empty(config, image, "Entrypoint");
    } else if (dray_json_len(entry) == 1 &&
               json_object_get_string_len(json_object_array_get_idx(entry, 0)) == 0) {
        dray_json_add(config, "Entrypoint", NULL);
    }
    if (dray_json_len(dray_json_arr(config, "Entrypoint")) == 0 &&
        dray_json_len(dray_json_arr(config, "Cmd")) == 0)
        return dray_fail(err, DRAY_E_INVAL, "no command specified");
    return 0;
}

/* "/tmp/" is shown as "/tmp". */
static void trim_directory(struct json_object *config)
{
    const char *dir = dray_json_str(config, "WorkingDir", "");
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (dir[n])
        dray_json_addf(config, "WorkingDir", "%.*s", (int)n, dir);
}

int dray_container_config_merge(struct json_object *config, struct json_object *image,
                                struct dray_err *err)
{
    static const char *const plain[] = {"User", "WorkingDir", "StopSignal", "Shell", "OnBuild"};
    for (size_t i = 0; i + 1 < COUNT(plain); i++)
        copy_if_empty(config, image, plain[i]);
    trim_directory(config);
    merge_object(config, image, "ExposedPorts");
    merge_object(config, image, "Volumes");
    merge_object(config, image, "Labels");
    struct json_object *volumes = dray_json_obj(config, "Volumes");
    if (volumes && json_object_object_length(volumes) == 0)
        dray_json_add(config, "Volumes", NULL); /* Docker shows the image's, which are none */
    merge_env(config, image);
    merge_health(config, image);
    return merge_command(config, image, err);
}

/* A field that only a new container can have is not dropped without a word. */
static void warn_fixed(struct json_object *user, const struct dray_field *f,
                       struct json_object *warnings)
{
    struct json_object *v = dray_json_get(user, f->name);
    char text[128];
    if (!warnings || dray_shape_empty(v))
        return;
    (void)snprintf(text, sizeof text, "%s cannot be changed in an update. Discarded.", f->name);
    json_object_array_add(warnings, json_object_new_string(text));
}

/* Any number that is not above 0 takes the limit away, and inspect shows it as 0. */
static void update_pids(struct json_object *host, struct json_object *user)
{
    struct json_object *v = dray_json_get(user, "PidsLimit");
    if (v && json_object_is_type(v, json_type_int) && json_object_get_int64(v) <= 0)
        dray_json_add_int(host, "PidsLimit", 0);
}

int dray_host_config_update(struct json_object *host, struct json_object *user,
                            struct json_object *warnings, struct dray_err *err)
{
    static const char *const keys[] = {
        "CpuShares",    "Memory",     "NanoCpus",      "BlkioWeight",       "CpuPeriod",
        "CpuQuota",     "CpusetCpus", "CpusetMems",    "MemoryReservation", "MemorySwap",
        "KernelMemory", "PidsLimit",  "RestartPolicy", "CpuRealtimePeriod", "CpuRealtimeRuntime",
    };
    for (const struct dray_field *f = dray_host_fields; f->name; f++) {
        bool wanted = false;
        for (size_t k = 0; k < COUNT(keys) && !wanted; k++)
            wanted = strcmp(keys[k], f->name) == 0;
        struct json_object *v = NULL;
        if (!wanted)
            warn_fixed(user, f, warnings);
        int rc = wanted ? dray_field_take(f, user, "UpdateConfig", &v, err)
                        : dray_shape_check(f->shape, dray_json_get(user, f->name), f->name, err);
        if (rc != 0)
            return rc;
        bool zero = dray_shape_empty(v) ||
                    (json_object_is_type(v, json_type_object) && !*dray_json_str(v, "Name", ""));
        if (zero)
            json_object_put(v);
        else
            json_object_object_add(host, f->name, v);
    }
    update_pids(host, user);
    return 0;
}
