/* SPDX-License-Identifier: Apache-2.0 */
/* lint_from.c - rules on FROM: arguments, images, platforms; and on global ARGs. */
#include "lint_priv.h"

struct from_env {
    struct dray_df_linting *l;
    bool defaults; /* as without any --build-arg */
    const struct dray_df_where *where;
    size_t missing;
    bool quiet;
};

static const char *const platform_args[] = {"BUILDPLATFORM", "BUILDOS",        "BUILDARCH",
                                            "BUILDVARIANT",  "TARGETPLATFORM", "TARGETOS",
                                            "TARGETARCH",    "TARGETVARIANT",  NULL};

/* The value of a platform's argument, or NULL for another name. */
static const char *platform_arg(struct dray_df_linting *l, const char *name)
{
    size_t i = 0;
    while (platform_args[i] && strcmp(platform_args[i], name) != 0)
        i++;
    if (!platform_args[i])
        return NULL;
    const char *p = l->options->platform && i >= 4 ? l->options->platform : "linux/amd64";
    const char *arch = strchr(p, '/'), *variant = arch ? strchr(arch + 1, '/') : NULL;
    const char *value = NULL;
    switch (i % 4) {
    case 0:
        return p;
    case 1:
        value = dray_df_strndup(&l->a, p, strcspn(p, "/"));
        break;
    case 2:
        value = arch ? dray_df_strndup(&l->a, arch + 1, strcspn(arch + 1, "/")) : "";
        break;
    default:
        value = variant ? variant + 1 : "";
        break;
    }
    return value ? value : "";
}

static const char *get(void *arg, const char *name)
{
    struct from_env *e = arg;
    const char *value = NULL;
    if (dray_df_scope_find(&e->l->globals, name, &value)) {
        if (e->defaults)
            return value;
        return dray_kvs_get(e->l->options->build_args, name, value);
    }
    return platform_arg(e->l, name);
}

static void missing(void *arg, const char *name)
{
    struct from_env *e = arg;
    if (dray_df_scope_find(&e->l->globals, name, NULL))
        return;
    e->missing++;
    if (e->quiet)
        return;
    unsigned best = 3;
    const char *near = dray_df_scope_nearest(&e->l->globals, name, &best);
    near = near ? near : dray_df_nearest(name, platform_args, false);
    dray_df_note(e->l, RULE_UNDEFINED_ARG_IN_FROM, e->where,
                 "FROM argument '%s' is not declared%s%s%s", name, near ? " (did you mean " : "",
                 near ? near : "", near ? "?)" : "");
}

/* Expand, or NULL. */
static const char *expand(struct from_env *e, const char *word)
{
    const struct dray_df_env env = {.get = get, .arg = e, .missing = missing};
    const char *out = NULL;
    if (dray_df_word(&e->l->a, word, e->l->f->escape, 0, &env, &out, NULL) != 0)
        return NULL;
    return out;
}

void dray_df_lint_globals(struct dray_df_linting *l)
{
    for (const struct dray_df_instr *in = l->f->args; in; in = in->next)
        for (size_t i = 0; i < in->u.pairs.n; i++) {
            const struct dray_kv *kv = &in->u.pairs.v[i];
            struct from_env e = {.l = l, .where = &in->where, .quiet = true, .defaults = true};
            const char *value = kv->value ? expand(&e, kv->value) : NULL;
            if (dray_df_lint_secret_name(kv->key))
                dray_df_note(l, RULE_SECRETS_USED_IN_ARG_OR_ENV, &in->where,
                             "Do not use ARG or ENV instructions for sensitive data (ARG %s)",
                             dray_df_quote(&l->a, kv->key));
            dray_df_scope_set(l, &l->globals, kv->key, value);
        }
}

static size_t name_part(const char *p, bool host)
{
    size_t n = 0;
    while ((p[n] >= 'a' && p[n] <= 'z') || (p[n] >= '0' && p[n] <= '9') ||
           (n && strchr("._-", p[n]) && p[n]) ||
           (host &&
            ((p[n] >= 'A' && p[n] <= 'Z') || p[n] == '[' || p[n] == ']' || (n && p[n] == ':'))))
        n++;
    return n;
}

