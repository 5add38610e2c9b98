/* SPDX-License-Identifier: Apache-2.0 */
/* cg_layout.c - which cgroup hierarchies the host has, and where. */
#include "cgroup.h"
#include "files.h"

#include <fcntl.h>

static const struct {
    const char *v1, *v2;
} names[RN_CG_N] = {
    [RN_CG_CPU] = {"cpu", "cpu"},
    [RN_CG_CPUACCT] = {"cpuacct", "cpu"},
    [RN_CG_CPUSET] = {"cpuset", "cpuset"},
    [RN_CG_MEMORY] = {"memory", "memory"},
    [RN_CG_DEVICES] = {"devices", ""},
    [RN_CG_FREEZER] = {"freezer", ""},
    [RN_CG_IO] = {"blkio", "io"},
    [RN_CG_PIDS] = {"pids", "pids"},
    [RN_CG_HUGETLB] = {"hugetlb", "hugetlb"},
    [RN_CG_NET_CLS] = {"net_cls", ""},
    [RN_CG_NET_PRIO] = {"net_prio", ""},
    [RN_CG_PERF] = {"perf_event", ""},
    [RN_CG_RDMA] = {"rdma", "rdma"},
    [RN_CG_MISC] = {"misc", "misc"},
};

const char *rn_cg_name(enum rn_controller c, bool v2)
{
    return v2 ? names[c].v2 : names[c].v1;
}

uint32_t rn_cg_mask(const char *text, const char *sep, bool v2)
{
    uint32_t mask = 0;
    for (const char *p = text; *p;) {
        p += strspn(p, sep);
        size_t n = strcspn(p, sep);
        for (int i = 0; i < RN_CG_N && n > 0; i++)
            if (strncmp(rn_cg_name((enum rn_controller)i, v2), p, n) == 0 &&
                rn_cg_name((enum rn_controller)i, v2)[n] == '\0')
                mask |= 1u << i;
        p += n;
    }
    return mask;
}

/** Options of a v1 super block that name its hierarchy: controllers, or its name. */
static char *tree_options(const char *super)
{
    char out[256];
    size_t len = 0;
    out[0] = '\0';
    for (const char *p = super; *p;) {
        size_t n = strcspn(p, ",");
        char word[128];
        if (n < sizeof word) {
            memcpy(word, p, n);
            word[n] = '\0';
            bool keep = strncmp(word, "name=", 5) == 0 || rn_cg_mask(word, ",", false) != 0;
            if (keep && len + n + 2 < sizeof out)
                len += (size_t)snprintf(out + len, sizeof out - len, "%s%s", len ? "," : "", word);
        }
        p += n + (p[n] == ',');
    }
    return len ? strdup(out) : NULL;
}

/** Undo the octal escapes of /proc/self/mountinfo, in place. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
            *to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

static int add_tree(struct rn_cg_layout *l, char *point, const char *type, const char *super)
{
    unescape(point);
    if (strcmp(type, "cgroup2") == 0) {
        if (!l->v2.mount)
            l->v2.mount = strdup(point);
        return l->v2.mount ? 0 : -1;
    }
    dray_autofree char *options = tree_options(super);
    if (!options || l->n_v1 == RN_CG_TREES)
        return 0;
    for (size_t i = 0; i < l->n_v1; i++)
        if (strcmp(l->v1[i].options, options) == 0)
            return 0; /* mounted twice: the first is as good */
    struct rn_cg_tree *t = &l->v1[l->n_v1];
    t->mount = strdup(point);
    if (!t->mount)
        return -1;
    t->controllers = rn_cg_mask(options, ",", false);
    t->options = dray_steal(options);
    l->n_v1++;
    return 0;
}

/** One line: ID PARENT DEV ROOT POINT OPTIONS [TAGS] - TYPE SOURCE SUPER */
static int add_line(struct rn_cg_layout *l, char *line)
{
    char *dash = strstr(line, " - cgroup");
    if (!dash)
        return 0;
    char *save = NULL, *point = strtok_r(line, " ", &save);
    for (int i = 0; i < 4 && point; i++)
        point = strtok_r(NULL, " ", &save);
    char *type = strtok_r(dash + 3, " ", &save);
    char *source = type ? strtok_r(NULL, " ", &save) : NULL;
    char *super = source ? strtok_r(NULL, " \n", &save) : NULL;
    if (!point || !super || point > dash)
        return 0;
    return add_tree(l, point, type, super);
}

static int finish(struct rn_cg_layout *l, struct dray_err *err)
{
    uint32_t used = 0;
    for (size_t i = 0; i < l->n_v1; i++)
        used |= l->v1[i].controllers;
    l->unified = l->v2.mount && used == 0;
    if (l->v2.mount) {
        char buf[512];
        dray_autofd int dir = open(l->v2.mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0 && rn_read_at(dir, "cgroup.controllers", buf, sizeof buf) > 0)
            l->v2.controllers = rn_cg_mask(buf, " \n", true);
    }
    if (!l->v2.mount && l->n_v1 == 0)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "no cgroup hierarchy is mounted: mount cgroup2 on /sys/fs/cgroup");
    return 0;
}

int rn_cg_layout_read(struct rn_cg_layout *out, struct dray_err *err)
{
    struct rn_cg_layout l = {.n_v1 = 0};
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return dray_fail_errno(err, "open /proc/self/mountinfo");
    dray_autofree char *line = NULL;
    size_t cap = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &cap, f) > 0)
        rc = add_line(&l, line);
    (void)fclose(f);
    rc = rc != 0 ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : finish(&l, err);
    if (rc != 0)
        rn_cg_layout_cleanup(&l);
    else
        *out = l;
    return rc;
}

void rn_cg_layout_cleanup(struct rn_cg_layout *l)
{
    for (size_t i = 0; i < l->n_v1; i++) {
        free(l->v1[i].mount);
        free(l->v1[i].options);
    }
    free(l->v2.mount);
    *l = (struct rn_cg_layout){.n_v1 = 0};
}

const struct rn_cg_tree *rn_cg_tree_of(const struct rn_cg_layout *l, enum rn_controller c)
{
    for (size_t i = 0; i < l->n_v1; i++)
        if (l->v1[i].controllers >> c & 1)
            return &l->v1[i];
    return NULL;
}

const struct rn_cg_tree *rn_cg_where(const struct rn_cg_layout *l, enum rn_controller c)
{
    return l->unified ? &l->v2 : rn_cg_tree_of(l, c);
}
