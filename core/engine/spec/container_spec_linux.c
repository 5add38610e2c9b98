/* SPDX-License-Identifier: Apache-2.0 */
/* container_spec_linux.c - the "linux" part of the OCI document: namespaces, limits, devices. */
#include "base/buf.h"
#include "base/json.h"
#include "engine/rootfs/userns.h"
#include "engine/spec/container_spec.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Namespaces. */

static void add_namespace(struct json_object *list, const char *type, const char *path)
{
    struct json_object *ns = json_object_new_object();
    dray_json_add_str(ns, "type", type);
    if (path)
        dray_json_add_str(ns, "path", path);
    json_object_array_add(list, ns);
}

/** Join a namespace of another running container: "container:NAME". */
static int join_namespace(const struct dray_spec_in *in, struct json_object *list, const char *mode,
                          const char *type, const char *file, struct dray_err *err)
{
    dray_autocontainer *other = NULL;
    int rc = dray_container_find(in->c->set, mode + strlen("container:"), &other, err);
    struct dray_err why = {0};
    if (rc == 0 && dray_container_need_running(other, &why) != 0)
        rc = dray_fail(err, DRAY_E_INTERNAL, "failed to join %s namespace: %s",
                       strcmp(type, "pid") == 0 ? "PID" : "IPC", why.text);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&other->lock);
    int pid = other->st.pid;
    pthread_mutex_unlock(&other->lock);
    dray_autofree char *path = dray_strf("/proc/%d/ns/%s", pid, file);
    add_namespace(list, type, path);
    return 0;
}

static int add_mode(const struct dray_spec_in *in, struct json_object *list, const char *field,
                    const char *type, const char *file, struct dray_err *err)
{
    const char *mode = dray_json_str(in->host, field, "");
    if (strcmp(mode, "host") == 0)
        return 0;
    if (dray_str_prefix(mode, "container:"))
        return join_namespace(in, list, mode, type, file, err);
    add_namespace(list, type, NULL);
    return 0;
}

static int add_namespaces(const struct dray_spec_in *in, struct json_object *linux_,
                          struct dray_err *err)
{
    struct json_object *list = json_object_new_array();
    dray_json_add(linux_, "namespaces", list);
    add_namespace(list, "mount", NULL);
    if (in->userns)
        add_namespace(list, "user", in->userns);
    if (in->netns)
        add_namespace(list, "network", in->netns);
    if (strcmp(dray_json_str(in->host, "UTSMode", ""), "host") != 0)
        add_namespace(list, "uts", NULL);
    int rc = add_mode(in, list, "PidMode", "pid", "pid", err);
    if (rc == 0)
        rc = add_mode(in, list, "IpcMode", "ipc", "ipc", err);
    if (strcmp(dray_json_str(in->host, "CgroupnsMode", "host"), "private") == 0)
        add_namespace(list, "cgroup", NULL);
    return rc;
}

static struct json_object *mapping(struct dray_idrange r)
{
    struct json_object *list = json_object_new_array(), *m = json_object_new_object();
    dray_json_add_int(m, "containerID", 0);
    dray_json_add_int(m, "hostID", r.first);
    dray_json_add_int(m, "size", r.count);
    json_object_array_add(list, m);
    return list;
}

static void add_mappings(const struct dray_spec_in *in, struct json_object *linux_)
{
    if (!in->userns)
        return;
    const struct dray_remap *r = dray_userns_remap(in->c->set->engine->userns);
    dray_json_add(linux_, "uidMappings", mapping(r->uid));
    dray_json_add(linux_, "gidMappings", mapping(r->gid));
}

/* Resources. */

struct number {
    const char *from, *to;
};

/** Copy the nonzero integers of a table into a new object under key. */
static struct json_object *numbers(struct json_object *host, const struct number *v, size_t n)
{
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < n; i++)
        if (dray_json_int(host, v[i].from, 0) != 0)
            dray_json_add_int(o, v[i].to, dray_json_int(host, v[i].from, 0));
    return o;
}

