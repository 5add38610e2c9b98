/* SPDX-License-Identifier: Apache-2.0 */
/* lint.h - Docker's build checks over a parsed Dockerfile. */
#ifndef DRAY_BUILDER_LINT_H
#define DRAY_BUILDER_LINT_H

#include "dockerfile.h"

/** One finding; the strings live until the call of the function returns. */
struct dray_df_finding {
    const char *rule; /**< "StageNameCasing" */
    const char *description;
    const char *url;
    const char *detail; /**< "Stage name 'Foo' should be lowercase" */
    struct dray_df_where where;
};
typedef void (*dray_df_finding_fn)(void *arg, const struct dray_df_finding *finding);

struct dray_df_lint {
    struct dray_kvs build_args; /**< --build-arg; BUILDKIT_DOCKERFILE_CHECK replaces "# check=" */
    const char *platform;       /**< of the target, "linux/amd64", or NULL for that */
    const char *ignore_file;    /**< text of the .dockerignore for CopyIgnoredFile, or NULL */
    /** The environment of a base image ("NAME=value"): 0, or negative when it is not known, where
     *  UndefinedVar tells of probable typing errors only. NULL: never known. */
    int32_t (*base_env)(void *arg, const char *image, struct dray_strs *out);
    void *base_arg;
};

/**
 * Call found for each finding, by line. *error_out (may be NULL): the file wants findings to fail
 * the build, and *err says "lint violation found for rules: ...". Returns how many there were, or a
 * negative code.
 */
int dray_df_lint(const struct dray_df_file *f, const struct dray_df_lint *options,
                 dray_df_finding_fn found, void *arg, bool *error_out, struct dray_err *err);

/** A base image of another platform than was wanted. */
struct dray_df_base {
    const char *image, *has, *wanted;
    struct dray_df_where where; /**< of its FROM */
};
/** The finding on it, which is known when the image is there; unless the rule is off. */
void dray_df_lint_base(const struct dray_df_file *f, const struct dray_df_lint *options,
                       const struct dray_df_base *base, dray_df_finding_fn found, void *arg);

#endif
