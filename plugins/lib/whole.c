/* SPDX-License-Identifier: Apache-2.0 */
/* whole.c - the operations of storage drivers whose layers are whole trees. */
#include "whole.h"
#include "emit.h"
#include "files.h"
#include "layer_tar.h"

#include <fcntl.h>
#include <limits.h>

static int32_t op_create(struct dray_self *self, const struct dray_call *call, const char *id,
                         const char *parent, uint32_t flags, struct dray_kvs opts,
                         struct dray_err *err)
{
    (void)call;
    for (uint64_t i = 0; i < opts.n; i++)
        if (strcmp(opts.v[i].key, "size") != 0)
            return dray_fail(err, DRAY_E_INVAL, "Unknown option %s", opts.v[i].key);
    if (dray_kvs_get(opts, "size", "")[0] != '\0')
        return dray_fail(err, DRAY_E_NOTSUP,
                         "--storage-opt size is not supported by this storage driver");
    return dray_pl_layers_create(self->layers, id, parent, flags, self->kind->fill, self, err);
}

static int32_t op_remove(struct dray_self *self, const struct dray_call *call, const char *id,
                         struct dray_err *err)
{
    (void)call;
    return dray_pl_layers_remove(self->layers, id, err);
}

static int32_t op_mounts(struct dray_self *self, const struct dray_call *call, const char *id,
                         uint32_t flags, struct dray_mounts *out, struct dray_err *err)
{
    const struct dray_host *host = self->host;
    struct dray_pl_layer info;
    int rc = dray_pl_layers_get(self->layers, id, &info, err);
    if (rc < 0)
        return rc;
    bool rdonly = !info.writable || (flags & DRAY_MOUNTS_RDONLY) != 0;
    struct dray_mount *m = host->alloc(call, sizeof *m);
    const char **options = host->alloc(call, 2 * sizeof *options);
    char *source =
        dray_call_printf(host, call, "%s/layers/%s/diff", dray_pl_layers_root(self->layers), id);
    if (!m || !options || !source)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    options[0] = "bind";
    options[1] = rdonly ? "ro" : "rw";
    *m = (struct dray_mount){
        .size = sizeof *m, .type = "bind", .source = source, .target = "", .options = {options, 2}};
    *out = (struct dray_mounts){m, 1};
    return 0;
}

static int32_t op_release(struct dray_self *self, const struct dray_call *call, const char *id,
                          struct dray_err *err)
{
    (void)self, (void)call, (void)id, (void)err; /* nothing was set up for it */
    return 0;
}

/* Back to what the parent has after a failed apply. */
static void refill(struct dray_self *self, const char *id)
{
    struct dray_pl_layer info;
    dray_autofd int dir = -EBADF;
    dray_autofd int parent = -EBADF;
    if (dray_pl_layers_get(self->layers, id, &info, NULL) < 0 ||
        dray_pl_layers_empty(self->layers, id, NULL) < 0)
        return;
    if (info.parent[0] != '\0' &&
        dray_pl_layers_open_folder(self->layers, info.parent, "diff", &parent, NULL) < 0)
        return;
    if (dray_pl_layers_open_folder(self->layers, id, "", &dir, NULL) == 0)
        (void)self->kind->fill(self, &info, dir, parent, NULL);
}

static int32_t op_apply(struct dray_self *self, const struct dray_call *call, const char *id,
                        struct dray_fd_borrow tar, struct dray_kvs opts, uint64_t *size_out,
                        struct dray_err *err)
{
    dray_autofd int diff = -EBADF;
    int rc = dray_pl_layers_open_folder(self->layers, id, "diff", &diff, err);
    struct dray_layer_apply job = {.root = diff,
                                   .mode = DRAY_LAYER_PLAIN,
                                   .sync = self->sync,
                                   .warn = dray_pl_emit_warning,
                                   .arg = self->host};
    if (rc == 0)
        rc = dray_layer_apply_opts(&job, call, opts, err);
    if (rc < 0)
        return rc;
    rc = dray_layer_apply(tar.fd, &job, err);
    if (rc < 0)
        refill(self, id);
    else if (size_out)
        *size_out = job.bytes;
    return rc;
}

