/* SPDX-License-Identifier: Apache-2.0 */
/* layer.c - a new layer on a stage, written as a tar by one thread and taken by the host. */
#include "bd.h"
#include "tarout.h"

#include <fcntl.h>

struct writer {
    struct bd_tree *root;
    bd_layer_write_fn fn;
    void *ctx;
    int fd;
    int rc;
    struct dray_err err;
};

static void *write_main(void *arg)
{
    struct writer *w = arg;
    struct bd_tarout *t = NULL;
    w->rc = bd_tarout_open(w->fd, &t, &w->err);
    if (!w->rc) {
        w->rc = w->fn(w->ctx, t, w->root, &w->err);
        if (w->rc)
            bd_tarout_free(t);
        else
            w->rc = bd_tarout_end(t, &w->err);
    }
    (void)close(w->fd);
    return NULL;
}

int bd_layer_write(struct bd_stage *s, bd_layer_write_fn fn, void *ctx,
                   struct dray_build_layer *out, struct dray_err *err)
{
    struct bd_tree *root = NULL;
    int rc = bd_stage_root(s, &root, err);
    return rc ? rc : bd_layer_write_on(s->build, s->layer, root, fn, ctx, out, err);
}

int bd_layer_write_on(struct bd_build *b, const char *parent, struct bd_tree *root,
                      bd_layer_write_fn fn, void *ctx, struct dray_build_layer *out,
                      struct dray_err *err)
{
    struct writer w = {.root = root, .fn = fn, .ctx = ctx};
    struct dray_err own = {0};
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    (void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    w.fd = fds[1];
    pthread_t thread;
    if (pthread_create(&thread, NULL, write_main, &w) != 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    int rc = b->engine->layer_make(b->call, parent, (struct dray_fd_borrow){fds[0]}, out, &own);
    (void)close(fds[0]);
    (void)pthread_join(thread, NULL);
    /* A writer that was not heard to the end has nothing to say; else its error came first. */
    bool heard = w.rc && w.rc != DRAY_E_CANCELED;
    if (err && (heard || rc))
        *err = heard ? w.err : own;
    return heard ? w.rc : rc;
}

/* --- folders on the way ------------------------------------------------------------------------*/

struct attributes {
    struct bd_tar_xattr v[16];
    size_t n;
};

static int keep_attribute(void *ctx, const char *name, const void *value, size_t n)
{
    struct attributes *a = ctx;
    char *key = strdup(name);
    void *copy = malloc(n ? n : 1);
    if (!key || !copy || a->n == sizeof a->v / sizeof *a->v) {
        free(key);
        free(copy);
        return 0;
    }
    memcpy(copy, value, n);
    a->v[a->n++] = (struct bd_tar_xattr){key, copy, n};
    return 0;
}

static void attributes_cleanup(struct attributes *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free((void *)(uintptr_t)a->v[i].name);
        free((void *)(uintptr_t)a->v[i].value);
    }
}

int bd_layer_entry(struct bd_tarout *t, struct bd_tree *from, const char *path,
                   struct bd_tar_entry *e, struct dray_err *err)
{
    DRAY_AUTO(attributes) a = {.n = 0};
    if (from)
        (void)from->ops->xattrs(from, path, keep_attribute, &a);
    e->xattrs = a.v;
    e->n_xattrs = a.n;
    int rc = bd_tarout_head(t, e, err);
    e->xattrs = NULL;
    e->n_xattrs = 0;
    return rc;
}

/* One folder: as it is below, or a new one. */
static int write_folder(struct bd_tarout *t, struct bd_tree *root, const char *path, uid_t uid,
                        gid_t gid, int64_t now_s, struct dray_err *err)
{
    struct bd_entry there = {0};
    if (bd_tarout_once(t, path))
        return 0;
    struct dray_err why = {0};
    int rc = root->ops->stat(root, path, &there, &why);
    if (rc && rc != DRAY_E_NOTFOUND)
        return dray_fail(err, rc, "%s", why.text);
    if (!rc && !S_ISDIR(there.mode))
        return dray_fail(err, DRAY_E_INVAL, "cannot create folder \"/%s\": it is a file there",
                         path);
    struct bd_tar_entry e = {.path = path,
                             .mode = rc ? S_IFDIR | 0755 : there.mode,
                             .uid = rc ? uid : there.uid,
                             .gid = rc ? gid : there.gid,
                             .mtime_s = rc ? now_s : there.mtime_s};
    return bd_layer_entry(t, rc ? NULL : root, path, &e, err);
}

int bd_layer_folders(struct bd_tarout *t, struct bd_tree *root, const char *path, uid_t uid,
                     gid_t gid, int64_t now_s, struct dray_err *err)
{
    dray_autofree char *real = NULL;
    struct bd_entry e;
    int rc = bd_tree_resolve(root, path, true, &real, &e, err);
    if (rc || !*real || S_ISDIR(e.mode))
        return rc; /* nothing new */
    return bd_layer_parents(t, root, real, true, uid, gid, now_s, err);
}

int bd_layer_parents(struct bd_tarout *t, struct bd_tree *root, const char *path, bool itself,
                     uid_t uid, gid_t gid, int64_t now_s, struct dray_err *err)
{
    int rc = 0;
    dray_autofree char *part = strdup(path);
    if (!part)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (char *slash = strchr(part, '/'); !rc && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        rc = write_folder(t, root, part, uid, gid, now_s, err);
        *slash = '/';
    }
    return !rc && itself && *part ? write_folder(t, root, part, uid, gid, now_s, err) : rc;
}
