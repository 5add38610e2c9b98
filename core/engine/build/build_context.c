/* SPDX-License-Identifier: Apache-2.0 */
/* build_context.c - named contexts: images, folders of the client's, results of other builds, that
 * a build knows by names of its own. A folder becomes a layer the first time that it is named. */
#include "engine/build/build_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define IMAGE "docker-image://"
#define FOLDER "local:"
#define INPUT "input:"
#define PIPE_SIZE (1 << 20)

/** A folder that the build has named. */
struct build_folder {
    struct build_folder *next;
    const char *dir; /**< the request's string */
    bool done;       /**< build->lock, as the rest of the list; what follows is constant then */
    int rc;
    struct dray_err err;
    struct dray_build_layer layer;
};

/* "busybox" of "docker.io/library/busybox:latest": so clients shorten the names of contexts. */
static char *short_name(const char *ref)
{
    static const char latest[] = ":latest";
    DRAY_AUTO(dray_ref) r = {0};
    if (dray_ref_parse_tagged(ref, &r, NULL) != 0)
        return NULL;
    dray_autofree char *key = dray_ref_key(&r);
    char *name = key ? strdup(dray_ref_key_familiar(key)) : NULL;
    size_t len = name ? strlen(name) : 0, cut = strlen(latest);
    if (len > cut && strcmp(name + len - cut, latest) == 0)
        name[len - cut] = '\0';
    return name;
}

static const char *find(const struct build *b, const char *ref)
{
    const struct dray_kvs all = b->req->contexts;
    const char *value = all.n ? dray_kvs_get(all, ref, NULL) : NULL;
    dray_autofree char *name = all.n && !value ? short_name(ref) : NULL;
    return name ? dray_kvs_get(all, name, NULL) : value;
}

/* The builder fetches it. */
static bool far(const char *value)
{
    static const char *const heads[] = {"http://", "https://", "git://",
                                        "ssh://",  "git@",     "github.com/"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (dray_str_prefix(value, heads[i]))
            return true;
    return false;
}

bool build_context_valid(const char *value)
{
    return far(value) || dray_str_prefix(value, IMAGE) || dray_str_prefix(value, FOLDER) ||
           dray_str_prefix(value, INPUT);
}

const char *build_context_image(const struct build *b, const char *ref)
{
    const char *value = find(b, ref);
    return value && dray_str_prefix(value, IMAGE) ? value + strlen(IMAGE) : ref;
}

const char *build_context_folder(const struct build *b, const char *ref)
{
    const char *value = find(b, ref);
    return value && dray_str_prefix(value, FOLDER) ? value + strlen(FOLDER) : NULL;
}

const char *build_context_url(const struct build *b, const char *ref)
{
    const char *value = find(b, ref);
    return value && far(value) ? value : NULL;
}

const struct dray_build_result *build_context_input(const struct build *b, const char *ref)
{
    const char *value = find(b, ref);
    if (!value || !dray_str_prefix(value, INPUT))
        return NULL;
    for (size_t i = 0; i < b->req->n_inputs; i++)
        if (strcmp(b->req->inputs[i].name, value + strlen(INPUT)) == 0)
            return b->req->inputs[i].result;
    return NULL;
}

/* ---- The client's folder as a layer ---- */

struct feed {
    struct build *b;
    const char *dir;
    int fd;
    int rc;
    struct dray_err err;
};

static void *feed_main(void *arg)
{
    struct feed *f = arg;
    f->rc = f->b->req->lender->folder(f->b->req->ctx, f->dir, f->fd, &f->err);
    (void)close(f->fd);
    return NULL;
}

static int fetch(struct build *b, const char *dir, struct dray_build_layer *out,
                 struct dray_err *err)
{
    struct feed f = {.b = b, .dir = dir};
    struct dray_err own = {0};
    pthread_t feeder;
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    (void)fcntl(p[1], F_SETPIPE_SZ, PIPE_SIZE);
    f.fd = p[1];
    if (pthread_create(&feeder, NULL, feed_main, &f) != 0) {
        (void)close(p[0]);
        (void)close(p[1]);
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    int rc = build_layer_take(b, NULL, p[0], out, &own);
    (void)close(p[0]);
    (void)pthread_join(feeder, NULL);
    /* A transfer that broke off is why its tar had no end; one that could not write is not. */
    if (f.rc && (!rc || f.rc != DRAY_E_IO)) {
        rc = f.rc;
        own = f.err;
    }
    if (rc && err)
        *err = own;
    return rc ? dray_err_note(err, "load context %s", dir) : 0;
}

/* The one who names it first fetches it, the others wait. */
static struct build_folder *claim(struct build *b, const char *dir, bool *mine)
{
    struct build_folder *f = b->folders;
    while (f && strcmp(f->dir, dir) != 0)
        f = f->next;
    *mine = !f;
    if (!f && (f = calloc(1, sizeof *f))) {
        f->dir = dir;
        f->next = b->folders;
        b->folders = f;
    }
    return f;
}

static int folder_layer(struct build *b, const char *dir, struct dray_build_layer *out,
                        struct dray_err *err)
{
    bool mine = false;
    pthread_mutex_lock(&b->lock);
    struct build_folder *f = claim(b, dir, &mine);
    while (f && !mine && !f->done)
        pthread_cond_wait(&b->folder_done, &b->lock);
    pthread_mutex_unlock(&b->lock);
    if (!f)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (mine) {
        f->rc = fetch(b, dir, &f->layer, &f->err);
        pthread_mutex_lock(&b->lock);
        f->done = true;
        pthread_cond_broadcast(&b->folder_done);
        pthread_mutex_unlock(&b->lock);
    }
    *out = f->layer;
    if (f->rc && err)
        *err = f->err;
    return f->rc;
}

int32_t build_context_fetch(const struct dray_call *call, struct dray_strs paths,
                            struct dray_fd_take *tar_out, struct dray_err *err)
{
    struct build *b = build_of(call, err);
    if (!b)
        return DRAY_E_INVAL;
    if (!b->req->lender || !b->req->lender->context)
        return dray_fail(err, DRAY_E_INVAL, "this build has no context of its client's");
    return b->req->lender->context(b->req->ctx, paths, &tar_out->fd, err);
}

int build_context_get(struct build *b, const char *dir, struct dray_build_image *out,
                      struct dray_err *err)
{
    struct dray_build_layer layer = {.size = sizeof layer};
    struct img_platform host;
    int rc = folder_layer(b, dir, &layer, err);
    if (!rc)
        rc = img_platform_parse("", &host, err);
    if (rc)
        return rc;
    dray_autojson *config = json_object_new_object();
    struct json_object *rootfs = json_object_new_object(), *diffs = json_object_new_array();
    struct json_object *history = json_object_new_array();
    if (!layer.empty) {
        struct json_object *made = json_object_new_object();
        dray_json_add_str(made, "created_by", "FROM a folder");
        json_object_array_add(history, made);
        json_object_array_add(diffs, json_object_new_string(layer.diff_id));
    }
    dray_json_add_str(rootfs, "type", "layers");
    dray_json_add(rootfs, "diff_ids", diffs);
    dray_json_add(config, "rootfs", rootfs);
    dray_json_add(config, "history", history);
    dray_json_add_str(config, "architecture", host.arch);
    dray_json_add_str(config, "os", host.os);
    out->id = "";
    out->config = build_text(b, dray_json_text(config));
    out->layer = layer.layer;
    return out->config ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

void build_contexts_free(struct build *b)
{
    while (b->folders) {
        struct build_folder *next = b->folders->next;
        free(b->folders);
        b->folders = next;
    }
}
