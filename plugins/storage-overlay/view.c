/* SPDX-License-Identifier: Apache-2.0 */
/* view.c - describes and makes the mounts that show a layer with all below it. */
#include "overlay.h"

#include <fcntl.h>

void overlay_view_cleanup(struct overlay_view *view)
{
    free(view->lower);
    free(view->upper);
    free(view->work);
    free(view->source);
    *view = (struct overlay_view){0};
}

static void add(struct overlay_view *v, const char *option)
{
    if (v->mount.options.n < OVERLAY_OPTIONS_MAX)
        v->options[v->mount.options.n++] = option;
    v->mount.options.v = v->options;
}

/* "lowerdir=ROOT/l/a:ROOT/l/b" of n layers, and of the empty folder when one is not enough. */
static char *lower_option(struct dray_self *self, const struct dray_pl_layer *v, size_t n,
                          bool with_empty)
{
    const char *root = dray_pl_layers_root(self->layers);
    size_t size = 32 + strlen(root), used;
    for (size_t i = 0; i < n; i++)
        size += strlen(root) + strlen(v[i].id) + 24;
    char *text = malloc(size);
    if (!text)
        return NULL;
    used = (size_t)snprintf(text, size, "lowerdir=");
    for (size_t i = 0; i < n; i++) {
        bool has_link = v[i].link[0] != '\0';
        used += (size_t)snprintf(text + used, size - used, "%s%s/%s/%s%s", i > 0 ? ":" : "", root,
                                 has_link ? "l" : "layers", has_link ? v[i].link : v[i].id,
                                 has_link ? "" : "/diff");
    }
    if (with_empty)
        (void)snprintf(text + used, size - used, "%s%s/empty", n > 0 ? ":" : "", root);
    return text;
}

static int describe_bind(struct dray_self *self, const struct dray_pl_layer *l, bool rdonly,
                         struct overlay_view *v, struct dray_err *err)
{
    if (asprintf(&v->source, "%s/layers/%s/diff", dray_pl_layers_root(self->layers), l->id) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    v->mount.type = "bind";
    v->mount.source = v->source;
    add(v, "bind");
    add(v, rdonly ? "ro" : "rw");
    return 0;
}

static int describe_upper(struct dray_self *self, const struct dray_pl_layer *l,
                          struct overlay_view *v, struct dray_err *err)
{
    const char *root = dray_pl_layers_root(self->layers);
    if (asprintf(&v->upper, "upperdir=%s/layers/%s/diff", root, l->id) < 0 ||
        asprintf(&v->work, "workdir=%s/layers/%s/work", root, l->id) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    add(v, v->upper);
    add(v, v->work);
    for (unsigned i = 0; i < self->n_off; i++)
        add(v, self->off[i]);
    if (v->is_volatile)
        add(v, "volatile");
    return 0;
}

static int describe(struct dray_self *self, const struct dray_pl_layer *chain, size_t n,
                    bool rdonly, struct overlay_view *v, struct dray_err *err)
{
    v->mount = (struct dray_mount){
        .size = sizeof v->mount, .type = "overlay", .source = "overlay", .target = ""};
    if (n == 1)
        return describe_bind(self, chain, rdonly, v, err);
    if (n > OVERLAY_STACK_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "overlay: %zu layers, the kernel stacks %u", n,
                         OVERLAY_STACK_MAX);
    size_t upper = rdonly ? 0 : 1;
    v->lower = lower_option(self, chain + upper, n - upper, false);
    if (!v->lower)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    add(v, v->lower);
    if (!rdonly)
        return describe_upper(self, chain, v, err);
    add(v, "ro");
    return 0;
}

int dray_overlay_view(struct dray_self *self, const char *id, uint32_t flags,
                      struct overlay_view *out, struct dray_err *err)
{
    dray_autofree struct dray_pl_layer *chain = NULL;
    size_t n;
    int rc = dray_pl_layers_chain(self->layers, id, &chain, &n, err);
    if (rc < 0)
        return rc;
    bool rdonly = (flags & DRAY_MOUNTS_RDONLY) || !chain[0].writable;
    if (rdonly && (flags & DRAY_MOUNTS_OWN))
        n = 1;
    return describe(self, chain, n, rdonly, out, err);
}

int dray_overlay_open_tree(struct dray_self *self, const char *id, int *fd_out,
                           struct dray_err *err)
{
    dray_autofree struct dray_pl_layer *chain = NULL;
    size_t n = 0;
    int rc = id[0] != '\0' ? dray_pl_layers_chain(self->layers, id, &chain, &n, err) : 0;
    if (rc < 0)
        return rc;
    dray_autofd int tree = -EBADF;
    if (n == 0) {
        tree = fcntl(self->empty_fd, F_DUPFD_CLOEXEC, 3);
    } else {
        dray_autofree char *lower = lower_option(self, chain, n, true);
        if (!lower)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        const char *options[] = {lower, "ro"};
        const struct dray_mount m = {.size = sizeof m,
                                     .type = "overlay",
                                     .source = "overlay",
                                     .target = "",
                                     .options = {options, 2}};
        rc = dray_pl_mount_detached(&m, self->scratch, &tree, err);
    }
    if (rc < 0)
        return dray_err_note(err, "look at layer %s", id);
    /* fsmount's descriptor is a mere path: it cannot be listed. */
    *fd_out = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out < 0 ? dray_fail_errno(err, "open layer %s", id) : 0;
}
