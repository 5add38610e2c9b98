/* SPDX-License-Identifier: Apache-2.0 */
/* copy.h - COPY and ADD: what is copied, as it is gathered, counted for the cache and written. */
#ifndef BUILDER_COPY_H
#define BUILDER_COPY_H

#include "bd.h"
#include "tarout.h"

#include <dray/pathmatch.h>

/** One thing to be copied. */
struct bd_source {
    struct bd_tree *tree; /**< NULL: data */
    char *path;           /**< resolved, in tree; owned */
    char *name;           /**< what it is called where it goes; owned */
    struct bd_entry entry;
    const char *data; /**< of a here-document */
    size_t n_data;
    int64_t mtime_s;
    bool fetched; /**< from afar */
    bool unpack;  /**< an archive whose content is meant */
    bool whole;   /**< a folder that is copied itself, not only what is in it */
    char *above;  /**< --parents: path in tree of what stands for the destination; owned */
    char hash[BD_DIGEST_LEN];
};

/** One COPY or ADD. */
struct bd_copying {
    struct bd_stage *stage;
    const struct dray_df_copy *in;
    bool add;
    bool keep_owner; /**< from another stage or an image, without --chown */
    bool has_owner;
    uid_t uid;
    gid_t gid;
    char *dest; /**< absolute, as the instruction means it; owned */
    bool into;  /**< the destination is a folder by its spelling */
    struct bd_source *v;
    size_t n;
    struct bd_tree *from;     /**< owned */
    struct bd_tree **fetched; /**< what ADD loaded; owned */
    size_t n_fetched;
    struct dray_glob *excludes; /**< as many as in->excludes */
};

void bd_copying_cleanup(struct bd_copying *c);
/** Work out the destination: the first thing to be done. */
int bd_copy_start(struct bd_copying *c, struct dray_err *err);
/** Resolve the sources in the tree. */
int bd_copy_gather(struct bd_copying *c, struct bd_tree *tree, struct dray_err *err);
struct bd_source *bd_copy_add(struct bd_copying *c, struct bd_tree *tree, const char *path,
                              const char *name);
/** Digest of all that is copied: what the cache knows it by, and what the history says. */
int bd_copy_hash(struct bd_copying *c, char out[BD_DIGEST_LEN + 8], struct dray_err *err);
/** Is the path (in a source's tree) left out? */
bool bd_copy_excluded(const struct bd_copying *c, const struct bd_source *src, const char *path);
/** Write all as entries of a layer. A bd_layer_write_fn. */
int bd_copy_write(void *copying, struct bd_tarout *t, struct bd_tree *root, struct dray_err *err);

/* add.c */

/** A URL or a git repository? */
bool bd_add_is_remote(const char *source);
/** Fetch it, and add it as a source. */
int bd_add_fetch(struct bd_copying *c, const char *url, struct dray_err *err);
/** See whether a source of ADD is an archive to be unpacked. */
int bd_add_detect(struct bd_copying *c, struct bd_source *src, struct dray_err *err);

/* unpack.c */

/** Is the file a tar, plain or compressed? */
bool bd_is_archive(const struct bd_content *content);
/** Write the entries of an archive below a folder. */
int bd_copy_unpack(struct bd_copying *c, const struct bd_content *archive, const char *folder,
                   struct bd_tarout *t, struct bd_tree *root, struct dray_err *err);

#endif
