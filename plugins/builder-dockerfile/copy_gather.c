/* SPDX-License-Identifier: Apache-2.0 */
/* copy_gather.c - the sources of COPY and ADD: wildcards, links, what is left out, their digest. */
#include "copy.h"

#define DEPTH_MAX 1024

struct bd_source *bd_copy_add(struct bd_copying *c, struct bd_tree *tree, const char *path,
                              const char *name)
{
    struct bd_source *grown = reallocarray(c->v, c->n + 1, sizeof *grown);
    if (!grown)
        return NULL;
    c->v = grown;
    struct bd_source *src = &c->v[c->n];
    *src = (struct bd_source){.tree = tree, .path = strdup(path), .name = strdup(name)};
    if (!src->path || !src->name) {
        free(src->path);
        free(src->name);
        return NULL;
    }
    c->n++;
    return src;
}

/* --- what is left out --------------------------------------------------------------------------*/

static bool matches(const struct dray_glob *g, const char *path)
{
    size_t n = strlen(path);
    for (size_t at = 0; at <= n; at++)
        if ((path[at] == '/' || path[at] == '\0') && at > 0 && dray_glob_match(g, path, at))
            return true;
    return false;
}

static bool left_out(const struct bd_copying *c, const char *path)
{
    bool out = false;
    for (uint64_t i = 0; i < c->in->excludes.n; i++) {
        bool back = c->in->excludes.v[i][0] == '!';
        if (out == back && matches(&c->excludes[i], path))
            out = !back;
    }
    return out;
}

bool bd_copy_excluded(const struct bd_copying *c, const struct bd_source *src, const char *path)
{
    if (c->in->excludes.n == 0 || !*path)
        return false;
    size_t n = strlen(src->path);
    const char *inside = path + n + (n > 0 && path[n] == '/');
    return left_out(c, path) || (*inside && left_out(c, inside));
}

/* --- finding -----------------------------------------------------------------------------------*/

static int missing(const struct bd_copying *c, const char *path, struct dray_err *err)
{
    if (c->in->from)
        return dray_fail(err, DRAY_E_INVAL, "stat %s: file does not exist", path);
    return dray_fail(err, DRAY_E_INVAL,
                     "file not found in build context or excluded by .dockerignore: stat %s: file "
                     "does not exist",
                     path);
}

/* The part of a path behind "/./", which --parents keeps. */
static const char *behind_pivot(const char *path)
{
    const char *at = strstr(path, "/./");
    return at ? at + 3 : path;
}

/* A source by its path as it is written, without wildcards. */
static int add_path(struct bd_copying *c, struct bd_tree *tree, const char *given, bool must,
                    struct dray_err *err)
{
    dray_autofree char *real = NULL;
    dray_autofree char *clean = bd_path_clean(given);
    struct bd_entry e;
    if (!clean)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = bd_tree_resolve(tree, clean, true, &real, &e, err);
    if (rc)
        return rc;
    if (e.mode == 0)
        return must ? missing(c, clean, err) : 0;
    struct bd_source *src = bd_copy_add(c, tree, real, bd_path_base(clean));
    if (!src)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    src->entry = e;
    if (c->in->parents) {
        dray_autofree char *kept = bd_path_clean(behind_pivot(given));
        src->above = kept ? strndup(clean, strlen(clean) - strlen(kept)) : NULL;
        if (!src->above)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        free(src->name);
        src->name = dray_steal(kept);
    }
    if (bd_copy_excluded(c, src, src->path) && !S_ISDIR(e.mode)) {
        free(src->path);
        free(src->name);
        free(src->above);
        c->n--;
    }
    return 0;
}

/* All that matches a pattern, component by component, in the order of names. */
static int expand(struct bd_copying *c, struct bd_tree *tree, const char *dir, const char *pattern,
                  struct dray_err *err)
{
    size_t n = strcspn(pattern, "/");
    const char *rest = pattern + n + strspn(pattern + n, "/");
    dray_autofree char *part = strndup(pattern, n);
    dray_autofree char *real = NULL;
    DRAY_AUTO(bd_list) names = {0};
    struct bd_entry e;
    if (!part)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = bd_tree_resolve(tree, dir, true, &real, &e, err);
    if (rc || !S_ISDIR(e.mode))
        return rc;
    if (dray_path_is_glob(part))
        rc = tree->ops->list(tree, real, &names, err);
    else
        rc = bd_list_add(&names, part) ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < names.n; i++) {
        int hit = dray_path_is_glob(part) ? dray_path_match(part, names.v[i], err) : 1;
        if (hit < 0)
            return hit;
        dray_autofree char *path = hit ? bd_strf("%s%s%s", dir, *dir ? "/" : "", names.v[i]) : NULL;
        if (!hit)
            continue;
        if (!path)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rc = *rest ? expand(c, tree, path, rest, err) : add_path(c, tree, path, false, err);
    }
    return rc;
}

