/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - a queue of jobs and the thread that serves it. */
#include "worker.h"

#include "netlink.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <time.h>

#define STACK_SIZE (256 * 1024)

struct job {
    struct job *next;
    uint64_t due_ns; /* CLOCK_MONOTONIC; 0: at once */
    void (*post)(void *);
    int (*call)(void *);
    void *arg;
    int netns; /* of call */
    int rc;
    bool done;
};

struct dray_worker {
    pthread_mutex_t lock; /* guards all below; innermost */
    pthread_cond_t wake;  /* a job came, or the end */
    pthread_cond_t did;   /* a job is done */
    struct job *head;     /* sorted by due_ns, equal ones in order of arrival */
    pthread_t thread;
    int home; /* the daemon's own network namespace */
    bool running, ending, busy;
};

static uint64_t mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int dray_worker_new(struct dray_worker **out, struct dray_err *err)
{
    struct dray_worker *w = calloc(1, sizeof *w);
    if (!w)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    w->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (w->home < 0) {
        free(w);
        return dray_fail_errno(err, "open the own network namespace");
    }
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, &mono);
    pthread_cond_init(&w->did, NULL);
    pthread_condattr_destroy(&mono);
    *out = w;
    return 0;
}

/* Runs a call inside its namespace. False: the thread could not come home and must end. */
static bool run_in_netns(const struct dray_worker *w, struct job *j)
{
    if (setns(j->netns, CLONE_NEWNET)) {
        j->rc = -errno;
        return true;
    }
    j->rc = j->call(j->arg);
    return setns(w->home, CLONE_NEWNET) == 0;
}

/* Takes the next job that is due; waits for it. NULL: the end has come. Lock held. */
static struct job *next_job(struct dray_worker *w)
{
    for (;;) {
        struct job *j = w->head;
        if (!j && w->ending)
            return NULL;
        if (j && (w->ending || j->due_ns <= mono_ns())) {
            w->head = j->next;
            return j;
        }
        if (!j) {
            pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        struct timespec until = {.tv_sec = (time_t)(j->due_ns / 1000000000u),
                                 .tv_nsec = (long)(j->due_ns % 1000000000u)};
        (void)pthread_cond_timedwait(&w->wake, &w->lock, &until);
    }
}

static void *serve(void *arg)
{
    struct dray_worker *w = arg;
    bool home = true;
    pthread_mutex_lock(&w->lock);
    while (home) {
        struct job *j = next_job(w);
        if (!j)
            break;
        w->busy = true;
        pthread_mutex_unlock(&w->lock);
        if (j->post) {
            j->post(j->arg);
            free(j);
            j = NULL;
        } else {
            home = run_in_netns(w, j);
        }
        pthread_mutex_lock(&w->lock);
        w->busy = false;
        if (j)
            j->done = true;
        pthread_cond_broadcast(&w->did);
    }
    if (!home) {
        w->running = false; /* the next job begins a new thread */
        pthread_detach(pthread_self());
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Lock held. A new thread is born in the namespace of its maker, which is home. */
static int ensure_thread(struct dray_worker *w, struct dray_err *err)
{
    if (w->running)
        return 0;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    int rc = pthread_create(&w->thread, &attr, serve, w);
    pthread_attr_destroy(&attr);
    if (rc)
        return dray_fail(err, DRAY_E_NOMEM, "start a worker thread: %s", strerror(rc));
    (void)pthread_setname_np(w->thread, "net-worker");
    w->running = true;
    return 0;
}

static void enqueue(struct dray_worker *w, struct job *j)
{
    struct job **at = &w->head;
    while (*at && (*at)->due_ns <= j->due_ns)
        at = &(*at)->next;
    j->next = *at;
    *at = j;
    pthread_cond_signal(&w->wake);
}

int dray_worker_in_netns(struct dray_worker *w, int netns, int (*fn)(void *ctx), void *ctx,
                         struct dray_err *err)
{
    struct job j = {.call = fn, .arg = ctx, .netns = netns};
    pthread_mutex_lock(&w->lock);
    int rc = ensure_thread(w, err);
    if (!rc) {
        enqueue(w, &j);
        while (!j.done)
            pthread_cond_wait(&w->did, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    if (rc)
        return rc;
    if (j.rc < 0) {
        errno = -j.rc;
        return dray_fail_errno(err, "enter the network namespace");
    }
    return j.rc;
}

static int open_route_socket(void *ctx)
{
    int *fd = ctx;
    *fd = dray_nl_socket(NETLINK_ROUTE);
    return *fd < 0 ? -errno : 0;
}

int dray_worker_nl_socket(struct dray_worker *w, int netns, int *fd_out, struct dray_err *err)
{
    int fd = -EBADF;
    int rc = dray_worker_in_netns(w, netns, open_route_socket, &fd, err);
    if (!rc)
        *fd_out = fd;
    return rc;
}

int dray_worker_post(struct dray_worker *w, uint32_t delay_ms, void (*fn)(void *arg), void *arg,
                     struct dray_err *err)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    j->post = fn;
    j->arg = arg;
    j->due_ns = delay_ms ? mono_ns() + (uint64_t)delay_ms * 1000000u : 0;
    pthread_mutex_lock(&w->lock);
    int rc = ensure_thread(w, err);
    if (!rc)
        enqueue(w, j);
    pthread_mutex_unlock(&w->lock);
    if (rc)
        free(j);
    return rc;
}

void dray_worker_drain(struct dray_worker *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->running && (w->busy || (w->head && !w->head->due_ns)))
        pthread_cond_wait(&w->did, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void dray_worker_free(struct dray_worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->wake);
    bool running = w->running;
    pthread_mutex_unlock(&w->lock);
    if (running)
        pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->did);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    (void)close(w->home);
    free(w);
}
