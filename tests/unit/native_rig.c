/* SPDX-License-Identifier: Apache-2.0 */
/* native_rig.c - loads the runtime driver and runs containers for its test. */
#include "native_rig.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct dray_runtime_ops *rig_ops;
struct dray_self *rig_self;
char rig_dir[PATH_MAX];
unsigned rig_emitted;

static const struct dray_plugin *plugin;
static char run_dir[PATH_MAX + 8];
static void *allocs[64];
static size_t n_allocs;
static unsigned serial;

static void host_log(const struct dray_host *host, uint32_t level, const char *message)
{
    (void)host;
    if (level <= DRAY_LOG_WARN)
        (void)fprintf(stderr, "driver: %s\n", message);
}

static void *host_alloc(const struct dray_call *call, uint64_t n)
{
    (void)call;
    if (n_allocs == sizeof allocs / sizeof allocs[0])
        return NULL;
    return allocs[n_allocs++] = calloc(1, n);
}

static int32_t host_emit(const struct dray_call *call, const struct dray_record *rec)
{
    (void)call;
    (void)rec;
    rig_emitted++;
    return 0;
}

static const char *host_path(const struct dray_host *host, uint32_t which)
{
    (void)host;
    (void)which;
    return run_dir;
}

static const struct dray_host host = {
    .head = DRAY_TABLE(struct dray_host, 0),
    .log = host_log,
    .alloc = host_alloc,
    .emit = host_emit,
    .path = host_path,
};

struct dray_call *rig_call(void)
{
    static struct dray_call call;
    call = (struct dray_call){.size = sizeof call, .cancel_fd = -1, .request_id = "test"};
    rig_emitted = 0;
    return &call;
}

void rig_call_end(void)
{
    while (n_allocs > 0)
        free(allocs[--n_allocs]);
}

void rig_file(const char *path, const char *text, mode_t mode)
{
    char full[PATH_MAX * 2];
    (void)snprintf(full, sizeof full, "%s/image/%s", rig_dir, path);
    for (char *p = full + strlen(rig_dir) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        (void)mkdir(full, 0755);
        *p = '/';
    }
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fchmod(fd, mode) != 0)
        perror(full);
    if (fd >= 0)
        (void)close(fd);
}

static bool copy_busybox(void)
{
    char to[PATH_MAX * 2];
    (void)snprintf(to, sizeof to, "%s/image/bin/busybox", rig_dir);
    int in = open("/bin/busybox", O_RDONLY | O_CLOEXEC);
    rig_file("bin/busybox", "", 0755);
    int out = open(to, O_WRONLY | O_CLOEXEC);
    char buf[65536];
    ssize_t n = -1;
    while (in >= 0 && out >= 0 && (n = read(in, buf, sizeof buf)) > 0)
        if (write(out, buf, (size_t)n) != n)
            return false;
    if (in >= 0)
        (void)close(in);
    if (out >= 0)
        (void)close(out);
    return n == 0;
}

static bool make_image(void)
{
    static const char *const tools[] = {
        "sh",    "true",     "cat", "echo",   "id",       "ls",    "sleep", "mount",
        "grep",  "stat",     "tty", "stty",   "pwd",      "mkdir", "touch", "mknod",
        "head",  "hostname", "env", "ulimit", "readlink", "ps",    "umask", "date",
        "chmod", "test",     "dd",  "printf", "kill",     "rm"};
    char path[PATH_MAX * 2];
    (void)snprintf(path, sizeof path, "%s/image", rig_dir);
    if (mkdir(path, 0755) != 0 || !copy_busybox())
        return false;
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/image/bin/%s", rig_dir, tools[i]);
        if (symlink("busybox", path) != 0)
            return false;
    }
    rig_file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:Web:/home/web:/bin/sh\n",
             0644);
    rig_file("etc/group", "root:x:0:\nweb:x:1001:\nextra:x:2000:web,root\nother:x:2001:\n", 0644);
    rig_file("plain", "not a program\n", 0644);
    rig_file("garbage", "\001\002not a program\n", 0755);
    return true;
}

