/* SPDX-License-Identifier: Apache-2.0 */
/* image_pull_layers.c - fetches the layers of an image and unpacks them while they come in. */
#include "engine/image/image_pull.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>

#define PIPE_BYTES (1 << 20)
#define CHUNK (256u * 1024)
#define RETRY_MS 500
#define WORKERS_MAX 16u

/* --- one blob ---------------------------------------------------------------------------------*/

/* A driver's fetch into a pipe, on a thread of its own. */
struct fetcher {
    const struct img_source *source;
    const struct img_desc *desc;
    uint64_t offset;
    int out;
    pthread_t thread;
    int rc;
    struct dray_err err;
};

static void *fetch_thread(void *arg)
{
    struct fetcher *f = arg;
    struct dray_desc view = img_desc_view(f->desc);
    struct dray_call_scope c = {0};
    f->rc = dray_call_enter(&c, f->source->driver, DRAY_CLASS_DATA, f->source->abort_fd, &f->err);
    if (!f->rc)
        f->rc = ((const struct dray_registry_ops *)c.ops)
                    ->fetch(c.self, &c.call, f->source->repo, &view, f->offset, f->source->auth,
                            (struct dray_fd_borrow){f->out}, &f->err);
    dray_call_leave(&c);
    (void)close(f->out);
    return NULL;
}

/* A blob that comes in: file, and perhaps a layer at once. */
struct intake {
    struct pull_layers *p;
    struct pull_layer *l;
    struct dray_ingest *ingest;
    struct img_unpack *unpack; /* or NULL */
    uint64_t skip;             /* bytes that were there already and come again */
    bool resumed;              /* some bytes are of an earlier pull */
    char *buf;
};

static int take(struct intake *in, const char *data, size_t len, struct dray_err *err)
{
    if (in->skip >= len) {
        in->skip -= len;
        return 0;
    }
    data += in->skip;
    len -= in->skip;
    in->skip = 0;
    if (in->l->desc.size != UINT64_MAX && dray_ingest_offset(in->ingest) + len > in->l->desc.size)
        return dray_fail(err, DRAY_E_CORRUPT, "more than %llu bytes",
                         (unsigned long long)in->l->desc.size);
    int rc = dray_ingest_write(in->ingest, data, len, err);
    if (!rc && in->unpack)
        rc = img_unpack_feed(in->unpack, data, len, err);
    in->l->progress = dray_ingest_offset(in->ingest);
    return rc;
}

