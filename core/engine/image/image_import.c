/* SPDX-License-Identifier: Apache-2.0 */
/* image_import.c - images from a root file system's tar, and from a container's changes. */
#include "engine/image/image_priv.h"

#include "base/clock.h"

#include <stdio.h>

#define READ_CHUNK (256u * 1024)

/* Read until the buffer is full or the stream ends. */
static ssize_t read_full(int fd, char *buf, size_t want)
{
    size_t have = 0;
    while (have < want) {
        ssize_t n = read(fd, buf + have, want - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static int intake(struct dray_images *im, struct img_layer *parent, enum img_keep keep, int fd,
                  int abort_fd, struct img_intake_result *out, struct dray_err *err)
{
    struct img_intake *in = NULL;
    dray_autofree char *buf = malloc(READ_CHUNK);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = img_intake_begin(im, parent, keep, abort_fd, &in, err);
    while (!rc) {
        ssize_t n = read_full(fd, buf, READ_CHUNK);
        if (n < 0)
            rc = dray_fail_errno(err, "read the archive");
        if (n <= 0)
            break;
        rc = img_intake_feed(in, buf, (size_t)n, err);
    }
    if (rc) {
        img_intake_abort(in);
        return rc;
    }
    return img_intake_end(in, out, err);
}

int img_intake_fd(struct dray_images *im, struct img_layer *parent, int fd, int abort_fd,
                  struct img_intake_result *out, struct dray_err *err)
{
    off_t begin = lseek(fd, 0, SEEK_CUR); /* fails for a pipe */
    int rc = intake(im, parent, IMG_KEEP_MAP, fd, abort_fd, out, err);
    if (rc || !out->repacked || begin < 0 || lseek(fd, begin, SEEK_SET) < 0)
        return rc;
    img_layer_unref(im, out->layer);
    img_blob_unref(im, out->blob, false);
    return intake(im, parent, IMG_KEEP_BLOB, fd, abort_fd, out, err);
}

/* As img_intake_fd(), of a driver's diff; without a blob when img_diff_stable(). */
static int intake_diff(struct dray_images *im, struct img_layer *parent, int fd, int abort_fd,
                       struct img_intake_result *out, struct dray_err *err)
{
    bool stable = img_diff_stable(im->engine->storage, parent);
    return intake(im, parent, stable ? IMG_KEEP_NONE : IMG_KEEP_MAP, fd, abort_fd, out, err);
}

static struct json_object *rootfs_of(const char *const *diffs, size_t n)
{
    struct json_object *rootfs = json_object_new_object();
    struct json_object *list = json_object_new_array();
    dray_json_add_str(rootfs, "type", "layers");
    for (size_t i = 0; i < n; i++)
        json_object_array_add(list, json_object_new_string(diffs[i]));
    dray_json_add(rootfs, "diff_ids", list);
    return rootfs;
}

/* --- import -----------------------------------------------------------------------------------*/

static int apply_changes(struct json_object *config, const struct dray_strs *changes,
                         struct dray_err *err)
{
    for (uint64_t i = 0; changes && i < changes->n; i++) {
        int rc = dray_image_config_change(config, changes->v[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

static struct json_object *import_config(const struct dray_import_req *req,
                                         const struct img_platform *pf, const char *diff,
                                         struct json_object *config /* takes */)
{
    char now[DRAY_TIME_LEN];
    dray_time_format(dray_clock_now(), now);
    dray_autofree char *comment =
        req->message && *req->message
            ? strdup(req->message)
            : dray_strf("Imported from %s", req->source && *req->source ? req->source : "-");
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "architecture", pf->arch);
    dray_json_add_str(o, "comment", comment);
    dray_json_add(o, "config", config);
    dray_json_add_str(o, "created", now);
    struct json_object *history = json_object_new_array();
    json_object_array_add(history, img_history(now, NULL, NULL, comment, false));
    dray_json_add(o, "history", history);
    dray_json_add_str(o, "os", pf->os);
    if (pf->variant[0])
        dray_json_add_str(o, "variant", pf->variant);
    dray_json_add(o, "rootfs", rootfs_of(&diff, 1));
    return o;
}

static struct img_part part_of(const struct img_intake_result *r)
{
    struct img_part p = {.size = r->blob_size, .media_type = (char *)(uintptr_t)r->media_type};
    memcpy(p.digest, r->digest, sizeof p.digest);
    memcpy(p.diff, r->diff, sizeof p.diff);
    return p;
}

static int tag_new(struct dray_images *im, const char *name, const char *id, struct dray_err *err)
{
    if (!name || !*name)
        return 0;
    return dray_images_tag(im, id, name, err);
}

int dray_images_import(struct dray_images *im, const struct dray_import_req *req,
                       char id_out[DRAY_DIGEST_LEN], struct dray_err *err)
{
    struct img_platform pf;
    int rc = img_platform_parse(req->platform, &pf, err);
    if (!rc && strcmp(pf.os, "linux") != 0)
        rc = dray_fail(err, DRAY_E_INVAL, "operating system is not supported");
    if (!rc && req->repo && *req->repo) {
        DRAY_AUTO(dray_ref) ref = {0};
        rc = dray_ref_parse(req->repo, &ref, err);
        if (!rc && ref.digest)
            rc = dray_fail(err, DRAY_E_INVAL, "cannot import digest reference");
    }
    dray_autojson *config = json_object_new_object();
    if (!rc)
        rc = apply_changes(config, req->changes, err);
    struct img_intake_result r = {0};
    if (!rc)
        rc = img_intake_fd(im, NULL, req->fd, req->cancel_fd, &r, err);
    if (rc)
        return rc;
    struct img_part part = part_of(&r);
    dray_autojson *whole = import_config(req, &pf, r.diff, json_object_get(config));
    rc = req->complete ? req->complete(req->ctx, err) : 0;
    if (!rc)
        rc = img_make(im, whole, &part, 1, r.layer, "", id_out, err);
    img_layer_unref(im, r.layer);
    img_blob_unref(im, r.blob, false);
    if (!rc)
        rc = tag_new(im, req->repo, id_out, err);
    if (!rc)
        img_event(im, id_out, id_out, "import");
    return rc;
}

/* --- commit -----------------------------------------------------------------------------------*/

struct committing {
    struct dray_images *im;
    struct img_layer *parent;
    struct img_intake_result *out;
    bool same; /* the changes come from the driver that the new layer is in */
    bool taken;
};

static int take_tar(void *ctx, int fd, struct dray_err *err)
{
    struct committing *c = ctx;
    int rc = (c->same ? intake_diff : img_intake_fd)(c->im, c->parent, fd, -1, c->out, err);
    c->taken = rc == 0;
    return rc;
}

/* The changes of a writable layer become a layer of their own on top of parent. */
static int take_diff(struct dray_images *im, const struct dray_commit_req *req,
                     struct img_layer *parent, struct img_intake_result *out, struct dray_err *err)
{
    struct committing c = {.im = im, .parent = parent, .out = out};
    struct dray_driver *driver =
        dray_drivers_get(im->engine->drivers, DRAY_KIND_STORAGE, req->storage, err);
    if (!driver)
        return DRAY_E_NOTFOUND;
    c.same = driver == im->engine->storage;
    int rc = img_diff_run(driver, req->layer, req->layer_parent, -1, take_tar, &c, err);
    if (rc && c.taken) {
        img_layer_unref(im, out->layer);
        img_blob_unref(im, out->blob, false);
        *out = (struct img_intake_result){0};
    }
    return rc;
}

/* What a commit builds on: a snapshot of the parent image. */
struct base {
    struct img_part *parts; /* with room for one more; strings are borrowed from `image` */
    size_t n;
    struct img_layer *top;
    struct json_object *config;
};

static void base_cleanup(struct base *b)
{
    for (size_t i = 0; i < b->n; i++)
        free(b->parts[i].media_type);
    free(b->parts);
    json_object_put(b->config);
}

static int load_base(struct dray_images *im, const char *id, struct base *b, struct dray_err *err)
{
    if (!id || !*id) {
        b->parts = calloc(1, sizeof *b->parts);
        return b->parts ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    pthread_mutex_lock(&im->lock);
    struct img *g = img_find(im, id);
    b->parts = g ? calloc(g->n_parts + 1, sizeof *b->parts) : NULL;
    for (size_t i = 0; b->parts && i < g->n_parts; i++) {
        b->parts[i] = g->parts[i];
        b->parts[i].urls = NULL;
        b->parts[i].media_type = strdup(g->parts[i].media_type);
        b->n = i + 1;
    }
    if (g && g->top) {
        b->top = g->top;
        img_layer_ref_locked(b->top);
    }
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return dray_fail(err, DRAY_E_NOTFOUND, "No such image: %s", id);
    return img_read_config(im, id, &b->config, err);
}

static struct json_object *commit_config(const struct dray_commit_req *req, const struct base *b,
                                         const char *diff)
{
    char now[DRAY_TIME_LEN];
    dray_time_format(dray_clock_now(), now);
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "architecture", dray_json_str(b->config, "architecture", img_host_arch()));
    if (req->author && *req->author)
        dray_json_add_str(o, "author", req->author);
    if (req->comment && *req->comment)
        dray_json_add_str(o, "comment", req->comment);
    dray_json_add(o, "config", dray_json_copy(req->config));
    dray_json_add_str(o, "container", req->container);
    dray_json_add_str(o, "created", now);
    struct json_object *history = dray_json_copy(dray_json_arr(b->config, "history"));
    if (!history)
        history = json_object_new_array();
    json_object_array_add(
        history, img_history(now, req->created_by, req->author, req->comment, diff == NULL));
    dray_json_add(o, "history", history);
    dray_json_add_str(o, "os", dray_json_str(b->config, "os", "linux"));
    const char *variant = dray_json_str(b->config, "variant", "");
    if (*variant)
        dray_json_add_str(o, "variant", variant);
    const char **diffs = calloc(b->n + 1, sizeof *diffs);
    for (size_t i = 0; diffs && i < b->n; i++)
        diffs[i] = b->parts[i].diff;
    if (diffs && diff)
        diffs[b->n] = diff;
    dray_json_add(o, "rootfs", rootfs_of(diffs, diffs ? b->n + (diff != NULL) : 0));
    free(diffs);
    return o;
}

int dray_images_commit(struct dray_images *im, const struct dray_commit_req *req,
                       char id_out[DRAY_DIGEST_LEN], struct dray_err *err)
{
    struct base base __attribute__((cleanup(base_cleanup))) = {0};
    struct img_intake_result r = {0};
    int rc = 0;
    if (req->ref && *req->ref) {
        DRAY_AUTO(dray_ref) ref = {0};
        rc = dray_ref_parse(req->ref, &ref, err);
    }
    if (!rc)
        rc = load_base(im, req->parent_image, &base, err);
    if (!rc && req->layer)
        rc = take_diff(im, req, base.top, &r, err);
    if (!rc) {
        dray_autojson *config = commit_config(req, &base, req->layer ? r.diff : NULL);
        size_t n = base.n;
        if (req->layer)
            base.parts[n++] = part_of(&r);
        rc = img_make(im, config, base.parts, n, req->layer ? r.layer : base.top, req->parent_image,
                      id_out, err);
    }
    img_layer_unref(im, r.layer);
    img_blob_unref(im, r.blob, false);
    img_layer_unref(im, base.top);
    if (rc)
        return rc;
    img_event(im, id_out, id_out, "create");
    return tag_new(im, req->ref, id_out, err);
}
