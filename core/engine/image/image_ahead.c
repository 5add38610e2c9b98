/* SPDX-License-Identifier: Apache-2.0 */
/* image_ahead.c - unpacks the layers of an archive while the rest of it still comes in. */
#include "engine/image/image_priv.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sys/eventfd.h>

/* As many as a pull works on at once. */
#define WORKERS 3u
#define CHUNK (256u * 1024)
/* What is unpacked may be of no use: only where the disk has so many times its size left. */
#define ROOM_FACTOR 8u
#define TAR_MAGIC_AT 257u
#define LOOK_NS (100 * 1000 * 1000) /* between two looks at the caller's patience */

enum state { WAITING, RUNNING, COMPLETE, TAKEN };

struct job {
    struct job *next;
    char name[DRAY_DIGEST_LEN]; /* a blob's digest, or what the caller calls the file */
    int fd;                     /* of the file; -EBADF: it is a blob */
    enum state state;
    int rc;

    /* When it went well. */
    char diff[DRAY_DIGEST_LEN];
    struct img_layer *layer; /* of a blob, with the bytes in it */
    uint64_t size;
    struct img_intake *intake; /* of a file, with its result */
    struct img_intake_result result;
};

struct img_ahead {
    struct dray_images *im;
    int stop_fd; /* readable: give up */
    pthread_t threads[WORKERS];
    unsigned n_threads; /* the caller's alone */

    pthread_mutex_t lock; /* guards all below, and the states. order: before images.lock */
    pthread_cond_t changed;
    struct job *first, **last;
    bool stop;
};

int img_ahead_open(struct dray_images *im, struct img_ahead **out, struct dray_err *err)
{
    *out = NULL;
    if (!img_layers_float(im))
        return 0;
    struct img_ahead *a = calloc(1, sizeof *a);
    if (!a)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    a->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (a->stop_fd < 0) {
        free(a);
        return dray_fail_errno(err, "make an eventfd");
    }
    a->im = im;
    a->last = &a->first;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->changed, &attr);
    pthread_condattr_destroy(&attr);
    *out = a;
    return 0;
}

/* --- the work ---------------------------------------------------------------------------------*/

static int unpack_blob(struct img_ahead *a, struct job *j, struct dray_err *err)
{
    int rc = img_layer_afloat(a->im, &j->layer, err);
    if (!rc)
        rc = img_unpack_any(a->im, j->layer, j->name, a->stop_fd, NULL, j->diff, &j->size, err);
    if (rc && j->layer)
        img_layer_anon_drop(a->im, dray_steal(j->layer));
    return rc;
}

static int feed_file(struct job *j, char *buf, struct dray_err *err)
{
    for (;;) {
        ssize_t n = read(j->fd, buf, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read the archive");
        if (n == 0)
            return img_intake_end_afloat(j->intake, &j->result, err);
        int rc = img_intake_feed(j->intake, buf, (size_t)n, err);
        if (rc)
            return rc;
    }
}

static int unpack_file(struct img_ahead *a, struct job *j, struct dray_err *err)
{
    dray_autofree char *buf = malloc(CHUNK);
    int rc = buf ? img_intake_afloat(a->im, a->stop_fd, &j->intake, err)
                 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = feed_file(j, buf, err);
    dray_cleanup_fd(&j->fd);
    j->fd = -EBADF;
    if (rc && j->intake)
        img_intake_abort(dray_steal(j->intake));
    if (!rc)
        memcpy(j->diff, j->result.diff, sizeof j->diff);
    return rc;
}

static struct job *next_job(struct img_ahead *a)
{
    struct job *j = a->stop ? NULL : a->first;
    while (j && j->state != WAITING)
        j = j->next;
    return j;
}

static void *worker(void *arg)
{
    struct img_ahead *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        struct job *j = next_job(a);
        if (!j) {
            (void)pthread_cond_wait(&a->changed, &a->lock);
            continue;
        }
        j->state = RUNNING;
        bool file = j->fd >= 0;
        pthread_mutex_unlock(&a->lock);
        int rc = file ? unpack_file(a, j, NULL) : unpack_blob(a, j, NULL);
        pthread_mutex_lock(&a->lock);
        j->rc = rc;
        j->state = COMPLETE;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* --- adding -----------------------------------------------------------------------------------*/

/* Does it begin as a tar does, plain or compressed? */
static bool seems_layer(int fd)
{
    char head[512] = {0};
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n <= 0)
        return false;
    return dray_compression_of(head, (size_t)n) != DRAY_PLAIN ||
           memcmp(head + TAR_MAGIC_AT, "ustar", 5) == 0;
}

static bool has_room(const struct img_ahead *a, int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    return size >= 0 && lseek(fd, 0, SEEK_SET) == 0 &&
           dray_blobs_free_bytes(a->im->blobs) / ROOM_FACTOR > (uint64_t)size;
}

/* The job of that name that nobody has taken. Locked. */
static struct job *find_job(struct img_ahead *a, const char *name)
{
    struct job *j = a->first;
    while (j && (j->state == TAKEN || strcmp(j->name, name) != 0))
        j = j->next;
    return j;
}

static void add_job(struct img_ahead *a, const char *name, int fd /* takes */)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j) {
        dray_cleanup_fd(&fd);
        return;
    }
    j->fd = fd;
    (void)snprintf(j->name, sizeof j->name, "%s", name);
    pthread_mutex_lock(&a->lock);
    *a->last = j;
    a->last = &j->next;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->n_threads < WORKERS && pthread_create(&a->threads[a->n_threads], NULL, worker, a) == 0)
        a->n_threads++;
}

