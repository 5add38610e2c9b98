/* SPDX-License-Identifier: Apache-2.0 */
/* image_save_check.c - verifies what a save writes, several layers at once, beside the writing. */
#include "engine/image/image_save.h"

#include <sys/eventfd.h>

#define WORKERS 4u

struct img_save_check {
    struct dray_images *im;
    const struct img_part *parts;
    size_t n;
    int stop_fd;
    pthread_t threads[WORKERS];
    unsigned n_threads;

    pthread_mutex_t lock; /* guards what follows. order: leaf */
    size_t next;
    int rc;
    struct dray_err err;
};

static void *worker(void *arg)
{
    struct img_save_check *c = arg;
    for (;;) {
        struct dray_err why = {0};
        pthread_mutex_lock(&c->lock);
        size_t i = c->rc ? c->n : c->next++;
        pthread_mutex_unlock(&c->lock);
        if (i >= c->n)
            return NULL;
        int rc = img_plain_check(c->im, &c->parts[i], c->stop_fd, &why);
        pthread_mutex_lock(&c->lock);
        if (rc && !c->rc) {
            c->rc = rc;
            c->err = why;
        }
        pthread_mutex_unlock(&c->lock);
    }
}

int img_save_check_begin(struct dray_images *im, const struct img_part *parts, size_t n,
                         struct img_save_check **out, struct dray_err *err)
{
    struct img_save_check *c = calloc(1, sizeof *c);
    if (!c)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *c = (struct img_save_check){.im = im, .parts = parts, .n = n};
    c->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (c->stop_fd < 0) {
        free(c);
        return dray_fail_errno(err, "make an eventfd");
    }
    pthread_mutex_init(&c->lock, NULL);
    while (c->n_threads < WORKERS && c->n_threads < n &&
           pthread_create(&c->threads[c->n_threads], NULL, worker, c) == 0)
        c->n_threads++;
    *out = c;
    return 0;
}

int img_save_check_end(struct img_save_check *c, bool stop, struct dray_err *err)
{
    if (stop)
        (void)eventfd_write(c->stop_fd, 1);
    else if (c->n_threads == 0)
        (void)worker(c); /* there was no thread to be had */
    for (unsigned i = 0; i < c->n_threads; i++)
        (void)pthread_join(c->threads[i], NULL);
    int rc = c->rc;
    if (rc && err)
        *err = c->err;
    pthread_mutex_destroy(&c->lock);
    (void)close(c->stop_fd);
    free(c);
    return rc;
}
