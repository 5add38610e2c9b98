/* SPDX-License-Identifier: Apache-2.0 */
/* lint.c - the rules of Docker's build checks, which of them are on, and their findings. */
#include "lint_priv.h"

#define URL "https://docs.docker.com/go/dockerfile/rule/"

static const struct {
    const char *name, *url, *description;
    bool experimental;
} rules[N_RULES] = {
    [RULE_STAGE_NAME_CASING] = {"StageNameCasing", URL "stage-name-casing/",
                                "Stage names should be lowercase", false},
    [RULE_FROM_AS_CASING] = {"FromAsCasing", URL "from-as-casing/",
                             "The 'as' keyword should match the case of the 'from' keyword", false},
    [RULE_NO_EMPTY_CONTINUATION] =
        {"NoEmptyContinuation", URL "no-empty-continuation/",
         "Empty continuation lines will become errors in a future release", false},
    [RULE_CONSISTENT_INSTRUCTION_CASING] =
        {"ConsistentInstructionCasing", URL "consistent-instruction-casing/",
         "All commands within the Dockerfile should use the same casing (either upper or lower)",
         false},
    [RULE_DUPLICATE_STAGE_NAME] = {"DuplicateStageName", URL "duplicate-stage-name/",
                                   "Stage names should be unique", false},
    [RULE_RESERVED_STAGE_NAME] = {"ReservedStageName", URL "reserved-stage-name/",
                                  "Reserved words should not be used as stage names", false},
    [RULE_JSON_ARGS_RECOMMENDED] =
        {"JSONArgsRecommended", URL "json-args-recommended/",
         "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
         "OS signals",
         false},
    [RULE_MAINTAINER_DEPRECATED] =
        {"MaintainerDeprecated", URL "maintainer-deprecated/",
         "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
         false},
    [RULE_UNDEFINED_ARG_IN_FROM] = {"UndefinedArgInFrom", URL "undefined-arg-in-from/",
                                    "FROM command must use declared ARGs", false},
    [RULE_WORKDIR_RELATIVE_PATH] =
        {"WorkdirRelativePath", URL "workdir-relative-path/",
         "Relative workdir without an absolute workdir declared within the build can have "
         "unexpected results if the base image changes",
         false},
    [RULE_UNDEFINED_VAR] = {"UndefinedVar", URL "undefined-var/",
                            "Variables should be defined before their use", false},
    [RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED] =
        {"MultipleInstructionsDisallowed", URL "multiple-instructions-disallowed/",
         "Multiple instructions of the same type should not be used in the same stage", false},
    [RULE_LEGACY_KEY_VALUE_FORMAT] =
        {"LegacyKeyValueFormat", URL "legacy-key-value-format/",
         "Legacy key/value format with whitespace separator should not be used", false},
    [RULE_REDUNDANT_TARGET_PLATFORM] =
        {"RedundantTargetPlatform", URL "redundant-target-platform/",
         "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the "
         "default behavior",
         false},
    [RULE_SECRETS_USED_IN_ARG_OR_ENV] =
        {"SecretsUsedInArgOrEnv", URL "secrets-used-in-arg-or-env/",
         "Sensitive data should not be used in the ARG or ENV commands", false},
    [RULE_INVALID_DEFAULT_ARG_IN_FROM] =
        {"InvalidDefaultArgInFrom", URL "invalid-default-arg-in-from/",
         "Default value for global ARG results in an empty or invalid base image name", false},
    [RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED] =
        {"FromPlatformFlagConstDisallowed", URL "from-platform-flag-const-disallowed/",
         "FROM --platform flag should not use a constant value", false},
    [RULE_COPY_IGNORED_FILE] = {"CopyIgnoredFile", URL "copy-ignored-file/",
                                "Attempting to Copy file that is excluded by .dockerignore", true},
    [RULE_INVALID_DEFINITION_DESCRIPTION] =
        {"InvalidDefinitionDescription", URL "invalid-definition-description/",
         "Comment for build stage or argument should follow the format: `# <arg/stage name> "
         "<description>`. If this is not intended to be a description comment, add an empty line "
         "or comment between the instruction and the comment.",
         true},
    [RULE_EXPOSE_PROTO_CASING] = {"ExposeProtoCasing", URL "expose-proto-casing/",
                                  "Protocol in EXPOSE instruction should be lowercase", false},
    [RULE_EXPOSE_INVALID_FORMAT] =
        {"ExposeInvalidFormat", URL "expose-invalid-format/",
         "IP address and host-port mapping should not be used in EXPOSE instruction. This will "
         "become an error in a future release",
         false},
    [RULE_INVALID_BASE_IMAGE_PLATFORM] =
        {"InvalidBaseImagePlatform", URL "invalid-base-image-platform/",
         "Base image platform does not match expected target platform", false},
};

static bool listed(const struct dray_strs *names, const char *name)
{
    for (uint64_t i = 0; i < names->n; i++)
        if (strcasecmp(names->v[i], name) == 0)
            return true;
    return false;
}

bool dray_df_lint_on(const struct dray_df_linting *l, enum dray_df_rule rule)
{
    const struct dray_df_check *c = &l->check;
    if (rules[rule].experimental && !c->experimental_all &&
        !listed(&c->experimental, rules[rule].name))
        return false;
    return !c->skip_all && !listed(&c->skip, rules[rule].name);
}

