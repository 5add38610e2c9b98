/* SPDX-License-Identifier: Apache-2.0 */
/* bounded.c - system calls on paths of others, each in a thread that can be left behind. */
#include "bounded.h"
#include "clock.h"

#include <pthread.h>
#include <stdlib.h>

#define STACK_SIZE (64 << 10)

/* Shared by the caller and the thread; whoever is last frees it. */
struct look {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t ended;
    struct stat st;
    int error; /* errno of the call; -1 while it is under way */
    unsigned users;
    char path[];
};

static void unref(struct look *l)
{
    pthread_mutex_lock(&l->lock);
    bool last = --l->users == 0;
    pthread_mutex_unlock(&l->lock);
    if (!last)
        return;
    pthread_cond_destroy(&l->ended);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void *look_main(void *arg)
{
    struct look *l = arg;
    struct stat st = {0};
    int error = stat(l->path, &st) == 0 ? 0 : errno;
    pthread_mutex_lock(&l->lock);
    l->st = st;
    l->error = error;
    pthread_cond_signal(&l->ended);
    pthread_mutex_unlock(&l->lock);
    unref(l);
    return NULL;
}

static struct look *look_new(const char *path)
{
    size_t n = strlen(path) + 1;
    struct look *l = calloc(1, sizeof *l + n);
    if (!l)
        return NULL;
    memcpy(l->path, path, n);
    l->error = -1;
    l->users = 1;
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->ended, &attr);
    (void)pthread_condattr_destroy(&attr);
    return l;
}

static int look_start(struct look *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    l->users++;
    int rc = pthread_create(&thread, &attr, look_main, l);
    if (rc != 0)
        l->users--;
    (void)pthread_attr_destroy(&attr);
    return rc;
}

/** -1 when it did not end in time. */
static int look_wait(struct look *l, int timeout_ms)
{
    int64_t end = dray_clock_mono() + (int64_t)timeout_ms * 1000000;
    struct timespec until = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
    pthread_mutex_lock(&l->lock);
    int rc = 0;
    while (l->error < 0 && rc == 0)
        rc = pthread_cond_timedwait(&l->ended, &l->lock, &until);
    int error = l->error;
    pthread_mutex_unlock(&l->lock);
    return error;
}

int dray_bounded_stat(const char *path, int timeout_ms, struct stat *out, struct dray_err *err)
{
    struct look *l = look_new(path);
    if (!l)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (look_start(l) != 0) {
        unref(l);
        return dray_fail(err, DRAY_E_NOMEM, "cannot start a thread");
    }
    int error = look_wait(l, timeout_ms);
    if (error == 0)
        *out = l->st;
    unref(l);
    if (error < 0)
        return dray_fail(err, DRAY_E_TIMEOUT,
                         "%s does not answer after %d s: is its file server dead?", path,
                         timeout_ms / 1000);
    errno = error;
    return error == 0 ? 0 : DRAY_E_IO;
}
