/* SPDX-License-Identifier: Apache-2.0 */
/* container_check_host.c - what of a HostConfig this machine can keep: what it cannot is refused,
 * or taken out with a warning, in Docker's words. */
#include "base/json.h"
#include "engine/config.h"
#include "engine/signals.h"
#include "engine/spec/caps.h"
#include "engine/spec/container_config.h"
#include "engine/spec/security.h"
#include "engine/sysinfo.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <signal.h>
#include <stddef.h>
#include <strings.h>

static void warn(struct json_object *warnings, const char *text)
{
    if (warnings)
        json_object_array_add(warnings, json_object_new_string(text));
}

/* ---- Limits that need something of the kernel ---- */

enum zero { ZERO, EMPTY, NOTHING, NO };

#define HAS(field) offsetof(struct dray_sysinfo, field)

/** A field, what it needs, what is said when that is missing, and what it is set to then. */
static const struct need {
    const char *key;
    size_t has;
    enum zero zero;
    const char *text;
} needs[] = {
    {"Memory", HAS(memory), ZERO,
     "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
     "Limitation discarded."},
    {"MemorySwap", HAS(swap), ZERO,
     "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory "
     "limited without swap."},
    {"MemorySwappiness", HAS(swappiness), NOTHING,
     "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. "
     "Memory swappiness discarded."},
    {"MemoryReservation", HAS(reservation), ZERO,
     "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. "
     "Limitation discarded."},
    {"OomKillDisable", HAS(oom_kill_disable), NO,
     "Your kernel does not support OomKillDisable. OomKillDisable discarded."},
    {"PidsLimit", HAS(pids), NOTHING,
     "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs "
     "limit discarded."},
    {"CpuShares", HAS(shares), ZERO,
     "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded."},
    {"CpuPeriod", HAS(cfs), ZERO,
     "Your kernel does not support CPU CFS period or the cgroup is not mounted. Period discarded."},
    {"CpuQuota", HAS(cfs), ZERO,
     "Your kernel does not support CPU CFS quota or the cgroup is not mounted. Quota discarded."},
    {"CpusetCpus", HAS(cpuset), EMPTY,
     "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded."},
    {"CpusetMems", HAS(cpuset), EMPTY,
     "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded."},
    {"BlkioWeight", HAS(blkio_weight), ZERO,
     "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight "
     "discarded."},
    {"BlkioWeightDevice", HAS(blkio_weight_device), NOTHING,
     "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. "
     "Weight-device discarded."},
    {"BlkioDeviceReadBps", HAS(blkio), NOTHING,
     "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block "
     "I/O BPS read limit discarded."},
    {"BlkioDeviceWriteBps", HAS(blkio), NOTHING,
     "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block "
     "I/O BPS write limit discarded."},
    {"BlkioDeviceReadIOps", HAS(blkio), NOTHING,
     "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O "
     "IOPS read limit discarded."},
    {"BlkioDeviceWriteIOps", HAS(blkio), NOTHING,
     "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O "
     "IOPS write limit discarded."},
};

static bool is_set(struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_int:
        return json_object_get_int64(v) > 0;
    case json_type_boolean:
        return json_object_get_boolean(v);
    case json_type_string:
        return json_object_get_string_len(v) > 0;
    case json_type_array:
        return json_object_array_length(v) > 0;
    default:
        return false;
    }
}

static void take_out(struct json_object *host, const struct need *n)
{
    if (n->zero == ZERO)
        dray_json_add_int(host, n->key, 0);
    else if (n->zero == EMPTY)
        dray_json_add_str(host, n->key, "");
    else if (n->zero == NO)
        dray_json_add_bool(host, n->key, false);
    else
        dray_json_add(host, n->key, NULL);
}

static void drop_unsupported(struct json_object *host, const struct dray_sysinfo *si,
                             struct json_object *warnings)
{
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        const bool *has = (const bool *)((const char *)si + needs[i].has);
        if (*has || !is_set(dray_json_get(host, needs[i].key)))
            continue;
        take_out(host, &needs[i]);
        warn(warnings, needs[i].text);
    }
}

