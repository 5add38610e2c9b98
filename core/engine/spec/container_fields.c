/* SPDX-License-Identifier: Apache-2.0 */
/* container_fields.c - the fields of Config and HostConfig, as tables. */
#include "engine/spec/container_fields.h"

#include "base/json.h"

static const struct dray_shape shape_uint16 = DRAY_SHAPE_INT(0, UINT16_MAX, "uint16");
static const struct dray_shape shape_uint32 = DRAY_SHAPE_INT(0, UINT32_MAX, "uint32");
static const struct dray_shape shape_uint64 = DRAY_SHAPE_INT(0, INT64_MAX, "uint64");
static const struct dray_shape shape_strlists = DRAY_SHAPE_LIST(&dray_shape_strs, "[][]string");

static const struct dray_shape_field health_fields[] = {
    {"Test", &dray_shape_strs, DRAY_SHAPE_OMIT},
    {"Interval", &dray_shape_int, DRAY_SHAPE_OMIT},
    {"Timeout", &dray_shape_int, DRAY_SHAPE_OMIT},
    {"StartPeriod", &dray_shape_int, DRAY_SHAPE_OMIT},
    {"StartInterval", &dray_shape_int, DRAY_SHAPE_OMIT},
    {"Retries", &dray_shape_int, DRAY_SHAPE_OMIT},
};
static const struct dray_shape shape_health = DRAY_SHAPE_STRUCT(health_fields, "HealthConfig");

static const struct dray_shape_field log_fields[] = {
    {"Type", &dray_shape_str, 0},
    {"Config", &dray_shape_strmap, 0},
};
static const struct dray_shape shape_log = DRAY_SHAPE_STRUCT(log_fields, "LogConfig");

static const struct dray_shape_field binding_fields[] = {
    {"HostIp", &dray_shape_str, 0},
    {"HostPort", &dray_shape_str, 0},
};
static const struct dray_shape shape_binding = DRAY_SHAPE_STRUCT(binding_fields, "PortBinding");

static const struct dray_shape shape_bindings = DRAY_SHAPE_LIST(&shape_binding, "[]PortBinding");
static const struct dray_shape shape_ports = DRAY_SHAPE_MAP(&shape_bindings, "PortMap");

static const struct dray_shape_field restart_fields[] = {
    {"Name", &dray_shape_str, 0},
    {"MaximumRetryCount", &dray_shape_int, 0},
};
static const struct dray_shape shape_restart = DRAY_SHAPE_STRUCT(restart_fields, "RestartPolicy");

static const struct dray_shape_field weight_fields[] = {
    {"Path", &dray_shape_str, 0},
    {"Weight", &shape_uint16, 0},
};
static const struct dray_shape shape_weight = DRAY_SHAPE_STRUCT(weight_fields, "WeightDevice");

static const struct dray_shape shape_weights = DRAY_SHAPE_LIST(&shape_weight, "[]WeightDevice");

static const struct dray_shape_field rate_fields[] = {
    {"Path", &dray_shape_str, 0},
    {"Rate", &shape_uint64, 0},
};
static const struct dray_shape shape_rate = DRAY_SHAPE_STRUCT(rate_fields, "ThrottleDevice");

static const struct dray_shape shape_rates = DRAY_SHAPE_LIST(&shape_rate, "[]ThrottleDevice");

static const struct dray_shape_field device_fields[] = {
    {"PathOnHost", &dray_shape_str, 0},
    {"PathInContainer", &dray_shape_str, 0},
    {"CgroupPermissions", &dray_shape_str, 0},
};
static const struct dray_shape shape_device = DRAY_SHAPE_STRUCT(device_fields, "DeviceMapping");

static const struct dray_shape shape_devices = DRAY_SHAPE_LIST(&shape_device, "[]DeviceMapping");

static const struct dray_shape_field request_fields[] = {
    {"Driver", &dray_shape_str, 0},     {"Count", &dray_shape_int, 0},
    {"DeviceIDs", &dray_shape_strs, 0}, {"Capabilities", &shape_strlists, 0},
    {"Options", &dray_shape_strmap, 0},
};
static const struct dray_shape shape_request = DRAY_SHAPE_STRUCT(request_fields, "DeviceRequest");

static const struct dray_shape shape_requests = DRAY_SHAPE_LIST(&shape_request, "[]DeviceRequest");

static const struct dray_shape_field ulimit_fields[] = {
    {"Name", &dray_shape_str, 0},
    {"Hard", &dray_shape_int, 0},
    {"Soft", &dray_shape_int, 0},
};
static const struct dray_shape shape_ulimit = DRAY_SHAPE_STRUCT(ulimit_fields, "Ulimit");

