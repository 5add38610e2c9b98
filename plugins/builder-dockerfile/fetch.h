/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.h - files and repositories from afar. */
#ifndef BUILDER_FETCH_H
#define BUILDER_FETCH_H

#include "bd.h"

/** Load a URL into fd from its beginning. *mtime_s: Last-Modified, or 0. */
int bd_fetch_url(struct bd_build *b, const char *url, int fd, int64_t *size, int64_t *mtime_s,
                 struct dray_err *err);

/** Remove what a killed daemon left of repositories. */
void bd_fetch_sweep(const struct dray_host *host);
/** A repository, or something that is fetched as a file? */
bool bd_is_git(const char *url);
/** Put what a repository holds at "URL#ref:folder" into a tree of the kind bd_tree_tar(). */
int bd_fetch_git(struct bd_build *b, const char *url, bool keep_git_dir, struct bd_tree *into,
                 struct dray_err *err);

#endif
