/* SPDX-License-Identifier: Apache-2.0 */
/* expand.c - a copy of an instruction with its variables replaced. */
#include "lang_priv.h"

struct expansion {
    struct dray_df_arena *a;
    char escape;
    const struct dray_df_env *env;
    struct dray_err *err;
};

static int word(struct expansion *x, const char **text)
{
    /* Without any of these a word is what it says. */
    if (!*text || !strpbrk(*text, x->escape == '`' ? "$'\"`" : "$'\"\\"))
        return 0;
    return dray_df_word(x->a, *text, x->escape, 0, x->env, text, x->err);
}

static int words(struct expansion *x, struct dray_strs *list)
{
    const char **v = dray_df_alloc(x->a, list->n * sizeof *v);
    if (!v)
        return dray_fail(x->err, DRAY_E_NOMEM, "no memory for words");
    for (size_t i = 0; i < list->n; i++) {
        v[i] = list->v[i];
        int rc = word(x, &v[i]);
        if (rc != 0)
            return rc;
    }
    list->v = v;
    return 0;
}

/* EXPOSE: one word may become several. */
static int ports(struct expansion *x, struct dray_strs *list)
{
    struct dray_df_list out = {0};
    for (size_t i = 0; i < list->n; i++) {
        struct dray_strs some = {0};
        int rc = dray_df_words(x->a, list->v[i], x->escape, x->env, &some, x->err);
        for (size_t j = 0; rc == 0 && j < some.n; j++)
            if (!dray_df_list_add(x->a, &out, some.v[j]))
                rc = dray_fail(x->err, DRAY_E_NOMEM, "no memory for words");
        if (rc != 0)
            return rc;
    }
    *list = dray_df_list_view(&out);
    return 0;
}

static int pairs(struct expansion *x, struct dray_df_pairs *p)
{
    struct dray_kv *v = dray_df_alloc(x->a, p->n * sizeof *v);
    if (!v)
        return dray_fail(x->err, DRAY_E_NOMEM, "no memory for pairs");
    for (size_t i = 0; i < p->n; i++) {
        v[i] = p->v[i];
        int rc = word(x, &v[i].key);
        if (rc == 0)
            rc = word(x, &v[i].value);
        if (rc != 0)
            return rc;
    }
    p->v = v;
    return 0;
}

/* Variables in a here-document; quotes mean nothing there. */
static int content(struct expansion *x, struct dray_df_heredoc *doc)
{
    if (!doc->expand || !strpbrk(doc->content, x->escape == '`' ? "$`" : "$\\"))
        return 0;
    int rc = dray_df_word(x->a, doc->content, x->escape, DRAY_DF_PLAIN_QUOTES, x->env,
                          &doc->content, x->err);
    doc->len = rc == 0 ? strlen(doc->content) : doc->len;
    return rc;
}

static int contents(struct expansion *x, struct dray_df_heredocs *docs)
{
    struct dray_df_heredoc *v = dray_df_alloc(x->a, docs->n * sizeof *v);
    if (!v)
        return dray_fail(x->err, DRAY_E_NOMEM, "no memory for heredocs");
    for (size_t i = 0; i < docs->n; i++) {
        v[i] = docs->v[i];
        int rc = content(x, &v[i]);
        if (rc != 0)
            return rc;
    }
    docs->v = v;
    return 0;
}

static int copy(struct expansion *x, struct dray_df_copy *c)
{
    const char **const texts[] = {&c->dest, &c->from, &c->chown, &c->chmod, &c->checksum};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int rc = word(x, texts[i]);
        if (rc != 0)
            return rc;
    }
    int rc = words(x, &c->sources);
    if (rc == 0)
        rc = words(x, &c->excludes);
    return rc == 0 ? contents(x, &c->contents) : rc;
}

static int mounts(struct expansion *x, const struct dray_strs *flags, struct dray_df_mounts *m)
{
    static const char prefix[] = "--mount=";
    struct dray_err own = {0};
    struct dray_df_ctx c = {.a = x->a, .escape = x->escape, .err = x->err ? x->err : &own};
    struct dray_df_mount *v = dray_df_alloc(x->a, m->n * sizeof *v);
    size_t n = 0;
    if (!v)
        return dray_fail(x->err, DRAY_E_NOMEM, "no memory for mounts");
    for (size_t i = 0; i < flags->n && n < m->n; i++) {
        if (strncmp(flags->v[i], prefix, sizeof prefix - 1) != 0)
            continue;
        int rc = dray_df_mount_parse(&c, flags->v[i] + sizeof prefix - 1, x->env, &v[n++]);
        if (rc != 0)
            return rc;
    }
    *m = (struct dray_df_mounts){v, n};
    return 0;
}

static int from(struct expansion *x, struct dray_df_from *f)
{
    int rc = word(x, &f->image);
    return rc == 0 ? word(x, &f->platform) : rc;
}

static int expand(struct expansion *x, struct dray_df_instr *in)
{
    switch (in->kind) {
    case DRAY_DF_ADD:
    case DRAY_DF_COPY:
        return copy(x, &in->u.copy);
    case DRAY_DF_ARG:
    case DRAY_DF_ENV:
    case DRAY_DF_LABEL:
        return pairs(x, &in->u.pairs);
    case DRAY_DF_EXPOSE:
        return ports(x, &in->u.words);
    case DRAY_DF_VOLUME:
        return words(x, &in->u.words);
    case DRAY_DF_FROM:
        return from(x, &in->u.from);
    case DRAY_DF_RUN:
        return mounts(x, &in->flags, &in->u.run.mounts);
    case DRAY_DF_STOPSIGNAL:
    case DRAY_DF_USER:
    case DRAY_DF_WORKDIR:
        return word(x, &in->u.value);
    case DRAY_DF_CMD:
    case DRAY_DF_ENTRYPOINT:
    case DRAY_DF_HEALTHCHECK:
    case DRAY_DF_MAINTAINER:
    case DRAY_DF_ONBUILD:
    case DRAY_DF_SHELL:
        return 0;
    }
    return 0;
}

int dray_df_expand(struct dray_df_arena *a, const struct dray_df_instr *in, char escape,
                   const struct dray_df_env *env, const struct dray_df_instr **out,
                   struct dray_err *err)
{
    struct expansion x = {.a = a, .escape = escape, .env = env, .err = err};
    struct dray_df_instr *own = dray_df_alloc(a, sizeof *own);
    if (!own)
        return dray_fail(err, DRAY_E_NOMEM, "no memory for an instruction");
    *own = *in;
    own->next = NULL;
    *out = own;
    return expand(&x, own);
}
