/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - what the files of the local volume driver share. A volume is ROOT/<name>/_data, and
 * ROOT/<name>/opts.json in Docker's own format when it was made with options. It exists once _data
 * does.
 */
#ifndef DRAY_VOLUME_LOCAL_H
#define DRAY_VOLUME_LOCAL_H

#include "files.h"
#include "quota.h"
#include "trash.h"

#include <dray/plugin.h>
#include <dray/volume.h>
#include <limits.h>
#include <pthread.h>

#define VOLUME_NAME_MAX 255u

/* Who uses a volume that is in use. The host lets one call at a time deal with one volume. */
struct volume_use {
    struct volume_use *next;
    char **users;
    size_t n_users;
    char name[];
};

struct dray_self {
    const struct dray_host *host;
    char *root;
    int root_fd;
    struct dray_pl_trash *trash;
    struct dray_pl_quota *quota; /* NULL: none here */
    pthread_mutex_t lock;        /* guards: uses (the list, not what a row holds) */
    struct volume_use *uses;
};

extern const struct dray_volume_ops dray_local_ops;

/* The options of a volume; all empty: a plain folder. */
struct local_opts {
    char *type, *device, *o;
    uint64_t size;
};
void local_opts_cleanup(struct local_opts *opts);
/* From a create call, checked as Docker does. */
int dray_local_opts_parse(const struct dray_self *self, struct dray_kvs kvs, struct local_opts *out,
                          struct dray_err *err);
bool dray_local_opts_equal(const struct local_opts *a, const struct local_opts *b);
bool dray_local_opts_empty(const struct local_opts *opts);
/* Must something be mounted at _data? */
bool dray_local_opts_mounts(const struct local_opts *opts);
/* Read or replace opts.json of the volume's folder; an absent file is empty options. */
int dray_local_opts_load(int dir, struct local_opts *out, struct dray_err *err);
int dray_local_opts_save(int dir, const struct local_opts *opts, struct dray_err *err);

/* What _data in a volume's folder is. */
enum dray_local_state {
    DRAY_LOCAL_ABSENT,
    DRAY_LOCAL_PLAIN,
    DRAY_LOCAL_MOUNTED,
};
enum dray_local_state dray_local_state(int dir);
int dray_local_attach(const struct local_opts *opts, const char *path, struct dray_err *err);
int dray_local_detach(const char *path, struct dray_err *err);

/*
 * Bind a free loop device to the image file at path; the kernel lets it go with its last user.
 * *fd_out keeps it until the mount is made.
 */
int dray_local_loop(const char *image, bool rdonly, char device[32], int *fd_out,
                    struct dray_err *err);

#endif
