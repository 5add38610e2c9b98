/* SPDX-License-Identifier: Apache-2.0 */
/* workq.c - runs short jobs on a few threads, and jobs at a time. */
#include "engine/workq.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#define IDLE_NS (5 * DRAY_NS_PER_S)
#define STACK_BYTES (256 * 1024)

struct job {
    struct job *next;
    int64_t when; /* 0: now */
    dray_work_fn fn, drop;
    void *arg;
};

struct dray_workq {
    pthread_mutex_t lock; /* guards all below. order: leaf */
    pthread_cond_t wake;  /* a job is there, a time changed, or closing */
    pthread_cond_t gone;  /* a thread ended */
    struct job *ready, **ready_tail;
    struct job *later; /* sorted by when */
    unsigned threads, idle, max;
    bool closing;
};

static void push_ready(struct dray_workq *q, struct job *j)
{
    j->next = NULL;
    *q->ready_tail = j;
    q->ready_tail = &j->next;
}

/** Move what is due to the ready list; returns the time of the next one, or 0. */
static int64_t promote_due(struct dray_workq *q)
{
    int64_t now = dray_clock_mono();
    while (q->later && q->later->when <= now) {
        struct job *j = q->later;
        q->later = j->next;
        push_ready(q, j);
    }
    return q->later ? q->later->when : 0;
}

static struct job *pop_ready(struct dray_workq *q)
{
    struct job *j = q->ready;
    if (j) {
        q->ready = j->next;
        if (!q->ready)
            q->ready_tail = &q->ready;
    }
    return j;
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ns)
{
    struct timespec ts = {.tv_sec = ns / DRAY_NS_PER_S, .tv_nsec = ns % DRAY_NS_PER_S};
    (void)pthread_cond_timedwait(cond, lock, &ts);
}

/** Wait for a job; NULL when the thread should end. Called with lock held. */
static struct job *next_job(struct dray_workq *q)
{
    int64_t give_up = dray_clock_mono() + IDLE_NS;
    while (!q->closing) {
        int64_t next = promote_due(q);
        struct job *j = pop_ready(q);
        if (j)
            return j;
        int64_t now = dray_clock_mono();
        if (now >= give_up && (!q->later || q->idle > 0))
            return NULL;
        int64_t until = next && (next < give_up || q->idle == 0) ? next : give_up;
        q->idle++;
        wait_until(&q->wake, &q->lock, until);
        q->idle--;
    }
    return NULL;
}

static void *worker(void *arg)
{
    struct dray_workq *q = arg;
    pthread_mutex_lock(&q->lock);
    for (;;) {
        struct job *j = next_job(q);
        if (!j)
            break;
        if (q->ready && q->idle > 0)
            pthread_cond_signal(&q->wake);
        pthread_mutex_unlock(&q->lock);
        j->fn(j->arg);
        free(j);
        pthread_mutex_lock(&q->lock);
    }
    q->threads--;
    pthread_cond_broadcast(&q->gone);
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

/** Call with lock held: make sure somebody will look at the lists. */
static void summon(struct dray_workq *q)
{
    if (q->idle > 0) {
        pthread_cond_signal(&q->wake);
        return;
    }
    if (q->threads >= q->max)
        return;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_t thread;
    if (pthread_create(&thread, &attr, worker, q) == 0)
        q->threads++;
    pthread_attr_destroy(&attr);
}

int dray_workq_open(unsigned max, struct dray_workq **out, struct dray_err *err)
{
    struct dray_workq *q = calloc(1, sizeof *q);
    if (!q)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->wake, &attr);
    pthread_cond_init(&q->gone, &attr);
    pthread_condattr_destroy(&attr);
    q->ready_tail = &q->ready;
    q->max = max;
    *out = q;
    return 0;
}

static void drop_jobs(struct job *j)
{
    while (j) {
        struct job *next = j->next;
        if (j->drop)
            j->drop(j->arg);
        free(j);
        j = next;
    }
}

void dray_workq_close(struct dray_workq *q)
{
    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    q->closing = true;
    pthread_cond_broadcast(&q->wake);
    while (q->threads > 0)
        pthread_cond_wait(&q->gone, &q->lock);
    struct job *ready = dray_steal(q->ready);
    struct job *later = dray_steal(q->later);
    pthread_mutex_unlock(&q->lock);
    drop_jobs(ready);
    drop_jobs(later);
    pthread_cond_destroy(&q->wake);
    pthread_cond_destroy(&q->gone);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

void dray_workq_at(struct dray_workq *q, int64_t when_ns, dray_work_fn fn, dray_work_fn drop,
                   void *arg)
{
    struct job *j = malloc(sizeof *j);
    if (!j) {
        if (drop)
            drop(arg);
        return;
    }
    *j = (struct job){.when = when_ns, .fn = fn, .drop = drop, .arg = arg};
    pthread_mutex_lock(&q->lock);
    bool closing = q->closing;
    if (!closing && when_ns == 0) {
        push_ready(q, j);
    } else if (!closing) {
        struct job **at = &q->later;
        while (*at && (*at)->when <= when_ns)
            at = &(*at)->next;
        j->next = *at;
        *at = j;
    }
    if (!closing)
        summon(q);
    pthread_mutex_unlock(&q->lock);
    if (closing) {
        if (drop)
            drop(arg);
        free(j);
    }
}

void dray_workq_add(struct dray_workq *q, dray_work_fn fn, dray_work_fn drop, void *arg)
{
    dray_workq_at(q, 0, fn, drop, arg);
}
