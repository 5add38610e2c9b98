/* SPDX-License-Identifier: Apache-2.0 */
/* create_body.c - turns the flags of run and create into the API's container. */
#include "client/create.h"

#include "base/json.h"
#include "client/config.h"
#include "client/spec/specs.h"
#include "client/term.h"
#include "client/units.h"

#include <unistd.h>

/* A flag whose value goes into the body as it is: no prefix is Config, "H." is HostConfig. */
struct plain_flag {
    const char *flag;
    const char *key;
    enum { P_STR, P_BOOL, P_INT, P_LIST, P_BYTES, P_CPUS, P_MAP } kind;
};

static const struct plain_flag plain_flags[] = {
    {"hostname", "Hostname", P_STR},
    {"domainname", "Domainname", P_STR},
    {"user", "User", P_STR},
    {"tty", "Tty", P_BOOL},
    {"workdir", "WorkingDir", P_STR},
    {"stop-signal", "StopSignal", P_STR},
    {"stop-timeout", "StopTimeout", P_INT},
    {"cap-add", "H.CapAdd", P_LIST},
    {"cap-drop", "H.CapDrop", P_LIST},
    {"dns", "H.Dns", P_LIST},
    {"dns-option", "H.DnsOptions", P_LIST},
    {"dns-search", "H.DnsSearch", P_LIST},
    {"group-add", "H.GroupAdd", P_LIST},
    {"volumes-from", "H.VolumesFrom", P_LIST},
    {"device-cgroup-rule", "H.DeviceCgroupRules", P_LIST},
    {"privileged", "H.Privileged", P_BOOL},
    {"read-only", "H.ReadonlyRootfs", P_BOOL},
    {"init", "H.Init", P_BOOL},
    {"publish-all", "H.PublishAllPorts", P_BOOL},
    {"rm", "H.AutoRemove", P_BOOL},
    {"oom-kill-disable", "H.OomKillDisable", P_BOOL},
    {"oom-score-adj", "H.OomScoreAdj", P_INT},
    {"pids-limit", "H.PidsLimit", P_INT},
    {"cpu-shares", "H.CpuShares", P_INT},
    {"cpu-period", "H.CpuPeriod", P_INT},
    {"cpu-quota", "H.CpuQuota", P_INT},
    {"cpu-rt-period", "H.CpuRealtimePeriod", P_INT},
    {"cpu-rt-runtime", "H.CpuRealtimeRuntime", P_INT},
    {"cpuset-cpus", "H.CpusetCpus", P_STR},
    {"cpuset-mems", "H.CpusetMems", P_STR},
    {"cpus", "H.NanoCpus", P_CPUS},
    {"blkio-weight", "H.BlkioWeight", P_INT},
    {"memory", "H.Memory", P_BYTES},
    {"memory-reservation", "H.MemoryReservation", P_BYTES},
    {"memory-swap", "H.MemorySwap", P_BYTES},
    {"memory-swappiness", "H.MemorySwappiness", P_INT},
    {"kernel-memory", "H.KernelMemory", P_BYTES},
    {"shm-size", "H.ShmSize", P_BYTES},
    {"cgroup-parent", "H.CgroupParent", P_STR},
    {"cgroupns", "H.CgroupnsMode", P_STR},
    {"pid", "H.PidMode", P_STR},
    {"ipc", "H.IpcMode", P_STR},
    {"uts", "H.UTSMode", P_STR},
    {"userns", "H.UsernsMode", P_STR},
    {"isolation", "H.Isolation", P_STR},
    {"runtime", "H.Runtime", P_STR},
    {"volume-driver", "H.VolumeDriver", P_STR},
    {"cidfile", "H.ContainerIDFile", P_STR},
    {"sysctl", "H.Sysctls", P_MAP},
    {"annotation", "H.Annotations", P_MAP},
    {"storage-opt", "H.StorageOpt", P_MAP},
};

struct body {
    struct cli *cli;
    const struct cli_args *args;
    struct json_object *config;
    struct json_object *host;
    struct json_object *net;
};

static struct json_object *list_of(const struct cli_args *a, const char *flag)
{
    DRAY_AUTO(dray_strlist) l = {0};
    cli_list(a, flag, &l);
    return dray_json_strs(&l);
}

