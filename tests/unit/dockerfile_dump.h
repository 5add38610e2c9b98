/* SPDX-License-Identifier: Apache-2.0 */
/* dockerfile_dump.h - a parsed Dockerfile as text, one instruction a line, for tables of tests. */
#ifndef DRAY_TESTS_DOCKERFILE_DUMP_H
#define DRAY_TESTS_DOCKERFILE_DUMP_H

#include "dockerfile.h"

struct dump {
    char text[16384];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static inline void dump_put(struct dump *d, const char *fmt,
                                                                  ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(d->text + d->len, sizeof d->text - d->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        d->len = d->len + (size_t)n < sizeof d->text ? d->len + (size_t)n : sizeof d->text - 1;
}

/* Quoted with ' so that the tables need few escapes; a newline is shown as ~, a tab as ^, a
 * carriage return as %. */
static inline void dump_quoted(struct dump *d, const char *text)
{
    dump_put(d, "'");
    for (; *text; text++)
        dump_put(d, "%c", *text == '\n' ? '~' : *text == '\t' ? '^' : *text == '\r' ? '%' : *text);
    dump_put(d, "'");
}

static inline void dump_option(struct dump *d, const char *name, const char *value)
{
    if (!value)
        return;
    dump_put(d, " %s=", name);
    dump_quoted(d, value);
}

static inline void dump_strs(struct dump *d, struct dray_strs s)
{
    for (uint64_t i = 0; i < s.n; i++) {
        dump_put(d, " ");
        dump_quoted(d, s.v[i]);
    }
}

static inline void dump_heredocs(struct dump *d, const struct dray_df_heredocs *h)
{
    for (size_t i = 0; i < h->n; i++) {
        dump_put(d, " <<%s%s", h->v[i].name, h->v[i].expand ? "" : " raw");
        if (h->v[i].fd)
            dump_put(d, " fd%u", h->v[i].fd);
        dump_put(d, ":");
        dump_quoted(d, h->v[i].content);
    }
}

static inline void dump_command(struct dump *d, const struct dray_df_command *c)
{
    dump_put(d, c->shell ? " shell" : " exec");
    dump_strs(d, c->argv);
    dump_heredocs(d, &c->files);
}

static inline void dump_mount(struct dump *d, const struct dray_df_mount *m)
{
    static const char *const types[] = {"bind", "cache", "tmpfs", "secret", "ssh"};
    static const char *const sharing[] = {"", " private", " locked"};
    dump_put(d, " {%s", types[m->type]);
    dump_option(d, "from", m->from);
    dump_option(d, "source", m->source);
    dump_option(d, "target", m->target);
    dump_option(d, "id", m->id);
    dump_option(d, "env", m->env);
    dump_put(d, "%s%s%s", m->readonly ? " ro" : " rw", m->required ? " required" : "",
             sharing[m->sharing]);
    if (m->size)
        dump_put(d, " size=%llu", (unsigned long long)m->size);
    if (m->has_mode)
        dump_put(d, " mode=%o", m->mode);
    if (m->has_uid || m->has_gid)
        dump_put(d, " %u:%u", m->uid, m->gid);
    dump_put(d, "}");
}

static inline void dump_copy(struct dump *d, const struct dray_df_copy *c)
{
    dump_strs(d, c->sources);
    dump_heredocs(d, &c->contents);
    dump_put(d, " ->");
    dump_strs(d, (struct dray_strs){&c->dest, 1});
    dump_option(d, "from", c->from);
    dump_option(d, "chown", c->chown);
    dump_option(d, "chmod", c->chmod);
    dump_option(d, "checksum", c->checksum);
    for (uint64_t i = 0; i < c->excludes.n; i++)
        dump_option(d, "exclude", c->excludes.v[i]);
    dump_put(d, "%s%s%s%s", c->link ? " link" : "", c->parents ? " parents" : "",
             c->keep_git_dir ? " keep-git-dir" : "",
             c->unpack < 0 ? ""
             : c->unpack   ? " unpack"
                           : " no-unpack");
}

static inline void dump_pairs(struct dump *d, const struct dray_df_pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].value)
            dump_option(d, p->v[i].key, p->v[i].value);
        else
            dump_put(d, " %s", p->v[i].key);
    }
    dump_put(d, "%s", p->legacy ? " legacy" : "");
}

static inline void dump_health(struct dump *d, const struct dray_df_health *h)
{
    if (h->none) {
        dump_put(d, " none");
        return;
    }
    dump_command(d, &h->command);
    dump_put(d, " %lld/%lld/%lld/%lld/%lld", (long long)h->interval, (long long)h->timeout,
             (long long)h->start_period, (long long)h->start_interval, (long long)h->retries);
}

static inline void dump_run(struct dump *d, const struct dray_df_run *r)
{
    dump_command(d, &r->command);
    for (size_t i = 0; i < r->mounts.n; i++)
        dump_mount(d, &r->mounts.v[i]);
    if (strcmp(r->network, "default") != 0)
        dump_option(d, "network", r->network);
    if (strcmp(r->security, "sandbox") != 0)
        dump_option(d, "security", r->security);
}

static inline void dump_instr(struct dump *d, const struct dray_df_instr *in)
{
    dump_put(d, "%s", dray_df_kind_name(in->kind));
    switch (in->kind) {
    case DRAY_DF_FROM:
        dump_strs(d, (struct dray_strs){&in->u.from.image, 1});
        dump_option(d, "as", in->u.from.name);
        dump_option(d, "platform", in->u.from.platform);
        break;
    case DRAY_DF_RUN:
        dump_run(d, &in->u.run);
        break;
    case DRAY_DF_COPY:
    case DRAY_DF_ADD:
        dump_copy(d, &in->u.copy);
        break;
    case DRAY_DF_ARG:
    case DRAY_DF_ENV:
    case DRAY_DF_LABEL:
        dump_pairs(d, &in->u.pairs);
        break;
    case DRAY_DF_CMD:
    case DRAY_DF_ENTRYPOINT:
    case DRAY_DF_SHELL:
        dump_command(d, &in->u.command);
        break;
    case DRAY_DF_HEALTHCHECK:
        dump_health(d, &in->u.health);
        break;
    case DRAY_DF_EXPOSE:
    case DRAY_DF_VOLUME:
        dump_strs(d, in->u.words);
        break;
    case DRAY_DF_MAINTAINER:
    case DRAY_DF_ONBUILD:
    case DRAY_DF_STOPSIGNAL:
    case DRAY_DF_USER:
    case DRAY_DF_WORKDIR:
        dump_strs(d, (struct dray_strs){&in->u.value, 1});
        break;
    }
    dump_put(d, "\n");
}

/* Stages after the first are headed by their FROM alone. */
static inline void dump_file(struct dump *d, const struct dray_df_file *f)
{
    for (const struct dray_df_instr *in = f->args; in; in = in->next)
        dump_instr(d, in);
    for (uint32_t i = 0; i < f->n_stages; i++) {
        dump_instr(d, f->stages[i].from);
        for (const struct dray_df_instr *in = f->stages[i].first; in; in = in->next)
            dump_instr(d, in);
    }
}

#endif
