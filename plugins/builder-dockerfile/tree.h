/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - where files come from: the context, which is a tar that was read once, or a folder (a
 * layer's root, a checkout). Paths are relative to the tree's root, clean, and "" is the root.
 *
 * Nothing that a tree contains can name anything outside of it: links are followed by
 * bd_tree_resolve() as if the tree were a root file system, and everything else is opened by its
 * resolved path without following any.
 */
#ifndef BUILDER_TREE_H
#define BUILDER_TREE_H

#include "text.h"

#include <sys/stat.h>

struct bd_tree;

/** What is known of one entry. */
struct bd_entry {
    mode_t mode; /**< with its type */
    uid_t uid;
    gid_t gid;
    int64_t size, mtime_s;
    dev_t rdev;
    const void *node; /**< the tree's own */
};

/** Content of a file: a range of a descriptor. */
struct bd_content {
    int fd;
    bool own; /**< close it */
    off_t at;
    int64_t size;
    const unsigned char *sum; /**< SHA-256 when it is known, BD_SUM_LEN bytes of the tree's; NULL */
};
void bd_content_close(struct bd_content *c);

struct bd_tree_ops {
    /** Look at a resolved path, without following it. NOTFOUND. */
    int (*stat)(struct bd_tree *t, const char *path, struct bd_entry *out, struct dray_err *err);
    /** Target of a symbolic link, owned by the caller. */
    int (*link)(struct bd_tree *t, const char *path, char **out, struct dray_err *err);
    /** Names in a folder, sorted. */
    int (*list)(struct bd_tree *t, const char *path, struct bd_list *out, struct dray_err *err);
    int (*open)(struct bd_tree *t, const char *path, struct bd_content *out, struct dray_err *err);
    /** Extended attributes worth keeping: fn gets each. */
    int (*xattrs)(struct bd_tree *t, const char *path,
                  int (*fn)(void *ctx, const char *name, const void *value, size_t n), void *ctx);
    void (*free)(struct bd_tree *t);
};

struct bd_tree {
    const struct bd_tree_ops *ops;
};

static inline void bd_tree_free(struct bd_tree *t)
{
    if (t)
        t->ops->free(t);
}

/** "/a//b/../c/" becomes "a/c": cleaned by words, never above the root. Owned; NULL without memory.
 */
char *bd_path_clean(const char *path);
/** "a" and "b" give "a/b", "" and "b" give "b". */
char *bd_path_join(const char *dir, const char *name);
const char *bd_path_base(const char *path);

/**
 * Follow the links of a path; the last component too when `last` is set. *out is the resolved
 * path; what does not exist keeps its words. *entry (may be NULL) tells what is there; its mode is
 * 0 when nothing is.
 */
int bd_tree_resolve(struct bd_tree *t, const char *path, bool last, char **out,
                    struct bd_entry *entry, struct dray_err *err);

/** The digest of a file's content. */
int bd_content_digest(const struct bd_content *c, char out[BD_DIGEST_LEN], struct dray_err *err);
/** The whole content of a small file, at most max bytes. */
int bd_tree_read(struct bd_tree *t, const char *path, size_t max, struct bd_buf *out,
                 struct dray_err *err);

/* tree_dir.c */

/** The folder fd, which the tree takes. */
int bd_tree_dir(int fd /* takes */, struct bd_tree **out, struct dray_err *err);

/* tree_tar.c */

/** A tree that is filled piece by piece. Content goes to the unnamed file spool (taken). */
int bd_tree_tar(int spool /* takes */, struct bd_tree **out, struct dray_err *err);
/** A tar in any compression. */
struct bd_tar_input {
    const void *head; /**< n_head bytes that were read from fd already */
    size_t n_head;
    int fd;
    int cancel_fd; /**< readable: give up */
    int raw;       /**< an unnamed file, taken: an uncompressed tar is kept in it as it comes */
    bool there; /**< raw is what fd is, a plain file read from its start: nothing is to be kept */
};
/** Fill the tree from a tar; once. */
int bd_tree_tar_read(struct bd_tree *t, const struct bd_tar_input *in, struct dray_err *err);
/** Put a file of its own, replacing what is there. */
int bd_tree_tar_put(struct bd_tree *t, const char *path, const void *data, size_t n, mode_t mode,
                    struct dray_err *err);
/** Copy one entry of another tree. */
int bd_tree_tar_take(struct bd_tree *t, const char *path, struct bd_tree *from,
                     const char *from_path, const struct bd_entry *e, struct dray_err *err);
/** Make a file of n bytes that lie in the spool already, at `at`. */
int bd_tree_tar_note(struct bd_tree *t, const char *path, off_t at, int64_t n, mode_t mode,
                     int64_t mtime_s, struct dray_err *err);
void bd_tree_tar_remove(struct bd_tree *t, const char *path);

#endif