/* Bits of a list like "0-2,7"; false when it names one above 1023 or is none. */
static bool parse_set(const char *text, unsigned char bits[128])
{
    memset(bits, 0, 128);
    for (const char *p = text; *p;) {
        char *end;
        unsigned long first = strtoul(p, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (end == p || last > 1023 || first > last)
            return false;
        for (; first <= last; first++)
            bits[first / 8] |= (unsigned char)(1u << first % 8);
        p = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            return false;
    }
    return true;
}

static int check_set(const char *what, const char *wanted, const char *available,
                     struct dray_err *err)
{
    unsigned char want[128], have[128];
    if (!*wanted || !*available || !parse_set(available, have))
        return 0;
    bool fits = parse_set(wanted, want);
    for (size_t i = 0; i < sizeof want && fits; i++)
        fits = (want[i] & ~have[i]) == 0;
    if (fits)
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "Requested %s are not available - requested %.100s, available: %s", what,
                     wanted, available);
}

static int check_kernel(struct json_object *host, struct json_object *warnings,
                        struct dray_err *err)
{
    struct dray_sysinfo si;
    dray_sysinfo_probe(&si);
    drop_unsupported(host, &si, warnings);
    if (!si.cfs && dray_json_int(host, "NanoCpus", 0) > 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "NanoCPUs can not be set, as your kernel does not support CPU CFS "
                         "scheduler or the cgroup is not mounted");
    if (!si.realtime && (dray_json_int(host, "CpuRealtimePeriod", 0) != 0 ||
                         dray_json_int(host, "CpuRealtimeRuntime", 0) != 0))
        return dray_fail(err, DRAY_E_INVAL, "Your kernel does not support CPU real-time scheduler");
    int rc = check_set("CPUs", dray_json_str(host, "CpusetCpus", ""), si.cpus, err);
    return rc ? rc : check_set("memory nodes", dray_json_str(host, "CpusetMems", ""), si.mems, err);
}

/* ---- What only other systems have ---- */

static int check_foreign(struct json_object *host, struct json_object *warnings,
                         struct dray_err *err)
{
    if (dray_json_int(host, "IOMaximumBandwidth", 0) != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid QoS settings: linux does not support configuration of maximum "
                         "bandwidth");
    if (dray_json_int(host, "IOMaximumIOps", 0) != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid QoS settings: linux does not support configuration of maximum "
                         "IOPs");
    if (dray_json_int(host, "CpuPercent", 0) > 0)
        warn(warnings, "linux does not support CPU percent. Percent discarded.");
    if (dray_json_int(host, "CpuCount", 0) != 0)
        warn(warnings, "linux does not support CPU count. Count discarded.");
    dray_json_add_int(host, "CpuPercent", 0);
    dray_json_add_int(host, "CpuCount", 0);
    if (*dray_json_str(host, "Cgroup", ""))
        warn(warnings, "Cgroup, a cgroup to join by its name, is not supported. Discarded.");
    if (dray_json_int(host, "KernelMemory", 0) > 0)
        warn(warnings,
             "Your kernel does not support kernel memory limit capabilities or the cgroup "
             "is not mounted. Limitation discarded.");
    if (dray_json_int(host, "KernelMemoryTCP", 0) > 0)
        warn(warnings, "Your kernel does not support kernel memory TCP limit capabilities or the "
                       "cgroup is not mounted. Limitation discarded.");
    json_object_object_del(host, "KernelMemory");
    json_object_object_del(host, "KernelMemoryTCP");
    return 0;
}

/* ---- Sysctls: only those that are of a namespace of the container's own ---- */