static const struct dray_shape shape_ulimits = DRAY_SHAPE_LIST(&shape_ulimit, "[]Ulimit");

static const struct dray_shape_field bind_fields[] = {
    {"Propagation", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"NonRecursive", &dray_shape_bool, DRAY_SHAPE_OMIT},
    {"CreateMountpoint", &dray_shape_bool, DRAY_SHAPE_OMIT},
    {"ReadOnlyNonRecursive", &dray_shape_bool, DRAY_SHAPE_OMIT},
    {"ReadOnlyForceRecursive", &dray_shape_bool, DRAY_SHAPE_OMIT},
};
static const struct dray_shape shape_bind = DRAY_SHAPE_STRUCT(bind_fields, "BindOptions");

static const struct dray_shape_field driver_fields[] = {
    {"Name", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"Options", &dray_shape_strmap, DRAY_SHAPE_OMIT},
};
static const struct dray_shape shape_driver = DRAY_SHAPE_STRUCT(driver_fields, "Driver");

static const struct dray_shape_field volume_fields[] = {
    {"NoCopy", &dray_shape_bool, DRAY_SHAPE_OMIT},
    {"Labels", &dray_shape_strmap, DRAY_SHAPE_OMIT},
    {"Subpath", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"DriverConfig", &shape_driver, DRAY_SHAPE_OMIT | DRAY_SHAPE_PTR},
};
static const struct dray_shape shape_volume = DRAY_SHAPE_STRUCT(volume_fields, "VolumeOptions");

static const struct dray_shape_field image_fields[] = {
    {"Subpath", &dray_shape_str, DRAY_SHAPE_OMIT},
};
static const struct dray_shape shape_image = DRAY_SHAPE_STRUCT(image_fields, "ImageOptions");

static const struct dray_shape_field tmpfs_fields[] = {
    {"SizeBytes", &dray_shape_int, DRAY_SHAPE_OMIT},
    {"Mode", &shape_uint32, DRAY_SHAPE_OMIT},
    {"Options", &shape_strlists, DRAY_SHAPE_OMIT},
};
static const struct dray_shape shape_tmpfs = DRAY_SHAPE_STRUCT(tmpfs_fields, "TmpfsOptions");

static const struct dray_shape_field mount_fields[] = {
    {"Type", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"Source", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"Target", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"ReadOnly", &dray_shape_bool, DRAY_SHAPE_OMIT},
    {"Consistency", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"BindOptions", &shape_bind, DRAY_SHAPE_OMIT | DRAY_SHAPE_PTR},
    {"VolumeOptions", &shape_volume, DRAY_SHAPE_OMIT | DRAY_SHAPE_PTR},
    {"ImageOptions", &shape_image, DRAY_SHAPE_OMIT | DRAY_SHAPE_PTR},
    {"TmpfsOptions", &shape_tmpfs, DRAY_SHAPE_OMIT | DRAY_SHAPE_PTR},
    {"ClusterOptions", &dray_shape_none, DRAY_SHAPE_OMIT | DRAY_SHAPE_PTR},
};
const struct dray_shape dray_shape_mount = DRAY_SHAPE_STRUCT(mount_fields, "Mount");

static const struct dray_shape shape_mounts = DRAY_SHAPE_LIST(&dray_shape_mount, "[]Mount");

const struct dray_field dray_config_fields[] = {
    {"Hostname", &dray_shape_str, false, "\"\""},
    {"Domainname", &dray_shape_str, false, "\"\""},
    {"User", &dray_shape_str, false, "\"\""},
    {"AttachStdin", &dray_shape_bool, false, "false"},
    {"AttachStdout", &dray_shape_bool, false, "false"},
    {"AttachStderr", &dray_shape_bool, false, "false"},
    {"ExposedPorts", &dray_shape_set, false, NULL},
    {"Tty", &dray_shape_bool, false, "false"},
    {"OpenStdin", &dray_shape_bool, false, "false"},
    {"StdinOnce", &dray_shape_bool, false, "false"},
    {"Env", &dray_shape_strs, false, "[]"},
    {"Cmd", &dray_shape_strslice, false, "null"},
    {"Healthcheck", &shape_health, true, NULL},
    {"ArgsEscaped", &dray_shape_bool, false, NULL},
    {"Image", &dray_shape_str, false, "\"\""},
    {"Volumes", &dray_shape_set, false, "null"},
    {"WorkingDir", &dray_shape_str, false, "\"\""},
    {"Entrypoint", &dray_shape_strslice, false, "null"},
    {"NetworkDisabled", &dray_shape_bool, false, NULL},
    {"MacAddress", &dray_shape_str, false, NULL},
    {"OnBuild", &dray_shape_strs, false, "null"},
    {"Labels", &dray_shape_strmap, false, "{}"},
    {"StopSignal", &dray_shape_str, false, NULL},
    {"StopTimeout", &dray_shape_int, true, NULL},
    {"Shell", &dray_shape_strslice, false, NULL},
    {0},
};