void dray_df_note(struct dray_df_linting *l, enum dray_df_rule rule,
                  const struct dray_df_where *where, const char *fmt, ...)
{
    char text[1024];
    if (!dray_df_lint_on(l, rule))
        return;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct dray_df_note *more = dray_df_alloc(&l->a, cap * sizeof *more);
        l->failed = l->failed || !more;
        if (!more)
            return;
        if (l->n)
            memcpy(more, l->notes, l->n * sizeof *more);
        l->notes = more;
        l->cap = cap;
    }
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *detail = dray_df_strndup(&l->a, text, strlen(text));
    l->failed = l->failed || !detail;
    if (detail)
        l->notes[l->n] = (struct dray_df_note){rule, *where, detail, l->n};
    l->n += detail != NULL;
}

void dray_df_scope_set(struct dray_df_linting *l, struct dray_df_scope *s, const char *name,
                       const char *value)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        struct dray_kv *more = dray_df_alloc(&l->a, cap * sizeof *more);
        l->failed = l->failed || !more;
        if (!more)
            return;
        if (s->n)
            memcpy(more, s->v, s->n * sizeof *more);
        s->v = more;
        s->cap = cap;
    }
    s->v[s->n++] = (struct dray_kv){name, value};
}

const char *dray_df_scope_find(const struct dray_df_scope *s, const char *name,
                               const char **value_out)
{
    for (; s; s = s->below)
        for (size_t i = s->n; i-- > 0;)
            if (strcmp(s->v[i].key, name) == 0) {
                if (value_out)
                    *value_out = s->v[i].value;
                return s->v[i].key;
            }
    return NULL;
}

const char *dray_df_scope_nearest(const struct dray_df_scope *s, const char *name, unsigned *best)
{
    const char *found = NULL;
    for (; s; s = s->below)
        for (size_t i = 0; i < s->n; i++)
            if (dray_df_nearer(name, s->v[i].key, false, best))
                found = s->v[i].key;
    return found;
}

static int by_line(const void *x, const void *y)
{
    const struct dray_df_note *a = x, *b = y;
    if (a->where.line != b->where.line)
        return a->where.line < b->where.line ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* The options of the file, or those of the build argument. */
static int read_check(struct dray_df_linting *l)
{
    const char *text = dray_kvs_get(l->options->build_args, "BUILDKIT_DOCKERFILE_CHECK", NULL);
    struct dray_df_ctx c = {.a = &l->a, .escape = '\\', .err = l->err};
    l->check = l->f->check;
    if (!text)
        return 0;
    l->check = (struct dray_df_check){.text = text};
    return dray_df_check_parse(&c, text, &l->check);
}

static void name_violations(struct dray_df_linting *l)
{
    DRAY_AUTO(dray_df_buf) b = {0};
    bool seen[N_RULES] = {false};
    for (size_t i = 0; i < l->n; i++) {
        if (seen[l->notes[i].rule])
            continue;
        seen[l->notes[i].rule] = true;
        dray_df_buf_adds(&b, b.len ? ", " : "");
        dray_df_buf_adds(&b, rules[l->notes[i].rule].name);
    }
    (void)dray_fail(l->err, DRAY_E_INVAL, "lint violation found for rules: %s",
                    b.data ? b.data : "");
}

static void report(struct dray_df_linting *l, dray_df_finding_fn found, void *arg)
{
    if (l->n)
        qsort(l->notes, l->n, sizeof *l->notes, by_line);
    for (size_t i = 0; i < l->n; i++) {
        const struct dray_df_note *n = &l->notes[i];
        found(arg, &(struct dray_df_finding){.rule = rules[n->rule].name,
                                             .description = rules[n->rule].description,
                                             .url = rules[n->rule].url,
                                             .detail = n->detail,
                                             .where = n->where});
    }
}

static int check_all(struct dray_df_linting *l)
{
    uint32_t n = l->f->n_stages;
    l->stages = dray_df_alloc(&l->a, n * sizeof *l->stages);
    l->workdirs = dray_df_alloc(&l->a, n * sizeof *l->workdirs);
    if (!l->stages || !l->workdirs)
        return dray_fail(l->err, DRAY_E_NOMEM, "no memory for the lint");
    dray_df_lint_text(l);
    dray_df_lint_globals(l);
    for (uint32_t i = 0; i < n; i++) {
        dray_df_lint_from(l, i);
        dray_df_lint_stage(l, i);
    }
    return l->failed ? dray_fail(l->err, DRAY_E_NOMEM, "no memory for the lint") : 0;
}

void dray_df_lint_base(const struct dray_df_file *f, const struct dray_df_lint *options,
                       const struct dray_df_base *base, dray_df_finding_fn found, void *arg)
{
    struct dray_err ignored = {0};
    struct dray_df_linting l = {.f = f, .options = options, .err = &ignored};
    if (read_check(&l) == 0)
        dray_df_note(&l, RULE_INVALID_BASE_IMAGE_PLATFORM, &base->where,
                     "Base image %s was pulled with platform \"%s\", expected \"%s\" for current "
                     "build",
                     base->image, base->has, base->wanted);
    report(&l, found, arg);
    dray_df_arena_free(&l.a);
}

int dray_df_lint(const struct dray_df_file *f, const struct dray_df_lint *options,
                 dray_df_finding_fn found, void *arg, bool *error_out, struct dray_err *err)
{
    struct dray_err own = {0};
    struct dray_df_linting l = {.f = f, .options = options, .err = err ? err : &own};
    int rc = read_check(&l);
    if (rc == 0)
        rc = check_all(&l);
    if (rc == 0) {
        report(&l, found, arg);
        rc = (int)l.n;
    }
    bool bad = rc > 0 && l.check.error;
    if (bad)
        name_violations(&l);
    if (error_out)
        *error_out = bad;
    dray_df_arena_free(&l.a);
    return rc;
}