static int read_pipe(struct intake *in, int fd, struct dray_err *err)
{
    for (;;) {
        ssize_t n = read(fd, in->buf, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read what is fetched");
        if (n == 0)
            return 0;
        int rc = take(in, in->buf, (size_t)n, err);
        if (rc)
            return rc;
    }
}

/* One fetch from `offset` on. *ours_out: the failure is on this side, so no retry helps. */
static int fetch_from(struct intake *in, uint64_t offset, bool *ours_out, struct dray_err *err)
{
    int fds[2];
    struct fetcher f = {.source = in->p->source, .desc = &in->l->desc, .offset = offset};
    if (pipe2(fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
    f.out = fds[1];
    if (pthread_create(&f.thread, NULL, fetch_thread, &f) != 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    struct dray_err why = {0};
    int rc = read_pipe(in, fds[0], &why);
    (void)close(fds[0]); /* a driver that still writes gets EPIPE */
    (void)pthread_join(f.thread, NULL);
    *ours_out = rc != 0;
    if (!rc) {
        rc = f.rc;
        why = f.err;
    }
    if (rc && err)
        *err = why;
    return rc;
}

static int pause_between(const struct img_source *s, struct dray_err *err)
{
    int64_t until = dray_clock_mono() + RETRY_MS * (DRAY_NS_PER_S / 1000);
    int rc = 0;
    pthread_mutex_lock(&s->im->lock);
    while (!rc && dray_clock_mono() < until)
        rc = img_wait(s->im, s->abort_fd, err);
    pthread_mutex_unlock(&s->im->lock);
    return rc;
}

/* Fetch until all is there, going on where it broke. */
static int fetch_all(struct intake *in, struct dray_err *err)
{
    int attempts = dray_engine_live(in->p->source->im->engine)->max_download_attempts;
    for (int n = 1;; n++) {
        struct dray_err why = {0};
        bool ours = false;
        uint64_t at = dray_ingest_offset(in->ingest);
        if (at == in->l->desc.size && at > 0)
            return 0;
        int rc = fetch_from(in, at, &ours, &why);
        if (rc == DRAY_E_CONFLICT && !ours && at > 0) { /* cannot go on there: skip instead */
            in->skip = at;
            rc = fetch_from(in, 0, &ours, &why);
            in->skip = 0;
        }
        if (!rc)
            return 0;
        bool again = !ours && (why.flags & DRAY_ERR_TRANSIENT) && n < (attempts ? attempts : 5);
        if (!again) {
            if (err)
                *err = why;
            return rc;
        }
        rc = pause_between(in->p->source, err);
        if (rc)
            return rc;
    }
}

/* What was received cannot be right, so it must not be gone on with. */
static int distrust(struct intake *in, int rc, struct dray_err *err)
{
    if (rc != DRAY_E_CORRUPT)
        return rc;
    (void)dray_ingest_restart(in->ingest, NULL);
    if (in->resumed)
        in->p->distrusted = true;
    (void)dray_err_note(err, "filesystem layer verification failed for digest %s",
                        in->l->desc.digest);
    return rc;
}

static int replay(struct intake *in, struct dray_err *err)
{
    if (dray_ingest_offset(in->ingest) > in->l->desc.size) {
        int rc = dray_ingest_restart(in->ingest, err);
        if (rc)
            return rc;
    }
    in->l->progress = dray_ingest_offset(in->ingest);
    in->resumed = dray_ingest_offset(in->ingest) > 0;
    return dray_ingest_offset(in->ingest) == 0
               ? 0
               : dray_ingest_replay(in->ingest, in->unpack ? img_unpack_feed : NULL, in->unpack,
                                    err);
}

/* End of the stream: what came must be what was asked for, before the layer counts. */
static int finish_blob(struct intake *in, struct dray_err *err)
{
    struct pull_layer *l = in->l;
    img_progress_say(in->p->progress, l->id, "Verifying Checksum");
    int rc = dray_ingest_commit(in->ingest, l->desc.size, NULL, err);
    if (rc)
        return rc;
    img_progress_say(in->p->progress, l->id, "Download complete");
    if (!in->unpack)
        return 0;
    char diff[DRAY_DIGEST_LEN];
    struct img_unpack *u = in->unpack;
    in->unpack = NULL;
    l->phase = PULL_EXTRACTING;
    img_progress_add(in->p->progress,
                     img_progress_bar(l->id, "Extracting", l->desc.size, l->desc.size));
    rc = img_unpack_end(u, diff, &l->size, err);
    return rc ? rc : img_check_diff(l->diff, diff, err);
}

/* The blob is claimed. tee: unpack it on the way. */
static int fetch_blob(struct pull_layers *p, struct pull_layer *l, bool tee, struct dray_err *err)
{
    struct dray_images *im = p->source->im;
    struct intake in = {.p = p, .l = l, .buf = malloc(CHUNK)};
    int rc = in.buf ? dray_ingest_open(im->blobs, l->desc.digest, &in.ingest, err)
                    : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && tee)
        rc = img_unpack_begin(im, l->layer, l->desc.size, p->source->abort_fd, &in.unpack, err);
    l->phase = PULL_DOWNLOADING;
    if (!rc)
        rc = replay(&in, err);
    if (!rc)
        rc = fetch_all(&in, err);
    if (!rc)
        rc = finish_blob(&in, err);
    if (rc && in.ingest)
        rc = distrust(&in, rc, err);
    if (rc == DRAY_E_NOSPACE && in.ingest)
        (void)dray_ingest_restart(in.ingest, NULL); /* its part would keep the disk full */
    img_unpack_abort(in.unpack);
    dray_ingest_close(in.ingest);
    free(in.buf);
    return rc;
}

/* --- one layer --------------------------------------------------------------------------------*/

/* Have the blob here. *teed_out: the layer is unpacked as well. */
static int get_blob(struct pull_layers *p, struct pull_layer *l, bool tee, bool *teed_out,
                    struct dray_err *err)
{
    struct dray_images *im = p->source->im;
    bool mine = false;
    *teed_out = false;
    int rc = img_blob_claim(im, l->blob, p->source->abort_fd, &mine, err);
    if (rc || !mine)
        return rc;
    int max = dray_engine_live(im->engine)->max_concurrent_downloads;
    rc = img_slot_take(im, &im->downloads, max > 0 ? (unsigned)max : UINT32_MAX,
                       p->source->abort_fd, err);
    if (!rc) {
        rc = fetch_blob(p, l, tee, err);
        img_slot_give(im, &im->downloads);
    }
    uint64_t size = 0;
    bool present = dray_blobs_has(im->blobs, l->desc.digest, &size);
    img_blob_done(im, l->blob, present, size);
    *teed_out = !rc && tee;
    return rc;
}

/* Wait until the layer below is complete: for drivers that need its content. */
static int wait_below(struct pull_layers *p, size_t i, struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&p->lock);
    while (!p->rc && i > 0 && p->v[i - 1].mine && !p->v[i - 1].complete)
        pthread_cond_wait(&p->step, &p->lock);
    if (p->rc)
        rc = dray_fail(err, DRAY_E_CANCELED, "canceled");
    pthread_mutex_unlock(&p->lock);
    return rc;
}

static int do_layer(struct pull_layers *p, size_t i, struct dray_err *err)
{
    struct pull_layer *l = &p->v[i];
    struct dray_images *im = p->source->im;
    bool parallel = l->layer && img_layer_parallel(l->layer);
    bool teed = false;
    int rc = get_blob(p, l, l->mine && parallel, &teed, err);
    if (!rc && l->mine && !parallel)
        rc = wait_below(p, i, err);
    if (!rc && l->mine && l->layer && !l->layer->id[0])
        rc = img_layer_create(im, l->layer, err);
    if (!rc && l->mine && !teed) {
        l->progress = 0;
        l->phase = PULL_EXTRACTING;
        rc = img_unpack_blob(im, l->layer, l->desc.digest, l->diff, p->source->abort_fd,
                             &l->progress, &l->size, err);
    }
    l->phase = PULL_DONE;
    if (!rc && l->mine)
        rc = img_layer_done(im, l->layer, true, l->size, err);
    if (!rc)
        img_progress_say(p->progress, l->id, "Pull complete");
    return rc;
}

/* --- all layers -------------------------------------------------------------------------------*/

static void fail_all(struct pull_layers *p, int rc, const struct dray_err *why)
{
    pthread_mutex_lock(&p->lock);
    if (!p->rc) {
        p->rc = rc;
        p->err = *why;
    }
    pthread_cond_broadcast(&p->step);
    pthread_mutex_unlock(&p->lock);
    img_progress_abort(p->progress);
}

static void *worker(void *arg)
{
    struct pull_layers *p = arg;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        while (p->next < p->n && !p->v[p->next].work)
            p->next++;
        size_t i = p->rc ? p->n : p->next++;
        pthread_mutex_unlock(&p->lock);
        if (i >= p->n)
            return NULL;
        struct dray_err why = {0};
        int rc = do_layer(p, i, &why);
        if (rc) {
            fail_all(p, rc, &why);
            return NULL;
        }
        pthread_mutex_lock(&p->lock);
        p->v[i].complete = true;
        pthread_cond_broadcast(&p->step);
        pthread_mutex_unlock(&p->lock);
    }
}

/* Refer to what is here, create what is not. */
static int claim_all(struct pull_layers *p, size_t *todo_out, struct dray_err *err)
{
    struct dray_images *im = p->source->im;
    struct img_layer *parent = NULL;
    *todo_out = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct pull_layer *l = &p->v[i];
        l->blob = img_blob_ref(im, l->desc.digest);
        if (!l->blob)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        int rc =
            img_layer_claim(im, parent, l->diff, p->source->abort_fd, &l->layer, &l->mine, err);
        if (rc)
            return rc;
        pthread_mutex_lock(&im->lock);
        l->work = l->mine || !img_blob_here(l->blob);
        pthread_mutex_unlock(&im->lock);
        *todo_out += l->work;
        img_progress_say(p->progress, l->id, l->work ? "Pulling fs layer" : "Already exists");
        parent = l->layer;
    }
    return 0;
}