const struct dray_field dray_host_fields[] = {
    {"Binds", &dray_shape_strs, false, "null"},
    {"ContainerIDFile", &dray_shape_str, false, "\"\""},
    {"LogConfig", &shape_log, false, "{\"Type\":\"\",\"Config\":{}}"},
    {"NetworkMode", &dray_shape_str, false, "\"bridge\""},
    {"PortBindings", &shape_ports, false, "null"},
    {"RestartPolicy", &shape_restart, false, "{\"Name\":\"no\",\"MaximumRetryCount\":0}"},
    {"AutoRemove", &dray_shape_bool, false, "false"},
    {"VolumeDriver", &dray_shape_str, false, "\"\""},
    {"VolumesFrom", &dray_shape_strs, false, "null"},
    {"ConsoleSize", &dray_shape_uints, false, "[0,0]"},
    {"Annotations", &dray_shape_strmap, false, NULL},
    {"CapAdd", &dray_shape_strslice, false, "null"},
    {"CapDrop", &dray_shape_strslice, false, "null"},
    {"CgroupnsMode", &dray_shape_str, false, "\"\""},
    {"Dns", &dray_shape_strs, false, "null"},
    {"DnsOptions", &dray_shape_strs, false, "null"},
    {"DnsSearch", &dray_shape_strs, false, "null"},
    {"ExtraHosts", &dray_shape_strs, false, "null"},
    {"GroupAdd", &dray_shape_strs, false, "null"},
    {"IpcMode", &dray_shape_str, false, "\"\""},
    {"Cgroup", &dray_shape_str, false, "\"\""},
    {"Links", &dray_shape_strs, false, "null"},
    {"OomScoreAdj", &dray_shape_int, false, "0"},
    {"PidMode", &dray_shape_str, false, "\"\""},
    {"Privileged", &dray_shape_bool, false, "false"},
    {"PublishAllPorts", &dray_shape_bool, false, "false"},
    {"ReadonlyRootfs", &dray_shape_bool, false, "false"},
    {"SecurityOpt", &dray_shape_strs, false, "null"},
    {"StorageOpt", &dray_shape_strmap, false, NULL},
    {"Tmpfs", &dray_shape_strmap, false, NULL},
    {"UTSMode", &dray_shape_str, false, "\"\""},
    {"UsernsMode", &dray_shape_str, false, "\"\""},
    {"ShmSize", &dray_shape_int, false, "0"},
    {"Sysctls", &dray_shape_strmap, false, NULL},
    {"Runtime", &dray_shape_str, false, "\"\""},
    {"Isolation", &dray_shape_str, false, "\"\""},
    {"CpuShares", &dray_shape_int, false, "0"},
    {"Memory", &dray_shape_int, false, "0"},
    {"NanoCpus", &dray_shape_int, false, "0"},
    {"CgroupParent", &dray_shape_str, false, "\"\""},
    {"BlkioWeight", &shape_uint16, false, "0"},
    {"BlkioWeightDevice", &shape_weights, false, "null"},
    {"BlkioDeviceReadBps", &shape_rates, false, "null"},
    {"BlkioDeviceWriteBps", &shape_rates, false, "null"},
    {"BlkioDeviceReadIOps", &shape_rates, false, "null"},
    {"BlkioDeviceWriteIOps", &shape_rates, false, "null"},
    {"CpuPeriod", &dray_shape_int, false, "0"},
    {"CpuQuota", &dray_shape_int, false, "0"},
    {"CpuRealtimePeriod", &dray_shape_int, false, "0"},
    {"CpuRealtimeRuntime", &dray_shape_int, false, "0"},
    {"CpusetCpus", &dray_shape_str, false, "\"\""},
    {"CpusetMems", &dray_shape_str, false, "\"\""},
    {"Devices", &shape_devices, false, "null"},
    {"DeviceCgroupRules", &dray_shape_strs, false, "null"},
    {"DeviceRequests", &shape_requests, false, "null"},
    {"KernelMemory", &dray_shape_int, false, NULL}, /* checked, and not kept */
    {"KernelMemoryTCP", &dray_shape_int, false, NULL},
    {"MemoryReservation", &dray_shape_int, false, "0"},
    {"MemorySwap", &dray_shape_int, false, "0"},
    {"MemorySwappiness", &dray_shape_int, true, "null"},
    {"OomKillDisable", &dray_shape_bool, true, "false"},
    {"Init", &dray_shape_bool, true, NULL},
    {"PidsLimit", &dray_shape_int, true, "null"},
    {"Ulimits", &shape_ulimits, false, "null"},
    {"CpuCount", &dray_shape_int, false, "0"},
    {"CpuPercent", &dray_shape_int, false, "0"},
    {"IOMaximumIOps", &dray_shape_int, false, "0"},
    {"IOMaximumBandwidth", &dray_shape_int, false, "0"},
    {"Mounts", &shape_mounts, false, NULL},
    {"MaskedPaths", &dray_shape_strs, false,
     "[\"/proc/asound\",\"/proc/acpi\",\"/proc/interrupts\",\"/proc/kcore\",\"/proc/keys\","
     "\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\","
     "\"/proc/scsi\",\"/sys/firmware\",\"/sys/devices/virtual/powercap\"]"},
    {"ReadonlyPaths", &dray_shape_strs, false,
     "[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]"},
    {0},
};