/* Open a layer and another one to compare it with ("" is none). */
static int open_pair(struct dray_self *self, const char *id, const char *other,
                     struct dray_layer_pair *pair, struct dray_err *err)
{
    *pair = (struct dray_layer_pair){.upper = -EBADF, .lower = -EBADF};
    int rc = dray_pl_layers_open_folder(self->layers, id, "diff", &pair->upper, err);
    if (rc == 0 && other[0] != '\0')
        rc = dray_pl_layers_open_folder(self->layers, other, "diff", &pair->lower, err);
    return rc;
}

static void close_pair(struct dray_layer_pair *pair)
{
    dray_cleanup_fd(&pair->upper);
    dray_cleanup_fd(&pair->lower);
}

static int32_t op_diff(struct dray_self *self, const struct dray_call *call, const char *id,
                       const char *parent, struct dray_fd_borrow out, struct dray_err *err)
{
    struct dray_layer_pair pair;
    int rc = open_pair(self, id, parent, &pair, err);
    if (rc == 0)
        rc = dray_layer_diff(&pair, out.fd, call ? call->cancel_fd : -1, err);
    close_pair(&pair);
    return rc;
}

static int32_t op_changes(struct dray_self *self, const struct dray_call *call, const char *id,
                          struct dray_err *err)
{
    struct dray_pl_layer info;
    struct dray_layer_pair pair;
    int rc = dray_pl_layers_get(self->layers, id, &info, err);
    if (rc < 0)
        return rc;
    struct dray_pl_emit to = {self->host, call};
    rc = open_pair(self, id, info.parent, &pair, err);
    if (rc == 0)
        rc = dray_layer_compare(&pair, dray_pl_emit_change, &to, err);
    close_pair(&pair);
    return rc;
}

static int32_t op_list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    return dray_pl_layers_list(self->layers, call, err);
}

static int32_t op_usage(struct dray_self *self, const struct dray_call *call, const char *id,
                        uint64_t *bytes_out, uint64_t *inodes_out, struct dray_err *err)
{
    (void)call;
    dray_autofd int diff = -EBADF;
    int rc = dray_pl_layers_open_folder(self->layers, id, "diff", &diff, err);
    return rc < 0 ? rc : dray_pl_usage(diff, bytes_out, inodes_out, err);
}

static int32_t op_inspect(struct dray_self *self, const struct dray_call *call, const char *id,
                          struct dray_err *err)
{
    struct dray_pl_layer info;
    int rc = dray_pl_layers_get(self->layers, id, &info, err);
    if (rc < 0)
        return rc;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/layers/%s/diff", dray_pl_layers_root(self->layers), id);
    return dray_pl_emit_status(self->host, call, "Dir", path);
}

static int32_t op_status(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    (void)self, (void)call, (void)err; /* Docker's vfs and btrfs have nothing of use to tell */
    return 0;
}

static int32_t op_collect(struct dray_self *self, const struct dray_call *call,
                          struct dray_strs alive, struct dray_err *err)
{
    (void)call;
    return dray_pl_layers_collect(self->layers, alive, err);
}

/* --- instances --------------------------------------------------------------------------------*/

int dray_whole_open(const struct dray_host *host, const struct dray_whole_kind *kind,
                    struct dray_self **out, struct dray_err *err)
{
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->kind = kind;
    self->sync = host->opt_int(host, "sync") != 0;
    int rc = dray_pl_layers_open(host, &self->layers, err);
    if (rc < 0) {
        free(self);
        return rc;
    }
    if (kind->discard)
        dray_pl_trash_set_reuse(dray_pl_layers_trash(self->layers), kind->discard, self);
    *out = self;
    return 0;
}

int32_t dray_whole_quiesce(struct dray_self *self, uint64_t deadline_ns, struct dray_err *err)
{
    (void)err;
    dray_pl_trash_settle(dray_pl_layers_trash(self->layers), deadline_ns);
    return 0;
}

void dray_whole_close(struct dray_self *self)
{
    dray_pl_layers_close(self->layers);
    free(self);
}

const struct dray_storage_ops dray_whole_ops = {
    .head = DRAY_TABLE(struct dray_storage_ops, 0),
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
};
