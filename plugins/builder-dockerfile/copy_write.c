/* SPDX-License-Identifier: Apache-2.0 */
/* copy_write.c - writes what COPY and ADD copy as entries of a layer. */
#include "copy.h"

#include <json-c/linkhash.h>

#define DEPTH_MAX 1024

/* Where an entry goes, and how it is dressed. */
struct target {
    struct bd_copying *c;
    struct bd_tarout *t;
    struct bd_tree *root;
    int64_t now_s;
};

static int check_name(const char *path, struct dray_err *err)
{
    if (bd_prefix(bd_path_base(path), ".wh."))
        return dray_fail(err, DRAY_E_INVAL,
                         "%s: a name that begins with .wh. means a deletion in a layer, so it "
                         "cannot be copied",
                         path);
    return 0;
}

static int dress(const struct target *to, const struct bd_entry *e, struct bd_tar_entry *out,
                 struct dray_err *err)
{
    const struct bd_copying *c = to->c;
    int64_t epoch = c->stage->build->epoch_s;
    out->mode = e->mode;
    out->uid = c->keep_owner ? e->uid : c->uid;
    out->gid = c->keep_owner ? e->gid : c->gid;
    out->size = e->size;
    out->mtime_s = epoch >= 0 && e->mtime_s > epoch ? epoch : e->mtime_s;
    out->rdev = e->rdev;
    if ((S_ISCHR(e->mode) || S_ISBLK(e->mode)) && e->rdev == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "%s: device 0:0 means a deletion in a layer, so it "
                         "cannot be copied",
                         out->path);
    if (!c->in->chmod || S_ISLNK(e->mode))
        return 0;
    return bd_chmod(c->in->chmod, e->mode, &out->mode, err);
}

static int write_file(const struct target *to, const struct bd_source *src, const char *path,
                      struct bd_tar_entry *e, struct dray_err *err)
{
    struct bd_content content = {.fd = -EBADF};
    if (!src->tree) {
        int rc = bd_tarout_head(to->t, e, err);
        if (!rc)
            rc = bd_tarout_data(to->t, src->data, src->n_data, err);
        return rc ? rc : bd_tarout_pad(to->t, (int64_t)src->n_data, err);
    }
    int rc = src->tree->ops->open(src->tree, path, &content, err);
    if (!rc) {
        e->size = content.size;
        rc = bd_layer_entry(to->t, src->tree, path, e, err);
    }
    if (!rc)
        rc = bd_tarout_content(to->t, &content, err);
    bd_content_close(&content);
    return rc;
}

/* One entry at a place whose folders are there. */
static int write_entry(const struct target *to, const struct bd_source *src, const char *path,
                       const struct bd_entry *from, const char *place, struct dray_err *err)
{
    struct bd_tar_entry e = {.path = place};
    dray_autofree char *link = NULL;
    int rc = check_name(place, err);
    if (!rc)
        rc = dress(to, from, &e, err);
    if (rc)
        return rc;
    if (S_ISREG(from->mode))
        return write_file(to, src, path, &e, err);
    if (S_ISDIR(from->mode))
        (void)bd_tarout_once(to->t, place);
    if (S_ISLNK(from->mode)) {
        rc = src->tree->ops->link(src->tree, path, &link, err);
        e.link = link;
    }
    return rc ? rc : bd_layer_entry(to->t, src->tree, path, &e, err);
}

/* What is in a folder, below a place that is there. */
static int write_content(const struct target *to, const struct bd_source *src, const char *path,
                         const char *place, int depth, struct dray_err *err)
{
    DRAY_AUTO(bd_list) names = {0};
    if (depth > DEPTH_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "%s: folders are nested too deep", src->path);
    int rc = src->tree->ops->list(src->tree, path, &names, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        dray_autofree char *child = bd_path_join(path, names.v[i]);
        dray_autofree char *there = bd_path_join(place, names.v[i]);
        struct bd_entry e;
        if (!child || !there)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rc = src->tree->ops->stat(src->tree, child, &e, err);
        if (rc || (bd_copy_excluded(to->c, src, child) && to->c->in->excludes.n))
            continue;
        rc = write_entry(to, src, child, &e, there, err);
        if (!rc && S_ISDIR(e.mode))
            rc = write_content(to, src, child, there, depth + 1, err);
    }
    return rc;
}