bool rig_open(void)
{
    (void)snprintf(rig_dir, sizeof rig_dir, "/tmp/dray-native-XXXXXX");
    if (getuid() != 0 || access("/bin/busybox", X_OK) != 0) {
        (void)printf("skipped: needs root and busybox-static\n");
        return false;
    }
    if (!mkdtemp(rig_dir) || !make_image())
        return false;
    (void)snprintf(run_dir, sizeof run_dir, "%s/run", rig_dir);
    (void)mkdir(run_dir, 0700);
    void *so = dlopen(PLUGIN_FILE, RTLD_NOW | RTLD_LOCAL);
    plugin = so ? dlsym(so, DRAY_PLUGIN_SYMBOL) : NULL;
    struct dray_err err = {.code = 0};
    if (!plugin) {
        (void)printf("cannot load the driver: %s\n", dlerror());
        return false;
    }
    if (plugin->probe(&host, &err) != 0 || plugin->open(&host, "native", &rig_self, &err) != 0) {
        (void)printf("cannot open the driver: %s\n", err.text);
        return false;
    }
    rig_ops = (struct dray_runtime_ops *)(uintptr_t)plugin->ifaces[0].ops;
    return true;
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void drop_groups(void)
{
    char path[PATH_MAX];
    (void)rmdir("/sys/fs/cgroup/dray-test");
    DIR *d = opendir("/sys/fs/cgroup");
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%s/dray-test", e->d_name);
        (void)rmdir(path);
    }
    if (d)
        (void)closedir(d);
}

