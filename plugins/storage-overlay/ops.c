/* SPDX-License-Identifier: Apache-2.0 */
/* ops.c - the operations of the overlay driver. */
#include "overlay.h"
#include "emit.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static int fill_layer(void *arg, const struct dray_pl_layer *layer, int dir, int parent_diff,
                      struct dray_err *err)
{
    (void)parent_diff;
    (void)arg;
    if (layer->writable && mkdirat(dir, "work", 0700) < 0 && errno != EEXIST)
        return dray_fail_errno(err, "make the work folder of layer %s", layer->id);
    return 0;
}

struct sized {
    struct dray_self *self;
    uint64_t bytes;
};

static int fill_sized(void *arg, const struct dray_pl_layer *layer, int dir, int parent_diff,
                      struct dray_err *err)
{
    const struct sized *s = arg;
    int rc = fill_layer(NULL, layer, dir, parent_diff, err);
    return rc < 0 ? rc : dray_pl_quota_limit(s->self->quota, dir, s->bytes, err);
}

static int32_t op_create(struct dray_self *self, const struct dray_call *call, const char *id,
                         const char *parent, uint32_t flags, struct dray_kvs opts,
                         struct dray_err *err)
{
    (void)call;
    struct sized sized = {.self = self};
    for (uint64_t i = 0; i < opts.n; i++)
        if (strcmp(opts.v[i].key, "size") != 0)
            return dray_fail(err, DRAY_E_INVAL, "Unknown option %s", opts.v[i].key);
    int rc = dray_pl_quota_parse(dray_kvs_get(opts, "size", ""), &sized.bytes, err);
    if (rc < 0)
        return rc;
    if (sized.bytes == 0)
        return dray_pl_layers_create(self->layers, id, parent, flags, fill_layer, NULL, err);
    if (!self->quota)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "--storage-opt size is supported only on a file system with project "
                         "quotas (xfs or ext4 mounted with 'prjquota')");
    return dray_pl_layers_create(self->layers, id, parent, flags, fill_sized, &sized, err);
}

static int32_t op_remove(struct dray_self *self, const struct dray_call *call, const char *id,
                         struct dray_err *err)
{
    (void)call;
    return dray_pl_layers_remove(self->layers, id, err);
}

/* --- mounts -----------------------------------------------------------------------------------*/

/* Copy a description into the memory of the call. */
static int hand_over(struct dray_self *self, const struct dray_call *call,
                     const struct overlay_view *view, struct dray_mounts *out, struct dray_err *err)
{
    const struct dray_host *host = self->host;
    uint64_t n = view->mount.options.n;
    struct dray_mount *m = host->alloc(call, sizeof *m);
    const char **options = host->alloc(call, n * sizeof *options);
    if (!m || !options)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *m = view->mount;
    m->type = dray_call_strdup(host, call, view->mount.type);
    m->source = dray_call_strdup(host, call, view->mount.source);
    m->target = dray_call_strdup(host, call, view->mount.target);
    bool full = m->type && m->source && m->target;
    for (uint64_t i = 0; i < n; i++) {
        options[i] = dray_call_strdup(host, call, view->options[i]);
        full = full && options[i];
    }
    if (!full)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    m->options = (struct dray_strs){options, n};
    *out = (struct dray_mounts){m, 1};
    return 0;
}

/* A volatile overlay leaves a mark that forbids to mount it again: unsynced data may be lost. */
static int clear_volatile(struct dray_self *self, const char *id, struct dray_err *err)
{
    dray_autofd int work = -EBADF;
    int rc = dray_pl_layers_open_folder(self->layers, id, "work", &work, err);
    if (rc < 0)
        return rc;
    dray_autofd int inner = dray_pl_subdir(work, "work");
    return inner < 0 ? 0 : dray_pl_remove_tree(inner, "incompat", err);
}

static int32_t op_mounts(struct dray_self *self, const struct dray_call *call, const char *id,
                         uint32_t flags, struct dray_mounts *out, struct dray_err *err)
{
    DRAY_AUTO(overlay_view)
    view = {.is_volatile = self->is_volatile || (flags & DRAY_MOUNTS_VOLATILE) != 0};
    int rc = dray_overlay_view(self, id, flags, &view, err);
    if (rc == 0 && view.work)
        rc = clear_volatile(self, id, err);
    return rc < 0 ? rc : hand_over(self, call, &view, out, err);
}

static int32_t op_release(struct dray_self *self, const struct dray_call *call, const char *id,
                          struct dray_err *err)
{
    (void)self, (void)call, (void)id, (void)err; /* nothing was set up for it */
    return 0;
}

/* --- content ----------------------------------------------------------------------------------*/

static int32_t op_apply(struct dray_self *self, const struct dray_call *call, const char *id,
                        struct dray_fd_borrow tar, struct dray_kvs opts, uint64_t *size_out,
                        struct dray_err *err)
{
    dray_autofd int diff = -EBADF;
    int rc = dray_pl_layers_open_folder(self->layers, id, "diff", &diff, err);
    struct dray_layer_apply job = {.root = diff,
                                   .mode = DRAY_LAYER_OVERLAY,
                                   .sync = self->sync,
                                   .warn = dray_pl_emit_warning,
                                   .arg = self->host};
    if (rc == 0)
        rc = dray_layer_apply_opts(&job, call, opts, err);
    if (rc < 0)
        return rc;
    rc = dray_layer_apply(tar.fd, &job, err);
    if (rc == 0 && job.opaque_root)
        rc = dray_pl_layers_set_opaque(self->layers, id, err);
    if (rc < 0) {
        (void)dray_pl_layers_empty(self->layers, id, NULL); /* may be tried again */
        return rc;
    }
    if (size_out)
        *size_out = job.bytes;
    return 0;
}