static void say_waiting(struct pull_layers *p, size_t workers)
{
    size_t seen = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].work && seen++ >= workers)
            img_progress_say(p->progress, p->v[i].id, "Waiting");
}

static int run_workers(struct pull_layers *p, size_t todo, struct dray_err *err)
{
    pthread_t threads[WORKERS_MAX];
    int max = dray_engine_live(p->source->im->engine)->max_concurrent_downloads;
    size_t want = max > 0 && (unsigned)max < WORKERS_MAX ? (size_t)max : WORKERS_MAX;
    size_t n = 0;
    want = want < todo ? want : todo;
    say_waiting(p, want);
    while (n < want && pthread_create(&threads[n], NULL, worker, p) == 0)
        n++;
    if (n == 0 && todo > 0)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    for (size_t i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
    if (p->rc && err)
        *err = p->err;
    return p->rc;
}

/* Undo from the top down: a layer with children cannot be removed. */
static void undo(struct pull_layers *p)
{
    struct dray_images *im = p->source->im;
    for (size_t i = p->n; i > 0; i--) {
        struct pull_layer *l = &p->v[i - 1];
        if (l->layer && l->mine && l->layer->state == LAYER_BUILDING)
            (void)img_layer_done(im, l->layer, false, 0, NULL);
        img_layer_unref(im, l->layer);
        l->layer = NULL;
    }
}

int img_pull_layers(struct pull_layers *p, struct dray_err *err)
{
    size_t todo = 0;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->step, NULL);
    int rc = claim_all(p, &todo, err);
    if (!rc)
        rc = run_workers(p, todo, err);
    if (rc)
        undo(p);
    pthread_cond_destroy(&p->step);
    pthread_mutex_destroy(&p->lock);
    return rc;
}