static const struct dray_shape_field ipam_fields[] = {
    {"IPv4Address", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"IPv6Address", &dray_shape_str, DRAY_SHAPE_OMIT},
    {"LinkLocalIPs", &dray_shape_strs, DRAY_SHAPE_OMIT},
};
static const struct dray_shape shape_ipam = DRAY_SHAPE_STRUCT(ipam_fields, "EndpointIPAMConfig");
static const struct dray_shape_field endpoint_fields[] = {
    {"IPAMConfig", &shape_ipam, DRAY_SHAPE_PTR},
    {"Links", &dray_shape_strs, 0},
    {"Aliases", &dray_shape_strs, 0},
    {"MacAddress", &dray_shape_str, 0},
    {"DriverOpts", &dray_shape_strmap, 0},
    {"GwPriority", &dray_shape_int, 0},
};
const struct dray_shape dray_shape_endpoint =
    DRAY_SHAPE_STRUCT(endpoint_fields, "EndpointSettings");
static const struct dray_shape shape_endpoints =
    DRAY_SHAPE_MAP(&dray_shape_endpoint, "map[string]*EndpointSettings");
static const struct dray_shape_field networking_fields[] = {
    {"EndpointsConfig", &shape_endpoints, 0},
};
const struct dray_shape dray_shape_networking =
    DRAY_SHAPE_STRUCT(networking_fields, "NetworkingConfig");

int dray_field_take(const struct dray_field *f, struct json_object *user, const char *what,
                    struct json_object **out, struct dray_err *err)
{
    struct json_object *v = dray_json_get(user, f->name);
    char path[96];
    *out = NULL;
    if (!v)
        return 0;
    (void)snprintf(path, sizeof path, "%s.%s", what, f->name);
    int rc = dray_shape_take(f->shape, v, path, out, err);
    if (rc == 0 && !f->def && !f->null && dray_shape_empty(*out)) {
        json_object_put(*out);
        *out = NULL;
    }
    return rc;
}

/* Most are empty values, which a parser takes long for. */
static struct json_object *default_of(const char *def)
{
    if (strcmp(def, "null") == 0)
        return NULL;
    if (strcmp(def, "0") == 0)
        return json_object_new_int64(0);
    if (strcmp(def, "false") == 0)
        return json_object_new_boolean(false);
    if (strcmp(def, "\"\"") == 0)
        return json_object_new_string("");
    return json_tokener_parse(def);
}

int dray_fields_fill(const struct dray_field *fields, struct json_object *user, const char *what,
                     struct json_object **out, struct dray_err *err)
{
    dray_autojson *obj = json_object_new_object();
    if (user && !json_object_is_type(user, json_type_object))
        return dray_shape_check(&dray_shape_none, user, what, err);
    for (const struct dray_field *f = fields; f->name; f++) {
        struct json_object *v = NULL;
        int rc = dray_field_take(f, user, what, &v, err);
        if (rc != 0)
            return rc;
        if (v)
            json_object_object_add(obj, f->name, v);
        else if (f->def)
            json_object_object_add(obj, f->name, default_of(f->def));
    }
    *out = dray_steal(obj);
    return 0;
}
