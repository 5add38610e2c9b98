/* SPDX-License-Identifier: Apache-2.0 */
/* lint_priv.h - what the files of the lint share. */
#ifndef DRAY_BUILDER_LINT_PRIV_H
#define DRAY_BUILDER_LINT_PRIV_H

#include "lang_priv.h"
#include "lint.h"

enum dray_df_rule {
    RULE_STAGE_NAME_CASING,
    RULE_FROM_AS_CASING,
    RULE_NO_EMPTY_CONTINUATION,
    RULE_CONSISTENT_INSTRUCTION_CASING,
    RULE_DUPLICATE_STAGE_NAME,
    RULE_RESERVED_STAGE_NAME,
    RULE_JSON_ARGS_RECOMMENDED,
    RULE_MAINTAINER_DEPRECATED,
    RULE_UNDEFINED_ARG_IN_FROM,
    RULE_WORKDIR_RELATIVE_PATH,
    RULE_UNDEFINED_VAR,
    RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED,
    RULE_LEGACY_KEY_VALUE_FORMAT,
    RULE_REDUNDANT_TARGET_PLATFORM,
    RULE_SECRETS_USED_IN_ARG_OR_ENV,
    RULE_INVALID_DEFAULT_ARG_IN_FROM,
    RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    RULE_COPY_IGNORED_FILE,
    RULE_INVALID_DEFINITION_DESCRIPTION,
    RULE_EXPOSE_PROTO_CASING,
    RULE_EXPOSE_INVALID_FORMAT,
    RULE_INVALID_BASE_IMAGE_PLATFORM,
    N_RULES,
};

struct dray_df_note {
    enum dray_df_rule rule;
    struct dray_df_where where;
    const char *detail;
    size_t order;
};

/** Variables in the order of their making. */
struct dray_df_scope {
    struct dray_kv *v; /* the value of an ARG without one is NULL */
    size_t n, cap;
    const struct dray_df_scope *below; /* of the stage that this one is made from, or NULL */
    bool known;                        /* nothing but these can be set */
};

struct dray_df_linting {
    const struct dray_df_file *f;
    const struct dray_df_lint *options;
    struct dray_df_check check;
    struct dray_df_arena a;
    struct dray_err *err;
    struct dray_df_note *notes;
    size_t n, cap;
    struct dray_df_scope globals;
    struct dray_df_scope *stages; /* what each leaves */
    bool *workdirs;               /* has it set one? */
    const char **lines;           /* where each begins, for who asks */
    size_t n_lines;
    bool failed; /* no memory */
};

/** Note a finding, unless the rule is off. */
void dray_df_note(struct dray_df_linting *l, enum dray_df_rule rule,
                  const struct dray_df_where *where, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** Is the rule on? */
bool dray_df_lint_on(const struct dray_df_linting *l, enum dray_df_rule rule);
/** Set a variable; value may be NULL. */
void dray_df_scope_set(struct dray_df_linting *l, struct dray_df_scope *s, const char *name,
                       const char *value);
/** NULL: not declared. *value_out (may be NULL) gets the value, NULL for an ARG without one. */
const char *dray_df_scope_find(const struct dray_df_scope *s, const char *name,
                               const char **value_out);
/** The name nearest to one in a scope, or NULL; *best as with dray_df_nearer(). */
const char *dray_df_scope_nearest(const struct dray_df_scope *s, const char *name, unsigned *best);

/** Rules on the file as a text: casing, comments, continuations. */
void dray_df_lint_text(struct dray_df_linting *l);
/** Rules on FROM. */
void dray_df_lint_globals(struct dray_df_linting *l);
void dray_df_lint_from(struct dray_df_linting *l, uint32_t index);
/** Rules on what follows a FROM. */
void dray_df_lint_stage(struct dray_df_linting *l, uint32_t index);
/** Does the name of a variable tell of a secret? */
bool dray_df_lint_secret_name(const char *name);

#endif