static struct json_object *memory(struct json_object *host)
{
    static const struct number v[] = {{"Memory", "limit"},
                                      {"MemoryReservation", "reservation"},
                                      {"MemorySwap", "swap"},
                                      {"MemorySwappiness", "swappiness"}};
    struct json_object *m = numbers(host, v, sizeof v / sizeof v[0]);
    int64_t limit = dray_json_int(host, "Memory", 0);
    if (limit > 0 && dray_json_int(host, "MemorySwap", 0) == 0)
        dray_json_add_int(m, "swap", limit > INT64_MAX / 2 ? -1 : 2 * limit);
    if (dray_json_int(host, "MemorySwappiness", -1) == 0)
        dray_json_add_int(m, "swappiness", 0);
    if (dray_json_int(host, "MemorySwappiness", -1) < 0)
        json_object_object_del(m, "swappiness");
    if (dray_json_bool(host, "OomKillDisable", false))
        dray_json_add_bool(m, "disableOOMKiller", true);
    return m;
}

static struct json_object *cpu(struct json_object *host)
{
    static const struct number v[] = {{"CpuShares", "shares"},
                                      {"CpuQuota", "quota"},
                                      {"CpuPeriod", "period"},
                                      {"CpuRealtimePeriod", "realtimePeriod"},
                                      {"CpuRealtimeRuntime", "realtimeRuntime"}};
    struct json_object *c = numbers(host, v, sizeof v / sizeof v[0]);
    int64_t nano = dray_json_int(host, "NanoCpus", 0);
    if (nano > 0) {
        dray_json_add_int(c, "period", 100000);
        dray_json_add_int(c, "quota", nano / 10000);
    }
    const char *set = dray_json_str(host, "CpusetCpus", "");
    if (*set)
        dray_json_add_str(c, "cpus", set);
    set = dray_json_str(host, "CpusetMems", "");
    if (*set)
        dray_json_add_str(c, "mems", set);
    return c;
}

static int block_device(const char *path, unsigned *major_out, unsigned *minor_out,
                        struct dray_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return dray_fail(err, DRAY_E_INVAL, "no such device: \"%s\"", path);
    if (!S_ISBLK(st.st_mode))
        return dray_fail(err, DRAY_E_INVAL, "\"%s\" is not a block device", path);
    *major_out = major(st.st_rdev);
    *minor_out = minor(st.st_rdev);
    return 0;
}

struct throttle {
    const char *from, *to, *value_from, *value_to;
};

static int add_throttle(struct json_object *host, const struct throttle *t, struct json_object *io,
                        struct dray_err *err)
{
    struct json_object *list = dray_json_arr(host, t->from);
    if (dray_json_len(list) == 0)
        return 0;
    struct json_object *out = json_object_new_array();
    dray_json_add(io, t->to, out);
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *d = json_object_array_get_idx(list, i);
        unsigned maj = 0, min = 0;
        int rc = block_device(dray_json_str(d, "Path", ""), &maj, &min, err);
        if (rc != 0)
            return rc;
        struct json_object *o = json_object_new_object();
        dray_json_add_int(o, "major", maj);
        dray_json_add_int(o, "minor", min);
        dray_json_add_int(o, t->value_to, dray_json_int(d, t->value_from, 0));
        json_object_array_add(out, o);
    }
    return 0;
}

static int block_io(struct json_object *host, struct json_object **out, struct dray_err *err)
{
    static const struct throttle v[] = {
        {"BlkioWeightDevice", "weightDevice", "Weight", "weight"},
        {"BlkioDeviceReadBps", "throttleReadBpsDevice", "Rate", "rate"},
        {"BlkioDeviceWriteBps", "throttleWriteBpsDevice", "Rate", "rate"},
        {"BlkioDeviceReadIOps", "throttleReadIOPSDevice", "Rate", "rate"},
        {"BlkioDeviceWriteIOps", "throttleWriteIOPSDevice", "Rate", "rate"},
    };
    struct json_object *io = json_object_new_object();
    *out = io;
    if (dray_json_int(host, "BlkioWeight", 0) > 0)
        dray_json_add_int(io, "weight", dray_json_int(host, "BlkioWeight", 0));
    int rc = 0;
    for (size_t i = 0; i < sizeof v / sizeof v[0] && rc == 0; i++)
        rc = add_throttle(host, &v[i], io, err);
    return rc;
}