static int parents(const struct target *to, const char *place, bool itself, struct dray_err *err)
{
    return bd_layer_parents(to->t, to->root, place, itself, to->c->uid, to->c->gid, to->now_s, err);
}

/* --parents: the folders on the way look as in the source. */
static int write_way(const struct target *to, const struct bd_source *src, const char *base,
                     struct dray_err *err)
{
    int rc = 0;
    for (const char *slash = strchr(src->name, '/'); !rc && slash; slash = strchr(slash + 1, '/')) {
        dray_autofree char *part = strndup(src->name, (size_t)(slash - src->name));
        dray_autofree char *path = part ? bd_strf("%s%s", src->above, part) : NULL;
        dray_autofree char *place = part ? bd_path_join(base, part) : NULL;
        dray_autofree char *real = NULL;
        struct bd_entry e;
        if (!path || !place)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rc = bd_tree_resolve(src->tree, path, true, &real, &e, err);
        if (!rc && S_ISDIR(e.mode) && !bd_tarout_once(to->t, place))
            rc = write_entry(to, src, real, &e, place, err);
    }
    return rc;
}

/* A folder: what is in it goes into the destination. */
static int write_folder(const struct target *to, const struct bd_source *src, const char *place,
                        const struct bd_entry *there, struct dray_err *err)
{
    if (there->mode && !S_ISDIR(there->mode))
        return dray_fail(err, DRAY_E_INVAL, "cannot copy to non-directory: /%s", place);
    int rc = parents(to, place, true, err);
    return rc ? rc : write_content(to, src, src->path, place, 0, err);
}

static int write_source(const struct target *to, const struct bd_source *src, struct dray_err *err)
{
    struct bd_copying *c = to->c;
    dray_autofree char *base = NULL;
    dray_autofree char *place = NULL;
    struct bd_entry there;
    int rc = bd_tree_resolve(to->root, c->dest, true, &base, &there, err);
    if (rc)
        return rc;
    if (src->unpack) {
        struct bd_content content = {.fd = -EBADF};
        rc = parents(to, base, true, err);
        if (!rc)
            rc = src->tree->ops->open(src->tree, src->path, &content, err);
        if (!rc)
            rc = bd_copy_unpack(c, &content, base, to->t, to->root, err);
        bd_content_close(&content);
        return rc;
    }
    if (S_ISDIR(src->entry.mode) && !c->in->parents)
        return write_folder(to, src, base, &there, err);
    bool inside = c->into || S_ISDIR(there.mode) || c->in->parents;
    if (!inside) {
        rc = parents(to, base, false, err);
        return rc ? rc : write_entry(to, src, src->path, &src->entry, base, err);
    }
    rc = parents(to, base, true, err);
    if (!rc && c->in->parents)
        rc = write_way(to, src, base, err);
    place = bd_path_join(base, src->name);
    if (!rc && !place)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && S_ISDIR(src->entry.mode)) {
        if (!bd_tarout_once(to->t, place))
            rc = write_entry(to, src, src->path, &src->entry, place, err);
        return rc ? rc : write_content(to, src, src->path, place, 0, err);
    }
    return rc ? rc : write_entry(to, src, src->path, &src->entry, place, err);
}

int bd_copy_write(void *copying, struct bd_tarout *t, struct bd_tree *root, struct dray_err *err)
{
    struct bd_copying *c = copying;
    const struct target to = {
        .c = c, .t = t, .root = root, .now_s = bd_step_time(c->stage->build) / 1000000000};
    int rc = 0;
    for (size_t i = 0; !rc && i < c->n; i++)
        rc = write_source(&to, &c->v[i], err);
    return rc;
}
