/* SPDX-License-Identifier: Apache-2.0 */
/* tree_compare.c - walks two trees side by side and reports how they differ. */
#include "files.h"
#include "layer_tar.h"
#include "xattrs.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A folder on the way from the root to where the walk is. */
struct level {
    struct level *up;
    int upper, lower; /* lower -EBADF: nothing to compare with */
    unsigned depth;
    size_t path_len;       /* of walk.path up to this folder */
    const char *name;      /* in up->upper */
    const struct stat *st; /* of the folder itself */
    bool opaque;
    bool told; /* reported, or nothing to report */
};

struct walk {
    const struct dray_layer_pair *pair;
    dray_layer_change_fn fn;
    void *arg;
    struct dray_err *err;
    char path[PATH_MAX];
};

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* Equal, or one of them was stored without its nanoseconds. */
static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec &&
           (a->tv_nsec == b->tv_nsec || a->tv_nsec == 0 || b->tv_nsec == 0);
}

static bool same_capability(const struct level *at, const char *name)
{
    const char key[] = "security.capability";
    dray_autofree char *a = NULL;
    dray_autofree char *b = NULL;
    ssize_t n = dray_pl_xattr_get(at->upper, name, key, &a);
    ssize_t m = dray_pl_xattr_get(at->lower, name, key, &b);
    if (n <= 0 || m <= 0)
        return (n > 0) == (m > 0);
    return n == m && memcmp(a, b, (size_t)n) == 0;
}

/* What `docker diff` takes for a change: not the content, but what changing it leaves behind. */
static bool differs(const struct level *at, const char *name, const struct stat *a,
                    const struct stat *b)
{
    if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
        a->st_rdev != b->st_rdev)
        return true;
    if (S_ISDIR(a->st_mode))
        return false;
    return a->st_size != b->st_size || !same_time(&a->st_mtim, &b->st_mtim) ||
           (S_ISREG(a->st_mode) && !same_capability(at, name));
}

/* --- reporting --------------------------------------------------------------------------------*/

static int tell_level(struct walk *w, struct level *at)
{
    if (at->told)
        return 0;
    int rc = tell_level(w, at->up);
    if (rc != 0)
        return rc;
    at->told = true;
    char saved = w->path[at->path_len];
    w->path[at->path_len] = '\0';
    const struct dray_layer_change change = {.kind = DRAY_LAYER_MODIFIED,
                                             .path = w->path,
                                             .dirfd = at->up->upper,
                                             .name = at->name,
                                             .st = at->st,
                                             .opaque = at->opaque};
    rc = w->fn(w->arg, &change, w->err);
    w->path[at->path_len] = saved;
    return rc;
}

static int tell(struct walk *w, struct level *at, uint32_t kind, const char *name,
                const struct stat *st, bool opaque)
{
    int rc = tell_level(w, at);
    if (rc != 0)
        return rc;
    const struct dray_layer_change change = {.kind = kind,
                                             .path = w->path,
                                             .dirfd = at->upper,
                                             .name = name,
                                             .st = st,
                                             .opaque = opaque};
    return w->fn(w->arg, &change, w->err);
}

/* Make w->path name an entry of the folder. */
static int extend_path(struct walk *w, const struct level *at, const char *name)
{
    size_t len = at->path_len, n = strlen(name);
    if (len + n + 2 > sizeof w->path)
        return dray_fail(w->err, DRAY_E_LIMIT, "a path is longer than %d bytes", PATH_MAX);
    if (len > 0)
        w->path[len++] = '/';
    memcpy(w->path + len, name, n + 1);
    return 0;
}

/* --- walking ----------------------------------------------------------------------------------*/

static int walk_folder(struct walk *w, struct level *at);