static struct json_object *plain_value(const struct cli_args *a, const struct plain_flag *p)
{
    const char *text = cli_str(a, p->flag);
    int64_t n = 0;
    DRAY_AUTO(dray_strlist) l = {0};
    switch (p->kind) {
    case P_STR:
        return json_object_new_string(text);
    case P_BOOL:
        return json_object_new_boolean(cli_bool(a, p->flag));
    case P_INT:
        return json_object_new_int64(cli_int(a, p->flag));
    case P_LIST:
        return list_of(a, p->flag);
    case P_BYTES:
        if (strcmp(text, "-1") == 0)
            n = -1;
        else
            (void)units_bytes(text, &n, NULL);
        return json_object_new_int64(n);
    case P_CPUS:
        (void)units_cpus(text, &n, NULL);
        return json_object_new_int64(n);
    case P_MAP:
        cli_list(a, p->flag, &l);
        return spec_map(&l);
    }
    return NULL;
}

static void add_plain(struct body *b)
{
    for (size_t i = 0; i < sizeof plain_flags / sizeof *plain_flags; i++) {
        const struct plain_flag *p = &plain_flags[i];
        if (!cli_given(b->args, p->flag))
            continue;
        bool host = p->key[1] == '.';
        json_object_object_add(host ? b->host : b->config, host ? p->key + 2 : p->key,
                               plain_value(b->args, p));
    }
}

static bool attach_has(const struct dray_strlist *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcasecmp(l->v[i], name) == 0)
            return true;
    return false;
}

static void add_streams(struct body *b)
{
    DRAY_AUTO(dray_strlist) l = {0};
    cli_list(b->args, "attach", &l);
    bool open = cli_bool(b->args, "interactive");
    bool in = attach_has(&l, "stdin") || open;
    dray_json_add_bool(b->config, "AttachStdin", in);
    dray_json_add_bool(b->config, "AttachStdout", l.n == 0 || attach_has(&l, "stdout"));
    dray_json_add_bool(b->config, "AttachStderr", l.n == 0 || attach_has(&l, "stderr"));
    dray_json_add_bool(b->config, "OpenStdin", open);
    dray_json_add_bool(b->config, "StdinOnce", open && in);
}

static bool env_has(const struct dray_strlist *env, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], name, n) == 0 && (env->v[i][n] == '=' || !env->v[i][n]))
            return true;
    return false;
}

/* The proxies that config.json names for containers, in both spellings. */
static void add_proxies(struct body *b, struct dray_strlist *env)
{
    static const char *const names[][3] = {{"httpProxy", "HTTP_PROXY", "http_proxy"},
                                           {"httpsProxy", "HTTPS_PROXY", "https_proxy"},
                                           {"ftpProxy", "FTP_PROXY", "ftp_proxy"},
                                           {"noProxy", "NO_PROXY", "no_proxy"},
                                           {"allProxy", "ALL_PROXY", "all_proxy"}};
    struct json_object *all = dray_json_obj(config_get(b->cli), "proxies"), *p = NULL;
    if (!all || (!json_object_object_get_ex(all, b->cli->host, &p) &&
                 !json_object_object_get_ex(all, "default", &p)))
        return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *v = dray_json_str(p, names[i][0], "");
        for (size_t k = 1; k < 3 && *v; k++)
            if (!env_has(env, names[i][k]))
                (void)dray_strlist_addf(env, "%s=%s", names[i][k], v);
    }
}

static int add_env(struct body *b)
{
    DRAY_AUTO(dray_strlist) files = {0}, words = {0}, env = {0};
    struct dray_err err = {0};
    cli_list(b->args, "env-file", &files);
    cli_list(b->args, "env", &words);
    for (size_t i = 0; i < files.n; i++)
        if (spec_env_file(files.v[i], true, &env, &err) != 0)
            return cli_fail_err(b->cli, &err);
    for (size_t i = 0; i < words.n; i++) {
        const char *v = strchr(words.v[i], '=') ? NULL : getenv(words.v[i]);
        if (v)
            (void)dray_strlist_addf(&env, "%s=%s", words.v[i], v);
        else
            (void)dray_strlist_add(&env, words.v[i]);
    }
    add_proxies(b, &env);
    if (env.n)
        json_object_object_add(b->config, "Env", dray_json_strs(&env));
    return 0;
}