static void add_part(struct json_object *to, const char *key, struct json_object *part /* takes */)
{
    if (json_object_object_length(part) > 0)
        dray_json_add(to, key, part);
    else
        json_object_put(part);
}

int dray_spec_resources(struct json_object *host, bool privileged, struct json_object **out,
                        struct dray_err *err)
{
    (void)privileged;
    struct json_object *r = json_object_new_object();
    *out = r;
    add_part(r, "memory", memory(host));
    add_part(r, "cpu", cpu(host));
    if (dray_json_get(host, "PidsLimit")) { /* 0 is what an update leaves that took it away */
        struct json_object *p = json_object_new_object();
        int64_t pids = dray_json_int(host, "PidsLimit", 0);
        dray_json_add_int(p, "limit", pids <= 0 ? -1 : pids);
        dray_json_add(r, "pids", p);
    }
    struct json_object *io = NULL;
    int rc = block_io(host, &io, err);
    add_part(r, "blockIO", io);
    return rc;
}

/* Devices. */

static void add_rule(struct json_object *rules, const char *type, int64_t maj, int64_t min,
                     const char *access)
{
    struct json_object *r = json_object_new_object();
    dray_json_add_bool(r, "allow", true);
    dray_json_add_str(r, "type", type);
    if (maj >= 0)
        dray_json_add_int(r, "major", maj);
    if (min >= 0)
        dray_json_add_int(r, "minor", min);
    dray_json_add_str(r, "access", access);
    json_object_array_add(rules, r);
}

static int add_device_node(const struct stat *st, const char *inside, const char *access,
                           struct json_object *devices, struct json_object *rules)
{
    const char *type = S_ISBLK(st->st_mode) ? "b" : "c";
    struct json_object *d = json_object_new_object();
    dray_json_add_str(d, "path", inside);
    dray_json_add_str(d, "type", type);
    dray_json_add_int(d, "major", (int64_t)major(st->st_rdev));
    dray_json_add_int(d, "minor", (int64_t)minor(st->st_rdev));
    dray_json_add_int(d, "fileMode", st->st_mode & 07777);
    dray_json_add_int(d, "uid", (int64_t)st->st_uid);
    dray_json_add_int(d, "gid", (int64_t)st->st_gid);
    json_object_array_add(devices, d);
    add_rule(rules, type, (int64_t)major(st->st_rdev), (int64_t)minor(st->st_rdev), access);
    return 0;
}