void rig_close(void)
{
    if (rig_self)
        plugin->close(rig_self);
    drop_groups();
    if (rig_dir[0])
        (void)nftw(rig_dir, drop, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static const char default_caps[] =
    "[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_MKNOD\","
    "\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_SETPCAP\",\"CAP_KILL\"]";

static const char * or (const char *text, const char *def)
{
    return text ? text : def;
}

static int write_config(const char *bundle, const char *id, const struct rig_spec *s)
{
    char path[PATH_MAX * 2];
    const char *caps = or (s->caps, default_caps);
    (void)snprintf(path, sizeof path, "%s/config.json", bundle);
    FILE *f = fopen(path, "we");
    if (!f)
        return -1;
    (void)fprintf(f,
                  "{\"ociVersion\":\"1.2.0\",\"process\":{\"args\":%s,\"cwd\":\"/\",\"env\":"
                  "[\"PATH=/bin:/sbin\"],\"user\":{\"uid\":0,\"gid\":0},\"capabilities\":"
                  "{\"bounding\":%s,\"effective\":%s,\"permitted\":%s}%s},",
                  or (s->args, "[\"true\"]"), caps, caps, caps, or (s->process, ""));
    (void)fprintf(f, "\"root\":{\"path\":\"%s/root\"%s},\"mounts\":[", bundle, or (s->root, ""));
    (void)fprintf(f, "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\","
                     "\"options\":[\"nosuid\",\"noexec\",\"nodev\"]}");
    if (!s->no_dev)
        (void)fprintf(
            f, ",{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":"
               "[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"
               "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
               "\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\","
               "\"mode=0620\",\"gid=5\"]}");
    (void)fprintf(f,
                  ",{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":"
                  "[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},"
                  "{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\","
                  "\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}%s],",
                  or (s->mounts, ""));
    (void)fprintf(f,
                  "\"hostname\":\"box\",\"linux\":{\"namespaces\":%s,\"cgroupsPath\":"
                  "\"/dray-test/%s\",\"resources\":{\"devices\":[{\"allow\":false,\"access\":"
                  "\"rwm\"}]%s}%s}%s}",
                  or (s->namespaces, "[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},"
                                     "{\"type\":\"uts\"},{\"type\":\"cgroup\"}]"),
                  id, or (s->resources, ""), or (s->linux_, ""), or (s->top, ""));
    return fclose(f);
}

static int make_bundle(const char *id, char *out, size_t cap)
{
    char path[PATH_MAX * 2];
    static const char *const parts[] = {"", "/root", "/upper", "/work"};
    (void)snprintf(out, cap, "%s/%s", rig_dir, id);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s", out, parts[i]);
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

static void make_pipes(struct rig_run *r, int child[3], bool terminal)
{
    r->in = r->out = r->errfd = -1;
    child[0] = child[1] = child[2] = -1;
    if (terminal)
        return;
    int p[2];
    if (pipe2(p, O_CLOEXEC) == 0) {
        child[0] = p[0];
        r->in = p[1];
    }
    if (pipe2(p, O_CLOEXEC) == 0) {
        r->out = p[0];
        child[1] = p[1];
        child[2] = fcntl(p[1], F_DUPFD_CLOEXEC, 0);
    }
}

static void close_three(const int fd[3])
{
    for (int i = 0; i < 3; i++)
        if (fd[i] >= 0)
            (void)close(fd[i]);
}

int rig_create(struct rig_run *r, const struct rig_spec *spec)
{
    char bundle[PATH_MAX + 64], lower[PATH_MAX + 64], upper[PATH_MAX + 96], work[PATH_MAX + 96];
    *r = (struct rig_run){.code = -1, .proc = {.size = sizeof r->proc}};
    (void)snprintf(r->id, sizeof r->id, "t%d-%u", (int)getpid(), serial++);
    if (make_bundle(r->id, bundle, sizeof bundle) != 0 || write_config(bundle, r->id, spec) != 0)
        return DRAY_E_IO;
    (void)snprintf(lower, sizeof lower, "lowerdir=%s/image", rig_dir);
    (void)snprintf(upper, sizeof upper, "upperdir=%s/upper", bundle);
    (void)snprintf(work, sizeof work, "workdir=%s/work", bundle);
    const char *const options[] = {lower, upper, work};
    const struct dray_mount m = {.size = sizeof m,
                                 .type = "overlay",
                                 .source = "overlay",
                                 .target = "",
                                 .options = {.v = options, .n = 3}};
    int child[3];
    make_pipes(r, child, spec->terminal);
    const struct dray_run_spec run = {
        .size = sizeof run,
        .terminal = spec->terminal,
        .bundle = bundle,
        .rootfs = {.v = &m, .n = 1},
        .io = {.in = {child[0]}, .out = {child[1]}, .err = {child[2]}},
        .rows = 33,
        .cols = 77,
    };
    int rc = rig_ops->create(rig_self, rig_call(), r->id, &run, &r->proc, &r->err);
    close_three(child);
    if (rc == 0 && spec->terminal)
        r->out = r->proc.terminal.fd;
    return rc;
}

int rig_start(struct rig_run *r)
{
    return rig_ops->start(rig_self, rig_call(), r->id, &r->err);
}

static void read_all(struct rig_run *r)
{
    size_t n = 0;
    struct pollfd p = {.fd = r->out, .events = POLLIN};
    while (r->out >= 0 && n + 1 < sizeof r->output && poll(&p, 1, 20000) > 0) {
        ssize_t got = read(r->out, r->output + n, sizeof r->output - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    r->output[n] = '\0';
}

void rig_finish(struct rig_run *r)
{
    int status = 0;
    if (r->in >= 0)
        (void)close(r->in);
    read_all(r);
    if (r->out >= 0)
        (void)close(r->out);
    r->in = r->out = -1;
    if (r->proc.pid > 0 && waitpid(r->proc.pid, &status, 0) == r->proc.pid)
        r->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (r->proc.pid > 0 && r->proc.pidfd.fd >= 0)
        (void)close(r->proc.pidfd.fd);
}

int rig_remove(struct rig_run *r)
{
    return rig_ops->remove(rig_self, rig_call(), r->id, &r->err);
}

int rig_do(struct rig_run *r, const struct rig_spec *spec)
{
    int rc = rig_create(r, spec);
    if (rc == 0)
        rc = rig_start(r);
    rig_finish(r);
    int gone = rig_remove(r);
    if (rc == 0)
        rc = gone;
    if (rc != 0)
        (void)fprintf(stderr, "  (%d: %s)\n", rc, r->err.text);
    return rc != 0 ? rc : r->code;
}

int rig_sh(struct rig_run *r, const struct rig_spec *spec, const char *line)
{
    char args[8192];
    struct rig_spec s = *spec;
    (void)snprintf(args, sizeof args, "[\"sh\",\"-c\",\"%s\"]", line);
    s.args = args;
    return rig_do(r, &s);
}

int rig_exec(const struct rig_run *in, struct rig_run *out, const char *process, bool terminal)
{
    int child[3];
    *out = (struct rig_run){.code = -1, .proc = {.size = sizeof out->proc}};
    make_pipes(out, child, terminal);
    const struct dray_exec_spec spec = {
        .size = sizeof spec,
        .terminal = terminal,
        .process = process,
        .io = {.in = {child[0]}, .out = {child[1]}, .err = {child[2]}},
    };
    int rc = rig_ops->exec(rig_self, rig_call(), in->id, &spec, &out->proc, &out->err);
    close_three(child);
    if (rc == 0 && terminal)
        out->out = out->proc.terminal.fd;
    rig_finish(out);
    return rc != 0 ? rc : out->code;
}

bool rig_cgroup_left(const char *id)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/dray-test/%s", id);
    bool left = access(path, F_OK) == 0;
    DIR *d = opendir("/sys/fs/cgroup");
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%s/dray-test/%s", e->d_name, id);
        left = left || access(path, F_OK) == 0;
    }
    if (d)
        (void)closedir(d);
    return left;
}