static int32_t op_diff(struct dray_self *self, const struct dray_call *call, const char *id,
                       const char *parent, struct dray_fd_borrow out, struct dray_err *err)
{
    struct dray_pl_layer info;
    int rc = dray_pl_layers_get(self->layers, id, &info, err);
    if (rc < 0)
        return rc;
    dray_autofd int upper = -EBADF;
    dray_autofd int lower = -EBADF;
    bool native = info.parent[0] != '\0' && strcmp(info.parent, parent) == 0;
    if (native)
        rc = dray_pl_layers_open_folder(self->layers, id, "diff", &upper, err);
    else
        rc = dray_overlay_open_tree(self, id, &upper, err);
    if (rc == 0 && !native && parent[0] != '\0')
        rc = dray_overlay_open_tree(self, parent, &lower, err);
    const struct dray_layer_pair pair = {
        .upper = upper, .lower = lower, .native = native, .opaque_root = native && info.opaque};
    return rc < 0 ? rc : dray_layer_diff(&pair, out.fd, call ? call->cancel_fd : -1, err);
}

static int32_t op_changes(struct dray_self *self, const struct dray_call *call, const char *id,
                          struct dray_err *err)
{
    struct dray_pl_layer info;
    dray_autofd int upper = -EBADF;
    dray_autofd int lower = -EBADF;
    int rc = dray_pl_layers_get(self->layers, id, &info, err);
    if (rc == 0)
        rc = dray_pl_layers_open_folder(self->layers, id, "diff", &upper, err);
    if (rc == 0)
        rc = dray_overlay_open_tree(self, info.parent, &lower, err);
    if (rc < 0)
        return rc;
    const struct dray_layer_pair pair = {
        .upper = upper, .lower = lower, .native = true, .opaque_root = info.opaque};
    struct dray_pl_emit to = {self->host, call};
    return dray_layer_compare(&pair, dray_pl_emit_change, &to, err);
}

static int32_t op_usage(struct dray_self *self, const struct dray_call *call, const char *id,
                        uint64_t *bytes_out, uint64_t *inodes_out, struct dray_err *err)
{
    (void)call;
    dray_autofd int diff = -EBADF;
    int rc = dray_pl_layers_open_folder(self->layers, id, "diff", &diff, err);
    return rc < 0 ? rc : dray_pl_usage(diff, bytes_out, inodes_out, err);
}

/* --- telling ----------------------------------------------------------------------------------*/

static int32_t op_list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    return dray_pl_layers_list(self->layers, call, err);
}

static int tell_folder(struct dray_self *self, const struct dray_call *call, const char *key,
                       const char *id, const char *name)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/layers/%s/%s", dray_pl_layers_root(self->layers), id,
                   name);
    return dray_pl_emit_status(self->host, call, key, path);
}

static int tell_lower(struct dray_self *self, const struct dray_call *call,
                      const struct dray_pl_layer *chain, size_t n, struct dray_err *err)
{
    const char *root = dray_pl_layers_root(self->layers);
    size_t size = n * (strlen(root) + DRAY_PL_ID_MAX + 24) + 1, used = 0;
    dray_autofree char *text = calloc(1, size);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 1; i < n; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s/layers/%s/diff", i > 1 ? ":" : "",
                                 root, chain[i].id);
    return n > 1 ? dray_pl_emit_status(self->host, call, "LowerDir", text) : 0;
}

static int32_t op_inspect(struct dray_self *self, const struct dray_call *call, const char *id,
                          struct dray_err *err)
{
    dray_autofree struct dray_pl_layer *chain = NULL;
    size_t n;
    int rc = dray_pl_layers_chain(self->layers, id, &chain, &n, err);
    if (rc == 0)
        rc = tell_lower(self, call, chain, n, err);
    if (rc == 0)
        rc = tell_folder(self, call, "MergedDir", id, "merged");
    if (rc == 0)
        rc = tell_folder(self, call, "UpperDir", id, "diff");
    return rc != 0 ? rc : tell_folder(self, call, "WorkDir", id, "work");
}

static int32_t op_status(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    (void)err;
    const struct dray_kv lines[] = {
        {"Backing Filesystem", dray_overlay_fs_name(self->empty_fd)},
        {"Supports d_type", "true"}, /* or the probe had failed */
        {"Using metacopy", "false"}, /* switched off where the kernel has it on */
        {"Native Overlay Diff", "true"},
        {"userxattr", "false"},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof lines / sizeof *lines; i++)
        rc = dray_pl_emit_status(self->host, call, lines[i].key, lines[i].value);
    return rc;
}

static int32_t op_collect(struct dray_self *self, const struct dray_call *call,
                          struct dray_strs alive, struct dray_err *err)
{
    (void)call;
    return dray_pl_layers_collect(self->layers, alive, err);
}

static int32_t op_seal(struct dray_self *self, const struct dray_call *call, const char *id,
                       const char *parent, struct dray_err *err)
{
    (void)call;
    return dray_pl_layers_seal(self->layers, id, parent, err);
}

const struct dray_storage_ops dray_overlay_ops = {
    .head =
        DRAY_TABLE(struct dray_storage_ops, DRAY_STORAGE_F_PARALLEL_APPLY | DRAY_STORAGE_F_QUOTA |
                                                DRAY_STORAGE_F_STABLE_DIFF),
    .create = op_create,
    .remove = op_remove,
    .mounts = op_mounts,
    .release = op_release,
    .apply = op_apply,
    .diff = op_diff,
    .changes = op_changes,
    .list = op_list,
    .usage = op_usage,
    .inspect = op_inspect,
    .status = op_status,
    .collect = op_collect,
    .seal = op_seal,
};
