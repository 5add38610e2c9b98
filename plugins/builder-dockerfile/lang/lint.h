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
    struct dray_kvs build_args; /**< --build-arg: "" for one that the environment did not have */
    const char *target;         /**< stage name or index; NULL or "" is the last */
    const char *ignore_file;    /**< text of the .dockerignore for CopyIgnoredFile, or NULL */
    const char *check;          /**< "skip=...;error=true" in place of the file's, or NULL */
};

/** Call found for each finding in the order of the rules' places in the file; *error_out: the file
 *  (or the option) wants findings to fail the build. Returns their number or a negative code. */
int dray_df_lint(const struct dray_df_file *f, const struct dray_df_lint *options,
                 dray_df_finding_fn found, void *arg, bool *error_out, struct dray_err *err);

#endif
