/* SPDX-License-Identifier: Apache-2.0 */
/* scope.c - tells systemd of a container's group, so that it is one of its scopes. */
#include "scope.h"

#include "files.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define LIBRARY "libsystemd.so.0" /* loaded when it is needed: few containers do */
#define ADDRESS "unix:path=/run/systemd/private"
#define CALL_USEC UINT64_C(25000000)
#define TRIES 10000 /* of a millisecond and more */

/** What a path says: "/SLICE.../NAME.scope/REST". */
struct scope {
    char unit[NAME_MAX + 1], slice[NAME_MAX + 1];
    char path[PATH_MAX]; /* of the scope's group */
};

static int part_copy(char *to, const char *from, size_t n)
{
    if (n == 0 || n > NAME_MAX)
        return -1;
    memcpy(to, from, n);
    to[n] = '\0';
    return 0;
}

/** false: the path has no scope in a slice. */
static bool parse(const char *path, struct scope *out)
{
    static const char suffix[] = ".scope";
    const char *prev = NULL;
    size_t prev_n = 0;
    for (const char *p = path; *p;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n > sizeof suffix - 1 && strncmp(p + n - 6, suffix, 6) == 0) {
            (void)snprintf(out->path, sizeof out->path, "%.*s", (int)(p + n - path), path);
            if (!prev)
                return part_copy(out->slice, "-.slice", 7) == 0 && part_copy(out->unit, p, n) == 0;
            return part_copy(out->slice, prev, prev_n) == 0 && part_copy(out->unit, p, n) == 0;
        }
        prev = p;
        prev_n = n;
        p += n;
    }
    return false;
}

/** Is systemd the first process of the PIDs that we see? It is told by PID what to take. */
static bool is_systemd(void)
{
    char name[32] = "", group[256] = "";
    return access("/run/systemd/private", F_OK) == 0 &&
           rn_read_at(AT_FDCWD, "/proc/1/comm", name, sizeof name) > 0 &&
           strcmp(name, "systemd\n") == 0 &&
           rn_read_at(AT_FDCWD, "/proc/1/cgroup", group, sizeof group) > 0 &&
           strcmp(group, "0::/init.scope\n") == 0;
}

/* The calls of libsystemd. */
struct bus {
    void *library;
    __typeof__(sd_bus_new) *fresh;
    __typeof__(sd_bus_set_address) *set_address;
    __typeof__(sd_bus_start) *start;
    __typeof__(sd_bus_call_method) *call_method;
    __typeof__(sd_bus_set_method_call_timeout) *set_timeout;
    __typeof__(sd_bus_flush_close_unref) *close;
    __typeof__(sd_bus_error_free) *error_free;
};

static int load(struct bus *b, struct dray_err *err)
{
    const struct {
        const char *name;
        void **to;
    } calls[] = {
        {"sd_bus_new", (void **)&b->fresh},
        {"sd_bus_set_address", (void **)&b->set_address},
        {"sd_bus_start", (void **)&b->start},
        {"sd_bus_call_method", (void **)&b->call_method},
        {"sd_bus_set_method_call_timeout", (void **)&b->set_timeout},
        {"sd_bus_flush_close_unref", (void **)&b->close},
        {"sd_bus_error_free", (void **)&b->error_free},
    };
    b->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (!b->library || !(*calls[i].to = dlsym(b->library, calls[i].name)))
            return dray_fail(err, DRAY_E_NOTSUP, "the cgroup driver \"systemd\" needs " LIBRARY);
    return 0;
}

/** StartTransientUnit of a scope with one process, delegated to us. */
static int start_unit(const struct bus *b, const struct scope *s, pid_t pid, struct dray_err *err)
{
    sd_bus *bus = NULL;
    sd_bus_error why = SD_BUS_ERROR_NULL;
    int rc = b->fresh(&bus);
    if (rc >= 0)
        rc = b->set_address(bus, ADDRESS);
    if (rc >= 0)
        rc = b->start(bus);
    if (rc >= 0)
        rc = b->set_timeout(bus, CALL_USEC);
    if (rc >= 0)
        rc = b->call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                            "org.freedesktop.systemd1.Manager", "StartTransientUnit", &why, NULL,
                            "ssa(sv)a(sa(sv))", s->unit, "fail", 6, "Description", "s",
                            "Container of Dray", "Slice", "s", s->slice, "DefaultDependencies", "b",
                            0, "Delegate", "b", 1, "CollectMode", "s", "inactive-or-failed", "PIDs",
                            "au", 1, (uint32_t)pid, 0);
    if (rc < 0)
        (void)dray_fail(err, DRAY_E_IO, "systemd did not start %s: %s", s->unit,
                        why.message ? why.message : strerror(-rc));
    b->error_free(&why);
    if (bus)
        (void)b->close(bus);
    return rc < 0 ? DRAY_E_IO : 0;
}

static bool in_group(pid_t pid, const char *path)
{
    char file[64], got[PATH_MAX + 8] = "", want[PATH_MAX + 8];
    (void)snprintf(file, sizeof file, "/proc/%d/cgroup", (int)pid);
    (void)snprintf(want, sizeof want, "0::%s\n", path);
    return rn_read_at(AT_FDCWD, file, got, sizeof got) > 0 && strcmp(got, want) == 0;
}

/** The unit's job runs after the call: wait until the process has been moved, then move it on into
 *  the container's group, for a group with members gives its children no controllers. */
static int settle(const struct rn_cgroup *g, const struct scope *s, pid_t pid, struct dray_err *err)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s", g->layout->v2.mount, g->path);
    for (int i = 0; !in_group(pid, s->path); i++) {
        if (i == TRIES)
            return dray_fail(err, DRAY_E_TIMEOUT, "systemd did not make the group of %s", s->unit);
        (void)nanosleep(&ms, NULL);
    }
    if (n < 0 || (size_t)n >= sizeof path || rn_mkdirs(path, 0755) != 0)
        return dray_fail_errno(err, "make cgroup %s%s", g->layout->v2.mount, g->path);
    dray_autofd int dir = rn_cg_open(g, &g->layout->v2);
    if (dir < 0 || rn_writef_at(dir, "cgroup.procs", "%d", (int)pid) != 0)
        return dray_fail_errno(err, "enter cgroup %s", path);
    return 0;
}

/** A child that does nothing but be there. */
static pid_t keep(void)
{
    pid_t self = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != self)
        _exit(0);
    for (;;)
        (void)pause();
}

int rn_scope_make(const struct rn_cgroup *g, pid_t *keeper_out, struct dray_err *err)
{
    struct scope s;
    struct bus bus = {0};
    *keeper_out = 0;
    if (!g->layout->unified || !parse(g->path, &s) || !is_systemd())
        return 0;
    int rc = load(&bus, err);
    if (rc != 0)
        return rc;
    pid_t pid = keep();
    if (pid < 0)
        return dray_fail_errno(err, "fork");
    rc = start_unit(&bus, &s, pid, err);
    if (rc == 0)
        rc = settle(g, &s, pid, err);
    if (rc != 0)
        rn_scope_release(&pid);
    else
        *keeper_out = pid;
    return rc;
}

void rn_scope_release(pid_t *keeper)
{
    if (*keeper <= 0)
        return;
    (void)kill(*keeper, SIGKILL);
    while (waitpid(*keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    *keeper = 0;
}