static bool ipc_sysctl(const char *key)
{
    static const char *const names[] = {
        "kernel.msgmax", "kernel.msgmnb",      "kernel.msgmni",
        "kernel.sem",    "kernel.shmall",      "kernel.shmmax",
        "kernel.shmmni", "kernel.auto_msgmni", "kernel.shm_rmid_forced"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], key) == 0)
            return true;
    return strncmp(key, "fs.mqueue.", 10) == 0;
}

static int check_sysctl(struct json_object *host, const char *given, struct dray_err *err)
{
    char key[256];
    (void)snprintf(key, sizeof key, "%s", given);
    for (char *p = key; *p; p++)
        *p = *p == '/' ? '.' : *p;
    if (ipc_sysctl(key)) {
        if (strcmp(dray_json_str(host, "IpcMode", ""), "host") == 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "sysctl \"%s\" is not allowed in the hosts ipc namespace", given);
        return 0;
    }
    if (strncmp(key, "net.", 4) == 0) {
        if (strcmp(dray_json_str(host, "NetworkMode", ""), "host") == 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "sysctl \"%s\" not allowed in host network namespace", given);
        return 0;
    }
    if (strcmp(key, "kernel.domainname") == 0) {
        if (strcmp(dray_json_str(host, "UTSMode", ""), "host") == 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "sysctl \"%s\" is not allowed in the hosts UTS namespace", given);
        return 0;
    }
    if (strcmp(key, "kernel.hostname") == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "sysctl \"%s\" is not allowed as it conflicts with the OCI \"hostname\" "
                         "field",
                         given);
    return dray_fail(err, DRAY_E_INVAL, "sysctl \"%s\" is not in a separate kernel namespace",
                     given);
}

