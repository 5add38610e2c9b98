/* SPDX-License-Identifier: Apache-2.0 */
/* type.c - makes a typed instruction of a line: which flags and words each kind takes. */
#include "lang_priv.h"

#include <stddef.h>

enum flag_type { FLAG_STRING, FLAG_LIST, FLAG_BOOL, FLAG_TRI };

/** One flag of an instruction; offset is into the struct that take_flags() is given. */
struct flag {
    const char *name;
    enum flag_type type;
    size_t offset;
};

struct typing {
    struct dray_df_ctx *c;
    const struct dray_df_line *line;
    struct dray_df_instr *in;
    const char *name; /* upper case */
};

static const char *const no_flags[] = {NULL};

static int needs_one(struct typing *t)
{
    return dray_df_bad(t->c, NULL, "%s requires exactly one argument", t->name);
}

static int needs_some(struct typing *t)
{
    return dray_df_bad(t->c, NULL, "%s requires at least one argument", t->name);
}

static int unknown_flag(struct typing *t, const char *word, const char *name,
                        const struct flag *flags)
{
    const char *names[16];
    size_t n = 0;
    for (; flags && flags[n].name && n + 1 < sizeof names / sizeof *names; n++)
        names[n] = flags[n].name;
    names[n] = NULL;
    return dray_df_bad(t->c, word, "unknown flag: --%s%s", name,
                       dray_df_suggest(t->c->a, name, n ? names : no_flags, false));
}

static int set_bool(struct typing *t, const char *word, const char *name, const char *value,
                    bool *out)
{
    *out = !value || strcasecmp(value, "true") == 0;
    if (value && !*value)
        return dray_df_bad(t->c, word, "missing a value on flag: --%s", name);
    if (value && !*out && strcasecmp(value, "false") != 0)
        return dray_df_bad(t->c, word, "expecting boolean value for flag --%s, not: %s", name,
                           value);
    return 0;
}

static int add_string(struct typing *t, struct dray_strs *list, const char *value)
{
    const char **more = dray_df_alloc(t->c->a, (list->n + 1) * sizeof *more);
    if (!more)
        return dray_df_nomem(t->c);
    if (list->n)
        memcpy(more, list->v, list->n * sizeof *more);
    more[list->n] = value;
    *list = (struct dray_strs){more, list->n + 1};
    return 0;
}

static int set_flag(struct typing *t, const struct flag *flag, const char *word, const char *value,
                    void *into)
{
    void *field = (char *)into + flag->offset;
    bool on = false;
    int rc = 0;
    switch (flag->type) {
    case FLAG_BOOL:
        return set_bool(t, word, flag->name, value, field);
    case FLAG_TRI:
        rc = set_bool(t, word, flag->name, value, &on);
        *(int *)field = on;
        return rc;
    case FLAG_STRING:
    case FLAG_LIST:
        break;
    }
    if (!value)
        return dray_df_bad(t->c, word, "missing a value on flag: --%s", flag->name);
    if (flag->type == FLAG_LIST)
        return add_string(t, field, value);
    if (*value)
        memcpy(field, &value, sizeof value);
    return 0;
}

