/* SPDX-License-Identifier: Apache-2.0 */
/* container_check.c - limits, modes and combinations of a HostConfig, in Docker's words. */
#include "base/buf.h"
#include "base/json.h"
#include "engine/config.h"
#include "engine/spec/container_config.h"

#include <ctype.h>
#include <stdlib.h>


typedef int (*check_fn)(struct json_object *host, struct json_object *config, struct dray_err *err);

static void warn(struct json_object *warnings, const char *text)
{
    if (warnings)
        json_object_array_add(warnings, json_object_new_string(text));
}

static int check_memory(struct json_object *h, struct json_object *config, struct dray_err *err)
{
    (void)config;
    int64_t memory = dray_json_int(h, "Memory", 0);
    int64_t swap = dray_json_int(h, "MemorySwap", 0);
    int64_t reserve = dray_json_int(h, "MemoryReservation", 0);
    int64_t swappiness = dray_json_int(h, "MemorySwappiness", -1);
    if (memory < 0 || (memory > 0 && memory < DRAY_MEMORY_MIN))
        return dray_fail(err, DRAY_E_INVAL, "Minimum memory limit allowed is 6MB");
    if (memory > 0 && swap > 0 && swap < memory)
        return dray_fail(err, DRAY_E_INVAL,
                         "Minimum memoryswap limit should be larger than memory limit, see usage");
    if (memory == 0 && swap > 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "You should always set the Memory limit when using Memoryswap limit, "
                         "see usage");
    if (swappiness < -1 || swappiness > 100)
        return dray_fail(err, DRAY_E_INVAL,
                         "Invalid value: %lld, valid memory swappiness range is 0-100",
                         (long long)swappiness);
    if (reserve > 0 && reserve < DRAY_MEMORY_MIN)
        return dray_fail(err, DRAY_E_INVAL, "Minimum memory reservation allowed is 6MB");
    if (memory > 0 && reserve > 0 && memory < reserve)
        return dray_fail(err, DRAY_E_INVAL,
                         "Minimum memory limit can not be less than memory reservation limit, "
                         "see usage");
    return 0;
}

/** "0-2,7": a list of cpus or nodes? */
static bool set_valid(const char *text)
{
    if (!*text)
        return true;
    for (const char *p = text;; p++) {
        char *end;
        if (!isdigit((unsigned char)*p))
            return false;
        long first = strtol(p, &end, 10), last = first;
        if (*end == '-') {
            if (!isdigit((unsigned char)end[1]))
                return false;
            last = strtol(end + 1, &end, 10);
        }
        if (last < first)
            return false;
        if (*end == '\0')
            return true;
        if (*end != ',')
            return false;
        p = end;
    }
}