/* Could it name an image? Near enough to the grammar of references. */
static bool valid_reference(const char *ref)
{
    const char *p = ref;
    bool first = true;
    for (;; first = false) {
        bool host = first && strchr(p, '/');
        size_t n = name_part(p, host);
        if (n == 0 || (!host && strchr("._-", p[n - 1])))
            return false;
        p += n;
        if (*p != '/')
            break;
        p++;
    }
    if (*p == ':') {
        p++;
        size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
        if (n == 0 || n > 128 || *p == '.' || *p == '-')
            return false;
        p += n;
    }
    if (*p == '@')
        return strchr(p, ':') != NULL && strchr(p, ':')[1];
    return *p == '\0';
}

/* The image as it is with no --build-arg at all. */
static void default_image(struct dray_df_linting *l, const struct dray_df_instr *from)
{
    struct from_env e = {.l = l, .where = &from->where, .quiet = true, .defaults = true};
    if (!strchr(from->u.from.image, '$'))
        return;
    const char *image = expand(&e, from->u.from.image);
    if (image && e.missing == 0 && !valid_reference(image))
        dray_df_note(l, RULE_INVALID_DEFAULT_ARG_IN_FROM, &from->where,
                     "Default value for ARG %s results in empty or invalid base image name",
                     from->u.from.image);
}

static void const_platform(struct dray_df_linting *l, const struct dray_df_instr *from)
{
    const char *platform = from->u.from.platform, *name = from->u.from.name;
    size_t os = strcspn(platform, "/");
    const char *rest = platform + os + (platform[os] == '/');
    size_t arch = strcspn(rest, "/");
    if (os == 0 || (name && (memmem(name, strlen(name), platform, os) ||
                             (arch && memmem(name, strlen(name), rest, arch)))))
        return;
    dray_df_note(l, RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED, &from->where,
                 "FROM --platform flag should not use constant value %s",
                 dray_df_quote(&l->a, platform));
}

static void platform_flag(struct dray_df_linting *l, const struct dray_df_instr *from)
{
    const char *platform = from->u.from.platform;
    struct from_env e = {.l = l, .where = &from->where};
    if (!platform)
        return;
    if (!strchr(platform, '$')) {
        const_platform(l, from);
        return;
    }
    if (strcmp(platform, "$TARGETPLATFORM") == 0 || strcmp(platform, "${TARGETPLATFORM}") == 0)
        dray_df_note(l, RULE_REDUNDANT_TARGET_PLATFORM, &from->where,
                     "Setting platform to predefined %s in FROM is redundant as this is the "
                     "default behavior",
                     platform);
    (void)expand(&e, platform);
}

/* What a stage begins with: the scope of the stage below, or the environment of an image. */
static void base_scope(struct dray_df_linting *l, uint32_t index, const char *image)
{
    struct dray_df_scope *s = &l->stages[index];
    struct dray_strs env = {0};
    int below = dray_df_stage_find(l->f, image, index);
    if (below >= 0) {
        s->below = &l->stages[below];
        s->known = l->stages[below].known;
        l->workdirs[index] = l->workdirs[below];
        return;
    }
    s->known = strcmp(image, "scratch") == 0;
    if (s->known || !l->options->base_env ||
        l->options->base_env(l->options->base_arg, image, &env) != 0)
        return;
    for (uint64_t i = 0; i < env.n; i++) {
        size_t n = strcspn(env.v[i], "=");
        const char *name = dray_df_strndup(&l->a, env.v[i], n);
        const char *value = dray_df_trim(&l->a, env.v[i] + n + (env.v[i][n] == '='),
                                         strlen(env.v[i] + n + (env.v[i][n] == '=')));
        if (name)
            dray_df_scope_set(l, s, name, value);
    }
    s->known = true;
}

void dray_df_lint_from(struct dray_df_linting *l, uint32_t index)
{
    const struct dray_df_instr *from = l->f->stages[index].from;
    struct from_env e = {.l = l, .where = &from->where};
    const char *image = expand(&e, from->u.from.image);
    default_image(l, from);
    platform_flag(l, from);
    base_scope(l, index, image ? image : "");
}
