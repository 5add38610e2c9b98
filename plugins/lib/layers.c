/* SPDX-License-Identifier: Apache-2.0 */
/* layers.c - the table of layers and the operations on it. */
#include "layers_table.h"

#include <fcntl.h>
#include <sys/stat.h>

static bool id_is_good(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n > 0 && n <= DRAY_PL_ID_MAX && id[n] == '\0';
}

static int not_found(struct dray_err *err, const char *id)
{
    return dray_fail(err, DRAY_E_NOTFOUND, "no such layer: %.128s", id);
}

const char *dray_pl_layers_root(const struct dray_pl_layers *set)
{
    return set->root;
}

struct dray_pl_trash *dray_pl_layers_trash(struct dray_pl_layers *set)
{
    return set->trash;
}

/* --- create -----------------------------------------------------------------------------------*/

static int check_existing(const struct layer_row *row, const char *parent, bool writable,
                          struct dray_err *err)
{
    if (row->busy)
        return dray_fail(err, DRAY_E_BUSY, "layer %s is being made or removed", row->info.id);
    if (strcmp(row->info.parent, parent) != 0 || row->info.writable != writable)
        return dray_fail(err, DRAY_E_CONFLICT, "layer %s exists with another parent or use",
                         row->info.id);
    return 0;
}

/* A busy row for the new layer, in *out; NULL without error: it exists already. Locked. */
static int reserve(struct dray_pl_layers *set, const char *id, const char *parent, bool writable,
                   struct layer_row **out, struct dray_err *err)
{
    struct layer_row *row = dray_layers_find(set, id);
    if (row)
        return check_existing(row, parent, writable, err);
    struct layer_row *above = *parent ? dray_layers_find(set, parent) : NULL;
    if (*parent && (!above || above->busy))
        return dray_fail(err, DRAY_E_NOTFOUND, "no such parent layer: %s", parent);
    row = calloc(1, sizeof *row);
    if (!row)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    memcpy(row->info.id, id, strlen(id) + 1);
    memcpy(row->info.parent, parent, strlen(parent) + 1);
    if (!writable)
        dray_layers_next_link(set, row->info.link);
    row->info.writable = writable;
    row->busy = true;
    row->parent = above;
    if (above)
        above->children++;
    dray_layers_insert(set, row);
    *out = row;
    return 0;
}