void img_ahead_blob(struct img_ahead *a, const char *digest)
{
    dray_autofd int fd = -EBADF;
    pthread_mutex_lock(&a->lock);
    bool known = find_job(a, digest) != NULL;
    pthread_mutex_unlock(&a->lock);
    if (!known && dray_blobs_get(a->im->blobs, digest, &fd, NULL, NULL) == 0 && seems_layer(fd) &&
        has_room(a, fd))
        add_job(a, digest, -EBADF);
}

void img_ahead_file(struct img_ahead *a, const char *name, int fd /* takes */)
{
    dray_autofd int own = fd;
    if (own >= 0 && seems_layer(own) && has_room(a, own))
        add_job(a, name, dray_steal_fd(&own));
}

/* --- taking -----------------------------------------------------------------------------------*/

static void drop_job(struct img_ahead *a, struct job *j)
{
    dray_cleanup_fd(&j->fd);
    j->fd = -EBADF;
    if (j->layer)
        img_layer_anon_drop(a->im, j->layer);
    img_intake_abort(j->intake);
    if (j->result.blob)
        img_blob_unref(a->im, j->result.blob, false);
    j->layer = NULL, j->intake = NULL, j->result.blob = NULL;
}

/* Wait for the job; NOTFOUND when there is none, or not with that diff id. The caller's on success.
 */
static int take(struct img_ahead *a, const char *name, const char *diff, int abort_fd,
                struct job **out, struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&a->lock);
    struct job *j = a->n_threads ? find_job(a, name) : NULL;
    while (j && !rc && j->state != COMPLETE) {
        int64_t until = dray_clock_mono() + LOOK_NS;
        struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
        (void)pthread_cond_timedwait(&a->changed, &a->lock, &ts);
        if (img_fd_ready(abort_fd))
            rc = dray_fail(err, DRAY_E_CANCELED, "canceled");
    }
    if (j && !rc)
        j->state = TAKEN;
    pthread_mutex_unlock(&a->lock);
    if (rc)
        return rc;
    if (j && j->rc == 0 && strcmp(j->diff, diff) == 0) {
        *out = j;
        return 0;
    }
    if (j)
        drop_job(a, j);
    return dray_fail(err, DRAY_E_NOTFOUND, "no such layer was unpacked");
}

int img_ahead_take_blob(struct img_ahead *a, const char *digest, struct img_layer *parent,
                        const char *diff, int abort_fd, struct img_layer **out,
                        struct dray_err *err)
{
    struct job *j = NULL;
    int rc = take(a, digest, diff, abort_fd, &j, err);
    if (rc)
        return rc;
    struct img_layer *l = dray_steal(j->layer);
    rc = img_layer_land(a->im, l, parent, err);
    if (rc) {
        img_layer_anon_drop(a->im, l);
        return rc;
    }
    return img_layer_anon_done(a->im, l, j->diff, j->size, out, err);
}

int img_ahead_take_file(struct img_ahead *a, const char *name, struct img_layer *parent,
                        const char *diff, int abort_fd, struct img_intake_result *out,
                        struct dray_err *err)
{
    struct job *j = NULL;
    int rc = take(a, name, diff, abort_fd, &j, err);
    if (rc)
        return rc;
    *out = j->result;
    j->result = (struct img_intake_result){0};
    return img_intake_land(dray_steal(j->intake), parent, out, err);
}

void img_ahead_close(struct img_ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    (void)eventfd_write(a->stop_fd, 1);
    for (unsigned i = 0; i < a->n_threads; i++)
        (void)pthread_join(a->threads[i], NULL);
    while (a->first) {
        struct job *j = a->first;
        a->first = j->next;
        drop_job(a, j);
        free(j);
    }
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    (void)close(a->stop_fd);
    free(a);
}
