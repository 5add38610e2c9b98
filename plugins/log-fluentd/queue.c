/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - a thread that sends what "fluentd-async" lets wait. */
#include "fluentd.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>

#define STACK_SIZE ((size_t)256 << 10)
/* How long closing waits for what is kept. */
#define END_S 2

struct entry {
    STAILQ_ENTRY(entry) link;
    struct fluentd_message m;
    char data[];
};

struct fluentd_queue {
    struct fluentd_sender *sender;
    pthread_mutex_t lock; /* guards: entries, n, sending, end. order: leaf */
    pthread_cond_t changed;
    STAILQ_HEAD(entries, entry) entries;
    int64_t n;
    bool sending, end;
    int cancel; /* eventfd: sending ends */
    pthread_t thread;
};

static void *run(void *arg)
{
    struct fluentd_queue *q = arg;
    const struct dray_send_wait wait = {.cancel_fd = q->cancel};
    pthread_mutex_lock(&q->lock);
    for (;;) {
        struct entry *e = STAILQ_FIRST(&q->entries);
        if (q->end)
            break;
        if (!e) {
            pthread_cond_wait(&q->changed, &q->lock);
            continue;
        }
        STAILQ_REMOVE_HEAD(&q->entries, link);
        q->sending = true;
        pthread_mutex_unlock(&q->lock);
        (void)fluentd_send(q->sender, &e->m, &wait, NULL);
        free(e);
        pthread_mutex_lock(&q->lock);
        q->sending = false;
        q->n--;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

static int start(struct fluentd_queue *q)
{
    pthread_attr_t attr;
    sigset_t all, old;
    pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&q->thread, &attr, run, q);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

int fluentd_queue_new(struct fluentd_sender *sender, struct fluentd_queue **out,
                      struct dray_err *err)
{
    struct fluentd_queue *q = calloc(1, sizeof *q);
    if (!q)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    q->sender = sender;
    q->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    STAILQ_INIT(&q->entries);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    int rc = q->cancel < 0 ? errno : start(q);
    if (rc) {
        dray_cleanup_fd(&q->cancel);
        free(q);
        errno = rc;
        return dray_fail_errno(err, "start a sender");
    }
    *out = q;
    return 0;
}

int fluentd_queue_add(struct fluentd_queue *q, const struct fluentd_message *m,
                      struct dray_err *err)
{
    struct entry *e = malloc(sizeof *e + m->len);
    if (!e)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    e->m = *m;
    memcpy(e->data, m->data, m->len);
    e->m.data = e->data;
    pthread_mutex_lock(&q->lock);
    int64_t limit = q->sender->options->limit;
    bool fits = q->n < limit;
    if (fits) {
        q->n++;
        STAILQ_INSERT_TAIL(&q->entries, e, link);
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    if (fits)
        return 0;
    free(e);
    return dray_fail(err, DRAY_E_LIMIT, "fluentd: the buffer is full, limit %lld",
                     (long long)limit);
}

void fluentd_queue_free(struct fluentd_queue *q)
{
    if (!q)
        return;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += END_S;
    pthread_mutex_lock(&q->lock);
    while (q->n > 0 && pthread_cond_clockwait(&q->changed, &q->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    q->end = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    (void)eventfd_write(q->cancel, 1);
    pthread_join(q->thread, NULL);
    while (!STAILQ_EMPTY(&q->entries)) {
        struct entry *e = STAILQ_FIRST(&q->entries);
        STAILQ_REMOVE_HEAD(&q->entries, link);
        free(e);
    }
    (void)close(q->cancel);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}