/* --parents keeps what a wildcard stands for, and what is behind the pivot. */
static int expand_with_parents(struct bd_copying *c, struct bd_tree *tree, const char *pattern,
                               struct dray_err *err)
{
    const char *kept = behind_pivot(pattern);
    size_t cut = (size_t)(kept - pattern);
    size_t first = c->n;
    dray_autofree char *clean = bd_path_clean(pattern);
    dray_autofree char *above = strndup(pattern, cut);
    dray_autofree char *base = above ? bd_path_clean(above) : NULL;
    if (!clean || !base)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = expand(c, tree, "", clean, err);
    size_t skip = strlen(base) + (*base != '\0');
    for (size_t i = first; !rc && i < c->n; i++) {
        struct bd_source *src = &c->v[i];
        if (skip && strlen(src->name) > skip)
            memmove(src->name, src->name + skip, strlen(src->name) - skip + 1);
        free(src->above);
        src->above = bd_strf("%s%s", base, *base ? "/" : "");
        if (!src->above)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return rc;
}

int bd_copy_gather(struct bd_copying *c, struct bd_tree *tree, struct dray_err *err)
{
    int rc = 0;
    for (uint64_t i = 0; !rc && i < c->in->sources.n; i++) {
        const char *given = c->in->sources.v[i];
        if (c->add && bd_add_is_remote(given)) {
            rc = bd_add_fetch(c, given, err);
            continue;
        }
        if (!dray_path_is_glob(given)) {
            rc = add_path(c, tree, given, true, err);
            continue;
        }
        dray_autofree char *clean = bd_path_clean(given);
        if (!clean)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rc = c->in->parents ? expand_with_parents(c, tree, given, err)
                            : expand(c, tree, "", clean, err);
    }
    for (size_t i = 0; !rc && i < c->n; i++)
        rc = bd_add_detect(c, &c->v[i], err);
    return rc;
}

/* --- digest ------------------------------------------------------------------------------------*/

static int sum_xattr(void *ctx, const char *name, const void *value, size_t n)
{
    struct bd_sum *sum = ctx;
    bd_sum_text(sum, name);
    bd_sum_num(sum, (int64_t)n);
    bd_sum_add(sum, value, n);
    return 0;
}

static int sum_entry(struct bd_copying *c, const struct bd_source *src, const char *path,
                     const struct bd_entry *e, struct bd_sum *sum, struct dray_err *err)
{
    bd_sum_num(sum, e->mode);
    if (c->keep_owner) {
        bd_sum_num(sum, e->uid);
        bd_sum_num(sum, e->gid);
    }
    if (S_ISLNK(e->mode)) {
        dray_autofree char *target = NULL;
        int rc = src->tree->ops->link(src->tree, path, &target, err);
        if (!rc)
            bd_sum_text(sum, target);
        return rc;
    }
    if (S_ISCHR(e->mode) || S_ISBLK(e->mode))
        bd_sum_num(sum, (int64_t)e->rdev);
    (void)src->tree->ops->xattrs(src->tree, path, sum_xattr, sum);
    if (!S_ISREG(e->mode))
        return 0;
    struct bd_content content = {.fd = -EBADF};
    char digest[BD_DIGEST_LEN];
    int rc = src->tree->ops->open(src->tree, path, &content, err);
    if (!rc)
        rc = bd_content_digest(&content, digest, err);
    bd_content_close(&content);
    if (!rc)
        bd_sum_text(sum, digest);
    return rc;
}

/* A folder's content, below its own name "". */
static int sum_tree(struct bd_copying *c, const struct bd_source *src, const char *path, int depth,
                    struct bd_sum *sum, struct dray_err *err)
{
    DRAY_AUTO(bd_list) names = {0};
    if (depth > DEPTH_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "%s: folders are nested too deep", src->path);
    int rc = src->tree->ops->list(src->tree, path, &names, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        dray_autofree char *child = bd_path_join(path, names.v[i]);
        struct bd_entry e;
        if (!child)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rc = src->tree->ops->stat(src->tree, child, &e, err);
        bool out = bd_copy_excluded(c, src, child);
        if (rc || (out && !S_ISDIR(e.mode)))
            continue;
        bd_sum_text(sum, child + strlen(src->path));
        if (!out)
            rc = sum_entry(c, src, child, &e, sum, err);
        if (!rc && S_ISDIR(e.mode))
            rc = sum_tree(c, src, child, depth + 1, sum, err);
    }
    return rc;
}

static int hash_source(struct bd_copying *c, struct bd_source *src, struct dray_err *err)
{
    bd_autosum *sum = bd_sum_new();
    int rc = 0;
    if (!sum)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!src->tree)
        bd_sum_add(sum, src->data, src->n_data);
    else
        rc = sum_entry(c, src, src->path, &src->entry, sum, err);
    if (!rc && src->tree && S_ISDIR(src->entry.mode))
        rc = sum_tree(c, src, src->path, 0, sum, err);
    bd_sum_end(sum, src->hash);
    return rc;
}

int bd_copy_hash(struct bd_copying *c, char out[BD_DIGEST_LEN + 8], struct dray_err *err)
{
    bd_autosum *all = bd_sum_new();
    int rc = all ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < c->n; i++) {
        rc = hash_source(c, &c->v[i], err);
        bd_sum_text(all, c->v[i].name);
        bd_sum_num(all, S_ISDIR(c->v[i].entry.mode));
        bd_sum_text(all, c->v[i].hash);
    }
    if (rc)
        return rc;
    char digest[BD_DIGEST_LEN];
    bd_sum_end(all, digest);
    const char *kind = c->n > 1 ? "multi" : S_ISDIR(c->v[0].entry.mode) ? "dir" : "file";
    (void)snprintf(out, BD_DIGEST_LEN + 8, "%s:%s", kind, digest + strlen("sha256:"));
    return 0;
}
