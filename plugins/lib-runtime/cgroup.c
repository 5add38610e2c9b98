/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup.c - what the control groups of both versions have in common. */
#include "cgroup.h"
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

#define DEPTH_MAX 64
#define REMOVE_TRIES 2000 /* of a millisecond and more */

int rn_cg_path(const char *id, const char *cgroups_path, char out[PATH_MAX], struct dray_err *err)
{
    char given[PATH_MAX];
    const char *colon = cgroups_path ? strchr(cgroups_path, ':') : NULL;
    const char *second = colon ? strchr(colon + 1, ':') : NULL;
    int n = 0;
    if (!cgroups_path || !*cgroups_path)
        n = snprintf(given, sizeof given, "dray/%s", id);
    else if (second) /* systemd's "slice:prefix:name" */
        n = snprintf(given, sizeof given, "%.*s/%.*s-%s.scope", (int)(colon - cgroups_path),
                     cgroups_path, (int)(second - colon - 1), colon + 1, second + 1);
    else
        n = snprintf(given, sizeof given, "%s", cgroups_path);
    if (n < 0 || (size_t)n >= sizeof given - 1)
        return dray_fail(err, DRAY_E_INVAL, "cgroupsPath is too long");
    size_t len = 0;
    for (const char *p = given; *p;) {
        p += strspn(p, "/");
        size_t part = strcspn(p, "/");
        if (part == 0)
            break;
        if (strchr(p, '\n'))
            return dray_fail(err, DRAY_E_INVAL, "cgroupsPath \"%s\" is not allowed", cgroups_path);
        if (part == 2 && p[0] == '.' && p[1] == '.') { /* above the root is the root */
            while (len > 0 && out[--len] != '/')
                ;
        } else if (!(part == 1 && *p == '.')) {
            out[len++] = '/';
            memcpy(out + len, p, part);
            len += part;
        }
        p += part;
    }
    out[len] = '\0';
    return len > 0 ? 0 : dray_fail(err, DRAY_E_INVAL, "cgroupsPath must not be the root");
}

int rn_cg_open(const struct rn_cgroup *g, const struct rn_cg_tree *t)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s", t->mount, g->path);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int rn_cg_apply(const struct rn_cgroup *g, struct json_object *resources, bool fresh,
                struct dray_err *err)
{
    bool v2 = g->layout->unified;
    int rc = v2 ? rn_cg_apply_v2(g, resources, err) : rn_cg_apply_v1(g, resources, err);
    struct json_object *list = rn_json_arr(resources, "devices");
    if (rc != 0 || (!fresh && !list))
        return rc;
    struct rn_arena arena = {0};
    struct rn_dev_rules rules = {.n = 0};
    rc = rn_dev_rules_parse(list, &arena, &rules, err);
    if (rc == 0)
        rc = v2 ? rn_dev_rules_v2(g, &rules, err) : rn_dev_rules_v1(g, &rules, err);
    rn_arena_cleanup(&arena);
    return rc;
}

/* Walks: a container may have made groups below its own. */

struct pids {
    pid_t *v;
    size_t n, cap;
};

static int add_pid(struct pids *p, pid_t pid)
{
    for (size_t i = p->n; i > 0 && i + 8 > p->n; i--)
        if (p->v[i - 1] == pid)
            return 0;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 32;
        pid_t *v = reallocarray(p->v, cap, sizeof *v);
        if (!v)
            return -1;
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = pid;
    return 0;
}

static int read_procs(int dir, struct pids *p)
{
    int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    long pid = 0;
    int rc = 0;
    while (rc == 0 && fscanf(f, "%ld", &pid) == 1)
        if (pid > 0 && pid <= INT_MAX)
            rc = add_pid(p, (pid_t)pid);
    (void)fclose(f);
    return rc;
}

