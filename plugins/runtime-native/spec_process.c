/* SPDX-License-Identifier: Apache-2.0 */
/* spec_process.c - parses the "process" object and hooks of an OCI document. */
#include "caps.h"
#include "rlimits.h"
#include "spec.h"

#include <dray/util.h>

static int parse_caps(struct json_object *o, struct rn_caps *c, struct dray_err *err)
{
    const struct {
        const char *name;
        uint64_t *mask;
    } sets[] = {
        {"bounding", &c->bounding},   {"effective", &c->effective},
        {"permitted", &c->permitted}, {"inheritable", &c->inheritable},
        {"ambient", &c->ambient},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct json_object *list = rn_json_arr(o, sets[i].name);
        for (size_t k = 0; k < rn_json_len(list); k++) {
            const char *name = json_object_get_string(json_object_array_get_idx(list, k));
            int cap = rn_cap_number(name ? name : "");
            if (cap < 0)
                return dray_fail(err, DRAY_E_INVAL, "unknown capability \"%s\"", name ? name : "");
            *sets[i].mask |= UINT64_C(1) << cap;
        }
    }
    return 0;
}

static int parse_rlimits(struct json_object *list, struct rn_arena *a, struct rn_process *p,
                         struct dray_err *err)
{
    size_t n = rn_json_len(list);
    p->rlimits = rn_arena_alloc(a, (n + 1) * sizeof *p->rlimits);
    if (!p->rlimits)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct rn_rlimit *r = &p->rlimits[i];
        r->name = rn_json_str(o, "type", "");
        r->resource = rn_rlimit_number(r->name);
        r->soft = rn_json_uint(o, "soft", 0);
        r->hard = rn_json_uint(o, "hard", 0);
        if (r->resource < 0)
            return dray_fail(err, DRAY_E_INVAL, "wrong rlimit value: %s", r->name);
    }
    p->n_rlimits = n;
    return 0;
}

int rn_process_parse(struct json_object *o, struct rn_arena *a, struct rn_process *p,
                     struct dray_err *err)
{
    int rc = rn_json_strv(rn_json_arr(o, "args"), a, 0, &p->args, err);
    if (rc == 0)
        rc = rn_json_strv(rn_json_arr(o, "env"), a, 2, &p->env, err);
    if (rc == 0)
        rc = rn_user_parse(rn_json_obj(o, "user"), a, &p->user, err);
    if (rc == 0)
        rc = parse_caps(rn_json_obj(o, "capabilities"), &p->caps, err);
    if (rc == 0)
        rc = parse_rlimits(rn_json_arr(o, "rlimits"), a, p, err);
    if (rc != 0)
        return rc;
    if (p->args.n == 0)
        return dray_fail(err, DRAY_E_INVAL, "process.args must not be empty");
    p->cwd = rn_json_str(o, "cwd", "/");
    if (*p->cwd != '/')
        return dray_fail(err, DRAY_E_INVAL, "Cwd must be an absolute path: %s", p->cwd);
    const char *label = rn_json_str(o, "apparmorProfile", "");
    p->apparmor = *label ? label : NULL;
    label = rn_json_str(o, "selinuxLabel", "");
    p->selinux = *label ? label : NULL;
    p->no_new_privs = rn_json_bool(o, "noNewPrivileges", false);
    p->terminal = rn_json_bool(o, "terminal", false);
    int64_t score = 0;
    p->has_oom_score = rn_json_has_int(o, "oomScoreAdj", &score);
    p->oom_score = (int)score;
    struct json_object *box = rn_json_obj(o, "consoleSize");
    p->rows = (uint16_t)rn_json_int(box, "height", 0);
    p->cols = (uint16_t)rn_json_int(box, "width", 0);
    return 0;
}

int rn_hooks_parse(struct json_object *hooks, const char *kind, struct rn_arena *a,
                   struct rn_hooks *out, struct dray_err *err)
{
    struct json_object *list = rn_json_arr(hooks, kind);
    size_t n = rn_json_len(list);
    out->v = rn_arena_alloc(a, (n + 1) * sizeof *out->v);
    if (!out->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct rn_hook *h = &out->v[i];
        h->path = rn_json_str(o, "path", "");
        h->timeout = (int)rn_json_int(o, "timeout", 0);
        if (*h->path != '/')
            return dray_fail(err, DRAY_E_INVAL, "hook %s: the path must be absolute", kind);
        int rc = rn_json_strv(rn_json_arr(o, "args"), a, 0, &h->args, err);
        if (rc == 0)
            rc = rn_json_strv(rn_json_arr(o, "env"), a, 0, &h->env, err);
        if (rc != 0)
            return rc;
    }
    out->n = n;
    return 0;
}
