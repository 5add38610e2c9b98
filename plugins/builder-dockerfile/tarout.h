/* SPDX-License-Identifier: Apache-2.0 */
/* tarout.h - writes a layer tar: the same input gives the same bytes. */
#ifndef BUILDER_TAROUT_H
#define BUILDER_TAROUT_H

#include "tree.h"

struct bd_tarout;

struct bd_tar_xattr {
    const char *name;
    const void *value;
    size_t n;
};

/** What an entry looks like. */
struct bd_tar_entry {
    const char *path; /**< relative, clean */
    mode_t mode;
    uid_t uid;
    gid_t gid;
    int64_t size, mtime_s;
    dev_t rdev;
    const char *link; /**< of a symbolic link; of a hard link when hard is set */
    bool hard;
    const struct bd_tar_xattr *xattrs;
    size_t n_xattrs;
};

/** Write to fd, which stays the caller's. */
int bd_tarout_open(int fd, struct bd_tarout **out, struct dray_err *err);
/** An entry without content, or its head: then bd_tarout_content() or bd_tarout_data() follows. */
int bd_tarout_head(struct bd_tarout *t, const struct bd_tar_entry *e, struct dray_err *err);
/** The content of a file as long as its entry said. */
int bd_tarout_content(struct bd_tarout *t, const struct bd_content *c, struct dray_err *err);
/** A piece of it. The pieces must have the length of the entry together; then bd_tarout_pad(). */
int bd_tarout_data(struct bd_tarout *t, const void *data, size_t n, struct dray_err *err);
int bd_tarout_pad(struct bd_tarout *t, int64_t size, struct dray_err *err);
/** Has this folder been written already? The second time it says so. */
bool bd_tarout_once(struct bd_tarout *t, const char *folder);
/** End of the archive; frees in any case. */
int bd_tarout_end(struct bd_tarout *t, struct dray_err *err);
void bd_tarout_free(struct bd_tarout *t);

#endif