static int add_device_tree(const char *host_path, const char *inside, const char *access, int depth,
                           struct json_object *devices, struct json_object *rules)
{
    static const char *const skip[] = {"pts", "shm", "fd", "mqueue", "console", "ptmx", NULL};
    DIR *dir = depth < 8 ? opendir(host_path) : NULL;
    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        bool skipped = e->d_name[0] == '.';
        for (size_t i = 0; skip[i] && !skipped; i++)
            skipped = strcmp(e->d_name, skip[i]) == 0;
        struct stat st;
        if (skipped || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        dray_autofree char *from = dray_strf("%s/%s", host_path, e->d_name);
        dray_autofree char *to = dray_strf("%s/%s", inside, e->d_name);
        if (from && to && S_ISDIR(st.st_mode))
            (void)add_device_tree(from, to, access, depth + 1, devices, rules);
        else if (from && to && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
            (void)add_device_node(&st, to, access, devices, rules);
    }
    closedir(dir);
    return 0;
}

static int add_user_device(struct json_object *d, struct json_object *devices,
                           struct json_object *rules, struct dray_err *err)
{
    const char *from = dray_json_str(d, "PathOnHost", "");
    const char *to = dray_json_str(d, "PathInContainer", "");
    const char *access = dray_json_str(d, "CgroupPermissions", "");
    if (!*access)
        access = "rwm";
    struct stat st;
    if (stat(from, &st) != 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "error gathering device information while adding custom device \"%s\": no "
                         "such file or directory",
                         from);
    if (!*to)
        to = from;
    size_t before = dray_json_len(devices);
    int rc = S_ISDIR(st.st_mode) ? add_device_tree(from, to, access, 0, devices, rules) : 0;
    if (rc != 0 || dray_json_len(devices) > before)
        return rc;
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
        return dray_fail(err, DRAY_E_INVAL,
                         "error gathering device information while adding custom device \"%s\": "
                         "not a device node",
                         from);
    return add_device_node(&st, to, access, devices, rules);
}

/** "c 1:3 rwm", "b *:* m" */
static int add_cgroup_rule(const char *text, struct json_object *rules, struct dray_err *err)
{
    char type[2] = "", maj[12] = "", min[12] = "", access[4] = "";
    if (sscanf(text, "%1[abc] %11[0-9*]:%11[0-9*] %3[rwm]", type, maj, min, access) != 4)
        return dray_fail(err, DRAY_E_INVAL, "invalid device cgroup rule format: '%s'", text);
    add_rule(rules, type, *maj == '*' ? -1 : atoll(maj), *min == '*' ? -1 : atoll(min), access);
    return 0;
}

/* linux.devices and the rules for linux.resources.devices of a HostConfig. */
static int devices_of(struct json_object *host, struct json_object *devices,
                      struct json_object *rules, struct dray_err *err)
{
    bool privileged = dray_json_bool(host, "Privileged", false);
    struct json_object *base = json_object_new_object();
    dray_json_add_bool(base, "allow", privileged);
    dray_json_add_str(base, "access", "rwm");
    json_object_array_add(rules, base);
    if (privileged) {
        dray_autojson *unused = json_object_new_array();
        (void)add_device_tree("/dev", "/dev", "rwm", 0, devices, unused);
    }
    struct json_object *list = dray_json_arr(host, "Devices");
    int rc = 0;
    for (size_t i = 0; i < dray_json_len(list) && rc == 0; i++)
        rc = add_user_device(json_object_array_get_idx(list, i), devices, rules, err);
    list = dray_json_arr(host, "DeviceCgroupRules");
    for (size_t i = 0; i < dray_json_len(list) && rc == 0; i++)
        rc =
            add_cgroup_rule(json_object_get_string(json_object_array_get_idx(list, i)), rules, err);
    return rc;
}

/* The rest. */

static void add_paths(const struct dray_spec_in *in, const struct dray_security *sec,
                      struct json_object *linux_)
{
    if (sec->systempaths_unconfined)
        return;
    struct json_object *v = dray_json_arr(in->host, "MaskedPaths");
    if (v)
        dray_json_add(linux_, "maskedPaths", dray_json_copy(v));
    v = dray_json_arr(in->host, "ReadonlyPaths");
    if (v)
        dray_json_add(linux_, "readonlyPaths", dray_json_copy(v));
}

/** systemd's path of a slice: "a-b.slice" lies in "a.slice", and "-.slice" is the root. */
static char *slice_path(const char *slice)
{
    DRAY_AUTO(dray_buf) b = {0};
    size_t n = strlen(slice);
    n = n > 6 && strcmp(slice + n - 6, ".slice") == 0 ? n - 6 : n;
    for (size_t i = 1; i <= n; i++)
        if (n > 1 && (i == n || slice[i] == '-'))
            dray_buf_addf(&b, "/%.*s.slice", (int)i, slice);
    return b.len ? dray_buf_steal(&b) : strdup("");
}

static void add_cgroup(const struct dray_spec_in *in, struct json_object *linux_)
{
    const char *parent = dray_json_str(in->host, "CgroupParent", "");
    if (in->c->set->engine->config->systemd_cgroup) {
        dray_autofree char *dir = slice_path(*parent ? parent : "system.slice");
        /* Of v2 only what lies below a scope is ours. */
        bool below = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
        dray_json_addf(linux_, "cgroupsPath", "%s/dray-%s.scope%s", dir ? dir : "", in->c->id,
                       below ? "/container" : "");
        return;
    }
    if (!*parent)
        parent = "/dray";
    dray_json_addf(linux_, "cgroupsPath", "%s%s/%s", *parent == '/' ? "" : "/", parent, in->c->id);
}

static const char *propagation(struct json_object *points)
{
    const char *found = "";
    for (size_t i = 0; i < dray_json_len(points); i++) {
        const char *p = dray_json_str(json_object_array_get_idx(points, i), "Propagation", "");
        if (strstr(p, "shared"))
            return "shared";
        if (strstr(p, "slave"))
            found = "rslave";
    }
    return found;
}

static int add_seccomp(uint64_t caps, const struct dray_security *sec, struct json_object *linux_,
                       struct dray_err *err)
{
    /* A profile that says nothing confines nothing, as with runc. */
    bool blank = sec->seccomp_profile &&
                 !*dray_json_str(sec->seccomp_profile, "defaultAction", "") &&
                 dray_json_len(dray_json_arr(sec->seccomp_profile, "syscalls")) == 0;
    if (sec->seccomp_unconfined || blank)
        return 0;
    struct json_object *profile = NULL;
    if (!sec->seccomp_profile) {
        profile = dray_seccomp_default(caps);
    } else {
        int rc = dray_seccomp_resolve(sec->seccomp_profile, caps, &profile, err);
        if (rc != 0)
            return rc;
    }
    if (profile)
        dray_json_add(linux_, "seccomp", profile);
    return 0;
}

/** The highest that a range may end with. */
static unsigned last_group(const struct dray_spec_in *in)
{
    return in->userns ? dray_userns_remap(in->c->set->engine->userns)->gid.count - 1 : INT32_MAX;
}

static void add_sysctls(const struct dray_spec_in *in, struct json_object *linux_)
{
    struct json_object *given = dray_json_obj(in->host, "Sysctls");
    struct json_object *all = given ? dray_json_copy(given) : json_object_new_object();
    /* As Docker: unprivileged users may ping and bind low ports inside their own namespace. */
    if (in->netns) {
        if (!json_object_object_get_ex(all, "net.ipv4.ip_unprivileged_port_start", NULL))
            dray_json_add_str(all, "net.ipv4.ip_unprivileged_port_start", "0");
        if (!json_object_object_get_ex(all, "net.ipv4.ping_group_range", NULL))
            dray_json_addf(all, "net.ipv4.ping_group_range", "0 %u", last_group(in));
    }
    dray_json_add(linux_, "sysctl", all);
}

int dray_spec_linux(const struct dray_spec_in *in, uint64_t caps, const struct dray_security *sec,
                    struct json_object *spec, struct dray_err *err)
{
    struct json_object *l = json_object_new_object();
    dray_json_add(spec, "linux", l);
    int rc = add_namespaces(in, l, err);
    if (rc != 0)
        return rc;
    add_mappings(in, l);
    struct json_object *resources = NULL;
    rc = dray_spec_resources(in->host, dray_json_bool(in->host, "Privileged", false), &resources,
                             err);
    dray_json_add(l, "resources", resources);
    if (rc != 0)
        return rc;
    struct json_object *devices = json_object_new_array(), *rules = json_object_new_array();
    dray_json_add(l, "devices", devices);
    dray_json_add(resources, "devices", rules);
    rc = devices_of(in->host, devices, rules, err);
    if (rc == 0)
        rc = add_seccomp(caps, sec, l, err);
    if (rc != 0)
        return rc;
    add_cgroup(in, l);
    add_paths(in, sec, l);
    add_sysctls(in, l);
    const char *prop = propagation(in->points);
    if (*prop)
        dray_json_add_str(l, "rootfsPropagation", prop);
    return 0;
}
