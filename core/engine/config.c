/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - merges options, daemon.json and defaults into struct dray_config. */
#include "engine/config.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"
#include "engine/config_load.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <strings.h>
#include <unistd.h>

#ifndef DRAY_LIBDIR_NAME
#define DRAY_LIBDIR_NAME "lib"
#endif
#ifndef DRAY_LIBEXECDIR_NAME
#define DRAY_LIBEXECDIR_NAME "libexec"
#endif

#define DATA_ROOT "/var/lib/dray"
#define EXEC_ROOT "/run/dray"

static int out_of_memory(struct dray_err *err)
{
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

bool dray_config_size(struct json_object *value, int64_t *out)
{
    if (json_object_is_type(value, json_type_int)) {
        *out = json_object_get_int64(value);
        return *out >= 0;
    }
    const char *text = json_object_get_string(value);
    char *end = NULL;
    double n = strtod(text, &end);
    static const char units[] = "bkmgtp";
    const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : units;
    if (end == text || !unit || n < 0)
        return false;
    if (*end)
        end++;
    if (strcasecmp(end, "b") != 0 && strcasecmp(end, "ib") != 0 && *end)
        return false;
    for (; unit > units; unit--)
        n *= 1024;
    if (n >= 9e18)
        return false;
    *out = (int64_t)n;
    return true;
}

static int set_text(char **slot, const char *text, struct dray_err *err)
{
    free(*slot);
    *slot = text ? strdup(text) : NULL;
    return text && !*slot ? out_of_memory(err) : 0;
}

static int add_pools(struct dray_strlist *l, struct json_object *pools, struct dray_err *err)
{
    for (size_t i = 0; i < json_object_array_length(pools); i++) {
        struct json_object *p = json_object_array_get_idx(pools, i);
        const char *base = dray_json_str(p, "base", NULL);
        int64_t size = dray_json_int(p, "size", 0);
        if (!base || size <= 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "\"default-address-pools\": each pool needs \"base\" and \"size\"");
        if (!dray_strlist_addf(l, "%s:%d", base, (int)size))
            return out_of_memory(err);
    }
    return 0;
}

/* Put one value, whose shape has been checked, into its field. */
static int fill_field(struct dray_config *c, const struct dray_conf_key *k,
                      struct json_object *value, struct dray_err *err)
{
    void *field = (char *)c + k->offset;
    switch (k->type) {
    case DRAY_CONF_STR:
        return set_text(field, json_object_get_string(value), err);
    case DRAY_CONF_BOOL:
        *(bool *)field = json_object_get_boolean(value);
        return 0;
    case DRAY_CONF_INT:
        *(int *)field = json_object_get_int(value);
        return 0;
    case DRAY_CONF_SIZE:
        if (dray_config_size(value, field))
            return 0;
        return dray_fail(err, DRAY_E_INVAL, "invalid size for \"%s\": %s", k->key,
                         json_object_get_string(value));
    case DRAY_CONF_STRS:
        return dray_json_to_strlist(value, field, err);
    case DRAY_CONF_MAP:
        return dray_json_to_kvlist(value, field, err);
    case DRAY_CONF_POOLS:
        return add_pools(field, value, err);
    default:
        *(struct json_object **)field = dray_json_copy(value);
        return 0;
    }
}

static int fill(struct dray_config *c, struct dray_err *err)
{
    for (const struct dray_conf_key *k = dray_conf_keys; k->key || k->flag; k++) {
        struct json_object *value = NULL;
        if (k->offset < 0 ||
            !json_object_object_get_ex(c->raw, k->key ? k->key : k->flag, &value) || !value)
            continue;
        int rc = fill_field(c, k, value, err);
        if (rc)
            return rc;
    }
    struct json_object *proxies = dray_json_obj(c->raw, "proxies");
    const char *names[] = {"http-proxy", "https-proxy", "no-proxy"};
    char **slots[] = {&c->http_proxy, &c->https_proxy, &c->no_proxy};
    for (size_t i = 0; i < 3; i++) {
        const char *text = dray_json_str(proxies, names[i], NULL);
        if (text && !*slots[i] && set_text(slots[i], text, err))
            return DRAY_E_NOMEM;
    }
    return 0;
}

/* Flags over file, member by member. */
static struct json_object *merge(struct json_object *flags, struct json_object *file)
{
    struct json_object *all = file ? dray_json_copy(file) : json_object_new_object();
    if (!all || !flags)
        return all;
    json_object_object_foreach(flags, key, value)
    {
        struct json_object *there = NULL;
        if (strcmp(key, "runtimes") == 0 && json_object_object_get_ex(all, key, &there) && there) {
            json_object_object_foreach(value, name, rt)
                dray_json_add(there, name, dray_json_copy(rt));
        } else {
            dray_json_add(all, key, dray_json_copy(value));
        }
    }
    return all;
}

static int set_defaults(struct dray_config *c, struct dray_err *err)
{
    c->default_shm_size = INT64_C(64) << 20;
    c->shutdown_timeout_s = 15;
    c->live_restore = true;
    c->mtu = 1500;
    c->icc = c->ip_masq = c->ip_forward = c->userland_proxy = c->iptables = true;
    c->max_concurrent_downloads = 3;
    c->max_concurrent_uploads = 5;
    c->max_download_attempts = 5;
    static const struct {
        size_t offset;
        const char *text;
    } texts[] = {
        {offsetof(struct dray_config, data_root), DATA_ROOT},
        {offsetof(struct dray_config, exec_root), EXEC_ROOT},
        {offsetof(struct dray_config, log_driver), "json-file"},
        {offsetof(struct dray_config, default_runtime), "native"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (set_text((char **)(void *)((char *)c + texts[i].offset), texts[i].text, err))
            return DRAY_E_NOMEM;
    return 0;
}

/* dockerd has one of these on Linux. */
static int check_exec_opts(struct dray_config *c, struct dray_err *err)
{
    struct json_object *opts = dray_json_arr(c->raw, "exec-opts");
    static const char driver[] = "native.cgroupdriver=";
    for (size_t i = 0; i < dray_json_len(opts); i++) {
        const char *o = json_object_get_string(json_object_array_get_idx(opts, i));
        const char *value = o + sizeof driver - 1;
        if (strncmp(o, driver, sizeof driver - 1) != 0)
            return dray_fail(err, DRAY_E_INVAL, "unknown exec-opt: %s", o);
        c->systemd_cgroup = strcmp(value, "systemd") == 0;
        if (!c->systemd_cgroup && strcmp(value, "cgroupfs") != 0)
            return dray_fail(err, DRAY_E_INVAL, "invalid option for native.cgroupdriver: %s",
                             value);
    }
    return 0;
}

/* What containers get that name no mode of their own. */
static int check_modes(const struct dray_config *c, struct dray_err *err)
{
    const char *ipc = c->default_ipc_mode, *ns = c->default_cgroupns_mode;
    if (ipc && strcmp(ipc, "private") != 0 && strcmp(ipc, "shareable") != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "default IPC mode setting (%s) is invalid; use \"private\" or "
                         "\"shareable\"",
                         ipc);
    if (ns && strcmp(ns, "private") != 0 && strcmp(ns, "host") != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "default cgroup namespace mode (%s) is invalid; use \"host\" or "
                         "\"private\"",
                         ns);
    return 0;
}

/* One address of each family. */
static int check_host_gateways(const struct dray_config *c, struct dray_err *err)
{
    int seen[2] = {0};
    for (size_t i = 0; i < c->host_gateway_ips.n; i++) {
        const char *text = c->host_gateway_ips.v[i];
        uint8_t addr[16];
        int family = inet_pton(AF_INET, text, addr) == 1    ? 0
                     : inet_pton(AF_INET6, text, addr) == 1 ? 1
                                                            : -1;
        if (family < 0)
            return dray_fail(err, DRAY_E_INVAL, "host-gateway-ips: invalid IP address: %s", text);
        if (seen[family]++)
            return dray_fail(err, DRAY_E_INVAL,
                             "host-gateway-ips: only one IPv%d address may be given: %s",
                             family ? 6 : 4, text);
    }
    return 0;
}

static int check_network(const struct dray_config *c, struct dray_err *err)
{
    const char *named = dray_json_str(c->raw, "bridge", "");
    if (*named && c->bip && *c->bip)
        return dray_fail(
            err, DRAY_E_INVAL,
            "You specified -b & --bip, mutually exclusive options. Please specify only "
            "one");
    if (!c->iptables && !c->icc)
        return dray_fail(err, DRAY_E_INVAL,
                         "You specified --iptables=false with --icc=false. ICC=false uses iptables "
                         "to function. Please set --icc or --iptables to true");
    return check_host_gateways(c, err);
}

static bool is_cidr(const char *text)
{
    uint8_t addr[16];
    char base[64];
    char *end = NULL;
    const char *slash = strchr(text, '/');
    if (!slash || (size_t)(slash - text) >= sizeof base)
        return false;
    (void)snprintf(base, sizeof base, "%.*s", (int)(slash - text), text);
    unsigned long bits = strtoul(slash + 1, &end, 10);
    if (end == slash + 1 || *end)
        return false;
    return (inet_pton(AF_INET, base, addr) == 1 && bits <= 32) ||
           (inet_pton(AF_INET6, base, addr) == 1 && bits <= 128);
}

/* Networks, or hosts with or without a port. */
static int check_registries(const struct dray_config *c, struct dray_err *err)
{
    for (size_t i = 0; i < c->insecure_registries.n; i++) {
        const char *r = c->insecure_registries.v[i];
        if (!*r || (strchr(r, '/') && !is_cidr(r) && !strstr(r, "://")))
            return dray_fail(err, DRAY_E_INVAL,
                             "insecure registry %s is not valid: invalid host \"%s\"", r, r);
    }
    return 0;
}

static int check_numbers(const struct dray_config *c, struct dray_err *err)
{
    if (c->mtu < 68 || c->mtu > 65535)
        return dray_fail(err, DRAY_E_INVAL, "invalid mtu: %d", c->mtu);
    if (c->max_concurrent_downloads < 0 || c->max_concurrent_uploads < 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid max concurrent downloads or uploads: %d, %d",
                         c->max_concurrent_downloads, c->max_concurrent_uploads);
    if (c->max_download_attempts < 1)
        return dray_fail(err, DRAY_E_INVAL, "invalid max download attempts: %d",
                         c->max_download_attempts);
    if (c->shutdown_timeout_s < -1)
        return dray_fail(err, DRAY_E_INVAL, "invalid shutdown-timeout: %d", c->shutdown_timeout_s);
    if (*c->data_root != '/' || *c->exec_root != '/')
        return dray_fail(err, DRAY_E_INVAL, "data-root and exec-root must be absolute paths");
    if (c->default_cgroupns_mode && *c->default_cgroupns_mode &&
        strcmp(c->default_cgroupns_mode, "host") != 0 &&
        strcmp(c->default_cgroupns_mode, "private") != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid default cgroup namespace (%s), use \"host\" or \"private\"",
                         c->default_cgroupns_mode);
    if (c->publish_policy && strcmp(c->publish_policy, "docker") != 0 &&
        strcmp(c->publish_policy, "host-rules") != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid publish-policy: %s: it is \"docker\" or \"host-rules\"",
                         c->publish_policy);
    return 0;
}

/* Several daemons live side by side when their bridges and tables differ: those of a daemon with
 * other roots than the default ones are named after its data root. */
static int derive_names(struct dray_config *c, struct dray_err *err)
{
    bool first = strcmp(c->data_root, DATA_ROOT) == 0 && strcmp(c->exec_root, EXEC_ROOT) == 0;
    char digest[DRAY_DIGEST_LEN];
    dray_digest_of(c->data_root, strlen(c->data_root), digest);
    const char *hex = dray_digest_hex(digest);
    if (!c->bridge)
        c->bridge = first ? strdup("dray0") : dray_strf("dray-%.6s", hex);
    if (!c->nft_table)
        c->nft_table = first ? strdup("dray") : dray_strf("dray_%.6s", hex);
    return c->bridge && c->nft_table ? 0 : out_of_memory(err);
}

/* bin_dir/../<name>/dray[/plugins]: the installed tree and the build tree look alike. The libdir
 * may have been given by the build ("lib/x86_64-linux-gnu"); other installations have lib, lib64.
 */
static char *sibling_dir(const char *bin_dir, const char *const *names, const char *tail)
{
    char *fallback = NULL;
    for (size_t i = 0; names[i]; i++) {
        char *path = dray_strf("%s/../%s/%s", bin_dir, names[i], tail);
        char *real = path ? realpath(path, NULL) : NULL;
        if (real) {
            free(path);
            free(fallback);
            return real;
        }
        if (fallback)
            free(path);
        else
            fallback = path;
    }
    return fallback;
}

static int find_install(struct dray_config *c, const char *bin_dir, struct dray_err *err)
{
    static const char *const libs[] = {DRAY_LIBDIR_NAME, "lib", "lib64", NULL};
    static const char *const libexecs[] = {DRAY_LIBEXECDIR_NAME, "libexec", "lib", NULL};
    c->plugin_dir = sibling_dir(bin_dir, libs, "dray/plugins");
    c->libexec_dir = sibling_dir(bin_dir, libexecs, "dray");
    if (c->libexec_dir && !c->init_path)
        c->init_path = dray_strf("%s/dray-init", c->libexec_dir);
    return c->plugin_dir && c->libexec_dir && c->init_path ? 0 : out_of_memory(err);
}

/* ---- Plugin options that follow from settings ---- */

static struct json_object *entry_of(struct json_object *plugins, const char *name)
{
    struct json_object *entry = NULL;
    if (!json_object_object_get_ex(plugins, name, &entry) || !entry) {
        entry = json_object_new_object();
        dray_json_add(plugins, name, entry);
    }
    return entry;
}

static void add_strs(struct json_object *plugins, const char *name, const char *option,
                     const struct dray_strlist *l)
{
    if (l->n)
        dray_json_add(entry_of(plugins, name), option, dray_json_strs(l));
}

static void add_str(struct json_object *plugins, const char *name, const char *option,
                    const char *text)
{
    if (text && *text)
        dray_json_add_str(entry_of(plugins, name), option, text);
}

/* "overlay2.size=10G" is the option "size" of the driver "overlay". */
static int add_storage_opts(struct json_object *plugins, const struct dray_config *c,
                            struct dray_err *err)
{
    for (size_t i = 0; i < c->storage_opts.n; i++) {
        const char *text = c->storage_opts.v[i];
        const char *dot = strchr(text, '.'), *eq = strchr(text, '=');
        if (!dot || !eq || dot > eq || dot == text)
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid storage option \"%s\": must be DRIVER.NAME=VALUE", text);
        dray_autofree char *driver = strndup(text, (size_t)(dot - text));
        dray_autofree char *option = strndup(dot + 1, (size_t)(eq - dot - 1));
        if (!driver || !option)
            return out_of_memory(err);
        /* Docker's overlay2 has this one, for kernels older than any we run on. */
        if (strcmp(option, "override_kernel_check") == 0)
            continue;
        add_str(plugins, strcmp(driver, "overlay2") == 0 ? "overlay" : driver, option, eq + 1);
    }
    return 0;
}

/* "io.containerd.runsc.v1" is served by "runsc"; NULL for what has no command line. */
static char *program_of(const char *name, struct json_object *runtime)
{
    const char *path = dray_json_str(runtime, "path", "");
    const char *binary = dray_json_str(runtime, "options.BinaryName", "");
    const char *type = dray_json_str(runtime, "runtimeType", "");
    char kind[64] = "";
    if (*path || *binary)
        return strdup(*path ? path : binary);
    if (!*type)
        return strdup(name);
    return sscanf(type, "io.containerd.%63[a-z0-9_-].v", kind) == 1 ? strdup(kind) : NULL;
}

/* Docker's "runtimes" are instances of the driver for programs like runc. */
static int add_runtimes(struct json_object *plugins, struct json_object *runtimes,
                        struct dray_err *err)
{
    if (!runtimes)
        return 0;
    json_object_object_foreach(runtimes, name, runtime)
    {
        dray_autofree char *program = program_of(name, runtime);
        if (!program)
            return dray_fail(err, DRAY_E_INVAL, "runtimes: \"%s\" has no program", name);
        struct json_object *entry = entry_of(plugins, name);
        struct json_object *args = dray_json_arr(runtime, "runtimeArgs");
        dray_json_add_str(entry, "plugin", "runc");
        dray_json_add_str(entry, "program", program);
        if (args)
            dray_json_add(entry, "args", dray_json_copy(args));
    }
    return 0;
}

/* The user's own "plugins" on top; {"options":{..}} is the same as its members inline. */
static void add_user_plugins(struct json_object *plugins, struct json_object *user)
{
    if (!user)
        return;
    json_object_object_foreach(user, name, given)
    {
        struct json_object *entry = entry_of(plugins, name);
        if (!json_object_is_type(given, json_type_object))
            continue;
        json_object_object_foreach(given, key, value)
        {
            if (strcmp(key, "options") != 0 || !json_object_is_type(value, json_type_object)) {
                dray_json_add(entry, key, dray_json_copy(value));
                continue;
            }
            json_object_object_foreach(value, option, v)
                dray_json_add(entry, option, dray_json_copy(v));
        }
    }
}

static int build_plugins(struct dray_config *c, struct dray_err *err)
{
    c->plugins = json_object_new_object();
    if (!c->plugins)
        return out_of_memory(err);
    add_strs(c->plugins, "default", "default-address-pools", &c->default_address_pools);
    add_str(c->plugins, "bridge", "table", c->nft_table);
    add_str(c->plugins, "bridge", "publish-policy", c->publish_policy);
    if (c->mtu != 1500)
        dray_json_add_int(entry_of(c->plugins, "bridge"), "mtu", c->mtu);
    if (!c->iptables)
        dray_json_add_bool(entry_of(c->plugins, "bridge"), "rules", false);
    if (!c->ip_forward)
        dray_json_add_bool(entry_of(c->plugins, "bridge"), "ip-forward", false);
    add_strs(c->plugins, "hub", "insecure-registries", &c->insecure_registries);
    add_strs(c->plugins, "hub", "registry-mirrors", &c->registry_mirrors);
    add_str(c->plugins, "hub", "http-proxy", c->http_proxy);
    add_str(c->plugins, "hub", "https-proxy", c->https_proxy);
    add_str(c->plugins, "hub", "no-proxy", c->no_proxy);
    int rc = add_storage_opts(c->plugins, c, err);
    if (!rc)
        rc = add_runtimes(c->plugins, c->runtimes, err);
    if (!rc)
        add_user_plugins(c->plugins, dray_json_obj(c->raw, "plugins"));
    return rc;
}

int dray_config_build(struct json_object *flags, struct json_object *file, const char *config_file,
                      const char *bin_dir, struct dray_config **out, struct dray_err *err)
{
    struct dray_config *c = calloc(1, sizeof *c);
    if (!c)
        return out_of_memory(err);
    c->raw = merge(flags, file);
    c->config_file = config_file ? strdup(config_file) : NULL;
    int rc = c->raw ? set_defaults(c, err) : out_of_memory(err);
    if (!rc)
        rc = fill(c, err);
    if (!rc && strcmp(dray_json_str(c->raw, "log-level", ""), "debug") == 0)
        c->debug = true;
    if (!rc)
        rc = check_numbers(c, err);
    if (!rc)
        rc = check_modes(c, err);
    if (!rc)
        rc = check_network(c, err);
    if (!rc)
        rc = check_registries(c, err);
    if (!rc)
        rc = check_exec_opts(c, err);
    if (!rc)
        rc = derive_names(c, err);
    if (!rc)
        rc = find_install(c, bin_dir, err);
    if (!rc)
        rc = build_plugins(c, err);
    if (rc)
        dray_config_free(c);
    else
        *out = c;
    return rc;
}

void dray_config_free(struct dray_config *c)
{
    if (!c)
        return;
    for (const struct dray_conf_key *k = dray_conf_keys; k->key || k->flag; k++) {
        void *field = k->offset < 0 ? NULL : (char *)c + k->offset;
        if (!field)
            continue;
        if (k->type == DRAY_CONF_STR)
            free(*(char **)field);
        else if (k->type == DRAY_CONF_STRS || k->type == DRAY_CONF_POOLS)
            dray_strlist_free(field);
        else if (k->type == DRAY_CONF_MAP)
            dray_kvlist_free(field);
        else if (k->type == DRAY_CONF_OBJ || k->type == DRAY_CONF_RUNTIMES ||
                 k->type == DRAY_CONF_ULIMITS || k->type == DRAY_CONF_NETOPTS)
            json_object_put(*(struct json_object **)field);
    }
    free(c->config_file);
    free(c->plugin_dir);
    free(c->libexec_dir);
    json_object_put(c->plugins);
    json_object_put(c->raw);
    dray_config_free(c->older);
    free(c);
}
