/* SPDX-License-Identifier: Apache-2.0 */
/* vars.c - build arguments: global, of a stage, predefined. */
#include "bd.h"

#include <strings.h>
#include <sys/utsname.h>

bool bd_vars_set(struct bd_vars *vars, const char *name, const char *value)
{
    char *copy = value ? strdup(value) : NULL;
    if (value && !copy)
        return false;
    for (size_t i = 0; i < vars->n; i++) {
        if (strcmp(vars->v[i].key, name) != 0)
            continue;
        free((char *)(uintptr_t)vars->v[i].value);
        vars->v[i].value = copy;
        return true;
    }
    struct dray_kv *grown = reallocarray(vars->v, vars->n + 1, sizeof *grown);
    char *key = strdup(name);
    if (grown)
        vars->v = grown;
    if (!grown || !key) {
        free(key);
        free(copy);
        return false;
    }
    vars->v[vars->n++] = (struct dray_kv){key, copy};
    return true;
}

static const struct dray_kv *find_var(const struct bd_vars *vars, const char *name)
{
    for (size_t i = 0; i < vars->n; i++)
        if (strcmp(vars->v[i].key, name) == 0)
            return &vars->v[i];
    return NULL;
}

const char *bd_vars_get(const struct bd_vars *vars, const char *name)
{
    const struct dray_kv *kv = find_var(vars, name);
    return kv ? kv->value : NULL;
}

void bd_vars_free(struct bd_vars *vars)
{
    for (size_t i = 0; i < vars->n; i++) {
        free((char *)(uintptr_t)vars->v[i].key);
        free((char *)(uintptr_t)vars->v[i].value);
    }
    free(vars->v);
    *vars = (struct bd_vars){0};
}

const char *bd_build_arg(struct bd_build *b, const char *name)
{
    for (uint64_t i = 0; i < b->spec->args.n; i++) {
        if (strcmp(b->spec->args.v[i].key, name) != 0)
            continue;
        pthread_mutex_lock(&b->lock);
        b->arg_used[i] = true;
        pthread_mutex_unlock(&b->lock);
        return b->spec->args.v[i].value;
    }
    return NULL;
}

/* --- platforms ---------------------------------------------------------------------------------*/

/* What it says may be in u: builds run side by side. */
static const char *host_arch(struct utsname *u)
{
    static const struct {
        const char *machine, *arch;
    } names[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"}, {"i686", "386"}};
    if (uname(u) != 0)
        return "amd64";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(u->machine, names[i].machine) == 0)
            return names[i].arch;
    return u->machine;
}

/* Part `field` (OS, ARCH, VARIANT) of a platform, or all of it. */
static void platform_part(const char *platform, const char *field, char out[96])
{
    char own[96];
    struct utsname u;
    if (!*platform) {
        (void)snprintf(own, sizeof own, "linux/%s", host_arch(&u));
        platform = own;
    }
    size_t os = strcspn(platform, "/");
    const char *rest = platform[os] ? platform + os + 1 : host_arch(&u);
    size_t arch = strcspn(rest, "/");
    if (strcmp(field, "PLATFORM") == 0)
        (void)snprintf(out, 96, "%s", platform);
    else if (strcmp(field, "OS") == 0)
        (void)snprintf(out, 96, "%.*s", (int)os, platform);
    else if (strcmp(field, "ARCH") == 0)
        (void)snprintf(out, 96, "%.*s", (int)arch, rest);
    else
        (void)snprintf(out, 96, "%s", rest[arch] ? rest + arch + 1 : "");
}

static const char *const platform_names[BD_PLATFORM_ARGS] = {
    "BUILDPLATFORM",  "BUILDOS",  "BUILDARCH",  "BUILDVARIANT",
    "TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"};

void bd_platform_init(struct bd_build *b)
{
    for (size_t i = 0; i < BD_PLATFORM_ARGS; i++) {
        bool target = bd_prefix(platform_names[i], "TARGET");
        const char *part = platform_names[i] + strlen(target ? "TARGET" : "BUILD");
        platform_part(target ? b->spec->platform : "", part, b->platform[i]);
    }
}

const char *bd_platform_arg(const struct bd_build *b, const char *name)
{
    for (size_t i = 0; i < BD_PLATFORM_ARGS; i++)
        if (strcmp(name, platform_names[i]) == 0)
            return b->platform[i];
    return NULL;
}

