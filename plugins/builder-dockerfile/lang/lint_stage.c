/* SPDX-License-Identifier: Apache-2.0 */
/* lint_stage.c - rules on the instructions of a stage. */
#include "lint_priv.h"

#include <dray/dockerignore.h>

struct stage_env {
    struct dray_df_linting *l;
    struct dray_df_scope *s;
    const struct dray_df_scope *args; /* declared in this stage */
    const struct dray_df_where *where;
};

/* Set without being declared. */
static const char *const predefined[] = {"PATH",        "HTTP_PROXY", "http_proxy", "HTTPS_PROXY",
                                         "https_proxy", "FTP_PROXY",  "ftp_proxy",  "NO_PROXY",
                                         "no_proxy",    "ALL_PROXY",  "all_proxy",  NULL};

static const char *get(void *arg, const char *name)
{
    struct stage_env *e = arg;
    const char *value = NULL;
    if (dray_df_scope_find(e->s, name, &value) && value)
        return value;
    if (dray_df_scope_find(e->args, name, &value))
        return dray_kvs_get(e->l->options->build_args, name, value);
    return NULL;
}

static void missing(void *arg, const char *name)
{
    struct stage_env *e = arg;
    if (dray_df_scope_find(e->args, name, NULL) || dray_df_scope_find(e->s, name, NULL))
        return;
    for (size_t i = 0; predefined[i]; i++)
        if (strcmp(predefined[i], name) == 0)
            return;
    const struct dray_df_scope *const scopes[] = {e->s, e->args, &e->l->globals};
    const char *near = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
        const char *found = dray_df_scope_nearest(scopes[i], name, &best);
        near = found ? found : near;
    }
    bool same = best == 0; /* a global ARG that the stage has not declared */
    /* An image that nobody has looked at may have set it. */
    if (!near && !e->s->known)
        return;
    dray_df_note(e->l, RULE_UNDEFINED_VAR, e->where, "Usage of undefined variable '$%s'%s%s%s",
                 name, near && !same ? " (did you mean $" : "", near && !same ? near : "",
                 near && !same ? "?)" : "");
}

bool dray_df_lint_secret_name(const char *name)
{
    static const char *const words[] = {"apikey", "auth",     "credential", "credentials",
                                        "key",    "password", "pword",      "passwd",
                                        "secret", "token",    NULL};
    bool secret = false;
    for (const char *p = name;;) {
        size_t n = strcspn(p, "_");
        if (n == 6 && strncasecmp(p, "public", 6) == 0)
            return false;
        for (size_t i = 0; words[i]; i++)
            secret = secret || (strlen(words[i]) == n && strncasecmp(p, words[i], n) == 0);
        if (!p[n])
            return secret;
        p += n + 1;
    }
}

/* ENV and ARG: secrets, the old form, and what they set. */
static void pairs(struct stage_env *e, const struct dray_df_instr *raw,
                  const struct dray_df_instr *in, struct dray_df_scope *args)
{
    const char *kind = dray_df_kind_name(in->kind);
    for (size_t i = 0; i < raw->u.pairs.n; i++) {
        const struct dray_kv *kv = &in->u.pairs.v[i];
        if (in->kind != DRAY_DF_LABEL && dray_df_lint_secret_name(kv->key))
            dray_df_note(e->l, RULE_SECRETS_USED_IN_ARG_OR_ENV, e->where,
                         "Do not use ARG or ENV instructions for sensitive data (%s %s)", kind,
                         dray_df_quote(&e->l->a, kv->key));
        if (in->kind == DRAY_DF_ENV)
            dray_df_scope_set(e->l, e->s, kv->key, kv->value);
        if (in->kind == DRAY_DF_ARG) {
            const char *value = kv->value;
            if (!value)
                (void)dray_df_scope_find(&e->l->globals, kv->key, &value);
            dray_df_scope_set(e->l, args, kv->key, value);
        }
    }
    if (raw->u.pairs.legacy)
        dray_df_note(e->l, RULE_LEGACY_KEY_VALUE_FORMAT, e->where,
                     "\"%s key=value\" should be used instead of legacy \"%s key value\" format",
                     kind, kind);
}

static void ports(struct dray_df_linting *l, const struct dray_df_instr *in)
{
    for (uint64_t i = 0; i < in->u.words.n; i++) {
        const char *port = in->u.words.v[i], *proto = strchr(port, '/');
        if (strchr(port, ':'))
            dray_df_note(l, RULE_EXPOSE_INVALID_FORMAT, &in->where,
                         "EXPOSE instruction should not define an IP address or host-port mapping, "
                         "found '%s'",
                         port);
        for (const char *p = proto; p && *p; p++)
            if (*p >= 'A' && *p <= 'Z') {
                dray_df_note(l, RULE_EXPOSE_PROTO_CASING, &in->where,
                             "Defined protocol '%s' in EXPOSE instruction should be lowercase",
                             port);
                break;
            }
    }
}