static int check_cpu(struct json_object *h, struct json_object *config, struct dray_err *err)
{
    (void)config;
    int64_t nano = dray_json_int(h, "NanoCpus", 0);
    int64_t period = dray_json_int(h, "CpuPeriod", 0), quota = dray_json_int(h, "CpuQuota", 0);
    long cpus = nano != 0 ? sysconf(_SC_NPROCESSORS_ONLN) : 0;
    if (nano > 0 && period > 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "Conflicting options: Nano CPUs and CPU Period cannot both be set");
    if (nano > 0 && quota > 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    if (nano < 0 || nano > cpus * 1000000000LL)
        return dray_fail(err, DRAY_E_INVAL,
                         "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs "
                         "available",
                         cpus, cpus);
    if (dray_json_int(h, "CpuShares", 0) < 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid CPU shares (%lld): value must be a positive "
                         "integer",
                         (long long)dray_json_int(h, "CpuShares", 0));
    if (dray_json_int(h, "CpuShares", 0) == 1)
        return dray_fail(err, DRAY_E_INVAL, "the minimum allowed cpu-shares is 2");
    if (period != 0 && (period < 1000 || period > 1000000))
        return dray_fail(err, DRAY_E_INVAL,
                         "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s "
                         "(i.e. 1000000)");
    if (quota > 0 && quota < 1000)
        return dray_fail(err, DRAY_E_INVAL, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    const char *set = dray_json_str(h, "CpusetCpus", "");
    if (!set_valid(set))
        return dray_fail(err, DRAY_E_INVAL, "Invalid value %s for cpuset cpus: invalid format: %s",
                         set, set);
    set = dray_json_str(h, "CpusetMems", "");
    if (!set_valid(set))
        return dray_fail(err, DRAY_E_INVAL, "Invalid value %s for cpuset mems: invalid format: %s",
                         set, set);
    return 0;
}

/* GPUs and the like: no driver for them is here. */
static int check_device_requests(struct json_object *list, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) caps = {0};
    if (dray_json_len(list) == 0)
        return 0;
    struct json_object *first = json_object_array_get_idx(list, 0);
    struct json_object *sets = dray_json_arr(first, "Capabilities");
    for (size_t i = 0; i < dray_json_len(sets); i++) {
        struct json_object *set = json_object_array_get_idx(sets, i);
        dray_buf_adds(&caps, i ? " [" : "[");
        for (size_t k = 0; k < dray_json_len(set); k++)
            dray_buf_addf(&caps, "%s%s", k ? " " : "",
                          json_object_get_string(json_object_array_get_idx(set, k)));
        dray_buf_addc(&caps, ']');
    }
    return dray_fail(err, DRAY_E_INVAL,
                     "could not select device driver \"%s\" with capabilities: [%s]",
                     dray_json_str(first, "Driver", ""), caps.data ? caps.data : "");
}

static int check_misc_limits(struct json_object *h, struct json_object *config,
                             struct dray_err *err)
{
    (void)config;
    int64_t weight = dray_json_int(h, "BlkioWeight", 0);
    if (weight != 0 && (weight < 10 || weight > 1000))
        return dray_fail(err, DRAY_E_INVAL, "Range of blkio weight is from 10 to 1000");
    int64_t score = dray_json_int(h, "OomScoreAdj", 0);
    if (score < -1000 || score > 1000)
        return dray_fail(err, DRAY_E_INVAL,
                         "Invalid value %lld, range for oom score adj is [-1000, 1000]",
                         (long long)score);
    if (dray_json_int(h, "ShmSize", 0) < 0)
        return dray_fail(err, DRAY_E_INVAL, "SHM size can not be less than 0");
    return check_device_requests(dray_json_arr(h, "DeviceRequests"), err);
}

static int check_restart(struct json_object *h, struct json_object *config, struct dray_err *err)
{
    (void)config;
    const char *name = dray_json_str(h, "RestartPolicy.Name", "no");
    int64_t max = dray_json_int(h, "RestartPolicy.MaximumRetryCount", 0);
    bool on_failure = strcmp(name, "on-failure") == 0;
    if (!on_failure && strcmp(name, "no") != 0 && strcmp(name, "always") != 0 &&
        strcmp(name, "unless-stopped") != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid restart policy: unknown policy '%s'; use one of 'no', 'always', "
                         "'on-failure', or 'unless-stopped'",
                         name);
    if (max < 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid restart policy: maximum retry count cannot be negative");
    if (max > 0 && !on_failure)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid restart policy: maximum retry count can only be used with "
                         "'on-failure'");
    if (dray_json_bool(h, "AutoRemove", false) && strcmp(name, "no") != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "can't create 'AutoRemove' container with restart policy");
    return 0;
}

static bool one_of(const char *value, const char *const *choices)
{
    for (; *choices; choices++)
        if (strcmp(value, *choices) == 0)
            return true;
    return false;
}

static int check_modes(struct json_object *h, struct json_object *config, struct dray_err *err)
{
    (void)config;
    static const char *const ipc[] = {"", "none", "private", "shareable", "host", NULL};
    static const char *const plain[] = {"", "host", NULL};
    static const char *const cgroupns[] = {"", "private", "host", NULL};
    const char *v = dray_json_str(h, "IpcMode", "");
    if (!one_of(v, ipc) && !(dray_str_prefix(v, "container:") && v[10]))
        return dray_fail(err, DRAY_E_INVAL, "invalid IPC mode: %s", v);
    v = dray_json_str(h, "PidMode", "");
    if (!one_of(v, plain) && !(dray_str_prefix(v, "container:") && v[10]))
        return dray_fail(err, DRAY_E_INVAL, "invalid PID mode: %s", v);
    v = dray_json_str(h, "UTSMode", "");
    if (!one_of(v, plain))
        return dray_fail(err, DRAY_E_INVAL, "invalid UTS mode: %s", v);
    v = dray_json_str(h, "UsernsMode", "");
    if (!one_of(v, plain))
        return dray_fail(err, DRAY_E_INVAL, "invalid user namespace mode: %s", v);
    v = dray_json_str(h, "CgroupnsMode", "");
    if (!one_of(v, cgroupns))
        return dray_fail(err, DRAY_E_INVAL, "invalid cgroup namespace mode: %s", v);
    v = dray_json_str(h, "Isolation", "");
    if (*v && strcmp(v, "default") != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid isolation: \"%s\" - linux only supports 'default'", v);
    return 0;
}

static bool shares_network(const char *mode)
{
    return strcmp(mode, "host") == 0 || dray_str_prefix(mode, "container:");
}

static int check_network(struct json_object *h, struct json_object *config, struct dray_err *err)
{
    const char *mode = dray_json_str(h, "NetworkMode", "");
    bool joins = dray_str_prefix(mode, "container:");
    if ((joins && !mode[10]) || strcmp(mode, "container") == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "Invalid network mode: invalid container format container:<name|id>");
    if (joins && dray_json_len(dray_json_arr(h, "Links")) > 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "conflicting options: container type network can't be used with links. "
                         "This would result in undefined behavior");
    if (strcmp(mode, "host") == 0 && dray_json_len(dray_json_arr(h, "Links")) > 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "conflicting options: host type networking can't be used with links. This "
                         "would result in undefined behavior");
    if (shares_network(mode) && *dray_json_str(config, "MacAddress", ""))
        return dray_fail(err, DRAY_E_INVAL,
                         "conflicting options: mac-address and the network mode");
    if (joins && dray_json_len(dray_json_arr(h, "Dns")) > 0)
        return dray_fail(err, DRAY_E_INVAL, "conflicting options: dns and the network mode");
    if (joins && dray_json_len(dray_json_arr(h, "ExtraHosts")) > 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "conflicting options: custom host-to-IP mapping and the network mode");
    struct json_object *ports = dray_json_obj(h, "PortBindings");
    if (joins && (dray_json_bool(h, "PublishAllPorts", false) ||
                  (ports && json_object_object_length(ports) > 0)))
        return dray_fail(
            err, DRAY_E_INVAL,
            "conflicting options: port publishing and the container type network mode");
    if (strcmp(dray_json_str(h, "UTSMode", ""), "host") == 0 &&
        *dray_json_str(config, "Hostname", "") && !shares_network(mode))
        return dray_fail(err, DRAY_E_INVAL, "conflicting options: hostname and the UTS mode");
    if (joins && *dray_json_str(config, "Hostname", ""))
        return dray_fail(err, DRAY_E_INVAL, "conflicting options: hostname and the network mode");
    return 0;
}

static bool port_valid(const char *text)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    unsigned long port = strtoul(text, &end, 10);
    if (port < 1 || port > 65535)
        return false;
    return *end == '\0' || strcmp(end, "/tcp") == 0 || strcmp(end, "/udp") == 0 ||
           strcmp(end, "/sctp") == 0;
}

