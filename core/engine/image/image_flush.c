/* SPDX-License-Identifier: Apache-2.0 */
/* image_flush.c - gets blobs, documents and layers to the disk, beginning while they are made. */
#include "engine/image/image_priv.h"

#include "engine/workq.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Little enough that the flush at the end is short, enough that a slow download causes few. */
#define EARLY_BYTES (UINT64_C(64) << 20)

struct img_flusher {
    struct dray_workq *work; /* one thread */
    int data;                /* the data root */
    int layers;              /* the storage driver's folder, if that is another file system */
    _Atomic uint64_t made;   /* bytes since the last early flush began */
    _Atomic bool asked;      /* for an early flush */

    pthread_mutex_t lock; /* guards what follows. order: leaf */
    pthread_cond_t ended; /* a flush has */
    unsigned running;     /* flushes */
    unsigned faults;      /* failed writes that a flush was told of */
};

/* The storage driver's folder where that is another file system; -EBADF otherwise. */
static int open_layers(const struct dray_images *im)
{
    dray_autofree char *path = dray_strf("storage/%s", dray_driver_name(im->engine->storage));
    dray_autofd int fd =
        path ? openat(im->data_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;
    struct stat data, layers;
    if (fd < 0 || fstat(im->data_fd, &data) != 0 || fstat(fd, &layers) != 0 ||
        data.st_dev == layers.st_dev)
        return -EBADF;
    return dray_steal_fd(&fd);
}

int img_flusher_open(struct dray_images *im, struct dray_err *err)
{
    struct img_flusher *f = calloc(1, sizeof *f);
    if (!f)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->ended, NULL);
    im->flusher = f;
    f->data = im->data_fd;
    f->layers = open_layers(im);
    return dray_workq_open(1, &f->work, err);
}

void img_flusher_close(struct img_flusher *f)
{
    if (!f)
        return;
    dray_workq_close(f->work);
    dray_cleanup_fd(&f->layers);
    pthread_cond_destroy(&f->ended);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static int sync_all(struct dray_images *im, struct dray_err *err)
{
    int rc = dray_blobs_sync(im->blobs, err);
    if (!rc && im->flusher->layers >= 0 && syncfs(im->flusher->layers) != 0)
        rc = dray_fail_errno(err, "sync the image layers");
    return rc;
}

/* The kernel tells a descriptor of a failed write once, and all flushes share theirs: what one is
 * told is for whoever has written before. So a flush that went well waits for those beside it, and
 * the faults are counted. */
int img_flush(struct dray_images *im, struct dray_err *err)
{
    struct img_flusher *f = im->flusher;
    pthread_mutex_lock(&f->lock);
    f->running++;
    pthread_mutex_unlock(&f->lock);
    int rc = sync_all(im, err);
    pthread_mutex_lock(&f->lock);
    f->faults += rc != 0;
    f->running--;
    pthread_cond_broadcast(&f->ended);
    while (!rc && f->running > 0)
        pthread_cond_wait(&f->ended, &f->lock);
    pthread_mutex_unlock(&f->lock);
    return rc;
}

unsigned img_flush_faults(struct dray_images *im)
{
    pthread_mutex_lock(&im->flusher->lock);
    unsigned faults = im->flusher->faults;
    pthread_mutex_unlock(&im->flusher->lock);
    return faults;
}

/* By a descriptor of its own: each is told of a failed write once, and img_flush() must be. */
static void flush_apart(int folder)
{
    dray_autofd int fd =
        folder >= 0 ? openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;
    if (fd >= 0)
        (void)syncfs(fd);
}

static void flush_early(void *arg)
{
    struct img_flusher *f = arg;
    atomic_store(&f->made, 0);
    flush_apart(f->data);
    flush_apart(f->layers);
    atomic_store(&f->asked, false);
}

void img_flush_early(struct dray_images *im, size_t len)
{
    struct img_flusher *f = im->flusher;
    if (atomic_fetch_add(&f->made, len) + len >= EARLY_BYTES && !atomic_exchange(&f->asked, true))
        dray_workq_add(f->work, flush_early, NULL, f);
}