static void copied_files(struct dray_df_linting *l, const struct dray_df_instr *in)
{
    const struct dray_df_copy *c = &in->u.copy;
    DRAY_AUTO(dray_ignore) ig = {0};
    const char *text = l->options->ignore_file;
    if (!text || c->from || dray_ignore_parse(&ig, text, strlen(text), NULL) != 0 || ig.negations)
        return;
    for (uint64_t i = 0; i < c->sources.n; i++) {
        size_t len = strlen(c->sources.v[i]);
        char *path = dray_df_alloc(&l->a, len + 2);
        if (!path || strstr(c->sources.v[i], "://") || strncmp(c->sources.v[i], "git@", 4) == 0)
            continue;
        memcpy(path, c->sources.v[i], len + 1);
        dray_path_clean(path);
        path += path[0] == '/' && path[1];
        if (dray_ignore_match(&ig, path))
            dray_df_note(l, RULE_COPY_IGNORED_FILE, &in->where,
                         "Attempting to %s file %s that is excluded by .dockerignore",
                         in->kind == DRAY_DF_ADD ? "Add" : "Copy", dray_df_quote(&l->a, path));
    }
}

/* CMD, ENTRYPOINT and HEALTHCHECK: the last one counts, the others are noted. */
static void once(struct dray_df_linting *l, const struct dray_df_instr *in,
                 const struct dray_df_instr **last)
{
    size_t i = in->kind == DRAY_DF_CMD ? 0 : in->kind == DRAY_DF_ENTRYPOINT ? 1 : 2;
    if (last[i])
        dray_df_note(l, RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED, &last[i]->where,
                     "Multiple %s instructions should not be used in the same stage because only "
                     "the last one will be used",
                     dray_df_kind_name(in->kind));
    last[i] = in;
}

static void shell_form(struct dray_df_linting *l, const struct dray_df_instr *in, bool has_shell)
{
    if (in->u.command.shell && in->u.command.argv.n && !has_shell)
        dray_df_note(l, RULE_JSON_ARGS_RECOMMENDED, &in->where,
                     "JSON arguments recommended for %s to prevent unintended behavior related to "
                     "OS signals",
                     dray_df_kind_name(in->kind));
}

static void workdir(struct dray_df_linting *l, uint32_t index, const struct dray_df_instr *in)
{
    if (!l->workdirs[index] && in->u.value[0] != '/')
        dray_df_note(l, RULE_WORKDIR_RELATIVE_PATH, &in->where,
                     "Relative workdir %s can have unexpected results if the base image changes",
                     dray_df_quote(&l->a, in->u.value));
    l->workdirs[index] = true;
}

struct stage_state {
    struct dray_df_scope args;
    const struct dray_df_instr *last[3];
    bool has_shell;
};

static void check(struct stage_env *e, uint32_t index, const struct dray_df_instr *raw,
                  struct stage_state *state)
{
    const struct dray_df_env env = {.get = get, .arg = e, .missing = missing};
    const struct dray_df_instr *in = NULL;
    e->where = &raw->where;
    if (dray_df_expand(&e->l->a, raw, e->l->f->escape, &env, &in, NULL) != 0)
        in = raw;
    switch (in->kind) {
    case DRAY_DF_ARG:
    case DRAY_DF_ENV:
    case DRAY_DF_LABEL:
        pairs(e, raw, in, &state->args);
        break;
    case DRAY_DF_CMD:
    case DRAY_DF_ENTRYPOINT:
        shell_form(e->l, in, state->has_shell);
        once(e->l, raw, state->last);
        break;
    case DRAY_DF_HEALTHCHECK:
        once(e->l, raw, state->last);
        break;
    case DRAY_DF_COPY:
    case DRAY_DF_ADD:
        copied_files(e->l, in);
        break;
    case DRAY_DF_EXPOSE:
        ports(e->l, in);
        break;
    case DRAY_DF_MAINTAINER:
        dray_df_note(e->l, RULE_MAINTAINER_DEPRECATED, e->where,
                     "Maintainer instruction is deprecated in favor of using label");
        break;
    case DRAY_DF_SHELL:
        state->has_shell = true;
        break;
    case DRAY_DF_WORKDIR:
        workdir(e->l, index, in);
        break;
    case DRAY_DF_FROM:
    case DRAY_DF_ONBUILD:
    case DRAY_DF_RUN:
    case DRAY_DF_STOPSIGNAL:
    case DRAY_DF_USER:
    case DRAY_DF_VOLUME:
        break;
    }
}

void dray_df_lint_stage(struct dray_df_linting *l, uint32_t index)
{
    struct stage_state state = {.has_shell = false};
    struct stage_env e = {.l = l, .s = &l->stages[index], .args = &state.args};
    for (const struct dray_df_instr *in = l->f->stages[index].first; in; in = in->next)
        check(&e, index, in, &state);
}