/** Visit a group's children, then itself. remove: rmdir the children after their visit. */
static int walk(int dir, struct pids *p, bool remove, int depth)
{
    dray_autofd int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = own >= 0 && depth < DEPTH_MAX ? fdopendir(own) : NULL;
    if (!d)
        return 0;
    (void)dray_steal_fd(&own);
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        int sub = openat(dirfd(d), e->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (sub < 0)
            continue;
        rc = walk(sub, p, remove, depth + 1);
        (void)close(sub);
        if (remove)
            (void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
    }
    (void)closedir(d);
    if (rc == 0 && p)
        rc = read_procs(dir, p);
    return rc;
}

static int tree_pids(const struct rn_cgroup *g, const struct rn_cg_tree *t, struct pids *p)
{
    dray_autofd int dir = rn_cg_open(g, t);
    return dir < 0 ? 0 : walk(dir, p, false, 0);
}

/** The tree that shows the container's processes best: v2 (not always writable beside v1), freezer,
 *  or the first. */
static const struct rn_cg_tree *main_tree(const struct rn_cgroup *g)
{
    const struct rn_cg_layout *l = g->layout;
    const struct rn_cg_tree *t = rn_cg_tree_of(l, RN_CG_FREEZER);
    dray_autofd int v2 = l->v2.mount ? rn_cg_open(g, &l->v2) : -EBADF;
    if (v2 >= 0)
        return &l->v2;
    return t ? t : l->n_v1 > 0 ? &l->v1[0] : NULL;
}

int rn_cg_pids(const struct rn_cgroup *g, pid_t **out, size_t *n_out, struct dray_err *err)
{
    struct pids p = {.n = 0};
    const struct rn_cg_tree *t = main_tree(g);
    if (t && tree_pids(g, t, &p) != 0) {
        free(p.v);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    *out = p.v;
    *n_out = p.n;
    return 0;
}

static bool cgroup_kill(const struct rn_cgroup *g)
{
    if (!g->layout->v2.mount)
        return false;
    dray_autofd int dir = rn_cg_open(g, &g->layout->v2);
    return dir >= 0 && rn_write_at(dir, "cgroup.kill", "1") == 0;
}

int rn_cg_signal(const struct rn_cgroup *g, int sig, struct dray_err *err)
{
    if (sig == SIGKILL && cgroup_kill(g))
        return 0;
    /* Frozen, the processes cannot fork away from the list; a frozen one dies when thawed. */
    bool was = rn_cg_frozen(g);
    bool froze = !was && rn_cg_freeze(g, true, NULL) == 0;
    pid_t *v = NULL;
    size_t n = 0;
    int rc = rn_cg_pids(g, &v, &n, err);
    for (size_t i = 0; i < n; i++)
        (void)kill(v[i], sig);
    free(v);
    if (froze || (was && sig == SIGKILL))
        (void)rn_cg_freeze(g, false, NULL);
    return rc;
}

static void nap(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    (void)nanosleep(&ms, NULL);
}

static int set_state(const struct rn_cgroup *g, bool on)
{
    const struct rn_cg_tree *t = rn_cg_tree_of(g->layout, RN_CG_FREEZER);
    dray_autofd int dir = rn_cg_open(g, t ? t : &g->layout->v2);
    if (dir < 0)
        return -1;
    if (!t)
        return rn_write_at(dir, "cgroup.freeze", on ? "1" : "0");
    return rn_write_at(dir, "freezer.state", on ? "FROZEN" : "THAWED");
}

bool rn_cg_frozen(const struct rn_cgroup *g)
{
    char buf[256] = "";
    const struct rn_cg_tree *t = rn_cg_tree_of(g->layout, RN_CG_FREEZER);
    if (!t && !g->layout->v2.mount)
        return false;
    dray_autofd int dir = rn_cg_open(g, t ? t : &g->layout->v2);
    if (dir < 0)
        return false;
    if (t)
        return rn_read_at(dir, "freezer.state", buf, sizeof buf) > 0 &&
               strncmp(buf, "FROZEN", 6) == 0;
    return rn_read_at(dir, "cgroup.events", buf, sizeof buf) > 0 && strstr(buf, "frozen 1");
}

int rn_cg_freeze(const struct rn_cgroup *g, bool on, struct dray_err *err)
{
    if (!rn_cg_tree_of(g->layout, RN_CG_FREEZER) && !g->layout->v2.mount)
        return dray_fail(err, DRAY_E_NOTSUP, "no freezer cgroup is mounted");
    for (int tries = 0; tries < 2000; tries++) {
        /* v1 may stick in FREEZING while processes fork; writing it again helps. */
        if (tries % 50 == 0 && set_state(g, on) != 0)
            return errno == ENOENT /* ended meanwhile, its group has gone */
                       ? dray_fail(err, DRAY_E_CONFLICT, "the container is not running")
                       : dray_fail_errno(err, "%s the container", on ? "freeze" : "thaw");
        if (rn_cg_frozen(g) == on)
            return 0;
        nap();
    }
    (void)set_state(g, false);
    return dray_fail(err, DRAY_E_TIMEOUT, "unable to freeze the container in time");
}

uint64_t rn_cg_oom_kills(const struct rn_cgroup *g)
{
    const struct rn_cg_tree *t = rn_cg_where(g->layout, RN_CG_MEMORY);
    dray_autofd int dir = t ? rn_cg_open(g, t) : -EBADF;
    char buf[1024];
    const char *file = g->layout->unified ? "memory.events" : "memory.oom_control";
    if (dir < 0 || rn_read_at(dir, file, buf, sizeof buf) <= 0)
        return 0;
    const char *at = strncmp(buf, "oom_kill ", 9) == 0 ? buf : strstr(buf, "\noom_kill ");
    return at ? strtoull(at + (*at == '\n' ? 10 : 9), NULL, 10) : 0;
}

static int remove_tree(const struct rn_cgroup *g, const struct rn_cg_tree *t, struct dray_err *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s%s", t->mount, g->path);
    for (int tries = 0; rmdir(path) != 0 && errno != ENOENT; tries++) {
        if (errno != EBUSY || tries == REMOVE_TRIES)
            return dray_fail_errno(err, "remove cgroup %s", path);
        struct pids p = {.n = 0};
        dray_autofd int dir = rn_cg_open(g, t);
        if (dir >= 0)
            (void)walk(dir, tries % 4 == 0 ? &p : NULL, true, 0);
        if (tries % 16 == 4)
            (void)rn_cg_freeze(g, false, NULL);
        for (size_t i = 0; i < p.n; i++)
            (void)kill(p.v[i], SIGKILL);
        free(p.v);
        nap();
    }
    return 0;
}

/** A group below a scope: the scope goes, too. systemd may be faster where it knows of it. */
static void remove_scope(const struct rn_cgroup *g)
{
    static const char suffix[] = ".scope";
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s", g->layout->v2.mount, g->path);
    char *slash = n > 0 && (size_t)n < sizeof path ? strrchr(path, '/') : NULL;
    if (!slash)
        return;
    *slash = '\0';
    if (slash - path > (ptrdiff_t)sizeof suffix && strcmp(slash - sizeof suffix + 1, suffix) == 0)
        (void)rmdir(path);
}

int rn_cg_remove(const struct rn_cgroup *g, struct dray_err *err)
{
    int rc = 0;
    if (g->layout->v2.mount) {
        rc = remove_tree(g, &g->layout->v2, err);
        remove_scope(g);
    }
    for (size_t i = 0; i < g->layout->n_v1; i++) {
        int one = remove_tree(g, &g->layout->v1[i], rc == 0 ? err : NULL);
        rc = rc == 0 ? one : rc;
    }
    return rc;
}
