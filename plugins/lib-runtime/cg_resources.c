/* SPDX-License-Identifier: Apache-2.0 */
/* cg_resources.c - writes limits to cgroups by table; reads rules for devices. */
#include "cg_resources.h"
#include "files.h"

int rn_cg_dir(const struct rn_cgroup *g, enum rn_controller c, struct dray_err *err)
{
    const struct rn_cg_tree *t = rn_cg_where(g->layout, c);
    if (!t) {
        (void)dray_fail(err, DRAY_E_NOTSUP, "the cgroup controller \"%s\" is not mounted",
                        rn_cg_name(c, false));
        return -1;
    }
    int fd = rn_cg_open(g, t);
    if (fd < 0)
        (void)dray_fail_errno(err, "open cgroup %s%s", t->mount, g->path);
    return fd;
}

void rn_cg_warn(const struct rn_cgroup *g, const char *text)
{
    if (g->host)
        g->host->log(g->host, DRAY_LOG_WARN, text);
}

static int write_fail(const struct rn_cg_row *r, const char *value, const struct rn_cgroup *g,
                      struct dray_err *err)
{
    if (errno == ENOENT && g->layout->unified && *rn_cg_name(r->controller, true))
        return dray_fail(err, DRAY_E_NOTSUP,
                         "the cgroup controller \"%s\" is not available to %s%s (see its "
                         "cgroup.controllers)",
                         rn_cg_name(r->controller, true), g->layout->v2.mount, g->path);
    return dray_fail_errno(err, "write \"%s\" to %s", value, r->file);
}

static int apply_row(const struct rn_cgroup *g, struct json_object *resources,
                     const struct rn_cg_row *r, struct dray_err *err)
{
    struct json_object *section = rn_json_obj(resources, r->section);
    char number[32];
    const char *value = number;
    int64_t n = 0;
    if (r->kind == RN_ROW_STR) {
        value = rn_json_str(section, r->key, "");
        if (!*value)
            return 0;
    } else {
        if (!rn_json_has_int(section, r->key, &n) || (n == 0 && r->kind != RN_ROW_ZERO))
            return 0;
        if (r->kind == RN_ROW_MAX && n < 0)
            value = "max";
        else
            (void)snprintf(number, sizeof number, "%lld", (long long)n);
    }
    dray_autofd int dir = rn_cg_dir(g, r->controller, err);
    if (dir < 0)
        return DRAY_E_NOTSUP;
    if (rn_write_at(dir, r->file, value) == 0 || (r->kind == RN_ROW_SOFT && errno == ENOENT))
        return 0;
    return write_fail(r, value, g, err);
}

int rn_cg_apply_rows(const struct rn_cgroup *g, struct json_object *resources,
                     const struct rn_cg_row *rows, size_t n, struct dray_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = apply_row(g, resources, &rows[i], err);
    return rc;
}

int rn_cg_apply_throttles(const struct rn_cgroup *g, struct json_object *io,
                          const struct rn_cg_throttle *rows, size_t n, struct dray_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct json_object *list = rn_json_arr(io, rows[i].key);
        for (size_t k = 0; k < rn_json_len(list); k++) {
            struct json_object *o = json_object_array_get_idx(list, k);
            dray_autofd int dir = rn_cg_dir(g, RN_CG_IO, err);
            if (dir < 0)
                return DRAY_E_NOTSUP;
            if (rn_writef_at(
                    dir, rows[i].file, "%lld:%lld %s%s%llu", (long long)rn_json_int(o, "major", 0),
                    (long long)rn_json_int(o, "minor", 0), rows[i].word ? rows[i].word : "",
                    rows[i].word ? "=" : "", (unsigned long long)rn_json_uint(o, "rate", 0)) != 0)
                return dray_fail_errno(err, "write to %s", rows[i].file);
        }
    }
    return 0;
}

int rn_cg_apply_hugepages(const struct rn_cgroup *g, struct json_object *list, struct dray_err *err)
{
    for (size_t i = 0; i < rn_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *size = rn_json_str(o, "pageSize", "");
        char file[80];
        if (!*size || strlen(size) > 32 || strchr(size, '/'))
            return dray_fail(err, DRAY_E_INVAL, "bad huge page size \"%s\"", size);
        (void)snprintf(file, sizeof file, "hugetlb.%s.%s", size,
                       g->layout->unified ? "max" : "limit_in_bytes");
        dray_autofd int dir = rn_cg_dir(g, RN_CG_HUGETLB, err);
        if (dir < 0)
            return DRAY_E_NOTSUP;
        if (rn_writef_at(dir, file, "%llu", (unsigned long long)rn_json_uint(o, "limit", 0)) != 0)
            return dray_fail_errno(err, "write to %s", file);
    }
    return 0;
}

/* Rules for devices. */

static const struct rn_dev_rule defaults[] = {
    {true, 'c', RN_DEV_MKNOD, -1, -1}, {true, 'b', RN_DEV_MKNOD, -1, -1},
    {true, 'c', RN_DEV_ALL, 1, 3},     {true, 'c', RN_DEV_ALL, 1, 8},
    {true, 'c', RN_DEV_ALL, 1, 7},     {true, 'c', RN_DEV_ALL, 5, 0},
    {true, 'c', RN_DEV_ALL, 1, 5},     {true, 'c', RN_DEV_ALL, 1, 9},
    {true, 'c', RN_DEV_ALL, 5, 1},     {true, 'c', RN_DEV_ALL, 136, -1},
    {true, 'c', RN_DEV_ALL, 5, 2},
};
#define N_DEFAULTS (sizeof defaults / sizeof defaults[0])

static uint8_t access_mask(const char *text)
{
    uint8_t mask = 0;
    for (; *text; text++)
        mask |= (uint8_t)(*text == 'r'   ? RN_DEV_READ
                          : *text == 'w' ? RN_DEV_WRITE
                          : *text == 'm' ? RN_DEV_MKNOD
                                         : 0);
    return mask;
}

static void add_rule(struct json_object *o, struct rn_dev_rules *out)
{
    const char *type = rn_json_str(o, "type", "a");
    struct rn_dev_rule r = {
        .allow = rn_json_bool(o, "allow", false),
        .access = access_mask(rn_json_str(o, "access", "rwm")),
        .major = rn_json_int(o, "major", -1),
        .minor = rn_json_int(o, "minor", -1),
    };
    bool any = *type == 'a' || *type == '\0';
    if (any && r.major < 0 && r.minor < 0 && r.access == RN_DEV_ALL) {
        out->allow = r.allow;
        out->n = 0; /* what was said before no longer matters */
        return;
    }
    for (const char *t = any ? "bc" : *type == 'b' ? "b" : "c"; *t; t++) {
        r.type = *t;
        out->v[out->n++] = r;
    }
}

int rn_dev_rules_parse(struct json_object *list, struct rn_arena *a, struct rn_dev_rules *out,
                       struct dray_err *err)
{
    size_t n = rn_json_len(list);
    out->allow = false;
    out->n = 0;
    out->v = rn_arena_alloc(a, (2 * n + N_DEFAULTS) * sizeof *out->v);
    if (!out->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        add_rule(json_object_array_get_idx(list, i), out);
    for (size_t i = 0; i < N_DEFAULTS && !out->allow; i++)
        out->v[out->n++] = defaults[i];
    return 0;
}