static int check_sysctls(struct json_object *host, struct dray_err *err)
{
    struct json_object *all = dray_json_obj(host, "Sysctls");
    if (!all)
        return 0;
    json_object_object_foreach(all, key, value)
    {
        (void)value;
        int rc = check_sysctl(host, key, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- tmpfs ---- */

static int check_tmpfs_options(const char *text, struct dray_err *err)
{
    static const char *const flags[] = {
        "defaults",   "ro",          "rw",           "suid",       "nosuid",      "dev",
        "nodev",      "exec",        "noexec",       "sync",       "async",       "dirsync",
        "remount",    "mand",        "nomand",       "atime",      "noatime",     "diratime",
        "nodiratime", "bind",        "rbind",        "private",    "rprivate",    "shared",
        "rshared",    "slave",       "rslave",       "unbindable", "runbindable", "relatime",
        "norelatime", "strictatime", "nostrictatime"};
    static const char *const data[] = {"mode", "uid", "gid", "size", "nr_inodes", "mpol"};
    DRAY_AUTO(dray_strlist) words = {0};
    if (!*text)
        return 0;
    if (!dray_strlist_split(&words, text, ','))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < words.n; i++) {
        const char *w = words.v[i];
        size_t n = strcspn(w, "=");
        bool known = false;
        for (size_t k = 0; !w[n] && !known && k < sizeof flags / sizeof flags[0]; k++)
            known = strcmp(flags[k], w) == 0;
        for (size_t k = 0; w[n] && !known && k < sizeof data / sizeof data[0]; k++)
            known = strlen(data[k]) == n && strncmp(data[k], w, n) == 0;
        if (!known && w[n])
            return dray_fail(err, DRAY_E_INVAL, "invalid tmpfs option [\"%.*s\" \"%s\"]", (int)n, w,
                             w + n + 1);
        if (!known)
            return dray_fail(err, DRAY_E_INVAL, "invalid tmpfs option [\"%s\"]", w);
    }
    return 0;
}

static int check_tmpfs(struct json_object *host, struct dray_err *err)
{
    struct json_object *all = dray_json_obj(host, "Tmpfs");
    if (!all)
        return 0;
    json_object_object_foreach(all, dest, value)
    {
        if (*dest != '/')
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid mount path: '%s' mount path must be absolute", dest);
        if (strspn(dest, "/.") == strlen(dest) && !strstr(dest, "..."))
            return dray_fail(err, DRAY_E_INVAL, "invalid specification: destination can't be '/'");
        int rc = check_tmpfs_options(value ? json_object_get_string(value) : "", err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- The rest ---- */

static int check_ulimits(struct json_object *host, struct dray_err *err)
{
    static const char *const names[] = {"core",    "cpu",      "data",   "fsize",      "locks",
                                        "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                        "rss",     "rtprio",   "rttime", "sigpending", "stack"};
    struct json_object *list = dray_json_arr(host, "Ulimits");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *u = json_object_array_get_idx(list, i);
        const char *name = dray_json_str(u, "Name", "");
        bool known = false;
        for (size_t k = 0; k < sizeof names / sizeof names[0] && !known; k++)
            known = strcasecmp(names[k], name) == 0;
        if (!known)
            return dray_fail(err, DRAY_E_INVAL, "invalid ulimit type: %s", name);
        int64_t soft = dray_json_int(u, "Soft", 0), hard = dray_json_int(u, "Hard", 0);
        if (hard != -1 && (soft == -1 || soft > hard))
            return dray_fail(err, DRAY_E_INVAL,
                             "ulimit soft limit must be less than or equal to hard limit: %lld > "
                             "%lld",
                             (long long)soft, (long long)hard);
    }
    return 0;
}

/* Which devices there are is looked at with every start; how they are named, here. */
static int check_devices(struct json_object *host, struct dray_err *err)
{
    struct json_object *list = dray_json_arr(host, "Devices");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *mode =
            dray_json_str(json_object_array_get_idx(list, i), "CgroupPermissions", "");
        if (mode[strspn(mode, "rwm")] || strlen(mode) > 3)
            return dray_fail(err, DRAY_E_INVAL, "invalid device mode: %s", mode);
    }
    return 0;
}

static int check_annotations(struct json_object *host, struct dray_err *err)
{
    struct json_object *notes = dray_json_obj(host, "Annotations");
    if (notes && json_object_object_get_ex(notes, "", NULL))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid Annotations: the empty string is not permitted as an "
                         "annotation key");
    return 0;
}

static int check_security(struct json_object *host, const struct dray_config *cfg,
                          struct dray_err *err)
{
    DRAY_AUTO(dray_security) sec = {0};
    uint64_t caps = 0;
    bool privileged = dray_json_bool(host, "Privileged", false);
    int rc = dray_security_parse(dray_json_arr(host, "SecurityOpt"), privileged, cfg, &sec, err);
    return rc ? rc
              : dray_caps_resolve(dray_json_arr(host, "CapAdd"), dray_json_arr(host, "CapDrop"),
                                  privileged, &caps, err);
}

static bool is_address(const char *text)
{
    unsigned char raw[16];
    char plain[64];
    size_t n = strlen(text);
    bool boxed = n > 2 && text[0] == '[' && text[n - 1] == ']';
    (void)snprintf(plain, sizeof plain, "%.*s", (int)(boxed ? n - 2 : n), text + boxed);
    return inet_pton(AF_INET, plain, raw) == 1 || inet_pton(AF_INET6, plain, raw) == 1;
}

/* What becomes part of a line in /etc/hosts or /etc/resolv.conf must not become two. */
static bool is_one_word(const char *text)
{
    for (; *text; text++)
        if (isspace((unsigned char)*text) || iscntrl((unsigned char)*text))
            return false;
    return true;
}

static int check_words(struct json_object *host, const char *field, const char *what,
                       struct dray_err *err)
{
    struct json_object *list = dray_json_arr(host, field);
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *word = json_object_get_string(json_object_array_get_idx(list, i));
        if (!is_one_word(word))
            return dray_fail(err, DRAY_E_INVAL, "invalid %s: \"%s\"", what, word);
    }
    return 0;
}

/* Whether servers are addresses is known at the start, when the daemon's own are there, too. */
static int check_dns(struct json_object *host, struct dray_err *err)
{
    int rc = check_words(host, "Dns", "nameserver address", err);
    if (rc == 0)
        rc = check_words(host, "DnsSearch", "DNS search domain", err);
    return rc ? rc : check_words(host, "DnsOptions", "DNS option", err);
}

static int check_own_names(struct json_object *config, struct dray_err *err)
{
    static const char *const fields[] = {"Hostname", "Domainname"};
    for (size_t i = 0; i < 2; i++) {
        const char *name = dray_json_str(config, fields[i], "");
        if (!is_one_word(name))
            return dray_fail(err, DRAY_E_INVAL, "invalid %s format: \"%s\"",
                             i ? "domainname" : "hostname", name);
    }
    return 0;
}

static int check_extra_hosts(struct json_object *host, struct dray_err *err)
{
    struct json_object *list = dray_json_arr(host, "ExtraHosts");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *line = json_object_get_string(json_object_array_get_idx(list, i));
        size_t n = strcspn(line, "=");
        if (!line[n])
            n = strcspn(line, ":");
        if (n == 0 || !line[n] || !is_one_word(line))
            return dray_fail(err, DRAY_E_INVAL, "bad format for add-host: \"%s\"", line);
        const char *addr = line + n + 1;
        if (strcmp(addr, "host-gateway") != 0 && !is_address(addr))
            return dray_fail(err, DRAY_E_INVAL, "invalid IP address in add-host: \"%s\"", addr);
    }
    return 0;
}

/* "N", "N-M" or nothing. */
static bool host_port_valid(const char *text)
{
    char *end;
    if (!*text)
        return true;
    long first = strtol(text, &end, 10), last = first;
    if (*end == '-' && end != text)
        last = strtol(end + 1, &end, 10);
    return end != text && !*end && first >= 0 && first <= last && last <= 65535;
}

static int check_host_ports(struct json_object *host, struct dray_err *err)
{
    struct json_object *ports = dray_json_obj(host, "PortBindings");
    if (!ports)
        return 0;
    json_object_object_foreach(ports, spec, list)
    {
        (void)spec;
        for (size_t i = 0; i < dray_json_len(list); i++) {
            const char *port = dray_json_str(json_object_array_get_idx(list, i), "HostPort", "");
            if (!host_port_valid(port))
                return dray_fail(err, DRAY_E_INVAL, "invalid port specification: \"%s\"", port);
        }
    }
    return 0;
}

static int check_cgroup_parent(struct json_object *host, const struct dray_config *cfg,
                               struct dray_err *err)
{
    const char *parent = dray_json_str(host, "CgroupParent", "");
    size_t n = strlen(parent);
    if (!*parent || !cfg->systemd_cgroup ||
        (n > 6 && !strchr(parent, '/') && strcmp(parent + n - 6, ".slice") == 0))
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "cgroup-parent for systemd cgroup should be a valid slice named as "
                     "\"xxx.slice\"");
}

int dray_host_config_check_host(struct json_object *host, struct json_object *config,
                                const struct dray_config *cfg, struct json_object *warnings,
                                struct dray_err *err)
{
    int sig = 0;
    int rc = dray_signal_parse(dray_json_str(config, "StopSignal", ""), SIGTERM, &sig, err);
    if (!rc)
        rc = check_kernel(host, warnings, err);
    if (!rc)
        rc = check_foreign(host, warnings, err);
    if (!rc)
        rc = check_sysctls(host, err);
    if (!rc)
        rc = check_tmpfs(host, err);
    if (!rc)
        rc = check_security(host, cfg, err);
    if (!rc)
        rc = check_extra_hosts(host, err);
    if (!rc)
        rc = check_dns(host, err);
    if (!rc)
        rc = check_own_names(config, err);
    if (!rc)
        rc = check_cgroup_parent(host, cfg, err);
    if (!rc)
        rc = check_ulimits(host, err);
    if (!rc)
        rc = check_devices(host, err);
    if (!rc)
        rc = check_annotations(host, err);
    return rc ? rc : check_host_ports(host, err);
}