static int check_ports(struct json_object *h, struct json_object *config, struct dray_err *err)
{
    struct json_object *maps[] = {dray_json_obj(config, "ExposedPorts"),
                                  dray_json_obj(h, "PortBindings")};
    for (size_t i = 0; i < 2; i++) {
        if (!maps[i])
            continue;
        json_object_object_foreach(maps[i], port, list)
        {
            if (!port_valid(port))
                return dray_fail(err, DRAY_E_INVAL, "invalid port specification: \"%s\"", port);
            if (i == 1 && list && !json_object_is_type(list, json_type_array))
                return dray_fail(err, DRAY_E_INVAL,
                                 "invalid port bindings of \"%s\": expected an array", port);
        }
    }
    return 0;
}

static int check_config(struct json_object *h, struct json_object *config, struct dray_err *err)
{
    (void)h;
    const char *dir = dray_json_str(config, "WorkingDir", "");
    if (*dir && *dir != '/')
        return dray_fail(err, DRAY_E_INVAL,
                         "the working directory '%s' is invalid, it needs to be an absolute path",
                         dir);
    struct json_object *env = dray_json_arr(config, "Env");
    for (size_t i = 0; i < dray_json_len(env); i++) {
        const char *e = json_object_get_string(json_object_array_get_idx(env, i));
        if (!*e || *e == '=')
            return dray_fail(err, DRAY_E_INVAL, "invalid environment variable: %s", e);
    }
    if (dray_json_int(config, "Healthcheck.Retries", 0) < 0)
        return dray_fail(err, DRAY_E_INVAL, "Retries in Healthcheck cannot be negative");
    static const char *const times[] = {"Interval", "Timeout", "StartPeriod", "StartInterval"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        dray_autofree char *path = dray_strf("Healthcheck.%s", times[i]);
        int64_t ns = path ? dray_json_int(config, path, 0) : 0;
        if (ns != 0 && ns < 1000000)
            return dray_fail(err, DRAY_E_INVAL, "%s in Healthcheck cannot be less than 1ms",
                             times[i]);
    }
    return 0;
}

int dray_host_config_check(struct json_object *host, struct json_object *config,
                           const struct dray_config *cfg, struct json_object *warnings,
                           struct dray_err *err)
{
    static const check_fn checks[] = {check_memory, check_cpu,     check_misc_limits, check_restart,
                                      check_modes,  check_network, check_ports,       check_config};
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        int rc = checks[i](host, config, err);
        if (rc != 0)
            return rc;
    }
    int rc = dray_host_config_check_host(host, config, cfg, warnings, err);
    if (rc != 0)
        return rc;
    if (strcmp(dray_json_str(host, "NetworkMode", ""), "host") == 0 &&
        dray_json_obj(host, "PortBindings") &&
        json_object_object_length(dray_json_obj(host, "PortBindings")) > 0)
        warn(warnings, "Published ports are discarded when using host network mode");
    if (dray_json_bool(host, "OomKillDisable", false) && dray_json_int(host, "Memory", 0) == 0)
        warn(warnings, "OOM killer is disabled for the container, but no memory limit is set, "
                       "this can result in the system running out of resources.");
    return 0;
}
