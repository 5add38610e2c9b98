/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - what /info tells about the machine and its kernel. */
#include "api/system.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "engine/spec/apparmor.h"
#include "engine/sysinfo.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/utsname.h>

static const struct {
    const char *uname, *go;
} archs[] = {
    {"x86_64", "amd64"},    {"aarch64", "arm64"}, {"armv7l", "arm"},
    {"armv6l", "arm"},      {"i686", "386"},      {"i386", "386"},
    {"ppc64le", "ppc64le"}, {"s390x", "s390x"},   {"riscv64", "riscv64"},
};

const char *dray_machine_goarch(void)
{
    struct utsname u;
    if (uname(&u) < 0)
        return "";
    for (size_t i = 0; i < sizeof archs / sizeof archs[0]; i++)
        if (strcmp(u.machine, archs[i].uname) == 0)
            return archs[i].go;
    return "";
}

/* A small file, cut at its end of line; "" when it is not there. */
static void read_text(const char *path, struct dray_buf *b)
{
    dray_buf_reset(b);
    if (dray_fs_read(AT_FDCWD, path, 65536, b, NULL))
        dray_buf_reset(b);
    dray_buf_adds(b, "");
}

/* The value of KEY= in os-release, unquoted. */
static void os_release(const char *text, const char *key, char *out, size_t size)
{
    size_t n = strlen(key);
    out[0] = '\0';
    for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        if (strncmp(p, key, n) != 0 || p[n] != '=')
            continue;
        p += n + 1;
        size_t len = strcspn(p, "\n");
        if (len >= 2 && (*p == '"' || *p == '\'')) {
            p++;
            len -= 2;
        }
        (void)snprintf(out, size, "%.*s", (int)len, p);
        return;
    }
}

static int64_t mem_total(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    read_text("/proc/meminfo", &b);
    const char *p = b.data ? strstr(b.data, "MemTotal:") : NULL;
    return p ? strtoll(p + strlen("MemTotal:"), NULL, 10) * 1024 : 0;
}

void dray_machine_info(struct json_object *info)
{
    struct utsname u = {0};
    (void)uname(&u);
    DRAY_AUTO(dray_buf) b = {0};
    char pretty[256] = "", version[128] = "";
    read_text("/etc/os-release", &b);
    if (!b.len)
        read_text("/usr/lib/os-release", &b);
    os_release(b.data, "PRETTY_NAME", pretty, sizeof pretty);
    os_release(b.data, "VERSION_ID", version, sizeof version);
    dray_json_add_str(info, "KernelVersion", u.release);
    dray_json_add_str(info, "OperatingSystem", *pretty ? pretty : "Linux");
    dray_json_add_str(info, "OSVersion", version);
    dray_json_add_str(info, "OSType", "linux");
    dray_json_add_str(info, "Architecture", u.machine);
    dray_json_add_int(info, "NCPU", sysconf(_SC_NPROCESSORS_ONLN));
    dray_json_add_int(info, "MemTotal", mem_total());
    dray_json_add_str(info, "Name", u.nodename);
}

/* ---- Control groups ---- */

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void warn(struct json_object *warnings, const char *text)
{
    json_object_array_add(warnings, json_object_new_string(text));
}

static bool sysctl_on(const char *path)
{
    DRAY_AUTO(dray_buf) b = {0};
    read_text(path, &b);
    return b.data && b.data[0] == '1';
}

void dray_machine_cgroup_info(struct json_object *info, bool systemd, struct json_object *warnings)
{
    struct dray_sysinfo c;
    dray_sysinfo_probe(&c);
    const struct {
        const char *key, *warning;
        bool on;
    } rows[] = {
        {"MemoryLimit", "WARNING: No memory limit support", c.memory},
        {"SwapLimit", "WARNING: No swap limit support", c.swap},
        {"CpuCfsPeriod", "WARNING: No cpu cfs period support", c.cfs},
        {"CpuCfsQuota", "WARNING: No cpu cfs quota support", c.cfs},
        {"CPUShares", "WARNING: No cpu shares support", c.shares},
        {"CPUSet", "WARNING: No cpuset support", c.cpuset},
        {"PidsLimit", "WARNING: No pids limit support", c.pids},
        {"OomKillDisable", NULL, c.oom_kill_disable},
        {"IPv4Forwarding", "WARNING: IPv4 forwarding is disabled",
         sysctl_on("/proc/sys/net/ipv4/ip_forward")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dray_json_add_bool(info, rows[i].key, rows[i].on);
        if (!rows[i].on && rows[i].warning)
            warn(warnings, rows[i].warning);
    }
    if (!c.blkio_weight)
        warn(warnings, "WARNING: No blkio weight support");
    if (!c.blkio_weight_device)
        warn(warnings, "WARNING: No blkio weight_device support");
    dray_json_add_str(info, "CgroupDriver", systemd ? "systemd" : "cgroupfs");
    dray_json_add_str(info, "CgroupVersion", c.v2 ? "2" : "1");
}

struct json_object *dray_machine_security(const char *seccomp, bool remapped)
{
    struct json_object *list = json_object_new_array();
    if (dray_apparmor_supported())
        warn(list, "name=apparmor");
    if (exists("/proc/sys/kernel/seccomp")) {
        dray_autofree char *text =
            dray_strf("name=seccomp,profile=%s", seccomp && *seccomp ? seccomp : "builtin");
        warn(list, text ? text : "name=seccomp");
    }
    if (exists("/sys/fs/selinux/enforce"))
        warn(list, "name=selinux");
    if (remapped)
        warn(list, "name=userns");
    /* The default for containers, which it is on cgroup v2 alone. */
    struct dray_sysinfo si;
    dray_sysinfo_probe(&si);
    if (si.v2 && exists("/proc/self/ns/cgroup"))
        warn(list, "name=cgroupns");
    return list;
}

int64_t dray_machine_count(const char *dir)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/%s", dir);
    DIR *d = opendir(path);
    int64_t n = 0;
    struct dirent *e = NULL;
    while (d && (e = readdir(d)) != NULL)
        n += e->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return n;
}