static int add_labels(struct body *b)
{
    DRAY_AUTO(dray_strlist) files = {0}, words = {0};
    struct dray_err err = {0};
    cli_list(b->args, "label-file", &files);
    for (size_t i = 0; i < files.n; i++)
        if (spec_env_file(files.v[i], false, &words, &err) != 0)
            return cli_fail_err(b->cli, &err);
    cli_list(b->args, "label", &words);
    if (words.n)
        json_object_object_add(b->config, "Labels", spec_map(&words));
    return 0;
}

static int add_volumes(struct body *b)
{
    DRAY_AUTO(dray_strlist) words = {0}, binds = {0};
    struct json_object *volumes = json_object_new_object();
    struct dray_err err = {0};
    int rc = 0;
    cli_list(b->args, "volume", &words);
    for (size_t i = 0; i < words.n && rc == 0; i++) {
        char *bind = NULL;
        dray_autofree char *path = NULL;
        rc = spec_volume(words.v[i], &bind, &path, &err);
        if (bind)
            (void)dray_strlist_take(&binds, bind);
        if (path)
            json_object_object_add(volumes, path, json_object_new_object());
    }
    if (binds.n)
        json_object_object_add(b->host, "Binds", dray_json_strs(&binds));
    if (json_object_object_length(volumes))
        json_object_object_add(b->config, "Volumes", volumes);
    else
        json_object_put(volumes);
    return rc == 0 ? 0 : cli_fail_err(b->cli, &err);
}

static void add_tmpfs(struct body *b)
{
    DRAY_AUTO(dray_strlist) words = {0};
    cli_list(b->args, "tmpfs", &words);
    if (words.n == 0)
        return;
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < words.n; i++) {
        const char *colon = strchr(words.v[i], ':');
        dray_autofree char *path = cli_strf(
            "%.*s", colon ? (int)(colon - words.v[i]) : (int)strlen(words.v[i]), words.v[i]);
        dray_json_add_str(o, path, colon ? colon + 1 : "");
    }
    json_object_object_add(b->host, "Tmpfs", o);
}

static int add_ports(struct body *b)
{
    DRAY_AUTO(dray_strlist) publish = {0}, expose = {0};
    struct json_object *exposed = json_object_new_object(), *bindings = json_object_new_object();
    struct dray_err err = {0};
    int rc = 0;
    cli_list(b->args, "publish", &publish);
    cli_list(b->args, "expose", &expose);
    for (size_t i = 0; i < publish.n && rc == 0; i++)
        rc = spec_publish(publish.v[i], exposed, bindings, &err);
    for (size_t i = 0; i < expose.n && rc == 0; i++)
        rc = spec_expose(expose.v[i], exposed, &err);
    bool any = json_object_object_length(exposed) > 0;
    json_object_object_add(b->config, any ? "ExposedPorts" : "\001", exposed);
    json_object_object_add(b->host, any ? "PortBindings" : "\001", bindings);
    json_object_object_del(b->config, "\001");
    json_object_object_del(b->host, "\001");
    return rc == 0 ? 0 : cli_fail_err(b->cli, &err);
}

typedef int (*spec_fn)(const char *value, struct json_object **out, struct dray_err *err);

static int add_objects(struct body *b, const char *flag, const char *key, spec_fn parse)
{
    DRAY_AUTO(dray_strlist) words = {0};
    struct dray_err err = {0};
    cli_list(b->args, flag, &words);
    if (words.n == 0)
        return 0;
    struct json_object *list = json_object_new_array();
    json_object_object_add(b->host, key, list);
    for (size_t i = 0; i < words.n; i++) {
        struct json_object *o = NULL;
        if (parse(words.v[i], &o, &err) != 0)
            return cli_fail_err(b->cli, &err);
        json_object_array_add(list, o);
    }
    return 0;
}

static int read_bps(const char *v, struct json_object **out, struct dray_err *err)
{
    return spec_throttle(v, "Rate", true, out, err);
}

static int read_iops(const char *v, struct json_object **out, struct dray_err *err)
{
    return spec_throttle(v, "Rate", false, out, err);
}

static int read_weight(const char *v, struct json_object **out, struct dray_err *err)
{
    return spec_throttle(v, "Weight", false, out, err);
}