/* Go into a folder of upper; compare: lower has a folder of that name too. */
static int descend(struct walk *w, struct level *at, const char *name, const struct stat *st,
                   bool compare, bool opaque, bool told)
{
    if (at->depth >= DRAY_PL_DEPTH_MAX)
        return dray_fail(w->err, DRAY_E_LIMIT, "folders are nested too deep");
    dray_autofd int upper = dray_pl_subdir(at->upper, name);
    if (upper < 0) /* gone meanwhile, or another mount: not part of the layer */
        return errno == ENOENT || errno == EXDEV ? 0 : dray_fail_errno(w->err, "open /%s", w->path);
    dray_autofd int lower = compare ? dray_pl_subdir(at->lower, name) : -EBADF;
    if (compare && lower < 0)
        return dray_fail_errno(w->err, "open /%s below", w->path);
    struct level next = {.up = at,
                         .upper = upper,
                         .lower = lower,
                         .depth = at->depth + 1,
                         .path_len = strlen(w->path),
                         .name = name,
                         .st = st,
                         .opaque = opaque,
                         .told = told};
    return walk_folder(w, &next);
}

static int walk_entry(struct walk *w, struct level *at, const char *name)
{
    struct stat st, old;
    if (fstatat(at->upper, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(w->err, "stat /%s", w->path);
    bool known = at->lower >= 0 && fstatat(at->lower, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
    if (w->pair->native && is_whiteout(&st))
        return known || w->pair->lower < 0 ? tell(w, at, DRAY_LAYER_DELETED, name, NULL, false) : 0;
    bool folder = S_ISDIR(st.st_mode);
    bool opaque = folder && w->pair->native && dray_pl_is_opaque(at->upper, name);
    bool both = known && folder && S_ISDIR(old.st_mode);
    bool changed = !known || opaque || differs(at, name, &st, &old);
    int rc = 0;
    if (changed)
        rc = tell(w, at, known ? DRAY_LAYER_MODIFIED : DRAY_LAYER_ADDED, name, &st, opaque);
    return rc == 0 && folder ? descend(w, at, name, &st, both, opaque, changed) : rc;
}

static int report_gone(struct walk *w, struct level *at, const char *name)
{
    int rc = extend_path(w, at, name);
    return rc < 0 ? rc : tell(w, at, DRAY_LAYER_DELETED, name, NULL, false);
}

/* Must names of lower that are missing in upper be looked for? Overlayfs marks them itself. */
static bool needs_lower_names(const struct walk *w, const struct level *at)
{
    return at->lower >= 0 && (!w->pair->native || at->opaque);
}

static int walk_folder(struct walk *w, struct level *at)
{
    DRAY_AUTO(dray_pl_dir) now = {0};
    DRAY_AUTO(dray_pl_dir) was = {0};
    int rc = dray_pl_dir_read(at->upper, true, &now, w->err);
    if (rc == 0 && needs_lower_names(w, at))
        rc = dray_pl_dir_read(at->lower, true, &was, w->err);
    size_t j = 0;
    for (size_t i = 0; rc == 0 && i < now.n; i++) {
        const char *name = now.v[i].text;
        for (; rc == 0 && j < was.n && strcmp(was.v[j].text, name) < 0; j++)
            rc = report_gone(w, at, was.v[j].text);
        j += rc == 0 && j < was.n && strcmp(was.v[j].text, name) == 0;
        if (rc == 0)
            rc = extend_path(w, at, name);
        if (rc == 0)
            rc = walk_entry(w, at, name);
    }
    for (; rc == 0 && j < was.n; j++)
        rc = report_gone(w, at, was.v[j].text);
    return rc;
}

int dray_layer_compare(const struct dray_layer_pair *pair, dray_layer_change_fn fn, void *arg,
                       struct dray_err *err)
{
    struct walk *w = calloc(1, sizeof *w);
    if (!w)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    w->pair = pair;
    w->fn = fn;
    w->arg = arg;
    w->err = err;
    struct level root = {
        .upper = pair->upper, .lower = pair->lower, .opaque = pair->opaque_root, .told = true};
    int rc = walk_folder(w, &root);
    free(w);
    return rc;
}
