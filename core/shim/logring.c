/* SPDX-License-Identifier: Apache-2.0 */
/* logring.c - keeps log records in memory while a slow driver writes earlier ones. */
#include "shim/logring.h"

#include "base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/queue.h>

/* Memory that a record costs besides its bytes; it counts, so that empty lines cannot fill it. */
#define RECORD_COST sizeof(struct dray_log_record)
#define STACK_SIZE ((size_t)256 << 10)
#define END_MS 2000

/* Records with the bytes that they point to. */
struct batch {
    STAILQ_ENTRY(batch) link;
    size_t n, bytes;
    struct dray_log_record records[];
};

struct shim_logring {
    pthread_mutex_t lock; /* guards: all below but wake_fd, fn and ctx. order: leaf */
    pthread_cond_t changed;
    STAILQ_HEAD(batches, batch) queue;
    size_t max, used;
    uint64_t dropped;
    bool writing, end;
    int wake_fd;
    pthread_t thread;
    shim_logring_fn fn;
    void *ctx;
};

static void *writer(void *arg)
{
    struct shim_logring *r = arg;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        struct batch *b = STAILQ_FIRST(&r->queue);
        if (!b && r->end)
            break;
        if (!b) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        STAILQ_REMOVE_HEAD(&r->queue, link);
        r->writing = true;
        pthread_mutex_unlock(&r->lock);
        r->fn(r->ctx, b->records, b->n);
        pthread_mutex_lock(&r->lock);
        r->writing = false;
        bool was_full = r->used >= r->max;
        r->used -= b->bytes;
        if (was_full && r->used < r->max && r->wake_fd >= 0)
            (void)eventfd_write(r->wake_fd, 1);
        free(b);
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static int start(struct shim_logring *r)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigset_t all, old;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&r->thread, &attr, writer, r);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

int shim_logring_new(size_t max, int wake_fd, shim_logring_fn fn, void *ctx,
                     struct shim_logring **out, struct dray_err *err)
{
    struct shim_logring *r = calloc(1, sizeof *r);
    if (!r)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *r = (struct shim_logring){.max = max, .wake_fd = wake_fd, .fn = fn, .ctx = ctx};
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &attr);
    pthread_condattr_destroy(&attr);
    STAILQ_INIT(&r->queue);
    int rc = start(r);
    if (rc) {
        free(r);
        errno = rc;
        return dray_fail_errno(err, "start a log writer");
    }
    *out = r;
    return 0;
}

/* How many of the records fit, and the bytes of their lines. */
static size_t fitting(const struct dray_log_record *records, size_t n, size_t room, size_t *bytes)
{
    size_t i = 0, sum = 0;
    for (; i < n && sum + records[i].len + RECORD_COST <= room; i++)
        sum += records[i].len + RECORD_COST;
    *bytes = sum - i * RECORD_COST;
    return i;
}

static struct batch *copy(const struct dray_log_record *records, size_t n, size_t bytes)
{
    struct batch *b = malloc(sizeof *b + n * sizeof b->records[0] + bytes);
    if (!b)
        return NULL;
    b->n = n;
    b->bytes = bytes + n * RECORD_COST;
    char *text = (char *)&b->records[n];
    for (size_t i = 0; i < n; i++) {
        b->records[i] = records[i];
        b->records[i].data = text;
        memcpy(text, records[i].data, records[i].len);
        text += records[i].len;
    }
    return b;
}

bool shim_logring_full(struct shim_logring *r)
{
    if (r->wake_fd < 0)
        return false;
    pthread_mutex_lock(&r->lock);
    bool full = r->used >= r->max;
    pthread_mutex_unlock(&r->lock);
    return full;
}

void shim_logring_add(struct shim_logring *r, const struct dray_log_record *records, size_t n)
{
    pthread_mutex_lock(&r->lock);
    size_t bytes = 0;
    size_t room = r->wake_fd >= 0 ? SIZE_MAX : r->max > r->used ? r->max - r->used : 0;
    size_t fit = fitting(records, n, room, &bytes);
    if (fit == 0 && r->used == 0) { /* a line larger than the ring */
        fit = 1;
        bytes = records[0].len;
    }
    struct batch *b = fit ? copy(records, fit, bytes) : NULL;
    if (b) {
        r->used += b->bytes;
        STAILQ_INSERT_TAIL(&r->queue, b, link);
        pthread_cond_broadcast(&r->changed);
    }
    r->dropped += n - (b ? fit : 0);
    pthread_mutex_unlock(&r->lock);
}

bool shim_logring_drain(struct shim_logring *r, int timeout_ms)
{
    int64_t end = dray_clock_mono() + (int64_t)timeout_ms * 1000000;
    struct timespec until = {.tv_sec = end / DRAY_NS_PER_S, .tv_nsec = end % DRAY_NS_PER_S};
    pthread_mutex_lock(&r->lock);
    int rc = 0;
    while (rc == 0 && (r->writing || !STAILQ_EMPTY(&r->queue)))
        rc = pthread_cond_timedwait(&r->changed, &r->lock, &until);
    pthread_mutex_unlock(&r->lock);
    return rc == 0;
}

uint64_t shim_logring_dropped(struct shim_logring *r)
{
    pthread_mutex_lock(&r->lock);
    uint64_t n = r->dropped;
    pthread_mutex_unlock(&r->lock);
    return n;
}

void shim_logring_free(struct shim_logring *r)
{
    if (!r || !shim_logring_drain(r, END_MS))
        return;
    pthread_mutex_lock(&r->lock);
    r->end = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