/* Arguments that need no ARG. */
static bool is_proxy(const char *name)
{
    static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY",
                                        "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

/* --- scopes ------------------------------------------------------------------------------------*/

static const char *get_global(void *arg, const char *name)
{
    struct bd_build *b = arg;
    const char *value = bd_vars_get(&b->globals, name);
    return value || find_var(&b->globals, name) ? value : bd_platform_arg(b, name);
}

struct dray_df_env bd_global_env(struct bd_build *b)
{
    return (struct dray_df_env){.get = get_global, .arg = b};
}

static const char *get_in_stage(void *arg, const char *name)
{
    struct bd_stage *s = arg;
    const char *value = bd_vars_get(&s->over, name);
    value = value ? value : bd_config_env(s->config, name);
    return value ? value : bd_vars_get(&s->args, name);
}

struct dray_df_env bd_stage_env(struct bd_stage *s)
{
    return (struct dray_df_env){.get = get_in_stage, .arg = s};
}

int bd_globals_init(struct bd_build *b, struct dray_df_arena *arena, struct dray_err *err)
{
    struct dray_df_env env = bd_global_env(b);
    for (const struct dray_df_instr *in = b->file->args; in; in = in->next) {
        const struct dray_df_instr *x = NULL;
        int rc = dray_df_expand(arena, in, b->file->escape, &env, &x, err);
        if (rc)
            return rc;
        for (size_t i = 0; i < x->u.pairs.n; i++) {
            const char *name = x->u.pairs.v[i].key;
            const char *given = bd_build_arg(b, name);
            const char *value = given ? given : x->u.pairs.v[i].value;
            if (!value)
                value = bd_platform_arg(b, name);
            if (!bd_vars_set(&b->globals, name, value))
                return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        }
    }
    return 0;
}

/* --- RUN ---------------------------------------------------------------------------------------*/

static bool add_arg(struct bd_list *l, const char *name, const char *value)
{
    return bd_list_take(l, bd_strf("%s=%s", name, value));
}

int bd_run_args(struct bd_stage *s, struct bd_list *all, struct bd_list *shown,
                struct dray_err *err)
{
    struct bd_build *b = s->build;
    bool ok = true;
    for (size_t i = 0; ok && i < s->args.n; i++) {
        const struct dray_kv *kv = &s->args.v[i];
        bool seen = bd_vars_get(&s->over, kv->key) || !bd_config_env(s->config, kv->key);
        if (kv->value && seen)
            ok = add_arg(all, kv->key, kv->value) && add_arg(shown, kv->key, kv->value);
    }
    for (uint64_t i = 0; ok && i < b->spec->args.n; i++) {
        const char *name = b->spec->args.v[i].key;
        if (!is_proxy(name) || find_var(&s->args, name) || bd_config_env(s->config, name))
            continue;
        ok = add_arg(all, name, bd_build_arg(b, name));
    }
    bd_list_sort(all);
    bd_list_sort(shown);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int bd_run_args_kit(struct bd_stage *s, struct bd_list *out, struct dray_err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < s->args.n; i++) {
        const struct dray_kv *kv = &s->args.v[i];
        const char *value = bd_vars_get(&s->over, kv->key);
        value = value ? value : bd_config_env(s->config, kv->key);
        value = value ? value : kv->value;
        ok = add_arg(out, kv->key, value ? value : "");
    }
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

void bd_warn_unused(struct bd_build *b)
{
    DRAY_AUTO(bd_list) names = {0};
    for (uint64_t i = 0; i < b->spec->args.n; i++) {
        const char *name = b->spec->args.v[i].key;
        if (!b->arg_used[i] && !is_proxy(name) && strcmp(name, "SOURCE_DATE_EPOCH") != 0 &&
            !bd_prefix(name, "BUILDKIT_"))
            (void)bd_list_add(&names, name);
    }
    if (names.n == 0)
        return;
    bd_list_sort(&names);
    DRAY_AUTO(bd_buf) text = {0};
    bd_adds(&text, "[Warning] One or more build-args [");
    for (size_t i = 0; i < names.n; i++)
        bd_addf(&text, "%s%s", i ? " " : "", names.v[i]);
    bd_adds(&text, "] were not consumed\n");
    (void)bd_emit_text(b, bd_text(&text));
}