static int open_diff(struct dray_pl_layers *set, const char *id, int *fd_out, struct dray_err *err)
{
    char path[DRAY_PL_ID_MAX + 8];
    (void)snprintf(path, sizeof path, "%s/diff", id);
    *fd_out = openat(set->layers_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd_out < 0 ? dray_fail_errno(err, "open layer %s", id) : 0;
}

/* The root of a container's layer looks like the root below it. */
static int make_content(int dir, int parent_diff, struct dray_err *err)
{
    struct stat st = {.st_mode = 0755, .st_uid = geteuid(), .st_gid = getegid()};
    if (parent_diff >= 0 && fstat(parent_diff, &st) < 0)
        return dray_fail_errno(err, "stat the parent layer");
    dray_autofd int diff = -EBADF;
    int rc = dray_pl_open_dir(dir, "diff", 0755, &diff, err);
    if (rc < 0)
        return rc;
    if ((st.st_uid != geteuid() || st.st_gid != getegid()) &&
        fchown(diff, st.st_uid, st.st_gid) < 0)
        return dray_fail_errno(err, "set the layer's owner");
    if (fchmod(diff, st.st_mode & 07777) < 0)
        return dray_fail_errno(err, "set the layer's mode");
    return 0;
}

static int make_on_disk(struct dray_pl_layers *set, const struct dray_pl_layer *l,
                        dray_pl_layer_fill_fn fill, void *arg, struct dray_err *err)
{
    dray_autofd int dir = -EBADF;
    dray_autofd int parent = -EBADF;
    if (l->writable)
        (void)dray_layers_take_spare(set, l->id);
    int rc = dray_pl_open_dir(set->layers_fd, l->id, 0711, &dir, err);
    if (rc == 0 && l->parent[0] != '\0')
        rc = open_diff(set, l->parent, &parent, err);
    if (rc == 0)
        rc = make_content(dir, parent, err);
    if (rc == 0 && fill)
        rc = fill(arg, l, dir, parent, err);
    if (rc == 0 && l->link[0] != '\0')
        rc = dray_layers_make_link(set, l, err);
    return rc < 0 ? rc : dray_layers_write_meta(dir, l, err);
}

static void drop_link(struct dray_pl_layers *set, const struct layer_row *row)
{
    if (row->info.link[0] != '\0')
        (void)unlinkat(set->links_fd, row->info.link, 0);
}

static int settle(struct dray_pl_layers *set, struct layer_row *row, int rc)
{
    if (rc < 0) {
        drop_link(set, row);
        (void)dray_pl_trash_put(set->trash, set->layers_fd, row->info.id, NULL);
    }
    (void)pthread_mutex_lock(&set->lock);
    row->busy = false;
    if (rc < 0)
        dray_layers_erase(set, row);
    (void)pthread_mutex_unlock(&set->lock);
    return rc;
}

int dray_pl_layers_create(struct dray_pl_layers *set, const char *id, const char *parent,
                          uint32_t flags, dray_pl_layer_fill_fn fill, void *arg,
                          struct dray_err *err)
{
    if (!id_is_good(id) || (*parent && !id_is_good(parent)))
        return dray_fail(err, DRAY_E_INVAL, "invalid layer id");
    struct layer_row *row = NULL;
    (void)pthread_mutex_lock(&set->lock);
    int rc = reserve(set, id, parent, (flags & DRAY_LAYER_WRITABLE) != 0, &row, err);
    (void)pthread_mutex_unlock(&set->lock);
    if (rc < 0 || !row)
        return rc;
    /* A busy row is nobody else's: it may be read without the lock. */
    return settle(set, row, make_on_disk(set, &row->info, fill, arg, err));
}

/* --- remove -----------------------------------------------------------------------------------*/

int dray_pl_layers_remove(struct dray_pl_layers *set, const char *id, struct dray_err *err)
{
    (void)pthread_mutex_lock(&set->lock);
    struct layer_row *row = dray_layers_find(set, id);
    int rc = 0;
    if (row && row->busy)
        rc = dray_fail(err, DRAY_E_BUSY, "layer %s is being made or removed", id);
    else if (row && row->children > 0)
        rc = dray_fail(err, DRAY_E_CONFLICT, "layer %s is the parent of %u others", id,
                       row->children);
    else if (row)
        row->busy = true;
    (void)pthread_mutex_unlock(&set->lock);
    if (rc < 0 || !row)
        return rc;
    rc = dray_pl_trash_put(set->trash, set->layers_fd, id, err);
    if (rc == 0)
        drop_link(set, row);
    (void)pthread_mutex_lock(&set->lock);
    row->busy = false;
    if (rc == 0)
        dray_layers_erase(set, row);
    (void)pthread_mutex_unlock(&set->lock);
    return rc;
}

/* --- looking ----------------------------------------------------------------------------------*/

int dray_pl_layers_get(struct dray_pl_layers *set, const char *id, struct dray_pl_layer *out,
                       struct dray_err *err)
{
    (void)pthread_mutex_lock(&set->lock);
    const struct layer_row *row = dray_layers_find(set, id);
    if (row && !row->busy)
        *out = row->info;
    else
        row = NULL;
    (void)pthread_mutex_unlock(&set->lock);
    return row ? 0 : not_found(err, id);
}

int dray_pl_layers_chain(struct dray_pl_layers *set, const char *id, struct dray_pl_layer **out,
                         size_t *n_out, struct dray_err *err)
{
    (void)pthread_mutex_lock(&set->lock);
    const struct layer_row *row = dray_layers_find(set, id);
    size_t n = 0;
    if (row && row->busy)
        row = NULL;
    for (const struct layer_row *at = row; at; at = at->info.opaque ? NULL : at->parent)
        n++;
    struct dray_pl_layer *v = n > 0 ? calloc(n, sizeof *v) : NULL;
    const struct layer_row *at = row;
    for (size_t i = 0; v && i < n; i++, at = at->parent)
        v[i] = at->info;
    (void)pthread_mutex_unlock(&set->lock);
    if (!row)
        return not_found(err, id);
    if (!v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *out = v;
    *n_out = n;
    return 0;
}

int dray_pl_layers_open_folder(struct dray_pl_layers *set, const char *id, const char *name,
                               int *fd_out, struct dray_err *err)
{
    struct dray_pl_layer info;
    int rc = dray_pl_layers_get(set, id, &info, err);
    if (rc < 0)
        return rc;
    char path[DRAY_PL_ID_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/%s", id, name);
    *fd_out = openat(set->layers_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd_out < 0 ? dray_fail_errno(err, "open layer %s", path) : 0;
}

int dray_pl_layers_set_opaque(struct dray_pl_layers *set, const char *id, struct dray_err *err)
{
    struct dray_pl_layer info;
    int rc = dray_pl_layers_get(set, id, &info, err);
    if (rc < 0 || info.opaque)
        return rc;
    info.opaque = true;
    dray_autofd int dir = openat(set->layers_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open layer %s", id);
    rc = dray_layers_write_meta(dir, &info, err);
    (void)pthread_mutex_lock(&set->lock);
    struct layer_row *row = dray_layers_find(set, id);
    if (rc == 0 && row)
        row->info.opaque = true;
    (void)pthread_mutex_unlock(&set->lock);
    return rc;
}

int dray_pl_layers_empty(struct dray_pl_layers *set, const char *id, struct dray_err *err)
{
    struct dray_pl_layer info;
    int rc = dray_pl_layers_get(set, id, &info, err);
    if (rc < 0)
        return rc;
    dray_autofd int dir = openat(set->layers_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open layer %s", id);
    rc = dray_pl_trash_put(set->trash, dir, "diff", err);
    return rc < 0 ? rc : make_content(dir, -EBADF, err);
}

/* --- seal -------------------------------------------------------------------------------------*/

/* The row to be sealed, made busy, and the one it will stand on. Locked. */
static struct layer_row *take_writable(struct dray_pl_layers *set, const char *id,
                                       const char *parent, struct layer_row **below,
                                       struct dray_err *err)
{
    struct layer_row *row = dray_layers_find(set, id);
    *below = *parent ? dray_layers_find(set, parent) : NULL;
    if (!row || (*parent && !*below)) {
        (void)not_found(err, row ? parent : id);
        return NULL;
    }
    if (row->busy || row->children > 0 || !row->info.writable) {
        (void)dray_fail(err, DRAY_E_CONFLICT, "layer %s is in use or read-only", id);
        return NULL;
    }
    row->busy = true;
    return row;
}

static int seal_on_disk(struct dray_pl_layers *set, const struct dray_pl_layer *l,
                        struct dray_err *err)
{
    dray_autofd int dir = openat(set->layers_fd, l->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open layer %s", l->id);
    int rc = dray_layers_make_link(set, l, err);
    if (rc == 0)
        rc = dray_layers_write_meta(dir, l, err);
    return rc < 0 ? rc : dray_pl_trash_put(set->trash, dir, "work", err);
}

int dray_pl_layers_seal(struct dray_pl_layers *set, const char *id, const char *parent,
                        struct dray_err *err)
{
    struct layer_row *below = NULL;
    struct dray_pl_layer info = {0};
    (void)pthread_mutex_lock(&set->lock);
    struct layer_row *row = take_writable(set, id, parent, &below, err);
    if (row) {
        info = row->info;
        info.writable = false;
        (void)snprintf(info.parent, sizeof info.parent, "%s", parent);
        dray_layers_next_link(set, info.link);
        if (below)
            below->children++;
    }
    (void)pthread_mutex_unlock(&set->lock);
    if (!row)
        return err ? err->code : DRAY_E_CONFLICT;
    int rc = seal_on_disk(set, &info, err);
    (void)pthread_mutex_lock(&set->lock);
    struct layer_row *unused = rc == 0 ? row->parent : below;
    if (unused)
        unused->children--;
    if (rc == 0) {
        row->info = info;
        row->parent = below;
    }
    row->busy = false;
    (void)pthread_mutex_unlock(&set->lock);
    return rc;
}

/* --- all of them ------------------------------------------------------------------------------*/

static int snapshot(struct dray_pl_layers *set, struct dray_pl_layer **out, size_t *n_out,
                    struct dray_err *err)
{
    (void)pthread_mutex_lock(&set->lock);
    struct dray_pl_layer *v = calloc(set->count + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; v && i < LAYER_BUCKETS; i++)
        for (const struct layer_row *row = set->buckets[i]; row; row = row->next)
            if (!row->busy)
                v[n++] = row->info;
    (void)pthread_mutex_unlock(&set->lock);
    if (!v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *out = v;
    *n_out = n;
    return 0;
}

int dray_pl_layers_list(struct dray_pl_layers *set, const struct dray_call *call,
                        struct dray_err *err)
{
    dray_autofree struct dray_pl_layer *v = NULL;
    size_t n;
    int rc = snapshot(set, &v, &n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const struct dray_kv fields[] = {
            {"id", v[i].id}, {"parent", v[i].parent}, {"writable", v[i].writable ? "1" : "0"}};
        const struct dray_record record = {
            .size = sizeof record, .type = DRAY_REC_ITEM, .fields = {fields, 3}};
        rc = set->host->emit(call, &record);
    }
    return rc;
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_alive(const char *id, const char *const *sorted, size_t n)
{
    return bsearch(&id, sorted, n, sizeof *sorted, by_string) != NULL;
}

/* Remove what can be; true when something went, so that a parent may go next. */
static bool sweep(struct dray_pl_layers *set, struct dray_pl_layer *v, size_t n)
{
    bool progress = false;
    for (size_t i = 0; i < n; i++) {
        if (v[i].id[0] == '\0' || dray_pl_layers_remove(set, v[i].id, NULL) < 0)
            continue;
        v[i].id[0] = '\0';
        progress = true;
    }
    return progress;
}

int dray_pl_layers_collect(struct dray_pl_layers *set, struct dray_strs alive, struct dray_err *err)
{
    dray_autofree struct dray_pl_layer *v = NULL;
    dray_autofree const char **sorted = calloc(alive.n + 1, sizeof *sorted);
    size_t n;
    if (!sorted)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (uint64_t i = 0; i < alive.n; i++)
        sorted[i] = alive.v[i];
    qsort(sorted, alive.n, sizeof *sorted, by_string);
    int rc = snapshot(set, &v, &n, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (is_alive(v[i].id, sorted, alive.n))
            v[i].id[0] = '\0';
    while (sweep(set, v, n))
        ;
    return 0;
}