void img_pull_layers_drop(struct pull_layers *p, bool keep)
{
    for (size_t i = p->n; i > 0; i--) {
        struct pull_layer *l = &p->v[i - 1];
        img_layer_unref(p->source->im, l->layer);
        img_blob_unref(p->source->im, l->blob, keep);
        img_desc_free(&l->desc);
    }
    free(p->v);
    p->v = NULL;
    p->n = 0;
}

void img_pull_layers_tick(struct pull_layers *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct pull_layer *l = &p->v[i];
        if (l->phase == PULL_DOWNLOADING)
            img_progress_add(p->progress,
                             img_progress_bar(l->id, "Downloading", l->progress, l->desc.size));
        else if (l->phase == PULL_EXTRACTING && l->progress > 0)
            img_progress_add(p->progress,
                             img_progress_bar(l->id, "Extracting", l->progress, l->desc.size));
    }
}

/* --- an image whose blobs are all here --------------------------------------------------------*/

static int fill_layers(struct pull_layers *p, const struct img_part *parts, size_t n,
                       struct dray_err *err)
{
    p->v = calloc(n + 1, sizeof *p->v);
    if (!p->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct pull_layer *l = &p->v[i];
        memcpy(l->desc.digest, parts[i].digest, sizeof l->desc.digest);
        l->desc.size = parts[i].size;
        l->desc.media_type = strdup(parts[i].media_type ? parts[i].media_type : "");
        memcpy(l->diff, parts[i].diff, sizeof l->diff);
        (void)snprintf(l->id, sizeof l->id, "%.12s", dray_digest_hex(l->desc.digest));
        p->n = i + 1;
        if (!l->desc.media_type)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return 0;
}

/* Every blob must be here: there is no registry to ask. */
static int check_blobs(struct dray_images *im, const struct img_part *parts, size_t n,
                       struct dray_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!dray_blobs_has(im->blobs, parts[i].digest, NULL))
            return dray_fail(err, DRAY_E_NOTFOUND, "unpack layer %.19s: no such blob: %s",
                             parts[i].digest, parts[i].digest);
    return 0;
}

int img_unpack_image(struct dray_images *im, const struct img_part *parts, size_t n, int abort_fd,
                     struct img_layer **top_out, struct dray_err *err)
{
    struct img_progress quiet;
    struct img_source none = {.im = im, .repo = "", .abort_fd = abort_fd};
    struct pull_layers p = {.source = &none, .progress = &quiet};
    *top_out = NULL;
    int rc = check_blobs(im, parts, n, err);
    if (rc || n == 0)
        return rc;
    rc = img_progress_init(&quiet, err);
    if (rc)
        return rc;
    rc = fill_layers(&p, parts, n, err);
    if (!rc)
        rc = img_pull_layers(&p, err);
    if (!rc) {
        *top_out = p.v[n - 1].layer;
        pthread_mutex_lock(&im->lock);
        img_layer_ref_locked(*top_out);
        pthread_mutex_unlock(&im->lock);
    }
    img_pull_layers_drop(&p, false);
    img_progress_fini(&quiet);
    return rc;
}