static int add_limits(struct body *b)
{
    static const struct {
        const char *flag, *key;
        spec_fn parse;
    } table[] = {{"mount", "Mounts", spec_mount},
                 {"ulimit", "Ulimits", spec_ulimit},
                 {"device", "Devices", spec_device},
                 {"gpus", "DeviceRequests", spec_gpus},
                 {"device-read-bps", "BlkioDeviceReadBps", read_bps},
                 {"device-write-bps", "BlkioDeviceWriteBps", read_bps},
                 {"device-read-iops", "BlkioDeviceReadIOps", read_iops},
                 {"device-write-iops", "BlkioDeviceWriteIOps", read_iops},
                 {"blkio-weight-device", "BlkioWeightDevice", read_weight}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (add_objects(b, table[i].flag, table[i].key, table[i].parse) != 0)
            return -1;
    int64_t swap = cli_int(b->args, "memory-swappiness");
    if (swap != -1 && (swap < 0 || swap > 100))
        return cli_fail(b->cli, "invalid value: %lld. Valid memory swappiness range is 0-100",
                        (long long)swap);
    return 0;
}

static void add_hosts(struct body *b)
{
    DRAY_AUTO(dray_strlist) words = {0};
    cli_list(b->args, "add-host", &words);
    if (words.n == 0)
        return;
    struct json_object *list = json_object_new_array();
    json_object_object_add(b->host, "ExtraHosts", list);
    for (size_t i = 0; i < words.n; i++) {
        char *sep = words.v[i] + strcspn(words.v[i], ":=");
        *sep = ':';
        size_t len = strlen(sep);
        if (sep[1] == '[' && sep[len - 1] == ']') {
            sep[len - 1] = '\0';
            memmove(sep + 1, sep + 2, len - 2);
        }
        json_object_array_add(list, json_object_new_string(words.v[i]));
    }
}

static int add_security(struct body *b)
{
    DRAY_AUTO(dray_strlist) words = {0};
    struct dray_err err = {0};
    cli_list(b->args, "security-opt", &words);
    struct json_object *list = json_object_new_array();
    int rc = 0;
    for (size_t i = 0; i < words.n && rc == 0; i++) {
        if (strcmp(words.v[i], "systempaths=unconfined") == 0) {
            json_object_object_add(b->host, "MaskedPaths", json_object_new_array());
            json_object_object_add(b->host, "ReadonlyPaths", json_object_new_array());
            continue;
        }
        dray_autofree char *opt = NULL;
        rc = spec_security(words.v[i], &opt, &err);
        if (rc == 0)
            json_object_array_add(list, json_object_new_string(opt));
    }
    if (json_object_array_length(list))
        json_object_object_add(b->host, "SecurityOpt", list);
    else
        json_object_put(list);
    return rc == 0 ? 0 : cli_fail_err(b->cli, &err);
}

static int add_logging(struct body *b)
{
    const char *driver = cli_str(b->args, "log-driver");
    DRAY_AUTO(dray_strlist) words = {0};
    cli_list(b->args, "log-opt", &words);
    if (!driver && words.n == 0)
        return 0;
    if (driver && strcmp(driver, "none") == 0 && words.n)
        return cli_fail(b->cli, "invalid logging opts for driver none");
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Type", driver ? driver : "");
    json_object_object_add(o, "Config", spec_map(&words));
    json_object_object_add(b->host, "LogConfig", o);
    return 0;
}

static int add_restart(struct body *b)
{
    const char *text = cli_str(b->args, "restart");
    struct json_object *o = NULL;
    struct dray_err err = {0};
    if (!cli_given(b->args, "restart") || !*text)
        return 0;
    if (spec_restart(text, &o, &err) != 0)
        return cli_fail_err(b->cli, &err);
    json_object_object_add(b->host, "RestartPolicy", o);
    if (cli_bool(b->args, "rm") && strcmp(dray_json_str(o, "Name", ""), "no") != 0)
        return cli_fail(b->cli, "conflicting options: cannot specify both --restart and --rm");
    return 0;
}

static int64_t duration_of(const struct cli_args *a, const char *flag)
{
    int64_t ns = 0;
    if (cli_given(a, flag))
        (void)units_duration(cli_str(a, flag), &ns, NULL);
    return ns;
}

static int add_health(struct body *b)
{
    static const char *const times[][2] = {{"health-interval", "Interval"},
                                           {"health-timeout", "Timeout"},
                                           {"health-start-period", "StartPeriod"},
                                           {"health-start-interval", "StartInterval"}};
    const struct cli_args *a = b->args;
    const char *cmd = cli_str(a, "health-cmd");
    bool any = cmd || cli_given(a, "health-retries");
    for (size_t i = 0; i < 4; i++)
        any = any || cli_given(a, times[i][0]);
    bool none = cli_bool(a, "no-healthcheck");
    if (none && any)
        return cli_fail(b->cli, "--no-healthcheck conflicts with --health-* options");
    if (!none && !any)
        return 0;
    struct json_object *o = json_object_new_object(), *test = json_object_new_array();
    json_object_object_add(b->config, "Healthcheck", o);
    json_object_object_add(o, "Test", test);
    if (none)
        json_object_array_add(test, json_object_new_string("NONE"));
    if (cmd) {
        json_object_array_add(test, json_object_new_string("CMD-SHELL"));
        json_object_array_add(test, json_object_new_string(cmd));
    }
    for (size_t i = 0; i < 4; i++) {
        int64_t ns = duration_of(a, times[i][0]);
        if (ns < 0)
            return cli_fail(b->cli, "--%s cannot be negative", times[i][0]);
        if (ns)
            dray_json_add_int(o, times[i][1], ns);
    }
    if (cli_int(a, "health-retries") < 0)
        return cli_fail(b->cli, "--health-retries cannot be negative");
    if (cli_given(a, "health-retries"))
        dray_json_add_int(o, "Retries", cli_int(a, "health-retries"));
    return 0;
}

static bool user_defined(const char *name)
{
    static const char *const fixed[] = {"default", "bridge", "host", "none"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(name, fixed[i]) == 0)
            return false;
    return !dray_str_prefix(name, "container:");
}

/* --ip, --network-alias and their kin belong to the first network. */
static void add_first_options(struct body *b, struct json_object *ep)
{
    const struct cli_args *a = b->args;
    struct json_object *ipam = NULL;
    if (cli_given(a, "network-alias"))
        json_object_object_add(ep, "Aliases", list_of(a, "network-alias"));
    if (cli_given(a, "ip") || cli_given(a, "ip6") || cli_given(a, "link-local-ip")) {
        ipam = json_object_new_object();
        json_object_object_add(ep, "IPAMConfig", ipam);
    }
    if (cli_given(a, "ip"))
        dray_json_add_str(ipam, "IPv4Address", cli_str(a, "ip"));
    if (cli_given(a, "ip6"))
        dray_json_add_str(ipam, "IPv6Address", cli_str(a, "ip6"));
    if (cli_given(a, "link-local-ip"))
        json_object_object_add(ipam, "LinkLocalIPs", list_of(a, "link-local-ip"));
    if (cli_given(a, "mac-address")) {
        dray_json_add_str(ep, "MacAddress", cli_str(a, "mac-address"));
        dray_json_add_str(b->config, "MacAddress", cli_str(a, "mac-address"));
    }
}

/* An address is given by its flag or with the network, not by both. */
static int check_addresses(struct body *b, struct json_object *ep)
{
    static const char *const pairs[][3] = {{"ip", "IPAMConfig.IPv4Address", "IPv4"},
                                           {"ip6", "IPAMConfig.IPv6Address", "IPv6"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (cli_given(b->args, pairs[i][0]) && dray_json_get(ep, pairs[i][1]))
            return cli_fail(b->cli,
                            "conflicting options: cannot specify both --%s and per-network %s "
                            "address",
                            pairs[i][0], pairs[i][2]);
    const char *mac = cli_str(b->args, "mac-address");
    return !cli_given(b->args, "mac-address") || spec_is_mac(mac)
               ? 0
               : cli_fail(b->cli, "%s is not a valid mac address", mac);
}

static int add_networks(struct body *b)
{
    DRAY_AUTO(dray_strlist) words = {0};
    struct dray_err err = {0};
    bool user = false, other = false;
    cli_list(b->args, "network", &words);
    if (words.n == 0)
        (void)dray_strlist_add(&words, "default");
    struct json_object *all = json_object_new_object();
    json_object_object_add(b->net, "EndpointsConfig", all);
    for (size_t i = 0; i < words.n; i++) {
        dray_autofree char *name = NULL;
        struct json_object *ep = NULL;
        if (spec_network(words.v[i], &name, &ep, &err) != 0)
            return cli_fail_err(b->cli, &err);
        if (i == 0) {
            if (check_addresses(b, ep) != 0) {
                json_object_put(ep);
                return -1;
            }
            if (cli_given(b->args, "network-alias") && !user_defined(name)) {
                json_object_put(ep);
                return cli_fail(b->cli, "network-scoped aliases are only supported for "
                                        "user-defined networks");
            }
            dray_json_add_str(b->host, "NetworkMode", name);
            add_first_options(b, ep);
            if (cli_given(b->args, "link"))
                json_object_object_add(user_defined(name) ? ep : b->host, "Links",
                                       list_of(b->args, "link"));
        }
        user = user || user_defined(name);
        other = other || !user_defined(name);
        bool twice = json_object_object_get_ex(all, name, NULL);
        if (words.n > 1 || json_object_object_length(ep))
            json_object_object_add(all, name, ep);
        else
            json_object_put(ep);
        if (twice)
            return cli_fail(b->cli, "network \"%s\" is specified multiple times", name);
    }
    if (user && other)
        return cli_fail(b->cli, "conflicting options: cannot attach both user-defined and "
                                "non-user-defined network-modes");
    return 0;
}

static void add_command(struct body *b)
{
    const struct cli_args *a = b->args;
    dray_json_add_str(b->config, "Image", cli_arg(a, 0));
    if (a->argc > 1) {
        struct json_object *cmd = json_object_new_array();
        for (int i = 1; i < a->argc; i++)
            json_object_array_add(cmd, json_object_new_string(a->argv[i]));
        json_object_object_add(b->config, "Cmd", cmd);
    }
    if (cli_given(a, "entrypoint")) {
        struct json_object *ep = json_object_new_array();
        json_object_array_add(ep, json_object_new_string(cli_str(a, "entrypoint")));
        json_object_object_add(b->config, "Entrypoint", ep);
    }
    int rows = 0, columns = 0;
    if (cli_bool(a, "tty") && term_size(STDIN_FILENO, &rows, &columns)) {
        struct json_object *size = json_object_new_array();
        json_object_array_add(size, json_object_new_int(rows));
        json_object_array_add(size, json_object_new_int(columns));
        json_object_object_add(b->host, "ConsoleSize", size);
    }
}

static int check_modes(struct body *b)
{
    static const struct {
        const char *flag, *what;
        bool container;
    } table[] = {{"pid", "PID", true}, {"uts", "UTS", false}, {"userns", "USER", false}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *v = cli_str(b->args, table[i].flag);
        bool ok = !v || !*v || strcmp(v, "host") == 0 || (i == 0 && (strcmp(v, "private") == 0)) ||
                  (table[i].container && dray_str_prefix(v, "container:") && v[10]);
        if (!ok)
            return cli_fail(b->cli, "--%s: invalid %s mode", table[i].flag, table[i].what);
    }
    DRAY_AUTO(dray_strlist) storage = {0};
    cli_list(b->args, "storage-opt", &storage);
    for (size_t i = 0; i < storage.n; i++)
        if (!strchr(storage.v[i], '='))
            return cli_fail(b->cli, "invalid storage option");
    if (cli_bool(b->args, "use-api-socket"))
        return cli_fail(b->cli, "--use-api-socket is not supported by dray");
    const char *ns = cli_str(b->args, "cgroupns");
    if (ns && *ns && strcmp(ns, "host") != 0 && strcmp(ns, "private") != 0)
        return cli_fail(b->cli, "--cgroupns: invalid CGROUP mode");
    return 0;
}

struct json_object *create_body(struct cli *cli, const struct cli_args *args)
{
    struct body b = {.cli = cli,
                     .args = args,
                     .config = json_object_new_object(),
                     .host = json_object_new_object(),
                     .net = json_object_new_object()};
    add_command(&b);
    add_streams(&b);
    add_plain(&b);
    add_tmpfs(&b);
    add_hosts(&b);
    json_object_object_add(b.config, "HostConfig", b.host);
    json_object_object_add(b.config, "NetworkingConfig", b.net);
    if (check_modes(&b) != 0 || add_env(&b) != 0 || add_labels(&b) != 0 || add_volumes(&b) != 0 ||
        add_ports(&b) != 0 || add_limits(&b) != 0 || add_security(&b) != 0 ||
        add_logging(&b) != 0 || add_restart(&b) != 0 || add_health(&b) != 0 ||
        add_networks(&b) != 0) {
        json_object_put(b.config);
        return NULL;
    }
    return b.config;
}