/* Put the line's flags where the table says; NULL: it takes none. */
static int take_flags(struct typing *t, const struct flag *flags, void *into)
{
    uint32_t used = 0;
    for (size_t i = 0; i < t->line->flags.n; i++) {
        const char *word = t->line->flags.v[i], *eq = strchr(word, '=');
        size_t len = eq ? (size_t)(eq - word - 2) : strlen(word + 2), n = 0;
        const char *name = dray_df_strndup(t->c->a, word + 2, len);
        if (!name)
            return dray_df_nomem(t->c);
        while (flags && flags[n].name && strcmp(flags[n].name, name) != 0)
            n++;
        if (!flags || !flags[n].name)
            return unknown_flag(t, word, name, flags);
        if ((used & 1u << n) && flags[n].type != FLAG_LIST)
            return dray_df_bad(t->c, word, "duplicate flag specified: --%s", name);
        used |= 1u << n;
        int rc = set_flag(t, &flags[n], word, eq ? eq + 1 : NULL, into);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The shell or the exec form of rest. */
static int take_command(struct typing *t, const char *rest, struct dray_df_command *out)
{
    struct dray_df_list words = {0};
    int rc = dray_df_split_json(t->c, rest, &words);
    if (rc < 0)
        return rc;
    out->shell = rc == 0;
    if (out->shell && *rest && !dray_df_list_add(t->c->a, &words, rest))
        return dray_df_nomem(t->c);
    out->argv = dray_df_list_view(&words);
    return 0;
}

/* A JSON array or words. */
static int take_list(struct typing *t, struct dray_df_list *out)
{
    int rc = dray_df_split_json(t->c, t->line->rest, out);
    return rc == 0 ? dray_df_split_blanks(t->c, t->line->rest, out) : rc < 0 ? rc : 0;
}

static const struct flag copy_flags[] = {
    {"from", FLAG_STRING, offsetof(struct dray_df_copy, from)},
    {"chown", FLAG_STRING, offsetof(struct dray_df_copy, chown)},
    {"chmod", FLAG_STRING, offsetof(struct dray_df_copy, chmod)},
    {"link", FLAG_BOOL, offsetof(struct dray_df_copy, link)},
    {"parents", FLAG_BOOL, offsetof(struct dray_df_copy, parents)},
    {"exclude", FLAG_LIST, offsetof(struct dray_df_copy, excludes)},
    {NULL, FLAG_BOOL, 0},
};

static const struct flag add_flags[] = {
    {"chown", FLAG_STRING, offsetof(struct dray_df_copy, chown)},
    {"chmod", FLAG_STRING, offsetof(struct dray_df_copy, chmod)},
    {"link", FLAG_BOOL, offsetof(struct dray_df_copy, link)},
    {"keep-git-dir", FLAG_BOOL, offsetof(struct dray_df_copy, keep_git_dir)},
    {"checksum", FLAG_STRING, offsetof(struct dray_df_copy, checksum)},
    {"exclude", FLAG_LIST, offsetof(struct dray_df_copy, excludes)},
    {"unpack", FLAG_TRI, offsetof(struct dray_df_copy, unpack)},
    {NULL, FLAG_BOOL, 0},
};

static const struct dray_df_heredoc *find_heredoc(const struct dray_df_heredocs *all,
                                                  const char *name)
{
    for (size_t i = all->n; name && i-- > 0;)
        if (strcmp(all->v[i].name, name) == 0)
            return &all->v[i];
    return NULL;
}

/* Sort the words before the destination into paths and here-documents. */
static int take_sources(struct typing *t, struct dray_df_list *words)
{
    struct dray_df_copy *out = &t->in->u.copy;
    const struct dray_df_heredocs *all = &t->line->heredocs;
    struct dray_df_list paths = {0};
    struct dray_df_heredoc *docs = dray_df_alloc(t->c->a, (all->n + words->n) * sizeof *docs);
    size_t n_docs = 0;
    if (!docs)
        return dray_df_nomem(t->c);
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->v[i];
        const struct dray_df_heredoc *doc = NULL;
        /* "<< EOF" is one source, written apart. */
        bool apart =
            all->n && i + 1 < words->n && (strcmp(word, "<<") == 0 || strcmp(word, "<<-") == 0);
        const char *whole = apart ? dray_df_printf(t->c->a, "%s%s", word, words->v[i + 1]) : word;
        if (all->n && whole && strstr(whole, "<<"))
            doc = find_heredoc(all, dray_df_heredoc_name(t->c->a, whole));
        i += apart && doc;
        if (doc)
            docs[n_docs++] = *doc;
        else if (!dray_df_list_add(t->c->a, &paths, word))
            return dray_df_nomem(t->c);
    }
    out->sources = dray_df_list_view(&paths);
    out->contents = (struct dray_df_heredocs){docs, n_docs};
    return 0;
}

static int type_copy(struct typing *t)
{
    struct dray_df_copy *out = &t->in->u.copy;
    struct dray_df_list words = {0};
    out->unpack = -1;
    int rc = take_list(t, &words);
    if (rc != 0)
        return rc;
    if (words.n < 2)
        return dray_df_bad(t->c, NULL,
                           "%s requires at least two arguments, but only one was provided. "
                           "Destination could not be determined",
                           t->name);
    rc = take_flags(t, t->in->kind == DRAY_DF_COPY ? copy_flags : add_flags, out);
    if (rc != 0)
        return rc;
    out->dest = words.v[--words.n];
    if (t->line->heredocs.n && strstr(out->dest, "<<") && dray_df_heredoc_name(t->c->a, out->dest))
        return dray_df_bad(t->c, out->dest, "%s cannot accept a heredoc as a destination", t->name);
    return take_sources(t, &words);
}

static int add_pair(struct typing *t, struct dray_kv *v, const char *key, const char *value)
{
    if (!key)
        return dray_df_nomem(t->c);
    if (!*key)
        return dray_df_bad(t->c, NULL, "%s names can not be blank", t->name);
    *v = (struct dray_kv){key, value};
    t->in->u.pairs.n++;
    return 0;
}

/* "KEY the rest": the old form of ENV and LABEL. */
static int legacy_pair(struct typing *t, struct dray_kv *v)
{
    const char *rest = t->line->rest;
    size_t n = strcspn(rest, "\t\v\f\r ");
    size_t gap = strspn(rest + n, "\t\v\f\r ");
    if (gap == 0)
        return dray_df_bad(t->c, rest, "%s must have two arguments", t->name);
    t->in->u.pairs.legacy = true;
    return add_pair(t, v, dray_df_strndup(t->c->a, rest, n), rest + n + gap);
}

static int type_pairs(struct typing *t)
{
    struct dray_df_list words = {0};
    bool optional = t->in->kind == DRAY_DF_ARG;
    int rc = take_flags(t, NULL, NULL);
    if (rc == 0)
        rc = dray_df_split_words(t->c, t->line->rest, &words);
    if (rc != 0)
        return rc;
    if (words.n == 0)
        return needs_some(t);
    struct dray_kv *v = dray_df_alloc(t->c->a, words.n * sizeof *v);
    if (!v)
        return dray_df_nomem(t->c);
    t->in->u.pairs.v = v;
    if (!optional && !strchr(words.v[0], '='))
        return legacy_pair(t, v);
    for (size_t i = 0; rc == 0 && i < words.n; i++) {
        const char *word = words.v[i], *eq = strchr(word, '=');
        if (!eq && !optional)
            return dray_df_bad(t->c, word,
                               "Syntax error - can't find = in %s. Must be of the form: name=value",
                               dray_df_quote(t->c->a, word));
        size_t n = eq ? (size_t)(eq - word) : strlen(word);
        rc = add_pair(t, &v[i], dray_df_strndup(t->c->a, word, n), eq ? eq + 1 : NULL);
    }
    return rc;
}

static bool valid_stage_name(const char *name)
{
    if (!(*name >= 'a' && *name <= 'z'))
        return false;
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0';
}

static int type_from(struct typing *t)
{
    static const struct flag flags[] = {
        {"platform", FLAG_STRING, offsetof(struct dray_df_from, platform)},
        {NULL, FLAG_BOOL, 0},
    };
    struct dray_df_from *out = &t->in->u.from;
    struct dray_df_list words = {0};
    int rc = dray_df_split_blanks(t->c, t->line->rest, &words);
    if (rc != 0)
        return rc;
    if (words.n == 3 && strcasecmp(words.v[1], "as") == 0) {
        out->name_raw = words.v[2];
        out->name = dray_df_lower(t->c->a, words.v[2]);
        if (!out->name)
            return dray_df_nomem(t->c);
        if (!valid_stage_name(out->name))
            return dray_df_bad(t->c, words.v[2],
                               "invalid name for build stage: %s, name can't start with a number "
                               "or contain symbols",
                               dray_df_quote(t->c->a, words.v[2]));
    } else if (words.n != 1) {
        return dray_df_bad(t->c, NULL, "FROM requires either one or three arguments");
    }
    out->image = words.v[0];
    return take_flags(t, flags, out);
}

struct run_flags {
    struct dray_strs mounts;
    const char *network, *security;
};

static const struct flag run_flag_table[] = {
    {"mount", FLAG_LIST, offsetof(struct run_flags, mounts)},
    {"network", FLAG_STRING, offsetof(struct run_flags, network)},
    {"security", FLAG_STRING, offsetof(struct run_flags, security)},
    {NULL, FLAG_BOOL, 0},
};

static int take_mounts(struct typing *t, const struct dray_strs *texts)
{
    struct dray_df_mount *v = dray_df_alloc(t->c->a, texts->n * sizeof *v);
    if (!v)
        return dray_df_nomem(t->c);
    for (size_t i = 0; i < texts->n; i++) {
        int rc = dray_df_mount_parse(t->c, texts->v[i], NULL, &v[i]);
        if (rc != 0)
            return rc;
    }
    t->in->u.run.mounts = (struct dray_df_mounts){v, texts->n};
    return 0;
}

static bool is_word(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

static int type_run(struct typing *t)
{
    static const char *const networks[] = {"default", "none", "host", NULL};
    static const char *const securities[] = {"sandbox", "insecure", NULL};
    struct run_flags flags = {.network = "default", .security = "sandbox"};
    struct dray_df_run *out = &t->in->u.run;
    int rc = take_flags(t, run_flag_table, &flags);
    if (rc == 0)
        rc = take_command(t, t->line->rest, &out->command);
    if (rc != 0)
        return rc;
    out->command.files = t->line->heredocs;
    out->network = flags.network;
    out->security = flags.security;
    if (!is_word(flags.network, networks))
        return dray_df_bad(t->c, flags.network, "invalid network mode %s",
                           dray_df_quote(t->c->a, flags.network));
    if (!is_word(flags.security, securities))
        return dray_df_bad(t->c, flags.security, "security %s is not valid",
                           dray_df_quote(t->c->a, flags.security));
    if (out->command.argv.n == 0)
        return needs_some(t);
    return take_mounts(t, &flags.mounts);
}

static int type_command(struct typing *t)
{
    struct dray_df_command *out = &t->in->u.command;
    int rc = take_flags(t, NULL, NULL);
    if (rc == 0)
        rc = take_command(t, t->line->rest, out);
    if (rc != 0 || t->in->kind != DRAY_DF_SHELL)
        return rc;
    if (out->argv.n == 0)
        return needs_some(t);
    return out->shell ? dray_df_bad(t->c, NULL, "SHELL requires the arguments to be in JSON form")
                      : 0;
}

struct health_flags {
    const char *interval, *timeout, *start_period, *start_interval, *retries;
};

static const struct flag health_flag_table[] = {
    {"interval", FLAG_STRING, offsetof(struct health_flags, interval)},
    {"timeout", FLAG_STRING, offsetof(struct health_flags, timeout)},
    {"start-period", FLAG_STRING, offsetof(struct health_flags, start_period)},
    {"start-interval", FLAG_STRING, offsetof(struct health_flags, start_interval)},
    {"retries", FLAG_STRING, offsetof(struct health_flags, retries)},
    {NULL, FLAG_BOOL, 0},
};

static int take_interval(struct typing *t, const char *name, const char *text, int64_t *out)
{
    int rc = text ? dray_df_duration(t->c, text, out) : 0;
    if (rc == 0 && *out != 0 && *out < 1000000)
        rc = dray_df_bad(t->c, text, "Interval \"%s\" cannot be less than 1ms", name);
    return rc;
}

static int take_retries(struct typing *t, const char *text, int64_t *out)
{
    char *end = NULL;
    if (!text)
        return 0;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || dray_df_space(*text))
        return dray_df_bad(t->c, text, "strconv.ParseInt: parsing %s: invalid syntax",
                           dray_df_quote(t->c->a, text));
    if (errno || n > INT32_MAX || n < INT32_MIN)
        return dray_df_bad(t->c, text, "strconv.ParseInt: parsing %s: value out of range",
                           dray_df_quote(t->c->a, text));
    if (n < 0)
        return dray_df_bad(t->c, text, "--retries cannot be negative (%lld)", n);
    *out = n;
    return 0;
}

static int type_health(struct typing *t)
{
    struct health_flags flags = {0};
    struct dray_df_health *out = &t->in->u.health;
    const char *rest = t->line->rest;
    size_t n = strcspn(rest, " \t\v\f\r\n");
    const char *args = rest + n + strspn(rest + n, " \t\v\f\r\n");
    if (n == 0)
        return needs_some(t);
    if (n == 4 && strncasecmp(rest, "NONE", 4) == 0) {
        out->none = true;
        return *args ? dray_df_bad(t->c, args, "HEALTHCHECK NONE takes no arguments")
                     : take_flags(t, health_flag_table, &flags);
    }
    int rc = take_flags(t, health_flag_table, &flags);
    if (rc != 0)
        return rc;
    if (n != 3 || strncasecmp(rest, "CMD", 3) != 0) {
        char *type = dray_df_strndup(t->c->a, rest, n);
        type = type ? dray_df_upper(t->c->a, type) : NULL;
        return dray_df_bad(t->c, NULL, "Unknown type %s in HEALTHCHECK (try CMD)",
                           dray_df_quote(t->c->a, type ? type : ""));
    }
    rc = take_command(t, args, &out->command);
    if (rc == 0 && out->command.argv.n == 0)
        rc = dray_df_bad(t->c, NULL, "Missing command after HEALTHCHECK CMD");
    if (rc == 0)
        rc = take_interval(t, "interval", flags.interval, &out->interval);
    if (rc == 0)
        rc = take_interval(t, "timeout", flags.timeout, &out->timeout);
    if (rc == 0)
        rc = take_interval(t, "start-period", flags.start_period, &out->start_period);
    if (rc == 0)
        rc = take_interval(t, "start-interval", flags.start_interval, &out->start_interval);
    return rc == 0 ? take_retries(t, flags.retries, &out->retries) : rc;
}

static int compare_words(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static int type_expose(struct typing *t)
{
    struct dray_df_list words = {0};
    int rc = dray_df_split_blanks(t->c, t->line->rest, &words);
    if (rc != 0)
        return rc;
    if (words.n == 0)
        return needs_some(t);
    qsort(words.v, words.n, sizeof *words.v, compare_words);
    t->in->u.words = dray_df_list_view(&words);
    return take_flags(t, NULL, NULL);
}

static int type_volume(struct typing *t)
{
    struct dray_df_list words = {0}, paths = {0};
    int rc = take_list(t, &words);
    if (rc == 0)
        rc = words.n ? take_flags(t, NULL, NULL) : needs_some(t);
    for (size_t i = 0; rc == 0 && i < words.n; i++) {
        const char *path = dray_df_trim(t->c->a, words.v[i], strlen(words.v[i]));
        if (!path || !dray_df_list_add(t->c->a, &paths, path))
            rc = dray_df_nomem(t->c);
        else if (!*path)
            rc = dray_df_bad(t->c, NULL, "VOLUME specified can not be an empty string");
    }
    t->in->u.words = dray_df_list_view(&paths);
    return rc;
}

static int type_value(struct typing *t)
{
    t->in->u.value = t->line->rest;
    return *t->line->rest ? take_flags(t, NULL, NULL) : needs_one(t);
}

/* The trigger as it will be parsed in the image built upon this one. */
static int type_onbuild(struct typing *t)
{
    DRAY_AUTO(dray_df_buf) b = {0};
    const char *rest = t->line->text + strlen(t->line->name);
    const struct dray_df_instr *trigger = NULL;
    rest += strspn(rest, " \t\v\f\r");
    if (!*t->line->rest)
        return needs_some(t);
    int rc = take_flags(t, NULL, NULL);
    if (rc != 0)
        return rc;
    dray_df_buf_adds(&b, rest);
    for (size_t i = 0; i < t->line->heredocs.n; i++) {
        dray_df_buf_adds(&b, i ? "" : "\n");
        dray_df_buf_add(&b, t->line->heredocs.v[i].content, t->line->heredocs.v[i].len);
        dray_df_buf_adds(&b, t->line->heredocs.v[i].name);
        dray_df_buf_adds(&b, i + 1 < t->line->heredocs.n ? "\n" : "");
    }
    t->in->u.value = b.failed ? NULL : dray_df_strndup(t->c->a, b.data, b.len);
    return t->in->u.value ? dray_df_parse_one(t->c->a, t->in->u.value, true, &trigger, t->c->err)
                          : dray_df_nomem(t->c);
}

static const struct {
    const char *name;
    enum dray_df_kind kind;
    int (*type)(struct typing *);
} kinds[] = {
    {"ADD", DRAY_DF_ADD, type_copy},
    {"ARG", DRAY_DF_ARG, type_pairs},
    {"CMD", DRAY_DF_CMD, type_command},
    {"COPY", DRAY_DF_COPY, type_copy},
    {"ENTRYPOINT", DRAY_DF_ENTRYPOINT, type_command},
    {"ENV", DRAY_DF_ENV, type_pairs},
    {"EXPOSE", DRAY_DF_EXPOSE, type_expose},
    {"FROM", DRAY_DF_FROM, type_from},
    {"HEALTHCHECK", DRAY_DF_HEALTHCHECK, type_health},
    {"LABEL", DRAY_DF_LABEL, type_pairs},
    {"MAINTAINER", DRAY_DF_MAINTAINER, type_value},
    {"ONBUILD", DRAY_DF_ONBUILD, type_onbuild},
    {"RUN", DRAY_DF_RUN, type_run},
    {"SHELL", DRAY_DF_SHELL, type_command},
    {"STOPSIGNAL", DRAY_DF_STOPSIGNAL, type_value},
    {"USER", DRAY_DF_USER, type_value},
    {"VOLUME", DRAY_DF_VOLUME, type_volume},
    {"WORKDIR", DRAY_DF_WORKDIR, type_value},
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

const char *dray_df_kind_name(enum dray_df_kind kind)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "";
}

int dray_df_type(struct dray_df_ctx *c, const struct dray_df_line *line, struct dray_df_instr **out)
{
    const char *names[N_KINDS + 1] = {NULL};
    size_t n = 0;
    while (n < N_KINDS && strcasecmp(kinds[n].name, line->name) != 0) {
        names[n] = kinds[n].name;
        n++;
    }
    if (n == N_KINDS)
        return dray_df_bad(c, line->name, "unknown instruction: %s%s", line->name,
                           dray_df_suggest(c->a, line->name, names, true));
    struct dray_df_instr *in = dray_df_alloc(c->a, sizeof *in);
    if (!in)
        return dray_df_nomem(c);
    in->kind = kinds[n].kind;
    in->where = line->where;
    in->name = line->name;
    in->text = line->text;
    in->rest = line->rest;
    in->flags = line->flags;
    struct typing t = {.c = c, .line = line, .in = in, .name = kinds[n].name};
    *out = in;
    return kinds[n].type(&t);
}
